"""Customers and saved ways, and the payments made with them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.payments.store.base import Row, Transaction, columns


async def read_customers(tx: Transaction, channel: UUID, buyers: Sequence[UUID]) -> dict[UUID, str]:
    """Read a provider's names for buyers."""
    rows = await tx.fetch(
        "select buyer, reference from payments.customer"
        " where channel = $1 and buyer = any($2::uuid[]) and ending_at is null",
        channel,
        list(buyers),
    )
    return {row["buyer"]: row["reference"] for row in rows}


async def expect_news(
    tx: Transaction,
    channel: UUID,
    customers: Sequence[tuple[UUID, str]],
    now: datetime,
    due_at: datetime,
    until: datetime,
) -> None:
    """Keep a provider's names for buyers, and ask it soon what it remembers for them."""
    await tx.execute(
        "insert into payments.customer"
        " (buyer, channel, reference, made_at, look_due_at, look_until)"
        " select b, $1, r, $4, $5, $6 from unnest($2::uuid[], $3::text[]) as n (b, r) order by b"
        " on conflict (buyer, channel) do update set look_due_at = excluded.look_due_at,"
        "  look_until = excluded.look_until, looks = 0, looked_at = null"
        " where payments.customer.ending_at is null",
        channel,
        *columns(customers, 2),
        now,
        due_at,
        until,
    )


async def claim_looks(
    tx: Transaction, now: datetime, delays_s: Sequence[int], rows_max: int
) -> list[Row]:
    """Claim customers whose provider is to be asked; each is due again later, or no more."""
    return await tx.fetch(
        "update payments.customer c set looks = c.looks + 1, look_due_at ="
        "  case when c.ending_at is null and $1::timestamptz > c.look_until then null"
        "  else $1::timestamptz + make_interval(secs =>"
        "   ($2::int[])[least(c.looks + 1, cardinality($2::int[]))]) end"
        " where (c.buyer, c.channel) in (select buyer, channel from payments.customer"
        "  where look_due_at <= $1 order by look_due_at limit $3 for update skip locked)"
        " returning c.*",
        now,
        list(delays_s),
        rows_max,
    )


async def claim_expected(
    tx: Transaction, buyers: Sequence[UUID], now: datetime, looked_before: datetime
) -> list[Row]:
    """Claim the customers of buyers of whom something new is expected, not looked at of late."""
    return await tx.fetch(
        "update payments.customer c set looked_at = $2 where (buyer, channel) in"
        " (select buyer, channel from payments.customer where buyer = any($1::uuid[])"
        "  and look_due_at is not null and ending_at is null"
        "  and (looked_at is null or looked_at <= $3) for update skip locked)"
        " returning c.*",
        list(buyers),
        now,
        looked_before,
    )


async def put_saved(
    tx: Transaction,
    customer: Row,
    saved: Sequence[tuple[UUID, str, str, str, str]],
    now: datetime,
) -> set[str]:
    """Keep what a provider remembers for a customer: (id, method, reference, label, expires).

    What the buyer wants forgotten stays so; what the provider has forgotten goes. Nothing is said
    of other customers that are the same buyer's: each agreement is one. Gives the provider's names
    of those that are new.
    """
    await tx.execute(
        "with gone as (delete from payments.saved where buyer = $1 and channel = $2"
        "  and customer = $3 and reference <> all($4::text[]) returning channel, customer)"
        " delete from payments.customer c using gone g"
        " where c.is_agreement and c.channel = g.channel and c.reference = g.customer",
        customer["buyer"],
        customer["channel"],
        customer["reference"],
        [each[2] for each in saved],
    )
    rows = await tx.fetch(
        "insert into payments.saved"
        " (id, buyer, channel, customer, used_at, method, reference, label, expires)"
        " select u.id, $1, $2, $3, $4, u.method, u.reference, u.label, u.expires"
        " from unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[])"
        "  as u (id, method, reference, label, expires) order by u.reference"
        " on conflict (channel, reference) do update"
        "  set label = excluded.label, expires = excluded.expires"
        " where payments.saved.buyer = excluded.buyer returning id, reference",
        customer["buyer"],
        customer["channel"],
        customer["reference"],
        now,
        *columns(saved, 5),
    )
    made = {each[0] for each in saved}
    return {row["reference"] for row in rows if row["id"] in made}


