"""Requests by Host: what is on a shop's own domain, what is not, and what no header does."""

import asyncio
import html
import re
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from tests.domains.conftest import SITE
from tests.orders.conftest import Market

from vendrail.api.catalog import Catalog, SalesStop
from vendrail.api.domains import DomainName
from vendrail.api.payments import ChannelAccount, ChannelId, Payments
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.serving import assemble
from vendrail.kernel.ids import from_serial, new_id, to_serial
from vendrail.web.hosts import ShopHosts

HOST = "https://keys.example"


class Street:
    """Two shops that sell, the first on a domain of its own, behind the whole application."""

    def __init__(self, zone, north, south) -> None:
        self.zone, self.north, self.south = zone, north, south
        self.app = assemble(zone.house, ["gateway", "web"])
        self.browsers = []

    def browser(self, base=HOST):
        """Open a browser at a host."""
        headers = {"accept-language": "en", "accept": "text/html"}
        transport = httpx.ASGITransport(self.app, client=("10.0.0.1", 1))
        self.browsers.append(httpx.AsyncClient(transport=transport, base_url=base, headers=headers))
        return self.browsers[-1]

    async def product(self, market, sku):
        """Give the path of the product that a SKU is of."""
        [offer] = await market.catalog.read_offers([sku])
        return f"/products/{to_serial(offer.product)}"

    async def buy(self, browser, path, **fields):
        """Send the form of a product's page; give the answer."""
        page = await browser.get(path)
        form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        wanted = form | {"contact": "a@buyer.example", "quantity": "1"} | fields
        wanted.pop("remember", None)
        return await browser.post("/orders", data=wanted)


@pytest.fixture
async def street(zone):
    """Two shops; `keys.example` is the first one's."""
    channel = bench_channel()
    await zone.house.api(Payments).put_channels([channel])
    markets = []
    for slug in ("north", "south"):
        shop = await zone.open(slug)
        await zone.house.api(Settlement).put_fee_terms([FeeTerms(shop.merchant, "CNY", 250)])
        market = Market(zone.house, shop.merchant, shop.id, channel.id)
        market.record = shop
        await market.offer(f"{slug.upper()}-1", keys=5, title=f"Key of {slug}")
        markets.append(market)
    zone.clock.advance(10)
    street = Street(zone, *markets)
    street.domain = await zone.proven(markets[0].record)
    yield street
    for each in street.browsers:
        await each.aclose()


async def test_a_proven_host_shows_its_shop_and_no_other(street):
    """At the front is the shop with its name, its goods and nothing of the platform or others."""
    browser = street.browser()
    page = (await browser.get("/")).text
    own = await browser.get(await street.product(street.north, "NORTH-1"))
    other = await browser.get(await street.product(street.south, "SOUTH-1"))
    shops = [(await browser.get(f"/shops/{slug}")).status_code for slug in ("north", "south")]

    assert "Key of north" in page
    assert "Key of south" not in page
    assert "<title>North</title>" in page
    assert not re.search(r'href="/(console|account|api|shops)', page)
    assert (200, 404) == (own.status_code, other.status_code)
    assert [303, 404] == shops


@pytest.mark.parametrize(
    "path",
    [
        "/console/sign-in", "/console/register", "/merchant", "/operator", "/account", "/api/docs",
        "/api/openapi.json", "/api/v1/products", "/callbacks/x", "/metrics", "/healthz", "/readyz",
        "/rpc/domains/list_hosts", "/submit.php", "/domains/ask?domain=keys.example", "/join/x",
        "/design", "/lookup/code", "//console/sign-in", "/products/../console/sign-in",
    ],
)  # fmt: skip
async def test_consoles_and_api_are_on_the_platforms_host_alone(street, path):
    """Nothing but the shop is there on its domain, however the path is written."""
    answer = await street.browser().get(path)

    assert 404 == answer.status_code
    assert "set-cookie" not in answer.headers or "session" not in answer.headers["set-cookie"]


