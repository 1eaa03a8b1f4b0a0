"""The bot: letters by Telegram's Bot API, and the news it has of people who write to it.

The token is a part of every address there. It is put in at the last moment, below all that logs
requests or keeps them in an error, so that no line of a log and no error holds it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from uuid import UUID

import httpx

from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http.outgoing import lost_lines
from vendrail.notify.chats import bot_id
from vendrail.notify.senders import Leaving, Outcome, Report
from vendrail.notify.settings import NotifySettings

_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_NEWS = ("message", "my_chat_member")
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 401, 403, 404, 429
_WAIT_S_MAX = 3_600.0
_NO_CHAT = ("chat not found", "user not found", "user is deactivated")
# Before a byte of the request can have left.
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Note(NamedTuple):
    """One letter on its way into a chat."""

    id: UUID
    chat_id: int
    text: str  # In Telegram's HTML.


class Reply(NamedTuple):
    """What the Bot API answered."""

    code: int  # 200, or what went wrong.
    result: Any = None
    description: str = ""
    wait_s: float = 0.0


class Flooded(Unavailable):
    """Telegram wants to be left alone for `retry_after_s`."""


class _Unreadable(Exception):
    """What answered was not the Bot API."""


class _Tokened(httpx.AsyncBaseTransport):
    """Puts the token into addresses, below what logs them."""

    def __init__(self, token: str, inner: httpx.AsyncBaseTransport) -> None:
        self._token = token
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the address with the token."""
        root, _, method = request.url.path.rpartition("/")
        whole = httpx.Request(
            request.method,
            request.url.copy_with(path=f"{root}/bot{self._token}/{method}"),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(whole)

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._inner.aclose()


class Bot:
    """The platform's bot. `is_repeatable`: no, Telegram takes a text as often as it is sent."""

    is_repeatable = False

    def __init__(self, settings: NotifySettings) -> None:
        id = bot_id(settings.telegram_token)
        if id is None:
            raise Malformed(
                "VENDRAIL_NOTIFY_TELEGRAM_TOKEN is no token of a bot: give it whole, as @BotFather"
                " shows it (a number, a colon, 35 letters)."
            )
        self.id = id
        self._settings = settings
        self._client: httpx.AsyncClient | None = None

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            settings = self._settings
            where = urlsplit(settings.telegram_url)
            host = where.hostname or ""
            # Through the proxy that the environment names, if any; what is on this machine never.
            is_direct = host in _HERE or proxy_bypass(host)
            proxy = None if is_direct else getproxies().get(where.scheme)
            inner = httpx.AsyncHTTPTransport(proxy=proxy)
            self._client = httpx.AsyncClient(
                base_url=settings.telegram_url.rstrip("/"),
                transport=_Tokened(settings.telegram_token, inner),
                timeout=httpx.Timeout(settings.telegram_timeout_s, connect=5.0),
            )
        return self._client

    async def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _call(self, method: str, body: Mapping[str, Any], more_s: float = 0.0) -> Reply:
        timeout = httpx.Timeout(self._settings.telegram_timeout_s + more_s, connect=5.0)
        with lost_lines():
            response = await self._open().post(f"/{method}", json=dict(body), timeout=timeout)
        try:
            told = decode(response.content, dict[str, Any])
        except Malformed as error:
            raise _Unreadable from error
        if told.get("ok") is True and response.status_code == 200:
            return Reply(200, told.get("result"))
        code = told.get("error_code")
        if not isinstance(code, int) or isinstance(code, bool):
            raise _Unreadable
        parameters = told.get("parameters")
        wait = parameters.get("retry_after", 0) if isinstance(parameters, dict) else 0
        wait_s = min(float(wait), _WAIT_S_MAX) if isinstance(wait, int) else 0.0
        return Reply(code, None, str(told.get("description", ""))[:200], wait_s)

    async def send(self, note: Note, leaving: Leaving) -> Report:
        """Send one letter; ask `leaving` last, before it can have left."""
        if not await leaving():
            return Report(Outcome.LOST)
        body = {
            "chat_id": note.chat_id,
            "text": note.text,
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        try:
            reply = await self._call("sendMessage", body)
        except _UNSENT as error:
            return Report(Outcome.AGAIN, f"Telegram cannot be reached: {type(error).__name__}.")
        except httpx.HTTPError as error:
            return Report(Outcome.UNKNOWN, f"Telegram fell silent: {type(error).__name__}.")
        except _Unreadable:
            return Report(Outcome.UNKNOWN, "What answered in Telegram's place was not the Bot API.")
        return _report(reply)

    async def say(self, chat_id: int, text: str) -> None:
        """Answer somebody, once: what does not arrive is not worth a second try."""
        body = {"chat_id": chat_id, "text": text, "link_preview_options": {"is_disabled": True}}
        await self._ask("sendMessage", body, is_needed=False)

    async def read_name(self) -> str:
        """Read what the bot is called.

        Raises:
            Unavailable: It could not be read.
        """
        told = await self._ask("getMe", {})
        return str(told.get("username", ""))[:64] if isinstance(told, dict) else ""

    async def read_news(self, since: int, hold_s: int) -> list[dict[str, Any]]:
        """Read what happened from this number on, waiting for it a while.

        Raises:
            Unavailable: It could not be read: another program asks too, or Telegram is away.
        """
        body = {"offset": since, "timeout": hold_s, "allowed_updates": list(_NEWS)}
        told = await self._ask("getUpdates", body, more_s=hold_s)
        return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []

    async def _ask(
        self,
        method: str,
        body: Mapping[str, Any],
        *,
        more_s: float = 0.0,
        is_needed: bool = True,
    ) -> Any:
        try:
            reply = await self._call(method, body, more_s)
        except httpx.HTTPError as error:
            problem = f"Telegram did not answer {method}: {type(error).__name__}."
        except _Unreadable:
            problem = f"What answered {method} in Telegram's place was not the Bot API."
        else:
            if reply.code == 200:
                return reply.result
            problem = f"Telegram refused {method}: {reply.code} {reply.description}"
            if is_needed and reply.code == _TOO_MANY:
                raise Flooded(problem, max(reply.wait_s, 1.0))
        if is_needed:
            raise Unavailable(problem) from None
        return None


def _report(reply: Reply) -> Report:
    words = reply.description.lower()
    if reply.code == 200:
        return Report(Outcome.SENT)
    if reply.code == _TOO_MANY:
        wait_s = max(reply.wait_s, 1.0)
        return Report(Outcome.AGAIN, f"Telegram asks to wait {wait_s:.0f} s.", wait_s)
    if reply.code in (_UNAUTHORIZED, _NOT_FOUND):
        return Report(Outcome.AGAIN, f"Telegram refused the bot's token: {reply.code}.")
    if reply.code == _FORBIDDEN or any(each in words for each in _NO_CHAT):
        return Report(Outcome.GONE, f"The chat is closed: {reply.code}.")
    if reply.code >= 500:
        return Report(Outcome.AGAIN, f"Telegram failed: {reply.code}.")
    return Report(Outcome.REFUSED, f"Telegram refused the message: {reply.code}.")


def choose_bot(settings: NotifySettings) -> Bot | None:
    """Give the platform's bot; None: it has none."""
    return Bot(settings) if settings.telegram_token else None
