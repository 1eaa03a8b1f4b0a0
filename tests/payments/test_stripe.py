"""Stripe: what the channel asks, believes and refuses, against the emulated one and its library."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import stripe as library
from hypothesis import given
from hypothesis import strategies as st
from tests.payments.conftest import Shop, number_of
from tests.payments.stripe_bench import Stripe, StripeBench, message_of, settings_of, signed

from vendrail.api.payments import (
    Callback,
    ChannelAccount,
    ChannelId,
    Device,
    PresentRequest,
    Refund,
)
from vendrail.channelkit.contract import ChannelContract
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id
from vendrail.payments.channels.base import (
    Account,
    Ask,
    Blame,
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    Doubt,
    Payee,
    PayoutAsk,
    PayoutChannel,
    PayoutOutcome,
    QueryOutcome,
    RefundAsk,
    RefundOutcome,
    SettingProblem,
    blame_of,
    check_settings,
    registry,
)
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.channels.saving import RememberingChannel
from vendrail.payments.channels.statements import StatementChannel, StatementKind, StatementOutcome
from vendrail.payments.channels.stripe import StripeChannel
from vendrail.payments.channels.stripe_events import check_signature, read_event
from vendrail.payments.channels.stripe_line import client_of
from vendrail.payments.channels.stripe_messages import (
    intent,
    read_found,
    read_intent,
    read_visit,
    session,
)
from vendrail.payments.settings import PaymentsSettings

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MOMENT = int(NOW.timestamp())
SECRET = "whsec_test0000"
CHANNEL = ChannelId(UUID(int=1))
GOOD = {
    "secret_key": "sk_test_0123456789",
    "webhook_secret": f"{SECRET}, whsec_older0000",
    "methods": "card,paynow_qr",
}
SETTINGS = check_settings(StripeChannel(), GOOD)
NUMBER = "01ARZ3NDEKTSV4RRFFQ69G5FAV01"
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount_received": 1_230,
    "currency": "sgd",
    "metadata": {"out_trade_no": NUMBER},
    "status": "succeeded",
}


@pytest.fixture
def stripe(alipay_server, alipay_home):
    """The sandbox's Stripe, without faults."""
    door = Stripe(alipay_server.url, alipay_home)
    door.clear()
    yield door
    door.clear()
    door.close()


class TestStripe(ChannelContract):
    """Stripe keeps the contract of channels."""

    @pytest.fixture
    def bench(self, stripe):
        """Two accounts, and one that is connected to the first."""
        return StripeBench(stripe)


def event_of(told: dict, kind: str = "payment_intent.succeeded", **changes: object) -> bytes:
    """Write an event."""
    event = {
        "id": "evt_1",
        "object": "event",
        "created": MOMENT,
        "livemode": False,
        "type": kind,
        "data": {"object": told},
        **changes,
    }
    return json.dumps(event).encode()


def read(body: bytes, header: str | None = None, settings=SETTINGS) -> CallbackFacts:
    """Read a webhook that is signed now, or as told."""
    header = signed(SECRET, MOMENT, body) if header is None else header
    return read_event(
        Callback(CHANNEL, "POST", {"stripe-signature": header}, "", body), settings, NOW
    )


# Webhooks.


def test_the_published_signature_comes_out():
    """The vector that both of Stripe's own libraries agree on is ours too."""
    header = "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925"
    now = datetime.fromtimestamp(1_700_000_000, UTC)

    assert "" == check_signature(header, b'{"id":"evt_1"}', ["whsec_test"], now)


@given(st.text(min_size=1, max_size=200), st.integers(min_value=-299, max_value=299))
def test_what_the_library_signs_is_believed(text, away_s):
    """A header of the official library holds here, up to five minutes either way."""
    body = event_of({**INTENT, "description": text})
    header = library.WebhookSignature.generate_signature_header(
        body.decode(), SECRET, MOMENT + away_s
    )

    assert CallbackKind.CAPTURED is read(body, header).kind


def test_the_official_library_takes_what_we_take():
    """What our check calls good, the official verifier calls good, rolled secrets included."""
    body = event_of(INTENT)
    now = int(datetime.now(UTC).timestamp())
    for secret in (SECRET, "whsec_older0000"):
        header = signed(secret, now, body)
        assert library.WebhookSignature.verify_header(body, header, secret, 300)
        rolled = f"t={now},v1={'0' * 64},{header.partition(',')[2]}"
        assert "" == check_signature(rolled, body, SETTINGS.webhook_secrets, datetime.now(UTC))


