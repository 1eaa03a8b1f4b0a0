"""Chats: readers link one with the bot, letters find it, what people say to it is heard."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from vendrail.api.identity import Act, Actor, ActorKind
from vendrail.api.notify import (
    ChatAsk,
    ChatEndStatus,
    ChatState,
    ChatTicket,
    ChatTicketStatus,
    ChatView,
    LetterWay,
    Message,
)
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Transaction
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.vault import DataKey, Vault
from vendrail.notify import chats
from vendrail.notify.bot import Bot, Flooded
from vendrail.notify.chats import KINDS, Heard
from vendrail.notify.decide import RANK_NEWS, is_address, stale_at
from vendrail.notify.service.acting import keep_act
from vendrail.notify.service.readers import Readers
from vendrail.notify.service.room import PURPOSE, Content, Means, Room
from vendrail.notify.store import NewMessage, add_messages
from vendrail.notify.store import chats as store
from vendrail.notify.store.chats import ChatRow, TicketRow
from vendrail.notify.wishes import PATIENT

_log = structlog.get_logger(__name__)

_CHAT, _NUMBER, _TICKET = "notify.chat", "notify.chat.number", "notify.ticket"
_TICKET_BYTES = 32
_PAGE = "/console/account/letters"
_BY = Actor(ActorKind.SYSTEM, None, "telegram")
_FAILED_S = 5.0
_TOGETHER_S = 60.0  # Two chats told to wait within this: the whole bot is meant.


class ChatContent(Record, frozen=True):
    """What is kept of a chat, sealed."""

    chat_id: int
    name: str
    locale: str
    address: str = ""  # Who is told when it ends; empty: linked by a release before.
    merchant: UUID | None = None


class TicketContent(Record, frozen=True):
    """Who has asked for a ticket: sealed."""

    address: str
    merchant: UUID | None


def copy_id(letter: UUID) -> UUID:
    """Give the id of the letter that leaves by Telegram beside this one."""
    return derive(letter, "telegram")


class Found(NamedTuple):
    """A reader's chat, to send to."""

    reader: bytes
    hash: bytes
    chat_id: int


class Wait(NamedTuple):
    """How long Telegram wants nothing more in one chat, and when it said so."""

    told_at: datetime
    until: datetime


