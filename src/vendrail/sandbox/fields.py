"""What a method's content must look like: a table of fields, checked in order."""

import re
from datetime import datetime, timedelta

import msgspec

from vendrail.sandbox.records import CHINA, read_stamp
from vendrail.sandbox.refusals import Node, refuse

AMOUNT_MINOR_MAX = 10_000_000_000  # 100,000,000.00 yuan.

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
_OUT_TRADE_NO = re.compile(r"[A-Za-z0-9_]{1,64}")
_TIMEOUT = re.compile(r"([0-9]{1,5})([mhd])")
_MINUTES = {"m": 1, "h": 60, "d": 1_440}
_TIMEOUT_MAX = timedelta(days=15)


class Field(msgspec.Struct, frozen=True):
    """One field of biz_content."""

    name: str
    is_required: bool = False
    length_max: int = 0
    pattern: re.Pattern[str] | None = None
    values: tuple[str, ...] = ()
    is_amount: bool = False


OUT_TRADE_NO = Field("out_trade_no", is_required=True, pattern=_OUT_TRADE_NO)
TOTAL_AMOUNT = Field("total_amount", is_required=True, is_amount=True)
SUBJECT = Field("subject", is_required=True, length_max=256)
BODY = Field("body", length_max=128)

_COMMON = (OUT_TRADE_NO, TOTAL_AMOUNT, SUBJECT, BODY)
_SEARCH = (
    Field("out_trade_no", length_max=64),
    Field("trade_no", length_max=64),
)

_AGREEMENT = (
    Field("agreement_no", length_max=64),
    Field("external_agreement_no", pattern=re.compile(r"[A-Za-z0-9]{1,32}")),
    Field("personal_product_code", length_max=64),
    Field("sign_scene", length_max=64),
)

