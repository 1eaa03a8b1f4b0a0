"""Epay: card sites elsewhere charge through us by the protocol (易支付, V1) they speak."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.numbers import Numbered


class EpayAccount(Record, frozen=True):
    """A merchant's number at our Epay door; its key is sealed, and told once."""

    pid: int
    merchant: UUID
    is_open: bool  # The merchant's own switch.
    is_suspended: bool  # The operator's.
    can_refund: bool  # Whether the key gives money back.
    made_at: datetime
    keyed_at: datetime  # When the key was made that is good now.


class EpayKey(Record, frozen=True):
    """An account with the key that was made just now: it is nowhere else, and never told again."""

    account: EpayAccount
    key: str


class EpayChange(Record, frozen=True):
    """What to change of a merchant's account; None: it stays."""

    merchant: UUID
    is_open: bool | None = None
    is_suspended: bool | None = None
    can_refund: bool | None = None


class EpayStatus(StrEnum):
    """How one request of a card site ended. Where several would fit, the first listed is given."""

    TAKEN = "taken"
    PID_UNKNOWN = "pid_unknown"
    SIGN_TYPE_UNKNOWN = "sign_type_unknown"
    SIGN_WRONG = "sign_wrong"
    KEY_WRONG = "key_wrong"
    CLOSED = "closed"
    SUSPENDED = "suspended"
    TOO_OFTEN = "too_often"
    FIELD_MISSING = "field_missing"
    TYPE_UNKNOWN = "type_unknown"
    NUMBER_MALFORMED = "number_malformed"
    URL_MALFORMED = "url_malformed"
    URL_PRIVATE = "url_private"
    TEXT_TOO_LONG = "text_too_long"
    MONEY_MALFORMED = "money_malformed"
    MONEY_OUT_OF_RANGE = "money_out_of_range"
    ORDER_DIFFERS = "order_differs"
    PROOF_WANTED = "proof_wanted"
    REFUSED = "refused"  # By risk.
    BUSY = "busy"  # It waited too long on its way: nothing was placed.
    METHOD_NOT_OFFERED = "method_not_offered"
    ORDER_PAID = "order_paid"
    ORDER_OVER = "order_over"
    ORDER_UNKNOWN = "order_unknown"
    REFUNDS_OFF = "refunds_off"
    ORDER_UNPAID = "order_unpaid"
    ORDER_DISPUTED = "order_disputed"  # The payer's bank decides first.
    REFUND_TOO_LARGE = "refund_too_large"
    REFUND_PENDING = "refund_pending"  # Begun; act=order tells when it has gone back.
    REFUND_FAILED = "refund_failed"


class EpayRequest(Record, frozen=True):
    """What came to submit.php or mapi.php: the fields, raw, and from whom."""

    fields: dict[str, str]
    is_server: bool = False  # mapi.php: a server asks, and names its buyer's address.
    address: str = ""
    device: str = ""  # The device cookie of a browser.
    locale: str = "zh-Hans"
    trace_id: str = ""
    is_proof_wanted: bool = False  # The face asks for a proof of work …
    is_proven: bool = False  # … and a good one was shown there.
    browser: str = ""  # Where the buyer's runs, as payments names devices; empty: not known.
    country: str = ""  # The buyer's, where it is known: CN.


class EpayPlacement(Record, frozen=True):
    """What became of a request: an order with the secret that opens it, or why there is none."""

    status: EpayStatus
    field: str = ""  # Which one, where it is one field's fault.
    order: UUID | None = None
    secret: str = ""


class EpayAsk(Record, frozen=True):
    """A question to api.php, with the key in clear, as the protocol has it."""

    pid: str
    key: str
    trade_no: str = ""  # Our number of an order, which wins …
    out_trade_no: str = ""  # … over the site's.


class EpayMerchant(Record, frozen=True):
    """What act=query tells."""

    status: EpayStatus
    account: EpayAccount | None = None
    available_minor: int = 0
    order_count: int = 0


class EpayOrder(Record, frozen=True):
    """A charge as its site may see it."""

    pid: int
    trade_no: str
    out_trade_no: str
    type: str
    name: str
    amount_minor: int
    refunded_minor: int
    param: str
    placed_at: datetime
    paid_at: datetime | None  # None: not paid, or not released yet.


class EpayFound(Record, frozen=True):
    """What act=order and act=orders tell."""

    status: EpayStatus
    orders: list[EpayOrder] = []


class EpayPage(Record, frozen=True):
    """A page of a site's charges, newest first, counted from 1."""

    ask: EpayAsk
    page: int = 1
    orders_max: int = 20


class EpayRefund(Record, frozen=True):
    """Give money of a charge back, whole or in part; the id is the idempotency key."""

    id: UUID
    ask: EpayAsk
    amount_minor: int
    number: str = ""  # The site's own, where it has one: then that, within the order, is the key.
    address: str = ""


class NoticeState(StrEnum):
    """Where the telling of one paid charge stands."""

    WAITING = "waiting"
    TAKEN = "taken"  # The site has answered `success`.
    GIVEN_UP = "given_up"  # It has not, at any step of the ladder.


class EpayNotice(Record, frozen=True):
    """The telling of one paid charge to its site."""

    order: UUID
    out_trade_no: str
    state: NoticeState
    attempts: int
    due_at: datetime
    problem: str


class Epay(Numbered, Protocol):
    """Accounts, charges, questions and notices of card sites that speak Epay, in batches."""

    async def make_epay_keys(self, merchants: Sequence[UUID]) -> list[EpayKey]:
        """Open merchants' accounts, or give those there are another key; the one before is void."""
        ...

    async def read_epay_accounts(self, merchants: Sequence[UUID]) -> list[EpayAccount | None]:
        """Read merchants' accounts; never a key."""
        ...

    async def change_epay_accounts(self, changes: Sequence[EpayChange]) -> list[EpayAccount | None]:
        """Open, close, suspend; allow refunds. None: the merchant has no account."""
        ...

    async def take_epay_requests(self, requests: Sequence[EpayRequest]) -> list[EpayPlacement]:
        """Verify, check and place; one number of one site is one charge."""
        ...

    async def read_epay_merchants(self, asks: Sequence[EpayAsk]) -> list[EpayMerchant]:
        """Tell merchants what they have."""
        ...

    async def read_epay_orders(self, asks: Sequence[EpayAsk]) -> list[EpayFound]:
        """Tell how single charges stand."""
        ...

    async def list_epay_orders(self, pages: Sequence[EpayPage]) -> list[EpayFound]:
        """List sites' charges, newest first."""
        ...

    async def refund_epay_orders(self, refunds: Sequence[EpayRefund]) -> list[EpayStatus]:
        """Give money back, and wait a moment for the provider's word."""
        ...

    async def read_epay_returns(self, orders: Sequence[UUID]) -> list[str | None]:
        """Give the signed addresses that paid charges' buyers go back to; None: there is none."""
        ...

    async def list_epay_notices(
        self, merchant: UUID, state: NoticeState | None, notices_max: int
    ) -> list[EpayNotice]:
        """List a merchant's notices, newest first."""
        ...

    async def retry_epay_notices(self, orders: Sequence[UUID]) -> list[bool]:
        """Tell sites again now, from the first step; true where there is something to tell."""
        ...
