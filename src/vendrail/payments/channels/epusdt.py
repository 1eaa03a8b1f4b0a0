"""Epusdt and its kin: prices in yuan, paid in USDT on a chain, at a server of one's own.

Page, query and, at BEpusdt, cancellation; callbacks that only make us ask. Nothing can be given
back by the server: it holds no key to the money.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from vendrail.api.payments import Callback, CallbackAnswer
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
from vendrail.payments.channels.epusdt_messages import (
    CURRENCY,
    GMPAY,
    EpusdtSettings,
    Unclear,
    cancellation,
    order,
    read_close,
    read_json,
    read_notification,
    read_query,
    read_way,
)
from vendrail.payments.channels.line import ProviderAway

_JSON = {"Content-Type": "application/json"}


def _is_url(value: str) -> str:
    is_good = re.fullmatch(r"https?://[^\s?#@]+", value)
    return "" if is_good else "is the address of the server, as https://usdt.example.com/."


def _is_token(value: str) -> str:
    return "" if re.fullmatch(r"[\x21-\x7e]{8,128}", value) else "is 8 to 128 letters and digits."


def _is_coin(value: str) -> str:
    is_good = re.fullmatch(r"[a-z0-9]{2,16}\.[a-z0-9-]{2,16}", value)
    return "" if is_good else "is a coin and a chain, as usdt.trc20."


def _one_of(*values: str) -> Callable[[str], str]:
    return lambda value: "" if value in values else f"is one of {', '.join(values)}."


class EpusdtChannel:
    """An account at a server that speaks epusdt."""

    kind = "epusdt"
    name = "Epusdt / BEpusdt"
    currencies: Sequence[str] = (CURRENCY,)
    expires_max = timedelta(hours=1)
    settings_table: Sequence[Setting] = (
        Setting("url", "Address of the server",
                "Where the server is, as https://usdt.example.com/.",
                {"zh-Hans": ("服务地址", "服务所在的地址，例如 https://usdt.example.com/。")},
                is_required=True, check=_is_url),
        Setting("token", "Token", "The token that signs (api_auth_token), or a merchant's secret.",
                {"zh-Hans": ("密钥", "用于签名的 api_auth_token，或 GMPay 商户密钥。")},
                is_secret=True, is_required=True, check=_is_token),
        Setting("variant", "Program",
                "Which program the server runs: epusdt, bepusdt or gmpay.",
                {"zh-Hans": ("程序", "服务端程序：epusdt、bepusdt 或 gmpay。")},
                default="epusdt", check=_one_of("epusdt", "bepusdt", GMPAY)),
        Setting("signs_by", "Signature",
                "md5, or hmac for a GMPay that signs by HMAC-SHA256.",
                {"zh-Hans": ("签名算法", "md5；若 GMPay 使用 HMAC-SHA256 则填 hmac。")},
                default="md5", check=_one_of("md5", "hmac")),
        Setting("pid", "Number of the merchant", "GMPay only: the merchant's number (pid).",
                {"zh-Hans": ("商户编号", "仅 GMPay 需要：商户编号 pid。")}),
        Setting("coin", "Coin and chain",
                "What buyers pay, as usdt.trc20; epusdt of old knows this one only.",
                {"zh-Hans": ("币种与网络", "买家支付的币种和网络，例如 usdt.trc20。")},
                default="usdt.trc20", check=_is_coin),
        Setting("allows_http", "Without HTTPS",
                "yes: anybody between may say that an order is paid. For a sandbox only.",
                {"zh-Hans": ("允许不加密", "yes：中间人可伪造已付款的答复。仅用于沙箱。")},
                default="no", check=_one_of("yes", "no")),
    )  # fmt: skip

    def read_settings(self, values: Mapping[str, str]) -> EpusdtSettings:
        """Give typed settings; the server's answers are as true as its address."""
        if values["url"].startswith("http://") and values["allows_http"] != "yes":
            raise SettingProblem("url", "begins with https://, for answers are not signed.")
        if values["variant"] == GMPAY and not values["pid"]:
            raise SettingProblem("pid", "is needed for gmpay.", is_missing=True)
        if values["signs_by"] == "hmac" and values["variant"] != GMPAY:
            raise SettingProblem("signs_by", "is md5 for all but gmpay.")
        return EpusdtSettings(
            values["url"].rstrip("/") + "/",
            values["token"],
            values["variant"],
            values["signs_by"],
            values["pid"],
            values["coin"],
        )

    def offers(self, settings: EpusdtSettings) -> list[MethodOffer]:
        """Offer the coin, on the server's page."""
        return [MethodOffer(settings.coin.partition(".")[0], "redirect")]

    async def present(
        self, asks: Sequence[Ask], account: Account[EpusdtSettings], now: datetime
    ) -> list[Presentation]:
        """Make an order for each ask; a server makes an order of one number once."""
        return list(await asyncio.gather(*(self._present(ask, account) for ask in asks)))

    async def _present(self, ask: Ask, account: Account[EpusdtSettings]) -> Presentation:
        settings = account.settings
        try:
            reply = await self._post(account, settings.create_path, order(ask, settings))
        except (ProviderAway, Unclear):
            return away()
        return read_way(reply, ask)

    async def query(self, ask: Ask, account: Account[EpusdtSettings], now: datetime) -> QueryAnswer:
        """Ask what became of the trade that was made for this attempt, and of no other.

        A callback may name any trade, and one that was paid in cents is as paid as ours.
        """
        trade_id = ask.reference or ask.out_trade_no  # Never shown: there is no such trade.
        url = f"{account.settings.url}pay/check-status/{quote(trade_id, safe='')}"
        try:
            reply = read_json((await account.line.send("GET", url)).body)
        except (ProviderAway, Unclear) as error:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem=str(error))
        return read_query(reply, ask, account.settings)

    def doubt(self, problem: str) -> Doubt:
        """Say by its code what a server finds wrong."""
        return Doubt.SIGNATURE if problem.startswith("401") or "签名" in problem else Doubt.OTHER

    async def close(
        self, ask: Ask, account: Account[EpusdtSettings], now: datetime
    ) -> CloseOutcome:
        """Take the order back where that can be done; elsewhere it is watched until it expires."""
        settings = account.settings
        if not ask.reference:
            return CloseOutcome.NOT_FOUND
        if settings.variant != "bepusdt":
            return CloseOutcome.UNSUPPORTED
        path = "api/v1/order/cancel-transaction"
        try:
            reply = await self._post(account, path, cancellation(ask.reference, settings))
        except (ProviderAway, Unclear):
            return CloseOutcome.UNKNOWN
        return read_close(reply)

    async def refund(
        self, ask: RefundAsk, account: Account[EpusdtSettings], now: datetime
    ) -> RefundAnswer:
        """Say that nothing goes back this way: a person sends it from the wallet."""
        return RefundAnswer(RefundOutcome.FAILED, "the server cannot give back", is_final=True)

    async def query_refund(
        self, ask: RefundAsk, account: Account[EpusdtSettings], now: datetime
    ) -> RefundAnswer:
        """Say that nothing ever went back this way."""
        return RefundAnswer(RefundOutcome.NOT_FOUND)

    def read_callback(
        self, raw: Callback, settings: EpusdtSettings, now: datetime
    ) -> CallbackFacts | CallbackRefusal:
        """Read a callback: JSON, posted."""
        if raw.method != "POST":
            return CallbackRefusal("method_not_post")
        return read_notification(raw.body, settings)

    def success_answer(self) -> CallbackAnswer:
        """Answer exactly `ok`: anything else is sent again."""
        return CallbackAnswer(200, b"ok")

    def failure_answer(self) -> CallbackAnswer:
        """Answer what is not `ok`, so that it is sent again."""
        return CallbackAnswer(200, b"fail")

    async def _post(
        self, account: Account[EpusdtSettings], path: str, content: bytes
    ) -> Mapping[str, Any]:
        account.line.expect()
        url = f"{account.settings.url}{path}"
        reply = await account.line.send("POST", url, content=content, headers=_JSON)
        return read_json(reply.body)
