"""What may happen to an order, and why not. Pure: no I/O, no clock, no random."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from vendrail.api.catalog import HoldStatus, Offer, VariantId
from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.api.fx import Quote
from vendrail.api.orders import (
    CHARGE,
    TOP_UP,
    ChargeStatus,
    Discount,
    Exchange,
    GiveUpStatus,
    OrderState,
    PlaceCharge,
    PlaceOrder,
    PlaceStatus,
    RefundOrder,
    RefundOrderStatus,
    ReplaceItems,
    ReplaceStatus,
    Warranty,
)
from vendrail.api.payments import Capture, CaptureFit, Device
from vendrail.api.settlement import Supply, WalletPart
from vendrail.kernel.codec import Record
from vendrail.kernel.ids import made_at
from vendrail.kernel.money import AMOUNT_MINOR_MAX, Money
from vendrail.kernel.saga import Saga

_EMAIL = re.compile(r"^[^@\s<>\"'\\]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
_NUMBER = re.compile(r"[\x21-\x7e]{1,64}")
_TITLE_LENGTH_MAX = 256
_NOBODY = UUID(int=0)
_BROWSERS = frozenset(Device)
_PHONE_DIGITS_MAX = 15  # E.164.
_PHONE = re.compile(r"^\+?[0-9][0-9 -]{5,18}[0-9]$")

HOLD_REFUSALS = {
    HoldStatus.VARIANT_NOT_FOUND: PlaceStatus.SKU_NOT_FOUND,
    HoldStatus.BUYER_CAP_REACHED: PlaceStatus.BUYER_CAP_REACHED,
    HoldStatus.ADDRESS_CAP_REACHED: PlaceStatus.BUYER_CAP_REACHED,
    HoldStatus.DEVICE_CAP_REACHED: PlaceStatus.BUYER_CAP_REACHED,
    HoldStatus.SOLD_OUT: PlaceStatus.SOLD_OUT,
}


class SupplyFacts(Record, frozen=True):
    """Of an agent's order: whose keys it delivers, and what the supplier gets of each."""

    merchant: UUID
    variant: VariantId
    floor_minor: int

    def of(self, quantity: int) -> Supply:
        """Give the supplier's part of the price of so many."""
        return Supply(self.merchant, self.floor_minor * quantity)


class OrderFacts(Record, frozen=True, omit_defaults=True):
    """What was chosen, as it was then: kept with the order whatever the catalog becomes."""

    sku: str
    title: str
    shop: UUID
    shop_slug: str
    product: UUID
    restock_wait_s: int
    locale: str
    method: str
    address_hash: str
    device_hash: str
    delivery: str = "unique_key"  # What most sell: not written.
    number: str = ""  # Of a charge: the merchant's own.
    exchange: Exchange | None = None  # Where it is paid in another currency.
    category: str = ""  # Of the product: rules of fees ask for it.
    wallet: UUID | None = None  # Of a top-up: whose wallet it is paid into.
    discount: Discount | None = None  # What a coupon has taken off.
    warranty: Warranty | None = None  # What was promised of its keys.
    supply: SupplyFacts | None = None  # Of an agent's: whose keys it delivers.


class CaptureFacts(Record, frozen=True):
    """What a saga must know of the money that started it."""

    capture: UUID
    channel_name: str
    merchant: UUID | None
    amount_minor: int
    currency: str
    is_from_suspense: bool
    paid_at: datetime
    restock_tries: int = 0
    captured_at: datetime | None = None  # When we took it: what delivery is timed from.
    method: str = ""
    wallet: WalletPart | None = None  # What a wallet pays beside it, or alone: nothing came then.

    @property
    def total_minor(self) -> int:
        """What came over a channel, and what a wallet pays."""
        return self.amount_minor + (self.wallet.amount_minor if self.wallet else 0)


def contact(text: str) -> str | None:
    """Clean a contact: an e-mail address in lower case or a phone number; None: neither."""
    cleaned = text.strip()
    if len(cleaned) > 254:
        return None
    if _EMAIL.match(cleaned):
        return cleaned.lower()
    if _PHONE.match(cleaned):
        number = cleaned.replace(" ", "").replace("-", "")
        return number if len(number.lstrip("+")) <= _PHONE_DIGITS_MAX else None
    return None


def request_hash(order: PlaceOrder) -> bytes:
    """Tell a repeat of a request from another request."""
    chosen = [order.sku, str(order.quantity), order.currency, order.contact.strip().lower()]
    if order.paid_currency:
        chosen.append(order.paid_currency)
    if order.coupon:
        chosen.append(f"coupon:{order.coupon}")
    return blake2b("\x1f".join(chosen).encode(), digest_size=8).digest()


