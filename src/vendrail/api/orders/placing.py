"""A buyer's choice, and how placing it ended."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.orders.exchanges import Exchange
from vendrail.api.orders.states import OrderId, OrderState
from vendrail.kernel.codec import Record


class Discount(Record, frozen=True):
    """What a coupon has taken off an order."""

    coupon: UUID
    title: str
    amount_minor: int  # In the price's currency; the order's amount is what is left.


class PlaceOrder(Record, frozen=True):
    """A buyer's choice. The caller chooses the id (new_id with the merchant's shard)."""

    id: OrderId
    sku: str
    quantity: int
    currency: str
    contact: str  # E-mail or phone: where notices go, sealed at rest.
    method: str = ""  # The first way to pay; empty: chosen on the pay page.
    address: str = ""  # The buyer's network address; only its keyed hash is kept.
    device: str = ""  # The device cookie; only its keyed hash is kept.
    locale: str = "zh-Hans"
    idempotency_key: str = ""  # At least 16 characters; kept as a keyed hash, bound to contact.
    return_url: str = ""
    trace_id: str = ""
    is_proof_wanted: bool = False  # Its face asks for a proof of work, whatever is ordered …
    is_proven: bool = False  # … and a good one was shown there.
    quote: UUID | None = None  # Of foreign exchange: the price is paid in another currency …
    paid_currency: str = ""  # … which is this one.
    browser: str = ""  # Where the buyer's runs, as payments names devices; empty: not known.
    country: str = ""  # The buyer's, where it is known: CN.
    buyer: UUID | None = None  # Who is signed in; None: a guest.
    is_remembered: bool = False  # They agree that the provider remembers how they pay.
    coupon: str = ""  # A code that takes something off.


class PlaceStatus(StrEnum):
    """How placing one order ended. Where several would fit, the first listed is given."""

    PLACED = "placed"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    ID_NOT_OF_NOW = "id_not_of_now"  # It waited too long, or clocks differ: place with a new id.
    CONTACT_MALFORMED = "contact_malformed"
    IDEMPOTENCY_KEY_MALFORMED = "idempotency_key_malformed"
    SKU_NOT_FOUND = "sku_not_found"
    NOT_ON_SALE = "not_on_sale"
    QUANTITY_OUT_OF_RANGE = "quantity_out_of_range"
    CURRENCY_NOT_OFFERED = "currency_not_offered"
    COUPON_REFUSED = "coupon_refused"  # `coupon_problem` says why.
    MARKUP_TOO_LOW = "markup_too_low"  # An agent's price does not bear its supplier and its fee.
    LIMIT_REACHED = "limit_reached"  # Its merchant may not sell so much yet.
    PROOF_WANTED = "proof_wanted"  # Under pressure, each new order costs a proof of work.
    METHOD_NOT_OFFERED = "method_not_offered"
    AMOUNT_NOT_OFFERED = "amount_not_offered"  # The method takes no such amount.
    RISK_REFUSED = "risk_refused"
    QUOTE_NOT_USABLE = "quote_not_usable"  # Not there, over, used, or of another price.
    BUYER_CAP_REACHED = "buyer_cap_reached"
    SOLD_OUT = "sold_out"


class Placement(Record, frozen=True):
    """What placing gave: the secret is the buyer's key to the order and is derived, not stored."""

    status: PlaceStatus
    order: OrderId | None = None
    secret: str = ""
    state: OrderState = OrderState.PLACED
    amount_minor: int = 0
    currency: str = ""
    expires_at: datetime | None = None
    attempt: UUID | None = None  # The first attempt, when a method was given.
    exchange: Exchange | None = None  # Where it is paid in another currency.
    coupon_problem: str = ""  # Why its coupon was refused, as promotions say.
    discount: Discount | None = None  # What its coupon has taken off.
