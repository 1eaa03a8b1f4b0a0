"""A shop with accounts over real services: browsers without JavaScript, and their letters."""

import html
import re
from email import message_from_bytes
from email.policy import default
from urllib.parse import urlsplit

import httpx
from litestar import Litestar

from vendrail.api.buyers import Buyers
from vendrail.api.catalog import Catalog
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.web.app import build_routes
from vendrail.web.settings import WebSettings

SITE = "http://localhost"


class Shopper:
    """A browser without JavaScript: follows where it is led, and sends the forms it sees."""

    def __init__(self, shop, address: str = "10.0.0.1") -> None:
        transport = httpx.ASGITransport(shop.app, client=(address, 1))
        headers = {"Accept-Language": "en", "Accept": "text/html"}
        self.http = httpx.AsyncClient(transport=transport, base_url=SITE, headers=headers)
        self.shop = shop
        self.page = None

    @property
    def path(self) -> str:
        """Where the browser is."""
        return urlsplit(str(self.page.url)).path

    @property
    def text(self) -> str:
        """What can be read there."""
        body = self.page.text.split("<body", 1)[-1]
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))

    def field(self, name: str) -> str:
        """Give what a field of the page holds."""
        return html.unescape(re.search(rf'name="{name}" value="([^"]*)"', self.page.text)[1])

    async def go(self, path: str):
        """Open a page."""
        self.page = await self.http.get(path, follow_redirects=True)
        return self.page

    async def send(self, path: str, **fields: str):
        """Send a form of the page that is open."""
        fields = {"form_token": self.field("form_token"), **fields}
        headers = {"referer": str(self.page.url)}
        self.page = await self.http.post(path, data=fields, headers=headers, follow_redirects=True)
        return self.page

    async def sign_in(self, email: str = "ann@example.com", onto: str = ""):
        """Sign in, or confirm who is in, by the code in the letter."""
        await self.go(f"/account/sign-in?next={onto}")
        await self.send("/account/sign-in", email=email, next=self.field("next"))
        assert 200 == self.page.status_code, self.text
        code = await self.shop.code(email)
        return await self.send("/account/code", email=email, code=code, next=self.field("next"))

    def cookie(self) -> str:
        """Give the token of the session."""
        return self.http.cookies.get("vendrail-buyer") or ""


class Shop:
    """The storefront of a market, and who comes to it."""

    def __init__(self, market, site: str = SITE, **more) -> None:
        self.market = market
        house = market.house
        self.home = house.platform.home
        self.buyers: Buyers = house.api(Buyers)
        web = build_routes(
            house.api(Catalog),
            house.api(Orders),
            house.api(Payments),
            buyers=self.buyers,
            notify=house.api(Notify),
            vault=house.vault,
            clock=house.clock,
            wakeups=house.wakeups,
            settings=WebSettings(home=self.home, public_url=site, default_language="en"),
            **more,
        )
        self.app = Litestar(list(web.handlers), openapi_config=None, logging_config=None)
        self._shoppers: list[Shopper] = []

    def browser(self, address: str = "10.0.0.1") -> Shopper:
        """Open a browser that knows nothing."""
        self._shoppers.append(Shopper(self, address))
        return self._shoppers[-1]

    async def letters(self, email: str) -> list[str]:
        """Send what waits; give the texts of all letters to somebody, the last one last."""
        house = self.market.house
        notify = house.services["notify"]
        sending = notify.sending(notify.news(self.market.orders, self.market.catalog))
        while await sending.send_due():
            pass
        paths = sorted((self.home / "mailbox").glob("*.eml"), key=lambda p: p.stat().st_mtime_ns)
        mails = [message_from_bytes(path.read_bytes(), policy=default) for path in paths]
        return [m.get_body(("plain",)).get_content() for m in mails if m["to"] == email]

    async def code(self, email: str) -> str:
        """Give the code in the last letter to somebody."""
        return re.search(r"^ +(\d{8})\s*$", (await self.letters(email))[-1], re.MULTILINE)[1]

    async def close(self) -> None:
        """Close the browsers."""
        for each in self._shoppers:
            await each.http.aclose()
