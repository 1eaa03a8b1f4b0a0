"""Channels in the operator's console, over the real service and the sandbox's providers."""

import re

import pytest
from tests.web.console.conftest import make_app

from vendrail.api.identity import ActQuery, Role
from vendrail.api.payments import ChannelId
from vendrail.kernel.ids import new_id, to_serial

_TAG = re.compile(r"<(?:input|textarea|select)[^>]*>(?:[^<]*</textarea>)?")


def fields_of(browser) -> dict[str, str]:
    """Give what the first long form of the page holds, as a browser would send it."""
    form = browser.page.text.split('class="min-w-0 space-y-6" action', 1)[-1].split("</form>")[0]
    found = {}
    for tag in _TAG.findall(form):
        name = re.search(r'name="([^"]+)"', tag)[1]
        value = re.search(r'value="([^"]*)"', tag)
        found[name] = value[1] if value else re.sub(r"<[^>]*>", "", tag)
    return found


async def acts(world) -> list:
    """Give what the log says of channels, oldest first."""
    [found] = await world.identity.list_acts([ActQuery(None, 100, act="channel.")])
    return list(reversed(found))


@pytest.fixture
async def head(world):
    """An administrator's browser; `path` leads to the channel that is there."""
    browser = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    browser.channel = f"/operator/channels/{to_serial(world.market.channel)}"
    return browser


async def test_the_list_shows_state_ways_and_bounds(world, head):
    """Each channel stands there with what it offers and how its provider has answered."""
    await head.go("/operator/channels")

    assert f'href="{head.channel}"' in head.page.text
    for words in ("支付宝", "On", "Alipay, scan a code", "CNY", "All"):
        assert words in head.text


async def test_a_channel_is_made_from_its_own_table(world, head, provider):
    """The form asks for what the kind asks for; made, tried and used, it is in the log."""
    merchant = provider.post("/sandbox/epay/merchants", {})
    await head.go("/operator/channels/new")
    assert 'href="/operator/channels/new?kind=epay"' in head.page.text
    await head.go("/operator/channels/new?kind=epay")
    assert "Key of the merchant" in head.text
    given = {
        "kind": "epay",
        "name": "second",
        "title": "Second",
        "s_url": f"{provider.url}/epay/",
        "s_pid": merchant["pid"],
        "s_methods": "wechat",
        "s_shows": "page",
        "s_allows_http": "yes",
        "amount_minor_max": "100.00",
    }
    await head.send("/operator/channels/new", **given, reason="one more")
    assert (422, True) == (head.page.status_code, "Key of the merchant is needed" in head.text)
    await head.send("/operator/channels/new", **given, s_key="short", reason="one more")
    assert 422 == head.page.status_code
    assert "short" not in head.page.text
    await head.send("/operator/channels/new", **given, s_key=merchant["key"])
    assert (422, []) == (head.page.status_code, await acts(world))
    await head.send("/operator/channels/new", **given, s_key=merchant["key"], reason="one more")
    assert "The channel is made" in head.text
    await head.send(f"{head.path}/test")

    assert "It works" in head.text
    methods = await world.market.payments.list_methods("CNY")
    assert ["wechat"] == [each.method for each in methods if each.channel_name == "second"]
    [made, tested] = await acts(world)
    assert ("channel.made", "channel:second", "one more") == (made.act, made.subject, made.reason)
    assert ("changed", "10000", "ad@rail.example") == (
        made.after["key"],
        made.after["amount_minor_max"],
        made.by.name,
    )
    assert "channel.tested" == tested.act
    assert merchant["key"] not in f"{made} {head.page.text}"


async def test_a_change_keeps_what_is_left_empty(world, head, provider):
    """Secrets never come back; an empty one stays, and the log says what was and what is."""
    await head.go(head.channel)
    secret = provider.settings()["app_private_key"].splitlines()[1]
    assert secret not in head.page.text
    assert "********" not in head.page.text
    fields = fields_of(head) | {"title": "Alipay", "reason": "a shorter name"}
    assert "" == fields["s_app_private_key"]
    await head.send(head.channel, **fields)
    assert "Changed" in head.text
    await head.send(f"{head.channel}/test")
    assert "It works" in head.text
    await head.go(head.channel)
    await head.send(head.channel, **fields)
    assert "nothing was changed" in head.text

    [changed, _] = await acts(world)
    assert ({"title": "支付宝"}, {"title": "Alipay"}) == (changed.before, changed.after)


