"""Epay's rules: what each door checks, what becomes of an order, how callbacks are written.

No I/O here, and no clock. The signing is written apart from the channel's, so that each checks the
other.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import md5
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from vendrail.sandbox.calls import is_url
from vendrail.sandbox.epay_records import EpayStore, Merchant, Order
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.records import stamp, yuan

TYPES = {"alipay": "支付宝", "wxpay": "微信支付", "qqpay": "QQ钱包", "bank": "云闪付"}
DEVICES = frozenset({"pc", "mobile", "qq", "wechat", "alipay", "jump"})
NAME_BYTES_MAX = 127

_MONEY = re.compile(r"[0-9]{1,8}(\.[0-9]{1,2})?")
_NUMBER = re.compile(r"[A-Za-z0-9._|-]{1,64}")
_MONEY_MINOR_MAX = 10_000_000
_TTL = timedelta(days=1)

# Every way to say no: code and words.
REFUSALS = {
    "pid_missing": (-1, "商户ID不能为空"),
    "pid_unknown": (-1, "商户ID不存在"),
    "key_wrong": (-3, "商户密钥错误"),
    "sign_type_unknown": (-1, "签名类型错误"),
    "sign_missing": (-1, "签名不能为空"),
    "sign_wrong": (-1, "签名校验失败，请返回重试！"),
    "field_twice": (-1, "参数重复"),
    "type_missing": (-1, "支付方式(type)不能为空"),
    "type_unknown": (-1, "支付方式(type)不存在"),
    "out_trade_no_missing": (-1, "订单号(out_trade_no)不能为空"),
    "out_trade_no_malformed": (-1, "订单号(out_trade_no)格式不正确"),
    "notify_url_missing": (-1, "通知地址(notify_url)不能为空"),
    "notify_url_malformed": (-1, "通知地址(notify_url)格式不正确"),
    "return_url_missing": (-1, "回调地址(return_url)不能为空"),
    "return_url_malformed": (-1, "回调地址(return_url)格式不正确"),
    "name_missing": (-1, "商品名称(name)不能为空"),
    "name_too_long": (-1, "商品名称(name)过长"),
    "money_missing": (-1, "金额(money)不能为空"),
    "money_malformed": (-1, "金额不合法"),
    "money_too_large": (-1, "超出最大支付金额"),
    "clientip_missing": (-1, "用户IP地址(clientip)不能为空"),
    "device_unknown": (-1, "设备类型(device)不存在"),
    "order_differs": (-1, "订单号重复，且金额或商品与原订单不一致"),
    "order_paid": (-1, "该订单已完成支付，请勿重复支付"),
    "order_over": (-1, "该订单已超时"),
    "order_unknown": (-1, "订单号不存在"),
    "act_unknown": (-5, "No Act!"),
    "method_wrong": (-5, "请求方式错误"),
    "order_unpaid": (-1, "只有已支付订单才能退款"),
    "refund_too_large": (-1, "退款金额大于订单剩余可退金额"),
    "balance_too_low": (-1, "商户余额不足，请充值"),
    "system_busy": (-1, "系统繁忙，请稍后再试"),
}

Reply = dict[str, object]


class Refused(Exception):
    """A request that is not taken; the name is one of the table's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def refuse(name: str) -> Reply:
    """Give the reply of a refusal."""
    code, words = REFUSALS[name]
    return {"code": code, "msg": words}


# Signatures.


def sign_fields(fields: Mapping[str, str], key: str) -> str:
    """Sign: names in order, empty values and the signature's own fields left out, then the key."""
    signed = sorted(
        (name, value)
        for name, value in fields.items()
        if value != "" and name not in ("sign", "sign_type")
    )
    text = "&".join(f"{name}={value}" for name, value in signed) + key
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def read_form(*parts: bytes) -> dict[str, str]:
    """Read query and body as one form; a field that comes twice is refused."""
    try:
        pairs = [
            pair
            for part in parts
            for pair in parse_qsl(part.decode("ascii"), keep_blank_values=True, errors="strict")
        ]
    except ValueError:
        raise Refused("sign_wrong") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refused("field_twice")
    return fields


