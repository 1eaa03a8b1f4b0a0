"""All of the ledger's SQL: whole batches over arrays, one function a statement or two.

Everyone takes locks in one order, so that batches wait for each other but never in a circle: the
journal's ids, then the pending transfers referred to, then the balances; each of them sorted.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from vendrail.api.ledger import (
    Account,
    AccountId,
    AccountLimit,
    Balance,
    Entry,
    EntryQuery,
    PostedTransfer,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
    TransferStatus,
)
from vendrail.kernel.db import Row, Transaction
from vendrail.ledger.books import Books, Counters, Made, Outcome, Terms, digest
from vendrail.ledger.plain import Plain

Move = tuple[int, int, int, int, int]  # An account's number, then changes to its four counters.

_LAST_ID = UUID(int=2**128 - 1)
_CLOCKS_APART_MAX = timedelta(days=1)


# Accounts


async def open_accounts(tx: Transaction, accounts: Sequence[Account], at: datetime) -> set[UUID]:
    """Open accounts in id order, each with its row of counters; give the ids that were new."""
    opening = sorted(accounts, key=lambda account: account.id.int)
    rows = await tx.fetch(
        """
        with opened as (
            insert into ledger.account (id, number, name, currency, limit_kind, opened_at)
            select id, nextval('ledger.account_number') * sign, name, currency, limit_kind, $6
              from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[])
                   as new (id, sign, name, currency, limit_kind)
            on conflict do nothing
            returning id, number, limit_kind
        ), counted as (
            insert into ledger.balance (account, are_debits_limited, are_credits_limited)
            select number, limit_kind = 'debits_within_credits',
                   limit_kind = 'credits_within_debits'
              from opened
        )
        select id from opened
        """,
        [account.id for account in opening],
        [1 if account.is_listed else -1 for account in opening],
        [account.name for account in opening],
        [account.currency for account in opening],
        [account.limit.value for account in opening],
        at,
    )
    return {row["id"] for row in rows}


async def load_accounts(tx: Transaction, ids: Collection[UUID]) -> list[Terms]:
    """Read the terms of accounts, those that exist."""
    rows = await tx.fetch(
        """
        select id, number, name, currency, limit_kind, opened_at
          from ledger.account where id = any($1::uuid[])
        """,
        list(ids),
    )
    return [
        Terms(
            id=row["id"],
            number=row["number"],
            name=row["name"],
            currency=row["currency"],
            limit=AccountLimit(row["limit_kind"]),
            are_debits_limited=row["limit_kind"] == AccountLimit.DEBITS_WITHIN_CREDITS,
            are_credits_limited=row["limit_kind"] == AccountLimit.CREDITS_WITHIN_DEBITS,
            is_limited=row["limit_kind"] != AccountLimit.NONE,
            is_listed=row["number"] > 0,
            opened_at=row["opened_at"],
        )
        for row in rows
    ]


# Plain batches: written first, checked by the keys and the guards


async def insert_plain(tx: Transaction, plain: Plain, at: datetime) -> bool:
    """Write a plain batch into the journal; false where an id was known: roll back."""
    _, ids, subjects, amounts, debits, credits, links, codes, memos = zip(*plain.rows, strict=True)
    count = await tx.execute(
        """
        insert into ledger.transfer
               (id, subject, at, amount_minor, debit, credit, is_linked, code, memo)
        select id, subject, $9, amount_minor, debit, credit, is_linked, code, memo
          from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::int[], $5::int[], $6::bool[],
                      $7::text[], $8::text[])
               as new (id, subject, amount_minor, debit, credit, is_linked, code, memo)
        on conflict do nothing
        """,
        ids,
        subjects,
        amounts,
        debits,
        credits,
        links,
        codes,
        memos,
        at,
    )
    return count == len(ids)


async def move_guarded(tx: Transaction, sums: Sequence[tuple[int, int, int]]) -> bool:
    """Add to limited accounts' balances in number order; false where one could run short.

    An account pays from what it held before the batch: then the order of the batch cannot matter.
    """
    if not sums:
        return True
    numbers, debits, credits = zip(*sums, strict=True)
    await tx.execute(
        """
        select count(*) from (select from ledger.balance where account = any($1::int[])
                               order by account for no key update) as locked
        """,
        numbers,
    )
    count = await tx.execute(
        """
        update ledger.balance b
           set debits_posted = b.debits_posted + new.debits,
               credits_posted = b.credits_posted + new.credits
          from unnest($1::int[], $2::bigint[], $3::bigint[]) as new (account, debits, credits)
         where b.account = new.account
           and (not b.are_debits_limited or new.debits = 0
                or b.debits_pending + b.debits_posted + new.debits <= b.credits_posted)
           and (not b.are_credits_limited or new.credits = 0
                or b.credits_pending + b.credits_posted + new.credits <= b.debits_posted)
        """,
        numbers,
        debits,
        credits,
    )
    return count == len(numbers)


async def insert_deltas(tx: Transaction, deltas: Sequence[Move]) -> None:
    """Note what a batch did to accounts without limits."""
    if not deltas:
        return
    await tx.execute(
        """
        insert into ledger.delta
               (account, debits_pending, debits_posted, credits_pending, credits_posted)
        select * from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        """,
        *zip(*deltas, strict=True),
    )


# Other batches: claimed, loaded under locks, decided, settled


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
            transfer = _transfer(row)
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


async def settle_claims(tx: Transaction, made: Collection[Made]) -> int:
    """Write what was decided into the claimed rows; give how many there were."""
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


async def move_balances(tx: Transaction, moves: Sequence[Move]) -> None:
    """Add to the balances of accounts that are locked."""
    if not moves:
        return
    await tx.execute(
        """
        update ledger.balance b
           set debits_pending = b.debits_pending + new.debits_pending,
               debits_posted = b.debits_posted + new.debits_posted,
               credits_pending = b.credits_pending + new.credits_pending,
               credits_posted = b.credits_posted + new.credits_posted
          from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
               as new (account, debits_pending, debits_posted, credits_pending, credits_posted)
         where b.account = new.account
        """,
        *zip(*moves, strict=True),
    )


async def save(tx: Transaction, books: Books) -> int:
    """Write all that a decided batch changed; give how many claimed rows were settled."""
    if not books.made:
        return 0
    count = await settle_claims(tx, books.made.values())
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
    await move_balances(tx, [move for move in moves if move[0] in books.counters])
    await insert_deltas(tx, [move for move in moves if move[0] not in books.counters])
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


# Jobs


async def load_due(tx: Transaction, now: datetime, rows_max: int) -> list[Transfer]:
    """Read pending transfers whose time is up, the oldest first."""
    rows = await tx.fetch(
        """
        select journal.*
          from (select pending, due_at from ledger.due
                 where due_at <= $1 order by due_at, pending limit $2) as due
          join ledger.journal on journal.id = due.pending
         order by due.due_at, due.pending
        """,
        now,
        rows_max,
    )
    return [_transfer(row) for row in rows]


async def roll_up(tx: Transaction, rows_max: int) -> int:
    """Add deltas to the balances, as many rows as bidden; give how many. One process at a time."""
    if not await tx.fetch_value("select pg_try_advisory_xact_lock(hashtext('ledger.roll_up'))"):
        return 0
    count: int = await tx.fetch_value(
        """
        with taken as (
            delete from ledger.delta
             where ctid = any(array(select ctid from ledger.delta limit $1))
            returning account, debits_pending, debits_posted, credits_pending, credits_posted
        ), summed as (
            select account, count(*) as count, sum(debits_pending)::bigint as debits_pending,
                   sum(debits_posted)::bigint as debits_posted,
                   sum(credits_pending)::bigint as credits_pending,
                   sum(credits_posted)::bigint as credits_posted
              from taken group by account
        ), moved as (
            update ledger.balance b
               set debits_pending = b.debits_pending + summed.debits_pending,
                   debits_posted = b.debits_posted + summed.debits_posted,
                   credits_pending = b.credits_pending + summed.credits_pending,
                   credits_posted = b.credits_posted + summed.credits_posted
              from summed where b.account = summed.account
            returning summed.count
        )
        select coalesce(sum(count), 0)::bigint from moved
        """,
        rows_max,
    )
    return count


# Reading


async def read_balances(tx: Transaction, accounts: Sequence[UUID]) -> dict[UUID, Balance]:
    """Read counters as they are: what is rolled up and what is not yet, in one snapshot."""
    rows = await tx.fetch(
        """
        select a.id, a.name, a.currency,
               b.debits_pending + coalesce(d.debits_pending, 0) as debits_pending,
               b.debits_posted + coalesce(d.debits_posted, 0) as debits_posted,
               b.credits_pending + coalesce(d.credits_pending, 0) as credits_pending,
               b.credits_posted + coalesce(d.credits_posted, 0) as credits_posted
          from ledger.account a
          join ledger.balance b on b.account = a.number
          left join lateral (
               select sum(debits_pending)::bigint as debits_pending,
                      sum(debits_posted)::bigint as debits_posted,
                      sum(credits_pending)::bigint as credits_pending,
                      sum(credits_posted)::bigint as credits_posted
                 from ledger.delta where account = a.number) d on a.limit_kind = 'none'
         where a.id = any($1::uuid[])
        """,
        list(accounts),
    )
    return {row[0]: Balance(AccountId(row[0]), *row[1:]) for row in rows}


async def read_transfers(
    tx: Transaction, subjects: Sequence[UUID]
) -> dict[UUID, list[PostedTransfer]]:
    """Read what stands in the books under serial numbers, oldest first."""
    rows = await tx.fetch(
        """
        select * from ledger.journal
         where subject = any($1::uuid[]) and refusal is null
         order by at, id
        """,
        list(subjects),
    )
    found: dict[UUID, list[PostedTransfer]] = {}
    for row in rows:
        found.setdefault(row["subject"], []).append(PostedTransfer(_transfer(row), row["at"]))
    return found


async def read_listed(
    tx: Transaction, queries: Sequence[tuple[int, EntryQuery]]
) -> dict[int, list[Entry]]:
    """Read newest entries of listed accounts from their indexes, by the queries' positions."""
    rows = await tx.fetch(
        """
        select asked.position, t.*
          from (select q.*, a.number, b.at
                  from unnest($1::int[], $2::uuid[], $3::uuid[], $4::int[])
                       as q (position, account, before, entries_max)
                  join ledger.account a on a.id = q.account
                  left join ledger.transfer b on b.id = q.before
                 where q.before is null or b.id is not null) as asked
         cross join lateral (
               (select * from ledger.journal
                 where debit = asked.number and debit > 0
                   and (at, id) < (coalesce(asked.at, 'infinity'), coalesce(asked.before, $5))
                 order by at desc, id desc limit asked.entries_max)
               union all
               (select * from ledger.journal
                 where credit = asked.number and credit > 0
                   and (at, id) < (coalesce(asked.at, 'infinity'), coalesce(asked.before, $5))
                 order by at desc, id desc limit asked.entries_max)
               order by at desc, id desc limit asked.entries_max) as t
         order by asked.position, t.at desc, t.id desc
        """,
        [position for position, _ in queries],
        [query.account for _, query in queries],
        [query.before for _, query in queries],
        [query.entries_max for _, query in queries],
        _LAST_ID,
    )
    found: dict[int, list[Entry]] = {position: [] for position, _ in queries}
    accounts = {position: query.account for position, query in queries}
    for row in rows:
        position = row["position"]
        found[position].append(_entry(row, accounts[position]))
    return found


