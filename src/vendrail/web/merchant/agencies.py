"""Agents: who sells what a merchant supplies, whose goods it sells, and what agents have sold."""

from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import (
    AgencyAct,
    AgencyMove,
    AgencyStatus,
    MerchantId,
)
from vendrail.api.identity import Permission
from vendrail.api.orders import OrderId, OrderQuery, SuppliedOrder, SuppliedQuery, SuppliedSum
from vendrail.api.settlement import (
    KeptSupply,
    ShareQuery,
    supply_of,
)
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log, log_undone, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page
from vendrail.web.supplies import merchant_names

_ROOT = "/merchant/agents"
_ONE = f"{_ROOT}/{{serial:str}}"
_PAGE = 50
_SOLD_THROUGH = message("Sold through %(name)s")
_SOLD_FOR = message("Price %(price)s, of which %(part)s is the supplier’s: %(name)s")
_REFUSALS: Mapping[AgencyStatus, str] = {
    AgencyStatus.MERCHANT_NOT_FOUND: message(
        "No shop has this address: ask the other merchant for the last part of theirs."
    ),
    AgencyStatus.SAME_MERCHANT: message("That shop is your own: name another merchant’s."),
    AgencyStatus.NOT_THEIRS: message("Only the other side can do that."),
    AgencyStatus.NOT_INVITED: message("There is no such invitation any more: look again."),
}
_ACTS = {
    AgencyAct.INVITE: "agency.invited",
    AgencyAct.ACCEPT: "agency.accepted",
    AgencyAct.DECLINE: "agency.declined",
    AgencyAct.END: "agency.ended",
}


