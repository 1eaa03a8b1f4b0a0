"""Which addresses, codes, tokens and counters count. Pure."""

import re
from datetime import datetime, timedelta

from vendrail.buyers.settings import BuyersSettings

CODE_TRIES_MAX = 5
_EMAIL = re.compile(r"[^@\s<>\"'\\]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_EMAIL_LENGTH_MAX = 254
_NAME_LENGTH_MAX = 60


def clean_email(text: str) -> str | None:
    """Clean an e-mail address, as it is compared; None: it is none."""
    cleaned = text.strip().lower()
    is_good = len(cleaned) <= _EMAIL_LENGTH_MAX and _EMAIL.fullmatch(cleaned) is not None
    return cleaned if is_good else None


def code_fault(
    made_at: datetime, tries: int, now: datetime, settings: BuyersSettings, *, is_right: bool
) -> str:
    """Say why a code does not sign in, empty where it does; `tries` counts this one."""
    if not is_right:
        return "wrong"
    if tries > CODE_TRIES_MAX:
        return "tried_out"
    return "late" if now - made_at > timedelta(seconds=settings.code_s) else ""


def is_counter_good(before: int, now: int) -> bool:
    """Whether a passkey's counter went on. One that went back, or stands, is a copy's.

    Passkeys that are kept in sync between devices do not count: theirs stays 0.
    """
    return now > before or (now == 0 and before == 0)


def clean_name(text: str) -> str:
    """Clean the name that a buyer gave to a passkey."""
    return " ".join("".join(c for c in text if c.isprintable()).split())[:_NAME_LENGTH_MAX].strip()
