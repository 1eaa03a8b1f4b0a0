"""Epay (易支付), V2: the same providers with RSA on both sides, refunds by number, and payouts.

Page and code, query, close, refund, refund query, transfer; callbacks that prove themselves.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from cryptography.exceptions import UnsupportedAlgorithm

from vendrail.api.payments import ActionKind, Callback, CallbackAnswer, PaymentAction
from vendrail.kernel.epay import CURRENCY, TYPES
from vendrail.payments.channels import alipay_signatures as signatures
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
from vendrail.payments.channels.epay2_messages import (
    PAYEES,
    SCAN,
    Epay2Settings,
    Unclear,
    is_refused,
    order,
    read_close,
    read_notification,
    read_query,
    read_refund,
    read_refund_query,
    read_reply,
    read_transfer,
    read_transfer_query,
    read_way,
    request,
    scan_order,
    transfer,
)
from vendrail.payments.channels.epay_settings import (
    check_pid,
    check_shows,
    check_types,
    offers_of,
    split,
)
from vendrail.payments.channels.line import ProviderAway


def _is_url(value: str) -> str:
    is_good = re.fullmatch(r"https?://[^\s?#@]+", value) and not value.endswith(".php")
    return "" if is_good else "is the address of the site whose folder api holds pay/submit."


def _one_of(*values: str) -> Callable[[str], str]:
    return lambda value: "" if value in values else f"is one of {', '.join(values)}."


class Epay2Channel:
    """An account at an Epay V2 provider."""

    kind = "epay2"
    name = "易支付 Epay V2"
    currencies: Sequence[str] = (CURRENCY,)
    expires_max = timedelta(days=1)
    payee_kinds: Sequence[str] = tuple(PAYEES)
    settings_table: Sequence[Setting] = (
        Setting("url", "Address of the provider",
                "The provider's address, as https://pay.example.com/.",
                {"zh-Hans": ("接口地址", "服务商的地址，例如 https://pay.example.com/。")},
                is_required=True, check=_is_url),
        Setting("pid", "Number of the merchant", "The merchant's number (商户ID).",
                {"zh-Hans": ("商户ID", "服务商后台显示的商户编号。")},
                is_required=True, check=check_pid),
        Setting("private_key", "Private key of the merchant",
                "The merchant's RSA private key (商户私钥): PEM or base 64.",
                {"zh-Hans": ("商户私钥", "商户的 RSA 私钥：PEM 或 base64。")},
                is_secret=True, is_required=True, is_multiline=True),
        Setting("public_key", "Public key of the platform",
                "The provider's public key (平台公钥), not the merchant's: PEM or base 64.",
                {"zh-Hans": ("平台公钥", "服务商的公钥（不是商户公钥）：PEM 或 base64。")},
                is_required=True, is_multiline=True),
        Setting("methods", "Ways to pay", f"What was signed up for: any of {', '.join(TYPES)}.",
                {"zh-Hans": ("支付方式", f"已开通的方式，用逗号分隔：{'、'.join(TYPES)}。")},
                default="alipay,wechat", check=check_types),
        Setting("shows", "What the buyer meets",
                "Any of page: the buyer goes to the provider, qr: its code is shown here.",
                {"zh-Hans": ("买家看到什么", "page：跳转到服务商；qr：在本站显示二维码。可都填。")},
                default="page", check=check_shows),
        Setting("sign_type", "Name of the signature",
                "What the provider calls RSA with SHA-256: RSA, or SHA256WithRSA.",
                {"zh-Hans": ("签名类型", "RSA 或 SHA256WithRSA，算法相同，名称依服务商而定。")},
                default="RSA", check=_one_of("RSA", "SHA256WithRSA")),
        Setting("refunds", "Refunds", "yes, where the provider gives money back by its interface.",
                {"zh-Hans": ("退款", "服务商已开通退款接口时填 yes，否则 no。")},
                default="no", check=_one_of("yes", "no")),
        Setting("allows_http", "Without HTTPS",
                "yes: refusals may be somebody else's. For a sandbox only.",
                {"zh-Hans": ("允许不加密", "yes：拒绝类答复可能被伪造。仅用于沙箱。")},
                default="no", check=_one_of("yes", "no")),
    )  # fmt: skip

    def read_settings(self, values: Mapping[str, str]) -> Epay2Settings:
        """Load the keys; they must not be two halves of one."""
        if values["url"].startswith("http://") and values["allows_http"] != "yes":
            raise SettingProblem("url", "begins with https://, for refusals are not signed.")
        private_key = _load("private_key", signatures.load_private_key, values)
        public_key = _load("public_key", signatures.load_public_key, values)
        if public_key.public_numbers() == private_key.public_key().public_numbers():
            raise SettingProblem("public_key", "is the merchant's own; copy the platform's.")
        return Epay2Settings(
            values["url"].rstrip("/") + "/",
            values["pid"],
            private_key,
            public_key,
            tuple(dict.fromkeys(split(values["methods"]))),
            frozenset(split(values["shows"])),
            values["sign_type"],
            values["refunds"] == "yes",
        )

    def offers(self, settings: Epay2Settings) -> list[MethodOffer]:
        """Offer each way to pay by the provider's page, by its code, or by both."""
        return offers_of(settings.types, settings.shows, SCAN)

    async def present(
        self, asks: Sequence[Ask], account: Account[Epay2Settings], now: datetime
    ) -> list[Presentation]:
        """Sign the provider's page here, for minutes; fetch codes from it."""
        return list(await asyncio.gather(*(self._present(ask, account, now) for ask in asks)))

    async def _present(
        self, ask: Ask, account: Account[Epay2Settings], now: datetime
    ) -> Presentation:
        settings = account.settings
        if not ask.method.endswith(SCAN):
            (params,) = await account.line.offload(
                lambda each: request(order(each), settings, now), [ask]
            )
            url = f"{settings.url}api/pay/submit?{urlencode(params)}"
            return Presentation(PaymentAction(ActionKind.REDIRECT, url=url))
        try:
            return read_way(await self._call(account, "pay/create", scan_order(ask), now))
        except (ProviderAway, Unclear):
            return away()

    async def query(self, ask: Ask, account: Account[Epay2Settings], now: datetime) -> QueryAnswer:
        """Ask by our number what became of an order."""
        fields = {"out_trade_no": ask.out_trade_no, "trade_no": ask.provider_number}
        try:
            reply = await self._call(account, "pay/query", fields, now)
        except (ProviderAway, Unclear) as error:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem=str(error))
        return read_query(reply, ask, account.settings)

    def doubt(self, problem: str) -> Doubt:
        """Say by the words that providers use what is the matter."""
        said = problem.lower()
        if "signature does not hold" in said:
            return Doubt.REPLY
        if "签名" in said or "sign" in said or "timestamp" in said or "时间" in said:
            return Doubt.SIGNATURE
        is_refused = any(each in said for each in ("商户", "公钥", "pid"))
        return Doubt.CREDENTIALS if is_refused else Doubt.OTHER

    async def close(self, ask: Ask, account: Account[Epay2Settings], now: datetime) -> CloseOutcome:
        """Close an order that nobody has paid, where the provider's own channel can."""
        try:
            fields = {"out_trade_no": ask.out_trade_no}
            return read_close(await self._call(account, "pay/close", fields, now))
        except (ProviderAway, Unclear):
            return CloseOutcome.UNKNOWN

    async def refund(
        self, ask: RefundAsk, account: Account[Epay2Settings], now: datetime
    ) -> RefundAnswer:
        """Give back under `out_refund_no`; told before, it is looked for first."""
        if not account.settings.can_refund:
            return RefundAnswer(RefundOutcome.FAILED, "refunds are off", is_final=ask.tries == 0)
        if ask.tries:
            known = await self.query_refund(ask, account, now)
            if known.outcome is not RefundOutcome.NOT_FOUND:
                return known
        fields = {
            "trade_no": ask.provider_number,
            "out_trade_no": ask.out_trade_no,
            "money": f"{ask.amount_minor // 100}.{ask.amount_minor % 100:02d}",
            "out_refund_no": ask.refund_number,
        }
        try:
            return read_refund(await self._call(account, "pay/refund", fields, now))
        except (ProviderAway, Unclear) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, str(error))

    async def query_refund(
        self, ask: RefundAsk, account: Account[Epay2Settings], now: datetime
    ) -> RefundAnswer:
        """Ask what became of a refund."""
        fields = {"out_refund_no": ask.refund_number}
        try:
            reply = await self._call(account, "pay/refundquery", fields, now)
        except (ProviderAway, Unclear) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, str(error))
        return read_refund_query(reply, ask)

    def can_pay_out(self, settings: Epay2Settings) -> bool:
        """Every provider of this version pays out."""
        return bool(settings.pid)

    async def pay_out(
        self, ask: PayoutAsk, account: Account[Epay2Settings], now: datetime
    ) -> PayoutAnswer:
        """Pay under `out_biz_no`; told before, it is looked for first.

        A refusal is words: it counts when the provider, asked, knows of no such payout.
        """
        if ask.tries:
            known = await self.query_payout(ask, account, now)
            if known.outcome is not PayoutOutcome.NOT_FOUND:
                return known
        try:
            reply = await self._call(account, "transfer/submit", transfer(ask), now)
        except (ProviderAway, Unclear) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=str(error))
        told = read_transfer(reply, ask)
        if not is_refused(reply, ask):
            return told
        known = await self.query_payout(ask, account, now)
        if known.outcome is PayoutOutcome.NOT_FOUND:
            return PayoutAnswer(PayoutOutcome.FAILED, problem=told.problem)
        return told if known.outcome is PayoutOutcome.UNKNOWN else known

    async def query_payout(
        self, ask: PayoutAsk, account: Account[Epay2Settings], now: datetime
    ) -> PayoutAnswer:
        """Ask what became of a payout."""
        fields = {"out_biz_no": ask.payout_number}
        try:
            reply = await self._call(account, "transfer/query", fields, now)
        except (ProviderAway, Unclear) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=str(error))
        return read_transfer_query(reply, ask)

    def read_callback(
        self, raw: Callback, settings: Epay2Settings, now: datetime
    ) -> CallbackFacts | CallbackRefusal:
        """Read a callback: a query by GET, and a form by POST from some forks."""
        form = raw.query.encode("utf-8", "replace") if raw.method == "GET" else raw.body
        return read_notification(form, settings, now)

    def success_answer(self) -> CallbackAnswer:
        """Answer exactly `success`: anything else is sent again."""
        return CallbackAnswer(200, b"success")

    def failure_answer(self) -> CallbackAnswer:
        """Answer what is not `success`, so that it is sent again."""
        return CallbackAnswer(200, b"fail")

    async def _call(
        self,
        account: Account[Epay2Settings],
        path: str,
        fields: Mapping[str, str],
        now: datetime,
    ) -> dict[str, str]:
        """Sign, send, verify."""
        settings = account.settings
        account.line.expect()
        (form,) = await account.line.offload(lambda each: request(each, settings, now), [fields])
        reply = await account.line.send("POST", f"{settings.url}api/{path}", form=form)
        return read_reply(reply.body, settings)


def _load(name: str, load: Any, values: Mapping[str, str]) -> Any:
    try:
        return load(values[name])
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingProblem(name, f"cannot be read as an RSA key. {error}") from error
