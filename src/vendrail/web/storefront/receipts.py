"""Receipts: what an order cost and how it was paid, as PDF. No key is on them, and no secret."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.api.catalog import Shop
from vendrail.api.orders import OrderQuery, OrderView, WalletPartState
from vendrail.api.payments import Capture
from vendrail.kernel.http import as_attachment, limit_key
from vendrail.web import amounts
from vendrail.web.languages import COMMA, message
from vendrail.web.pages import guards, onward
from vendrail.web.storefront.front import Asked, Front, Limit, Page
from vendrail.web.storefront.tracking import read_serial
from vendrail.web.visitor import Visitor

_NO_SHOP = UUID(int=0)
_TITLE = message("Receipt")
_NUMBER = message("Order number")
_PAID_AT = message("Paid on")
_SELLER = message("Sold by")
_PAID_BY = message("Paid by")
_WALLET = message("Wallet")
_ITEM = message("Item")
_QUANTITY = message("Quantity")
_EACH = message("Each")
_AMOUNT = message("Amount")
_COUPON = message("Coupon")
_TOTAL = message("Total")
_MIDDLE = message("At the middle rate")
_EXCHANGE = message("Exchange")
_PAID = message("Amount paid")
_REFUNDED = message("Refunded")
_LEFT = message("Paid after refunds")
_WARRANTY = message("Warranty")
_UNTIL = message("until %(time)s")
_NOTE = message("This receipt shows what was paid. It opens no order and holds no key.")
_MADE = message("Made on %(time)s by %(site)s for the seller.")
_TOPPED_UP = message("Made on %(time)s by %(site)s.")


class Receipts:
    """Gathers what a receipt tells, and has it printed."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def give(self, visitor: Visitor, order: OrderView) -> Page | None:
        """Give the receipt of an order as a file; None: nothing was paid for it yet."""
        if order.paid_at is None:
            return None
        language = visitor.language
        captures, has_wallet = await self._means(order)
        told = {
            "site": self._front.settings.site_name,
            "seller": await self._seller(order),
            "methods": [self._name(visitor, each) for each in captures],
            "has_wallet": has_wallet,
        }
        now = self._front.clock.now()
        paper = await self._front.press.print(
            "receipt", language, now, self._write(visitor, order, order.paid_at, told, now)
        )
        headers = {
            "content-disposition": as_attachment(f"receipt-{order.serial}.pdf"),
            "cache-control": "no-store",
            **guards(),
        }
        return Page(paper, media_type="application/pdf", headers=headers)

    async def _means(self, order: OrderView) -> tuple[list[Capture], bool]:
        """Read which payments filled the order, and whether a wallet paid of it."""
        calls = self._front.calls
        [captures] = await calls.payments.read_captures([order.id])
        filling = [each for each in captures if each.id == order.capture]
        is_spent = False
        if self._front.wallets is not None:
            [part] = await calls.orders.read_wallet_parts([order.id])
            is_spent = part is not None and part.state is WalletPartState.SPENT
        return filling or ([] if is_spent else captures[:1]), is_spent

    async def _seller(self, order: OrderView) -> Shop | None:
        if order.shop == _NO_SHOP:
            return None
        return await self._front.calls.shop(order.shop_slug)

    def _name(self, visitor: Visitor, capture: Capture) -> str:
        """Say how a payment was made as the pay page says it."""
        words = self._front.pages.macro("parts/methods.html", "method_name", visitor)
        return str(words(capture.method, capture.method)).strip()

    def _write(
        self,
        visitor: Visitor,
        order: OrderView,
        paid_at: datetime,
        told: Mapping[str, Any],
        now: datetime,
    ) -> dict[str, Any]:
        """Say everything in the reader's language."""
        locale, zone = visitor.language.locale, self._front.settings.time_zone

        def say(text: str, **values: str) -> str:
            said = self._front.pages.translate(visitor, text)
            return said % values if values else said

        def moment(at: datetime) -> str:
            return amounts.moment(at, locale, zone)

        seller: Shop | None = told["seller"]
        name = seller.merchant_name or seller.name if seller else told["site"]
        under = seller.name if seller and seller.name != name else ""
        means = [*told["methods"], *([say(_WALLET)] if told["has_wallet"] else [])]
        price_minor = order.amount_minor + (order.discount.amount_minor if order.discount else 0)
        price = amounts.amount(price_minor, order.currency, locale)
        each_minor, rest = divmod(price_minor, order.quantity or 1)
        each = "" if rest else amounts.amount(each_minor, order.currency, locale)
        promised = order.warranty
        until = promised.ends_at(order.delivered_at) if promised and order.delivered_at else None
        made = say(_MADE if seller else _TOPPED_UP, time=moment(now), site=told["site"])
        return {
            "site": told["site"],
            "title": say(_TITLE),
            "number": order.serial,
            "foot": order.serial,
            "facts": [
                [say(_NUMBER), order.serial, order.number],
                [say(_PAID_AT), moment(paid_at), ""],
                [say(_SELLER), name, under],
                [say(_PAID_BY), say(COMMA).join(dict.fromkeys(means)), ""],
                *(
                    [[say(_WARRANTY), say(_UNTIL, time=moment(until)), promised.covers]]
                    if promised and until
                    else []
                ),
            ],
            "head": [say(_ITEM), say(_QUANTITY), say(_EACH), say(_AMOUNT)],
            "lines": [[order.title, amounts.count(order.quantity, locale), each, price]],
            "sums": [
                [say(name), amounts.amount(*amount, locale), is_main]
                for name, amount, is_main in _sums(order)
            ],
            "notes": [say(_NOTE), made],
        }


