"""Closed days in the operator's console: seen, saved, closed by people."""

from datetime import timedelta

from tests.web.console.conftest import CLI

from vendrail.api.identity import Role
from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode, TransferId
from vendrail.api.ledger.closes import CloseDay
from vendrail.app.audit import audit
from vendrail.kernel.ids import new_id, to_serial

PATH = "/operator/closes"


async def go_on(world, days: int) -> None:
    """Let days go by, and the journal be sealed."""
    world.clock.advance(days * 86_400)
    ledger = world.house.services["ledger"]
    for _ in range(4):
        world.clock.advance(180)
        while await ledger.seal():
            pass


async def get_stuck(world):
    """Let some money get stuck in clearing; give the serial number it lies under."""
    ledger, now, chart = world.house.api(Ledger), world.clock.now(), Chart("CNY")
    stuck = new_id(now)
    moved = Transfer(
        TransferId(new_id(now)),
        chart.platform_fee().id,
        chart.refund_clearing().id,
        1_234,
        TransferCode.ADJUSTMENT,
        stuck,
    )
    assert ["created"] == [each.status for each in await ledger.post_transfers([moved])]
    return stuck


async def close_days(world) -> list[str]:
    """Close two days, with money stuck in both; give the address of the last of them."""
    await get_stuck(world)
    await go_on(world, 3)
    ledger = world.house.api(Ledger)
    for _ in range(2):
        day = (await ledger.read_closing()).day
        assert ["closed"] == await ledger.close_days([CloseDay(day, CLI.name)])
    return [f"{PATH}/{day}"]


async def test_a_closed_day_is_seen_down_to_its_items(world, place):
    """The list tells what lies there; the day's page tells which, since when, and where it is."""
    stuck = await get_stuck(world)
    await go_on(world, 2)
    finance = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await finance.go(PATH)
    day = (await world.house.api(Ledger).read_closing()).day
    await finance.send(PATH, day=str(day))
    assert "The day is closed." in finance.text
    calendar = finance.text
    assert f'href="{PATH}/{day}"' in finance.page.text
    await finance.go(f"{PATH}/{day}")

    assert "Not closed yet" in calendar
    assert 1 == calendar.count("Not closed yet")  # No day from before the books.
    assert "refund:clearing" in finance.text
    assert f'href="/operator/search?q={to_serial(stuck)}"' in finance.page.text
    assert "CN¥12.34" in finance.text
    assert ["books.closed"] == await world.acts(act="books.")
    for name, row in (("balance", "refund:clearing"), ("items", to_serial(stuck))):
        saved = await finance.http.get(f"{PATH}/{day}/{name}.csv")
        assert saved.headers["content-type"].startswith("text/csv")
        assert row in saved.text
        assert "12.34" in saved.text
    assert ["books.exported"] * 2 == await world.acts(act="books.exported")
    found = {each.name: each.count for each in (await audit(place.url)).outcomes}
    assert 0 == found["closed_days_stand"]


async def test_what_cannot_be_closed_says_why(world):
    """Another day than the next, or one that is not over, is refused with a reason, and logged."""
    finance = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    day = (await world.house.api(Ledger).read_closing()).day
    await finance.go(PATH)
    for asked, why in ((day, "not over yet"), (day + timedelta(1), "day before is not closed")):
        await finance.send(PATH, day=str(asked))
        assert 422 == finance.page.status_code
        assert why in finance.text
    assert 4 == len(await world.acts(act="books."))
    for unknown in (f"{PATH}/{day}", f"{PATH}/today", f"{PATH}/{day}/items.csv"):
        await finance.go(unknown)
        assert 404 == finance.page.status_code
    support = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await support.go(PATH)
    assert 403 == support.page.status_code
