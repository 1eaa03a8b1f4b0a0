"""How the merchants' part of the API says no; what any part says is in `gateway.problems`."""

from vendrail.api.catalog import FloorStatus, ListingStatus, PutStatus
from vendrail.api.orders import RefundOrderStatus
from vendrail.api.payouts import PayoutStatus, SchedulePutStatus
from vendrail.api.webhooks import AgainStatus, EndpointStatus
from vendrail.gateway.problems import Problem

API_KEY_MISSING = Problem(
    "api_key_missing",
    401,
    "API key missing",
    "Send `Authorization: Bearer vrk_…`: a key that stands and has not ended.",
)
NETWORK_NOT_ALLOWED = Problem(
    "network_not_allowed",
    403,
    "Not from this network",
    "The key is good from some networks alone, and this address is in none of them.",
)
SCOPE_MISSING = Problem(
    "scope_missing", 403, "Not with this key", "Make a key that has the scope, and use that."
)
IDEMPOTENCY_KEY_MISSING = Problem(
    "idempotency_key_missing",
    400,
    "Idempotency key missing",
    "Send an Idempotency-Key header of 16 to 255 characters, such as a fresh UUID.",
)
SHOP_NOT_FOUND = Problem(
    "shop_not_found", 404, "Shop not found", "See GET /api/v1/merchant/shops for your shops."
)
PRODUCT_NOT_FOUND = Problem(
    "merchant_product_not_found",
    404,
    "Product not found",
    "See GET /api/v1/merchant/products for your products.",
)
SKU_NOT_FOUND = Problem(
    "merchant_sku_not_found", 404, "SKU not found", "You have no product with this SKU."
)
ORDER_NOT_FOUND = Problem(
    "merchant_order_not_found",
    404,
    "Order not found",
    "See GET /api/v1/merchant/orders for your orders.",
)
PROOF_NOT_FOUND = Problem(
    "proof_not_found",
    404,
    "Proof not found",
    "Ask for a movement of your own; it is sealed some minutes after it happened.",
)
METHODS_NONE_LEFT = Problem(
    "methods_none_left",
    422,
    "No way to pay is left",
    "Leave one on at least: else nobody could pay you.",
)
METHOD_UNKNOWN = Problem(
    "method_unknown",
    422,
    "Method unknown",
    "See GET /api/v1/merchant/methods for the ways to pay that there are.",
)
TEXT_WANTED = Problem(
    "text_wanted", 415, "Wrong media type", "Send Content-Type: text/plain; charset=utf-8."
)

PAYOUT_NOT_FOUND = Problem(
    "payout_not_found",
    404,
    "Payout not found",
    "See GET /api/v1/merchant/payouts for your payouts.",
)
SCHEDULE_NOT_FOUND = Problem(
    "schedule_not_found",
    404,
    "No such currency",
    "Schedules are of one currency each, such as CNY.",
)
_PAYEE_NOT_FOUND = Problem(
    "payee_not_found", 422, "No such account", "See GET /api/v1/merchant/payees for your accounts."
)
_PAYEE_UNVERIFIED = Problem(
    "payee_unverified", 409, "Account not proven", "Prove it in the console with a test payout."
)
_CURRENCY_NOT_OFFERED = Problem(
    "payout_currency_not_offered",
    422,
    "Not in this currency",
    "That account does not take this currency.",
)

PUT: dict[PutStatus, Problem] = {
    PutStatus.SHOP_NOT_FOUND: SHOP_NOT_FOUND,
    PutStatus.SLUG_TAKEN: Problem(
        "slug_taken", 409, "Slug taken", "Another product of the shop has this slug."
    ),
    PutStatus.SKU_TAKEN: Problem(
        "sku_taken", 409, "SKU taken", "Another product on the platform has one of these SKUs."
    ),
    PutStatus.LISTING_FIXED: Problem(
        "listing_fixed",
        409,
        "Supplied by another merchant",
        "What a supplier delivers keeps its one variant and its unique keys.",
    ),
    PutStatus.PRICE_BELOW_FLOOR: Problem(
        "price_below_floor",
        422,
        "Price below the floor",
        "Ask at least what the supplier gets of each, in currencies that it supplies in.",
    ),
    PutStatus.FIELD_MALFORMED: Problem(
        "product_malformed",
        422,
        "Product malformed",
        "Check slug, title, SKUs, prices and quantities; a product cannot change its shop.",
    ),
}

