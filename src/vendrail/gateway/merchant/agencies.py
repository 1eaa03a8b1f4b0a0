"""Agents and suppliers: who sells whose keys, at which floors, and what is listed of others'."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from vendrail.api.catalog import (
    Catalog,
    Floor,
    FloorQuery,
    ListSupplied,
    MerchantId,
    SuppliedVariant,
    SuppliedVariantQuery,
    VariantId,
)
from vendrail.api.identity import NOT_DONE
from vendrail.api.orders import OrderId, Orders, SuppliedQuery
from vendrail.api.settlement import Sale, SaleStatus, Settlement, Supply, supply_of
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.merchant import asked, problems
from vendrail.gateway.merchant.agencybodies import (
    AgencyBody,
    AgencyListBody,
    FloorBody,
    FloorListBody,
    FloorPutBody,
    ListingBody,
    ListingPutBody,
    OfferedBody,
    OfferedListBody,
    PutFloorBody,
    PutListingBody,
    SuppliedSaleBody,
    SuppliedSaleListBody,
)
from vendrail.gateway.merchant.keyring import Keyring, Program
from vendrail.gateway.problems import QUERY_MALFORMED
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, new_id, to_serial

_FLOOR = msgspec.json.Decoder(PutFloorBody)
_LISTING = msgspec.json.Decoder(PutListingBody)
_BYTES_MAX = 16_384


class AgencyRoom:
    """Answers both sides; who is an agent of whom is agreed in the console."""

    def __init__(
        self,
        catalog: Catalog,
        orders: Orders,
        settlement: Settlement,
        keyring: Keyring,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._orders = orders
        self._settlement = settlement
        self._keyring = keyring
        self._clock = clock

    async def list_agencies(self, _: Exchange, program: Program, __: str) -> Answer:
        """List agents and suppliers."""
        [found] = await self._catalog.list_agencies([MerchantId(program.merchant)])
        items = []
        for each in found:
            is_agent = each.supplier == program.merchant
            items.append(
                AgencyBody(
                    to_serial(each.agent if is_agent else each.supplier),
                    each.agent_name if is_agent else each.supplier_name,
                    each.agent_slug if is_agent else each.supplier_slug,
                    "agent" if is_agent else "supplier",
                    each.state,
                    each.changed_at,
                )
            )
        return said(200, encode(AgencyListBody(items)))

    async def list_floors(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List a page of what the merchant gets of agents."""
        query = exchange.query()
        before = asked.before(query)
        wanted = FloorQuery(
            MerchantId(program.merchant),
            query.get("q", "")[:200],
            before=VariantId(before) if before else None,
            floors_max=asked.limit(query),
        )
        [found] = await self._catalog.list_floors([wanted])
        items = [
            FloorBody(each.sku, each.title, each.prices_minor, each.floor_minor, each.listings)
            for each in found
        ]
        is_full = len(found) == wanted.floors_max
        following = to_serial(found[-1].variant) if is_full else None
        return said(200, encode(FloorListBody(items, following)))

    async def put_floor(self, exchange: Exchange, program: Program, sku: str) -> Answer:
        """Say what the merchant gets of agents; written to the log before it counts."""
        body = await exchange.json(_FLOOR, _BYTES_MAX)
        [offer] = await self._catalog.read_offers([sku])
        if offer is None or offer.merchant != program.merchant:
            raise Refusal(problems.SKU_NOT_FOUND)
        subject = f"variant:{to_serial(offer.variant)}"
        once = await self._record(program, "floor.changed", subject, _told(body.floor_minor))
        floor = Floor(MerchantId(program.merchant), offer.variant, body.floor_minor)
        [status] = await self._catalog.put_floors([floor])
        refusal = problems.FLOOR.get(status)
        if refusal is not None:
            await self._record(program, "floor.changed", subject, {NOT_DONE: status.value}, once)
            raise Refusal(refusal)
        return said(200, encode(FloorPutBody(sku, status.value)))

    async def list_offers(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List a page of what suppliers let the merchant sell, and how it is listed."""
        query = exchange.query()
        before = asked.before(query)
        wanted = SuppliedVariantQuery(
            MerchantId(program.merchant),
            query.get("q", "")[:200],
            after=VariantId(before) if before else None,
            variants_max=asked.limit(query),
        )
        [found] = await self._catalog.list_supplied([wanted])
        is_full = len(found) == wanted.variants_max
        following = to_serial(found[-1].source) if is_full else None
        return said(200, encode(OfferedListBody([_offered(each) for each in found], following)))

    async def put_listing(self, exchange: Exchange, program: Program, serial: str) -> Answer:
        """List what is supplied at a price; refuse what would leave less than nothing."""
        source = _id(serial)
        body = await exchange.json(_LISTING, _BYTES_MAX)
        merchant = MerchantId(program.merchant)
        [shops] = await self._catalog.list_shops([merchant])
        shop = next((each for each in shops if each.slug == body.shop), None)
        if shop is None:
            raise Refusal(problems.SHOP_NOT_FOUND)
        own = SuppliedVariantQuery(merchant, source=source)
        [found] = await self._catalog.list_supplied([own])
        if not found:
            raise Refusal(problems.NOT_SUPPLIED)
        await self._refuse_low(program, found[0], body.prices_minor)
        subject = f"variant:{serial}"
        once = await self._record(program, "listing.changed", subject, _told(body.prices_minor))
        listing = ListSupplied(merchant, shop.id, source, body.prices_minor)
        [status] = await self._catalog.put_listings([listing])
        refusal = problems.LISTING.get(status)
        if refusal is not None:
            await self._record(program, "listing.changed", subject, {NOT_DONE: status.value}, once)
            raise Refusal(refusal)
        [[listed]] = await self._catalog.list_supplied([own])
        assert listed.product is not None  # It was listed a moment ago.
        return said(200, encode(ListingPutBody(serial, status.value, to_serial(listed.product))))

    async def _refuse_low(
        self, program: Program, known: SuppliedVariant, prices_minor: Mapping[str, int]
    ) -> None:
        """Refuse prices that do not bear the fee beside the supplier's part."""
        now = self._clock.now()
        floor = known.floor_minor
        sales = [
            Sale(
                new_id(now),
                program.merchant,
                minor,
                each,
                now,
                category=known.category,
                supply=Supply(known.supplier, floor[each]),
            )
            for each, minor in prices_minor.items()
            if each in floor and minor >= floor[each]
        ]
        results = await self._settlement.price_sales(sales) if sales else []
        for sale, result in zip(sales, results, strict=True):
            if result.status is SaleStatus.MARKUP_TOO_LOW:
                raise Refusal(problems.MARKUP_TOO_LOW, f"Ask for more in {sale.currency}.")

    async def list_sales(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List a page of what agents have sold of the merchant's keys."""
        query = exchange.query()
        before, sales_max = asked.before(query), asked.limit(query)
        [found] = await self._orders.list_supplied(
            [
                SuppliedQuery(
                    program.merchant,
                    before=await self._order_of(program, before) if before else None,
                    orders_max=sales_max,
                )
            ]
        )
        items = [
            SuppliedSaleBody(
                to_serial(supply_of(each.id)),
                to_serial(each.agent),
                each.title,
                each.quantity,
                each.supplied_minor,
                each.currency,
                each.state,
                each.is_refunded,
                each.placed_at,
            )
            for each in found
        ]
        is_full = len(found) == sales_max
        return said(200, encode(SuppliedSaleListBody(items, items[-1].id if is_full else None)))

    async def _order_of(self, program: Program, sale: UUID) -> OrderId:
        """Find the order behind a sale; another's is not told from one that there is not."""
        [supply] = await self._settlement.read_supplies([sale])
        if supply is None or supply.supplier != program.merchant:
            raise Refusal(QUERY_MALFORMED, "before is the `next` of the page before.")
        return OrderId(supply.order)

    async def _record(
        self,
        program: Program,
        act: str,
        subject: str,
        after: Mapping[str, str],
        once: str = "",
    ) -> str:
        """Write to the log, and give what names the act; what was not done follows under it."""
        once = f"{once}:undone" if once else new_id(self._clock.now()).hex
        await self._keyring.record(program, act, subject, once=once, after=after)
        return once


def _id(serial: str) -> VariantId:
    try:
        return VariantId(from_serial(serial))
    except Malformed:
        raise Refusal(problems.NOT_SUPPLIED) from None


def _told(prices_minor: Mapping[str, int]) -> dict[str, str]:
    return {code: str(minor) for code, minor in sorted(prices_minor.items())}


def _offered(each: SuppliedVariant) -> OfferedBody:
    listing = None
    if each.product is not None:
        listing = ListingBody(
            to_serial(each.product),
            each.listed_minor,
            each.sold_minor,
            each.is_paused,
            each.is_on_sale,
        )
    return OfferedBody(
        to_serial(each.source),
        each.sku,
        each.title,
        to_serial(each.supplier),
        each.supplier_name,
        each.floor_minor,
        each.prices_minor,
        each.free,
        listing,
    )
