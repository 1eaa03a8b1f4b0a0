"""Sending: due messages leave, each once, in the order of their stream, no faster than allowed."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from jinja2 import TemplateError

from vendrail.api.notify import LetterState
from vendrail.kernel.codec import decode
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.errors import Broken, Error
from vendrail.kernel.ids import new_id
from vendrail.kernel.vault import DataKey, Vault
from vendrail.notify import chats, letters, store
from vendrail.notify.bot import Bot, Note
from vendrail.notify.concerns import TEMPLATES
from vendrail.notify.decide import Fate, retry
from vendrail.notify.notices import LIVES_S
from vendrail.notify.senders import Letter, Outcome, Report, Sender
from vendrail.notify.service.chats import Chats, Found
from vendrail.notify.service.news import News
from vendrail.notify.service.readers import Readers
from vendrail.notify.service.room import PURPOSE, Content, Means, Room
from vendrail.notify.service.watching import Watching
from vendrail.notify.store import DueMessage
from vendrail.notify.wishes import PATIENT, quiet_end

_log = structlog.get_logger(__name__)

_CLAIMED_MAX = 8
_AS_MEANT = (LetterState.SENT, LetterState.OVERTAKEN, LetterState.UNWANTED)
_TELEGRAM = "telegram"
_COUNTERS = {"mail": "vendrail_letters_total", _TELEGRAM: "vendrail_telegram_letters_total"}
_FRESH_S = 5.0  # How long what was read of an order is believed.
_AWAY_S = 5.0


class Read(NamedTuple):
    """What is known of claimed messages: what they say, or what becomes of them unsent."""

    contents: Mapping[UUID, Content]
    fates: Mapping[UUID, Fate]
    chats: Mapping[str, Found]  # Of readers, by address.


class Sending(Room):
    """Sends what is due; several may run beside each other, here and in other processes."""

    def __init__(
        self,
        means: Means,
        vault: Vault,
        data_keys: DataKeys,
        sender: Sender,
        bot: Bot | None,
        readers: Readers,
        linked: Chats,
        news: News | None,
        watching: Watching | None,
    ) -> None:
        super().__init__(means)
        self._vault = vault
        self._data_keys = data_keys
        self._sender = sender
        self._bot = bot
        self._readers = readers
        self._linked = linked
        # Who writes what leaves unsealed, by template.
        self._writers: dict[str, News | Watching] = {}
        if news is not None:
            self._writers |= dict.fromkeys(LIVES_S, news)
        if watching is not None:
            self._writers |= dict.fromkeys(TEMPLATES.values(), watching)

    async def send_due(self) -> bool:
        """Send a few due messages, no faster than is allowed; true: there may be more."""
        now, lease = self._clock.now(), new_id(self._clock.now())
        # Long enough for each of them to time out, one after another.
        timeout_s = self._settings.smtp_timeout_s
        if self._bot is not None:
            timeout_s = max(timeout_s, self._settings.telegram_timeout_s)
        lost_at = now + timedelta(seconds=60 + _CLAIMED_MAX * 3 * timeout_s)
        async with self._db.transaction() as tx:
            stale = await store.drop_stale(tx, now)
            claimed = await store.claim_messages(tx, now, lost_at, lease, _CLAIMED_MAX)
            keys = await self._data_keys.load((each.data_key for each in claimed), tx)
        self._count([(way, template, LetterState.STALE) for template, way in stale])
        left = list(claimed)
        while left:
            read = await self._read(left, keys)
            read_at = self._clock.now()
            await self._end(lease, [(m, fate) for m in left if (fate := read.fates.get(m.id))])
            left = [message for message in left if message.id not in read.fates]
            while left and (self._clock.now() - read_at).total_seconds() < _FRESH_S:
                message = left.pop(0)
                content = read.contents[message.id]
                if message.way == _TELEGRAM:
                    chat = read.chats[content.recipient]
                    fate = await self._send_note(lease, message, content, chat)
                else:
                    fate = await self._send(lease, message, content)
                if fate is not None:
                    await self._end(lease, [(message, fate)])
                await self._clock.sleep(1.0 / self._settings.messages_per_s_max)
        return bool(claimed)  # What stood behind one of these in its stream may leave now.

    async def _read(self, messages: Sequence[DueMessage], keys: Mapping[UUID, DataKey]) -> Read:
        """Open what is sealed, read news as it is now, and sort out what will not leave."""
        now = self._clock.now()
        contents: dict[UUID, Content] = {}
        fates: dict[UUID, Fate] = {}
        news = []
        for message in messages:
            if message.was_sending and not self._is_repeatable(message):
                problem = "Its sender was lost; it may have left."
                fates[message.id] = Fate(LetterState.UNKNOWN, now, problem)
            elif message.stale_at <= now:
                fates[message.id] = Fate(LetterState.STALE, now, "")
            elif message.sealed is None:
                news.append(message)
            else:
                self._open(message, keys, contents, fates)
        groups: dict[News | Watching | None, list[DueMessage]] = {}
        for message in news:
            groups.setdefault(self._writers.get(message.template), []).append(message)
        for writer, group in groups.items():
            await self._read_news(writer, group, contents, fates)
        await self._heed(messages, contents, fates)
        return Read(contents, fates, await self._reach(messages, contents, fates))

    def _is_repeatable(self, message: DueMessage) -> bool:
        return message.way != _TELEGRAM and self._sender.is_repeatable

    async def _reach(
        self,
        messages: Sequence[DueMessage],
        contents: Mapping[UUID, Content],
        fates: dict[UUID, Fate],
    ) -> Mapping[str, Found]:
        """Find the chats that letters go to; where there is none, they go by e-mail."""
        notes = [m for m in messages if m.way == _TELEGRAM and m.id in contents]
        notes = [message for message in notes if message.id not in fates]
        if not notes:
            return {}
        found: Mapping[str, Found] = {}
        if self._bot is not None:
            found = await self._linked.find({contents[each.id].recipient for each in notes})
        for message in notes:
            chat = found.get(contents[message.id].recipient)
            if chat is None:
                fates[message.id] = self._divert(message, "The chat is not linked any more.")
            elif (pause := self._pause(message, chat)) is not None:
                fates[message.id] = pause
        return found

    def _pause(self, message: DueMessage, chat: Found) -> Fate | None:
        """Let a message wait while Telegram wants none in its chat; None: it may leave."""
        until = self._linked.paused_until(chat.chat_id)
        if until is None:
            return None
        if until >= message.stale_at:
            return self._divert(message, "")
        return Fate(LetterState.WAITING, until, "", is_tried=False)

    def _divert(self, message: DueMessage, problem: str) -> Fate:
        """Let a letter that does not go by Telegram go by e-mail, unless it does already."""
        now = self._clock.now()
        if message.is_copy:
            return Fate(LetterState.UNWANTED, now, problem)
        return Fate(LetterState.WAITING, now, problem, is_diverted=True)

    async def _heed(
        self,
        messages: Sequence[DueMessage],
        contents: Mapping[UUID, Content],
        fates: dict[UUID, Fate],
    ) -> None:
        """Sort out what its reader does not want, or not at this hour; most letters ask nobody."""
        asked = [m for m in messages if m.id in contents and m.template in PATIENT]
        if not asked:
            return
        now = self._clock.now()
        wishes = await self._readers.load({contents[each.id].recipient for each in asked})
        for message in asked:
            reader = wishes[contents[message.id].recipient]
            end = quiet_end(reader, now)
            if message.template in reader.unwanted:
                fates[message.id] = Fate(LetterState.UNWANTED, now, "")
            elif end is not None and end >= message.stale_at:
                fates[message.id] = Fate(LetterState.STALE, now, "")
            elif end is not None:
                fates[message.id] = Fate(LetterState.WAITING, end, "", is_tried=False)

    def _open(
        self,
        message: DueMessage,
        keys: Mapping[UUID, DataKey],
        contents: dict[UUID, Content],
        fates: dict[UUID, Fate],
    ) -> None:
        now = self._clock.now()
        key = keys.get(message.data_key) if message.data_key else None
        if key is None or message.sealed is None:
            fates[message.id] = Fate(LetterState.FAILED, now, "Its data key is gone.")
            return
        try:
            sealed = self._vault.unseal(key, PURPOSE, message.id, message.sealed)
            contents[message.id] = decode(sealed, Content)
        except Error as error:
            problem = f"It cannot be opened: {type(error).__name__}."
            fates[message.id] = Fate(LetterState.FAILED, now, problem)

    async def _read_news(
        self,
        writer: News | Watching | None,
        messages: Sequence[DueMessage],
        contents: dict[UUID, Content],
        fates: dict[UUID, Fate],
    ) -> None:
        now = self._clock.now()
        again_at = now + timedelta(seconds=_AWAY_S)
        if writer is None:
            for message in messages:
                fates[message.id] = Fate(LetterState.WAITING, again_at, "", is_tried=False)
            return
        try:
            drafts = await writer.write(messages)
        except Broken:
            if len(messages) > 1:  # One that cannot be read must not hold up the others.
                for message in messages:
                    await self._read_news(writer, [message], contents, fates)
                return
            [message] = messages
            problem = "What it is about cannot be read."
            fates[message.id] = self._again(message, problem)
            return
        except Error as error:
            _log.warning("notify.unread", count=len(messages), error=str(error))
            for message in messages:
                fates[message.id] = Fate(
                    LetterState.WAITING,
                    again_at,
                    "What it tells could not be read.",
                    is_tried=False,
                )
            return
        for message, draft in zip(messages, drafts, strict=True):
            if draft is None:
                fates[message.id] = Fate(LetterState.OVERTAKEN, now, "")
            else:
                contents[message.id] = Content(draft.recipient, draft.locale, draft.values)

    async def _send(self, lease: UUID, message: DueMessage, content: Content) -> Fate | None:
        """Send one claimed message; no transaction is open meanwhile. None: it is not ours."""
        now = self._clock.now()
        try:
            email = letters.write(
                message.id,
                message.template,
                content.locale,
                content.values,
                recipient=content.recipient,
                sender=self._settings.sender_address,
                site_name=self._settings.site_name,
                at=now,
                off_link=self._readers.link(content.recipient, message.template, now),
            )
        except (TemplateError, ValueError) as error:
            problem = f"It cannot be written: {type(error).__name__}."
            return Fate(LetterState.FAILED, now, problem)

        async def leaving() -> bool:
            async with self._db.reading() as tx:
                return await store.mark_leaving(tx, message.id, lease, self._clock.now())

        report = await self._sender.send(Letter(message.id, email), leaving)
        return self._fate(message, report)

    async def _send_note(
        self, lease: UUID, message: DueMessage, content: Content, chat: Found
    ) -> Fate | None:
        """Send one claimed message into a chat. None: it is not ours."""
        pause = self._pause(message, chat)
        if pause is not None or self._bot is None:
            return pause or self._divert(message, "")
        values = chats.bare(content.values)
        site_name = self._settings.site_name
        try:
            subject, body = letters.write_text(message.template, content.locale, values, site_name)
        except TemplateError as error:
            problem = f"It cannot be written: {type(error).__name__}."
            return Fate(LetterState.FAILED, self._clock.now(), problem)

        async def leaving() -> bool:
            async with self._db.reading() as tx:
                return await store.mark_leaving(tx, message.id, lease, self._clock.now())

        text = chats.compose(subject, body, values.get("link", ""))
        report = await self._bot.send(Note(message.id, chat.chat_id, text), leaving)
        if report.outcome is Outcome.GONE:
            await self._linked.lose(chat)
        if report.outcome in (Outcome.GONE, Outcome.REFUSED):
            return self._divert(message, report.problem)
        if report.wait_s:
            self._linked.pause(chat.chat_id, report.wait_s)
            return self._pause(message, chat)
        fate = self._fate(message, report)
        # Tried for the last time, while it is still worth a mail.
        is_over = fate is not None and fate.state in (LetterState.FAILED, LetterState.STALE)
        if fate is not None and is_over and message.stale_at > self._clock.now():
            return self._divert(message, fate.problem)
        return fate

    def _fate(self, message: DueMessage, report: Report) -> Fate | None:
        now = self._clock.now()
        match report.outcome:
            case Outcome.SENT:
                return Fate(LetterState.SENT, now, "")
            case Outcome.REFUSED | Outcome.GONE:
                return Fate(LetterState.FAILED, now, report.problem)
            case Outcome.UNKNOWN:
                return Fate(LetterState.UNKNOWN, now, report.problem)
            case Outcome.LOST:
                return Fate(LetterState.STALE, now, "") if message.stale_at <= now else None
            case Outcome.AGAIN:
                return self._again(message, report.problem)

    def _again(self, message: DueMessage, problem: str) -> Fate:
        now, attempts_max = self._clock.now(), self._settings.attempts_max
        return retry(message.attempts, attempts_max, now, message.stale_at, problem)

    async def _end(self, lease: UUID, fates: Sequence[tuple[DueMessage, Fate]]) -> None:
        if fates:
            # A sender that is stopped now writes and counts what has happened all the same.
            await asyncio.shield(self._write_ends(lease, fates))

    async def _write_ends(self, lease: UUID, fates: Sequence[tuple[DueMessage, Fate]]) -> None:
        async with self._db.reading() as tx:
            mine = await store.end_messages(tx, lease, fates)
        ended = [(message, fate) for message, fate in fates if message.id in mine]
        self._count_ended(ended)
        for message, fate in ended:
            if fate.state in _AS_MEANT or (fate.state is LetterState.WAITING and not fate.problem):
                continue
            _log.warning(
                "notify.not_sent",
                message=str(message.id),
                state=str(fate.state),
                problem=fate.problem,
            )

    def _count_ended(self, ended: Sequence[tuple[DueMessage, Fate]]) -> None:
        self._count(
            [
                (message.way, message.template, fate.state)
                for message, fate in ended
                if fate.state is not LetterState.WAITING
            ]
        )
        diverted = [(message.template, "diverted") for message, fate in ended if fate.is_diverted]
        self._metrics.count_each("vendrail_telegram_letters_total", diverted)

    def _count(self, ends: Sequence[tuple[str, str, LetterState]]) -> None:
        for way, metric in _COUNTERS.items():
            counted = [(template, state.value) for by, template, state in ends if by == way]
            self._metrics.count_each(metric, counted)