FIELDS: dict[str, tuple[Field, ...]] = {
    "alipay.trade.page.pay": (
        Field("product_code", is_required=True, values=("FAST_INSTANT_TRADE_PAY",)),
        *_COMMON,
        Field("qr_pay_mode", values=("0", "1", "2", "3", "4")),
        Field("passback_params", length_max=512),
    ),
    "alipay.trade.wap.pay": (
        Field("product_code", is_required=True, values=("QUICK_WAP_WAY",)),
        *_COMMON,
        Field("quit_url", length_max=400),
        Field("passback_params", length_max=512),
    ),
    "alipay.trade.precreate": (
        Field("product_code", values=("QR_CODE_OFFLINE", "FACE_TO_FACE_PAYMENT")),
        *_COMMON,
        Field("passback_params", length_max=512),
    ),
    "alipay.trade.pay": (
        Field("product_code", is_required=True, length_max=64),
        *_COMMON,
        Field("passback_params", length_max=512),
    ),
    "alipay.user.agreement.page.sign": (
        Field("personal_product_code", is_required=True, values=("GENERAL_WITHHOLDING_P",)),
        Field("product_code", values=("GENERAL_WITHHOLDING",)),
        Field("external_agreement_no", pattern=re.compile(r"[A-Za-z0-9]{1,32}")),
        Field("sign_scene", length_max=64),
        Field("external_logon_id", length_max=100),
        Field("sign_validity_period", pattern=re.compile(r"[0-9]{1,4}[dm]")),
    ),
    "alipay.user.agreement.query": _AGREEMENT,
    "alipay.user.agreement.unsign": _AGREEMENT,
    "alipay.trade.query": _SEARCH,
    "alipay.trade.close": (*_SEARCH, Field("operator_id", length_max=28)),
    "alipay.trade.cancel": _SEARCH,
    "alipay.trade.refund": (
        *_SEARCH,
        Field("refund_amount", is_required=True, is_amount=True),
        Field("out_request_no", length_max=64),
        Field("refund_reason", length_max=256),
    ),
    "alipay.trade.fastpay.refund.query": (
        *_SEARCH,
        Field("out_request_no", is_required=True, length_max=64),
    ),
    "alipay.data.dataservice.bill.downloadurl.query": (
        Field("bill_type", is_required=True, values=("trade", "signcustomer", "merchant_act")),
        Field("bill_date", is_required=True, pattern=re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")),
    ),
    "alipay.fund.trans.uni.transfer": (
        Field("out_biz_no", is_required=True, pattern=_OUT_TRADE_NO),
        Field("trans_amount", is_required=True, is_amount=True),
        Field("product_code", is_required=True, values=("TRANS_ACCOUNT_NO_PWD",)),
        Field("biz_scene", is_required=True, values=("DIRECT_TRANSFER",)),
        Field("order_title", length_max=128),
        Field("remark", length_max=200),
    ),
    "alipay.fund.trans.common.query": (
        Field("out_biz_no", length_max=64),
        Field("order_id", length_max=64),
        Field("product_code", values=("TRANS_ACCOUNT_NO_PWD",)),
        Field("biz_scene", values=("DIRECT_TRANSFER",)),
    ),
    "alipay.open.app.alipaycert.download": (
        Field("alipay_cert_sn", is_required=True, length_max=64),
    ),
}

SEARCHED = frozenset(
    f"alipay.trade.{name}"
    for name in ("query", "close", "cancel", "refund", "fastpay.refund.query")
)


def text_of(content: dict[str, object], name: str) -> str:
    """Give a field as text; what is absent or no text is empty."""
    value = content.get(name)
    return value if isinstance(value, str) else ""


def read_amount(text: str) -> int | None:
    """Read yuan into fen: digits, at most two places, at least one fen."""
    if not _AMOUNT.fullmatch(text):
        return None
    whole, _, places = text.partition(".")
    amount_minor = int(whole) * 100 + int(places.ljust(2, "0"))
    return amount_minor if amount_minor > 0 else None


def check_fields(
    method: str, content: dict[str, object], *, is_subject_strict: bool
) -> Node | None:
    """Check the content of a method against its table; the first fault is the answer."""
    is_bare = method.startswith(("alipay.fund.", "alipay.user."))
    invalid = "INVALID_PARAMETER" if is_bare else "ACQ.INVALID_PARAMETER"
    if method.startswith("alipay.data."):
        invalid = "INVAILID_ARGUMENTS"
    for field in FIELDS[method]:
        value = content.get(field.name)
        if value is None or value == "":
            if field.is_required:
                return refuse(invalid, f"{field.name}不能为空")
            continue
        if not isinstance(value, str) or not _fits(field, value):
            return refuse(invalid, field.name)
        if field.is_amount and (read_amount(value) or 0) > AMOUNT_MINOR_MAX:
            return refuse("ACQ.TOTAL_FEE_EXCEED" if "ACQ" in invalid else invalid, field.name)
    subject = text_of(content, "subject")
    if is_subject_strict and any(letter in subject for letter in "/=&"):
        return refuse(invalid, "subject不可包含特殊字符")
    if method in SEARCHED and not (
        text_of(content, "out_trade_no") or text_of(content, "trade_no")
    ):
        return refuse(invalid, "out_trade_no和trade_no不能同时为空")
    return None


def _fits(field: Field, value: str) -> bool:
    if field.length_max and len(value) > field.length_max:
        return False
    if field.pattern is not None and not field.pattern.fullmatch(value):
        return False
    if field.values and value not in field.values:
        return False
    return not field.is_amount or read_amount(value) is not None


def read_expiry(content: dict[str, object], now: datetime, otherwise: timedelta) -> datetime | Node:
    """Read when an unpaid trade ends; `time_expire` wins over `timeout_express`."""
    if expire := text_of(content, "time_expire"):
        moment = read_stamp(expire)
        if moment is None or moment > now + _TIMEOUT_MAX + timedelta(minutes=1):
            return refuse("ACQ.INVALID_PARAMETER", "time_expire")
        if moment <= now:
            return refuse("ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR", "time_expire")
        return moment
    timeout = text_of(content, "timeout_express")
    if not timeout:
        return now + otherwise
    if timeout == "1c":
        return now.astimezone(CHINA).replace(hour=23, minute=59, second=59, microsecond=0)
    match = _TIMEOUT.fullmatch(timeout)
    length = timedelta(minutes=int(match[1]) * _MINUTES[match[2]]) if match else timedelta()
    if not timedelta(minutes=1) <= length <= _TIMEOUT_MAX:
        return refuse("ACQ.INVALID_PARAMETER", "timeout_express")
    return now + length
