"""Stripe's rules for money that is there: charges, refunds, disputes, transfers."""

import copy
from datetime import timedelta

from vendrail.sandbox import stripe_files
from vendrail.sandbox.stripe_acts import PLACES, Act, Form, check_money, write_money
from vendrail.sandbox.stripe_forms import (
    Choice,
    Flag,
    Group,
    Kind,
    Many,
    Metadata,
    Refused,
    Text,
    Whole,
)
from vendrail.sandbox.stripe_records import Thing

EVIDENCE_FILES = (
    "receipt",
    "customer_communication",
    "service_documentation",
    "uncategorized_file",
)
REFUND: dict[str, Kind] = {
    "payment_intent": Text(),
    "charge": Text(),
    "amount": Whole(),
    "currency": Text(3),
    "reason": Choice(("duplicate", "fraudulent", "requested_by_customer")),
    "metadata": Metadata(),
    "expand": Many(Text()),
}
TRANSFER: dict[str, Kind] = {
    "amount": Whole(),
    "currency": Text(3),
    "destination": Text(),
    "description": Text(1_000),
    "metadata": Metadata(),
    "source_transaction": Text(),
    "transfer_group": Text(255),
    "expand": Many(Text()),
}
EVIDENCE: dict[str, Kind] = {
    "evidence": Group(
        {"uncategorized_text": Text(20_000), **dict.fromkeys(EVIDENCE_FILES, Text(255))}
    ),
    "metadata": Metadata(),
    "submit": Flag(),
    "expand": Many(Text()),
}
_ANSWER_TIME = timedelta(days=7)
_DISPUTE_FEE = 1_500
_CATEGORIES = {
    "charge": "charge", "payment": "charge", "refund": "refund", "payment_refund": "refund",
    "adjustment": "dispute", "transfer": "transfer", "transfer_refund": "transfer_reversal",
    "payout": "payout",
}  # fmt: skip


def _fee(amount: int) -> int:
    return (amount * 290 + 5_000) // 10_000


def _add_transaction(act: Act, source: Thing, kind: str, amount: int, fee: int = 0) -> Thing:
    """Note a movement of the balance; what it is of is its parent."""
    shown = source.shown
    return act.store.add(
        act.account,
        "txn",
        act.now,
        {
            "object": "balance_transaction",
            "amount": amount,
            "available_on": int((act.now + timedelta(days=2)).timestamp()),
            "balance_type": "payments",
            "currency": shown["currency"],
            "description": shown.get("description"),
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [{"type": "stripe_fee", "amount": fee, "currency": shown["currency"]}]
            if fee
            else [],
            "net": amount - fee,
            "reporting_category": _CATEGORIES[kind],
            "source": source.id,
            "status": "pending",
            "type": kind,
        },
        parent=source.id,
    )


def balance_of(act: Act, currency: str) -> int:
    """Add up what an account has of a currency."""
    moved = sum(
        each.shown["net"]
        for each in act.store.all(act.account, "balance_transaction")
        if each.shown["currency"] == currency
    )
    return act.store.sellers[act.account].opening_minor + int(moved)


# Charges and refunds.


def add_charge(act: Act, intent: Thing, method: Thing) -> Thing:
    """Note money that a buyer has paid."""
    shown, name = intent.shown, method.shown["type"]
    details = copy.deepcopy(method.shown[name])
    charge = act.store.add(
        act.account,
        "ch" if name == "card" else "py",
        act.now,
        {
            "object": "charge",
            "amount": shown["amount"],
            "amount_captured": shown["amount"],
            "amount_refunded": 0,
            "balance_transaction": None,
            "captured": True,
            "currency": shown["currency"],
            "customer": shown["customer"],
            "description": shown["description"],
            "disputed": False,
            "metadata": shown["metadata"],
            "paid": True,
            "payment_intent": intent.id,
            "payment_method": method.id,
            "payment_method_details": {"type": name, name: details},
            "refunded": False,
            "status": "succeeded",
            "transfer_group": shown["transfer_group"],
        },
        parent=intent.id,
    )
    kind = "charge" if name == "card" else "payment"
    moved = _add_transaction(act, charge, kind, shown["amount"], _fee(shown["amount"]))
    charge.shown["balance_transaction"] = moved.id
    act.store.save(charge)
    return charge


