"""Stripe's rules for payments: methods, cards and their banks, what is told of each.

No I/O here, and no clock: each act has the store and the moment, and gathers what is to be told.
"""

import copy

import msgspec

from vendrail.sandbox.stripe_acts import TYPES, Act, Form, check_money
from vendrail.sandbox.stripe_cards import Card, read_card, words_of
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
from vendrail.sandbox.stripe_funds import add_charge, dispute
from vendrail.sandbox.stripe_records import Thing, make_token

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action", "processing")
UNREAD = frozenset(
    {
        "invalid_number",
        "incorrect_number",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_cvc",
    }
)
WALLETS = ("apple_pay", "google_pay")
_UNEXPECTED = "payment_intent_unexpected_state"

OPTIONS: dict[str, Kind] = {
    "wechat_pay": Group({"client": Choice(("web", "android", "ios")), "app_id": Text()}),
    "card": Group({"request_three_d_secure": Choice(("automatic", "any", "challenge"))}),
    "paynow": Group({}),
    "promptpay": Group({}),
    "alipay": Group({}),
}
FUTURE = Choice(("off_session", "on_session"))
_METHOD_DATA: dict[str, Kind] = {
    "type": Choice(tuple(TYPES)),
    "billing_details": Group({"email": Text(800), "name": Text(), "phone": Text()}),
    "card": Group({"number": Text(), "exp_month": Text(), "exp_year": Text(), "cvc": Text(),
                   "token": Text()}),
    **{name: Group({}) for name in TYPES if name != "card"},
}  # fmt: skip
INTENT: dict[str, Kind] = {
    "amount": Whole(),
    "currency": Text(3),
    "payment_method_types": Many(Choice(tuple(TYPES))),
    "payment_method_options": Group(OPTIONS),
    "payment_method": Text(),
    "payment_method_data": Group(_METHOD_DATA, ("type",)),
    "confirm": Flag(),
    "off_session": Flag(),
    "customer": Text(),
    "setup_future_usage": FUTURE,
    "description": Text(1_000),
    "receipt_email": Text(800),
    "return_url": Url(),
    "metadata": Metadata(),
    "transfer_group": Text(),
    "expand": Many(Text()),
}
UPDATE: dict[str, Kind] = {
    "setup_future_usage": Choice(("", *FUTURE.words)),  # Empty: not any more.
    **{name: INTENT[name] for name in ("customer", "description", "metadata", "expand")},
}
CONFIRM: dict[str, Kind] = {
    "client_secret": Text(),
    "use_stripe_sdk": Flag(),
    **{
        name: INTENT[name]
        for name in (
            "payment_method", "payment_method_data", "payment_method_options", "off_session",
            "return_url", "expand",
        )
    },
}  # fmt: skip


def check_types(types: list[str], currency: str, options: Form) -> None:
    """Refuse ways to pay that will not take a currency, or lack what they need."""
    for name in types:
        if TYPES[name] and currency not in TYPES[name]:
            words = (
                f"The currency provided ({currency}) is invalid for one or more"
                f" payment_method_types configured on this PaymentIntent: {name}."
            )
            raise Refused("payment_intent_invalid_parameter", words, param="payment_method_types")
    if "wechat_pay" in types and options.get("wechat_pay", {}).get("client") is None:
        words = "Missing required param: payment_method_options[wechat_pay][client]."
        param = "payment_method_options[wechat_pay][client]"
        raise Refused("parameter_missing", words, param=param, is_early=True)


# Payments.


