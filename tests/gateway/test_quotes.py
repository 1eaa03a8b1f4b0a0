"""Orders by the API that are paid in another currency: quoted first, then placed with the quote."""

import httpx
import pytest
from litestar import Litestar
from tests.orders.conftest import market
from tests.orders.test_exchanges import PRICE_MINOR, abroad, old_rates

from vendrail.app.faces import Faces
from vendrail.gateway import http

__all__ = ["abroad", "market", "old_rates"]


@pytest.fixture
async def api(abroad):
    """A client of the gateway, over a real platform that sells in dollars."""
    market = abroad.market
    await abroad.offer("GAME")
    app = http.Doors(Faces(market.house).gateway(), Litestar(openapi_config=None))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        client.market = market
        yield client


async def quote(api, **changes):
    """Ask for a quote in yuan."""
    body = {"sku": "GAME", "paid_currency": "CNY"} | changes
    return await api.post("/api/v1/quotes", json=body)


async def place(api, key: str, **changes):
    """Place an order."""
    body = {"sku": "GAME", "contact": "a@example.com", "method": "alipay"} | changes
    headers = {"Idempotency-Key": key.ljust(16, "-")}
    return await api.post("/api/v1/orders", json=body, headers=headers)


async def test_an_order_is_placed_with_a_quote_and_paid_as_it_says(api):
    """Priced in dollars and paid in yuan, at what was promised; the same request is the same."""
    answer = await quote(api)
    quoted = answer.json()
    assert 201 == answer.status_code, answer.text
    placed = await place(api, "one", quote=quoted["id"])
    again = await place(api, "one", quote=quoted["id"])
    order = placed.json()
    headers = {"Authorization": f"Bearer {order['secret']}"}
    read = (await api.get(f"/api/v1/orders/{order['id']}", headers=headers)).json()

    assert (PRICE_MINOR, "USD") == (quoted["amount_minor"], quoted["currency"])
    assert quoted["paid_minor"] > quoted["spread_minor"] >= 0
    assert 201 == placed.status_code == again.status_code
    assert order["id"] == again.json()["id"]
    assert (PRICE_MINOR, "USD") == (order["amount_minor"], order["currency"])
    assert (quoted["paid_minor"], "CNY") == (order["due_minor"], order["due_currency"])
    assert (quoted["paid_minor"], "CNY") == (read["due_minor"], read["due_currency"])
    assert "redirect" == order["payment"]["action"]["kind"]


async def test_a_quote_is_good_once_and_for_its_order_alone(api):
    """Used, over, made up, or of another quantity: each is refused, and nothing is placed."""
    used, other, late = [(await quote(api)).json()["id"] for _ in range(3)]
    assert 201 == (await place(api, "first", quote=used)).status_code
    refused = [
        await place(api, "second", quote=used),
        await place(api, "third", quote=other, quantity=2),
        await place(api, "fourth", quote="nonsense"),
        await place(api, "fifth", quote="0" * 26),
    ]
    api.market.clock.advance(3_600)
    refused.append(await place(api, "sixth", quote=late))

    assert {(409, "quote_not_usable")} == {(x.status_code, x.json()["code"]) for x in refused}


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"sku": "NONE"}, "sku_not_found"),
        ({"currency": "EUR"}, "currency_not_offered"),
        ({"quantity": 100_000}, "quantity_out_of_range"),
        ({"paid_currency": "USD"}, "currencies_equal"),
        ({"paid_currency": "XXX"}, "currency_unknown"),
    ],
)
async def test_what_cannot_be_quoted_is_refused(api, changes, code):
    """Each with what is the matter."""
    answer = await quote(api, **changes)

    assert code == answer.json()["code"]
    assert answer.status_code in {404, 422}


async def test_without_a_quote_what_is_due_is_the_price(api):
    """Most orders are paid in the currency of their price."""
    order = (await place(api, "plain", method="")).json()

    assert (PRICE_MINOR, "USD") == (order["due_minor"], order["due_currency"])
