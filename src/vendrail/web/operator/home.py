"""Where operators begin: what waits for a person, desk by desk, and the way to everything else."""

import asyncio
from collections.abc import Awaitable, Callable

from litestar.handlers import HTTPRouteHandler

from vendrail.api.compliance import DossierQuery
from vendrail.api.identity import ApplicationQuery, ApplicationState, Permission, ProposalState
from vendrail.api.payments import UnmatchedQuery
from vendrail.api.payments.deposits import UnpricedQuery
from vendrail.api.payouts import PayoutQuery, PayoutState
from vendrail.api.risk import ReviewQuery
from vendrail.api.support import ComplaintQuery, ComplaintState
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
            ("complaints", Permission.REFUNDS_WRITE, self._complaints),
            ("reviews", Permission.REVIEWS_WRITE, self._reviews),
            ("unmatched", Permission.UNMATCHED_WRITE, self._unmatched),
            ("sagas", Permission.SAGAS_WRITE, self._stuck),
            ("approvals", None, self._proposals),
            ("payouts", Permission.PAYOUTS_WRITE, self._payouts),
            ("reserves", Permission.PAYOUTS_WRITE, self._reserves),
            ("verifications", Permission.COMPLIANCE_WRITE, self._dossiers),
            ("registration", Permission.MERCHANTS_WRITE, self._applications),
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

    async def _complaints(self) -> int:
        query = ComplaintQuery(None, [ComplaintState.ESCALATED], complaints_max=_COUNTED_MAX)
        [found] = await self._apis.support.list_complaints([query])
        return len(found)

    async def _payouts(self) -> int:
        query = PayoutQuery(states=[PayoutState.REVIEW], payouts_max=_COUNTED_MAX)
        [found] = await self._apis.payouts.list_payouts([query])
        return len(found)

    async def _reserves(self) -> int:
        """Count the reserves that payouts wait for, because they do not have enough."""
        found = await self._apis.payouts.list_reserves()
        return sum(each.waiting_minor > each.free_minor for each in found)

    async def _applications(self) -> int:
        query = ApplicationQuery(ApplicationState.WAITING, applications_max=_COUNTED_MAX)
        [found] = await self._apis.identity.list_applications([query])
        return len(found)

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
