"""What must be impossible on the pages: injected code, leaked orders, forms from elsewhere."""

import re
from uuid import UUID

import msgspec
import pytest

from vendrail.kernel.ids import from_serial, to_serial

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}{% raw %}"


async def buy(browser, **changes):
    """Place an order as a browser does."""
    home = await browser.get("/")
    page = await browser.get(re.search(r'href="(/products/\w{26})"', home.text)[1])
    form = page.text.split('action="/orders"', 1)[1].split("</form>", 1)[0]
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    filled = {"sku": "STEAM-50", "quantity": "1", "contact": "a@example.com", "method": "alipay"}
    return await browser.post("/orders", data=hidden | filled | changes)


def rename(market, **changes) -> None:
    """Give the first product and its shop other texts."""
    view = market.products[0]
    shop = msgspec.structs.replace(view.shop, name=HOSTILE, notice=HOSTILE, merchant_name=HOSTILE)
    variants = [msgspec.structs.replace(each, title=HOSTILE) for each in view.product.variants]
    product = msgspec.structs.replace(
        view.product,
        title=HOSTILE,
        category=HOSTILE,
        instructions=f"{HOSTILE}\n\n[x](javascript:alert(1)) ![y](https://evil/x.png)",
        variants=variants,
        **changes,
    )
    html = f"<b onclick=alert(1)>hi</b>{HOSTILE}<a href='javascript:x'>a</a><style>*{{}}</style>"
    market.products[0] = msgspec.structs.replace(
        view, product=product, shop=shop, description_html=html
    )
    market.shops[0] = shop


def assert_harmless(page: str) -> None:
    """Nothing hostile became markup or was computed."""
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "onerror=alert(1)>" not in page.replace("onerror=alert(1)&gt;", "")
    assert "javascript:" not in re.sub(r">[^<]*<", "><", page)
    assert "<b onclick" not in page
    assert "<style" not in page
    assert "evil/x.png" not in re.findall(r"<img[^>]*>", page).__str__()
    assert "{{7*7}}" in page


async def test_x16_hostile_texts_stay_texts(browser, market):
    """X16: scripts and templates in names, notices, descriptions and variants stay plain text."""
    rename(market)
    home = await browser.get("/")
    shop = await browser.get("/shops/north-games")
    product = await browser.get(re.search(r'href="(/products/\w{26})"', home.text)[1])
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    market.deliver(from_serial(address.split("/")[2]), HOSTILE)
    order = await browser.get(address)

    for page in (home, shop, product, order):
        assert 200 == page.status_code
        assert_harmless(page.text)


async def test_x16_what_a_visitor_types_stays_text(browser):
    """X16: search words, contacts, quantities, links and cookies come back as text."""
    search = await browser.get("/", params={"q": HOSTILE[:80], "category": HOSTILE[:80]})
    form = await buy(browser, contact=HOSTILE, quantity=HOSTILE, nonce="")
    method = await buy(browser, method=HOSTILE)
    browser.cookies.set("vr_recent", HOSTILE, domain="localhost.local")
    browser.cookies.set("vr_theme", '"><script>', domain="localhost.local")
    lookup = await browser.get("/lookup")

    for page in (search, form, method, lookup):
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert '"><script>' not in page.text


@pytest.mark.parametrize(
    "picture", ["javascript:alert(1)", "../../etc/passwd", "//evil.example/x", '"><script>']
)
async def test_x16_pictures_come_from_our_folder(browser, market, picture):
    """X16: whatever a product names as its picture, its address stays below /media."""
    rename(market, picture=picture)
    page = (await browser.get("/")).text
    source = re.search(r'<img src="([^"]*)"', page)[1]

    assert source.startswith("/media/")
    assert not source.startswith("/media//")


@pytest.mark.parametrize("text", ["' or 1=1 --", "1; drop table x", "%00", "\x00", "𝕏" * 90])
async def test_x15_odd_texts_are_data(browser, text):
    """X15: quotes, statements and control characters in any field are data, and break nothing."""
    answers = [
        await browser.get("/", params={"q": text, "category": text}),
        await buy(browser, contact=text),
        await buy(browser, sku=text),
        await buy(browser, product=text, sku="x"),
        await browser.get("/orders/" + "%27or%201=1"),
    ]

    assert [True] * 5 == [answer.status_code in (200, 303, 404, 422) for answer in answers]


async def test_x17_order_opens_only_with_its_secret(browser, app, market, web):
    """X17: without the secret an order's page, keys, live part, events and payment stay closed."""
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    market.deliver(from_serial(address.split("/")[2]), "KEY-SECRET")
    assert "KEY-SECRET" in (await browser.get(address)).text
    browser.cookies.clear()
    absent = f"/orders/{to_serial(UUID(int=9))}"
    tries = [
        (address, ""),
        (address, "?key=wrong"),
        (absent, ""),
        (absent, "?key=wrong"),
        ("/orders/zzz", "?key=x"),
    ]
    answers = [await browser.get(path + query) for path, query in tries]
    bodies = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}

    assert {404} == {answer.status_code for answer in answers}
    assert 1 == len(bodies), "Nothing tells an order that is not theirs from one that is not there."
    for tail in ("/keys.txt", "/live", "/events"):
        answer = await browser.get(address + tail)
        assert 404 == answer.status_code
        assert "KEY-SECRET" not in answer.text