async def test_a_purchase_stays_on_the_domain(street):
    """Placed on the domain, an order is paid and opened there, with cookies of that host alone."""
    browser = street.browser()
    placed = await street.buy(browser, await street.product(street.north, "NORTH-1"))
    path = placed.headers["location"]
    order = await browser.get(path)
    door = re.search(r'href="(/pay/[^"]+)"', order.text)[1]
    cookies = placed.headers.get_list("set-cookie")
    elsewhere = await street.browser(SITE).get(path)

    assert (303, 200) == (placed.status_code, order.status_code)
    assert path.startswith("/orders/")
    assert cookies
    assert not [each for each in cookies if "domain=" in each.lower()]
    assert all("secure" in each.lower() and "httponly" in each.lower() for each in cookies)
    assert 404 == elsewhere.status_code
    went = await browser.get(door)
    assert went.status_code in (200, 303, 503)


async def test_a_provider_sends_the_buyer_back_to_the_domain(street):
    """A provider is told the domain to lead back to, and the platform's host to call back."""
    settings = {"url": "https://epay.example/", "pid": "1001", "key": "k" * 32}
    settings |= {"methods": "wechat"}  # It is led to by an address that is signed here.
    account = ChannelAccount(
        ChannelId(new_id(street.zone.clock.now())), "epay", "epay", "Epay", ["CNY"], settings
    )
    await street.north.payments.put_channels([account])
    browser = street.browser()
    path = await street.product(street.north, "NORTH-1")
    page = await browser.get(path)
    method = next(
        each for each in re.findall(r'name="method" value="([^"]+)"', page.text) if "wechat" in each
    )
    placed = await street.buy(browser, path, method=method)
    path = urlsplit(placed.headers["location"]).path
    serial = path.rpartition("/")[2]
    [[attempt]] = await street.north.payments.read_attempts([from_serial(serial)])
    page = await browser.get(f"/pay/{serial}/{to_serial(attempt.attempt.id)}")
    told = unquote(html.unescape(page.headers.get("location", "") + page.text))

    assert "return_url" in told
    assert f"{HOST}{path}" in told
    assert f"{SITE}/callbacks/" in told


async def test_no_other_shops_goods_are_sold_there(street):
    """A form that names another shop's SKU places nothing on the domain."""
    browser = street.browser()
    answer = await street.buy(browser, await street.product(street.north, "NORTH-1"), sku="SOUTH-1")

    assert 422 == answer.status_code
    assert "This choice is gone" in answer.text


async def test_orders_of_other_shops_do_not_open_there(street):
    """Another shop's order is closed on the domain: whoever has the host could read along."""
    placed = await street.south.place("SOUTH-1")
    link = f"/orders/{to_serial(placed.order)}?key={placed.secret}"
    there = await street.browser().get(link)
    here = await street.browser(SITE).get(link)

    assert (404, 303) == (there.status_code, here.status_code)
    assert "set-cookie" not in there.headers or "vr_order" not in there.headers["set-cookie"]


async def test_forms_of_another_origin_are_refused_there(street):
    """A form that the platform's pages or anybody else's sent is not taken on the domain."""
    browser = street.browser()
    path = await street.product(street.north, "NORTH-1")
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', (await browser.get(path)).text))
    form |= {"contact": "a@buyer.example", "quantity": "1"}
    form.pop("remember", None)
    answers = [
        (await browser.post("/orders", data=form, headers={"origin": origin})).status_code
        for origin in ("https://evil.example", "https://south.example", HOST)
    ]
    foreign = street.browser()
    token = await foreign.post("/orders", data=form)

    assert [403, 403, 303] == answers
    assert 403 == token.status_code


@pytest.mark.parametrize("host", ["evil.example", "KEYS.example.evil.example", "203.0.113.9"])
async def test_a_host_that_nobody_proved_is_the_platforms_page(street, host):
    """An unknown Host gets the platform's front, and appears in no address of it."""
    answer = await street.browser(SITE).get("/", headers={"host": host})
    page = answer.text

    assert 200 == answer.status_code
    assert "Key of south" in page
    assert host.lower() not in page.lower()
    assert f'rel="canonical" href="{SITE}/"' in page


async def test_only_the_host_counts_not_what_proxies_forward(street):
    """X-Forwarded-Host and an absolute path name no shop, and no platform either."""
    forwarded = {"x-forwarded-host": "keys.example", "forwarded": "host=keys.example"}
    here = await street.browser(SITE).get("/", headers=forwarded)
    there = await street.browser().get(
        "/console/sign-in", headers={"x-forwarded-host": urlsplit(SITE).hostname}
    )

    assert "Key of south" in here.text
    assert 404 == there.status_code


