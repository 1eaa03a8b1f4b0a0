"""Which addresses and codes count. Pure."""

import re
from datetime import datetime, timedelta

from vendrail.buyers.settings import BuyersSettings

CODE_TRIES_MAX = 5
_EMAIL = re.compile(r"[^@\s<>\"'\\]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_EMAIL_LENGTH_MAX = 254


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