def add_intent(act: Act, form: Form, parent: str = "") -> Thing:
    """Keep a new payment."""
    intent = act.store.add(
        act.account,
        "pi",
        act.now,
        {
            "object": "payment_intent",
            "amount": form["amount"],
            "amount_received": 0,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "currency": form["currency"],
            "customer": form.get("customer"),
            "description": form.get("description"),
            "last_payment_error": None,
            "latest_charge": None,
            "metadata": form.get("metadata", {}),
            "next_action": None,
            "payment_method": None,
            "payment_method_types": form["payment_method_types"],
            "setup_future_usage": form.get("setup_future_usage"),
            "status": "requires_payment_method",
            "transfer_group": form.get("transfer_group"),
        },
        parent=parent,
        hidden={"token": make_token(), "back": form.get("return_url", "")},
    )
    intent.shown["client_secret"] = f"{intent.id}_secret_{make_token(25)}"
    act.store.save(intent)
    act.tell("payment_intent.created", intent)
    return intent


def create_intent(act: Act, form: Form) -> Thing:
    """Make a payment, and confirm it where that is asked."""
    currency = check_money(form["amount"], form["currency"], "amount")
    types = form.setdefault("payment_method_types", ["card"])
    check_types(types, currency, form.get("payment_method_options", {}))
    if form.get("customer") is not None:
        act.find(form["customer"], "customer", "customer", "customer")
    if form.get("off_session") and not form.get("confirm"):
        words = "`off_session` can only be set when `confirm` is `true`."
        raise Refused("parameter_invalid_combination", words, param="off_session", is_early=True)
    intent = add_intent(act, {**form, "currency": currency})
    return confirm_intent(act, intent, form) if form.get("confirm") else intent


def update_intent(act: Act, intent: Thing, form: Form) -> Thing:
    """Change what is known of a payment that has not come."""
    if intent.shown["status"] not in OPEN:
        words = (
            "You cannot update this PaymentIntent because it has a status of"
            f" {intent.shown['status']}."
        )
        raise Refused(_UNEXPECTED, words, more={"payment_intent": intent.shown})
    if form.get("customer") is not None:
        act.find(form["customer"], "customer", "customer", "customer")
    changes = {name: form[name] for name in UPDATE if name in form and name != "expand"}
    if changes.get("setup_future_usage") == "":
        changes["setup_future_usage"] = None
    metadata = intent.shown["metadata"] | changes.pop("metadata", {})
    intent.shown |= changes | {"metadata": metadata}
    act.store.save(intent)
    return intent


def confirm_intent(act: Act, intent: Thing, form: Form) -> Thing:
    """Pay by what is given: a saved method, or one that shows the buyer a code."""
    shown = intent.shown
    if shown["status"] not in {"requires_payment_method", "requires_confirmation"}:
        words = (
            f"You cannot confirm this PaymentIntent because it has a status of {shown['status']}."
        )
        raise Refused(_UNEXPECTED, words, more={"payment_intent": shown})
    data = form.get("payment_method_data")
    intent.hidden["frames"] = "yes" if form.get("use_stripe_sdk") else ""
    if data is not None and data["type"] == "card" and form.get("is_public"):
        return _confirm_card(act, intent, data.get("card", {}), form.get("return_url", ""))
    if data is not None:
        return _confirm_new(act, intent, data, form.get("return_url", ""))
    id = form.get("payment_method") or shown["payment_method"]
    if not id:
        words = (
            "You cannot confirm this PaymentIntent because it's missing a payment method."
            " Update the PaymentIntent with a payment method and then confirm it again."
        )
        raise Refused(_UNEXPECTED, words, more={"payment_intent": shown})
    method = act.find(id, "payment_method", "PaymentMethod", "payment_method")
    owner = method.shown["customer"]
    if owner is None or owner != shown["customer"]:
        words = "The PaymentMethod does not belong to the Customer of this PaymentIntent."
        raise Refused("", words, param="payment_method")
    card = msgspec.json.decode(method.hidden["card"], type=Card)
    if form.get("return_url"):
        intent.hidden["back"] = form["return_url"]
    return charge(act, intent, method, card, is_saved=True, is_off=bool(form.get("off_session")))


