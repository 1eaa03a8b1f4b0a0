"""All SQL of Epay."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.epay import EpayChange, NoticeState
from vendrail.epay.decide import Fate, Wish
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.vault import DataKey

_WITH_KEY = (
    "select a.*, k.sealed as sealed_key from epay.account a"
    " join epay.data_key k on k.id = a.data_key"
)


async def load_accounts(tx: Transaction, pids: Sequence[int]) -> dict[int, Row]:
    """Read accounts with their sealed keys, by number."""
    rows = await tx.fetch(f"{_WITH_KEY} where a.pid = any($1::bigint[])", pids)
    return {row["pid"]: row for row in rows}


async def load_accounts_of(tx: Transaction, merchants: Sequence[UUID]) -> dict[UUID, Row]:
    """Read merchants' accounts."""
    rows = await tx.fetch("select * from epay.account where merchant = any($1::uuid[])", merchants)
    return {row["merchant"]: row for row in rows}


async def put_key(
    tx: Transaction, merchant: UUID, key_id: UUID, data_key: DataKey, sealed: bytes, now: datetime
) -> Row:
    """Open an account with a key, or give the one there is another key."""
    await tx.execute(
        "insert into epay.data_key (id, sealed, made_at) values ($1, $2, $3)",
        data_key.id,
        data_key.sealed,
        now,
    )
    row = await tx.fetch_row(
        "insert into epay.account (merchant, key_id, data_key, sealed, made_at, keyed_at)"
        " values ($1, $2, $3, $4, $5, $5)"
        " on conflict (merchant) do update set key_id = excluded.key_id,"
        "  data_key = excluded.data_key, sealed = excluded.sealed, keyed_at = excluded.keyed_at"
        " returning *",
        merchant,
        key_id,
        data_key.id,
        sealed,
        now,
    )
    assert row is not None
    return row


async def change_account(tx: Transaction, change: EpayChange) -> Row | None:
    """Change the switches of an account; what is null stays."""
    return await tx.fetch_row(
        "update epay.account set is_open = coalesce($2, is_open),"
        "  is_suspended = coalesce($3, is_suspended), can_refund = coalesce($4, can_refund)"
        " where merchant = $1 returning *",
        change.merchant,
        change.is_open,
        change.is_suspended,
        change.can_refund,
    )


async def find_charges(
    tx: Transaction, pids: Sequence[int], numbers: Sequence[str]
) -> dict[tuple[int, str], Row]:
    """Read charges by site and the site's number."""
    rows = await tx.fetch(
        "select c.* from epay.charge c join unnest($1::bigint[], $2::text[]) as u (pid, number)"
        " on c.pid = u.pid and c.number = u.number",
        pids,
        numbers,
    )
    return {(row["pid"], row["number"]): row for row in rows}


# Sites number as they like, so each is asked about each number: as many looks as there are sites.
FIND_NUMBERS = (
    'select c."order", c.number, c.made_at, a.merchant'
    " from epay.account a cross join unnest($1::text[]) as u (number)"
    " join epay.charge c on c.pid = a.pid and c.number = u.number limit 64"
)


async def find_numbers(tx: Transaction, numbers: Sequence[str]) -> list[Row]:
    """Find charges by the numbers that their sites gave them, whichever site it was."""
    return await tx.fetch(FIND_NUMBERS, numbers)


async def add_charges(
    tx: Transaction, charges: Sequence[tuple[UUID, int, Wish]], now: datetime
) -> None:
    """Keep charges, each once: who comes second finds what the first has written."""
    await tx.execute(
        'insert into epay.charge ("order", pid, number, type, title, amount_minor, notify_url,'
        " return_url, param, made_at)"
        " select *, $10::timestamptz from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[],"
        "  $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[])"
        " on conflict do nothing",
        [order for order, _, _ in charges],
        [pid for _, pid, _ in charges],
        [wish.number for _, _, wish in charges],
        [wish.type for _, _, wish in charges],
        [wish.title for _, _, wish in charges],
        [wish.amount_minor for _, _, wish in charges],
        [wish.notify_url for _, _, wish in charges],
        [wish.return_url for _, _, wish in charges],
        [wish.param for _, _, wish in charges],
        now,
    )


