"""Epay V2's requests: who asks, whether it is really they, how yes and no are said.

No I/O here, and no clock. The signing is written apart from the channel's, so that each checks the
other.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from vendrail.sandbox.epay2_records import Epay2Store, Merchant
from vendrail.sandbox.provider import read_public_key

TYPES = {"alipay": "支付宝", "wxpay": "微信支付", "qqpay": "QQ钱包", "bank": "云闪付"}

_MONEY = re.compile(r"[0-9]{1,8}(\.[0-9]{1,2})?")
_MONEY_MINOR_MAX = 10_000_000

# Every way to say no: the words; the code is -1 always.
REFUSALS = {
    "pid_missing": "商户ID(pid)不能为空",
    "pid_unknown": "商户不存在",
    "timestamp_missing": "时间戳(timestamp)不能为空",
    "timestamp_stale": "时间戳(timestamp)已过期",
    "sign_missing": "签名(sign)不能为空",
    "sign_type_unknown": "签名类型(sign_type)错误",
    "sign_wrong": "RSA签名校验失败",
    "field_twice": "参数重复",
    "type_missing": "支付方式(type)不能为空",
    "type_unknown": "支付方式(type)不支持",
    "method_missing": "接口类型(method)不能为空",
    "method_unknown": "接口类型(method)不支持",
    "device_unknown": "设备类型(device)不支持",
    "clientip_missing": "用户IP地址(clientip)不能为空",
    "out_trade_no_missing": "订单号(out_trade_no)不能为空",
    "out_trade_no_malformed": "订单号(out_trade_no)格式不正确",
    "notify_url_missing": "通知地址(notify_url)不能为空",
    "notify_url_malformed": "通知地址(notify_url)格式不正确",
    "return_url_missing": "回调地址(return_url)不能为空",
    "return_url_malformed": "回调地址(return_url)格式不正确",
    "name_missing": "名称(name)不能为空",
    "name_too_long": "商品名称(name)过长",
    "money_missing": "金额(money)不能为空",
    "money_malformed": "金额不合法",
    "money_too_large": "超出最大支付金额",
    "order_differs": "订单号重复，且金额或商品与原订单不一致",
    "order_paid": "该订单已完成支付，请勿重复支付",
    "order_over": "该订单已关闭或超时",
    "order_unknown": "订单号不存在",
    "order_unpaid": "只有已支付订单才能退款",
    "close_unsupported": "当前支付通道不支持关闭订单",
    "refund_differs": "退款单号已被使用，且金额不一致",
    "refund_too_large": "退款金额大于订单剩余可退金额",
    "refund_unknown": "退款单号不存在",
    "number_missing": "订单号不能为空",
    "balance_too_low": "商户余额不足，请充值",
    "account_missing": "收款账号(account)不能为空",
    "transfer_differs": "转账单号已被使用，且收款人或金额不一致",
    "transfer_unknown": "转账单号不存在",
    "system_busy": "系统繁忙，请稍后再试",
}

Reply = dict[str, object]
Sign = Callable[[bytes], str]


class Refused(Exception):
    """A request that is not taken; the name is one of the table's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def refuse(name: str) -> Reply:
    """Give the reply of a refusal; it is not signed."""
    return {"code": -1, "msg": REFUSALS[name]}


# Signatures.


def signed_text(fields: Mapping[str, object]) -> bytes:
    """Give what is signed: names in order; nothing empty, no lists, not the signature's own."""
    parts = sorted(
        (name, str(value))
        for name, value in fields.items()
        if value not in (None, "")
        and not isinstance(value, (list, dict))
        and name not in ("sign", "sign_type")
    )
    return "&".join(f"{name}={value}" for name, value in parts).encode()


def seal(reply: Reply, sign: Sign, sign_type: str, now: datetime) -> Reply:
    """Sign a reply of this moment with the platform's key."""
    dated = {**reply, "timestamp": str(int(now.timestamp()))}
    return {**dated, "sign": sign(signed_text(dated)), "sign_type": sign_type}


@lru_cache(maxsize=256)
def _public_key(pem: str) -> rsa.RSAPublicKey:
    return read_public_key(pem)


def _is_signed(fields: Mapping[str, str], merchant: Merchant) -> bool:
    try:
        _public_key(merchant.public_key_pem).verify(
            base64.b64decode(fields["sign"], validate=True),
            signed_text(fields),
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
    except (InvalidSignature, binascii.Error):
        return False
    return True


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


def check_sender(
    store: Epay2Store, fields: Mapping[str, str], now: datetime, window_s: int
) -> Merchant:
    """See who sent a request, and whether it is really they, now."""
    if not fields.get("pid"):
        raise Refused("pid_missing")
    merchant = store.merchants.get(fields["pid"])
    if merchant is None:
        raise Refused("pid_unknown")
    moment = fields.get("timestamp", "")
    if not moment:
        raise Refused("timestamp_missing")
    if not re.fullmatch(r"[0-9]{10}", moment) or abs(now.timestamp() - int(moment)) > window_s:
        raise Refused("timestamp_stale")
    if not fields.get("sign"):
        raise Refused("sign_missing")
    if fields.get("sign_type") not in {"RSA", "SHA256WithRSA"}:
        raise Refused("sign_type_unknown")
    if not _is_signed(fields, merchant):
        raise Refused("sign_wrong")
    return merchant


def read_money(text: str) -> int:
    """Read yuan into fen: digits, at most two places, more than nothing."""
    if not text:
        raise Refused("money_missing")
    if not _MONEY.fullmatch(text) or not Decimal(text):
        raise Refused("money_malformed")
    money_minor = int(Decimal(text) * 100)
    if money_minor > _MONEY_MINOR_MAX:
        raise Refused("money_too_large")
    return money_minor