@pytest.mark.parametrize("away_s", [-301, 301, 86_400])
def test_a_moment_that_is_far_proves_nothing(away_s):
    """A webhook held back is refused, and one made for later too, which the library lets in."""
    body = event_of(INTENT)

    refused = read(body, signed(SECRET, MOMENT + away_s, body))
    assert CallbackRefusal("timestamp_far") == refused


def test_no_secret_believes_nothing():
    """An account without a signing secret takes no webhook, however it is signed."""
    bare = check_settings(StripeChannel(), {**GOOD, "webhook_secret": ""})
    body = event_of(INTENT)

    assert CallbackRefusal("signature_wrong") == read(body, signed("", MOMENT, body), bare)


@pytest.mark.parametrize(
    "changes,mismatch",
    [
        ({"account": "acct_ofsomebodyelse"}, "account_differs"),
        ({"livemode": True}, "mode_differs"),
        ({"livemode": "false"}, "mode_differs"),
    ],
)
def test_another_account_or_mode_is_a_mismatch(changes, mismatch):
    """Well signed money of another account, or of test mode, is not ours."""
    assert mismatch == read(event_of(INTENT, **changes)).mismatch


def test_a_connected_account_is_believed_by_name():
    """With an account of Connect, only events that name it are taken."""
    settings = check_settings(StripeChannel(), {**GOOD, "connected_account": "acct_123456"})

    assert "account_differs" == read(event_of(INTENT), settings=settings).mismatch
    assert "" == read(event_of(INTENT, account="acct_123456"), settings=settings).mismatch


SESSION = {
    "id": "cs_1",
    "object": "checkout.session",
    "amount_total": 1_230,
    "currency": "sgd",
    "metadata": {"out_trade_no": NUMBER},
    "payment_intent": "pi_1",
    "payment_status": "paid",
    "status": "complete",
}
REFUND = {
    "id": "re_1",
    "object": "refund",
    "amount": 230,
    "currency": "sgd",
    "metadata": {"out_trade_no": NUMBER},
    "payment_intent": "pi_1",
    "status": "succeeded",
}
DISPUTE = {
    "id": "du_1",
    "object": "dispute",
    "amount": 1_230,
    "currency": "sgd",
    "payment_intent": "pi_1",
    "status": "needs_response",
}
INQUIRY = {**DISPUTE, "status": "warning_needs_response"}


@pytest.mark.parametrize(
    "told,kind,expected",
    [
        (INTENT, "payment_intent.succeeded", CallbackKind.CAPTURED),
        ({**INTENT, "status": "processing"}, "payment_intent.succeeded", CallbackKind.OTHER),
        (INTENT, "payment_intent.created", CallbackKind.OTHER),
        (INTENT, "payment_intent.canceled", CallbackKind.CLOSED),
        (INTENT, "payment_intent.payment_failed", CallbackKind.FAILED),
        (
            {**INTENT, "last_payment_error": {"code": "authentication_required"}},
            "payment_intent.payment_failed",
            CallbackKind.OTHER,
        ),
        (SESSION, "checkout.session.completed", CallbackKind.CAPTURED),
        (SESSION, "checkout.session.async_payment_succeeded", CallbackKind.CAPTURED),
        (SESSION, "checkout.session.async_payment_failed", CallbackKind.FAILED),
        (SESSION, "checkout.session.expired", CallbackKind.CLOSED),
        ({**SESSION, "payment_status": "unpaid"}, "checkout.session.completed", "other"),
        ({**SESSION, "payment_status": "no_payment_required"}, "checkout.session.completed",
         "other"),
        (REFUND, "refund.created", CallbackKind.REFUNDED),
        ({**REFUND, "status": "pending"}, "refund.created", CallbackKind.OTHER),
        ({**REFUND, "status": "failed"}, "refund.failed", CallbackKind.REFUND_FAILED),
        ({**REFUND, "status": "canceled"}, "refund.updated", CallbackKind.REFUND_FAILED),
        (DISPUTE, "charge.dispute.created", CallbackKind.DISPUTED),
        (DISPUTE, "charge.dispute.updated", CallbackKind.OTHER),
        ({**DISPUTE, "status": "won"}, "charge.dispute.closed", CallbackKind.DISPUTE_WON),
        ({**DISPUTE, "status": "lost"}, "charge.dispute.closed", CallbackKind.DISPUTE_LOST),
        (DISPUTE, "charge.dispute.funds_withdrawn", CallbackKind.DISPUTED),
        (INQUIRY, "charge.dispute.created", CallbackKind.OTHER),
        ({**INQUIRY, "status": "prevented"}, "charge.dispute.created", CallbackKind.OTHER),
        (INQUIRY, "charge.dispute.funds_withdrawn", CallbackKind.DISPUTED),
        ({**INQUIRY, "status": "warning_closed"}, "charge.dispute.closed",
         CallbackKind.DISPUTE_DROPPED),
        ({**INQUIRY, "status": "prevented"}, "charge.dispute.closed",
         CallbackKind.DISPUTE_DROPPED),
        ({"object": "payout", "id": "po_1"}, "payout.paid", CallbackKind.OTHER),
    ],
)  # fmt: skip
def test_events_are_told_by_what_they_mean(told, kind, expected):
    """Each kind of event is one fact, and what is not known changes nothing."""
    assert expected == read(event_of(told, kind)).kind


