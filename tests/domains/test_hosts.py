"""Hosts that nobody knows yet: while the list of domains cannot be read."""

import asyncio

import httpx
import pytest
from tests.domains.conftest import SITE
from tests.web.test_browser import free_port, served

from vendrail.app.services import SERVICES
from vendrail.app.serving import assemble
from vendrail.app.wiring import House
from vendrail.kernel.errors import Unavailable
from vendrail.web.hosts import ShopHosts

AT_A_SHOP = {"accept-language": "en", "host": "keys.example"}
ASKED = (
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/products/x"),
    ("GET", "/sitemap.xml"),
    ("POST", "/orders"),
    ("GET", "/api/v1/products"),
    ("GET", "/healthz"),
)


class Away:
    """Domains that do not answer."""

    async def list_hosts(self):
        """Fail as a service does that is away."""
        raise Unavailable("It is away.")


@pytest.mark.parametrize(
    "host, is_open",
    [
        ("shop.example", False),
        ("keys.example", True),
        ("localhost", True),
        ("127.0.0.1", True),
        ("[::1]", True),
        ("127.0.0.1.shop.example", False),
    ],
)
async def test_no_host_is_the_platforms_before_the_domains_were_read(host, is_open):
    """A merchant's domain never shows the platform's sign-in because a list was late."""
    hosts = ShopHosts(Away(), None, "https://keys.example:8443")
    found = await hosts.find(host)

    assert found is None
    assert is_open is hosts.is_open(host)


@pytest.mark.parametrize("faces", [["gateway", "web"], ["gateway"]])
async def test_a_host_that_nobody_knows_yet_is_told_to_come_back(zone, faces):
    """Until the list was read once, 503 with Retry-After and never 404; the platform's own answers.

    Whatever is asked for: what is not found is kept by caches, and the shop would seem gone. When
    `domains` is there, so is the shop.
    """
    await zone.proven(await zone.open("north"))
    port = free_port()
    names = [each.name for each in SERVICES if each.name != "domains"]
    peers = {"domains": f"http://127.0.0.1:{port}"}
    house = House(zone.house.platform, {}, zone.clock, zone.house.vault, only=names, peers=peers)
    transport = httpx.ASGITransport(assemble(house, faces), client=("10.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=SITE) as browser:
        early = [await browser.request(method, path, headers=AT_A_SHOP) for method, path in ASKED]
        own = await browser.get("/healthz")
        made_up = await browser.get("/-/later")
        question = await browser.get("/domains/ask?domain=keys.example")
        async with served(assemble(zone.house, []), port):
            for _ in range(100):
                late = await browser.get("/", headers=AT_A_SHOP)
                if late.status_code != 503:
                    break
                await asyncio.sleep(0.1)
    await house.stop()

    assert {(503, "2")} == {(each.status_code, each.headers["retry-after"]) for each in early}
    assert not [each for each in early if "sign-in" in each.text or "/account" in each.text]
    assert not [each for each in early if "content-security-policy" not in each.headers]
    assert (200, 404) == (own.status_code, made_up.status_code)
    if "web" in faces:
        assert "Wait a few seconds and try again." in early[0].text
        assert (503, 200) == (question.status_code, late.status_code)
        assert "North" in late.text
    else:
        assert "unavailable" == early[0].json()["code"]
        assert 404 == late.status_code  # It has no pages: nothing is there on a shop's domain.