async def load_charges(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, Row]:
    """Read charges by order."""
    rows = await tx.fetch('select * from epay.charge where "order" = any($1::uuid[])', orders)
    return {row["order"]: row for row in rows}


async def list_charges(tx: Transaction, pid: int, orders_max: int, passed: int) -> list[Row]:
    """Read a page of a site's charges, newest first."""
    return await tx.fetch(
        'select * from epay.charge where pid = $1 order by "order" desc limit $2 offset $3',
        pid,
        orders_max,
        passed,
    )


async def count_charges(tx: Transaction, pid: int) -> int:
    """Count a site's charges."""
    return int(await tx.fetch_value("select count(*) from epay.charge where pid = $1", pid))


# Notices.


async def add_notices(tx: Transaction, orders: Sequence[UUID], now: datetime) -> int:
    """Begin to tell of paid charges, each once, in their order; orders of no site are passed."""
    rows = await tx.fetch(
        'insert into epay.notice ("order", pid, due_at)'
        ' select c."order", c.pid, $2 from unnest($1::uuid[]) with ordinality as u (id, place)'
        ' join epay.charge c on c."order" = u.id order by u.place'
        ' on conflict do nothing returning "order"',
        orders,
        now,
    )
    return len(rows)


async def claim_notices(
    tx: Transaction, now: datetime, lost_at: datetime, lease: UUID, rows_max: int
) -> list[Row]:
    """Claim due notices; of one site's that were never told, only the first in their order."""
    return await tx.fetch(
        'with due as (select n."order" from epay.notice n'
        "  where n.state = 'waiting' and n.due_at <= $1"
        "  and (n.attempts > 0 or not exists (select from epay.notice e"
        "   where e.pid = n.pid and e.number < n.number and e.state = 'waiting'"
        "   and (e.attempts = 0 or e.attempts = 1 and e.lease is not null)))"
        "  order by n.due_at, n.number limit $4 for update skip locked)"
        " update epay.notice n set due_at = $2, lease = $3, attempts = n.attempts + 1"
        ' from due where n."order" = due."order"'
        ' returning n."order", n.pid, n.number, n.attempts',
        now,
        lost_at,
        lease,
        rows_max,
    )


async def end_notice(tx: Transaction, order: UUID, lease: UUID, fate: Fate, now: datetime) -> bool:
    """Write what became of a try; false: another teller has the notice now."""
    row = await tx.fetch_row(
        "update epay.notice set state = $3, due_at = $4, problem = $5, lease = null,"
        "  told_at = case when $3 = 'taken' then $6::timestamptz end"
        ' where "order" = $1 and lease = $2 and state = \'waiting\' returning "order"',
        order,
        lease,
        fate.state.value,
        fate.due_at,
        fate.problem,
        now,
    )
    return row is not None


# Written out: what is not heard is little, and is found by an index of its own.
_IN_STATE: dict[NoticeState | None, str] = {
    None: "",
    **{each: f"and n.state = '{each.value}'" for each in NoticeState},
}
LIST_NOTICES = (
    "select n.*, c.number as charge_number from epay.notice n"
    ' join epay.charge c on c."order" = n."order"'
    " where n.pid = (select pid from epay.account where merchant = $1)"
    " {in_state} order by n.number desc limit $2"
)


async def list_notices(
    tx: Transaction, merchant: UUID, state: NoticeState | None, rows_max: int
) -> list[Row]:
    """Read a merchant's notices, newest first."""
    statement = LIST_NOTICES.format(in_state=_IN_STATE[state])
    return await tx.fetch(statement, merchant, rows_max)


async def retry_notices(tx: Transaction, orders: Sequence[UUID], now: datetime) -> set[UUID]:
    """Begin the ladder of notices anew; those being told just now are left to their teller."""
    rows = await tx.fetch(
        "update epay.notice set state = 'waiting', attempts = 1, due_at = $2, problem = ''"
        " where \"order\" = any($1::uuid[]) and state <> 'taken' and lease is null"
        ' returning "order"',
        orders,
        now,
    )
    return {row["order"] for row in rows}
