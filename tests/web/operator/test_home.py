"""The first page of the operator's console: what waits, for whom it waits."""

import re

from vendrail.api.identity import Role


def counts(browser) -> dict[str, int]:
    """Read how much waits at each desk that the page names."""
    row = re.compile(r'<li[^>]*><a [^>]*href="/operator/(\w+)"(.*?)</a>', re.DOTALL)
    [desks] = re.findall(r"<main.*</main>", browser.page.text, re.DOTALL)  # Not the way to pages.
    found = row.findall(desks)
    told = {name: re.search(r'tabular-nums[^"]*">(\d+)', text) for name, text in found}
    return {name: int(count[1]) for name, count in told.items() if count}


async def test_each_sees_what_waits_at_their_own_desks(world):
    """Counts are of the desks that the person may decide at, and go down with each decision."""
    admin = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await admin.go("/operator")
    before = counts(admin)
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    await risk.go("/operator")
    own = counts(risk)
    await risk.go("/operator/reviews")
    [path] = re.findall(r'href="(/operator/reviews/\w{26})"', risk.page.text)
    await risk.go(path)
    await risk.send(path, decision="release", reason="a known buyer")
    await world.market.run()
    await risk.go("/operator")

    assert {
        "complaints": 0,
        "reviews": 1,
        "unmatched": 1,
        "sagas": 0,
        "approvals": 0,
        "payouts": 0,
        "reserves": 0,
        "verifications": 0,
        "registration": 0,
    } == before
    assert {"reviews": 1, "verifications": 0, "approvals": 0} == own
    assert {"reviews": 0, "verifications": 0, "approvals": 0} == counts(risk)


async def test_the_storefront_leads_merchants_to_their_door(world):
    """Whoever sells here finds where to sign in at the foot of every page of the shop."""
    browser = world.browser()
    await browser.go("/")
    assert 'href="/console/sign-in"' in browser.page.text
    await browser.go("/console/sign-in")

    assert "For merchants and operators." in browser.text
