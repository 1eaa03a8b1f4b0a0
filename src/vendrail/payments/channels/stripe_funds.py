"""Stripe beside payments: reports of a day, and transfers to connected accounts. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from vendrail.payments.channels.base import PayoutAnswer, PayoutAsk, PayoutOutcome
from vendrail.payments.channels.statements import StatementAnswer, StatementKind, StatementOutcome
from vendrail.payments.channels.stripe_messages import text_of

PAYEE_KIND = "connected_account"

# Sales, refunds, disputes and fees of a day; and which payout to the bank carries which of them.
REPORTS: Mapping[StatementKind, str] = {
    StatementKind.TRADE: "balance_change_from_activity.itemized.3",
    StatementKind.FUNDS: "payout_reconciliation.itemized.5",
}
_COLUMNS: Mapping[StatementKind, tuple[str, ...]] = {
    StatementKind.TRADE: (
        "balance_transaction_id", "created_utc", "available_on_utc", "reporting_category",
        "currency", "gross", "fee", "net", "source_id", "charge_id", "payment_intent_id",
        "payment_method_type", "customer_facing_amount", "customer_facing_currency",
        "description", "payment_metadata[out_trade_no]", "refund_metadata[refund_number]",
    ),
    StatementKind.FUNDS: (
        "automatic_payout_id", "automatic_payout_effective_at_utc", "balance_transaction_id",
        "created_utc", "available_on_utc", "reporting_category", "currency", "gross", "fee",
        "net", "source_id", "charge_id", "payment_intent_id", "description",
        "payment_metadata[out_trade_no]",
    ),
}  # fmt: skip

Fields = Mapping[str, Any]


# Reports.


def report(kind: StatementKind, begun: datetime) -> dict[str, Any]:
    """Ask for the report of a day, its columns by name."""
    return {
        "report_type": REPORTS[kind],
        "parameters": {
            "interval_start": int(begun.timestamp()),
            "interval_end": int((begun + timedelta(days=1)).timestamp()),
            "timezone": "Etc/UTC",
            "columns": list(_COLUMNS[kind]),
        },
    }


def find_run(runs: Iterable[Fields], asked: Fields) -> Fields | None:
    """Find a report that is written, or being written, as it is asked for."""
    wanted = asked["parameters"]
    for run in runs:
        is_alive = run.get("status") in {"pending", "succeeded"}
        known = run.get("parameters") or {}
        is_same = run.get("report_type") == asked["report_type"] and all(
            known.get(name) == value for name, value in wanted.items()
        )
        if is_alive and is_same:
            return run
    return None


def read_report(body: bytes, status_code: int, kind: StatementKind, day: date) -> StatementAnswer:
    """Take the file as it came; one with nothing below its head is that of an empty day."""
    head, _, rest = body.partition(b"\n")
    if status_code != 200 or b"balance_transaction_id" not in head:
        problem = f"HTTP {status_code}, and no report"
        return StatementAnswer(StatementOutcome.UNKNOWN, problem=problem)
    if not rest.strip():
        return StatementAnswer(StatementOutcome.NONE)
    name = f"stripe-{kind}-{day.isoformat()}.csv"
    return StatementAnswer(StatementOutcome.READY, body, name, "text/csv")


# Transfers.


def transfer(ask: PayoutAsk) -> dict[str, Any]:
    """Ask for a transfer; its group is our number, by which it is found again."""
    return {
        "amount": ask.amount_minor,
        "currency": ask.currency.lower(),
        "destination": ask.payee.account,
        "description": " ".join(ask.title.split())[:250] or ask.payout_number,
        "transfer_group": ask.payout_number,
        "metadata": {"payout_number": ask.payout_number},
    }


def find_transfer(found: Iterable[Fields], ask: PayoutAsk) -> PayoutAnswer:
    """Say what became of a payout: a transfer is there at once, or not at all."""
    for fields in found:
        if (fields.get("metadata") or {}).get("payout_number") == ask.payout_number:
            number = text_of(fields, "id")
            if fields.get("reversed"):
                return PayoutAnswer(PayoutOutcome.RETURNED, number)
            return PayoutAnswer(PayoutOutcome.SUCCEEDED, number)
    return PayoutAnswer(PayoutOutcome.NOT_FOUND)
