"""Payouts: merchants' money leaves, once, for accounts that are proven to be theirs."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.payouts.banks import (
    Bank,
    BankAnswer,
    BankAnswerLine,
    BankAnswerStatus,
    BankFile,
    BankFileContent,
    BankFileQuery,
    BankFileRequest,
    BankKind,
    BankLine,
    BankLineQuery,
    BankNote,
    BankResultStatus,
    Banks,
    BankStatus,
    BankWaiting,
    NewBankAnswer,
    PayoutChannel,
    TakenAnswer,
)
from vendrail.api.payouts.forecasts import Forecasts, ReserveForecast
from vendrail.api.payouts.names import PayeeId, PayoutId
from vendrail.api.payouts.remittances import (
    Remittance,
    RemittanceQuery,
    Remittances,
    RemittanceStatus,
    RemittanceTarget,
    RemittanceView,
)
from vendrail.api.payouts.reserves import Reserve, ReserveChange, ReserveSource, ReserveStatus
from vendrail.api.payouts.reviews import (
    Batch,
    Batches,
    BatchVerdict,
    BatchVerdictStatus,
    NewBatch,
    PayoutVerdict,
    PayoutVerdictStatus,
    ReviewSum,
)
from vendrail.api.payouts.schedules import (
    PayoutSchedule,
    ScheduleKind,
    ScheduleOutcome,
    SchedulePutStatus,
    Schedules,
    ScheduleView,
)
from vendrail.api.payouts.terms import PayoutTerms, TermsPutStatus
from vendrail.api.payouts.traces import PaidOut, PaidOutQuery, Taken, TakenCode, Traces
from vendrail.kernel.codec import Record
from vendrail.kernel.numbers import Numbered
from vendrail.kernel.outbox import Cursor, EventPage

# Where money goes.


class NewPayee(Record, frozen=True):
    """An account outside, to which a merchant wants to be paid over a channel."""

    id: PayeeId
    merchant: UUID
    channel: UUID
    kind: str  # One of the channel's kinds of payees: `logon_id`, `openid`, `connected_account`, …
    account: str
    name: str = ""  # As the provider knows it, where it compares names.
    by: str = ""  # Who adds it, for the letter that tells of it.


class PayeeStatus(StrEnum):
    """How adding one payee ended. Where several would fit, the first listed is given."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    WAY_UNKNOWN = "way_unknown"  # No active channel pays out so.
    ACCOUNT_MALFORMED = "account_malformed"
    NAME_MISSING = "name_missing"
    TOO_MANY = "too_many"


class PayeeState(StrEnum):
    """Where a payee stands."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    CLOSED = "closed"


class Payee(Record, frozen=True):
    """A payee as it is shown: never its whole account."""

    id: PayeeId
    merchant: UUID
    channel: UUID
    channel_name: str
    kind: str
    shown: str  # The account, its middle masked.
    name: str  # The name, all but its first letter masked.
    state: PayeeState
    currencies: list[str]
    added_at: datetime
    added_by: str
    usable_at: datetime  # Nothing but a test goes there before.
    test: PayoutId | None = None  # The newest test payout.
    tests_left: int = 0
    guesses_left: int = 0


class PayeeTest(Record, frozen=True):
    """A small payout of a secret amount, of the platform's money, to see who gets it."""

    id: PayoutId
    payee: PayeeId
    merchant: UUID
    currency: str
    by: str = ""


class PayeeProof(Record, frozen=True):
    """What the merchant says the last test payout was."""

    payee: PayeeId
    merchant: UUID
    amount_minor: int


class VerifyStatus(StrEnum):
    """How proving a payee ended. Where several would fit, the first listed is given."""

    VERIFIED = "verified"
    PAYEE_NOT_FOUND = "payee_not_found"
    NOT_TESTED = "not_tested"  # No test payout has arrived there.
    TOO_MANY = "too_many"  # Too often wrong: make another test.
    AMOUNT_WRONG = "amount_wrong"


# Money that goes there.


