"""Where buyers are: a way to pay keeps the country and the browser that it was opened from."""

import pytest
from tests.orders.test_charges import charge_of

from vendrail.api.orders import PayOrder
from vendrail.api.payments import Device


async def opened(market, order) -> list[tuple[str, str, Device | None]]:
    """Say which ways an order has, and from where each was opened."""
    [views] = await market.payments.read_attempts([order])
    return [(each.attempt.method, each.attempt.country, each.attempt.device) for each in views]


async def test_each_way_of_an_order_knows_from_where_it_was_opened(market):
    """The first from where it was placed, others from where they were chosen; unknown is empty."""
    await market.offer("W1")
    there = await market.place("W1", browser="mobile", country="CN")
    unknown = await market.place("W1")
    more = PayOrder(there.order, there.secret, "alipay_qr", browser="desktop", country="DE")
    [result] = await market.orders.pay_orders([more])

    assert "opened" == result.status
    assert [("alipay", "CN", Device.MOBILE), ("alipay_qr", "DE", Device.DESKTOP)] == (
        await opened(market, there.order)
    )
    assert [("alipay", "", None)] == await opened(market, unknown.order)


@pytest.mark.parametrize("browser", ["wechat", "a toaster"])
async def test_charges_know_it_too(market, browser):
    """What no browser is called is as good as not known; sent again from elsewhere it stays."""
    charge = charge_of(market, "W-1", browser=browser, country="CN")
    again = charge_of(market, "W-1", browser="desktop", country="US")
    [first] = await market.orders.place_charges([charge])
    [second] = await market.orders.place_charges([again])

    assert ("placed", "exists") == (first.status, second.status)
    known = Device.WECHAT if browser == "wechat" else None
    assert [("alipay", "CN", known)] == await opened(market, first.order)