def _check_sender(store: EpayStore, fields: Mapping[str, str]) -> Merchant:
    if not fields.get("pid"):
        raise Refused("pid_missing")
    merchant = store.merchants.get(fields["pid"])
    if merchant is None:
        raise Refused("pid_unknown")
    if fields.get("sign_type", "MD5") != "MD5":
        raise Refused("sign_type_unknown")
    if not fields.get("sign"):
        raise Refused("sign_missing")
    if not secrets.compare_digest(
        sign_fields(fields, merchant.key).encode(), fields["sign"].encode()
    ):
        raise Refused("sign_wrong")
    return merchant


# Orders.


def read_money(text: str) -> int:
    """Read yuan into fen: digits, at most two places, more than nothing."""
    if not _MONEY.fullmatch(text):
        raise Refused("money_malformed")
    money_minor = int(Decimal(text) * 100)
    if not money_minor:
        raise Refused("money_malformed")
    if money_minor > _MONEY_MINOR_MAX:
        raise Refused("money_too_large")
    return money_minor


def _check_order(fields: Mapping[str, str], *, is_api: bool) -> int:
    """Check what an order says, straight down; give its money."""
    kind = fields.get("type", "")
    if is_api and not kind:
        raise Refused("type_missing")
    if kind and kind not in TYPES:
        raise Refused("type_unknown")
    for name in ("out_trade_no", "notify_url", "return_url", "name", "money"):
        if not fields.get(name) and not (is_api and name == "return_url"):
            raise Refused(f"{name}_missing")
    if not _NUMBER.fullmatch(fields["out_trade_no"]):
        raise Refused("out_trade_no_malformed")
    for name in ("notify_url", "return_url"):
        if fields.get(name) and not is_url(fields[name]):
            raise Refused(f"{name}_malformed")
    if len(fields["name"].encode()) > NAME_BYTES_MAX:
        raise Refused("name_too_long")
    if is_api and not fields.get("clientip"):
        raise Refused("clientip_missing")
    if is_api and fields.get("device", "pc") not in DEVICES:
        raise Refused("device_unknown")
    return read_money(fields["money"])


def take_order(
    store: EpayStore, fields: Mapping[str, str], now: datetime, *, is_api: bool
) -> Order:
    """Take an order; the same one again is the same, a changed or ended one is refused."""
    merchant = _check_sender(store, fields)
    money_minor = _check_order(fields, is_api=is_api)
    known = store.order(merchant.pid, fields["out_trade_no"])
    if known is not None:
        if (known.money_minor, known.name) != (money_minor, fields["name"]):
            raise Refused("order_differs")
        if known.paid_at is not None:
            raise Refused("order_paid")
        if now >= known.expires_at:
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


def pay(store: EpayStore, order: Order, now: datetime, *, is_forced: bool = False) -> bool:
    """The buyer pays; an order that is paid or over stays as it is. Give whether money moved."""
    if order.paid_at is not None or (now >= order.expires_at and not is_forced):
        return False
    order.paid_at = now
    order.kind = order.kind or "alipay"
    store.save(order)
    return True


# api.php.


def _check_key(store: EpayStore, fields: Mapping[str, str]) -> Merchant:
    if not fields.get("pid"):
        raise Refused("pid_missing")
    merchant = store.merchants.get(fields["pid"])
    if merchant is None:
        raise Refused("pid_unknown")
    if not secrets.compare_digest(merchant.key.encode(), fields.get("key", "").encode()):
        raise Refused("key_wrong")
    return merchant


def _find(store: EpayStore, merchant: Merchant, fields: Mapping[str, str]) -> Order:
    order = store.order(merchant.pid, fields.get("out_trade_no", ""), fields.get("trade_no", ""))
    if order is None:
        raise Refused("order_unknown")
    return order


def tell_order(store: EpayStore, fields: Mapping[str, str], method: str) -> Reply:
    """act=order: what an order looks like now."""
    merchant = _check_key(store, fields)
    if merchant.fork.asked_by not in {"", method}:
        raise Refused("method_wrong")
    order = _find(store, merchant, fields)
    status = 0 if order.paid_at is None else 1
    told: Reply = {
        "code": 1,
        "msg": "查询订单号成功！",
        "trade_no": order.trade_no,
        "out_trade_no": order.out_trade_no,
        "api_trade_no": None,
        "type": order.kind,
        "pid": int(order.pid),
        "addtime": stamp(order.created_at),
        "endtime": stamp(order.paid_at) if order.paid_at else None,
        "name": order.name,
        "money": write_money(order.money_minor, merchant.fork.places),
        "param": order.param or None,
        "status": status,
    }
    if merchant.fork.tells_refunds:
        told["refundmoney"] = yuan(order.refunded_minor)
        if status and order.refunded_minor == order.money_minor:
            told["status"] = 2
    return told


