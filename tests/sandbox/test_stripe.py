"""The emulated Stripe: as strict as the real one, spoken to by Stripe's own library."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
import stripe
from tests.sandbox.conftest import running

# The library uploads its forms in a way that httpx has given up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

BACK = "https://shop.example/orders/1?session={CHECKOUT_SESSION_ID}"
CARD = {"way": "card", "expiry": "12 / 30", "cvc": "123"}


class Merchant:
    """A merchant that speaks to the emulated Stripe by Stripe's library, and hears its webhooks."""

    def __init__(self, door, account: dict, client: stripe.StripeClient) -> None:
        self.door = door
        self.id = account["account"]
        self.key = account["secret_key"]
        self.publishable = account["publishable_key"]
        self.secret = account["webhook_secret"]
        self.endpoint = account["endpoint"]
        self.api = client.v1
        self.heard: list[tuple[str, bytes]] = []
        self.answers: list[int] = []
        self._news = asyncio.Event()

    def page(self, number: str = "N1", **changes: object) -> dict:
        """Write what a page is made of, or as told."""
        price = {"currency": "sgd", "unit_amount": 1_230, "product_data": {"name": "月卡"}}
        metadata = {"out_trade_no": number}
        return {
            "mode": "payment",
            "success_url": BACK,
            "cancel_url": "https://shop.example/",
            "client_reference_id": number,
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
            "line_items": [{"quantity": 1, "price_data": price}],
            **changes,
        }

    async def make(self, number: str = "N1", **changes: object) -> stripe.checkout.Session:
        """Make a page."""
        return await self.api.checkout.sessions.create_async(self.page(number, **changes))

    async def tap(self, url: str, **fields: str) -> httpx.Response:
        """Send a page's form as a browser does."""
        return await self.door.client.post(url, data=fields)

    async def pay(self, number: str, **more: object) -> dict:
        """Let the buyer pay."""
        body = {"account": self.id, "out_trade_no": number, **more}
        (result,) = (await self.door.post("/sandbox/stripe/pay", body))["results"]
        return result

    async def paid(self, number: str = "N1") -> stripe.PaymentIntent:
        """Make a page and let it be paid; give its payment."""
        await self.make(number)
        result = await self.pay(number)
        return await self.api.payment_intents.retrieve_async(result["payment_intent"])

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear one webhook."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(
            line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
        )
        body = await reader.readexactly(int(headers["content-length"]))
        self.heard.append((headers.get("stripe-signature", ""), body))
        status = self.answers.pop(0) if self.answers else 200
        writer.write(b"HTTP/1.1 %d Said\r\ncontent-length: 2\r\n" % status)
        writer.write(b"connection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        self._news.set()

    async def next(self) -> None:
        """Wait until something was heard since."""
        self._news.clear()
        await self._news.wait()

    async def wait_for(self, *kinds: str) -> list[dict]:
        """Wait until webhooks of all these kinds were heard; give their events in that order."""
        async with asyncio.timeout(10):
            while True:
                events = [json.loads(body) for _, body in self.heard]
                by_kind = {event["type"]: event for event in events}
                if set(kinds) <= by_kind.keys():
                    return [by_kind[kind] for kind in kinds]
                await self.next()


@contextlib.asynccontextmanager
async def open_merchant(door) -> AsyncIterator[Merchant]:
    """Open an account, and listen where its webhooks go."""
    account = await door.post("/sandbox/stripe/accounts", {"name": "星河数码"})
    client = stripe.StripeClient(
        account["secret_key"],
        base_addresses={"api": f"{door.url}/stripe", "files": f"{door.url}/stripe"},
        http_client=stripe.HTTPXClient(),
        max_network_retries=0,
    )
    merchant = Merchant(door, account, client)
    server = await asyncio.start_server(merchant.answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callbacks/1"
    await door.post(f"/sandbox/stripe/endpoints/{account['endpoint']}", url)
    async with server:
        yield merchant
    await client._requestor._client.close_async()


@pytest.fixture
async def merchant(door) -> AsyncIterator[Merchant]:
    """A merchant with an account."""
    async with open_merchant(door) as made:
        yield made


# Refusals.


def price(**changes: object) -> list[dict]:
    """Write a page's one line, changed."""
    given = {"currency": "sgd", "unit_amount": 1_230, "product_data": {"name": "x"}}
    changed = {name: value for name, value in {**given, **changes}.items() if value is not None}
    return [{"quantity": 1, "price_data": changed}]


SOON = int(datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    "changes,code,param",
    [
        ({"mode": "setup"}, None, "mode"),
        ({"mode": "barter"}, None, "mode"),
        ({"line_items": []}, "parameter_missing", "line_items"),
        ({"line_items": price(currency="xxx")}, None, "currency"),
        ({"line_items": price(unit_amount=10)}, "amount_too_small", "line_items"),
        ({"line_items": price(unit_amount=10**9)}, "amount_too_large", "line_items"),
        ({"line_items": price(unit_amount="12.30")}, "parameter_invalid_integer",
         "line_items[0][price_data][unit_amount]"),
        ({"line_items": price(unit_amount=None)}, "parameter_missing",
         "line_items[0][price_data]"),
        ({"line_items": price(currency="kwd", unit_amount=1_235)}, "invalid_amount",
         "line_items"),
        ({"line_items": price() + price(currency="usd")}, None, "line_items"),
        ({"line_items": price(product_data={})}, "parameter_missing",
         "line_items[0][price_data]"),
        ({"success_url": "not an address"}, "url_invalid", "success_url"),
        ({"success_url": ""}, "parameter_invalid_empty", "success_url"),
        ({"cancel_url": "javascript:alert(1)"}, "url_invalid", "cancel_url"),
        ({"expires_at": SOON + 60}, None, "expires_at"),
        ({"expires_at": SOON + 90_000}, None, "expires_at"),
        ({"payment_method_types": ["cash"]}, None, "payment_method_types[0]"),
        ({"payment_method_types": ["promptpay"]}, "payment_intent_invalid_parameter",
         "payment_method_types"),
        ({"payment_method_types": ["wechat_pay"]}, "parameter_missing",
         "payment_method_options[wechat_pay][client]"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, None, "metadata"),
        ({"client_reference_id": "n" * 201}, "parameter_invalid_string",
         "client_reference_id"),
        ({"notify_url": "https://shop.example/"}, "parameter_unknown", "notify_url"),
        ({"payment_intent_data": {"colour": "red"}}, "parameter_unknown",
         "payment_intent_data[colour]"),
    ],
)  # fmt: skip
async def test_a_page_that_is_wrong_is_refused(merchant, changes, code, param):
    """Each mistake has Stripe's own code, or none, and names its field; nothing is made."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await merchant.make(**changes)

    assert (code, param) == (caught.value.code, caught.value.param)
    known = await merchant.door.get("/sandbox/stripe/payments/N1", account=merchant.id)
    assert [] == known["sessions"]


@pytest.mark.parametrize(
    "changes,code",
    [
        ({"currency": "usd"}, "payment_intent_invalid_parameter"),
        ({"amount": 0}, "parameter_invalid_integer"),
        ({"payment_method_data": {"type": "card"}}, "payment_method_unexpected_state"),
        ({"payment_method_data": {"type": "paynow", "iban": "x"}}, "parameter_unknown"),
        ({"payment_method_data": None}, "payment_intent_unexpected_state"),
        ({"confirm": False, "off_session": True}, "parameter_invalid_combination"),
        ({"payment_method_types": ["promptpay"], "currency": "thb",
          "payment_method_data": {"type": "promptpay"}}, "parameter_missing"),
        ({"confirm": "perhaps"}, None),
    ],
)  # fmt: skip
async def test_a_payment_that_is_wrong_is_refused(merchant, changes, code):
    """A code that cannot be shown is refused, with Stripe's own code."""
    good = {
        "amount": 1_230,
        "currency": "sgd",
        "payment_method_types": ["paynow"],
        "payment_method_data": {"type": "paynow"},
        "confirm": True,
    }
    wanted = {k: v for k, v in {**good, **changes}.items() if v is not None}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await merchant.api.payment_intents.create_async(wanted)

    assert code == caught.value.code


async def test_a_card_number_sent_by_the_api_is_refused(merchant):
    """Card data belongs on Stripe's page: sent by a server it is refused, and kept nowhere."""
    card = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2030", "cvc": "123"}
    wanted = {
        "amount": 1_230,
        "currency": "sgd",
        "confirm": True,
        "payment_method_data": {"type": "card", "card": card},
    }
    with pytest.raises(stripe.CardError, match="unsafe"):
        await merchant.api.payment_intents.create_async(wanted)

    assert b"4242424242424242" not in (merchant.door.home / "stripe-journal.jsonl").read_bytes()


async def ask(merchant: Merchant, path: str = "balance", **headers: str) -> httpx.Response:
    """Ask by hand, with other headers."""
    given = {"authorization": f"Bearer {merchant.key}"} | headers
    return await merchant.door.client.get(f"{merchant.door.url}/stripe/v1/{path}", headers=given)


@pytest.mark.parametrize(
    "headers,status,code",
    [
        ({"authorization": ""}, 401, None),
        ({"authorization": "Bearer sk_test_ofnobody000000"}, 401, None),
        ({"authorization": "Basic c2tfdGVzdDo="}, 401, None),
        ({"stripe-version": "yesterday"}, 400, None),
        ({"stripe-account": "acct_ofsomebodyelse"}, 403, "account_invalid"),
    ],
)
async def test_who_may_not_ask_is_refused(merchant, headers, status, code):
    """No key, another's key, an account that is not connected: refused, and no key is echoed."""
    answer = await ask(merchant, **headers)

    assert (status, code) == (answer.status_code, answer.json()["error"].get("code"))
    assert "ofnobody000000" not in answer.text


async def test_what_cannot_be_asked_is_refused(merchant):
    """A publishable key, an address that is not there, a body in JSON, an object of another's."""
    other = stripe.StripeClient(
        merchant.publishable,
        base_addresses={"api": f"{merchant.door.url}/stripe"},
        http_client=stripe.HTTPXClient(),
    )
    with pytest.raises(stripe.AuthenticationError, match="publishable"):
        await other.v1.balance.retrieve_async()
    await other._requestor._client.close_async()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await merchant.api.payment_intents.retrieve_async("pi_nothing")
    assert ("resource_missing", 404) == (caught.value.code, caught.value.http_status)
    posted = await merchant.door.client.post(
        f"{merchant.door.url}/stripe/v1/refunds",
        headers={"authorization": f"Bearer {merchant.key}"},
        json={"payment_intent": "pi_1"},
    )
    assert (400, "invalid_request_error") == (
        posted.status_code,
        posted.json()["error"]["type"],
    )
    missing = await ask(merchant, "barter")
    assert "Unrecognized request URL" in missing.json()["error"]["message"]


async def test_another_merchants_payment_is_not_there(door, merchant):
    """Accounts do not see each other's payments."""
    intent = await merchant.paid()
    async with open_merchant(door) as other:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await other.api.payment_intents.retrieve_async(intent.id)

    assert "resource_missing" == caught.value.code


# Keys.


async def test_a_key_does_a_thing_once(merchant):
    """The same key and question is the same answer, said to be so; another question is refused."""
    sessions = merchant.api.checkout.sessions
    once = {"idempotency_key": "k1"}
    first = await sessions.create_async(merchant.page(), once)
    again = await sessions.create_async(merchant.page(), once)

    assert first.id == again.id
    assert "true" == again.last_response.headers["idempotent-replayed"]
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        await sessions.create_async(merchant.page("N2"), once)
    with pytest.raises(stripe.IdempotencyError, match="255"):
        await sessions.create_async(merchant.page(), {"idempotency_key": "k" * 256})


async def test_a_refusal_is_kept_only_once_it_began(merchant):
    """What failed validation may be mended under its key; what was carried out is repeated."""
    intent = await merchant.paid()
    refunds, key = merchant.api.refunds, {"idempotency_key": "r1"}
    with pytest.raises(stripe.InvalidRequestError):
        await refunds.create_async({"payment_intent": intent.id, "amount": "x"}, key)
    with pytest.raises(stripe.InvalidRequestError) as first:
        await refunds.create_async({"payment_intent": intent.id, "amount": 9_999}, key)
    with pytest.raises(stripe.InvalidRequestError) as again:
        await refunds.create_async({"payment_intent": intent.id, "amount": 9_999}, key)

    assert "idempotent-replayed" not in first.value.headers
    assert "true" == again.value.headers["idempotent-replayed"]


async def test_a_key_that_is_under_way_is_refused(merchant):
    """Two at once under one key: the second is told to wait."""
    await merchant.door.post("/sandbox/stripe/faults", {"kind": "slow", "params": {"delay_s": 0.5}})
    key = {"idempotency_key": "k1"}
    first = asyncio.create_task(merchant.api.checkout.sessions.create_async(merchant.page(), key))
    await asyncio.sleep(0.2)
    with pytest.raises(stripe.StripeError) as caught:
        await merchant.api.checkout.sessions.create_async(merchant.page(), key)

    assert (409, "idempotency_key_in_use") == (
        caught.value.http_status,
        caught.value.json_body["error"]["code"],
    )
    assert (await first).id.startswith("cs_")


# Cards.


@pytest.mark.parametrize(
    "number,words",
    [
        ("4000 0000 0000 0002", "Your card was declined."),
        ("4000 0000 0000 9995", "insufficient funds"),
        ("4000 0000 0000 0069", "has expired"),
        ("4000 0000 0000 0127", "security code is incorrect"),
        ("4000 0000 0000 0119", "processing your card"),
        ("4242 4242 4242 4241", "number is incorrect"),
        ("4111 1111 1111 1111", "non test card"),
        ("4242", "not a valid card number"),
    ],
)
async def test_known_numbers_are_declined_in_their_own_way(merchant, number, words):
    """Each of Stripe's test numbers says why; the page stays open, and the next card pays it."""
    session = await merchant.make()
    declined = await merchant.tap(session.url, number=number, **CARD)
    paid = await merchant.tap(session.url, number="4242 4242 4242 4242", **CARD)
    after = await merchant.api.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent.latest_charge"]}
    )

    assert 402 == declined.status_code
    assert words in declined.text.replace("&#39;", "'")
    assert (303, BACK.replace("{CHECKOUT_SESSION_ID}", session.id)) == (
        paid.status_code,
        paid.headers["location"],
    )
    assert ("complete", "paid", None) == (after.status, after.payment_status, after.url)
    card = after.payment_intent.latest_charge.payment_method_details.card
    assert ("visa", "4242") == (card.brand, card.last4)
    journal = (merchant.door.home / "stripe-journal.jsonl").read_text()
    typed = "".join(number.split())
    assert "4242424242424242" not in journal
    assert len(typed) < 12 or typed not in journal


@pytest.mark.parametrize("expiry,cvc", [("13/30", "123"), ("12/20", "123"), ("12/30", "12")])
async def test_a_card_that_is_typed_wrong_reaches_no_bank(merchant, expiry, cvc):
    """A month that is none, a year that is over, a short code: refused on the page."""
    session = await merchant.make()
    fields = {"way": "card", "number": "4242424242424242", "expiry": expiry, "cvc": cvc}

    assert 402 == (await merchant.tap(session.url, **fields)).status_code


@pytest.mark.parametrize(
    "number,verdict,is_paid",
    [
        ("4000002760003184", "yes", True),
        ("4000002500003155", "yes", True),
        ("4000002760003184", "no", False),
        ("4000008400001629", "yes", False),
    ],
)
async def test_a_bank_that_asks_is_answered_on_its_page(merchant, number, verdict, is_paid):
    """3-D Secure: the payment waits for its holder; a no, or a bank's later no, is no money."""
    session = await merchant.make()
    sent = await merchant.tap(session.url, number=number, **CARD)
    waiting = await merchant.api.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent"]}
    )
    assert "requires_action" == waiting.payment_intent.status
    assert "redirect_to_url" == waiting.payment_intent.next_action.type
    challenge = merchant.door.url + sent.headers["location"]
    assert 200 == (await merchant.door.client.get(challenge)).status_code
    await merchant.tap(challenge, verdict=verdict)
    after = await merchant.api.payment_intents.retrieve_async(waiting.payment_intent.id)

    assert ("succeeded" if is_paid else "requires_payment_method") == after.status
    assert is_paid or after.last_payment_error.type == "card_error"


