"""Payments: money asked for, money that arrived, money given back, over any provider."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.api.payments.actions import ActionKind, PaymentAction
from vendrail.api.payments.callbacks import Callback, CallbackAnswer
from vendrail.api.payments.channels import (
    ChannelAccount,
    ChannelCheck,
    ChannelHealth,
    ChannelId,
    ChannelKind,
    ChannelProbe,
    ChannelStatus,
    Device,
    Method,
    ProbeStatus,
    SettingView,
    fitting,
)
from vendrail.api.payments.deposits import (
    Arrival,
    DepositView,
    Holding,
    HoldingsPage,
    HoldingsQuery,
    OnChain,
    PlanKind,
    PlannedTransaction,
    PlanRequest,
    PlanStatus,
    Published,
    PublishStatus,
    SignedTransaction,
    TransactionPlan,
    UnpricedArrival,
    UnpricedQuery,
    UnpricedStatus,
    UnpricedVerdict,
)
from vendrail.api.payments.disputes import Contests, DisputeTold
from vendrail.api.payments.payouts import PayoutFate, PayoutOrder, PayoutReport, PayoutWay
from vendrail.api.payments.routing import (
    ChannelStanding,
    ChannelTerms,
    Decision,
    DecisionOutcome,
    DecisionQuery,
    MerchantMethod,
    MethodChoice,
    MethodChoiceStatus,
    OfferQuestion,
    Route,
    RouteFate,
    RouteOption,
    RouteReason,
    Routing,
    RoutingRule,
    RuleEffect,
    RuleId,
    RuleStatus,
    SegmentView,
    TermsStatus,
)
from vendrail.api.payments.saved import (
    AgreementOffer,
    AgreementOpened,
    AgreementOpening,
    AgreementStatus,
    SavedDrop,
    SavedId,
    SavedPayment,
    SavedPayResult,
    SavedPayStatus,
    SavedQuery,
    SavedWay,
    Saving,
)
from vendrail.kernel.codec import Record
from vendrail.kernel.numbers import Numbered
from vendrail.kernel.outbox import Cursor, EventPage

AttemptId = NewType("AttemptId", UUID)
CaptureId = NewType("CaptureId", UUID)
RefundId = NewType("RefundId", UUID)


class Attempt(Record, frozen=True):
    """One try to pay one order over one channel; an order may have several, and any may win."""

    id: AttemptId
    order: UUID
    number: int  # 1, 2, …: `out_trade_no` = serial + number.
    merchant: UUID
    method: str
    amount_minor: int
    currency: str
    title: str  # What the provider shows the buyer.
    expires_at: datetime
    channel: ChannelId | None = None  # None: payments chooses one that offers the method.
    return_url: str = ""
    trace_id: str = ""
    country: str = ""  # The buyer's, where it is known: CN.
    device: Device | None = None  # Where the buyer's browser runs, where it is known.
    buyer: UUID | None = None  # Who has agreed that the provider remembers how they pay.


class AttemptStatus(StrEnum):
    """How opening one attempt ended. Where several would fit, the first listed is given."""

    OPENED = "opened"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    METHOD_NOT_OFFERED = "method_not_offered"
    CURRENCY_NOT_OFFERED = "currency_not_offered"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    AMOUNT_NOT_OFFERED = "amount_not_offered"  # Every account that offers the way has bounds.


class AttemptState(StrEnum):
    """Where one attempt stands."""

    OPEN = "open"
    CAPTURED = "captured"
    CLOSED = "closed"  # The provider will take no money for it any more.
    FAILED = "failed"


class AttemptView(Record, frozen=True):
    """An attempt as it stands."""

    attempt: Attempt
    state: AttemptState
    out_trade_no: str
    opened_at: datetime


class PresentRequest(Record, frozen=True):
    """Ask for the way to pay one attempt, fitted to the buyer's device."""

    attempt: AttemptId
    device: Device = Device.DESKTOP
    return_url: str = ""
    quit_url: str = ""
    address: str = ""  # The buyer's, which some providers want to be told.
    door_url: str = ""  # Where a provider may send the buyer back, once it knows them.
    returned: str = ""  # The query with which it did.
    buyer: UUID | None = None  # Who is signed in: remembered where the attempt says they agreed.
    is_own: bool = False  # Whoever asks holds the order's secret, and may change how it is paid.


class CaptureFit(StrEnum):
    """Whether money that arrived is what was asked for."""

    FITS = "fits"
    MATCHED = "matched"  # A person matched it to an order later; it leaves suspense.
    ORDER_UNKNOWN = "order_unknown"
    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    DISPUTED = "disputed"  # The provider, asked, does not know of it: never told as an event.


class CaptureSource(StrEnum):
    """How a capture was found; whichever way, it is one."""

    CALLBACK = "callback"
    QUERY = "query"
    MANUAL = "manual"
    BILL = "bill"


