"""Ways to pay as a merchant switches them: on the page, over the API, and in what buyers see."""

import re

from tests.web.merchant.conftest import Town

from vendrail.api.identity import Role
from vendrail.api.payments import ChannelTerms, OfferQuestion, Payments

PATH = "/merchant/methods"


def ticked(browser) -> dict[str, bool]:
    """Read the page's switches."""
    found = re.findall(r'name="on\.(\w+)" value="yes"( checked)?', browser.page.text)
    return {method: bool(mark) for method, mark in found}


async def offered(town: Town, market) -> list[str]:
    """List what a merchant's buyers are offered."""
    question = OfferQuestion(market.merchant, "CNY", 1_990, 1_990)
    [found] = await town.house.api(Payments).offer_methods([question])
    return [each.method for each in found]


async def test_what_is_off_is_offered_to_no_buyer_of_this_merchant(town):
    """One is switched off, and on again; the neighbour's buyers notice nothing."""
    owner = await town.join(Role.OWNER)
    await owner.go(PATH)
    before = ticked(owner)
    await owner.send(PATH, **{"on.alipay": "yes"})
    after, here, there = ticked(owner), *[await offered(town, m) for m in (town.north, town.south)]
    town.clock.advance(1)
    await owner.send(PATH, **{"on.alipay": "yes", "on.alipay_qr": "yes"})
    [off, on] = await town.acts(town.north, "methods.switched")

    assert {"alipay": True, "alipay_qr": True} == before
    assert {"alipay": True, "alipay_qr": False} == after
    assert (["alipay"], ["alipay", "alipay_qr"]) == (here, there)
    assert ["alipay", "alipay_qr"] == await offered(town, town.north)
    assert ({"alipay_qr": "on"}, {"alipay_qr": "off"}) == (off.before, off.after)
    assert ({"alipay_qr": "off"}, {"alipay_qr": "on"}) == (on.before, on.after)
    assert "owner@north.example" == off.by.name


async def test_one_way_stays(town):
    """A list with nothing ticked is refused and said; nothing is written, in the log neither."""
    owner = await town.join(Role.OWNER)
    await owner.go(PATH)
    answer = await owner.send(PATH)

    assert 422 == answer.status_code
    assert "Leave one on at least" in owner.text
    assert ["alipay", "alipay_qr"] == await offered(town, town.north)
    assert [] == await town.acts(town.north, "methods.switched")


async def test_each_way_says_what_it_costs(town):
    """What the terms of its channel say; where nobody said anything, that is said."""
    owner = await town.join(Role.OWNER)
    await owner.go(PATH)
    unsaid = owner.text
    terms = [ChannelTerms(town.channel, cost_permyriad=60, cost_minor=30)]
    await town.house.api(Payments).put_terms(terms)
    await owner.go(PATH)

    assert "Not said" in unsaid
    assert "0.60 % + CN¥0.30" in owner.text


async def test_who_may_not_change_the_shop_does_not_see_it(town):
    """Support reads orders, and switches nothing."""
    support = await town.join(Role.SUPPORT)

    assert 403 == (await support.go(PATH)).status_code
