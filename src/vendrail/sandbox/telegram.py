"""Telegram's Bot API, as far as a bot that writes and listens needs it; as strict as it is."""

import asyncio
import math
import re
from collections import deque
from datetime import datetime
from typing import Any

import msgspec

from vendrail.kernel.clock import Clock

# The bot that is always there, for the demo; whoever makes others is given their tokens.
TOKEN = "7000000001:AAEsandbox-vendrail-demo-bot-token-0"  # noqa: S105  # Opens nothing real.
USERNAME = "vendrail_demo_bot"

TEXT_UNITS_MAX = 4_096
_KEPT_MAX = 500
# "Avoid sending more than one message per second" into a chat, though "short bursts" pass, and
# "not more than 30 messages per second or so" over all of them.
_CHAT_PER_S = 1.0
_CHAT_BURST_MAX = 10
_BOT_PER_S_MAX = 30
_TAGS = frozenset(
    {
        "b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "span", "tg-spoiler", "a",
        "code", "pre", "blockquote", "tg-emoji",
    }
)  # fmt: skip
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s[^<>]*)?)>")
_ENTITY = re.compile(r"&(?:(lt|gt|amp|quot)|#(\d{1,7})|#x([0-9a-fA-F]{1,6}));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}

Reply = dict[str, Any]


class Refused(Exception):
    """The Bot API says no: a code, a description, perhaps how long to wait."""

    def __init__(self, code: int, description: str, retry_after: int = 0) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after = retry_after

    def reply(self) -> Reply:
        """Write the refusal as the Bot API does."""
        told: Reply = {"ok": False, "error_code": self.code, "description": self.description}
        if self.retry_after:
            told["parameters"] = {"retry_after": self.retry_after}
        return told


class Mishap(msgspec.Struct, forbid_unknown_fields=True):
    """A mistake that was ordered: a refusal, or an answer that is lost before or after the deed."""

    method: str = "sendMessage"
    chat: int = 0  # The one chat that it happens in; 0: any.
    kind: str = "refuse"  # `refuse`, `lose_before`, `lose_after`, `page`.
    code: int = 500
    description: str = "Internal Server Error"
    retry_after: int = 0
    times: int = 1


class Line(msgspec.Struct):
    """One message in a chat, as both sides see it."""

    message_id: int
    is_bots: bool
    text: str  # As it is read, without markup.
    html: str  # As the bot sent it.
    at: datetime


class Chat:
    """One person's chat with one bot."""

    def __init__(self, person: int, name: str, language: str) -> None:
        self.person = person
        self.name = name
        self.language = language
        self.is_started = False  # A bot can only write to whoever wrote to it first.
        self.is_blocked = False
        self.lines: deque[Line] = deque(maxlen=_KEPT_MAX)
        self.burst = 0.0  # How many messages it has had too soon, as of the last one.
        self.sent_at: datetime | None = None

    @property
    def as_user(self) -> Reply:
        """Describe the person as the Bot API does."""
        return {
            "id": self.person,
            "is_bot": False,
            "first_name": self.name,
            "language_code": self.language,
        }

    @property
    def as_chat(self) -> Reply:
        """Describe the chat as the Bot API does."""
        return {"id": self.person, "first_name": self.name, "type": "private"}


class Bot:
    """One bot: its chats, its news, who asks for them."""

    def __init__(self, token: str, username: str, clock: Clock) -> None:
        self.token = token
        self.id = int(token.partition(":")[0])
        self.username = username
        self.chats: dict[int, Chat] = {}
        self.webhook = ""
        self.mishaps: list[Mishap] = []
        self._clock = clock
        self._news: deque[Reply] = deque(maxlen=_KEPT_MAX)
        # Numbers go on rising when the sandbox starts again, as they do there.
        self._update_id = int(clock.now().timestamp())
        self._message_id = 0
        self._allowed: list[str] = []
        self._sent_at: deque[datetime] = deque(maxlen=_BOT_PER_S_MAX)
        self._asker: object | None = None
        self._stirred = asyncio.Event()

    def chat(self, person: int, name: str = "", language: str = "en") -> Chat:
        """Give a person's chat; a new one is not started yet."""
        known = self.chats.get(person)
        if known is None:
            known = self.chats[person] = Chat(person, name or f"Person {person}", language)
        return known

    # What people do.

    def hear(self, chat: Chat, text: str) -> None:
        """Let a person write to the bot; the first message starts the chat."""
        if chat.is_blocked:
            self.unblock(chat)
        chat.is_started = True
        line = self._line(chat, text, text, is_bots=False)
        message = {
            "message_id": line.message_id,
            "from": chat.as_user,
            "chat": chat.as_chat,
            "date": int(line.at.timestamp()),
            "text": text,
        }
        self._tell("message", message)

    def block(self, chat: Chat) -> None:
        """Let a person block the bot."""
        if not chat.is_blocked:
            chat.is_blocked = True
            self._tell_member(chat, "member", "kicked")

    def unblock(self, chat: Chat) -> None:
        """Let a person open the chat to the bot again."""
        if chat.is_blocked:
            chat.is_blocked = False
            self._tell_member(chat, "kicked", "member")

    def _tell_member(self, chat: Chat, before: str, after: str) -> None:
        bot = {"id": self.id, "is_bot": True, "first_name": self.username}
        member = {
            "chat": chat.as_chat,
            "from": chat.as_user,
            "date": int(self._clock.now().timestamp()),
            "old_chat_member": {"user": bot, "status": before},
            "new_chat_member": {"user": bot, "status": after},
        }
        self._tell("my_chat_member", member)

    def _tell(self, kind: str, what: Reply) -> None:
        if self._allowed and kind not in self._allowed:
            return
        self._update_id += 1
        self._news.append({"update_id": self._update_id, kind: what})
        self._stirred.set()

    def _line(self, chat: Chat, text: str, html: str, *, is_bots: bool) -> Line:
        self._message_id += 1
        line = Line(self._message_id, is_bots, text, html, self._clock.now())
        chat.lines.append(line)
        return line

    # What the bot's program asks.

    async def call(self, method: str, given: Reply) -> Any:
        """Do what a method does; method names are read in any case, as there."""
        match method.lower():
            case "getme":
                return {
                    "id": self.id,
                    "is_bot": True,
                    "first_name": self.username,
                    "username": self.username,
                    "can_join_groups": True,
                    "can_read_all_group_messages": False,
                    "supports_inline_queries": False,
                }
            case "getupdates":
                return await self._get_updates(given)
            case "sendmessage":
                return self._send_message(given)
            case "setwebhook":
                self.webhook = str(given.get("url", ""))
                return True
            case "deletewebhook":
                self.webhook = ""
                return True
        raise Refused(404, "Not Found")

    async def _get_updates(self, given: Reply) -> list[Reply]:
        if self.webhook:
            raise Refused(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook"
                " to delete the webhook first",
            )
        if isinstance(allowed := given.get("allowed_updates"), list):
            self._allowed = [str(each) for each in allowed]
        offset, limit = _number(given, "offset", 0), _number(given, "limit", 100)
        limit = min(max(limit, 1), 100)
        if offset < 0:
            while len(self._news) > -offset:
                self._news.popleft()
        if offset > self._update_id + 1:
            offset = 0  # A number that is yet to come, as after numbering anew: all are told again.
        while offset > 0 and self._news and self._news[0]["update_id"] < offset:
            self._news.popleft()  # It was confirmed by asking for what is behind it.
        me = self._asker = object()
        self._stirred.set()  # Whoever waits already is turned away.
        await asyncio.sleep(0)
        self._stirred.clear()
        hold_s = min(max(_number(given, "timeout", 0), 0), 50)
        if not self._news and hold_s:
            try:
                async with asyncio.timeout(hold_s):
                    await self._stirred.wait()
            except TimeoutError:
                pass
        if self._asker is not me:
            raise Refused(
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot"
                " instance is running",
            )
        return list(self._news)[:limit]

    def _send_message(self, given: Reply) -> Reply:
        if given.get("chat_id") in (None, ""):
            raise Refused(400, "Bad Request: chat_id is empty")
        number = str(given["chat_id"])
        chat = self.chats.get(int(number)) if re.fullmatch(r"-?\d{1,18}", number) else None
        if chat is None or not chat.is_started:
            raise Refused(400, "Bad Request: chat not found")
        source = str(given.get("text") or "")
        text = source
        match str(given.get("parse_mode") or "").lower():
            case "html":
                text = read_html(source)
            case "" | "markdown" | "markdownv2":
                pass
            case _:
                raise Refused(400, "Bad Request: unsupported parse_mode")
        text = text.strip()
        if not text:
            raise Refused(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > TEXT_UNITS_MAX:
            raise Refused(400, "Bad Request: message is too long")
        if chat.is_blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        self._bound(chat)
        line = self._line(chat, text, source, is_bots=True)
        return {
            "message_id": line.message_id,
            "from": {"id": self.id, "is_bot": True, "first_name": self.username},
            "chat": chat.as_chat,
            "date": int(line.at.timestamp()),
            "text": text,
        }

    def _bound(self, chat: Chat) -> None:
        """Refuse who writes too fast into one chat, or into all of them together."""
        now = self._clock.now()
        if len(self._sent_at) == _BOT_PER_S_MAX:
            _refuse_before(1.0 - (now - self._sent_at[0]).total_seconds())
        gone_s = (now - chat.sent_at).total_seconds() if chat.sent_at is not None else 0.0
        burst = max(0.0, chat.burst - gone_s * _CHAT_PER_S)
        _refuse_before((burst + 1 - _CHAT_BURST_MAX) / _CHAT_PER_S)
        chat.burst, chat.sent_at = burst + 1, now
        self._sent_at.append(now)

    def take_mishap(self, method: str, chat: str) -> Mishap | None:
        """Use up a mistake that was ordered for a method, and perhaps for one chat."""
        for mishap in self.mishaps:
            is_there = not mishap.chat or str(mishap.chat) == chat
            if mishap.method.lower() == method.lower() and is_there:
                mishap.times -= 1
                if mishap.times <= 0:
                    self.mishaps.remove(mishap)
                return mishap
        return None


def _refuse_before(wait_s: float) -> None:
    if wait_s > 0:
        wait = math.ceil(wait_s)  # It says whole seconds.
        raise Refused(429, f"Too Many Requests: retry after {wait}", wait)


def _number(given: Reply, name: str, otherwise: int) -> int:
    value = given.get(name, otherwise)
    text = str(value)
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else otherwise


def read_html(source: str) -> str:
    """Read a text in Telegram's HTML; what it does not know, it refuses."""
    text: list[str] = []
    opened: list[str] = []
    at = 0
    while at < len(source):
        if source[at] == "<":
            found = _TAG.match(source, at)
            offset = len(source[:at].encode())
            if found is None:
                raise Refused(
                    400,
                    "Bad Request: can't parse entities: Unsupported start tag at byte offset"
                    f" {offset}",
                )
            tag = found[2].lower()
            if found[1]:
                if not opened or opened[-1] != tag:
                    raise Refused(
                        400,
                        "Bad Request: can't parse entities: Unexpected end tag at byte offset"
                        f" {offset}",
                    )
                opened.pop()
            elif tag not in _TAGS:
                raise Refused(
                    400,
                    f'Bad Request: can\'t parse entities: Unsupported start tag "{tag}" at byte'
                    f" offset {offset}",
                )
            else:
                opened.append(tag)
            at = found.end()
            continue
        entity = _ENTITY.match(source, at) if source[at] == "&" else None
        if entity is None:
            text.append(source[at])
            at += 1
            continue
        text.append(_named(entity))
        at = entity.end()
    if opened:
        raise Refused(
            400,
            "Bad Request: can't parse entities: Can't find end tag corresponding to start tag"
            f' "{opened[-1]}"',
        )
    return "".join(text)


def _named(entity: re.Match[str]) -> str:
    if entity[1]:
        return _NAMED[entity[1]]
    number = int(entity[2]) if entity[2] else int(entity[3], 16)
    is_letter = 0 < number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF
    return chr(number) if is_letter else entity[0]
