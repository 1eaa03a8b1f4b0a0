"""Support: what buyers complain of and how it ends, and what is written about an order.

A buyer is whoever holds the order's secret, a merchant whoever has sold it.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.numbers import Numbered
from vendrail.kernel.outbox import Cursor, EventPage


class Side(StrEnum):
    """Who speaks or acts about an order."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    OPERATOR = "operator"
    LIMIT = "limit"  # Nobody: the time of a step was over.
    WARRANTY = "warranty"  # Nobody: the product's warranty says so.


class Party(Record, frozen=True):
    """Who speaks or acts, and how that is proven."""

    side: Side
    secret: str = ""  # Of a buyer: the order's.
    merchant: UUID | None = None  # Of a merchant's person: theirs.
    person: str = ""  # Of staff: whose words these are, for the log and the operator.


class ComplaintKind(StrEnum):
    """What is wrong with an order."""

    DEAD_KEY = "dead_key"
    NOT_AS_DESCRIBED = "not_as_described"
    NOT_ARRIVED = "not_arrived"
    OTHER = "other"


class ComplaintState(StrEnum):
    """Where one complaint stands."""

    OPEN = "open"  # The merchant's turn.
    ANSWERED = "answered"  # The buyer's turn: take what is offered, or ask the platform.
    ESCALATED = "escalated"  # The operator's turn.
    CARRYING = "carrying"  # Decided; the money or the key is on its way.
    CLOSED = "closed"


class Remedy(StrEnum):
    """What is offered or ruled."""

    REPLACE = "replace"  # Other keys in place of the dead ones.
    REFUND = "refund"  # All that is left of the order.
    PART = "part"  # A part of it.
    REJECT = "reject"


class Outcome(StrEnum):
    """How a complaint ended."""

    REPLACED = "replaced"
    REFUNDED = "refunded"
    PART_REFUNDED = "part_refunded"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class OpenComplaint(Record, frozen=True):
    """A buyer complains of a delivered order; the id is chosen by the caller."""

    id: UUID
    order: UUID
    secret: str
    kind: ComplaintKind
    text: str
    positions: list[int] = []  # Which keys are dead, from 1; none: all of them.


class OpenStatus(StrEnum):
    """How opening one complaint ended. Where several would fit, the first listed is given."""

    OPENED = "opened"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    ORDER_NOT_FOUND = "order_not_found"  # Also when the secret is wrong.
    ID_MALFORMED = "id_malformed"  # It must be of today, and carry the order's shard.
    NOT_DELIVERED = "not_delivered"
    NOTHING_LEFT = "nothing_left"  # All of its money has gone back, or is on its way.
    TEXT_MALFORMED = "text_malformed"
    POSITIONS_MALFORMED = "positions_malformed"
    TOO_LATE = "too_late"  # Its warranty, or the time for complaints, is over.
    ONE_IS_OPEN = "one_is_open"
    DECIDED = "decided"  # By the platform, or by a rejection that the buyer let stand.
    TOO_MANY = "too_many"  # There were as many about the order as may be.
    TOO_SOON = "too_soon"  # After one that was withdrawn, the next must wait.


class StepKind(StrEnum):
    """What somebody does about a complaint."""

    ANSWER = "answer"  # The merchant offers something, or rejects it.
    ACCEPT = "accept"  # The buyer takes what was offered.
    ESCALATE = "escalate"  # The buyer asks the platform to decide.
    WITHDRAW = "withdraw"  # The buyer is content.
    RULE = "rule"  # The operator decides.


class ComplaintStep(Record, frozen=True):
    """One step of one complaint; sending it again changes nothing."""

    id: UUID
    complaint: UUID
    by: Party
    kind: StepKind
    remedy: Remedy | None = None  # Of an answer or a ruling.
    amount_minor: int = 0  # Of a part.
    text: str = ""  # A rejection needs one.


class StepStatus(StrEnum):
    """How one step ended. Where several would fit, the first listed is given."""

    TAKEN = "taken"
    EXISTS = "exists"
    COMPLAINT_NOT_FOUND = "complaint_not_found"  # Also when it is not theirs.
    NOT_THEIR_TURN = "not_their_turn"
    REMEDY_MALFORMED = "remedy_malformed"
    CANNOT_REPLACE = "cannot_replace"  # Everybody gets the same there, or it was not a key.
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    TEXT_MALFORMED = "text_malformed"


class ComplaintView(Record, frozen=True):
    """A complaint as it stands."""

    id: UUID
    order: UUID
    merchant: UUID
    kind: ComplaintKind
    positions: list[int]
    state: ComplaintState
    amount_minor: int  # What is disputed: what was left of the order.
    currency: str
    opened_at: datetime
    due_at: datetime | None  # Until when whose turn it is may act.
    remedy: Remedy | None = None
    offer_minor: int = 0
    decided_by: Side | None = None
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    frozen_minor: int = 0
    problem: str = ""  # Why what was decided could not be done.
    title: str = ""


class ComplaintQuery(Record, frozen=True):
    """A page of complaints, newest first: of one merchant (None: of all)."""

    merchant: UUID | None
    states: list[ComplaintState] = []  # None given: whatever their state.
    before: UUID | None = None  # The last complaint of the page before.
    complaints_max: int = 50


class Attachment(Record, frozen=True):
    """A file that goes with a message: its kind is told by its content, never by its name."""

    name: str
    content: bytes


class WriteMessage(Record, frozen=True):
    """Something written about an order."""

    id: UUID
    order: UUID
    by: Party
    text: str
    attachments: list[Attachment] = []


