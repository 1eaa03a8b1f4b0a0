"""Who is told: programs, a mail server, Telegram. They are away at times, and forget nothing.

What one of them has taken in good order must not come again, and nothing may come that is too old.
A house that dies between an answer and its note of it may tell a program once more; a mail never.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from simkit.actors import Violation
from simkit.provider import Provider

from vendrail.api.webhooks import EventKind
from vendrail.app.bench.ground import free_port
from vendrail.webhooks.decide import LIVES_S

_AWAY = 503
_BOT = "month_bot"
_CHAT_LINES_MAX = 500  # So many the sandbox keeps.


class Programs:
    """Merchants' programs, by their numbers: each takes every event once."""

    def __init__(self, now: Callable[[], datetime], tally: Counter[str]) -> None:
        self._now = now
        self._tally = tally
        self._lock = threading.Lock()
        self.away: set[int] = set()
        self.problems: list[str] = []
        self._fresh: set[tuple[int, str]] = set()  # Taken since the last quiet turn.
        self._taken: set[tuple[int, str]] = set()  # … before it: the house knows that it is so.
        programs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                number = int(self.path.rsplit("/", 1)[1])
                status = programs.take(number, self.headers["webhook-id"], json.loads(body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, number: int) -> str:
        """Give the address of one of them."""
        return f"{self._url}/{number}"

    def take(self, number: int, id: str, told: dict[str, Any]) -> int:
        """Take an event in, unless it is away; note what must not be."""
        with self._lock:
            kind, key = EventKind(told["type"]), (number, id)
            happened_at = datetime.fromisoformat(told["timestamp"])
            if self._now() >= happened_at + timedelta(seconds=LIVES_S[kind]):
                self.problems.append(f"Program {number} was told of {kind} {id} too late.")
            if key in self._taken:
                self.problems.append(f"Program {number} was told of {kind} {id} again.")
            if number in self.away:
                self._tally["programs: were away"] += 1
                return _AWAY
            is_again = key in self._fresh
            self._tally[
                "programs: told again after a crash" if is_again else f"programs: took {kind}"
            ] += 1
            self._fresh.add(key)
            return 200

    @property
    def taken(self) -> set[tuple[int, str]]:
        """Say which of them has taken which event."""
        with self._lock:
            return self._taken | self._fresh

    def settle(self) -> None:
        """The house has been still: what was taken before is written down there."""
        with self._lock:
            self._taken |= self._fresh
            self._fresh.clear()

    def close(self) -> None:
        """Hear nothing more."""
        self._server.shutdown()
        self._server.server_close()


class Post:
    """A mail server: it refuses for now while it is away, and takes each letter once at most."""

    def __init__(self, tally: Counter[str]) -> None:
        self._tally = tally
        self.is_away = False
        self.problems: list[str] = []
        self.taken: set[str] = set()
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_RCPT(  # noqa: N802 - the library's name.
        self, _server: object, _session: object, envelope: Any, address: str, _options: object
    ) -> str:
        """Let a letter come, or send it back for now."""
        if self.is_away:
            self._tally["letters: sent back for now"] += 1
            return "450 later"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        """Take a letter in."""
        id = str(message_from_bytes(envelope.content)["message-id"])
        if id in self.taken:
            self.problems.append(f"Letter {id} to {envelope.rcpt_tos} came twice.")
        self.taken.add(id)
        self._tally["letters: arrived"] += 1
        return "250 taken"

    def close(self) -> None:
        """Take nothing more."""
        self._controller.stop()


class Telegram:
    """The sandbox's Telegram: the platform's bot there, and the people who hear it."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        told = provider._post("/sandbox/telegram/bots", {"username": _BOT})
        self.settings = {
            "VENDRAIL_NOTIFY_TELEGRAM_TOKEN": told["token"],
            "VENDRAIL_NOTIFY_TELEGRAM_URL": f"{provider.url}/telegram",
            "VENDRAIL_NOTIFY_TELEGRAM_LINKS": f"{provider.url}/telegram/t.me",
            "VENDRAIL_NOTIFY_TELEGRAM_POLL_S": "0",
            "VENDRAIL_NOTIFY_TELEGRAM_TIMEOUT_S": "5",
        }

    def do(self, person: int, text: str = "", deed: str = "write") -> None:
        """Let a person write to the bot, or block it."""
        body = {"bot": _BOT, "person": person, "deed": deed, "text": text, "name": "Ann"}
        self._provider._post("/sandbox/telegram/deeds", body)

    def fault(self, **mishap: object) -> None:
        """Let the next letters go wrong there."""
        self._provider._post(f"/sandbox/telegram/faults?bot={_BOT}", mishap)

    def forgive(self) -> None:
        """Take all trouble back."""
        self._provider._send("DELETE", "/sandbox/telegram/faults", params={"bot": _BOT})

    def letters(self, person: int) -> list[str]:
        """Give the letters in a person's chat; what the bot answers is none: it has no headline."""
        params = {"bot": _BOT, "person": str(person)}
        reply = self._provider._send("GET", "/sandbox/telegram/chats", params=params)
        lines = reply.json()["lines"]
        if len(lines) >= _CHAT_LINES_MAX:
            raise Violation(f"The chat of {person} is too full to count what came.")
        return [each["text"] for each in lines if each["is_bots"] and each["html"][:3] == "<b>"]


class Hearers:
    """All of them, and when they are away."""

    def __init__(
        self, now: Callable[[], datetime], tally: Counter[str], provider: Provider
    ) -> None:
        self.programs = Programs(now, tally)
        self.post = Post(tally)
        self.telegram = Telegram(provider)

    @property
    def settings(self) -> dict[str, str]:
        """What the house must be told to reach them."""
        return {
            "VENDRAIL_WEBHOOKS_NETWORKS_ALLOWED": "127.0.0.0/8",
            "VENDRAIL_NOTIFY_SMTP_HOST": "127.0.0.1",
            "VENDRAIL_NOTIFY_SMTP_PORT": str(self.post.port),
            "VENDRAIL_NOTIFY_SMTP_SECURITY": "none",
            "VENDRAIL_NOTIFY_MESSAGES_PER_S_MAX": "10000",
            **self.telegram.settings,
        }

    def check(self) -> None:
        """Complain of whatever came twice or too late."""
        if problems := [*self.programs.problems, *self.post.problems]:
            raise Violation(f"{len(problems)} were told what they should not be: {problems[:5]}")

    def close(self) -> None:
        """End them."""
        self.programs.close()
        self.post.close()
