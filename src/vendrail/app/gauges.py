"""What the metrics ask at each scrape, and what readiness means."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from vendrail.api.orders import SagaView
from vendrail.app.wiring import House
from vendrail.kernel.db import Database

_SAGAS_MAX = 1_000


class Gauges:
    """Fills the gauges that change by themselves: pools, sagas and their ages."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._metrics = house.metrics

    async def refresh(self) -> None:
        """Ask everything once: called before each scrape."""
        for name, database in self._house.databases.items():
            for state, value in zip(("open", "idle", "most"), database.pool_use(), strict=True):
                self._metrics.put("vendrail_pool_connections", value, name, state)
        orders = self._house.services.get("orders")
        if orders is not None:
            await self._put_sagas(await orders.list_sagas(_SAGAS_MAX))

    async def _put_sagas(self, sagas: list[SagaView]) -> None:
        now = self._house.clock.now()
        counts: dict[tuple[str, str], int] = {}
        oldest: dict[tuple[str, str], datetime] = {}
        for saga in sagas:
            kind = (saga.kind, saga.state)
            counts[kind] = counts.get(kind, 0) + 1
            begun = saga.started_at
            oldest[kind] = min(oldest.get(kind, begun), begun)
        for name in ("vendrail_sagas", "vendrail_saga_age_seconds"):
            self._metrics.clear(name)
        for (kind_name, state), count in counts.items():
            self._metrics.put("vendrail_sagas", count, kind_name, state)
            age_s = (now - oldest[kind_name, state]).total_seconds()
            self._metrics.put("vendrail_saga_age_seconds", age_s, kind_name, state)

    def readiness(self) -> dict[str, Callable[[], Awaitable[bool]]]:
        """Name what must answer before this process takes traffic: each service's database."""
        return {name: _asks(database) for name, database in self._house.databases.items()}


def _asks(database: Database) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        async with database.reading() as tx:
            return bool(await tx.fetch_value("select true"))

    return check
