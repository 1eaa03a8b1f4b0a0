"""WeChat Pay beside payments: a day's bills, and transfers that their payee confirms. Pure."""

import gzip
import hashlib
import zlib
from datetime import date, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from vendrail.payments.channels import wechat_signatures as signatures
from vendrail.payments.channels.base import PayoutAnswer, PayoutAsk, PayoutOutcome
from vendrail.payments.channels.statements import StatementAnswer, StatementKind, StatementOutcome
from vendrail.payments.channels.wechat_messages import SHANGHAI, Reply, WechatSettings

PAYEE_KINDS = ("openid",)
BILLS = {
    StatementKind.TRADE: ("/v3/bill/tradebill", {"bill_type": "ALL"}),
    StatementKind.FUNDS: ("/v3/bill/fundflowbill", {"account_type": "BASIC"}),
}
TRANSFERS = "/v3/fund-app/mch-transfer/transfer-bills"

_UNPACKED_BYTES_MAX = 512 << 20
_REMARK_LENGTH_MAX = 32
_NAMED_MINOR_MIN = 30  # Below, WeChat Pay takes no name.
_STATES = {
    "ACCEPTED": PayoutOutcome.PENDING,
    "PROCESSING": PayoutOutcome.PENDING,
    "WAIT_USER_CONFIRM": PayoutOutcome.PENDING,
    "TRANSFERING": PayoutOutcome.PENDING,  # As the provider spells it.
    "CANCELING": PayoutOutcome.PENDING,
    "SUCCESS": PayoutOutcome.SUCCEEDED,
    "FAIL": PayoutOutcome.FAILED,
    "CANCELLED": PayoutOutcome.FAILED,
}
# Refused at the first telling, and nothing moved; later ones leave open what an earlier one did.
_REFUSED = frozenset({"PARAM_ERROR", "INVALID_REQUEST", "NOT_ENOUGH"})


# Bills.


def read_bill_link(reply: Reply, day: date, now: datetime) -> tuple[str, str] | StatementAnswer:
    """Give the address of a bill and its hash, or why there is none."""
    if reply.is_good:
        if reply.text("hash_type") != "SHA1":
            problem = f"hash_type {reply.text('hash_type')!r}"
            return StatementAnswer(StatementOutcome.UNKNOWN, problem=problem)
        return reply.text("download_url"), reply.text("hash_value").lower()
    is_over = day < now.astimezone(SHANGHAI).date()
    if reply.code == "STATEMENT_CREATING" or not is_over:
        return StatementAnswer(StatementOutcome.NOT_READY, problem=reply.problem)
    if reply.code == "NO_STATEMENT_EXIST":
        return StatementAnswer(StatementOutcome.NONE, problem=reply.problem)
    return StatementAnswer(StatementOutcome.UNKNOWN, problem=reply.problem)


def read_bill(
    body: bytes, status_code: int, wanted: str, kind: StatementKind, day: date
) -> tuple[StatementAnswer, str]:
    """Take the file as it came, if its hash is right; say also over what the hash was made.

    The manual does not tell whether that is the packed file or what is in it: either is taken.
    """
    if status_code != 200:
        problem = f"the file was not given out: HTTP {status_code}"
        return StatementAnswer(StatementOutcome.UNKNOWN, problem=problem), ""
    plain = _unpack(body)
    if plain is None:
        problem = "the file cannot be unpacked"
        return StatementAnswer(StatementOutcome.UNKNOWN, problem=problem), ""
    basis = next(
        (name for name, data in (("packed", body), ("plain", plain)) if _sha1(data) == wanted), ""
    )
    if not basis:
        problem = "the file's hash is another than was told"
        return StatementAnswer(StatementOutcome.UNKNOWN, problem=problem), ""
    name = f"wechat-{kind}-{day.isoformat()}.csv.gz"
    return StatementAnswer(StatementOutcome.READY, body, name, "application/gzip"), basis


def _unpack(body: bytes) -> bytes | None:
    try:
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
        plain = unpacking.decompress(body, _UNPACKED_BYTES_MAX)
    except (zlib.error, gzip.BadGzipFile):
        return None
    return plain if unpacking.eof else None


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


# Transfers.


def transfer(ask: PayoutAsk, settings: WechatSettings, key: RSAPublicKey) -> dict[str, object]:
    """Give what a transfer says, once per `out_bill_no`; the name is for WeChat Pay's eyes."""
    body: dict[str, object] = {
        "appid": settings.appid,
        "out_bill_no": ask.payout_number,
        "transfer_scene_id": settings.transfer_scene,
        "openid": ask.payee.account,
        "transfer_amount": ask.amount_minor,
        "transfer_remark": " ".join(ask.title.split())[:_REMARK_LENGTH_MAX] or ask.payout_number,
        "transfer_scene_report_infos": [
            {"info_type": name, "info_content": content}
            for name, content in settings.transfer_report
        ],
    }
    if ask.payee.name and ask.amount_minor >= _NAMED_MINOR_MIN:
        body["user_name"] = signatures.seal_name(ask.payee.name, key)
    return body | ({"notify_url": ask.notify_url} if ask.notify_url else {})


def read_transfer(reply: Reply, ask: PayoutAsk) -> PayoutAnswer:
    """Turn a verified reply to a transfer into what it means."""
    if not reply.is_good:
        is_final = reply.code in _REFUSED and ask.tries == 0
        outcome = PayoutOutcome.FAILED if is_final else PayoutOutcome.UNKNOWN
        return PayoutAnswer(outcome, problem=reply.problem)
    return _read_state(reply, ask)


def read_transfer_query(reply: Reply, ask: PayoutAsk) -> PayoutAnswer:
    """Turn a verified reply about a transfer into what it means."""
    if not reply.is_good:
        is_missing = reply.status_code == 404 and reply.code in {"NOT_FOUND", "RESOURCE_NOT_EXISTS"}
        outcome = PayoutOutcome.NOT_FOUND if is_missing else PayoutOutcome.UNKNOWN
        return PayoutAnswer(outcome, problem=reply.problem)
    amount: Any = reply.fields.get("transfer_amount")
    if amount != ask.amount_minor:
        return PayoutAnswer(PayoutOutcome.UNKNOWN, problem="answered about another amount")
    return _read_state(reply, ask)


def waits(reply: Reply) -> bool:
    """Tell whether a transfer waits for its payee: with what to confirm, only a telling says."""
    return reply.is_good and reply.text("state") == "WAIT_USER_CONFIRM"


def read_cancel(reply: Reply, ask: PayoutAsk) -> PayoutAnswer:
    """Turn a verified reply to a cancelling into what it means: it is under way, at most."""
    if not reply.is_good:
        return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=reply.problem)
    return _read_state(reply, ask)


def _read_state(reply: Reply, ask: PayoutAsk) -> PayoutAnswer:
    if reply.text("out_bill_no") != ask.payout_number:
        return PayoutAnswer(PayoutOutcome.UNKNOWN, problem="answered about another payout")
    state = reply.text("state")
    outcome = _STATES.get(state, PayoutOutcome.UNKNOWN)
    problem = reply.text("fail_reason")
    if outcome is PayoutOutcome.UNKNOWN:
        problem = f"state {state!r}"
    return PayoutAnswer(
        outcome,
        reply.text("transfer_bill_no"),
        problem or (state if outcome is PayoutOutcome.FAILED else ""),
        confirm_package=reply.text("package_info") if state == "WAIT_USER_CONFIRM" else "",
    )
