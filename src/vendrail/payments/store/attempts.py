"""Attempts and what tells their state: shown, closed, captured; the janitor's walk over them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from vendrail.api.payments import Attempt, AttemptId, ChannelId, Device, Route, RouteReason
from vendrail.kernel.codec import encode
from vendrail.payments.decide import Asked, Standing
from vendrail.payments.store.base import Row, Transaction, columns

NAMED = encode(Route(RouteReason.ASKED))  # What is kept where nothing was chosen.

_NEW_ATTEMPT = (
    "id", "order_id", "number", "merchant", "channel", "method", "amount_minor", "currency",
    "title", "expires_at", "return_url", "trace_id", "opened_at", "country", "device", "route",
    "buyer",
)  # fmt: skip


def attempt_row(
    attempt: Attempt, channel: ChannelId | None, route: bytes | None, opened_at: datetime
) -> tuple[Any, ...]:
    """Give an attempt's row: columns as in `_NEW_ATTEMPT`."""
    return (
        attempt.id,
        attempt.order,
        attempt.number,
        attempt.merchant,
        channel,
        attempt.method,
        attempt.amount_minor,
        attempt.currency,
        attempt.title,
        attempt.expires_at,
        attempt.return_url,
        attempt.trace_id,
        opened_at,
        attempt.country,
        attempt.device or "",
        route,
        attempt.buyer,
    )


async def insert_attempts(
    tx: Transaction, attempts: Sequence[tuple[Any, ...]], *, is_plain: bool = False
) -> set[UUID]:
    """Write attempts, columns as in `_NEW_ATTEMPT`; give the ids of those that are new.

    Plain: all must be new, else it is an error and none is written.
    """
    if is_plain:
        await tx.copy_rows("payments", "attempt", _NEW_ATTEMPT, attempts)
        return {attempt[0] for attempt in attempts}
    rows = await tx.fetch(
        "insert into payments.attempt (id, order_id, number, merchant, channel, method,"
        " amount_minor, currency, title, expires_at, return_url, trace_id, opened_at,"
        " country, device, route, buyer)"
        " select u.* from unnest($1::uuid[], $2::uuid[], $3::int[], $4::uuid[], $5::uuid[],"
        " $6::text[], $7::bigint[], $8::text[], $9::text[], $10::timestamptz[], $11::text[],"
        " $12::text[], $13::timestamptz[], $14::text[], $15::text[], $16::bytea[],"
        " $17::uuid[]) as u"
        " on conflict do nothing returning id",
        *columns(attempts, 17),
    )
    return {row["id"] for row in rows}


async def read_attempts(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Attempt]:
    """Read attempts by id, without their state."""
    rows = await tx.fetch("select * from payments.attempt where id = any($1::uuid[])", ids)
    return {row["id"]: _attempt(row) for row in rows}


async def find_attempts(
    tx: Transaction, numbers: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], Asked]:
    """Find attempts by order and number: what an out_trade_no says."""
    rows = await tx.fetch(
        "select a.id, a.order_id, a.number, a.merchant, a.channel, a.method, a.amount_minor,"
        " a.currency, a.trace_id, a.country"
        " from unnest($1::uuid[], $2::int[]) as u (order_id, number)"
        " join payments.attempt a on a.order_id = u.order_id and a.number = u.number",
        [order for order, _ in numbers],
        [number for _, number in numbers],
    )
    return {(asked.order, asked.number): asked for asked in map(Asked._make, rows)}


async def read_states(tx: Transaction, orders: Sequence[UUID]) -> list[Standing]:
    """Read orders' attempts with all that tells their state, first to last."""
    rows = await tx.fetch(
        "select * from payments.standing where order_id = any($1::uuid[])"
        " order by order_id, number",
        orders,
    )
    return [_standing(row) for row in rows]


async def read_states_by_id(tx: Transaction, ids: Sequence[UUID]) -> list[Standing]:
    """Read attempts by id, and the others of their orders, with all that tells their state."""
    rows = await tx.fetch(
        "select * from payments.standing where order_id in"
        " (select order_id from payments.attempt where id = any($1::uuid[]))"
        " order by order_id, number",
        ids,
    )
    return [_standing(row) for row in rows]


