"""Quantity prices at placing: what the page computes is what is paid, also in another currency."""

from tests.orders.test_exchanges import Abroad, abroad, old_rates

from vendrail.api.catalog import ProductQuery, QuantityPrice
from vendrail.api.orders import PlaceStatus
from vendrail.kernel.codec import replace

__all__ = ["abroad", "old_rates"]


async def step(market, sku, currency, prices):
    """Give a product of the market quantity prices; what so many cost then, by its own word."""
    [[view]] = await market.catalog.find_products([ProductQuery(words=sku.lower())])
    steps = [QuantityPrice(start, {currency: price}) for start, price in prices]
    variant = replace(view.product.variants[0], quantity_prices=steps)
    [status] = await market.catalog.put_products([replace(view.product, variants=[variant])])
    assert "changed" == status
    return variant


async def test_who_orders_more_pays_less_for_each(market):
    """An order costs what its variant says of so many; the keys come when just that is paid."""
    await market.offer("MANY", keys=20)
    variant = await step(market, "MANY", "CNY", [(3, 1_800), (5, 1_500)])
    placed = [await market.place("MANY", quantity) for quantity in (1, 2, 3, 4, 5)]
    await market.pay(placed[4].order, amount_minor=7_500)
    await market.run()
    view = await market.read(placed[4])

    assert [1_990, 3_980, 5_400, 7_200, 7_500] == [each.amount_minor for each in placed]
    assert [each.amount_minor for each in placed] == [
        variant.total_minor(quantity, "CNY") for quantity in (1, 2, 3, 4, 5)
    ]
    assert ("delivered", 5) == (view.state, len(view.items))


async def test_a_quote_is_of_the_quantity_price(abroad: Abroad):
    """In another currency the quote is of what so many cost; one of the single price is no good."""
    await abroad.offer("MANY")
    await step(abroad.market, "MANY", "USD", [(2, 900)])
    dear, right = await abroad.quote(2 * 999), await abroad.quote(2 * 900)
    orders = [abroad.choose("MANY", quote, quantity=2) for quote in (dear, right)]
    placed = await abroad.market.orders.place_orders(orders)

    assert [PlaceStatus.QUOTE_NOT_USABLE, PlaceStatus.PLACED] == [each.status for each in placed]
    assert (1_800, right.paid_minor) == (placed[1].amount_minor, placed[1].exchange.amount_minor)
