"""WeChat Pay (微信支付), API v3: codes to scan, pages on phones, and paying inside WeChat itself.

Own client after the public protocol; a public key, certificates that are fetched, or both at once.
A reply counts only when its signature holds over the exact bytes that came, and was made just now.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
import structlog
from cryptography.exceptions import UnsupportedAlgorithm

from vendrail.api.payments import ActionKind, Callback, CallbackAnswer, Device, PaymentAction
from vendrail.kernel.codec import replace
from vendrail.payments.channels import wechat_funds as funds
from vendrail.payments.channels import wechat_signatures as signatures
from vendrail.payments.channels.base import (
    Account,
    Ask,
    CallbackFacts,
    CallbackRefusal,
    CloseOutcome,
    Doubt,
    MethodOffer,
    PayoutAnswer,
    PayoutAsk,
    PayoutOutcome,
    Presentation,
    QueryAnswer,
    QueryOutcome,
    RefundAnswer,
    RefundAsk,
    RefundOutcome,
    Setting,
    SettingProblem,
    away,
)
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.statements import StatementAnswer, StatementKind, StatementOutcome
from vendrail.payments.channels.wechat_callbacks import read_notification
from vendrail.payments.channels.wechat_client import call, download, fetch_certificates, sealing_key
from vendrail.payments.channels.wechat_messages import (
    BLAMES,
    LOGIN_CODES,
    LOGIN_REFUSED,
    SCAN,
    Unclear,
    WechatSettings,
    login_url,
    order,
    product_for,
    read_close,
    read_query,
    read_refund,
    refund_order,
)

_log = structlog.get_logger(__name__)

_PRODUCTS = ("native", "h5", "jsapi")
_ORDERS = "/v3/pay/transactions"
_REFUNDS = "/v3/refund/domestic/refunds"
_OPENID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


def _like(pattern: str, advice: str) -> Callable[[str], str]:
    shape = re.compile(pattern, re.ASCII)
    return lambda value: "" if shape.fullmatch(value) else advice


def _is_products(value: str) -> str:
    unknown = set(_split(value)) - set(_PRODUCTS)
    return f"knows native, h5 and jsapi, not {', '.join(sorted(unknown))}." if unknown else ""


def _is_report(value: str) -> str:
    is_good = all(name and content for name, content in _pairs(value))
    return "" if is_good else "is what the scene asks for, as 岗位类型=代理;报酬说明=货款."


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _pairs(value: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in value.split(";") if part.strip())
    return [(name.strip(), content.strip()) for name, _, content in parts]


_URL = _like(r"https?://[^\s?#]+[^\s?#/]", "is an address without a query or a slash at its end.")


class WechatChannel:
    """A merchant's account with WeChat Pay."""

    kind = "wechat"
    signed_headers: Sequence[str] = signatures.SIGNED_HEADERS
    name = "微信支付 WeChat Pay"
    currencies: Sequence[str] = ("CNY",)
    expires_max = timedelta(hours=2)  # So long a code is good; it is shown again as it is.
    payee_kinds = funds.PAYEE_KINDS
    blames = BLAMES
    settings_table: Sequence[Setting] = (
        Setting("appid", "Application number (AppID)",
                "The AppID (wx…) that the merchant number is bound to.",
                {"zh-Hans": ("应用编号（AppID）", "与商户号绑定的 AppID，以 wx 开头。")},
                is_required=True, check=_like(r"wx[0-9A-Za-z]{16}", "is wx and 16 letters.")),
        Setting("mchid", "Number of the merchant", "The merchant's number (mchid, 8 to 10 digits).",
                {"zh-Hans": ("商户号", "微信支付商户号（mchid），8 到 10 位数字。")},
                is_required=True, check=_like(r"\d{8,10}", "is 8 to 10 digits.")),
        Setting("serial_no", "Serial number of the API certificate",
                "The serial number of the merchant's API certificate, as the platform shows it.",
                {"zh-Hans": ("API 证书序列号", "商户平台显示的商户 API 证书序列号。")},
                is_required=True, check=_like(r"[0-9A-Fa-f]{8,64}", "is hexadecimal digits.")),
        Setting("private_key", "Private key of the merchant",
                "The text of apiclient_key.pem, which belongs to that certificate.",
                {"zh-Hans": ("商户私钥", "与该证书对应的 apiclient_key.pem 的内容。")},
                is_secret=True, is_required=True, is_multiline=True),
        Setting("api_key", "API v3 key", "The API v3 key: 32 letters and digits.",
                {"zh-Hans": ("APIv3 密钥", "商户平台设置的 APIv3 密钥，32 位字母或数字。")},
                is_secret=True, is_required=True,
                check=_like(r"[\x21-\x7e]{32}", "is 32 letters and digits.")),
        Setting("public_key_id", "Number of WeChat Pay's public key",
                "Public-key mode: PUB_KEY_ID_…; without it certificates are fetched.",
                {"zh-Hans": ("微信支付公钥 ID", "公钥模式：PUB_KEY_ID_…；不填则下载平台证书。")},
                check=_like(r"PUB_KEY_ID_[0-9A-Za-z]{1,64}", "begins with PUB_KEY_ID_.")),
        Setting("public_key", "WeChat Pay's public key",
                "Public-key mode: the text of pub_key.pem.",
                {"zh-Hans": ("微信支付公钥", "公钥模式：pub_key.pem 的内容。")}, is_multiline=True),
        Setting("products", "Products signed up for",
                "What was signed up for: any of native, h5, jsapi.",
                {"zh-Hans": ("已开通的产品", "可填 native、h5、jsapi，用逗号分隔。")},
                default="native", check=_is_products),
        Setting("app_secret", "Secret of the application",
                "For jsapi: the AppSecret, by which a buyer inside WeChat is known.",
                {"zh-Hans": ("AppSecret", "jsapi 需要：用于获取微信内买家的 openid。")},
                is_secret=True, check=_like(r"[0-9A-Za-z]{32}", "is 32 letters and digits.")),
        Setting("profit_sharing", "Profit sharing",
                "yes: payments stand frozen until their parts have gone out.",
                {"zh-Hans": ("分账", "yes：付款先冻结，分账后解冻；否则 no。")},
                default="no", check=_like("yes|no", "is yes or no.")),
        Setting("transfer_scene", "Scene of transfers",
                "For payouts: the scene that was signed up for, as 1005.",
                {"zh-Hans": ("转账场景", "转账到零钱：已开通的场景编号，例如 1005。")},
                default="1005", check=_like(r"\d{4}", "is four digits.")),
        Setting("transfer_report", "Report on transfers",
                "For payouts: what the scene asks for, as name=content;name=content.",
                {"zh-Hans": ("转账报备", "转账场景要求的报备信息：名称=内容;名称=内容。")},
                default="岗位类型=商户;报酬说明=货款", check=_is_report),
        Setting("api_url", "Address of the API",
                "Where requests go; change it for a sandbox only.",
                {"zh-Hans": ("接口地址", "请求发往的地址；只有使用沙箱时才改。")},
                default="https://api.mch.weixin.qq.com", check=_URL),
        Setting("login_url", "Address of the login",
                "Where a buyer inside WeChat is asked for; change it for a sandbox only.",
                {"zh-Hans": ("授权地址", "微信内授权页的地址；只有使用沙箱时才改。")},
                default="https://open.weixin.qq.com/connect/oauth2/authorize", check=_URL),
        Setting("openid_url", "Address of the openid",
                "Where that login is redeemed; change it for a sandbox only.",
                {"zh-Hans": ("openid 地址", "换取 openid 的地址；只有使用沙箱时才改。")},
                default="https://api.weixin.qq.com/sns/oauth2/access_token", check=_URL),
    )  # fmt: skip

    def read_settings(self, values: Mapping[str, str]) -> WechatSettings:
        """Load the keys; what belongs together must be there together."""
        private_key = _load("private_key", signatures.load_private_key, values)
        public_key = None
        if values["public_key"] or values["public_key_id"]:
            for name in ("public_key", "public_key_id"):
                if not values[name]:
                    raise SettingProblem(name, "is needed in public-key mode.", is_missing=True)
            public_key = _load("public_key", signatures.load_public_key, values)
            if public_key.public_numbers() == private_key.public_key().public_numbers():
                raise SettingProblem("public_key", "is the merchant's own; take pub_key.pem.")
        products = frozenset(_split(values["products"]))
        if not products:
            raise SettingProblem("products", "names one product at least.", is_missing=True)
        if "jsapi" in products and not values["app_secret"]:
            raise SettingProblem("app_secret", "is needed for jsapi.", is_missing=True)
        return WechatSettings(
            values["api_url"],
            values["login_url"],
            values["openid_url"],
            values["appid"],
            values["mchid"],
            values["serial_no"].upper(),
            private_key,
            values["api_key"].encode(),
            products,
            values["public_key_id"],
            public_key,
            values["app_secret"],
            values["profit_sharing"] == "yes",
            values["transfer_scene"],
            tuple(_pairs(values["transfer_report"])),
        )

    def offers(self, settings: WechatSettings) -> list[MethodOffer]:
        """Offer `wechat` where WeChat opens by itself, and `wechat_qr` where a code is scanned."""
        offers = []
        devices = [
            device
            for device, product in ((Device.MOBILE, "h5"), (Device.WECHAT, "jsapi"))
            if product in settings.products
        ]
        if devices:
            offers.append(MethodOffer("wechat", "redirect", devices=tuple(devices)))
        if "native" in settings.products:
            outside = (Device.DESKTOP, Device.MOBILE)
            offers.append(MethodOffer(SCAN, "qr", devices=outside))
        return offers

    async def present(
        self, asks: Sequence[Ask], account: Account[WechatSettings], now: datetime
    ) -> list[Presentation]:
        """Place each order with the product that fits; WeChat Pay gives the way to pay."""
        return list(await asyncio.gather(*(self._present(ask, account, now) for ask in asks)))

    async def _present(
        self, ask: Ask, account: Account[WechatSettings], now: datetime
    ) -> Presentation:
        settings = account.settings
        product = product_for(ask, settings)
        known, _, openid = ask.reference.partition(":")
        if known and known != product:
            return away("other_device")  # One order is placed with one product.
        try:
            if product == "jsapi" and not openid:
                if not ask.returned:
                    url = login_url(ask, settings)
                    return Presentation(PaymentAction(ActionKind.REDIRECT, url=url))
                openid = await _read_openid(ask, account)
            return await _place(product, openid, ask, account, now)
        except (ProviderAway, Unclear) as error:
            _log.warning("wechat.not_presented", channel=str(account.id), problem=str(error))
            return away(said=error.said if isinstance(error, Unclear) else "")

    async def query(self, ask: Ask, account: Account[WechatSettings], now: datetime) -> QueryAnswer:
        """Ask by `out_trade_no` what became of an order."""
        settings = account.settings
        path = f"{_ORDERS}/out-trade-no/{ask.out_trade_no}"
        try:
            reply = await call(account, "GET", path, now, query={"mchid": settings.mchid})
        except (ProviderAway, Unclear) as error:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem=str(error))
        return read_query(reply, ask, settings)

    def doubt(self, problem: str) -> Doubt:
        """Say by WeChat Pay's code, or what was wrong with its reply, what is the matter."""
        if "signature does not hold" in problem or "certificate" in problem:
            return Doubt.REPLY
        named = ("NO_AUTH", "MCH_NOT_EXISTS", "APPID_MCHID", "序列号", "商户号")
        if any(each in problem for each in named):
            return Doubt.CREDENTIALS
        return Doubt.SIGNATURE if "SIGN_ERROR" in problem else Doubt.OTHER

    async def close(
        self, ask: Ask, account: Account[WechatSettings], now: datetime
    ) -> CloseOutcome:
        """Close an order that nobody has paid."""
        path = f"{_ORDERS}/out-trade-no/{ask.out_trade_no}/close"
        try:
            body = {"mchid": account.settings.mchid}
            return read_close(await call(account, "POST", path, now, body=body))
        except (ProviderAway, Unclear):
            return CloseOutcome.UNKNOWN

    async def refund(
        self, ask: RefundAsk, account: Account[WechatSettings], now: datetime
    ) -> RefundAnswer:
        """Refund under `out_refund_no`: asked again, it moves nothing twice."""
        try:
            reply = await call(account, "POST", _REFUNDS, now, body=refund_order(ask))
        except (ProviderAway, Unclear) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, str(error))
        return read_refund(reply, ask, is_question=False)

    async def query_refund(
        self, ask: RefundAsk, account: Account[WechatSettings], now: datetime
    ) -> RefundAnswer:
        """Ask what became of a refund."""
        try:
            reply = await call(account, "GET", f"{_REFUNDS}/{ask.refund_number}", now)
        except (ProviderAway, Unclear) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, str(error))
        return read_refund(reply, ask, is_question=True)

    async def download_statement(
        self, kind: StatementKind, day: date, account: Account[WechatSettings], now: datetime
    ) -> StatementAnswer:
        """Ask where the bill of a day lies and what its hash is, and fetch it from there."""
        path, wanted = funds.BILLS[kind]
        query = {"bill_date": day.isoformat(), **wanted, "tar_type": "GZIP"}
        try:
            reply = await call(account, "GET", path, now, query=query)
            link = funds.read_bill_link(reply, day, now)
            if isinstance(link, StatementAnswer):
                return link
            url, hash_value = link
            file = await download(account, url, now)
        except (ProviderAway, Unclear) as error:
            return StatementAnswer(StatementOutcome.UNKNOWN, problem=str(error))
        answer, basis = funds.read_bill(file.body, file.status_code, hash_value, kind, day)
        if basis:
            _log.info("wechat.bill_hashed", channel=str(account.id), basis=basis)
        return answer

    def can_pay_out(self, settings: WechatSettings) -> bool:
        """Once a scene of transfers was signed up for."""
        return bool(settings.transfer_scene)

    async def pay_out(
        self, ask: PayoutAsk, account: Account[WechatSettings], now: datetime
    ) -> PayoutAnswer:
        """Pay under `out_bill_no`: asked again, it moves nothing twice; the payee confirms."""
        try:
            serial, key = await sealing_key(account, now)
            body = funds.transfer(ask, account.settings, key)
            reply = await call(account, "POST", funds.TRANSFERS, now, body=body, serial=serial)
        except (ProviderAway, Unclear) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=str(error))
        return funds.read_transfer(reply, ask)

    async def query_payout(
        self, ask: PayoutAsk, account: Account[WechatSettings], now: datetime
    ) -> PayoutAnswer:
        """Ask what became of a payout; told again, it says what its payee confirms with."""
        path = f"{funds.TRANSFERS}/out-bill-no/{ask.payout_number}"
        try:
            reply = await call(account, "GET", path, now)
        except (ProviderAway, Unclear) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=str(error))
        found = funds.read_transfer_query(reply, ask)
        if found.outcome is not PayoutOutcome.PENDING or not funds.waits(reply):
            return found
        told = await self.pay_out(ask, account, now)
        return replace(found, confirm_package=told.confirm_package)

    async def cancel_payout(
        self, ask: PayoutAsk, account: Account[WechatSettings], now: datetime
    ) -> PayoutAnswer:
        """Take a payout back that its payee has not confirmed; what became of it, tells a query."""
        path = f"{funds.TRANSFERS}/out-bill-no/{ask.payout_number}/cancel"
        try:
            reply = await call(account, "POST", path, now)
        except (ProviderAway, Unclear) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=str(error))
        return funds.read_cancel(reply, ask)

    def read_callback(
        self, raw: Callback, settings: WechatSettings, now: datetime
    ) -> CallbackFacts | CallbackRefusal:
        """Read a callback: JSON, posted, signed in its headers."""
        if raw.method != "POST":
            return CallbackRefusal("method_not_post")
        return read_notification(raw, settings, now)

    async def fetch_keys(self, account: Account[WechatSettings], now: datetime) -> bool:
        """Fetch the certificates that are good now."""
        try:
            await fetch_certificates(account, now)
        except (ProviderAway, Unclear) as error:
            _log.warning("wechat.no_certificates", channel=str(account.id), problem=str(error))
            return False
        return True

    def success_answer(self) -> CallbackAnswer:
        """Answer 200: anything else is sent again for a day."""
        return CallbackAnswer(200, b'{"code":"SUCCESS","message":""}', "application/json")

    def failure_answer(self) -> CallbackAnswer:
        """Answer what is no success, so that it is sent again."""
        return CallbackAnswer(400, b'{"code":"FAIL","message":"FAIL"}', "application/json")


