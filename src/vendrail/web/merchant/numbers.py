"""Serial search for merchants: any number of their own sales, payouts and movements."""

from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.ledger import TransferId
from vendrail.kernel.ids import to_serial
from vendrail.kernel.numbers import Found, FoundKind
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.finding import WORDS_MAX, Finder, Trail, masked
from vendrail.web.console.movements import Movement, named, proof_file, read_movements
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log, read_id
from vendrail.web.storefront.front import Page

_PATH = "/merchant/search"


class Search:
    """The page that finds whatever a number of the merchant's names."""

    entries = (Entry(_PATH, message("Find a number"), "search", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._finder = Finder(desk.apis)

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk = self._desk
        return [
            desk.get(_PATH, self.show, Permission.ORDERS_READ),
            desk.get(f"{_PATH}/{{transfer:str}}/proof", self.prove, Permission.BALANCE_READ),
        ]

    async def show(self, caller: Caller) -> Page:
        """Find what a number names among the merchant's own; what is others' is not there."""
        words = caller.asked("q", WORDS_MAX)
        if not words:
            return self._desk.page(caller, "merchant/search.html", words="", is_asked=False)
        if (turned := await self._desk.turn_away(caller)) is not None:
            return turned
        await log(self._desk, caller, "number.searched", f"number:{masked(words)}")
        has_money = caller.may(Permission.BALANCE_READ)
        trail = await self._finder.find(words, caller.merchant, has_money=has_money)
        moved = await self._moved(trail, caller.merchant) if has_money else []
        own = {caller.merchant: caller.membership.merchant_name} if caller.membership else {}
        return self._desk.page(
            caller,
            "merchant/search.html",
            status=200 if trail.found or trail.orders else 404,
            words=words,
            is_asked=True,
            found=[(each, _path_of(each)) for each in trail.found],
            orders=trail.orders,
            movements=[named(each, own) for each in moved],
        )

    async def _moved(self, trail: Trail, merchant: UUID) -> list[Movement]:
        """Read what the merchant's own accounts saw of what was found."""
        subjects = set(trail.subjects)
        if len(trail.orders) == 1:
            order = trail.orders[0].id
            [refunds] = await self._desk.apis.orders.read_refunds([order])
            subjects |= {order, *(each.id for each in refunds)}
        moved = await read_movements(self._desk.apis.ledger, sorted(subjects))
        return [each for each in moved if str(merchant) in f"{each.debit} {each.credit}"]

    async def prove(self, caller: Caller) -> Page:
        """Give the proof of a movement of the merchant's own; others' are not there."""
        id = read_id(caller.part("transfer"))
        ledger = self._desk.apis.ledger
        [found] = await ledger.find_numbers([to_serial(id)]) if id else [[]]
        if id is None or not any(caller.merchant in each.merchants for each in found):
            return self._desk.problem(caller.request, 404, caller)
        [proof] = await ledger.prove_transfers([TransferId(id)])
        if proof is None:
            return self._desk.problem(caller.request, 404, caller)
        return proof_file(proof)


def _path_of(found: Found) -> str:
    """Give the page of something that was found; empty: it has none."""
    serial = to_serial(found.id)
    if found.kind is FoundKind.PAYOUT:
        return f"/merchant/payouts/{serial}"
    if found.kind is FoundKind.TRANSFER:
        return f"{_PATH}/{serial}/proof"
    if found.kind is FoundKind.COMPLAINT and found.subject is not None:
        return f"/merchant/complaints/{to_serial(found.subject)}"
    if found.kind is FoundKind.DISPUTE:
        return f"/merchant/disputes/{serial}"
    return ""
