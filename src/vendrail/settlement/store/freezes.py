"""All SQL of freezes."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Retry, Row, Transaction
from vendrail.settlement.freezes import FreezeState, KeptFreeze, Thaw, hand_over, thaw
from vendrail.settlement.refunds import KeptRefund, Pool, PoolKey

FreezeDecision = Callable[
    [dict[UUID, KeptFreeze], dict[PoolKey, Pool], list[KeptFreeze]],
    tuple[list[KeptFreeze], list[Pool]],
]

_FIELDS = (
    "id, subject, merchant, currency, asked_minor, wanted_minor, frozen_minor, thawed_minor, state,"
    " pending_account, pending_minor, reserve_account, reserve_minor, is_exclusive,"
    " thawed_pending_minor, thawed_reserve_minor, supplied_minor, part_of"
)
_CHANGING = (
    "id", "wanted_minor", "frozen_minor", "thawed_minor", "pending_account", "pending_minor",
    "reserve_account", "reserve_minor", "thawed_pending_minor", "thawed_reserve_minor", "state",
)  # fmt: skip
_STATE = KeptFreeze._fields.index("state")


def _kept(row: Row) -> KeptFreeze:
    values = list(row)
    values[_STATE] = FreezeState(values[_STATE])
    return KeptFreeze(*values)


async def load_freezes(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, KeptFreeze]:
    """Load what is kept of freezes."""
    rows = await tx.fetch(
        f"select {_FIELDS} from settlement.freeze"  # noqa: S608 - a constant
        " where id = any($1) or part_of = any($1)",
        list(ids),
    )
    return {row[0]: _kept(row) for row in rows}


async def lock_open(tx: Transaction, subjects: Sequence[UUID]) -> list[KeptFreeze]:
    """Load orders' freezes that have not ended, the oldest first, and hold them."""
    rows = await tx.fetch(
        f"select {_FIELDS} from settlement.freeze"  # noqa: S608 - a constant
        " where subject = any($1) and state in ('asked', 'frozen') order by id for update",
        list(subjects),
    )
    return [_kept(row) for row in rows]


async def find_exclusive(tx: Transaction, subjects: Sequence[UUID]) -> set[UUID]:
    """Find the orders that an exclusive freeze stands for."""
    rows = await tx.fetch(
        "select subject from settlement.freeze"
        " where subject = any($1) and state in ('asked', 'frozen') and is_exclusive",
        list(subjects),
    )
    return {row[0] for row in rows}


async def insert_freezes(
    tx: Transaction, freezes: Sequence[KeptFreeze], asked_at: datetime
) -> None:
    """Write freezes in id order; a rival who wrote one first makes the whole be run again."""
    ordered = sorted(freezes, key=lambda freeze: freeze.id)
    count = await tx.execute(
        f"insert into settlement.freeze ({_FIELDS}, asked_at)"  # noqa: S608 - a constant
        " select *, $19 from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[],"
        " $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::uuid[], $11::bigint[],"
        " $12::uuid[], $13::bigint[], $14::boolean[], $15::bigint[], $16::bigint[],"
        " $17::bigint[], $18::uuid[])"
        " on conflict (id) do nothing",
        *([freeze[field] for freeze in ordered] for field in range(len(KeptFreeze._fields))),
        asked_at,
    )
    if count < len(ordered):
        raise Retry("Someone else has just written one of these freezes; look again.")


async def settle_freezes(tx: Transaction, settled: Sequence[KeptFreeze]) -> None:
    """Write that freezes' money is out of reach, and how much there was of which part.

    What they might have taken of what is not due yet, and did not, is free for others again.
    """
    standing = await _lock_with_pools(tx, [each.subject for each in settled])
    before = {each.id: each for each in standing if each.state is FreezeState.ASKED}
    frozen = [each for each in settled if each.id in before]
    await _write(tx, [each._replace(state=FreezeState.FROZEN) for each in frozen])
    await _give_parts(
        tx,
        [
            (
                each.subject,
                before[each.id].pending_minor - each.pending_minor,
                before[each.id].reserve_minor - each.reserve_minor,
            )
            for each in frozen
        ],
    )


async def _lock_with_pools(tx: Transaction, subjects: Sequence[UUID]) -> list[KeptFreeze]:
    """Hold orders' freezes that have not ended, and their pools first, as everybody does."""
    await tx.execute(
        "select from settlement.refund_pool where subject = any($1)"
        " order by subject, source for update",
        list(subjects),
    )
    return await lock_open(tx, subjects)


async def _give_parts(tx: Transaction, parts: Sequence[tuple[UUID, int, int]]) -> None:
    """Give orders' pools parts of what is not due yet back."""
    given = [each for each in parts if each[1] or each[2]]
    if given:
        await tx.execute(
            "with sums as (select subject, sum(pending) as pending, sum(reserve) as reserve"
            "  from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as v (subject, pending, reserve)"
            "  group by subject)"
            " update settlement.refund_pool p set pending_minor = p.pending_minor - s.pending,"
            "  reserve_minor = p.reserve_minor - s.reserve"
            " from sums s where p.subject = s.subject and p.source = 'split'",
            [each[0] for each in given],
            [each[1] for each in given],
            [each[2] for each in given],
        )


