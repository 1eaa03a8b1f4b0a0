"""Disputes: what buyers' banks take back, and what the merchant says against it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.disputes import DisputeQuery, DisputeState, DisputeView
from vendrail.api.disputes import Disputes as Api
from vendrail.api.identity import Permission
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import one_of
from vendrail.web.console.tables import DISPUTES
from vendrail.web.contests import Contests
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log, log_export, read_id
from vendrail.web.storefront.front import Page

ROOT = "/merchant/disputes"
_PAGE = 50
_FIELDS = {"state": one_of(DisputeState)}
ReadDisputes = Callable[[DisputeView | None], Awaitable[Sequence[DisputeView]]]


class Disputes:
    """What is disputed of a merchant's sales."""

    entries = (Entry(ROOT, message("Disputes"), "flag", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._disputes = desk.apis.disputes

        async def told(
            caller: Caller, act: str, subject: str, after: Mapping[str, str], _: DisputeView
        ) -> None:
            await log(desk, caller, act, subject, after=after)

        self._contests = Contests(
            desk, ROOT, "merchant/dispute.html", lambda caller: caller.merchant, told
        )

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk = self._desk
        return [
            desk.get(ROOT, self.table, Permission.ORDERS_READ, fields=_FIELDS),
            desk.get(f"{ROOT}.csv", self.export, Permission.ORDERS_READ),
            *self._contests.handlers(),
        ]

    async def table(self, caller: Caller) -> Page:
        """List the merchant's disputes, newest first."""
        wanted = read_state(caller)
        query = DisputeQuery(
            caller.merchant, wanted, read_id(caller.asked("before")), disputes_max=_PAGE + 1
        )
        [found] = await self._disputes.list_disputes([query])
        return self._desk.page(
            caller,
            "merchant/disputes.html",
            path=ROOT,
            disputes=found[:_PAGE],
            exported=saved_at(caller, ROOT, ("state",)),
            wanted=wanted,
            states=list(DisputeState),
            older=older_of(ROOT, wanted, found, _PAGE),
            now=self._desk.clock.now(),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the disputes that the page lists as CSV; who took them is kept."""
        told = filters_of(caller, ("state",))
        turned = await log_export(self._desk, caller, LISTED, "list:disputes", told)
        if turned is not None:
            return turned
        return save("disputes", DISPUTES, reader(self._disputes, caller.merchant, caller))


def reader(disputes: Api, merchant: UUID | None, caller: Caller) -> ReadDisputes:
    """Give what reads all disputes of an address's state, page by page."""
    wanted = read_state(caller)

    async def read(last: DisputeView | None) -> Sequence[DisputeView]:
        query = DisputeQuery(merchant, wanted, last.id if last else None, AT_ONCE)
        [found] = await disputes.list_disputes([query])
        return found

    return read


def read_state(caller: Caller) -> DisputeState | None:
    """Read which state a list is asked for; None: all."""
    asked = caller.asked("state", 20)
    return DisputeState(asked) if asked in list(DisputeState) else None


def older_of(root: str, state: DisputeState | None, found: list[DisputeView], page: int) -> str:
    """Give the address of the page after this one, or nothing."""
    if len(found) <= page:
        return ""
    kept = {"state": state.value} if state else {}
    return f"{root}?{urlencode(kept | {'before': to_serial(found[page - 1].id)})}"
