"""Stripe's rules for pages: Checkout, where a buyer pays.

No I/O here, and no clock: each act has the store and the moment, and gathers what is to be told.
"""

from datetime import datetime, timedelta

import msgspec

from vendrail.sandbox.stripe_acts import TYPES, Act, Form, check_money
from vendrail.sandbox.stripe_forms import (
    Choice,
    Flag,
    Group,
    Kind,
    Many,
    Metadata,
    Refused,
    Text,
    Url,
    Whole,
)
from vendrail.sandbox.stripe_intents import (
    FUTURE,
    OPEN,
    OPTIONS,
    add_intent,
    cancel_intent,
    check_types,
)
from vendrail.sandbox.stripe_records import Thing, make_token

_SHORTEST, _LONGEST = timedelta(minutes=30), timedelta(hours=24)
_PRICE: dict[str, Kind] = {
    "currency": Text(3),
    "unit_amount": Whole(),
    "product_data": Group(
        {"name": Text(), "description": Text(), "images": Many(Url()), "metadata": Metadata()},
        ("name",),
    ),
    "tax_behavior": Choice(("exclusive", "inclusive", "unspecified")),
}
SESSION: dict[str, Kind] = {
    "mode": Choice(("payment", "setup", "subscription")),
    "payment_method_types": Many(Choice(tuple(TYPES))),
    "payment_method_options": Group(OPTIONS),
    "client_reference_id": Text(200),
    "customer": Text(),
    "customer_email": Text(800),
    "customer_creation": Choice(("always", "if_required")),
    "metadata": Metadata(),
    "payment_intent_data": Group(
        {
            "metadata": Metadata(),
            "description": Text(1_000),
            "setup_future_usage": FUTURE,
            "transfer_group": Text(),
        }
    ),
    "line_items": Many(
        Group({"quantity": Whole(1, 999_999), "price_data": Group(_PRICE, ("currency",))})
    ),
    "adaptive_pricing": Group({"enabled": Flag()}),
    "expires_at": Whole(),
    "success_url": Url(),
    "cancel_url": Url(),
    "locale": Text(10),
    "expand": Many(Text()),
}


def create_session(act: Act, form: Form) -> Thing:
    """Make a page on which a buyer pays."""
    if form["mode"] != "payment":
        raise Refused("", "The sandbox takes payments only.", param="mode", is_early=True)
    if not form.get("line_items"):
        words = "You must provide at least one line item."
        raise Refused("parameter_missing", words, param="line_items", is_early=True)
    total, currencies = 0, set()
    for index, item in enumerate(form["line_items"]):
        price = item.get("price_data")
        if price is None or "unit_amount" not in price or "product_data" not in price:
            path = f"line_items[{index}][price_data]"
            raise Refused("parameter_missing", f"Missing required param: {path}.", param=path)
        total += price["unit_amount"] * item.get("quantity", 1)
        currencies.add(price["currency"].lower())
    if len(currencies) != 1:
        raise Refused("", "All line items must have the same currency.", param="line_items")
    currency = check_money(total, currencies.pop(), "line_items")
    types = form.get("payment_method_types") or ["card"]
    check_types(types, currency, form.get("payment_method_options", {}))
    until = _read_until(form, act.now)
    customer = form.get("customer")
    if customer is not None:
        act.find(customer, "customer", "customer", "customer")
    data = form.get("payment_intent_data", {})
    token = make_token()
    return act.store.add(
        act.account,
        "cs_test",
        act.now,
        {
            "object": "checkout.session",
            "adaptive_pricing": form.get("adaptive_pricing", {"enabled": True}),
            "amount_subtotal": total,
            "amount_total": total,
            "cancel_url": form.get("cancel_url"),
            "client_reference_id": form.get("client_reference_id"),
            "currency": currency,
            "customer": customer,
            "expires_at": until,
            "metadata": form.get("metadata", {}),
            "mode": "payment",
            "payment_intent": None,
            "payment_method_types": types,
            "payment_status": "unpaid",
            "status": "open",
            "success_url": form["success_url"],
            "url": f"{act.base_url}/c/pay/{token}",
        },
        hidden={
            "token": token,
            "data": msgspec.json.encode(data).decode(),
            "title": form["line_items"][0]["price_data"]["product_data"]["name"],
        },
    )


def _read_until(form: Form, now: datetime) -> int:
    until: int = form.get("expires_at", int((now + _LONGEST).timestamp()))
    if until < int((now + _SHORTEST).timestamp()):
        words = (
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."
        )
        raise Refused("", words, param="expires_at")
    if until > int((now + _LONGEST).timestamp()) + 1:
        words = (
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."
        )
        raise Refused("", words, param="expires_at")
    return until


def expire_session(act: Act, session: Thing) -> Thing:
    """Let a page expire; what was begun on it is canceled."""
    shown = session.shown
    if shown["status"] != "open":
        words = (
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session'
            f" has a status of `{shown['status']}`."
        )
        raise Refused("", words)
    shown |= {"status": "expired", "url": None}
    act.store.save(session)
    if shown["payment_intent"]:
        intent = act.find(shown["payment_intent"], "payment_intent", "payment_intent")
        if intent.shown["status"] in OPEN:
            cancel_intent(act, intent, "automatic")
    act.tell("checkout.session.expired", session)
    return session


def begin(act: Act, session: Thing) -> Thing:
    """Give the payment of a page: it is there from the first time the buyer presses the button."""
    shown = session.shown
    if shown["payment_intent"]:
        return act.find(shown["payment_intent"], "payment_intent", "payment_intent")
    data = msgspec.json.decode(session.hidden["data"])
    form = {
        "amount": shown["amount_total"],
        "currency": shown["currency"],
        "payment_method_types": shown["payment_method_types"],
        "customer": shown["customer"],
        **data,
    }
    intent = add_intent(act, form, session.id)
    shown["payment_intent"] = intent.id
    act.store.save(session)
    return intent


def expire_due(act: Act, session: Thing) -> None:
    """Let a page expire whose time is over."""
    is_over = session.shown["expires_at"] <= act.now.timestamp()
    if session.shown["status"] == "open" and is_over:
        expire_session(act, session)
