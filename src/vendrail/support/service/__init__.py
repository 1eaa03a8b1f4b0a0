"""Support's service: complaints move by rule, words are kept sealed, money by settlement alone."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.disputes import Disputes
from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders
from vendrail.api.settlement import Settlement
from vendrail.api.support import (
    AttachmentFile,
    AttachmentQuery,
    CannedAnswer,
    CannedStatus,
    ComplaintCount,
    ComplaintFigures,
    ComplaintQuery,
    ComplaintStep,
    ComplaintView,
    InboxQuery,
    OpenComplaint,
    OpenStatus,
    StepStatus,
    TalkHead,
    TalkQuery,
    TalkView,
    WriteMessage,
    WriteStatus,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database
from vendrail.kernel.ids import new_id
from vendrail.kernel.numbers import Found
from vendrail.kernel.outbox import Cursor, EventPage, Wakeups, read_events, trim_events
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.support.service.carrying import Carrying
from vendrail.support.service.complaining import Complaining
from vendrail.support.service.ground import Ground
from vendrail.support.service.talking import Talking
from vendrail.support.service.telling import Telling
from vendrail.support.settings import SupportSettings
from vendrail.support.store import complaints

_KEY_LIFE = timedelta(minutes=10)
_FIGURES = timedelta(days=30)


class SupportService:
    """Fulfils `api.support.Support`."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        vault: Vault,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: SupportSettings,
        orders: Orders,
        settlement: Settlement,
        disputes: Disputes,
    ) -> None:
        self._db = db
        self._settings = settings
        self.clock = clock
        self.wakeups = wakeups
        keys = DataKeys(db, vault, clock, life=_KEY_LIFE)
        self._ground = Ground(
            db, clock, wakeups, metrics, vault, keys, settings, orders, settlement, disputes
        )
        self.carrying = Carrying(self._ground)
        self.complaining = Complaining(self._ground, self.carrying)
        self.talking = Talking(self._ground)

    def telling(self, notify: Notify, identity: Identity) -> Telling:
        """Give the room that hands letters on."""
        return Telling(self._ground, notify, identity)

    async def open_complaints(self, complaints: Sequence[OpenComplaint]) -> list[OpenStatus]:
        """Open complaints, and freeze what their orders have left to their merchants."""
        return await self.complaining.open_complaints(complaints)

    async def take_steps(self, steps: Sequence[ComplaintStep]) -> list[StepStatus]:
        """Answer, accept, escalate, withdraw, rule; what is decided is carried out by itself."""
        return await self.complaining.take_steps(steps)

    async def read_complaints(self, complaints: Sequence[UUID]) -> list[ComplaintView | None]:
        """Read complaints; None where there is none."""
        return await self.complaining.read_complaints(complaints)

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find complaints by their numbers."""
        return await self.complaining.find_numbers(numbers)

    async def list_complaints(self, queries: Sequence[ComplaintQuery]) -> list[list[ComplaintView]]:
        """List complaints, newest first; a short page is the last."""
        return await self.complaining.list_complaints(queries)

    async def trim_events(self) -> bool:
        """Delete some events that are old and were read by all; true: there may be more."""
        return await trim_events(self._db, self.clock.now(), self._settings.events_keep_days)

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read where complaints have come to, after a cursor."""
        async with self._db.reading() as tx:
            return [await read_events(tx, "support", cursor) for cursor in cursors]

    async def write_messages(self, messages: Sequence[WriteMessage]) -> list[WriteStatus]:
        """Write to whoever else the order is of; who does not read it soon gets one letter."""
        return await self.talking.write_messages(messages)

    async def read_talks(self, queries: Sequence[TalkQuery]) -> list[TalkView | None]:
        """Read conversations; None where the order is not there or not theirs."""
        return await self.talking.read_talks(queries)

    async def read_versions(self, orders: Sequence[UUID]) -> list[str]:
        """Say as what versions conversations stand, unread: for pages that wait for a change."""
        return await self.talking.read_versions(orders)

    async def list_talks(self, queries: Sequence[InboxQuery]) -> list[list[TalkHead]]:
        """List merchants' conversations, the last written first; a short page is the last."""
        return await self.talking.list_talks(queries)

    async def read_attachments(
        self, queries: Sequence[AttachmentQuery]
    ) -> list[AttachmentFile | None]:
        """Open files of conversations; None where they are not there or not theirs."""
        return await self.talking.read_attachments(queries)

    async def put_canned(self, answers: Sequence[CannedAnswer]) -> list[CannedStatus]:
        """Write, change or take away canned answers."""
        return await self.talking.put_canned(answers)

    async def list_canned(self, merchants: Sequence[UUID]) -> list[list[CannedAnswer]]:
        """List merchants' canned answers by their titles."""
        return await self.talking.list_canned(merchants)

    async def count_complaints(self) -> list[ComplaintCount]:
        """Count the complaints that have not ended."""
        async with self._db.reading() as tx:
            return await complaints.count(tx, self.clock.now())

    async def sum_complaints(self, merchants: Sequence[UUID]) -> list[ComplaintFigures]:
        """Sum what became of merchants' complaints of the last thirty days."""
        since = new_id(self.clock.now() - _FIGURES)
        async with self._db.reading() as tx:
            found = await complaints.sum_outcomes(tx, merchants, since)
        return [found.get(each) or ComplaintFigures(each, 0, 0, 0, 0) for each in merchants]