def test_a_page_and_its_payment_tell_of_one_capture():
    """Both events of one sale name the same payment, amount and currency."""
    money = [
        (facts.out_trade_no, facts.provider_number, facts.amount_minor, facts.currency)
        for facts in (
            read(event_of(INTENT)),
            read(event_of(SESSION, "checkout.session.completed")),
        )
    ]

    assert [(NUMBER, "pi_1", 1_230, "SGD")] * 2 == money


def test_disputes_and_refunds_are_told_with_their_numbers():
    """Who reads a dispute or a refund learns its number, its payment and how much."""
    found = [
        read(event_of(DISPUTE, "charge.dispute.created")),
        read(event_of(REFUND, "refund.created")),
    ]

    assert [("du_1", "pi_1", 1_230), ("re_1", "pi_1", 230)] == [
        (facts.case_number, facts.provider_number, facts.amount_minor) for facts in found
    ]


# What is asked.


def ask_of(method: str, **changes: object) -> Ask:
    """Make an ask, or as told."""
    given = {
        "out_trade_no": NUMBER,
        "method": method,
        "amount_minor": 1_230,
        "currency": "SGD",
        "title": "月卡",
        "opened_at": NOW,
        "expires_at": NOW + timedelta(minutes=15),
        "notify_url": "https://rail.example/callbacks/1",
        "return_url": "https://shop.example/orders/1",
        **changes,
    }
    return Ask(**given)


@pytest.mark.parametrize("method,type", [("card", "card"), ("wechat", "wechat_pay")])
def test_a_page_lives_as_long_as_stripe_wants(method, type):
    """A page takes one way to pay, in our currency, and ends half an hour after the attempt."""
    asked = session(ask_of(method))

    assert [type] == asked["payment_method_types"]
    assert MOMENT + 46 * 60 == asked["expires_at"]
    assert {"enabled": False} == asked["adaptive_pricing"]
    assert {"out_trade_no": NUMBER} == asked["payment_intent_data"]["metadata"]


def test_promptpay_names_whom_stripe_writes_to():
    """A code of PromptPay needs an address, which is a setting."""
    with pytest.raises(SettingProblem, match="email"):
        check_settings(StripeChannel(), {**GOOD, "methods": "promptpay_qr"})
    changed = {**GOOD, "methods": "promptpay_qr", "email": "desk@rail.example"}
    settings = check_settings(StripeChannel(), changed)
    asked = intent(ask_of("promptpay_qr", currency="THB"), settings)

    assert {"email": "desk@rail.example"} == asked["payment_method_data"]["billing_details"]


@pytest.mark.parametrize(
    "changes,name",
    [
        ({"secret_key": "pk_test_0123456789"}, "secret_key"),
        ({"webhook_secret": "secret"}, "webhook_secret"),
        ({"methods": "cards"}, "methods"),
        ({"connected_account": "12"}, "connected_account"),
        ({"email": "nobody"}, "email"),
        ({"api_url": "ftp://x"}, "api_url"),
        ({"secret_key": "sk_live_0123456789", "api_url": "http://x.example"}, "api_url"),
        ({"card_form": "iframe"}, "card_form"),
        ({"card_form": "element"}, "publishable_key"),
        ({"card_form": "element", "publishable_key": "sk_test_0123456789"}, "publishable_key"),
        ({"card_form": "element", "publishable_key": "pk_live_0123456789"}, "publishable_key"),
        (
            {
                "card_form": "element",
                "secret_key": "sk_live_0123456789",
                "publishable_key": "pk_live_0123456789",
                "script_url": "https://elsewhere.example/v3/",
            },
            "script_url",
        ),
    ],
)
def test_settings_that_cannot_be_right_are_refused(changes, name):
    """Each is refused by its name; a live key never travels unsealed."""
    with pytest.raises(SettingProblem) as caught:
        check_settings(StripeChannel(), {**GOOD, **changes})

    assert name == caught.value.name


