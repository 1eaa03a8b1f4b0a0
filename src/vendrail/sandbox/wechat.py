"""WeChat Pay's rules for payments: what becomes of an order, how it is told, how it goes back.

No I/O here, and no clock: each function takes the store and the call, and gives what is answered.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.fields import read_amount
from vendrail.sandbox.wechat_calls import (
    NUMBER,
    REFUND_NUMBER,
    Call,
    Node,
    Refused,
    address_of,
    amount_of,
    check_address,
    check_currency,
    node_of,
    read_moment,
    text_of,
)
from vendrail.sandbox.wechat_records import (
    Merchant,
    Order,
    Refund,
    WechatStore,
    make_number,
    stamp,
)

_TTL = timedelta(days=7)
_H5_TYPES = frozenset({"Wap", "iOS", "Android"})
_STATE_WORDS = {
    "SUCCESS": "支付成功",
    "REFUND": "转入退款",
    "NOTPAY": "订单未支付",
    "CLOSED": "订单已关闭",
}
_TRADE_TYPES = {"native": "NATIVE", "h5": "MWEB", "jsapi": "JSAPI"}


class News(msgspec.Struct, frozen=True):
    """Something that a merchant is to be told."""

    event_type: str
    original_type: str
    summary: str
    resource: Node
    url: str
    out_trade_no: str


# Orders.


def take_order(store: WechatStore, call: Call, product: str) -> Order:
    """Take an order; the same one again is the same, a changed or ended one is refused."""
    merchant = call.merchant
    if call.text("mchid", 32) != merchant.mchid:
        raise Refused("INVALID_REQUEST", "商户号与签名商户号不一致")
    if call.text("appid", 32) != merchant.appid:
        raise Refused("APPID_MCHID_NOT_MATCH")
    number = call.text("out_trade_no", 64)
    if not NUMBER.fullmatch(number):
        raise Refused("PARAM_ERROR", "参数out_trade_no须为6到32位数字、字母或_-*|")
    description = call.text("description", 127)
    notify_url = address_of(call.body, "notify_url")
    amount = node_of(call.body, "amount")
    total_minor = amount_of(amount, "total")
    check_currency(amount)
    expires_at = call.now + _TTL
    if text := call.text("time_expire", 64, is_needed=False):
        expires_at = read_moment(text)
    openid = _check_product(call, product)
    known = store.order(merchant.mchid, number)
    if known is not None:
        told = (product, description, total_minor, openid or known.openid)
        if known.paid_at is not None:
            raise Refused("ORDERPAID")
        if (known.product, known.description, known.total_minor, known.openid) != told:
            raise Refused("OUT_TRADE_NO_USED")
        if known.state(call.now) == "CLOSED":
            raise Refused("ORDER_CLOSED")
        return known
    if expires_at <= call.now:
        raise Refused("INVALID_REQUEST", "time_expire不能早于当前时间")
    settle = call.body.get("settle_info")
    order = Order(
        mchid=merchant.mchid,
        out_trade_no=number,
        transaction_id=make_number("42000028", call.now),
        prepay_id="wx" + secrets.token_hex(17),
        token=secrets.token_urlsafe(18),
        product=product,
        description=description,
        total_minor=total_minor,
        notify_url=notify_url,
        created_at=call.now,
        expires_at=expires_at,
        attach=call.text("attach", 128, is_needed=False),
        openid=openid,
        is_frozen=isinstance(settle, dict) and settle.get("profit_sharing") is True,
    )
    store.save(order)
    return order


def _check_product(call: Call, product: str) -> str:
    """Check what one product alone asks for; give who shall pay, where that is said."""
    if product == "h5":
        scene = node_of(call.body, "scene_info")
        check_address(scene, "payer_client_ip")
        if text_of(node_of(scene, "h5_info"), "type", 32) not in _H5_TYPES:
            raise Refused("PARAM_ERROR", "参数h5_info.type须为Wap、iOS或Android")
    if product != "jsapi":
        return ""
    openid = text_of(node_of(call.body, "payer"), "openid", 128)
    if not openid.startswith(f"o{call.merchant.appid[2:8]}"):
        raise Refused("PARAM_ERROR", "无效的openid")
    return openid


def place(store: WechatStore, call: Call, product: str) -> Node:
    """Take an order, and give the way to pay it."""
    order = take_order(store, call, product)
    if product == "native":
        return {"code_url": f"{call.base_url}/wechat/pay/{order.token}"}
    if product == "h5":
        query = f"prepay_id={order.prepay_id}&package={order.token}"
        return {"h5_url": f"{call.base_url}/wechat/checkmweb?{query}"}
    return {"prepay_id": order.prepay_id}


def tell_transaction(order: Order, merchant: Merchant, now: datetime) -> Node:
    """Say what an order looks like now."""
    state = order.state(now)
    node: Node = {
        "appid": merchant.appid,
        "mchid": merchant.mchid,
        "out_trade_no": order.out_trade_no,
        "trade_state": state,
        "trade_state_desc": _STATE_WORDS[state],
        "attach": order.attach,
        "amount": {"total": order.total_minor, "currency": "CNY"},
    }
    if order.paid_at is None:
        return node
    return node | {
        "transaction_id": order.transaction_id,
        "trade_type": _TRADE_TYPES[order.product],
        "bank_type": "OTHERS",
        "success_time": stamp(order.paid_at),
        "payer": {"openid": order.openid},
        "amount": {
            "total": order.total_minor,
            "payer_total": order.total_minor,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
    }


def _find(store: WechatStore, call: Call, number: str, transaction: str = "") -> Order:
    order = store.order(call.merchant.mchid, number, transaction)
    if order is None:
        raise Refused("ORDER_NOT_EXIST")
    return order


def query(store: WechatStore, call: Call, number: str, transaction: str = "") -> Node:
    """Say what became of an order, by either number."""
    if call.query.get("mchid") != call.merchant.mchid:
        raise Refused("PARAM_ERROR", "参数mchid不能为空，且须与签名商户号一致")
    return tell_transaction(_find(store, call, number, transaction), call.merchant, call.now)


def close(store: WechatStore, call: Call, number: str) -> None:
    """End an order that nobody has paid; once more changes nothing."""
    if call.text("mchid", 32) != call.merchant.mchid:
        raise Refused("INVALID_REQUEST", "商户号与签名商户号不一致")
    order = _find(store, call, number)
    if order.paid_at is not None:
        raise Refused("ORDERPAID")
    if order.closed_at is None:
        order.closed_at = call.now
        store.save(order)


def pay(
    store: WechatStore, order: Order, now: datetime, *, openid: str = "", is_forced: bool = False
) -> News | None:
    """The buyer pays; an order that is paid or over stays as it is."""
    if order.paid_at is not None or (order.state(now) != "NOTPAY" and not is_forced):
        return None
    merchant = store.merchants[order.mchid]
    order.paid_at = now
    order.openid = order.openid or openid or make_openid(merchant)
    store.save(order)
    return tell_paid(order, merchant, now)


def make_openid(merchant: Merchant) -> str:
    """Make somebody who pays this merchant."""
    return f"o{merchant.appid[2:8]}{secrets.token_urlsafe(16)}"[:28]


def tell_paid(order: Order, merchant: Merchant, now: datetime) -> News:
    """Say that an order is paid."""
    resource = tell_transaction(order, merchant, now) | {"trade_state": "SUCCESS"}
    resource["trade_state_desc"] = _STATE_WORDS["SUCCESS"]
    return News(
        "TRANSACTION.SUCCESS",
        "transaction",
        "支付成功",
        resource,
        order.notify_url,
        order.out_trade_no,
    )


# Refunds.


def refund(store: WechatStore, call: Call, wished: str = "") -> tuple[Node, News | None]:
    """Give back, once per number, never more than was paid; as it is wished, it takes its time."""
    number = call.text("out_refund_no", 64)
    if not REFUND_NUMBER.fullmatch(number):
        raise Refused("PARAM_ERROR", "参数out_refund_no格式不正确")
    reason = call.text("reason", 80, is_needed=False)
    if len(reason.encode()) > 80:
        raise Refused("PARAM_ERROR", "参数reason长度不能超过80字节")
    amount = node_of(call.body, "amount")
    refund_minor, total_minor = amount_of(amount, "refund"), amount_of(amount, "total")
    check_currency(amount, is_needed=True)
    transaction = call.text("transaction_id", 64, is_needed=False)
    out_trade_no = call.text("out_trade_no", 64, is_needed=not transaction)
    notify_url = address_of(call.body, "notify_url", is_needed=False)
    order = store.order(call.merchant.mchid, out_trade_no, transaction)
    if order is None:
        raise Refused("RESOURCE_NOT_EXISTS", "订单不存在")
    known = store.refund(call.merchant.mchid, number)
    if known is not None:
        if known[0] is not order or known[1].amount_minor != refund_minor:
            raise Refused("INVALID_REQUEST", "同一个out_refund_no，退款参数与原单不一致")
        return tell_refund(*known), None
    if order.paid_at is None:
        raise Refused("INVALID_REQUEST", "订单未支付，不能退款")
    if total_minor != order.total_minor:
        raise Refused("INVALID_REQUEST", "订单金额与原订单不一致")
    if refund_minor > order.total_minor - order.refunded_minor:
        raise Refused("INVALID_REQUEST", "累计退款金额大于支付金额")
    if refund_minor > store.balance_minor(call.merchant):
        raise Refused("NOT_ENOUGH")
    made = Refund(
        number,
        make_number("5030", call.now),
        refund_minor,
        call.now,
        wished or "SUCCESS",
        notify_url,
        call.now if not wished else None,
    )
    order.refunds.append(made)
    store.save(order)
    return tell_refund(order, made), (
        tell_refunded(order, made, call.merchant) if made.status == "SUCCESS" else None
    )


def query_refund(store: WechatStore, call: Call, number: str) -> Node:
    """Say what became of a refund."""
    known = store.refund(call.merchant.mchid, number)
    if known is None:
        raise Refused("RESOURCE_NOT_EXISTS", "退款单不存在")
    return tell_refund(*known)


def end_refund(
    store: WechatStore, order: Order, refund: Refund, status: str, now: datetime
) -> News:
    """A refund that was under way has ended, or cannot go on."""
    refund.status, refund.done_at = status, now
    store.save(order)
    return tell_refunded(order, refund, store.merchants[order.mchid])


def tell_refund(order: Order, refund: Refund) -> Node:
    """Say what a refund looks like now."""
    node: Node = {
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": order.transaction_id,
        "out_trade_no": order.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": stamp(refund.created_at),
        "status": refund.status,
        "funds_account": "AVAILABLE",
        "amount": {
            "total": order.total_minor,
            "refund": refund.amount_minor,
            "payer_total": order.total_minor,
            "payer_refund": refund.amount_minor,
            "settlement_refund": refund.amount_minor,
            "settlement_total": order.total_minor,
            "discount_refund": 0,
            "currency": "CNY",
        },
    }
    is_back = refund.status == "SUCCESS" and refund.done_at is not None
    return node | ({"success_time": stamp(refund.done_at or refund.created_at)} if is_back else {})


def tell_refunded(order: Order, refund: Refund, merchant: Merchant) -> News:
    """Say that a refund has ended."""
    resource: Node = {
        "mchid": merchant.mchid,
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.transaction_id,
        "out_refund_no": refund.out_refund_no,
        "refund_id": refund.refund_id,
        "refund_status": refund.status,
        "user_received_account": "支付用户零钱",
        "amount": {
            "total": order.total_minor,
            "refund": refund.amount_minor,
            "payer_total": order.total_minor,
            "payer_refund": refund.amount_minor,
        },
    }
    if refund.done_at is not None and refund.status == "SUCCESS":
        resource["success_time"] = stamp(refund.done_at)
    words = {"SUCCESS": "退款成功", "ABNORMAL": "退款异常", "CLOSED": "退款关闭"}[refund.status]
    return News(
        f"REFUND.{refund.status}",
        "refund",
        words,
        resource,
        refund.notify_url,
        order.out_trade_no,
    )


# Mistakes.


def falsify(news: News, faults: Sequence[Fault]) -> News:
    """Change what is told before it is signed: well signed, and wrong all the same."""
    resource = dict(news.resource)
    for fault in faults:
        value = fault.params.value
        match fault.kind:
            case FaultKind.WRONG_AMOUNT:
                minor = read_amount(value) or 1
                resource["amount"] = {**resource["amount"], "total": minor, "payer_total": minor}
            case FaultKind.WRONG_APP:
                resource["appid"] = value or "wx9999999999999999"
            case FaultKind.WRONG_SELLER:
                resource["mchid"] = value or "1999999999"
            case FaultKind.WRONG_STATUS:
                resource["trade_state"] = fault.params.trade_status or "NOTPAY"
    return msgspec.structs.replace(news, resource=resource)


def disturb(node: Node, faults: Sequence[Fault]) -> Node:
    """Change what a query answers: refused, or at odds with what happened."""
    for fault in faults:
        if fault.kind is FaultKind.QUERY_UNKNOWN:
            raise Refused("FREQUENCY_LIMITED")
        if fault.kind is FaultKind.BUSINESS_ERROR:
            raise Refused(fault.params.sub_code)
        if fault.kind is FaultKind.QUERY_DISAGREES and "trade_state" in node:
            if fault.params.value:
                minor = read_amount(fault.params.value) or 1
                return {**node, "amount": {**node["amount"], "total": minor}}
            is_paid = node["trade_state"] in {"SUCCESS", "REFUND"}
            other = "NOTPAY" if is_paid else "SUCCESS"
            return {**node, "trade_state": fault.params.trade_status or other}
        if fault.kind is FaultKind.QUERY_DISAGREES and "transfer_amount" in node:
            return {**node, "transfer_amount": read_amount(fault.params.value) or 1}
    return node
