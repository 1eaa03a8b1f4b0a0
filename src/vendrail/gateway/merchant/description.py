"""The merchants' part of the description of the API."""

from typing import Any

from vendrail.api.catalog import ProductState
from vendrail.api.identity import Permission
from vendrail.api.ledger import TransferProof
from vendrail.api.orders import OrderState
from vendrail.gateway import problems as common
from vendrail.gateway.merchant import (
    agencydescription,
    payoutdescription,
    problems,
    webhookdescription,
)
from vendrail.gateway.merchant.bodies import (
    AskRefundBody,
    BalanceListBody,
    EntryListBody,
    IntakeBody,
    MerchantMethodListBody,
    MerchantOrderBody,
    MerchantOrderListBody,
    MerchantProductBody,
    MerchantProductListBody,
    MerchantShopListBody,
    PutBody,
    PutMethodsBody,
    PutProductBody,
    RefundBody,
    RefundListBody,
)
from vendrail.gateway.merchant.describing import (
    IDEMPOTENCY,
    PAGING,
    counted,
    one_of,
    operation,
    page,
)
from vendrail.gateway.merchant.fees import FeesBody
from vendrail.gateway.merchant.money import PARTS
from vendrail.gateway.parts import SERIAL, given, path_id, query, sent

SHAPES = (
    AskRefundBody,
    BalanceListBody,
    EntryListBody,
    FeesBody,
    IntakeBody,
    MerchantMethodListBody,
    MerchantOrderBody,
    MerchantOrderListBody,
    MerchantProductBody,
    MerchantProductListBody,
    MerchantShopListBody,
    PutBody,
    PutMethodsBody,
    PutProductBody,
    RefundBody,
    RefundListBody,
    TransferProof,
    *payoutdescription.SHAPES,
    *webhookdescription.SHAPES,
    *agencydescription.SHAPES,
)
_AT = "2026-11-23T08:00:00Z"
_METHODS = {
    "items": [
        {"method": "alipay", "title": "Alipay", "currencies": ["CNY"], "is_on": True}
        | {"cost_permyriad": 60, "cost_minor": 0, "cost_permyriad_max": 120, "cost_minor_max": 30}
    ]
}
_PUT = {
    "shop": "north-games",
    "slug": "steam-wallet",
    "title": "Steam Wallet",
    "variants": [{"sku": "STEAM-50", "title": "50", "prices_minor": {"CNY": 4850}}],
}
_STOCK = {"free": 97, "held": 1, "allocated": 0, "sold": 2, "void": 0}
_PRODUCT = {
    "id": SERIAL,
    "shop": "north-games",
    "slug": "steam-wallet",
    "title": "Steam Wallet",
    "description": "",
    "category": "Games",
    "state": "on_sale",
    "delivery": "unique_key",
    "hold_policy": "at_order",
    "restock_wait_s": 0,
    "instructions": "",
    "variants": [
        {
            "sku": "STEAM-50",
            "title": "50",
            "prices_minor": {"CNY": 4850},
            "quantity_min": 1,
            "quantity_max": 10,
            "stock": _STOCK,
        }
    ],
    "warranty": {
        "hours": 168,
        "covers": "Keys that the maker refuses.",
        "keys_max": 1,
        "buyer_keys_max": 3,
        "is_refunded_when_out": True,
    },
}
_FEES = {
    "own": [],
    "rules": [
        {"title": "digital cards", "basis_points": 250, "fixed_minor": 30, "currency": "CNY"},
        {"basis_points": 150},
    ],
    "version": 3,
    "valid_from": _AT,
    "tier": 0,
    "facts": [
        {
            "currency": "CNY",
            "volume_minor": 1_250_000,
            "sold_count": 258,
            "refund_permyriad": 77,
            "dispute_permyriad": 0,
        }
    ],
}
_ORDER = {
    "id": SERIAL,
    "state": "delivered",
    "waiting": "",
    "sku": "STEAM-50",
    "title": "Steam Wallet – 50",
    "quantity": 1,
    "amount_minor": 4850,
    "currency": "CNY",
    "refunded_minor": 0,
    "contact": "buyer@example.com",
    "method": "alipay",
    "placed_at": _AT,
    "expires_at": "2026-11-23T08:15:00Z",
    "paid_at": "2026-11-23T08:00:41Z",
    "delivered_at": "2026-11-23T08:00:41Z",
}
_REFUND = {
    "id": "06ASMRW1X0000000000000000A",
    "order": SERIAL,
    "amount_minor": 4850,
    "currency": "CNY",
    "state": "asked",
    "reason": "bought twice",
    "at": _AT,
}
_BALANCE = {
    "currency": "CNY",
    "held_minor": 0,
    "available_minor": 472_875,
    "pending_minor": 0,
    "reserve_minor": 0,
    "frozen_minor": 0,
    "debt_minor": 0,
    "leaving_minor": 0,
}
_ENTRY = {
    "id": "06ASMRW1X0000000000000000B",
    "amount_minor": 4850,
    "code": "sale",
    "subject": SERIAL,
    "memo": "",
    "at": _AT,
}
_PROOF = {
    "transfer": "01a22600-0000-7000-8000-000000000001",
    "says": "01a22600-0000-7000-8000-000000000001|…|payout|||",
    "index": 0,
    "path": [],
    "block": {
        "number": 1,
        "after_us": 1795420790000000,
        "after": "00000000-0000-0000-0000-000000000000",
        "last_us": 1795420800000000,
        "last": "01a22600-0000-7000-8000-000000000001",
        "count": 1,
        "root": "5f" * 32,
        "previous": "00" * 32,
        "hash": "a1" * 32,
        "signature": "b2" * 64,
        "sealed_at": _AT,
    },
    "public_key": "c3" * 32,
}
_INTAKE = {
    "intake": "06ASMRW1X0000000000000000C",
    "sku": "STEAM-50",
    "lines": 3,
    "added": 2,
    "rejected": {"duplicate": 1},
    "rejects": [{"line": 3, "reason": "duplicate"}],
}


