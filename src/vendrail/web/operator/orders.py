"""All orders: found by any number, followed step by step, asked about and given back."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

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
from vendrail.api.payments import AttemptState
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.amounts import time_zone
from vendrail.web.console import redelivery
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import (
    AT_ONCE,
    LISTED,
    ORDER_COLUMNS,
    export,
    filters_of,
    order_row,
    saved_at,
)
from vendrail.web.console.lists import is_day, is_id, is_words, one_of
from vendrail.web.console.payments import ReadOrders, read_payments
from vendrail.web.console.shares import read_paid_out, read_way
from vendrail.web.console.tables import CAPTURES
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, OrderFile, read_id
from vendrail.web.pages import onward
from vendrail.web.papers.sheets import Rows
from vendrail.web.storefront.front import Page

_PATH = "/operator/orders"
_FILTERS = ("state", "merchant", "from", "to")
_ASKED = ("q", *_FILTERS)
_FIELDS = {
    "q": is_words,
    "state": one_of(OrderState),
    "merchant": is_id,
    "from": is_day,
    "to": is_day,
}
_SHOWN_MAX = 50
_CONFIRMED, _REFUNDED = "payment.asked", "order.refunded"
_UNPAID = (OrderState.PLACED, OrderState.EXPIRED, OrderState.CANCELLED)
_SAID = {
    RefundOrderStatus.ACCEPTED: Said.GIVEN_BACK,
    RefundOrderStatus.EXISTS: Said.EXISTS,
    RefundOrderStatus.EXISTS_DIFFERENT: Said.OTHERWISE,
    RefundOrderStatus.ORDER_NOT_FOUND: Said.ORDER_UNKNOWN,
    RefundOrderStatus.NOT_PAID: Said.NOT_DELIVERED,
    RefundOrderStatus.MORE_THAN_CAPTURED: Said.MORE_THAN_LEFT,
    RefundOrderStatus.AMOUNT_TOO_SMALL: Said.AMOUNT_TOO_SMALL,
    RefundOrderStatus.NO_WALLET: Said.NO_WALLET,
    RefundOrderStatus.DISPUTED: Said.DISPUTED,
}


class OrdersDesk:
    """Orders of all merchants."""

    entries = (Entry(_PATH, message("Orders"), "list", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._orders, self._payments = desk.apis.orders, desk.apis.payments
        deeds.add(Deed(_CONFIRMED, Permission.ORDERS_WRITE, self._ask))
        deeds.add(Deed(_REFUNDED, Permission.REFUNDS_WRITE, self._refund))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, one = self._desk, f"{_PATH}/{{order:str}}"
        return [
            desk.get(_PATH, self.table, Permission.ORDERS_READ, fields=_FIELDS),
            desk.get("/operator/orders.csv", self.export, Permission.ORDERS_READ),
            desk.get("/operator/payments.csv", self.export_payments, Permission.ORDERS_READ),
            desk.get(one, self.show, Permission.ORDERS_READ),
            desk.post(f"{one}/ask", self.ask, Permission.ORDERS_WRITE),
            desk.post(f"{one}/letter", self.send_again, Permission.ORDERS_WRITE),
            desk.post(f"{one}/replace", self.replace, Permission.ORDERS_WRITE, is_grave=True),
            desk.post(f"{one}/refund", self.refund, Permission.REFUNDS_WRITE, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List orders, newest first, or find some by a number or contact."""
        words, state = caller.asked("q"), caller.asked("state")
        merchant = read_id(caller.asked("merchant"))
        day_from, day_to = _day(caller.asked("from")), _day(caller.asked("to"))
        older = ""
        if words:
            [found] = await self._orders.find_orders([OrderSearch(merchant, words)])
        else:
            query = self._query(caller, read_id(caller.asked("before")), _SHOWN_MAX + 1)
            [found] = await self._orders.list_orders([query])
            if len(found) > _SHOWN_MAX:
                found = found[:_SHOWN_MAX]
                kept = {k: v for k in _FILTERS if (v := caller.asked(k))}
                older = f"{_PATH}?{urlencode(kept | {'before': found[-1].view.serial})}"
        is_first = not words and not caller.asked("before")
        return self._desk.page(
            caller,
            "operator/orders.html",
            orders=found,
            older=older,
            exported=saved_at(caller, _PATH, _ASKED),
            exported_payments=saved_at(caller, "/operator/payments", _ASKED),
            words=words,
            state=state,
            states=[each.value for each in OrderState],
            merchant=merchant,
            day_from=day_from,
            day_to=day_to,
            names=await self._files.merchant_names(),
            is_live=is_first,
            is_filtered=bool(state or merchant or day_from or day_to),
        )

    def _query(self, caller: Caller, before: UUID | None, orders_max: int) -> SoldOrderQuery:
        """Ask for a page by the filters of the address."""
        state = caller.asked("state")
        return SoldOrderQuery(
            read_id(caller.asked("merchant")),
            state=OrderState(state) if state in {each.value for each in OrderState} else None,
            since=self._midnight(_day(caller.asked("from"))),
            until=self._midnight(_day(caller.asked("to")), 1),
            before=OrderId(before) if before else None,
            orders_max=orders_max,
        )

    async def export(self, caller: Caller) -> Page:
        """Give all orders that the filters let through as CSV; who took them is kept."""
        turned = await self._deeds.log_export(
            caller, "order.exported", "orders", filters_of(caller, _ASKED)
        )
        if turned is not None:
            return turned
        orders = self._reader(caller)

        async def read(before: UUID | None) -> tuple[Rows, UUID | None]:
            found, last = await orders(before)
            return map(order_row, found), last

        return export("orders", ORDER_COLUMNS, read)

    async def export_payments(self, caller: Caller) -> Page:
        """Give what was paid for those orders as CSV, a payment each; who took them is kept."""
        turned = await self._deeds.log_export(
            caller, LISTED, "list:payments", filters_of(caller, _ASKED)
        )
        if turned is not None:
            return turned
        read = read_payments(self._payments, self._reader(caller))
        return export("payments", tuple(CAPTURES), read)

    def _reader(self, caller: Caller) -> ReadOrders:
        """Give what reads all orders that the filters let through, page by page."""

        async def read(before: UUID | None) -> tuple[Sequence[SoldOrder], UUID | None]:
            if words := caller.asked("q"):
                search = OrderSearch(read_id(caller.asked("merchant")), words)
                [found] = await self._orders.find_orders([search])
                return found, None
            query = self._query(caller, before, AT_ONCE)
            [found] = await self._orders.list_orders([query])
            return found, found[-1].view.id if found else None

        return read

    def _midnight(self, day: date | None, days: int = 0) -> datetime | None:
        if day is None:
            return None
        zone = time_zone(self._desk.front.settings.time_zone)
        return datetime.combine(day + timedelta(days=days), time(), zone)

    async def show(self, caller: Caller) -> Page:
        """Show the file of an order, and what can be done."""
        file = await self._files.read(read_id(caller.part("order")))
        if file is None:
            return self._desk.problem(caller.request, 404, caller)
        return await self._show(caller, file)

    async def _show(
        self, caller: Caller, file: OrderFile, said: Said | None = None, problem: str = ""
    ) -> Page:
        state = file.view.state
        is_unpaid = state in _UNPAID and not file.captures and bool(file.attempts)
        may_help = caller.may(Permission.ORDERS_WRITE)
        contact = file.sold.contact if file.sold else ""
        done = redelivery.told(caller.asked("done"))
        has_left = state is OrderState.DELIVERED and file.left_minor > 0
        can_ask = is_unpaid and may_help
        can_refund = has_left and caller.may(Permission.REFUNDS_WRITE)
        can_replace = may_help and redelivery.can_replace(file.view)
        can_tell = may_help and redelivery.can_tell(file.view, contact)
        return self._desk.page(
            caller,
            "operator/order.html",
            status=422 if said is not None or problem else 200,
            file=file,
            names=await self._files.merchant_names(),
            movements=await self._files.movements(file),
            share=await read_way(self._desk.apis.settlement, file.view),
            paid_out=await read_paid_out(self._desk.apis.payouts, file.view),
            split=await self._files.split(file),
            can_ask=can_ask,
            can_refund=can_refund,
            can_refund_to_wallet=can_refund and await self._has_wallet(file),
            can_review=file.view.waiting == "review" and caller.may(Permission.REVIEWS_WRITE),
            left_text=to_text(file.left_minor, file.view.currency) if has_left else "",
            nonce=caller.written("nonce") or to_serial(new_id(self._desk.clock.now())),
            amount=caller.written("amount", 20),
            reason=caller.written("reason"),
            contact=contact,
            can_replace=can_replace,
            can_tell=can_tell,
            written={name: caller.written(name) for name in ("positions", "reason", "seen")},
            done=self._desk.say(caller, done) if done else self._deeds.said(caller),
            problems=redelivery.beside(
                caller.request.url.path,
                problem or self._deeds.problem(caller, said),
                ask=can_ask,
                refund=can_refund,
                replace=can_replace,
                letter=can_tell,
            ),
        )

    async def _has_wallet(self, file: OrderFile) -> bool:
        """Tell whether money of an order can go into its buyer's wallet."""
        if file.sold is None or not file.sold.has_wallet:
            return False
        terms = await self._desk.apis.wallets.list_wallet_terms()
        return any(each.is_on and each.currency == file.view.due_currency for each in terms)

    async def ask(self, caller: Caller) -> Page:
        """Ask the provider whether an order has been paid; if so, it is filled as always."""
        file = await self._files.read(read_id(caller.part("order")))
        if file is None:
            return self._desk.problem(caller.request, 404, caller)
        view = file.view
        said = await self._deeds.do(
            caller,
            _CONFIRMED,
            f"order:{view.serial}",
            {"order": view.serial, **_money(view.amount_minor, view.currency)},
            amount=(view.amount_minor, view.currency),
            merchant=view.merchant,
            before={"state": view.state.value},
        )
        if said in GOOD:
            return back_to(f"{_PATH}/{view.serial}", said)
        return await self._show(caller, file, said)

    async def _ask(self, told: Mapping[str, str], _person: str) -> Said:
        """Nothing is believed but what the provider says: money it knows of is recorded by it."""
        order = read_id(told["order"])
        if order is None:
            return Said.ORDER_UNKNOWN
        [attempts] = await self._payments.read_attempts([order])
        if not attempts:
            return Said.NEVER_ASKED
        states = await self._payments.query_attempts([each.attempt.id for each in attempts])
        if AttemptState.CAPTURED in states:
            await self._orders.wake_orders([OrderId(order)])
            return Said.GOES_ON
        return Said.PROVIDER_SILENT if None in states else Said.NOT_PAID

    async def send_again(self, caller: Caller) -> Page:
        """Send the letter of a delivery once more."""
        file = await self._files.read(read_id(caller.part("order")))
        nonce = read_id(caller.written("nonce"))
        if file is None or nonce is None:
            return self._desk.problem(caller.request, 404, caller)
        view = file.view
        if not redelivery.can_tell(view, file.sold.contact if file.sold else ""):
            return await self._show(caller, file, Said.NOT_DELIVERED)
        subject = f"order:{view.serial}"
        await self._deeds.log(caller, "letter.repeated", subject, merchant=view.merchant)
        ending = await redelivery.send_again(self._desk.apis, view, nonce)
        if not ending.is_good:
            await self._deeds.log_undone(
                caller, "letter.repeated", subject, ending.why, merchant=view.merchant
            )
            return await self._show(caller, file, problem=self._desk.say(caller, ending.text))
        return onward(f"{_PATH}/{view.serial}?done=letter#top")

    async def replace(self, caller: Caller) -> Page:
        """Put other keys in place of those that do not work, as the merchant's people can."""
        file = await self._files.read(read_id(caller.part("order")))
        nonce = read_id(caller.written("nonce"))
        if file is None or nonce is None:
            return self._desk.problem(caller.request, 404, caller)
        view, reason = file.view, caller.written("reason")
        positions = redelivery.read_positions(caller.written("positions"), view)
        if not positions:
            problem = self._desk.say(caller, redelivery.POSITIONS_WRONG.text)
            return await self._show(caller, file, problem=problem)
        if not reason:
            return await self._show(caller, file, Said.NO_REASON)
        await self._deeds.log(
            caller,
            "keys.replaced",
            f"order:{view.serial}",
            merchant=view.merchant,
            after={"keys": ", ".join(map(str, positions))},
            reason=reason,
        )
        ending = await redelivery.replace(
            self._desk.apis,
            view,
            positions,
            nonce=nonce,
            seen=redelivery.read_count(caller.written("seen")),
            reason=reason,
            person=caller.person.email,
        )
        if not ending.is_good:
            subject = f"order:{view.serial}"
            await self._deeds.log_undone(
                caller, "keys.replaced", subject, ending.why, merchant=view.merchant
            )
            return await self._show(caller, file, problem=self._desk.say(caller, ending.text))
        return onward(f"{_PATH}/{view.serial}?done=replaced#replaced")

    async def refund(self, caller: Caller) -> Page:
        """Give money of a delivered order back, whole or in part."""
        file = await self._files.read(read_id(caller.part("order")))
        nonce = read_id(caller.written("nonce"))
        if file is None or nonce is None:
            return self._desk.problem(caller.request, 404, caller)
        view, text = file.view, caller.written("amount", 20)
        try:
            amount_minor = from_text(text, view.currency) if text else file.left_minor
        except Malformed:
            amount_minor = 0
        if amount_minor <= 0:
            return await self._show(caller, file, Said.NO_AMOUNT)
        is_new = nonce not in {each.id for each in file.refunds}
        if is_new and amount_minor > file.left_minor:  # No second person is asked for nothing.
            return await self._show(caller, file, Said.MORE_THAN_LEFT)
        said = await self._deeds.do(
            caller,
            _REFUNDED,
            f"order:{view.serial}",
            {
                "order": view.serial,
                "refund": to_serial(nonce),
                **_money(amount_minor, view.currency),
                **({"to_wallet": "yes"} if caller.written("to_wallet") else {}),
            },
            amount=(amount_minor, view.currency),
            merchant=view.merchant,
            before={"left_minor": str(file.left_minor)},
            after={"left_minor": str(file.left_minor - amount_minor)},
        )
        if said in GOOD:
            return back_to(f"{_PATH}/{view.serial}", said)
        return await self._show(caller, file, said)

    async def _refund(self, told: Mapping[str, str], person: str) -> Said:
        order, refund = read_id(told["order"]), read_id(told["refund"])
        if order is None or refund is None:
            return Said.ORDER_UNKNOWN
        amount_minor = int(told["amount_minor"])
        asked = RefundOrder(
            refund,
            OrderId(order),
            amount_minor,
            told["reason"],
            person,
            to_wallet=bool(told.get("to_wallet")),
        )
        [status] = await self._orders.refund_orders([asked])
        return _SAID[status]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _money(amount_minor: int, currency: str) -> dict[str, str]:
    return {"amount_minor": str(amount_minor), "currency": currency}