# Ways to pay.


async def _place(
    product: str, openid: str, ask: Ask, account: Account[WechatSettings], now: datetime
) -> Presentation:
    settings = account.settings
    body = order(ask, settings)
    if product == "h5":
        address = ask.address or "127.0.0.1"
        body["scene_info"] = {"payer_client_ip": address, "h5_info": {"type": "Wap"}}
    if product == "jsapi":
        body["payer"] = {"openid": openid}
    reply = await call(account, "POST", f"{_ORDERS}/{product}", now, body=body)
    if not reply.is_good:
        if reply.code == "OUT_TRADE_NO_USED":
            return away("other_device")
        problem = {"ORDERPAID": "captured", "ORDER_CLOSED": "closed"}.get(reply.code)
        if problem is None:
            raise Unclear(reply.problem, reply.code)
        return away(problem)
    if product == "native" and (code := reply.text("code_url")):
        return Presentation(PaymentAction(ActionKind.QR, text=code), product, is_kept=True)
    if product == "h5" and (url := reply.text("h5_url")):
        joint = "&" if "?" in url else "?"
        back = urlencode({"redirect_url": ask.return_url}) if ask.return_url else ""
        return Presentation(
            PaymentAction(ActionKind.REDIRECT, url=f"{url}{joint}{back}" if back else url), product
        )
    if product == "jsapi" and (prepay_id := reply.text("prepay_id")):
        fields = signatures.bridge_fields(settings.appid, prepay_id, now, settings.private_key)
        action = PaymentAction(ActionKind.INVOKE, text="wechat", fields=fields)
        return Presentation(action, f"{product}:{openid}")
    raise Unclear("the reply holds no way to pay")