@pytest.mark.parametrize("host", ["KEYS.example", "keys.example:443", "keys.example."])
async def test_a_host_is_known_however_it_is_written(street, host):
    """Case, a port and the dot at the end change nothing."""
    page = await street.browser().get("/", headers={"host": host})

    assert "<title>North</title>" in page.text


async def test_every_page_says_where_it_is_at_home(street):
    """A shop with a domain has one canonical address on both hosts, and one sitemap entry."""
    path = await street.product(street.north, "NORTH-1")
    there, here = street.browser(), street.browser(SITE)
    canonical = [
        re.search(r'rel="canonical" href="([^"]+)"', (await who.get(where)).text)[1]
        for who, where in (
            (there, "/"), (here, "/shops/north"), (there, path), (here, path),
            (here, "/shops/south"),
        )
    ]  # fmt: skip
    maps = [
        re.findall("<loc>([^<]+)</loc>", (await who.get("/sitemap.xml")).text)
        for who in (there, here)
    ]
    south = await street.product(street.south, "SOUTH-1")
    robots = [(await who.get("/robots.txt")).text for who in (there, here)]

    assert [f"{HOST}/"] * 2 + [f"{HOST}{path}"] * 2 + [f"{SITE}/shops/south"] == canonical
    assert [f"{HOST}/", f"{HOST}{path}"] == maps[0]
    assert [f"{SITE}/", f"{SITE}/shops/south", f"{SITE}{south}"] == maps[1]
    assert f"Sitemap: {HOST}/sitemap.xml" in robots[0]
    assert f"Sitemap: {SITE}/sitemap.xml" in robots[1]


async def test_https_is_promised_for_the_domain_alone(street):
    """What is below a merchant's domain is not bound to HTTPS by us; below the platform's it is."""
    there = (await street.browser().get("/")).headers["strict-transport-security"]
    here = (await street.browser(SITE).get("/")).headers["strict-transport-security"]

    assert ("max-age=31536000", True) == (there, "includeSubDomains" in here)


async def test_a_stopped_merchant_is_closed_on_the_domain_too(street):
    """The domain of a merchant whose sales are stopped says no more than the platform does."""
    stop = SalesStop(street.north.merchant, "stolen keys")
    await street.zone.house.api(Catalog).stop_sales([stop])
    there = await street.browser().get("/")
    here = await street.browser(SITE).get("/shops/north")

    assert (404, 404) == (there.status_code, here.status_code)
    assert "Nothing here" in there.text
    assert "stolen" not in there.text


async def test_certificates_are_for_proven_hosts_alone(street):
    """The proxy's question is answered 200 for a proven host, and 404 for anything else."""
    waiting = (await street.zone.add(street.south.record, "wait.example")).domain
    ask = street.browser("http://127.0.0.1:8000")
    told = {
        host: (await ask.get("/domains/ask", params={"domain": host})).status_code
        for host in ("keys.example", "KEYS.example", waiting.host, "pay.vendrail.example", "", "x")
    }

    assert 200 == told.pop("keys.example") == told.pop("KEYS.example")
    assert {404} == set(told.values())


async def test_a_host_that_is_lost_is_served_no_more(street):
    """Within seconds of a domain's end its host is like any other that points here."""
    browser = street.browser()
    before = (await browser.get("/")).text
    name = DomainName(street.domain.id, street.domain.merchant)
    await street.zone.domains.remove_domains([name])
    for _ in range(60):
        after = (await browser.get("/")).text
        if "Key of south" in after:
            break
        await asyncio.sleep(0.1)

    assert "Key of south" not in before
    assert "Key of south" in after


async def test_a_page_costs_no_look_at_the_database_for_its_host(street):
    """A hundred requests at once ask for the list of domains once."""
    house, asked = street.zone.house, []
    service = house.services["domains"]

    class Counting:
        async def list_hosts(self):
            asked.append(1)
            return await service.list_hosts()

    async def no_shop(slug):
        return None

    hosts = ShopHosts(Counting(), no_shop, SITE)
    found = await asyncio.gather(*(hosts.find("keys.example") for _ in range(100)))
    hosts.forget()
    await hosts.find("keys.example")

    assert {HOST} == {each.origin for each in found}
    assert 2 == len(asked)
