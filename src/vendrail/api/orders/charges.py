"""Charges: orders of an amount, whose merchant delivers elsewhere."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.orders.states import OrderId, OrderState
from vendrail.kernel.codec import Record

CHARGE = "charge"  # What the delivery of a charge is called, beside the kinds of the catalog.


class PlaceCharge(Record, frozen=True):
    """An amount to be paid to a merchant who delivers elsewhere; the id is chosen as an order's.

    A charge is an order without a variant: nothing is held, nothing is picked, the rest is alike.
    """

    id: OrderId
    merchant: UUID
    number: str  # The merchant's own: sent again it is the same charge.
    title: str
    amount_minor: int
    currency: str
    method: str = ""  # The first way to pay; empty: chosen on the pay page.
    address: str = ""  # The buyer's network address; only its keyed hash is kept.
    device: str = ""  # The device cookie; only its keyed hash is kept.
    locale: str = "zh-Hans"
    return_url: str = ""
    trace_id: str = ""
    is_proof_wanted: bool = False  # Its face asks for a proof of work …
    is_proven: bool = False  # … and a good one was shown there.
    browser: str = ""  # Where the buyer's runs, as payments names devices; empty: not known.
    country: str = ""  # The buyer's, where it is known: CN.


class ChargeStatus(StrEnum):
    """How placing one charge ended. Where several would fit, the first listed is given."""

    PLACED = "placed"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    ID_NOT_OF_NOW = "id_not_of_now"  # It waited too long, or clocks differ: place with a new id.
    NUMBER_MALFORMED = "number_malformed"
    TITLE_MALFORMED = "title_malformed"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    SALES_STOPPED = "sales_stopped"  # Its merchant is suspended.
    PROOF_WANTED = "proof_wanted"
    LIMIT_REACHED = "limit_reached"  # Its merchant may not sell so much yet.
    RISK_REFUSED = "risk_refused"
    METHOD_NOT_OFFERED = "method_not_offered"


class ChargePlacement(Record, frozen=True):
    """What placing a charge gave: the secret opens it for its buyer, as an order's does."""

    status: ChargeStatus
    order: OrderId | None = None
    secret: str = ""
    state: OrderState = OrderState.PLACED
    expires_at: datetime | None = None
    attempt: UUID | None = None  # The first attempt, when a method was given.
