"""Telling: due deliveries are brought to their endpoints, each endpoint within its own bound."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.identity import Identity, PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, Notify
from vendrail.api.webhooks import DeliveryState
from vendrail.kernel.db import Row
from vendrail.kernel.errors import Error
from vendrail.kernel.http.bringing import Answered, Bringer, Unheard
from vendrail.kernel.http.targets import host_of, networks
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.webhooks import decide
from vendrail.webhooks.decide import Fate
from vendrail.webhooks.service.endpoints import Endpoints
from vendrail.webhooks.service.ground import TOPIC, Ground
from vendrail.webhooks.store import deliveries, endpoints
from vendrail.webhooks.store.deliveries import Try

_log = structlog.get_logger(__name__)

_LEASE_SPARE_S = 30
_UNREAD_S = 5.0
_LETTERS_MAX = 20


class Telling:
    """Brings what is due; several may run beside each other, here and in other processes."""

    def __init__(
        self, ground: Ground, endpoints: Endpoints, notify: Notify, identity: Identity
    ) -> None:
        self._ground = ground
        self._db = ground.db
        self._clock = ground.clock
        self._settings = settings = ground.settings
        self._endpoints = endpoints
        self._notify = notify
        self._identity = identity
        allowed = networks(settings.networks_allowed, "VENDRAIL_WEBHOOKS_NETWORKS_ALLOWED")
        self._bringer = Bringer(allowed, settings.timeout_s, ground.own_hosts)
        self._disable_after = timedelta(days=settings.disable_after_days)
        self._flights: dict[asyncio.Task[None], bool] = {}  # And whether to one that fails.

    async def send_due(self) -> bool:
        """Send what is due, as far as there is room; true: there may be more."""
        room = self._settings.in_flight_max - len(self._flights)
        if room <= 0:
            await asyncio.wait(self._flights, return_when=asyncio.FIRST_COMPLETED)
            return True
        now = self._clock.now()
        lease = new_id(now)
        lost_at = now + timedelta(seconds=self._settings.timeout_s + _LEASE_SPARE_S)
        # Those that fail have half of the room at most: however many, others are told beside them.
        failing = sum(self._flights.values())
        spare = max(0, min(room, self._settings.in_flight_max // 2 - failing))
        most = self._settings.endpoint_in_flight_max
        async with self._db.transaction() as tx:
            dropped = await deliveries.drop_stale(tx, now)
            claimed = await deliveries.claim_deliveries(
                tx, now, lost_at, lease, room, most, is_failing=False
            )
            spare = min(spare, room - len(claimed))
            if spare > 0:
                claimed += await deliveries.claim_deliveries(
                    tx, now, lost_at, lease, spare, 1, is_failing=True
                )
        self._ground.metrics.count("vendrail_webhooks_total", "dropped", by=dropped)
        if claimed:
            await self._start(claimed, lease)
        return False  # Whatever lands looks again.

    async def _start(self, claimed: Sequence[Row], lease: UUID) -> None:
        try:
            secrets = await self._endpoints.secrets_of(claimed)
        except (Error, KeyError) as error:
            _log.error("webhooks.unopened", error=str(error))
            due_at = self._clock.now() + timedelta(seconds=_UNREAD_S)
            async with self._db.transaction() as tx:
                for row in claimed:
                    await deliveries.release(tx, row["id"], lease, due_at)
            return
        for row in claimed:
            flight = asyncio.create_task(self._tell(row, lease, secrets[row["endpoint"]]))
            self._flights[flight] = row["failing_since"] is not None
            flight.add_done_callback(self._land)

    def _land(self, flight: asyncio.Task[None]) -> None:
        self._flights.pop(flight, None)
        if not flight.cancelled() and (error := flight.exception()) is not None:
            _log.error("webhooks.telling_broken", exc_info=error)
        self._ground.wakeups.wake(TOPIC)

    async def _tell(self, row: Row, lease: UUID, secrets: Sequence[bytes]) -> None:
        """Tell an endpoint once, and write what came of it; no transaction is open meanwhile."""
        at, began = self._clock.now(), time.monotonic()
        sent = decide.headers(row["event"], at, row["body"], secrets)
        answered: Answered | None = None
        problem = ""
        try:
            answered = await self._bringer.bring(
                row["url"], method="POST", headers=sent, content=row["body"].encode()
            )
        except Unheard as error:
            problem = str(error)[:200]
        took_ms = round((time.monotonic() - began) * 1_000)
        if answered is not None and not decide.is_heard(answered.status_code):
            problem = f"answered HTTP {answered.status_code}"
        fate = self._fate(row, answered, problem)
        told = Try(
            row["id"],
            at,
            took_ms,
            answered.status_code if answered is not None else 0,
            problem,
            decide.request_head(row["url"], sent),
            decide.response_head(*answered) if answered is not None else "",
        )
        await self._end(row, lease, fate, told)

    def _fate(self, row: Row, answered: Answered | None, problem: str) -> Fate:
        now = self._clock.now()
        if not problem:
            return Fate(DeliveryState.HEARD, now, "")
        return decide.after_try(
            row["id"],
            row["attempts"],
            now,
            row["stale_at"],
            problem,
            status_code=answered.status_code if answered is not None else 0,
            wait_s=decide.retry_after_s(answered.headers) if answered is not None else 0,
            failing_since=row["failing_since"],
            disable_after=self._disable_after,
        )

    async def _end(self, row: Row, lease: UUID, fate: Fate, told: Try) -> None:
        now = self._clock.now()
        dropped = 0
        async with self._db.transaction() as tx:
            is_ours = await deliveries.end_try(tx, row["endpoint"], lease, fate, told, now)
            if is_ours and fate.ends_as:
                dropped = await endpoints.disable(tx, row["endpoint"], fate.ends_as, new_id(now))
        if not is_ours:
            return
        count = self._ground.metrics.count
        count("vendrail_webhooks_total", fate.state.value)
        count("vendrail_webhooks_total", "dropped", by=dropped)
        if fate.ends_as:
            _log.warning("webhooks.disabled", endpoint=str(row["endpoint"]), reason=fate.ends_as)
            self._ground.wakeups.wake(TOPIC)

    async def write_letters(self) -> bool:
        """Hand on letters about endpoints that were disabled; true: there may be more."""
        async with self._db.reading() as tx:
            rows = await endpoints.load_letters(tx, _LETTERS_MAX)
        for row in rows:
            [people] = await self._identity.list_people([PeopleQuery(row["merchant"])])
            letters = [self._letter(row, each) for each in people if _is_reader(each, row)]
            if letters:
                await self._notify.send_messages(letters)
            async with self._db.reading() as tx:
                await endpoints.end_letter(tx, row["id"], row["letter"])
        return len(rows) == _LETTERS_MAX

    def _letter(self, row: Row, person: Person) -> Message:
        site = self._settings.public_url.rstrip("/")
        values = {
            "url": host_of(row["url"]),  # The rest of an address may be what opens it.
            "days": str(self._settings.disable_after_days),
            "reason": row["reason"],
            "link": f"{site}/merchant/webhooks/{to_serial(row['id'])}",
        }
        id = derive(row["letter"], str(person.id))
        return Message(id, person.email, "webhook_disabled", person.locale, values)

    async def drain(self) -> None:
        """Wait until nothing is on its way: before a stop."""
        while self._flights:
            await asyncio.wait(set(self._flights))

    async def close(self) -> None:
        """Hang up."""
        await self._bringer.close()


def _is_reader(person: Person, row: Row) -> bool:
    return person.state is PersonState.ACTIVE and any(
        membership.merchant == row["merchant"]
        and Permission.API_KEYS_WRITE in membership.permissions
        for membership in person.memberships
    )


def overdue_s(due_at: datetime | None, now: datetime) -> float:
    """Say for how long the longest waiting delivery has been due."""
    return max(0.0, (now - due_at).total_seconds()) if due_at is not None else 0.0
