"""Letters: a template and its values become an e-mail, as plain text and as HTML."""

from collections.abc import Mapping
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from vendrail.kernel.locales import amount_text, nearest
from vendrail.notify.wire import WIRE

_POLICY = WIRE.clone(cte_type="7bit")  # What every mail server takes, however old.
# Under a letter that its reader may do without.
_OFF = {
    "en": "No more letters of this kind",
    "zh-Hans": "不再接收此类邮件",
    "zh-Hant": "不再接收此類郵件",
    "ja": "この種類のメールを今後受け取らない",
    "ko": "이런 메일 더 이상 받지 않기",
    "es": "No recibir más correos de este tipo",
}
_environment = Environment(
    loader=PackageLoader("vendrail.notify", "templates"),
    # Text is text; HTML is escaped, so that no value can become markup.
    autoescape=select_autoescape(enabled_extensions=("html",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def choose_locale(locale: str) -> str:
    """Give the nearest language that letters are written in, else English."""
    return nearest(locale) or "en"


def write(
    id: UUID,
    template: str,
    locale: str,
    values: Mapping[str, str],
    *,
    recipient: str,
    sender: str,
    site_name: str,
    at: datetime,
    off_link: str = "",
) -> EmailMessage:
    """Write one letter; the first line of the text template is its subject.

    `off_link` ends letters of this kind, by one click and without signing in (RFC 8058).
    """
    chosen = choose_locale(locale)
    words = {"site_name": site_name, "locale": chosen, **values}
    words |= {"off_link": off_link, "off_words": _OFF[chosen]}
    subject, body = write_text(template, locale, values, site_name)
    page = _environment.get_template(f"{template}.{chosen}.html").render(words)
    email = EmailMessage(policy=_POLICY)
    # Whatever the values hold, a header is one line.
    _put_subject(email, " ".join(subject.split()))
    email["From"] = sender
    email["To"] = recipient
    email["Date"] = format_datetime(at)
    email["Message-ID"] = f"<{id}@{_domain(sender)}>"
    email["Auto-Submitted"] = "auto-generated"
    if off_link:
        email["List-Unsubscribe"] = f"<{off_link}>"
        email["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        body = f"{body.rstrip()}\n\n-- \n{_OFF[chosen]}:\n{off_link}\n"
    email.set_content(body.lstrip("\n"))
    email.add_alternative(page, subtype="html")
    return email


def write_text(
    template: str, locale: str, values: Mapping[str, str], site_name: str
) -> tuple[str, str]:
    """Write a letter's subject, and what it says as plain text."""
    chosen = choose_locale(locale)
    words = {"site_name": site_name, "locale": chosen, **values}
    text = _environment.get_template(f"{template}.{chosen}.txt").render(words)
    subject, _, body = text.partition("\n")
    return subject, body


def _put_subject(email: EmailMessage, subject: str) -> None:
    """Set the subject, encoded as a whole: word by word the library loses blanks between words."""
    if subject.isascii():
        email["Subject"] = subject
    else:
        email.set_raw("Subject", Header(subject, "utf-8", header_name="Subject").encode())


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].rstrip("> ") or "localhost"


def money(amount_minor: int, currency: str, locale: str) -> str:
    """Write an amount as people of a language do."""
    language = choose_locale(locale).replace("-", "_")
    return amount_text(amount_minor, currency, language)
