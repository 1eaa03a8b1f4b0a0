"""Logs: a whole sale at debug level, and nothing in them that must not be there."""

import re

from tests.telemetry.conftest import CARD

from vendrail.api.orders import OrderQuery
from vendrail.kernel.rpc import load_secret


async def test_no_secret_of_a_sale_is_logged(logged, open_market):
    """Order secret, key, private key, tokens and a card number typed as contact stay out."""
    market = await open_market("debug")
    sale = await market.place("buyer@example.com")
    await market.pay(sale)
    (key,) = (await market.wait(sale, "delivered"))["keys"]
    await market.refund(sale)
    refused = await market.http.post(
        "/api/v1/orders",
        json={"sku": "TOLD", "quantity": 1, "contact": CARD, "method": "alipay"},
        headers={"authorization": "Bearer stolen-token-7", "idempotency-key": "1"},
    )
    await market.call_back(f"sign=forged&card={CARD}&token=stolen-token-7".encode())
    await market.http.get(f"/api/v1/orders/{sale.serial}?secret={sale.secret}")
    await market.orders.read_orders([OrderQuery(sale.id, sale.secret, with_items=True)])
    text = logged()
    private = [line for line in market.alipay.private.splitlines() if len(line) > 40]
    home = market.house.platform.home
    secret = load_secret(home, market.house.platform.rpc_secret_file)
    hidden = [sale.secret, key, *private, CARD, "stolen-token-7", secret.hex(), secret.decode("l1")]

    assert 422 == refused.status_code
    assert "callback.refused" in text
    assert "serving.ready" in text
    assert [] == [each[:6] for each in hidden if each in text]
    assert not re.search(r"BEGIN [A-Z ]*PRIVATE KEY", text)