def placement(order: PlaceOrder, offer: Offer | None, cleaned: str | None) -> PlaceStatus:
    """Say whether an order may be placed, as far as it, its cleaned contact and its offer tell."""
    if cleaned is None:
        return PlaceStatus.CONTACT_MALFORMED
    if order.idempotency_key and not 16 <= len(order.idempotency_key) <= 255:
        return PlaceStatus.IDEMPOTENCY_KEY_MALFORMED
    if offer is None:
        return PlaceStatus.SKU_NOT_FOUND
    if not offer.is_on_sale:
        return PlaceStatus.NOT_ON_SALE
    if not offer.quantity_min <= order.quantity <= offer.quantity_max:
        return PlaceStatus.QUANTITY_OUT_OF_RANGE
    if offer.prices_minor.get(order.currency, 0) <= 0:
        return PlaceStatus.CURRENCY_NOT_OFFERED
    if (order.is_proof_wanted or offer.is_pressed) and not order.is_proven:
        return PlaceStatus.PROOF_WANTED
    if (order.quote is None) != (not order.paid_currency):
        return PlaceStatus.QUOTE_NOT_USABLE
    return PlaceStatus.PLACED


def exchange(order: PlaceOrder, amount_minor: int, quote: Quote | None) -> Exchange | None:
    """Give what is paid in place of a price; None: the quote is of something else."""
    if quote is None or quote.paid_currency != order.paid_currency:
        return None
    if (quote.amount_minor, quote.currency) != (amount_minor, order.currency):
        return None
    return Exchange(
        quote.id,
        quote.paid_minor,
        quote.paid_currency,
        quote.spread_minor,
        quote.rate.mid,
        quote.rate.rated_at,
    )


def supply(offer: Offer, currency: str) -> SupplyFacts | None:
    """Keep with an agent's order whose keys it sells; None: not supplied in that currency."""
    supplied = offer.supply
    floor_minor = supplied.floor_minor.get(currency, 0) if supplied is not None else 0
    if supplied is None or not floor_minor:
        return None
    return SupplyFacts(supplied.merchant, supplied.variant, floor_minor)


def warranty(promised: ProductWarranty | None) -> Warranty | None:
    """Keep what is promised of a product's keys with the order."""
    if promised is None:
        return None
    return Warranty(
        promised.hours,
        promised.covers,
        promised.keys_max,
        promised.buyer_keys_max,
        promised.is_refunded_when_out,
    )


def device(browser: str) -> Device | None:
    """Name where a buyer's browser runs as payments do; None: not known."""
    return Device(browser) if browser in _BROWSERS else None


def due(facts: OrderFacts, amount_minor: int, currency: str) -> Money:
    """Say what the buyer of an order pays, in which currency."""
    paid = facts.exchange
    if paid is None:
        return Money(amount_minor, currency)
    return Money(paid.amount_minor, paid.currency)


def charge_facts(
    charge: PlaceCharge, address_hash: str, device_hash: str, wallet: UUID | None = None
) -> OrderFacts:
    """Give the facts of a charge, or of a top-up: of no shop and of no product."""
    return OrderFacts(
        sku="",
        title=charge.title,
        shop=_NOBODY,
        shop_slug="",
        product=_NOBODY,
        restock_wait_s=0,
        locale=charge.locale,
        method=charge.method,
        address_hash=address_hash,
        device_hash=device_hash,
        delivery=CHARGE if wallet is None else TOP_UP,
        number=charge.number if wallet is None else "",
        wallet=wallet,
    )


def charge_hash(charge: PlaceCharge) -> bytes:
    """Tell a repeat of a charge from another one under the same number."""
    chosen = (
        charge.merchant.hex,
        charge.number,
        charge.title,
        str(charge.amount_minor),
        charge.currency,
    )
    return blake2b("\x1f".join(chosen).encode(), digest_size=8).digest()


def charge(charge: PlaceCharge, *, is_stopped: bool = False) -> ChargeStatus:
    """Say whether a charge may be placed, as far as the charge itself tells."""
    if not _NUMBER.fullmatch(charge.number):
        return ChargeStatus.NUMBER_MALFORMED
    if not 0 < len(charge.title) <= _TITLE_LENGTH_MAX or not charge.title.isprintable():
        return ChargeStatus.TITLE_MALFORMED
    if not 0 < charge.amount_minor <= AMOUNT_MINOR_MAX:
        return ChargeStatus.AMOUNT_OUT_OF_RANGE
    if is_stopped:
        return ChargeStatus.SALES_STOPPED
    if charge.is_proof_wanted and not charge.is_proven:
        return ChargeStatus.PROOF_WANTED
    return ChargeStatus.PLACED


def is_id_timely(id: UUID, now: datetime, id_age_s_max: int) -> bool:
    """Expiry walks along ids, once: a new order's id must be of now."""
    return abs(now - made_at(id)) <= timedelta(seconds=id_age_s_max)


class Start(StrEnum):
    """What a capture sets in motion."""

    PURCHASE = "purchase"  # The order is filled.
    SURPLUS = "surplus"  # The order was paid before, or its rate is over: the money goes back.
    SUSPENSE = "suspense"  # It fits nothing: booked to suspense, a person decides.
    NOTHING = "nothing"  # Seen before.


