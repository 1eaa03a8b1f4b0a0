"""Every route that a shop's domain serves: for its orders, for others', for who is signed in."""

import re
from email import message_from_bytes
from email.policy import default

import httpx
import pytest
from tests.domains.conftest import SITE
from tests.domains.test_routing import HOST, street

from vendrail.api.buyers import Browser, Buyers, BuyerSessionQuery, CodeEntry, CodeRequest
from vendrail.api.orders import OrderQuery, OrderState, PlaceTopUp
from vendrail.api.wallets import WALLET_DESK, WalletKey, Wallets, WalletTerms
from vendrail.app.serving import assemble
from vendrail.kernel.ids import from_serial, new_id, shard_of, to_serial

__all__ = ["street"]  # A fixture.

ORDER = "/orders/{serial:str}"
# All that a domain serves of one order, and how it is asked for.
OF_ORDERS = {
    ORDER: "GET",
    f"{ORDER}/live": "GET",
    f"{ORDER}/deposit": "GET",
    f"{ORDER}/keys.txt": "GET",
    f"{ORDER}/files/{{number:str}}": "GET",
    f"{ORDER}/payments": "POST",
    f"{ORDER}/cancel": "POST",
    f"{ORDER}/events": "GET",
    f"{ORDER}/receipt.pdf": "GET",
    f"{ORDER}/help": "GET",
    f"{ORDER}/help/part": "GET",
    f"{ORDER}/help/events": "GET",
    f"{ORDER}/help/files/{{file:str}}": "GET",
    f"{ORDER}/help/messages": "POST",
    f"{ORDER}/help/complaints": "POST",
    f"{ORDER}/help/steps": "POST",
    "/pay/{serial:str}/{attempt:str}": "GET",
}
# What it serves beside: the shop, which others' tests look at, and what is nobody's.
BESIDE = {
    "/", "/shops/{slug:str}", "/products/{serial:str}", "/products/{serial:str}/coupon", "/orders",
    "/lookup", "/help", "/language/{tag:str}", "/theme/{name:str}", "/currency/{code:str}",
    "/robots.txt", "/sitemap.xml", "/assets/{name:str}", "/media/{path:path}", "/favicon.ico",
}  # fmt: skip
SAID = {"serial": "", "attempt": "", "number": "1", "file": "06A", "path": "x", "tag": "en"}


def routes(app):
    """List the routes of an application: paths, and methods."""
    while not hasattr(app, "routes"):
        app = app._inner if hasattr(app, "_inner") else app._app
    return [(each.path, each.methods - {"OPTIONS", "HEAD"}) for each in app.routes]


def filled(path, **values):
    """Put values into a route's path; what is left is anything."""
    return re.sub(r"\{(\w+):\w+\}", lambda m: values.get(m[1]) or SAID.get(m[1]) or "x", path)


async def ask(street, method, path, secret, **fields):
    """Ask for something with an order's secret, by a form of the domain's own; give the status."""
    browser = street.browser()
    page = await browser.get(await street.product(street.north, "NORTH-1"))
    token = re.search(r'name="form_token" value="([^"]*)"', page.text)[1]
    browser.cookies.set("vr_order", secret)
    sent = {}
    if method == "POST":
        sent = {"data": {"form_token": token, **fields}, "headers": {"origin": HOST}}
        if path.endswith(("/messages", "/complaints")):  # Forms that a file may come with.
            sent["files"] = {"kind": (None, "other")}
    async with browser.stream(method, path, **sent) as answer:
        return answer.status_code


async def sold(market, sku):
    """Sell a key; give the order, its secret and its attempt's number."""
    placed = await market.place(sku)
    await market.pay(placed.order)
    await market.run()
    return placed


