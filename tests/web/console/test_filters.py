"""Saved filters in both consoles: one click, one's own, without scripts, and never elsewhere."""

import re
from html import unescape

import pytest

from vendrail.api.identity import FilterQuery, Role, SavedFilter
from vendrail.kernel.ids import new_id, to_serial

# A list of each console with a query that its form would send, and what of it is kept.
LISTS = [
    ("/merchant/orders", "q=&state=paid&from=2026-11-01&to=", "state=paid&from=2026-11-01"),
    ("/merchant/complaints", "show=all", "show=all"),
    ("/merchant/disputes", "state=won", "state=won"),
    ("/merchant/products", "q=steam+card&state=on_sale", "q=steam+card&state=on_sale"),
    ("/merchant/agents/floors", "q=steam&state=bare&after={id}", "q=steam&state=bare"),
    ("/merchant/agents/goods", "q=&state=listed&shop=x", "state=listed"),
    ("/merchant/balance", "currency=CNY&of=debt", "currency=CNY&of=debt"),
    ("/merchant/sales", "days=90&currency=CNY", "days=90&currency=CNY"),
    ("/operator/orders", "state=paid&merchant={id}", "state=paid&merchant={id}"),
    ("/operator/complaints", "show=all", "show=all"),
    ("/operator/disputes", "merchant={id}&state=lost", "merchant={id}&state=lost"),
    ("/operator/goods", "state=allowed", "state=allowed"),
    ("/operator/log", "actor=a%40b.example&kind=saga", "actor=a%40b.example&kind=saga"),
    ("/operator/merchants", "q=north", "q=north"),
    ("/operator/payouts", "view=back&merchant={id}", "view=back&merchant={id}"),
    ("/operator/reviews", "merchant={id}", "merchant={id}"),
    ("/operator/sagas", "state=all", "state=all"),
    ("/operator/unmatched", "channel=alipay", "channel=alipay"),
    ("/operator/verifications", "merchant={id}", "merchant={id}"),
]


def chips(browser) -> list[tuple[str, bool]]:
    """Give the saved filters above the page's list, and which is marked."""
    row = re.search(r'<nav class="chips min-w-0".*?</nav>', browser.page.text, re.DOTALL)
    found = re.findall(r'<a class="chip gap-1.5" href="([^"]*)"([^>]*)>', row[0] if row else "")
    return [(unescape(address), "aria-current" in rest) for address, rest in found]


def field(browser, name: str) -> str:
    """Give a hidden field of the page's form."""
    return unescape(
        re.search(rf'type="hidden" name="{name}" value="([^"]*)"', browser.page.text)[1]
    )


async def save(browser, path: str, name: str, **more: str):
    """Save what a list shows by the form above it."""
    await browser.go(path)
    root = path.split("/")[1]
    fields = {"page": field(browser, "page"), "query": field(browser, "query"), "name": name}
    return await browser.send(f"/{root}/filters", **(fields | more))


@pytest.fixture
async def desks(world):
    """An owner and an administrator of the platform, each in a browser."""
    return {
        "merchant": await world.join("ann@north.example", Role.OWNER),
        "operator": await world.join("op@rail.example", Role.OPERATOR_ADMIN),
    }


async def test_every_list_with_a_form_saves_what_its_form_asks(world, desks):
    """What is saved is one click away, marked where it is shown, and has the known fields alone."""
    id = to_serial(new_id(world.clock.now()))
    for number, (path, asked, taken) in enumerate(LISTS):
        browser = desks[path.split("/")[1]]
        query, kept = asked.format(id=id), taken.format(id=id)
        await save(browser, f"{path}?{query}&before={id}&said=x&evil=//x", f"Filter {number}")

        assert (200, f"{path}?{kept}") == (
            browser.page.status_code,
            str(browser.page.url).removeprefix("http://localhost"),
        )
        assert [(f"{path}?{kept}", True)] == chips(browser), path
        await browser.go(f"{path}?saved=none")
        assert [(f"{path}?{kept}", False)] == chips(browser), path
        assert "Save this filter" not in browser.text


