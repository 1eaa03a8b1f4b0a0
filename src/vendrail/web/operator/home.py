"""Where operators begin: what waits for a person, desk by desk, and the way to everything else."""

import asyncio
from collections.abc import Awaitable, Callable

from litestar.handlers import HTTPRouteHandler

from vendrail.api.compliance import DossierQuery
from vendrail.api.identity import Permission, ProposalState
from vendrail.api.payments import UnmatchedQuery
from vendrail.api.payments.deposits import UnpricedQuery
from vendrail.api.risk import ReviewQuery
from vendrail.kernel.saga import SagaState
from vendrail.web.console.caller import OPERATOR, Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.storefront.front import Page

_COUNTED_MAX = 100
_WAITING = (ProposalState.OPEN, ProposalState.APPROVED)

Count = Callable[[], Awaitable[int]]


class Home:
    """The first page of the operator's console."""

    entries = (Entry(OPERATOR, message("Home"), "home"),)

    def __init__(self, desk: Desk) -> None:
        self._desk, self._apis = desk, desk.apis

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the route of the page."""
        return [self._desk.get(OPERATOR, self.home, None)]

    async def home(self, caller: Caller) -> Page:
        """Show what waits at the desks that are the person's."""
        desks: list[tuple[str, Permission | None, Count]] = [
            ("reviews", Permission.REVIEWS_WRITE, self._reviews),
            ("unmatched", Permission.UNMATCHED_WRITE, self._unmatched),
            ("sagas", Permission.SAGAS_WRITE, self._stuck),
            ("verifications", Permission.COMPLIANCE_WRITE, self._dossiers),
            ("approvals", None, self._proposals),
        ]
        own = [(name, count) for name, needed, count in desks if not needed or caller.may(needed)]
        counts = await asyncio.gather(*(count() for _, count in own))
        return self._desk.page(
            caller,
            "operator/home.html",
            waits={
                f"{OPERATOR}/{name}": min(found, _COUNTED_MAX)
                for (name, _), found in zip(own, counts, strict=True)
            },
            counted_max=_COUNTED_MAX,
        )

    async def _reviews(self) -> int:
        [found] = await self._apis.risk.list_reviews([ReviewQuery(reviews_max=_COUNTED_MAX)])
        return len(found)

    async def _unmatched(self) -> int:
        query = UnmatchedQuery(captures_max=_COUNTED_MAX)
        payments = self._apis.payments
        [found] = await payments.list_unmatched([query])
        [unpriced] = await payments.list_unpriced([UnpricedQuery(arrivals_max=_COUNTED_MAX)])
        return len(found) + len(unpriced)

    async def _stuck(self) -> int:
        [count] = await self._apis.orders.count_sagas([SagaState.STUCK])
        return count

    async def _dossiers(self) -> int:
        [found] = await self._apis.compliance.list_dossiers(
            [DossierQuery(dossiers_max=_COUNTED_MAX)]
        )
        return len(found)

    async def _proposals(self) -> int:
        views = await self._apis.identity.list_proposals(None, _COUNTED_MAX)
        return sum(each.state in _WAITING for each in views)
