"""Warranties: a dead key is replaced at once, within limits; without one, refund or merchant."""

import asyncio

import pytest
from tests.support.conftest import PRICE_MINOR

from vendrail.api.catalog import ProductQuery
from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.api.disputes import DisputeState
from vendrail.api.orders import OrderQuery, RefundOrder, ReplaceItems
from vendrail.api.support import ComplaintKind, ComplaintState, Outcome, Remedy, Side, StepKind
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id

DEAD = ComplaintKind.DEAD_KEY
SHARE_MINOR = 1_930
AT_ONCE = ProductWarranty(24, "Keys that the maker refuses.", 1, 2)


async def promise(case, warranty):
    """Write the product anew, with another warranty; what was sold keeps its own."""
    [[view]] = await case.catalog.find_products([ProductQuery(shop_slug="shop")])
    changed = replace(view.product, warranty=warranty)
    assert ["changed"] == await case.catalog.put_products([changed])
    case.clock.advance(1.1)  # Offers are remembered for a second.


async def items_of(case, order):
    """The keys of an order, and those that they have replaced."""
    [view] = await case.orders.read_orders([OrderQuery(order, None, with_items=True)])
    return view.items, [each.text for each in view.replaced]


async def sell_to(case, contact, quantity=1):
    """Sell something to somebody who is known."""
    order = await case.place(contact=contact, quantity=quantity)
    await case.pay(order, PRICE_MINOR * quantity)
    await case.run()
    [addressee] = await case.orders.read_addressees([order])
    return order, addressee.secret


async def claim(case, order, buyer, **more):
    """Claim that keys are dead; give how the complaint stands."""
    id = await case.complain(order, buyer, DEAD, **more)
    return await case.view(id)


async def test_a_dead_key_is_replaced_without_asking(case):
    """Within its warranty a dead key is void, the next is the buyer's, and one more is counted."""
    await promise(case, AT_ONCE)
    order, buyer = await case.sell()
    [old], _ = await items_of(case, order)
    view = await claim(case, order, buyer)
    items, replaced = await items_of(case, order)
    [count] = await case.catalog.count_stock(["S1"])
    talk = await case.talk(order, buyer)

    assert (ComplaintState.CLOSED, Outcome.REPLACED) == (view.state, view.outcome)
    assert Side.WARRANTY is view.decided_by
    assert ([old], 1) == (replaced, len(items))
    assert old not in items
    assert (10, 1, 1) == (count.free, count.sold, count.void)
    assert ["opened", "granted", "done"] == [each.step for each in talk.messages]
    assert (SHARE_MINOR, 0) == await case.balance()
    assert [] == await case.findings()


async def test_a_key_that_was_replaced_after_the_claim_was_written_stays(case):
    """What a merchant has replaced while a buyer wrote is not replaced again; the rest of it is."""
    await promise(case, ProductWarranty(24, "Keys that the maker refuses.", 3, 6))
    sold = [await case.sell(quantity=quantity) for quantity in (1, 2)]
    asked = [case.complaint(order, buyer, DEAD) for order, buyer in sold]
    case.clock.advance(1)
    for order, _ in sold:
        by_hand = ReplaceItems(new_id(case.clock.now()), order, [1], "dead", "lin@example.com")
        assert ["replaced"] == await case.orders.replace_items([by_hand])
    kept = [(await items_of(case, order))[0] for order, _ in sold]
    assert ["opened"] * 2 == await case.support.open_complaints(asked)
    await case.settle()
    views = [await case.view(each.id) for each in asked]
    [[alone], [first, second]] = [(await items_of(case, order))[0] for order, _ in sold]
    again = await claim(case, *sold[0])

    assert [Outcome.REPLACED] * 2 == [each.outcome for each in views]
    assert (kept[0][0], kept[1][0]) == (alone, first)
    assert kept[1][1] != second
    assert Outcome.REPLACED is again.outcome
    assert alone not in (await items_of(case, sold[0][0]))[0]
    assert [] == await case.findings()


async def test_what_was_sold_keeps_what_was_promised(case):
    """A warranty that is changed afterwards counts for later orders only."""
    await promise(case, AT_ONCE)
    before = await case.sell()
    await promise(case, None)
    after = await case.sell()
    views = [await claim(case, *each) for each in (before, after)]

    assert [ComplaintState.CLOSED, ComplaintState.OPEN] == [each.state for each in views]


