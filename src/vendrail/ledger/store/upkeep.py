"""What the loops do: adding up deltas, finding what is due."""

from datetime import datetime

from vendrail.api.ledger import Transfer
from vendrail.kernel.db import Transaction
from vendrail.ledger.store.reading import transfer_of


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
    return [transfer_of(row) for row in rows]


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