def paths() -> dict[str, Any]:
    """Describe every address below /merchant."""
    return {
        **_product_paths(),
        **_method_paths(),
        **_order_paths(),
        **_money_paths(),
        **payoutdescription.paths(),
        **webhookdescription.paths(),
        **agencydescription.paths(),
    }


def _product_paths() -> dict[str, Any]:
    products, product = Permission.PRODUCTS_READ, path_id("The product's id.")
    return {
        "/merchant/shops": {
            "get": operation(
                "listMerchantShops",
                "List your shops",
                products,
                given("Your shops", "MerchantShopListBody", {"items": [_shop()]}),
            )
        },
        "/merchant/products": {
            "get": operation(
                "listMerchantProducts",
                "List your products, newest first",
                products,
                page("products", "MerchantProductListBody", _PRODUCT),
                common.QUERY_MALFORMED,
                parameters=[
                    query("q", "Only with these words.", {"type": "string", "maxLength": 200}),
                    query("state", "Only in this state.", one_of(_LISTED)),
                    *PAGING,
                ],
            )
        },
        "/merchant/products/{id}": {
            "get": operation(
                "readMerchantProduct",
                "Read one of your products",
                products,
                given("The product", "MerchantProductBody", _PRODUCT),
                problems.PRODUCT_NOT_FOUND,
                parameters=[product],
            ),
            "put": _put_product(product),
        },
        "/merchant/skus/{sku}/keys": {"post": _add_keys()},
    }


def _method_paths() -> dict[str, Any]:
    answer = given("Your ways to pay", "MerchantMethodListBody", _METHODS)
    read, write = Permission.PRODUCTS_READ, Permission.SHOP_WRITE
    says = (common.BODY_MALFORMED, common.BODY_TOO_LARGE, common.MEDIA_TYPE_WRONG)
    own = (problems.METHODS_NONE_LEFT, problems.METHOD_UNKNOWN)
    get = operation("listMerchantMethods", "List your ways to pay", read, answer)
    put = operation("putMerchantMethods", "Switch ways to pay", write, answer, *says, *own)
    put["requestBody"] = sent("PutMethodsBody", {"methods_off": ["alipay_qr"]})
    return {"/merchant/methods": {"get": get, "put": put}}


def _order_paths() -> dict[str, Any]:
    orders, order = Permission.ORDERS_READ, path_id("The order's id.")
    return {
        "/merchant/orders": {
            "get": operation(
                "listMerchantOrders",
                "List your orders, newest first",
                orders,
                page("orders", "MerchantOrderListBody", _ORDER),
                common.QUERY_MALFORMED,
                parameters=[
                    query("state", "Only in this state.", one_of(list(OrderState))),
                    query("since", "Placed from then on.", _MOMENT),
                    query("until", "Placed before then.", _MOMENT),
                    *PAGING,
                ],
            )
        },
        "/merchant/orders/{id}": {
            "get": operation(
                "readMerchantOrder",
                "Read one of your orders",
                orders,
                given("The order", "MerchantOrderBody", _ORDER),
                problems.ORDER_NOT_FOUND,
                parameters=[order],
            )
        },
        "/merchant/orders/{id}/refunds": {
            "get": operation(
                "listMerchantRefunds",
                "List the refunds of one of your orders",
                orders,
                given("Its refunds", "RefundListBody", {"items": [_REFUND]}),
                problems.ORDER_NOT_FOUND,
                parameters=[order],
            ),
            "post": _ask_refund(order),
        },
    }


