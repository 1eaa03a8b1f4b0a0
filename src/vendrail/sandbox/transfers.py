"""Alipay's rules for paying out of a merchant's balance: certificate mode only."""

import re
from datetime import datetime

from vendrail.sandbox.alipay import Outcome
from vendrail.sandbox.calls import Call
from vendrail.sandbox.fields import read_amount, text_of
from vendrail.sandbox.records import Transfer, stamp, yuan
from vendrail.sandbox.refusals import Node, refuse, succeed
from vendrail.sandbox.store import Store

_USER_ID = re.compile(r"2088[0-9]{12}")
_LOGON_ID = re.compile(r"[0-9]{11}|[^@\s]+@[^@\s]+\.[^@\s]+")
_AMOUNT_MINOR_MIN = 10


def _read_payee(content: dict[str, object]) -> str | Node:
    payee = content.get("payee_info")
    if not isinstance(payee, dict):
        return refuse("INVALID_PARAMETER", "payee_info")
    identity, kind = text_of(payee, "identity"), text_of(payee, "identity_type")
    if kind == "ALIPAY_USER_ID":
        is_known = bool(_USER_ID.fullmatch(identity))
    elif kind == "ALIPAY_LOGON_ID":
        if not text_of(payee, "name"):
            return refuse("INVALID_PARAMETER", "payee_info.name")
        is_known = bool(_LOGON_ID.fullmatch(identity))
    elif kind == "ALIPAY_OPEN_ID":
        is_known = len(identity) >= 20
    else:
        return refuse("INVALID_PARAMETER", "payee_info.identity_type")
    return f"{kind}:{identity}" if is_known else refuse("PAYEE_NOT_EXIST")


def transfer(store: Store, call: Call) -> Outcome:
    """alipay.fund.trans.uni.transfer: pay somebody, once per out_biz_no."""
    if not call.app.is_certified:
        return Outcome(refuse("isv.missing-app-cert-sn"))
    payee = _read_payee(call.content)
    if isinstance(payee, dict):
        return Outcome(payee)
    out_biz_no = text_of(call.content, "out_biz_no")
    amount_minor = read_amount(text_of(call.content, "trans_amount")) or 0
    if amount_minor < _AMOUNT_MINOR_MIN:
        return Outcome(refuse("INVALID_PARAMETER", "trans_amount"))
    known = store.transfer(call.app, out_biz_no)
    if known is not None:
        if (known.amount_minor, known.payee) != (amount_minor, payee):
            return Outcome(refuse("BIZ_UNIQUE_EXCEPTION"))
        return Outcome(_transfer_node(known))
    if store.balances[call.app.app_id] < amount_minor:
        return Outcome(refuse("PAYER_BALANCE_NOT_ENOUGH"))
    number = store.make_number(call.now)
    made = Transfer(
        app_id=call.app.app_id,
        out_biz_no=out_biz_no,
        order_id=number,
        fund_order_id=f"{number[:-1]}F",
        amount_minor=amount_minor,
        payee=payee,
        status="SUCCESS",
        at=call.now,
    )
    store.balances[call.app.app_id] -= amount_minor
    store.save(made)
    return Outcome(_transfer_node(made))


_ENDS = {"SUCCESS", "DEALING", "FAIL", "REFUND"}


def end_transfer(store: Store, made: Transfer, status: str, problem: str, now: datetime) -> bool:
    """Let a transfer be under way, done, failed or bounced; what did not arrive comes back."""
    if status not in _ENDS or made.returned_at is not None:
        return False
    made.status, made.problem = status, problem
    if status in {"FAIL", "REFUND"}:
        made.returned_at = now
        store.balances[made.app_id] += made.amount_minor
    store.save(made)
    return True


def _transfer_node(made: Transfer) -> Node:
    return succeed(
        order_id=made.order_id,
        out_biz_no=made.out_biz_no,
        pay_fund_order_id=made.fund_order_id,
        status=made.status,
        trans_date=stamp(made.at),
    )


def transfer_query(store: Store, call: Call) -> Outcome:
    """alipay.fund.trans.common.query: where a transfer stands."""
    made = store.transfer(
        call.app, text_of(call.content, "out_biz_no"), text_of(call.content, "order_id")
    )
    if made is None:
        return Outcome(refuse("ORDER_NOT_EXIST"))
    return Outcome(
        succeed(
            order_id=made.order_id,
            out_biz_no=made.out_biz_no,
            pay_date=stamp(made.at),
            pay_fund_order_id=made.fund_order_id,
            status=made.status,
            trans_amount=yuan(made.amount_minor),
            **({"error_code": made.problem} if made.problem else {}),
        )
    )
