"""All SQL of conversations: what was written, its files, and who has read it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.support import CannedAnswer, InboxQuery, Remedy, Side, TalkHead
from vendrail.kernel.db import Row, Transaction

_READERS = (Side.BUYER, Side.MERCHANT)  # Whom a letter tells of what they have not read.


class NewMessage(NamedTuple):
    """Something to be written, its words sealed."""

    id: UUID
    order: UUID
    side: Side
    person: str
    step: str
    remedy: Remedy | None
    amount_minor: int
    sealed: bytes | None
    data_key: UUID | None
    at: datetime


class NewFile(NamedTuple):
    """A file to be kept, sealed."""

    id: UUID
    message: UUID
    order: UUID
    name: str
    media_type: str
    size: int
    sealed: bytes
    data_key: UUID


async def lock(tx: Transaction, order: UUID, merchant: UUID, at: datetime) -> int:
    """Hold the conversation about an order, made where there is none; give how long it is."""
    row = await tx.fetch_row(
        'insert into support.talk ("order", merchant, last_at, count) values ($1, $2, $3, 0)'
        ' on conflict ("order") do update set last_at = greatest(support.talk.last_at, $3)'
        " returning count",
        order,
        merchant,
        at,
    )
    assert row is not None  # An upsert always returns its row.
    return int(row[0])


async def add(tx: Transaction, new: NewMessage, number: int) -> None:
    """Write a message into a conversation that is held."""
    await tx.execute(
        'insert into support.message (id, "order", number, side, person, step, remedy,'
        " amount_minor, sealed, data_key, at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        new.id,
        new.order,
        number,
        str(new.side),
        new.person,
        new.step,
        str(new.remedy) if new.remedy else None,
        new.amount_minor,
        new.sealed,
        new.data_key,
        new.at,
    )
    seen = f", {new.side}_seen = $2" if new.side not in (Side.LIMIT, Side.WARRANTY) else ""
    await tx.execute(
        f'update support.talk set count = $2{seen} where "order" = $1',  # noqa: S608 - a constant
        new.order,
        number,
    )


async def tell_later(tx: Transaction, order: UUID, author: Side, at: datetime) -> None:
    """Have the others told by one letter, should they not have read by then."""
    for side in _READERS:
        if side is not author:
            await tx.execute(
                f"update support.talk set {side}_tell_at = $2"  # noqa: S608 - a constant
                f' where "order" = $1 and {side}_tell_at is null and not is_{side}_told',
                order,
                at,
            )


async def take_unread(
    tx: Transaction, now: datetime, rows_max: int
) -> list[tuple[UUID, Side, int]]:
    """Take those who have not read in time: the order, who, and how much; each is told once."""
    found: list[tuple[UUID, Side, int]] = []
    for side in _READERS:
        rows = await tx.fetch(
            f"update support.talk set {side}_tell_at = null, is_{side}_told = true"  # noqa: S608 - a constant
            f' where "order" in (select "order" from support.talk where {side}_tell_at <= $1'
            f" order by {side}_tell_at limit $2 for update skip locked)"
            f' returning "order", count - {side}_seen as unread',
            now,
            rows_max,
        )
        found += [(row[0], side, row[1]) for row in rows if row[1] > 0]
    return found


async def see(tx: Transaction, orders: Sequence[UUID], side: Side) -> None:
    """Write that somebody has read conversations to their ends."""
    told = f", {side}_tell_at = null, is_{side}_told = false" if side in _READERS else ""
    await tx.execute(
        f"update support.talk set {side}_seen = count{told}"  # noqa: S608 - a constant
        f' where "order" = any($1) and {side}_seen < count',
        list(orders),
    )


async def load(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, Row]:
    """Load the heads of conversations."""
    rows = await tx.fetch(
        'select "order", merchant, last_at, count, buyer_seen, merchant_seen, operator_seen'
        ' from support.talk where "order" = any($1)',
        list(orders),
    )
    return {row["order"]: row for row in rows}


async def load_versions(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, str]:
    """Load of conversations how long they are, and where their complaints stand: in one word."""
    rows = await tx.fetch(
        "select o.id, coalesce(t.count, 0), coalesce(c.moved, '') from unnest($1::uuid[]) o (id)"
        ' left join support.talk t on t."order" = o.id'
        " left join lateral (select string_agg(state || frozen_minor, '.' order by id) as moved"
        ' from support.complaint where "order" = o.id) c on true',
        list(orders),
    )
    return {row[0]: f"{row[1]}.{row[2]}" for row in rows}


async def load_messages(tx: Transaction, order: UUID, messages_max: int) -> list[Row]:
    """Load the last messages of a conversation, first to last."""
    rows = await tx.fetch(
        "select id, number, side, person, step, remedy, amount_minor, sealed, data_key, at"
        ' from support.message where "order" = $1 order by number desc limit $2',
        order,
        messages_max,
    )
    return rows[::-1]


async def load_files(tx: Transaction, order: UUID) -> list[Row]:
    """Load what files there are in a conversation, without what they hold."""
    return await tx.fetch(
        "select id, message, name, media_type, size from support.attachment"
        ' where "order" = $1 order by id',
        order,
    )


async def load_file(tx: Transaction, id: UUID, order: UUID) -> Row | None:
    """Load a file of a conversation."""
    return await tx.fetch_row(
        "select id, name, media_type, sealed, data_key from support.attachment"
        ' where id = $1 and "order" = $2',
        id,
        order,
    )


async def find_message(tx: Transaction, id: UUID) -> Row | None:
    """Find a message that was written before."""
    return await tx.fetch_row('select "order", side from support.message where id = $1', id)


async def count_since(tx: Transaction, order: UUID, side: Side, since: datetime) -> int:
    """Count what somebody has written since a moment."""
    count = await tx.fetch_value(
        'select count(*) from support.message where "order" = $1 and side = $2 and at > $3'
        " and step = ''",
        order,
        str(side),
        since,
    )
    return int(count)


async def add_files(tx: Transaction, files: Sequence[NewFile]) -> None:
    """Keep files."""
    for each in files:
        await tx.execute(
            'insert into support.attachment (id, message, "order", name, media_type, size, sealed,'
            " data_key) values ($1, $2, $3, $4, $5, $6, $7, $8)",
            *each,
        )


async def sum_files(tx: Transaction, order: UUID, side: Side) -> int:
    """Sum the bytes of one side's files about an order."""
    size = await tx.fetch_value(
        "select coalesce(sum(a.size), 0) from support.attachment a"
        ' join support.message m on m.id = a.message where a."order" = $1 and m.side = $2',
        order,
        str(side),
    )
    return int(size)


