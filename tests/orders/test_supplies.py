"""Agents' orders: sold in one shop, delivered of another's keys, the money parted three ways."""

import asyncio
from dataclasses import dataclass

import pytest

from vendrail.api.catalog import (
    AgencyAct,
    AgencyMove,
    Floor,
    ListSupplied,
    MerchantId,
    SalesLimit,
    SalesStop,
    Shop,
    ShopId,
    ShopProductQuery,
)
from vendrail.api.orders import (
    PayFromWallet,
    PayOrder,
    PaySaved,
    RefundOrder,
    ReplaceItems,
    SuppliedQuery,
)
from vendrail.api.settlement import FeeTerms, ShareQuery, supply_of
from vendrail.app.audit import audit
from vendrail.kernel.ids import new_id
from vendrail.orders import store

PRICE, FLOOR = 1_990, 1_500
FEE = 60  # 2.5 % of the price, and 10 beside it.


@dataclass
class Reseller:
    """An agent with a shop of its own, which lists what the market's merchant supplies."""

    merchant: MerchantId
    shop: ShopId
    sku: str


@pytest.fixture
async def reseller(market) -> Reseller:
    """An agent that sells the market's keys for more than the supplier's floor."""
    merchant, shop = MerchantId(new_id(market.clock.now())), ShopId(new_id(market.clock.now()))
    await market.catalog.put_shops([Shop(shop, merchant, "Mei", "mei", "Mei's keys")])
    await market.settlement.put_fee_terms([FeeTerms(merchant, "CNY", 250, 10, 20)])
    market.clock.advance(11)
    await market.offer("K1", keys=6)
    supplier, variant = MerchantId(market.merchant), market.skus["K1"]
    await market.catalog.move_agencies([AgencyMove(AgencyAct.INVITE, supplier, slug="mei")])
    await market.catalog.move_agencies([AgencyMove(AgencyAct.ACCEPT, merchant, supplier)])
    await market.catalog.put_floors([Floor(supplier, variant, {"CNY": FLOOR})])
    sku = await list_at(market, merchant, shop, PRICE)
    return Reseller(merchant, shop, sku)


async def list_at(market, merchant, shop, minor):
    """List the market's keys at a price; give the SKU."""
    variant = market.skus["K1"]
    await market.catalog.put_listings([ListSupplied(merchant, shop, variant, {"CNY": minor})])
    market.clock.advance(2)
    [[stocked]] = await market.catalog.list_products([ShopProductQuery(merchant)])
    return stocked.product.variants[0].sku


async def has(market, merchant):
    """What a merchant has available and owes."""
    [found] = await market.settlement.read_merchant_balances([(merchant, "CNY")])
    return found.available_minor, found.debt_minor


async def sell(market, reseller, quantity=1):
    """One order in the agent's shop, paid and delivered."""
    placed = await market.place(reseller.sku, quantity)
    await market.pay(placed.order, amount_minor=PRICE * quantity)
    await market.run()
    return placed


async def proven(market):
    """Nothing that the audit finds wrong."""
    report = await audit(market.house.platform.database_url)
    return {each.name: each.findings for each in report.outcomes if each.findings}


async def test_an_agents_order_is_delivered_of_the_suppliers_keys(market, reseller):
    """The buyer gets the supplier's keys; platform, supplier and agent get their parts."""
    placed = await sell(market, reseller, 2)
    view = await market.read(placed)
    [count] = await market.catalog.count_stock(["K1"])
    [page] = await market.orders.list_supplied([SuppliedQuery(market.merchant)])
    [sums] = await market.orders.sum_supplied([SuppliedQuery(market.merchant)])
    query = ShareQuery(supply_of(placed.order), market.merchant, "CNY")
    [share] = await market.settlement.read_order_shares([query])

    assert ("delivered", 2, reseller.merchant) == (view.state, len(view.items), view.merchant)
    assert all(item.startswith("K1-") for item in view.items)
    assert (4, 0, 2) == (count.free, count.held, count.sold)
    assert (2 * FLOOR, 0) == await has(market, market.merchant)
    fee = 110  # 2.5 % of 39.80 is 99.5, half a unit is rounded up, and 10 beside it.
    assert (2 * PRICE - 2 * FLOOR - fee, 0) == await has(market, reseller.merchant)
    assert [(placed.order, reseller.merchant, 2, 2 * FLOOR, False)] == [
        (each.id, each.agent, each.quantity, each.supplied_minor, each.is_refunded) for each in page
    ]
    assert [(reseller.merchant, 1, 2, 2 * FLOOR)] == [
        (each.agent, each.sold_count, each.quantity, each.supplied_minor) for each in sums
    ]
    assert 2 * FLOOR == sum(part.amount_minor for part in share.parts)
    assert {} == await proven(market)


