"""What is promised of saved ways: theirs alone, paid once, and forgotten for good."""

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta

import pytest
from tests.payments.conftest import MERCHANT
from tests.payments.stripe_bench import Stripe, settings_of

from vendrail.api.payments import (
    Attempt,
    AttemptState,
    ChannelAccount,
    Payments,
    PresentRequest,
    SavedDrop,
    SavedPayment,
    SavedQuery,
)
from vendrail.kernel import rpc
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id
from vendrail.payments.attempts import out_trade_no
from vendrail.payments.store import saved as ways

VISA, ASKING, EMPTY = "4242424242424242", "4000002760003184", "4000000000000341"
ORDER = "https://shop.example/orders/1"
WAITING = (
    "select count(*) from pg_locks"
    " where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))"
)


@pytest.fixture
def stripe(alipay_server, alipay_home):
    """The sandbox's Stripe, without faults."""
    door = Stripe(alipay_server.url, alipay_home)
    door.clear()
    yield door
    door.clear()
    door.close()


class Till:
    """A marketplace with one Stripe account, and buyers who have cards."""

    def __init__(self, service, payments, stripe, clock, account) -> None:
        self.service = service
        self.payments: Payments = payments
        self.stripe = stripe
        self.clock = clock
        self.account = account
        self.channel = ChannelAccount(
            new_id(clock.now()), "stripe", "stripe", "Card", ["SGD"],
            settings_of(account, stripe.url),
        )  # fmt: skip

    async def open(self, order=None, number=1, **changes) -> Attempt:
        """Open an attempt."""
        order = order or new_id(self.clock.now())
        attempt = Attempt(
            id=derive(order, f"attempt:{number}"),
            order=order,
            number=number,
            merchant=MERCHANT,
            method="card",
            amount_minor=1_290,
            currency="SGD",
            title="Celadon Shield",
            expires_at=self.clock.now() + timedelta(minutes=15),
            channel=self.channel.id,
        )
        attempt = replace(attempt, **changes)
        await self.payments.open_attempts([attempt])
        return attempt

    async def save(self, buyer, card=VISA):
        """Let a buyer pay by card, and agree to its being remembered; give the saved way."""
        attempt = await self.open(buyer=buyer)
        asked = PresentRequest(attempt.id, return_url=ORDER, buyer=buyer)
        [action] = await self.payments.present_attempts([asked])
        fields = {"way": "card", "number": card, "expiry": "12/30", "cvc": "123"}
        way = await asyncio.to_thread(self.stripe.tap, action.url, **fields)
        if "/3ds/" in way:
            await asyncio.to_thread(self.stripe.tap, way, verdict="yes")
        [ways] = await self.payments.list_saved([SavedQuery(buyer, is_fresh=True)])
        return ways[0]

    async def pay(self, attempt, saved, buyer):
        """Pay an attempt with a saved way."""
        payment = SavedPayment(attempt.id, saved.id, buyer, ORDER)
        return (await self.payments.pay_saved([payment]))[0]

    async def state(self, attempt):
        """Say where an attempt stands."""
        [views] = await self.payments.read_attempts([attempt.order])
        return next(each.state for each in views if each.attempt.id == attempt.id)

    def intents(self, attempt):
        """Give what the provider was asked to take for an attempt."""
        number = out_trade_no(attempt.order, attempt.number)
        return self.stripe.known(self.account["account"], number)["payment_intents"]


@pytest.fixture(params=["local", "remote"])
async def till(request, make_service, stripe, clock):
    """The object itself, then over the wire."""
    service = await make_service()
    payments = rpc.loopback(Payments, service) if request.param == "remote" else service
    made = Till(service, payments, stripe, clock, stripe.register())
    assert ["created"] == await payments.put_channels([made.channel])
    return made


async def test_only_who_agrees_is_remembered(till):
    """A card is there after its buyer agreed, with nothing of it but its label and end."""
    ann, bob = new_id(till.clock.now()), new_id(till.clock.now())
    saved = await till.save(ann)
    attempt = await till.open()
    [action] = await till.payments.present_attempts([PresentRequest(attempt.id, return_url=ORDER)])
    fields = {"way": "card", "number": VISA, "expiry": "12/30", "cvc": "123"}
    await asyncio.to_thread(till.stripe.tap, action.url, **fields)
    theirs, others = await till.payments.list_saved(
        [SavedQuery(ann, is_fresh=True), SavedQuery(bob, is_fresh=True)]
    )

    assert [saved] == theirs
    assert [] == others
    assert ("visa •••• 4242", "2030-12", "card") == (saved.label, saved.expires, saved.method)
    assert not [word for word in ("pm_", "cus_") if word in str(saved)]