class Chats(Room):
    """Keeps who has linked which chat; the bot is None where the platform has none."""

    def __init__(
        self, means: Means, vault: Vault, data_keys: DataKeys, readers: Readers, bot: Bot | None
    ) -> None:
        super().__init__(means)
        self._vault = vault
        self._data_keys = data_keys
        self._readers = readers
        self._bot = bot
        self._holder = new_id(means.clock.now())
        self._is_named = False
        self._paused_until: datetime | None = None  # The whole bot.
        self._waits: dict[int, Wait] = {}  # By chat; what is over is forgotten with the next.

    def _number(self, chat_id: int) -> bytes:
        return self._vault.keyed_hash(_NUMBER, str(chat_id).encode())

    async def _open(self, tx: Transaction, rows: Sequence[ChatRow]) -> dict[bytes, ChatContent]:
        """Open chats; one that cannot be opened is as if it were not linked."""
        keys = await self._data_keys.load((row.data_key for row in rows), tx)
        opened = {}
        for row in rows:
            key = keys.get(row.data_key)
            try:
                if key is not None:
                    content = self._vault.unseal(key, _CHAT, row.id, row.sealed)
                    opened[row.reader] = decode(content, ChatContent)
            except Broken:
                _log.warning("notify.chat_unread", chat=str(row.id))
        return opened

    async def read(self, addresses: Sequence[str]) -> list[ChatView]:
        """Say whether readers get letters by Telegram."""
        if self._bot is None:
            return [ChatView(ChatState.OFF)] * len(addresses)
        readers = [self._readers.hash(address) for address in addresses]
        async with self._db.reading() as tx:
            name = await store.load_name(tx, self._bot.id)
            rows = await store.load_chats(tx, readers)
            opened = await self._open(tx, list(rows.values()))
        idle = ChatView(ChatState.OPEN if name else ChatState.AWAY, name)
        return [
            ChatView(ChatState.LINKED, name, opened[reader].name, rows[reader].linked_at)
            if reader in opened
            else idle
            for reader in readers
        ]

    async def open(self, asked: ChatAsk) -> ChatTicket:
        """Give a link that links a chat; the ticket in it is kept as a hash alone."""
        if self._bot is None:
            return ChatTicket(ChatTicketStatus.OFF)
        if not is_address(asked.address):
            return ChatTicket(ChatTicketStatus.ADDRESS_MALFORMED)
        ticket = secrets.token_urlsafe(_TICKET_BYTES)
        ends_at = self._clock.now() + timedelta(seconds=chats.TICKET_LIFE_S)
        key = await self._data_keys.newest()
        async with self._db.transaction() as tx:
            name = await store.load_name(tx, self._bot.id)
            if not name:
                return ChatTicket(ChatTicketStatus.AWAY)
            reader, hash = self._readers.hash(asked.address), self._hash(ticket)
            content = encode(TicketContent(asked.address, asked.merchant))
            sealed = self._vault.seal(key, _TICKET, UUID(bytes=reader), content)
            locale = asked.locale[:20]
            await store.put_ticket(tx, TicketRow(reader, hash, locale, ends_at, key.id, sealed))
        link = f"{self._settings.telegram_links.rstrip('/')}/{name}?start={ticket}"
        return ChatTicket(ChatTicketStatus.OPENED, link, ends_at)

    def _hash(self, ticket: str) -> bytes:
        return self._vault.keyed_hash(_TICKET, ticket.encode())

    async def end(self, address: str) -> ChatEndStatus:
        """Forget a reader's chat, and the ticket that would link another."""
        reader, key = self._readers.hash(address), await self._data_keys.newest()
        async with self._db.transaction() as tx:
            await store.end_ticket(tx, reader)
            ended = await store.end_chats(tx, reader)
            await self._tell_ended(tx, ended, key)  # Whoever asked is in the log with that.
        self._wakeups.wake("notify")
        return ChatEndStatus.ENDED if ended else ChatEndStatus.NOT_LINKED

    # For letters.

    async def ways(
        self, letters: Collection[tuple[str, str]]
    ) -> Mapping[tuple[str, str], LetterWay]:
        """Say by which ways letters go, each a template and an address; left out: e-mail alone."""
        asked = {(template, address) for template, address in letters if template in KINDS}
        if self._bot is None or not asked:
            return {}
        hashes = {address: self._readers.hash(address) for _, address in asked}
        async with self._db.reading() as tx:
            linked = await store.load_chats(tx, list(hashes.values()))
        reached = {address for address, hash in hashes.items() if hash in linked}
        if not reached:
            return {}
        wishes = await self._readers.load(reached)
        return {
            (template, address): chats.way_of(template, wishes[address].ways)
            for template, address in asked
            if address in reached
        }

    async def find(self, addresses: Collection[str]) -> dict[str, Found]:
        """Find the chats of readers."""
        hashes = {address: self._readers.hash(address) for address in addresses}
        async with self._db.reading() as tx:
            rows = await store.load_chats(tx, list(hashes.values()))
            opened = await self._open(tx, list(rows.values()))
        return {
            address: Found(hash, rows[hash].hash, opened[hash].chat_id)
            for address, hash in hashes.items()
            if hash in opened
        }

    def pause(self, chat_id: int, wait_s: float) -> None:
        """Send nothing into a chat for a while, as Telegram has answered there.

        It bounds each chat and the whole bot, and does not say which of them was too much. One
        chat that waits holds up no other; once a second is told to wait within the same minute, it
        is the bot, until the shorter of both is over and a message is tried again.
        """
        now = self._clock.now()
        until = now + timedelta(seconds=wait_s)
        known = self._waits.get(chat_id)
        self._waits = {
            other: wait
            for other, wait in self._waits.items()
            if wait.until > now and other != chat_id
        }
        beside = [
            wait.until
            for wait in self._waits.values()
            if (now - wait.told_at).total_seconds() <= _TOGETHER_S
        ]
        self._waits[chat_id] = Wait(now, max(until, known.until) if known else until)
        if beside:
            self._pause_all(min(until, *beside))

    def _pause_all(self, until: datetime) -> None:
        self._paused_until = max(until, self._paused_until or until)

    def paused_until(self, chat_id: int) -> datetime | None:
        """Give until when nothing is sent into a chat; None: it may be now."""
        wait = self._waits.get(chat_id)
        waits = [each for each in (self._paused_until, wait and wait.until) if each is not None]
        until = max(waits, default=None)
        return until if until is not None and until > self._clock.now() else None

    def planned(
        self, row: NewMessage, address: str, ways: Mapping[tuple[str, str], LetterWay]
    ) -> tuple[NewMessage, NewMessage | None]:
        """Give a letter as it leaves, and the one that leaves by Telegram beside it, if one does.

        Letters by Telegram keep the order of their reader; what quiet hours hold back holds back
        nothing that they do not.
        """
        way = ways.get((row.template, address), LetterWay.MAIL)
        if way is LetterWay.MAIL:
            return row, None
        stream = UUID(bytes=self._readers.hash(address))
        if row.template not in PATIENT:
            stream = derive(stream, "now")
        by_chat = row._replace(way=LetterWay.TELEGRAM.value, stream=stream)
        if way is LetterWay.TELEGRAM:
            return by_chat, None
        return row, by_chat._replace(id=copy_id(row.id), is_copy=True)

    async def lose(self, chat: Found) -> None:
        """Forget a chat that is closed, unless the reader has linked another since."""
        key = await self._data_keys.newest()
        async with self._db.transaction() as tx:
            ended = await store.end_chats(tx, chat.reader, chat.hash)
            await self._tell_ended(tx, ended, key, "closed")
        self._wakeups.wake("notify")
        _log.info("notify.chat_closed")

    # What is told of it: a letter by e-mail, and the log.

    async def _tell_ended(
        self, tx: Transaction, ended: Sequence[ChatRow], key: DataKey, by: str = ""
    ) -> None:
        """Tell that chats get no letters any more; `by`: what was done at Telegram, if it was."""
        opened = await self._open(tx, ended)
        for row in ended:
            if (content := opened.get(row.reader)) is not None:
                await self._tell(tx, "ended", content, key)
                if by:
                    await self._keep_act(tx, "chat.ended", content, key, {"by": by})

    async def _tell(self, tx: Transaction, step: str, chat: ChatContent, key: DataKey) -> None:
        """Keep the letter about a chat, by e-mail alone: who did not do it is to hear of it."""
        if not chat.address:
            return
        now = self._clock.now()
        link = f"{self._settings.public_url.rstrip('/')}{_PAGE}"
        values = {"step": step, "chat": chat.name or "Telegram", "link": link}
        message = Message(new_id(now), chat.address, "chat", chat.locale, values)
        content = encode(Content(message.recipient, message.locale, values))
        sealed = self._vault.seal(key, PURPOSE, message.id, content)
        ends_at = stale_at(message, now)
        letter = NewMessage(message.id, message.template, sealed, ends_at, None, RANK_NEWS)
        await add_messages(tx, [letter], key.id, now)

    async def _keep_act(
        self, tx: Transaction, act: str, chat: ChatContent, key: DataKey, after: dict[str, str]
    ) -> None:
        if chat.address:
            id, subject = new_id(self._clock.now()), f"person:{chat.address}"
            told = Act(id, _BY, act, subject, chat.merchant, after=after | {"chat": chat.name})
            await keep_act(tx, self._vault, key, told)

    # What people say to the bot.

    async def listen(self) -> bool:
        """Hear the bot's news, if it is this process's turn to ask; true: there may be more."""
        bot = self._bot
        if bot is None:
            return False
        now, hold_s = self._clock.now(), self._settings.telegram_poll_s
        if self._paused_until is not None and self._paused_until > now:
            await self._clock.sleep(min(_FAILED_S, (self._paused_until - now).total_seconds()))
            return False
        until = now + timedelta(seconds=hold_s + self._settings.telegram_timeout_s + 10)
        async with self._db.reading() as tx:
            since = await store.take_turn(tx, bot.id, self._holder, now, until)
        if since is None:
            return False
        try:
            if not self._is_named:
                await self._name(bot)
            news = await bot.read_news(since, hold_s)
        except Flooded as error:  # No chat is in such a question: it is said to the whole bot.
            _log.warning("notify.no_news", problem=error.message)
            self._pause_all(self._clock.now() + timedelta(seconds=error.retry_after_s))
            return False
        except Unavailable as error:
            _log.warning("notify.no_news", problem=error.message)
            await self._clock.sleep(_FAILED_S)
            return False
        numbers = [each["update_id"] for each in news if isinstance(each.get("update_id"), int)]
        if numbers and max(numbers) < since:
            # After a week without any, the numbers begin anew wherever Telegram likes.
            async with self._db.reading() as tx:
                await store.renumber_news(tx, bot.id, self._holder, since, min(numbers))
        heard = [await self._hear(bot, update) for update in news]
        return any(heard)

    async def leave(self) -> None:
        """Let another process have the turn."""
        if self._bot is not None:
            async with self._db.reading() as tx:
                await store.leave_turn(tx, self._bot.id, self._holder)

    async def _name(self, bot: Bot) -> None:
        name = await bot.read_name()
        async with self._db.reading() as tx:
            await store.put_name(tx, bot.id, name)
        self._is_named = bool(name)

    async def _hear(self, bot: Bot, update: Mapping[str, Any]) -> bool:
        number = update.get("update_id")
        if not isinstance(number, int):
            return False
        heard = chats.hear(update)
        key = await self._data_keys.newest()
        answer = None
        async with self._db.transaction() as tx:
            if not await store.move_news(tx, bot.id, self._holder, number):
                return False
            if heard is not None:
                answer = await self._act(tx, heard, key)
        self._wakeups.wake("notify")
        if heard is not None and answer is not None:
            what, language = answer
            await bot.say(heard.chat_id, chats.say(what, language, self._settings.site_name))
        return True

    async def _act(self, tx: Transaction, heard: Heard, key: DataKey) -> tuple[str, str] | None:
        """Do what somebody said; give what to answer, and in which language."""
        hash = self._number(heard.chat_id)
        if heard.deed in ("block", "stop"):
            ended = await store.end_chats(tx, hash=hash)
            await self._tell_ended(tx, ended, key, heard.deed)
            if heard.deed == "block":
                return None
            return (chats.ENDED if ended else chats.STRANGER), heard.language
        if heard.deed != "start":
            return None
        if not heard.ticket:
            return chats.STRANGER, heard.language
        now = self._clock.now()
        ticket = await store.use_ticket(tx, self._hash(heard.ticket), now)
        if ticket is None:
            return chats.OLD, heard.language
        whose = await self._whose(tx, ticket)
        id = new_id(now)
        chat = ChatContent(heard.chat_id, heard.name, ticket.locale, whose.address, whose.merchant)
        sealed = self._vault.seal(key, _CHAT, id, encode(chat))
        await store.put_chat(tx, ChatRow(ticket.reader, id, hash, key.id, sealed, now))
        await self._tell(tx, "linked", chat, key)
        await self._keep_act(tx, "chat.linked", chat, key, {})
        return chats.LINKED, ticket.locale

    async def _whose(self, tx: Transaction, ticket: TicketRow) -> TicketContent:
        """Open whom a ticket is of; nobody is told of one that the release before has opened."""
        keys = await self._data_keys.load([ticket.data_key], tx)
        key = keys.get(ticket.data_key) if ticket.data_key else None
        if key is None or ticket.sealed is None:
            return TicketContent("", None)
        row = UUID(bytes=ticket.reader)
        return decode(self._vault.unseal(key, _TICKET, row, ticket.sealed), TicketContent)