def _charge_to_refund(act: Act, form: Form) -> Thing:
    if ("payment_intent" in form) == ("charge" in form):
        words = "One of the following params should be provided for this request: payment_intent or"
        raise Refused("parameter_missing", f"{words} charge.", param="charge", is_early=True)
    if "charge" in form:
        return act.find(form["charge"], "charge", "charge", "charge")
    intent = act.find(form["payment_intent"], "payment_intent", "payment_intent", "payment_intent")
    if intent.shown["status"] != "succeeded":
        words = f"This PaymentIntent ({intent.id}) does not have a successful charge to refund."
        raise Refused("payment_intent_unexpected_state", words, param="payment_intent")
    return act.find(intent.shown["latest_charge"], "charge", "charge")


def create_refund(act: Act, form: Form) -> Thing:
    """Give back: of a card at once, of a wallet in a moment, and never more than was taken."""
    charge = _charge_to_refund(act, form)
    shown = charge.shown
    left = shown["amount"] - shown["amount_refunded"]
    if shown["disputed"]:
        words = f"Charge {charge.id} has been charged back; cannot issue a refund."
        raise Refused("charge_disputed", words)
    if not left:
        words = f"Charge {charge.id} has already been refunded."
        raise Refused("charge_already_refunded", words)
    amount = form.get("amount", left)
    if amount <= 0:
        words = "This value must be greater than or equal to 1."
        raise Refused("parameter_invalid_integer", words, param="amount", is_early=True)
    if amount > left:
        words = (
            f"Refund amount ({write_money(amount, shown['currency'])}) is greater than unrefunded"
            f" amount on charge ({write_money(left, shown['currency'])})"
        )
        raise Refused("", words, param="amount")
    if amount > balance_of(act, shown["currency"]):
        words = "You have insufficient funds in your Stripe account for this refund."
        raise Refused("balance_insufficient", words)
    is_card = shown["payment_method_details"]["type"] == "card"
    refund = act.store.add(
        act.account,
        "re" if is_card else "pyr",
        act.now,
        {
            "object": "refund",
            "amount": amount,
            "balance_transaction": None,
            "charge": charge.id,
            "currency": shown["currency"],
            "metadata": form.get("metadata", {}),
            "payment_intent": shown["payment_intent"],
            "reason": form.get("reason"),
            "status": "succeeded" if is_card else "pending",
        },
        parent=shown["payment_intent"],
    )
    kind = "refund" if is_card else "payment_refund"
    moved = _add_transaction(act, refund, kind, -amount)
    refund.shown["balance_transaction"] = moved.id
    shown["amount_refunded"] += amount
    shown["refunded"] = shown["amount_refunded"] == shown["amount"]
    act.store.save(refund, charge)
    act.tell("refund.created", refund)
    act.tell("charge.refunded", charge)
    return refund


def settle_refund(act: Act, refund: Thing, *, is_paid: bool) -> None:
    """A refund arrives, or comes back: then the money is the merchant's again."""
    if is_paid:
        refund.shown["status"] = "succeeded"
    else:
        refund.shown |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
        charge = act.find(refund.shown["charge"], "charge", "charge")
        charge.shown["amount_refunded"] -= refund.shown["amount"]
        charge.shown["refunded"] = False
        _add_transaction(act, refund, "adjustment", refund.shown["amount"])
        act.store.save(charge)
    act.store.save(refund)
    act.tell("refund.updated" if is_paid else "refund.failed", refund)


# Disputes.