class PayoutOrigin(StrEnum):
    """Why a payout was asked for."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    INSTANT = "instant"
    TEST = "test"


class PayoutState(StrEnum):
    """Where a payout stands."""

    REQUESTED = "requested"  # The balance is being asked for it.
    REFUSED = "refused"  # The balance did not have it: nothing moved.
    REVIEW = "review"  # Held; a person must say yes.
    READY = "ready"  # Held; the reserve is being asked for it.
    RESERVED = "reserved"
    SENT = "sent"  # The provider was told, or is being told.
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # The provider refused for good: the merchant has the money again.
    RETURNED = "returned"  # It came back later: the merchant has the money again.
    DECLINED = "declined"  # Said no to, or stopped: the merchant has the money again.


class NewPayout(Record, frozen=True):
    """A payout that is asked for; `amount_minor` is what the payee gets, the fee comes on top."""

    id: PayoutId
    merchant: UUID
    payee: PayeeId
    amount_minor: int
    currency: str
    origin: PayoutOrigin = PayoutOrigin.MANUAL
    by: str = ""


class PayoutStatus(StrEnum):
    """How asking for one payout ended. Where several would fit, the first listed is given."""

    TAKEN = "taken"  # The money is held for it.
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    PAYEE_NOT_FOUND = "payee_not_found"
    CURRENCY_NOT_OFFERED = "currency_not_offered"
    PAYEE_UNVERIFIED = "payee_unverified"
    PAYEE_COOLING = "payee_cooling"  # Added a short while ago.
    TESTED_TOO_OFTEN = "tested_too_often"
    SUSPENDED = "suspended"  # An operator has stopped this merchant's payouts.
    MERCHANT_UNVERIFIED = "merchant_unverified"  # Nobody knows yet who the merchant is.
    IN_DEBT = "in_debt"
    AMOUNT_TOO_SMALL = "amount_too_small"
    BALANCE_TOO_LOW = "balance_too_low"


class PayoutView(Record, frozen=True):
    """A payout as it stands."""

    id: PayoutId
    merchant: UUID
    payee: PayeeId
    channel: UUID
    channel_name: str
    payee_kind: str
    shown: str
    amount_minor: int  # Zero of a test whose amount is still a secret.
    fee_minor: int
    currency: str
    origin: PayoutOrigin
    state: PayoutState
    asked_at: datetime
    asked_by: str
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None  # When it is looked at again.
    tries: int = 0
    provider_number: str = ""
    problem: str = ""
    confirm_url: str = ""  # Where the payee confirms, while the provider waits for it.
    confirm_package: str = ""
    is_filed: bool = False  # It leaves in a file that somebody carries to a bank.


class PayoutStep(Record, frozen=True):
    """One line of a payout's life."""

    at: datetime
    state: PayoutState
    note: str = ""
    by: str = ""


class PayoutMoved(Record, frozen=True, tag="payout.moved"):
    """A payout of a merchant's money has come to another state."""

    payout: PayoutId
    merchant: UUID
    state: PayoutState
    at: datetime


class PayoutQuery(Record, frozen=True):
    """A page of payouts, newest first, before an id (exclusive); no states: whatever they are."""

    merchant: UUID | None = None
    states: list[PayoutState] = []
    before: PayoutId | None = None
    payouts_max: int = 50
    currency: str = ""  # Empty: whatever it is.
    batch: UUID | None = None  # Those that are decided together.


