"""What a channel is: stateless code that turns our questions into a provider's, and answers back.

A channel never decides what money means and never writes: it says what the provider said, and
`unknown` for what is unclear. Reading a callback is pure; what goes out takes the account's `Line`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from vendrail.api.payments import (
    ActionKind,
    Callback,
    CallbackAnswer,
    ChannelId,
    Device,
    PaymentAction,
)
from vendrail.kernel.codec import Record
from vendrail.payments.channels.deposit import Deposit
from vendrail.payments.channels.line import Line

ENTRY_POINTS = "vendrail.channels"

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Setting:
    """One line of a channel's settings table."""

    name: str
    label: str
    help: str
    said: Mapping[str, tuple[str, str]]  # Label and help in other languages, by their tags.
    is_secret: bool = False
    is_required: bool = False
    is_multiline: bool = False
    default: str = ""
    check: Callable[[str], str] | None = None  # Gives what is wrong with a value, or nothing.


class SettingProblem(Exception):
    """A setting that is missing or malformed; the text says what to do."""

    def __init__(self, name: str, message: str, *, is_missing: bool = False) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.is_missing = is_missing


class MethodOffer(Record, frozen=True):
    """A way to pay that an account offers."""

    method: str
    shows: str  # `redirect`, `embed`, `qr`, `address`.
    currencies: tuple[str, ...] = ()  # In which it can be paid; none named: all of the account's.
    devices: tuple[Device, ...] = ()  # Where it works; none named: everywhere.
    title: str = ""  # What buyers see, where the account's title does not say it.
    is_saving: bool = False  # The provider remembers it, of a channel that saves.


@dataclass(frozen=True)
class Account(Generic[Settings]):
    """An account opened for use: typed settings, and the line to its provider."""

    id: ChannelId
    name: str
    settings: Settings
    line: Line


class Ask(Record, frozen=True):
    """One attempt, as its provider is told of it."""

    out_trade_no: str
    method: str
    amount_minor: int
    currency: str
    title: str
    opened_at: datetime
    expires_at: datetime
    notify_url: str = ""
    return_url: str = ""
    quit_url: str = ""
    door_url: str = ""  # Where the way to pay is asked for again, for who must be known first.
    returned: str = ""  # What a provider added to that address when it sent the buyer back.
    device: Device = Device.DESKTOP
    address: str = ""  # The buyer's, where it is known.
    reference: str = ""  # What the provider called it when it was presented.
    provider_number: str = ""  # Its payment, where one is claimed already.
    deposit: Deposit | None = None  # Where it is paid, of a channel that is watched.
    customer: str = ""  # The provider's name for the buyer, who wants the way to pay remembered.
    is_own: bool = False  # Whoever opens it holds the order's secret.


class Presentation(Record, frozen=True):
    """The way to pay, and what has to be remembered of it."""

    action: PaymentAction
    reference: str = ""
    is_kept: bool = False  # Given again as it is, instead of being made anew.
    said: str = ""  # The provider's code, where it refused: whose fault that is, `blames` says.


class QueryOutcome(StrEnum):
    """What a provider says of one attempt."""

    PAID = "paid"
    UNPAID = "unpaid"
    NOT_FOUND = "not_found"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class QueryAnswer(Record, frozen=True):
    """A provider's answer about one attempt; amounts only when it is paid."""

    outcome: QueryOutcome
    provider_number: str = ""
    amount_minor: int = 0
    currency: str = ""
    paid_at: datetime | None = None
    problem: str = ""


class Doubt(StrEnum):
    """What is the matter where a query was answered, and says nothing of its order."""

    CREDENTIALS = "credentials"  # The provider does not know the account, or may not serve it.
    SIGNATURE = "signature"  # It does not accept what we signed.
    REPLY = "reply"  # The reply is not signed with the key that was given for it.
    OTHER = "other"


class CloseOutcome(StrEnum):
    """What a provider says when it is told to take no money any more."""

    CLOSED = "closed"
    NOT_FOUND = "not_found"
    REFUSED = "refused"  # Paid already, perhaps: the query that follows tells.
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


