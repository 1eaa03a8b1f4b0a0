"""Closing days: only what nobody can write any more and what is sealed, and each once for good."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from vendrail.api.ledger.closes import (
    Close,
    CloseCheck,
    CloseDay,
    CloseItem,
    CloseItemQuery,
    CloseQuery,
    CloseSheet,
    ClosingStatus,
    NextClose,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row, Transaction
from vendrail.ledger import closing
from vendrail.ledger.closing import NewClose
from vendrail.ledger.service.sealing import Sealing
from vendrail.ledger.settings import LedgerSettings
from vendrail.ledger.store import closes as store
from vendrail.ledger.store import sealing as seals
from vendrail.ledger.store.sealing import BlockRow

_CLOSES_MAX = 400
_ITEMS_MAX = 1_000
_NOTHING = bytes(32)
_DAY = timedelta(days=1)
_PLATFORM = "the platform"


class Closing:
    """Closes days in order, by itself or when a person asks."""

    def __init__(
        self, db: Database, clock: Clock, sealing: Sealing, settings: LedgerSettings
    ) -> None:
        self._db = db
        self._clock = clock
        self._sealing = sealing
        self._is_on = settings.close
        self._zone = settings.close_zone
        self._after = timedelta(seconds=settings.close_after_s)
        self._due_at: datetime | None = None  # Before this nobody needs to ask the database.
        self._problem: ClosingStatus | None = None

    async def close(self, asked: CloseDay) -> ClosingStatus:
        """Close one day; a day is cut where the operator is, and the one before must be closed."""
        async with self._db.transaction() as tx:
            await store.lock_closing(tx)
            if asked.day in await store.load_closes(tx, [asked.day]):
                return ClosingStatus.EXISTS
            next_day = await self._next(tx)
            if next_day is None or asked.day < next_day:
                return ClosingStatus.NOTHING_BOOKED
            if asked.day > next_day:
                return ClosingStatus.OUT_OF_ORDER
            return await self._close(tx, asked)

    async def _next(self, tx: Transaction) -> date | None:
        last = await store.load_last(tx)
        if last is not None:
            day: date = last["day"]
            return day + timedelta(days=1)
        first = await seals.load_first_moment(tx)
        return closing.day_of(first, self._zone) if first is not None else None

    async def _close(self, tx: Transaction, asked: CloseDay) -> ClosingStatus:
        last = await store.load_last(tx)
        until = closing.cut_of(asked.day, self._zone)
        since = last["until"] if last is not None else None
        if until > self._clock.now() or (since is not None and until <= since):
            return ClosingStatus.NOT_OVER
        head = await seals.load_last_block(tx)
        is_settled = await self._sealing.is_settled(tx, until)
        if not is_settled or await store.has_unsealed(tx, head, until):
            return ClosingStatus.NOT_SEALED
        moved, count = await store.sum_kinds(tx, since, until)
        sums = closing.add_sums(
            await store.load_sums(tx, last["day"]) if last is not None else [], moved
        )
        if not closing.is_even(sums):
            return ClosingStatus.BOOKS_UNEVEN
        before = await store.load_items(tx, last["day"]) if last is not None else []
        left = await store.sum_items(tx, since, until)
        items = closing.still_open(before, closing.by_capture(before, left))
        new = NewClose(
            asked.day,
            self._zone,
            since,
            until,
            count,
            head.number if head is not None else 0,
            head.hash if head is not None else _NOTHING,
            last["digest"] if last is not None else _NOTHING,
            b"",
            b"",
            asked.person,
            self._clock.now(),
        )
        digest = closing.digest_of(new, sums, items)
        signed = new._replace(digest=digest, signature=self._sealing.sign(_said(digest)))
        await store.add_close(tx, signed, sums, items)
        return ClosingStatus.CLOSED

    async def close_due(self) -> bool:
        """Close the next day, if it has been over for long enough; true: there may be more."""
        now = self._clock.now()
        if not self._is_on or (self._due_at is not None and now < self._due_at):
            return False
        state = await self.read()
        if state.day is None or state.due_at is None or now < state.due_at:
            self._due_at = state.due_at
            return False
        status = await self.close(CloseDay(state.day, _PLATFORM))
        is_closed = status in (ClosingStatus.CLOSED, ClosingStatus.EXISTS)
        self._problem = None if is_closed else status
        return is_closed

    async def read(self) -> NextClose:
        """Say which day is next, and when it is closed."""
        async with self._db.reading() as tx:
            day = await self._next(tx)
        if day is None:
            return NextClose(None, None)
        return NextClose(day, closing.cut_of(day, self._zone) + self._after, self._problem)

    async def page(self, query: CloseQuery) -> list[Close]:
        """List closed days."""
        async with self._db.reading() as tx:
            rows = await store.list_closes(tx, query, max(0, min(query.closes_max, _CLOSES_MAX)))
        return [_told(row) for row in rows]

    async def sheets(self, days: Sequence[date]) -> list[CloseSheet | None]:
        """Read closed days with their trial balances."""
        async with self._db.reading() as tx:
            rows = await store.load_closes(tx, days)
            return [
                CloseSheet(_told(rows[day]), await store.load_sums(tx, day))
                if day in rows
                else None
                for day in days
            ]

    async def check(self, days: Sequence[date]) -> list[CloseCheck]:
        """Hash closes anew, and compare with what was signed."""
        checks = []
        async with self._db.reading() as tx:
            rows = await store.load_closes(tx, [*days, *(day - _DAY for day in days)])
            blocks = await seals.load_blocks(tx, [row["block"] for row in rows.values()])
            for day in days:
                row, before = rows.get(day), rows.get(day - _DAY)
                if row is None:
                    checks.append(CloseCheck.NOT_FOUND)
                    continue
                sums, items = await store.load_sums(tx, day), await store.load_items(tx, day)
                digest = closing.digest_of(
                    _close_of(row), closing.add_sums([], sums), closing.still_open(items, [])
                )
                block = blocks.get(row["block"])
                checks.append(self._judge(row, before, block, digest))
        return checks

    def _judge(
        self, row: Row, before: Row | None, block: BlockRow | None, digest: bytes
    ) -> CloseCheck:
        if digest != row["digest"]:
            return CloseCheck.DIGEST_DIFFERS
        head = block.hash if block is not None else _NOTHING
        previous = (before["digest"], before["until"]) if before is not None else (_NOTHING, None)
        if (row["head"], row["previous"], row["since"]) != (head, *previous):
            return CloseCheck.LINK_BROKEN
        is_ours = self._sealing.is_signed(row["signature"], _said(digest))
        return CloseCheck.WHOLE if is_ours else CloseCheck.SIGNATURE_WRONG

    async def items(self, query: CloseItemQuery) -> list[CloseItem]:
        """List what lay in clearing accounts."""
        async with self._db.reading() as tx:
            return await store.list_items(tx, query, max(0, min(query.items_max, _ITEMS_MAX)))


def _said(digest: bytes) -> bytes:
    """Give what is signed of a close."""
    return b"vendrail ledger close\n" + digest.hex().encode()


def _close_of(row: Row) -> NewClose:
    names = ("day", "zone", "since", "until", "count", "block", "head", "previous", "digest",
             "signature", "closed_by", "closed_at")  # fmt: skip
    return NewClose(*(row[name] for name in names))


def _told(row: Row) -> Close:
    return Close(
        row["day"],
        row["zone"],
        row["since"],
        row["until"],
        row["count"],
        row["items_count"],
        row["oldest_since"],
        row["block"],
        row["head"].hex(),
        row["previous"].hex(),
        row["digest"].hex(),
        row["signature"].hex(),
        row["closed_by"],
        row["closed_at"],
    )
