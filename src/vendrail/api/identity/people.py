"""People, where they belong, and how they come and go."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.identity.acts import Actor, Origin
from vendrail.api.identity.roles import Permission, Role
from vendrail.kernel.codec import Record


class Merchant(Record, frozen=True):
    """A merchant: who sells; shops, staff and balances are of one."""

    id: UUID
    name: str


class Membership(Record, frozen=True):
    """What one person may do, and where: at a merchant, or (`merchant` None) for the operator."""

    merchant: UUID | None
    role: Role
    permissions: list[Permission]
    merchant_name: str = ""


class PersonState(StrEnum):
    """Whether a person may sign in."""

    ACTIVE = "active"
    LOCKED = "locked"  # By a person, or after too many wrong tries; a reset by mail opens it.


class Person(Record, frozen=True):
    """One person who works here."""

    id: UUID
    email: str
    name: str
    locale: str
    state: PersonState
    has_second_factor: bool
    memberships: list[Membership]
    created_at: datetime
    signed_in_at: datetime | None
    needs_second_factor: bool = False  # They came by themselves: nothing is open without one.
    has_app: bool = False  # An authenticator app is a second factor of theirs,
    has_passkey: bool = False  # or a passkey is.


class PeopleQuery(Record, frozen=True):
    """Who works at a merchant, or (None) for the operator."""

    merchant: UUID | None


class Invitation(Record, frozen=True):
    """Somebody is to join a merchant, or the operator; `merchant_name` for one that is new."""

    id: UUID
    email: str
    merchant: UUID | None
    role: Role
    by: Actor
    locale: str = "en"
    merchant_name: str = ""


class InviteStatus(StrEnum):
    """How an invitation ended. Where several would fit, the first listed is given."""

    INVITED = "invited"
    EXISTS = "exists"
    EMAIL_MALFORMED = "email_malformed"
    ROLE_MALFORMED = "role_malformed"  # No role of that side.
    MERCHANT_NOT_FOUND = "merchant_not_found"
    MEMBER_ALREADY = "member_already"
    NOT_ALLOWED = "not_allowed"


class InviteResult(Record, frozen=True):
    """How it ended; `token` is the end of the link, and never told again."""

    status: InviteStatus
    token: str = ""


class LinkKind(StrEnum):
    """What a link is good for."""

    INVITATION = "invitation"
    RESET = "reset"


class Link(Record, frozen=True):
    """A link that was sent: good once, and until it ends."""

    id: UUID
    kind: LinkKind
    email: str
    merchant: UUID | None
    role: Role | None
    is_known: bool  # A person with this address is there: their own password opens the link.
    invited_by: str
    made_at: datetime
    ends_at: datetime
    merchant_name: str = ""


class LinkUse(Record, frozen=True):
    """Following a link: the new password, or (`is_known`) the one that is."""

    token: str
    password: str
    name: str = ""
    locale: str = "en"
    origin: Origin = Origin()


class MemberChange(Record, frozen=True):
    """Another role for a member, or (None) none any more."""

    person: UUID
    merchant: UUID | None
    role: Role | None
    by: Actor


class PersonChange(Record, frozen=True):
    """Lock or unlock a person, or take their second factor off; None: leave it."""

    person: UUID
    reason: str
    by: Actor
    is_locked: bool | None = None
    is_factor_removed: bool = False


class ChangeStatus(StrEnum):
    """How a change to a person, key, link or proposal ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    NOT_FOUND = "not_found"
    ROLE_MALFORMED = "role_malformed"
    LAST_OF_ITS_KIND = "last_of_its_kind"  # Nobody would be left who may let others in.
    NOT_ALLOWED = "not_allowed"
    DIFFERENT = "different"  # It is not any more what was looked at.