class Payouts(Schedules, Traces, Remittances, Forecasts, Numbered, Banks, Batches, Protocol):
    """Payees, payouts and the reserves that they are paid from."""

    async def add_payees(self, payees: Sequence[NewPayee]) -> list[PayeeStatus]:
        """Add accounts that merchants want to be paid to; a letter tells their people."""
        ...

    async def list_payees(self, merchants: Sequence[UUID]) -> list[list[Payee]]:
        """List merchants' payees, the newest first, closed ones left out."""
        ...

    async def close_payees(self, payees: Sequence[tuple[PayeeId, UUID]]) -> list[bool]:
        """Close payees, each (payee, merchant): nothing more goes there; what waits comes back."""
        ...

    async def test_payees(self, tests: Sequence[PayeeTest]) -> list[PayoutStatus]:
        """Send small secret amounts of the platform's money to payees."""
        ...

    async def verify_payees(self, proofs: Sequence[PayeeProof]) -> list[VerifyStatus]:
        """Compare what merchants say with what was sent."""
        ...

    async def request_payouts(self, payouts: Sequence[NewPayout]) -> list[PayoutStatus]:
        """Hold the money and take the payouts; they go out by themselves."""
        ...

    async def read_payouts(self, ids: Sequence[PayoutId]) -> list[PayoutView | None]:
        """Read payouts as they stand."""
        ...

    async def list_payouts(self, queries: Sequence[PayoutQuery]) -> list[list[PayoutView]]:
        """List payouts, the newest first."""
        ...

    async def read_steps(self, ids: Sequence[PayoutId]) -> list[list[PayoutStep]]:
        """Read what happened to payouts, oldest first."""
        ...

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read `PayoutMoved`s after a cursor; tests of accounts are not told."""
        ...

    async def review_payouts(self, verdicts: Sequence[PayoutVerdict]) -> list[PayoutVerdictStatus]:
        """Say yes or no to payouts that wait for a person; a no also to what is not sent yet."""
        ...

    async def ask_payouts(self, ids: Sequence[PayoutId]) -> list[bool]:
        """Let the provider be asked at once about payouts that are out; false: there is no such."""
        ...

    async def read_terms(self, currencies: Sequence[str]) -> list[PayoutTerms]:
        """Read the terms of currencies."""
        ...

    async def put_terms(self, terms: Sequence[PayoutTerms]) -> list[TermsPutStatus]:
        """Write the terms of currencies; payouts that were asked for keep theirs."""
        ...

    async def suspend_merchants(self, merchants: Sequence[tuple[UUID, str]]) -> list[bool]:
        """Stop merchants' payouts, each (merchant, reason), or let them go on: an empty reason.

        What no provider knows of yet is declined, and its money comes back.
        """
        ...

    async def read_suspensions(self, merchants: Sequence[UUID]) -> list[str]:
        """Read why merchants' payouts are stopped; empty: they are not."""
        ...

    async def change_reserves(self, changes: Sequence[ReserveChange]) -> list[ReserveStatus]:
        """Put money into reserves or take it out; payouts that waited for it go on."""
        ...

    async def list_reserves(self) -> list[Reserve]:
        """List the reserves of all channels that pay out, by name and currency."""
        ...


__all__ = [
    "Bank",
    "BankAnswer",
    "BankAnswerLine",
    "BankAnswerStatus",
    "BankFile",
    "BankFileContent",
    "BankFileQuery",
    "BankFileRequest",
    "BankKind",
    "BankLine",
    "BankLineQuery",
    "BankNote",
    "BankResultStatus",
    "BankStatus",
    "BankWaiting",
    "Batch",
    "BatchVerdict",
    "BatchVerdictStatus",
    "Forecasts",
    "NewBankAnswer",
    "NewBatch",
    "NewPayee",
    "NewPayout",
    "PaidOut",
    "PaidOutQuery",
    "Payee",
    "PayeeId",
    "PayeeProof",
    "PayeeState",
    "PayeeStatus",
    "PayeeTest",
    "PayoutChannel",
    "PayoutId",
    "PayoutMoved",
    "PayoutOrigin",
    "PayoutQuery",
    "PayoutSchedule",
    "PayoutState",
    "PayoutStatus",
    "PayoutStep",
    "PayoutTerms",
    "PayoutVerdict",
    "PayoutVerdictStatus",
    "PayoutView",
    "Payouts",
    "Remittance",
    "RemittanceQuery",
    "RemittanceStatus",
    "RemittanceTarget",
    "RemittanceView",
    "Remittances",
    "Reserve",
    "ReserveChange",
    "ReserveForecast",
    "ReserveSource",
    "ReserveStatus",
    "ReviewSum",
    "ScheduleKind",
    "ScheduleOutcome",
    "SchedulePutStatus",
    "ScheduleView",
    "Taken",
    "TakenAnswer",
    "TakenCode",
    "TermsPutStatus",
    "VerifyStatus",
]