async def _write(tx: Transaction, changed: Sequence[KeptFreeze]) -> None:
    """Write what may change of freezes."""
    columns = [[getattr(each, name) for each in changed] for name in _CHANGING]
    await tx.execute(
        "update settlement.freeze f set wanted_minor = v.wanted, frozen_minor = v.frozen,"
        " thawed_minor = v.thawed, pending_account = v.pending_account,"
        " pending_minor = v.pending, reserve_account = v.reserve_account,"
        " reserve_minor = v.reserve, thawed_pending_minor = v.thawed_pending,"
        " thawed_reserve_minor = v.thawed_reserve, state = v.state"
        " from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::uuid[],"
        "  $6::bigint[], $7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[])"
        " as v (id, wanted, frozen, thawed, pending_account, pending, reserve_account, reserve,"
        "  thawed_pending, thawed_reserve, state) where f.id = v.id",
        *columns,
    )


async def begin_ends(
    tx: Transaction, ids: Sequence[UUID]
) -> tuple[list[KeptFreeze], list[KeptFreeze]]:
    """Turn freezes to their end: from now on no refund takes of them. Give those under way too.

    What is left of them goes over to the other freezes of their orders. Where one of these is not
    out of reach yet nothing is turned, and those are given, second, to be finished first.
    """
    known = await load_freezes(tx, ids)
    subjects = sorted({each.subject for each in known.values()})
    # Whoever freezes or refunds of these orders holds their pools: nobody comes in between.
    standing = await _lock_with_pools(tx, subjects)
    unfinished = [each for each in standing if each.state is FreezeState.ASKED]
    if unfinished:
        return [], unfinished
    turned = [each for each in standing if each.id in known]
    left, others = hand_over(turned, standing)
    await _write(tx, [*(each._replace(state=FreezeState.ENDING) for each in left), *others])
    rows = await tx.fetch(
        f"select {_FIELDS} from settlement.freeze"  # noqa: S608 - a constant
        " where id = any($1) and state = 'ending'",
        list(ids),
    )
    return [_kept(row) for row in rows], []


async def end_freezes(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Write that what was left of freezes is back, for others to take of it."""
    rows = await tx.fetch(
        "update settlement.freeze set state = 'ended'"  # noqa: S608 - a constant
        f" where id = any($1) and state = 'ending' returning {_FIELDS}",
        list(ids),
    )
    ended = [_kept(row) for row in rows]
    await _give_parts(
        tx,
        [(each.subject, *each.split_up(each.frozen_minor - each.thawed_minor)) for each in ended],
    )


async def load_thaws(tx: Transaction, refunds: Sequence[UUID]) -> list[Thaw]:
    """Load what refunds take of freezes."""
    rows = await tx.fetch(
        "select t.refund, t.source, t.amount_minor, t.pending_minor, t.reserve_minor, t.is_back,"
        " case when t.pending_minor > 0 then f.pending_account end,"
        " case when t.reserve_minor > 0 then f.reserve_account end"
        " from settlement.thaw t join settlement.freeze f on f.id = t.source"
        " where t.refund = any($1) order by t.refund, t.source",
        list(refunds),
    )
    return [Thaw(*row) for row in rows]


async def thaw_for(
    tx: Transaction, refunds: Sequence[KeptRefund], standing: Sequence[KeptFreeze]
) -> None:
    """Write what new refunds take of what is frozen for their orders."""
    thaws, changed = thaw(refunds, standing)
    if not thaws:
        return
    await tx.execute(
        "insert into settlement.thaw (refund, source, amount_minor, pending_minor, reserve_minor)"
        " select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])",
        [each.refund for each in thaws],
        [each.freeze for each in thaws],
        [each.amount_minor for each in thaws],
        [each.pending_minor for each in thaws],
        [each.reserve_minor for each in thaws],
    )
    await _write(tx, changed)


async def freeze_again(tx: Transaction, refunds: Sequence[UUID]) -> list[Thaw]:
    """Write what failed refunds had thawed as frozen again where the freeze stands; give it all.

    A freeze that has ended never stands again: a repeat finds the same.
    """
    thaws = await load_thaws(tx, refunds)
    gone = [each for each in thaws if not each.is_back]
    if not gone:
        return thaws
    known = await load_freezes(tx, [each.freeze for each in gone])
    standing = await _lock_with_pools(tx, [each.subject for each in known.values()])
    frozen = {each.id: each for each in standing if each.state is FreezeState.FROZEN}
    for each in gone:
        if each.freeze in frozen:
            parts = (-each.amount_minor, -each.pending_minor, -each.reserve_minor)
            frozen[each.freeze] = frozen[each.freeze].less(*parts)
    await _write(tx, list(frozen.values()))
    await tx.execute(
        "update settlement.thaw set is_back = true where refund = any($1) and source = any($2)",
        list(refunds),
        list(frozen),
    )
    return [each._replace(is_back=each.is_back or each.freeze in frozen) for each in thaws]
