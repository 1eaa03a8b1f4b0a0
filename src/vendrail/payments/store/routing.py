"""What routing goes by: terms, rules, what was learned, what was taken in a day, who is away."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from vendrail.payments.store.base import Row, Transaction, sorted_columns

_LOCK_KEY = 0x70617974_616C6C79  # "paytally": one writer of tallies at a time.


async def lock_tallies(tx: Transaction) -> None:
    """Let one writer of tallies in at a time: what it adds to has faded since."""
    await tx.execute("select pg_advisory_xact_lock($1)", _LOCK_KEY)


async def read_tallies(tx: Transaction) -> list[Row]:
    """Read all that was learned: a row for each channel and kind of payment."""
    return await tx.fetch("select * from payments.tally")


async def write_tallies(
    tx: Transaction, tallies: Sequence[tuple[UUID, str, str, int, int, int]], at: datetime
) -> None:
    """Write counts as they weigh at a moment. Columns as in the table."""
    await tx.execute(
        "insert into payments.tally as t"
        " (channel, method, country, band, successes_milli, failures_milli, at)"
        " select u.channel, u.method, u.country, u.band, u.successes, u.failures, $7"
        " from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[])"
        " as u (channel, method, country, band, successes, failures)"
        " on conflict (channel, method, country, band) do update"
        " set successes_milli = excluded.successes_milli,"
        " failures_milli = excluded.failures_milli, at = excluded.at",
        *sorted_columns(tallies, 6),
        at,
    )


async def drop_tallies(tx: Transaction, before: datetime) -> None:
    """Drop what has faded to nothing, and days nobody counts any more."""
    await tx.execute("delete from payments.tally where at < $1", before)
    await tx.execute("delete from payments.volume where day < $1", before.date())


async def add_volumes(tx: Transaction, volumes: Sequence[tuple[UUID, str, date, int]]) -> None:
    """Add to what channels have taken on their days."""
    await tx.execute(
        "insert into payments.volume as v (channel, currency, day, amount_minor)"
        " select u.* from unnest($1::uuid[], $2::text[], $3::date[], $4::bigint[]) as u"
        " on conflict (channel, currency, day)"
        " do update set amount_minor = v.amount_minor + excluded.amount_minor",
        *sorted_columns(volumes, 4),
    )


async def read_volumes(tx: Transaction, day: date) -> list[Row]:
    """Read what channels have taken on a day."""
    return await tx.fetch("select * from payments.volume where day = $1", day)


async def read_away(tx: Transaction) -> set[UUID]:
    """Read which channels are left alone by some process."""
    rows = await tx.fetch("select channel from payments.outage where ended_at is null")
    return {row["channel"] for row in rows}


async def read_terms(tx: Transaction) -> list[Row]:
    """Read the terms that somebody has written."""
    return await tx.fetch("select terms from payments.terms")


async def write_terms(
    tx: Transaction, terms: Sequence[tuple[UUID, str]], at: datetime
) -> set[UUID]:
    """Write terms whole, by channel; give whose have changed."""
    rows = await tx.fetch(
        "insert into payments.terms as t (channel, terms, changed_at)"
        " select u.channel, u.terms, $3 from unnest($1::uuid[], $2::jsonb[]) as u (channel, terms)"
        " on conflict (channel) do update set terms = excluded.terms, changed_at = $3"
        " where t.terms <> excluded.terms returning channel",
        *sorted_columns(terms, 2),
        at,
    )
    return {row["channel"] for row in rows}


async def read_rules(tx: Transaction) -> list[Row]:
    """Read the rules, oldest first."""
    return await tx.fetch("select rule from payments.rule order by made_at, id")


async def insert_rules(tx: Transaction, rules: Sequence[tuple[UUID, str]], at: datetime) -> None:
    """Write rules that are not there yet."""
    await tx.execute(
        "insert into payments.rule (id, rule, made_at)"
        " select u.id, u.rule, $3 from unnest($1::uuid[], $2::jsonb[]) as u (id, rule)"
        " on conflict do nothing",
        *sorted_columns(rules, 2),
        at,
    )


async def delete_rules(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    """Take rules back; give those that were there."""
    rows = await tx.fetch("delete from payments.rule where id = any($1::uuid[]) returning id", ids)
    return {row["id"] for row in rows}


async def read_choices(tx: Transaction, since: datetime | None) -> list[Row]:
    """Read what merchants chose, all of it or what was written from a moment on."""
    return await tx.fetch(
        "select * from payments.method_choice where $1::timestamptz is null or changed_at >= $1",
        since,
    )


async def read_choices_of(tx: Transaction, merchants: Sequence[UUID]) -> dict[UUID, list[str]]:
    """Read what some merchants chose."""
    rows = await tx.fetch(
        "select * from payments.method_choice where merchant = any($1::uuid[])", merchants
    )
    return {row["merchant"]: row["methods_off"] for row in rows}


async def write_choice(tx: Transaction, merchant: UUID, methods_off: Sequence[str]) -> bool:
    """Write a merchant's choice whole; false: it was so already."""
    rows = await tx.fetch(
        "insert into payments.method_choice as c (merchant, methods_off) values ($1, $2::text[])"
        " on conflict (merchant) do update"
        " set methods_off = excluded.methods_off, changed_at = clock_timestamp()"
        " where c.methods_off <> excluded.methods_off returning merchant",
        merchant,
        list(methods_off),
    )
    return bool(rows)


async def read_decided(
    tx: Transaction,
    after: UUID,
    until: UUID,
    currency: str,
    rows_max: int,
) -> list[Row]:
    """Read attempts that somebody opened, in the order of their ids, with their decisions.

    The ids say when their orders were placed: no more is read than what lies between.
    """
    return await tx.fetch(
        "select s.id, s.order_id, s.opened_at, s.channel, s.method, s.country, s.amount_minor,"
        " s.currency, s.route, s.expires_at, s.is_captured, s.is_final, s.failure, s.is_unseen"
        " from payments.standing s where s.id > $1 and s.id < $2 and s.currency = $3"
        " and (s.presented_at is not null or s.is_captured) order by s.id limit $4",
        after,
        until,
        currency,
        rows_max,
    )


async def read_routes(tx: Transaction, attempts: Sequence[UUID]) -> list[Row]:
    """Read the decisions of attempts."""
    return await tx.fetch(
        "select id, channel, route from payments.attempt where id = any($1::uuid[])", attempts
    )
