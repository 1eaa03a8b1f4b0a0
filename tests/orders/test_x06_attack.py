"""X6: unpaid orders cannot keep a shop from selling."""

from collections import Counter

from vendrail.api.catalog import HoldPolicy
from vendrail.api.orders import OrderState, PlaceStatus

STOCK = 100


async def attack(market, count=500, **more):
    """Place orders that nobody will pay, each from another buyer and address, in batches."""
    told = Counter()
    for begin in range(0, count, 50):
        orders = [
            market.choose("CARD", address=f"203.0.{begin}.{n}", device=f"d{begin}-{n}", **more)
            for n in range(50)
        ]
        told.update(placed.status for placed in await market.orders.place_orders(orders))
        market.clock.advance(1.1)  # Offers are remembered for a second.
    return told


async def buy(market, count):
    """Let real buyers order and pay, each from an address of their own; give their orders."""
    orders = [
        market.choose("CARD", address=f"198.51.100.{n}", is_proven=True) for n in range(count)
    ]
    placed = await market.orders.place_orders(orders)
    for order in orders:
        await market.pay(order.id)
    await market.run()
    return [await market.read(each) for each in placed]


async def test_x06_five_hundred_unpaid_orders_do_not_stop_fifty_buyers(market):
    """Without the work most are refused; with it, fifty real buyers still get their keys."""
    await market.offer("CARD", keys=STOCK)

    idle = await attack(market)
    worked = await attack(market, is_proven=True)
    bought = await buy(market, 50)

    assert 500 == idle.total() == worked.total()
    assert idle[PlaceStatus.PROOF_WANTED] >= 450
    assert {PlaceStatus.PLACED: 500} == dict(worked)
    assert {OrderState.DELIVERED: 50} == Counter(view.state for view in bought)
    assert 50 == len({key for view in bought for key in view.items})
    [stock] = await market.catalog.count_stock(["CARD"])
    assert (0, 50, 50) == (stock.free, stock.held, stock.sold)


async def test_x06_who_pays_when_all_is_sold_gets_the_money_back(market):
    """Beyond the share nothing is held: when the stock is gone at payment, the saga refunds."""
    await market.offer("CARD", keys=STOCK)
    await attack(market, is_proven=True)
    bought = await buy(market, 51)

    assert {OrderState.DELIVERED: 50, OrderState.REFUNDING: 1} == Counter(
        view.state for view in bought
    )


async def test_x06_at_payment_a_product_holds_nothing(market):
    """A product that allocates at payment cannot be held at all, and asks nobody for a proof."""
    await market.offer("CARD", keys=STOCK, hold_policy=HoldPolicy.AT_PAYMENT)
    told = await attack(market)
    [stock] = await market.catalog.count_stock(["CARD"])
    bought = await buy(market, 100)

    assert ({PlaceStatus.PLACED: 500}, 0) == (dict(told), stock.held)
    assert {OrderState.DELIVERED: 100} == Counter(view.state for view in bought)


async def test_x22_a_repeat_needs_no_second_proof(market):
    """The same order sent again under pressure is the same order, proof or not."""
    await market.offer("CARD", keys=STOCK)
    key = {"idempotency_key": "0123456789abcdef", "contact": "real@example.com"}
    first = await market.place("CARD", **key)
    await attack(market)
    again = await market.place("CARD", **key)
    refused = await market.place("CARD")
    wanted = await market.place("CARD", is_proof_wanted=True)

    assert (PlaceStatus.PLACED, PlaceStatus.EXISTS) == (first.status, again.status)
    assert first.order == again.order
    assert [PlaceStatus.PROOF_WANTED] * 2 == [refused.status, wanted.status]
