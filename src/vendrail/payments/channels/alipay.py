"""Alipay (支付宝) in mainland China: page, WAP and QR pay, agreements, query, close, refund.

Own client after the public protocol, `gateway.do` version 1.0 with RSA2; key mode and certificate
mode. A reply counts only when its signature holds over the exact bytes that came.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import structlog

from vendrail.api.payments import ActionKind, Callback, CallbackAnswer, Device, PaymentAction
from vendrail.kernel.money import to_text
from vendrail.payments.channels import alipay_funds as funds
from vendrail.payments.channels.alipay_agreements import AlipayAgreements
from vendrail.payments.channels.alipay_line import call
from vendrail.payments.channels.alipay_messages import (
    BLAMES,
    AlipaySettings,
    Unclear,
    order,
    present_page,
    read_notification,
    read_query,
    read_refund,
    read_refund_query,
)
from vendrail.payments.channels.alipay_settings import SETTINGS, read_settings
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
    away,
)
from vendrail.payments.channels.line import FILE_BYTES_MAX, ProviderAway
from vendrail.payments.channels.statements import StatementAnswer, StatementKind, StatementOutcome

_log = structlog.get_logger(__name__)


class AlipayChannel(AlipayAgreements):
    """Alipay, mainland China."""

    kind = "alipay"
    name = "支付宝 Alipay"
    currencies = ("CNY",)
    expires_max = timedelta(days=15)
    payee_kinds = tuple(funds.PAYEE_KINDS)
    blames = BLAMES
    settings_table: Sequence[Setting] = SETTINGS

    def read_settings(self, values: Mapping[str, str]) -> AlipaySettings:
        """Load keys and certificates; they must belong together."""
        return read_settings(values)

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
            reply = await call(
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
            reply = await call(
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
            reply = await call(
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
            reply = await call(account, "alipay.trade.refund", business, now)
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
            reply = await call(account, method, business, now)
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
            link = funds.read_bill_link(await call(account, method, business, now), day, now)
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
            reply = await call(account, "alipay.fund.trans.uni.transfer", funds.transfer(ask), now)
        except (ProviderAway, Unclear) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=str(error))
        return funds.read_transfer(reply, ask)

    async def query_payout(
        self, ask: PayoutAsk, account: Account[AlipaySettings], now: datetime
    ) -> PayoutAnswer:
        """Ask what became of a payout."""
        try:
            reply = await call(
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
