"""The ledger over a real database: in this process, and as another process would call it."""

import pytest

from vendrail.api.ledger import Ledger
from vendrail.kernel import rpc
from vendrail.kernel.db import Database
from vendrail.ledger.service import LedgerService
from vendrail.ledger.settings import LedgerSettings


@pytest.fixture
async def books_database(make_database) -> Database:
    """The ledger's database, migrated."""
    return await make_database("ledger", connections_max=8)


@pytest.fixture
async def service(books_database, clock, vault) -> LedgerService:
    """The service itself."""
    return LedgerService(books_database, clock, vault, LedgerSettings())


@pytest.fixture(params=["local", "remote"])
async def ledger(request, service) -> Ledger:
    """The service, and a remote client to it."""
    return service if request.param == "local" else rpc.loopback(Ledger, service)