async def test_refunds_bear_on_both_and_the_books_prove_it(market, reseller):
    """Partial refunds to the end: each gives back its own part, to the minor unit."""
    placed = await sell(market, reseller)
    for minor in (333, 777, PRICE - 1_110):
        id = new_id(market.clock.now())
        [status] = await market.orders.refund_orders(
            [RefundOrder(id, placed.order, minor, "wish", "tester")]
        )
        assert "accepted" == status
        await market.run()
        assert {} == await proven(market)

    assert (0, 0) == await has(market, market.merchant)
    assert (0, FEE) == await has(market, reseller.merchant)  # These terms keep the fee.


async def test_no_more_of_a_suppliers_keys_are_replaced_than_were_sold(market, reseller):
    """An agent replaces each key once; the supplier's stock is not the agent's to empty."""
    placed = await sell(market, reseller)
    asked = [ReplaceItems(new_id(market.clock.now()), placed.order, [1], "dead", "bo", 0)]
    again = [ReplaceItems(new_id(market.clock.now()), placed.order, [1], "dead", "bo", 1)]

    assert ["replaced"] == await market.orders.replace_items(asked)
    assert ["exists"] == await market.orders.replace_items(asked)
    assert ["supply_spent"] == await market.orders.replace_items(again)


async def test_a_price_that_does_not_bear_the_fee_is_refused(market, reseller):
    """One unit less than floor and fee, and nothing is placed; at that price it is."""
    least = FLOOR + 49  # 2.5 % of it is 38.7, and 10 beside it.
    statuses = []
    for minor in (FLOOR, least - 1, least):
        sku = await list_at(market, reseller.merchant, reseller.shop, minor)
        statuses.append((await market.place(sku)).status)

    assert ["markup_too_low", "markup_too_low", "placed"] == statuses


async def bound(market, merchant, **bounds):
    """Bound what a merchant may sell."""
    await market.catalog.put_limits([SalesLimit(merchant, "CNY", **bounds)])
    market.clock.advance(10)  # What was known is asked again.


async def test_what_agents_sell_counts_for_the_supplier(market, reseller):
    """A supplier's month is its own sales and its part of agents': neither shop sells more."""
    await market.stock("K1", 9)
    await bound(market, market.merchant, month_minor_max=PRICE + 2 * FLOOR)
    statuses = []
    for sku, quantity in ((reseller.sku, 4), (reseller.sku, 1), ("K1", 1)):
        statuses.append((await market.place(sku, quantity)).status)
    market.clock.advance(31)  # What was counted is read.
    later = [await market.place(sku) for sku in ("K1", reseller.sku, reseller.sku)]

    assert ["limit_reached", "placed", "placed"] == statuses
    assert ["limit_reached", "placed", "limit_reached"] == [each.status for each in later]


async def test_what_the_release_before_has_sold_counts_by_its_part(market, reseller):
    """An order whose part stands in its facts alone is summed, and counts for the supplier."""
    await sell(market, reseller)
    async with market.house.databases["orders"].transaction() as tx:
        await tx.execute('update orders."order" set supplied_minor = null')
    await bound(market, market.merchant, month_minor_max=2 * FLOOR)
    [[summed]] = await market.orders.sum_supplied([SuppliedQuery(market.merchant)])
    statuses = [(await market.place(reseller.sku)).status for _ in range(2)]

    assert (1, FLOOR) == (summed.sold_count, summed.supplied_minor)
    assert ["placed", "limit_reached"] == statuses


async def test_one_order_of_an_agents_is_within_the_suppliers_bound(market, reseller):
    """So much of an order is the supplier's, and not more; the agent's own bound is its price."""
    await bound(market, market.merchant, order_minor_max=FLOOR)
    one, two = await market.place(reseller.sku), await market.place(reseller.sku, 2)
    await bound(market, reseller.merchant, order_minor_max=PRICE - 1)

    assert ("placed", "limit_reached") == (one.status, two.status)
    assert "limit_reached" == (await market.place(reseller.sku)).status


async def test_what_an_agent_refunds_counts_no_more_for_the_supplier(market, reseller):
    """Of what went back, the supplier's part may be sold again."""
    await bound(market, market.merchant, month_minor_max=FLOOR)
    placed = await sell(market, reseller)
    market.clock.advance(61)
    before = await market.place(reseller.sku)
    id = new_id(market.clock.now())
    await market.orders.refund_orders([RefundOrder(id, placed.order, PRICE, "wish", "tester")])
    await market.run()
    async with market.house.databases["orders"].transaction() as tx:
        await store.settle_refunds(tx, [id], "paid", market.clock.now())
    market.clock.advance(61)

    assert "limit_reached" == before.status
    assert "placed" == (await market.place(reseller.sku)).status


