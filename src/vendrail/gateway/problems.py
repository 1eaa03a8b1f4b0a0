"""Every way the public API says no: what is wrong, and what to do about it (RFC 9457)."""

from typing import NamedTuple

from vendrail.api.fx import QuoteStatus
from vendrail.api.orders import PayStatus, PlaceStatus
from vendrail.kernel.http import problem_body


class Problem(NamedTuple):
    """One kind of refusal."""

    code: str
    status: int
    title: str
    detail: str

    def body(self, detail: str = "") -> bytes:
        """Write the problem as JSON; `detail` says more than the general advice."""
        return problem_body(self.status, self.code, detail or self.detail, title=self.title)


NOT_FOUND = Problem("not_found", 404, "Not found", "There is nothing at this address.")
METHOD_NOT_ALLOWED = Problem(
    "method_not_allowed", 405, "Method not allowed", "See the Allow header for what works here."
)
BODY_MALFORMED = Problem(
    "body_malformed", 400, "Malformed request", "Send JSON as the API's description says."
)
BODY_TOO_LARGE = Problem("body_too_large", 413, "Too large", "Send a smaller request.")
MEDIA_TYPE_WRONG = Problem(
    "media_type_wrong", 415, "Wrong media type", "Send Content-Type: application/json."
)
QUERY_MALFORMED = Problem(
    "query_malformed", 400, "Malformed query", "Check the parameters of the address."
)
SECRET_MISSING = Problem(
    "secret_missing",
    401,
    "Order secret missing",
    "Send `Authorization: Bearer <secret>` with the secret that placing the order gave.",
)
RETURN_URL_MALFORMED = Problem(
    "return_url_malformed",
    422,
    "Return address malformed",
    "Give a whole address that begins with https:// or http://.",
)
RATE_LIMITED = Problem(
    "rate_limited", 429, "Too many requests", "Wait for the seconds that Retry-After says."
)
BROKEN = Problem(
    "internal_error",
    500,
    "Our mistake",
    "Try again; if it stays, tell us the X-Request-Id of this answer.",
)
UNAVAILABLE = Problem(
    "unavailable",
    503,
    "Not now",
    "Nothing was done. Try again after the seconds that Retry-After says, with the same "
    "Idempotency-Key.",
)
PRODUCT_NOT_FOUND = Problem(
    "product_not_found", 404, "Product not found", "Find products with GET /api/v1/products."
)
CHANNEL_NOT_FOUND = Problem(
    "channel_not_found", 404, "Channel not found", "Check the notify address set at the provider."
)
ORDER_NOT_FOUND = Problem(
    "order_not_found",
    404,
    "Order not found",
    "There is no such order, or the secret is not its own.",
)