def _confirm_card(act: Act, intent: Thing, typed: Form, back: str) -> Thing:
    """Pay by the card that a form of Stripe's own holds, or by a wallet that has one."""
    if "card" not in intent.shown["payment_method_types"]:
        words = 'The payment method type "card" is invalid.'
        raise Refused("payment_method_unexpected_state", words, param="payment_method_data[type]")
    if back:
        intent.hidden["back"] = back
    wallet = typed.get("token", "").removeprefix("tok_")
    if wallet:
        if wallet not in WALLETS:
            words = f"No such token: '{typed['token']}'"
            raise Refused("resource_missing", words, param="payment_method_data[card][token]")
        method = add_method(act, "card", Card(), {}, last4="4242", wallet=wallet)
        return charge(act, intent, method, Card())
    number = "".join(typed.get("number", "").split())
    expiry = f"{typed.get('exp_month', '')}/{typed.get('exp_year', '')}"
    card = read_card(number, expiry, typed.get("cvc", ""), act.now)
    is_read = card.code not in UNREAD
    last4, until = (number[-4:], expiry) if is_read else ("0000", "12/30")
    method = add_method(act, "card", card, {}, last4=last4, expiry=until)
    return charge(act, intent, method, card)


def _confirm_new(act: Act, intent: Thing, data: Form, back: str) -> Thing:
    shown, name = intent.shown, data["type"]
    if name not in shown["payment_method_types"]:
        words = (
            f'The payment method type "{name}" is invalid. Allowed types on this PaymentIntent are:'
            f" {', '.join(shown['payment_method_types'])}."
        )
        raise Refused("payment_method_unexpected_state", words, param="payment_method_data[type]")
    if name == "card":
        words = (
            "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest"
            " you use test tokens that map to the test card you are using."
        )
        raise Refused("", words, status=402, kind="card_error", param="payment_method_data[card]")
    if name == "promptpay" and not data.get("billing_details", {}).get("email"):
        param = "payment_method_data[billing_details][email]"
        raise Refused("parameter_missing", f"Missing required param: {param}.", param=param)
    method = add_method(act, name, Card(), data.get("billing_details", {}))
    address = f"{act.base_url}/qr/{intent.hidden['token']}"
    if name == "alipay":
        way = {"url": address, "native_url": None, "native_data": None, "return_url": back}
        action: Form = {"type": "alipay_handle_redirect", "alipay_handle_redirect": way}
    else:
        key = f"{name}_display_qr_code"
        code = {"data": address, "hosted_instructions_url": address,
                "image_url_png": f"{address}.png", "image_url_svg": f"{address}.svg"}  # fmt: skip
        action = {"type": key, key: code}
    shown |= {"status": "requires_action", "next_action": action, "payment_method": method.id}
    act.store.save(intent)
    act.tell("payment_intent.requires_action", intent)
    return intent


def cancel_intent(act: Act, intent: Thing, reason: str = "") -> Thing:
    """Cancel a payment that has not come."""
    shown = intent.shown
    if shown["status"] not in OPEN:
        words = (
            f"You cannot cancel this PaymentIntent because it has a status of {shown['status']}."
        )
        raise Refused(_UNEXPECTED, words, more={"payment_intent": copy.deepcopy(shown)})
    shown |= {
        "status": "canceled",
        "canceled_at": int(act.now.timestamp()),
        "cancellation_reason": reason or None,
        "next_action": None,
    }
    act.store.save(intent)
    act.tell("payment_intent.canceled", intent)
    return intent


def add_method(
    act: Act, name: str, card: Card, details: Form, *, last4: str = "", expiry: str = "12/30",
    wallet: str = "",
) -> Thing:  # fmt: skip
    """Keep how somebody pays; of a card, what anybody may know of it."""
    shown: Form = {
        "object": "payment_method",
        "type": name,
        "billing_details": {"email": None, "name": None, "phone": None, **details},
        "customer": None,
        name: {},
    }
    if name == "card":
        month, year = expiry.replace(" ", "").split("/")
        shown["card"] = {
            "brand": card.brand,
            "exp_month": int(month),
            "exp_year": 2_000 + int(year) % 100,
            "funding": "credit",
            "last4": last4,
            "wallet": {"type": wallet} if wallet else None,
        }
    card_text = msgspec.json.encode(card).decode()
    return act.store.add(act.account, "pm", act.now, shown, hidden={"card": card_text})