async def end_unexpected(
    tx: Transaction, customer: Row, late: Sequence[str], now: datetime
) -> bool:
    """End new agreements that were signed too late, or under a number given up since."""
    row = await tx.fetch_row(
        "with stands as (select from payments.customer where buyer = $1 and channel = $2"
        "  and reference = $3 for update),"
        " ended as (update payments.saved set forgotten_at = greatest($5, used_at), due_at = $5"
        "  where channel = $2 and customer = $3 and buyer = $1 and forgotten_at is null"
        "   and (reference = any($4::text[]) or not exists (select from stands))"
        "  returning channel, customer),"
        " gone as (delete from payments.customer c using ended e"
        "  where c.is_agreement and c.channel = e.channel and c.reference = e.customer)"
        " select from ended",
        customer["buyer"],
        customer["channel"],
        customer["reference"],
        list(late),
        now,
    )
    return row is not None


async def end_customer(tx: Transaction, customer: Row, now: datetime) -> None:
    """Have all that was saved for a customer forgotten; the customer is nobody from now on."""
    buyer, channel = customer["buyer"], customer["channel"]
    await tx.execute(
        # Not before its last payment: that one began while it was there.
        "update payments.saved set forgotten_at = greatest($3, used_at), due_at = $3"
        " where buyer = $1 and channel = $2 and forgotten_at is null",
        buyer,
        channel,
        now,
    )
    await tx.execute(
        "delete from payments.customer where buyer = $1 and channel = $2", buyer, channel
    )


async def list_saved(tx: Transaction, buyers: Sequence[UUID], month: str) -> list[Row]:
    """Read buyers' ways that have not expired, the last used first."""
    return await tx.fetch(
        "select * from payments.saved where buyer = any($1::uuid[]) and forgotten_at is null"
        " and (expires = '' or expires >= $2) order by used_at desc, id limit 200",
        list(buyers),
        month,
    )


