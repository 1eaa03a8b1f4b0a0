"""Alipay in the sandbox: its gateway, its wallet pages, its courier."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from vendrail.kernel.waiting import end_tasks
from vendrail.sandbox.emulations import Place, ReadyAccount
from vendrail.sandbox.http import ROUTES
from vendrail.sandbox.service import Sandbox
from vendrail.sandbox.wallet import WALLET_ROUTES

_SWEEP_INTERVAL_S = 1.0


class AlipayEmulation:
    """Alipay, mainland China."""

    name = "alipay"

    def __init__(self, place: Place) -> None:
        self._sandbox = Sandbox(place.home, place.clock, place.settings)

    @property
    def state(self) -> Mapping[str, object]:
        """Give what its routes find in the application's state."""
        return {"sandbox": self._sandbox}

    @property
    def routes(self) -> Sequence[Any]:
        """Give its doors, its pages and its control routes."""
        return [*ROUTES, *WALLET_ROUTES]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close what is over, and tell merchants, while the body runs."""
        sweeper = asyncio.create_task(self._sweep_for_ever())
        try:
            async with self._sandbox.courier.running():
                yield
        finally:
            await end_tasks([sweeper])
            self._sandbox.store.close()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            self._sandbox.sweep()

    def open_account(self, base_url: str) -> ReadyAccount | None:
        """Give none: an application is registered with a public key of its own."""
        return None
