"""Senders: a mail server, or a folder of files where there is none.

A sender says one of three things: it left, it surely did not (and whether to try again), or that
it cannot tell; what cannot be told is never sent twice.
"""

import asyncio
import os
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import UUID

from vendrail.notify.settings import NotifySettings

_CODE_TRANSIENT = range(400, 500)


class Outcome(StrEnum):
    """What became of one message at the sender."""

    SENT = "sent"
    AGAIN = "again"  # It did not leave; trying again may help.
    REFUSED = "refused"  # It did not leave and never will.
    UNKNOWN = "unknown"  # It may have left.


class Report(NamedTuple):
    """The outcome, with words for the operator that hold nothing of the message."""

    outcome: Outcome
    problem: str = ""


class Letter(NamedTuple):
    """One message on its way out."""

    id: UUID
    email: EmailMessage


class Sender(Protocol):
    """What sends messages. `is_repeatable`: sending the same id again changes nothing."""

    is_repeatable: bool

    async def send(self, letter: Letter) -> Report:
        """Send one message."""
        ...


class FolderSender:
    """Messages as .eml files that only their owner may read: for the demo, and without SMTP."""

    is_repeatable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, letter: Letter) -> Report:
        """Write one message whole, under its id: again is the same file."""
        try:
            await asyncio.to_thread(self._write, letter.id, letter.email.as_bytes(policy=SMTP))
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
    """Messages by a mail server, one connection each: there are few, and each stands alone."""

    is_repeatable = False

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings

    async def send(self, letter: Letter) -> Report:
        """Hand one message to the server, in a thread."""
        return await asyncio.to_thread(self._send, letter.email)

    def _send(self, email: EmailMessage) -> Report:
        try:
            server = self._connect()
        except smtplib.SMTPAuthenticationError as error:
            return Report(Outcome.AGAIN, f"The mail server refused the account: {error.smtp_code}.")
        except (OSError, smtplib.SMTPException, ssl.SSLError) as error:
            return Report(Outcome.AGAIN, f"The mail server cannot be reached: {_name(error)}.")
        try:
            server.send_message(email)
        except smtplib.SMTPRecipientsRefused as error:
            code = max((code for code, _ in error.recipients.values()), default=550)
            return _refusal(code, "The recipient was refused")
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            return _refusal(error.smtp_code, "The message was refused")
        except (OSError, smtplib.SMTPException) as error:
            # Cut off on the way: perhaps behind the last byte, before the answer to it.
            return Report(Outcome.UNKNOWN, f"The mail server fell silent: {_name(error)}.")
        finally:
            _close(server)
        return Report(Outcome.SENT)

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
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password)
        except BaseException:
            _close(server)
            raise
        return server


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