class Agencies:
    """Both sides of selling through agents."""

    entries = (Entry(_ROOT, message("Agents"), "split", Permission.PRODUCTS_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._catalog = desk.apis.catalog
        self._orders = desk.apis.orders
        self._settlement = desk.apis.settlement

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read, write = self._desk, Permission.PRODUCTS_READ, Permission.PRODUCTS_WRITE
        return [
            desk.get(_ROOT, self.agencies, read),
            desk.post(f"{_ROOT}/invite", self.invite, write, is_grave=True),
            desk.get(_ONE, self.sale, Permission.BALANCE_READ),
            desk.post(f"{_ONE}/agent", self.move_agent, write, is_grave=True),
            desk.post(f"{_ONE}/supplier", self.move_supplier, write, is_grave=True),
        ]

    async def agencies(self, caller: Caller) -> Page:
        """Show agents and suppliers, and what agents have sold."""
        return await self._agencies(caller)

    async def _agencies(self, caller: Caller, *, problem: str = "", status: int = 200) -> Page:
        merchant = MerchantId(caller.merchant)
        [found] = await self._catalog.list_agencies([merchant])
        before = read_id(caller.asked("before"))
        may_see_money = caller.may(Permission.BALANCE_READ)
        query = SuppliedQuery(
            merchant, before=OrderId(before) if before else None, orders_max=_PAGE + 1
        )
        sold: list[SuppliedOrder] = []
        sums: list[SuppliedSum] = []
        if may_see_money:
            [sold] = await self._orders.list_supplied([query])
            [sums] = await self._orders.sum_supplied([query])
        shown = sold[:_PAGE]
        agents = [*(each.agent for each in shown), *(each.agent for each in sums)]
        told = urlencode({"before": to_serial(shown[-1].id)}) if shown else ""
        return self._desk.page(
            caller,
            "merchant/agencies.html",
            path=_ROOT,
            status=status,
            agents=[each for each in found if each.supplier == merchant],
            suppliers=[each for each in found if each.agent == merchant],
            sums=sums,
            sold=[(each, supply_of(each.id)) for each in shown],
            names=await merchant_names(self._catalog, agents),
            older=f"{_ROOT}?{told}#sales" if len(sold) > _PAGE else "",
            may_write=caller.may(Permission.PRODUCTS_WRITE),
            slug=caller.written("slug", 64),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def invite(self, caller: Caller) -> Page:
        """Invite another merchant, named by the address of a shop, to be an agent."""
        slug = caller.written("slug", 200).strip().rstrip("/").rpartition("/")[2].lower()[:64]
        if not slug:
            problem = _REFUSALS[AgencyStatus.MERCHANT_NOT_FOUND]
            return await self._agencies(caller, problem=problem, status=422)
        merchant = MerchantId(caller.merchant)
        move = AgencyMove(AgencyAct.INVITE, merchant, slug=slug)
        return await self._move(caller, move, f"shop:{slug}")

    async def move_agent(self, caller: Caller) -> Page:
        """End with an agent that is named by its number, or invite it again."""
        return await self._act(caller, is_agent=True)

    async def move_supplier(self, caller: Caller) -> Page:
        """Accept, decline or end with a supplier that is named by its number."""
        return await self._act(caller, is_agent=False)

    async def _act(self, caller: Caller, *, is_agent: bool) -> Page:
        mine, other = MerchantId(caller.merchant), read_id(caller.part("serial"))
        [found] = await self._catalog.list_agencies([mine])
        known = next(
            (
                each
                for each in found
                if (each.supplier, each.agent) == ((mine, other) if is_agent else (other, mine))
            ),
            None,
        )
        if known is None:
            return self._desk.problem(caller.request, 404, caller)
        act = next((each for each in AgencyAct if each.value == caller.written("act")), None)
        if act is None:
            return self._desk.problem(caller.request, 400, caller)
        move = AgencyMove(act, mine, known.supplier, known.agent)
        subject = known.agent if is_agent else known.supplier
        return await self._move(caller, move, f"merchant:{to_serial(subject)}")

    async def _move(self, caller: Caller, move: AgencyMove, subject: str) -> Page:
        act = _ACTS[move.act]
        await log(self._desk, caller, act, subject)
        [status] = await self._catalog.move_agencies([move])
        if status in _REFUSALS:
            await log_undone(self._desk, caller, act, subject, status.value)
            return await self._agencies(caller, problem=_REFUSALS[status], status=422)
        return onward(_ROOT)

    async def sale(self, caller: Caller) -> Page:
        """Show one sale through an agent: what was supplied, and where the part of it is."""
        supply = await find_own_supply(self._desk, caller)
        if supply is None:
            return self._desk.problem(caller.request, 404, caller)
        [order] = await self._orders.read_orders([OrderQuery(OrderId(supply.order), None)])
        query = ShareQuery(supply.id, supply.supplier, supply.currency)
        [share] = await self._settlement.read_order_shares([query])
        names = await merchant_names(self._catalog, [supply.agent])
        return self._desk.page(
            caller,
            "merchant/supplied_sale.html",
            path=_ROOT,
            supply=supply,
            order=order,
            agent=names[supply.agent],
            share=share if share.split_at is not None else None,
        )


async def find_own_supply(desk: Desk, caller: Caller) -> KeptSupply | None:
    """Find the sale through an agent that an address names, if the merchant supplied it."""
    id = read_id(caller.part("serial"))
    if id is None:
        return None
    [supply] = await desk.apis.settlement.read_supplies([id])
    return supply if supply is not None and supply.supplier == caller.merchant else None


async def lead_to_supply(desk: Desk, caller: Caller) -> Page:
    """Lead to a supplier's part: balances and payouts name it by its own number, as an order."""
    supply = await find_own_supply(desk, caller)
    if supply is None:
        return desk.problem(caller.request, 404, caller)
    return onward(f"{_ROOT}/{to_serial(supply.id)}")


async def say_supplies(
    desk: Desk, caller: Caller, found: Mapping[UUID, KeptSupply]
) -> dict[UUID, str]:
    """Say of sales through whom they were, or what of their price is a supplier's."""
    others = [
        each.agent if each.supplier == caller.merchant else each.supplier for each in found.values()
    ]
    names = await merchant_names(desk.apis.catalog, others)
    said = {}
    for (subject, each), other in zip(found.items(), others, strict=True):
        if each.supplier == caller.merchant:
            said[subject] = desk.say(caller, _SOLD_THROUGH) % {"name": names[other]}
            continue
        amounts = {
            name: f"{to_text(minor, each.currency)} {each.currency}"
            for name, minor in (("price", each.price_minor), ("part", each.amount_minor))
        }
        said[subject] = desk.say(caller, _SOLD_FOR) % (amounts | {"name": names[other]})
    return said
