"""Own domains: hosts under which a merchant's shops are shown, and the record that proves them."""

from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import MerchantId, Shop
from vendrail.api.domains import (
    AddStatus,
    Domain,
    DomainCheckStatus,
    DomainName,
    DomainState,
    Finding,
    NewDomain,
)
from vendrail.api.identity import Permission
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log, log_undone, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

ROOT = "/merchant/domains"
_HOST_MAX = 301
_REFUSALS = {
    AddStatus.HOST_MALFORMED: message(
        "Write the name alone, as shop.example.com: no path, no port, no number."
    ),
    AddStatus.HOST_OWN: message("This name is the platform's own: use one that is yours."),
    AddStatus.SHOP_NOT_FOUND: message("Open your shop first."),
    AddStatus.TOO_MANY: message("There are as many as there may be: remove one first."),
    AddStatus.TOO_MANY_TODAY: message(
        "So many were added within a day that no more are taken now. Add this one tomorrow."
    ),
}
_SOON = message("This was looked at a moment ago. Wait half a minute, then look again.")
_FOUND = {
    Finding.NO_RECORD: message(
        "There is no such record yet. Some providers take up to an hour until it is seen."
    ),
    Finding.OTHER_RECORD: message("There is a record, but its text is another one: compare them."),
    Finding.UNANSWERED: message("The domain's name servers do not answer just now. Look later."),
    Finding.PROVEN: message(
        "It is proven, but another shop still has this domain. It becomes yours when that shop's"
        " record has been gone for some days."
    ),
}


class OwnDomains:
    """The domains of a merchant's shops."""

    entries = (Entry(ROOT, message("Own domains"), "globe", Permission.SHOP_WRITE),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._domains = desk.apis.domains
        self._catalog = desk.apis.catalog

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        desk, write = self._desk, Permission.SHOP_WRITE
        one = f"{ROOT}/{{serial:str}}"
        return [
            desk.get(ROOT, self.table, write),
            desk.post(ROOT, self.add, write, is_grave=True),
            desk.post(f"{one}/check", self.check, write),
            desk.post(f"{one}/remove", self.remove, write, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List the domains with what their owner has to do, and the form that adds one."""
        return await self._table(caller)

    async def _shops(self, caller: Caller) -> list[Shop]:
        [shops] = await self._catalog.list_shops([MerchantId(caller.merchant)])
        return shops

    async def _table(
        self, caller: Caller, problem: str = "", at: UUID | None = None, *, status: int = 422
    ) -> Page:
        [domains] = await self._domains.list_domains([caller.merchant])
        front = self._desk.front
        return self._desk.page(
            caller,
            "merchant/domains.html",
            status=status if problem else 200,
            path=ROOT,
            domains=domains,
            shops={each.id: each for each in await self._shops(caller)},
            scheme=front.public_url.partition("://")[0],
            target=front.public_url.partition("://")[2].partition(":")[0],
            written=caller.written("host", _HOST_MAX) if problem else "",
            said={each: self._desk.say(caller, text) for each, text in _FOUND.items()},
            done=caller.asked("done"),
            at=at,
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def add(self, caller: Caller) -> Page:
        """Write a claim down; sent again, it is the same claim."""
        shops = await self._shops(caller)
        wanted = read_id(caller.written("shop")) or (shops[0].id if shops else UUID(int=0))
        new = NewDomain(caller.merchant, wanted, caller.written("host", _HOST_MAX))
        subject = f"shop:{to_serial(wanted)}"
        await log(self._desk, caller, "domain.added", subject, after={"host": new.host})
        [added] = await self._domains.add_domains([new])
        if added.domain is None:
            await log_undone(self._desk, caller, "domain.added", subject, added.status)
            return await self._table(caller, _REFUSALS[added.status])
        return onward(f"{ROOT}#d-{to_serial(added.domain.id)}")

    async def _read(self, caller: Caller) -> Domain | None:
        id = read_id(caller.part("serial"))
        [found] = await self._domains.list_domains([caller.merchant])
        return next((each for each in found if each.id == id), None)

    async def check(self, caller: Caller) -> Page:
        """Look for the proof now."""
        domain = await self._read(caller)
        if domain is None:
            return self._desk.problem(caller.request, 404, caller)
        [checked] = await self._domains.check_domains([DomainName(domain.id, domain.merchant)])
        self._desk.front.hosts.forget()
        if checked.status is DomainCheckStatus.TOO_SOON:
            return await self._table(caller, _SOON, domain.id, status=429)
        after = checked.domain
        was_active = domain.state is DomainState.ACTIVE
        if after is not None and after.state is DomainState.ACTIVE and not was_active:
            subject = f"shop:{to_serial(domain.shop)}"
            await log(self._desk, caller, "domain.proven", subject, after={"host": domain.host})
        serial = to_serial(domain.id)
        return onward(f"{ROOT}?done={serial}#d-{serial}")

    async def remove(self, caller: Caller) -> Page:
        """Take a claim back: the host shows the shop no more."""
        domain = await self._read(caller)
        if domain is None:
            return self._desk.problem(caller.request, 404, caller)
        before = {"host": domain.host, "state": domain.state.value}
        subject = f"shop:{to_serial(domain.shop)}"
        await log(self._desk, caller, "domain.removed", subject, before=before)
        await self._domains.remove_domains([DomainName(domain.id, domain.merchant)])
        self._desk.front.hosts.forget()
        return onward(ROOT)
