"""Captures and the inbox: money that arrived, and what providers sent."""

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from uuid import UUID

from vendrail.api.payments import Capture
from vendrail.payments.store.base import Row, Transaction, columns, sorted_columns

_NEW_CAPTURE = (
    "id", "channel", "provider_number", "attempt_id", "order_id", "merchant", "method",
    "amount_minor", "currency", "fit", "source", "paid_at", "trace_id", "out_trade_no", "at",
)  # fmt: skip


async def insert_captures(
    tx: Transaction, captures: Sequence[tuple[Capture, str]], *, is_plain: bool = False
) -> set[UUID]:
    """Write captures, each with its out_trade_no; give the ids of those that are new.

    Plain: all must be new, else it is an error and the transaction is void.
    """
    rows = [
        (
            capture.id,
            capture.channel,
            capture.provider_number,
            capture.attempt,
            capture.order,
            capture.merchant,
            capture.method,
            capture.amount_minor,
            capture.currency,
            capture.fit,
            capture.source,
            capture.paid_at,
            capture.trace_id,
            out_trade_no,
            capture.at,
        )
        for capture, out_trade_no in captures
    ]
    # One order for all writers: rivals then wait for each other, and never for ever.
    rows.sort(key=itemgetter(2))
    if is_plain:
        await tx.copy_rows("payments", "capture", _NEW_CAPTURE, rows)
        return {row[0] for row in rows}
    new = await tx.fetch(
        "insert into payments.capture (id, channel, provider_number, attempt_id, order_id,"
        " merchant, method, amount_minor, currency, fit, source, paid_at, trace_id, out_trade_no,"
        " at)"
        " select u.* from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[],"
        " $5::uuid[], $6::uuid[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[],"
        " $12::timestamptz[], $13::text[], $14::text[], $15::timestamptz[]) as u"
        " on conflict do nothing returning id",
        *columns(rows, 15),
    )
    return {row["id"] for row in new}


async def find_captures(
    tx: Transaction, numbers: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], Row]:
    """Find captures by channel and provider's number."""
    rows = await tx.fetch(
        "select c.* from unnest($1::uuid[], $2::text[]) as u (channel, number)"
        " join payments.capture c on c.channel = u.channel and c.provider_number = u.number",
        *columns(numbers, 2),
    )
    return {(row["channel"], row["provider_number"]): row for row in rows}


async def find_captures_anywhere(
    tx: Transaction, channels: Sequence[UUID], numbers: Sequence[str]
) -> list[Row]:
    """Find captures by the provider's number alone, with whom people matched them to."""
    return await tx.fetch(
        "select c.*, v.order_id as matched_order, v.merchant as matched_merchant"
        " from unnest($1::uuid[]) as a (channel) cross join unnest($2::text[]) as u (number)"
        " join payments.capture c on c.channel = a.channel and c.provider_number = u.number"
        " left join payments.verdict v on v.capture_id = c.id and v.order_id is not null",
        channels,
        numbers,
    )


async def read_captures(tx: Transaction, orders: Sequence[UUID]) -> list[Row]:
    """Read orders' captures, those matched by a person too; unconfirmed ones are left out."""
    return await tx.fetch(
        "select c.*, v.order_id as matched_order, v.merchant as matched_merchant"
        " from payments.attempt a"
        " join payments.capture c on c.attempt_id = a.id"
        "  and c.id between payments.first_kin(a.id) and payments.last_kin(a.id)"
        " left join payments.confirmation f on f.capture_id = c.id"
        " left join payments.verdict v on v.capture_id = c.id and v.order_id is not null"
        " where a.order_id = any($1::uuid[])"
        " and (f.state is null or f.state = 'confirmed')"
        " and (v.order_id is null or v.order_id = c.order_id)"
        " union all"
        " select c.*, v.order_id, v.merchant from payments.verdict v"
        " join payments.capture c on c.id = v.capture_id"
        " where v.order_id = any($1::uuid[]) and c.order_id is distinct from v.order_id"
        " order by id",
        orders,
    )


async def insert_inbox(
    tx: Transaction,
    rows: Sequence[tuple[UUID, UUID, str, str, bytes, bytes | None]],
    at: datetime,
) -> int:
    """Keep what providers sent, once an event; give how many were not known."""
    return await tx.execute(
        "insert into payments.inbox (id, channel, event, outcome, request, headers, at)"
        " select u.*, $7 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[],"
        " $6::bytea[]) as u on conflict do nothing",
        *sorted_columns(rows, 6),
        at,
    )


async def delete_inbox(tx: Transaction, before: UUID, rows_max: int) -> int:
    """Drop the oldest evidence, a few rows at a time."""
    return await tx.execute(
        "delete from payments.inbox where id in"
        " (select id from payments.inbox where id < $1 order by id limit $2)",
        before,
        rows_max,
    )
