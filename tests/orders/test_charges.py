"""Charges: orders of an amount, paid and settled as any, whose merchant delivers elsewhere."""

import asyncio

import pytest

from vendrail.api.orders import (
    ChargeStatus,
    OrderDelivered,
    OrderEvent,
    OrderId,
    OrderSearch,
    OrderState,
    PlaceCharge,
    RefundOrder,
    RefundOrderStatus,
    SagaQuery,
    SoldOrderQuery,
)
from vendrail.api.risk import ListEntry, ListKind
from vendrail.app.audit import audit
from vendrail.kernel.codec import decode, replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id, shard_of
from vendrail.kernel.outbox import Cursor

AMOUNT_MINOR = 1_990


def charge_of(market, number="A-1", **more):
    """Make a charge as a face would."""
    given = {
        "merchant": market.merchant,
        "number": number,
        "title": "Card of another site",
        "amount_minor": AMOUNT_MINOR,
        "currency": "CNY",
        "method": "alipay",
    }
    return PlaceCharge(
        OrderId(new_id(market.clock.now(), shard_of(market.merchant))), **given | more
    )


async def place(market, number="A-1", **more):
    """Place one charge."""
    [placed] = await market.orders.place_charges([charge_of(market, number, **more)])
    return placed


async def broken(market):
    """Say which promises the books break."""
    report = await audit(market.house.platform.database_url)
    return [(each.name, each.findings) for each in report.outcomes if each.findings]


async def available_minor(market):
    """Read what the merchant may have paid out."""
    (balance,) = await market.settlement.read_merchant_balances([(market.merchant, "CNY")])
    return balance.available_minor


async def told(market):
    """Read what orders tell, first to last."""
    [page] = await market.orders.read_events([Cursor()])
    return [event for batch in page.batches for event in decode(batch, list[OrderEvent])]


async def test_a_paid_charge_is_split_and_told(market):
    """Paid, the fee is taken and the rest is the merchant's; no key is picked; the books agree."""
    placed = await place(market)
    before = await market.read(placed)
    await market.pay(placed.order)
    await market.run()
    after = await market.read(placed)
    [event] = await told(market)

    assert ChargeStatus.PLACED is placed.status
    assert (OrderState.PLACED, True, "A-1") == (before.state, before.is_charge, before.number)
    assert (OrderState.DELIVERED, []) == (after.state, after.items)
    assert ["placed", "paid", "held", "delivered", "released"] == [s.kind for s in after.timeline]
    assert (placed.order, None) == (event.order, event.allocation)
    assert AMOUNT_MINOR - 60 <= await available_minor(market) <= AMOUNT_MINOR - 59
    assert [] == await broken(market)


async def test_a_number_is_one_charge_whatever_happens_at_once(market):
    """The same number twenty times at once, and again later, is one charge with one secret."""
    batches = await asyncio.gather(
        *(market.orders.place_charges([charge_of(market), charge_of(market)]) for _ in range(10))
    )
    placed = [each for batch in batches for each in batch]
    market.clock.advance(600)
    again = await place(market)

    assert 1 == len({(each.order, each.secret, each.attempt) for each in [*placed, again]})
    assert 1 == [each.status for each in placed].count(ChargeStatus.PLACED)
    assert 19 == [each.status for each in placed].count(ChargeStatus.EXISTS)
    assert ChargeStatus.EXISTS is again.status


@pytest.mark.parametrize(
    "change", [{"amount_minor": 1}, {"title": "Another"}, {"currency": "USD", "method": ""}]
)
async def test_another_charge_under_the_same_number_is_refused(market, change):
    """A repeat that says anything else is refused, and says nothing of the first one."""
    first = await place(market)
    other = await place(market, **change)

    assert ChargeStatus.PLACED is first.status
    assert (ChargeStatus.EXISTS_DIFFERENT, None, "") == (other.status, other.order, other.secret)


async def test_numbers_of_two_merchants_are_apart(market):
    """A number belongs to its merchant: another's of the same name is another charge."""
    mine = await place(market)
    theirs = await place(market, merchant=new_id(market.clock.now()))

    assert mine.order != theirs.order
    assert ChargeStatus.PLACED is theirs.status