async def read_saved(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read saved ways that are not forgotten, by id."""
    rows = await tx.fetch(
        "select * from payments.saved where id = any($1::uuid[]) and forgotten_at is null",
        list(ids),
    )
    return {row["id"]: row for row in rows}


async def use_saved(tx: Transaction, saved: UUID, now: datetime) -> bool:
    """Take a saved way into use, and hold it until the transaction ends; false: it was removed."""
    return (
        await tx.execute(
            "update payments.saved set used_at = greatest(used_at, $2)"
            " where id = $1 and forgotten_at is null",
            saved,
            now,
        )
        == 1
    )


async def begin_payment(
    tx: Transaction, attempt: UUID, saved: UUID, now: datetime, *, is_new: bool
) -> Row | None:
    """Write that an attempt is about to be paid with a saved way, or give how it was before.

    None: it is not new, and was not paid so.
    """
    if is_new:
        await tx.execute(
            "insert into payments.saved_payment (attempt, saved, at) values ($1, $2, $3)"
            " on conflict (attempt) do nothing",
            attempt,
            saved,
            now,
        )
    return await tx.fetch_row("select * from payments.saved_payment where attempt = $1", attempt)


async def decline_payment(tx: Transaction, attempt: UUID, problem: str) -> None:
    """Write that a payment with a saved way was declined for good."""
    await tx.execute(
        "update payments.saved_payment set problem = $2 where attempt = $1", attempt, problem
    )


async def drop_saved(tx: Transaction, saved: UUID, buyer: UUID, now: datetime) -> bool:
    """Let a buyer's way pay nothing any more, and its provider be told; an agreement ends so."""
    row = await tx.fetch_row(
        # Not before its last payment: that one began while it was there.
        "with dropped as (update payments.saved"
        "  set forgotten_at = greatest($3, used_at), due_at = $3"
        "  where id = $1 and buyer = $2 and forgotten_at is null returning channel, customer),"
        " ended as (delete from payments.customer c using dropped d"
        "  where c.is_agreement and c.channel = d.channel and c.reference = d.customer)"
        " select from dropped",
        saved,
        buyer,
        now,
    )
    return row is not None


async def end_buyers(tx: Transaction, buyers: Sequence[UUID], now: datetime) -> None:
    """Let all ways of buyers pay nothing any more; ask providers for those not told of yet."""
    await tx.execute(
        "update payments.saved set forgotten_at = greatest($2, used_at), due_at = $2"
        " where buyer = any($1::uuid[]) and forgotten_at is null",
        list(buyers),
        now,
    )
    await tx.execute(
        "update payments.attempt set buyer = null where buyer = any($1::uuid[])", list(buyers)
    )
    await tx.execute(
        "update payments.customer set ending_at = $2, look_due_at = $2, looks = 0"
        " where buyer = any($1::uuid[]) and ending_at is null",
        list(buyers),
        now,
    )


async def claim_forgotten(
    tx: Transaction, now: datetime, delays_s: Sequence[int], rows_max: int
) -> list[Row]:
    """Claim ways that providers are to forget; each is due again later, until it is done."""
    return await tx.fetch(
        "update payments.saved s set tries = s.tries + 1, due_at = $1::timestamptz"
        "  + make_interval(secs => ($2::int[])[least(s.tries + 1, cardinality($2::int[]))])"
        " where s.id in (select id from payments.saved where due_at <= $1"
        "  order by due_at limit $3 for update skip locked) returning s.*",
        now,
        list(delays_s),
        rows_max,
    )


async def delete_saved(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Delete ways that their providers have forgotten."""
    await tx.execute(
        "delete from payments.saved where id = any($1::uuid[]) and forgotten_at is not null",
        list(ids),
    )


async def keep_agreement(
    tx: Transaction,
    buyer: UUID,
    channel: UUID,
    number: str,
    now: datetime,
    due_at: datetime,
    until: datetime,
    made_after: datetime,
) -> str | None:
    """Keep our number of an agreement that a buyer is about to sign, and give the one kept.

    Its provider is asked soon. A number made before is given up, and what was signed under it ended
    by that number, unless it is in force. None: the buyer is being forgotten.
    """
    await tx.execute(
        "with stale as (delete from payments.customer c where c.buyer = $1 and c.channel = $2"
        "  and c.is_agreement and c.ending_at is null and c.made_at <= $4 and not exists"
        "   (select from payments.saved s where s.channel = $2 and s.customer = c.reference"
        "    and s.buyer = $1 and s.forgotten_at is null) returning c.reference)"
        " insert into payments.saved (id, buyer, channel, method, reference, customer, label,"
        "  expires, used_at, forgotten_at, due_at)"
        " select gen_random_uuid(), '00000000-0000-0000-0000-000000000000', $2, '', reference,"
        "  reference, '', '', $3, $3, $3 from stale on conflict (channel, reference) do nothing",
        buyer,
        channel,
        now,
        made_after,
    )
    row = await tx.fetch_row(
        "insert into payments.customer"
        " (buyer, channel, reference, made_at, look_due_at, look_until, is_agreement)"
        " values ($1, $2, $3, $4, $5, $6, true)"
        " on conflict (buyer, channel) do update set look_due_at = excluded.look_due_at,"
        "  look_until = excluded.look_until, looks = 0"
        " where payments.customer.ending_at is null returning reference",
        buyer,
        channel,
        number,
        now,
        due_at,
        until,
    )
    return None if row is None else row["reference"]


async def expect_agreements(
    tx: Transaction, told: Sequence[tuple[UUID, str, str, bool]], now: datetime, until: datetime
) -> None:
    """Ask providers at once about agreements with news: (channel, our number, theirs, in force).

    One in force that nobody here waits for any more is ended: nobody would ever charge by it.
    """
    await tx.execute(
        "with told as (select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bool[])"
        "  as u (channel, number, reference, is_on)),"
        " known as (update payments.customer c set look_due_at = $5, looks = 0,"
        "  look_until = greatest(c.look_until, $6) from told t"
        "  where c.is_agreement and c.channel = t.channel and c.reference = t.number"
        "  returning c.channel, c.reference)"
        " insert into payments.saved (id, buyer, channel, method, reference, customer, label,"
        "  expires, used_at, forgotten_at, due_at)"
        " select gen_random_uuid(), '00000000-0000-0000-0000-000000000000', t.channel, '',"
        "  t.reference, t.number, '', '', $5, $5, $5 from told t where t.is_on and not exists"
        "  (select from known k where k.channel = t.channel and k.reference = t.number)"
        " on conflict (channel, reference) do nothing",
        *columns(told, 4),
        now,
        until,
    )
