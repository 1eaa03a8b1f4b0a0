"""Epay (易支付), V1: the protocol that many small providers in China share.

Page and code, query, refund; callbacks that only make us ask. The provider's replies are not
signed, so they are as true as the address they come from: it is HTTPS, or the operator says
otherwise.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from vendrail.api.payments import ActionKind, Callback, CallbackAnswer, PaymentAction
from vendrail.kernel.epay import CURRENCY, TYPES, signed
from vendrail.payments.channels.base import (
    Account,
    Ask,
    CallbackFacts,
    CallbackRefusal,
    CloseOutcome,
    Doubt,
    MethodOffer,
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
from vendrail.payments.channels.epay_messages import (
    SCAN,
    EpaySettings,
    Unclear,
    order,
    read_notification,
    read_query,
    read_refund,
    read_refund_query,
    read_reply,
    read_way,
    scan_order,
    text_of,
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
    return "" if is_good else "is the address of the folder that holds submit.php, without it."


def _is_key(value: str) -> str:
    return "" if re.fullmatch(r"[\x21-\x7e]{8,128}", value) else "is 8 to 128 letters and digits."


def _one_of(*values: str) -> Any:
    return lambda value: "" if value in values else f"is one of {', '.join(values)}."


class EpayChannel:
    """An account at an Epay provider."""

    kind = "epay"
    name = "易支付 Epay"
    currencies: Sequence[str] = (CURRENCY,)
    expires_max = timedelta(days=1)
    settings_table: Sequence[Setting] = (
        Setting("url", "Address of the provider",
                "The provider's address, as https://pay.example.com/.",
                {"zh-Hans": ("接口地址", "服务商的地址，例如 https://pay.example.com/。")},
                is_required=True, check=_is_url),
        Setting("pid", "Number of the merchant", "The merchant's number (商户ID).",
                {"zh-Hans": ("商户ID", "服务商后台显示的商户编号。")},
                is_required=True, check=check_pid),
        Setting("key", "Key of the merchant", "The merchant's key (商户密钥).",
                {"zh-Hans": ("商户密钥", "服务商后台显示的商户密钥。")},
                is_secret=True, is_required=True, check=_is_key),
        Setting("methods", "Ways to pay", f"What was signed up for: any of {', '.join(TYPES)}.",
                {"zh-Hans": ("支付方式", f"已开通的方式，用逗号分隔：{'、'.join(TYPES)}。")},
                default="alipay,wechat", check=check_types),
        Setting("shows", "What the buyer meets",
                "Any of page: the buyer goes to the provider, qr: its code is shown here.",
                {"zh-Hans": ("买家看到什么", "page：跳转到服务商；qr：在本站显示二维码。可都填。")},
                default="page", check=check_shows),
        Setting("asks_by", "How orders are asked for",
                "How api.php is asked for orders: get, or post where it takes that.",
                {"zh-Hans": ("查询方式",
                             "向 api.php 查询订单的方式：get；服务商支持时可用 post。")},
                default="get", check=_one_of("get", "post")),
        Setting("refunds", "Refunds", "yes, where the provider gives money back by api.php.",
                {"zh-Hans": ("退款", "服务商支持通过 api.php 退款时填 yes，否则 no。")},
                default="no", check=_one_of("yes", "no")),
        Setting("allows_http", "Without HTTPS",
                "yes: the key may travel unsealed. For a sandbox only.",
                {"zh-Hans": ("允许不加密", "yes：密钥可能以明文传输。仅用于沙箱。")},
                default="no", check=_one_of("yes", "no")),
    )  # fmt: skip

    def read_settings(self, values: Mapping[str, str]) -> EpaySettings:
        """Give typed settings; the address must be one that nobody can listen at."""
        if values["url"].startswith("http://") and values["allows_http"] != "yes":
            raise SettingProblem("url", "begins with https://, for the key travels with requests.")
        return EpaySettings(
            values["url"].rstrip("/") + "/",
            values["pid"],
            values["key"],
            tuple(dict.fromkeys(split(values["methods"]))),
            frozenset(split(values["shows"])),
            values["asks_by"].upper(),
            values["refunds"] == "yes",
        )

    def offers(self, settings: EpaySettings) -> list[MethodOffer]:
        """Offer each way to pay by the provider's page, by its code, or by both."""
        return offers_of(settings.types, settings.shows, SCAN)

    async def present(
        self, asks: Sequence[Ask], account: Account[EpaySettings], now: datetime
    ) -> list[Presentation]:
        """Sign the provider's page here; fetch codes from it."""
        return list(await asyncio.gather(*(self._present(ask, account) for ask in asks)))

    async def _present(self, ask: Ask, account: Account[EpaySettings]) -> Presentation:
        settings = account.settings
        if not ask.method.endswith(SCAN):
            params = signed(order(ask, settings), settings.key)
            url = f"{settings.url}submit.php?{urlencode(params)}"
            return Presentation(PaymentAction(ActionKind.REDIRECT, url=url))
        try:
            account.line.expect()
            form = scan_order(ask, settings)
            reply = await account.line.send("POST", f"{settings.url}mapi.php", form=form)
            return read_way(read_reply(reply.body))
        except (ProviderAway, Unclear):
            return away()

    async def query(self, ask: Ask, account: Account[EpaySettings], now: datetime) -> QueryAnswer:
        """Ask by our number what became of an order: the one thing that is believed."""
        try:
            fields = await self._read_order(ask.out_trade_no, account, ask.provider_number)
        except (ProviderAway, Unclear) as error:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem=_safe(error, account))
        return read_query(fields, ask, account.settings)

    def doubt(self, problem: str) -> Doubt:
        """Say by the words that providers use what is the matter."""
        words = problem.lower()
        if "签名" in words or "sign" in words:
            return Doubt.SIGNATURE
        is_refused = any(each in words for each in ("商户", "密钥", "pid", "key"))
        return Doubt.CREDENTIALS if is_refused else Doubt.OTHER

    async def close(self, ask: Ask, account: Account[EpaySettings], now: datetime) -> CloseOutcome:
        """Say that V1 cannot close an order: it is watched until it expires, and after."""
        return CloseOutcome.UNSUPPORTED

    async def refund(
        self, ask: RefundAsk, account: Account[EpaySettings], now: datetime
    ) -> RefundAnswer:
        """Tell the provider once: it knows no number of ours, and would give a part twice.

        The whole can be told again, for it cannot go back twice.
        """
        settings = account.settings
        if not settings.can_refund:
            return RefundAnswer(RefundOutcome.FAILED, "refunds are off", is_final=ask.tries == 0)
        if ask.tries and not ask.is_whole:
            return RefundAnswer(RefundOutcome.FAILED, "told once, and not again")
        form = {
            "pid": settings.pid,
            "key": settings.key,
            "trade_no": ask.provider_number,
            "out_trade_no": ask.out_trade_no,
            "money": f"{ask.amount_minor // 100}.{ask.amount_minor % 100:02d}",
        }
        try:
            fields = await self._send("POST", account, {"act": "refund"}, form)
        except (ProviderAway, Unclear) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, _safe(error, account))
        return read_refund(fields, ask)

    async def query_refund(
        self, ask: RefundAsk, account: Account[EpaySettings], now: datetime
    ) -> RefundAnswer:
        """Ask what of the order has gone back."""
        try:
            fields = await self._read_order(ask.out_trade_no, account)
        except (ProviderAway, Unclear) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, _safe(error, account))
        return read_refund_query(fields, ask)

    def read_callback(
        self, raw: Callback, settings: EpaySettings, now: datetime
    ) -> CallbackFacts | CallbackRefusal:
        """Read a callback: a query by GET, and a form by POST from some forks."""
        return read_notification(
            raw.query.encode("utf-8", "replace") if raw.method == "GET" else raw.body, settings
        )

    def success_answer(self) -> CallbackAnswer:
        """Answer exactly `success`: anything else is sent again."""
        return CallbackAnswer(200, b"success")

    def failure_answer(self) -> CallbackAnswer:
        """Answer what is not `success`, so that it is sent again."""
        return CallbackAnswer(200, b"fail")

    async def _read_order(
        self, number: str, account: Account[EpaySettings], provider_number: str = ""
    ) -> Mapping[str, Any]:
        settings = account.settings
        fields = {"pid": settings.pid, "key": settings.key, "out_trade_no": number}
        if provider_number:  # It wins: one of our numbers may have been paid twice.
            fields["trade_no"] = provider_number
        if settings.asks_by == "POST":
            return await self._send("POST", account, {"act": "order"}, fields)
        return await self._send("GET", account, {"act": "order", **fields}, None)

    async def _send(
        self,
        method: str,
        account: Account[EpaySettings],
        params: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> Mapping[str, Any]:
        """Ask api.php; the key goes along, and must not come back into a log or a problem."""
        key = account.settings.key.encode()
        url = f"{account.settings.url}api.php"
        reply = await account.line.send(method, url, params=params, form=form)
        if reply.status_code != 200:
            raise Unclear(f"the provider answered HTTP {reply.status_code}")
        fields = read_reply(reply.body.replace(key, b"********"))
        if not text_of(fields, "code"):
            raise Unclear("the reply has no code")
        return fields


def _safe(error: Exception, account: Account[EpaySettings]) -> str:
    """Give an error's words without the key, whoever put it there."""
    return str(error).replace(account.settings.key, "********")
