"""Epay V2's money that goes out: refunds and transfers, each by a number of the merchant's."""

from collections.abc import Mapping
from datetime import datetime

from vendrail.sandbox.epay2 import find
from vendrail.sandbox.epay2_records import Epay2Store, Merchant, Order, Refund, Transfer
from vendrail.sandbox.epay2_requests import TYPES, Refused, Reply, read_money
from vendrail.sandbox.records import stamp, yuan


def refund(
    store: Epay2Store, merchant: Merchant, fields: Mapping[str, str], now: datetime
) -> Reply:
    """/api/pay/refund: give back, once for each of the merchant's numbers."""
    money_minor = read_money(fields.get("money", ""))
    order = find(store, merchant, fields)
    if order.paid_at is None:
        raise Refused("order_unpaid")
    number = fields.get("out_refund_no", "") or store.make_number(now)
    known = store.refund(merchant.pid, number)
    if known is not None:
        if (known[0].trade_no, known[1].money_minor) != (order.trade_no, money_minor):
            raise Refused("refund_differs")
        return _refund_reply(order, known[1])
    if money_minor > order.money_minor - order.refunded_minor:
        raise Refused("refund_too_large")
    if money_minor > store.balance_minor(merchant):
        raise Refused("balance_too_low")
    made = Refund(number, store.make_number(now), money_minor, now)
    order.refunds.append(made)
    store.save(order)
    return _refund_reply(order, made)


def _refund_reply(order: Order, made: Refund) -> Reply:
    return {
        "code": 0,
        "msg": "退款成功",
        "refund_no": made.refund_no,
        "out_refund_no": made.out_refund_no,
        "trade_no": order.trade_no,
        "money": yuan(made.money_minor),
        "reducemoney": yuan(order.refunded_minor),
    }


def tell_refund(store: Epay2Store, merchant: Merchant, fields: Mapping[str, str]) -> Reply:
    """/api/pay/refundquery: what became of a refund."""
    if not fields.get("out_refund_no"):
        raise Refused("number_missing")
    known = store.refund(merchant.pid, fields["out_refund_no"])
    if known is None:
        raise Refused("refund_unknown")
    order, made = known
    return {
        **_refund_reply(order, made),
        "msg": "success",
        "out_trade_no": order.out_trade_no,
        "status": 1,
        "addtime": stamp(made.at),
    }


def transfer(
    store: Epay2Store, merchant: Merchant, fields: Mapping[str, str], now: datetime
) -> Reply:
    """/api/transfer/submit: pay somebody, once for each of the merchant's numbers."""
    if not fields.get("type"):
        raise Refused("type_missing")
    if fields["type"] not in TYPES:
        raise Refused("type_unknown")
    for name in ("account", "name"):
        if not fields.get(name):
            raise Refused(f"{name}_missing")
    money_minor = read_money(fields.get("money", ""))
    number = fields.get("out_biz_no", "") or store.make_number(now)
    wanted = (fields["type"], fields["account"], fields["name"], money_minor)
    known = store.transfers.get((merchant.pid, number))
    if known is None:
        if money_minor > store.balance_minor(merchant):
            raise Refused("balance_too_low")
        known = Transfer(
            pid=merchant.pid,
            out_biz_no=number,
            biz_no=store.make_number(now),
            kind=fields["type"],
            account=fields["account"],
            name=fields["name"],
            money_minor=money_minor,
            at=now,
            remark=fields.get("remark", ""),
        )
        store.save(known)
    elif (known.kind, known.account, known.name, known.money_minor) != wanted:
        raise Refused("transfer_differs")
    return _transfer_reply(known)


def _transfer_reply(made: Transfer) -> Reply:
    return {
        "code": 0,
        "msg": "success",
        "status": made.status,
        "biz_no": made.biz_no,
        "out_biz_no": made.out_biz_no,
        "orderid": made.biz_no,
        "paydate": stamp(made.at),
        "cost_money": "0.00",
    }


def tell_transfer(store: Epay2Store, merchant: Merchant, fields: Mapping[str, str]) -> Reply:
    """/api/transfer/query: what became of a transfer."""
    if not fields.get("out_biz_no"):
        raise Refused("number_missing")
    made = store.transfers.get((merchant.pid, fields["out_biz_no"]))
    if made is None:
        raise Refused("transfer_unknown")
    errmsg = "收款账号异常" if made.status == 2 else ""
    return {**_transfer_reply(made), "amount": yuan(made.money_minor), "errmsg": errmsg}


def tell_balance(store: Epay2Store, merchant: Merchant) -> Reply:
    """/api/transfer/balance: what can be paid out."""
    money = yuan(store.balance_minor(merchant))
    return {"code": 0, "msg": "success", "available_money": money, "transfer_rate": "0"}


def tell_merchant(store: Epay2Store, merchant: Merchant) -> Reply:
    """/api/merchant/info: what a merchant has."""
    money = yuan(store.balance_minor(merchant))
    return {
        "code": 0,
        "msg": "success",
        "pid": int(merchant.pid),
        "status": 1,
        "pay_status": 1,
        "settle_status": 1,
        "money": money,
    }
