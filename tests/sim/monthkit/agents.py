"""Agents and their suppliers: they agree, list, part, and agree anew while all goes on."""

from simkit.actors import Violation

from monthkit.asking import Asking
from monthkit.buyers import Buyers, Life
from monthkit.market import Merchant
from monthkit.plans import Way
from vendrail.api.catalog import (
    AgencyAct,
    AgencyMove,
    Catalog,
    Floor,
    ListSupplied,
    MerchantId,
    ShopProductQuery,
)
from vendrail.api.orders import OrderQuery, Orders, SuppliedOrder, SuppliedQuery

_FLOOR_PERCENT = 60  # Of what the supplier itself asks for.
_PAGE = 500
_REMEMBERED_S = 15  # Offers are remembered for a moment.


class Agents:
    """Each agent sells one supplier's keys in its own shop."""

    def __init__(self, asking: Asking, buyers: Buyers, market: list[Merchant]) -> None:
        self._asking = asking
        self._buyers = buyers
        self._agents = [each for each in market if each.supplier is not None]

    async def open(self) -> None:
        """Let suppliers and agents agree, and agents list what they may sell."""
        for agent in self._agents:
            await self._move(agent, AgencyAct.INVITE)
            await self._move(agent, AgencyAct.DECLINE)  # It thinks it over.
            await self._agree(agent)
            await self._put_floor(agent, _floor(agent))
            await self._list(agent, _floor(agent) - 1, {"price_below_floor"})
            await self._list(agent, agent.price_minor, {"listed"})
            query = ShopProductQuery(MerchantId(agent.id))
            [[stocked]] = await self._asking.ask(Catalog, "list_products", [query])
            agent.sku = stocked.product.variants[0].sku
        self._asking.pass_s(_REMEMBERED_S)

    async def act(self, day: int, slot: int) -> None:
        """Let agencies end for a part of a day, by either side; let floors and prices change."""
        for at, agent in enumerate(self._agents):
            if (day + at) % 3 == 1 and slot == 3:
                await self._move(agent, AgencyAct.END, by_agent=at == 2)
                agent.has_agency = False
            elif (day + at) % 3 == 1 and slot == 6:
                await self._agree(agent)
            elif (day + at) % 4 == 0 and slot == 4:
                await self._put_floor(agent, agent.price_minor + 1)
                agent.has_margin = False
            elif not agent.has_margin:
                await self._put_floor(agent, _floor(agent))
                agent.has_margin = True
            elif (day + at) % 4 == 2 and slot == 1:
                await self._list(agent, agent.price_minor + 10, {"changed", "unchanged"})
                agent.price_minor += 10
            else:
                continue
            self._asking.pass_s(_REMEMBERED_S)

    async def _agree(self, agent: Merchant) -> None:
        await self._move(agent, AgencyAct.INVITE)
        await self._move(agent, AgencyAct.ACCEPT)
        agent.has_agency = True

    async def _move(self, agent: Merchant, act: AgencyAct, *, by_agent: bool = False) -> None:
        assert agent.supplier is not None
        supplier, its = MerchantId(agent.supplier.id), MerchantId(agent.id)
        is_agents = by_agent or act in (AgencyAct.ACCEPT, AgencyAct.DECLINE)
        move = AgencyMove(act, its if is_agents else supplier, supplier, its)
        [status] = await self._asking.ask(Catalog, "move_agencies", [move])
        self._asking.check(f"agency {act}", status, {"done", "unchanged"}, agent.number)

    async def _put_floor(self, agent: Merchant, minor: int) -> None:
        assert agent.supplier is not None
        floor = Floor(MerchantId(agent.supplier.id), agent.variant, {"CNY": minor})
        [status] = await self._asking.ask(Catalog, "put_floors", [floor])
        self._asking.check("floor", status, {"changed", "unchanged"}, agent.number)

    async def _list(self, agent: Merchant, minor: int, may: set[str]) -> None:
        listing = ListSupplied(MerchantId(agent.id), agent.shop, agent.variant, {"CNY": minor})
        [status] = await self._asking.ask(Catalog, "put_listings", [listing])
        self._asking.check("listing", status, may, (agent.number, minor))

    async def check(self) -> None:
        """What suppliers are told of agents' sales is what those have delivered."""
        for agent in self._agents:
            assert agent.supplier is not None
            lives = [
                each
                for each in self._buyers.lives.values()
                if each.merchant is agent and each.plan.way is not Way.TOP_UP
            ]
            delivered = await self._delivered(lives)
            floor = _floor(agent)
            told = {
                each.id: (each.quantity, each.supplied_minor) for each in await self._told(agent)
            }
            sold = {
                each.order: (each.plan.quantity, each.plan.quantity * floor) for each in delivered
            }
            if told != sold:
                odd = sorted(told.items() ^ sold.items())[:5]
                raise Violation(f"Of {agent.number} its supplier is not told what was sold: {odd}")

    async def _told(self, agent: Merchant) -> list[SuppliedOrder]:
        """Read all that an agent's supplier is told, page by page."""
        assert agent.supplier is not None
        found: list[SuppliedOrder] = []
        while True:
            before = found[-1].id if found else None
            query = SuppliedQuery(agent.supplier.id, agent.id, before, _PAGE)
            [page] = await self._asking.ask(Orders, "list_supplied", [query])
            if not page:
                return found
            found += page

    async def _delivered(self, lives: list[Life]) -> list[Life]:
        found = []
        for begin in range(0, len(lives), _PAGE):
            some = lives[begin : begin + _PAGE]
            queries = [OrderQuery(each.order, None) for each in some]
            views = await self._asking.ask(Orders, "read_orders", queries)
            found += [
                life
                for life, view in zip(some, views, strict=True)
                if view is not None and view.delivered_at is not None
            ]
        return found


def _floor(agent: Merchant) -> int:
    """Give what the supplier gets of each key, whenever anything can be sold at all."""
    assert agent.supplier is not None
    return agent.supplier.price_minor * _FLOOR_PERCENT // 100
