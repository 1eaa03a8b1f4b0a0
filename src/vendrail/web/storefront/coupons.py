"""Coupons on the buy form: what a code takes off, and why one takes off nothing."""

from collections.abc import Mapping
from typing import NamedTuple

from vendrail.api.catalog import Offer, ProductView, Variant
from vendrail.api.promotions import Coupon, CouponQuestion, CouponStatus
from vendrail.web.calls import Calls
from vendrail.web.languages import message

SAYS = {
    CouponStatus.TOO_MANY_GUESSES: message(
        "Too many codes were tried from your network. Try again in a few minutes."
    ),
    CouponStatus.CODE_NOT_FOUND: message("This shop has no such coupon. Check the code."),
    CouponStatus.SWITCHED_OFF: message("This coupon is not taken at the moment."),
    CouponStatus.NOT_STARTED: message("This coupon is not good yet."),
    CouponStatus.OVER: message("This coupon is no longer good."),
    CouponStatus.OTHER_GOODS: message("This coupon is for other products."),
    CouponStatus.OTHER_CURRENCY: message("This coupon is for prices in another currency."),
    CouponStatus.AMOUNT_TOO_LOW: message("The order is too small for this coupon."),
    CouponStatus.BUYER_LIMIT_REACHED: message("You have used this coupon as often as you may."),
    CouponStatus.USED_UP: message("This coupon is used up."),
}
_LENGTH_MAX = 64


class Applied(NamedTuple):
    """What a code does to an order: takes off so much, or nothing and why."""

    code: str = ""
    title: str = ""
    discount_minor: int = 0
    problem: str = ""  # To be translated.
    terms: Coupon | None = None


NOTHING = Applied()


def code_in(form: Mapping[str, str]) -> str:
    """Read the code that a form has; most have none."""
    return form.get("coupon", "").strip()[:_LENGTH_MAX]


def said(problem: str) -> str:
    """Say why a coupon was refused, by promotions' own word for it."""
    known = {status.value: text for status, text in SAYS.items()}
    return known.get(problem, SAYS[CouponStatus.OVER])


async def apply(
    calls: Calls, view: ProductView, variant: Variant, quantity: int, currency: str, where: "Where"
) -> Applied:
    """Ask what a code takes off so many of a variant; nothing is held."""
    if not where.code:
        return NOTHING
    amount_minor = variant.total_minor(quantity, currency)
    return await _ask(
        calls,
        CouponQuestion(
            where.code,
            view.shop.merchant,
            view.product.id,
            view.product.category,
            amount_minor,
            currency,
            where.address,
        ),
    )


async def apply_to_offer(
    calls: Calls, offer: Offer, amount_minor: int, currency: str, where: "Where"
) -> Applied:
    """Ask what a code takes off an offer, before its price is promised in another currency."""
    if not where.code:
        return NOTHING
    return await _ask(
        calls,
        CouponQuestion(
            where.code,
            offer.merchant,
            offer.product,
            offer.category,
            amount_minor,
            currency,
            where.address,
        ),
    )


class Where(NamedTuple):
    """The code that was typed, and the network that it came from."""

    code: str
    address: str


async def _ask(calls: Calls, question: CouponQuestion) -> Applied:
    result = await calls.coupon(question)
    if result.status is not CouponStatus.HELD:
        return Applied(question.code, problem=said(result.status.value))
    return Applied(question.code, result.title, result.discount_minor, "", result.terms)
