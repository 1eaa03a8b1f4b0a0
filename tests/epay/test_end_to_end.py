"""A card site in one Vendrail pays through another: our own client at our own doors, end to end."""

import asyncio
import contextlib
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from tests.epay.conftest import LOOPBACK, Far, eventually, settle_in
from tests.orders.conftest import Market
from tests.payments.conftest import (  # noqa: F401  # Fixtures.
    MovableClock,
    alipay,
    alipay_home,
    alipay_server,
    channel_of,
    key_app,
)
from tests.web.test_browser import free_port, served

from vendrail.api.epay import EpayChange, NoticeState
from vendrail.api.orders import OrderId, OrderState, RefundOrder
from vendrail.api.payments import ChannelAccount, PresentRequest
from vendrail.app.audit import audit
from vendrail.app.serving import assemble
from vendrail.app.wiring import House
from vendrail.channelkit.databases import made_database
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import from_serial, new_id, to_serial
from vendrail.sandbox.epay import sign_fields

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def clock():
    """The machine's clock: a provider and two platforms run by it."""
    return MovableClock()


@pytest.fixture
async def near_url(postgres_url, template_name):
    """A database for the platform that sells the cards."""
    async for url in made_database(postgres_url, template_name):
        yield url


@contextlib.asynccontextmanager
async def running(house, port):
    """Serve a whole platform, its loops and its faces, on a port."""
    house.start_jobs()
    async with served(assemble(house, ("gateway", "web")), port):
        yield
    await house.stop()


@pytest.fixture
async def far(platform_url, clock, vault, tmp_path, key_app, alipay):  # noqa: F811
    """The platform at the doors, which takes money by the sandbox's Alipay."""
    port = free_port()
    home = tmp_path / "far"
    home.mkdir()
    platform = PlatformSettings(
        home=home, database_url=platform_url, public_url=f"http://127.0.0.1:{port}"
    )
    house = House(platform, LOOPBACK, clock, vault)
    channel = channel_of(key_app, alipay.url)
    made = Far(house, *await settle_in(house, channel))
    made.url, made.app_id, made.alipay = platform.public_url, channel.settings["app_id"], alipay
    await made.open()
    await made.epay.change_epay_accounts([EpayChange(made.merchant, can_refund=True)])
    async with running(house, port):
        yield made


@pytest.fixture
async def near(near_url, clock, vault, tmp_path, far):
    """The card site: another platform, whose one channel speaks Epay to the first."""
    port = free_port()
    home = tmp_path / "near"
    home.mkdir()
    platform = PlatformSettings(
        home=home, database_url=near_url, public_url=f"http://127.0.0.1:{port}"
    )
    house = House(platform, {}, clock, vault)
    settings = {
        "url": f"{far.url}/",
        "pid": far.pid,
        "key": far.key,
        "methods": "alipay",
        "shows": "page,qr",
        "refunds": "yes",
        "allows_http": "yes",
    }
    channel = ChannelAccount(new_id(datetime.now(UTC)), "epay", "epay", "易支付", ["CNY"], settings)
    made = Market(house, *await settle_in(house, channel))
    made.url = platform.public_url
    await made.offer("GAME", price_minor=1_990)
    async with running(house, port):
        yield made


@pytest.fixture
async def web():
    """A buyer's browser."""
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=30) as client:
        yield client


async def shown(near, placed):
    """Give where a buyer goes to pay."""
    back = f"{near.url}/orders/back"
    asked = PresentRequest(placed.attempt, "desktop", back, back)
    [action] = await near.payments.present_attempts([asked])
    return action.url or action.text


async def pay_at(far, web, address):
    """Follow a buyer over our pay page to the provider, and pay there; give the order's id."""
    page = await web.get(address)
    assert page.status_code == 200, page.text
    serial = page.url.path.rpartition("/")[2]
    order = OrderId(from_serial(serial))
    [attempts] = await far.payments.read_attempts([order])
    door = page.text.partition('href="/pay/')[2].partition('"')[0]
    await web.get(f"{far.url}/pay/{door}")
    await asyncio.to_thread(far.alipay.pay, far.app_id, attempts[0].out_trade_no)
    return order


def ends(market, placed, *states):
    """Look whether an order has come to one of some states."""

    async def look():
        view = await market.read(placed)
        return view if view.state in states else None

    return look


@pytest.mark.parametrize("method", ["alipay", "alipay_qr"])
async def test_a_card_is_sold_through_another_platform(near, far, web, method):
    """Placed here, paid there by Alipay: the key is here, the shares are split at both, once."""
    placed = await near.place("GAME", method=method)
    order = await pay_at(far, web, await shown(near, placed))
    view = await eventually(ends(near, placed, OrderState.DELIVERED))
    notices = await eventually(_taken(far))
    page = await web.get(f"{far.url}/orders/{to_serial(order)}")
    back = page.text.partition(f'href="{near.url}')[2].partition('"')[0].replace("&amp;", "&")
    fields = dict(parse_qsl(urlsplit(back).query))
    [balance] = await far.settlement.read_merchant_balances([(far.merchant, "CNY")])
    reports = [await audit(each.house.platform.database_url) for each in (near, far)]

    assert 1 == len(view.items)
    assert view.items[0].startswith("GAME-")
    assert [order] == [each.order for each in notices]
    assert sign_fields(fields, far.key) == fields["sign"]
    assert 1990 - 60 <= balance.available_minor <= 1990 - 59
    assert [] == [(e.name, e.findings) for report in reports for e in report.outcomes if e.findings]


async def test_forged_callbacks_deliver_nothing(near, far, web):
    """A callback without the key is refused; with it, the door is asked, and knows better."""
    placed = await near.place("GAME")
    address = await shown(near, placed)
    await web.get(address)
    asked = dict(parse_qsl(urlsplit(address).query))
    told = {
        "pid": far.pid,
        "trade_no": "1",
        "out_trade_no": asked["out_trade_no"],
        "type": "alipay",
        "name": asked["name"],
        "money": asked["money"],
        "trade_status": "TRADE_SUCCESS",
    }
    answers = [
        await web.get(
            f"{asked['notify_url']}?{urlencode({**told, 'sign': sign, 'sign_type': 'MD5'})}"
        )
        for sign in ("0" * 32, sign_fields(told, "another key"), sign_fields(told, far.key))
    ]
    await asyncio.sleep(1.0)

    assert ["fail", "fail", "success"] == [each.text for each in answers]
    assert OrderState.PLACED is (await near.read(placed)).state


async def test_money_goes_back_by_the_same_way(near, far, web):
    """A part, then the rest: each goes back through the door, and both books say the same."""
    placed = await near.place("GAME")
    order = await pay_at(far, web, await shown(near, placed))
    await eventually(ends(near, placed, OrderState.DELIVERED))
    for amount_minor in (990, 0):
        asked = RefundOrder(new_id(near.clock.now()), placed.order, amount_minor, "test", "test")
        assert ["accepted"] == await near.orders.refund_orders([asked])
        await eventually(ends(near, placed, OrderState.DELIVERED, OrderState.REFUNDED))
    refunds = (await far.orders.read_refunds([order]))[0]
    reports = [await audit(each.house.platform.database_url) for each in (near, far)]

    assert [(990, "paid"), (1_000, "paid")] == [(each.amount_minor, each.state) for each in refunds]
    assert OrderState.REFUNDED is (await near.read(placed)).state
    assert [] == [(e.name, e.findings) for report in reports for e in report.outcomes if e.findings]


def _taken(far):
    async def look():
        return await far.notices(NoticeState.TAKEN)

    return look
