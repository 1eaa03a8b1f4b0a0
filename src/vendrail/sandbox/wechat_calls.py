"""WeChat Pay's doorkeeper: every request is checked before anything is done, and refused by code.

No I/O here, and no clock. What is refused, is refused with the provider's own codes.
"""

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from vendrail.sandbox.calls import is_url
from vendrail.sandbox.wechat_keys import WechatKeys, is_signed, read_authorization
from vendrail.sandbox.wechat_records import Merchant, WechatStore, now_of

NUMBER = re.compile(r"[A-Za-z0-9_\-*|]{6,32}", re.ASCII)
REFUND_NUMBER = re.compile(r"[A-Za-z0-9_\-|*@]{1,64}", re.ASCII)
AMOUNT_MINOR_MAX = 100_000_000

_MEDIA = ("application/json", "*/*")

# Every code, with its HTTP status and its words.
REFUSALS = {
    "SIGN_ERROR": (401, "签名错误"),
    "PARAM_ERROR": (400, "参数错误"),
    "INVALID_REQUEST": (400, "无效请求"),
    "APPID_MCHID_NOT_MATCH": (400, "appid和mch_id不匹配"),
    "MCH_NOT_EXISTS": (400, "商户号不存在"),
    "OUT_TRADE_NO_USED": (403, "商户订单号重复"),
    "ORDERPAID": (400, "该订单已支付"),
    "ORDER_CLOSED": (400, "订单已关闭"),
    "ORDER_NOT_EXIST": (404, "订单不存在"),
    "RESOURCE_NOT_EXISTS": (404, "查询的资源不存在"),
    "NOT_FOUND": (404, "记录不存在"),
    "NOT_ENOUGH": (403, "商户账户余额不足"),
    "NO_AUTH": (403, "商户无权限"),
    "OPENID_MISMATCH": (400, "openid和appid不匹配"),
    "ALREADY_EXISTS": (400, "单号已存在，且参数与原单不一致"),
    "USER_ACCOUNT_ABNORMAL": (403, "用户账户异常"),
    "NO_STATEMENT_EXIST": (400, "账单文件不存在"),
    "STATEMENT_CREATING": (400, "账单生成中"),
    "FREQUENCY_LIMITED": (429, "频率限制"),
    "SYSTEM_ERROR": (500, "系统繁忙，请稍后重试"),
}

Node = dict[str, Any]