FILLABLE = frozenset({OrderState.PLACED, OrderState.EXPIRED, OrderState.CANCELLED})
EXCHANGE_GRACE = timedelta(hours=1)  # An old rate holds no longer than that after its order.


def start(
    capture: Capture,
    state: OrderState | None,
    filled_by: UUID | None,
    running: UUID | None,
    rate_ends_at: datetime | None = None,
    *,
    is_coupon_gone: bool = False,
) -> Start:
    """Say what a capture sets in motion, given its order's state and the captures it has met.

    `rate_ends_at`, of an order in another currency: what is paid later goes back, unless a person
    has matched it. So does what comes when the order has ended and its coupon was given back.
    """
    fits = capture.fit in (CaptureFit.FITS, CaptureFit.MATCHED)
    if not fits or state is None or capture.merchant is None:
        return Start.SUSPENSE
    if capture.id in (filled_by, running):
        return Start.NOTHING
    if running is not None or state not in FILLABLE:
        return Start.SURPLUS
    is_late = rate_ends_at is not None and capture.paid_at > rate_ends_at
    if (is_late or is_coupon_gone) and capture.fit is not CaptureFit.MATCHED:
        return Start.SURPLUS
    return Start.PURCHASE


def refund(
    request: RefundOrder,
    state: OrderState | None,
    amount_minor: int,
    earlier_minor: Sequence[int],
    *,
    is_disputed: bool,
) -> tuple[RefundOrderStatus, int]:
    """Say whether a refund may start, and its amount (0 asked = all that is left)."""
    if state is None:
        return RefundOrderStatus.ORDER_NOT_FOUND, 0
    if state is not OrderState.DELIVERED:
        return RefundOrderStatus.NOT_PAID, 0
    if is_disputed:
        return RefundOrderStatus.DISPUTED, 0
    left_minor = amount_minor - sum(earlier_minor)
    wanted_minor = request.amount_minor or left_minor
    if not 0 < wanted_minor <= left_minor:
        return RefundOrderStatus.MORE_THAN_CAPTURED, 0
    return RefundOrderStatus.ACCEPTED, wanted_minor


def refund_paid(
    paid_minor: int,
    amount_minor: int,
    earlier: Sequence[tuple[int, int]],
    wanted_minor: int,
) -> int:
    """Say how much of what was paid goes back with a part of the price.

    By the share of the price that is given back in all, so that the last part takes what remains.
    `earlier` are the parts before: of the price, and of what was paid.
    """
    refunded_minor = sum(price for price, _ in earlier) + wanted_minor
    return paid_minor * refunded_minor // amount_minor - sum(back for _, back in earlier)


GIVEN_UP = "given up"  # Why a purchase turned that a person gave up; its provider is told so too.


def give_up(
    state: OrderState | None, purchase: Saga | None, *, has_stuck_refund: bool
) -> GiveUpStatus:
    """Say why an order whose purchase was not turned just now cannot be given up."""
    if state is None:
        return GiveUpStatus.ORDER_NOT_FOUND
    if purchase is not None:
        return GiveUpStatus.EXISTS if purchase.is_turned else GiveUpStatus.NOT_STUCK
    if has_stuck_refund:
        return GiveUpStatus.REFUND_STUCK
    if state is OrderState.DELIVERED:
        return GiveUpStatus.DELIVERED
    return GiveUpStatus.ENDED if state is OrderState.REFUNDED else GiveUpStatus.NOT_PAID


class Delivered(NamedTuple):
    """What a replacement must know of its order."""

    state: OrderState
    delivery: str
    quantity: int
    is_refunding: bool
    replaced_max: int | None = None  # How many more may be, of a supplier's keys; None: no bound.


def replace(
    asked: ReplaceItems, order: Delivered | None, before: ReplaceItems | None, *, is_done: bool
) -> ReplaceStatus:
    """Say whether the catalog may try to replace items.

    `before` is what was asked under the id, and `is_done` whether the catalog has done it.
    """
    if before is not None:
        if (before.order, before.positions) != (asked.order, asked.positions):
            return ReplaceStatus.EXISTS_DIFFERENT
        if is_done:
            return ReplaceStatus.EXISTS
    if order is None:
        return ReplaceStatus.ORDER_NOT_FOUND
    if order.state is not OrderState.DELIVERED or order.is_refunding:
        return ReplaceStatus.NOT_DELIVERED
    if order.delivery != "unique_key":
        return ReplaceStatus.NOT_UNIQUE
    numbers = set(asked.positions)
    if not numbers or len(numbers) < len(asked.positions):
        return ReplaceStatus.POSITIONS_MALFORMED
    if min(numbers) < 1 or max(numbers) > order.quantity:
        return ReplaceStatus.POSITIONS_MALFORMED
    if order.replaced_max is not None and len(numbers) > order.replaced_max:
        return ReplaceStatus.SUPPLY_SPENT
    return ReplaceStatus.REPLACED
