"""Disputes: what banks take back of all merchants' sales, how old each is, and how it ended."""

from collections.abc import Mapping
from datetime import timedelta

from litestar.handlers import HTTPRouteHandler

from vendrail.api.disputes import DisputeQuery, DisputeState, DisputeView
from vendrail.api.identity import Permission
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import is_id, one_of
from vendrail.web.console.tables import DISPUTES
from vendrail.web.contests import Contests
from vendrail.web.languages import message
from vendrail.web.merchant.disputes import older_of, read_state, reader
from vendrail.web.operator.deeds import Deeds
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_ROOT = "/operator/disputes"
_PAGE = 50
_FILTERS = ("merchant", "state")
_FIELDS = {"merchant": is_id, "state": one_of(DisputeState)}
_FIGURES = timedelta(days=90)


class DisputesDesk:
    """The operator's list of disputes, and each with what is said against it."""

    entries = (Entry(_ROOT, message("Disputes"), "flag", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._disputes = desk.apis.disputes

        async def told(
            caller: Caller, act: str, subject: str, after: Mapping[str, str], of: DisputeView
        ) -> None:
            await deeds.log(caller, act, subject, after=after, merchant=of.merchant)

        self._contests = Contests(desk, _ROOT, "operator/dispute.html", lambda _: None, told)

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read = self._desk, Permission.ORDERS_READ
        return [
            desk.get(_ROOT, self.table, read, fields=_FIELDS),
            desk.get(f"{_ROOT}.csv", self.export, read),
            *self._contests.handlers(),
        ]

    async def table(self, caller: Caller) -> Page:
        """List disputes, newest first, of one merchant or all."""
        names = await self._files.merchant_names()
        merchant, wanted = read_id(caller.asked("merchant")), read_state(caller)
        query = DisputeQuery(
            merchant, wanted, read_id(caller.asked("before")), disputes_max=_PAGE + 1
        )
        [found] = await self._disputes.list_disputes([query])
        now = self._desk.clock.now()
        shown = sorted({each.merchant for each in found[:_PAGE] if each.merchant is not None})
        figures = await self._disputes.count_disputes(shown, now - _FIGURES)
        return self._desk.page(
            caller,
            "operator/disputes.html",
            disputes=found[:_PAGE],
            exported=saved_at(caller, _ROOT, _FILTERS),
            wanted=wanted,
            merchant=merchant,
            states=list(DisputeState),
            older=older_of(_ROOT, wanted, found, _PAGE),
            names=names,
            figures={each.merchant: each for each in figures},
            days=_FIGURES.days,
            now=now,
        )

    async def export(self, caller: Caller) -> Page:
        """Give the disputes that the page lists as CSV; who took them is kept."""
        turned = await self._deeds.log_export(
            caller, LISTED, "list:disputes", filters_of(caller, _FILTERS)
        )
        if turned is not None:
            return turned
        merchant = read_id(caller.asked("merchant"))
        return save("disputes", DISPUTES, reader(self._disputes, merchant, caller))
