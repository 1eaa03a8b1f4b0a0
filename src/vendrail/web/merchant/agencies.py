"""Agents: who sells what a merchant supplies, at which floor, and what is listed of others'."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import (
    AgencyAct,
    AgencyMove,
    AgencyStatus,
    Floor,
    FlooredVariant,
    FloorStatus,
    ListingStatus,
    ListSupplied,
    MerchantId,
    ShopId,
    SuppliedVariant,
    VariantId,
)
from vendrail.api.identity import Permission
from vendrail.api.orders import OrderId, OrderQuery, SuppliedOrder, SuppliedQuery, SuppliedSum
from vendrail.api.settlement import (
    KeptSupply,
    Sale,
    SaleResult,
    SaleStatus,
    ShareQuery,
    Supply,
    supply_of,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import changes, log, log_undone, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page
from vendrail.web.supplies import merchant_names

_ROOT = "/merchant/agents"
_FLOORS = f"{_ROOT}/floors"
_GOODS = f"{_ROOT}/goods"
_ONE = f"{_ROOT}/{{serial:str}}"
_PAGE = 50
_DONE = (FloorStatus.CHANGED, FloorStatus.UNCHANGED)
_LISTED = (ListingStatus.LISTED, ListingStatus.CHANGED, ListingStatus.UNCHANGED)
_SOLD_THROUGH = message("Sold through %(name)s")
_SOLD_FOR = message("Price %(price)s, of which %(part)s is the supplier’s: %(name)s")
_WRONG = message("Write prices in digits with one point, as 12.30.")
_REFUSALS: Mapping[AgencyStatus, str] = {
    AgencyStatus.MERCHANT_NOT_FOUND: message(
        "No shop has this address: ask the other merchant for the last part of theirs."
    ),
    AgencyStatus.SAME_MERCHANT: message("That shop is your own: name another merchant’s."),
    AgencyStatus.NOT_THEIRS: message("Only the other side can do that."),
    AgencyStatus.NOT_INVITED: message("There is no such invitation any more: look again."),
}
_FLOOR_REFUSALS: Mapping[FloorStatus, str] = {
    FloorStatus.VARIANT_NOT_FOUND: message("This is none of your products any more: look again."),
    FloorStatus.NOT_UNIQUE: message("Agents sell only keys that are sold once."),
    FloorStatus.SUPPLIED: message("Another merchant supplies these keys: you are the agent."),
    FloorStatus.FIELD_MALFORMED: _WRONG,
}
_LISTING_REFUSALS: Mapping[ListingStatus, str] = {
    ListingStatus.NOT_SUPPLIED: message(
        "The supplier does not supply this any more: look again, or ask them."
    ),
    ListingStatus.SHOP_NOT_FOUND: message("Choose one of your shops."),
    ListingStatus.PRICE_BELOW_FLOOR: message(
        "The supplier asks for more: set at least its floor price, in its currencies, for many too."
    ),
    ListingStatus.STEPS_UNFIT: message(
        "Its quantity prices are not below this price: change them on the product’s page first."
    ),
    ListingStatus.LISTING_FIXED: message(
        "Another merchant supplies the keys of this product: it keeps its one variant, and its"
        " unique keys, and gives no warranty."
    ),
    ListingStatus.TEXT_FORBIDDEN: message(
        "Its texts have a word that the platform does not allow: ask the supplier, or write your"
        " own on the product’s page."
    ),
    ListingStatus.NAME_TAKEN: message("Its SKU is taken: rename your other product first."),
    ListingStatus.FIELD_MALFORMED: _WRONG,
}
_MARKUP_TOO_LOW = message(
    "At this price the fee of %(fee)s is more than what is left after the supplier’s part: ask"
    " for more."
)
_ACTS = {
    AgencyAct.INVITE: "agency.invited",
    AgencyAct.ACCEPT: "agency.accepted",
    AgencyAct.DECLINE: "agency.declined",
    AgencyAct.END: "agency.ended",
}


class Written(NamedTuple):
    """What was written into one row of a table, and what is wrong with it."""

    row: UUID | None = None
    prices: Mapping[str, str] = {}
    problem: str = ""


_NOTHING = Written()


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
            desk.get(_FLOORS, self.floors, read),
            desk.post(_FLOORS, self.set_floor, write, is_grave=True),
            desk.get(_GOODS, self.goods, read),
            desk.post(_GOODS, self.put_on_sale, write),
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

    async def floors(self, caller: Caller) -> Page:
        """Show what the merchant gets of each unit that an agent sells."""
        return await self._floors(caller)

    async def _floors(
        self, caller: Caller, written: Written = _NOTHING, *, status: int = 200
    ) -> Page:
        [found] = await self._catalog.list_floors([MerchantId(caller.merchant)])
        return self._desk.page(
            caller,
            "merchant/floors.html",
            path=_ROOT,
            status=status,
            goods=[(each, self._texts(each, written)) for each in found],
            written=written,
            may_write=caller.may(Permission.PRODUCTS_WRITE),
            problem=written.problem,
        )

    def _texts(self, variant: FlooredVariant, written: Written) -> dict[str, str]:
        """Give by currency what stands in the fields of a row."""
        currencies = sorted({*variant.prices_minor, *variant.floor_minor})
        if written.row == variant.variant:
            return {each: written.prices.get(each, "") for each in currencies}
        floor = variant.floor_minor
        return {each: to_text(floor[each], each) if each in floor else "" for each in currencies}

    async def set_floor(self, caller: Caller) -> Page:
        """Set what agents pay for each unit of a variant; empty: agents do not sell it."""
        id = read_id(caller.written("variant"))
        [found] = await self._catalog.list_floors([MerchantId(caller.merchant)])
        known = next((each for each in found if each.variant == id), None)
        if known is None:
            return self._desk.problem(caller.request, 404, caller)
        currencies = {*known.prices_minor, *known.floor_minor}
        texts = {each: caller.written(f"floor_{each}", 20).strip() for each in currencies}

        async def refuse(problem: str) -> Page:
            written = Written(known.variant, texts, self._desk.say(caller, problem))
            return await self._floors(caller, written, status=422)

        try:
            floor = {each: from_text(text, each) for each, text in texts.items() if text}
        except Malformed:
            return await refuse(_WRONG)
        subject = f"variant:{to_serial(known.variant)}"
        was, now = changes(_told(known.floor_minor), _told(floor))
        if not was and not now:
            return onward(_FLOORS)
        await log(self._desk, caller, "floor.changed", subject, before=was, after=now)
        [status] = await self._catalog.put_floors(
            [Floor(MerchantId(caller.merchant), known.variant, floor)]
        )
        if status not in _DONE:
            await log_undone(self._desk, caller, "floor.changed", subject, status.value)
            return await refuse(_FLOOR_REFUSALS[status])
        return onward(_FLOORS)

    async def goods(self, caller: Caller) -> Page:
        """Show what suppliers let the merchant sell, and what is listed of it."""
        return await self._goods(caller)

    async def _goods(
        self, caller: Caller, written: Written = _NOTHING, *, status: int = 200
    ) -> Page:
        merchant = MerchantId(caller.merchant)
        [found] = await self._catalog.list_supplied([merchant])
        [shops] = await self._catalog.list_shops([merchant])
        return self._desk.page(
            caller,
            "merchant/supplied.html",
            path=_ROOT,
            status=status,
            goods=[(each, self._prices(each, written)) for each in found],
            shops=shops,
            written=written,
            may_write=caller.may(Permission.PRODUCTS_WRITE),
            problem=written.problem,
        )

    def _prices(self, variant: SuppliedVariant, written: Written) -> dict[str, str]:
        currencies = sorted(variant.floor_minor)
        if written.row == variant.source:
            return {each: written.prices.get(each, "") for each in currencies}
        listed = variant.listed_minor
        return {each: to_text(listed[each], each) if each in listed else "" for each in currencies}

    async def put_on_sale(self, caller: Caller) -> Page:
        """List what a supplier supplies at a price; refuse what would leave less than nothing."""
        id, shop = read_id(caller.written("source")), read_id(caller.written("shop"))
        merchant = MerchantId(caller.merchant)
        [found] = await self._catalog.list_supplied([merchant])
        known = next((each for each in found if each.source == id), None)
        if known is None or shop is None:
            return self._desk.problem(caller.request, 404, caller)
        texts = {each: caller.written(f"price_{each}", 20).strip() for each in known.floor_minor}

        async def refuse(problem: str) -> Page:
            return await self._goods(caller, Written(known.source, texts, problem), status=422)

        try:
            prices = {each: from_text(text, each) for each, text in texts.items() if text}
        except Malformed:
            return await refuse(self._desk.say(caller, _WRONG))
        low = await self._find_low(caller, known, prices)
        if low is not None:
            currency, result = low
            fee = f"{to_text(result.fee_minor + result.cost_minor, currency)} {currency}"
            return await refuse(self._desk.say(caller, _MARKUP_TOO_LOW) % {"fee": fee})
        subject = f"variant:{to_serial(known.source)}"
        was, now = changes(_told(known.listed_minor), _told(prices))
        await log(self._desk, caller, "listing.changed", subject, before=was, after=now)
        listing = ListSupplied(merchant, ShopId(shop), VariantId(known.source), prices)
        [status] = await self._catalog.put_listings([listing])
        if status not in _LISTED:
            await log_undone(self._desk, caller, "listing.changed", subject, status.value)
            return await refuse(self._desk.say(caller, _LISTING_REFUSALS[status]))
        return onward(_GOODS)

    async def _find_low(
        self, caller: Caller, known: SuppliedVariant, prices: Mapping[str, int]
    ) -> tuple[str, SaleResult] | None:
        """Find a price that does not bear the supplier's part and the fee, with its whole fee."""
        now = self._desk.clock.now()
        above = {
            each: minor for each, minor in prices.items() if minor >= known.floor_minor[each] > 0
        }
        sales = [
            Sale(
                new_id(now),
                caller.merchant,
                minor,
                each,
                now,
                category=known.category,
                supply=Supply(known.supplier, known.floor_minor[each]),
            )
            for each, minor in above.items()
        ]
        results = await self._settlement.price_sales(sales) if sales else []
        for sale, result in zip(sales, results, strict=True):
            if result.status is SaleStatus.MARKUP_TOO_LOW:
                bare = Sale(
                    sale.order, sale.merchant, sale.amount_minor, sale.currency, now,
                    category=sale.category,
                )  # fmt: skip
                [whole] = await self._settlement.price_sales([bare])
                return sale.currency, whole
        return None

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


def _told(prices_minor: Mapping[str, int]) -> dict[str, str]:
    return {each: to_text(minor, each) for each, minor in sorted(prices_minor.items())}
