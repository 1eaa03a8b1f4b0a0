"""Floor prices, and what is listed of others': pages of both sides of selling through agents."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import (
    Floor,
    FlooredVariant,
    FloorQuery,
    FloorStatus,
    ListingStatus,
    ListSupplied,
    MerchantId,
    ShopId,
    SuppliedVariant,
    SuppliedVariantQuery,
    VariantId,
)
from vendrail.api.identity import Permission
from vendrail.api.settlement import Sale, SaleResult, SaleStatus, Supply
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import is_name, one_of
from vendrail.web.console.smalllists import told
from vendrail.web.languages import message
from vendrail.web.merchant.acting import changes, log, log_export, log_undone, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/agents"  # Whose entry of the navigation both pages stand below.
_FLOORS = f"{_ROOT}/floors"
_GOODS = f"{_ROOT}/goods"
_PAGE = 50
_FLOORED = {"floored": True, "bare": False}
_ON_LIST = {"listed": True, "unlisted": False}
_FILTERS = ("q", "state")
_FLOOR_FIELDS = {"q": is_name, "state": one_of(_FLOORED)}
_GOODS_FIELDS = {"q": is_name, "state": one_of(_ON_LIST)}
_FLOOR_COLUMNS = told("sku title prices_minor floor_minor listings variant")
_GOODS_COLUMNS = told(
    "sku title supplier supplier_name floor_minor prices_minor free category listed_minor"
    " is_on_sale"
)
_DONE = (FloorStatus.CHANGED, FloorStatus.UNCHANGED)
_LISTED = (ListingStatus.LISTED, ListingStatus.CHANGED, ListingStatus.UNCHANGED)
_WRONG = message("Write prices in digits with one point, as 12.30.")
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


class Written(NamedTuple):
    """What was written into one row of a list, and what is wrong with it."""

    row: UUID | None = None
    prices: Mapping[str, str] = {}
    problem: str = ""


_NOTHING = Written()


class Listings:
    """What agents pay for what a merchant supplies, and what it lists of its suppliers'."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._catalog = desk.apis.catalog
        self._settlement = desk.apis.settlement

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read, write = self._desk, Permission.PRODUCTS_READ, Permission.PRODUCTS_WRITE
        return [
            desk.get(_FLOORS, self.floors, read, fields=_FLOOR_FIELDS),
            desk.get(f"{_FLOORS}.csv", self.save_floors, read),
            desk.post(_FLOORS, self.set_floor, write, is_grave=True),
            desk.get(_GOODS, self.goods, read, fields=_GOODS_FIELDS),
            desk.get(f"{_GOODS}.csv", self.save_goods, read),
            desk.post(_GOODS, self.put_on_sale, write),
        ]

    async def floors(self, caller: Caller) -> Page:
        """Show what the merchant gets of each unit that an agent sells."""
        return await self._floors(caller)

    async def _floors(
        self,
        caller: Caller,
        written: Written = _NOTHING,
        refused: FlooredVariant | None = None,
        *,
        status: int = 200,
    ) -> Page:
        words, state = caller.asked("q"), _one_of(_FLOORED, caller)
        before = read_id(caller.asked("before"))
        query = FloorQuery(
            MerchantId(caller.merchant),
            words,
            _FLOORED.get(state),
            before=VariantId(before) if before else None,
            floors_max=_PAGE + 1,
        )
        [found] = await self._catalog.list_floors([query])
        shown, older = found[:_PAGE], ""
        if len(found) > _PAGE:
            older = _beyond(_FLOORS, words, state, before=to_serial(shown[-1].variant))
        if refused is not None:  # First, below what is wrong with it; wherever it stands by now.
            shown = [refused, *(each for each in shown if each.variant != refused.variant)]
        return self._desk.page(
            caller,
            "merchant/floors.html",
            path=_ROOT,
            status=status,
            goods=[(each, _floors_of(each, written)) for each in shown],
            here=_here(caller, _FLOORS),
            words=words,
            state=state,
            is_first=not (words or state or before),
            exported=saved_at(caller, _FLOORS, _FILTERS),
            older=older,
            written=written,
            may_write=caller.may(Permission.PRODUCTS_WRITE),
            problem=written.problem,
        )

    async def save_floors(self, caller: Caller) -> Page:
        """Give the floor prices that the page lists as CSV, all of them; who took them is kept."""
        filters = filters_of(caller, _FILTERS)
        turned = await log_export(self._desk, caller, LISTED, "list:agents-floors", filters)
        if turned is not None:
            return turned
        merchant = MerchantId(caller.merchant)
        words, has_floor = caller.asked("q"), _FLOORED.get(caller.asked("state"))

        async def read(last: FlooredVariant | None) -> Sequence[FlooredVariant]:
            before = last.variant if last else None
            query = FloorQuery(merchant, words, has_floor, before=before, floors_max=AT_ONCE)
            [found] = await self._catalog.list_floors([query])
            return found

        return save("agents-floors", _FLOOR_COLUMNS, read)

    async def set_floor(self, caller: Caller) -> Page:
        """Set what agents pay for each unit of a variant; empty: agents do not sell it."""
        id, here = read_id(caller.written("variant")), _here(caller, _FLOORS)
        if id is None:
            return self._desk.problem(caller.request, 404, caller)
        query = FloorQuery(MerchantId(caller.merchant), variant=VariantId(id))
        [found] = await self._catalog.list_floors([query])
        if not found:
            return self._desk.problem(caller.request, 404, caller)
        [known] = found
        currencies = {*known.prices_minor, *known.floor_minor}
        texts = {each: caller.written(f"floor_{each}", 20).strip() for each in currencies}

        async def refuse(problem: str) -> Page:
            written = Written(known.variant, texts, self._desk.say(caller, problem))
            return await self._floors(caller, written, known, status=422)

        try:
            floor = {each: from_text(text, each) for each, text in texts.items() if text}
        except Malformed:
            return await refuse(_WRONG)
        subject = f"variant:{to_serial(known.variant)}"
        was, now = changes(_told(known.floor_minor), _told(floor))
        row = f"{here}#{to_serial(known.variant)}"
        if not was and not now:
            return onward(row)
        await log(self._desk, caller, "floor.changed", subject, before=was, after=now)
        [status] = await self._catalog.put_floors(
            [Floor(MerchantId(caller.merchant), known.variant, floor)]
        )
        if status not in _DONE:
            await log_undone(self._desk, caller, "floor.changed", subject, status.value)
            return await refuse(_FLOOR_REFUSALS[status])
        return onward(row)

    async def goods(self, caller: Caller) -> Page:
        """Show what suppliers let the merchant sell, and what is listed of it."""
        return await self._goods(caller)

    async def _goods(
        self,
        caller: Caller,
        written: Written = _NOTHING,
        refused: SuppliedVariant | None = None,
        *,
        status: int = 200,
    ) -> Page:
        merchant = MerchantId(caller.merchant)
        words, state = caller.asked("q"), _one_of(_ON_LIST, caller)
        after = read_id(caller.asked("after"))
        query = SuppliedVariantQuery(
            merchant,
            words,
            _ON_LIST.get(state),
            after=VariantId(after) if after else None,
            variants_max=_PAGE + 1,
        )
        [found] = await self._catalog.list_supplied([query])
        [shops] = await self._catalog.list_shops([merchant])
        shown, later = found[:_PAGE], ""
        if len(found) > _PAGE:
            later = _beyond(_GOODS, words, state, after=to_serial(shown[-1].source))
        if refused is not None:  # First, below what is wrong with it; wherever it stands by now.
            shown = [refused, *(each for each in shown if each.source != refused.source)]
        return self._desk.page(
            caller,
            "merchant/supplied.html",
            path=_ROOT,
            status=status,
            goods=[(each, _prices_of(each, written)) for each in shown],
            here=_here(caller, _GOODS),
            words=words,
            state=state,
            is_first=not (words or state or after),
            exported=saved_at(caller, _GOODS, _FILTERS),
            first=_beyond(_GOODS, words, state) if after else "",
            later=later,
            shops=shops,
            written=written,
            may_write=caller.may(Permission.PRODUCTS_WRITE),
            problem=written.problem,
        )

    async def save_goods(self, caller: Caller) -> Page:
        """Give the goods that the page lists as CSV, all of them; who took them is kept."""
        filters = filters_of(caller, _FILTERS)
        turned = await log_export(self._desk, caller, LISTED, "list:agents-goods", filters)
        if turned is not None:
            return turned
        merchant = MerchantId(caller.merchant)
        words, is_listed = caller.asked("q"), _ON_LIST.get(caller.asked("state"))

        async def read(last: SuppliedVariant | None) -> Sequence[SuppliedVariant]:
            after = last.source if last else None
            query = SuppliedVariantQuery(
                merchant, words, is_listed, after=after, variants_max=AT_ONCE
            )
            [found] = await self._catalog.list_supplied([query])
            return found

        return save("agents-goods", _GOODS_COLUMNS, read)

    async def put_on_sale(self, caller: Caller) -> Page:
        """List what a supplier supplies at a price; refuse what would leave less than nothing."""
        id, shop = read_id(caller.written("source")), read_id(caller.written("shop"))
        merchant = MerchantId(caller.merchant)
        if id is None or shop is None:
            return self._desk.problem(caller.request, 404, caller)
        query = SuppliedVariantQuery(merchant, source=VariantId(id))
        [found] = await self._catalog.list_supplied([query])
        if not found:
            return self._desk.problem(caller.request, 404, caller)
        [known] = found
        texts = {each: caller.written(f"price_{each}", 20).strip() for each in known.floor_minor}

        async def refuse(problem: str) -> Page:
            written = Written(known.source, texts, problem)
            return await self._goods(caller, written, known, status=422)

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
        return onward(f"{_here(caller, _GOODS)}#{to_serial(known.source)}")

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


