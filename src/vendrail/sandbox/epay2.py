"""Epay V2's orders: what is taken, what becomes of it, how the merchant is told.

No I/O here, and no clock.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from vendrail.sandbox.calls import is_url
from vendrail.sandbox.epay2_records import Epay2Store, Merchant, Order
from vendrail.sandbox.epay2_requests import (
    TYPES,
    Refused,
    Reply,
    Sign,
    read_money,
    refuse,
    signed_text,
)
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.records import stamp, yuan

METHODS = frozenset({"web", "jump", "jsapi", "app", "scan", "applet"})
DEVICES = frozenset({"pc", "mobile", "qq", "wechat", "alipay"})

_NUMBER = re.compile(r"[A-Za-z0-9._|-]{1,64}")
_NAME_BYTES_MAX = 127
_TTL = timedelta(days=1)


def _check_server(fields: Mapping[str, str]) -> None:
    """Check what only a server must say."""
    if not fields.get("method"):
        raise Refused("method_missing")
    if fields["method"] not in METHODS:
        raise Refused("method_unknown")
    if not fields.get("type"):
        raise Refused("type_missing")
    if fields.get("device", "pc") not in DEVICES:
        raise Refused("device_unknown")
    if not fields.get("clientip"):
        raise Refused("clientip_missing")


def _check_order(fields: Mapping[str, str], *, is_api: bool) -> int:
    """Check what an order says, straight down; give its money."""
    if is_api:
        _check_server(fields)
    if fields.get("type") and fields["type"] not in TYPES:
        raise Refused("type_unknown")
    for name in ("out_trade_no", "notify_url", "return_url", "name"):
        if not fields.get(name) and not (is_api and name == "return_url"):
            raise Refused(f"{name}_missing")
    if not _NUMBER.fullmatch(fields["out_trade_no"]):
        raise Refused("out_trade_no_malformed")
    for name in ("notify_url", "return_url"):
        if fields.get(name) and not is_url(fields[name]):
            raise Refused(f"{name}_malformed")
    if len(fields["name"].encode()) > _NAME_BYTES_MAX:
        raise Refused("name_too_long")
    return read_money(fields.get("money", ""))


def take_order(
    store: Epay2Store,
    merchant: Merchant,
    fields: Mapping[str, str],
    now: datetime,
    *,
    is_api: bool,
) -> Order:
    """Take an order; the same one again is the same, a changed or ended one is refused."""
    money_minor = _check_order(fields, is_api=is_api)
    known = store.order(merchant.pid, fields["out_trade_no"])
    if known is not None:
        if (known.money_minor, known.name) != (money_minor, fields["name"]):
            raise Refused("order_differs")
        if known.paid_at is not None:
            raise Refused("order_paid")
        if is_over(known, now):
            raise Refused("order_over")
        return known
    order = Order(
        pid=merchant.pid,
        out_trade_no=fields["out_trade_no"],
        trade_no=store.make_number(now),
        token=secrets.token_urlsafe(18),
        kind=fields.get("type", ""),
        name=fields["name"],
        money_minor=money_minor,
        notify_url=fields["notify_url"],
        return_url=fields.get("return_url", ""),
        created_at=now,
        expires_at=now + _TTL,
        param=fields.get("param", ""),
        clientip=fields.get("clientip", ""),
    )
    store.save(order)
    return order


def is_over(order: Order, now: datetime) -> bool:
    """Tell whether an order takes no money any more."""
    return order.is_closed or now >= order.expires_at


def pay(store: Epay2Store, order: Order, now: datetime, *, is_forced: bool = False) -> bool:
    """The buyer pays; what is paid or over stays as it is. Give whether money moved."""
    if order.paid_at is not None or (is_over(order, now) and not is_forced):
        return False
    order.paid_at = now
    order.kind = order.kind or "alipay"
    store.save(order)
    return True


def find(store: Epay2Store, merchant: Merchant, fields: Mapping[str, str]) -> Order:
    """Find an order by either number, or refuse."""
    number, own = fields.get("out_trade_no", ""), fields.get("trade_no", "")
    if not number and not own:
        raise Refused("number_missing")
    order = store.order(merchant.pid, number, own)
    if order is None:
        raise Refused("order_unknown")
    return order


def tell_order(store: Epay2Store, merchant: Merchant, fields: Mapping[str, str]) -> Reply:
    """/api/pay/query: what an order looks like now."""
    order = find(store, merchant, fields)
    status = 0 if order.paid_at is None else 1
    if status and order.refunded_minor == order.money_minor:
        status = 2
    return {
        "code": 0,
        "msg": "success",
        "trade_no": order.trade_no,
        "out_trade_no": order.out_trade_no,
        "api_trade_no": "",
        "type": order.kind,
        "status": status,
        "pid": int(order.pid),
        "addtime": stamp(order.created_at),
        "endtime": stamp(order.paid_at) if order.paid_at else "",
        "name": order.name,
        "money": yuan(order.money_minor),
        "refundmoney": yuan(order.refunded_minor),
        "param": order.param,
        "clientip": order.clientip,
    }


def close(store: Epay2Store, merchant: Merchant, fields: Mapping[str, str]) -> Reply:
    """/api/pay/close: take no money for an order any more."""
    order = find(store, merchant, fields)
    if not merchant.can_close:
        raise Refused("close_unsupported")
    if order.paid_at is not None:
        raise Refused("order_paid")
    order.is_closed = True
    store.save(order)
    return {"code": 0, "msg": "success"}


# Callbacks.


def tell(
    order: Order,
    merchant: Merchant,
    sign: Sign,
    now: datetime,
    faults: Sequence[Fault] = (),
    changes: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write the signed fields of a callback; some faults lie before that, some change it after."""
    kinds = {fault.kind: fault.params for fault in faults}
    fields = {
        "pid": order.pid,
        "trade_no": order.trade_no,
        "out_trade_no": order.out_trade_no,
        "type": order.kind or "alipay",
        "trade_status": "TRADE_SUCCESS",
        "addtime": stamp(order.created_at),
        "endtime": stamp(order.paid_at) if order.paid_at else "",
        "name": order.name,
        "money": yuan(order.money_minor),
        "param": order.param,
        "timestamp": str(int(now.timestamp())),
        **(changes or {}),
    }
    if wrong := kinds.get(FaultKind.WRONG_AMOUNT):
        fields["money"] = wrong.value or "0.01"
    if wrong := kinds.get(FaultKind.WRONG_APP):
        fields["pid"] = wrong.value or "9999"
    if wrong := kinds.get(FaultKind.WRONG_STATUS):
        fields["trade_status"] = wrong.trade_status or "WAIT_BUYER_PAY"
    fields |= {"sign": sign(signed_text(fields)), "sign_type": merchant.sign_type}
    if wrong := kinds.get(FaultKind.TAMPER):
        fields["money"] = wrong.value or ("0.01" if fields["money"] != "0.01" else "0.02")
    if FaultKind.UNSIGNED_SUCCESS in kinds:
        del fields["sign"]
    return fields


def disturb(reply: Reply, faults: Mapping[FaultKind, Fault]) -> Reply:
    """Change what a door answers: unknown, refused, or at odds with what happened."""
    if FaultKind.QUERY_UNKNOWN in faults:
        return refuse("system_busy")
    if FaultKind.BUSINESS_ERROR in faults:
        return refuse(faults[FaultKind.BUSINESS_ERROR].params.sub_code)
    fault = faults.get(FaultKind.QUERY_DISAGREES)
    if fault is None or reply["code"] != 0:
        return reply
    if fault.params.value:
        name = fault.params.field if fault.params.field in reply else "money"
        return {**reply, name: fault.params.value}
    return {**reply, "status": 0 if reply.get("status") else 1}
