"""Second factors: time-based codes (RFC 6238), each good once, and recovery codes. Pure."""

import hmac
import secrets
from datetime import datetime

import pyotp

STEP_S = 30
_STEPS_AWAY = 1  # A clock may be this many steps off.
_RECOVERY_CODES = 10
_RECOVERY_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_RECOVERY_LENGTH = 10  # 49 bits, of which nobody may try more than a few.


def new_secret() -> str:
    """Make the secret of a second factor: 160 bits in base 32."""
    return pyotp.random_base32(32)


def address_of(secret: str, email: str, site_name: str) -> str:
    """Give the address that authenticator apps read from a QR code."""
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=email, issuer_name=site_name)


def find_step(secret: str, code: str, now: datetime, step_last: int) -> int | None:
    """Give the time step that a code is of; none where it is wrong, too old, or used before."""
    totp = pyotp.TOTP(secret, interval=STEP_S)
    step_now = int(now.timestamp()) // STEP_S
    found = None
    for step in range(step_now - _STEPS_AWAY, step_now + _STEPS_AWAY + 1):
        if hmac.compare_digest(totp.generate_otp(step), code) and step > step_last:
            found = step
    return found


def read_code(text: str) -> str:
    """Give a typed code without what people put between its letters."""
    return "".join(c for c in text.lower() if c.isascii() and c.isalnum())


def is_time_code(code: str) -> bool:
    """Whether a code has the form of a time-based one; else it is a recovery code."""
    return len(code) == 6 and code.isdigit()


def new_recovery_codes() -> list[str]:
    """Make recovery codes, as they are written down: two groups of five."""
    codes = [
        "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_LENGTH))
        for _ in range(_RECOVERY_CODES)
    ]
    return [f"{code[:5]}-{code[5:]}" for code in codes]
