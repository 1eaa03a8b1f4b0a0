"""Telegram in the sandbox: the Bot API's doors, a tester's phone, its control routes."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from litestar import MediaType, Request, Response, delete, get, post, route
from litestar.enums import HttpMethod
from litestar.params import FromPath, FromQuery

from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Malformed
from vendrail.sandbox.emulations import Place, ReadyAccount, answer_json, require_token
from vendrail.sandbox.pages import redirect, render
from vendrail.sandbox.telegram import TOKEN, USERNAME, Bot, Chat, Mishap, Refused

AnyRequest = Request[Any, Any, Any]
_TESTER = 5_001  # Whoever opens the phone's page.
_PHONE = "/telegram/phone"
_PEOPLE_MAX = 1_000
_KINDS = frozenset({"refuse", "lose_before", "lose_after", "page"})


class TelegramEmulation:
    """A Telegram that has bots, and people who write to them."""

    name = "telegram"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.bots = {TOKEN: Bot(TOKEN, USERNAME, place.clock)}

    @property
    def state(self) -> Mapping[str, object]:
        """Give what its routes find in the application's state."""
        return {self.name: self}

    @property
    def routes(self) -> Sequence[Any]:
        """Give its doors, its page and its control routes."""
        return _ROUTES

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do nothing by itself: bots ask."""
        yield

    def open_account(self, base_url: str) -> ReadyAccount | None:
        """Open none: nobody is paid by it."""
        return None

    def make(self, username: str) -> Bot:
        """Make a bot, as @BotFather does; one that is there is given again."""
        known = [bot for bot in self.bots.values() if bot.username == username]
        if known:
            return known[0]
        token = f"{7_000_000_002 + len(self.bots)}:AA{secrets.token_urlsafe(25)}"
        bot = self.bots[token] = Bot(token, username, self.place.clock)
        return bot

    def named(self, username: str) -> Bot:
        """Find a bot by its name."""
        for bot in self.bots.values():
            if bot.username == username:
                return bot
        raise Malformed(f"There is no bot {username!r}.")


def _of(request: AnyRequest) -> TelegramEmulation:
    emulation: TelegramEmulation = request.app.state.telegram
    return emulation


# The doors.


@route(
    "/telegram/{bot:str}/{method:str}",
    http_method=[HttpMethod.GET, HttpMethod.POST],
    status_code=200,
)
async def call(request: AnyRequest, bot: FromPath[str], method: FromPath[str]) -> Response[bytes]:
    """Answer a bot's program: parameters come as JSON, as a form or in the query, as there."""
    try:
        known = _find(_of(request), bot)
        given = dict(request.query_params) | await _given(request)
        mishap = known.take_mishap(method, str(given.get("chat_id", "")))
        if mishap is not None and mishap.kind == "refuse":
            raise Refused(mishap.code, mishap.description, mishap.retry_after)
        if mishap is not None and mishap.kind == "lose_before":
            return _cut_off()
        result = await known.call(method, given)
        if mishap is not None and mishap.kind == "lose_after":
            return _cut_off()
        if mishap is not None:
            return _bad_gateway()
    except asyncio.CancelledError:
        return _bad_gateway()  # The sandbox ends while a bot waits for news.
    except Refused as refused:
        return answer_json(refused.reply(), refused.code)
    return answer_json({"ok": True, "result": result})


def _bad_gateway() -> Response[bytes]:
    page = b"<!doctype html><title>502 Bad Gateway</title>"
    return Response(page, status_code=502, media_type=MediaType.HTML)


def _cut_off() -> Response[bytes]:
    """Promise more than comes, so that whoever reads knows nothing."""
    headers = {"Content-Length": "1000"}
    return Response(b'{"ok":', media_type=MediaType.JSON, headers=headers)


def _find(emulation: TelegramEmulation, part: str) -> Bot:
    if not part.startswith("bot"):
        raise Refused(404, "Not Found")
    bot = emulation.bots.get(part[3:])
    if bot is None:
        raise Refused(401, "Unauthorized")
    return bot


async def _given(request: AnyRequest) -> dict[str, Any]:
    body = await request.body()
    if not body:
        return {}
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            return decode(body, dict[str, Any])
        except Malformed:
            raise Refused(400, "Bad Request: can't parse request body") from None
    return dict(parse_qsl(body.decode("utf-8", "replace")))


# The tester's phone.


