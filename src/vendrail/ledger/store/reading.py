"""Reading the books: balances, an account's entries, the transfers of a serial number."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from vendrail.api.ledger import (
    AccountId,
    AccountSum,
    Balance,
    Entry,
    EntryQuery,
    EntrySum,
    PostedTransfer,
    SumQuery,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
)
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.ids import to_serial
from vendrail.kernel.numbers import Found, FoundKind
from vendrail.ledger.books import Terms

_LAST_ID = UUID(int=2**128 - 1)
_CLOCKS_APART_MAX = timedelta(days=1)
_OF_MERCHANT = re.compile(r"(?:merchant|held):([0-9a-f-]{36})(?::|$)")
FIND_TRANSFERS = (
    "select t.id, t.at, t.subject, array(select name from ledger.account"
    " where number in (t.debit, t.credit)) as names"
    " from ledger.transfer t where t.id = any($1::uuid[])"
)


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


async def sum_wallets(tx: Transaction) -> list[AccountSum]:
    """Sum the counters of buyers' wallets; they are limited, so nothing waits to be rolled up."""
    rows = await tx.fetch(
        "select a.currency, count(*), sum(b.credits_posted - b.debits_posted)::bigint"
        " from ledger.account a join ledger.balance b on b.account = a.number"
        " where a.name like 'buyer:%' group by a.currency order by a.currency"
    )
    return [AccountSum(*row) for row in rows]


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
        found.setdefault(row["subject"], []).append(PostedTransfer(transfer_of(row), row["at"]))
    return found


async def read_listed(
    tx: Transaction, queries: Sequence[tuple[int, EntryQuery]]
) -> dict[int, list[Entry]]:
    """Read newest entries of listed accounts from their indexes, by the queries' positions."""
    rows = await tx.fetch(
        """
        select asked.position, t.*
          from (select q.*, a.number, b.at
                  from unnest($1::int[], $2::uuid[], $3::uuid[], $4::int[], $6::bool[])
                       as q (position, account, before, entries_max, is_moved)
                  join ledger.account a on a.id = q.account
                  left join ledger.transfer b on b.id = q.before
                 where q.before is null or b.id is not null) as asked
         cross join lateral (
               (select * from ledger.journal
                 where debit = asked.number and debit > 0
                   and (kind in ('single', 'post') or not asked.is_moved)
                   and (at, id) < (coalesce(asked.at, 'infinity'), coalesce(asked.before, $5))
                 order by at desc, id desc limit asked.entries_max)
               union all
               (select * from ledger.journal
                 where credit = asked.number and credit > 0
                   and (kind in ('single', 'post') or not asked.is_moved)
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
        [query.is_moved for _, query in queries],
    )
    found: dict[int, list[Entry]] = {position: [] for position, _ in queries}
    accounts = {position: query.account for position, query in queries}
    for row in rows:
        position = row["position"]
        found[position].append(_entry(row, accounts[position]))
    return found


async def sum_entries(tx: Transaction, queries: Sequence[SumQuery]) -> list[EntrySum]:
    """Sum stretches of listed accounts' entries by their indexes, in the journal's order."""
    rows = await tx.fetch(
        """
        select asked.position,
               (select coalesce(sum(amount_minor), 0)::bigint from ledger.transfer
                 where debit = asked.number and debit > 0 and kind in ('single', 'post')
                   and at >= asked.begin and at <= asked.at
                   and (at, id) > (asked.begin, asked.after) and (at, id) < (asked.at, asked.before)
               ) as debits_minor,
               (select coalesce(sum(amount_minor), 0)::bigint from ledger.transfer
                 where credit = asked.number and credit > 0 and kind in ('single', 'post')
                   and at >= asked.begin and at <= asked.at
                   and (at, id) > (asked.begin, asked.after) and (at, id) < (asked.at, asked.before)
               ) as credits_minor
          from (select q.position, q.before, a.number, b.at,
                       coalesce(f.at, '-infinity') as begin, coalesce(q.after, $5) as after
                  from unnest($1::int[], $2::uuid[], $3::uuid[], $4::uuid[])
                       as q (position, account, before, after)
                  join ledger.account a on a.id = q.account
                  join ledger.transfer b on b.id = q.before
                  left join ledger.transfer f on f.id = q.after) as asked
        """,
        list(range(len(queries))),
        [query.account for query in queries],
        [query.before for query in queries],
        [query.after for query in queries],
        UUID(int=0),
    )
    found = {row[0]: EntrySum(row[1], row[2]) for row in rows}
    return [found.get(position, EntrySum()) for position in range(len(queries))]


async def read_unlisted(
    tx: Transaction, account: Terms, query: EntryQuery, now: datetime
) -> list[Entry]:
    """Read newest entries of a busy account by walking the journal back in growing windows.

    Quick where there is much traffic, as there is on accounts that are not listed.
    """
    start, bound = now, now + _CLOCKS_APART_MAX
    if query.before is not None:
        found = await tx.fetch_value("select at from ledger.transfer where id = $1", query.before)
        if found is None:
            return []
        start = bound = found
    first = account.opened_at - _CLOCKS_APART_MAX
    end, width = bound + timedelta(microseconds=1), timedelta(seconds=1)
    rows: list[Row] = []
    while end > first and len(rows) < query.entries_max:
        begin = start - width
        rows += await tx.fetch(
            """
            select * from ledger.journal
             where $1 in (debit, credit)
               and at >= $2 and at < $3 and (at, id) < ($4, $5)
               and (kind in ('single', 'post') or not $7::bool)
             order by at desc, id desc limit $6
            """,
            account.number,
            begin,
            end,
            bound,
            query.before or _LAST_ID,
            query.entries_max - len(rows),
            query.is_moved,
        )
        start, end, width = begin, begin, width * 8
    return [_entry(row, account.id) for row in rows]


async def find_transfers(tx: Transaction, ids: Sequence[UUID]) -> list[Found]:
    """Find transfers by their ids, with the merchants that their accounts' names hold."""
    rows = await tx.fetch(FIND_TRANSFERS, ids)
    return [
        Found(
            FoundKind.TRANSFER,
            row["id"],
            to_serial(row["id"]),
            row["at"],
            row["subject"],
            tuple(sorted({UUID(m[1]) for name in row["names"] if (m := _OF_MERCHANT.match(name))})),
        )
        for row in rows
    ]


def transfer_of(row: Row) -> Transfer:
    """Rebuild a transfer as it was sent from its row of the journal."""
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