def tell_merchant(store: EpayStore, fields: Mapping[str, str]) -> Reply:
    """act=query: what a merchant has."""
    merchant = _check_key(store, fields)
    money = yuan(store.balance_minor(merchant))
    return {"code": 1, "pid": int(merchant.pid), "key": merchant.key, "active": 1, "money": money}


def refund(store: EpayStore, fields: Mapping[str, str], method: str) -> Reply:
    """act=refund: give back; there is no number of the merchant's, so twice is twice."""
    if method != "POST":
        raise Refused("method_wrong")
    merchant = _check_key(store, fields)
    if not fields.get("money"):
        raise Refused("money_missing")
    money_minor = read_money(fields["money"])
    order = _find(store, merchant, fields)
    if order.paid_at is None:
        raise Refused("order_unpaid")
    if money_minor > order.money_minor - order.refunded_minor:
        raise Refused("refund_too_large")
    if money_minor > store.balance_minor(merchant):
        raise Refused("balance_too_low")
    order.refunded_minor += money_minor
    store.save(order)
    return {"code": 1, "msg": "退款成功！退款金额¥" + yuan(money_minor)}


# Callbacks.


def write_money(money_minor: int, places: int) -> str:
    """Write money as this fork does."""
    if places == 0:
        text = yuan(money_minor)
        return text.rstrip("0").rstrip(".")
    return yuan(money_minor) + "0" * (places - 2)


def tell(order: Order, merchant: Merchant, faults: Sequence[Fault] = ()) -> str:
    """Write the signed query of a callback, with the faults that were ordered for it."""
    fields = {
        "pid": order.pid,
        "trade_no": order.trade_no,
        "out_trade_no": order.out_trade_no,
        "type": order.kind or "alipay",
        "name": order.name,
        "money": write_money(order.money_minor, merchant.fork.places),
        "trade_status": "TRADE_SUCCESS",
    }
    if order.param:
        fields["param"] = order.param
    return urlencode(sign_told(fields, merchant, faults))


def sign_told(
    fields: dict[str, str], merchant: Merchant, faults: Sequence[Fault] = ()
) -> dict[str, str]:
    """Sign what is told: some faults lie before that, some change it after."""
    kinds = {fault.kind: fault.params for fault in faults}
    if wrong := kinds.get(FaultKind.WRONG_AMOUNT):
        fields["money"] = wrong.value or "0.01"
    if wrong := kinds.get(FaultKind.WRONG_APP):
        fields["pid"] = wrong.value or "9999"
    if wrong := kinds.get(FaultKind.WRONG_STATUS):
        fields["trade_status"] = wrong.trade_status or "WAIT_BUYER_PAY"
    fields = {**fields, "sign": sign_fields(fields, merchant.key)}
    if merchant.fork.tells_sign_type:
        fields["sign_type"] = "MD5"
    if wrong := kinds.get(FaultKind.TAMPER):
        name = wrong.field if wrong.field in fields else "money"
        fields[name] = wrong.value or ("0.01" if fields[name] != "0.01" else "0.02")
    if FaultKind.UNSIGNED_SUCCESS in kinds:
        del fields["sign"]
    return fields


def return_url(order: Order, merchant: Merchant) -> str:
    """Give the address that brings the buyer back; the shop's own query stays in front."""
    parts = urlsplit(order.return_url)
    query = "&".join(each for each in (parts.query, tell(order, merchant)) if each)
    return urlunsplit(parts._replace(query=query))


def disturb(reply: Reply, faults: Mapping[FaultKind, Fault]) -> Reply:
    """Change what api.php answers: unknown, refused, or at odds with what happened."""
    if FaultKind.QUERY_UNKNOWN in faults:
        return refuse("system_busy")
    if FaultKind.BUSINESS_ERROR in faults:
        return refuse(faults[FaultKind.BUSINESS_ERROR].params.sub_code)
    fault = faults.get(FaultKind.QUERY_DISAGREES)
    if fault is None or reply["code"] != 1:
        return reply
    if fault.params.value:
        name = fault.params.field if fault.params.field in reply else "money"
        return {**reply, name: fault.params.value}
    return {**reply, "status": 0 if reply["status"] else 1}
