"""Live pages: what changed shows by itself, promptly, for as many as are open and no more."""

import asyncio
import contextlib
import re

from vendrail.api.orders import OrderState
from vendrail.kernel.ids import from_serial
from vendrail.web.live import LivePages, version_of


async def buy(browser, method: str = "alipay") -> str:
    """Place an order; give its address."""
    home = await browser.get("/")
    page = await browser.get(re.search(r'href="(/products/\w{26})"', home.text)[1])
    form = page.text.split('action="/orders"', 1)[1].split("</form>", 1)[0]
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    filled = {"sku": "STEAM-50", "quantity": "1", "contact": "a@example.com", "method": method}
    placed = await browser.post("/orders", data=hidden | filled)
    return placed.headers["location"].split("?")[0]


async def listen(app, address: str, cookie: str, until: bytes):
    """Read an event stream until it says something, then leave."""
    heard = bytearray()
    is_heard = asyncio.Event()

    async def receive():
        await is_heard.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        heard.extend(message.get("body", b""))
        if until in heard:
            is_heard.set()

    path, _, query = address.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"cookie", cookie.encode()),
            (b"accept-language", b"en"),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    async with asyncio.timeout(5):
        await app(scope, receive, send)
    return bytes(heard)


async def test_key_shows_by_itself_at_the_hint(browser, app, market, wakeups, web):
    """A hint brings the delivered page at once, well before the next tick; then nobody is left."""
    address = await buy(browser)
    id = from_serial(address.split("/")[2])
    seen = version_of(market.orders[id])
    cookie = f"vr_order={market.secrets[id]}"
    task = asyncio.create_task(listen(app, f"{address}/events?seen={seen}", cookie, b"KEY-LIVE"))
    await asyncio.sleep(0.1)
    assert 1 == web.live.count
    market.deliver(id, "KEY-LIVE")
    wakeups.wake(f"order:{id}")
    heard = await task

    assert b"retry: 3000" in heard
    assert b"event: order\ndata: " in heard
    assert b"Here is your key" in heard
    assert 0 == web.live.count
    assert {} == wakeups._events


async def test_only_what_changed_moves(browser, app, market):
    """An order's page stands still when it is opened; what comes later arrives with a motion."""
    address = await buy(browser)
    id = from_serial(address.split("/")[2])
    page = await browser.get(address)
    part = await browser.get(f"{address}/live?seen=before")
    cookie = f"vr_order={market.secrets[id]}"
    heard = await listen(app, f"{address}/events?seen=before", cookie, b"</section>")

    assert "animate-arrive" not in page.text
    assert "animate-arrive" in part.text
    assert b"animate-arrive" in heard


async def test_key_shows_without_a_hint_too(browser, app, market):
    """Where another process delivered, the common tick finds it within about a second."""
    address = await buy(browser)
    id = from_serial(address.split("/")[2])
    cookie = f"vr_order={market.secrets[id]}"
    seen = version_of(market.orders[id])
    task = asyncio.create_task(listen(app, f"{address}/events?seen={seen}", cookie, b"KEY-LATE"))
    await asyncio.sleep(0.1)
    market.deliver(id, "KEY-LATE")

    assert b"KEY-LATE" in await task


async def test_stream_begins_with_what_the_page_has_not_seen(browser, app, market):
    """A page that connects late gets the present state at once."""
    address = await buy(browser)
    id = from_serial(address.split("/")[2])
    market.step(id, OrderState.PAID, "paid", "held")
    heard = await listen(
        app, f"{address}/events?seen=old", f"vr_order={market.secrets[id]}", b"Payment received"
    )

    assert b"event: order" in heard