def _person(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else _TESTER


def _phone(bot: Bot, person: int, ticket: str = "") -> Response[str]:
    chat = bot.chat(person) if len(bot.chats) < _PEOPLE_MAX else Chat(person, "", "en")
    return render(
        "telegram.html", 200, bot=bot.username, chat=chat, ticket=ticket, path=_PHONE, person=person
    )


def _back(bot: str, person: int) -> Response[str]:
    return redirect(f"{_PHONE}?bot={quote(bot)}&person={person}")


@get(_PHONE)
async def show_phone(
    request: AnyRequest, bot: FromQuery[str] = USERNAME, person: FromQuery[str] = ""
) -> Response[str]:
    """Show a person's chat with a bot."""
    return _phone(_of(request).named(bot), _person(person))


@get("/telegram/t.me/{username:str}")
async def follow_link(
    request: AnyRequest, username: FromPath[str], start: FromQuery[str] = ""
) -> Response[str]:
    """Open a bot as a link of t.me does: what it carries is sent by pressing Start."""
    return _phone(_of(request).named(username), _TESTER, start[:64])


@post(f"{_PHONE}/{{deed:str}}")
async def act(request: AnyRequest, deed: FromPath[str]) -> Response[str]:
    """Write to the bot, block it, or open the chat to it again."""
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    bot = _of(request).named(form.get("bot", USERNAME))
    person = _person(form.get("person", ""))
    chat = bot.chat(person)
    text = form.get("text", "").strip()[:4_096]
    if deed == "write" and text:
        bot.hear(chat, text)
    elif deed == "block":
        bot.block(chat)
    elif deed == "unblock":
        bot.unblock(chat)
    return _back(bot.username, person)


# Control routes.


class NewBot(msgspec.Struct, forbid_unknown_fields=True):
    """A bot to make."""

    username: str


class Writing(msgspec.Struct, forbid_unknown_fields=True):
    """What a person does to a bot: `write`, `block` or `unblock`."""

    bot: str
    person: int
    deed: str = "write"
    text: str = ""
    name: str = ""
    language: str = "en"


@post("/sandbox/telegram/bots", guards=[require_token])
async def make_bot(request: AnyRequest) -> Response[bytes]:
    """Make a bot; the answer is its token."""
    bot = _of(request).make(decode(await request.body(), NewBot).username)
    return answer_json({"id": bot.id, "username": bot.username, "token": bot.token}, 201)


@post("/sandbox/telegram/deeds", guards=[require_token])
async def do(request: AnyRequest) -> Response[bytes]:
    """Let a person do something."""
    wanted = decode(await request.body(), Writing)
    bot = _of(request).named(wanted.bot)
    chat = bot.chat(wanted.person, wanted.name, wanted.language)
    deeds = {"write": None, "block": bot.block, "unblock": bot.unblock}
    if wanted.deed not in deeds:
        raise Malformed("deed is write, block or unblock.")
    if (deed := deeds[wanted.deed]) is not None:
        deed(chat)
    else:
        bot.hear(chat, wanted.text)
    return answer_json({"ok": True}, 201)


@get("/sandbox/telegram/chats", guards=[require_token])
async def list_lines(
    request: AnyRequest, bot: FromQuery[str], person: FromQuery[int]
) -> Response[bytes]:
    """List what was written in a chat, oldest first."""
    known = _of(request).named(bot).chats.get(person)
    return answer_json({"lines": list(known.lines) if known is not None else []})


@post("/sandbox/telegram/faults", guards=[require_token])
async def order_fault(request: AnyRequest, bot: FromQuery[str]) -> Response[bytes]:
    """Order a mistake."""
    mishap = decode(await request.body(), Mishap)
    if mishap.kind not in _KINDS:
        raise Malformed(f"kind is one of {', '.join(sorted(_KINDS))}.")
    _of(request).named(bot).mishaps.append(mishap)
    return answer_json(mishap, 201)


@delete("/sandbox/telegram/faults", guards=[require_token], status_code=200)
async def clear_faults(request: AnyRequest, bot: FromQuery[str]) -> Response[bytes]:
    """Take all mistakes back."""
    _of(request).named(bot).mishaps.clear()
    return answer_json({"faults": []})


_ROUTES = [
    call,
    show_phone,
    follow_link,
    act,
    make_bot,
    do,
    list_lines,
    order_fault,
    clear_faults,
]
