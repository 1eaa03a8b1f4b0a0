"""Agreements at Alipay (商家扣款): signed once on its page, then charged without one, until ended.

Signed by itself (`alipay.user.agreement.page.sign`), for web pages know no paying and signing in
one: that is for apps and mini programs. The page opens in the Alipay app alone, so a desk shows its
address as a code, and other browsers of a phone hand it to the app. Fields as in the models of
github.com/alipay/alipay-sdk-java-all (AlipayUserAgreementPageSignModel, …QueryModel, …UnsignModel,
AlipayTradePayModel) and on opendocs.alipay.com, 商家扣款.
"""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

from vendrail.api.payments import ActionKind, Device, PaymentAction
from vendrail.payments.channels.alipay_line import call
from vendrail.payments.channels.alipay_messages import (
    AlipaySettings,
    Reply,
    Unclear,
    build_request,
    order,
    read_time,
)
from vendrail.payments.channels.base import Account, Ask
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.saving import (
    AgreementAsk,
    SavedAnswer,
    SavedMethod,
    SavedOutcome,
)

METHOD = "alipay"
PRODUCT = "GENERAL_WITHHOLDING"
# Opens an address in the Alipay app, from any other browser of the phone.
_APP = "alipays://platformapi/startapp?appId=20000067&url="
_NOWHERE = frozenset({"USER_AGREEMENT_NOT_EXIST", "ACQ.USER_AGREEMENT_NOT_EXIST"})
_NAME_MAX = 100
_FOR_EVER = 2100  # Alipay writes 2115 where an agreement has no end.

# The agreement has ended, or will not be good again: another has to be signed.
_GONE = frozenset(
    {"ACQ.AGREEMENT_NOT_EXIST", "ACQ.AGREEMENT_INVALID", "ACQ.AGREEMENT_STATUS_NOT_NORMAL"}
)
# A clear no to this charge; whatever else is said may have moved money.
_DECLINED = frozenset(
    {
        "ACQ.ACCESS_FORBIDDEN", "ACQ.AGREEMENT_ERROR", "ACQ.AUTH_TOKEN_IS_NOT_EXIST",
        "ACQ.BEYOND_PAY_RESTRICTION", "ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION",
        "ACQ.BEYOND_PER_RECEIPT_RESTRICTION", "ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION",
        "ACQ.BUYER_BALANCE_NOT_ENOUGH", "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH",
        "ACQ.BUYER_ENABLE_STATUS_FORBID", "ACQ.BUYER_NOT_EXIST",
        "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR", "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR",
        "ACQ.BUYER_SELLER_EQUAL", "ACQ.CYCLE_PAY_DATE_NOT_MATCH",
        "ACQ.CYCLE_PAY_SINGLE_FEE_EXCEED", "ACQ.CYCLE_PAY_TOTAL_FEE_EXCEED",
        "ACQ.CYCLE_PAY_TOTAL_TIMES_EXCEED", "ACQ.ERROR_BALANCE_PAYMENT_DISABLE",
        "ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT", "ACQ.INVALID_PARAMETER",
        "ACQ.MERCHANT_AGREEMENT_INVALID", "ACQ.MERCHANT_AGREEMENT_NOT_EXIST",
        "ACQ.MERCHANT_STATUS_NOT_NORMAL", "ACQ.MOBILE_PAYMENT_SWITCH_OFF",
        "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE", "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR",
        "ACQ.PAYMENT_FAIL", "ACQ.PAYMENT_REQUEST_HAS_RISK", "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR",
        "ACQ.SELLER_BEEN_BLOCKED", "ACQ.TOTAL_FEE_EXCEED", "ACQ.TRADE_HAS_CLOSE",
    }
)  # fmt: skip


def sign_address(settings: AlipaySettings, ask: AgreementAsk, now: datetime) -> str:
    """Sign the address of the page on which a buyer agrees."""
    channel = "QRCODE" if ask.device is Device.DESKTOP else "ALIPAYAPP"
    business: dict[str, object] = {
        **_named(settings, ask.number),
        "product_code": PRODUCT,
        "access_params": {"channel": channel},
    }
    if ask.shown_name:  # The page names the account: nobody signs for another's unknowingly.
        business["external_logon_id"] = ask.shown_name[:_NAME_MAX]
    params = build_request(
        settings,
        "alipay.user.agreement.page.sign",
        business,
        now,
        notify_url=ask.notify_url,
        return_url=ask.return_url,
    )
    return f"{settings.gateway_url}?{urlencode(params)}"


def charge(ask: Ask, agreement: str) -> dict[str, object]:
    """Ask to be paid under an agreement."""
    return {**order(ask), "product_code": PRODUCT, "agreement_params": {"agreement_no": agreement}}


