"""Stripe's own card form: what it is told, who may confirm, and how one goes on to the page."""

import asyncio
from uuid import UUID

import httpx
import pytest
from tests.payments.stripe_bench import settings_of
from tests.payments.test_stripe import (
    CHANNEL,
    GOOD,
    INTENT,
    NOW,
    event_of,
    lines,
    live,
    read,
    stripe,
)

from vendrail.api.payments import ActionKind
from vendrail.kernel.codec import replace
from vendrail.payments.channels.base import Account, CallbackKind, QueryOutcome, check_settings
from vendrail.payments.channels.stripe import StripeChannel
from vendrail.payments.channels.stripe_element import PAGE, origins_of

__all__ = ["lines", "stripe"]

FORM = {"out_trade_no": INTENT["metadata"]["out_trade_no"], "form": "element"}
CARD = {
    "payment_method_data[type]": "card",
    "payment_method_data[card][number]": "4242424242424242",
    "payment_method_data[card][exp_month]": "12",
    "payment_method_data[card][exp_year]": "30",
    "payment_method_data[card][cvc]": "123",
}


@pytest.fixture
def opened(stripe, lines):
    """An account whose cards are typed in Stripe's form."""
    registered = stripe.register()
    more = {
        "card_form": "element",
        "publishable_key": registered["publishable_key"],
        "script_url": f"{stripe.url}/stripe/js/v3/",
    }
    settings = check_settings(StripeChannel(), settings_of(registered, stripe.url, **more))
    return registered, Account(CHANNEL, "stripe", settings, lines.line(UUID(int=1)))


class Browser:
    """What the form's frame asks of Stripe."""

    def __init__(self, stripe, key: str) -> None:
        self._url = f"{stripe.url}/stripe/v1/payment_intents/"
        self._headers = {"authorization": f"Bearer {key}"}

    def confirm(self, secret: str, **changes: str) -> dict:
        """Confirm a payment."""
        url = f"{self._url}{secret.partition('_secret_')[0]}/confirm"
        form = {"client_secret": secret, **CARD, **changes}
        return httpx.post(url, data=form, headers=self._headers).json()

    def look(self, secret: str, told: str) -> httpx.Response:
        """Look at a payment, telling a secret."""
        url = f"{self._url}{secret.partition('_secret_')[0]}"
        return httpx.get(url, params={"client_secret": told}, headers=self._headers)


async def test_the_form_confirms_one_payment_and_shows_no_more(opened, stripe):
    """The form is told names of things; with them a browser pays, once, and sees nothing else."""
    registered, account = opened
    channel, ask = StripeChannel(), live("card")
    (shown,) = await channel.present([ask], account, NOW)
    named = replace(ask, reference=shown.reference)
    (again,) = await channel.present([named], account, NOW)
    browser = Browser(stripe, registered["publishable_key"])
    secret = shown.action.fields["secret"]
    paid = await asyncio.to_thread(browser.confirm, secret)
    twice = await asyncio.to_thread(browser.confirm, secret)
    answer = await channel.query(named, account, NOW)
    (after,) = await channel.present([named], account, NOW)

    assert (ActionKind.EMBED, "stripe") == (shown.action.kind, shown.action.text)
    assert shown.action == again.action
    assert not shown.is_kept
    assert "succeeded" == paid["status"]
    assert {"metadata", "customer", "latest_charge"}.isdisjoint(paid)
    assert "payment_intent_unexpected_state" == twice["error"]["code"]
    assert (QueryOutcome.PAID, 1_230) == (answer.outcome, answer.amount_minor)
    assert (ActionKind.NONE, "captured") == (after.action.kind, after.action.problem)


async def test_a_stranger_confirms_nothing(opened, stripe):
    """Without its secret nobody sees or pays a payment, and the open key opens nothing else."""
    registered, account = opened
    shown, other = await StripeChannel().present([live("card"), live("card")], account, NOW)
    browser = Browser(stripe, registered["publishable_key"])
    secret = shown.action.fields["secret"]
    wrong = other.action.fields["secret"]
    path = f"{stripe.url}/stripe/v1/payment_intents"
    headers = {"authorization": f"Bearer {registered['publishable_key']}"}

    assert 400 == browser.look(secret, wrong).status_code
    assert 400 == browser.look(secret, "").status_code
    assert 200 == browser.look(secret, secret).status_code
    assert 401 == httpx.get(path, headers=headers).status_code
    assert 401 == httpx.post(f"{path}/{shown.reference}/cancel", headers=headers).status_code


async def test_a_secret_key_sends_no_card_number(opened, stripe):
    """A card's number comes from the form alone: a server that sends one is refused."""
    registered, account = opened
    (shown,) = await StripeChannel().present([live("card")], account, NOW)
    server = Browser(stripe, registered["secret_key"])
    told = await asyncio.to_thread(server.confirm, shown.action.fields["secret"])

    assert "generally unsafe" in told["error"]["message"]