class Refused(Exception):
    """A request that is not taken."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.status, words = REFUSALS[code]
        self.message = message or words


class Call(msgspec.Struct, frozen=True):
    """A request that its merchant has signed."""

    merchant: Merchant
    method: str
    path: str
    query: dict[str, str]
    body: Node
    now: datetime
    base_url: str
    serial: str  # Of the key of ours that its sender has in mind.

    def text(self, name: str, length_max: int = 256, *, is_needed: bool = True) -> str:
        """Give a text of the body."""
        return text_of(self.body, name, length_max, is_needed=is_needed)


def read_call(
    store: WechatStore,
    headers: Mapping[str, str],
    method: str,
    target: str,
    body: bytes,
    now: datetime,
    base_url: str,
    window_s: int,
) -> Call:
    """Check who sends a request, and that it is whole; straight down."""
    merchant = _check_sender(store, headers, method, target, body, now, window_s)
    if not headers.get("user-agent"):
        raise Refused("PARAM_ERROR", "Http头缺少User-Agent")
    if not any(each in headers.get("accept", "") for each in _MEDIA):
        raise Refused("PARAM_ERROR", "Http头Accept须为application/json")
    content: Node = {}
    if body:
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refused("PARAM_ERROR", "Http头Content-Type须为application/json")
        try:
            content = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused("PARAM_ERROR", "无法将JSON输入源解析为请求") from None
    parts = urlsplit(target)
    return Call(
        merchant,
        method,
        parts.path,
        dict(parse_qsl(parts.query)),
        content,
        now_of(merchant, now),
        base_url,
        headers.get("wechatpay-serial", ""),
    )


def _check_sender(
    store: WechatStore,
    headers: Mapping[str, str],
    method: str,
    target: str,
    body: bytes,
    now: datetime,
    window_s: int,
) -> Merchant:
    header = headers.get("authorization", "")
    if not header:
        raise Refused("SIGN_ERROR", "Http头缺少Authorization")
    told = read_authorization(header)
    if told is None:
        raise Refused(
            "SIGN_ERROR", "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
        )
    merchant = store.merchants.get(told["mchid"])
    if merchant is None:
        raise Refused("SIGN_ERROR", "商户号不存在，请检查Authorization中的mchid")
    if told["serial_no"].upper() != merchant.serial_no:
        raise Refused("SIGN_ERROR", "商户证书序列号有误。请使用签名私钥匹配的证书序列号")
    if abs(int(told["timestamp"]) - now_of(merchant, now).timestamp()) > window_s:
        raise Refused("SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    text = f"{method}\n{target}\n{told['timestamp']}\n{told['nonce_str']}\n".encode()
    if not is_signed(text + body + b"\n", told["signature"], merchant.public_key_pem):
        raise Refused("SIGN_ERROR", "签名错误，请检查后再试")
    return merchant


def is_certified(call: Call, keys: WechatKeys) -> bool:
    """Tell which key a merchant's names are sealed for; one that is not ours is refused."""
    if call.serial.upper().lstrip("0") == keys.serial.lstrip("0"):
        return True
    if not call.serial.startswith("PUB_KEY_ID_"):
        raise Refused("PARAM_ERROR", "Wechatpay-Serial有误，请使用加密所用公钥或证书的序列号")
    return False


# Fields.


def text_of(node: Node, name: str, length_max: int = 256, *, is_needed: bool = True) -> str:
    """Give a text; it is not empty where it is needed, and not too long."""
    value = node.get(name, "")
    if not isinstance(value, str) or (is_needed and not value.strip()):
        raise Refused("PARAM_ERROR", f"参数{name}不能为空")
    if len(value) > length_max:
        raise Refused("PARAM_ERROR", f"参数{name}长度不能超过{length_max}")
    return value


def node_of(node: Node, name: str) -> Node:
    """Give an object that must be there."""
    value = node.get(name)
    if not isinstance(value, dict):
        raise Refused("PARAM_ERROR", f"参数{name}不能为空")
    return value


def amount_of(node: Node, name: str, least_minor: int = 1) -> int:
    """Give an amount in fen: a whole number."""
    value = node.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("PARAM_ERROR", f"参数{name}须为整数，单位为分")
    if not least_minor <= value <= AMOUNT_MINOR_MAX:
        raise Refused("PARAM_ERROR", f"参数{name}超出允许的范围")
    return value


def check_currency(node: Node, *, is_needed: bool = False) -> None:
    """Refuse any money but CNY."""
    if node.get("currency", None if is_needed else "CNY") != "CNY":
        raise Refused("PARAM_ERROR", "货币类型currency只支持CNY")


def address_of(node: Node, name: str, *, is_needed: bool = True) -> str:
    """Give an address that WeChat Pay would call: one without a query."""
    url = text_of(node, name, is_needed=is_needed)
    if url and (not is_url(url) or urlsplit(url).query):
        raise Refused("PARAM_ERROR", f"参数{name}须为可访问的URL，且不能携带参数")
    return url


def check_address(node: Node, name: str) -> None:
    """Refuse what is no network address."""
    try:
        ipaddress.ip_address(text_of(node, name, 45))
    except ValueError:
        raise Refused("PARAM_ERROR", f"参数{name}不是合法的IP地址") from None


def read_moment(text: str) -> datetime:
    """Read a moment with its zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("PARAM_ERROR", "参数time_expire须为RFC3339格式") from None
    if moment.tzinfo is None or "T" not in text:
        raise Refused("PARAM_ERROR", "参数time_expire须为RFC3339格式")
    return moment