class Capture(Record, frozen=True):
    """Money that arrived. Its id derives from (channel account, provider's number)."""

    id: CaptureId
    channel: ChannelId
    channel_name: str
    provider_number: str
    attempt: AttemptId | None
    order: UUID | None
    merchant: UUID | None
    method: str
    amount_minor: int
    currency: str
    fit: CaptureFit
    source: CaptureSource
    paid_at: datetime
    at: datetime
    trace_id: str = ""


class PaymentCaptured(Record, frozen=True, tag="payment.captured"):
    """Money arrived and is durable; FITS and MATCHED go to the order, all else to suspense."""

    capture: Capture


class UnmatchedRefunded(Record, frozen=True, tag="payment.unmatched_refused"):
    """A person decided to give unmatched money back."""

    capture: Capture
    person: str
    reason: str


class RefundSettled(Record, frozen=True, tag="payment.refund_settled"):
    """A refund that was pending has succeeded or failed for good."""

    refund: RefundId
    is_paid: bool


PaymentEvent = PaymentCaptured | UnmatchedRefunded | RefundSettled | DisputeTold


class CaptureReport(Record, frozen=True):
    """Money found otherwise than by a callback: by query, by hand, in a bill."""

    channel: ChannelId
    provider_number: str
    out_trade_no: str
    amount_minor: int
    currency: str
    paid_at: datetime
    source: CaptureSource


class CaptureStatus(StrEnum):
    """How recording one capture ended."""

    RECORDED = "recorded"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    CHANNEL_NOT_FOUND = "channel_not_found"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"


class Refund(Record, frozen=True):
    """Ask for money back to where it came from. The id is the provider's idempotency key too."""

    id: RefundId
    capture: CaptureId
    amount_minor: int
    reason: str = ""
    # Ask once more where the provider refused; only for who has not yet acted on the refusal.
    is_asked_anew: bool = False


class RefundStatus(StrEnum):
    """How one refund stands. Where several would fit, the first listed is given."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"  # The provider has not said; it is asked again by itself.
    FAILED = "failed"  # The provider refused for good.
    CAPTURE_NOT_FOUND = "capture_not_found"
    EXISTS_DIFFERENT = "exists_different"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    MORE_THAN_CAPTURED = "more_than_captured"


class CloseStatus(StrEnum):
    """What became of an order's open attempts when they were closed."""

    CLOSED = "closed"  # Closed with the provider, and asked again after: nobody has paid.
    CAPTURED = "captured"  # Money has arrived.
    UNKNOWN = "unknown"  # A provider did not answer: not assumed, ask again later.


class UnmatchedQuery(Record, frozen=True):
    """A page of the money that waits for a person, oldest first."""

    channel: ChannelId | None = None  # Of this channel alone.
    after: CaptureId | None = None  # The last one of the page before.
    captures_max: int = 50


class UnmatchedVerdict(Record, frozen=True):
    """What a person decided about unmatched money: an order to fill, or None: give it back."""

    capture: CaptureId
    order: UUID | None
    person: str
    reason: str


class UnmatchedStatus(StrEnum):
    """How one verdict ended."""

    SETTLED = "settled"
    EXISTS = "exists"
    CAPTURE_NOT_FOUND = "capture_not_found"
    ATTEMPT_NOT_FOUND = "attempt_not_found"  # The order never asked for a payment.
    AMOUNT_DIFFERS = "amount_differs"  # The order asked for more, less, or another currency.
    EXISTS_DIFFERENT = "exists_different"
    PROVIDER_DISAGREES = "provider_disagrees"  # Disputed money: asked again, still not there.