@pytest.mark.parametrize(
    "change, status",
    [
        ({"number": ""}, ChargeStatus.NUMBER_MALFORMED),
        ({"number": "a b"}, ChargeStatus.NUMBER_MALFORMED),
        ({"number": "1" * 65}, ChargeStatus.NUMBER_MALFORMED),
        ({"title": ""}, ChargeStatus.TITLE_MALFORMED),
        ({"title": "two\nlines"}, ChargeStatus.TITLE_MALFORMED),
        ({"amount_minor": 0}, ChargeStatus.AMOUNT_OUT_OF_RANGE),
        ({"amount_minor": -5}, ChargeStatus.AMOUNT_OUT_OF_RANGE),
        ({"amount_minor": 10**16}, ChargeStatus.AMOUNT_OUT_OF_RANGE),
        ({"is_proof_wanted": True}, ChargeStatus.PROOF_WANTED),
        ({"is_proof_wanted": True, "is_proven": True}, ChargeStatus.PLACED),
        ({"method": "unheard_of"}, ChargeStatus.METHOD_NOT_OFFERED),
    ],
)
async def test_what_cannot_be_charged_is_refused_by_name(market, change, status):
    """Each refusal has its name, and nothing that was refused can be paid."""
    placed = await place(market, **change)
    [sold] = await market.orders.list_orders([SoldOrderQuery(market.merchant, OrderState.PLACED)])

    assert status is placed.status
    assert len(sold) == (status is ChargeStatus.PLACED)


async def test_a_blocked_address_places_no_charge(market):
    """Risk's lists hold for charges as for orders."""
    await market.risk.put_list_entries([ListEntry("address:9.9.9.9", ListKind.BLOCKED)])
    placed = await place(market, address="9.9.9.9")

    assert ChargeStatus.RISK_REFUSED is placed.status


async def test_late_money_fills_a_charge_whose_time_is_over(market):
    """A charge whose time to pay is over is filled all the same when its money comes."""
    placed = await place(market)
    market.clock.advance(2_000)
    await market.run()
    await market.pay(placed.order)
    await market.run()
    assert OrderState.DELIVERED is (await market.read(placed)).state
    assert [] == await broken(market)


async def test_a_charge_paid_twice_is_filled_once(market):
    """A second payment of a charge is surplus, and on its way back."""
    placed = await place(market)
    await market.pay(placed.order)
    await market.run()
    await market.pay(placed.order)
    await market.run()
    [sagas] = await market.orders.list_sagas([SagaQuery()])

    assert 1 == len([each for each in await told(market) if isinstance(each, OrderDelivered)])
    assert ["surplus"] == [saga.kind for saga in sagas]
    assert [] == await broken(market)


async def test_a_charge_is_given_back_as_an_order_is(market):
    """Refunds of charges start within what was paid, whole or in part."""
    placed = await place(market)
    await market.pay(placed.order)
    await market.run()
    asked = [
        RefundOrder(new_id(market.clock.now()), placed.order, minor, "test", "test")
        for minor in (990, 2_000, 1_000, 1)
    ]
    statuses = await market.orders.refund_orders(asked)
    await market.run()

    assert ["accepted", "more_than_captured", "accepted", "more_than_captured"] == statuses
    assert RefundOrderStatus.EXISTS is (await market.orders.refund_orders(asked[:1]))[0]
    assert OrderState.REFUNDING is (await market.read(placed)).state
    assert [] == await broken(market)


async def test_a_merchant_finds_a_charge_by_its_own_number(market):
    """The number that the merchant gave finds the charge, for that merchant and nobody else."""
    placed = await place(market, number="2026-0815")
    searches = [
        OrderSearch(who, "2026-0815") for who in (market.merchant, new_id(market.clock.now()))
    ]
    mine, theirs = await market.orders.find_orders(searches)

    assert [(placed.order, "2026-0815")] == [(each.view.id, each.view.number) for each in mine]
    assert [] == theirs


async def test_an_id_that_is_not_of_now_is_refused_alone(market):
    """Expiry walks along ids once: what waited too long comes again with a new one."""
    old = charge_of(market)
    market.clock.advance(60)
    late, other = await market.orders.place_charges([old, charge_of(market, "A-2")])
    [again] = await market.orders.place_charges([replace(old, id=charge_of(market).id)])

    assert (ChargeStatus.ID_NOT_OF_NOW, None) == (late.status, late.order)
    assert [ChargeStatus.PLACED] * 2 == [other.status, again.status]


async def test_the_audit_finds_a_charge_with_keys_and_an_order_without(market):
    """A delivered order must have its keys, and a charge none: the audit tells both."""
    await market.offer("GAME")
    charge, order = await place(market), await market.place("GAME")
    await market.pay(charge.order)
    await market.pay(order.order)
    await market.run()
    clean = await broken(market)
    owner = await connect_once(market.house.platform.database_url)
    await owner.execute(
        'update orders."order" o set variant = x.variant from orders."order" x where o.id <> x.id'
    )
    await owner.close()
    found = dict(await broken(market))

    assert [] == clean
    assert {str(charge.order), str(order.order)} == set(found["outcomes_are_kept"])
