"""Orders from choice to key and back, over real services and a real database."""

import asyncio
from datetime import timedelta

import pytest

from vendrail.api.catalog import DeliveryKind, HoldPolicy
from vendrail.api.ledger import Chart
from vendrail.api.orders import (
    CancelStatus,
    LookupCode,
    OrderId,
    OrderQuery,
    OrderState,
    PayOrder,
    PayStatus,
    PlaceStatus,
    RefundOrder,
    RefundOrderStatus,
    SagaQuery,
)
from vendrail.api.payments import CaptureStatus, UnmatchedQuery, UnmatchedVerdict
from vendrail.api.risk import ListEntry, ListKind, RiskDecision, Verdict
from vendrail.app.audit import audit
from vendrail.kernel.ids import new_id
from vendrail.orders import store

PRICE_MINOR = 1_990  # As tests/orders/conftest.py sells everything.


async def available_minor(market):
    """Read what the merchant may have paid out."""
    (balance,) = await market.settlement.read_merchant_balances([(market.merchant, "CNY")])
    return balance.available_minor


async def is_clean(market):
    """Say which promises the books break; those nothing speaks of are left out."""
    report = await audit(market.house.platform.database_url)
    return [(each.name, each.findings) for each in report.outcomes if each.findings]


async def test_a_paid_order_is_delivered_and_split(market):
    """Choose, pay: the key is readable, the fee is taken, the rest is the merchant's at once."""
    await market.offer("GAME")
    placed = await market.place("GAME")
    before = await market.read(placed)
    await market.pay(placed.order)
    await market.run()
    after = await market.read(placed)

    fee = PRICE_MINOR * 250 // 10_000 + 10
    assert PlaceStatus.PLACED is placed.status
    assert (OrderState.PLACED, []) == (before.state, before.items)
    assert OrderState.DELIVERED is after.state
    assert 1 == len(after.items)
    assert after.items[0].startswith("GAME-")
    assert ["placed", "paid", "held", "delivered", "released"] == [s.kind for s in after.timeline]
    assert PRICE_MINOR - fee - 1 <= await available_minor(market) <= PRICE_MINOR - fee
    assert [] == await is_clean(market)


async def test_three_of_one_are_three_keys(market):
    """An order of several gets as many different keys, all of them or none, and the books agree."""
    await market.offer("GAME", keys=4)
    three, two = await market.place("GAME", 3), await market.place("GAME", 2)
    await market.pay(three.order, quantity=3)
    await market.run()
    view = await market.read(three)

    assert (PlaceStatus.PLACED, PlaceStatus.SOLD_OUT) == (three.status, two.status)
    assert 3 == len(set(view.items)) == view.quantity
    assert [] == await is_clean(market)


async def test_an_order_knows_what_kind_of_goods_it_bought(market):
    """An order of files says so, and where each of them lies once it is delivered."""
    await market.offer("GAME")
    await market.offer("BOOK", keys=0, delivery=DeliveryKind.FILE)
    await market.catalog.put_contents([("BOOK", "books/one.epub")])
    game, book = await market.place("GAME"), await market.place("BOOK", 2)
    before = await market.read(book)
    await market.pay(book.order, quantity=2)
    await market.run()
    after = await market.read(book)

    assert "unique_key" == (await market.read(game)).delivery
    assert ("file", None) == (before.delivery, before.file_path("1"))
    assert ["books/one.epub"] * 2 + [None] * 4 == [
        after.file_path(number) for number in ("1", "2", "3", "0", "-1", "²")
    ]


async def test_x01_fifty_buyers_of_ten_keys_get_ten_different_keys(market):
    """Of 50 paid orders for 10 keys, 10 get a key each and 40 their money back (X1, X5)."""
    await market.offer("RARE", keys=10, hold_policy=HoldPolicy.AT_PAYMENT)
    placed = await asyncio.gather(*(market.place("RARE") for _ in range(50)))
    await asyncio.gather(*(market.pay(each.order) for each in placed))
    await market.run()
    views = [await market.read(each) for each in placed]
    keys = [key for view in views for key in view.items]

    assert 10 == len(keys) == len(set(keys))
    # The provider of this test cannot be reached: what could not be filled is on its way back.
    assert {OrderState.DELIVERED, OrderState.REFUNDING} == {view.state for view in views}
    assert [] == await is_clean(market)


async def test_a_hold_keeps_stock_for_its_buyer(market):
    """Placed orders hold their stock: the next buyer hears sold out instead of paying in vain."""
    await market.offer("LAST", keys=1)
    first, second = await market.place("LAST"), await market.place("LAST")
    await market.pay(first.order)
    await market.run()

    assert (PlaceStatus.PLACED, PlaceStatus.SOLD_OUT) == (first.status, second.status)
    assert OrderState.DELIVERED is (await market.read(first)).state


