"""Accounts as buyers meet them: signing in, their orders and nobody else's, and leaving."""

import re

import pytest
from tests.buyers.shop import SITE, Shop

from vendrail.api.buyers import BuyerSessionQuery
from vendrail.api.orders import BoughtQuery
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import from_serial, to_serial


async def test_a_guest_meets_no_account(shop):
    """Without a cookie nothing is asked of the accounts, and the header is one quiet sign."""
    browser = shop.browser()
    await browser.go("/")

    assert 'href="/account"' in browser.page.text
    assert not browser.cookie()
    await browser.go("/account")
    assert "/account/sign-in" == browser.path


async def test_signing_in_leads_back_and_shows_the_account(shop):
    """A code from the letter signs in, goes on to where one came from, and signs out again."""
    browser = shop.browser()
    await browser.sign_in(onto="/help")
    led_to = browser.path
    await browser.go("/account")
    shown = browser.text
    token = browser.cookie()
    await browser.send("/account/sign-out")
    browser.http.cookies.set("vendrail-buyer", token)
    await browser.go("/account")

    assert "/help" == led_to
    assert "ann@example.com" in shown
    assert "This browser" in shown
    assert "/account/sign-in" == browser.path


async def test_nobody_is_led_to_another_site(shop):
    """Whatever a link says about where to go on, it is a page of ours."""
    for onto in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        browser = shop.browser()
        await browser.sign_in("ann@example.com", onto)

        assert browser.page.url.host == "localhost"


async def test_my_orders_are_those_of_the_address_and_those_bought_signed_in(shop):
    """Both show with links that open them, on pages that follow each other; others' never do."""
    market = shop.market
    as_guest = await market.place("GAME", contact="ann@example.com")
    await market.place("GAME", contact="eve@example.com")
    browser = shop.browser()
    await browser.sign_in()
    buyer = (await shop.buyers.read_sessions([_query(browser)]))[0].buyer
    elsewhere = await market.place("GAME", contact="gift@example.com", buyer=buyer.id)
    await browser.go("/account")
    serials = set(re.findall(r"/orders/(\w{26})\?key=", browser.page.text))
    page = BoughtQuery(buyer.id, buyer.email, None, 1)
    [first] = await market.orders.list_bought([page])
    [second] = await market.orders.list_bought([replace(page, before=first[0].id)])
    link = re.search(r'href="(/orders/\w{26}\?key=[^"]+)"', browser.page.text)[1]
    await browser.go(link)

    assert {as_guest.order, elsewhere.order} == {from_serial(each) for each in serials}
    assert [elsewhere.order, as_guest.order] == [first[0].id, second[0].id]
    assert "Product GAME" in browser.text


async def test_an_order_placed_signed_in_knows_its_buyer(shop):
    """The form is filled with the buyer's address, and the order is theirs wherever it goes to."""
    browser = shop.browser()
    await browser.sign_in()
    await browser.go("/")
    await browser.go(re.search(r'"(/products/\w{26})"', browser.page.text)[1])
    filled = browser.field("contact")
    names = ("nonce", "product", "currency")
    fields = {name: browser.field(name) for name in names}
    await browser.send(
        "/orders", sku="GAME", quantity="1", contact="gift@example.com", method="alipay", **fields
    )
    serial = browser.path.split("/")[2]
    buyer = (await shop.buyers.read_sessions([_query(browser)]))[0].buyer
    [found] = await shop.market.orders.list_bought([BoughtQuery(buyer.id, buyer.email)])

    assert "ann@example.com" == filled
    assert [serial] == [each.serial for each in found]


async def test_a_form_of_another_site_does_nothing(shop):
    """Without the page's own token no code is sent, nobody is signed in or out, nothing deleted."""
    browser = shop.browser()
    await browser.sign_in()
    token = browser.cookie()
    for path in ("sign-in", "code", "sign-out", "sessions", "language", "delete"):
        headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        fields = {"form_token": "x" * 36, "email": "ann@example.com", "sure": "yes"}
        answer = await browser.http.post(f"/account/{path}", data=fields, headers=headers)

        assert 403 == answer.status_code, path
    assert token == browser.cookie()
    assert "/account" == (await browser.go("/account")).url.path


async def test_a_planted_cookie_is_not_signed_in(shop):
    """Who plants a cookie before the sign-in has nothing after it: the token is another."""
    made_up = "made-up-by-eve-0123456789"
    browser = shop.browser()
    browser.http.cookies.set("vendrail-buyer", made_up, domain="localhost.local")
    await browser.sign_in()
    cookies = [each for each in browser.http.cookies.jar if each.name == "vendrail-buyer"]

    assert made_up not in [each.value for each in cookies]
    assert "ann@example.com" in (await browser.go("/account")).text


async def test_a_session_of_somebody_else_cannot_be_ended(shop):
    """The sessions that one may end are one's own; all of them are ended by one button."""
    ann, eve = shop.browser(), shop.browser("10.0.0.2")
    await ann.sign_in()
    await eve.sign_in("eve@example.com")
    theirs = (await shop.buyers.read_sessions([_query(ann)]))[0]
    await eve.send("/account/sessions", session=str(theirs.id))
    still = await shop.buyers.read_sessions([_query(ann)])
    other = shop.browser("10.0.0.3")
    await other.sign_in()
    await ann.go("/account")
    await ann.send("/account/sessions", session="all")
    await other.go("/account")

    assert still[0] is not None
    assert "/account/sign-in" == other.path