async def test_a_wrong_secret_is_told_in_words(world, head):
    """A key that is not ours is taken as a change, and the test says what is wrong with it."""
    other = world.market.provider.post("/sandbox/epay/merchants", {})["key"]
    await head.go(head.channel)
    fields = fields_of(head) | {"reason": "a new key"}
    await head.send(head.channel, **(fields | {"s_app_private_key": other}))
    assert 422 == head.page.status_code
    assert "Private key of the application cannot be read" in head.text
    assert other not in head.page.text
    await head.send(head.channel, **(fields | {"s_gateway_url": "http://127.0.0.1:1/gateway.do"}))
    await head.send(f"{head.channel}/test")

    assert "could not be reached" in head.text


async def test_bounds_are_kept_in_the_shop(world, head):
    """What a channel does not take is offered no more, and refused with words where it is sent."""
    market = world.market
    await head.go(head.channel)
    await head.send(
        head.channel, **(fields_of(head) | {"amount_minor_max": "20.00", "reason": "a new bound"})
    )
    [offer] = await market.catalog.read_offers(["S1"])
    shop = world.browser(app=make_app(world.house, world.home))
    await shop.go(f"/products/{to_serial(offer.product)}")
    order = {"sku": "S1", "currency": "CNY", "method": "alipay", "contact": "a@b.example",
             "product": to_serial(offer.product)}  # fmt: skip
    await shop.send("/orders", **order, nonce="n" * 24, quantity="2")
    refused = (shop.page.status_code, "does not take such an amount" in shop.text)
    await shop.send("/orders", **order, nonce="m" * 24, quantity="1", raw=True)
    await head.go(head.channel)
    await head.send(
        head.channel, **(fields_of(head) | {"amount_minor_max": "5.00", "reason": "narrower"})
    )
    world.clock.advance(2)
    late = world.browser(app=make_app(world.make_house(), world.home))
    await late.go(f"/products/{to_serial(offer.product)}")

    assert (422, True) == refused
    assert 'value="alipay"' not in late.page.text


async def test_a_switch_counts_in_every_process(world, head):
    """Off means off for buyers of every process at once; on again takes its money."""
    other = world.make_house()
    there = other.services["payments"]
    assert await there.list_methods("CNY")
    await head.go(head.channel)
    await head.send(f"{head.channel}/switch", active="off", reason="")
    assert 422 == head.page.status_code
    await head.send(f"{head.channel}/switch", active="off", reason="a leak")
    assert "It is offered no more" in head.text
    world.clock.advance(1)
    assert [] == await there.list_methods("CNY")
    await head.send(f"{head.channel}/switch", active="on", reason="a new key")
    world.clock.advance(1)
    assert await there.list_methods("CNY")

    assert [
        ("channel.switched_off", {"active": "off"}),
        ("channel.switched_on", {"active": "on"}),
    ] == [(each.act, each.after) for each in await acts(world)]


async def test_only_administrators_touch_channels(world):
    """Others of the operator see no channel, make, change, switch and test none."""
    path = f"/operator/channels/{to_serial(world.market.channel)}"
    for role in (Role.OPERATOR_FINANCE, Role.OPERATOR_RISK, Role.OPERATOR_SUPPORT):
        browser = await world.join(f"{role.value}@rail.example", role)
        for page in ("/operator/channels", "/operator/channels/new", path):
            assert 403 == (await browser.go(page)).status_code
        await browser.go("/console/account")
        assert "/operator/channels" not in browser.page.text
        for form in ("/operator/channels/new", path, f"{path}/switch", f"{path}/test"):
            sent = await browser.send(form, raw=True, active="off", reason="x", kind="alipay")
            assert 403 == sent.status_code
    [account] = await world.market.payments.list_channels()

    assert account.is_active
    assert [] == await acts(world)


async def test_what_is_not_there_is_not_found(world, head):
    """An address of no channel, and a kind that is not installed, lead nowhere."""
    nothing = ChannelId(new_id(world.clock.now()))
    await head.go(f"/operator/channels/{to_serial(nothing)}")
    assert 404 == head.page.status_code
    await head.go("/operator/channels/new?kind=beads")

    assert "With which provider?" in head.text
