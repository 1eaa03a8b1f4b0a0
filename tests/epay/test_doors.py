"""The doors: what card sites may ask for, what is refused, and what buyers meet."""

from html import unescape
from urllib.parse import urlsplit

import httpx
import pytest
from tests.app.test_x22_enforced import solve
from tests.epay.conftest import HERE, Browser, make_app

from vendrail.api.catalog import SalesStop
from vendrail.api.epay import EpayChange
from vendrail.api.orders import OrderState, SoldOrderQuery
from vendrail.kernel.codec import decode
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.limits.proofs import Proofs
from vendrail.sandbox.epay import sign_fields


async def placed(far):
    """Count what was placed."""
    [found] = await far.orders.list_orders([SoldOrderQuery(far.merchant)])
    return len(found)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_buyer_lands_on_the_pay_page_with_name_and_amount(far, site, browser, method):
    """A signed link or form of another site leads to our own page, which says what costs what."""
    answer = await browser.submit(far.fields(site), method)
    page = await browser.http.get(answer.headers["location"], follow_redirects=True)
    view = await far.order_of(answer.headers["location"])

    assert 303 == answer.status_code
    assert (1990, "VIP会员", "N-1") == (view.amount_minor, view.title, view.number)
    assert 200 == page.status_code
    assert "key=" not in str(page.url)
    for told in ("VIP会员", "19.90", "N-1", "Continue to"):
        assert told in page.text


async def test_a_server_gets_the_address_of_the_pay_page(far, site, browser):
    """mapi.php answers code 1, our number, and an address that opens the order."""
    said = await browser.json("mapi", **far.fields(site, clientip="9.9.9.9", device="pc"))
    view = await far.order_of(said["payurl"])

    assert (1, view.serial) == (said["code"], said["trade_no"])
    assert said["payurl"].startswith(f"{HERE}/orders/")
    assert OrderState.PLACED is view.state


@pytest.mark.parametrize(
    "change",
    [
        {"money": "0.01"},
        {"sign": ""},
        {"sign": "0" * 32},
        {"notify_url": "https://thief.example/"},
        {"pid": "1002"},
        {"pid": ""},
        {"pid": "x"},
        {"sign_type": "RSA"},
        {"extra": "1"},
    ],
)
async def test_what_is_not_signed_as_it_is_is_refused(far, site, browser, change):
    """A field changed, added or unsigned is refused at both doors, and nothing is placed."""
    fields = {**far.fields(site, clientip="9.9.9.9"), **change}
    page = await browser.submit(fields)
    said = await browser.json("mapi", **fields)

    assert 422 == page.status_code
    assert "This payment cannot begin" in page.text
    assert -1 == said["code"]
    assert 0 == await placed(far)


async def test_a_field_that_comes_twice_is_refused(far, site, browser):
    """Which of two was signed? Neither counts, wherever the second one stands."""
    fields = far.fields(site, clientip="9.9.9.9")
    answer = await browser.http.post("/mapi.php?money=19.90", data=fields)

    assert -1 == answer.json()["code"]
    assert 0 == await placed(far)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"money": "19.905"}, "金额不合法"),
        ({"money": "1e2"}, "金额不合法"),
        ({"money": "-1.00"}, "金额不合法"),
        ({"money": "１.00"}, "金额不合法"),
        ({"money": "0.00"}, "金额超出限制"),
        ({"money": "50000.01"}, "金额超出限制"),
        ({"type": "bitcoin"}, "支付方式"),
        ({"type": "wxpay"}, "该支付方式未开通"),
        ({"type": ""}, "(type)"),
        ({"name": ""}, "(name)"),
        ({"clientip": ""}, "(clientip)"),
        ({"out_trade_no": "a b"}, "(out_trade_no)"),
        ({"out_trade_no": ""}, "(out_trade_no)"),
        ({"notify_url": "http://10.0.0.1/n"}, "内网"),
        ({"notify_url": "http://localhost/n"}, "内网"),
        ({"return_url": "http://169.254.169.254/"}, "内网"),
        ({"notify_url": "ftp://a.example/"}, "地址格式"),
        ({"return_url": "javascript:alert(1)"}, "地址格式"),
        ({"param": "x" * 1_001}, "参数过长"),
    ],
)
async def test_what_cannot_be_is_refused_in_epays_words(far, site, browser, changes, words):
    """Signed or not, what cannot be charged or told is refused by name, and nothing is placed."""
    said = await browser.json("mapi", **far.fields(site, **{"clientip": "9.9.9.9"} | changes))

    assert -1 == said["code"]
    assert words in said["msg"]
    assert 0 == await placed(far)


