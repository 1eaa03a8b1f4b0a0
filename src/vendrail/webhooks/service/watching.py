"""Watching: stock that runs low is told once, until there is enough again."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.catalog import Catalog, LowStock, LowStockQuery, MerchantId
from vendrail.api.webhooks import EventKind
from vendrail.kernel.ids import new_id
from vendrail.webhooks import decide
from vendrail.webhooks.service.ground import TOPIC, Ground
from vendrail.webhooks.service.reading import Reading
from vendrail.webhooks.store import stock

_MERCHANTS_AT_ONCE = 50
_VARIANTS_MAX = 200
_OVER_FACTOR = 2  # What was low is no longer so above twice its bound.


class Watching:
    """Looks at the stock of merchants whose programs want to hear of it."""

    def __init__(self, ground: Ground, reading: Reading, catalog: Catalog) -> None:
        self._ground = ground
        self._db = ground.db
        self._reading = reading
        self._catalog = catalog

    async def look(self) -> bool:
        """Tell what has begun to run out, and forget what has ended; never more at once."""
        async with self._db.reading() as tx:
            merchants = await stock.load_listening(tx, EventKind.STOCK_LOW)
        for begin in range(0, len(merchants), _MERCHANTS_AT_ONCE):
            part = merchants[begin : begin + _MERCHANTS_AT_ONCE]
            bound = max(0, self._ground.settings.low_stock_max)
            queries = [
                LowStockQuery(MerchantId(each), bound, _VARIANTS_MAX, factor=_OVER_FACTOR)
                for each in part
            ]
            found = await self._catalog.list_low_stock(queries)
            for merchant, low in zip(part, found, strict=True):
                await self._tell(merchant, low)
        return False

    async def _tell(self, merchant: UUID, found: Sequence[LowStock]) -> None:
        now = self._ground.clock.now()
        near = [each.sku for each in found if each.free <= _OVER_FACTOR * each.bound]
        low = {each.sku: each for each in found if each.free <= each.bound}
        async with self._db.transaction() as tx:
            if len(found) < _VARIANTS_MAX:  # Else what is not among them may be low all the same.
                await stock.end_low(tx, merchant, near)
            begun = await stock.begin_low(tx, merchant, list(low), now)
            happenings = [
                decide.happening(
                    new_id(now),
                    EventKind.STOCK_LOW,
                    merchant,
                    now,
                    {"sku": sku, "free": low[sku].free},
                )
                for sku in begun
            ]
            if happenings:
                await self._reading.keep(tx, happenings)
        if happenings:
            self._ground.wakeups.wake(TOPIC)
