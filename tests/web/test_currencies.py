"""Prices in the visitor's currency: guessed by the address, chosen by hand, then promised."""

import asyncio
import html
import re
import struct
from pathlib import Path

import httpx
import pytest
from playwright.async_api import async_playwright
from tests.orders.conftest import market
from tests.orders.test_exchanges import PRICE_MINOR, Abroad, abroad, old_rates
from tests.web.console.conftest import make_app
from tests.web.test_browser import CHROMIUM, FLAGS

from vendrail.api.catalog import ProductQuery
from vendrail.api.fx import QuoteId, QuoteRequest, RatePair
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Malformed
from vendrail.kernel.http.addresses import Proxies
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.limits.proofs import Proofs
from vendrail.kernel.money import exponent
from vendrail.kernel.telemetry import Metrics
from vendrail.web.amounts import amount
from vendrail.web.calls import Calls
from vendrail.web.countries import Countries
from vendrail.web.languages import LANGUAGES

__all__ = ["abroad", "market", "old_rates"]

ASSETS = Path(__file__).parents[2] / "src/vendrail/web/assets"
AMERICA, CHINA, KOREA = "8.8.8.8", "114.114.114.114", "168.126.63.1"
PAIR = RatePair("USD", "CNY")


@pytest.mark.parametrize(
    "address, currency",
    [
        (AMERICA, "USD"),
        (CHINA, "CNY"),
        (KOREA, "KRW"),
        ("2001:4860:4860::8888", "USD"),
        ("127.0.0.1", ""),
        ("10.1.2.3", ""),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_b6_the_address_tells_the_currency(address, currency):
    """The registries' lists say where an address is; of private ones they say nothing."""
    assert currency == Countries().currency(address)


def mmdb(row: bytes) -> bytes:
    """Write a file in MaxMind's form by hand: all of 8.0.0.0/8 is one row, the rest is nothing."""

    def text(value: str) -> bytes:
        return bytes([0x40 | len(value)]) + value.encode()

    nodes = 8
    found = nodes + 16  # The first row of the data behind the tree.
    tree = b""
    for depth in range(nodes):
        going = found if depth == nodes - 1 else depth + 1
        pair = (nodes, going) if 8 >> (7 - depth) & 1 else (going, nodes)
        tree += b"".join(struct.pack(">I", each)[1:] for each in pair)

    def number(value: int) -> bytes:
        return b"\xa2" + struct.pack(">H", value)

    facts = {
        "binary_format_major_version": number(2),
        "binary_format_minor_version": number(0),
        "build_epoch": b"\x04\x02" + struct.pack(">I", 1_790_000_000),
        "database_type": text("Test"),
        "description": b"\xe0",
        "ip_version": number(4),
        "languages": b"\x00\x04",
        "node_count": b"\xc1" + bytes([nodes]),
        "record_size": number(24),
    }
    told = bytes([0xE0 | len(facts)]) + b"".join(text(n) + v for n, v in facts.items())
    return tree + bytes(16) + row + b"\xab\xcd\xefMaxMind.com" + told


FLAT = b"\xe1" + b"\x4ccountry_code" + b"\x42JP"
NESTED = b"\xe1" + b"\x47country" + b"\xe1" + b"\x48iso_code" + b"\x42JP"


@pytest.mark.parametrize("row", [FLAT, NESTED])
def test_a_file_of_countries_takes_the_place_of_the_lists(tmp_path, row):
    """A file in MaxMind's form, of either shape, decides; what it does not hold is nowhere."""
    (tmp_path / "countries.mmdb").write_bytes(mmdb(row))
    countries = Countries(str(tmp_path / "countries.mmdb"))

    assert "JPY" == countries.currency(AMERICA)
    assert ["", "", ""] == [countries.currency(each) for each in (CHINA, "::1", "x")]


def test_a_file_of_countries_that_is_none_is_told_at_the_start(tmp_path):
    """A path to nothing, or to something else, names the setting."""
    (tmp_path / "other.mmdb").write_text("not one")
    for path in (tmp_path / "gone.mmdb", tmp_path / "other.mmdb"):
        with pytest.raises(Malformed, match="COUNTRY_DATABASE"):
            Countries(str(path))


@pytest.mark.parametrize(
    "minor, currency, english, chinese",
    [
        (1_234, "JPY", "¥1,234", "JP¥1,234"),
        (1_234_500, "KWD", "KWD\u00a01,234.500", "KWD\u00a01,234.500"),
        (123_450, "USD", "$1,234.50", "US$1,234.50"),
        (123_450, "CNY", "CN¥1,234.50", "¥1,234.50"),
    ],
)
def test_amounts_have_their_own_places(minor, currency, english, chinese):
    """Yen have none, dinars three; signs are those of the reader's language."""
    assert english == amount(minor, currency, LANGUAGES["en"].locale)
    assert chinese == amount(minor, currency, LANGUAGES["zh-Hans"].locale)


class Shopper:
    """A browser at a network address, over the pages and the real services behind them."""

    def __init__(self, there: Abroad, address: str, make_gate=None, **settings) -> None:
        self.there = there
        home = there.market.house.platform.home
        app = make_app(there.market.house, home, make_gate, **settings)
        transport = httpx.ASGITransport(app, client=(address, 4_321))
        self.http = httpx.AsyncClient(
            transport=transport,
            base_url="http://console.example",
            headers={"Accept-Language": "en"},
        )
        self.text = ""

    async def look(self, path: str, **headers: str) -> str:
        """Open a page; give what is written on it."""
        answer = await self.http.get(path, headers=headers, follow_redirects=True)
        self.text = answer.text
        shown = re.sub(r"<(style|script|svg).*?</\1>", "", answer.text, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", shown)).split())

    async def product(self) -> str:
        """Open the page of the one product."""
        [[view]] = await self.there.market.catalog.find_products([ProductQuery()])
        return await self.look(f"/products/{to_serial(view.product.id)}")

    def fields(self) -> dict[str, str]:
        """Read the form that is on the page."""
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', self.text)
        return {name: html.unescape(value) for name, value in hidden}

    async def order(self, **changed: str) -> httpx.Response:
        """Send the form."""
        filled = {"sku": "GAME", "quantity": "1", "contact": "a@b.example", "method": "alipay"}
        headers = {"origin": "http://console.example", "sec-fetch-site": "same-origin"}
        return await self.http.post(
            "/orders", data={**self.fields(), **filled, **changed}, headers=headers
        )


@pytest.fixture
async def come(abroad):
    """Let somebody come from an address."""
    await abroad.offer("GAME")
    opened = []

    def enter(address: str, **settings) -> Shopper:
        opened.append(Shopper(abroad, address, **settings))
        return opened[-1]

    yield enter
    for each in opened:
        await each.http.aclose()


async def test_b6_prices_begin_in_the_currency_of_the_place(come):
    """From America dollars, from China the yuan that are paid; nobody knows: the shop's own."""
    american, chinese, private = come(AMERICA), come(CHINA), come("192.168.0.7")

    assert "$9.99" in await american.look("/")
    assert "CN¥" in await chinese.look("/")
    assert "CN¥" in await private.look("/")
    assert "Currency: USD" in await american.look("/")
    assert "Currency: CNY" in await come(AMERICA, is_currency_by_country=False).look("/")


async def test_the_visitor_s_word_counts_more_than_the_place(come):
    """Chosen by hand it stays so in this browser; nonsense, or a way elsewhere, changes nothing."""
    shopper = come(AMERICA)
    back = await shopper.http.get("/currency/JPY?next=/help")
    yen = await shopper.look("/")
    await shopper.look("/currency/XXX")
    still = await shopper.look("/")

    assert ("/help", 303) == (back.headers["location"], back.status_code)
    assert "≈ ¥1," in yen
    assert "Currency: JPY" in still
    assert "/" == (await shopper.http.get("/currency/CNY?next=//evil.example")).headers["location"]


async def test_a_forwarded_address_is_believed_from_our_proxies_only(come):
    """What a stranger says of where it is changes nothing; what our proxy says does."""
    shopper = come(AMERICA)
    forged = await shopper.look("/", **{"X-Forwarded-For": CHINA})
    ours = Proxies([AMERICA]).client(AMERICA, CHINA)

    assert "Currency: USD" in forged
    assert "CNY" == Countries().currency(ours)
    assert AMERICA == Proxies(["10.0.0.0/8"]).client(AMERICA, CHINA)


async def test_what_is_shown_is_what_is_paid(come, abroad):
    """The page tells price, rate and cost; the order costs just that, each on its line."""
    shopper = come(CHINA)
    page = await shopper.product()
    [shown] = set(re.findall(r"CN¥([\d.]+)", page))
    answer = await shopper.order()
    order = await shopper.look(answer.headers["location"])
    total, fair, spread, pay = re.search(
        r"Total \$([\d.]+) At the middle rate CN¥([\d.]+) Exchange CN¥([\d.]+) You pay CN¥([\d.]+)",
        order,
    ).groups()

    assert "1 USD = 6.65288 CNY" in page
    assert "0.2% for the exchange" in page
    assert 303 == answer.status_code
    assert (f"{PRICE_MINOR / 100:.2f}", shown) == (total, pay)
    assert int(pay.replace(".", "")) == int(fair.replace(".", "")) + int(spread.replace(".", ""))
    assert f"Pay CN¥{shown}" in order


@pytest.mark.browser
@pytest.mark.parametrize("currency", ["CNY", "JPY"])
async def test_the_total_of_several_is_what_is_charged(come, abroad, currency):
    """In a real browser the button tells, for any quantity, just what the quote will be."""
    shopper = come(CHINA)
    await shopper.product()
    found = (await abroad.fx.read_rates([RatePair("USD", currency)]))[0].rate
    places = exponent(currency) - exponent("USD")
    told = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        await page.set_content(shopper.text, wait_until="domcontentloaded")
        await page.add_script_tag(path=ASSETS / "app.js")
        await page.locator("form[data-buy]").evaluate(
            "(form, told) => Object.assign(form.dataset, told)",
            {
                "currency": currency,
                "mid": f"{found.mid:f}",
                "points": str(found.basis_points),
                "places": str(places),
            },
        )
        for quantity in range(1, 8):
            await page.locator("#quantity").fill(str(quantity))
            text = await page.locator("[data-total]").inner_text()
            told.append(int(re.sub(r"[^0-9]", "", text)))
        await browser.close()

    assert [found.price(PRICE_MINOR * quantity).paid_minor for quantity in range(1, 8)] == told
    assert told != [told[0] * quantity for quantity in range(1, 8)]


async def test_the_form_tells_scripts_its_rate(come, abroad):
    """What the total is made of stands on the form: the price's own amount, rate and spread."""
    shopper = come(CHINA)
    await shopper.product()
    rate = (await abroad.fx.read_rates([PAIR]))[0].rate

    assert f'data-mid="{rate.mid:f}" data-points="20" data-places="0"' in shopper.text
    assert f'data-price="{PRICE_MINOR}"' in shopper.text


async def test_the_same_form_sent_twice_is_one_order(come):
    """Sent again, the form leads to the order that it has made, at the price that it was given."""
    shopper = come(CHINA)
    await shopper.product()
    first, again = await shopper.order(), await shopper.order()

    assert 303 == first.status_code == again.status_code
    assert first.headers["location"] == again.headers["location"]


async def test_a_price_that_rose_is_shown_before_it_is_asked(come):
    """A form whose rate was better, or is none, orders nothing: the page comes and says why."""
    shopper = come(CHINA)
    await shopper.product()
    for rate in ("6.6", "", "NaN", "-7", "1e9"):
        answer = await shopper.order(rate=rate)

        assert 422 == answer.status_code
        assert "has changed" in answer.text
    assert 303 == (await shopper.order(rate="6.7")).status_code  # It fell: all the better.


async def test_x22_who_must_work_first_is_promised_nothing(come, abroad, vault, make_database):
    """Under strain a form without a proof gets a challenge, and no quote is written for it."""
    market = abroad.market
    proofs = Proofs(await make_database("limits"), vault, market.clock, numbers_max=20_000)
    gate = Gate(proofs, market.clock, free_per_minute=0, is_strained=lambda: True)
    shopper = come(CHINA, make_gate=lambda _: gate)
    await shopper.product()
    before = await count_quotes(market)
    answer = await shopper.order()

    assert 428 == answer.status_code
    assert "altcha" in answer.text
    assert before == await count_quotes(market)


async def test_many_quotes_go_in_one_batch(abroad):
    """Forms that come at once are quoted together."""
    market, metrics = abroad.market, Metrics()
    calls = Calls(market.catalog, market.orders, market.payments, metrics, fx=abroad.fx)
    asked = [
        QuoteRequest(QuoteId(new_id(market.clock.now())), PRICE_MINOR, "USD", "CNY")
        for _ in range(5)
    ]
    told = await asyncio.gather(*(calls.quote(each) for each in asked))
    await calls.drain()
    text = (await metrics.render()).decode()

    assert [each.id for each in asked] == [each.quote.id for each in told]
    assert ["1.0", "5.0"] == [
        re.search(rf"vendrail_batch_size_{kind}{{[^}}]*web.quote_amounts[^}}]*}} (\S+)", text)[1]
        for kind in ("count", "sum")
    ]


async def count_quotes(market) -> int:
    """Count all quotes that were ever written."""
    owner = await connect_once(market.house.platform.database_url)
    try:
        return await owner.fetchval("select count(*) from fx.quote")
    finally:
        await owner.close()


async def test_without_rates_the_price_is_its_own(come, abroad):
    """No rate can be believed: the page says why, and nothing is promised in another currency."""
    shopper = come(CHINA)
    await shopper.product()
    abroad.market.clock.advance(1_000_000_001)
    fx = abroad.market.house.services["fx"]
    before = shopper.fields()
    await shopper.product()
    page = await come(CHINA).product()
    answer = await shopper.order(
        **{k: v for k, v in before.items() if k in ("paid_currency", "rate")}
    )

    assert "stale" in (await fx.read_rates([PAIR]))[0].status
    assert "$9.99" in page
    assert "too old just now" in page
    assert 422 == answer.status_code
    assert "too old just now" in answer.text