@pytest.mark.parametrize("name", ["name", "param", "z"])
async def test_x7_a_value_that_holds_another_orders_number_is_not_signed(far, site, browser, name):
    """The signed text joins raw values: cut otherwise it would be another order's, and is refused.

    A site's own number in its address is no other order.
    """
    own = f"{site.url}/n?a=1&out_trade_no=N-1"
    said = await browser.json(
        "mapi", **far.fields(site, clientip="9.9.9.9", **{name: "x&out_trade_no=N-2&pid=1"})
    )
    good = await browser.json("mapi", **far.fields(site, clientip="9.9.9.9", notify_url=own))

    assert -1 == said["code"]
    assert "签名" in said["msg"]
    assert 1 == good["code"]


async def test_amounts_are_exact(far, site, browser):
    """Whatever a site writes for an amount of whole fen is that amount."""
    amounts = {"1": 100, "1.5": 150, "0.01": 1, "19.90": 1990, "50000.00": 5_000_000}
    for number, (text, minor) in enumerate(amounts.items()):
        answer = await browser.submit(far.fields(site, f"A{number}", money=text))

        assert minor == (await far.order_of(answer.headers["location"])).amount_minor


async def test_a_replay_is_the_same_order(far, site, browser):
    """The same fields any number of times, by any door, at any later time, are one order."""
    fields = far.fields(site, clientip="9.9.9.9")
    first = await browser.submit(fields)
    far.clock.advance(300)
    again, by_form = await browser.submit(fields), await browser.submit(fields, "POST")
    said = await browser.json("mapi", **fields)

    assert 1 == len({each.headers["location"] for each in (first, again, by_form)})
    assert said["payurl"] == HERE + first.headers["location"]
    assert 1 == await placed(far)


@pytest.mark.parametrize(
    "change",
    [
        {"money": "19.91"},
        {"name": "SVIP"},
        {"param": "user 8"},
        {"return_url": "https://cards.example/elsewhere"},
        {"notify_url": "https://cards.example/elsewhere"},
    ],
)
async def test_a_repeat_that_differs_is_refused(far, site, browser, change):
    """A number that was used is not used for anything else, though the site has signed it."""
    await browser.submit(far.fields(site))
    page = await browser.submit(far.fields(site, **change))
    said = await browser.json("mapi", **far.fields(site, clientip="9.9.9.9", **change))

    assert 422 == page.status_code
    assert (-1, "订单号重复，且参数与原订单不一致") == (said["code"], said["msg"])
    assert 1 == await placed(far)


async def test_a_buyer_may_come_back_by_another_way_to_pay(far, site, browser):
    """The way to pay is not of the order: it may be chosen anew, and on our page too."""
    first = await browser.submit(far.fields(site))
    again = await browser.submit(far.fields(site, type=""))

    assert first.headers["location"] == again.headers["location"]


async def test_a_paid_order_is_not_paid_again(far, site, browser):
    """A browser that comes again sees that it is paid; a server is told so."""
    fields = far.fields(site, clientip="9.9.9.9")
    answer = await browser.submit(fields)
    view = await far.order_of(answer.headers["location"])
    await far.pay(view.id)
    await far.settle()
    page = await browser.http.get(
        (await browser.submit(fields)).headers["location"], follow_redirects=True
    )
    said = await browser.json("mapi", **fields)

    assert ">Paid<" in page.text
    assert (-1, "该订单已完成支付，请勿重复支付") == (said["code"], said["msg"])


async def test_the_way_back_is_signed(far, site, browser):
    """A paid order's page leads back to the site, with fields that its key has signed."""
    answer = await browser.submit(far.fields(site, return_url="https://cards.example/back?a=1"))
    view = await far.order_of(answer.headers["location"])
    before = await browser.http.get(answer.headers["location"], follow_redirects=True)
    await far.pay(view.id)
    await far.settle()
    after = await browser.http.get(f"/orders/{view.serial}")
    [address] = await far.epay.read_epay_returns([view.id])
    fields = dict(httpx.QueryParams(urlsplit(address).query))
    own = {name: value for name, value in fields.items() if name != "a"}

    assert "cards.example" not in before.text
    assert address.replace("&", "&amp;") in after.text
    assert address.startswith("https://cards.example/back?a=1&pid=")
    assert sign_fields(own, far.key) == own["sign"]
    assert ("TRADE_SUCCESS", "19.90", "N-1") == (
        own["trade_status"], own["money"], own["out_trade_no"]
    )  # fmt: skip


