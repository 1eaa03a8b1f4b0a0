"""Alipay's rules for agreements: signed on its page, asked about, charged under, and ended.

No I/O here, and no clock, as for trades. Fields and codes as the provider's own models and manuals
name them: `alipay.user.agreement.page.sign`, `…query`, `…unsign`, and `alipay.trade.pay` with
`product_code=GENERAL_WITHHOLDING`.
"""

import secrets
from collections.abc import Callable
from datetime import datetime

from vendrail.sandbox.alipay import (
    BUYER_ID,
    BUYER_LOGON_ID,
    PAGE_TTL,
    Outcome,
    fund_bills,
    open_trade,
    pay,
    prepare,
)
from vendrail.sandbox.calls import Call
from vendrail.sandbox.fields import text_of
from vendrail.sandbox.records import Agreement, Trade, stamp, yuan
from vendrail.sandbox.refusals import Node, refuse, succeed
from vendrail.sandbox.store import Store

PRODUCT = "GENERAL_WITHHOLDING"
STATUSES = ("NORMAL", "STOP", "UNSIGN")
_CHANNELS = ("ALIPAYAPP", "QRCODE", "QRCODEORSMS")
_FOR_EVER = "2115-02-01 00:00:00"
_NO_SCENE = ("", "DEFAULT|DEFAULT")


# The methods.


def page_sign(store: Store, call: Call) -> Outcome:
    """alipay.user.agreement.page.sign: send the buyer's browser to where it is signed."""
    content = call.content
    if not call.app.has_withholding:
        return Outcome(refuse("isv.insufficient-isv-permissions"))
    access = content.get("access_params")
    channel = access.get("channel") if isinstance(access, dict) else None
    if channel not in _CHANNELS:
        return Outcome(refuse("INVALID_PARAMETER", "access_params"))
    number, scene = text_of(content, "external_agreement_no"), text_of(content, "sign_scene")
    if number and scene in _NO_SCENE:
        return Outcome(refuse("INVALID_PARAMETER", "sign_scene"))
    if not number:
        return Outcome(refuse("INVALID_PARAMETER", "external_agreement_no不能为空"))
    known = store.agreement(call.app, number)
    if known is None:
        known = Agreement(
            app_id=call.app.app_id,
            number=number,
            agreement_no=f"{stamp(call.now)[:4]}{secrets.randbelow(10**16):016d}",
            token=secrets.token_urlsafe(18),
            product=text_of(content, "personal_product_code"),
            scene=scene,
            channel=str(channel),
            notify_url=call.notify_url,
            return_url=call.return_url,
            logon_id=text_of(content, "external_logon_id"),
        )
        store.save(known)
    elif known.status == "OPEN":
        known.return_url, known.notify_url = call.return_url, call.notify_url
        store.save(known)
    elif known.scene != scene:
        return Outcome(refuse("INVALID_PARAMETER", "sign_scene"))
    return Outcome(succeed(), page_url=f"{call.base_url}/alipay/agreement/{known.token}")


def _find(store: Store, call: Call) -> Agreement | Node:
    """Find what is asked about: by Alipay's number, or by the merchant's within its scene."""
    content = call.content
    agreement_no = text_of(content, "agreement_no")
    number, scene = text_of(content, "external_agreement_no"), text_of(content, "sign_scene")
    if not agreement_no and (not number or scene in _NO_SCENE):
        return refuse("INVALID_PARAMETER", "agreement_no、external_agreement_no或sign_scene")
    found = store.agreement(call.app, number, agreement_no)
    if found is None or found.status in ("OPEN", "UNSIGN"):
        return refuse("USER_AGREEMENT_NOT_EXIST")
    product = text_of(content, "personal_product_code")
    if not agreement_no and (found.scene, found.product) != (scene, product):
        return refuse("USER_AGREEMENT_NOT_EXIST")
    return found


def query(store: Store, call: Call) -> Outcome:
    """alipay.user.agreement.query: what is signed; what is not, or not any more, is not there."""
    found = _find(store, call)
    if isinstance(found, dict):
        return Outcome(found)
    return Outcome(succeed(**described(found), pricipal_type="CARD", principal_id=BUYER_ID))


def unsign(store: Store, call: Call) -> Outcome:
    """alipay.user.agreement.unsign: nothing is charged under it from now on."""
    found = _find(store, call)
    if isinstance(found, dict):
        return Outcome(found)
    end(store, found, call.now)
    return Outcome(succeed())