async def test_repeating_a_placement_gives_the_same_order(market):
    """The same order id, or the same idempotency key of the same contact, places once."""
    await market.offer("GAME")
    order = market.choose("GAME", contact="a@example.com", idempotency_key="k" * 20)
    again = market.choose("GAME", contact="a@example.com", idempotency_key="k" * 20)
    other = market.choose("GAME", 2, contact="a@example.com", idempotency_key="k" * 20)
    stranger = market.choose("GAME", contact="b@example.com", idempotency_key="k" * 20)
    answers = [
        (await market.orders.place_orders([each]))[0]
        for each in (order, order, again, other, stranger)
    ]

    assert ["placed", "exists", "exists", "exists_different", "placed"] == [
        answer.status for answer in answers
    ]
    assert 1 == len({answer.secret for answer in answers[:3]})
    assert answers[4].order != answers[0].order


async def test_one_key_twice_in_one_batch_places_once(market):
    """Two requests with one idempotency key in one batch become one order, and hold once."""
    await market.offer("GAME", keys=1)
    two = [
        market.choose("GAME", contact="a@example.com", idempotency_key="z" * 20) for _ in range(2)
    ]
    more = [market.choose("GAME", contact="a@example.com", idempotency_key="z" * 20)]
    await market.stock("GAME", 1)
    answers = await market.orders.place_orders(two) + await market.orders.place_orders(more)
    (count,) = await market.catalog.count_stock(["GAME"])

    assert ["placed", "exists", "exists"] == [answer.status for answer in answers]
    assert (1, 1) == (count.free, count.held)


@pytest.mark.parametrize(
    "change, status",
    [
        ({"contact": "nobody"}, PlaceStatus.CONTACT_MALFORMED),
        ({"contact": "<x>@example.com"}, PlaceStatus.CONTACT_MALFORMED),
        ({"idempotency_key": "short"}, PlaceStatus.IDEMPOTENCY_KEY_MALFORMED),
        ({"quantity": 11}, PlaceStatus.QUANTITY_OUT_OF_RANGE),
        ({"method": "beads"}, PlaceStatus.METHOD_NOT_OFFERED),
    ],
)
async def test_what_cannot_be_placed_says_why(market, change, status):
    """Each wrong field of a placement is told by its own status, and holds nothing."""
    await market.offer("GAME")
    placed = await market.place("GAME", **change)
    (count,) = await market.catalog.count_stock(["GAME"])

    assert status is placed.status
    assert (5, 0) == (count.free, count.held)


async def test_an_id_from_another_time_is_refused_alone(market):
    """Expiry walks along ids once, so an old id is not placed; those beside it are."""
    await market.offer("GAME")
    late = market.choose("GAME")
    market.clock.advance(60)

    placed = await market.orders.place_orders([late, market.choose("GAME")])

    assert [PlaceStatus.ID_NOT_OF_NOW, PlaceStatus.PLACED] == [each.status for each in placed]


async def test_x17_an_order_opens_with_its_own_secret_only(market):
    """Neither a wrong secret nor another order's secret shows anything (X17)."""
    await market.offer("GAME")
    mine, other = await market.place("GAME"), await market.place("GAME")
    views = await market.orders.read_orders(
        [
            OrderQuery(mine.order, mine.secret),
            OrderQuery(mine.order, other.secret),
            OrderQuery(mine.order, ""),
            OrderQuery(OrderId(new_id(market.clock.now())), mine.secret),
        ]
    )

    assert [True, False, False, False] == [view is not None for view in views]


async def test_x07_late_money_fills_the_order_if_stock_allows(market):
    """An order that expired and is then paid is filled from free stock (X7)."""
    await market.offer("GAME")
    placed = await market.place("GAME")
    market.clock.advance(3_600)
    await market.run()
    expired = await market.read(placed)
    await market.pay(placed.order)
    await market.run()

    assert OrderState.EXPIRED is expired.state
    assert OrderState.DELIVERED is (await market.read(placed)).state
    assert [] == await is_clean(market)


async def test_x06_an_expired_order_gives_its_stock_back(market):
    """When nobody pays, the hold ends with the order and the next buyer gets the key."""
    await market.offer("LAST", keys=1)
    await market.place("LAST")
    market.clock.advance(3_600)
    await market.run()

    assert PlaceStatus.PLACED is (await market.place("LAST")).status