async def read_unlisted(
    tx: Transaction, account: Terms, query: EntryQuery, now: datetime
) -> list[Entry]:
    """Read newest entries of a busy account by walking the journal back in growing windows.

    Quick where there is much traffic, as there is on accounts that are not listed.
    """
    bound = now + _CLOCKS_APART_MAX
    if query.before is not None:
        bound = await tx.fetch_value("select at from ledger.transfer where id = $1", query.before)
        if bound is None:
            return []
    first = account.opened_at - _CLOCKS_APART_MAX
    end, width = bound + timedelta(microseconds=1), timedelta(minutes=10)
    rows: list[Row] = []
    while end > first and len(rows) < query.entries_max:
        begin = end - width
        rows += await tx.fetch(
            """
            select * from ledger.journal
             where $1 in (debit, credit)
               and at >= $2 and at < $3 and (at, id) < ($4, $5)
             order by at desc, id desc limit $6
            """,
            account.number,
            begin,
            end,
            bound,
            query.before or _LAST_ID,
            query.entries_max - len(rows),
        )
        end, width = begin, width * 8
    return [_entry(row, account.id) for row in rows]


def _transfer(row: Row) -> Transfer:
    asked = row["asked_minor"]
    return Transfer(
        id=TransferId(row["id"]),
        debit=AccountId(row["debit_account"]),
        credit=AccountId(row["credit_account"]),
        amount_minor=row["amount_minor"] if asked is None else asked,
        code=TransferCode(row["code"]),
        subject=row["subject"],
        kind=TransferKind(row["kind"]),
        pending=row["pending"],
        timeout_s=row["timeout_s"] or 0,
        is_linked=row["is_linked"],
        is_balancing=row["is_balancing"],
        memo=row["memo"] or "",
    )


def _entry(row: Row, account: UUID) -> Entry:
    is_credit = row["credit_account"] == account
    amount: Any = row["amount_minor"]
    return Entry(
        transfer=TransferId(row["id"]),
        account=AccountId(account),
        counterpart=AccountId(row["debit_account" if is_credit else "credit_account"]),
        amount_minor=amount if is_credit else -amount,
        code=TransferCode(row["code"]),
        kind=TransferKind(row["kind"]),
        subject=row["subject"],
        memo=row["memo"] or "",
        at=row["at"],
    )