class RefundAsk(Record, frozen=True):
    """One refund, as the provider is told of it; `refund_number` is its idempotency key.

    A provider that knows no such key is told once: `tries` says how often it was told before, and
    `others_minor` what to expect in a sum of all that went back.
    """

    refund_number: str
    out_trade_no: str
    provider_number: str
    amount_minor: int
    captured_minor: int
    currency: str
    reason: str
    tries: int = 0  # How often it was told before: 0 is the first time.
    others_minor: int = 0  # Of the same capture, what else has gone back.
    is_alone: bool = True  # No other refund of the capture is under way.

    @property
    def is_whole(self) -> bool:
        """Tell whether it gives back all that was captured: that can never happen twice."""
        return self.amount_minor == self.captured_minor


class RefundOutcome(StrEnum):
    """What a provider says of one refund."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    FAILED = "failed"  # Refused for good: asking again with the same number cannot succeed.
    NOT_FOUND = "not_found"  # Answer of a query only: this refund has moved nothing.
    UNKNOWN = "unknown"


class RefundAnswer(Record, frozen=True):
    """A provider's answer about one refund."""

    outcome: RefundOutcome
    problem: str = ""
    is_final: bool = False  # Refused at the first telling: no earlier one can have moved money.


class CallbackKind(StrEnum):
    """What a verified callback tells."""

    CAPTURED = "captured"
    CLAIMED = "claimed"  # Money, says who knows a shared secret: the provider must be asked.
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"  # Money that went back, or was to, is with us again.
    DISPUTED = "disputed"  # The payer's bank asks for money back.
    DISPUTE_WON = "dispute_won"  # It is ours after all.
    DISPUTE_LOST = "dispute_lost"
    DISPUTE_DROPPED = "dispute_dropped"  # It ends, and may never have taken any money.
    FAILED = "failed"  # This try has failed; nothing was taken, and `problem` says why.
    CLOSED = "closed"
    AGREED = "agreed"  # An agreement began or ended: `case_number` is ours, the other theirs.
    OTHER = "other"


class CallbackFacts(Record, frozen=True):
    """A callback whose signature holds."""

    event: str  # The provider's name for it, the same when it is sent again.
    kind: CallbackKind
    out_trade_no: str = ""
    provider_number: str = ""
    amount_minor: int = 0
    currency: str = ""
    paid_at: datetime | None = None
    case_number: str = ""  # The provider's, of the refund or dispute that it tells of.
    mismatch: str = ""  # Signed, but not for this account: `application_differs`, …
    problem: str = ""  # Of a failure or a dispute: the provider's code for it.
    fee_minor: int = 0  # Of a dispute: what the provider asks for it, in the same currency …
    answer_by: datetime | None = None  # … and when it takes evidence no more.


class CallbackRefusal(Record, frozen=True):
    """A callback that proves nothing: `signature_wrong`, `malformed` and the like."""

    reason: str
    lacks_key: bool = False  # It may be good: it names a key that is not at hand.


class Blame(StrEnum):
    """Whose fault a failure is: only the channel's own count against it when ways are chosen."""

    CHANNEL = "channel"  # Technical, or how the account is set up: another channel may do better.
    BUYER = "buyer"  # No money, a wrong code, given up: no channel would have done better.


class Channel(Protocol[Settings]):
    """A provider's protocol. Constructed without arguments; all state is in the account."""

    kind: str
    name: str  # The provider's, as it writes it itself.
    settings_table: Sequence[Setting]
    currencies: Sequence[str]
    expires_max: timedelta  # No attempt may live longer at this provider.

    def read_settings(self, values: Mapping[str, str]) -> Settings:
        """Give typed settings, or raise `SettingProblem`; values passed the table's checks."""
        ...

    def offers(self, settings: Settings) -> list[MethodOffer]:
        """List the ways to pay of an account with these settings."""
        ...

    async def present(
        self, asks: Sequence[Ask], account: Account[Settings], now: datetime
    ) -> list[Presentation]:
        """Sign or fetch the way to pay, one for each ask; NONE with a problem when away."""
        ...

    async def query(self, ask: Ask, account: Account[Settings], now: datetime) -> QueryAnswer:
        """Ask what became of an attempt."""
        ...

    def doubt(self, problem: str) -> Doubt:
        """Say what is the matter where a query gave `unknown` and this problem."""
        ...

    async def close(self, ask: Ask, account: Account[Settings], now: datetime) -> CloseOutcome:
        """Tell the provider to take no money for an attempt any more."""
        ...

    async def refund(
        self, ask: RefundAsk, account: Account[Settings], now: datetime
    ) -> RefundAnswer:
        """Ask for money back; the same refund number never moves money twice.

        Whoever cannot promise that tells the provider once, and says `unknown` afterwards.
        """
        ...

    async def query_refund(
        self, ask: RefundAsk, account: Account[Settings], now: datetime
    ) -> RefundAnswer:
        """Ask what became of a refund."""
        ...

    def read_callback(
        self, raw: Callback, settings: Settings, now: datetime
    ) -> CallbackFacts | CallbackRefusal:
        """Verify over the raw bytes and read; pure, run in a thread.

        A provider that signs a moment is believed while that is not far from now, before or after.
        """
        ...

    def success_answer(self) -> CallbackAnswer:
        """Give what makes the provider stop sending."""
        ...

    def failure_answer(self) -> CallbackAnswer:
        """Give what makes the provider send again later."""
        ...