async def test_x09_two_attempts_paid_deliver_once_and_give_one_back(market):
    """Both attempts of one order are paid: one delivers, the other's money goes back (X9)."""
    await market.offer("GAME")
    placed = await market.place("GAME")
    first = await market.pay(placed.order)
    second = await market.pay(placed.order)
    await market.run()
    view = await market.read(placed)
    (captures,) = await market.payments.read_captures([placed.order])
    [sagas] = await market.orders.list_sagas([SagaQuery()])

    assert [CaptureStatus.RECORDED] * 2 == [first, second]
    assert (OrderState.DELIVERED, 1) == (view.state, len(view.items))
    assert 2 == len(captures)
    assert ["surplus"] == [saga.kind for saga in sagas]
    assert [] == await is_clean(market)


async def test_a_saga_of_no_order_is_woken_by_its_own_id(market):
    """What was paid twice waits for its provider, and looks again when its saga is named."""
    await market.offer("GAME")
    placed = await market.place("GAME")
    for _ in range(2):
        await market.pay(placed.order)
    await market.run()
    ((before,),) = await market.orders.list_sagas([SagaQuery()])
    by_order = await market.orders.wake_orders([placed.order])
    woken = await market.orders.wake_sagas([before.id, placed.order, before.id])
    ((after,),) = await market.orders.list_sagas([SagaQuery()])

    assert ("surplus", [False]) == (before.kind, by_order)
    assert [True, False, True] == woken
    assert before.due_at > market.clock.now() == after.due_at
    assert [] == await market.orders.wake_sagas([])


async def test_x05_money_that_finds_no_stock_goes_back(market):
    """Paid but sold out: the saga turns, and the money is on its way back (X5)."""
    await market.offer("GONE", keys=0, hold_policy=HoldPolicy.AT_PAYMENT)
    placed = await market.place("GONE")
    await market.pay(placed.order)
    await market.run()
    view = await market.read(placed)
    clearing = Chart("CNY").refund_clearing().id
    (balance,) = await market.ledger.read_balances([clearing])

    assert OrderState.REFUNDING is view.state
    assert PRICE_MINOR == balance.credit_minor
    assert 0 == await available_minor(market)
    assert [] == await is_clean(market)


async def test_a_paid_order_waits_for_stock_where_the_product_says_so(market):
    """With restock_wait the order waits as paid, and is filled when keys come in."""
    await market.offer("SOON", keys=0, restock_wait_s=3_600, hold_policy=HoldPolicy.AT_PAYMENT)
    placed = await market.place("SOON")
    await market.pay(placed.order)
    await market.run()
    waiting = await market.read(placed)
    await market.stock("SOON", 1)
    market.clock.advance(60)
    await market.run()
    filled = await market.read(placed)

    assert (OrderState.PAID, "restock") == (waiting.state, waiting.waiting)
    assert OrderState.DELIVERED is filled.state
    assert [] == await is_clean(market)


async def test_a_review_pauses_until_a_person_decides(market):
    """A listed contact's paid order waits; released it is delivered, refused it is given back."""
    await market.offer("GAME")
    await market.risk.put_list_entries(
        [ListEntry(f"contact:{name}@example.com", ListKind.REVIEWED) for name in ("good", "bad")]
    )
    market.clock.advance(5)
    good = await market.place("GAME", contact="good@example.com")
    bad = await market.place("GAME", contact="bad@example.com")
    for placed in (good, bad):
        await market.pay(placed.order)
    await market.run()
    waiting = [(await market.read(each)).waiting for each in (good, bad)]
    await market.risk.settle_reviews(
        [
            Verdict(good.order, RiskDecision.ALLOW, "tester", "known"),
            Verdict(bad.order, RiskDecision.REFUSE, "tester", "unknown"),
        ]
    )
    await market.orders.wake_orders([good.order, bad.order])
    await market.run()

    assert ["review", "review"] == waiting
    assert OrderState.DELIVERED is (await market.read(good)).state
    assert OrderState.REFUNDING is (await market.read(bad)).state
    assert [] == await is_clean(market)


async def test_wrong_amount_fills_only_an_order_of_that_amount(market):
    """Money of another amount waits on the desk, and a person matches it where it fits (X11)."""
    await market.offer("GAME")
    placed = await market.place("GAME")
    await market.pay(placed.order, amount_minor=PRICE_MINOR + 1)
    await market.run()
    still = await market.read(placed)
    ((unmatched,),) = await market.payments.list_unmatched([UnmatchedQuery()])
    await market.offer("BOOK", price_minor=PRICE_MINOR + 1)
    meant = await market.place("BOOK")
    verdicts = [
        UnmatchedVerdict(unmatched.id, each.order, "tester", "typed one more")
        for each in (placed, meant)
    ]
    told = [(await market.payments.settle_unmatched([verdict]))[0] for verdict in verdicts]
    await market.run()

    assert ["amount_differs", "settled"] == told
    assert OrderState.PLACED is still.state is (await market.read(placed)).state
    assert OrderState.DELIVERED is (await market.read(meant)).state
    assert [] == await is_clean(market)