def read_agreement(reply: Reply, number: str) -> list[SavedMethod] | None:
    """Turn a reply about an agreement into the way to pay it is; None: it says nothing."""
    if reply.code == "40004" and reply.sub_code in _NOWHERE:
        return []
    if reply.code != "10000" or reply.text("external_agreement_no") != number:
        return None
    agreement, status = reply.text("agreement_no"), reply.text("status")
    if status == "TEMP":  # Not in force yet, and never was.
        return []
    if status != "NORMAL" or not agreement:  # Paused: nobody has ended it.
        return None
    label = reply.text("alipay_logon_id") or f"•••• {agreement[-4:]}"
    ends_at = read_time(reply.text("invalid_time"))
    is_ending = ends_at is not None and ends_at.year < _FOR_EVER
    expires = f"{ends_at:%Y-%m}" if ends_at is not None and is_ending else ""
    return [SavedMethod(agreement, label, expires, read_time(reply.text("sign_time")))]


def read_charge(reply: Reply, ask: Ask) -> SavedAnswer:
    """Turn a reply to a charge into what came of it; what is not clear is asked."""
    if reply.code in {"10000", "10003"}:
        if reply.text("out_trade_no") != ask.out_trade_no:
            return SavedAnswer(SavedOutcome.UNKNOWN, problem="answered about another trade")
        is_paid = reply.code == "10000"
        return SavedAnswer(SavedOutcome.PAID if is_paid else SavedOutcome.PENDING)
    if reply.code == "40004":
        if reply.sub_code == "ACQ.TRADE_HAS_SUCCESS":  # By an earlier telling of the same.
            return SavedAnswer(SavedOutcome.PAID)
        if reply.sub_code in _GONE:
            return SavedAnswer(SavedOutcome.DECLINED, problem=reply.problem, is_gone=True)
        if reply.sub_code in _DECLINED:
            return SavedAnswer(SavedOutcome.DECLINED, problem=reply.problem)
    return SavedAnswer(SavedOutcome.UNKNOWN, problem=reply.problem)


def _named(settings: AlipaySettings, number: str) -> Mapping[str, object]:
    """Name an agreement by our number, which Alipay knows within its scene alone."""
    if not settings.agreement_scene:
        return {}
    return {
        "personal_product_code": settings.agreement_product,
        "sign_scene": settings.agreement_scene,
        "external_agreement_no": number,
    }


class AlipayAgreements:
    """What a channel of Alipay's does with agreements; our number of one is its customer."""

    def agreed_method(self, settings: AlipaySettings) -> str:
        """Agreements are for `alipay`, where the contract names their scene and it is offered."""
        has_pages = bool(settings.products & {"page", "wap"})
        return METHOD if settings.agreement_scene and has_pages else ""

    async def open_agreement(
        self, ask: AgreementAsk, account: Account[AlipaySettings], now: datetime
    ) -> PaymentAction:
        """Sign the page here: a code for a desk, a link into the app, or the page itself in it."""

        def sign(each: AgreementAsk) -> str:
            return sign_address(account.settings, each, now)

        (url,) = await account.line.offload(sign, [ask])
        if ask.device is Device.DESKTOP:
            return PaymentAction(ActionKind.QR, text=url)
        if ask.device is Device.ALIPAY:
            return PaymentAction(ActionKind.REDIRECT, url=url)
        return PaymentAction(ActionKind.REDIRECT, url=f"{_APP}{quote(url, safe='')}")

    async def list_saved(
        self, customer: str, account: Account[AlipaySettings], now: datetime
    ) -> list[SavedMethod] | None:
        """Ask by our number whether there is an agreement in force."""
        business = _named(account.settings, customer)
        if not business:  # Agreements are switched off: it cannot be asked by our number.
            return None
        try:
            reply = await call(account, "alipay.user.agreement.query", business, now)
        except (ProviderAway, Unclear):
            return None
        return read_agreement(reply, customer)

    async def pay_saved(
        self, ask: Ask, saved: str, account: Account[AlipaySettings], now: datetime
    ) -> SavedAnswer:
        """Charge under the attempt's own number: asked again, it moves money at most once."""
        business = charge(ask, saved)
        try:
            reply = await call(
                account, "alipay.trade.pay", business, now, notify_url=ask.notify_url
            )
        except (ProviderAway, Unclear):
            return SavedAnswer(SavedOutcome.UNKNOWN)
        return read_charge(reply, ask)

    async def forget_saved(
        self, customer: str, saved: str, account: Account[AlipaySettings], now: datetime
    ) -> bool:
        """End an agreement: it charges nothing from then on."""
        business = dict(_named(account.settings, customer))
        if saved != customer:
            business["agreement_no"] = saved
        elif not business:  # Agreements are switched off: it cannot be ended by our number.
            return False
        try:
            reply = await call(account, "alipay.user.agreement.unsign", business, now)
        except (ProviderAway, Unclear):
            return False
        return reply.code == "10000" or reply.sub_code in _NOWHERE
