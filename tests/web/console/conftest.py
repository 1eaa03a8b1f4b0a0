"""The consoles over real services on a real database: browsers, people, what they were sent."""

import html
import re
from email import message_from_bytes
from email.policy import default
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest
from litestar import Litestar

from vendrail.api.buyers import Buyers
from vendrail.api.catalog import Catalog
from vendrail.api.compliance import Compliance
from vendrail.api.disputes import Disputes
from vendrail.api.domains import Domains
from vendrail.api.epay import Epay
from vendrail.api.fx import Fx
from vendrail.api.identity import Actor, ActorKind, ActQuery, Identity, Invitation, Role
from vendrail.api.ledger import Ledger
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.payouts import Payouts
from vendrail.api.promotions import Promotions
from vendrail.api.risk import Risk
from vendrail.api.settlement import Settlement
from vendrail.api.support import Support
from vendrail.api.wallets import Wallets
from vendrail.api.webhooks import Webhooks
from vendrail.app.gauges import Gauges
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id
from vendrail.web.app import build_routes
from vendrail.web.console.apis import Apis
from vendrail.web.settings import WebSettings

SITE = "http://localhost"
PASSWORD = "a quiet lake at dawn"
CLI = Actor(ActorKind.COMMAND_LINE, None, "root (command line)")
QUICK = {
    "VENDRAIL_IDENTITY_ARGON2_MEMORY_KIB": "64",
    "VENDRAIL_IDENTITY_ARGON2_ROUNDS": "1",
}


class Browser:
    """A browser without JavaScript: follows where it is led, and sends the forms it sees."""

    def __init__(self, app, world, address="10.0.0.1") -> None:
        transport = httpx.ASGITransport(app, client=(address, 1))
        headers = {"Accept-Language": "en", "Accept": "text/html"}
        self.http = httpx.AsyncClient(transport=transport, base_url=SITE, headers=headers)
        self.world = world
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

    def token(self) -> str:
        """Give the token of the page's first form."""
        return re.search(r'name="form_token" value="([^"]+)"', self.page.text)[1]

    async def go(self, path: str):
        """Open a page."""
        self.page = await self.http.get(path, follow_redirects=True)
        return self.page

    async def send(self, path: str, *, raw: bool = False, **fields: str):
        """Send a form of the page that is open."""
        fields = {"form_token": self.token(), **fields}
        headers = {"referer": str(self.page.url)}
        sent = await self.http.post(path, data=fields, headers=headers, follow_redirects=not raw)
        if not raw:
            self.page = sent
        return sent

    async def sign_in(self, email: str, password: str = PASSWORD, onto: str = ""):
        """Sign in with a password."""
        await self.go(f"/console/sign-in?next={onto}")
        return await self.send("/console/sign-in", email=email, password=password, next=onto)

    async def enrol(self) -> str:
        """Set a second factor up; give its secret."""
        await self.go("/console/factor")
        groups = re.search(r'<code id="secret">([^<]+)</code>', self.page.text)[1]
        secret = groups.replace(" ", "")
        await self.send("/console/factor", code=self.world.code(secret))
        return secret


