"""Alipay (支付宝) in mainland China: page, WAP and QR pay, query, close, refund, notifications.

Own client after the public protocol, `gateway.do` version 1.0 with RSA2; key mode and certificate
mode. A reply counts only when its signature holds over the exact bytes that came.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509 import Certificate

from vendrail.api.payments import ActionKind, Callback, CallbackAnswer, Device, PaymentAction
from vendrail.kernel.money import to_text
from vendrail.payments.channels import alipay_funds as funds
from vendrail.payments.channels import alipay_signatures as signatures
from vendrail.payments.channels.alipay_messages import (
    BLAMES,
    AlipaySettings,
    CertificateUnknown,
    Reply,
    Unclear,
    build_request,
    order,
    present_page,
    read_certificate,
    read_notification,
    read_query,
    read_refund,
    read_refund_query,
    read_reply,
)
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
    StatementAnswer,
    StatementKind,
    StatementOutcome,
    away,
)
from vendrail.payments.channels.line import FILE_BYTES_MAX, ProviderAway

_log = structlog.get_logger(__name__)

_PRODUCTS = ("page", "wap", "qr")


def _is_app_id(value: str) -> str:
    return "" if re.fullmatch(r"\d{16,32}", value) else "is 16 digits or more, as 2021…"


def _is_seller_id(value: str) -> str:
    return "" if re.fullmatch(r"2088\d{12}", value) else "is 16 digits that begin with 2088."


def _is_url(value: str) -> str:
    return "" if re.fullmatch(r"https?://[^\s?#]+", value) else "is an address without a query."


def _is_products(value: str) -> str:
    unknown = set(_split(value)) - set(_PRODUCTS)
    return f"knows page, wap and qr, not {', '.join(sorted(unknown))}." if unknown else ""


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


# The channel.


class AlipayChannel:
    """Alipay, mainland China."""

    kind = "alipay"
    name = "支付宝 Alipay"
    currencies = ("CNY",)
    expires_max = timedelta(days=15)
    payee_kinds = tuple(funds.PAYEE_KINDS)
    blames = BLAMES
    settings_table: Sequence[Setting] = (
        Setting("app_id", "Application number (APPID)",
                "The application's APPID, as its page on the open platform says.",
                {"zh-Hans": ("应用编号（APPID）", "开放平台上该应用页面显示的 APPID。")},
                is_required=True, check=_is_app_id),
        Setting("seller_id", "Account that receives the money (PID)",
                "The account (PID, 2088…) that receives the money.",
                {"zh-Hans": ("收款账户（PID）", "收款的支付宝账户编号，以 2088 开头。")},
                is_required=True, check=_is_seller_id),
        Setting("app_private_key", "Private key of the application",
                "The application's private key, RSA2: PEM or base 64.",
                {"zh-Hans": ("应用私钥", "应用的 RSA2 私钥：PEM 或 base64。")},
                is_secret=True, is_required=True, is_multiline=True),
        Setting("alipay_public_key", "Alipay's public key",
                "Key mode: Alipay's public key (not the application's).",
                {"zh-Hans": ("支付宝公钥", "密钥模式：支付宝公钥（不是应用公钥）。")},
                is_multiline=True),
        Setting("app_cert", "Certificate of the application",
                "Certificate mode: appCertPublicKey_….crt, its text.",
                {"zh-Hans": ("应用公钥证书", "证书模式：appCertPublicKey_….crt 的内容。")},
                is_multiline=True),
        Setting("alipay_cert", "Alipay's certificate",
                "Certificate mode: alipayCertPublicKey_RSA2.crt, one or more.",
                {"zh-Hans": ("支付宝公钥证书",
                             "证书模式：alipayCertPublicKey_RSA2.crt，一份或多份。")},
                is_multiline=True),
        Setting("root_cert", "Alipay's root certificates",
                "Certificate mode: alipayRootCert.crt, its text.",
                {"zh-Hans": ("支付宝根证书", "证书模式：alipayRootCert.crt 的内容。")},
                is_multiline=True),
        Setting("products", "Products signed up for",
                "What was signed up for: any of page, wap, qr.",
                {"zh-Hans": ("已签约的产品", "可填 page、wap、qr，用逗号分隔。")},
                default="page,wap,qr", check=_is_products),
        Setting("gateway_url", "Address of the gateway",
                "Where requests go; change it for a sandbox only.",
                {"zh-Hans": ("网关地址", "请求发往的地址；只有使用沙箱时才改。")},
                default="https://openapi.alipay.com/gateway.do", check=_is_url),
    )  # fmt: skip

    def read_settings(self, values: Mapping[str, str]) -> AlipaySettings:
        """Load keys and certificates; they must belong together."""
        private_key = _load("app_private_key", signatures.load_private_key, values)
        certificates = [values[name] for name in ("app_cert", "alipay_cert", "root_cert")]
        if not any(certificates):
            if not values["alipay_public_key"]:
                raise SettingProblem(
                    "alipay_public_key",
                    "is needed in key mode; in certificate mode, give the three certificates.",
                    is_missing=True,
                )
            public_key = _load("alipay_public_key", signatures.load_public_key, values)
            if public_key.public_numbers() == private_key.public_key().public_numbers():
                raise SettingProblem(
                    "alipay_public_key", "is the application's own key; copy Alipay's (支付宝公钥)."
                )
            return self._typed(values, private_key, {"": public_key})
        for name, value in zip(("app_cert", "alipay_cert", "root_cert"), certificates, strict=True):
            if not value:
                raise SettingProblem(name, "is needed in certificate mode.", is_missing=True)
        return self._in_certificate_mode(values, private_key)

    def _in_certificate_mode(
        self, values: Mapping[str, str], private_key: RSAPrivateKey
    ) -> AlipaySettings:
        own = signatures.load_certificates(values["app_cert"])
        if not own:
            raise SettingProblem("app_cert", "is no certificate; paste appCertPublicKey_….crt.")
        try:
            if signatures.rsa_key_of(own[0]).public_numbers() != (
                private_key.public_key().public_numbers()
            ):
                raise SettingProblem("app_cert", "belongs to another key than app_private_key.")
            public_keys = {
                signatures.certificate_sn(certificate): signatures.rsa_key_of(certificate)
                for certificate in signatures.load_certificates(values["alipay_cert"])
            }
        except (TypeError, ValueError) as error:
            raise SettingProblem("alipay_cert", str(error)) from error
        if not public_keys:
            raise SettingProblem("alipay_cert", "is no certificate; paste its .crt file.")
        roots = signatures.load_certificates(values["root_cert"])
        root_cert_sn = signatures.root_sn(values["root_cert"])
        if not root_cert_sn:
            raise SettingProblem("root_cert", "holds no RSA root; paste alipayRootCert.crt whole.")
        app_cert_sn = signatures.certificate_sn(own[0])
        return self._typed(values, private_key, public_keys, app_cert_sn, root_cert_sn, roots)

    def _typed(
        self,
        values: Mapping[str, str],
        private_key: RSAPrivateKey,
        public_keys: Mapping[str, RSAPublicKey],
        app_cert_sn: str = "",
        root_cert_sn: str = "",
        roots: Sequence[Certificate] = (),
    ) -> AlipaySettings:
        return AlipaySettings(
            values["gateway_url"],
            values["app_id"],
            values["seller_id"],
            private_key,
            public_keys,
            frozenset(_split(values["products"])),
            app_cert_sn,
            root_cert_sn,
            roots,
        )

    def offers(self, settings: AlipaySettings) -> list[MethodOffer]:
        """Offer `alipay` by page or WAP, and `alipay_qr` by a code to scan.

        WeChat's browser leads to no page of Alipay's, and Alipay's own cannot scan its screen.
        """
        offers = []
        outside = (Device.DESKTOP, Device.MOBILE)
        if settings.products & {"page", "wap"}:
            offers.append(MethodOffer("alipay", "redirect", devices=(*outside, Device.ALIPAY)))
        if "qr" in settings.products:
            offers.append(MethodOffer("alipay_qr", "qr", devices=outside))
        return offers

    async def present(
        self, asks: Sequence[Ask], account: Account[AlipaySettings], now: datetime
    ) -> list[Presentation]:
        """Sign page and WAP pay here; fetch QR codes from Alipay."""
        settings = account.settings

        def page(ask: Ask) -> Presentation:
            return present_page(settings, ask, now)

        pages = [ask for ask in asks if ask.method != "alipay_qr"]
        shown: dict[str, Presentation] = {}
        for ask, presentation in zip(pages, await account.line.offload(page, pages), strict=True):
            shown[ask.out_trade_no] = presentation
        codes = [ask for ask in asks if ask.method == "alipay_qr"]
        fetched = await asyncio.gather(*(self._fetch_code(ask, account, now) for ask in codes))
        for ask, presentation in zip(codes, fetched, strict=True):
            shown[ask.out_trade_no] = presentation
        return [shown[ask.out_trade_no] for ask in asks]

    async def _fetch_code(
        self, ask: Ask, account: Account[AlipaySettings], now: datetime
    ) -> Presentation:
        try:
            reply = await self._call(
                account, "alipay.trade.precreate", order(ask), now, notify_url=ask.notify_url
            )
        except (ProviderAway, Unclear):
            return away()
        code = reply.text("qr_code")
        if reply.code != "10000" or not code or reply.text("out_trade_no") != ask.out_trade_no:
            if reply.sub_code == "ACQ.TRADE_HAS_SUCCESS":
                return away("captured")
            if reply.sub_code == "ACQ.TRADE_HAS_CLOSE":
                return away("closed")
            return away(said=reply.sub_code or reply.code)
        return Presentation(PaymentAction(ActionKind.QR, text=code), is_kept=True)

    async def query(self, ask: Ask, account: Account[AlipaySettings], now: datetime) -> QueryAnswer:
        """Ask by `out_trade_no` what became of a trade."""
        try:
            reply = await self._call(
                account, "alipay.trade.query", {"out_trade_no": ask.out_trade_no}, now
            )
        except (ProviderAway, Unclear) as error:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem=str(error))
        return read_query(reply, ask)

    def doubt(self, problem: str) -> Doubt:
        """Say by Alipay's code, or what was wrong with its reply, what is the matter."""
        if "signature does not hold" in problem or "certificate" in problem:
            return Doubt.REPLY
        if "-signature" in problem or "sign-type" in problem:
            return Doubt.SIGNATURE
        is_refused = "app-id" in problem or "permission" in problem or "app-cert" in problem
        return Doubt.CREDENTIALS if is_refused else Doubt.OTHER

    async def close(
        self, ask: Ask, account: Account[AlipaySettings], now: datetime
    ) -> CloseOutcome:
        """Close a trade that nobody has paid."""
        try:
            reply = await self._call(
                account, "alipay.trade.close", {"out_trade_no": ask.out_trade_no}, now
            )
        except (ProviderAway, Unclear):
            return CloseOutcome.UNKNOWN
        if reply.code == "10000":
            return CloseOutcome.CLOSED
        if reply.sub_code == "ACQ.TRADE_NOT_EXIST":
            return CloseOutcome.NOT_FOUND
        return CloseOutcome.REFUSED if reply.code == "40004" else CloseOutcome.UNKNOWN

    async def refund(
        self, ask: RefundAsk, account: Account[AlipaySettings], now: datetime
    ) -> RefundAnswer:
        """Refund under `out_request_no`: asked again, it moves nothing twice."""
        business = {
            "out_trade_no": ask.out_trade_no,
            "trade_no": ask.provider_number,
            "refund_amount": to_text(ask.amount_minor, ask.currency),
            "out_request_no": ask.refund_number,
            "refund_reason": ask.reason[:200],
        }
        business = {name: value for name, value in business.items() if value}
        try:
            reply = await self._call(account, "alipay.trade.refund", business, now)
        except (ProviderAway, Unclear) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, str(error))
        return read_refund(reply)

    async def query_refund(
        self, ask: RefundAsk, account: Account[AlipaySettings], now: datetime
    ) -> RefundAnswer:
        """Ask what became of a refund."""
        business = {
            "out_trade_no": ask.out_trade_no,
            "trade_no": ask.provider_number,
            "out_request_no": ask.refund_number,
        }
        business = {name: value for name, value in business.items() if value}
        method = "alipay.trade.fastpay.refund.query"
        try:
            reply = await self._call(account, method, business, now)
        except (ProviderAway, Unclear) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, str(error))
        return read_refund_query(reply, ask)

    async def download_statement(
        self, kind: StatementKind, day: date, account: Account[AlipaySettings], now: datetime
    ) -> StatementAnswer:
        """Ask where the bill of a day lies, and fetch it from there at once."""
        business = {"bill_type": funds.BILL_TYPES[kind], "bill_date": day.isoformat()}
        method = "alipay.data.dataservice.bill.downloadurl.query"
        try:
            link = funds.read_bill_link(await self._call(account, method, business, now), day, now)
            if isinstance(link, StatementAnswer):
                return link
            file = await account.line.send("GET", link, bytes_max=FILE_BYTES_MAX)
        except (ProviderAway, Unclear) as error:
            return StatementAnswer(StatementOutcome.UNKNOWN, problem=str(error))
        return funds.read_bill(file.body, file.status_code, kind, day)

    def can_pay_out(self, settings: AlipaySettings) -> bool:
        """In certificate mode only."""
        return bool(settings.app_cert_sn)

    async def pay_out(
        self, ask: PayoutAsk, account: Account[AlipaySettings], now: datetime
    ) -> PayoutAnswer:
        """Pay under `out_biz_no`: asked again, it moves nothing twice."""
        if not account.settings.app_cert_sn:
            # Told before, when there were certificates, it may have been paid.
            outcome = PayoutOutcome.UNKNOWN if ask.tries else PayoutOutcome.FAILED
            return PayoutAnswer(outcome, problem="payouts need certificate mode")
        try:
            reply = await self._call(
                account, "alipay.fund.trans.uni.transfer", funds.transfer(ask), now
            )
        except (ProviderAway, Unclear) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=str(error))
        return funds.read_transfer(reply, ask)

    async def query_payout(
        self, ask: PayoutAsk, account: Account[AlipaySettings], now: datetime
    ) -> PayoutAnswer:
        """Ask what became of a payout."""
        try:
            reply = await self._call(
                account, "alipay.fund.trans.common.query", funds.transfer_question(ask), now
            )
        except (ProviderAway, Unclear) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=str(error))
        return funds.read_transfer_query(reply, ask)

    def read_callback(
        self, raw: Callback, settings: AlipaySettings, now: datetime
    ) -> CallbackFacts | CallbackRefusal:
        """Read a notification: a form, posted."""
        if raw.method != "POST":
            return CallbackRefusal("method_not_post")
        return read_notification(raw.body, settings)

    def success_answer(self) -> CallbackAnswer:
        """Answer exactly `success`: anything else is sent again for a day."""
        return CallbackAnswer(200, b"success")

    def failure_answer(self) -> CallbackAnswer:
        """Answer what is not `success`, so that it is sent again."""
        return CallbackAnswer(200, b"failure")

    async def _call(
        self,
        account: Account[AlipaySettings],
        method: str,
        business: Mapping[str, object],
        now: datetime,
        *,
        notify_url: str = "",
    ) -> Reply:
        """Sign, send, verify; the common parameters go in the query, the business in the body."""
        settings = account.settings

        def build(content: Mapping[str, object]) -> dict[str, str]:
            return build_request(settings, method, content, now, notify_url=notify_url)

        body = await self._send(account, build, business)
        try:
            return read_reply(body, method, settings)
        except CertificateUnknown as error:
            await self._fetch_certificate(account, error.sn, now)
            return read_reply(body, method, settings)

    async def _fetch_certificate(
        self, account: Account[AlipaySettings], sn: str, now: datetime
    ) -> None:
        """Fetch Alipay's certificate by its SN, or raise `Unclear`."""
        settings = account.settings

        def build(content: Mapping[str, object]) -> dict[str, str]:
            return build_request(settings, "alipay.open.app.alipaycert.download", content, now)

        body = await self._send(account, build, {"alipay_cert_sn": sn})
        settings.fetched_keys[sn] = read_certificate(body, sn, settings, now)
        _log.info("alipay.certificate_fetched", channel=str(account.id), sn=sn)

    async def _send(
        self,
        account: Account[AlipaySettings],
        build: Callable[[Mapping[str, object]], dict[str, str]],
        business: Mapping[str, object],
    ) -> bytes:
        account.line.expect()
        (params,) = await account.line.offload(build, [business])
        form = {"biz_content": params.pop("biz_content")}
        url = account.settings.gateway_url
        reply = await account.line.send("POST", url, params=params, form=form)
        return reply.body


def _load(name: str, load: Any, values: Mapping[str, str]) -> Any:
    try:
        return load(values[name])
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingProblem(name, f"cannot be read as an RSA key. {error}") from error
