"""The ledger over a real database: in this process, and as another process would call it."""

from collections.abc import AsyncIterator

import pytest

from vendrail.api.ledger import Ledger
from vendrail.kernel import rpc
from vendrail.ledger.service import LedgerService


@pytest.fixture
async def service(make_database, clock) -> LedgerService:
    """The service itself."""
    return LedgerService(db=await make_database("ledger"), clock=clock)


@pytest.fixture(params=["local", "remote"])
async def ledger(request, service) -> AsyncIterator[Ledger]:
    """The service, and a remote client to it."""
    yield service if request.param == "local" else rpc.loopback(Ledger, service)
