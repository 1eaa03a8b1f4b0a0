"""Log: what endpoints were told and how it went, and telling them again."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.webhooks import (
    Again,
    AgainStatus,
    DeliveryId,
    DeliveryName,
    DeliveryQuery,
    DeliveryState,
    DeliveryTry,
    DeliveryView,
    EndpointId,
    EventKind,
    EventQuery,
    Redelivery,
    WebhookEvent,
)
from vendrail.kernel.db import Row
from vendrail.kernel.ids import to_serial
from vendrail.kernel.numbers import Found, FoundKind, by_number, check, id_in, ids_in
from vendrail.webhooks import decide
from vendrail.webhooks.service.ground import TOPIC, Ground
from vendrail.webhooks.service.reading import delivery_id, take_turn
from vendrail.webhooks.store import deliveries, endpoints, log
from vendrail.webhooks.store.deliveries import NewDelivery

_PAGE_MAX = 200
_AGAIN_MAX = 10_000


class Log:
    """Reads deliveries and events, and begins deliveries anew."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._db = ground.db

    async def list_deliveries(self, query: DeliveryQuery) -> list[DeliveryView]:
        """List a page of an endpoint's deliveries, newest first."""
        async with self._db.reading() as tx:
            rows = await log.list_deliveries(tx, query, _bound(query.deliveries_max))
        return [_view(row) for row in rows]

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find messages by their ids or those of their tellings."""
        check(numbers)
        ids = ids_in(numbers)
        async with self._db.reading() as tx:
            rows = await log.find_events(tx, list(ids.values()))
        return by_number(numbers, [(row["key"], _found(row)) for row in rows])

    async def read_deliveries(self, names: Sequence[DeliveryName]) -> list[DeliveryView | None]:
        """Read merchants' deliveries with what was sent and every try."""
        ids = [name.id for name in names]
        async with self._db.reading() as tx:
            rows = await log.load_deliveries(tx, ids)
            tries = await log.load_tries(tx, ids)
        kept: dict[UUID, list[DeliveryTry]] = {}
        for row in tries:
            kept.setdefault(row["delivery"], []).append(_try(row))
        return [
            _view(rows[name.id], rows[name.id]["body"], kept.get(name.id, []))
            if _is_own(rows, name)
            else None
            for name in names
        ]

    async def retry(self, names: Sequence[DeliveryName]) -> list[Again]:
        """Tell again now, from the first step; a person has decided that."""
        return [await self._retry(name) for name in names]

    async def _retry(self, name: DeliveryName) -> Again:
        now = self._ground.clock.now()
        # The turn is taken for itself: a try that ends holds its delivery, then its endpoint.
        async with self._db.transaction() as tx:
            row = (await log.load_deliveries(tx, [name.id])).get(name.id)
            if row is None or row["merchant"] != name.merchant:
                return Again(AgainStatus.NOT_FOUND)
            endpoint = await endpoints.lock_endpoint(tx, row["endpoint"], name.merchant)
            refused = await take_turn(tx, self._ground, endpoint)
            if refused is not None:
                return refused
        async with self._db.transaction() as tx:
            begun = await log.retry(tx, [name.id], [_life(row["kind"], now)], now)
        if not begun:
            return Again(AgainStatus.UNDER_WAY)
        self._ground.wakeups.wake(TOPIC)
        return Again(AgainStatus.BEGUN, 1, delivery=name.id)

    async def redeliver(self, asked: Redelivery) -> Again:
        """Tell one endpoint again of what happened within a time; also of what it was not told."""
        now = self._ground.clock.now()
        async with self._db.transaction() as tx:
            endpoint = await endpoints.lock_endpoint(tx, asked.endpoint, asked.merchant)
            refused = await take_turn(tx, self._ground, endpoint)
            if endpoint is None or refused is not None:
                return refused or Again(AgainStatus.NOT_FOUND)
            told = await log.find_told(tx, asked, _AGAIN_MAX)
            begun = await log.retry(
                tx, [row["id"] for row in told], [_life(row["kind"], now) for row in told], now
            )
            untold = await log.find_untold(tx, asked, endpoint["kinds"], _AGAIN_MAX - len(begun))
            new = [
                NewDelivery(
                    delivery_id(row["id"], asked.endpoint),
                    asked.endpoint,
                    row["id"],
                    _life(row["kind"], now),
                )
                for row in untold
            ]
            count = len(begun) + (await deliveries.add_deliveries(tx, new, now) if new else 0)
        if count:
            self._ground.wakeups.wake(TOPIC)
        is_more = len(told) == _AGAIN_MAX or len(begun) + len(untold) == _AGAIN_MAX
        return Again(AgainStatus.BEGUN, count, is_more=is_more)

    async def list_events(self, query: EventQuery) -> list[WebhookEvent]:
        """List a page of what happened to a merchant, newest first."""
        async with self._db.reading() as tx:
            rows = await log.list_events(tx, query, _bound(query.events_max))
        return [
            WebhookEvent(row["id"], EventKind(row["kind"]), row["at"], row["body"]) for row in rows
        ]


def _is_own(rows: Mapping[UUID, Row], name: DeliveryName) -> bool:
    return name.id in rows and rows[name.id]["merchant"] == name.merchant


def _bound(asked: int) -> int:
    return max(0, min(asked, _PAGE_MAX))


def _life(kind: str, now: datetime) -> datetime:
    """Give what is told again by a person's word the whole of its life."""
    return now + timedelta(seconds=decide.LIVES_S[EventKind(kind)])


def _try(row: Row) -> DeliveryTry:
    return DeliveryTry(
        row["at"],
        row["took_ms"],
        row["status_code"],
        row["problem"],
        row["request"],
        row["response"],
    )


def _found(row: Row) -> Found:
    """Tell of a message, and of what it speaks: an order, or else a payout or a dispute."""
    data = decide.told_in(row["body"])
    named = next((data[each] for each in ("order", "payout", "dispute") if each in data), "")
    return Found(
        FoundKind.WEBHOOK,
        row["id"],
        to_serial(row["id"]),
        row["at"],
        id_in(str(named)),
        (row["merchant"],),
    )


def _view(row: Row, body: str = "", tries: Sequence[DeliveryTry] = ()) -> DeliveryView:
    return DeliveryView(
        DeliveryId(row["id"]),
        EndpointId(row["endpoint"]),
        row["event"],
        EventKind(row["kind"]),
        DeliveryState(row["state"]),
        row["attempts"],
        row["at"],
        row["due_at"],
        row["stale_at"],
        row["problem"],
        row["heard_at"],
        body,
        list(tries),
    )
