"""A notify service with its sender job run by hand, and a mail server that can misbehave."""

import asyncio
import contextlib
from email import message_from_bytes
from email.policy import default

import pytest

from vendrail.api.notify import Message, Notify
from vendrail.kernel import rpc
from vendrail.kernel.ids import new_id
from vendrail.kernel.telemetry import Metrics
from vendrail.notify.service import NotifyService
from vendrail.notify.settings import NotifySettings


class MailServer:
    """A mail server of the test's own, on 127.0.0.1; `behaviour` is how it takes the next mail."""

    def __init__(self) -> None:
        self.behaviour = "accept"
        self.mails: list[bytes] = []
        self.tries = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _talk(self, reader, writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, reader, writer) -> None:
        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        self.tries += 1
        say("220 test")
        while line := (await reader.readline()).decode().strip().upper():
            if line.startswith("RCPT") and self.behaviour in ("450", "550"):
                say(f"{self.behaviour} no")
            elif line == "DATA":
                say("354 go on")
                content = await reader.readuntil(b"\r\n.\r\n")
                if self.behaviour in ("451", "554"):
                    say(f"{self.behaviour} no")
                    continue
                self.mails.append(content[:-5])
                if self.behaviour == "hang up":
                    return
                say("250 taken")
            elif line == "QUIT":
                say("221 bye")
                return
            else:
                say("250 fine")


class World:
    """Notify, its mailbox folder, and its mail server where it has one."""

    def __init__(self, clock, notify: Notify, service: NotifyService, db, folder) -> None:
        self.clock = clock
        self.notify = notify
        self.service = service
        self.db = db
        self.folder = folder

    def message(self, recipient="buyer@example.com", code="135790", **changes) -> Message:
        """A one-time code for a buyer."""
        values = {
            "id": new_id(self.clock.now()),
            "recipient": recipient,
            "template": "lookup_code",
            "locale": "en",
            "values": {"code": code, "minutes": "10"},
        }
        return Message(**(values | changes))

    async def send_all(self) -> None:
        """Run the sender until nothing is due."""
        while await self.service.sending().send_due():
            pass

    def mails(self):
        """The mails in the folder, in the order of their ids."""
        return [
            message_from_bytes(path.read_bytes(), policy=default)
            for path in sorted(self.folder.glob("*.eml"))
        ]

    async def states(self) -> list[str]:
        """Where messages stand, in the order of their ids."""
        async with self.db.reading() as tx:
            rows = await tx.fetch("select state from notify.message order by id")
        return [row["state"] for row in rows]


@pytest.fixture(params=["local", "remote"])
async def world(request, make_database, clock, vault, wakeups, tmp_path) -> World:
    """Messages become files; the object itself, then over the wire."""
    db = await make_database("notify")
    service = NotifyService(db, vault, clock, wakeups, Metrics(), NotifySettings(home=tmp_path))
    notify = rpc.loopback(Notify, service) if request.param == "remote" else service
    return World(clock, notify, service, db, tmp_path / "mailbox")


@pytest.fixture
async def mail_server():
    """A mail server that does as it is told."""
    server = MailServer()
    yield server
    await server.stop()


@pytest.fixture
async def post(make_database, clock, vault, wakeups, tmp_path, mail_server) -> World:
    """Messages go to the mail server."""
    port = await mail_server.start()
    settings = NotifySettings(
        home=tmp_path,
        smtp_host="127.0.0.1",
        smtp_port=port,
        smtp_security="none",
        smtp_timeout_s=2.0,
        sender_address="Keys & Co <no-reply@keys.example>",
    )
    db = await make_database("notify")
    service = NotifyService(db, vault, clock, wakeups, Metrics(), settings)
    return World(clock, service, service, db, tmp_path / "mailbox")