def _attempt(row: Row) -> Attempt:
    return Attempt(
        id=AttemptId(row["id"]),
        order=row["order_id"],
        number=row["number"],
        merchant=row["merchant"],
        method=row["method"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        title=row["title"],
        expires_at=row["expires_at"],
        channel=ChannelId(row["channel"]),
        return_url=row["return_url"],
        trace_id=row["trace_id"],
        country=row["country"],
        device=Device(row["device"]) if row["device"] else None,
        buyer=row["buyer"],
    )


def _standing(row: Row) -> Standing:
    return Standing(
        attempt=_attempt(row),
        opened_at=row["opened_at"],
        channel=row["channel"],
        is_presented=row["presented_at"] is not None,
        action=row["action"],
        reference=row["reference"] or "",
        is_closed=row["is_final"] is not None or bool(row["is_spent"]),
        is_final=bool(row["is_final"] or row["is_spent"]),
        is_captured=bool(row["is_captured"]),
        is_waiting=bool(row["is_waiting"]),
        failure=row["failure"] or "",
        is_unseen=bool(row["is_unseen"]),
        is_named=row["route"] == NAMED,
    )


async def read_references(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Read what providers called attempts when they were presented, where they called them so."""
    rows = await tx.fetch(
        "select attempt_id, reference from payments.presentation"
        " where attempt_id = any($1::uuid[]) and reference <> ''",
        ids,
    )
    return {row["attempt_id"]: row["reference"] for row in rows}


async def lock_attempts(tx: Transaction, ids: Iterable[UUID]) -> None:
    """Lock attempts, so that showing and closing one exclude each other."""
    await tx.fetch(
        "select 1 from payments.attempt where id = any($1::uuid[]) order by id for no key update",
        list(ids),
    )


async def insert_presentations(tx: Transaction, ids: Sequence[UUID], at: datetime) -> set[UUID]:
    """Write that attempts are about to be shown, but for those closed; give which may be."""
    rows = await tx.fetch(
        "insert into payments.presentation (attempt_id, at)"
        " select id, $2 from unnest($1::uuid[]) as u (id)"
        " where not exists (select 1 from payments.closure x where x.attempt_id = u.id)"
        " on conflict (attempt_id) do update set at = payments.presentation.at"
        " returning attempt_id",
        ids,
        at,
    )
    return {row["attempt_id"] for row in rows}


async def keep_presentations(
    tx: Transaction, kept: Sequence[tuple[UUID, bytes | None, str]]
) -> None:
    """Keep what the provider gave for attempts."""
    await tx.execute(
        "update payments.presentation p set action = u.action, reference = u.reference"
        " from unnest($1::uuid[], $2::bytea[], $3::text[]) as u (id, action, reference)"
        " where p.attempt_id = u.id",
        *columns(kept, 3),
    )


async def mark_unseen(tx: Transaction, ids: Sequence[UUID], *, is_unseen: bool) -> None:
    """Write that nobody has seen attempts that were presented, or that somebody has now."""
    await tx.execute(
        "update payments.presentation set is_unseen = $2 where attempt_id = any($1::uuid[])",
        ids,
        is_unseen,
    )


async def close_unseen(tx: Transaction, ids: Sequence[UUID], at: datetime) -> set[UUID]:
    """Close attempts that were never shown; give which."""
    rows = await tx.fetch(
        "insert into payments.closure (attempt_id, at, is_final)"
        " select id, $2, true from unnest($1::uuid[]) as u (id)"
        " where not exists (select 1 from payments.presentation p where p.attempt_id = u.id)"
        " on conflict (attempt_id) do update set is_final = true returning attempt_id",
        ids,
        at,
    )
    return {row["attempt_id"] for row in rows}


async def insert_closures(
    tx: Transaction, closures: Sequence[tuple[UUID, bool]], at: datetime
) -> None:
    """Write that attempts are closed; final is never taken back."""
    await tx.execute(
        "insert into payments.closure (attempt_id, is_final, at)"
        " select u.id, u.is_final, $3 from unnest($1::uuid[], $2::bool[]) as u (id, is_final)"
        " order by u.id on conflict (attempt_id)"
        " do update set is_final = true where excluded.is_final and not payments.closure.is_final",
        *columns(closures, 2),
        at,
    )


async def insert_failures(
    tx: Transaction, failures: Sequence[tuple[UUID, str]], at: datetime
) -> set[UUID]:
    """Write that attempts have failed, and why: closed, but still watched, for money may come.

    Give those of which it is news.
    """
    rows = await tx.fetch(
        "insert into payments.closure (attempt_id, problem, at, is_final)"
        " select u.id, u.problem, $3, false from unnest($1::uuid[], $2::text[]) as u (id, problem)"
        " order by u.id on conflict (attempt_id)"
        " do update set problem = excluded.problem where payments.closure.problem = ''"
        " returning attempt_id",
        *columns(failures, 2),
        at,
    )
    return {row["attempt_id"] for row in rows}


async def due_steps(tx: Transaction, steps_s: Sequence[int], now: datetime) -> list[int]:
    """Say which steps have presentations that reached their age; one look, and no lock."""
    rows = await tx.fetch(
        "select s.step_s from unnest($1::int[]) as s (step_s)"
        " left join payments.watch w on w.step_s = s.step_s where w.step_s is null or exists"
        " (select 1 from payments.presentation p where (p.at, p.attempt_id) > (w.at, w.attempt_id)"
        "  and p.at <= $2::timestamptz - make_interval(secs => s.step_s))"
        " order by s.step_s",
        steps_s,
        now,
    )
    return [row["step_s"] for row in rows]


async def claim_walk(tx: Transaction, step_s: int, now: datetime, rows_max: int) -> list[UUID]:
    """Take the next presentations that have reached this age, and move the mark behind them.

    A mark that another process holds is left to it. The mark moves before the provider is asked:
    should this process die, the next step asks.
    """
    mark = await tx.fetch_row(
        "select at, attempt_id from payments.watch where step_s = $1 for update skip locked", step_s
    )
    if mark is None:
        await tx.execute(
            "insert into payments.watch (step_s, at, attempt_id)"
            " values ($1, 'epoch', '00000000-0000-0000-0000-000000000000')"
            " on conflict do nothing",
            step_s,
        )
        return []
    rows = await tx.fetch(
        "select p.at, p.attempt_id from payments.presentation p"
        " where (p.at, p.attempt_id) > ($1, $2) and p.at <= $3"
        " order by p.at, p.attempt_id limit $4",
        mark["at"],
        mark["attempt_id"],
        now - timedelta(seconds=step_s),
        rows_max,
    )
    if rows:
        await tx.execute(
            "update payments.watch set at = $2, attempt_id = $3 where step_s = $1",
            step_s,
            rows[-1]["at"],
            rows[-1]["attempt_id"],
        )
    return [row["attempt_id"] for row in rows]
