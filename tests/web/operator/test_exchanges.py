"""The operator's desks where an order is paid in another currency than its price."""

import re
from types import SimpleNamespace

import pytest
from tests.orders.conftest import market
from tests.orders.test_exchanges import abroad, old_rates
from tests.web.console.conftest import World, make_app
from tests.web.operator.test_desks import stick

from vendrail.api.identity import ActQuery, Role
from vendrail.api.orders import OrderState
from vendrail.api.payments import CaptureReport, CaptureSource
from vendrail.api.risk import ListEntry, ListKind
from vendrail.kernel.ids import to_serial
from vendrail.web.amounts import amount
from vendrail.web.languages import LANGUAGES

__all__ = ["abroad", "market", "old_rates"]


@pytest.fixture
async def desks(abroad):
    """The consoles of the market that sells for dollars."""
    house = abroad.market.house
    world = World(lambda: house, house.platform.home)
    yield world
    await world.close()


def yuan(minor: int) -> str:
    """Write yuan as the pages do."""
    return amount(minor, "CNY", LANGUAGES["en"].locale)


async def test_yuan_are_matched_to_an_order_in_dollars(abroad, desks):
    """Stray yuan show with the order that asks for them; matched on the page, they fill it."""
    market = abroad.market
    await abroad.offer("GAME")
    placed = await abroad.place("GAME")
    due_minor = placed.exchange.amount_minor
    stray = CaptureReport(
        market.channel,
        "2026112399",
        "0123456789ABCDEFGHJKMNPQRS1",
        due_minor,
        "CNY",
        market.clock.now(),
        CaptureSource.QUERY,
    )
    await market.payments.record_captures([stray])
    await market.run()
    browser = await desks.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go("/operator/unmatched")
    path = re.search(r'href="(/operator/unmatched/\w{26})"', browser.page.text)[1]
    await browser.go(path)
    [suggested] = re.findall(r'<label class="choice">.*?</label>', browser.page.text, re.DOTALL)

    assert f'value="{to_serial(placed.order)}"' in suggested
    assert yuan(due_minor) in suggested
    assert "$" not in suggested

    order = to_serial(placed.order)
    await browser.send(path, decision="match", order=order, reason="sent proof")
    await market.run()

    assert "/operator/unmatched" == browser.path
    assert OrderState.DELIVERED is (await market.read(placed)).state


async def test_giving_up_tells_what_goes_back(abroad, desks):
    """The button and the log name the yuan that were paid, not the price in dollars."""
    market = abroad.market
    await market.risk.put_list_entries([ListEntry("contact:odd@example.com", ListKind.REVIEWED)])
    market.clock.advance(2)
    await abroad.offer("GAME")
    placed = await abroad.place("GAME", contact="odd@example.com")
    due_minor = placed.exchange.amount_minor
    await abroad.pay(placed)
    await market.run()
    path = await stick(SimpleNamespace(url=market.house.platform.database_url), placed.order)
    browser = await desks.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go(path)
    assert f"Give it up: refund {yuan(due_minor)}" in browser.text
    await browser.send(f"{path}/give-up", reason="the keys are lost")
    [[act]] = await desks.identity.list_acts([ActQuery(None, 9, act="saga.")])

    assert (str(due_minor), "CNY") == (act.after["amount_minor"], act.after["currency"])


@pytest.mark.parametrize("above_minor, is_put_up", [(20_000, False), (1_000, True)])
async def test_a_limit_weighs_money_of_other_currencies(abroad, desks, above_minor, is_put_up):
    """A refund in dollars counts as what it is worth in the currency of the limit."""
    market = abroad.market
    await abroad.offer("GAME")
    placed = await abroad.place("GAME")
    await abroad.pay(placed)
    await market.run()
    home = market.house.platform.home
    desks.app = make_app(market.house, home, second_person_above_minor=above_minor)
    browser = await desks.join("fi@rail.example", Role.OPERATOR_FINANCE)
    path = f"/operator/orders/{to_serial(placed.order)}"
    await browser.go(path)
    nonce = re.search(r'name="nonce" value="(\w+)"', browser.page.text)[1]
    await browser.send(f"{path}/refund", amount="2.00", reason="half works", nonce=nonce)
    [refunds] = await market.orders.read_refunds([placed.order])

    assert is_put_up is ("A second person must approve it" in browser.text)
    assert ([] if is_put_up else [200]) == [each.amount_minor for each in refunds]
