"""What can be set for notify."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class News(StrEnum):
    """Whether people are told by mail what happened, beside what they ask for."""

    AUTO = "auto"  # Where there is a mail server.
    ON = "on"  # Also into the mailbox folder: the demo.
    OFF = "off"


class NotifySettings(Record, frozen=True):
    """Where messages go, and how patiently."""

    home: Annotated[Path, Help("Without SMTP, messages are files in `mailbox` below it.")] = Path(
        "~/.vendrail"
    )
    public_url: Annotated[str, Help("Where the links in letters lead.")] = "http://127.0.0.1:8000"
    news: Annotated[
        News, Help("Whether people are told by mail what happened; auto: with a mail server only.")
    ] = News.AUTO
    site_name: Annotated[str, Help("How the marketplace calls itself in messages.")] = "Vendrail"
    sender_address: Annotated[str, Help("The address that messages come from.")] = (
        "Vendrail <no-reply@localhost>"
    )
    smtp_host: Annotated[str, Help("The mail server; empty: messages are files.")] = ""
    smtp_port: Annotated[int, Help("Its port: 587 with starttls, 465 with tls.")] = 587
    smtp_security: Annotated[
        str, Help("`starttls`, `tls`, or `none` for a server of your own.")
    ] = "starttls"
    smtp_user: Annotated[str, Help("The account at the mail server; empty: none is needed.")] = ""
    smtp_password: Annotated[str, Help("Its password.")] = ""
    smtp_timeout_s: Annotated[float, Help("How long the mail server may take to answer.")] = 20.0
    telegram_token: Annotated[
        str,
        Help("The token of the bot at Telegram, as @BotFather gave it; empty: no such letters."),
    ] = ""
    telegram_url: Annotated[str, Help("Where the Bot API is.")] = "https://api.telegram.org"
    telegram_links: Annotated[str, Help("Where links that open the bot begin.")] = "https://t.me"
    telegram_timeout_s: Annotated[float, Help("How long the Bot API may take to answer.")] = 20.0
    telegram_poll_s: Annotated[
        int, Help("How long the Bot API holds a question for news when there is none.")
    ] = 25
    messages_per_s_max: Annotated[float, Help("How many messages leave in a second at most.")] = (
        20.0
    )
    attempts_max: Annotated[int, Help("How often a message is tried before it is given up.")] = 30
    low_stock_max: Annotated[
        int, Help("With so few free keys of a variant its merchant is told, once; 0: never.")
    ] = 10
    unmatched_wait_s: Annotated[
        int, Help("How long money that fits nothing may wait before the operator is told.")
    ] = 3_600
    saga_wait_s: Annotated[
        int, Help("How long a saga that waits for no person may take before the operator is told.")
    ] = 3_600
    channel_wait_s: Annotated[
        int, Help("How long a failing provider is left alone before the operator is told.")
    ] = 60
    repeats_per_day_max: Annotated[
        int, Help("How often in a day an order's letter may be sent once more by hand.")
    ] = 3
    keep_days: Annotated[int, Help("How many days the outcome of a message is kept.")] = 30

    @property
    def is_telling(self) -> bool:
        """Whether news is told at all."""
        return self.news is News.ON or (self.news is News.AUTO and bool(self.smtp_host))
