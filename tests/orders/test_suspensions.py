"""A suspended merchant sells nothing by any way; what was paid is delivered or goes back."""

import pytest

from vendrail.api.catalog import SalesStop
from vendrail.api.orders import OrderId, PayFromWallet, PayOrder, PaySaved, PlaceCharge
from vendrail.kernel.ids import new_id


@pytest.fixture
def standing(market):
    """What the orders' loop runs for suspended merchants."""
    return market.house.services["orders"].standing


async def _stop(market, reason="stolen keys"):
    await market.catalog.stop_sales([SalesStop(market.merchant, reason)])
    market.clock.advance(1)  # What was known a moment ago is asked again.


def _charge(market, number="A1"):
    id = OrderId(new_id(market.clock.now()))
    return PlaceCharge(id, market.merchant, number, "A game", 1_000, "CNY", "alipay")


async def test_nothing_can_be_ordered_of_a_suspended_merchant(market):
    """Neither a product nor a charge is placed; a charge that stands opens no way to pay again."""
    await market.offer("S1")
    [standing] = await market.orders.place_charges([_charge(market, "B1")])
    await _stop(market)
    placed = await market.place("S1")
    [charged] = await market.orders.place_charges([_charge(market)])
    [again] = await market.orders.place_charges([_charge(market, "B1")])
    await _stop(market, "")

    assert ("placed", "not_on_sale", "sales_stopped") == (
        standing.status,
        placed.status,
        charged.status,
    )
    assert "exists" == again.status
    assert "placed" == (await market.place("S1")).status
    assert "placed" == (await market.orders.place_charges([_charge(market)]))[0].status


async def test_what_was_ordered_cannot_be_paid_any_more(market):
    """No way is opened on an unpaid order: no channel, no saved way, no wallet."""
    await market.offer("S1")
    placed = await market.place("S1")
    buyer = new_id(market.clock.now())
    await _stop(market)
    order, secret = placed.order, placed.secret
    [paid] = await market.orders.pay_orders([PayOrder(order, secret, "alipay")])
    [saved] = await market.orders.pay_saved([PaySaved(order, secret, buyer, buyer)])
    [wallet] = await market.orders.pay_from_wallets([PayFromWallet(order, secret, buyer, 1_990)])

    assert ["order_ended"] * 3 == [paid.status, saved.status, wallet]


async def test_unpaid_orders_are_cancelled_and_others_let_be(market, standing):
    """The sweep cancels what nobody paid, more than one page of it, and gives its stock back."""
    await market.offer("S1", keys=4)
    unpaid = [await market.place("S1") for _ in range(2)]
    paid = await market.place("S1")
    await market.pay(paid.order)
    await _stop(market)
    assert not await standing.sweep()
    await market.run()
    states = [(await market.read(each)).state for each in [*unpaid, paid]]
    [count] = await market.catalog.count_stock(["S1"])

    assert ["cancelled", "cancelled", "delivered"] == states
    assert (3, 0, 1) == (count.free, count.held, count.sold)


async def test_many_unpaid_orders_are_all_cancelled(market, standing):
    """However few are read at a time, none of a suspended merchant's is left."""
    await market.offer("S1", keys=5)
    unpaid = [await market.place("S1") for _ in range(5)]
    await _stop(market)
    await standing.sweep(orders_max=2)
    await market.run()

    assert {"cancelled"} == {(await market.read(each)).state for each in unpaid}


async def test_money_on_its_way_is_delivered(market, standing):
    """What a buyer paid before, and is told of after the cancelling, is filled all the same."""
    await market.offer("S1")
    placed = await market.place("S1")
    await _stop(market)
    await standing.sweep()
    await market.run()
    cancelled = (await market.read(placed)).state
    await market.pay(placed.order)
    await market.run()
    view = await market.read(placed)

    assert ("cancelled", "delivered", 1) == (cancelled, view.state, len(view.items))