async def test_no_route_shows_or_moves_another_shops_order(street):
    """With the order's own secret, every path there is closed, and nothing of it is moved."""
    paid = await sold(street.south, "SOUTH-1")
    waiting = await street.south.place("SOUTH-1")
    opened = {}
    serial = to_serial(paid.order)
    for path, method in OF_ORDERS.items():
        placed = waiting if path.endswith(("/cancel", "/payments", "{attempt:str}")) else paid
        [[attempt, *_]] = await street.south.payments.read_attempts([placed.order])
        values = {"serial": to_serial(placed.order), "attempt": to_serial(attempt.attempt.id)}
        where = filled(path, **values)
        opened[path] = await ask(street, method, where, placed.secret, nonce=serial)
    await street.south.run()
    [attempts] = await street.south.payments.read_attempts([waiting.order])

    assert set(OF_ORDERS) == set(opened)
    assert {404} == set(opened.values())
    assert OrderState.PLACED is (await street.south.read(waiting)).state
    assert 1 == len(attempts)


async def test_the_shops_own_orders_work_there(street):
    """What is closed for others' orders is open for the shop's own: pay, receipt, help, cancel."""
    paid, waiting = await sold(street.north, "NORTH-1"), await street.north.place("NORTH-1")
    [[attempt, *_]] = await street.north.payments.read_attempts([waiting.order])
    open_, closed = to_serial(waiting.order), to_serial(paid.order)
    paths = {
        f"/orders/{open_}": waiting,
        f"/orders/{open_}/live": waiting,
        f"/pay/{open_}/{to_serial(attempt.attempt.id)}": waiting,
        f"/orders/{closed}/keys.txt": paid,
        f"/orders/{closed}/receipt.pdf": paid,
        f"/orders/{closed}/help": paid,
        f"/orders/{closed}/help/part": paid,
    }
    seen = {path: await ask(street, "GET", path, placed.secret) for path, placed in paths.items()}
    written = await ask(
        street, "POST", f"/orders/{closed}/help/messages", paid.secret,
        text="Hello", nonce=to_serial(new_id(street.zone.clock.now())),
    )  # fmt: skip
    third = await street.north.place("NORTH-1")
    cancel = f"/orders/{to_serial(third.order)}/cancel"
    cancelled = await ask(street, "POST", cancel, third.secret)
    await street.north.run()

    assert {200, 303} >= set(seen.values())
    assert (303, 303) == (written, cancelled)
    assert OrderState.CANCELLED is (await street.north.read(third)).state


async def test_a_domain_serves_the_listed_routes_and_no_other(street):
    """Whatever is added to the platform is not on domains before it is on a list and looked at."""
    browser = street.browser()
    served = set()
    for path, methods in routes(street.app):
        for method in methods:
            where = filled(path, serial=to_serial(new_id(street.zone.clock.now())))
            answer = await browser.request(method, where)
            if "Nothing here" not in answer.text or answer.status_code != 404:
                served.add(path)
    elsewhere = served - set(OF_ORDERS) - BESIDE

    assert set() == elsewhere
    assert {"/", "/help", ORDER, f"{ORDER}/cancel"} <= served


class Ann:
    """A buyer with money in her wallet, and the cookie that says who she is."""

    def __init__(self, street, token, id) -> None:
        self.street, self.token, self.id = street, token, id
        self.wallets = street.zone.house.api(Wallets)

    def browser(self, base):
        """Open a browser that sends the cookie to a host, whoever gave it."""
        browser = self.street.browser(base)
        browser.headers["cookie"] = f"__Host-vendrail-buyer={self.token}"
        return browser

    async def balance(self):
        """Give what is in the wallet, and what of it is reserved."""
        [wallet] = await self.wallets.read_wallets([WalletKey(self.id, "CNY")])
        return wallet.balance_minor, wallet.held_minor


@pytest.fixture
async def ann(street, tmp_path):
    """Ann has signed in on the platform, and topped her wallet up."""
    house, market = street.zone.house, street.north
    buyers, browser = house.api(Buyers), Browser("10.0.0.1", "device-at-home", "Firefox")
    await house.api(Wallets).put_wallet_terms([WalletTerms("CNY", True, 100, 50_000, 60_000)])
    await buyers.request_codes([CodeRequest("ann@example.com", browser, "en")])
    while await house.services["notify"].sending().send_due():
        pass
    [letter] = (tmp_path / "mailbox").glob("*.eml")
    text = message_from_bytes(letter.read_bytes(), policy=default).get_body(("plain",))
    code = re.search(r"^ +(\d{8})\s*$", text.get_content(), re.MULTILINE)[1]
    entry = CodeEntry("ann@example.com", code, browser, "", "en")
    [entered] = await buyers.redeem_codes([entry])
    [session] = await buyers.read_sessions([BuyerSessionQuery(entered.token)])
    id = new_id(house.clock.now(), shard_of(WALLET_DESK))
    [placed] = await market.orders.place_top_ups(
        [PlaceTopUp(id, session.buyer.id, "Top-up", 5_000, "CNY", "alipay", "", "", "en")]
    )
    await market.pay(placed.order, amount_minor=5_000)
    await market.run()
    return Ann(street, entered.token, session.buyer.id)


