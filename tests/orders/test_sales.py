"""Sales in little, and from the shop to the explained fee: what rules ask is known where it is."""

from datetime import timedelta

import pytest

from vendrail.api.catalog import (
    KeyIntake,
    KeyLine,
    MerchantId,
    Product,
    ProductId,
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.api.disputes import Disputes
from vendrail.api.ledger import TransferCode
from vendrail.api.orders import (
    DeliveredOrder,
    MerchantSales,
    MerchantSalesQuery,
    PastSaleQuery,
)
from vendrail.api.payments import ChannelTerms, DisputeTold
from vendrail.api.payments.disputes import DisputedCapture, DisputeOutcome
from vendrail.api.settlement import FeeRule, FeeSchedule
from vendrail.disputes import store
from vendrail.kernel.ids import new_id

CARDS = FeeRule(
    250,
    30,
    10,
    currency="CNY",
    title="digital cards",
    categories=["cards"],
    methods=["alipay"],
    is_cost_borne=True,
)


@pytest.fixture
async def cards(market):
    """A merchant without terms of its own, with a card on sale."""
    merchant, shop = MerchantId(new_id(market.clock.now())), ShopId(new_id(market.clock.now()))
    await market.catalog.put_shops([Shop(shop, merchant, "South", "south", "South Keys")])
    product = ProductId(new_id(market.clock.now()))
    variant = Variant(VariantId(new_id(market.clock.now())), "CARD", "One", {"CNY": 1_990})
    await market.catalog.put_products(
        [Product(product, shop, "card", "Card", [variant], category="cards")]
    )
    lines = [KeyLine(number, f"CARD-{number}") for number in range(1, 4)]
    await market.catalog.add_keys([KeyIntake("CARD", product, lines)])
    return merchant


async def sell(market, sku):
    """Place an order, pay it and have it delivered."""
    placed = await market.place(sku)
    await market.pay(placed.order)
    await market.run()
    return placed.order


def counting_of(market):
    """Give what counts facts for rules."""
    disputes = market.house.api(Disputes)
    return market.house.services["settlement"].counting(market.orders, market.payments, disputes)


async def test_a_sale_from_the_shop_is_priced_by_its_rule_and_explained(market, cards):
    """Category, method and channel come with the sale; its transfers name the rule, for ever."""
    [account] = await market.payments.list_channels()
    await market.payments.put_terms([ChannelTerms(account.id, 60, 5)])
    await counting_of(market).look()
    schedule = FeeSchedule(new_id(market.clock.now()), [CARDS, FeeRule(100)])
    await market.settlement.put_fee_schedules([schedule])
    market.clock.advance(11)
    order = await sell(market, "CARD")
    [posted] = await market.ledger.read_transfers([order])
    legs = {each.transfer.code: each.transfer for each in posted}
    [told] = await market.settlement.tell_fees([legs[TransferCode.FEE].memo])

    assert 1_990 * 250 // 10_000 + 1 + 30 == legs[TransferCode.FEE].amount_minor
    assert 12 + 5 == legs[TransferCode.CHANNEL_COST].amount_minor
    assert (CARDS, 1) == (told.rule, told.number)


async def test_sales_are_listed_in_little(market, cards):
    """Only what was delivered, oldest first, page by page, with method and category."""
    await market.offer("GAME")
    began = market.clock.now()
    first = await sell(market, "GAME")
    market.clock.advance(1)  # Ids of one moment are in no order.
    second = await sell(market, "CARD")
    await market.place("GAME")
    market.clock.advance(1)
    query = PastSaleQuery(began, market.clock.now(), sales_max=1)
    [page] = await market.orders.list_sales([query])
    [rest, beyond] = await market.orders.list_sales(
        [
            PastSaleQuery(began, query.until, first),
            PastSaleQuery(market.clock.now(), began + timedelta(days=1)),
        ]
    )

    game = DeliveredOrder(first, market.merchant, 1_990, "CNY", began, "alipay", "")
    later = began + timedelta(seconds=1)
    card = DeliveredOrder(second, cards, 1_990, "CNY", later, "alipay", "cards")
    assert [game] == page
    assert [card] == rest
    assert [] == beyond


async def test_a_merchants_days_are_counted_once(market, cards):
    """The last thirty whole days: what was sold, and of how much money went back; then nothing."""
    await market.offer("GAME")
    await sell(market, "CARD")
    order = await sell(market, "CARD")
    async with market.house.databases["orders"].transaction() as tx:
        await tx.execute('update orders."order" set refunded_minor = 500 where id = $1', order)
    now = market.clock.now()
    [counts] = await market.orders.count_sales(
        [MerchantSalesQuery(now - timedelta(1), now + timedelta(seconds=1))]
    )

    assert [MerchantSales(cards, "CNY", 2, 3_980, 1)] == counts

    counting = counting_of(market)
    await counting.look()
    market.clock.advance(24 * 3_600)
    await counting.look()
    market.clock.advance(11)
    [[facts]] = await market.settlement.read_fee_facts([cards])
    assert (3_980, 2, 1, 5_000) == (
        facts.volume_minor,
        facts.sold_count,
        facts.refunded_count,
        facts.refund_permyriad,
    )

    market.clock.advance(31 * 24 * 3_600)
    await counting.look()
    market.clock.advance(11)
    [[facts]] = await market.settlement.read_fee_facts([cards])
    assert (0, 0, 0) == (facts.volume_minor, facts.sold_count, facts.refund_permyriad)


async def test_disputed_sales_count_for_rules(market, cards):
    """A dispute counts in the currency that was sold in, and a rule by dispute rate sees it."""
    orders = [await sell(market, "CARD"), await sell(market, "CARD")]
    [[capture], _] = await market.payments.read_captures(orders)
    now = market.clock.now()
    disputed = DisputedCapture(
        capture.id, capture.channel, "alipay", "1", orders[0], cards, capture.amount_minor, "CNY"
    )
    for number, currency in enumerate(("CNY", "SGD")):
        told = DisputeTold(disputed, f"du_{number}", DisputeOutcome.OPEN, 100, currency, now)
        async with market.house.databases["disputes"].transaction() as tx:
            await store.write_told(tx, new_id(now), told, now)
    market.clock.advance(24 * 3_600)
    await counting_of(market).look()
    market.clock.advance(11)
    [[facts]] = await market.settlement.read_fee_facts([cards])

    assert (2, 1, 5_000) == (facts.sold_count, facts.disputed_count, facts.dispute_permyriad)

    strict = FeeRule(900, title="disputed", dispute_permyriad_min=5_000, currency="CNY")
    schedule = FeeSchedule(new_id(market.clock.now()), [strict, FeeRule(100)])
    assert ["created"] == await market.settlement.put_fee_schedules([schedule])
    market.clock.advance(11)
    order = await sell(market, "CARD")
    [posted] = await market.ledger.read_transfers([order])
    [fee] = [each.transfer for each in posted if each.transfer.code is TransferCode.FEE]

    assert 1_990 * 900 // 10_000 == fee.amount_minor
