"""Deposits and what was seen of them: addresses given out, transfers, how far chains were read."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Retry
from vendrail.payments.store.base import Row, Transaction, columns

_BLOCKS_KEPT = 1_024


async def take_places(tx: Transaction, book: str, count: int) -> int:
    """Take the next places of a row of addresses, for good; give the first."""
    place: int = await tx.fetch_value(
        "insert into payments.deposit_book as b (name, next_place) values ($1, $2)"
        " on conflict (name) do update set next_place = b.next_place + $2"
        " returning next_place - $2",
        book,
        count,
    )
    return place


async def insert_deposits(tx: Transaction, deposits: Sequence[tuple[object, ...]]) -> None:
    """Write where attempts are paid; one that has an address keeps it. Columns as written."""
    await tx.execute(
        "insert into payments.deposit (attempt_id, channel, book, place, address, asset, units,"
        " out_trade_no, amount_minor, currency, expires_at)"
        " select u.* from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[],"
        " $6::text[], $7::numeric[], $8::text[], $9::bigint[], $10::text[], $11::timestamptz[])"
        " as u on conflict (attempt_id) do nothing",
        *columns(deposits, 11),
    )


async def read_deposits(tx: Transaction, attempts: Sequence[UUID]) -> dict[UUID, Row]:
    """Read where attempts are paid."""
    rows = await tx.fetch(
        "select * from payments.deposit where attempt_id = any($1::uuid[])", attempts
    )
    return {row["attempt_id"]: row for row in rows}


async def read_watched(tx: Transaction, channel: UUID, since: datetime) -> dict[str, UUID]:
    """Give the addresses that are still watched, each with its attempt."""
    rows = await tx.fetch(
        "select address, attempt_id from payments.deposit where channel = $1 and expires_at > $2",
        channel,
        since,
    )
    return {row["address"]: row["attempt_id"] for row in rows}


async def read_places(tx: Transaction, channel: UUID, after: int, places_max: int) -> list[Row]:
    """Read addresses that something came to, from a place on."""
    return await tx.fetch(
        "select d.place, d.address from payments.deposit d where d.channel = $1 and d.place > $2"
        " and exists (select 1 from payments.sighting s where s.attempt_id = d.attempt_id"
        " and s.withdrawn_at is null) order by d.place limit $3",
        channel,
        after,
        places_max,
    )


# How far a chain was read.


async def insert_mark(
    tx: Transaction,
    channel: UUID,
    mark: tuple[int, str, int, int, int],
    now: datetime,
    due_at: datetime,
) -> None:
    """Begin to read a chain at block, hash, final, latest, confirmations."""
    written = await tx.execute(
        "insert into payments.watch_mark (channel, block, hash, final, latest, confirmations,"
        " looked_at, due_at) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        channel,
        *mark,
        now,
        due_at,
    )
    if written:
        await insert_blocks(tx, channel, [(mark[0], mark[1])])


async def read_mark(tx: Transaction, channel: UUID) -> Row | None:
    """Read how far a chain was read."""
    return await tx.fetch_row("select * from payments.watch_mark where channel = $1", channel)


async def read_marks(tx: Transaction, channels: Sequence[UUID]) -> dict[UUID, Row]:
    """Read how far chains were read."""
    rows = await tx.fetch(
        "select * from payments.watch_mark where channel = any($1::uuid[])", channels
    )
    return {row["channel"]: row for row in rows}


async def take_mark(tx: Transaction, channel: UUID, now: datetime, until: datetime) -> Row | None:
    """Take a chain that is due; nobody else takes it before `until`."""
    return await tx.fetch_row(
        "update payments.watch_mark set due_at = $3 where channel = $1 and due_at <= $2"
        " returning *",
        channel,
        now,
        until,
    )


async def put_off(tx: Transaction, channel: UUID, due_at: datetime) -> None:
    """Say when a chain is looked at again."""
    await tx.execute(
        "update payments.watch_mark set due_at = $2 where channel = $1", channel, due_at
    )


async def lock_mark(tx: Transaction, channel: UUID, block: int, hash: str) -> bool:
    """Lock a chain's mark where it is still what was read; false: a rival was quicker."""
    row = await tx.fetch_row(
        "select 1 from payments.watch_mark where channel = $1 and block = $2 and hash = $3"
        " for update",
        channel,
        block,
        hash,
    )
    return row is not None


async def move_mark(
    tx: Transaction, channel: UUID, mark: tuple[int, str, int, int, int], now: datetime
) -> None:
    """Move a mark to block, hash, final, latest, confirmations."""
    await tx.execute(
        "update payments.watch_mark set block = $2, hash = $3, final = $4, latest = $5,"
        " confirmations = $6, looked_at = $7 where channel = $1",
        channel,
        *mark,
        now,
    )


