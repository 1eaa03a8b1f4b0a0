"""The operator's list of disputes, as a browser uses it."""

from tests.disputes.rows import add_dispute

from vendrail.api.identity import Role
from vendrail.kernel.ids import to_serial


async def test_operators_see_all_disputes_by_state_with_their_rates(world, place):
    """Each names its order, merchant, age and end; what had been refunded before is told."""
    now = world.house.clock.now()
    order = world.orders["watched"]
    await add_dispute(place.url, now, world.market.merchant, order, case_number="du_open")
    await add_dispute(
        place.url, now, world.market.merchant, None, "lost", case_number="du_lost",
        problem="refunded_before",
    )  # fmt: skip
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go("/operator/disputes")
    every = browser.text
    links = browser.page.text
    await browser.go("/operator/disputes?state=won")
    won = browser.text
    await browser.go(f"/operator/disputes?state=lost&merchant={to_serial(world.market.merchant)}")
    lost = browser.text

    assert "du_open" in every
    assert "du_lost" in every
    assert f"/operator/orders/{to_serial(order)}" in links
    assert "1 open, 0 won, 1 lost in 90 days" in every
    assert "No such dispute" in won
    assert "du_lost" in lost
    assert "du_open" not in lost
    assert "the platform bears that part" in lost