def test_doubts_are_told_apart():
    """A key that is not known is about credentials, all else about nothing in particular."""
    channel = registry()["stripe"]

    assert Doubt.CREDENTIALS is channel.doubt("AuthenticationError: Invalid API Key provided")
    assert Doubt.OTHER is channel.doubt("RateLimitError: Too many requests")


def test_nothing_of_the_machine_is_told():
    """The library's telemetry is off, and only what Stripe needs goes along."""
    sent: dict[str, dict] = {}

    class Line:
        async def send(self, method, url, *, content=None, headers=None):
            sent[url] = dict(headers)
            raise RuntimeError("enough")

    client = client_of(SETTINGS, Line())
    with pytest.raises(RuntimeError, match="enough"):
        asyncio.run(client.v1.refunds.create_async({"payment_intent": "pi_1"}))

    [headers] = sent.values()
    assert not library.enable_telemetry
    assert {"Authorization", "Stripe-Version", "Idempotency-Key", "Content-Type"} == set(headers)


# Against the emulated one.


@pytest.fixture
async def lines(clock):
    """A switchboard of this test's own."""
    made = Switchboard(clock, PaymentsSettings(), lambda: None)
    yield made
    await made.close()


@pytest.fixture
def opened(stripe, lines):
    """An account at the sandbox, opened for use, with its channel."""
    registered = stripe.register()
    settings = check_settings(StripeChannel(), settings_of(registered, stripe.url))
    return registered, Account(CHANNEL, "stripe", settings, lines.line(UUID(int=1)))


def live(method: str, **changes: object) -> Ask:
    """Make an ask of now, with a number that nobody has used."""
    now = datetime.now(UTC)
    serial = f"01{new_id(now).hex[:24].upper()}01"
    given = {"out_trade_no": serial, "opened_at": now, "expires_at": now + timedelta(minutes=15)}
    return ask_of(method, **{**given, **changes})


async def test_a_way_back_that_changed_makes_another_page(opened, stripe):
    """The same ask is the same page; with another way back, after a lost answer, it is another."""
    registered, account = opened
    channel, ask = StripeChannel(), live("card")
    moved = replace(ask, return_url="https://shop.example/orders/2")

    pages = await channel.present([ask, ask, moved, moved], account, NOW)
    assert 2 == len({page.reference for page in pages})
    assert pages[0] == pages[1]
    assert pages[2] == pages[3]
    assert all(page.is_kept and page.action.url for page in pages)
    known = stripe.known(registered["account"], ask.out_trade_no)
    assert 2 == len(known["sessions"])


async def test_an_amount_that_stripe_cannot_write_is_not_asked_for(opened, stripe):
    """Three places end in a zero; what does not is not offered, and Stripe is not asked."""
    registered, account = opened
    channel = StripeChannel()
    odd = live("card", currency="KWD", amount_minor=1_235)
    even = live("card", currency="KWD", amount_minor=1_230)
    yen = live("card", currency="JPY", amount_minor=500)

    shown = await channel.present([odd, even, yen], account, NOW)
    assert [False, True, True] == [bool(each.action.url) for each in shown]
    assert [] == stripe.known(registered["account"], odd.out_trade_no)["sessions"]
    known = stripe.known(registered["account"], yen.out_trade_no)
    assert (500, "jpy") == (
        known["sessions"][0]["amount_total"],
        known["sessions"][0]["currency"],
    )


