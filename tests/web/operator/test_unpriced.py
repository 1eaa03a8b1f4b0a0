"""Money on chains whose worth nobody knows: at the operator's desk, said, and given back."""

import re

import pytest
from tests.payments.rows import SENDER, write_arrivals
from tests.web.console.conftest import make_app

from vendrail.api.identity import ActQuery, Role
from vendrail.api.payments import UnmatchedQuery
from vendrail.api.payments.deposits import UnpricedQuery

REFUND_TO = "0x" + "ab" * 20
ANSWER = {"worth": "4.50", "refund_to": REFUND_TO, "reason": "The rate of that hour"}


@pytest.fixture
async def pages(world) -> list[str]:
    """Two transfers of unknown worth: one is final, one is not."""
    return await write_arrivals(world.house, world.orders["expired"])


async def unpriced(world) -> int:
    """Count what waits for somebody's word."""
    return len((await world.market.payments.list_unpriced([UnpricedQuery()]))[0])


async def test_money_of_unknown_worth_waits_at_the_desk(world, pages):
    """It shows with who sent it; what is not final cannot be ended yet."""
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go("/operator/unmatched")
    listed = browser.page.text
    await browser.go("/operator/unmatched?channel=chain")
    assert "Worth not known" in browser.text
    await browser.go(pages[1])
    early = browser.text
    await browser.send(pages[1], **ANSWER)

    assert 422 == browser.page.status_code
    assert all(f'href="{page}"' in listed for page in pages)
    assert 2 == listed.count(SENDER)
    assert "5.00 ETH" in early
    assert "It is not final yet" in early
    assert 2 == await unpriced(world)
    assert [] == await world.acts(act="unmatched.")


async def test_what_is_said_becomes_unmatched_money(world, pages):
    """Counted at that worth, logged with reason and sender, and settled at the desk from then."""
    world.app = make_app(world.house, world.market.house.platform.home,
                         second_person_above_minor=0)  # fmt: skip
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go(pages[0])
    for wrong, told in (
        ({"worth": "0"}, "Write what it is worth"),
        ({"worth": "four"}, "Write what it is worth"),
        ({"refund_to": "0x12"}, "no address that money can go back to"),
        ({"reason": " "}, "Say why"),
    ):
        await browser.send(pages[0], **{**ANSWER, **wrong})
        assert told in browser.text
        assert 422 == browser.page.status_code
    assert 2 == await unpriced(world)
    await browser.send(pages[0], **ANSWER)
    told = browser.text
    [[act, *_]] = await world.identity.list_acts([ActQuery(None, 9, act="unmatched.")])
    [waiting] = await world.market.payments.list_unmatched([UnmatchedQuery()])
    await browser.go(pages[0])

    assert "Counted. It is among the unmatched money" in told
    assert "It does not wait here any more" not in told
    assert 1 == await unpriced(world)
    assert (450, "USD") in [(each.amount_minor, each.currency) for each in waiting]
    assert ("unmatched.priced", SENDER) == (act.act, act.before["source"])
    assert ("450", REFUND_TO) == (act.after["amount_minor"], act.after["refund_to"])
    assert "The rate of that hour" == act.reason
    assert "/operator/unmatched" == browser.path


async def test_much_of_it_needs_a_second_person(world, pages):
    """Above the limit it waits for another who may do it, who sees what was said and where to."""
    world.app = make_app(world.house, world.market.house.platform.home,
                         second_person_above_minor=100)  # fmt: skip
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    other = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await first.go(pages[0])
    await first.send(pages[0], **ANSWER)
    assert "A second person must approve it" in first.text
    assert 2 == await unpriced(world)
    await other.go("/operator/approvals")
    assert REFUND_TO in other.text
    assert [] == await world.acts(act="unmatched.priced.approved")
    [approval] = set(re.findall(r'action="(/operator/approvals/\w{26})"', other.page.text))
    await other.send(approval, decision="approve")
    acts = await world.acts(act="unmatched.")

    assert "Approved, and done" in other.text
    assert 1 == await unpriced(world)
    assert ["unmatched.priced.proposed", "unmatched.priced.approved"] == acts


async def test_another_address_needs_a_second_person_and_a_fresh_proof(world, pages):
    """However little it is: to where it did not come from it goes by two people's word."""
    world.app = make_app(world.house, world.market.house.platform.home,
                         second_person_above_minor=1_000_000, default_currency="USD")  # fmt: skip
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await first.go(pages[0])
    await first.send(pages[0], **ANSWER)
    asked = first.text
    left = await unpriced(world)
    await first.go(pages[0])
    await first.send(pages[0], **{**ANSWER, "refund_to": SENDER})
    done = first.text
    for _ in range(2):
        world.clock.advance(1_000)
        await first.go(pages[1])
    await first.send(pages[1], **ANSWER)

    assert "A second person must approve it" in asked
    assert 2 == left
    assert "Counted. It is among the unmatched money" in done
    assert "/console/confirm" == first.path