async def test_nobody_is_signed_in_on_a_domain(street, ann):
    """A session's cookie, sent by hand, opens nothing there: no account, wallet or saved way."""
    placed = await street.north.place("NORTH-1", method="", buyer=ann.id)
    path = f"/orders/{to_serial(placed.order)}"
    cookie = f"__Host-vendrail-buyer={ann.token}; vr_order={placed.secret}"
    pages, wallet = {}, {}
    for base in (HOST, SITE):
        browser = street.browser(base)
        headers = {"cookie": cookie}
        pages[base] = (await browser.get(path, headers=headers)).text
        asked = await browser.get(f"{path}/wallet", headers=headers)
        wallet[base] = (asked.status_code, "50.00" in asked.text)

    assert "Pay from your wallet" in pages[SITE]  # The cookie is good where it belongs.
    assert (200, True) == wallet[SITE]
    assert "wallet" not in pages[HOST].lower()
    assert "/account" not in pages[HOST]
    assert "ann@" not in pages[HOST]
    assert (404, False) == wallet[HOST]


async def test_what_is_sent_there_with_a_session_moves_nothing(street, ann):
    """Paying from a wallet, taking back, saved ways and one click are not there; guests buy."""
    placed = await street.north.place("NORTH-1", method="", buyer=ann.id)
    path = f"/orders/{to_serial(placed.order)}"
    browser = street.browser()
    page = await browser.get(await street.product(street.north, "NORTH-1"))
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    mark = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    cookie = f"{mark}; __Host-vendrail-buyer={ann.token}; vr_order={placed.secret}"
    headers = {"cookie": cookie, "origin": HOST}
    browser.cookies.clear()
    sent = {"form_token": form["form_token"], "amount": "19.90", "saved": to_serial(placed.order)}
    answers = [
        (await browser.post(f"{path}{below}", data=sent, headers=headers)).status_code
        for below in ("/wallet", "/wallet/", "/wallet/free", "/saved")
    ]
    answers.append((await browser.post("/orders/confirm", data=sent, headers=headers)).status_code)
    form |= {"contact": "a@buyer.example", "quantity": "1", "remember": "yes"}
    bought = await browser.post("/orders", data=form, headers=headers)
    serial = re.search(r"/orders/(\w{26})", bought.headers["location"])[1]
    [view] = await street.north.orders.read_orders([OrderQuery(from_serial(serial), None)])

    assert [404] * 5 == answers
    assert (5_000, 0) == await ann.balance()
    assert OrderState.PLACED is (await street.north.read(placed)).state
    assert (303, None) == (bought.status_code, view.buyer)


async def test_a_process_without_pages_shows_nothing_on_a_domain(street):
    """Where only the API is served, a shop's domain has none of it, nor callbacks; others do."""
    app = assemble(street.zone.house, ["gateway"])
    asked = {}
    for host in ("keys.example", "KEYS.example:443", "pay.vendrail.example", "gateway:8000"):
        transport = httpx.ASGITransport(app, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as browser:
            headers = {"host": host}
            asked[host] = [
                (await browser.request(method, path, headers=headers)).status_code
                for method, path in (
                    ("GET", "/api/v1/products"),
                    ("GET", "/healthz"),
                    ("GET", "/orders/x"),
                    ("POST", "/callbacks/x"),
                )
            ]

    assert [404] * 4 == asked["keys.example"] == asked["KEYS.example:443"]
    assert [200, 200, 404] == asked["pay.vendrail.example"][:3] == asked["gateway:8000"][:3]