@pytest.mark.parametrize("wallet", ["apple_pay", "google_pay"])
async def test_wallets_are_cards(merchant, wallet):
    """Apple Pay and Google Pay on the page are a card with a wallet's name."""
    session = await merchant.make()
    await merchant.tap(session.url, way=wallet)
    after = await merchant.api.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent.latest_charge"]}
    )

    card = after.payment_intent.latest_charge.payment_method_details.card
    assert wallet == card.wallet.type


async def test_a_saved_card_pays_without_its_holder_or_says_that_it_cannot(merchant):
    """Off session a saved card pays; a bank that always asks says `authentication_required`."""
    customer = await merchant.api.customers.create_async({"email": "b@example.com"})
    data = {"metadata": {"out_trade_no": "N1"}, "setup_future_usage": "off_session"}
    for number in ("4242424242424242", "4000002760003184"):
        session = await merchant.make(customer=customer.id, payment_intent_data=data)
        sent = await merchant.tap(session.url, number=number, **CARD)
        if "/3ds/" in sent.headers["location"]:
            await merchant.tap(merchant.door.url + sent.headers["location"], verdict="yes")
    saved = await merchant.api.customers.payment_methods.list_async(customer.id)
    by_last4 = {each.card.last4: each.id for each in saved.data}
    asked = {
        "amount": 500,
        "currency": "sgd",
        "customer": customer.id,
        "off_session": True,
        "confirm": True,
    }
    intents = merchant.api.payment_intents

    paid = await intents.create_async({**asked, "payment_method": by_last4["4242"]})
    assert "succeeded" == paid.status
    with pytest.raises(stripe.CardError) as caught:
        await intents.create_async({**asked, "payment_method": by_last4["3184"]})
    assert ("authentication_required", 402) == (caught.value.code, caught.value.http_status)
    assert "requires_payment_method" == caught.value.error.payment_intent.status
    await merchant.api.payment_methods.detach_async(by_last4["4242"])
    with pytest.raises(stripe.InvalidRequestError, match="does not belong"):
        await intents.create_async({**asked, "payment_method": by_last4["4242"]})


