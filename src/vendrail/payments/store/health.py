"""How providers answer: a row for each account and minute, and when one was left alone."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.payments.store.base import Row, Transaction, sorted_columns


async def add_pulses(
    tx: Transaction, pulses: Sequence[tuple[UUID, int, int, Sequence[int]]], minute: datetime
) -> None:
    """Add calls, failures and latencies of accounts to a minute that others add to, too."""
    rows = [
        (channel, calls, failed, ",".join(map(str, took)))
        for channel, calls, failed, took in pulses
    ]
    await tx.execute(
        "insert into payments.pulse as p (channel, minute, calls, failures, latencies)"
        " select u.channel, $5, u.calls, u.failures, string_to_array(u.latencies, ',')::int[]"
        " from unnest($1::uuid[], $2::int[], $3::int[], $4::text[])"
        " as u (channel, calls, failures, latencies)"
        " on conflict (channel, minute) do update set calls = p.calls + excluded.calls,"
        " failures = p.failures + excluded.failures, latencies = array("
        "select a + b from unnest(p.latencies, excluded.latencies) with ordinality as l (a, b, n)"
        " order by n)",
        *sorted_columns(rows, 4),
        minute,
    )


async def drop_old(tx: Transaction, before: datetime) -> None:
    """Drop the minutes that nobody asks about any more, and outages long over."""
    await tx.execute("delete from payments.pulse where minute < $1", before)
    await tx.execute("delete from payments.outage where ended_at < $1", before)


async def begin_outages(tx: Transaction, ids: Sequence[UUID], at: datetime) -> None:
    """Write that providers are left alone, but for those that are already."""
    await tx.execute(
        "insert into payments.outage (channel, began_at) select id, $2 from unnest($1::uuid[])"
        " as u (id) order by id on conflict do nothing",
        ids,
        at,
    )


async def end_outages(tx: Transaction, ids: Sequence[UUID], at: datetime) -> None:
    """Write that providers answer again."""
    await tx.execute(
        "update payments.outage set ended_at = $2"
        " where channel = any($1::uuid[]) and ended_at is null",
        ids,
        at,
    )


async def read_health(tx: Transaction, ids: Sequence[UUID], since: datetime) -> list[Row]:
    """Read each account's minutes since a moment, and its last time of being left alone."""
    return await tx.fetch(
        "select u.id, p.calls, p.failures, p.latencies, o.began_at, o.ended_at"
        " from unnest($1::uuid[]) as u (id)"
        " left join payments.pulse p on p.channel = u.id and p.minute >= $2"
        " left join lateral (select began_at, ended_at from payments.outage"
        " where channel = u.id order by began_at desc limit 1) o on true",
        ids,
        since,
    )