async def test_who_goes_on_to_the_page_gives_the_form_up(opened, stripe):
    """The payment of the form is canceled before a page is made: both are never paid."""
    registered, account = opened
    channel, ask = StripeChannel(), live("card")
    (shown,) = await channel.present([ask], account, NOW)
    moved = replace(ask, reference=shown.reference, returned=PAGE, is_own=True)
    (page,) = await channel.present([moved], account, NOW)
    (again,) = await channel.present([moved], account, NOW)
    browser = Browser(stripe, registered["publishable_key"])
    late = await asyncio.to_thread(browser.confirm, shown.action.fields["secret"])

    assert (ActionKind.REDIRECT, True) == (page.action.kind, page.is_kept)
    assert page.action.url == again.action.url
    assert "payment_intent_unexpected_state" == late["error"]["code"]


async def test_who_has_paid_in_the_form_gets_no_page(opened, stripe):
    """Money that has come is not asked for again."""
    registered, account = opened
    channel, ask = StripeChannel(), live("card")
    (shown,) = await channel.present([ask], account, NOW)
    browser = Browser(stripe, registered["publishable_key"])
    await asyncio.to_thread(browser.confirm, shown.action.fields["secret"])
    moved = replace(ask, reference=shown.reference, returned=PAGE, is_own=True)
    (page,) = await channel.present([moved], account, NOW)

    assert (ActionKind.NONE, "captured") == (page.action.kind, page.action.problem)


async def test_a_card_typed_in_the_form_is_remembered_for_who_wished_it(opened, stripe):
    """With a customer from the start the card is theirs; nobody is added to what was shown."""
    registered, account = opened
    channel = StripeChannel()
    customer = await channel.open_customer("b1", account, NOW)
    wished, later, none = live("card", customer=customer), live("card"), live("card")
    shown = await channel.present([wished, later, none], account, NOW)
    turned = replace(later, customer=customer, reference=shown[1].reference)
    await channel.present([turned], account, NOW)
    browser = Browser(stripe, registered["publishable_key"])
    saved = []
    for each in shown:
        await asyncio.to_thread(browser.confirm, each.action.fields["secret"])
        saved.append(len(await channel.list_saved(customer, account, NOW) or []))

    assert [1, 1, 1] == saved


async def test_a_form_that_somebody_else_opens_remembers_nothing(opened, stripe):
    """The buyer began it; opened without them it forgets its wish, and never takes it up again."""
    registered, account = opened
    channel = StripeChannel()
    customer = await channel.open_customer("b2", account, NOW)
    ask = live("card", customer=customer)
    (begun,) = await channel.present([ask], account, NOW)
    named = replace(ask, reference=begun.reference)
    (theirs,) = await channel.present([replace(named, customer="")], account, NOW)
    (again,) = await channel.present([named], account, NOW)
    browser = Browser(stripe, registered["publishable_key"])
    paid = await asyncio.to_thread(browser.confirm, theirs.action.fields["secret"])

    assert begun.action == theirs.action == again.action
    assert "succeeded" == paid["status"]
    assert [] == await channel.list_saved(customer, account, NOW)


async def test_a_stranger_takes_no_form_away(opened, stripe):
    """Who does not hold the order's secret and asks for the page is shown the form, still alive."""
    registered, account = opened
    channel, ask = StripeChannel(), live("card")
    (shown,) = await channel.present([ask], account, NOW)
    asked = replace(ask, reference=shown.reference, returned=PAGE)
    (theirs,) = await channel.present([asked], account, NOW)
    browser = Browser(stripe, registered["publishable_key"])
    paid = await asyncio.to_thread(browser.confirm, shown.action.fields["secret"])

    assert shown.action == theirs.action
    assert "succeeded" == paid["status"]


@pytest.mark.parametrize(
    "code,expected",
    [
        ("insufficient_funds", CallbackKind.OTHER),
        ("authentication_not_handled", CallbackKind.OTHER),
        ("processing_error", CallbackKind.FAILED),
    ],
)
def test_a_decline_that_the_form_says_ends_nothing(code, expected):
    """Who reads in the form that a card was declined goes on there; the channel's fault is one."""
    error = {"code": "card_declined", "decline_code": code}
    told = {**INTENT, "status": "requires_payment_method", "last_payment_error": error}
    on_page = read(event_of(told, "payment_intent.payment_failed"))
    in_form = read(event_of({**told, "metadata": FORM}, "payment_intent.payment_failed"))

    assert CallbackKind.FAILED is on_page.kind
    assert expected is in_form.kind


def test_cards_are_typed_in_the_form_where_that_is_set():
    """The form is shown for cards alone; the page that shows it lets Stripe in, and nobody else."""
    settings = check_settings(
        StripeChannel(),
        {**GOOD, "card_form": "element", "publishable_key": "pk_test_0123456789"},
    )
    plain = check_settings(StripeChannel(), GOOD)
    shown = {each.method: each.shows for each in StripeChannel().offers(settings)}
    let_in = origins_of(settings.script_url)

    assert {"card": "embed", "paynow_qr": "qr"} == shown
    assert "redirect" == StripeChannel().offers(plain)[0].shows
    assert {"https://api.stripe.com"} == set(let_in["calls"].split())
    assert all(each.endswith(".stripe.com") for each in let_in["frames"].split())
