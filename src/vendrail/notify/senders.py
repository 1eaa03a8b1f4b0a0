"""Senders of mail: a server, or a folder of files where there is none (`bot` sends to Telegram).

A sender says one of three things: it left, it surely did not (and whether to try again), or that
it cannot tell; what cannot be told is never sent twice by itself.
"""

import asyncio
import os
import re
import smtplib
import socket
import ssl
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from email.utils import parseaddr
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import UUID

from vendrail.notify.settings import NotifySettings
from vendrail.notify.wire import WIRE

_LINE_END = re.compile(rb"\r\n|\n|\r")
_CODE_TRANSIENT = range(400, 500)
_CODE_TAKEN = 250
_CODE_GO_ON = 354
_END = b".\r\n"  # What makes it a mail: before this the server has nothing.


class Outcome(StrEnum):
    """What became of one message at the sender."""

    SENT = "sent"
    AGAIN = "again"  # It did not leave; trying again may help.
    REFUSED = "refused"  # It did not leave and never will.
    UNKNOWN = "unknown"  # It may have left.
    LOST = "lost"  # It did not leave, for it is not ours to send any more.
    GONE = "gone"  # It did not leave, and nothing to this reader will any more, by this way.


class Report(NamedTuple):
    """The outcome, with words for the operator that hold nothing of the message."""

    outcome: Outcome
    problem: str = ""
    wait_s: float = 0.0  # Of `AGAIN`: so long nothing at all may be sent.


class Letter(NamedTuple):
    """One message on its way out."""

    id: UUID
    email: EmailMessage


# Awaited when nothing but the last bytes is missing; false: it must not leave.
Leaving = Callable[[], Awaitable[bool]]


class Sender(Protocol):
    """What sends messages. `is_repeatable`: sending the same id again changes nothing."""

    is_repeatable: bool

    async def send(self, letter: Letter, leaving: Leaving) -> Report:
        """Send one message; ask `leaving` last, before it can have left."""
        ...


class FolderSender:
    """Messages as .eml files that only their owner may read: for the demo, and without SMTP."""

    is_repeatable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, letter: Letter, leaving: Leaving) -> Report:
        """Write one message whole, under its id: again is the same file."""
        if not await leaving():
            return Report(Outcome.LOST)
        try:
            await asyncio.to_thread(self._write, letter.id, letter.email.as_bytes(policy=WIRE))
        except OSError as error:
            return Report(Outcome.AGAIN, f"The mailbox cannot be written: {error.strerror}.")
        return Report(Outcome.SENT)

    def _write(self, id: UUID, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = self._folder / f".{id}.{os.getpid()}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        aside.replace(self._folder / f"{id}.eml")


class SmtpSender:
    """Messages by a mail server, one connection each, so that each stands or falls alone.

    All but the last line is handed over first. Until that line the server has no mail, and what
    goes wrong is tried again; only between it and the server's answer can nobody tell.
    """

    is_repeatable = False

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings

    async def send(self, letter: Letter, leaving: Leaving) -> Report:
        """Hand one message to the server, in a thread."""
        beginning = asyncio.ensure_future(asyncio.to_thread(self._begin, letter.email))
        try:
            begun = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(_hang_up)  # The thread goes on, and has nobody to tell.
            raise
        if isinstance(begun, Report):
            return begun
        try:
            is_ours = await leaving()
        except BaseException:
            await asyncio.to_thread(begun.close)
            raise
        if not is_ours:
            await asyncio.to_thread(begun.close)
            return Report(Outcome.LOST)
        return await asyncio.to_thread(_end, begun)

    def _begin(self, email: EmailMessage) -> smtplib.SMTP | Report:
        """Hand over all but the last line."""
        try:
            server = self._connect()
        except smtplib.SMTPAuthenticationError as error:
            return Report(Outcome.AGAIN, f"The mail server refused the account: {error.smtp_code}.")
        except (OSError, smtplib.SMTPException) as error:
            return Report(Outcome.AGAIN, f"The mail server cannot be reached: {_name(error)}.")
        try:
            refused = _hand_over(server, email)
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            return Report(Outcome.AGAIN, f"The mail server broke off: {_name(error)}.")
        if refused is None:
            return server
        _close(server)
        return refused

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        where = (settings.smtp_host, settings.smtp_port)
        timeout = settings.smtp_timeout_s
        if settings.smtp_security == "tls":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(*where, timeout=timeout)
        try:
            if server.sock is not None:  # The last line must not wait for word of the rest.
                server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password)
            server.ehlo_or_helo_if_needed()
        except BaseException:
            _close(server)
            raise
        return server


def _hang_up(beginning: asyncio.Future[smtplib.SMTP | Report]) -> None:
    if not beginning.cancelled() and isinstance(begun := beginning.result(), smtplib.SMTP):
        begun.close()


def _hand_over(server: smtplib.SMTP, email: EmailMessage) -> Report | None:
    code, _ = server.mail(parseaddr(str(email["From"]))[1])
    if code != _CODE_TAKEN:
        return _refusal(code, "The message was refused")
    code, _ = server.rcpt(parseaddr(str(email["To"]))[1])
    if code not in (_CODE_TAKEN, 251):
        return _refusal(code, "The recipient was refused")
    code, _ = server.docmd("data")
    if code != _CODE_GO_ON:
        return _refusal(code, "The message was refused")
    server.send(_on_the_wire(email))
    return None


def _on_the_wire(email: EmailMessage) -> bytes:
    """Write a mail as its lines travel, all but the last: a dot that begins one is doubled.

    A lone dot would end the mail, and what follows would be commands; hence every kind of line end
    is made the one that servers agree on.
    """
    lines = _LINE_END.split(email.as_bytes(policy=WIRE))
    if not lines[-1]:
        lines.pop()
    return b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines)


def _end(server: smtplib.SMTP) -> Report:
    """Send the last line, and hear what the server says to the whole."""
    try:
        server.send(_END)
        code, _ = server.getreply()
    except (OSError, smtplib.SMTPException) as error:
        server.close()
        # Perhaps behind the last byte, before the answer to it.
        return Report(Outcome.UNKNOWN, f"The mail server fell silent: {_name(error)}.")
    _close(server)
    if code == _CODE_TAKEN:
        return Report(Outcome.SENT)
    return _refusal(code, "The message was refused")


def _refusal(code: int, words: str) -> Report:
    outcome = Outcome.AGAIN if code in _CODE_TRANSIENT else Outcome.REFUSED
    return Report(outcome, f"{words}: {code}.")


def _name(error: BaseException) -> str:
    """Name an error without its text, which may quote the message."""
    return type(error).__name__


def _close(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()


def choose_sender(settings: NotifySettings) -> Sender:
    """Give the mail server that is set, or the mailbox folder."""
    if settings.smtp_host:
        return SmtpSender(settings)
    return FolderSender(settings.home.expanduser() / "mailbox")