NOT_SUPPLIED = Problem(
    "not_supplied", 404, "Not supplied", "See GET /api/v1/merchant/offers for what you may sell."
)
MARKUP_TOO_LOW = Problem(
    "price_too_low",
    422,
    "Price too low",
    "The fee is more than what is left after the supplier's part: ask for more.",
)
FLOOR: dict[FloorStatus, Problem] = {
    FloorStatus.VARIANT_NOT_FOUND: SKU_NOT_FOUND,
    FloorStatus.NOT_UNIQUE: Problem(
        "keys_not_unique", 409, "Keys not unique", "Agents sell only keys that are sold once."
    ),
    FloorStatus.SUPPLIED: Problem(
        "supplied_by_another",
        409,
        "Supplied by another merchant",
        "You are the agent for this SKU: there are no agents of agents.",
    ),
    FloorStatus.FIELD_MALFORMED: Problem(
        "floor_malformed", 422, "Floor malformed", "Check currencies and amounts."
    ),
}
LISTING: dict[ListingStatus, Problem] = {
    ListingStatus.NOT_SUPPLIED: NOT_SUPPLIED,
    ListingStatus.SHOP_NOT_FOUND: SHOP_NOT_FOUND,
    ListingStatus.PRICE_BELOW_FLOOR: PUT[PutStatus.PRICE_BELOW_FLOOR],
    ListingStatus.STEPS_UNFIT: Problem(
        "steps_unfit",
        422,
        "Quantity prices unfit",
        "Its quantity prices are not below this price: change them on the product first.",
    ),
    ListingStatus.LISTING_FIXED: PUT[PutStatus.LISTING_FIXED],
    ListingStatus.TEXT_FORBIDDEN: Problem(
        "text_forbidden",
        422,
        "Text forbidden",
        "Its texts have a word that the platform does not allow.",
    ),
    ListingStatus.FIELD_MALFORMED: Problem(
        "listing_malformed", 422, "Listing malformed", "Check currencies and amounts."
    ),
    ListingStatus.NAME_TAKEN: PUT[PutStatus.SKU_TAKEN],
}

REFUND: dict[RefundOrderStatus, Problem] = {
    RefundOrderStatus.EXISTS_DIFFERENT: Problem(
        "refund_key_reused",
        422,
        "Idempotency key used before",
        "This Idempotency-Key was sent with another refund of the order.",
    ),
    RefundOrderStatus.ORDER_NOT_FOUND: ORDER_NOT_FOUND,
    RefundOrderStatus.NOT_PAID: Problem(
        "not_refundable", 409, "Not refundable", "Only what was delivered can be given back."
    ),
    RefundOrderStatus.MORE_THAN_CAPTURED: Problem(
        "more_than_captured",
        422,
        "More than is left",
        "Give back at most what was paid and has not gone back yet.",
    ),
    RefundOrderStatus.DISPUTED: Problem(
        "order_disputed",
        409,
        "Disputed",
        "The payer's bank is deciding on this payment; refund it once that dispute has ended.",
    ),
    RefundOrderStatus.AMOUNT_TOO_SMALL: Problem(
        "amount_too_small",
        422,
        "Amount too small",
        "It is less than the smallest coin of the currency that was paid; give back more.",
    ),
}

