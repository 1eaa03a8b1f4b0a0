"""Claims: money that a callback tells of and only its provider can confirm."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.payments.store.base import Row, Transaction, sorted_columns


async def insert_claims(
    tx: Transaction, claims: Sequence[tuple[UUID, UUID, str, str]], due_at: datetime
) -> None:
    """Write what is to be asked; a claim that was denied and comes again is asked again."""
    unique = {claim[0]: claim for claim in claims}
    await tx.execute(
        "insert into payments.claim (id, channel, out_trade_no, provider_number, state, tries,"
        " due_at) select u.*, 'waiting', 0, $5"
        " from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as u"
        " on conflict (id) do update set state = 'waiting', tries = 0, due_at = excluded.due_at"
        " where payments.claim.state = 'denied'",
        *sorted_columns(list(unique.values()), 4),
        due_at,
    )


async def take_claims(tx: Transaction, now: datetime, until: datetime, rows_max: int) -> list[Row]:
    """Take claims that are due; nobody else takes them before `until`."""
    return await tx.fetch(
        "update payments.claim set due_at = $2, tries = tries + 1 where id in"
        " (select id from payments.claim where state = 'waiting' and due_at <= $1"
        " order by due_at limit $3 for update skip locked) returning *",
        now,
        until,
        rows_max,
    )


async def settle_claims(tx: Transaction, ended: Sequence[tuple[UUID, str, datetime, str]]) -> None:
    """Write what the provider said: state, when to ask again, the problem."""
    await tx.execute(
        "update payments.claim c set state = u.state, due_at = u.due_at, problem = u.problem"
        " from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[])"
        " as u (id, state, due_at, problem) where c.id = u.id and c.state = 'waiting'",
        *sorted_columns(ended, 4),
    )


async def delete_claims(tx: Transaction, before: UUID, rows_max: int) -> int:
    """Drop the oldest claims that have ended, a few at a time."""
    return await tx.execute(
        "delete from payments.claim where id in (select id from payments.claim"
        " where id < $1 and state <> 'waiting' order by id limit $2)",
        before,
        rows_max,
    )
