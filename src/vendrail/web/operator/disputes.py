"""Disputes: what banks take back of all merchants' sales, how old each is, and how it ended."""

from datetime import timedelta

from litestar.handlers import HTTPRouteHandler

from vendrail.api.disputes import DisputeQuery, DisputeState
from vendrail.api.identity import Permission
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.disputes import older_of, read_state
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_ROOT = "/operator/disputes"
_PAGE = 50
_FIGURES = timedelta(days=90)


class DisputesDesk:
    """The operator's list of disputes."""

    entries = (Entry(_ROOT, message("Disputes"), "flag", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk, files: Files) -> None:
        self._desk, self._files = desk, files
        self._disputes = desk.apis.disputes

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the route of the page."""
        return [self._desk.get(_ROOT, self.table, Permission.ORDERS_READ)]

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
            wanted=wanted,
            merchant=merchant,
            states=list(DisputeState),
            older=older_of(_ROOT, wanted, found, _PAGE),
            names=names,
            figures={each.merchant: each for each in figures},
            days=_FIGURES.days,
            now=now,
        )
