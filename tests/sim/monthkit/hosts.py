"""Shops' own domains: proven in DNS, lost, passed on to who waited, and bought on."""

import asyncio
import re
import threading
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

import httpx
from simkit.actors import Violation
from simkit.residence import Lost
from tests.domains.nameserver import NameServer, open_server

from monthkit.asking import Asking
from monthkit.buyers import Life
from monthkit.market import Merchant
from vendrail.api.catalog import Catalog
from vendrail.api.domains import Domain, DomainName, Domains, NewDomain
from vendrail.api.orders import OrderId, OrderQuery, Orders
from vendrail.app.serving import assemble
from vendrail.app.wiring import House
from vendrail.kernel.ids import from_serial, to_serial

_FIRST, _SECOND, _RIVAL = 6, 8, 2  # By numbers: whose domains are proven, who waits for one.
_PORT = 9  # Of the platform's own address here.
_CYCLE_DAYS = 12
_TRIES_MAX = 12
# A host that is not proven any more stays for three days at least, from the look that missed it.
_KEPT, _GONE = timedelta(days=3), timedelta(days=5, hours=12)
_FIELD = re.compile(r'name="(\w+)" value="([^"]*)"')


class Zone:
    """The name server, in a thread of its own: what is proven there is what a test has put."""

    def __init__(self) -> None:
        ready: Future[NameServer] = Future()

        def serve() -> None:
            asyncio.run(self._serve(ready))

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        self.server = ready.result(10)

    async def _serve(self, ready: Future[NameServer]) -> None:
        self._loop, self._is_over = asyncio.get_running_loop(), asyncio.Event()
        server = await open_server()
        ready.set_result(server)
        await self._is_over.wait()
        server.transport.close()

    @property
    def settings(self) -> dict[str, str]:
        """What the house must be told to ask it, and to serve pages to buyers in a hurry."""
        return {
            "VENDRAIL_DOMAINS_RESOLVERS": self.server.address,
            "VENDRAIL_DOMAINS_RESOLVE_S": "0.3",
            "VENDRAIL_GATEWAY_PLACES_PER_MINUTE_MAX": "0",
            "VENDRAIL_GATEWAY_PROOF_NUMBERS_MAX": "0",
        }

    def close(self) -> None:
        """Answer nothing more."""
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join(10)