PLACE: dict[PlaceStatus, Problem] = {
    PlaceStatus.EXISTS_DIFFERENT: Problem(
        "idempotency_key_reused",
        422,
        "Idempotency key used before",
        "This Idempotency-Key was sent with another request; use a new one for a new order.",
    ),
    PlaceStatus.CONTACT_MALFORMED: Problem(
        "contact_malformed",
        422,
        "Contact malformed",
        "Give an e-mail address or a phone number that can receive messages.",
    ),
    PlaceStatus.IDEMPOTENCY_KEY_MALFORMED: Problem(
        "idempotency_key_malformed",
        400,
        "Idempotency key malformed",
        "Send an Idempotency-Key header of 16 to 255 characters, such as a fresh UUID.",
    ),
    PlaceStatus.SKU_NOT_FOUND: Problem(
        "sku_not_found", 422, "SKU not found", "Find SKUs with GET /api/v1/products."
    ),
    PlaceStatus.NOT_ON_SALE: Problem(
        "not_on_sale", 409, "Not on sale", "The product is paused or withdrawn; choose another."
    ),
    PlaceStatus.MARKUP_TOO_LOW: Problem(
        "markup_too_low",
        409,
        "Price too low",
        "The price does not bear what the supplier gets and the fee; the shop must raise it.",
    ),
    PlaceStatus.LIMIT_REACHED: Problem(
        "limit_reached",
        409,
        "More than the merchant may sell",
        "The merchant may not sell so much yet: order less, or come back later.",
    ),
    PlaceStatus.QUANTITY_OUT_OF_RANGE: Problem(
        "quantity_out_of_range",
        422,
        "Quantity out of range",
        "Stay between the variant's quantity_min and quantity_max.",
    ),
    PlaceStatus.COUPON_REFUSED: Problem(
        "coupon_refused",
        422,
        "Coupon refused",
        "The coupon is not for this order; `coupon_problem` says why.",
    ),
    PlaceStatus.CURRENCY_NOT_OFFERED: Problem(
        "currency_not_offered",
        422,
        "Currency not offered",
        "Use one of the currencies in the variant's prices_minor.",
    ),
    PlaceStatus.METHOD_NOT_OFFERED: Problem(
        "method_not_offered",
        422,
        "Way to pay not offered",
        "Use one that GET /api/v1/methods lists, or leave it empty and choose later.",
    ),
    PlaceStatus.AMOUNT_NOT_OFFERED: Problem(
        "amount_not_offered",
        422,
        "Amount not offered",
        "This way to pay takes no such amount; ask GET /api/v1/methods with amount_minor.",
    ),
    PlaceStatus.PROOF_WANTED: Problem(
        "proof_wanted",
        428,
        "Proof of work wanted",
        "Many orders are unpaid or on their way just now. Solve `challenge` (ALTCHA), and send the "
        "same request with the solution in the header Altcha; each solution is good once.",
    ),
    PlaceStatus.RISK_REFUSED: Problem(
        "refused", 403, "Refused", "This order cannot be taken; the shop's support can say more."
    ),
    PlaceStatus.QUOTE_NOT_USABLE: Problem(
        "quote_not_usable",
        409,
        "Quote not usable",
        "The quoted price is over, was used, or is of something else; ask for a new one.",
    ),
    PlaceStatus.BUYER_CAP_REACHED: Problem(
        "buyer_cap_reached",
        409,
        "Too many open orders",
        "Pay or cancel an order that is open, or wait until it expires.",
    ),
    PlaceStatus.SOLD_OUT: Problem(
        "sold_out", 409, "Sold out", "Not enough is left just now; order fewer, or try later."
    ),
}

PAY: dict[PayStatus, Problem] = {
    PayStatus.ORDER_NOT_FOUND: ORDER_NOT_FOUND,
    PayStatus.PAID_ALREADY: Problem(
        "paid_already", 409, "Paid already", "Nothing to do: read the order for its keys."
    ),
    PayStatus.ORDER_ENDED: Problem(
        "order_ended", 409, "Order ended", "The order expired or was cancelled; place a new one."
    ),
    PayStatus.METHOD_NOT_OFFERED: PLACE[PlaceStatus.METHOD_NOT_OFFERED],
    PayStatus.TOO_MANY_ATTEMPTS: Problem(
        "too_many_attempts",
        409,
        "Too many tries",
        "Pay one of the ways opened before: all of them still count.",
    ),
}

_RATES_AWAY = Problem(
    "rates_away",
    409,
    "Rates not usable",
    "The sources of exchange rates are old, too few, or disagree just now. Pay in another currency,"
    " or ask again later.",
)
QUOTE: dict[QuoteStatus, Problem] = {
    QuoteStatus.CURRENCY_UNKNOWN: Problem(
        "currency_unknown", 422, "Currency unknown", "Name a currency of ISO 4217."
    ),
    QuoteStatus.CURRENCIES_EQUAL: Problem(
        "currencies_equal", 422, "One currency", "The price is in it already: no quote is needed."
    ),
    QuoteStatus.AMOUNT_OUT_OF_RANGE: Problem(
        "quote_out_of_range", 422, "Too large", "No such amount is quoted."
    ),
    QuoteStatus.NOT_RATED: Problem(
        "not_rated", 409, "No rate", "No source of exchange rates knows both currencies."
    ),
    QuoteStatus.RATES_STALE: _RATES_AWAY,
    QuoteStatus.RATES_TOO_FEW: _RATES_AWAY,
    QuoteStatus.RATES_DISPUTED: _RATES_AWAY,
}
