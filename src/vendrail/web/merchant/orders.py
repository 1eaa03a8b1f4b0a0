"""Orders: a list with filters, search by any number, one order whole, and giving money back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import MerchantId, ShopProductQuery, StockedProduct
from vendrail.api.identity import Permission
from vendrail.api.orders import (
    OrderId,
    OrderSearch,
    OrderState,
    RefundOrder,
    RefundOrderStatus,
    SoldOrder,
    SoldOrderQuery,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.amounts import time_zone
from vendrail.web.console import redelivery
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, ORDER_COLUMNS, export, order_row
from vendrail.web.console.lists import is_day, is_id, is_words, one_of
from vendrail.web.console.payments import ReadOrders, own_captures, read_payments
from vendrail.web.console.shares import read_paid_out, read_way
from vendrail.web.console.tables import CAPTURES
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log, log_export, log_undone, midnight, read_id
from vendrail.web.merchant.agencies import lead_to_supply
from vendrail.web.pages import onward
from vendrail.web.papers.sheets import Rows
from vendrail.web.split import read_split
from vendrail.web.storefront.front import Page
from vendrail.web.storefront.receipts import Receipts

_ROOT = "/merchant/orders"
_PAGE = 50
_PRODUCTS_MAX = 200
_REASON_MAX = 200
_ASKED = {
    "q": is_words,
    "state": one_of(OrderState),
    "product": is_id,
    "from": is_day,
    "to": is_day,
}
_FIELDS = ("amount", "part", "reason", "positions", "seen")
_ACCEPTED = (RefundOrderStatus.ACCEPTED, RefundOrderStatus.EXISTS)
_NO_AMOUNT = message("Write the amount in digits with one point, as 12.30.")
_NOT_TOLD = message("Only a delivered order has this letter, and only an e-mail address gets it.")
_NO_REASON = message("Say why: the reason is kept.")
_REASON_MISSING = message("Say why the money goes back: the reason is kept.")
_REFUSALS = {
    RefundOrderStatus.MORE_THAN_CAPTURED: message("That is more than is left of the order."),
    RefundOrderStatus.DISPUTED: message(
        "The payer’s bank is deciding on this payment. It can be refunded once that dispute has"
        " ended."
    ),
    RefundOrderStatus.AMOUNT_TOO_SMALL: message(
        "That is less than the smallest coin of the currency that was paid. Give back more."
    ),
    RefundOrderStatus.NO_WALLET: message(
        "Its buyer has no wallet that takes money in. Give it back in another way."
    ),
    RefundOrderStatus.NOT_PAID: message("Only delivered orders can be refunded."),
    RefundOrderStatus.ORDER_NOT_FOUND: message("Only delivered orders can be refunded."),
    RefundOrderStatus.EXISTS_DIFFERENT: message(
        "This form has been sent before, with another amount. Look at the refunds below."
    ),
}


@dataclass(frozen=True)
class Filter:
    """What a page of the list is asked for."""

    words: str
    state: OrderState | None
    product: UUID | None
    since: date | None
    until: date | None

    @property
    def is_any(self) -> bool:
        """Whether anything is left out."""
        return bool(self.words or self.state or self.product or self.since or self.until)

    def told(self) -> dict[str, str]:
        """Say it by the fields of the form, those that are filled in."""
        fields = {
            "q": self.words,
            "state": self.state.value if self.state else "",
            "product": to_serial(self.product) if self.product else "",
            "from": self.since.isoformat() if self.since else "",
            "to": self.until.isoformat() if self.until else "",
        }
        return {name: value for name, value in fields.items() if value}

    def address(self, before: UUID | None = None, *, path: str = _ROOT) -> str:
        """Give the address of this page, of the one after it, or of another by these filters."""
        fields = self.told() | ({"before": to_serial(before)} if before else {})
        return f"{path}?{urlencode(fields)}" if fields else path


class Orders:
    """What was sold, and to whom."""

    entries = (Entry(_ROOT, message("Orders"), "list", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._receipts = Receipts(desk.front)
        self._orders = desk.apis.orders
        self._zone = desk.front.settings.time_zone

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk = self._desk
        return [
            desk.get(_ROOT, self.orders, Permission.ORDERS_READ, fields=_ASKED),
            desk.get("/merchant/orders.csv", self.export, Permission.ORDERS_READ),
            desk.get("/merchant/payments.csv", self.export_payments, Permission.ORDERS_READ),
            desk.get(f"{_ROOT}/{{serial:str}}", self.order, Permission.ORDERS_READ),
            desk.get(f"{_ROOT}/{{serial:str}}/receipt.pdf", self.receipt, Permission.ORDERS_READ),
            desk.post(
                f"{_ROOT}/{{serial:str}}/refund",
                self.refund,
                Permission.REFUNDS_WRITE,
                is_grave=True,
            ),
            desk.post(f"{_ROOT}/{{serial:str}}/letter", self.send_again, Permission.ORDERS_WRITE),
            desk.post(
                f"{_ROOT}/{{serial:str}}/replace",
                self.replace,
                Permission.ORDERS_WRITE,
                is_grave=True,
            ),
        ]

    async def orders(self, caller: Caller) -> Page:
        """Show a page of orders, or what a number was found to be."""
        products = await self._products(caller)
        wanted = _read_filter(caller)
        orders: Sequence[SoldOrder]
        if wanted.words:
            search = OrderSearch(caller.merchant, wanted.words)
            [orders] = await self._orders.find_orders([search])
            older = ""
        else:
            orders, older = await self._page(caller, wanted, products)
        return self._desk.page(
            caller,
            "merchant/orders.html",
            path=_ROOT,
            orders=orders,
            older=older,
            wanted=wanted,
            products=products,
            states=[state.value for state in OrderState],
        )

    async def _products(self, caller: Caller) -> list[StockedProduct]:
        query = ShopProductQuery(MerchantId(caller.merchant), products_max=_PRODUCTS_MAX)
        [products] = await self._desk.apis.catalog.list_products([query])
        return products

    async def _page(
        self, caller: Caller, wanted: Filter, products: Sequence[StockedProduct]
    ) -> tuple[Sequence[SoldOrder], str]:
        before = read_id(caller.asked("before"))
        query = self._query(caller, wanted, products, before, _PAGE + 1)
        if query is None:
            return [], ""
        [found] = await self._orders.list_orders([query])
        shown = found[:_PAGE]
        return shown, wanted.address(shown[-1].view.id) if len(found) > _PAGE else ""

    def _query(
        self,
        caller: Caller,
        wanted: Filter,
        products: Sequence[StockedProduct],
        before: UUID | None,
        orders_max: int,
    ) -> SoldOrderQuery | None:
        """Ask for a page by the filters; None: they name a product that is not there."""
        variants: Sequence[UUID] = []
        if wanted.product is not None:
            chosen = [each for each in products if each.product.id == wanted.product]
            if not chosen:
                return None
            variants = chosen[0].variants_ever
        return SoldOrderQuery(
            caller.merchant,
            wanted.state,
            list(variants),
            self._begin(wanted.since),
            self._begin(wanted.until, 1),
            OrderId(before) if before else None,
            orders_max,
        )

    async def export(self, caller: Caller) -> Page:
        """Give all orders that the filters let through as CSV; who took them is kept."""
        wanted = _read_filter(caller)
        turned = await log_export(self._desk, caller, "order.exported", "orders", wanted.told())
        if turned is not None:
            return turned
        orders = await self._reader(caller, wanted)

        async def read(before: UUID | None) -> tuple[Rows, UUID | None]:
            found, last = await orders(before)
            return map(order_row, found), last

        return export("orders", ORDER_COLUMNS, read)

    async def export_payments(self, caller: Caller) -> Page:
        """Give what was paid for those orders as CSV, a payment each; who took them is kept."""
        wanted = _read_filter(caller)
        turned = await log_export(self._desk, caller, LISTED, "list:payments", wanted.told())
        if turned is not None:
            return turned
        orders = await self._reader(caller, wanted)
        read = read_payments(self._desk.apis.payments, orders, caller.merchant)
        return export("payments", tuple(CAPTURES), read)

    async def _reader(self, caller: Caller, wanted: Filter) -> ReadOrders:
        """Give what reads all orders that the filters let through, page by page."""
        products = await self._products(caller)

        async def read(before: UUID | None) -> tuple[Sequence[SoldOrder], UUID | None]:
            if wanted.words:
                search = OrderSearch(caller.merchant, wanted.words)
                [found] = await self._orders.find_orders([search])
                return found, None
            query = self._query(caller, wanted, products, before, AT_ONCE)
            [found] = await self._orders.list_orders([query]) if query is not None else [[]]
            return found, found[-1].view.id if found else None

        return read

    def _begin(self, day: date | None, days: int = 0) -> datetime | None:
        if day is None:
            return None
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=time_zone(self._zone))
        return midnight(noon, self._zone, days)

    async def receipt(self, caller: Caller) -> Page:
        """Give the receipt of an order that was paid, in the language of who asks."""
        sold = await self._own(caller)
        paper = await self._receipts.give(caller.visitor, sold.view) if sold else None
        return paper or self._desk.problem(caller.request, 404, caller)

    async def order(self, caller: Caller) -> Page:
        """Show one order whole."""
        return await self._order(caller)

    async def _order(self, caller: Caller, *, status: int = 200, problem: str = "") -> Page:
        sold = await self._own(caller)
        if sold is None:
            return await lead_to_supply(self._desk, caller)
        id = sold.view.id
        [refunds] = await self._orders.read_refunds([id])
        [attempts] = await self._desk.apis.payments.read_attempts([id])
        [captures] = await self._desk.apis.payments.read_captures([id])
        [replacements] = await self._orders.read_replacements([id])
        [disputes] = await self._desk.apis.disputes.read_order_disputes([id])
        taken_minor = sum(each.amount_minor for each in refunds if each.state != "failed")
        left_minor = sold.view.amount_minor - taken_minor
        may_help, done = caller.may(Permission.ORDERS_WRITE), redelivery.told(caller.asked("done"))
        can_refund = sold.view.delivered_at is not None and left_minor > 0
        can_refund = can_refund and caller.may(Permission.REFUNDS_WRITE)
        can_replace = may_help and redelivery.can_replace(sold.view)
        can_tell = may_help and redelivery.can_tell(sold.view, sold.contact)
        return self._desk.page(
            caller,
            "merchant/order.html",
            status=status,
            path=_ROOT,
            sold=sold,
            order=sold.view,
            share=await read_way(self._desk.apis.settlement, sold.view),
            paid_out=await read_paid_out(self._desk.apis.payouts, sold.view),
            split=await read_split(
                self._desk.apis.ledger,
                self._desk.apis.settlement,
                id,
                caller.merchant,
                sold.view.currency,
            ),
            refunds=refunds,
            disputes=disputes,
            now=self._desk.clock.now(),
            attempts=attempts,
            captures=own_captures(captures, caller.merchant),
            left_minor=left_minor,
            left_text=to_text(left_minor, sold.view.currency),
            can_refund=can_refund,
            can_refund_to_wallet=can_refund and await self._has_wallet(sold),
            replacements=replacements,
            can_replace=can_replace,
            can_tell=can_tell,
            nonce=to_serial(new_id(self._desk.clock.now())),
            written={name: caller.written(name) for name in _FIELDS},
            done=self._desk.say(caller, done) if done else "",
            problems=redelivery.beside(
                caller.request.url.path,
                self._desk.say(caller, problem) if problem else "",
                refund=can_refund,
                replace=can_replace,
                letter=can_tell,
            ),
        )

    async def _has_wallet(self, sold: SoldOrder) -> bool:
        """Tell whether money of an order can go into its buyer's wallet."""
        if not sold.has_wallet:
            return False
        terms = await self._desk.apis.wallets.list_wallet_terms()
        return any(each.is_on and each.currency == sold.view.due_currency for each in terms)

    async def send_again(self, caller: Caller) -> Page:
        """Send the letter of the delivery once more."""
        sold, nonce = await self._own(caller), read_id(caller.written("nonce"))
        if sold is None or nonce is None:
            return self._desk.problem(caller.request, 404 if sold is None else 400, caller)
        order = sold.view
        if not redelivery.can_tell(order, sold.contact):
            return await self._order(caller, status=422, problem=_NOT_TOLD)
        subject = f"order:{order.serial}"
        await log(self._desk, caller, "letter.repeated", subject)
        ending = await redelivery.send_again(self._desk.apis, order, nonce)
        if not ending.is_good:
            await log_undone(self._desk, caller, "letter.repeated", subject, ending.why)
            return await self._order(caller, status=422, problem=ending.text)
        return onward(f"{_ROOT}/{order.serial}?done=letter#top")

    async def replace(self, caller: Caller) -> Page:
        """Put other keys in place of those that do not work."""
        sold, nonce = await self._own(caller), read_id(caller.written("nonce"))
        if sold is None or nonce is None:
            return self._desk.problem(caller.request, 404 if sold is None else 400, caller)
        order, reason = sold.view, caller.written("reason")[:_REASON_MAX]
        positions = redelivery.read_positions(caller.written("positions"), order)
        if not positions:
            return await self._order(caller, status=422, problem=redelivery.POSITIONS_WRONG.text)
        if not reason:
            return await self._order(caller, status=422, problem=_NO_REASON)
        keys = ", ".join(map(str, positions))
        after = {"keys": keys}
        subject = f"order:{order.serial}"
        await log(self._desk, caller, "keys.replaced", subject, after=after, reason=reason)
        ending = await redelivery.replace(
            self._desk.apis,
            order,
            positions,
            nonce=nonce,
            seen=redelivery.read_count(caller.written("seen")),
            reason=reason,
            person=caller.person.email,
        )
        if not ending.is_good:
            await log_undone(self._desk, caller, "keys.replaced", subject, ending.why)
            return await self._order(caller, status=422, problem=ending.text)
        return onward(f"{_ROOT}/{order.serial}?done=replaced#replaced")

    async def _own(self, caller: Caller) -> SoldOrder | None:
        """Read the order that the address names, if it is the merchant's own."""
        id = read_id(caller.part("serial"))
        if id is None:
            return None
        search = OrderSearch(caller.merchant, to_serial(id))
        [found] = await self._orders.find_orders([search])
        return next((each for each in found if each.view.id == id), None)

    async def refund(self, caller: Caller) -> Page:
        """Give the whole of an order back, or a part."""
        sold = await self._own(caller)
        nonce = read_id(caller.written("nonce"))
        if sold is None or nonce is None:
            return self._desk.problem(caller.request, 404 if sold is None else 400, caller)
        order = sold.view
        reason = caller.written("reason")[:_REASON_MAX]
        amount_minor = 0  # Whatever is left.
        if caller.written("part") == "part":
            try:
                amount_minor = from_text(caller.written("amount"), order.currency)
            except Malformed:
                return await self._order(caller, status=422, problem=_NO_AMOUNT)
            if amount_minor <= 0:
                return await self._order(caller, status=422, problem=_NO_AMOUNT)
        if not reason:
            return await self._order(caller, status=422, problem=_REASON_MISSING)
        subject = f"order:{order.serial}"
        await log(
            self._desk,
            caller,
            "order.refunded",
            subject,
            before={"refunded": to_text(order.refunded_minor, order.currency)},
            after={
                "asked": to_text(amount_minor, order.currency) if amount_minor else "all",
                "currency": order.currency,
                **({"to_wallet": "yes"} if caller.written("to_wallet") else {}),
            },
            reason=reason,
        )
        asked = RefundOrder(
            derive(order.id, f"refund:{nonce}"),
            order.id,
            amount_minor,
            reason,
            caller.person.email,
            to_wallet=bool(caller.written("to_wallet")),
        )
        [status] = await self._orders.refund_orders([asked])
        if status not in _ACCEPTED:
            await log_undone(self._desk, caller, "order.refunded", subject, status)
            return await self._order(caller, status=422, problem=_REFUSALS[status])
        return onward(f"{_ROOT}/{order.serial}#refunds")


def _read_filter(caller: Caller) -> Filter:
    """Read what is asked for; what makes no sense is left out."""
    asked = caller.asked("state")
    known = {state.value: state for state in OrderState}
    return Filter(
        caller.asked("q"),
        known.get(asked),
        read_id(caller.asked("product")),
        _day(caller.asked("from")),
        _day(caller.asked("to")),
    )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year <= 2999 else None
