"""Floor prices and goods of suppliers, more than a page of them: each is reached, set and saved."""

import csv
import io
import re
from html import unescape
from itertools import chain

import pytest
from tests.web.console.conftest import PASSWORD

from vendrail.api.catalog import (
    AgencyAct,
    AgencyMove,
    Floor,
    FloorQuery,
    MerchantId,
    Product,
    ProductId,
    SuppliedVariantQuery,
    Variant,
    VariantId,
)
from vendrail.api.identity import Role
from vendrail.kernel.ids import from_serial, new_id, to_serial

FLOORS, GOODS = "/merchant/agents/floors", "/merchant/agents/goods"


async def supply(north, south, count):
    """Let the south sell what the north has: many parts of one name, each with a floor."""
    supplier, agent = MerchantId(north.merchant), MerchantId(south.merchant)
    invite = AgencyMove(AgencyAct.INVITE, supplier, slug=south.record.slug)
    await north.catalog.move_agencies([invite, AgencyMove(AgencyAct.ACCEPT, agent, supplier)])
    products = []
    for number in range(count):
        id, variant = (new_id(north.clock.now()) for _ in range(2))
        sku = f"PART-{number:03}"
        prices = {"CNY": 1_990, "USD": 300}
        product = Product(
            ProductId(id),
            north.shop,
            sku.lower(),
            "A part of a game of a rather long name",
            [Variant(VariantId(variant), sku, "One", prices)],
        )
        products.append(product)
        north.clock.advance(1)
    await north.catalog.put_products(products)
    variants = [each.variants[0].id for each in products]
    await north.catalog.put_floors([Floor(supplier, each, {"CNY": 1_500}) for each in variants])
    return variants


def rows(browser, name):
    """Give what the forms of a page's rows name."""
    return re.findall(rf'type="hidden" name="{name}" value="(\w+)"', browser.page.text)


def onward(browser):
    """Give the address of the next page; empty on the last."""
    found = re.search(r'href="([^"]+)" rel="next"', browser.page.text)
    return unescape(found[1]) if found else ""


async def walk(browser, path, name):
    """Open page after page by its link; give the rows of each."""
    pages = []
    while path:
        await browser.go(path)
        pages.append(rows(browser, name))
        path = onward(browser)
    return pages


async def saved(browser, path):
    """Give the SKUs of a list's file."""
    answer = await browser.http.get(path)
    told = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    return [row["sku"] for row in told]


async def test_every_row_is_reached_once_and_saved(town):
    """Of 530 variants each stands on one page of eleven, on both sides, and in both files."""
    variants = await supply(town.north, town.south, 530)
    supplier = await town.join(Role.OWNER)
    agent = await town.join(Role.OWNER, town.south)
    floors = await walk(supplier, FLOORS, "variant")
    goods = await walk(agent, GOODS, "source")
    files = [await saved(supplier, f"{FLOORS}.csv"), await saved(agent, f"{GOODS}.csv")]
    some = await saved(supplier, f"{FLOORS}.csv?q=part-01")
    await agent.go(f"{GOODS}?after={goods[9][-1]}")

    assert [50] * 10 + [30] == [len(each) for each in floors] == [len(each) for each in goods]
    assert [to_serial(each) for each in variants[::-1]] == list(chain(*floors))
    assert sorted(map(to_serial, variants)) == sorted(chain(*goods))
    wanted = [f"PART-{number:03}" for number in range(530)]
    assert [wanted, wanted] == [sorted(each) for each in files]
    assert wanted[10:20] == sorted(some)
    assert f'href="{GOODS}">From the beginning' in agent.page.text


async def test_what_stands_beyond_the_first_page_is_set_there(town):
    """A price on a later page is taken, and the same page comes again, at that row."""
    await supply(town.north, town.south, 120)
    supplier = await town.join(Role.OWNER)
    agent = await town.join(Role.OWNER, town.south)
    await supplier.go(f"{FLOORS}?q=part")
    second = onward(supplier)
    await supplier.go(second)
    actions = re.findall(r'action="([^"]+)" method="post"', supplier.page.text)
    variant = rows(supplier, "variant")[-1]
    sent = await supplier.send(second, raw=True, variant=variant, floor_CNY="16.00")
    wanted = FloorQuery(MerchantId(town.north.merchant), variant=VariantId(from_serial(variant)))
    [[floor]] = await town.north.catalog.list_floors([wanted])
    await agent.go(GOODS)
    later = onward(agent)
    await agent.go(later)
    source = rows(agent, "source")[-1]
    fields = {"source": source, "shop": to_serial(town.south.shop), "price_CNY": "19.90"}
    listed = await agent.send(later, raw=True, **fields)
    wanted = SuppliedVariantQuery(
        MerchantId(town.south.merchant), source=VariantId(from_serial(source))
    )
    [[good]] = await town.south.catalog.list_supplied([wanted])

    assert (303, f"{second}#{variant}") == (sent.status_code, sent.headers["location"])
    assert {"CNY": 1_600} == floor.floor_minor
    assert (303, f"{later}#{source}") == (listed.status_code, listed.headers["location"])
    assert {"CNY": 1_990} == good.listed_minor
    assert 50 == [unescape(each) for each in actions].count(second)


