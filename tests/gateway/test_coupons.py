"""Coupons over the public API, and quoted in another currency, over a real platform."""

import httpx
import pytest
from litestar import Litestar
from tests.orders.conftest import PRICE_MINOR, market
from tests.orders.test_coupons import OFF_MINOR, Desk, desk
from tests.orders.test_exchanges import Abroad, abroad, old_rates

from vendrail.app.faces import Faces
from vendrail.gateway import http

__all__ = ["abroad", "desk", "market", "old_rates"]


@pytest.fixture
async def api(market):
    """A client of the public API."""
    doors = http.Doors(Faces(market.house).gateway(), Litestar(openapi_config=None))
    transport = httpx.ASGITransport(doors)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1/") as one:
        yield one


async def place(api, number, **fields):
    """Place an order as a program does."""
    body = {"sku": "GAME", "contact": "buyer@example.com", "currency": "CNY"} | fields
    headers = {"idempotency-key": f"order-{number}-{'x' * 16}"}
    return await api.post("orders", json=body, headers=headers)


async def test_the_api_takes_a_coupon_and_says_why_it_does_not(desk: Desk, api):
    """The discount is in every answer about the order; a refusal names what is wrong."""
    await desk.put(order_minor_min=PRICE_MINOR)
    placed = await place(api, 1, coupon="spring")
    again = await place(api, 1, coupon="spring")
    other = await place(api, 1)
    wrong = await place(api, 2, coupon="WINTER")
    order = placed.json()
    read = await api.get(
        f"orders/{order['id']}", headers={"authorization": f"Bearer {order['secret']}"}
    )

    assert (201, 201, 422, 422) == tuple(each.status_code for each in (placed, again, other, wrong))
    paid_minor = PRICE_MINOR - OFF_MINOR
    assert (paid_minor, OFF_MINOR) == (order["amount_minor"], order["discount_minor"])
    assert order["id"] == again.json()["id"]
    assert OFF_MINOR == again.json()["discount_minor"] == read.json()["discount_minor"]
    assert ("coupon_refused", "code_not_found") == (
        wrong.json()["code"],
        wrong.json()["coupon_problem"],
    )


async def test_a_quote_is_of_the_price_less_the_coupon(abroad: Abroad, desk: Desk, api):
    """Paid in another currency the coupon is taken off first; a quote of the price is no good."""
    await abroad.offer("FAR")
    coupon = await desk.put("FAR", currency="USD", amount_minor=99)
    asked = {"sku": "FAR", "paid_currency": "CNY", "currency": "USD"}
    full = (await api.post("quotes", json=asked)).json()
    less = (await api.post("quotes", json=asked | {"coupon": "FAR"})).json()
    more = {"sku": "FAR", "currency": "USD", "coupon": "FAR"}
    dear = await place(api, 1, quote=full["id"], **more)
    placed = (await place(api, 2, quote=less["id"], **more)).json()
    held = await desk.counts(coupon)

    assert (999, 900) == (full["amount_minor"], less["amount_minor"])
    assert 409 == dear.status_code
    assert (900, less["paid_minor"], "CNY") == (
        placed["amount_minor"],
        placed["due_minor"],
        placed["due_currency"],
    )
    assert (1, 0, 0) == held  # The refused one has given its own back.