async def test_many_pages_share_few_reads(browser, app, market, web, standins):
    """A hundred live pages look in the same tick: a few batches, not a hundred reads."""
    address = await buy(browser)
    id = from_serial(address.split("/")[2])
    cookie = f"vr_order={market.secrets[id]}"
    seen = version_of(market.orders[id])
    sizes: list[int] = []
    original = standins.StandInOrders.read_orders

    async def counted(self, queries):
        sizes.append(len(queries))
        return await original(self, queries)

    web.calls._batchers[1]._call = lambda queries: counted(web.calls.orders, queries)
    tasks = [
        asyncio.create_task(listen(app, f"{address}/events?seen={seen}", cookie, b"KEY-ALL"))
        for _ in range(100)
    ]
    await asyncio.sleep(2.2)
    sizes.clear()
    await asyncio.sleep(1.0)
    ticks = list(sizes)
    market.deliver(id, "KEY-ALL")
    await asyncio.gather(*tasks)

    assert 100 <= sum(ticks) <= 200
    assert len(ticks) <= 10


async def test_live_pages_are_bounded(browser, market, web):
    """Beyond the bound a page is told to ask every few seconds instead."""
    address = await buy(browser)
    web.live.count = web.live._pages_max
    refused = await browser.get(f"{address}/events")

    assert (503, "9") == (refused.status_code, refused.headers["retry-after"])


async def test_polling_gives_the_part_only_when_it_changed(browser, market):
    """Where events cannot pass, asking again gives nothing until there is something new."""
    address = await buy(browser)
    page = await browser.get(address)
    poll = re.search(r'hx-get="([^"]+)"', page.text)[1]
    same = await browser.get(poll)
    market.deliver(from_serial(address.split("/")[2]), "KEY-POLL")
    changed = await browser.get(poll)

    assert (204, b"") == (same.status_code, same.content)
    assert "KEY-POLL" in changed.text
    assert "<html" not in changed.text
    assert "hx-get" not in changed.text, "What has ended asks no more."


async def test_buyer_who_comes_back_finds_the_key(browser, market, wakeups):
    """Coming back from the provider, the page waits a moment and holds the key when it comes."""
    address = await buy(browser)
    id = from_serial(address.split("/")[2])

    async def arrive() -> None:
        await asyncio.sleep(0.2)
        market.step(id, OrderState.PAID, "paid", "held")
        wakeups.wake(f"order:{id}")
        await asyncio.sleep(0.2)
        market.deliver(id, "KEY-BACK")
        wakeups.wake(f"order:{id}")

    task = asyncio.create_task(arrive())
    page = await browser.get(f"{address}?out_trade_no=1&sign=x")
    await task

    assert "KEY-BACK" in page.text
    assert {} == wakeups._events


async def test_buyer_who_did_not_pay_is_not_kept_waiting(browser):
    """Coming back without having paid shows the ways to pay after a moment."""
    address = await buy(browser)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    page = await browser.get(address, headers={"Sec-Fetch-Site": "cross-site"})

    assert 1.5 < loop.time() - begun < 4
    assert "Pay another way" in page.text


async def test_code_is_fetched_once_for_many_looks(browser, market, web):
    """However often its page is opened, a QR code is asked of the provider once."""
    address = await buy(browser, "alipay_qr")
    asked = []
    original = web.calls.payments.present_attempts

    async def counted(requests):
        asked.extend(requests)
        await asyncio.sleep(0.05)
        return await original(requests)

    web.calls._batchers[4]._call = counted
    await asyncio.gather(*(browser.get(address) for _ in range(20)))

    assert 1 == len(asked)


async def test_watch_forgets_its_topic(wakeups):
    """A page that closes leaves nothing behind."""
    live = LivePages(wakeups, 5)
    with live.watch(from_serial("0" * 26), ""):
        assert 1 == len(wakeups._events)

    assert {} == wakeups._events


def test_live_pages_of_one_thing_and_of_one_address_are_few(wakeups):
    """Four pages follow one thing, twenty one address; whoever leaves makes room."""
    live = LivePages(wakeups, 50)
    with contextlib.ExitStack() as open_pages:
        for _ in range(4):
            open_pages.enter_context(live.admit("talk", "here"))
        one_more = live.admits("talk", "there"), live.admits("other", "here")
        for number in range(16):
            open_pages.enter_context(live.admit(f"talk:{number}", "here"))
        from_here = live.admits("other", "here"), live.admits("other", "there")

    assert (False, True) == one_more
    assert (False, True) == from_here
    assert live.admits("talk", "here")
    assert not live._of