async def test_x17_cookie_of_one_order_opens_no_other(browser, market):
    """X17: each order's secret is its own cookie, sent to its own page alone."""
    first = await buy(browser)
    second = await buy(browser, quantity="2")
    cookies = [
        next(c for c in answer.headers.get_list("set-cookie") if c.startswith("vr_order="))
        for answer in (first, second)
    ]
    paths = [re.search(r"Path=([^;]+)", cookie)[1] for cookie in cookies]

    assert paths == [each.headers["location"].split("?")[0] for each in (first, second)]
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
    browser.cookies.clear()
    browser.cookies.set(
        "vr_order", cookies[0].split("=")[1].split(";")[0], domain="localhost.local"
    )
    assert 404 == (await browser.get(paths[1])).status_code


async def test_x17_link_leaves_no_secret_in_the_address(browser, market):
    """X17: a link with the secret sets the cookie and goes on to an address without it."""
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    secret = next(iter(market.secrets.values()))
    browser.cookies.clear()
    opened = await browser.get(f"{address}?key={secret}")
    page = await browser.get(address)

    assert (303, address) == (opened.status_code, opened.headers["location"])
    assert 200 == page.status_code
    assert "same-origin" == page.headers["referrer-policy"]
    assert "no-store" == page.headers["cache-control"]
    assert "content-encoding" not in page.headers


async def test_x17_lookup_answers_alike_for_everybody(browser, market):
    """X17: asking for a code says the same whether or not there are orders; a code works once."""
    await buy(browser, contact="known@example.com")
    texts = []
    for contact in ("known@example.com", "never@example.com"):
        page = await browser.get("/lookup")
        token = re.search(r'name="form_token" value="([^"]*)"', page.text)[1]
        asked = await browser.post(
            "/lookup/contact", data={"form_token": token, "contact": contact}
        )
        assert 200 == asked.status_code
        texts.append(re.sub(r'value="[^"]*"', "", asked.text).replace(contact, "them"))
    assert texts[0] == texts[1]
    data = {"form_token": token, "contact": "known@example.com", "code": "1234 5678"}
    wrong = await browser.post("/lookup/code", data=data | {"code": "00000000"})
    right = await browser.post("/lookup/code", data=data)
    again = await browser.post("/lookup/code", data=data)

    assert [422, 200, 422] == [wrong.status_code, right.status_code, again.status_code]
    link = re.search(r'href="(/orders/\w{26}\?key=[^"]+)"', right.text)[1]
    assert 303 == (await browser.get(link)).status_code


async def test_lookup_by_link(browser, market):
    """The whole link opens the order; a wrong one says nothing about why."""
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    secret = next(iter(market.secrets.values()))
    page = await browser.get("/lookup")
    token = re.search(r'name="form_token" value="([^"]*)"', page.text)[1]

    async def open_link(link: str):
        return await browser.post("/lookup/link", data={"form_token": token, "link": link})

    right = await open_link(f"https://shop.example{address}?key={secret}")
    short = await open_link(f"{address.split('/')[2]} {secret}")
    wrong = await open_link(f"https://shop.example{address}?key=nope")
    absurd = await open_link("http://[bad")

    assert [(303, address), (303, address)] == [
        (each.status_code, each.headers["location"]) for each in (right, short)
    ]
    assert [422, 422] == [wrong.status_code, absurd.status_code]


async def test_forms_from_elsewhere_are_refused(browser, market):
    """A form without our token, with another browser's, or from another site changes nothing."""
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    page = await browser.get(address)
    token = re.search(r'name="form_token" value="([^"]*)"', page.text)[1]
    cancel = f"{address}/cancel"
    none = await browser.post(cancel, data={})
    made_up = await browser.post(cancel, data={"form_token": "x" * len(token)})
    cross = await browser.post(
        cancel, data={"form_token": token}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    origin = await browser.post(
        cancel, data={"form_token": token}, headers={"Origin": "https://evil.example"}
    )
    mark = browser.cookies["vendrail-mark"]
    browser.cookies.set("vendrail-mark", "0" * 32, domain="localhost.local")
    browser.cookies.delete("vendrail-mark", domain="localhost.local", path="/")
    browser.cookies.set("vendrail-mark", "0" * 32, domain="localhost.local", path="/")
    other = await browser.post(cancel, data={"form_token": token})

    assert [403] * 5 == [each.status_code for each in (none, made_up, cross, origin, other)]
    assert mark != "0" * 32
    assert ["placed"] == [view.state for view in market.orders.values()]


async def test_too_many_orders_and_lookups_are_slowed(browser, limits, market):
    """Placing and lookups obey their limits, and say when to come back."""
    await buy(browser)
    page = await browser.get("/lookup")
    token = re.search(r'name="form_token" value="([^"]*)"', page.text)[1]
    limits.wait_s = 12.3
    placed = await buy(browser, quantity="3")
    asked = await browser.post(
        "/lookup/contact", data={"form_token": token, "contact": "a@example.com"}
    )

    assert [(429, "13"), (429, "13")] == [
        (each.status_code, each.headers["retry-after"]) for each in (placed, asked)
    ]
    assert 1 == len(market.orders)
    assert [] == market.codes


async def test_oversized_and_broken_forms_are_refused(browser):
    """A form beyond the bound, or one that is no form, is refused with a page."""
    big = await browser.post("/orders", content=b"a=" + b"x" * 40_000)
    many = await browser.post("/orders", content=b"&".join(b"a=1" for _ in range(500)))
    odd = await browser.post("/orders", content=b"\xff\xfe=1")

    assert [400, 400, 400] == [big.status_code, many.status_code, odd.status_code]