class Payments(Routing, Saving, Contests, OnChain, Numbered, Protocol):
    """Attempts, captures and refunds, in batches."""

    async def put_channels(self, channels: Sequence[ChannelAccount]) -> list[ChannelStatus]:
        """Write channel accounts whole, by id; an empty secret keeps the one that is there."""
        ...

    async def check_channels(self, channels: Sequence[ChannelAccount]) -> list[ChannelCheck]:
        """Say how writing each of them would end, and what is the matter; write nothing."""
        ...

    async def list_channels(self) -> list[ChannelAccount]:
        """List channel accounts; secrets are masked."""
        ...

    async def list_kinds(self) -> list[ChannelKind]:
        """List the kinds of channels that are installed, with what their accounts ask for."""
        ...

    async def read_health(self, ids: Sequence[ChannelId]) -> list[ChannelHealth]:
        """Say how providers answered in the last minutes, and which are left alone."""
        ...

    async def probe_channels(self, ids: Sequence[ChannelId]) -> list[ChannelProbe]:
        """Ask providers about a payment that does not exist: harmless, signed, and telling."""
        ...

    async def list_methods(self, currency: str) -> list[Method]:
        """List the ways to pay that are offered now in a currency, in the order of preference.

        A way comes again with another account only where the one before has bounds.
        """
        ...

    async def open_attempts(self, attempts: Sequence[Attempt]) -> list[AttemptStatus]:
        """Open attempts; no provider is called."""
        ...

    async def present_attempts(self, requests: Sequence[PresentRequest]) -> list[PaymentAction]:
        """Sign or fetch the way to pay: called when the buyer opens it."""
        ...

    async def read_attempts(self, orders: Sequence[UUID]) -> list[list[AttemptView]]:
        """Read orders' attempts, first to last."""
        ...

    async def take_callbacks(self, callbacks: Sequence[Callback]) -> list[CallbackAnswer]:
        """Verify, bind, compare, store; give the answer for the provider, after commit."""
        ...

    async def record_captures(self, reports: Sequence[CaptureReport]) -> list[CaptureStatus]:
        """Record money found by query, by hand or in a bill, through the same one way."""
        ...

    async def query_attempts(self, ids: Sequence[AttemptId]) -> list[AttemptState | None]:
        """Ask the provider now; None: it did not say."""
        ...

    async def close_attempts(self, orders: Sequence[UUID]) -> list[CloseStatus]:
        """Close orders' open attempts with the provider, then ask again whether money arrived."""
        ...

    async def read_captures(self, orders: Sequence[UUID]) -> list[list[Capture]]:
        """Read orders' captures, first to last."""
        ...

    async def find_captures(self, provider_numbers: Sequence[str]) -> list[list[Capture]]:
        """Find captures by their number at the provider, of whatever channel."""
        ...

    async def read_deposits(self, attempts: Sequence[AttemptId]) -> list[DepositView | None]:
        """Read what is asked for at attempts' addresses, and what has come; None: elsewhere."""
        ...

    async def request_refunds(self, refunds: Sequence[Refund]) -> list[RefundStatus]:
        """Commit the intent, ask the provider, record; asking again gives how it stands.

        One that was refused stays so, unless it is asked anew.
        """
        ...

    async def list_payout_ways(self) -> list[PayoutWay]:
        """List the active channel accounts whose provider pays out."""
        ...

    async def send_payouts(self, orders: Sequence[PayoutOrder]) -> list[PayoutReport]:
        """Tell providers of payouts; the same number never moves money twice.

        Nothing is kept: whoever calls has committed the intent, and asks again under the number.
        """
        ...

    async def ask_payouts(self, orders: Sequence[PayoutOrder]) -> list[PayoutReport]:
        """Ask providers what became of payouts."""
        ...

    async def list_unmatched(self, queries: Sequence[UnmatchedQuery]) -> list[list[Capture]]:
        """List money that fits nothing and waits for a person, oldest first; a short page ends."""
        ...

    async def read_unmatched(self, captures: Sequence[CaptureId]) -> list[Capture | None]:
        """Read money that waits for a person; None for what does not, or not any more."""
        ...

    async def settle_unmatched(self, verdicts: Sequence[UnmatchedVerdict]) -> list[UnmatchedStatus]:
        """Record what people decided about unmatched money."""
        ...

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read `PaymentEvent`s after a cursor."""
        ...


__all__ = [
    "ActionKind", "AgreementOffer", "AgreementOpened", "AgreementOpening", "AgreementStatus",
    "Arrival", "Attempt", "AttemptId", "AttemptState", "AttemptStatus", "AttemptView",
    "Callback", "CallbackAnswer", "Capture", "CaptureFit", "CaptureId", "CaptureReport",
    "CaptureSource", "CaptureStatus", "ChannelAccount", "ChannelCheck", "ChannelHealth",
    "ChannelId", "ChannelKind", "ChannelProbe", "ChannelStanding", "ChannelStatus", "ChannelTerms",
    "CloseStatus", "Decision", "DecisionOutcome", "DecisionQuery", "DepositView", "Device",
    "DisputeTold", "Holding", "HoldingsPage",
    "HoldingsQuery", "MerchantMethod", "Method", "MethodChoice", "MethodChoiceStatus",
    "OfferQuestion", "PaymentAction", "PaymentCaptured", "PaymentEvent", "Payments", "PayoutFate",
    "PayoutOrder", "PayoutReport", "PayoutWay", "PlanKind", "PlanRequest", "PlanStatus",
    "PlannedTransaction", "PresentRequest", "ProbeStatus", "PublishStatus", "Published", "Refund",
    "RefundId", "RefundSettled", "RefundStatus", "Route", "RouteFate", "RouteOption", "RouteReason",
    "Routing", "RoutingRule", "RuleEffect", "RuleId", "RuleStatus", "SavedDrop", "SavedId",
    "SavedPayResult", "SavedPayStatus", "SavedPayment", "SavedQuery", "SavedWay", "Saving",
    "SegmentView", "SettingView", "SignedTransaction", "TermsStatus", "TransactionPlan",
    "UnmatchedRefunded", "UnmatchedStatus", "UnmatchedVerdict", "UnpricedArrival",
    "UnpricedQuery", "UnpricedStatus", "UnpricedVerdict", "fitting",
]  # fmt: skip