async def _read_openid(ask: Ask, account: Account[WechatSettings]) -> str:
    """Redeem what WeChat gave the buyer's browser; it is good once, and for this order alone."""
    settings = account.settings
    given = parse_qs(ask.returned)
    code, state = (given.get(name, [""])[0] for name in ("code", "state"))
    if state != ask.out_trade_no or not code:
        raise Unclear("the buyer came back from WeChat without proof", LOGIN_REFUSED)
    params = {
        "appid": settings.appid,
        "secret": settings.app_secret,
        "code": code[:512],
        "grant_type": "authorization_code",
    }
    account.line.expect()
    reply = await account.line.send("GET", settings.openid_url, params=params)
    try:
        told: dict[str, Any] = msgspec.json.decode(reply.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unclear(f"no openid was given out: {error}") from error
    openid = told.get("openid")
    if not isinstance(openid, str) or not _OPENID.fullmatch(openid):
        refused = told.get("errcode")
        said = LOGIN_REFUSED if refused in LOGIN_CODES else ""
        raise Unclear(f"no openid was given out: errcode {refused}", said)
    return openid


def _load(name: str, load: Any, values: Mapping[str, str]) -> Any:
    try:
        return load(values[name])
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingProblem(name, f"cannot be read as an RSA key. {error}") from error