async def test_deliveries_of_an_endpoint_are_filtered_by_what_is_saved_for_it(world, desks):
    """A list below a page of its own, as an endpoint's, has its own filters."""
    id = to_serial(new_id(world.clock.now()))
    owner, page = desks["merchant"], f"/merchant/webhooks/{id}"
    await owner.go("/merchant/orders?state=paid")
    await owner.send("/merchant/filters", page=page, query="state=given_up&x=1", name="Given up")
    [[found]] = await world.identity.list_filters(
        [FilterQuery(await person(world, "ann@north.example"), world.merchant)]
    )

    assert (page, {"state": "given_up"}) == (found.page, found.query)


async def person(world, email: str):
    """Give a person's id."""
    [found] = await world.identity.find_people([email])
    return found.id


async def test_others_filters_are_not_seen_unless_shared(world, desks):
    """A colleague sees what is shared, with whose it is; another merchant nothing at all."""
    ann, ben = desks["merchant"], await world.join("ben@north.example", Role.SUPPORT)
    sue = await world.join("sue@south.example", Role.OWNER, merchant=new_id(world.clock.now()))
    await save(ann, "/merchant/orders?state=paid", "Anns own")
    await save(ann, "/merchant/orders?state=placed", "For all", shared="yes")
    seen = []
    for browser in (ann, ben, sue):
        await browser.go("/merchant/orders")
        seen.append([name for name in ("Anns own", "For all") if name in browser.text])
        await browser.go("/merchant/filters")
        seen.append([name for name in ("Anns own", "For all") if name in browser.text])
    await ben.go("/merchant/filters")
    is_told, may_change = "Shared by Somebody" in ben.text, 'value="drop"' in ben.page.text

    assert [["Anns own", "For all"]] * 2 + [["For all"]] * 2 + [[]] * 2 == seen
    assert (True, False) == (is_told, may_change)


async def test_a_list_opens_by_the_filter_chosen_for_it(world, desks):
    """Without a query it opens so, with one as it is asked; the whole is one click away."""
    ann = desks["merchant"]
    await save(ann, "/merchant/orders?state=paid", "Paid", default="yes")
    await ann.go("/merchant/orders")
    opened = str(ann.page.url)
    cleared = re.search(r'href="([^"]*)">Clear<', ann.page.text)[1]
    await ann.go(cleared)
    whole, marked = str(ann.page.url), chips(ann)
    [[found]] = await world.identity.list_filters(
        [FilterQuery(await person(world, "ann@north.example"), world.merchant)]
    )
    await ann.go("/merchant/filters")
    await ann.send(f"/merchant/filters/{to_serial(found.id)}", act="plain")
    await ann.go("/merchant/orders")

    assert "http://localhost/merchant/orders?state=paid" == opened
    assert "http://localhost/merchant/orders?saved=none" == whole
    assert [("/merchant/orders?state=paid", False)] == marked
    assert "http://localhost/merchant/orders" == str(ann.page.url)


async def test_filters_are_renamed_and_removed_and_a_name_taken_loses_nothing(world, desks):
    """The page of all filters changes them; what could not be saved is there to be named anew."""
    op = desks["operator"]
    await save(op, "/operator/orders?state=paid", "Paid")
    refused = await save(op, "/operator/orders?state=placed", "paid", shared="yes")
    kept = (refused.status_code, field(op, "query"), "You have a filter of that name" in op.text)
    await op.send(
        "/operator/filters", page=field(op, "page"), query=field(op, "query"), name="Placed"
    )
    mine = FilterQuery(await person(world, "op@rail.example"), None)
    [[paid, placed]] = await world.identity.list_filters([mine])
    await op.go("/operator/filters")
    await op.send(f"/operator/filters/{to_serial(paid.id)}", act="change", name="Paid ones")
    await op.send(f"/operator/filters/{to_serial(placed.id)}", act="drop")
    strange = await op.send(f"/operator/filters/{to_serial(placed.id)}", act="drop")
    [left] = await world.identity.list_filters([mine])

    assert (422, "state=placed", True) == kept
    assert ["Paid", "Placed"] == [paid.name, placed.name]
    assert ["Paid ones"] == [each.name for each in left]
    assert 404 == strange.status_code  # As whatever is not theirs.