class Payee(Record, frozen=True):
    """Who is to be paid: `kind` is one of the channel's `payee_kinds`."""

    kind: str
    account: str
    name: str = ""  # As the provider knows it, where it compares names.


class PayoutAsk(Record, frozen=True):
    """One payout, as the provider is told of it; `payout_number` is its idempotency key."""

    payout_number: str
    payee: Payee
    amount_minor: int
    currency: str
    title: str
    notify_url: str = ""
    tries: int = 0  # How often it was told before: 0 is the first time.


class PayoutOutcome(StrEnum):
    """What a provider says of one payout."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    FAILED = "failed"  # Refused, and nothing moved: another try takes another number.
    RETURNED = "returned"  # It was paid, and the money came back since.
    NOT_FOUND = "not_found"  # Answer of a query only: this payout has moved nothing so far.
    UNKNOWN = "unknown"


class PayoutAnswer(Record, frozen=True):
    """A provider's answer about one payout.

    Some payees must confirm what they are paid: while it is pending they get a link to open, or a
    package to hand to the provider's own program.
    """

    outcome: PayoutOutcome
    provider_number: str = ""
    problem: str = ""
    confirm_url: str = ""
    confirm_package: str = ""


@runtime_checkable
class PayoutChannel(Protocol[Settings]):
    """A channel whose provider pays out of the account's balance."""

    payee_kinds: Sequence[str]

    def can_pay_out(self, settings: Settings) -> bool:
        """Tell whether an account with these settings may ask for payouts at all."""

    async def pay_out(
        self, ask: PayoutAsk, account: Account[Settings], now: datetime
    ) -> PayoutAnswer:
        """Pay somebody; the same payout number never moves money twice."""

    async def query_payout(
        self, ask: PayoutAsk, account: Account[Settings], now: datetime
    ) -> PayoutAnswer:
        """Ask what became of a payout."""


@runtime_checkable
class BlamingChannel(Protocol):
    """A channel that knows whose fault its provider's failures are, by the provider's codes."""

    blames: Mapping[str, Blame]


def blame_of(channel: Channel[Any], problem: str) -> Blame:
    """Say whose fault a failure is; what a channel does not know of counts as its own."""
    if isinstance(channel, BlamingChannel):
        return channel.blames.get(problem, Blame.CHANNEL)
    return Blame.CHANNEL


def away(problem: str = "provider_away", said: str = "") -> Presentation:
    """Give the presentation of a provider that cannot be reached, or refuses."""
    return Presentation(PaymentAction(ActionKind.NONE, problem=problem), said=said)


def check_settings(channel: Channel[Any], values: Mapping[str, str]) -> Any:
    """Check values against the channel's table, then let the channel type them."""
    known = {setting.name: setting for setting in channel.settings_table}
    for name in (each for each in values if each not in known):
        raise SettingProblem(name, f"is not a setting of {channel.kind}; see its guide.")
    filled: dict[str, str] = {}
    for name, setting in known.items():
        value = values.get(name, "").strip() or setting.default
        if not value and setting.is_required:
            raise SettingProblem(name, f"is needed. {setting.help}", is_missing=True)
        if value and setting.check is not None and (problem := setting.check(value)):
            raise SettingProblem(name, problem)
        filled[name] = value
    return channel.read_settings(filled)


@cache
def registry() -> dict[str, Channel[Any]]:
    """Load every channel that is installed, by kind."""
    channels = (point.load()() for point in entry_points(group=ENTRY_POINTS))
    return {channel.kind: channel for channel in channels}
