"""Reading: events of other services become what merchants' programs are told."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from vendrail.api.webhooks import (
    Again,
    AgainStatus,
    DeliveryId,
    EndpointName,
    EndpointState,
    EventKind,
)
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.outbox import Cursor, EventPage, move_cursor, read_cursor
from vendrail.webhooks import decide
from vendrail.webhooks.decide import DISABLED, TOO_OLD, Happening
from vendrail.webhooks.service.ground import TOPIC, Ground
from vendrail.webhooks.store import deliveries, endpoints
from vendrail.webhooks.store.deliveries import NewDelivery


class Teller(Protocol):
    """A service that tells what happens."""

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read events after a cursor."""
        ...


class Source(NamedTuple):
    """Whose events are read, and what they mean."""

    name: str
    teller: Teller
    read: Callable[[bytes], list[Happening]]


class Reading:
    """Keeps what happened to merchants who have endpoints, and nothing of anybody else."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._db = ground.db

    async def consume(self, source: Source) -> bool:
        """Keep some events with their deliveries, and the cursor, in one commit; true: more."""
        async with self._db.reading() as tx:
            cursor = await read_cursor(tx, "webhooks", source.name)
            is_anybody = await endpoints.has_endpoints(tx)
        [page] = await source.teller.read_events([cursor])
        if not page.batches:
            return False
        found: list[Happening] = []
        if is_anybody:  # Else nobody reads what they say.
            for batch in page.batches:
                found += source.read(batch)
        async with self._db.transaction() as tx:
            if not await move_cursor(tx, "webhooks", source.name, cursor, page.cursor):
                return True  # Another process has read this page.
            is_told = bool(found) and await self.keep(tx, found)
        if is_told:
            self._ground.wakeups.wake(TOPIC)
        return page.is_more

    async def keep(self, tx: Transaction, found: Sequence[Happening]) -> bool:
        """Keep what concerns merchants who have endpoints; each of these gets its delivery."""
        now = self._ground.clock.now()
        merchants = list({each.merchant for each in found})
        listening: dict[UUID, list[Row]] = {}
        for row in await endpoints.list_endpoints(tx, merchants):
            listening.setdefault(row["merchant"], []).append(row)
        own = {each.id: each for each in reversed(found) if each.merchant in listening}
        if not own:
            return False
        in_order = [each for each in found if own.get(each.id) is each]
        added = await deliveries.add_events(tx, in_order, now)
        new = [
            _delivery(each, row, now)
            for each in in_order
            if each.id in added
            for row in listening[each.merchant]
            if decide.is_wanted(each.kind, row["kinds"])
        ]
        if new:
            await deliveries.add_deliveries(tx, new, now)
        return any(not each.problem for each in new)

    async def test(self, name: EndpointName) -> Again:
        """Send one endpoint a test event, if it has a turn left."""
        now = self._ground.clock.now()
        async with self._db.transaction() as tx:
            row = await endpoints.lock_endpoint(tx, name.id, name.merchant)
            refused = await take_turn(tx, self._ground, row)
            if row is None or refused is not None:
                return refused or Again(AgainStatus.NOT_FOUND)
            data = {"endpoint": to_serial(name.id)}
            event = decide.happening(new_id(now), EventKind.TEST, name.merchant, now, data)
            await deliveries.add_events(tx, [event], now)
            delivery = _delivery(event, row, now)
            await deliveries.add_deliveries(tx, [delivery], now)
        self._ground.wakeups.wake(TOPIC)
        return Again(AgainStatus.BEGUN, 1, delivery=DeliveryId(delivery.id))


async def take_turn(tx: Transaction, ground: Ground, endpoint: Row | None) -> Again | None:
    """Take one of the turns of an endpoint that is held; why not, where that is so."""
    if endpoint is None:
        return Again(AgainStatus.NOT_FOUND)
    if endpoint["state"] != EndpointState.ENABLED:
        return Again(AgainStatus.DISABLED)
    most = ground.settings.asks_per_minute_max
    turn = decide.take_turn(endpoint["free_at"], ground.clock.now(), most)
    if turn.wait_s:
        return Again(AgainStatus.TOO_OFTEN, wait_s=turn.wait_s)
    await endpoints.take_turn(tx, endpoint["id"], turn.free_at)
    return None


def delivery_id(event: UUID, endpoint: UUID) -> UUID:
    """Give the one id of telling this event to this endpoint."""
    return derive(event, f"delivery:{endpoint}")


def _delivery(event: Happening, endpoint: Row, now: datetime) -> NewDelivery:
    problem = ""
    if event.stale_at <= now:
        problem = TOO_OLD
    elif endpoint["state"] != EndpointState.ENABLED:
        problem = DISABLED
    id = delivery_id(event.id, endpoint["id"])
    return NewDelivery(id, endpoint["id"], event.id, event.stale_at, problem)
