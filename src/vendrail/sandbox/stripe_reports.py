"""Stripe's reports: written in a while, of what moved in the balance, in major units."""

import copy
import csv
import io
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from vendrail.sandbox.stripe_acts import PLACES, Act, Form
from vendrail.sandbox.stripe_forms import Group, Kind, Many, Refused, Text, Whole
from vendrail.sandbox.stripe_records import Thing

_ACTIVITY = "balance_change_from_activity.itemized.3"
_PAYOUTS = "payout_reconciliation.itemized.5"
REPORT: dict[str, Kind] = {
    "report_type": Text(),
    "parameters": Group(
        {
            "interval_start": Whole(),
            "interval_end": Whole(),
            "timezone": Text(),
            "columns": Many(Text()),
            "currency": Text(3),
        }
    ),
    "expand": Many(Text()),
}
_COLUMNS = {
    "automatic_payout_id", "automatic_payout_effective_at_utc", "balance_transaction_id",
    "created_utc", "available_on_utc", "currency", "gross", "fee", "net", "reporting_category",
    "source_id", "description", "customer_facing_amount", "customer_facing_currency", "charge_id",
    "payment_intent_id", "charge_created_utc", "payment_method_type", "connected_account_id",
}  # fmt: skip


def available_end(now: datetime, *, is_today: bool) -> datetime:
    """Say until when reports can be had: yesterday's are there at noon."""
    if is_today:
        return now + timedelta(days=1)
    return datetime.combine((now - timedelta(hours=12)).date(), time(), UTC)


def create_report(act: Act, form: Form) -> Thing:
    """Begin to write a report."""
    if form["report_type"] not in {_ACTIVITY, _PAYOUTS}:
        words = f"No such report type: '{form['report_type']}'"
        raise Refused("resource_missing", words, status=404, param="report_type")
    asked = form.get("parameters", {})
    for name in ("interval_start", "interval_end"):
        if name not in asked:
            param = f"parameters[{name}]"
            raise Refused("parameter_missing", f"Missing required param: {param}.", param=param)
    unknown = [
        each
        for each in asked.get("columns", ())
        if each not in _COLUMNS and "metadata[" not in each
    ]
    if unknown:
        words = f"Invalid columns: {', '.join(unknown)}"
        raise Refused("", words, param="parameters[columns]")
    if asked["interval_start"] >= asked["interval_end"]:
        words = "interval_start must be before interval_end."
        raise Refused("", words, param="parameters[interval_start]")
    end = int(available_end(act.now, is_today=act.has_report_today).timestamp())
    if asked["interval_end"] > end:
        words = (
            f"interval_end ({asked['interval_end']}) cannot be after the data_available_end"
            f" ({end}) of this report type."
        )
        raise Refused("", words, param="parameters[interval_end]")
    return act.store.add(
        act.account,
        "frr",
        act.now,
        {
            "object": "reporting.report_run",
            "error": None,
            "parameters": asked,
            "report_type": form["report_type"],
            "result": None,
            "status": "pending",
            "succeeded_at": None,
        },
    )


def finish_report(act: Act, run: Thing) -> None:
    """Write what was begun, and tell of it."""
    text = _write_report(act, run.shown)
    file = act.store.add(
        act.account,
        "file",
        act.now,
        {
            "object": "file",
            "filename": f"{run.id}.csv",
            "purpose": "finance_report_run",
            "size": len(text.encode()),
            "type": "csv",
            "url": None,
        },
        hidden={"text": text},
    )
    file.shown["url"] = f"{act.base_url}/v1/files/{file.id}/contents"
    run.shown |= {
        "result": copy.deepcopy(file.shown),
        "status": "succeeded",
        "succeeded_at": int(act.now.timestamp()),
    }
    act.store.save(file, run)
    act.tell("reporting.report_run.succeeded", run)


def _write_report(act: Act, run: Form) -> str:
    asked = run["parameters"]
    columns: list[str] = asked.get("columns") or sorted(_COLUMNS)
    made = io.StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writerow(columns)
    for moved in reversed(act.store.all(act.account, "balance_transaction")):
        is_within = asked["interval_start"] <= moved.shown["created"] < asked["interval_end"]
        if is_within:
            row = _row(act, moved.shown)
            writer.writerow([row.get(name, "") for name in columns])
    return made.getvalue()


def _row(act: Act, moved: Form) -> dict[str, Any]:
    """Write a movement for people: in major units, as Stripe's reports do."""
    source = act.store.any_thing(moved["source"])
    shown = source.shown if source is not None else {}
    charge = source if shown.get("object") == "charge" else None
    if charge is None and isinstance(shown.get("charge"), str):
        charge = act.store.any_thing(shown["charge"])
    paid = charge.shown if charge is not None else {}
    places = PLACES[moved["currency"]]

    def major(amount: int) -> str:
        return f"{Decimal(amount).scaleb(-places):.{places}f}"

    def moment(seconds: int) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")

    row: dict[str, Any] = {
        "balance_transaction_id": moved["id"],
        "created_utc": moment(moved["created"]),
        "available_on_utc": moment(moved["available_on"]),
        "currency": moved["currency"],
        "gross": major(moved["amount"]),
        "fee": major(moved["fee"]),
        "net": major(moved["net"]),
        "reporting_category": moved["reporting_category"],
        "source_id": moved["source"],
        "description": moved["description"] or "",
        "charge_id": paid.get("id", ""),
        "payment_intent_id": paid.get("payment_intent", ""),
        "charge_created_utc": moment(paid["created"]) if paid else "",
        "payment_method_type": paid["payment_method_details"]["type"] if paid else "",
        "customer_facing_amount": major(moved["amount"]) if paid else "",
        "customer_facing_currency": moved["currency"] if paid else "",
        "automatic_payout_id": "",
    }
    row |= {f"payment_metadata[{k}]": v for k, v in paid.get("metadata", {}).items()}
    if shown.get("object") == "refund":
        row |= {f"refund_metadata[{k}]": v for k, v in shown["metadata"].items()}
    return row