async def test_limits_of_an_order_and_of_a_buyer_hold(case):
    """Beyond what is replaced without asking, the merchant is asked; two at once take one turn."""
    await promise(case, AT_ONCE)
    first, second, third = [await sell_to(case, "same@example.com") for _ in range(3)]
    buyers = [replace(case.staff, side=Side.BUYER, secret=each[1]) for each in (first, second)]
    once = await claim(case, first[0], buyers[0])
    again = await claim(case, first[0], buyers[0])
    third_buyer = replace(buyers[0], secret=third[1])
    asked = [
        case.complaint(second[0], buyers[1], DEAD),
        case.complaint(third[0], third_buyer, DEAD),
    ]
    await asyncio.gather(*(case.support.open_complaints([each]) for each in asked))
    states = sorted([(await case.view(each.id)).state for each in asked])

    assert [ComplaintState.CLOSED, ComplaintState.OPEN] == [once.state, again.state]
    assert [ComplaintState.CLOSED, ComplaintState.OPEN] == states
    assert [] == await case.findings()


async def test_many_keys_of_one_order_are_claimed_as_far_as_the_limit(case):
    """More dead keys than an order may have replaced are a person's matter, all of them."""
    await promise(case, ProductWarranty(24, "", 2, 10))
    order, buyer = await case.sell(quantity=3)
    whole = await claim(case, order, buyer)
    await case.step(whole.id, buyer, StepKind.WITHDRAW)
    case.clock.advance(86_401)
    late = await claim(case, order, buyer, positions=[1, 3])

    assert ComplaintState.OPEN is whole.state
    assert ComplaintState.OPEN is late.state  # The warranty was of a day.


@pytest.mark.parametrize("quantity, outcome", [(1, "refunded"), (3, "part_refunded")])
async def test_without_a_key_the_price_goes_back(case, quantity, outcome):
    """Where no key is free and the merchant chose so, the dead key's price goes back at once."""
    await promise(case, ProductWarranty(24, "", 1, 1, is_refunded_when_out=True))
    order, buyer = await case.sell(quantity=quantity)
    for _ in range(12 - quantity):
        await case.sell()
    view = await claim(case, order, buyer, positions=[1])
    await case.settle()
    ended = await case.view(view.id)
    [refunds] = await case.orders.read_refunds([order])

    assert (Side.WARRANTY, outcome) == (ended.decided_by, ended.outcome)
    assert [PRICE_MINOR] == [each.amount_minor for each in refunds]
    assert [] == await case.findings()


async def test_without_a_key_the_merchant_is_asked(case):
    """Where no key is free and nothing else was promised, the merchant answers in time."""
    await promise(case, AT_ONCE)
    order, buyer = await case.sell()
    for _ in range(11):
        await case.sell()
    view = await claim(case, order, buyer)
    offered = await case.step(view.id, case.staff, StepKind.ANSWER, Remedy.REFUND)
    await case.settle()
    ended = await case.view(view.id)

    assert (ComplaintState.OPEN, None, "") == (view.state, view.decided_by, view.problem)
    assert view.due_at is not None
    assert "taken" == offered
    assert (Side.MERCHANT, Outcome.REFUNDED) == (ended.decided_by, ended.outcome)
    assert [] == await case.findings()


async def test_whose_money_went_back_is_not_given_a_key(case):
    """An order of which money was given back is no matter for the warranty alone."""
    await promise(case, AT_ONCE)
    order, buyer = await case.sell()
    part = RefundOrder(new_id(case.clock.now()), order, 500, "sorry", "shop@north.example")
    await case.orders.refund_orders([part])
    await case.settle()
    view = await claim(case, order, buyer)

    assert ComplaintState.OPEN is view.state


@pytest.mark.parametrize("state", [DisputeState.OPEN, DisputeState.LOST])
async def test_whose_bank_takes_the_money_back_is_not_given_a_key(case, state):
    """Whoever has their bank take the money back is not given another key without asking."""
    await promise(case, AT_ONCE)
    order, buyer = await case.sell()
    async with case.house.databases["disputes"].reading() as tx:
        await tx.execute(
            "insert into disputes.dispute (id, capture, channel, channel_name, case_number,"
            " provider_number, order_id, merchant, amount_minor, captured_minor, currency, reason,"
            " outcome, step, opened_at, due_at) values ($1, $1, $1, 'stripe', 'dp_1', 'pi_1', $2,"
            " $3, 1990, 1990, 'CNY', 'fraudulent', $4, 'ended', now(), now())",
            new_id(case.clock.now()),
            order,
            case.merchant,
            str(state),
        )
    view = await claim(case, order, buyer)

    assert ComplaintState.OPEN is view.state


async def test_a_part_that_was_taken_ends_the_same_matter(case):
    """Who has taken a part for something cannot complain of the same again, but of another key."""
    order, buyer = await case.sell(quantity=2)
    first = await case.complain(order, buyer, DEAD, positions=[1])
    await case.step(first, case.staff, StepKind.ANSWER, Remedy.PART, 500)
    await case.step(first, buyer, StepKind.ACCEPT)
    await case.settle()
    same = case.complaint(order, buyer, DEAD, positions=[1, 2])
    other = case.complaint(order, buyer, DEAD, positions=[2])
    statuses = await case.support.open_complaints([same, other])

    assert ["decided", "opened"] == statuses