async def test_a_page_that_expired_is_closed_and_a_paid_one_is_not(opened, stripe):
    """Closing lets a page expire; one that is paid refuses, and asked says that it is paid."""
    registered, account = opened
    channel = StripeChannel()
    asks = [live("card"), live("card"), live("paynow_qr"), live("paynow_qr")]
    shown = await channel.present(asks, account, NOW)
    named = [replace(a, reference=s.reference) for a, s in zip(asks, shown, strict=True)]
    for ask in (named[1], named[3]):
        await asyncio.to_thread(stripe.pay, registered["account"], ask.out_trade_no)

    closed = [await channel.close(ask, account, NOW) for ask in named]
    answers = [await channel.query(ask, account, NOW) for ask in named]
    assert ["closed", "refused", "closed", "refused"] == closed
    assert ["closed", "paid", "closed", "paid"] == [answer.outcome for answer in answers]
    assert [(1_230, "SGD")] * 2 == [(a.amount_minor, a.currency) for a in (answers[1], answers[3])]
    assert "not_found" == await channel.close(live("card"), account, NOW)


async def test_money_is_found_without_the_name_of_its_page(opened, stripe):
    """Where the page's name was lost, the payment is found by our number."""
    registered, account = opened
    channel, ask = StripeChannel(), live("card")
    before = await channel.query(ask, account, NOW)
    await channel.present([ask], account, NOW)
    await asyncio.to_thread(stripe.pay, registered["account"], ask.out_trade_no)
    after = await channel.query(ask, account, NOW)

    assert QueryOutcome.NOT_FOUND is before.outcome
    assert QueryOutcome.PAID is after.outcome
    assert after.provider_number.startswith("pi_")


async def test_a_declined_card_is_a_failure_that_may_be_followed_by_money(opened, stripe):
    """A decline leaves the page open; the next card pays it, and only that counts."""
    _registered, account = opened
    channel, ask = StripeChannel(), live("card")
    (shown,) = await channel.present([ask], account, NOW)
    named = replace(ask, reference=shown.reference)
    typed = {"way": "card", "expiry": "12/30", "cvc": "123"}
    page = await asyncio.to_thread(
        stripe.tap, shown.action.url, number="4000 0000 0000 9995", **typed
    )
    declined = await channel.query(named, account, NOW)
    way = await asyncio.to_thread(
        stripe.tap, shown.action.url, number="4000 0027 6000 3184", **typed
    )
    challenged = await channel.query(named, account, NOW)
    back = await asyncio.to_thread(stripe.tap, way, verdict="yes")
    paid = await channel.query(named, account, NOW)

    assert "insufficient funds" in page
    assert ["unpaid", "unpaid", "paid"] == [a.outcome for a in (declined, challenged, paid)]
    assert ask.return_url == back


async def paid_in(opened, stripe, method: str = "card") -> tuple[Ask, str]:
    """Let something be paid; give what was asked and the payment's number."""
    registered, account = opened
    ask = live(method)
    (shown,) = await StripeChannel().present([ask], account, NOW)
    paid = await asyncio.to_thread(stripe.pay, registered["account"], ask.out_trade_no)
    return replace(ask, reference=shown.reference), paid["payment_intent"]


def refund_of(ask: Ask, number: str, **changes: object) -> RefundAsk:
    """Ask for a part back, or as told."""
    given = {
        "refund_number": f"R{ask.out_trade_no}",
        "out_trade_no": ask.out_trade_no,
        "provider_number": number,
        "amount_minor": 230,
        "captured_minor": 1_230,
        "currency": "SGD",
        "reason": "dead key",
        **changes,
    }
    return RefundAsk(**given)


async def test_a_refund_told_a_day_later_moves_nothing_twice(opened, stripe, clock):
    """Stripe forgets its keys after a day; a refund told again then is looked for first."""
    registered, account = opened
    channel = StripeChannel()
    ask, number = await paid_in(opened, stripe)
    refund = refund_of(ask, number)
    await channel.refund(refund, account, NOW)
    other = replace(refund, refund_number=f"S{ask.out_trade_no}")
    stripe.fault("gateway_down", match={"method": "refunds.list"})
    unknown = await channel.refund(replace(refund, tries=1), account, NOW)
    again = await channel.refund(replace(refund, tries=1), account, NOW)
    second = await channel.refund(replace(other, tries=3), account, NOW)

    assert [RefundOutcome.UNKNOWN, RefundOutcome.SUCCEEDED, RefundOutcome.SUCCEEDED] == [
        each.outcome for each in (unknown, again, second)
    ]
    known = stripe.known(registered["account"], ask.out_trade_no)
    assert [230, 230] == [each["amount"] for each in known["refunds"]]


