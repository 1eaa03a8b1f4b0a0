"""A merchant meets only what is its own: another merchant's ids open no address."""

import re

from vendrail.api.identity import Role
from vendrail.kernel.ids import new_id, to_serial

# For each part of an address: how another merchant's is found.
FOREIGN = {
    "/merchant/orders/{serial}": "order",
    "/merchant/orders/{serial}/refund": "order",
}


def routes(app) -> list[tuple[str, str]]:
    """Give every route of the merchant's console: (method, path)."""
    return sorted(
        (method, route.path_format)
        for route in app.routes
        if route.path.startswith("/merchant")
        for method in route.methods
        if method in ("GET", "POST")
    )


async def test_another_merchants_ids_open_nothing(town):
    """Each route that names something gives 404 for the other's, to an owner who may do all."""
    await town.south.offer("ELSE", keys=5)
    theirs = {"order": to_serial(await town.sell(town.south, "ELSE", contact="lin@example.com"))}
    browser = await town.join(Role.OWNER)
    named = [(method, path) for method, path in routes(town.world.app) if "{" in path]
    for method, path in named:
        address = re.sub(r"\{[^}]+\}", theirs[FOREIGN[path]], path)
        await browser.go("/merchant")
        if method == "GET":
            answer = await browser.http.get(address)
        else:
            fields = {"nonce": to_serial(new_id(town.clock.now())), "reason": "why", "part": "all"}
            answer = await browser.send(address, raw=True, **fields)
        assert 404 == answer.status_code, (method, address)
        assert "lin@example.com" not in answer.text

    assert {path for _, path in named} == FOREIGN.keys()
    assert [] == await town.acts(town.south)


async def test_lists_and_searches_show_nothing_of_others(town):
    """With one merchant's goods and orders there, the other's pages are as empty as before."""
    await town.south.offer("ELSE", keys=5)
    order = await town.sell(town.south, "ELSE", contact="lin@example.com")
    browser = await town.join(Role.OWNER)
    pages = [path for method, path in routes(town.world.app) if method == "GET" and "{" not in path]
    words = ("ELSE", "lin@example.com", to_serial(order), "South")
    for path in pages:
        for query in ("", "?q=lin@example.com", f"?q={to_serial(order)}", "?q=ELSE"):
            answer = await browser.http.get(path + query)
            body = answer.text.replace(query[3:], "") if query else answer.text
            assert 200 == answer.status_code, path
            assert [] == [word for word in words if word in body], path + query

    assert "/merchant" in pages


async def test_nobody_gets_in_without_a_session(town):
    """Every route of the console sends a stranger to the sign-in page, and does nothing."""
    stranger = town.world.browser()
    for method, path in routes(town.world.app):
        address = re.sub(r"\{[^}]+\}", to_serial(new_id(town.clock.now())), path)
        answer = await stranger.http.request(method, address)
        assert 303 == answer.status_code, (method, path)
        assert answer.headers["location"].startswith("/console/sign-in")


async def test_no_form_passes_without_its_token(town):
    """Every form of the console that does not come from our page is refused."""
    await town.north.offer("GAME")
    mine = {"order": to_serial(await town.sell(town.north, "GAME"))}
    browser = await town.join(Role.OWNER)
    for method, path in routes(town.world.app):
        if method != "POST":
            continue
        address = re.sub(r"\{[^}]+\}", mine.get(FOREIGN.get(path, ""), ""), path)
        answer = await browser.http.post(address, data={"form_token": "wrong"})
        assert 403 == answer.status_code, path
