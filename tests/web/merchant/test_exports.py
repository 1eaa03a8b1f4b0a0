"""What a list of a console shows, as CSV: with the filters of the page, whole, and no more held."""

import csv
import io
import tracemalloc

from tests.payouts.rows import write_rows

from vendrail.api.identity import ActQuery, Role
from vendrail.kernel.ids import to_serial
from vendrail.web.console.exports import export


async def table(browser, path) -> list[dict[str, str]]:
    """Read a file of a browser's."""
    answer = await browser.http.get(path)

    assert (200, "text/csv; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


async def test_orders_are_saved_as_their_page_lists_them(town):
    """By state, number and day, for the merchant their own, for the operator all; it is logged."""
    await town.north.offer("GAME", keys=9)
    town.south.numbers = 90_000  # Of payments at the provider: other ones.
    await town.south.offer("ELSE", keys=9)
    sold = await town.sell(town.north, "GAME", 2, contact="=lin@example.com")
    town.clock.advance(1)
    unpaid = (await town.north.place("GAME")).order
    other = await town.sell(town.south, "ELSE")
    seller = await town.join(Role.SUPPORT)
    every = await table(seller, "/merchant/orders.csv")
    placed = await table(seller, "/merchant/orders.csv?state=placed")
    found = await table(seller, f"/merchant/orders.csv?q={to_serial(sold)}")
    early = await table(seller, "/merchant/orders.csv?to=2026-01-01")
    operator = await town.world.join("ann@rail.example", Role.OPERATOR_SUPPORT)
    platform = await table(operator, "/operator/orders.csv?state=delivered")
    acts = await town.acts(town.north, "order.exported")
    await seller.go("/merchant/orders?state=placed")

    assert [to_serial(unpaid), to_serial(sold)] == [each["order"] for each in every]
    assert [to_serial(unpaid)] == [each["order"] for each in placed]
    assert [to_serial(sold)] == [each["order"] for each in found]
    assert [] == early
    assert {to_serial(other), to_serial(sold)} == {each["order"] for each in platform}
    assert ("39.80", "CNY", "'=lin@example.com") == (
        every[1]["amount"], every[1]["currency"], every[1]["contact"]
    )  # fmt: skip
    filters = [each.after for each in acts]
    assert 4 == len(filters)
    assert all(each in filters for each in ({}, {"state": "placed"}, {"to": "2026-01-01"}))
    assert 'href="/merchant/orders.csv?state=placed"' in seller.page.text


async def test_payouts_and_the_log_are_saved_whole(town):
    """All payouts of a merchant, none of another's; the log by who acted."""
    await write_rows(town.house, town.north.merchant)
    finance, south = await town.join(Role.FINANCE), await town.join(Role.FINANCE, town.south)
    payouts = await table(finance, "/merchant/payouts.csv")
    theirs = await table(south, "/merchant/payouts.csv")
    auditor = await town.world.join("ann@rail.example", Role.OPERATOR_ADMIN)
    acts = await table(auditor, "/operator/log.csv?actor=finance@north.example")

    taken = [each.act for each in await town.acts(town.north, "payout.exported")]
    [logged] = await town.world.identity.list_acts([ActQuery(None, 9, act="log.exported")])

    assert ["payout.exported"] == taken
    assert [{"actor": "finance@north.example"}] == [each.after for each in logged]
    assert len(payouts) > 3
    assert [] == theirs
    assert {"finance@north.example"} == {each["who"] for each in acts}


async def test_a_file_of_any_size_holds_one_page_in_memory():
    """Of a hundred thousand rows never more than some pages are there at once."""
    row = ["x" * 100, 1]

    async def read(page: int | None):
        number = (page or 0) + 1
        return [row] * 1_000, number if number < 100 else None

    stream = export("big", ["text", "number"], read)
    size, tracemalloc_peak = 0, 0
    tracemalloc.start()
    try:
        async for part in stream.iterator:
            size += len(part)
        tracemalloc_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert size > 10_000_000
    assert tracemalloc_peak < 2_000_000