# Codes.


async def test_a_code_is_paid_or_fails_on_the_phone(merchant):
    """A payment that shows a code waits for it; the page behind it pays, or lets it fail."""
    wanted = {
        "amount": 1_230,
        "currency": "sgd",
        "payment_method_types": ["paynow"],
        "payment_method_data": {"type": "paynow"},
        "confirm": True,
    }
    good = await merchant.api.payment_intents.create_async(wanted)
    bad = await merchant.api.payment_intents.create_async(wanted)
    codes = [each.next_action.paynow_display_qr_code.data for each in (good, bad)]
    assert [200, 200] == [(await merchant.door.client.get(each)).status_code for each in codes]
    await merchant.tap(codes[0], verdict="pay")
    await merchant.tap(codes[1], verdict="fail")

    ended = [await merchant.api.payment_intents.retrieve_async(x.id) for x in (good, bad)]
    assert ["succeeded", "requires_payment_method"] == [each.status for each in ended]


# Money that is there.


async def test_refunds_never_exceed_what_was_paid(merchant):
    """Parts up to the exact remainder; more, twice the whole, or of nothing, is refused."""
    intent = await merchant.paid()
    refunds = merchant.api.refunds
    await refunds.create_async({"payment_intent": intent.id, "amount": 230})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        await refunds.create_async({"payment_intent": intent.id, "amount": 1_001})
    await refunds.create_async({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as whole:
        await refunds.create_async({"payment_intent": intent.id})
    assert "charge_already_refunded" == whole.value.code
    waiting = await merchant.api.payment_intents.create_async({"amount": 500, "currency": "sgd"})
    with pytest.raises(stripe.InvalidRequestError, match="successful charge"):
        await refunds.create_async({"payment_intent": waiting.id})
    with pytest.raises(stripe.InvalidRequestError) as neither:
        await refunds.create_async({"amount": 1})
    assert "parameter_missing" == neither.value.code
    listed = await refunds.list_async({"payment_intent": intent.id, "limit": 1})
    assert [1_000, 230] == [each.amount async for each in listed.auto_paging_iter()]


async def test_what_is_over_is_not_closed_again(merchant):
    """A paid page cannot expire, a paid payment not be canceled, an expired page not be paid."""
    paid = await merchant.make("N1")
    result = await merchant.pay("N1")
    with pytest.raises(stripe.InvalidRequestError, match="expired"):
        await merchant.api.checkout.sessions.expire_async(paid.id)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await merchant.api.payment_intents.cancel_async(result["payment_intent"])
    assert "payment_intent_unexpected_state" == caught.value.code
    over = await merchant.make("N2")
    expired = await merchant.api.checkout.sessions.expire_async(over.id)
    assert ("expired", None) == (expired.status, expired.url)
    assert "error" in await merchant.pay("N2")
    assert 200 == (await merchant.tap(over.url, number="4242424242424242", **CARD)).status_code
    assert "unpaid" == (await merchant.api.checkout.sessions.retrieve_async(over.id)).payment_status


async def test_disputes_take_money_back_until_they_are_won(merchant):
    """A dispute is told, takes the money and a fee, and gives the money back when it is won."""
    await merchant.paid()
    order = {"account": merchant.id, "out_trade_no": "N1"}
    made = await merchant.door.post("/sandbox/stripe/disputes", order)
    await merchant.door.post(f"/sandbox/stripe/disputes/{made['id']}/close", {"is_good": True})
    created, closed = await merchant.wait_for("charge.dispute.created", "charge.dispute.closed")

    assert "needs_response" == created["data"]["object"]["status"]
    assert "won" == closed["data"]["object"]["status"]
    moved = await merchant.api.balance_transactions.list_async({"limit": 100})
    assert [1_230, -1_230, 1_230] == [each.amount for each in moved.data]


async def test_a_disputed_card_is_disputed_by_itself(merchant):
    """The test number that is known for it ends in a dispute."""
    session = await merchant.make()
    await merchant.tap(session.url, number="4000000000000259", **CARD)

    [event] = await merchant.wait_for("charge.dispute.created")
    assert "fraudulent" == event["data"]["object"]["reason"]


async def test_transfers_go_to_connected_accounts_within_the_balance(merchant):
    """A stranger is no destination, and more than there is does not go."""
    wanted = {"name": "Shop", "platform": merchant.id}
    target = (await merchant.door.post("/sandbox/stripe/accounts", wanted))["account"]
    transfers = merchant.api.transfers
    good = {"amount": 500, "currency": "sgd", "destination": target, "transfer_group": "P1"}
    made = await transfers.create_async(good)
    assert [made.id] == [x.id for x in (await transfers.list_async({"transfer_group": "P1"})).data]
    for changes, code in (
        ({"destination": "acct_stranger"}, "resource_missing"),
        ({"amount": 10**10}, "balance_insufficient"),
        ({"amount": 0}, "parameter_invalid_integer"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await transfers.create_async({**good, **changes})
        assert code == caught.value.code


async def test_reports_are_written_in_a_while(merchant):
    """A report is pending, then a file that only its owner reads; what is not over is refused."""
    await merchant.paid()
    now = int(datetime.now(UTC).timestamp())
    runs = merchant.api.reporting.report_runs
    asked = {"interval_start": now - 3 * 86_400, "interval_end": now - 2 * 86_400}
    made = await runs.create_async(
        {"report_type": "balance_change_from_activity.itemized.3", "parameters": asked}
    )
    assert ("pending", None) == (made.status, made.result)
    [event] = await merchant.wait_for("reporting.report_run.succeeded")
    url = event["data"]["object"]["result"]["url"]
    path = url.partition("/stripe/v1/")[2]
    assert 200 == (await ask(merchant, path)).status_code
    assert 401 == (await ask(merchant, path, authorization="")).status_code
    for kind, changes in (
        ("balance_change_from_activity.itemized.3", {"interval_end": now + 86_400 * 2}),
        ("balance_change_from_activity.itemized.3", {"columns": ["colour"]}),
        ("gossip.1", {}),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            await runs.create_async({"report_type": kind, "parameters": {**asked, **changes}})


# Webhooks.


async def test_the_official_verifier_takes_every_webhook(merchant):
    """Each webhook of a sale holds by Stripe's own verifier, and says what the API says."""
    intent = await merchant.paid()
    succeeded, completed, charged = await merchant.wait_for(
        "payment_intent.succeeded", "checkout.session.completed", "charge.succeeded"
    )
    for header, body in merchant.heard:
        event = stripe.Webhook.construct_event(body, header, merchant.secret)
        assert event.id.startswith("evt_")
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body + b" ", header, merchant.secret)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, header, "whsec_ofsomebodyelse")
    assert intent.id == succeeded["data"]["object"]["id"]
    assert intent.id == completed["data"]["object"]["payment_intent"]
    assert intent.latest_charge == charged["data"]["object"]["id"]
    again = await merchant.api.events.retrieve_async(succeeded["id"])
    assert succeeded["type"] == again.type


async def test_what_is_not_heard_is_sent_again_with_a_new_signature(merchant):
    """Anything but a 2xx is tried again: the same event, signed anew; any 2xx ends it."""
    merchant.answers = [500, 302, 204]
    session = await merchant.make()
    await merchant.api.checkout.sessions.expire_async(session.id)
    async with asyncio.timeout(10):
        while len(merchant.heard) < 3:
            await merchant.next()

    assert ["checkout.session.expired"] * 3 == [json.loads(b)["type"] for _, b in merchant.heard]
    assert 1 == len({body for _, body in merchant.heard})
    for header, body in merchant.heard:
        assert re.fullmatch(r"t=\d+,v1=[0-9a-f]{64}", header)
        assert stripe.WebhookSignature.verify_header(body, header, merchant.secret, 300)
    told = await merchant.door.get("/sandbox/stripe/webhooks")
    assert ["retrying", "retrying", "taken"] == [each["outcome"] for each in told["webhooks"]]


async def test_a_page_expires_by_itself_and_says_so(merchant):
    """A page that was let expire is told of."""
    session = await merchant.make()
    await merchant.api.checkout.sessions.expire_async(session.id)

    [event] = await merchant.wait_for("checkout.session.expired")
    assert session.id == event["data"]["object"]["id"]


async def test_another_endpoint_hears_what_it_asked_for(merchant):
    """Endpoints are made by the API: each has a secret of its own, and hears its events only."""
    made = await merchant.api.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:9/", "enabled_events": ["payment_intent.succeeded"]}
    )
    assert made.secret.startswith("whsec_")
    await merchant.paid()
    await merchant.wait_for("payment_intent.succeeded")
    told = await merchant.door.get("/sandbox/stripe/webhooks")
    kinds = {
        json.loads(each["form"])["type"]
        for each in told["webhooks"]
        if each["url"] == "http://127.0.0.1:9/"
    }

    assert {"payment_intent.succeeded"} >= kinds


# The journal.


async def test_a_restart_forgets_nothing(home_made, tmp_path):
    """Accounts, pages, payments and keys are there again after a restart."""
    async with running(tmp_path / "home") as door, open_merchant(door) as merchant:
        made = await merchant.api.checkout.sessions.create_async(
            merchant.page(), {"idempotency_key": "k1"}
        )
        key = merchant.key
    async with running(tmp_path / "home") as door:
        headers = {"authorization": f"Bearer {key}"}
        reply = await door.client.get(
            f"{door.url}/stripe/v1/checkout/sessions/{made.id}", headers=headers
        )

    assert (200, "open") == (reply.status_code, reply.json()["status"])