async def test_a_refusal_that_is_repeated_is_told_anew(opened, stripe):
    """What was refused under a key stays refused under it; asked anew, another key moves money."""
    _, account = opened
    channel = StripeChannel()
    ask, number = await paid_in(opened, stripe)
    refund = refund_of(ask, number)
    stripe.fault(
        "business_error",
        match={"method": "refunds.create"},
        params={"sub_code": "balance_insufficient"},
    )

    refused = await channel.refund(refund, account, NOW)
    mended = await channel.refund(replace(refund, tries=1), account, NOW)
    assert RefundOutcome.FAILED is refused.outcome
    assert "balance_insufficient" in refused.problem
    assert RefundOutcome.SUCCEEDED is mended.outcome


async def test_a_refund_of_a_wallet_is_pending_and_then_arrives(opened, stripe):
    """What goes back to a wallet is pending first, and one that comes back has failed."""
    registered, account = opened
    channel = StripeChannel()
    ask, number = await paid_in(opened, stripe, "paynow_qr")
    refund = refund_of(ask, number)
    told = await channel.refund(refund, account, NOW)
    known = stripe.known(registered["account"], ask.out_trade_no)
    stripe.post(f"refunds/{known['refunds'][0]['id']}/settle", {"is_good": False})
    failed = await channel.query_refund(refund, account, NOW)

    assert RefundOutcome.PENDING is told.outcome
    assert RefundOutcome.FAILED is failed.outcome


async def test_what_a_bank_has_taken_back_is_not_refunded(opened, stripe):
    """X26: after a dispute a refund is refused for good, so that nobody is paid twice."""
    registered, account = opened
    ask, number = await paid_in(opened, stripe)
    stripe.post("disputes", {"account": registered["account"], "out_trade_no": ask.out_trade_no})

    refused = await StripeChannel().refund(refund_of(ask, number), account, NOW)
    assert RefundOutcome.FAILED is refused.outcome
    assert "charge_disputed" in refused.problem


async def test_a_transfer_reaches_a_connected_account_and_may_come_back(opened, stripe):
    """A payout is a transfer; one to a stranger is refused, one that is reversed is returned."""
    registered, account = opened
    channel = StripeChannel()
    target = stripe.register(platform=registered["account"])["account"]
    ask = PayoutAsk(f"P{new_id(NOW).hex}", Payee("connected_account", target), 500, "SGD", "shares")
    stranger = replace(ask, payout_number="P2", payee=Payee("connected_account", "acct_stranger"))
    sent = await channel.pay_out(ask, account, NOW)
    refused = await channel.pay_out(stranger, account, NOW)
    stripe.post(f"transfers/{sent.provider_number}/reverse", {})
    returned = await channel.query_payout(ask, account, NOW)

    assert [PayoutOutcome.SUCCEEDED, PayoutOutcome.FAILED, PayoutOutcome.RETURNED] == [
        each.outcome for each in (sent, refused, returned)
    ]


async def test_yesterdays_report_has_its_rows_by_name(opened, stripe, clock):
    """A report is asked for, written, and fetched with the key; today's is not ready."""
    _, account = opened
    channel = StripeChannel()
    ask, number = await paid_in(opened, stripe)
    await channel.refund(refund_of(ask, number), account, NOW)
    today = datetime.now(UTC).date()

    early = await channel.download_statement(StatementKind.TRADE, today, account, datetime.now(UTC))
    assert StatementOutcome.NOT_READY is early.outcome
    later = datetime.now(UTC) + timedelta(days=1)
    for _ in range(40):
        told = await channel.download_statement(StatementKind.TRADE, today, account, later)
        if told.outcome is StatementOutcome.READY:
            break
        await asyncio.sleep(0.25)
    rows = told.file.decode().splitlines()
    assert 3 == len(rows), told
    assert f"{number},card,12.30,sgd" in rows[1]
    assert ask.out_trade_no in rows[1]
    assert rows[2].endswith(f"R{ask.out_trade_no}")
    assert ("text/csv", f"stripe-trade-{today}.csv") == (told.media_type, told.name)


# Saved cards.