def decline(act: Act, intent: Thing, method: Thing, code: str, decline_code: str) -> Refused:
    """Note that a card was declined; give what is said of it."""
    error: Form = {
        "type": "card_error",
        "code": code,
        "decline_code": decline_code,
        "message": words_of(code, decline_code),
        "payment_method": copy.deepcopy(method.shown),
    }
    intent.shown |= {
        "status": "requires_payment_method",
        "last_payment_error": error,
        "next_action": None,
        "payment_method": None,
    }
    act.store.save(intent)
    act.tell("payment_intent.payment_failed", intent)
    more = {"decline_code": decline_code, "payment_intent": copy.deepcopy(intent.shown)}
    return Refused(code, error["message"], status=402, kind="card_error", more=more)


def charge(
    act: Act, intent: Thing, method: Thing, card: Card, *, is_saved: bool = False,
    is_off: bool = False,
) -> Thing:  # fmt: skip
    """Ask the card's bank: it pays, declines, or wants to see its holder first."""
    if card.code:
        raise decline(act, intent, method, card.code, card.decline_code)
    if is_saved and card.is_declined_later:
        raise decline(act, intent, method, "card_declined", "generic_decline")
    asks = card.asks == "always" or (card.asks == "unless_saved" and not is_saved)
    if asks and is_off:
        code = "authentication_required"
        raise decline(act, intent, method, code, code)
    intent.shown["payment_method"] = method.id
    if asks:
        back = intent.hidden["back"]
        url = f"{act.base_url}/3ds/{intent.hidden['token']}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": back}}
        if intent.hidden.get("frames"):
            action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"stripe_js": url}}
        intent.shown |= {"status": "requires_action", "next_action": action}
        act.store.save(intent)
        act.tell("payment_intent.requires_action", intent)
        return intent
    return succeed(act, intent, card)


def answer_challenge(act: Act, intent: Thing, *, is_passed: bool) -> Thing:
    """The holder has said yes or no to the bank."""
    method = act.find(intent.shown["payment_method"], "payment_method", "PaymentMethod")
    card = msgspec.json.decode(method.hidden["card"], type=Card)
    if not is_passed:
        code = "payment_intent_authentication_failure"
        raise decline(act, intent, method, code, "authentication_not_handled")
    if card.is_declined_after:
        raise decline(act, intent, method, "card_declined", "generic_decline")
    return succeed(act, intent, card)


def succeed(act: Act, intent: Thing, card: Card) -> Thing:
    """Take the money, and tell of it: of the charge, the payment and its page."""
    shown = intent.shown
    method = act.find(shown["payment_method"], "payment_method", "PaymentMethod")
    if shown["setup_future_usage"] and shown["customer"]:
        method.shown["customer"] = shown["customer"]
        act.store.save(method)
        act.tell("payment_method.attached", method)
    paid = add_charge(act, intent, method)
    shown |= {
        "status": "succeeded",
        "amount_received": shown["amount"],
        "latest_charge": paid.id,
        "next_action": None,
        "last_payment_error": None,
    }
    act.store.save(intent)
    act.tell("charge.succeeded", paid)
    act.tell("payment_intent.succeeded", intent)
    session = act.store.any_thing(intent.parent) if intent.parent else None
    if session is not None:
        session.shown |= {"status": "complete", "payment_status": "paid", "url": None}
        act.store.save(session)
        act.tell("checkout.session.completed", session)
    if card.is_disputed:
        dispute(act, paid, "fraudulent")
    return intent
