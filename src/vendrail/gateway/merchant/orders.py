"""Merchants' orders: listed, read, and given back."""

import msgspec

from vendrail.api.identity import NOT_DONE
from vendrail.api.orders import (
    OrderId,
    Orders,
    OrderSearch,
    OrderState,
    RefundOrder,
    RefundOrderStatus,
    RefundView,
    SoldOrder,
    SoldOrderQuery,
)
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.merchant import asked, problems
from vendrail.gateway.merchant.bodies import (
    AskRefundBody,
    MerchantOrderBody,
    MerchantOrderListBody,
    RefundBody,
    RefundListBody,
)
from vendrail.gateway.merchant.keyring import Keyring, Program, idempotency_key
from vendrail.gateway.problems import QUERY_MALFORMED
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, from_serial, to_serial

_ASK = msgspec.json.Decoder(AskRefundBody)
_BYTES_MAX = 16_384
_REPLAYED = (b"idempotency-replayed", b"true")
_ACCEPTED = (RefundOrderStatus.ACCEPTED, RefundOrderStatus.EXISTS)


class OrderRoom:
    """Answers about a merchant's orders."""

    def __init__(self, orders: Orders, keyring: Keyring) -> None:
        self._orders = orders
        self._keyring = keyring

    async def list_orders(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List a page of orders."""
        query = exchange.query()
        before = asked.before(query)
        wanted = SoldOrderQuery(
            program.merchant,
            _state(query.get("state", "")),
            since=asked.moment(query, "since"),
            until=asked.moment(query, "until"),
            before=OrderId(before) if before else None,
            orders_max=asked.limit(query),
        )
        (found,) = await self._orders.list_orders([wanted])
        is_full = len(found) == wanted.orders_max
        body = MerchantOrderListBody(
            [_order(each) for each in found], found[-1].view.serial if found and is_full else None
        )
        return said(200, encode(body))

    async def read_order(self, _: Exchange, program: Program, serial: str) -> Answer:
        """Read one order."""
        return said(200, encode(_order(await self._own(program, serial))))

    async def list_refunds(self, _: Exchange, program: Program, serial: str) -> Answer:
        """List an order's refunds."""
        order = await self._own(program, serial)
        (found,) = await self._orders.read_refunds([order.view.id])
        return said(200, encode(RefundListBody([_refund(each) for each in found])))

    async def ask_refund(self, exchange: Exchange, program: Program, serial: str) -> Answer:
        """Give money back; the same key gives the same refund again."""
        key = idempotency_key(exchange)
        order = await self._own(program, serial)
        body = await exchange.json(_ASK, _BYTES_MAX)
        reason = " ".join(body.reason.split())
        id = derive(order.view.id, f"refund:{key}")
        asked_for = str(body.amount_minor) if body.amount_minor else "all"
        await self._keyring.record(
            program,
            "order.refunded",
            f"order:{order.view.serial}",
            once=id.hex,
            before={"refunded_minor": str(order.view.refunded_minor)},
            after={"asked_minor": asked_for, "currency": order.view.currency},
            reason=reason,
        )
        refund = RefundOrder(id, order.view.id, body.amount_minor, reason, program.key.prefix)
        (status,) = await self._orders.refund_orders([refund])
        if status not in _ACCEPTED:
            await self._keyring.record(
                program,
                "order.refunded",
                f"order:{order.view.serial}",
                once=f"{id.hex}:{status}",
                after={NOT_DONE: status},
            )
            raise Refusal(problems.REFUND[status])
        (refunds,) = await self._orders.read_refunds([order.view.id])
        made = next(each for each in refunds if each.id == id)
        replayed = (_REPLAYED,) if status is RefundOrderStatus.EXISTS else ()
        return said(201, encode(_refund(made)), replayed)

    async def _own(self, program: Program, serial: str) -> SoldOrder:
        """Give an order of the merchant's; another's is not found."""
        try:
            id = from_serial(serial)
        except Malformed:
            raise Refusal(problems.ORDER_NOT_FOUND) from None
        (found,) = await self._orders.find_orders([OrderSearch(program.merchant, to_serial(id))])
        order = next((each for each in found if each.view.id == id), None)
        if order is None:
            raise Refusal(problems.ORDER_NOT_FOUND)
        return order


def _state(text: str) -> OrderState | None:
    if not text:
        return None
    if text not in list(OrderState):
        raise Refusal(QUERY_MALFORMED, f"state is one of {', '.join(OrderState)}.")
    return OrderState(text)


def _order(sold: SoldOrder) -> MerchantOrderBody:
    view = sold.view
    return MerchantOrderBody(
        view.serial,
        view.state,
        view.waiting,
        view.sku,
        view.title,
        view.quantity,
        view.amount_minor,
        view.currency,
        view.refunded_minor,
        sold.contact,
        sold.method,
        view.placed_at,
        view.expires_at,
        view.paid_at,
        view.delivered_at,
    )


def _refund(view: RefundView) -> RefundBody:
    return RefundBody(
        to_serial(view.id),
        to_serial(view.order),
        view.amount_minor,
        view.currency,
        view.state,
        view.reason,
        view.at,
    )
