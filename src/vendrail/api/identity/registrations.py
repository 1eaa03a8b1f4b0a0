"""Registrations: merchants who come by themselves, and on which terms."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.identity.acts import Actor, Origin
from vendrail.kernel.codec import Record


class RegistrationMode(StrEnum):
    """Who may become a merchant."""

    OPEN = "open"  # Whoever proves an address and accepts the terms.
    APPROVAL = "approval"  # They apply, and an operator says yes.
    INVITATION = "invitation"  # Nobody by themselves.


class RegistrationPolicy(Record, frozen=True):
    """Who may become a merchant now, on which terms; new terms are a new version."""

    mode: RegistrationMode = RegistrationMode.INVITATION
    terms: str = ""  # Markdown, shown sanitised.
    terms_version: int = 0
    made_at: datetime | None = None
    made_by: str = ""


class RegistrationChange(Record, frozen=True):
    """Another mode, or other terms: an operator's."""

    mode: RegistrationMode
    terms: str
    by: Actor
    reason: str = ""
    mode_before: RegistrationMode | None = None  # As it was looked at; None: whatever it is.


class PolicyStatus(StrEnum):
    """How changing the policy ended. Where several would fit, the first listed is given."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    MODE_OTHER = "mode_other"  # It has changed since it was looked at.
    TERMS_TOO_LONG = "terms_too_long"
    TERMS_MISSING = "terms_missing"  # Nobody comes by themselves without terms.


class RegistrationRequest(Record, frozen=True):
    """Somebody would like to sell: send a code to their address."""

    email: str
    merchant_name: str
    terms_version: int  # Of the terms that were shown and accepted.
    locale: str = "en"
    origin: Origin = Origin()


class RequestStatus(StrEnum):
    """How asking ended; whether somebody has the address already is not told.

    Where several would fit, the first listed is given.
    """

    SENT = "sent"
    CLOSED = "closed"
    EMAIL_MALFORMED = "email_malformed"
    NAME_MALFORMED = "name_malformed"
    TERMS_DIFFER = "terms_differ"  # Others count by now: they must be shown.
    LIMITED = "limited"


class RegistrationEntry(Record, frozen=True):
    """The code that came by mail, from the browser that asked; the password where it is open."""

    email: str
    code: str
    name: str = ""
    password: str = ""
    locale: str = "en"
    origin: Origin = Origin()


class RegistrationStatus(StrEnum):
    """How an entry ended; why a code was refused is never told."""

    REGISTERED = "registered"  # There is a merchant, and its owner is in.
    APPLIED = "applied"  # An operator decides.
    LIMITED = "limited"
    TOO_SHORT = "too_short"  # The password.
    TOO_LONG = "too_long"
    TOO_COMMON = "too_common"
    REFUSED = "refused"


class RegistrationResult(Record, frozen=True):
    """How it ended; `token` opens the owner's session."""

    status: RegistrationStatus
    token: str = ""


class ApplicationState(StrEnum):
    """What became of an application."""

    WAITING = "waiting"
    INVITED = "invited"
    REFUSED = "refused"


class Application(Record, frozen=True):
    """Somebody with a proven address would like to sell."""

    id: UUID
    email: str
    name: str
    merchant_name: str
    locale: str
    terms_version: int
    made_at: datetime
    state: ApplicationState = ApplicationState.WAITING
    reason: str = ""
    decided_by: str = ""


class ApplicationQuery(Record, frozen=True):
    """A page of applications in a state, the oldest first."""

    state: ApplicationState
    after: UUID | None = None
    applications_max: int = 50


class ApplicationVerdict(Record, frozen=True):
    """Invite whoever applied, or refuse them for a reason that they are told.

    It is about what was looked at: an application that says something else by now waits on.
    """

    application: UUID
    is_accepted: bool
    reason: str
    by: Actor
    merchant_name: str
    terms_version: int
