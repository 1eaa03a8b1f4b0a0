"""Devices: a payment goes where the buyer's browser can open it, wherever the link is opened."""

from datetime import UTC, datetime

import pytest
from tests.payments.conftest import MERCHANT, Shop, epay_channel

from vendrail.api.payments import (
    ChannelAccount,
    ChannelId,
    ChannelTerms,
    Device,
    OfferQuestion,
    PresentRequest,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id

AWAY = "http://127.0.0.1:1"


def wechat_channel(wechat, name: str, products: str) -> ChannelAccount:
    """Make an account of WeChat Pay that is signed up for some products."""
    values = {**wechat.register("public_key"), "products": products}
    id = ChannelId(new_id(datetime.now(UTC)))
    return ChannelAccount(id, name, "wechat", name, ["CNY"], values)


@pytest.fixture
async def shop(service, wechat, epay, clock) -> Shop:
    """A marketplace with an account of WeChat for phones, one for inside, and one for all."""
    phones = wechat_channel(wechat, "phones", "native,h5")
    inside = wechat_channel(wechat, "inside", "jsapi")
    desks = epay_channel(epay.register(), epay.url, "desks")
    assert ["created"] * 3 == await service.put_channels([phones, inside, desks])
    terms = [ChannelTerms(desks.id, cost_permyriad=500)]
    assert ["written"] == await service.put_terms(terms)
    made = Shop(service, phones, wechat, clock)
    made.names = {each.id: each.name for each in (phones, inside, desks)}
    made.inside = inside
    return made


async def went(shop: Shop, attempt) -> list[tuple[str, str]]:
    """Say over which accounts an order was opened, and for which devices."""
    [views] = await shop.payments.read_attempts([attempt.order])
    return [(shop.names[each.attempt.channel], each.attempt.device or "") for each in views]


async def without_desks(shop: Shop) -> None:
    """Close the account that opens nearly everywhere."""
    accounts = {each.name: each for each in await shop.payments.list_channels()}
    desks = replace(accounts["desks"], is_active=False)
    assert ["changed"] == await shop.payments.put_channels([desks])


async def click(shop: Shop, attempt, device: Device):
    """Open the way to pay in some browser."""
    [action] = await shop.payments.present_attempts([PresentRequest(attempt.id, device)])
    return action


@pytest.mark.parametrize(
    "device, names",
    [
        (Device.DESKTOP, {"desks"}),
        (Device.MOBILE, {"phones", "desks"}),
        (Device.WECHAT, {"inside", "desks"}),
        (None, {"desks"}),
    ],
)
async def test_a_payment_goes_where_its_browser_opens_it(shop, device, names):
    """The dear account takes what the cheap ones cannot open; not knowing, it opens the most."""
    attempts = [shop.attempt(method="wechat", device=device) for _ in range(12)]
    assert ["opened"] * 12 == await shop.payments.open_attempts(attempts)
    places = {place for each in attempts for place in await went(shop, each)}
    routes = await shop.payments.read_routes([each.id for each in attempts])
    fates = {shop.names[each.channel]: each.fate for each in routes[0].options}

    assert places <= {(name, device or "") for name in names}
    assert {name for name, fate in fates.items() if fate == "device"} == (
        set(shop.names.values()) - names
    )


async def test_what_opens_nowhere_here_is_taken_all_the_same(shop):
    """Where no account opens on the device the buyer can go elsewhere: it is no refusal."""
    await without_desks(shop)
    attempt = await shop.opened(method="wechat", device=Device.DESKTOP)
    [route] = await shop.payments.read_routes([attempt.id])

    assert "last_resort" == route.reason
    assert {"device"} == {each.fate for each in route.options}


async def test_inside_a_wallet_its_own_way_is_first(shop):
    """Even before the habit; and what cannot open in there is not offered."""

    async def offered(device: Device, habit: str = "") -> list[str]:
        question = OfferQuestion(MERCHANT, "CNY", 1_230, 1_230, device, habit=habit)
        [found] = await shop.payments.offer_methods([question])
        return [each.method for each in found]

    ways = [await offered(each, "alipay") for each in Device]

    assert ["alipay"] * 2 == [each[0] for each in ways[:2]]
    assert ["wechat"] == ways[2]
    assert ["alipay"] == ways[3]


async def test_a_link_opened_in_another_browser_goes_on_there(shop):
    """The page of a phone, opened inside WeChat, is paid there under a number of its own."""
    await without_desks(shop)
    attempt = await shop.opened(method="wechat", device=Device.MOBILE)
    first = await click(shop, attempt, Device.MOBILE)
    inside, again = [await click(shop, attempt, Device.WECHAT) for _ in range(2)]
    back = await click(shop, attempt, Device.MOBILE)

    assert "redirect" == first.kind == inside.kind == back.kind
    assert first.url == back.url
    assert inside.attempt == again.attempt != attempt.id
    assert [("phones", "mobile"), ("inside", "wechat")] == await went(shop, attempt)


async def test_one_account_with_both_products_goes_on_by_itself(service, wechat, clock):
    """What was placed for phones is placed anew for WeChat; both can be paid, once is enough."""
    both = wechat_channel(wechat, "both", "native,h5,jsapi")
    assert ["created"] == await service.put_channels([both])
    shop = Shop(service, both, wechat, clock)
    shop.names = {both.id: "both"}
    attempt = await shop.opened(method="wechat", device=Device.MOBILE)
    phone = await click(shop, attempt, Device.MOBILE)
    inside, again = [await click(shop, attempt, Device.WECHAT) for _ in range(2)]

    assert "redirect" == phone.kind == inside.kind
    assert inside.attempt == again.attempt != attempt.id
    assert [("both", "mobile"), ("both", "wechat")] == await went(shop, attempt)


async def test_what_is_not_known_is_not_opened_elsewhere(shop):
    """The provider does not say whether the first is paid: no second one is opened beside it."""
    await without_desks(shop)
    attempt = await shop.opened(method="wechat", device=Device.MOBILE)
    await click(shop, attempt, Device.MOBILE)
    settings = shop.channel.settings | {"api_url": AWAY}
    assert ["changed"] == await shop.payments.put_channels(
        [replace(shop.channel, settings=settings)]
    )
    action = await click(shop, attempt, Device.WECHAT)

    assert ("none", "other_device") == (action.kind, action.problem)
    assert [("phones", "mobile")] == await went(shop, attempt)


async def test_asked_again_from_elsewhere_it_is_the_same(shop):
    """A repeat may come from another browser or country: what was opened first stays."""
    attempt = await shop.opened(method="wechat", device=Device.MOBILE, country="CN")
    elsewhere = replace(attempt, device=Device.DESKTOP, country="DE")

    assert ["exists"] == await shop.payments.open_attempts([elsewhere])
    [[view]] = await shop.payments.read_attempts([attempt.order])
    assert (Device.MOBILE, "CN") == (view.attempt.device, view.attempt.country)