@pytest.mark.parametrize(
    "change, words",
    [
        (EpayChange(None, is_open=False), "商户未开通支付"),
        (EpayChange(None, is_suspended=True), "商户已被封禁"),
    ],
)
async def test_a_closed_or_suspended_site_is_refused(far, site, browser, change, words):
    """A merchant who has closed the door, or whom the operator suspended, charges nothing."""
    [account] = await far.epay.change_epay_accounts(
        [EpayChange(far.merchant, change.is_open, change.is_suspended)]
    )
    said = await browser.json("mapi", **far.fields(site, clientip="9.9.9.9"))
    page = await browser.submit(far.fields(site))

    assert account is not None
    assert (-1, words) == (said["code"], said["msg"])
    assert 422 == page.status_code
    assert 0 == await placed(far)


async def test_a_site_of_a_merchant_without_sales_is_refused(far, site, browser):
    """Whose sales an operator has stopped charges nothing; what stands may still be asked for."""
    await far.catalog.stop_sales([SalesStop(far.merchant, "stolen keys")])
    far.clock.advance(1)
    said = await browser.json("mapi", **far.fields(site, clientip="9.9.9.9"))
    page = await browser.submit(far.fields(site))
    asked = await browser.json("api", act="query", pid=far.pid, key=far.key)

    assert (-1, "商户已被封禁") == (said["code"], said["msg"])
    assert 422 == page.status_code
    assert 0 == await placed(far)
    assert 1 == asked["code"]


async def test_a_suspended_site_is_told_nothing(far, site, browser):
    """The questions of api.php are refused too while a merchant is suspended."""
    await far.epay.change_epay_accounts([EpayChange(far.merchant, is_suspended=True)])
    said = [
        await browser.json("api", act=act, pid=far.pid, key=far.key, out_trade_no="N-1", money="1")
        for act in ("query", "order", "orders", "refund")
    ]

    assert [(-1, "商户已被封禁")] * 4 == [(each["code"], each["msg"]) for each in said]


async def test_another_key_ends_the_one_before(far, site, browser):
    """From the moment a key is made, what the older one signed counts for nothing."""
    fields = far.fields(site, clientip="9.9.9.9")
    old = far.key
    await far.open()
    said = await browser.json("mapi", **fields)
    fresh = await browser.json("mapi", **far.fields(site, clientip="9.9.9.9"))

    assert old != far.key
    assert -1 == said["code"]
    assert 1 == fresh["code"]


async def test_a_site_has_its_rate(far, site, browser):
    """Beyond so many requests in a minute a site waits; nobody else can use its rate up."""
    limit = far.house.services["epay"]._accounts._limit
    for _ in range(599):
        assert not await limit.take(far.pid)
    for _ in range(20):  # Unsigned: not the site's.
        await browser.json("mapi", **{**far.fields(site, clientip="9.9.9.9"), "sign": "x"})
    last = await browser.json("mapi", **far.fields(site, clientip="9.9.9.9"))
    beyond = await browser.json("mapi", **far.fields(site, clientip="9.9.9.9"))
    asked = await browser.json("api", act="query", pid=far.pid, key=far.key)

    assert 1 == last["code"]
    assert "请求过于频繁" in beyond["msg"]
    assert "请求过于频繁" in asked["msg"]


async def test_x22_under_pressure_a_browser_shows_a_proof_of_work(far, site, tmp_path):
    """Where the gate asks, the page sets a challenge; with its solution the same form passes."""
    house = far.house
    proofs = Proofs(house.limits_database(), house.vault, house.clock, numbers_max=2_000)
    app = make_app(
        far,
        tmp_path,
        make_gate=lambda _: Gate(proofs, house.clock, free_per_minute=0, is_strained=lambda: True),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as http:
        browser, fields = Browser(http), far.fields(site)
        asked = await browser.submit(fields)
        count = await placed(far)
        text = asked.text.partition('data-challenge="')[2].partition('"')[0]
        challenge = decode(unescape(text).encode(), dict)
        wrong = await browser.submit({**fields, "altcha": "e30="}, "POST")
        solution = solve(challenge)
        passed = await browser.submit({**fields, "altcha": solution}, "POST")
        replayed = await browser.submit({**far.fields(site, "N-2"), "altcha": solution}, "POST")

    assert (428, 0) == (asked.status_code, count)
    assert f'name="sign" value="{fields["sign"]}"' in asked.text
    assert (428, 303, 428) == (wrong.status_code, passed.status_code, replayed.status_code)
    assert 1 == await placed(far)
