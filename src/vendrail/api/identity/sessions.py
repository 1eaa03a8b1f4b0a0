"""Signing in: what a person shows, and the browser that is signed in by it."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from vendrail.api.identity.acts import Origin
from vendrail.api.identity.people import Person
from vendrail.kernel.codec import Record

PROOF_FRESH = timedelta(minutes=10)  # How old a proof may be where what proves is changed.


class SignIn(Record, frozen=True):
    """An attempt to sign in."""

    email: str
    password: str
    origin: Origin


class ProofStatus(StrEnum):
    """How showing or giving a secret ended; why one was refused is never told.

    Where several would fit, the first listed is given.
    """

    ACCEPTED = "accepted"
    LIMITED = "limited"  # Too many tries, from this address or at this account: wait.
    REFUSED = "refused"  # Wrong, used, or too old.
    TOO_SHORT = "too_short"  # The new password.
    TOO_LONG = "too_long"
    TOO_COMMON = "too_common"


class ProofResult(Record, frozen=True):
    """How it ended; `token` opens the session from now on, recovery codes are never told again."""

    status: ProofStatus
    token: str = ""
    wait_s: float = 0.0
    recovery_codes: list[str] = []


class SessionStage(StrEnum):
    """How far signing in has come."""

    FACTOR = "factor"  # The second factor is still to be shown.
    ENROLMENT = "enrolment"  # A second factor must first be set up: nothing else is open.
    OPEN = "open"


class Session(Record, frozen=True):
    """One browser in which a person is signed in."""

    id: UUID
    person: Person
    stage: SessionStage
    merchant: UUID | None  # The merchant whose console was opened last.
    begun_at: datetime
    seen_at: datetime
    ends_at: datetime
    confirmed_at: datetime  # When a factor was last shown: privileged acts want it fresh.
    origin: Origin
    token: str = ""  # Where given: it takes the place of the token that was asked with.


class SessionQuery(Record, frozen=True):
    """Who is it, that comes with this token?"""

    token: str
    origin: Origin = Origin()


class Proof(Record, frozen=True):
    """A factor shown within a session: a code of the second one, or else the password again."""

    token: str
    code: str = ""  # Six digits, or a recovery code.
    password: str = ""  # Counts only where there is no second factor.
    origin: Origin = Origin()


class FactorDraft(Record, frozen=True):
    """A second factor to be set up: its secret as text and as the address that a QR code holds."""

    secret: str
    url: str


class PasswordChange(Record, frozen=True):
    """A new password, in a session whose person knows the one before."""

    token: str
    before: str
    after: str
    origin: Origin


class ResetRequest(Record, frozen=True):
    """Send a link to set the password anew, if there is such a person."""

    email: str
    locale: str
    origin: Origin
