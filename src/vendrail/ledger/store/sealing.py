"""All SQL of the sealed journal: what a leaf says, stretches of the journal, blocks."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.kernel.db import Row, Transaction


class Place(NamedTuple):
    """A transfer's place in the journal's order."""

    at: datetime
    id: UUID


class Leaf(NamedTuple):
    """A transfer's place, and the hash of what its row says."""

    at: datetime
    id: UUID
    hash: bytes


class BlockRow(NamedTuple):
    """A block as it is stored."""

    number: int
    after: Place
    last: Place
    size: int
    root: bytes
    previous: bytes
    hash: bytes
    signature: bytes
    sealed_at: datetime


# Every column of a row, the accounts by their ids; free text comes last, so that no two rows say
# the same. The moment is in microseconds since 1970.
_SAYS = """
    concat_ws('|', t.id, t.subject, coalesce(t.pending::text, ''),
        (extract(epoch from t.at) * 1000000)::bigint,
        coalesce(t.amount_minor::text, ''), coalesce(t.asked_minor::text, ''),
        coalesce(t.released_minor::text, ''), coalesce(t.debit_account::text, ''),
        coalesce(t.credit_account::text, ''), coalesce(t.timeout_s::text, ''),
        t.is_linked, t.is_balancing, t.kind, t.code, coalesce(t.refusal, ''),
        coalesce(encode(t.request, 'hex'), ''), coalesce(t.memo, ''))
"""
_HASH = f"sha256('\\x00'::bytea || convert_to({_SAYS}, 'UTF8'))"


async def read_progress(tx: Transaction) -> tuple[int, int]:
    """Give the number of the oldest transaction that still runs, and of this one.

    Whoever had begun to write before has a smaller number than this one.
    """
    row = await tx.fetch_row(
        "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest,"
        " pg_current_xact_id()::text::bigint as own"
    )
    assert row is not None
    return row["oldest"], row["own"]


async def lock_chain(tx: Transaction) -> bool:
    """Be the only one who adds blocks, until the transaction ends; false: another is."""
    taken = await tx.fetch_value("select pg_try_advisory_xact_lock(hashtext('ledger.seal'))")
    return bool(taken)


async def load_first_moment(tx: Transaction) -> datetime | None:
    """Give a moment before which nothing can have been posted."""
    found: datetime | None = await tx.fetch_value("select min(opened_at) from ledger.account")
    return found


def _leaves(where: str, leaves_max: str) -> str:
    """Hash so many transfers at most, in order, with the accounts that ledger.journal has.

    These are looked up for the chosen alone: `offset 0` keeps the planner from reading all
    accounts for each block.
    """
    return f"""
        select t.at, t.id, {_HASH} as hash
          from (select x.*, d.id as debit_account, c.id as credit_account
                  from (select * from ledger.transfer where {where}
                         order by at, id limit {leaves_max}) as x
                  left join lateral (select id from ledger.account
                                      where number = x.debit offset 0) as d on true
                  left join lateral (select id from ledger.account
                                      where number = x.credit offset 0) as c on true) as t
         order by t.at, t.id
        """  # noqa: S608 - constants of this file


async def load_leaves(
    tx: Transaction, after: Place, until: datetime, leaves_max: int
) -> list[Leaf]:
    """Hash the transfers behind a place and before a moment, in order."""
    rows = await tx.fetch(
        _leaves("at >= $1 and at < $3 and (at, id) > ($1, $2)", "$4"),
        after.at,
        after.id,
        until,
        leaves_max,
    )
    return [Leaf(*row) for row in rows]


async def has_before(tx: Transaction, place: Place) -> bool:
    """Tell whether anything lies in the journal up to a place."""
    found: bool = await tx.fetch_value(
        "select exists (select from ledger.transfer where at <= $1 and (at, id) <= ($1, $2))",
        place.at,
        place.id,
    )
    return found


async def load_leaves_of(tx: Transaction, block: BlockRow) -> list[Leaf]:
    """Hash what lies in a block's stretch of the journal now: one more than it had, if there is."""
    rows = await tx.fetch(
        _leaves("at >= $1 and at <= $3 and (at, id) > ($1, $2) and (at, id) <= ($3, $4)", "$5"),
        block.after.at,
        block.after.id,
        block.last.at,
        block.last.id,
        block.size + 1,
    )
    return [Leaf(*row) for row in rows]


async def load_places(tx: Transaction, transfers: Sequence[UUID]) -> dict[UUID, tuple[Place, str]]:
    """Give transfers' places, and what their rows say."""
    rows = await tx.fetch(
        f"select t.id, t.at, {_SAYS} as says from ledger.journal t where id = any($1::uuid[])",  # noqa: S608
        list(transfers),
    )
    return {row["id"]: (Place(row["at"], row["id"]), row["says"]) for row in rows}


_BLOCK = (
    "select number, after_at, after_id, last_at, last_id, count, root, previous, hash, signature,"
    " sealed_at from ledger.block"
)


def _block(row: Row) -> BlockRow:
    return BlockRow(row[0], Place(row[1], row[2]), Place(row[3], row[4]), *row[5:])


async def load_last_block(tx: Transaction) -> BlockRow | None:
    """Give the newest block."""
    row = await tx.fetch_row(_BLOCK + " order by number desc limit 1")
    return _block(row) if row else None


async def load_blocks(tx: Transaction, numbers: Sequence[int]) -> dict[int, BlockRow]:
    """Give blocks by their numbers."""
    rows = await tx.fetch(_BLOCK + " where number = any($1::bigint[])", list(numbers))
    return {row["number"]: _block(row) for row in rows}


async def find_block(tx: Transaction, place: Place) -> BlockRow | None:
    """Give the block whose stretch a place lies in."""
    row = await tx.fetch_row(
        _BLOCK + " where (last_at, last_id) >= ($1, $2) order by last_at, last_id limit 1",
        place.at,
        place.id,
    )
    block = _block(row) if row else None
    return block if block is not None and place > block.after else None


async def add_block(tx: Transaction, block: BlockRow) -> None:
    """Write a block."""
    await tx.execute(
        "insert into ledger.block (number, after_at, after_id, last_at, last_id, count, root,"
        " previous, hash, signature, sealed_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        block.number,
        *block.after,
        *block.last,
        *block[3:],
    )