@pytest.mark.parametrize("state", ["", "bare"])
async def test_what_is_refused_stays_as_it_was_typed(town, state):
    """It stands first on the page that it was on, though the list would not show it there."""
    await supply(town.north, town.south, 60)
    supplier = await town.join(Role.OWNER)
    await supplier.go(FLOORS)
    older = onward(supplier)
    await supplier.go(older)
    before = rows(supplier, "variant")
    variant = before[-1]
    await supplier.send(f"{older}&state={state}", variant=variant, floor_CNY="lots", floor_USD="2")
    after = rows(supplier, "variant")
    agent = await town.join(Role.OWNER, town.south)
    await agent.go(GOODS)
    [source, *_] = rows(agent, "source")
    shop = to_serial(town.south.shop)
    await agent.send(f"{GOODS}?state=listed", source=source, shop=shop, price_CNY="14.00")

    assert "Write prices in digits" in supplier.text
    assert ([variant, *before[:-1]] if not state else [variant]) == after
    assert ['value="lots"', 'value="2"'] == re.findall(r'value="(?:lots|2)"', supplier.page.text)
    assert "The supplier asks for more" in agent.text
    assert ([source], 1) == (rows(agent, "source"), agent.page.text.count('value="14.00"'))


async def test_rows_are_found_by_words_and_states(town):
    """By a SKU, with a floor or without, listed or not; what fits nothing says so."""
    variants = await supply(town.north, town.south, 3)
    supplier = MerchantId(town.north.merchant)
    await town.north.catalog.put_floors([Floor(supplier, variants[0], {})])
    owner = await town.join(Role.OWNER)
    agent = await town.join(Role.OWNER, town.south)
    found = {}
    for asked in ("q=PART-00", "q=part+002", "state=bare", "state=floored", "state=odd", "q=none"):
        found[asked] = (await walk(owner, f"{FLOORS}?{asked}", "variant"))[0]
    nothing = owner.text
    goods = {}
    for asked in ("q=north+part", "state=listed", "state=unlisted", "after=odd"):
        goods[asked] = (await walk(agent, f"{GOODS}?{asked}", "source"))[0]
    first, second, third = map(to_serial, variants)

    assert {
        "q=PART-00": [third, second, first],
        "q=part+002": [third],
        "state=bare": [first],
        "state=floored": [third, second],
        "state=odd": [third, second, first],
        "q=none": [],
    } == found
    assert "No product fits" in nothing
    assert [2, 0, 2, 2] == [len(each) for each in goods.values()]


async def test_rows_of_others_are_not_set(town):
    """A variant of another merchant, or none at all, is not found by its number."""
    variants = await supply(town.north, town.south, 1)
    agent = await town.join(Role.OWNER, town.south)
    await agent.go(FLOORS)
    answers = [
        await agent.send(FLOORS, raw=True, variant=to_serial(variants[0]), floor_CNY="1"),
        await agent.send(FLOORS, raw=True, variant="odd", floor_CNY="1"),
        await agent.send(GOODS, raw=True, source="odd", shop=to_serial(town.south.shop)),
    ]

    assert [404, 404, 404] == [each.status_code for each in answers]


async def test_a_price_that_came_too_late_is_on_its_page_again(town):
    """Typed on a later page with too old a proof, it is there again, and sent by one more press."""
    await supply(town.north, town.south, 60)
    supplier = await town.join(Role.OWNER)
    await supplier.go(FLOORS)
    older = onward(supplier)
    await supplier.go(older)
    variant = rows(supplier, "variant")[4]
    town.clock.advance(31 * 60)
    await supplier.send(older, variant=variant, floor_CNY="17.70")
    asked, onto = (
        supplier.path,
        unescape(re.search(r'name="next" value="([^"]*)"', supplier.page.text)[1]),
    )
    await supplier.send("/console/confirm", password=PASSWORD, next=onto)
    filled, address = supplier.page.text, str(supplier.page.url)
    await supplier.send(older, variant=variant, floor_CNY="17.70")

    assert "Nothing was sent yet" in filled
    assert "/console/confirm" == asked
    assert f"{older}&kept=" in address
    assert 'value="17.70"' in filled.partition(variant)[2][:2_000]
    assert 'value="17.70"' in supplier.page.text
