"""The wallet pages: a person sees an order, taps pay, and is brought back."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest


async def open_page(door, peer, app, number, **more):
    """Order through the SDK as a browser would; give the page and its address."""
    content = {
        "out_trade_no": number,
        "total_amount": "88.00",
        "subject": '<script>alert("年卡")</script>'.replace("/", ""),
        "product_code": "FAST_INSTANT_TRADE_PAY",
        "notify_url": "",
        **more,
    }
    answer = await peer.ask(app, call="api_alipay_trade_page_pay", arguments=content)
    reply = await door.client.get(f"{app['gateway']}?{answer['result']}")
    url = reply.headers["location"]
    return url, await door.client.get(url)


def form_of(page, name):
    """Find the address of a form on the page."""
    return re.search(rf'action="(/alipay/cashier/[^"]+/{name})"', page.text)[1]


@pytest.mark.parametrize("mode", ["key", "cert"])
async def test_paying_brings_the_buyer_back_signed(door, keys, peer, ear, mode):
    """Tap pay: the merchant is told, and the way back carries a query the SDK verifies."""
    app = await door.register(keys[2], want=mode, name="星河 <数码>")
    url, page = await open_page(
        door, peer, app, "W1", return_url="http://shop.test/order?id=7", notify_url=ear.url
    )
    paid = await door.client.post(f"{door.url}{form_of(page, 'pay')}")
    told = (await ear.wait(1))[0]
    back = urlsplit(paid.headers["location"])
    fields = dict(parse_qsl(back.query))
    own = fields.pop("id")

    assert "¥" in page.text
    assert "88.00" in page.text
    assert "星河 &lt;数码&gt;" in page.text
    assert "<script" not in page.text
    assert paid.status_code == 303
    assert (back.netloc, back.path, own) == ("shop.test", "/order", "7")
    assert (fields["out_trade_no"], fields["total_amount"]) == ("W1", "88.00")
    assert fields["trade_no"] == told["trade_no"]
    assert (await peer.ask(app, verify=fields))["result"]
    assert not (await peer.ask(app, verify={**fields, "total_amount": "8.00"}))["result"]
    after = await door.client.get(url)
    assert "付款成功" in after.text
    assert "返回商家" in after.text
    assert "确认付款" not in after.text


async def test_paying_twice_pays_once(door, shop, peer, ear):
    """A second tap changes nothing and tells nobody."""
    _, page = await open_page(door, peer, shop, "W2", notify_url=ear.url)
    action = f"{door.url}{form_of(page, 'pay')}"
    first = await door.client.post(action)
    second = await door.client.post(action)
    shown = await door.client.get(f"{door.url}{second.headers['location']}")
    await ear.wait(1)

    assert (first.status_code, second.status_code) == (303, 303)
    assert "付款成功" in shown.text
    assert len(ear.heard) == 1
    apps = (await door.get("/sandbox/apps"))["apps"]
    assert apps[0]["balance_minor"] == 100_000_000 + 8_800


async def test_leaving_keeps_the_order_open(door, shop, peer):
    """Cancel leaves without paying: back to quit_url if there is one, and it can be paid later."""
    _, page = await open_page(door, peer, shop, "W3")
    left = await door.client.post(f"{door.url}{form_of(page, 'cancel')}")
    paid = await door.client.post(f"{door.url}{form_of(left, 'pay')}")
    wap = await peer.ask(
        shop,
        call="api_alipay_trade_wap_pay",
        arguments={
            "out_trade_no": "W4", "total_amount": "1.00", "subject": "x",
            "product_code": "QUICK_WAP_WAY", "quit_url": "http://shop.test/cart",
        },
    )  # fmt: skip
    reply = await door.client.get(f"{shop['gateway']}?{wap['result']}")
    wap_page = await door.client.get(reply.headers["location"])
    quit_reply = await door.client.post(f"{door.url}{form_of(wap_page, 'cancel')}")

    assert "您已取消付款" in left.text
    assert paid.status_code == 303
    assert quit_reply.headers["location"] == "http://shop.test/cart"


async def test_qr_page_shows_every_state(door, shop, peer, precreate):
    """The page of a QR order says whether it waits, is paid, is given back, or is closed."""
    url = await precreate(shop, "W5", "10.00")
    closed = await precreate(shop, "W6")
    waiting = await door.client.get(url)
    await door.pay(shop, "W5")
    paid = await door.client.get(url)
    for number, amount in (("A", "4.00"), ("B", "6.00")):
        arguments = {"out_trade_no": "W5", "refund_amount": amount, "out_request_no": number}
        await peer.ask(shop, call="api_alipay_trade_refund", arguments=arguments)
        if number == "A":
            part = await door.client.get(url)
    whole = await door.client.get(url)
    await peer.ask(shop, call="api_alipay_trade_close", arguments={"out_trade_no": "W6"})
    over = await door.client.get(closed)

    assert "等待付款" in waiting.text
    assert "付款成功" in paid.text
    assert "已部分退款" in part.text
    assert "已全额退款" in whole.text
    assert "交易已关闭" in over.text
    assert "确认付款" not in over.text


async def test_pages_are_shut_to_scripts_and_guessing(door, shop, precreate):
    """No inline code, a strict policy, a style sheet of its own, and no page for a wrong token."""
    url = await precreate(shop, "W7")
    page = await door.client.get(url)
    style = await door.client.get(f"{door.url}/assets/wallet.css")
    wrong = await door.client.get(url[:-1] + ("A" if url[-1] != "A" else "B"))

    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "style=" not in page.text
    assert style.headers["content-type"].startswith("text/css")
    assert wrong.status_code == 404
    assert len(url.rsplit("/", 1)[1]) >= 22


async def test_bare_address_says_what_it_is(door):
    """Whoever opens the sandbox's address by hand reads what it is for; its icon is there."""
    page = await door.client.get(f"{door.url}/")
    icon = re.search(r'rel="icon"[^>]*href="([^"]+)"', page.text)[1]

    assert "沙箱已就绪" in page.text
    assert 200 == page.status_code
    assert "image/svg+xml" == (await door.client.get(f"{door.url}{icon}")).headers["content-type"]
