"""Alipay beside payments: the bill of a day, and money paid out of the balance. Pure."""

import re
from datetime import date, datetime, time, timedelta

from vendrail.kernel.money import to_text
from vendrail.payments.channels.alipay_messages import SHANGHAI, Reply, read_amount
from vendrail.payments.channels.base import PayoutAnswer, PayoutAsk, PayoutOutcome
from vendrail.payments.channels.statements import StatementAnswer, StatementKind, StatementOutcome

PAYEE_KINDS = {
    "user_id": "ALIPAY_USER_ID",
    "logon_id": "ALIPAY_LOGON_ID",
    "open_id": "ALIPAY_OPEN_ID",
}
BILL_TYPES = {StatementKind.TRADE: "trade", StatementKind.FUNDS: "signcustomer"}

_PRODUCT = {"product_code": "TRANS_ACCOUNT_NO_PWD", "biz_scene": "DIRECT_TRANSFER"}
_WRITTEN_UP = timedelta(hours=36)  # After a day began: written up about 9:00, three hours spare.
_STATES = {
    "SUCCESS": PayoutOutcome.SUCCEEDED,
    "DEALING": PayoutOutcome.PENDING,
    "WAIT_PAY": PayoutOutcome.PENDING,
    "FAIL": PayoutOutcome.FAILED,
    "CLOSED": PayoutOutcome.FAILED,
    "REFUND": PayoutOutcome.RETURNED,
}
# Refused, and nothing moved: at the first telling, for a later one may follow one that paid.
_REFUSED = frozenset(
    {
        "INVALID_PARAMETER",
        "PAYEE_NOT_EXIST",
        "PAYEE_USERINFO_ERROR",
        "PAYEE_ACC_OCUPIED",
        "PAYEE_ACCOUNT_STATUS_ERROR",
        "PAYER_BALANCE_NOT_ENOUGH",
        "PAYER_STATUS_ERROR",
        "PERMIT_CHECK_PERM_LIMITED",
        "PERM_AML_NOT_REALNAME_REV",
        "EXCEED_LIMIT_DM_MAX_AMOUNT",
        "EXCEED_LIMIT_MM_MAX_AMOUNT",
        "EXCEED_LIMIT_SM_AMOUNT",
        "EXCEED_LIMIT_SM_MIN_AMOUNT",
    }
)


# Bills.


def read_bill_link(reply: Reply, day: date, now: datetime) -> str | StatementAnswer:
    """Give the address of a bill, which is good for seconds, or why there is none."""
    if reply.code == "10000":
        url = reply.text("bill_download_url")
        if re.fullmatch(r"https?://[^\s#]+", url):
            return url
        return StatementAnswer(StatementOutcome.UNKNOWN, problem="no address of a bill")
    begun = datetime.combine(day, time(), SHANGHAI)
    if reply.sub_code == "isp.bill_not_exist":
        # An empty day and one that is not written up are told alike: only time tells them apart.
        is_late = now >= begun + _WRITTEN_UP
        outcome = StatementOutcome.NONE if is_late else StatementOutcome.NOT_READY
        return StatementAnswer(outcome, problem=reply.problem)
    if now < begun + timedelta(days=1):
        return StatementAnswer(StatementOutcome.NOT_READY, problem=reply.problem)
    return StatementAnswer(StatementOutcome.UNKNOWN, problem=reply.problem)


def read_bill(body: bytes, status_code: int, kind: StatementKind, day: date) -> StatementAnswer:
    """Take the file as it came: a ZIP, or it is no bill."""
    if status_code != 200 or not body.startswith(b"PK\x03\x04"):
        problem = f"HTTP {status_code}, and no ZIP"
        return StatementAnswer(StatementOutcome.UNKNOWN, problem=problem)
    name = f"alipay-{kind}-{day.isoformat()}.zip"
    return StatementAnswer(StatementOutcome.READY, body, name, "application/zip")


# Payouts.


def transfer(ask: PayoutAsk) -> dict[str, object]:
    """Give what a transfer says, once per `out_biz_no`."""
    payee = {
        "identity": ask.payee.account,
        "identity_type": PAYEE_KINDS[ask.payee.kind],
        "name": ask.payee.name,
    }
    business: dict[str, object] = {
        "out_biz_no": ask.payout_number,
        "trans_amount": to_text(ask.amount_minor, ask.currency),
        **_PRODUCT,
        "payee_info": {name: value for name, value in payee.items() if value},
    }
    title = " ".join(ask.title.split())
    return business | ({"order_title": title[:128]} if title else {})


def transfer_question(ask: PayoutAsk) -> dict[str, object]:
    """Give what names a transfer in a query."""
    return {"out_biz_no": ask.payout_number, **_PRODUCT}


def read_transfer(reply: Reply, ask: PayoutAsk) -> PayoutAnswer:
    """Turn a verified reply to a transfer into what it means."""
    if reply.code == "10000":
        return _read_state(reply, ask)
    if reply.code == "40004" and reply.sub_code in _REFUSED and ask.tries == 0:
        return PayoutAnswer(PayoutOutcome.FAILED, problem=reply.problem)
    return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=reply.problem)


def read_transfer_query(reply: Reply, ask: PayoutAsk) -> PayoutAnswer:
    """Turn a verified reply about a transfer into what it means."""
    if reply.code == "40004" and reply.sub_code == "ORDER_NOT_EXIST":
        return PayoutAnswer(PayoutOutcome.NOT_FOUND, problem=reply.problem)
    if reply.code != "10000":
        return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=reply.problem)
    if read_amount(reply.text("trans_amount")) != ask.amount_minor:
        return PayoutAnswer(PayoutOutcome.UNKNOWN, problem="answered about another amount")
    return _read_state(reply, ask)


def _read_state(reply: Reply, ask: PayoutAsk) -> PayoutAnswer:
    if reply.text("out_biz_no") != ask.payout_number:
        return PayoutAnswer(PayoutOutcome.UNKNOWN, problem="answered about another payout")
    status, number = reply.text("status"), reply.text("order_id")
    outcome = _STATES.get(status, PayoutOutcome.UNKNOWN)
    problem = reply.text("error_code") or reply.text("fail_reason")
    if outcome is PayoutOutcome.UNKNOWN:
        problem = f"status {status!r}"
    return PayoutAnswer(outcome, number, problem)
