"""Routing in the operator's console: terms, rules, what was learned, and why a payment went so."""

import pytest
from tests.web.console.conftest import make_app

from vendrail.api.identity import ActQuery, Role
from vendrail.api.payments import RoutingRule, RuleEffect, RuleId
from vendrail.kernel.ids import new_id, to_serial


async def acts(world) -> list:
    """Give what the log says of channels, oldest first."""
    [found] = await world.identity.list_acts([ActQuery(None, 100, act="channel.")])
    return list(reversed(found))


@pytest.fixture
async def head(world):
    """An administrator's browser; `path` leads to the channel that is there."""
    browser = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    browser.channel = f"/operator/routing/{to_serial(world.market.channel)}"
    return browser


async def test_terms_are_changed_with_a_reason(world, head):
    """What a channel costs and may take is written, logged before and after, and shown."""
    await head.go(head.channel)
    given = {
        "cost": "0.60",
        "cost_minor": "0.30",
        "cap_percent": "20",
        "weight_percent": "100",
        "countries": "de, CN",
    }
    await head.send(head.channel, **given)
    assert (422, []) == (head.page.status_code, await acts(world))
    await head.send(head.channel, **given, reason="contract")
    assert "Changed" in head.text
    await head.send(head.channel, **given)
    assert "nothing was changed" in head.text
    await head.go("/operator/routing")
    assert "0.60 %" in head.text
    assert "at most 20 %" in head.text
    [terms] = await world.market.payments.list_terms()
    [changed] = await acts(world)

    assert (60, 30, 20, ["CN", "DE"]) == (
        terms.cost_permyriad,
        terms.cost_minor,
        terms.cap_percent,
        terms.countries,
    )
    assert ("channel.terms_changed", "channel:alipay", "contract") == (
        changed.act,
        changed.subject,
        changed.reason,
    )
    assert ("100", "20") == (changed.before["cap_percent"], changed.after["cap_percent"])


@pytest.mark.parametrize(
    "wrong", [{"cap_percent": "0"}, {"cost": "much"}, {"hour_to": "24"}, {"countries": "China"}]
)
async def test_terms_that_make_no_sense_are_refused(wrong, world, head):
    """Nothing is written and nothing logged; what was typed stays in its field."""
    await head.go(head.channel)
    await head.send(head.channel, **wrong, reason="typing")
    [terms] = await world.market.payments.list_terms()

    assert (422, []) == (head.page.status_code, await acts(world))
    assert f'value="{next(iter(wrong.values()))}"' in head.page.text
    assert 100 == terms.cap_percent


async def test_a_rule_is_made_and_taken_back(world, head):
    """It holds at once, says what it is, and both acts are in the log with their reasons."""
    channel = to_serial(world.market.channel)
    await head.go("/operator/routing")
    await head.send("/operator/routing/rules", effect="never", reason="nothing named")
    assert 422 == head.page.status_code
    await head.send("/operator/routing/rules", effect="pin", channel=channel, country="cn")
    assert 422 == head.page.status_code
    await head.send(
        "/operator/routing/rules",
        effect="never",
        method="alipay_qr",
        merchant=to_serial(world.market.merchant),
        reason="asked for it",
    )
    assert "The rule holds" in head.text
    [rule] = await world.market.payments.list_rules()
    await head.send(f"/operator/routing/rules/{to_serial(rule.id)}", reason="over")
    made, dropped = await acts(world)

    assert (RuleEffect.NEVER, "alipay_qr", world.market.merchant) == (
        rule.effect,
        rule.method,
        rule.merchant,
    )
    assert [] == await world.market.payments.list_rules()
    assert ("channel.rule_made", "asked for it", "alipay_qr") == (
        made.act,
        made.reason,
        made.after["method"],
    )
    assert ("channel.rule_dropped", "over", "never") == (
        dropped.act,
        dropped.reason,
        dropped.before["effect"],
    )


async def test_a_method_that_is_ruled_out_is_not_offered_in_the_shop(world):
    """A merchant's buyers do not see a way to pay that a person took from them."""
    market = world.market
    id = RuleId(new_id(market.clock.now()))
    ban = RoutingRule(id, RuleEffect.NEVER, None, market.merchant, "alipay_qr")
    assert ["created"] == await market.payments.put_rules([ban])
    [offer] = await market.catalog.read_offers(["S1"])
    shop = world.browser(app=make_app(world.house, world.home))
    await shop.go(f"/products/{to_serial(offer.product)}")

    assert 'value="alipay"' in shop.page.text
    assert 'value="alipay_qr"' not in shop.page.text


async def test_what_was_learned_is_shown(world, head):
    """Paid orders count as successes of their kind of payment."""
    order = await world.market.place()
    await world.market.pay(order, 1_990)
    await head.go(head.channel)

    assert "Alipay" in head.text
    assert "from about" in head.text
    assert "Nothing yet" not in head.text


async def test_an_order_says_why_its_payment_went_so(world, head):
    """The page of an order gives the reason, and who else could have taken the payment."""
    alone = await world.market.place()
    await head.go(f"/operator/orders/{to_serial(alone)}")
    assert "There was no other channel." in head.text
    pin = RoutingRule(
        RuleId(new_id(world.market.clock.now())), RuleEffect.PIN, world.market.channel
    )
    assert ["created"] == await world.market.payments.put_rules([pin])
    pinned = await world.market.place()
    await head.go(f"/operator/orders/{to_serial(pinned)}")

    assert "chosen 100 % of the time" in head.text


async def test_only_who_may_change_channels_comes_in(world):
    """Support sees no routing."""
    support = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await support.go("/operator/routing")

    assert 403 == support.page.status_code