def _money_paths() -> dict[str, Any]:
    return {
        "/merchant/balance": {
            "get": operation(
                "readMerchantBalance",
                "Read your balance in each currency",
                Permission.BALANCE_READ,
                given("The balance", "BalanceListBody", {"items": [_BALANCE]}),
            )
        },
        "/merchant/fees": {
            "get": operation(
                "readMerchantFees",
                "Read what a sale costs you",
                Permission.BALANCE_READ,
                given("The fees", "FeesBody", _FEES),
                description=(
                    "Terms of your own count for sales in their currency; for all others the "
                    "first rule that fits. The memo of an entry names the version and the rule."
                ),
            )
        },
        "/merchant/entries": {
            "get": operation(
                "listMerchantEntries",
                "List the movements of your balance, newest first",
                Permission.BALANCE_READ,
                page("entries", "EntryListBody", _ENTRY),
                common.QUERY_MALFORMED,
                parameters=[
                    query("currency", "ISO 4217.", {"type": "string", "default": "CNY"}),
                    query("part", "Of which part.", one_of(list(PARTS), "available")),
                    *PAGING,
                ],
            )
        },
        "/merchant/entries/{id}/proof": {
            "get": operation(
                "proveMerchantEntry",
                "Prove a movement of your balance",
                Permission.BALANCE_READ,
                given("The proof", "TransferProof", _PROOF),
                problems.PROOF_NOT_FOUND,
                parameters=[path_id("An entry's id.")],
                description=(
                    "Shows, without the books, that the movement lies in a sealed and signed "
                    "block of the journal. The guide on proofs has a script that checks it."
                ),
            )
        },
    }


def _put_product(product: dict[str, Any]) -> dict[str, Any]:
    described = operation(
        "putMerchantProduct",
        "Create or change a product",
        Permission.PRODUCTS_WRITE,
        given("It was there", "PutBody", {"id": SERIAL, "status": "changed"}),
        common.BODY_MALFORMED,
        common.BODY_TOO_LARGE,
        common.MEDIA_TYPE_WRONG,
        problems.PRODUCT_NOT_FOUND,
        *problems.PUT.values(),
        parameters=[product],
        description=(
            "You choose the id of a new product: any ULID or UUIDv7, written as 26 letters. It is "
            "written whole, so that sending it again changes nothing."
        ),
    )
    created = given("It is new", "PutBody", {"id": SERIAL, "status": "created"})
    described["responses"]["201"] = counted(created)
    described["requestBody"] = sent("PutProductBody", _PUT)
    return described


def _add_keys() -> dict[str, Any]:
    sku = {
        "name": "sku",
        "in": "path",
        "required": True,
        "description": "What the keys are for.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "example": "STEAM-50",
    }
    described = operation(
        "addMerchantKeys",
        "Take keys in",
        Permission.KEYS_WRITE,
        given("What came of each line", "IntakeBody", _INTAKE),
        problems.IDEMPOTENCY_KEY_MISSING,
        problems.SKU_NOT_FOUND,
        common.BODY_TOO_LARGE,
        problems.TEXT_WANTED,
        parameters=[sku, IDEMPOTENCY],
        description=(
            "Text in UTF-8, one key a line, read as it comes: a file of any size up to the "
            "platform's limit. Keys are sealed as they are read. If it breaks off, send the whole "
            "file again with the same Idempotency-Key: what was taken in is not a duplicate."
        ),
    )
    text = {"schema": {"type": "string"}, "example": "AAAA-BBBB-0001\nAAAA-BBBB-0002\n"}
    described["requestBody"] = {"required": True, "content": {"text/plain": text}}
    return described


def _ask_refund(order: dict[str, Any]) -> dict[str, Any]:
    described = operation(
        "askMerchantRefund",
        "Give money of an order back",
        Permission.REFUNDS_WRITE,
        given("The refund", "RefundBody", _REFUND),
        common.BODY_MALFORMED,
        problems.IDEMPOTENCY_KEY_MISSING,
        *problems.REFUND.values(),
        common.BODY_TOO_LARGE,
        common.MEDIA_TYPE_WRONG,
        parameters=[order, IDEMPOTENCY],
        description=(
            "Whole (`amount_minor` 0) or in part. The same Idempotency-Key gives the same refund "
            "again; the provider is asked for it by the platform, until it has answered."
        ),
        status="201",
    )
    described["requestBody"] = sent("AskRefundBody", {"reason": "bought twice"})
    return described


def _shop() -> dict[str, Any]:
    return {"slug": "north-games", "name": "North Games", "is_open": True}


_LISTED = [state for state in ProductState if state is not ProductState.REMOVED]
_MOMENT = {"type": "string", "format": "date-time"}