async def test_two_shops_at_once_do_not_pass_the_suppliers_bound(market, reseller):
    """Forty orders on both shops at once: what is the supplier's of all stays within its month."""
    await market.stock("K1", 60)
    most = 4 * PRICE + 3 * FLOOR
    await bound(market, market.merchant, month_minor_max=most)
    choices = [market.choose("K1" if n % 2 else reseller.sku) for n in range(40)]
    batches = [market.orders.place_orders(choices[at : at + 4]) for at in range(0, 40, 4)]
    statuses = [each.status for batch in await asyncio.gather(*batches) for each in batch]
    sold = [PRICE if n % 2 else FLOOR for n, status in enumerate(statuses) if status == "placed"]
    market.clock.advance(31)
    sold += [FLOOR] * ((await market.place(reseller.sku)).status == "placed")

    assert most - FLOOR < sum(sold) <= most
    assert {"placed", "limit_reached"} == set(statuses)


async def test_nothing_of_a_suspended_suppliers_can_be_ordered_or_paid(market, reseller):
    """A second after it was suspended, its keys are not for sale, and no way to pay is opened."""
    placed = await market.place(reseller.sku)
    await market.catalog.stop_sales([SalesStop(MerchantId(market.merchant), "stolen keys")])
    market.clock.advance(1)
    order, secret = placed.order, placed.secret
    buyer = new_id(market.clock.now())
    [paid] = await market.orders.pay_orders([PayOrder(order, secret, "alipay")])
    [saved] = await market.orders.pay_saved([PaySaved(order, secret, buyer, buyer)])
    [wallet] = await market.orders.pay_from_wallets([PayFromWallet(order, secret, buyer, PRICE)])

    assert "not_on_sale" == (await market.place(reseller.sku)).status
    assert ["order_ended"] * 3 == [paid.status, saved.status, wallet]


async def test_an_agency_that_ends_finishes_what_is_under_way(market, reseller):
    """What was placed is paid, delivered and parted; nothing new is placed."""
    placed = await market.place(reseller.sku)
    await market.catalog.move_agencies(
        [AgencyMove(AgencyAct.END, MerchantId(market.merchant), agent=reseller.merchant)]
    )
    market.clock.advance(2)
    late = await market.place(reseller.sku)
    await market.pay(placed.order)
    await market.run()

    assert ("delivered", "not_on_sale") == ((await market.read(placed)).state, late.status)
    assert (FLOOR, 0) == await has(market, market.merchant)


async def test_unpaid_orders_of_a_suspended_supplier_are_cancelled(market, reseller):
    """Nobody pays any more for keys of a merchant who may not sell."""
    placed = await market.place(reseller.sku)
    await market.catalog.stop_sales([SalesStop(MerchantId(market.merchant), "stolen keys")])
    market.clock.advance(2)
    await market.house.services["orders"].standing.sweep()
    await market.run()

    assert "cancelled" == (await market.read(placed)).state


async def test_no_key_is_sold_twice_by_two_shops(market, reseller):
    """Fifty orders on both shops for the last six keys: six are placed, each with its own key."""
    choices = [market.choose("K1" if n % 2 else reseller.sku) for n in range(50)]
    placed = await asyncio.gather(
        *(market.orders.place_orders(choices[at : at + 5]) for at in range(0, 50, 5))
    )
    won = [each for batch in placed for each in batch if each.status == "placed"]
    for each in won:
        await market.pay(each.order)
    await market.run()
    views = [await market.read(each) for each in won]
    keys = [item for view in views for item in view.items]
    [count] = await market.catalog.count_stock(["K1"])

    assert 6 == len(won) == len(keys) == len(set(keys))
    assert {"sold_out"} == {
        str(each.status) for batch in placed for each in batch if each.status != "placed"
    }
    assert (0, 0, 6) == (count.free, count.held, count.sold)
    assert {} == await proven(market)


async def test_no_key_is_picked_twice_without_holds(market, reseller):
    """Twelve are paid for six keys on both shops at once: six get one each, six their money."""
    await market.stock("K1", 6)
    choices = [market.choose("K1" if n % 2 else reseller.sku) for n in range(12)]
    placed = await market.orders.place_orders(choices)
    [count] = await market.catalog.count_stock(["K1"])
    await market.catalog.release_holds([each.order for each in placed])
    voided = await market.place("K1", 6)
    for each in placed:
        await market.pay(each.order)
    await market.run()
    views = [await market.read(each) for each in placed]
    keys = [item for view in views for item in view.items]
    states = sorted(str(view.state) for view in views)

    assert 12 == count.held
    assert "placed" == voided.status
    assert ["delivered"] * 6 + ["refunding"] * 6 == states
    assert 6 == len(keys) == len(set(keys))