class BuyersReceipts:
    """The address of the file, on the order's page and in letters."""

    def __init__(self, front: Front, limit: Limit | None) -> None:
        self._front, self._limit = front, limit
        self._receipts = Receipts(front)

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the route."""
        return [get("/orders/{serial:str}/receipt.pdf", name="web.receipt")(self.receipt)]

    async def receipt(self, request: Asked, serial: FromPath[str]) -> Page:
        """Give the receipt. A link that carries the secret moves it to a cookie first."""
        front = self._front
        visitor = front.visitor(request)
        id = read_serial(serial)
        key = request.query_params.get("key", "")[:256]
        secret = key or visitor.order_secret
        view = await front.read(visitor, OrderQuery(id, secret)) if id and secret else None
        if view is not None and key:
            cookies = [
                *front.visitors.order_cookies(view.serial, key, is_brief=front.is_brief(visitor)),
                front.visitors.recent_cookie(visitor, view.serial),
            ]
            return onward(f"/orders/{view.serial}/receipt.pdf", cookies)
        if view is not None and self._limit is not None:  # Printing costs, and looking does not.
            address = limit_key(front.address_of(request.scope))
            wait_s = await self._limit(f"receipt {address}")
            if wait_s > 0:
                return front.problem(request, 429, wait_s)
        paper = await self._receipts.give(visitor, view) if view is not None else None
        if paper is None:
            return front.page(
                request, visitor, "closed.html", status=404, is_private=True, here="/lookup"
            )
        return paper


def _sums(order: OrderView) -> list[tuple[str, tuple[int, str], bool]]:
    """List what stands below the lines: price, exchange, what was paid, what is left of it."""
    due, currency = order.due_minor, order.due_currency
    rows = [(_TOTAL, (order.amount_minor, order.currency), False)]
    if order.discount is not None:
        rows.insert(0, (_COUPON, (-order.discount.amount_minor, order.currency), False))
    if order.exchange is not None:
        spread = order.exchange.spread_minor
        rows.append((_MIDDLE, (due - spread, currency), False))
        rows.append((_EXCHANGE, (spread, currency), False))
    rows.append((_PAID, (due, currency), True))
    if order.returned_minor:
        rows.append((_REFUNDED, (-order.returned_minor, currency), False))
        rows.append((_LEFT, (due - order.returned_minor, currency), True))
    return rows