PAYOUT: dict[PayoutStatus, Problem] = {
    PayoutStatus.EXISTS_DIFFERENT: Problem(
        "payout_key_reused",
        422,
        "Idempotency key used before",
        "This Idempotency-Key was sent with another payout.",
    ),
    PayoutStatus.PAYEE_NOT_FOUND: _PAYEE_NOT_FOUND,
    PayoutStatus.CURRENCY_NOT_OFFERED: _CURRENCY_NOT_OFFERED,
    PayoutStatus.PAYEE_UNVERIFIED: _PAYEE_UNVERIFIED,
    PayoutStatus.PAYEE_COOLING: Problem(
        "payee_cooling",
        409,
        "Account too new",
        "It was added a short while ago; `usable_at` says from when it is paid.",
    ),
    PayoutStatus.SUSPENDED: Problem(
        "payouts_suspended", 409, "Payouts stopped", "The platform has stopped your payouts."
    ),
    PayoutStatus.MERCHANT_UNVERIFIED: Problem(
        "merchant_unverified",
        409,
        "Say who you are first",
        "Payouts begin when the platform has looked at your documents.",
    ),
    PayoutStatus.IN_DEBT: Problem(
        "in_debt", 409, "You owe the platform", "Payouts go on when that is settled."
    ),
    PayoutStatus.AMOUNT_TOO_SMALL: Problem(
        "payout_too_small", 422, "Too small", "That is less than the least payout."
    ),
    PayoutStatus.BALANCE_TOO_LOW: Problem(
        "balance_too_low", 409, "Balance too low", "It does not have that much, with the fee."
    ),
}

SCHEDULE: dict[SchedulePutStatus, Problem] = {
    SchedulePutStatus.FIELD_MALFORMED: Problem(
        "schedule_malformed",
        422,
        "Schedule malformed",
        "Check kind, hour, day, zone and threshold; every kind but manual names a payee.",
    ),
    SchedulePutStatus.NOT_OFFERED: Problem(
        "schedule_not_offered", 422, "Not offered", "The platform does not offer this kind here."
    ),
    SchedulePutStatus.PAYEE_NOT_FOUND: _PAYEE_NOT_FOUND,
    SchedulePutStatus.CURRENCY_NOT_OFFERED: _CURRENCY_NOT_OFFERED,
    SchedulePutStatus.PAYEE_UNVERIFIED: _PAYEE_UNVERIFIED,
}

ENDPOINT_NOT_FOUND = Problem(
    "endpoint_not_found",
    404,
    "Endpoint not found",
    "See GET /api/v1/merchant/webhook-endpoints for your endpoints.",
)
ENDPOINT_KEY_REUSED = Problem(
    "endpoint_key_reused",
    422,
    "Idempotency key used before",
    "This Idempotency-Key has made another endpoint.",
)
ENDPOINT: dict[EndpointStatus, Problem] = {
    EndpointStatus.ENDPOINT_NOT_FOUND: ENDPOINT_NOT_FOUND,
    EndpointStatus.URL_MALFORMED: Problem(
        "url_malformed",
        422,
        "Address malformed",
        "Send an address that begins with https://, with a name and nothing secret in it.",
    ),
    EndpointStatus.URL_PRIVATE: Problem(
        "url_private", 422, "Private address", "It lies in a network where not everybody may go."
    ),
    EndpointStatus.URL_OWN: Problem(
        "url_own", 422, "The platform's own address", "The platform tells itself nothing."
    ),
    EndpointStatus.NOTE_TOO_LONG: Problem(
        "note_too_long", 422, "Note too long", "Send at most 200 characters."
    ),
    EndpointStatus.TOO_MANY: Problem(
        "too_many_endpoints", 409, "Too many endpoints", "Delete one first."
    ),
    EndpointStatus.DELETED: Problem(
        "endpoint_deleted",
        409,
        "Endpoint deleted",
        "This Idempotency-Key has made an endpoint that was deleted since; take another.",
    ),
}

AGAIN: dict[AgainStatus, Problem] = {
    AgainStatus.NOT_FOUND: ENDPOINT_NOT_FOUND,
    AgainStatus.DISABLED: Problem(
        "endpoint_disabled", 409, "Switched off", "Switch the endpoint on first."
    ),
    AgainStatus.TOO_OFTEN: Problem(
        "told_too_often",
        429,
        "Asked too often",
        "Nothing is lost: ask this endpoint again after the seconds of Retry-After.",
    ),
}
