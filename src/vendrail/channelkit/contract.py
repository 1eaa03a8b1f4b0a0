"""The contract of a channel: write a class of it with a `bench` fixture, and run pytest."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vendrail.channelkit.arrivals import Arrivals
from vendrail.channelkit.bench import Bench
from vendrail.channelkit.departures import Departures
from vendrail.channelkit.doubts import Doubts
from vendrail.channelkit.finality import Finality
from vendrail.channelkit.rig import Rig
from vendrail.channelkit.secrecy import Secrecy
from vendrail.kernel.vault import Vault


class ChannelContract(Arrivals, Departures, Doubts, Finality, Secrecy):
    """Every promise a channel makes; a test class of it gives a fixture named `bench`."""

    @pytest.fixture
    async def rig(self, bench: Bench, database_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
        """Payments with one account of the channel."""
        async with Rig.over(bench, database_url, Vault.open(tmp_path / "vault")) as made:
            yield made