def trade_pay(store: Store, call: Call) -> Outcome:
    """alipay.trade.pay: charge under an agreement, without the buyer."""
    content = call.content
    if text_of(content, "product_code") != PRODUCT or not call.app.has_withholding:
        return Outcome(refuse("ACQ.ACCESS_FORBIDDEN", "product_code"))
    params = content.get("agreement_params")
    agreement_no = params.get("agreement_no") if isinstance(params, dict) else None
    if not isinstance(agreement_no, str) or not agreement_no:
        return Outcome(refuse("ACQ.AUTH_TOKEN_IS_NOT_EXIST", "agreement_params"))
    agreement = store.agreement(call.app, "", agreement_no)
    if agreement is None or agreement.status in ("OPEN", "UNSIGN"):
        return Outcome(refuse("ACQ.AGREEMENT_NOT_EXIST"))
    if agreement.status != "NORMAL":
        return Outcome(refuse("ACQ.AGREEMENT_STATUS_NOT_NORMAL"))
    trade = prepare(store, call, PAGE_TTL)
    if isinstance(trade, dict):
        return Outcome(trade)
    problem = _check_charge(store, agreement, trade, call.now)
    if problem:
        # What was begun stays open, as at the provider: the merchant may try it again or close it.
        open_trade(store, trade, call.now)
        return Outcome(refuse(problem))
    trade.agreement_no = agreement_no
    if agreement.is_slow:
        open_trade(store, trade, call.now)
        return Outcome({"code": "10003", "msg": "order success pay inprocess", **_numbers(trade)})
    agreement.funds_minor -= trade.total_minor
    store.save(agreement)
    events = pay(store, trade, call.now)
    return Outcome(succeed(**_charged(trade)), events)


def _check_charge(store: Store, agreement: Agreement, trade: Trade, now: datetime) -> str:
    if agreement.is_watched:
        return "ACQ.PAYMENT_REQUEST_HAS_RISK"
    if trade.total_minor > agreement.single_minor_max:
        return "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR"
    charged_minor = store.charged_minor(agreement, stamp(now)[:10])
    if charged_minor + trade.total_minor > agreement.day_minor_max:
        return "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR"
    if trade.total_minor > agreement.funds_minor:
        return "ACQ.BUYER_BALANCE_NOT_ENOUGH"
    return ""


def _numbers(trade: Trade) -> dict[str, object]:
    return {
        "buyer_logon_id": BUYER_LOGON_ID,
        "buyer_user_id": BUYER_ID,
        "out_trade_no": trade.out_trade_no,
        "total_amount": yuan(trade.total_minor),
        "trade_no": trade.trade_no,
    }


def _charged(trade: Trade) -> dict[str, object]:
    total = yuan(trade.total_minor)
    return {
        **_numbers(trade),
        "buyer_pay_amount": total,
        "fund_bill_list": fund_bills(trade.total_minor),
        "gmt_payment": stamp(trade.paid_at or trade.created_at),
        "invoice_amount": total,
        "point_amount": "0.00",
        "receipt_amount": total,
    }


# The buyer's side.


def described(agreement: Agreement) -> dict[str, object]:
    """Write what both replies and notifications say of an agreement."""
    signed = stamp(agreement.signed_at) if agreement.signed_at else ""
    return {
        "agreement_no": agreement.agreement_no,
        "alipay_logon_id": BUYER_LOGON_ID,
        "external_agreement_no": agreement.number,
        "invalid_time": _FOR_EVER,
        "personal_product_code": agreement.product,
        "sign_scene": agreement.scene,
        "sign_time": signed,
        "status": agreement.status,
        "valid_time": signed,
    }


def sign(store: Store, agreement: Agreement, now: datetime) -> bool:
    """The buyer signs; one that was signed before, or has ended, stays as it is."""
    if agreement.status != "OPEN":
        return False
    agreement.status, agreement.signed_at = "NORMAL", now
    store.save(agreement)
    return True


def end(store: Store, agreement: Agreement, now: datetime) -> bool:
    """The buyer or the merchant ends it."""
    if agreement.status not in ("NORMAL", "STOP"):
        return False
    agreement.status, agreement.ended_at = "UNSIGN", now
    store.save(agreement)
    return True


Operation = Callable[[Store, Call], Outcome]

AGREEMENT_METHODS: dict[str, Operation] = {
    "alipay.user.agreement.page.sign": page_sign,
    "alipay.user.agreement.query": query,
    "alipay.user.agreement.unsign": unsign,
    "alipay.trade.pay": trade_pay,
}
PAGE_METHODS = frozenset({"alipay.user.agreement.page.sign"})
