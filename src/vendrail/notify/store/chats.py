"""Chats of readers, the tickets that link them, and whose turn it is to ask for the bot's news."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.kernel.db import Row, Transaction


class ChatRow(NamedTuple):
    """One linked chat, its content sealed."""

    reader: bytes
    id: UUID
    hash: bytes
    data_key: UUID
    sealed: bytes
    linked_at: datetime


class TicketRow(NamedTuple):
    """One open ticket; whom it is of is sealed."""

    reader: bytes
    hash: bytes
    locale: str
    ends_at: datetime
    data_key: UUID | None
    sealed: bytes | None


async def load_chats(tx: Transaction, readers: Sequence[bytes]) -> dict[bytes, ChatRow]:
    """Read the chats of readers."""
    rows = await tx.fetch(
        "select reader, id, hash, data_key, sealed, linked_at from notify.chat"
        " where reader = any($1::bytea[])",
        list(dict.fromkeys(readers)),
    )
    return {row["reader"]: ChatRow(*row) for row in rows}


async def put_chat(tx: Transaction, chat: ChatRow) -> None:
    """Link a chat; one that the reader had before is theirs no more."""
    await tx.execute(
        "insert into notify.chat (reader, id, hash, data_key, sealed, linked_at)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (reader) do update set id = excluded.id,"
        " hash = excluded.hash, data_key = excluded.data_key, sealed = excluded.sealed,"
        " linked_at = excluded.linked_at",
        *chat,
    )


async def end_chats(
    tx: Transaction, reader: bytes | None = None, hash: bytes | None = None
) -> list[ChatRow]:
    """Forget the chats of a reader, or of a number, or both; give what they were."""
    rows = await tx.fetch(
        "delete from notify.chat where ($1::bytea is not null or $2::bytea is not null)"
        " and ($1::bytea is null or reader = $1) and ($2::bytea is null or hash = $2)"
        " returning reader, id, hash, data_key, sealed, linked_at",
        reader,
        hash,
    )
    return [ChatRow(*row) for row in rows]


async def put_ticket(tx: Transaction, ticket: TicketRow) -> None:
    """Keep a ticket's hash in place of the reader's last one."""
    await tx.execute(
        "insert into notify.ticket (reader, hash, locale, ends_at, data_key, sealed)"
        " values ($1, $2, $3, $4, $5, $6)"
        " on conflict (reader) do update set hash = excluded.hash, locale = excluded.locale,"
        " ends_at = excluded.ends_at, data_key = excluded.data_key, sealed = excluded.sealed",
        *ticket,
    )


async def end_ticket(tx: Transaction, reader: bytes) -> None:
    """Let a reader's open ticket be good for nothing."""
    await tx.execute("delete from notify.ticket where reader = $1", reader)


async def use_ticket(tx: Transaction, hash: bytes, now: datetime) -> TicketRow | None:
    """Use a ticket up, and give it. None: it is good for nothing."""
    row = await tx.fetch_row(
        "delete from notify.ticket where hash = $1"
        " returning reader, hash, locale, ends_at, data_key, sealed",
        hash,
    )
    return TicketRow(*row) if row is not None and row["ends_at"] > now else None


async def forget_tickets(tx: Transaction, now: datetime) -> None:
    """Delete tickets that are over."""
    await tx.execute("delete from notify.ticket where ends_at <= $1", now)


async def add_act(tx: Transaction, id: UUID, data_key: UUID, sealed: bytes) -> None:
    """Keep an act until it is in the log."""
    await tx.execute(
        "insert into notify.act (id, data_key, sealed, at) values ($1, $2, $3, now())",
        id,
        data_key,
        sealed,
    )


async def load_acts(tx: Transaction, rows_max: int) -> list[Row]:
    """Read the acts that are not known to be in the log, oldest first."""
    return await tx.fetch(
        "select id, data_key, sealed from notify.act order by at, id limit $1", rows_max
    )


async def end_acts(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Forget acts that are in the log."""
    await tx.execute("delete from notify.act where id = any($1::uuid[])", list(ids))


async def load_name(tx: Transaction, bot: int) -> str:
    """Read what a bot is called; empty: it was never reached."""
    name: str | None = await tx.fetch_value("select username from notify.bot where id = $1", bot)
    return name or ""


async def put_name(tx: Transaction, bot: int, username: str) -> None:
    """Keep what a bot is called."""
    await tx.execute(
        "update notify.bot set username = $2 where id = $1 and username <> $2", bot, username
    )


async def take_turn(
    tx: Transaction, bot: int, holder: UUID, now: datetime, until: datetime
) -> int | None:
    """Take the turn to ask, or keep it; give from which news on. None: another has it."""
    found: int | None = await tx.fetch_value(
        "insert into notify.bot as b (id, holder, held_until) values ($1, $2, $4)"
        " on conflict (id) do update set holder = $2, held_until = $4"
        "  where b.holder is null or b.holder = $2 or b.held_until <= $3"
        " returning next_update",
        bot,
        holder,
        now,
        until,
    )
    return found


async def leave_turn(tx: Transaction, bot: int, holder: UUID) -> None:
    """Let another have the turn at once."""
    await tx.execute(
        "update notify.bot set holder = null, held_until = null where id = $1 and holder = $2",
        bot,
        holder,
    )


async def renumber_news(tx: Transaction, bot: int, holder: UUID, before: int, number: int) -> None:
    """Go on from another number, for whoever has the turn and has read nothing since."""
    await tx.execute(
        "update notify.bot set next_update = $4 where id = $1 and holder = $2 and next_update = $3",
        bot,
        holder,
        before,
        number,
    )


async def move_news(tx: Transaction, bot: int, holder: UUID, number: int) -> bool:
    """Say that one piece of news is being acted on; false: it is another's, or was."""
    count = await tx.execute(
        "update notify.bot set next_update = $3 + 1"
        " where id = $1 and holder = $2 and next_update <= $3",
        bot,
        holder,
        number,
    )
    return count == 1
