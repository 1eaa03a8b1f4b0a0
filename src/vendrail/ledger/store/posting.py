"""Writing transfers: plain batches at once; others claimed, loaded under locks and settled."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.ledger import Transfer, TransferKind, TransferStatus
from vendrail.kernel.db import Transaction
from vendrail.kernel.errors import Broken
from vendrail.ledger.books import Books, Counters, Made, Outcome, digest
from vendrail.ledger.plain import COLUMNS, Move, Plain
from vendrail.ledger.store.reading import transfer_of

# Asked in the statements that move balances anyway: no look of its own, and one for each batch.
_IS_OPEN = "not exists (select from ledger.close where until > $6::timestamptz)"
_CLOSED = "The day that this would be booked in is closed: the clock of this machine is behind."
_NO_COUNTERS = "A limited account has no counters; `vendrail audit` names it."


async def insert_plain(tx: Transaction, plain: Plain) -> None:
    """Write a plain batch into the journal, a third cheaper by COPY; a known id is an error.

    Waits for rivals that are writing the same ids.
    """
    await tx.copy_rows("ledger", "transfer", COLUMNS, plain.rows)


async def lock_short(tx: Transaction, sums: Sequence[Move]) -> dict[int, Counters]:
    """Lock limited accounts in number order; give the counters of those that could run short.

    An account is to bear all that the batch takes from it from what it held before.
    """
    if not sums:
        return {}
    numbers, _, debits, _, credits = zip(*sums, strict=True)
    rows = await tx.fetch(
        """
        select b.account, b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted
          from (select * from ledger.balance where account = any($1::int[])
                 order by account for no key update) as b
          join unnest($1::int[], $2::bigint[], $3::bigint[]) as new (account, debits, credits)
            on new.account = b.account
         where b.are_debits_limited and new.debits > 0
               and b.debits_pending + b.debits_posted + new.debits > b.credits_posted
            or b.are_credits_limited and new.credits > 0
               and b.credits_pending + b.credits_posted + new.credits > b.debits_posted
        """,
        numbers,
        debits,
        credits,
    )
    return {account: Counters(*counters) for account, *counters in rows}


async def insert_deltas(tx: Transaction, deltas: Sequence[Move], at: datetime) -> None:
    """Note what a batch did to accounts without limits; nothing in a day that is closed."""
    if not deltas:
        return
    count = await tx.execute(
        f"""
        insert into ledger.delta
               (account, debits_pending, debits_posted, credits_pending, credits_posted)
        select * from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
         where {_IS_OPEN}
        """,  # noqa: S608 - a constant of this file
        *zip(*deltas, strict=True),
        at,
    )
    if count != len(deltas):
        raise Broken(_CLOSED)


async def claim(tx: Transaction, firsts: Sequence[Transfer], at: datetime) -> set[UUID]:
    """Claim ids (each once, in order) in the journal; give those that nobody had used.

    Waits for rivals that are writing the same ids; afterwards, what is not ours is committed.
    """
    rows = await tx.fetch(
        """
        insert into ledger.transfer (id, subject, at, kind, code, refusal)
        select id, subject, $5, kind, code, 'claimed'
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
               as new (id, subject, kind, code)
        on conflict do nothing
        returning id
        """,
        [transfer.id for transfer in firsts],
        [transfer.subject for transfer in firsts],
        [transfer.kind for transfer in firsts],
        [transfer.code for transfer in firsts],
        at,
    )
    return {row["id"] for row in rows}


async def lock_pendings(tx: Transaction, pendings: Collection[UUID]) -> dict[UUID, TransferKind]:
    """Lock the pending transfers referred to, in order; give how each was resolved, if it was."""
    if not pendings:
        return {}
    ids = sorted(pendings)
    await tx.execute(
        """
        select from ledger.transfer where id = any($1::uuid[]) order by id for no key update
        """,
        ids,
    )
    rows = await tx.fetch(
        """
        select pending, kind from ledger.transfer
         where pending = any($1::uuid[]) and pending is not null and refusal is null
        """,
        ids,
    )
    return {row["pending"]: TransferKind(row["kind"]) for row in rows}


async def load_outcomes(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Outcome]:
    """Read what became of ids."""
    if not ids:
        return {}
    rows = await tx.fetch("select * from ledger.journal where id = any($1::uuid[])", list(ids))
    outcomes = {}
    for row in rows:
        if row["refusal"] is not None:
            refusal = TransferStatus(row["refusal"])
            outcomes[row["id"]] = Outcome(row["request"], row["at"], refusal=refusal)
        else:
            transfer = transfer_of(row)
            outcomes[row["id"]] = Outcome(
                digest(transfer), row["at"], transfer, row["amount_minor"]
            )
    return outcomes


async def lock_balances(tx: Transaction, numbers: Collection[int]) -> dict[int, Counters]:
    """Lock limited accounts in number order and read their counters."""
    if not numbers:
        return {}
    rows = await tx.fetch(
        """
        select account, debits_pending, debits_posted, credits_pending, credits_posted
          from ledger.balance where account = any($1::int[])
         order by account for no key update
        """,
        sorted(numbers),
    )
    return {account: Counters(*counters) for account, *counters in rows}


async def settle(tx: Transaction, made: Collection[Made]) -> int:
    """Write what was decided into rows that are in the journal; give how many there were."""
    if not made:
        return 0
    rows = [
        (
            row.transfer.id,
            row.transfer.pending,
            row.amount_minor,
            None if row.amount_minor == row.transfer.amount_minor else row.transfer.amount_minor,
            row.released_minor,
            row.debit,
            row.credit,
            row.transfer.timeout_s or None,
            row.transfer.is_linked,
            row.transfer.is_balancing,
            row.transfer.memo or None,
            row.refusal,
            row.request if row.refusal is not None else None,
        )
        for row in made
    ]
    return await tx.execute(
        """
        update ledger.transfer t
           set pending = new.pending, amount_minor = new.amount_minor,
               asked_minor = case when new.refusal is null then new.asked_minor end,
               released_minor = new.released_minor, debit = new.debit, credit = new.credit,
               timeout_s = new.timeout_s, is_linked = new.is_linked,
               is_balancing = new.is_balancing, memo = new.memo, refusal = new.refusal,
               request = new.request
          from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[],
                      $7::int[], $8::int[], $9::bool[], $10::bool[], $11::text[], $12::text[],
                      $13::bytea[])
               as new (id, pending, amount_minor, asked_minor, released_minor, debit, credit,
                       timeout_s, is_linked, is_balancing, memo, refusal, request)
         where t.id = new.id
        """,
        *zip(*rows, strict=True),
    )


async def move_balances(tx: Transaction, moves: Sequence[Move], at: datetime) -> None:
    """Add to the balances of accounts that are locked; nothing in a day that is closed."""
    if not moves:
        return
    count = await tx.execute(
        f"""
        update ledger.balance b
           set debits_pending = b.debits_pending + new.debits_pending,
               debits_posted = b.debits_posted + new.debits_posted,
               credits_pending = b.credits_pending + new.credits_pending,
               credits_posted = b.credits_posted + new.credits_posted
          from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
               as new (account, debits_pending, debits_posted, credits_pending, credits_posted)
         where b.account = new.account and {_IS_OPEN}
        """,  # noqa: S608 - a constant of this file
        *zip(*moves, strict=True),
        at,
    )
    if count != len(moves):
        raise Broken(_NO_COUNTERS if await _is_open(tx, at) else _CLOSED)


async def expect_open(tx: Transaction, at: datetime) -> None:
    """Refuse to write into a closed day what moves nothing: no statement that moves asks it."""
    if not await _is_open(tx, at):
        raise Broken(_CLOSED)


async def _is_open(tx: Transaction, at: datetime) -> bool:
    return bool(await tx.fetch_value(f"select {_IS_OPEN.replace('$6', '$1')}", at))


async def save(tx: Transaction, books: Books) -> int:
    """Write all that a decided batch changed; give how many claimed rows were settled."""
    if not books.made:
        return 0
    count = await settle(tx, books.made.values())
    moves = [
        (
            number,
            change.debits_pending,
            change.debits_posted,
            change.credits_pending,
            change.credits_posted,
        )
        for number, change in sorted(books.changes.items())
        if change != Counters()
    ]
    if not moves:  # All was refused, or came and went within the batch.
        await expect_open(tx, books.now)
    await move_balances(tx, [move for move in moves if move[0] in books.counters], books.now)
    await insert_deltas(tx, [move for move in moves if move[0] not in books.counters], books.now)
    standing = [made.transfer for made in books.made.values() if made.refusal is None]
    timed = [transfer for transfer in standing if transfer.timeout_s]
    if timed:
        await tx.execute(
            """
            insert into ledger.due (pending, due_at)
            select * from unnest($1::uuid[], $2::timestamptz[])
            """,
            [transfer.id for transfer in timed],
            [books.now + timedelta(seconds=transfer.timeout_s) for transfer in timed],
        )
    resolved = [transfer.pending for transfer in standing if transfer.pending is not None]
    if resolved:
        await tx.execute("delete from ledger.due where pending = any($1::uuid[])", resolved)
    return count