async def insert_blocks(tx: Transaction, channel: UUID, blocks: Sequence[tuple[int, str]]) -> None:
    """Note blocks that were read, and forget those long past."""
    await tx.execute(
        "insert into payments.watch_block (channel, number, hash)"
        " select $1, u.* from unnest($2::bigint[], $3::text[]) as u"
        " on conflict (channel, number) do update set hash = excluded.hash",
        channel,
        *columns(blocks, 2),
    )
    await tx.execute(
        "delete from payments.watch_block where channel = $1 and number < $2",
        channel,
        max(number for number, _ in blocks) - _BLOCKS_KEPT,
    )


async def read_blocks(tx: Transaction, channel: UUID) -> list[tuple[int, str]]:
    """Read the blocks that are kept, newest first."""
    rows = await tx.fetch(
        "select number, hash from payments.watch_block where channel = $1 order by number desc",
        channel,
    )
    return [(row["number"], row["hash"]) for row in rows]


async def withdraw(tx: Transaction, channel: UUID, block: int, now: datetime) -> list[Row]:
    """Forget the blocks after one, and withdraw what was seen in them; give what."""
    await tx.execute(
        "delete from payments.watch_block where channel = $1 and number > $2", channel, block
    )
    return await tx.fetch(
        "update payments.sighting set withdrawn_at = $3 where channel = $1 and block > $2"
        " and withdrawn_at is null returning number, counted_as, refund_id",
        channel,
        block,
        now,
    )


# What was seen.


async def insert_sightings(tx: Transaction, sightings: Sequence[tuple[object, ...]]) -> int:
    """Write transfers; one that is seen again counts again, and none counts twice.

    A transaction whose block was replaced after its money was counted may stand elsewhere now: it
    is the same money, and is not written under another place.
    """
    return await tx.execute(
        "insert into payments.sighting as s (channel, number, attempt_id, block, block_hash, at,"
        " asset, source, target, units, refund_id)"
        " select u.* from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[],"
        " $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::numeric[], $11::uuid[])"
        " as u (channel, number, attempt_id, block, block_hash, at, asset, source, target, units,"
        " refund_id)"
        " where not exists (select 1 from payments.sighting o where o.channel = u.channel"
        "  and o.number > split_part(u.number, ':', 1) || ':'"
        "  and o.number < split_part(u.number, ':', 1) || ';' and o.number <> u.number"
        "  and o.counted_as is not null and o.withdrawn_at is not null"
        "  and (o.asset, o.target, o.units) = (u.asset, u.target, u.units))"
        " order by u.number"
        " on conflict (channel, number) do update set block = excluded.block,"
        " block_hash = excluded.block_hash, at = excluded.at, withdrawn_at = null"
        " where s.withdrawn_at is not null",
        *columns(sightings, 11),
    )


async def read_open(tx: Transaction, channel: UUID) -> list[Row]:
    """Read what came and is not yet counted, with what was asked for."""
    return await tx.fetch(
        "select s.number, s.block, s.at as seen_at, s.asset as seen_asset, s.units as seen_units,"
        " s.source, s.target, s.priced_minor, d.*"
        " from payments.sighting s join payments.deposit d on d.attempt_id = s.attempt_id"
        " where s.channel = $1 and s.counted_as is null and s.withdrawn_at is null"
        " and s.attempt_id is not null",
        channel,
    )


async def take_arrival(tx: Transaction, channel: UUID, number: str) -> Row | None:
    """Lock a transfer to an order's address, counted or not, with what was asked for."""
    return await tx.fetch_row(
        "select s.number, s.block, s.at as seen_at, s.asset as seen_asset, s.units as seen_units,"
        " s.source, s.target, s.priced_minor, s.refund_to, s.counted_as, d.*"
        " from payments.sighting s join payments.deposit d on d.attempt_id = s.attempt_id"
        " where s.channel = $1 and s.number = $2 and s.withdrawn_at is null for update of s",
        channel,
        number,
    )


async def price_arrival(
    tx: Transaction,
    channel: UUID,
    number: str,
    amount_minor: int,
    refund_to: str | None,
    person: str,
    reason: str,
    now: datetime,
) -> None:
    """Write what a transfer is worth, who said so and why, and where it would go back to."""
    await tx.execute(
        "update payments.sighting set priced_minor = $3, refund_to = $4, priced_by = $5,"
        " priced_for = $6, priced_at = $7 where channel = $1 and number = $2",
        channel,
        number,
        amount_minor,
        refund_to,
        person,
        reason,
        now,
    )


