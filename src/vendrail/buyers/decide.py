"""Which addresses, codes, tokens and counters count. Pure."""

import re
from datetime import datetime, timedelta

from vendrail.buyers.settings import BuyersSettings
from vendrail.kernel.codec import Record

CODE_TRIES_MAX = 5
GRACE = timedelta(seconds=30)  # Requests that were on their way when a token was replaced.
_EMAIL = re.compile(r"[^@\s<>\"'\\]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_EMAIL_LENGTH_MAX = 254
_NAME_LENGTH_MAX = 60


class TokenFacts(Record, frozen=True):
    """What is known of a token that was shown, and of its session."""

    seen_at: datetime
    ends_at: datetime
    rotated_at: datetime
    replaced_at: datetime | None


def clean_email(text: str) -> str | None:
    """Clean an e-mail address, as it is compared; None: it is none."""
    cleaned = text.strip().lower()
    is_good = len(cleaned) <= _EMAIL_LENGTH_MAX and _EMAIL.fullmatch(cleaned) is not None
    return cleaned if is_good else None


def is_code_good(made_at: datetime, tries: int, now: datetime, settings: BuyersSettings) -> bool:
    """Whether a code may still be right; `tries` counts this one."""
    return tries <= CODE_TRIES_MAX and now - made_at <= timedelta(seconds=settings.code_s)


def is_copied(token: TokenFacts, now: datetime) -> bool:
    """Whether a token came again long after another took its place: somebody else has a copy."""
    return token.replaced_at is not None and now - token.replaced_at > GRACE


def is_live(token: TokenFacts, now: datetime, settings: BuyersSettings) -> bool:
    """Whether a token opens its session."""
    is_idle = now - token.seen_at > timedelta(days=settings.session_idle_days_max)
    return token.ends_at > now and not is_idle and not is_copied(token, now)


def is_due(token: TokenFacts, now: datetime, settings: BuyersSettings) -> bool:
    """Whether a token is to be replaced: not one that has been, and is in its grace."""
    period = timedelta(minutes=settings.session_rotate_minutes)
    return token.replaced_at is None and now - token.rotated_at >= period


def is_counter_good(before: int, now: int) -> bool:
    """Whether a passkey's counter went on. One that went back, or stands, is a copy's.

    Passkeys that are kept in sync between devices do not count: theirs stays 0.
    """
    return now > before or (now == 0 and before == 0)


def clean_name(text: str) -> str:
    """Clean the name that a buyer gave to a passkey."""
    return " ".join("".join(c for c in text if c.isprintable()).split())[:_NAME_LENGTH_MAX].strip()
