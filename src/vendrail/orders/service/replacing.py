"""Replacing: keys that do not work make room for others; the order stays as it was paid.

What is asked is written first, as a small saga: should this process die after the catalog has
given the keys, another one writes down that it has, and the buyer is told.
"""

from collections.abc import Sequence

from vendrail.api.catalog import AllocationId, Catalog, KeyReplacement, KeyReplacementStatus
from vendrail.api.orders import (
    OrderId,
    OrderItemsReplaced,
    OrderState,
    ReplaceItems,
    ReplacementView,
    ReplaceStatus,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Row
from vendrail.kernel.outbox import Wakeups, append_events
from vendrail.kernel.saga import Saga, SagaLog
from vendrail.kernel.telemetry import Metrics
from vendrail.orders import decide, store

_DONE = (KeyReplacementStatus.REPLACED, KeyReplacementStatus.EXISTS)
_STATUSES = {
    KeyReplacementStatus.REPLACED: ReplaceStatus.REPLACED,
    KeyReplacementStatus.EXISTS: ReplaceStatus.EXISTS,
    KeyReplacementStatus.EXISTS_DIFFERENT: ReplaceStatus.EXISTS_DIFFERENT,
    KeyReplacementStatus.ALLOCATION_NOT_FOUND: ReplaceStatus.NOT_DELIVERED,
    KeyReplacementStatus.NOT_SOLD: ReplaceStatus.NOT_DELIVERED,
    KeyReplacementStatus.NOT_UNIQUE: ReplaceStatus.NOT_UNIQUE,
    KeyReplacementStatus.POSITIONS_MALFORMED: ReplaceStatus.POSITIONS_MALFORMED,
    KeyReplacementStatus.CHANGED_SINCE: ReplaceStatus.CHANGED_SINCE,
    KeyReplacementStatus.SOLD_OUT: ReplaceStatus.SOLD_OUT,
}


class Replacing:
    """Has keys of delivered orders replaced."""

    def __init__(
        self,
        db: Database,
        log: SagaLog,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        catalog: Catalog,
    ) -> None:
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._metrics = metrics
        self._catalog = catalog

    async def replace_items(self, requests: Sequence[ReplaceItems]) -> list[ReplaceStatus]:
        """Replace what is named, all of one request or none; few at once, so one by one."""
        return [await self._replace(asked) for asked in requests]

    async def _replace(self, asked: ReplaceItems) -> ReplaceStatus:
        now = self._clock.now()
        async with self._db.transaction() as tx:
            row = (await store.lock_orders(tx, [asked.order])).get(asked.order)
            refunds = (await store.load_refunds(tx, [asked.order])).get(asked.order, [])
            known = await store.find_replacement(tx, asked.id)
            before = (await store.load_replacements(tx, [asked.order])).get(asked.order, [])
            status = decide.replace(
                asked,
                _delivered(row, refunds, before) if row else None,
                _asked(known) if known else None,
                is_done=known is not None and known["settled_at"] is not None,
            )
            if status is not ReplaceStatus.REPLACED or row is None:
                return status
            if await store.ask_replacement(tx, asked, now):
                saga = Saga(
                    asked.id, "replacement", asked.order, encode(asked), trace_id=row["trace_id"]
                )
                await self._log.start(tx, [saga], now)
        return await self._swap(asked, row)

    async def run(self, sagas: Sequence[Saga]) -> None:
        """Finish what another process has begun."""
        async with self._db.reading() as tx:
            rows = await store.load_orders(tx, [saga.subject for saga in sagas])
        for saga in sagas:
            await self._swap(decode(saga.data, ReplaceItems), rows[saga.subject])

    async def _swap(self, asked: ReplaceItems, row: Row) -> ReplaceStatus:
        """Have the catalog swap the keys, then write down that it has: each may come twice."""
        allocation = AllocationId(row["allocation"])
        # Past the pivot they are the buyer's, whether or not that has been marked yet.
        await self._catalog.sell_allocations([allocation])
        [status] = await self._catalog.replace_keys(
            [KeyReplacement(asked.id, allocation, asked.positions, asked.reason, asked.seen)]
        )
        now = self._clock.now()
        async with self._db.transaction() as tx:
            if status not in _DONE:
                await store.drop_replacement(tx, asked.id)
            elif await store.ask_replacement(tx, asked, now, is_settled=True):
                told = OrderItemsReplaced(
                    OrderId(row["id"]),
                    row["merchant"],
                    asked.id,
                    len(asked.positions),
                    await store.raise_version(tx, row["id"]),
                    now,
                    row["trace_id"],
                )
                await append_events(tx, "orders", now, encode([told]), 1)
            ended = await self._log.end(tx, [asked.id])
        outcome = "done" if status in _DONE else "refused"
        self._metrics.count("vendrail_saga_ends_total", "replacement", outcome, by=len(ended))
        self._wakeups.wake("orders")
        self._wakeups.wake(f"order:{row['id']}")
        return _STATUSES[status]

    async def read_replacements(self, orders: Sequence[OrderId]) -> list[list[ReplacementView]]:
        """Read what was replaced of orders, first to last."""
        async with self._db.reading() as tx:
            rows = await store.load_replacements(tx, orders)
        return [
            [
                ReplacementView(
                    each["id"],
                    order,
                    list(each["positions"]),
                    each["reason"],
                    each["person"],
                    each["settled_at"],
                )
                for each in rows.get(order, ())
                if each["settled_at"] is not None
            ]
            for order in orders
        ]


def _delivered(row: Row, refunds: Sequence[Row], before: Sequence[Row]) -> decide.Delivered:
    facts = decode(row["facts"], decide.OrderFacts)
    replaced = sum(len(each["positions"]) for each in before)
    return decide.Delivered(
        OrderState(row["state"]),
        facts.delivery,
        row["quantity"],
        any(each["state"] == "asked" for each in refunds),
        # They come out of another merchant's stock, whom nobody has asked.
        row["quantity"] - replaced if facts.supply is not None else None,
    )


def _asked(row: Row) -> ReplaceItems:
    return ReplaceItems(
        row["id"], OrderId(row["order"]), list(row["positions"]), row["reason"], row["person"]
    )