async def saved_card(opened, stripe, number: str) -> tuple[str, str]:
    """Let a new customer pay a page with a card that is to be remembered; give both names."""
    _registered, account = opened
    channel = StripeChannel()
    buyer = new_id(NOW).hex
    customer = await channel.open_customer(buyer, account, NOW)
    assert customer == await channel.open_customer(buyer, account, NOW)
    assert [] == await channel.list_saved(customer, account, NOW)
    ask = live("card", customer=customer)
    (shown,) = await channel.present([ask], account, NOW)
    fields = {"way": "card", "number": number, "expiry": "12/30", "cvc": "123"}
    way = await asyncio.to_thread(stripe.tap, shown.action.url, **fields)
    if "/3ds/" in way:
        await asyncio.to_thread(stripe.tap, way, verdict="yes")
    (saved,) = await channel.list_saved(customer, account, NOW)
    assert (f"visa •••• {number[-4:]}", "2030-12") == (saved.label, saved.expires)
    return customer, saved.reference


async def test_b3_a_saved_card_pays_once_and_nobody_is_there(opened, stripe):
    """B3: one call pays; told again, also after a lost answer, it pays nothing more."""
    registered, account = opened
    channel = StripeChannel()
    customer, saved = await saved_card(opened, stripe, "4242424242424242")
    ask = live("card", customer=customer)
    stripe.fault("gateway_down", match={"method": "intents.create"}, params={"is_after": True})

    lost = await channel.pay_saved(ask, saved, account, NOW)
    paid = await channel.pay_saved(ask, saved, account, NOW)
    again = await channel.pay_saved(ask, saved, account, NOW)
    assert ["unknown", "paid", "paid"] == [each.outcome for each in (lost, paid, again)]
    assert paid == again
    answer = await channel.query(replace(ask, reference=paid.reference), account, NOW)
    assert (QueryOutcome.PAID, 1_230) == (answer.outcome, answer.amount_minor)
    known = stripe.known(registered["account"], ask.out_trade_no)
    assert 1 == len(known["payment_intents"])


async def test_a_bank_that_wants_to_see_the_buyer_is_shown_them(opened, stripe):
    """Authentication required: the buyer is led to the bank, and the same payment is then paid."""
    _, account = opened
    channel = StripeChannel()
    customer, saved = await saved_card(opened, stripe, "4000002760003184")
    ask = live("card", customer=customer)

    needed = await channel.pay_saved(ask, saved, account, NOW)
    assert needed == await channel.pay_saved(ask, saved, account, NOW)
    assert ("buyer_needed", "redirect") == (needed.outcome, needed.action.kind)
    named = replace(ask, reference=needed.reference)
    before = await channel.query(named, account, NOW)
    back = await asyncio.to_thread(stripe.tap, needed.action.url, verdict="yes")
    after = await channel.query(named, account, NOW)
    assert [QueryOutcome.UNPAID, QueryOutcome.PAID] == [before.outcome, after.outcome]
    assert ask.return_url == back


async def test_a_saved_card_that_is_declined_or_forgotten_takes_nothing(opened, stripe):
    """A decline is one, with its code; a card that was forgotten pays for nobody."""
    registered, account = opened
    channel = StripeChannel()
    customer, saved = await saved_card(opened, stripe, "4242424242424242")
    stranger = await channel.open_customer(new_id(NOW).hex, account, NOW)
    wrong = live("card", customer=stranger)
    refused = await channel.pay_saved(wrong, saved, account, NOW)
    assert await channel.forget_saved(customer, saved, account, NOW)
    assert await channel.forget_saved(customer, saved, account, NOW)
    ask = live("card", customer=customer)
    forgotten = await channel.pay_saved(ask, saved, account, NOW)

    assert ["declined", "declined"] == [refused.outcome, forgotten.outcome]
    assert [] == await channel.list_saved(customer, account, NOW)
    for each in (wrong, ask):
        known = stripe.known(registered["account"], each.out_trade_no)
        assert {"succeeded"}.isdisjoint(x["status"] for x in known["payment_intents"])


def test_the_channel_can_do_what_only_some_can():
    """Stripe's channel writes statements, pays out, and has cards remembered."""
    channel = registry()["stripe"]

    for kind in (StatementChannel, PayoutChannel, RememberingChannel):
        assert isinstance(channel, kind)


@pytest.mark.parametrize("is_refunded", [False, True])
def test_money_that_was_given_back_whole_is_none(is_refunded):
    """A payment that somebody has refunded at Stripe itself is over, whichever way it is read."""
    told = {**INTENT, "latest_charge": {"id": "ch_1", "created": MOMENT, "refunded": is_refunded}}
    ask = Ask(NUMBER, "card", 1_230, "SGD", "t", NOW, NOW)
    visit = {"payment_intent": told, "metadata": told["metadata"], "status": "complete"}

    outcome = QueryOutcome.CLOSED if is_refunded else QueryOutcome.PAID
    assert outcome is read_intent(told, ask).outcome
    assert outcome is read_visit(visit, ask).outcome
    assert outcome is read_found([told], ask).outcome


