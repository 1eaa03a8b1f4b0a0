"""Tracing: which payout took an order's share, found when somebody asks.

Nothing is written for an order. Each payout that has ended gets one mark, off the way of sales:
what had become free and what was taken before it. Between two marks the ledger sums.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.ledger import (
    AccountId,
    Chart,
    EntryQuery,
    Ledger,
    PostedTransfer,
    SumQuery,
    TransferCode,
    TransferId,
    TransferKind,
)
from vendrail.api.payouts import PaidOut, PaidOutQuery, PayoutId, Taken, TakenCode
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import derive
from vendrail.payouts import queue
from vendrail.payouts.queue import Bounce, Earned, Mark
from vendrail.payouts.store import Database
from vendrail.payouts.store import marks as marks_store
from vendrail.payouts.store.marks import Key

_BATCH = 64
_PAGE = 64
_RELEASES_MAX = 100
_WALK, _WALKS_MAX = 500, 20
_TAKEN_MAX = 100
_TAKEN = {TransferCode.SALE: TakenCode.SALE, TransferCode.RELEASE: TakenCode.RELEASE}
_REST = timedelta(seconds=60)  # Nothing is posted before a transfer any more that is so old.


class Tracing:
    """Marks payouts, and finds shares among them."""

    def __init__(self, db: Database, clock: Clock, ledger: Ledger) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger

    async def mark_due(self) -> bool:
        """Mark payouts that have ended; true: there may be more at once."""
        async with self._db.reading() as tx:
            until = self._clock.now() - _REST
            rows = await marks_store.list_unmarked(tx, until, _BATCH)
        if not rows:
            return False
        books = await self._ledger.read_transfers([row["id"] for row in rows])
        asked = []
        earlier = []
        for row, posted in zip(rows, books, strict=True):
            legs = {derive(row["id"], "post:hold"): row["amount_minor"]}
            if row["fee_minor"]:
                legs[derive(row["id"], "post:fee")] = row["fee_minor"]
            found = sorted(
                (each.at, each.transfer.id) for each in posted if each.transfer.id in legs
            )
            assert len(found) == len(legs)
            # Amount and fee are one stretch, whichever stands first in the journal.
            asked.append((row["merchant"], row["currency"], *found[-1]))
            earlier.append(sum(legs[id] for _, id in found[:-1]))
        async with self._db.reading() as tx:
            bases = await marks_store.load_before(tx, asked)
        sums = await self._sum(asked, bases)
        marks = [
            (
                (row["merchant"], row["currency"]),
                Mark(
                    row["id"],
                    (each[2], each[3]),
                    row["amount_minor"] + row["fee_minor"],
                    credits,
                    debits - first,
                ),
            )
            for row, each, (credits, debits), first in zip(rows, asked, sums, earlier, strict=True)
        ]
        async with self._db.transaction() as tx:
            await marks_store.insert_marks(tx, marks)
        return len(rows) == _BATCH

    async def _sum(
        self, asked: Sequence[tuple[UUID, str, object, UUID]], bases: Sequence[Mark | None]
    ) -> list[tuple[int, int]]:
        """Give what had become available and was taken before points; counted from marks on."""
        found = await self._ledger.sum_entries(
            [
                SumQuery(
                    Chart(currency).merchant(merchant, "available").id,
                    TransferId(transfer),
                    TransferId(base.point[1]) if base is not None else None,
                )
                for (merchant, currency, _, transfer), base in zip(asked, bases, strict=True)
            ]
        )
        sums = []
        for each, base in zip(found, bases, strict=True):
            credits, debits = each.credits_minor, each.debits_minor
            if base is not None:
                credits += base.credits_minor
                debits += base.debits_minor + base.amount_minor
            sums.append((credits, debits))
        return sums

    async def find(self, queries: Sequence[PaidOutQuery]) -> list[list[PaidOut]]:
        """Find the payouts that took orders' shares."""
        books = await self._ledger.read_transfers([query.order for query in queries])
        bounces = await self._read_bounces({(each.merchant, each.currency) for each in queries})
        return [
            await self._find(query, posted, bounces.get((query.merchant, query.currency), []))
            for query, posted in zip(queries, books, strict=True)
        ]

    async def _find(
        self, query: PaidOutQuery, posted: Sequence[PostedTransfer], bounces: list[Bounce]
    ) -> list[PaidOut]:
        earned = await self._earned(query, posted)
        if not earned:
            return []
        key = (query.merchant, query.currency)
        asked = [(*key, *each.point) for each in earned]
        async with self._db.reading() as tx:
            bases = await marks_store.load_before(tx, asked)
        parts: list[tuple[UUID, int]] = []
        points: dict[UUID, Mark] = {}
        for each, (raw, _) in zip(earned, await self._sum(asked, bases), strict=True):
            begin = queue.credits_at(raw, each.point, bounces)
            for mark in await self._taking(key, begin, begin + each.whole_minor, bounces):
                minor = queue.share_of(each, begin, queue.stretch_of(mark, bounces))
                parts.append((mark.payout, minor))
                points[mark.payout] = mark
        share = sum(each.part_end - each.part_begin for each in earned)
        told = [
            PaidOut(PayoutId(payout), points[payout].point[0], minor)
            for payout, minor in queue.share_out(parts, share)
        ]
        return sorted(told, key=lambda each: (each.at, each.payout))

    async def _taking(self, key: Key, begin: int, end: int, bounces: list[Bounce]) -> list[Mark]:
        """Read the marks that took any of a stretch of the queue."""
        found: list[Mark] = []
        last = None
        while True:
            async with self._db.reading() as tx:
                page = await marks_store.load_taking(tx, key, begin, last, _PAGE)
            for mark in page:
                taken = queue.stretch_of(mark, bounces)
                if taken.begin >= end:
                    return found
                if taken.end > begin:
                    found.append(mark)
            if len(page) < _PAGE:
                return found
            last = page[-1].point

    async def _read_bounces(self, keys: set[Key]) -> dict[Key, list[Bounce]]:
        """Read what came back, with where it stands in the journal."""
        async with self._db.reading() as tx:
            rows = await marks_store.list_returned(tx, sorted(keys))
        books = await self._ledger.read_transfers([row["id"] for row in rows])
        found: dict[Key, list[Bounce]] = {}
        for row, posted in zip(rows, books, strict=True):
            account = Chart(row["currency"]).merchant(row["merchant"], "available").id
            key = (row["merchant"], row["currency"])
            found.setdefault(key, []).append(_bounce(row["id"], account, posted))
        return found

    async def find_taken(self, payouts: Sequence[PayoutId]) -> list[list[Taken]]:
        """Find what payouts were made of, the newest first."""
        async with self._db.reading() as tx:
            marks = await marks_store.load_marks(tx, payouts)
        bounces = await self._read_bounces({key for key, _ in marks.values()})
        return [
            await self._taken(*marks[each], bounces.get(marks[each][0], []))
            if each in marks
            else []
            for each in payouts
        ]

    async def _taken(self, key: Key, mark: Mark, bounces: list[Bounce]) -> list[Taken]:
        """Walk back over what became available, from the first mark at or after the stretch."""
        stretch = queue.stretch_of(mark, bounces)
        back = sum(minor for bounce in bounces for _, minor in bounce.returned)
        async with self._db.reading() as tx:
            start = await marks_store.load_earned(tx, key, stretch.end + back)
        if start is None or start.point > mark.point:
            start = mark
        only_back = {point[1] for bounce in bounces for point, _ in bounce.returned}
        account = Chart(key[1]).merchant(key[0], "available").id
        place = queue.credits_at(start.credits_minor, start.point, bounces)
        before, found = TransferId(start.point[1]), list[Taken]()
        for _ in range(_WALKS_MAX):
            [page] = await self._ledger.read_entries([EntryQuery(account, before, _WALK)])
            for entry in page:
                # Money that only came back was in the queue before.
                is_earned = entry.amount_minor > 0 and entry.kind is not TransferKind.PENDING
                if not is_earned or entry.transfer in only_back:
                    continue
                end, place = place, place - entry.amount_minor
                minor = min(end, stretch.end) - max(place, stretch.begin)
                if minor > 0:
                    code = _TAKEN.get(entry.code, TakenCode.OTHER)
                    found.append(Taken(code, entry.subject, entry.at, minor))
                if place <= stretch.begin or len(found) == _TAKEN_MAX:
                    return found
            if len(page) < _WALK:
                return found
            before = page[-1].transfer
        return found

    async def _earned(self, query: PaidOutQuery, posted: Sequence[PostedTransfer]) -> list[Earned]:
        """Say with which transfers an order's share became available: the sale's, then releases."""
        available = Chart(query.currency).merchant(query.merchant, "available").id
        sales = [each for each in posted if each.transfer.code is TransferCode.SALE]
        if any(each.transfer.code is TransferCode.SPLIT_REVERSAL for each in posted):
            return []
        place, earned = 0, []
        for entry in sales:
            transfer = entry.transfer
            if transfer.credit == available:
                end = place + transfer.amount_minor
                point = (entry.at, transfer.id)
                earned.append(Earned(point, transfer.amount_minor, place, end))
                place = end
        buckets = [each.transfer.credit for each in sales if each.transfer.credit != available]
        pages = await self._ledger.read_entries(
            [EntryQuery(account, None, _RELEASES_MAX) for account in buckets]
        )
        for account, page in zip(buckets, pages, strict=True):
            part = _left(account, posted)
            releases = [
                each
                for each in reversed(page)
                if each.code is TransferCode.RELEASE and each.counterpart == available
            ]
            whole = sum(-each.amount_minor for each in releases)
            done = 0
            for each in releases:
                first, done = done, done - each.amount_minor
                begin, end = part * first // whole, part * done // whole
                if end > begin:
                    point = (each.at, each.transfer)
                    earned.append(Earned(point, -each.amount_minor, place + begin, place + end))
            place += part
        return earned


def _left(account: AccountId, posted: Sequence[PostedTransfer]) -> int:
    """Give what of an order was left in a bucket, after what went elsewhere from it."""
    left = 0
    for entry in posted:
        if entry.transfer.credit == account:
            left += entry.transfer.amount_minor
        elif entry.transfer.debit == account:
            left -= entry.transfer.amount_minor
    return max(0, left)


def _bounce(payout: UUID, account: AccountId, posted: Sequence[PostedTransfer]) -> Bounce:
    """Read what a payout took from the balance for good, and what of it came back."""
    amounts = {
        each.transfer.id: each.transfer.amount_minor
        for each in posted
        if each.transfer.debit == account
    }
    steps: Mapping[UUID, UUID] = {
        derive(payout, f"post:{name}"): derive(payout, name) for name in ("hold", "fee")
    }
    taken = tuple(
        ((each.at, each.transfer.id), amounts[TransferId(steps[each.transfer.id])])
        for each in posted
        if each.transfer.id in steps
    )
    returned = tuple(
        ((each.at, each.transfer.id), each.transfer.amount_minor)
        for each in posted
        if each.transfer.credit == account and each.transfer.code is TransferCode.PAYOUT_RETURNED
    )
    return Bounce(taken, returned)
