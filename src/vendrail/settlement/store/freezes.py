"""All SQL of freezes."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Retry, Row, Transaction
from vendrail.settlement.freezes import FreezeState, KeptFreeze, Thaw, thaw
from vendrail.settlement.refunds import KeptRefund, Pool, PoolKey

FreezeDecision = Callable[
    [dict[UUID, KeptFreeze], dict[PoolKey, Pool], list[KeptFreeze]],
    tuple[list[KeptFreeze], list[Pool]],
]

_FIELDS = (
    "id, subject, merchant, currency, asked_minor, wanted_minor, frozen_minor, thawed_minor, state,"
    " pending_account, pending_minor, reserve_account, reserve_minor, is_exclusive"
)
_STATE = KeptFreeze._fields.index("state")


def _kept(row: Row) -> KeptFreeze:
    values = list(row)
    values[_STATE] = FreezeState(values[_STATE])
    return KeptFreeze(*values)


async def load_freezes(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, KeptFreeze]:
    """Load what is kept of freezes."""
    rows = await tx.fetch(
        f"select {_FIELDS} from settlement.freeze where id = any($1)",  # noqa: S608 - a constant
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
        " select *, $15 from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[],"
        " $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::uuid[], $11::bigint[],"
        " $12::uuid[], $13::bigint[], $14::boolean[])"
        " on conflict (id) do nothing",
        *([freeze[field] for freeze in ordered] for field in range(len(KeptFreeze._fields))),
        asked_at,
    )
    if count < len(ordered):
        raise Retry("Someone else has just written one of these freezes; look again.")


async def settle_freezes(tx: Transaction, frozen: dict[UUID, int]) -> None:
    """Write that freezes' money is out of reach, and how much there was."""
    await tx.execute(
        "update settlement.freeze f set state = 'frozen', frozen_minor = v.frozen"
        " from unnest($1::uuid[], $2::bigint[]) as v (id, frozen)"
        " where f.id = v.id and f.state = 'asked'",
        list(frozen),
        list(frozen.values()),
    )


async def begin_ends(tx: Transaction, ids: Sequence[UUID]) -> list[KeptFreeze]:
    """Turn freezes to their end: from now on no refund takes of them. Give those under way too."""
    rows = await tx.fetch(
        "update settlement.freeze set state = 'ending'"  # noqa: S608 - a constant
        f" where id = any($1) and state in ('frozen', 'ending') returning {_FIELDS}",
        list(ids),
    )
    return [_kept(row) for row in rows]


async def end_freezes(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Write that what was left of freezes is back."""
    await tx.execute(
        "update settlement.freeze set state = 'ended' where id = any($1) and state = 'ending'",
        list(ids),
    )


async def load_thaws(tx: Transaction, refunds: Sequence[UUID]) -> list[Thaw]:
    """Load what refunds take of freezes."""
    rows = await tx.fetch(
        "select refund, source, amount_minor from settlement.thaw where refund = any($1)"
        " order by refund, source",
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
        "insert into settlement.thaw (refund, source, amount_minor)"
        " select * from unnest($1::uuid[], $2::uuid[], $3::bigint[])",
        [each.refund for each in thaws],
        [each.freeze for each in thaws],
        [each.amount_minor for each in thaws],
    )
    await tx.execute(
        "update settlement.freeze f set thawed_minor = v.thawed"
        " from unnest($1::uuid[], $2::bigint[]) as v (id, thawed) where f.id = v.id",
        [each.id for each in changed],
        [each.thawed_minor for each in changed],
    )