def test_declines_are_the_buyers_and_trouble_is_the_channels():
    """What the buyer's bank says counts against nobody's channel; what the provider lacks does."""
    channel = registry()["stripe"]

    assert Blame.BUYER is blame_of(channel, "insufficient_funds")
    assert Blame.CHANNEL is blame_of(channel, "processing_error")


# In the service.


async def test_a_sale_is_told_by_signed_webhooks_in_any_order(service, stripe, clock):
    """X2 X3: all events of a sale, twice and backwards, are one capture and one event of ours."""
    registered = stripe.register()
    channel = ChannelAccount(
        id=ChannelId(new_id(clock.now())),
        name="stripe",
        kind="stripe",
        title="Stripe",
        currencies=["SGD", "USD"],
        settings=settings_of(registered, stripe.url),
    )
    assert ["created"] == await service.put_channels([channel])
    shop = Shop(service, channel, stripe, clock)
    attempt = await shop.opened(method="card", currency="SGD")
    (action,) = await service.present_attempts([PresentRequest(attempt.id)])
    assert "redirect" == action.kind
    (webhook,) = stripe.sign(registered["account"], {"out_trade_no": number_of(attempt)})
    message = message_of(webhook)
    paid = json.loads(message.body)["data"]["object"]
    page = {**SESSION, "payment_intent": paid["id"], "metadata": paid["metadata"]}
    now = int(clock.now().timestamp())
    bodies = [
        event_of(page, "checkout.session.completed", id="evt_page"),
        message.body,
        event_of({**paid, "status": "requires_action"}, "payment_intent.created", id="evt_new"),
    ]
    calls = [
        Callback(
            channel.id,
            "POST",
            {"stripe-signature": signed(registered["webhook_secret"], now, body)},
            "",
            body,
        )
        for body in [*bodies, *bodies]
    ]

    answers = await service.take_callbacks(calls)
    assert {200} == {answer.status_code for answer in answers}
    assert 1 == len(await shop.events())
    ((capture,),) = await service.read_captures([attempt.order])
    assert (paid["id"], 1_230, "SGD", "fits") == (
        capture.provider_number,
        capture.amount_minor,
        capture.currency,
        capture.fit,
    )
    refund = Refund(derive(attempt.order, "refund"), capture.id, 1_230, "dead key")
    assert ["succeeded"] == await service.request_refunds([refund])
    known = stripe.known(registered["account"], number_of(attempt))
    assert [1_230] == [each["amount"] for each in known["refunds"]]
    pool = await service._store._db._open_pool()
    kept = await pool.fetch("select request, headers from payments.inbox")
    settings = check_settings(StripeChannel(), channel.settings)
    assert 3 == len(kept)
    for row in kept:
        headers = dict(line.split(": ", 1) for line in row["headers"].decode().split("\n"))
        raw = Callback(channel.id, "POST", headers, "", row["request"])
        assert isinstance(StripeChannel().read_callback(raw, settings, clock.now()), CallbackFacts)


async def test_ways_to_pay_are_offered_in_their_own_currencies(service, stripe, clock):
    """PayNow is Singapore's alone, and no code is for a wallet's own browser; a card is for all."""
    channel = ChannelAccount(
        id=ChannelId(new_id(clock.now())),
        name="stripe",
        kind="stripe",
        title="Stripe",
        currencies=["KWD", "SGD"],
        settings=settings_of(stripe.register(), stripe.url),
    )
    await service.put_channels([channel])

    offered = {
        currency: [each.method for each in await service.list_methods(currency)]
        for currency in ("KWD", "SGD", "USD")
    }
    inside = {
        device: [x.method for x in await service.list_methods("SGD") if x.works_on(device)]
        for device in (Device.WECHAT, Device.ALIPAY)
    }
    assert {Device.WECHAT: ["card"], Device.ALIPAY: ["card", "alipay"]} == inside
    assert {
        "KWD": ["card"],
        "SGD": ["card", "alipay", "wechat", "wechat_qr", "paynow", "paynow_qr"],
        "USD": [],
    } == offered
