"""Telling: paid charges become notices, which are brought to their sites until they are heard."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from vendrail.api.epay import NoticeState
from vendrail.api.orders import OrderDelivered, OrderEvent, Orders
from vendrail.epay import decide, store
from vendrail.epay.decide import Fate
from vendrail.epay.service.answering import Answering
from vendrail.epay.settings import EpaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode
from vendrail.kernel.db import Database, Row
from vendrail.kernel.errors import Error
from vendrail.kernel.http.bringing import Bringer, Unheard
from vendrail.kernel.http.targets import networks
from vendrail.kernel.ids import new_id
from vendrail.kernel.outbox import Wakeups, move_cursor, read_cursor
from vendrail.kernel.telemetry import Metrics

_log = structlog.get_logger(__name__)

_SOURCE = "orders"
_LEASE_SPARE_S = 30
_UNREAD_S = 5.0


class Telling:
    """Reads what orders tell, keeps a notice for each paid charge, and brings it."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: EpaySettings,
        orders: Orders,
        answering: Answering,
    ) -> None:
        self._db = db
        self._clock = clock
        self._wakeups = wakeups
        self._metrics = metrics
        self._settings = settings
        allowed = networks(settings.networks_allowed, "VENDRAIL_EPAY_NETWORKS_ALLOWED")
        self._bringer = Bringer(allowed, settings.notice_timeout_s)
        self._orders = orders
        self._answering = answering
        self._flights: set[asyncio.Task[None]] = set()

    async def consume(self) -> bool:
        """Keep notices of paid charges, with the cursor in one commit; true: there is more."""
        now = self._clock.now()
        async with self._db.reading() as tx:
            cursor = await read_cursor(tx, "epay", _SOURCE)
        [page] = await self._orders.read_events([cursor])
        if not page.batches:
            return False
        paid = [
            event.order
            for batch in page.batches
            for event in decode(batch, list[OrderEvent])
            if isinstance(event, OrderDelivered) and event.allocation is None
        ]
        async with self._db.transaction() as tx:
            if not await move_cursor(tx, "epay", _SOURCE, cursor, page.cursor):
                return True  # Another process has read this page.
            added = await store.add_notices(tx, paid, now) if paid else 0
        if added:
            self._wakeups.wake("epay")
        return page.is_more

    async def send_due(self) -> bool:
        """Send what is due, as far as there is room; true: there may be more."""
        room = self._settings.notices_in_flight_max - len(self._flights)
        if room <= 0:
            await asyncio.wait(self._flights, return_when=asyncio.FIRST_COMPLETED)
            return True
        now = self._clock.now()
        lease = new_id(now)
        lost_at = now + timedelta(seconds=self._settings.notice_timeout_s + _LEASE_SPARE_S)
        async with self._db.transaction() as tx:
            claimed = await store.claim_notices(tx, now, lost_at, lease, room)
        for notice in claimed:
            flight = asyncio.create_task(self._tell(notice, lease))
            self._flights.add(flight)
            flight.add_done_callback(self._land)
        return False  # Whatever lands looks again.

    def _land(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled() and (error := flight.exception()) is not None:
            _log.error("epay.telling_broken", exc_info=error)
        self._wakeups.wake("epay")

    async def _tell(self, notice: Row, lease: UUID) -> None:
        """Tell a site once, and write what came of it; no transaction is open meanwhile."""
        order = notice["order"]
        try:
            told = await self._answering.tell([order])
        except Error as error:
            _log.warning("epay.unread", order=str(order), error=str(error))
            due_at = self._clock.now() + timedelta(seconds=_UNREAD_S)
            await self._end(notice, lease, Fate(NoticeState.WAITING, due_at, "not read"))
            return
        if order not in told:
            fate = Fate(NoticeState.GIVEN_UP, self._clock.now(), "the charge is not paid")
            await self._end(notice, lease, fate)
            return
        row, paid, key = told[order]
        try:
            await self._bring(decide.with_query(row["notify_url"], decide.tell(paid, key)))
        except Unheard as error:
            fate = decide.retry(notice["attempts"], self._clock.now(), str(error)[:200])
        else:
            fate = Fate(NoticeState.TAKEN, self._clock.now(), "")
        await self._end(notice, lease, fate)

    async def _end(self, notice: Row, lease: UUID, fate: Fate) -> None:
        async with self._db.reading() as tx:
            now = self._clock.now()
            is_ours = await store.end_notice(tx, notice["order"], lease, fate, now)
        if is_ours:
            self._metrics.count("vendrail_epay_notices_total", fate.state.value)
        if fate.state is not NoticeState.TAKEN:
            _log.info("epay.not_heard", order=str(notice["order"]), problem=fate.problem)

    async def _bring(self, address: str) -> None:
        """Call a site, and hear what it says."""
        answered = await self._bringer.bring(address)
        if not decide.is_heard(answered.status_code, answered.body):
            shown = answered.body[:40].decode("utf-8", "replace")
            raise Unheard(f"answered HTTP {answered.status_code}: {shown!r}")

    async def drain(self) -> None:
        """Wait until nothing is on its way: before a stop."""
        while self._flights:
            await asyncio.wait(set(self._flights))

    async def close(self) -> None:
        """Hang up."""
        await self._bringer.close()