class WriteStatus(StrEnum):
    """How writing one message ended. Where several would fit, the first listed is given."""

    WRITTEN = "written"
    EXISTS = "exists"
    ORDER_NOT_FOUND = "order_not_found"  # Also when it is not theirs.
    NOT_PAID = "not_paid"  # A buyer writes about what they have paid.
    TEXT_MALFORMED = "text_malformed"
    ATTACHMENT_REFUSED = "attachment_refused"  # Too large, too many, or of no kind that is taken.
    TOO_MANY = "too_many"  # A moment later it is taken.
    FULL = "full"  # There is no more room for files of this side about this order.


class AttachmentView(Record, frozen=True):
    """A file as the conversation names it."""

    id: UUID
    name: str
    media_type: str
    size: int


class MessageView(Record, frozen=True):
    """What was written, or (with a `step`) what happened."""

    id: UUID
    number: int
    side: Side
    person: str
    text: str
    at: datetime
    step: str = ""  # `opened`, `answered`, `escalated`, … : told by the page in its own words.
    remedy: Remedy | None = None
    amount_minor: int = 0
    attachments: list[AttachmentView] = []


class TalkQuery(Record, frozen=True):
    """Read the conversation about an order."""

    order: UUID
    by: Party
    is_seen: bool = False  # Whoever asks has it before their eyes: it is no longer unread.


class TalkView(Record, frozen=True):
    """The conversation about an order, and its complaints, first to last."""

    order: UUID
    merchant: UUID
    count: int
    unread: int  # By whoever asks.
    messages: list[MessageView]
    complaints: list[ComplaintView]
    version: str  # Changes with whatever is shown.

    @property
    def live(self) -> ComplaintView | None:
        """The complaint that has not ended."""
        last = self.complaints[-1] if self.complaints else None
        return last if last is not None and last.state is not ComplaintState.CLOSED else None


class InboxQuery(Record, frozen=True):
    """A page of a merchant's conversations, the last written first."""

    merchant: UUID
    before: datetime | None = None  # When the last of the page before was written.
    talks_max: int = 50
    before_order: UUID | None = None  # And whose it was: others may be of the same moment.


class TalkHead(Record, frozen=True):
    """A conversation as the inbox lists it."""

    order: UUID
    last_at: datetime
    count: int
    unread: int


class AttachmentQuery(Record, frozen=True):
    """Read one file of a conversation."""

    id: UUID
    order: UUID
    by: Party


class AttachmentFile(Record, frozen=True):
    """A file, opened."""

    name: str
    media_type: str
    content: bytes


class CannedAnswer(Record, frozen=True):
    """Words that a merchant answers with often; without a text it is taken away."""

    id: UUID
    merchant: UUID
    title: str
    text: str


class CannedStatus(StrEnum):
    """How writing one canned answer ended."""

    WRITTEN = "written"
    REMOVED = "removed"
    TEXT_MALFORMED = "text_malformed"
    TOO_MANY = "too_many"


class ComplaintCount(Record, frozen=True):
    """Complaints as they stand: how many have not ended, and whose time is over."""

    state: ComplaintState
    count: int
    overdue: int


class ComplaintMoved(Record, frozen=True, tag="complaint.moved"):
    """A complaint was opened, or has come to another state."""

    complaint: UUID
    order: UUID
    merchant: UUID
    state: ComplaintState
    outcome: str  # How it ended; empty while it has not.
    turn: int  # How often it was decided.
    at: datetime


class ComplaintFigures(Record, frozen=True):
    """What became of a merchant's complaints of the last thirty days."""

    merchant: UUID
    opened: int
    refunded: int  # Whole or in part.
    replaced: int
    rejected: int


class Support(Numbered, Protocol):
    """Complaints, rulings and conversations, in batches."""

    async def open_complaints(self, complaints: Sequence[OpenComplaint]) -> list[OpenStatus]:
        """Open complaints, and freeze what their orders have left to their merchants."""
        ...

    async def take_steps(self, steps: Sequence[ComplaintStep]) -> list[StepStatus]:
        """Answer, accept, escalate, withdraw, rule; what is decided is carried out by itself."""
        ...

    async def read_complaints(self, complaints: Sequence[UUID]) -> list[ComplaintView | None]:
        """Read complaints; None where there is none."""
        ...

    async def list_complaints(self, queries: Sequence[ComplaintQuery]) -> list[list[ComplaintView]]:
        """List complaints, newest first; a short page is the last."""
        ...

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read `ComplaintMoved`s after a cursor."""
        ...

    async def write_messages(self, messages: Sequence[WriteMessage]) -> list[WriteStatus]:
        """Write to whoever else the order is of; who does not read it soon gets one letter."""
        ...

    async def read_talks(self, queries: Sequence[TalkQuery]) -> list[TalkView | None]:
        """Read conversations; None where the order is not there or not theirs."""
        ...

    async def read_versions(self, orders: Sequence[UUID]) -> list[str]:
        """Say as what versions conversations stand, unread: for pages that wait for a change."""
        ...

    async def list_talks(self, queries: Sequence[InboxQuery]) -> list[list[TalkHead]]:
        """List merchants' conversations, the last written first; a short page is the last."""
        ...

    async def read_attachments(
        self, queries: Sequence[AttachmentQuery]
    ) -> list[AttachmentFile | None]:
        """Open files of conversations; None where they are not there or not theirs."""
        ...

    async def put_canned(self, answers: Sequence[CannedAnswer]) -> list[CannedStatus]:
        """Write, change or take away canned answers."""
        ...

    async def list_canned(self, merchants: Sequence[UUID]) -> list[list[CannedAnswer]]:
        """List merchants' canned answers by their titles."""
        ...

    async def count_complaints(self) -> list[ComplaintCount]:
        """Count the complaints that have not ended."""
        ...

    async def sum_complaints(self, merchants: Sequence[UUID]) -> list[ComplaintFigures]:
        """Sum what became of merchants' complaints of the last thirty days."""
        ...