class World:
    """The platform, its consoles, and short words for who comes."""

    def __init__(self, open_house, home) -> None:
        self._open_house = open_house
        self._home = home
        self.house = open_house()
        self._houses = [self.house]
        self.clock = self.house.clock
        self.identity: Identity = self.house.api(Identity)
        self.app = make_app(self.house, home)
        self.merchant = new_id(self.clock.now())
        self._browsers = []

    def make_house(self) -> House:
        """Open the platform once more over the same database, as another process would."""
        self._houses.append(self._open_house())
        return self._houses[-1]

    def make_other(self) -> Litestar:
        """Give the pages of such another process."""
        return make_app(self.make_house(), self._home)

    async def letters(self, email: str) -> list:
        """Send what waits; give all letters to somebody, the last one last."""
        notify = self.house.services["notify"]
        sending = notify.sending(notify.news(self.house.api(Orders), self.house.api(Catalog)))
        while await sending.send_due():
            pass
        letters = sorted((self._home / "mailbox").glob("*.eml"), key=lambda p: p.stat().st_mtime)
        texts = [message_from_bytes(path.read_bytes(), policy=default) for path in letters]
        return [each for each in texts if each["to"] == email]

    async def mailed(self, email: str) -> str:
        """Give the path of the link in the last letter to somebody."""
        [*_, letter] = await self.letters(email)
        body = letter.get_body(("plain",)).get_content()
        return re.search(r"http://localhost(/join/\S+)", body)[1]

    def browser(self, *, app=None, address: str = "10.0.0.1") -> Browser:
        """Open a browser that knows nothing."""
        self._browsers.append(Browser(app or self.app, self, address))
        return self._browsers[-1]

    def code(self, secret: str, steps: int = 0) -> str:
        """Give the code of now, or of some steps away."""
        return pyotp.TOTP(secret).generate_otp(int(self.clock.now().timestamp()) // 30 + steps)

    async def invite(self, email: str, role: Role, merchant=None, name: str = "North") -> str:
        """Invite somebody; give the path of the link."""
        if not role.value.startswith("operator_"):
            merchant = merchant or self.merchant
        id = new_id(self.clock.now())
        invitation = Invitation(id, email, merchant, role, CLI, merchant_name=name)
        [result] = await self.identity.invite_people([invitation])
        assert "invited" == result.status
        return f"/join/{result.token}"

    async def join(self, email: str, role: Role, **more) -> Browser:
        """Let somebody join in a browser of their own; operators set their factor up."""
        browser = self.browser()
        link = await self.invite(email, role, **more)
        await browser.go(link)
        await browser.send(link, password=PASSWORD, again=PASSWORD, name="Somebody")
        if role.value.startswith("operator_"):
            browser.secret = await browser.enrol()
        return browser

    async def acts(self, **more) -> list[str]:
        """Name what is in the log, oldest first."""
        [found] = await self.identity.list_acts([ActQuery(None, 200, **more)])
        return [each.act for each in reversed(found)]

    async def close(self) -> None:
        """Close the browsers."""
        for each in self._browsers:
            await each.http.aclose()
        for house in self._houses:
            await house.stop()


def make_app(
    house: House, home, make_gate=None, place_limit=None, act_limit=None, **settings
) -> Litestar:
    """Build the web face of a house."""
    kinds = (
        Identity,
        Catalog,
        Orders,
        Payments,
        Risk,
        Settlement,
        Ledger,
        Notify,
        Epay,
        Fx,
        Support,
        Payouts,
        Wallets,
        Disputes,
        Webhooks,
        Promotions,
        Compliance,
        Domains,
    )
    house.metrics.ask_at_scrape(Gauges(house).refresh)
    apis = Apis(*map(house.api, kinds), house.metrics.render, act_limit)
    web = build_routes(
        apis.catalog,
        apis.orders,
        apis.payments,
        consoles=apis,
        domains=apis.domains,
        epay=apis.epay,
        fx=apis.fx,
        buyers=house.api(Buyers),
        support=apis.support,
        promotions=apis.promotions,
        notify=apis.notify,
        vault=house.vault,
        clock=house.clock,
        wakeups=house.wakeups,
        make_gate=make_gate,
        place_limit=place_limit,
        settings=WebSettings(home=home, public_url=SITE, default_language="en", **settings),
    )
    return Litestar(list(web.handlers), openapi_config=None, logging_config=None)


@pytest.fixture
async def world(platform_url, clock, vault, tmp_path):
    """The platform with its consoles."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=SITE)

    def open_house() -> House:
        return House(platform, QUICK, clock, vault)

    world = World(open_house, tmp_path)
    yield world
    await world.close()
