"""Disputes: what banks take back of all merchants' sales, how old each is, and how it ended."""

from collections.abc import Mapping
from datetime import timedelta

from litestar.handlers import HTTPRouteHandler

from vendrail.api.disputes import DisputeQuery, DisputeState, DisputeView
from vendrail.api.identity import Permission
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.contests import Contests
from vendrail.web.languages import message
from vendrail.web.merchant.disputes import older_of, read_state
from vendrail.web.operator.deeds import Deeds
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_ROOT = "/operator/disputes"
_PAGE = 50
_FIGURES = timedelta(days=90)


class DisputesDesk:
    """The operator's list of disputes, and each with what is said against it."""

    entries = (Entry(_ROOT, message("Disputes"), "flag", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._files = desk, files
        self._disputes = desk.apis.disputes

        async def told(
            caller: Caller, act: str, subject: str, after: Mapping[str, str], of: DisputeView
        ) -> None:
            await deeds.log(caller, act, subject, after=after, merchant=of.merchant)

        self._contests = Contests(desk, _ROOT, "operator/dispute.html", lambda _: None, told)

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        table = self._desk.get(_ROOT, self.table, Permission.ORDERS_READ)
        return [table, *self._contests.handlers()]

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
