"""Serial search: any number leads to the order, its payments, refunds, payouts and transfers."""

import asyncio

from litestar.handlers import HTTPRouteHandler

from vendrail.api.disputes import DisputeView
from vendrail.api.identity import Permission
from vendrail.api.ledger import TransferId
from vendrail.kernel.ids import to_serial
from vendrail.kernel.numbers import Found, FoundKind
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.finding import WORDS_MAX, Finder, Trail, masked
from vendrail.web.console.movements import Movement, named, proof_file, read_movements
from vendrail.web.console.shares import read_paid_out, read_way
from vendrail.web.languages import message
from vendrail.web.operator.deeds import Deeds
from vendrail.web.operator.files import Files, OrderFile, read_id
from vendrail.web.storefront.front import Page

_PATH = "/operator/search"


class Search:
    """The page that finds whatever a number names."""

    entries = (Entry(_PATH, message("Find a number"), "search", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._finder = Finder(desk.apis)

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, permission = self._desk, Permission.ORDERS_READ
        return [
            desk.get(_PATH, self.show, permission),
            desk.get(f"{_PATH}/{{transfer:str}}/proof", self.prove, permission),
        ]

    async def show(self, caller: Caller) -> Page:
        """Find what a number names; who looked for what is kept before the answer is."""
        words = caller.asked("q", WORDS_MAX)
        if not words:
            return self._desk.page(caller, "operator/search.html", words="", is_asked=False)
        await self._deeds.log(caller, "number.searched", f"number:{masked(words)}")
        trail = await self._finder.find(words, None, has_money=True)
        names = await self._files.merchant_names()
        file = await self._file(trail)
        moved, disputes = await asyncio.gather(self._moved(trail, file), self._disputes(file))
        return self._desk.page(
            caller,
            "operator/search.html",
            status=200 if trail.found or trail.orders else 404,
            words=words,
            is_asked=True,
            found=[(each, _path_of(each, caller)) for each in trail.found],
            orders=trail.orders,
            names=names,
            file=file,
            movements=[named(each, names) for each in moved],
            share=await read_way(self._desk.apis.settlement, file.view) if file else None,
            paid_out=await read_paid_out(self._desk.apis.payouts, file.view) if file else [],
            split=await self._files.split(file) if file else None,
            disputes=disputes,
        )

    async def _file(self, trail: Trail) -> OrderFile | None:
        """Read the file of the order, where it is one and no more."""
        return await self._files.read(trail.orders[0].id) if len(trail.orders) == 1 else None

    async def _moved(self, trail: Trail, file: OrderFile | None) -> list[Movement]:
        """Read what was booked under the numbers, and of an order all that is its own."""
        subjects = set(trail.subjects)
        if file is not None:
            subjects |= {file.view.id, *(each.id for each in file.refunds)}
        return await read_movements(self._desk.apis.ledger, sorted(subjects))

    async def _disputes(self, file: OrderFile | None) -> list[DisputeView]:
        if file is None:
            return []
        [disputes] = await self._desk.apis.disputes.read_order_disputes([file.view.id])
        return disputes

    async def prove(self, caller: Caller) -> Page:
        """Give the proof of a transfer as a file; what is not sealed yet has none."""
        id = read_id(caller.part("transfer"))
        [proof] = await self._desk.apis.ledger.prove_transfers([TransferId(id)]) if id else [None]
        if proof is None:
            return self._desk.problem(caller.request, 404, caller)
        return proof_file(proof)


def _path_of(found: Found, caller: Caller) -> str:
    """Give the page of something that was found; empty: it has none that the caller may see."""
    serial = to_serial(found.id)
    if found.kind is FoundKind.PAYOUT:
        return f"/operator/payouts/{serial}" if caller.may(Permission.PAYOUTS_WRITE) else ""
    if found.kind is FoundKind.TRANSFER:
        return f"{_PATH}/{serial}/proof"
    if found.kind is FoundKind.CAPTURE and found.subject is None:
        return f"/operator/unmatched/{serial}" if caller.may(Permission.UNMATCHED_WRITE) else ""
    if found.kind is FoundKind.COMPLAINT and found.subject is not None:
        return f"/operator/complaints/{to_serial(found.subject)}"
    return ""