class Hosts:
    """Two shops with a domain each, and a third one that waits for the first's."""

    def __init__(self, asking: Asking, zone: Zone, market: list[Merchant]) -> None:
        self._asking = asking
        self._server = zone.server
        self._market = market
        self._claims: dict[int, Domain] = {}
        self._away_since: datetime | None = None  # Since when the first one's proof is away.
        self._shown: dict[str, int] = {}
        self._paths: dict[str, str] = {}
        self._house: House | None = None
        self._app: Any = None

    async def open(self) -> None:
        """Claim two hosts, and prove them."""
        for number in (_FIRST, _SECOND):
            await self._claim(number, f"keys-{number}.example")
            await self._prove(number)
        await self._see()
        if len(self._shown) != 2:
            raise Violation(f"What was proven is not shown: {self._shown}")

    async def _claim(self, number: int, host: str) -> None:
        merchant = self._market[number]
        new = NewDomain(merchant.id, merchant.shop, host)
        [added] = await self._asking.ask(Domains, "add_domains", [new])
        self._asking.check("domain", added.status, {"added", "exists"}, number)
        self._claims[number] = added.domain

    async def _prove(self, number: int) -> None:
        """Put the record there, and have it looked for."""
        domain = self._claims[number]
        self._server.prove(domain)
        self._asking.pass_s(31)  # Nobody has it looked for more often.
        name = DomainName(domain.id, domain.merchant)
        [checked] = await self._asking.ask(Domains, "check_domains", [name])
        # Whose answer was lost had it looked at: the second try comes too soon.
        self._asking.check("domain looked at", checked.status, {"checked", "too_soon"}, number)

    async def act(self, day: int, slot: int) -> None:
        """Let a rival prove the first's host too, its proof go away, and DNS be away at times."""
        match day % _CYCLE_DAYS, slot:
            case 0, 6:
                await self._claim(_RIVAL, self._claims[_FIRST].host)
                await self._prove(_RIVAL)
            case 1, 1:
                self._server.disprove(self._claims[_FIRST])
                self._away_since = self._asking.now()
                self._asking.tally["act: domain's proof taken away"] += 1
            case 8, 1:
                await self._give_up_rival()
                await self._prove(_FIRST)
                self._away_since = None
        self._server.is_broken = day % 5 == 3 and slot in (2, 3, 4)
        self._server.is_silent = day % 5 == 0 and slot == 5
        self._asking.tally["act: DNS away"] += self._server.is_broken or self._server.is_silent
        await self._see()

    async def _give_up_rival(self) -> None:
        domain = self._claims.pop(_RIVAL)
        self._server.disprove(domain)
        name = DomainName(domain.id, domain.merchant)
        await self._asking.ask(Domains, "remove_domains", [name])
        self._asking.tally["act: domain taken back"] += 1

    async def rest(self) -> None:
        """Nothing is away any more."""
        self._server.is_broken = self._server.is_silent = False

    async def _see(self) -> None:
        """Read which host shows which shop, and hold it against what was proven and when."""
        numbers = {each.id: each.number for each in self._market}
        found = await self._asking.ask(Domains, "list_hosts")
        shown = {each.host: numbers[each.merchant] for each in found}
        for host, number in shown.items():
            before = self._shown.get(host)
            if before is not None and before != number:
                self._asking.tally["domains: passed on to who waited"] += number == _RIVAL
                self._asking.tally["domains: had again"] += number == _FIRST
        first, second = (self._claims[each].host for each in (_FIRST, _SECOND))
        owner = shown.get(first)
        if shown.get(second) != _SECOND:
            raise Violation(f"{second} is proven, and shows {shown.get(second)}.")
        if self._away_since is not None:
            away = self._asking.now() - self._away_since
            if away < _KEPT and owner != _FIRST:
                raise Violation(f"{first} shows {owner} after {away} already.")
            if away > _GONE and owner != _RIVAL:
                raise Violation(f"{first} shows {owner}, after {away} without its proof.")
        self._shown = shown
        hosts = {number: host for host, number in shown.items()}
        for merchant in self._market:
            merchant.host = hosts.get(merchant.number, "")

    # Buyers.

    async def buy(self, life: Life) -> None:
        """Open a product's page on the shop's domain, send its form, and open the order there."""
        host, jar = life.merchant.host, httpx.Cookies()
        address = life.plan.address
        path = await self._path(life.merchant)
        page = await self._ask(host, address, jar, path)
        form = dict(_FIELD.findall(page.text))
        form.pop("remember", None)
        form |= {
            "contact": f"buyer{life.plan.number}@example.com",
            "quantity": str(life.plan.quantity),
            "method": "alipay",
        }
        placed = await self._ask(host, address, jar, "/orders", form)
        if placed.status_code != 303:
            raise Violation(f"On {host} was placed: {placed.status_code} {placed.text[:2000]}")
        where = placed.headers["location"].partition("?")[0]
        life.order = OrderId(from_serial(where.rpartition("/")[2]))
        opened = await self._ask(host, address, jar, where)
        if opened.status_code != 200 or to_serial(life.order) not in opened.text:
            raise Violation(f"{where} does not open on {host}: {opened.status_code}")
        # The letter about the order has what opens it.
        [addressee] = await self._asking.ask(Orders, "read_addressees", [life.order])
        [view] = await self._asking.ask(Orders, "read_orders", [OrderQuery(life.order, None)])
        life.secret, life.amount_minor = addressee.secret, view.amount_minor
        self._asking.tally["orders placed on a shop's domain"] += 1

    async def _path(self, merchant: Merchant) -> str:
        if merchant.sku not in self._paths:
            [offer] = await self._asking.ask(Catalog, "read_offers", [merchant.sku])
            self._paths[merchant.sku] = f"/products/{to_serial(offer.product)}"
        return self._paths[merchant.sku]

    async def _ask(
        self, host: str, address: str, jar: httpx.Cookies, path: str,
        form: dict[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        """Ask the house's pages until they answer; what was lost is asked again as it was."""
        method = "GET" if form is None else "POST"

        async def ask(house: House) -> httpx.Response:
            transport = httpx.ASGITransport(self._pages(house), client=(address, 1))
            base, headers = f"http://{host}:{_PORT}", {"accept": "text/html"}
            async with httpx.AsyncClient(
                transport=transport, base_url=base, headers=headers, cookies=jar
            ) as browser:
                reply = await browser.request(method, path, data=form)
                jar.update(browser.cookies)
                return reply

        for _ in range(_TRIES_MAX):
            try:
                reply: httpx.Response = await self._asking.residence.turn(ask)
            except Lost:
                self._asking.tally["answer: none"] += 1
                continue
            if reply.status_code not in (404, 503):  # Whoever keeps domains is away at times.
                return reply
            self._asking.tally[f"pages: {reply.status_code}"] += 1
        raise Violation(f"{method} {host}{path} was not answered in {_TRIES_MAX} tries.")

    def _pages(self, house: House) -> Any:
        """Give a house's pages, which know by which domains they are asked now."""
        if self._house is not house:
            self._house, self._app = house, assemble(house, ["web"])
        # They remember it by the machine's clock, which hardly moves here.
        self._app._hosts.forget()
        return self._app
