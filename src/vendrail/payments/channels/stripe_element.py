"""Stripe's own card form on the pay page: what it is told, and how one goes on to Stripe's page."""

from typing import Any

import stripe

from vendrail.api.payments import ActionKind, PaymentAction
from vendrail.payments.channels.base import Account, Ask, Presentation, away
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.stripe_line import client_of, fields_of
from vendrail.payments.channels.stripe_messages import (
    ELEMENT,
    FORM,
    NUMBER,
    TYPES,
    Fields,
    StripeSettings,
    idempotency_key,
    text_of,
    title_of,
)

PAGE = "page=hosted"  # Asks the door for Stripe's page instead of its form.

# What Stripe itself says that a page with its form lets in.
FRAMES = "https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com"
CALLS = "https://api.stripe.com"
_FILLED_IN = ("requires_payment_method", "requires_confirmation", "requires_action")
_OVER = "payment_intent_unexpected_state"


def embedded(ask: Ask) -> dict[str, Any]:
    """Ask for a payment that Stripe's own form on the pay page confirms."""
    asked: dict[str, Any] = {
        "amount": ask.amount_minor,
        "currency": ask.currency.lower(),
        "payment_method_types": [TYPES[ask.method][0]],
        "description": title_of(ask),
        "metadata": {NUMBER: ask.out_trade_no, FORM: ELEMENT},
    }
    if ask.customer:
        asked["customer"] = ask.customer
        asked["setup_future_usage"] = "off_session"
    return asked


def read_embedded(fields: Fields, settings: StripeSettings) -> Presentation:
    """Turn a payment into what its form needs: names of things, and where Stripe's script is.

    The form lives in Stripe's frames: the page lets in what they are made of, and nothing else.
    """
    status, secret = text_of(fields, "status"), text_of(fields, "client_secret")
    if status not in _FILLED_IN or not secret:
        return away("captured" if status in {"succeeded", "processing"} else "closed")
    named = {
        "key": settings.publishable_key,
        "secret": secret,
        "account": settings.connected_account,
        **origins_of(settings.script_url),
    }
    action = PaymentAction(ActionKind.EMBED, settings.script_url, "stripe", named)
    return Presentation(action, text_of(fields, "id"))


def origins_of(script_url: str) -> dict[str, str]:
    """Say what a page with the form lets in: Stripe's frames, and whom they speak to."""
    if script_url.startswith("https://js.stripe.com/"):
        return {"frames": FRAMES, "calls": CALLS}
    origin = "/".join(script_url.split("/")[:3])
    return {"frames": origin, "calls": origin}


async def embed(ask: Ask, account: Account[StripeSettings]) -> Presentation | None:
    """Give what Stripe's form here needs; None: the card is typed on Stripe's page."""
    has_form, is_begun = bool(account.settings.publishable_key), ask.reference.startswith("pi_")
    wants_page = not has_form or PAGE in ask.returned.split("&")
    if ask.reference.startswith("cs_") or (wants_page and not is_begun):
        return None
    if wants_page and not ask.is_own and not has_form:
        return away("closed")
    try:
        account.line.expect()
        payments: Any = client_of(account.settings, account.line).v1.payment_intents
        if wants_page and ask.is_own:  # A stranger takes no form from who fills it in.
            return await _give_up(payments, ask.reference)
        made = await (_look(payments, ask) if is_begun else _begin(payments, ask))
        return read_embedded(made, account.settings)
    except (ProviderAway, stripe.StripeError):
        return away()


async def _begin(payments: Any, ask: Ask) -> Fields:
    asked = embedded(ask)
    key = idempotency_key(f"{ask.out_trade_no}-form", asked)
    return fields_of(await payments.create_async(asked, {"idempotency_key": key}))


async def _look(payments: Any, ask: Ask) -> Fields:
    """Look at what was begun; where somebody else looks, no card will be remembered for its buyer.

    Nobody is added to what was shown: whoever has the form before them agreed to nothing.
    """
    known = fields_of(await payments.retrieve_async(ask.reference))
    is_remembering = bool(text_of(known, "setup_future_usage"))
    if not is_remembering or (ask.customer and text_of(known, "customer") == ask.customer):
        return known
    if text_of(known, "status") not in _FILLED_IN:
        return known
    return fields_of(await payments.update_async(ask.reference, {"setup_future_usage": ""}))


async def _give_up(payments: Any, reference: str) -> Presentation | None:
    """Cancel what the form would confirm before the page opens, or both could be paid."""
    try:
        await payments.cancel_async(reference)
    except stripe.InvalidRequestError as error:
        if error.code != _OVER:
            return away()
        known = fields_of(await payments.retrieve_async(reference))
        return None if text_of(known, "status") == "canceled" else away("captured")
    return None