def dispute(act: Act, charge: Thing, reason: str) -> Thing:
    """The buyer's bank takes the money back for now, and a fee."""
    shown = charge.shown
    if shown["disputed"]:
        raise Refused("charge_disputed", f"Charge {charge.id} is disputed already.")
    amount = shown["amount"] - shown["amount_refunded"]
    found = act.store.add(
        act.account,
        "du",
        act.now,
        {
            "object": "dispute",
            "amount": amount,
            "charge": charge.id,
            "balance_transactions": [],
            "currency": shown["currency"],
            "evidence": {"uncategorized_text": None, **dict.fromkeys(EVIDENCE_FILES)},
            "evidence_details": {
                "due_by": int((act.now + _ANSWER_TIME).timestamp()),
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
            "metadata": {},
            "payment_intent": shown["payment_intent"],
            "reason": reason,
            "status": "needs_response",
        },
        parent=charge.id,
    )
    moved = _add_transaction(act, found, "adjustment", -amount, _DISPUTE_FEE)
    found.shown["balance_transactions"] = [copy.deepcopy(moved.shown)]
    act.store.save(found)
    shown["disputed"] = True
    act.store.save(charge)
    act.tell("charge.dispute.created", found)
    act.tell("charge.dispute.funds_withdrawn", found)
    return found


def answer_dispute(act: Act, found: Thing, form: Form) -> Thing:
    """Take what the merchant says against a dispute, in time; once it is submitted, for good."""
    details = found.shown["evidence_details"]
    if found.shown["status"] != "needs_response" or details["submission_count"]:
        words = "This dispute's evidence has been submitted already, or it is closed."
        raise Refused("", words)
    if act.now.timestamp() > details["due_by"]:
        raise Refused("", "The time to submit evidence for this dispute is over.")
    given = form.get("evidence", {})
    evidence = found.shown["evidence"] | given
    files = {name: evidence[name] for name in EVIDENCE_FILES if evidence.get(name)}
    stripe_files.check_evidence(act, files)
    if given:
        found.shown["evidence"] = evidence
        details["has_evidence"] = True
    found.shown["metadata"] |= form.get("metadata", {})
    if form.get("submit", True):
        if not details["has_evidence"]:
            words = "Evidence must be given before it can be submitted."
            raise Refused("parameter_missing", words, param="evidence")
        details["submission_count"] += 1
        found.shown["status"] = "under_review"
    act.store.save(found)
    act.tell("charge.dispute.updated", found)
    return found


def close_dispute(act: Act, found: Thing, *, is_won: bool) -> Thing:
    """The bank has decided."""
    found.shown["status"] = "won" if is_won else "lost"
    act.store.save(found)
    if is_won:
        _add_transaction(act, found, "adjustment", found.shown["amount"])
        act.tell("charge.dispute.funds_reinstated", found)
    act.tell("charge.dispute.closed", found)
    return found


# Transfers.


def create_transfer(act: Act, form: Form) -> Thing:
    """Move money to a connected account."""
    currency = form["currency"].lower()
    if currency not in PLACES or form["amount"] <= 0:
        check_money(form["amount"], currency, "amount")
    target = act.store.sellers.get(form["destination"])
    if target is None or target.platform != act.account:
        words = f"No such destination: '{form['destination']}'"
        raise Refused("resource_missing", words, status=400, param="destination")
    if form["amount"] > balance_of(act, currency):
        words = "You have insufficient available funds in your Stripe account."
        raise Refused("balance_insufficient", words)
    transfer = act.store.add(
        act.account,
        "tr",
        act.now,
        {
            "object": "transfer",
            "amount": form["amount"],
            "amount_reversed": 0,
            "currency": currency,
            "description": form.get("description"),
            "destination": target.id,
            "metadata": form.get("metadata", {}),
            "reversed": False,
            "transfer_group": form.get("transfer_group"),
        },
        parent=f"group:{act.account}:{form.get('transfer_group')}",
    )
    _add_transaction(act, transfer, "transfer", -form["amount"])
    act.tell("transfer.created", transfer)
    return transfer


def reverse_transfer(act: Act, transfer: Thing) -> Thing:
    """Take a transfer back, whole."""
    transfer.shown |= {"reversed": True, "amount_reversed": transfer.shown["amount"]}
    act.store.save(transfer)
    _add_transaction(act, transfer, "transfer_refund", transfer.shown["amount"])
    act.tell("transfer.reversed", transfer)
    return transfer