async def test_deleting_the_account_wants_a_fresh_proof(shop):
    """Long after signing in the button asks for a code first; then the account is gone."""
    market = shop.market
    browser = shop.browser()
    await browser.sign_in()
    buyer = (await shop.buyers.read_sessions([_query(browser)]))[0].buyer
    placed = await market.place("GAME", contact="gift@example.com", buyer=buyer.id)
    market.clock.advance(901)
    await browser.go("/account")
    await browser.send("/account/delete", sure="yes")
    asked = browser.path
    kept = await shop.buyers.read_sessions([_query(browser)])
    await browser.sign_in()
    link = f"/orders/{to_serial(placed.order)}"
    await browser.go(f"{link}?key={placed.secret}")
    opened = (await browser.go(link)).status_code
    await browser.go("/account")
    await browser.send("/account/delete", sure="yes")
    closed = (browser.path, (await browser.go(link)).status_code)
    [left] = await market.orders.list_bought([BoughtQuery(buyer.id, "nobody@example.com")])

    assert "/account/sign-in" == asked
    assert kept[0] is not None
    assert "" == browser.cookie()
    assert (200, ("/", 404)) == (opened, closed)
    assert [] == left
    assert (await market.read(placed)) is not None


async def test_who_is_in_confirms_only_their_own_address(shop):
    """A form that names another address sends the code to the buyer's own."""
    browser = shop.browser()
    await browser.sign_in()
    shop.market.clock.advance(901)
    await browser.go("/account/sign-in")
    await browser.send("/account/sign-in", email="eve@example.com")

    assert not await shop.letters("eve@example.com")
    assert 2 == len(await shop.letters("ann@example.com"))


async def test_codes_are_asked_for_no_faster_than_the_limit(market):
    """A network that asks too often is told to wait, and no letter leaves."""

    async def wait(_: str) -> float:
        return 30.0

    await market.offer("GAME")
    shop = Shop(market, account_limit=wait)
    browser = shop.browser()
    await browser.go("/account/sign-in")
    await browser.send("/account/sign-in", email="ann@example.com")

    assert 429 == browser.page.status_code
    assert not await shop.letters("ann@example.com")
    await shop.close()


async def test_cookies_are_the_browsers_alone(shop):
    """The session's cookie is closed to scripts and to other sites."""
    browser = shop.browser()
    await browser.go("/account/sign-in")
    await browser.send("/account/sign-in", email="ann@example.com", next="")
    code = await shop.code("ann@example.com")
    fields = {"form_token": browser.field("form_token"), "email": "ann@example.com", "code": code}
    answer = await browser.http.post("/account/code", data=fields, headers={"referer": SITE})
    [cookie] = [
        each for each in answer.headers.get_list("set-cookie") if each.startswith("vendrail-buyer")
    ]

    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()


@pytest.mark.parametrize("before", ["", "nonsense", "0" * 26])
async def test_pages_of_orders_start_anywhere(shop, before):
    """An address with any number in it shows the account."""
    browser = shop.browser()
    await browser.sign_in()
    answer = await browser.go(f"/account?before={before}")

    assert 200 == answer.status_code


def _query(browser):
    """Ask who a browser's cookie is."""
    return BuyerSessionQuery(browser.cookie())


async def test_a_browser_that_was_signed_in_is_not_kept_out_by_strangers(shop):
    """However many codes others ask for to an address, its buyer still gets one."""
    ann = shop.browser()
    await ann.sign_in()
    await ann.go("/account")
    await ann.send("/account/sign-out")
    for n in range(8):
        for _ in range(5):
            eve = shop.browser(f"10.0.1.{n}")
            await eve.go("/account/sign-in")
            await eve.send("/account/sign-in", email="ann@example.com")
    stranger = shop.browser("10.0.2.1")
    await stranger.go("/account/sign-in")
    await stranger.send("/account/sign-in", email="ann@example.com")
    await ann.sign_in()
    await ann.go("/account")

    assert 429 == stranger.page.status_code
    assert "/account" == ann.path


def order_cookies(browser) -> list[str]:
    """Give the paths of what opens orders in a browser, their doors too."""
    return [each.path for each in browser.http.cookies.jar if each.name == "vr_order"]


@pytest.mark.parametrize("way", ["sign-out", "sessions"])
async def test_signing_out_closes_the_orders(shop, way):
    """What the account opened in a browser is closed with it: the next one there reads no keys."""
    market, browser = shop.market, shop.browser()
    await browser.sign_in()
    placed = await market.place("GAME", contact="ann@example.com")
    path = f"/orders/{(await market.read(placed)).serial}"
    await market.pay(placed.order)
    await market.run()
    await browser.go("/account")
    answer = await browser.http.get(f"{path}?key={placed.secret}")
    cookies = [each for each in answer.headers.get_list("set-cookie") if "vr_order=" in each]
    await browser.go(path)
    opened = browser.text
    for _ in range(7):  # More than the browser keeps in mind of what it opened last.
        other = await market.place("GAME", contact="ann@example.com")
        serial = (await market.read(other)).serial
        await browser.go(f"/orders/{serial}?key={other.secret}")
    kept = len(order_cookies(browser))
    await browser.go("/account")
    await browser.send(f"/account/{way}", session="all")
    left = order_cookies(browser)
    heads = [sum(map(len, each.headers.get_list("set-cookie"))) for each in browser.page.history]
    await browser.go(path)

    assert (16, []) == (kept, left)
    assert max(heads) < 3_500  # What proxies take of a head is mostly four kilobytes.
    assert [False, False] == ["max-age" in each.lower() for each in cookies]
    assert "Here is your key" in opened
    assert "Here is your key" not in browser.text
    assert "vr_recent" not in browser.http.cookies
