"""The mistakes a provider makes, on demand: each is asked for, counted, and used up.

On the way of a notification: delay, duplicate, reorder, drop, tamper, wrong_amount, wrong_app,
wrong_seller, wrong_status, unsigned_success. At the gateway: gateway_down, slow,
bad_reply_signature, query_unknown, query_disagrees, business_error.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from vendrail.kernel.errors import Malformed
from vendrail.sandbox.refusals import REFUSALS, Node, refuse

QUERY = "alipay.trade.query"


class FaultKind(StrEnum):
    """What can go wrong."""

    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DROP = "drop"
    TAMPER = "tamper"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_APP = "wrong_app"
    WRONG_SELLER = "wrong_seller"
    WRONG_STATUS = "wrong_status"
    UNSIGNED_SUCCESS = "unsigned_success"
    GATEWAY_DOWN = "gateway_down"
    SLOW = "slow"
    BAD_REPLY_SIGNATURE = "bad_reply_signature"
    QUERY_UNKNOWN = "query_unknown"
    QUERY_DISAGREES = "query_disagrees"
    BUSINESS_ERROR = "business_error"


GATEWAY_KINDS = frozenset(
    {
        FaultKind.GATEWAY_DOWN,
        FaultKind.SLOW,
        FaultKind.BAD_REPLY_SIGNATURE,
        FaultKind.QUERY_UNKNOWN,
        FaultKind.QUERY_DISAGREES,
        FaultKind.BUSINESS_ERROR,
    }
)
NOTIFY_KINDS = frozenset(FaultKind) - GATEWAY_KINDS


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which traffic a fault is for; empty: any."""

    out_trade_no: str = ""
    app_id: str = ""
    method: str = ""


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How bad it is; each kind reads its own."""

    delay_s: float | None = None
    times: int = 2
    field: str = "total_amount"
    value: str = ""
    trade_status: str = ""
    status: int = 503
    timeout_s: float = 0.0
    is_after: bool = False  # gateway_down: the work is done first, only the answer is lost.
    is_now: bool = False  # unsigned_success: send a forged one at once, paid or not.
    sub_code: str = "ACQ.SYSTEM_ERROR"


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One order for trouble."""

    kind: FaultKind
    count: int = 1  # 0: until it is taken back.
    match: Match = Match()
    params: Params = Params()


class Faults:
    """The orders still open."""

    def __init__(self, sub_codes: Collection[str] = REFUSALS, query: str = QUERY) -> None:
        self.open: list[Fault] = []
        self._sub_codes = sub_codes
        self._query = query

    def add(self, fault: Fault) -> None:
        """Take an order, if it can be carried out."""
        if fault.count < 0 or fault.params.times < 1 or fault.params.times > 100:
            raise Malformed("count must be 0 or more, params.times 1 to 100.")
        if fault.kind is FaultKind.BUSINESS_ERROR and fault.params.sub_code not in self._sub_codes:
            raise Malformed(
                f"params.sub_code {fault.params.sub_code!r} is no code of this provider's."
            )
        if not 400 <= fault.params.status <= 599:
            raise Malformed("params.status must be an HTTP error, 400 to 599.")
        self.open.append(fault)

    def clear(self) -> None:
        """Take all orders back."""
        self.open.clear()

    def take(
        self, kinds: frozenset[FaultKind], out_trade_no: str, app_id: str, method: str = ""
    ) -> list[Fault]:
        """Give the faults that fit this traffic, one of a kind, and count them down."""
        if not self.open:
            return []
        taken: dict[FaultKind, Fault] = {}
        for fault in self.open:
            if fault.kind not in kinds or fault.kind in taken:
                continue
            match = fault.match
            wanted = match.method or (self._query if fault.kind.startswith("query_") else "")
            if (
                (match.out_trade_no and match.out_trade_no != out_trade_no)
                or (match.app_id and match.app_id != app_id)
                or (wanted and method and wanted != method)
            ):
                continue
            taken[fault.kind] = fault
        for fault in taken.values():
            if fault.count == 1:
                self.open.remove(fault)
            elif fault.count:
                fault.count -= 1
        return list(taken.values())


def falsify(fields: dict[str, str], faults: Sequence[Fault]) -> None:
    """Change a notification before it is signed: well signed, and wrong all the same."""
    for fault in faults:
        value = fault.params.value
        match fault.kind:
            case FaultKind.WRONG_AMOUNT:
                # Every amount of the form agrees with the wrong one, as a real mix-up would.
                wrong = value or "0.01"
                for name in ("total_amount", "receipt_amount", "buyer_pay_amount"):
                    if name in fields:
                        fields[name] = wrong
            case FaultKind.WRONG_APP:
                fields["app_id"] = fields["auth_app_id"] = value or "9021999999999999"
            case FaultKind.WRONG_SELLER:
                fields["seller_id"] = value or "2088999999999999"
            case FaultKind.WRONG_STATUS:
                fields["trade_status"] = fault.params.trade_status or "WAIT_BUYER_PAY"
            case FaultKind.UNSIGNED_SUCCESS:
                fields["trade_status"] = "TRADE_SUCCESS"


def tamper(fields: dict[str, str], faults: Sequence[Fault]) -> None:
    """Change a notification after it was signed: the signature no longer holds."""
    for fault in faults:
        if fault.kind is FaultKind.TAMPER:
            field = fault.params.field
            old = fields.get(field, "")
            fields[field] = fault.params.value or ("0.01" if old != "0.01" else "0.02")
        elif fault.kind is FaultKind.UNSIGNED_SUCCESS:
            fields.pop("sign", None)
            fields.pop("sign_type", None)


def disturb(node: Node, faults: Mapping[FaultKind, Fault]) -> Node:
    """Change what a method answers: unknown, refused, or at odds with what happened."""
    if FaultKind.QUERY_UNKNOWN in faults:
        return refuse("isp.unknow-error")
    if FaultKind.BUSINESS_ERROR in faults:
        return refuse(faults[FaultKind.BUSINESS_ERROR].params.sub_code)
    fault = faults.get(FaultKind.QUERY_DISAGREES)
    if fault is None or node["code"] != "10000":
        return node
    changes: dict[str, Any] = {}
    if fault.params.value:
        changes[fault.params.field] = fault.params.value
    if fault.params.trade_status:
        changes["trade_status"] = fault.params.trade_status
    if not changes:
        is_paid = node.get("trade_status") in ("TRADE_SUCCESS", "TRADE_FINISHED")
        changes["trade_status"] = "WAIT_BUYER_PAY" if is_paid else "TRADE_SUCCESS"
    return {**node, **changes}
