"""All SQL of settlement: refunds and their pools, debtors; fees and freezes have own files."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Retry, Row, Transaction
from vendrail.settlement.freezes import KeptFreeze, Thaw
from vendrail.settlement.refunds import KeptRefund, Pool, PoolKey, RefundSource, RefundState
from vendrail.settlement.store import freezes
from vendrail.settlement.store.deposits import DepositStore
from vendrail.settlement.store.freezes import FreezeDecision
from vendrail.settlement.store.versions import FeeKey as FeeKey

RefundDecision = Callable[
    [dict[UUID, KeptRefund], dict[PoolKey, Pool], list[KeptFreeze]],
    tuple[list[KeptRefund], list[Pool]],
]


class Debtor(NamedTuple):
    """Who owes, and the step of recovery that is written down and may not be posted yet."""

    merchant: UUID
    currency: str
    turn: int
    step: UUID | None
    amount_minor: int
    since: datetime


def _kept(row: Row) -> KeptRefund:
    values = list(row)
    values[6], values[9] = RefundSource(values[6]), RefundState(values[9])
    return KeptRefund(*values)


class Store:
    """Each method is one transaction, and none calls anyone while it is open."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self.deposits = DepositStore(db)

    # Refunds.

    async def load_refunds(self, ids: Sequence[UUID]) -> dict[UUID, KeptRefund]:
        """Load what is kept of refunds."""
        async with self._db.reading() as tx:
            return await _load_refunds(tx, ids)

    async def add_refunds(
        self, ids: Sequence[UUID], pools: Sequence[Pool], decide: RefundDecision
    ) -> None:
        """Lock the pools, show `decide` what stands, and write the refunds and pools it gives."""
        async with self._db.transaction() as tx:
            locked = await _lock_pools(tx, pools)
            known = await _load_refunds(tx, ids)
            standing = await freezes.lock_open(tx, [pool.subject for pool in pools])
            added, changed = decide(known, locked, standing)
            await _insert_refunds(tx, added, self._clock.now())
            await _update_pools(tx, changed)
            await freezes.thaw_for(tx, added, standing)

    async def move_refunds(
        self,
        ids: Sequence[UUID],
        states: Sequence[RefundState],
        target: RefundState,
    ) -> set[UUID]:
        """Move refunds that are in one of the states to another; give those that moved."""
        async with self._db.reading() as tx:
            return await _move_refunds(tx, ids, states, target)

    async def turn_back(
        self, ids: Sequence[UUID], states: Sequence[RefundState]
    ) -> tuple[set[UUID], list[Thaw]]:
        """Turn refunds to their return; what they had thawed is frozen again where it may be."""
        async with self._db.transaction() as tx:
            moved = await _move_refunds(tx, ids, states, RefundState.RETURNING)
            return moved, await freezes.freeze_again(tx, sorted(moved))

    async def open_refunds(self, opened: Sequence[KeptRefund]) -> None:
        """Write that refunds' money is in clearing, and out of which parts it came.

        What they might have taken of what is not due yet, and did not, is free for others again.
        """
        plain = [refund for refund in opened if not refund.is_held_back]
        async with self._db.reading() as tx:
            if plain:
                await tx.execute(
                    "update settlement.refund r set state = 'open', debt_minor = v.debt"
                    " from unnest($1::uuid[], $2::bigint[]) as v (id, debt)"
                    " where r.id = v.id and r.state = 'asked'",
                    [refund.id for refund in plain],
                    [refund.debt_minor for refund in plain],
                )
        back = [refund for refund in opened if refund.is_held_back]
        if back:
            async with self._db.transaction() as tx:
                await tx.execute(
                    "with taken as (select * from unnest($1::uuid[], $2::bigint[], $3::bigint[],"
                    "  $4::bigint[]) as v (id, debt, pending, reserve)),"
                    " before as (select r.id, r.subject, r.source, r.pending_minor,"
                    "  r.reserve_minor from settlement.refund r join taken on taken.id = r.id"
                    "  where r.state = 'asked' order by r.id for update of r),"
                    " after as (update settlement.refund r set state = 'open',"
                    "  debt_minor = taken.debt, pending_minor = taken.pending,"
                    "  reserve_minor = taken.reserve from taken, before"
                    "  where r.id = taken.id and before.id = r.id),"
                    " sums as (select b.subject, b.source,"
                    "  sum(b.pending_minor - taken.pending) as pending,"
                    "  sum(b.reserve_minor - taken.reserve) as reserve"
                    "  from before b join taken on taken.id = b.id group by b.subject, b.source)"
                    " update settlement.refund_pool p"
                    " set pending_minor = p.pending_minor - s.pending,"
                    "  reserve_minor = p.reserve_minor - s.reserve"
                    " from sums s where p.subject = s.subject and p.source = s.source",
                    [refund.id for refund in back],
                    [refund.debt_minor for refund in back],
                    [refund.pending_minor for refund in back],
                    [refund.reserve_minor for refund in back],
                )

    async def end_returns(self, ids: Sequence[UUID]) -> None:
        """Write that refunds' money is back, and give their parts of the pools back, once."""
        await self._give_up(ids, RefundState.RETURNING, RefundState.RETURNED)

    async def cancel_refunds(self, ids: Sequence[UUID]) -> None:
        """Write that refunds never moved, and give their parts of the pools back, once."""
        await self._give_up(ids, RefundState.ASKED, RefundState.CANCELLED)

    async def _give_up(self, ids: Sequence[UUID], state: RefundState, target: RefundState) -> None:
        async with self._db.transaction() as tx:
            await tx.execute(
                "with back as (update settlement.refund set state = $3"
                "  where id = any($1) and state = $2"
                "  returning id, subject, source, amount_minor, fee_minor, pending_minor,"
                "   reserve_minor),"
                " sums as (select subject, source, sum(amount_minor) as amount,"
                "  sum(fee_minor) as fee, sum(back.pending_minor + coalesce(t.pending, 0))"
                "  as pending, sum(back.reserve_minor + coalesce(t.reserve, 0)) as reserve"
                "  from back left join (select refund, sum(pending_minor) as pending,"
                "   sum(reserve_minor) as reserve from settlement.thaw"
                "   where refund = any($1) and not is_back group by refund) t"
                "   on t.refund = back.id group by subject, source)"
                " update settlement.refund_pool p"
                " set refunded_minor = p.refunded_minor - s.amount,"
                "  fee_returned_minor = p.fee_returned_minor - s.fee,"
                "  pending_minor = p.pending_minor - s.pending,"
                "  reserve_minor = p.reserve_minor - s.reserve"
                " from sums s where p.subject = s.subject and p.source = s.source",
                list(ids),
                state.value,
                target.value,
            )

    async def add_tombstones(self, refunds: Sequence[KeptRefund]) -> None:
        """Leave tombstones on refunds that were undone before they arrived."""
        async with self._db.transaction() as tx:
            await _insert_refunds(tx, refunds, self._clock.now())

    # Freezes.

    async def load_freezes(self, ids: Sequence[UUID]) -> dict[UUID, KeptFreeze]:
        """Load what is kept of freezes."""
        async with self._db.reading() as tx:
            return await freezes.load_freezes(tx, ids)

    async def find_disputed(self, orders: Sequence[UUID]) -> list[bool]:
        """Tell which orders an exclusive freeze stands for."""
        async with self._db.reading() as tx:
            found = await freezes.find_exclusive(tx, orders)
        return [order in found for order in orders]

    async def load_thaws(self, refunds: Sequence[UUID]) -> list[Thaw]:
        """Load what refunds take of freezes."""
        async with self._db.reading() as tx:
            return await freezes.load_thaws(tx, refunds)

    async def add_freezes(
        self, ids: Sequence[UUID], pools: Sequence[Pool], decide: FreezeDecision
    ) -> None:
        """Lock the orders' pools, show `decide` what stands, and write the freezes it gives."""
        async with self._db.transaction() as tx:
            locked = await _lock_pools(tx, pools)
            known = await freezes.load_freezes(tx, ids)
            standing = await freezes.lock_open(tx, [pool.subject for pool in pools])
            added, changed = decide(known, locked, standing)
            await freezes.insert_freezes(tx, added, self._clock.now())
            await _update_pools(tx, changed)

    async def add_freeze_tombstones(self, tombstones: Sequence[KeptFreeze]) -> None:
        """Leave tombstones on freezes that were ended before they arrived."""
        async with self._db.transaction() as tx:
            await freezes.insert_freezes(tx, tombstones, self._clock.now())

    async def settle_freezes(self, settled: Sequence[KeptFreeze]) -> None:
        """Write that freezes' money is out of reach, and how much there was of which part."""
        async with self._db.transaction() as tx:
            await freezes.settle_freezes(tx, settled)

    async def begin_freeze_ends(
        self, ids: Sequence[UUID]
    ) -> tuple[list[KeptFreeze], list[KeptFreeze]]:
        """Turn freezes to their end before any money moves: no refund takes of them any more.

        Or give, second, freezes of the same orders that must be out of reach first.
        """
        async with self._db.transaction() as tx:
            return await freezes.begin_ends(tx, ids)

    async def end_freezes(self, ids: Sequence[UUID]) -> None:
        """Write that what was left of freezes is back."""
        async with self._db.transaction() as tx:
            await freezes.end_freezes(tx, ids)

    # Debtors.

    async def load_debtors(self) -> list[Debtor]:
        """Load everyone who owes; there are few."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                "select merchant, currency, turn, step, amount_minor, since"
                " from settlement.debtor where is_open"
                " order by merchant, currency"
            )
        return [Debtor(*row) for row in rows]

    async def mark_debtors(self, keys: Collection[FeeKey]) -> None:
        """Write who is about to owe: before the debt is posted."""
        ordered = sorted(keys)
        async with self._db.reading() as tx:
            await tx.execute(
                "insert into settlement.debtor as d (merchant, currency, since)"
                " select *, $3 from unnest($1::uuid[], $2::text[])"
                " on conflict (merchant, currency)"
                " do update set is_open = true, turn = d.turn + 1,"
                "  since = case when d.is_open then d.since else excluded.since end",
                [key[0] for key in ordered],
                [key[1] for key in ordered],
                self._clock.now(),
            )

    async def step_debtor(
        self, seen: Debtor, step: UUID | None, amount_minor: int, *, is_open: bool
    ) -> Debtor | None:
        """Write the next step of a recovery; None: someone else has been here since."""
        async with self._db.reading() as tx:
            row = await tx.fetch_row(
                "update settlement.debtor"
                " set step = $4, amount_minor = $5, is_open = $6, turn = turn + 1"
                " where merchant = $1 and currency = $2 and turn = $3"
                " returning merchant, currency, turn, step, amount_minor, since",
                seen.merchant,
                seen.currency,
                seen.turn,
                step,
                amount_minor,
                is_open,
            )
        return None if row is None else Debtor(*row)


async def _load_refunds(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, KeptRefund]:
    rows = await tx.fetch(
        "select id, subject, merchant, channel, currency, amount_minor, source, fee_minor,"
        " debt_minor, state, paid_currency, paid_minor, to_wallet, from_wallet, pending_account,"
        " pending_minor, reserve_account, reserve_minor, supplied_minor, part_of"
        " from settlement.refund where id = any($1) or part_of = any($1)",
        list(ids),
    )
    return {row[0]: _kept(row) for row in rows}


async def _move_refunds(
    tx: Transaction, ids: Sequence[UUID], states: Sequence[RefundState], target: RefundState
) -> set[UUID]:
    rows = await tx.fetch(
        "update settlement.refund set state = $3"
        " where id = any($1) and state = any($2::text[]) returning id",
        list(ids),
        [str(state) for state in states],
        str(target),
    )
    return {row[0] for row in rows}


async def _insert_refunds(
    tx: Transaction, refunds: Sequence[KeptRefund], asked_at: datetime
) -> None:
    """Write refunds in id order; a rival who wrote one first makes the whole be run again."""
    ordered = sorted(refunds, key=lambda refund: refund.id)
    count = await tx.execute(
        "insert into settlement.refund (id, subject, merchant, channel, currency, amount_minor,"
        " source, fee_minor, debt_minor, state, paid_currency, paid_minor, to_wallet, from_wallet,"
        " pending_account, pending_minor, reserve_account, reserve_minor, supplied_minor, part_of,"
        " asked_at)"
        " select *, $21 from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[],"
        " $6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::text[],"
        " $12::bigint[], $13::uuid[], $14::uuid[], $15::uuid[], $16::bigint[], $17::uuid[],"
        " $18::bigint[], $19::bigint[], $20::uuid[])"
        " on conflict (id) do nothing",
        *([refund[field] for refund in ordered] for field in range(len(KeptRefund._fields))),
        asked_at,
    )
    if count < len(ordered):
        raise Retry("Someone else has just written one of these refunds; look again.")


async def _lock_pools(tx: Transaction, pools: Sequence[Pool]) -> dict[PoolKey, Pool]:
    """Make sure that the pools are there, as large as the books say, and hold them."""
    ordered = sorted(pools, key=lambda pool: (pool.subject, pool.source))
    rows = await tx.fetch(
        "insert into settlement.refund_pool as p (subject, source, size_minor)"
        " select * from unnest($1::uuid[], $2::text[], $3::bigint[])"
        " on conflict (subject, source)"
        " do update set size_minor = greatest(p.refunded_minor, excluded.size_minor)"
        " returning subject, source, size_minor, refunded_minor, fee_returned_minor,"
        " pending_minor, reserve_minor",
        [pool.subject for pool in ordered],
        [str(pool.source) for pool in ordered],
        [pool.size_minor for pool in ordered],
    )
    return {
        (row[0], RefundSource(row[1])): Pool(row[0], RefundSource(row[1]), *row[2:]) for row in rows
    }


async def _update_pools(tx: Transaction, pools: Sequence[Pool]) -> None:
    await tx.execute(
        "update settlement.refund_pool p"
        " set refunded_minor = v.refunded, fee_returned_minor = v.fee,"
        "  pending_minor = v.pending, reserve_minor = v.reserve"
        " from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],"
        "  $6::bigint[]) as v (subject, source, refunded, fee, pending, reserve)"
        " where p.subject = v.subject and p.source = v.source",
        [pool.subject for pool in pools],
        [str(pool.source) for pool in pools],
        [pool.refunded_minor for pool in pools],
        [pool.fee_returned_minor for pool in pools],
        [pool.pending_minor for pool in pools],
        [pool.reserve_minor for pool in pools],
    )
