"""Why an order is not placed, as its form says it: at which field, and what to do."""

from vendrail.api.fx import QuoteStatus
from vendrail.api.orders import PlaceStatus
from vendrail.api.promotions import CouponStatus
from vendrail.web.languages import message
from vendrail.web.storefront.coupons import SAYS

SAYS_PLACED = {
    PlaceStatus.CONTACT_MALFORMED: (
        "contact",
        message("Enter an e-mail address that we can reach you at."),
    ),
    PlaceStatus.SKU_NOT_FOUND: ("sku", message("This choice is gone. Pick another one.")),
    PlaceStatus.NOT_ON_SALE: ("", message("This product is not on sale at the moment.")),
    PlaceStatus.MARKUP_TOO_LOW: ("", message("This product is not on sale at this price.")),
    PlaceStatus.QUANTITY_OUT_OF_RANGE: ("quantity", message("That quantity cannot be ordered.")),
    PlaceStatus.CURRENCY_NOT_OFFERED: ("", message("This product is not sold in that currency.")),
    PlaceStatus.METHOD_NOT_OFFERED: ("method", message("Choose one of these ways to pay.")),
    PlaceStatus.AMOUNT_NOT_OFFERED: (
        "method",
        message("This way to pay does not take such an amount. Choose another, or less."),
    ),
    PlaceStatus.LIMIT_REACHED: ("quantity", message("Too much for this shop now. Order less.")),
    PlaceStatus.RISK_REFUSED: (
        "",
        message("This order cannot be taken. The shop's support can tell you more."),
    ),
    PlaceStatus.QUOTE_NOT_USABLE: (
        "",
        message("The price in your currency has changed. Look at it again, then go on."),
    ),
    PlaceStatus.BUYER_CAP_REACHED: (
        "",
        message("You have several unpaid orders. Pay or cancel one of them first."),
    ),
    PlaceStatus.COUPON_REFUSED: ("coupon", SAYS[CouponStatus.OVER]),
    PlaceStatus.SOLD_OUT: ("quantity", message("Not enough is left just now.")),
}
NO_QUOTE = {
    QuoteStatus.RATES_STALE: message(
        "Exchange rates are too old just now. Pay in another currency, or come back later."
    ),
    QuoteStatus.RATES_TOO_FEW: message(
        "Too few sources of exchange rates answer just now. Pay in another currency, or come back"
        " later."
    ),
    QuoteStatus.RATES_DISPUTED: message(
        "Sources of exchange rates disagree just now. Pay in another currency, or come back later."
    ),
}
UNCLEAR = ("", message("That did not work. Please try again."))
