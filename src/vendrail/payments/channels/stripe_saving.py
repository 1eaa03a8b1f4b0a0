"""Stripe remembers cards: they pay with nobody there, or with the buyer where the bank insists."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import stripe

from vendrail.api.payments import ActionKind, PaymentAction
from vendrail.payments.channels.base import Account, Ask
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.saving import SavedAnswer, SavedMethod, SavedOutcome
from vendrail.payments.channels.stripe_line import client_of, fields_of, problem_of
from vendrail.payments.channels.stripe_messages import (
    AUTHENTICATION,
    NUMBER,
    StripeSettings,
    can_take,
    idempotency_key,
    text_of,
    title_of,
)


def off_session(ask: Ask, saved: str) -> dict[str, Any]:
    """Ask to pay with a saved card, nobody being there."""
    return {
        "amount": ask.amount_minor,
        "currency": ask.currency.lower(),
        "customer": ask.customer,
        "payment_method": saved,
        "payment_method_types": ["card"],
        "off_session": True,
        "confirm": True,
        "description": title_of(ask),
        "metadata": {NUMBER: ask.out_trade_no},
    }


def read_saved(fields: Mapping[str, Any]) -> SavedMethod:
    """Turn a payment method into what a buyer reads of it."""
    card: Mapping[str, Any] = fields.get("card") or {}
    label = f"{text_of(card, 'brand') or 'card'} •••• {text_of(card, 'last4') or '????'}"
    year, month = card.get("exp_year"), card.get("exp_month")
    is_dated = type(year) is int and type(month) is int
    return SavedMethod(text_of(fields, "id"), label, f"{year:04d}-{month:02d}" if is_dated else "")


def read_payment(fields: Mapping[str, Any]) -> SavedAnswer:
    """Turn a payment that was confirmed into what came of it."""
    reference, status = text_of(fields, "id"), text_of(fields, "status")
    if status == "succeeded":
        return SavedAnswer(SavedOutcome.PAID, reference)
    action = (fields.get("next_action") or {}).get("redirect_to_url") or {}
    url = text_of(action, "url")
    if status == "requires_action" and re.match(r"https?://", url):
        way = PaymentAction(ActionKind.REDIRECT, url=url)
        return SavedAnswer(SavedOutcome.BUYER_NEEDED, reference, way)
    if status == "canceled":
        return SavedAnswer(SavedOutcome.DECLINED, reference, problem=status)
    return SavedAnswer(SavedOutcome.PENDING, reference)


class StripeSaving:
    """What a channel of Stripe's does with customers and their cards."""

    async def open_customer(
        self, buyer: str, account: Account[StripeSettings], now: datetime
    ) -> str:
        """Make a customer who is known by our word for the buyer and nothing else."""
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            key = {"idempotency_key": idempotency_key(f"customer-{buyer}")}
            made = await api.customers.create_async({"metadata": {"buyer": buyer}}, key)
        except (ProviderAway, stripe.StripeError):
            return ""
        return text_of(fields_of(made), "id")

    async def list_saved(
        self, customer: str, account: Account[StripeSettings], now: datetime
    ) -> list[SavedMethod] | None:
        """List the cards that Stripe remembers for a customer."""
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            found = await api.customers.payment_methods.list_async(
                customer, {"type": "card", "limit": 100}
            )
        except (ProviderAway, stripe.StripeError):
            return None
        return [read_saved(each) for each in fields_of(found)["data"]]

    async def pay_saved(
        self, ask: Ask, saved: str, account: Account[StripeSettings], now: datetime
    ) -> SavedAnswer:
        """Pay off session; where the bank wants to see its holder, begin again on session."""
        if not can_take(ask):
            return SavedAnswer(SavedOutcome.DECLINED, problem="amount_not_offered")
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            asked = off_session(ask, saved)
            key = {"idempotency_key": idempotency_key(f"{ask.out_trade_no}-saved", asked)}
            try:
                made = await api.payment_intents.create_async(asked, key)
            except stripe.CardError as error:
                return await self._after_decline(error, ask, saved, api)
        except stripe.InvalidRequestError as error:
            return SavedAnswer(SavedOutcome.DECLINED, problem=problem_of(error))
        except (ProviderAway, stripe.StripeError):
            return SavedAnswer(SavedOutcome.UNKNOWN)
        return read_payment(fields_of(made))

    async def _after_decline(
        self, error: stripe.CardError, ask: Ask, saved: str, api: Any
    ) -> SavedAnswer:
        """Confirm the same payment with the buyer there, or say that it was declined."""
        body: Any = error.json_body or {}
        told = body.get("error") or {}
        reference = text_of(told.get("payment_intent") or {}, "id")
        problem = text_of(told, "decline_code") or error.code or "card_declined"
        if error.code != AUTHENTICATION or not reference:
            return SavedAnswer(SavedOutcome.DECLINED, reference, problem=problem)
        back = ask.return_url or ask.quit_url or ask.notify_url
        asked = {"payment_method": saved, "return_url": back, "expand": ["latest_charge"]}
        key = {"idempotency_key": idempotency_key(f"{ask.out_trade_no}-here", asked)}
        try:
            made = await api.payment_intents.confirm_async(reference, asked, key)
        except stripe.CardError as again:
            problem = again.code or problem
            return SavedAnswer(SavedOutcome.DECLINED, reference, problem=problem)
        return read_payment(fields_of(made))

    async def forget_saved(
        self, customer: str, saved: str, account: Account[StripeSettings], now: datetime
    ) -> bool:
        """Detach a card from its customer: Stripe never lets it be used again."""
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            await api.payment_methods.detach_async(saved)
        except stripe.InvalidRequestError as error:
            # Not there, or nobody's any more: forgotten either way.
            return error.code == "resource_missing" or "not attached" in str(error)
        except (ProviderAway, stripe.StripeError):
            return False
        return True