async def test_b3_a_saved_way_pays_once_however_often_it_is_asked(till):
    """Asked twice at once and again after, one payment is made, and the money is captured."""
    ann = new_id(till.clock.now())
    saved = await till.save(ann)
    attempt = await till.open()
    results = await asyncio.gather(*(till.pay(attempt, saved, ann) for _ in range(3)))
    again = await till.pay(attempt, saved, ann)

    assert "paid" in {each.status for each in results}
    assert {each.status for each in results} <= {"paid", "pending", "attempt_ended"}
    assert "attempt_ended" == again.status
    assert AttemptState.CAPTURED is await till.state(attempt)
    assert 1 == len(till.intents(attempt))
    [captures] = await till.payments.read_captures([attempt.order])
    assert [1_290] == [each.amount_minor for each in captures]


async def test_nobody_pays_with_somebody_elses_saved_way(till):
    """Another buyer's way, one that is not there and another channel's are no way at all."""
    ann, eve = new_id(till.clock.now()), new_id(till.clock.now())
    saved = await till.save(ann)
    attempt = await till.open()
    stolen = await till.pay(attempt, saved, eve)
    gone = await till.pay(attempt, replace(saved, id=new_id(till.clock.now())), ann)
    nothing = await till.pay(replace(attempt, id=new_id(till.clock.now())), saved, ann)
    dropped = await till.payments.forget_saved([SavedDrop(saved.id, eve)])

    assert ["saved_not_found", "saved_not_found"] == [stolen.status, gone.status]
    assert "attempt_not_found" == nothing.status
    assert [False] == dropped
    assert [] == till.intents(attempt)


async def test_a_bank_that_wants_the_buyer_gets_them_in_the_same_attempt(till):
    """The way leads to the bank, the same attempt's page too, and what is paid there counts."""
    ann = new_id(till.clock.now())
    saved = await till.save(ann, ASKING)
    attempt = await till.open()
    needed = await till.pay(attempt, saved, ann)
    [shown] = await till.payments.present_attempts([PresentRequest(attempt.id, return_url=ORDER)])
    back = await asyncio.to_thread(till.stripe.tap, needed.action.url, verdict="yes")
    await till.payments.query_attempts([attempt.id])

    assert "buyer_needed" == needed.status
    assert needed.action.url == shown.url
    assert ORDER == back
    assert AttemptState.CAPTURED is await till.state(attempt)
    assert 1 == len(till.intents(attempt))


async def test_a_declined_way_ends_its_attempt_and_no_other(till):
    """Nothing is taken, the attempt has failed, told again it stays so; the order goes on."""
    ann = new_id(till.clock.now())
    saved = await till.save(ann, EMPTY)
    attempt = await till.open()
    declined = await till.pay(attempt, saved, ann)
    again = await till.pay(attempt, saved, ann)
    other = await till.open(attempt.order, 2)

    assert ("declined", "attempt_ended") == (declined.status, again.status)
    assert declined.problem
    assert AttemptState.FAILED is await till.state(attempt)
    assert AttemptState.OPEN is await till.state(other)


async def test_what_was_shown_as_a_page_is_not_paid_behind_it(till):
    """An attempt that can still be paid at its provider's page takes no saved way."""
    ann = new_id(till.clock.now())
    saved = await till.save(ann)
    attempt = await till.open()
    await till.payments.present_attempts([PresentRequest(attempt.id, return_url=ORDER)])

    assert "shown" == (await till.pay(attempt, saved, ann)).status


async def test_forgetting_is_at_once_and_told_until_the_provider_has(till):
    """A dropped way pays nothing though its provider is away; it is gone there in the end."""
    ann = new_id(till.clock.now())
    saved = await till.save(ann)
    till.stripe.fault("gateway_down", match={"method": "methods.detach"}, count=1)
    dropped = await till.payments.forget_saved([SavedDrop(saved.id, ann)])
    refused = await till.pay(await till.open(), saved, ann)
    await till.service.forget_ways()
    async with till.service._store.reading() as tx:
        left = await tx.fetch("select * from payments.saved")
    till.clock.advance(31)
    await till.service.forget_ways()
    async with till.service._store.reading() as tx:
        gone = await tx.fetch("select * from payments.saved")
        [customer] = await tx.fetch("select * from payments.customer")
    await till.service._saved_ways._look([customer])

    assert [True] == dropped
    assert "saved_not_found" == refused.status
    assert (1, 0) == (len(left), len(gone))
    assert [[]] == await till.payments.list_saved([SavedQuery(ann)])


