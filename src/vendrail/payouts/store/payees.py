"""Payees and the data keys of what is sealed of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.vault import DataKey

_PAYEE = (
    "select p.*, k.sealed as sealed_key from payouts.payee p"
    " join payouts.data_key k on k.id = p.data_key"
)


class PayeeRow(NamedTuple):
    """A payee to be written."""

    id: UUID
    merchant: UUID
    channel: UUID
    channel_name: str
    kind: str
    shown: str
    name: str
    digest: bytes
    sealed: bytes
    currencies: list[str]
    added_at: datetime
    added_by: str
    usable_at: datetime


async def lock_merchants(
    tx: Transaction, merchants: Collection[UUID], *, is_shared: bool = False
) -> None:
    """Let one writer in at a time of what says whether merchants are paid; many who only read."""
    keys = sorted({each.int >> 64 & 0x7FFF_FFFF_FFFF_FFFF for each in merchants})
    lock = "pg_advisory_xact_lock_shared" if is_shared else "pg_advisory_xact_lock"
    await tx.execute(f"select {lock}(key) from unnest($1::bigint[]) as u (key)", keys)  # noqa: S608 - a constant


async def load_payees(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Row]:
    """Read payees with the data keys of what is sealed."""
    rows = await tx.fetch(f"{_PAYEE} where p.id = any($1::uuid[])", list(ids))
    return {row["id"]: row for row in rows}


async def list_payees(tx: Transaction, merchants: Sequence[UUID]) -> list[Row]:
    """Read merchants' payees, the newest first."""
    return await tx.fetch(
        f"{_PAYEE} where p.merchant = any($1::uuid[]) order by p.merchant, p.id desc",
        list(merchants),
    )


async def insert_payee(tx: Transaction, payee: PayeeRow, key: DataKey) -> None:
    """Write a payee and the data key of what is sealed of it."""
    await tx.execute(
        "insert into payouts.data_key (id, sealed, made_at) values ($1, $2, $3)",
        key.id,
        key.sealed,
        payee.added_at,
    )
    await tx.execute(
        "insert into payouts.payee (id, merchant, channel, channel_name, kind, shown, name,"
        " digest, sealed, currencies, added_at, added_by, usable_at, data_key, state)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'unverified')",
        *payee,
        key.id,
    )


async def close_payee(tx: Transaction, id: UUID, merchant: UUID) -> bool:
    """Close a payee of a merchant."""
    count = await tx.execute(
        "update payouts.payee set state = 'closed'"
        " where id = $1 and merchant = $2 and state <> 'closed'",
        id,
        merchant,
    )
    return count == 1


async def begin_test(tx: Transaction, id: UUID, test: UUID) -> None:
    """Note a test of a payee; guesses begin anew."""
    await tx.execute(
        "update payouts.payee set test = $2, tests = tests + 1, guesses = 0 where id = $1",
        id,
        test,
    )


async def count_guess(tx: Transaction, id: UUID) -> None:
    """Count a wrong answer."""
    await tx.execute("update payouts.payee set guesses = guesses + 1 where id = $1", id)


async def verify_payee(tx: Transaction, id: UUID) -> None:
    """Let a payee be paid."""
    await tx.execute("update payouts.payee set state = 'verified' where id = $1", id)


async def unverify_payees(tx: Transaction, tests: Mapping[UUID, UUID]) -> None:
    """Let payees be paid no longer whose tests came back, until they are proven anew."""
    await tx.execute(
        "update payouts.payee p set state = 'unverified', doubt = v.test"
        " from unnest($1::uuid[], $2::uuid[]) as v (id, test)"
        " where p.id = v.id and p.state = 'verified'",
        list(tests),
        list(tests.values()),
    )


async def list_doubted(tx: Transaction, rows_max: int) -> list[Row]:
    """Read payees whose test came back and whose people have not been told."""
    return await tx.fetch(
        "select * from payouts.payee where doubt is not null order by id limit $1", rows_max
    )


async def note_doubts_told(tx: Transaction, rows: Sequence[Row]) -> None:
    """Note that letters were handed over, unless another test came back since."""
    await tx.execute(
        "update payouts.payee p set doubt = null from unnest($1::uuid[], $2::uuid[])"
        " as v (id, doubt) where p.id = v.id and p.doubt = v.doubt",
        [row["id"] for row in rows],
        [row["doubt"] for row in rows],
    )


async def lock_payee(tx: Transaction, id: UUID) -> Row | None:
    """Read a payee and hold it."""
    return await tx.fetch_row("select * from payouts.payee where id = $1 for no key update", id)


async def list_untold(tx: Transaction, rows_max: int) -> list[Row]:
    """Read payees whose letters are still due."""
    return await tx.fetch(
        "select * from payouts.payee where told_at is null order by added_at limit $1", rows_max
    )


async def note_told(tx: Transaction, ids: Sequence[UUID], now: datetime) -> None:
    """Note that letters were handed over."""
    await tx.execute(
        "update payouts.payee set told_at = $2 where id = any($1::uuid[])", list(ids), now
    )