def _floors_of(variant: FlooredVariant, written: Written) -> dict[str, str]:
    currencies = {*variant.prices_minor, *variant.floor_minor}
    return _texts(variant.variant, currencies, variant.floor_minor, written)


def _prices_of(variant: SuppliedVariant, written: Written) -> dict[str, str]:
    return _texts(variant.source, variant.floor_minor, variant.listed_minor, written)


def _texts(
    row: UUID, currencies: Iterable[str], standing: Mapping[str, int], written: Written
) -> dict[str, str]:
    """Give by currency what stands in the fields of a row: what was written there, or what is."""
    if written.row == row:
        return {each: written.prices.get(each, "") for each in sorted(currencies)}
    return {
        each: to_text(standing[each], each) if each in standing else ""
        for each in sorted(currencies)
    }


def _one_of(states: Mapping[str, bool], caller: Caller) -> str:
    state = caller.asked("state")
    return state if state in states else ""


def _here(caller: Caller, path: str) -> str:
    """Give the address of the page of a list that a form was on: it is sent there, and back."""
    names = ("q", "state", "before", "after", "saved")
    asked = {name: value for name in names if (value := caller.asked(name))}
    return f"{path}?{urlencode(asked)}" if asked else path


def _beyond(path: str, words: str, state: str, **cursor: str) -> str:
    """Give the address of the page of a list that is searched, from a place on."""
    asked = {"q": words, "state": state, **cursor}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{path}?{query}" if query else path


def _told(prices_minor: Mapping[str, int]) -> dict[str, str]:
    return {each: to_text(minor, each) for each, minor in sorted(prices_minor.items())}