async def test_a_forgotten_buyer_leaves_no_way_behind(till):
    """Also a way that its provider has not told us of yet is forgotten there."""
    ann = new_id(till.clock.now())
    await till.save(ann)
    attempt = await till.open(buyer=ann)
    asked = PresentRequest(attempt.id, return_url=ORDER, buyer=ann)
    [action] = await till.payments.present_attempts([asked])
    fields = {"way": "card", "number": "5555555555554444", "expiry": "12/30", "cvc": "123"}
    await asyncio.to_thread(till.stripe.tap, action.url, **fields)
    await till.payments.forget_customers([ann])
    listed = await till.payments.list_saved([SavedQuery(ann, is_fresh=True)])
    await till.service.look_saved()
    await till.service.forget_ways()
    async with till.service._store.reading() as tx:
        left = await tx.fetch(
            "select (select count(*) from payments.saved)"
            " + (select count(*) from payments.customer) as rows"
        )

    assert [[]] == listed
    assert 0 == left[0]["rows"]


@pytest.mark.parametrize("is_buyer_first", [True, False])
async def test_who_pays_for_somebody_else_keeps_their_card(till, is_buyer_first):
    """Ann agrees, somebody else pays: nothing of their card is hers, whoever opens it first."""
    ann, bob = new_id(till.clock.now()), new_id(till.clock.now())
    attempt = await till.open(buyer=ann)
    hers = PresentRequest(attempt.id, return_url=ORDER, buyer=ann)
    theirs = PresentRequest(attempt.id, return_url=ORDER, buyer=bob)
    for asked in (hers, theirs) if is_buyer_first else (theirs, hers):
        [action] = await till.payments.present_attempts([asked])
    [action] = await till.payments.present_attempts([theirs])
    [again] = await till.payments.present_attempts([hers])
    fields = {"way": "card", "number": VISA, "expiry": "12/30", "cvc": "123"}
    await asyncio.to_thread(till.stripe.tap, action.url, **fields)
    await till.payments.query_attempts([attempt.id])
    listed = await till.payments.list_saved(
        [SavedQuery(ann, is_fresh=True), SavedQuery(bob, is_fresh=True)]
    )

    assert action == again
    assert AttemptState.CAPTURED is await till.state(attempt)
    assert [[], []] == listed


async def test_who_agrees_comes_back_to_the_same_page(till):
    """A page that remembers a card is its buyer's own: opened again by them, it is the same."""
    ann = new_id(till.clock.now())
    attempt = await till.open(buyer=ann)
    asked = PresentRequest(attempt.id, return_url=ORDER, buyer=ann)
    [first] = await till.payments.present_attempts([asked])
    [again] = await till.payments.present_attempts([asked])

    assert first == again


async def test_pages_have_a_provider_asked_once_in_five_seconds(till, monkeypatch):
    """What is new since the last page is not looked for at once, and found after that."""
    ann = new_id(till.clock.now())
    attempt = await till.open(buyer=ann)
    asked = PresentRequest(attempt.id, return_url=ORDER, buyer=ann)
    [action] = await till.payments.present_attempts([asked])
    query = [SavedQuery(ann, is_fresh=True)]
    before = await till.payments.list_saved(query)
    fields = {"way": "card", "number": VISA, "expiry": "12/30", "cvc": "123"}
    await asyncio.to_thread(till.stripe.tap, action.url, **fields)
    at_once = await till.payments.list_saved(query)
    till.clock.advance(6)
    [[later]] = await till.payments.list_saved(query)

    assert [[]] == before == at_once
    assert "visa •••• 4242" == later.label


async def test_what_providers_remember_is_learned_by_itself(till):
    """Some seconds after the payment the way is there, though nobody asked; then looks end."""
    ann = new_id(till.clock.now())
    attempt = await till.open(buyer=ann)
    asked = PresentRequest(attempt.id, return_url=ORDER, buyer=ann)
    [action] = await till.payments.present_attempts([asked])
    fields = {"way": "card", "number": VISA, "expiry": "12/30", "cvc": "123"}
    await asyncio.to_thread(till.stripe.tap, action.url, **fields)
    till.clock.advance(6)
    await till.service.look_saved()
    [[saved]] = await till.payments.list_saved([SavedQuery(ann)])
    till.clock.advance(7_200)
    await till.service.look_saved()
    async with till.service._store.reading() as tx:
        [customer] = await tx.fetch("select * from payments.customer")

    assert "visa •••• 4242" == saved.label
    assert None is customer["look_due_at"]
    assert datetime.now(UTC) > customer["made_at"]


async def test_a_way_that_is_being_removed_pays_nothing_any_more(till):
    """Removed between the look at it and its payment, it is not charged."""
    ann = new_id(till.clock.now())
    saved = await till.save(ann)
    attempt = await till.open()
    async with till.service._store.transaction() as tx:
        assert await ways.drop_saved(tx, saved.id, ann, till.clock.now())
        elsewhere = contextvars.Context()  # Not in this transaction.
        paying = asyncio.create_task(till.pay(attempt, saved, ann), context=elsewhere)
        while not await tx.fetch_value(WAITING):
            assert not paying.done(), paying.result()
            await asyncio.sleep(0.02)

    assert "saved_not_found" == (await paying).status
    assert [] == till.intents(attempt)
    assert AttemptState.OPEN is await till.state(attempt)
