"""What was done, by whom, from where; and what two people must agree on."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.identity.roles import Permission
from vendrail.kernel.codec import Record


class ActorKind(StrEnum):
    """What acts: a person at a page, a program with a key, the command line, ourselves."""

    PERSON = "person"
    API_KEY = "api_key"
    COMMAND_LINE = "command_line"
    SYSTEM = "system"


class Origin(Record, frozen=True):
    """From where something is asked: network address, browser, and the device's cookie."""

    address: str = ""
    agent: str = ""
    device: str = ""


class Actor(Record, frozen=True):
    """Who acts, and from where."""

    kind: ActorKind
    id: UUID | None
    name: str  # An e-mail address, an API key's prefix, a user of the machine.
    origin: Origin = Origin()


NOT_DONE = "not_done"  # In an act's `after`: it was refused, and why. Its first entry stays.


class Act(Record, frozen=True):
    """One privileged act: who did what, to what, from where; how it was before and after."""

    id: UUID
    by: Actor
    act: str  # `member.invited`, `product.priced`: noun and participle.
    subject: str  # `product:01K…`, `person:a@b.example`.
    merchant: UUID | None = None  # Whose it is; None: the platform's.
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    reason: str = ""
    at: datetime | None = None  # Set when it is written.


class ActQuery(Record, frozen=True):
    """A page of the log, newest first; `merchant` None: everybody's."""

    merchant: UUID | None
    acts_max: int
    actor: str = ""
    act: str = ""  # As it begins: `member.`.
    since: datetime | None = None
    until: datetime | None = None
    after: UUID | None = None  # The last act of the page before.


class SealCheck(Record, frozen=True):
    """How following a stretch of the chain over the log ended."""

    last_number: int  # The last seal that was looked at: go on from there.
    checked_count: int
    is_whole: bool
    broken_act: UUID | None = None  # The first act that is not what was sealed, or is gone.
    waiting_count: int = 0  # Acts that no seal covers yet.


class Proposal(Record, frozen=True):
    """An act above a limit, that a second person must approve."""

    id: UUID
    act: str
    subject: str
    payload: dict[str, str]  # What is done when it is approved, for the proposer's page to read.
    permission: Permission  # What the second person must hold.
    reason: str
    by: Actor
    merchant: UUID | None = None
    before: dict[str, str] = {}  # What it changes, as it stood; for the log alone.


class ProposalState(StrEnum):
    """Where a proposal stands."""

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    DONE = "done"


class ProposalView(Record, frozen=True):
    """A proposal, and what became of it."""

    proposal: Proposal
    state: ProposalState
    made_at: datetime
    ends_at: datetime
    decided_by: str = ""
    decided_at: datetime | None = None


class ProposalVerdict(Record, frozen=True):
    """What a second person says."""

    proposal: UUID
    is_approved: bool
    by: Actor