@pytest.mark.parametrize(
    "fields, status",
    [
        ({"page": "//evil.example", "query": "state=paid"}, 404),
        ({"page": "https://evil.example/merchant/orders", "query": "state=paid"}, 404),
        ({"page": "/operator/orders", "query": "state=paid"}, 404),
        ({"page": "/merchant/orders?state=paid", "query": "state=paid"}, 404),
        ({"page": "/merchant/orders/x", "query": "state=paid"}, 404),
        ({"page": "/merchant/payouts", "query": "view=all"}, 404),  # A list without a form.
        ({"page": "/merchant/orders", "query": "state=nonsense&q="}, 422),
        ({"page": "/merchant/orders", "query": "q=lin%40example.com"}, 422),
        ({"page": "/merchant/orders", "query": "q=%2B86+138+0000+0000"}, 422),
        ({"page": "/merchant/orders", "query": "from=yesterday"}, 422),
        ({"page": "/merchant/orders", "query": "state=paid", "form_token": "x"}, 403),
    ],
)
async def test_what_no_list_would_take_is_not_saved(world, desks, fields, status):
    """Other pages, other sites, other consoles, contacts and what a form never sends: nothing."""
    ann = desks["merchant"]
    await ann.go("/merchant/orders")
    answer = await ann.send("/merchant/filters", raw=True, name="Odd", **fields)
    mine = FilterQuery(await person(world, "ann@north.example"), world.merchant)

    assert status == answer.status_code
    assert [[]] == await world.identity.list_filters([mine])


async def test_a_search_for_a_contact_offers_no_saving(desks):
    """What names a buyer is kept with their orders alone, and the page says so."""
    ann = desks["merchant"]
    await ann.go("/merchant/orders?q=lin@example.com")

    assert "is not kept as a filter" in ann.text
    assert "Save this filter" not in ann.text


async def test_whoever_may_not_see_a_list_finds_no_filter_of_it(world, desks):
    """A shared filter shows to those alone whose role has its list, in the palette as well."""
    ann, ben = desks["merchant"], await world.join("ben@north.example", Role.SUPPORT)
    await save(ann, "/merchant/balance?of=debt", "What we owe", shared="yes")
    await save(ann, "/merchant/orders?state=paid", "Paid ones", shared="yes")
    seen = {}
    for name, browser in (("ann", ann), ("ben", ben)):
        for path in ("/merchant/filters", "/merchant/go?q=", "/merchant/go/saved"):
            await browser.go(path)
            found = [each for each in ("What we owe", "Paid ones") if each in browser.text]
            seen.setdefault(name, []).append(found)
    await ann.go("/merchant/go?q=owe")
    only = [each for each in ("What we owe", "Paid ones") if each in ann.text]
    await ben.go("/merchant/orders?state=paid&from=2026-11-01")
    refused = await ben.send(
        "/merchant/filters", page="/merchant/balance", query="of=debt", name="x"
    )

    assert [["What we owe", "Paid ones"]] * 3 == seen["ann"]
    assert [["Paid ones"]] * 3 == seen["ben"]
    assert ["What we owe"] == only
    assert 404 == refused.status_code


async def test_a_kept_filter_that_its_list_takes_no_more_is_not_shown(world, desks):
    """What was saved in older days and is no filter now leads nowhere, and breaks no page."""
    id = await person(world, "ann@north.example")
    old = SavedFilter(
        new_id(world.clock.now()), id, world.merchant, "/merchant/orders", "Old", {"was": "x"},
        is_default=True,
    )  # fmt: skip
    await world.identity.save_filters([old])
    ann = desks["merchant"]
    await ann.go("/merchant/orders")

    assert (200, []) == (ann.page.status_code, chips(ann))