async def load_inbox(tx: Transaction, query: InboxQuery) -> list[TalkHead]:
    """Load a page of a merchant's conversations, the last written first."""
    rows = await tx.fetch(
        'select "order", last_at, count, count - merchant_seen from support.talk'
        " where merchant = $1 and ($2::timestamptz is null or last_at < $2"
        '  or (last_at = $2 and "order" < $4::uuid))'
        ' order by last_at desc, "order" desc limit $3',
        query.merchant,
        query.before,
        query.talks_max,
        query.before_order,
    )
    return [TalkHead(*row) for row in rows]


async def load_canned(tx: Transaction, merchants: Sequence[UUID]) -> dict[UUID, list[CannedAnswer]]:
    """Load merchants' canned answers by their titles."""
    rows = await tx.fetch(
        "select id, merchant, title, text from support.canned where merchant = any($1)"
        " order by title, id",
        list(merchants),
    )
    found: dict[UUID, list[CannedAnswer]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(CannedAnswer(*row))
    return found


async def put_canned(tx: Transaction, answer: CannedAnswer) -> None:
    """Write a canned answer; one of another merchant stays as it is."""
    await tx.execute(
        "insert into support.canned as c (id, merchant, title, text) values ($1, $2, $3, $4)"
        " on conflict (id) do update set title = $3, text = $4 where c.merchant = $2",
        answer.id,
        answer.merchant,
        answer.title.strip(),
        answer.text.strip(),
    )


async def drop_canned(tx: Transaction, answer: CannedAnswer) -> None:
    """Take a canned answer away."""
    await tx.execute(
        "delete from support.canned where id = $1 and merchant = $2", answer.id, answer.merchant
    )
