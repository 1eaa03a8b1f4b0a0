"""What becomes available when, as a merchant's browser sees it."""

from vendrail.api.identity import Role
from vendrail.api.orders import RefundOrder
from vendrail.api.settlement import HoldTerms
from vendrail.kernel.ids import new_id, to_serial


async def test_a_merchant_sees_what_comes_when(town):
    """Pending and reserve, the terms in words, the days of release, and each order's way."""
    terms = HoldTerms(
        town.north.merchant, pending_hours=48, reserve_basis_points=1_000, reserve_days=45
    )
    await town.north.settlement.put_hold_terms([terms])
    town.clock.advance(11)
    await town.north.offer("GAME", keys=9)
    order = await town.sell(town.north, "GAME")
    refund = RefundOrder(new_id(town.clock.now()), order, 500, "asked", "lin")
    await town.north.orders.refund_orders([refund])
    await town.north.run()
    [balance] = await town.north.settlement.read_merchant_balances([(town.north.merchant, "CNY")])
    browser = await town.join(Role.FINANCE)
    await browser.go("/merchant/balance")
    calendar = (await browser.http.get("/merchant/balance/calendar?currency=CNY")).json()

    assert f"Pending CN¥{balance.pending_minor / 100:.2f}" in browser.text
    assert f"In reserve CN¥{balance.reserve_minor / 100:.2f}" in browser.text
    assert "Pending for 48 hours · 10 % of it in reserve for 45 days" in browser.text
    assert f"Later than in 30 days: CN¥{balance.reserve_minor / 100:.2f}" in browser.text
    assert 30 == len(calendar["labels"])
    assert f"{balance.pending_minor / 100:.2f}" in calendar["bars"][0]
    assert balance.pending_minor > 0
    owner = await town.join(Role.OWNER)
    await owner.go(f"/merchant/orders/{to_serial(order)}")
    assert "The merchant's to use from then on." in owner.text
    assert "CN¥5.00 of it went back to the buyer before." in owner.text


async def test_nobody_sees_the_calendar_of_another(town):
    """The calendar is always the caller's own; who may not read balances gets none."""
    support = await town.join(Role.SUPPORT)

    assert 403 == (await support.http.get("/merchant/balance/calendar")).status_code