async def count_sightings(
    tx: Transaction,
    channel: UUID,
    counted: Sequence[tuple[str, str]],
    paid: Sequence[tuple[UUID, str, datetime]],
) -> None:
    """Write under which number transfers are counted, and whose price has come as what."""
    changed = await tx.execute(
        "update payments.sighting s set counted_as = u.counted"
        " from unnest($2::text[], $3::text[]) as u (number, counted)"
        " where s.channel = $1 and s.number = u.number and s.counted_as is null"
        " and s.withdrawn_at is null",
        channel,
        *columns(counted, 2),
    )
    if changed != len(counted):
        raise Retry("What came to an address was counted by another process.", retry_after_s=0.1)
    await tx.execute(
        "update payments.deposit d set paid_as = u.number, paid_at = u.at"
        " from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as u (attempt, number, at)"
        " where d.attempt_id = u.attempt",
        *columns(paid, 3),
    )


async def read_arrivals(tx: Transaction, attempts: Sequence[UUID]) -> list[Row]:
    """Read all that stands in the chain at attempts' addresses, in its order."""
    return await tx.fetch(
        "select attempt_id, number, block, at, asset, units, counted_as from payments.sighting"
        " where attempt_id = any($1::uuid[]) and withdrawn_at is null order by block, number",
        attempts,
    )


# Refunds.


async def hasten_refunds(tx: Transaction, refunds: Sequence[UUID], now: datetime) -> None:
    """Let refunds be looked at now: their money was seen to leave."""
    await tx.execute(
        "update payments.refund set due_at = $2 where id = any($1::uuid[]) and state = 'pending'"
        " and due_at > $2",
        refunds,
        now,
    )


async def read_unsettled(tx: Transaction, channel: UUID, final: int) -> list[UUID]:
    """Give the refunds whose money has left for good, and that are not settled."""
    rows = await tx.fetch(
        "select r.id from payments.refund r join payments.sighting s on s.refund_id = r.id"
        " where r.state = 'pending' and s.channel = $1 and s.withdrawn_at is null"
        " and s.block <= $2",
        channel,
        final,
    )
    return [row["id"] for row in rows]


async def read_left(tx: Transaction, refunds: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Read what was seen to leave for refunds."""
    rows = await tx.fetch(
        "select refund_id, channel, number, block, asset, units, target from payments.sighting"
        " where refund_id = any($1::uuid[]) and withdrawn_at is null",
        refunds,
    )
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row["refund_id"], []).append(row)
    return found


async def read_sources(
    tx: Transaction, channel: UUID, numbers: Sequence[str]
) -> dict[str, list[Row]]:
    """Give, for captures' numbers, the largest transfer of each asset that is counted in them."""
    rows = await tx.fetch(
        "select distinct on (counted_as, asset) counted_as, source, asset, units, priced_minor,"
        " refund_to"
        " from payments.sighting where channel = $1 and counted_as = any($2::text[])"
        " order by counted_as, asset, units desc, number",
        channel,
        numbers,
    )
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["counted_as"], []).append(row)
    return found


async def read_payable(tx: Transaction, channel: UUID, refunds_max: int) -> list[Row]:
    """Read refunds that wait to be sent, with their captures, what was asked, and their nonces."""
    return await tx.fetch(
        "select r.id, r.amount_minor, c.provider_number, d.asset, d.units,"
        " d.amount_minor as asked_minor, p.nonce, p.source, p.asset as planned_asset,"
        " p.units as planned_units"
        " from payments.refund r join payments.capture c on c.id = r.capture_id"
        " join payments.deposit d on d.attempt_id = c.attempt_id"
        " left join payments.refund_nonce p on p.refund_id = r.id"
        " where r.state = 'pending' and c.channel = $1"
        " and not exists (select 1 from payments.sighting s where s.refund_id = r.id"
        "  and s.withdrawn_at is null) order by r.asked_at, r.id limit $2",
        channel,
        refunds_max,
    )


async def put_nonces(
    tx: Transaction, nonces: Sequence[tuple[UUID, int, str, str, int]], now: datetime
) -> None:
    """Write how refunds are planned: under which nonce, from where, what and how much of it."""
    await tx.execute(
        "insert into payments.refund_nonce as n (refund_id, nonce, source, asset, units, at)"
        " select u.*, $6 from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[],"
        " $5::numeric[]) as u (refund_id, nonce, source, asset, units) order by u.refund_id"
        " on conflict (refund_id) do update set nonce = excluded.nonce, source = excluded.source,"
        " asset = excluded.asset, units = excluded.units, at = excluded.at"
        " where (n.nonce, n.source, n.asset, n.units) is distinct from"
        " (excluded.nonce, excluded.source, excluded.asset, excluded.units)",
        *columns(nonces, 5),
        now,
    )


async def read_planned(tx: Transaction, refunds: Sequence[UUID]) -> dict[UUID, Row]:
    """Read how refunds are planned."""
    rows = await tx.fetch(
        "select * from payments.refund_nonce where refund_id = any($1::uuid[])", refunds
    )
    return {row["refund_id"]: row for row in rows}