async def test_a_coarse_clock_of_a_provider_turns_no_steps_round(market):
    """Where the provider says that an order was paid before it was placed, steps stay in order."""
    await market.offer("GAME")
    placed = await market.place("GAME")
    await market.pay(placed.order, paid_at=market.clock.now() - timedelta(seconds=1))
    await market.run()
    steps = (await market.read(placed)).timeline

    assert ["placed", "paid", "held", "delivered", "released"] == [step.kind for step in steps]
    assert sorted(step.at for step in steps) == [step.at for step in steps]


async def test_pay_again_opens_one_attempt_a_method(market):
    """Asking again for a method gives the open attempt; a wrong secret gives nothing."""
    await market.offer("GAME")
    placed = await market.place("GAME", method="")
    first, again, wrong = [
        (await market.orders.pay_orders([PayOrder(placed.order, secret, "alipay")]))[0]
        for secret in (placed.secret, placed.secret, "x" * 26)
    ]

    assert (PayStatus.OPENED, PayStatus.OPENED) == (first.status, again.status)
    assert first.attempt == again.attempt
    assert PayStatus.ORDER_NOT_FOUND is wrong.status


async def test_cancelling_ends_an_unpaid_order_only(market):
    """An unpaid order is cancelled and its stock is free; a delivered one stays."""
    await market.offer("GAME", keys=2)
    unpaid, paid = await market.place("GAME"), await market.place("GAME")
    await market.pay(paid.order)
    await market.run()
    statuses = await market.orders.cancel_orders(
        [OrderQuery(each.order, each.secret) for each in (unpaid, paid)]
    )
    await market.run()
    (count,) = await market.catalog.count_stock(["GAME"])

    assert [CancelStatus.CANCELLED, CancelStatus.PAID_ALREADY] == statuses
    assert OrderState.CANCELLED is (await market.read(unpaid)).state
    assert (1, 0) == (count.free, count.held)


async def test_refunds_never_exceed_what_was_paid(market):
    """Parts are taken while they fit; one unit more is refused, the exact rest is not (X26)."""
    await market.offer("GAME")
    placed = await market.place("GAME")
    await market.pay(placed.order)
    await market.run()
    amounts = [1_000, 991, 990, 1]
    refunds = [
        RefundOrder(new_id(market.clock.now()), placed.order, amount, "wish", "tester")
        for amount in amounts
    ]
    statuses = await market.orders.refund_orders(refunds)
    again = await market.orders.refund_orders(refunds[:1])

    assert ["accepted", "more_than_captured", "accepted", "more_than_captured"] == statuses
    assert [RefundOrderStatus.EXISTS] == again


async def test_refunds_that_end_at_once_are_both_counted(market):
    """Two refunds of one order that end in two transactions at once: neither is forgotten (X26)."""
    await market.offer("GAME")
    placed = await market.place("GAME")
    await market.pay(placed.order)
    await market.run()
    now = market.clock.now()
    ids = [new_id(now), new_id(now)]
    await market.orders.refund_orders(
        [
            RefundOrder(id, placed.order, amount, "wish", "tester")
            for id, amount in zip(ids, (990, 1_000), strict=True)
        ]
    )
    database = market.house.databases["orders"]

    async def settle(id):
        async with database.transaction() as tx:
            await store.settle_refunds(tx, [id], "paid", now)

    async with database.transaction() as tx:
        await store.settle_refunds(tx, [ids[0]], "paid", now)
        second = asyncio.create_task(settle(ids[1]))
        await asyncio.sleep(0.3)
        is_waiting = not second.done()
    await second
    view = await market.read(placed)

    assert is_waiting
    assert (OrderState.REFUNDED, PRICE_MINOR) == (view.state, view.refunded_minor)


async def test_codes_open_the_orders_of_their_contact_once(market):
    """A code mailed to a contact opens that contact's orders once, and nobody else's (X17)."""
    await market.offer("GAME")
    await market.place("GAME", contact="me@example.com")
    await market.place("GAME", contact="you@example.com")
    wrong = await market.orders.redeem_lookup_codes([LookupCode("me@example.com", "00000000")])

    assert [None] == wrong
