"""Suggested fees that are applied by themselves: for whom, what was, and taking it back."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.settlement import (
    FeeAdjustment,
    FeeAdjustmentQuery,
    FeeAdjustmentStatus,
    FeeAllowance,
    FeeAllowanceStatus,
)
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.tables import ADJUSTMENTS
from vendrail.web.feewords import say_parts
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

PATH = "/operator/suggestions/automatic"
_UNDER = "/operator/suggestions"
_ALLOWED, _TAKEN_BACK = "fee_allowance.changed", "fee_adjustment.taken_back"
_PAGE = 50
_LAST = 2**128 - 1
_WORDS: Mapping[str, bool | None] = {"yes": True, "no": False, "tier": None}
_SAID = {
    FeeAllowanceStatus.CHANGED: Said.SAVED,
    FeeAllowanceStatus.UNCHANGED: Said.EXISTS,
    FeeAllowanceStatus.FIELD_MALFORMED: Said.NO_NOTICE,
}
_BACK_SAID = {
    FeeAdjustmentStatus.TAKEN_BACK: Said.TAKEN_BACK,
    FeeAdjustmentStatus.EXISTS: Said.EXISTS,
    FeeAdjustmentStatus.NOT_FOUND: Said.NOT_FOUND,
    FeeAdjustmentStatus.FOLLOWED: Said.FEE_FOLLOWED,
}


class Applied(NamedTuple):
    """An adjustment, and in words what it is made of."""

    made: FeeAdjustment
    words: str


class AdjustmentsDesk:
    """The operator's page of fees that follow by themselves."""

    entries = ()

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._settlement = desk.apis.settlement
        deeds.add(Deed(_ALLOWED, Permission.MERCHANTS_WRITE, self._put))
        deeds.add(Deed(_TAKEN_BACK, Permission.MERCHANTS_WRITE, self._take_back))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.MERCHANTS_WRITE
        return [
            desk.get(PATH, self.show, Permission.MERCHANTS_READ),
            desk.get(f"{PATH}.csv", self.export, Permission.MERCHANTS_READ),
            desk.post(PATH, self.change, write, is_grave=True),
            desk.post(f"{PATH}/{{adjustment:str}}/back", self.take_back, write, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """List for whom suggestions are applied, and what was."""
        return await self._show(caller)

    async def export(self, caller: Caller) -> Page:
        """Give what was applied, as the page lists it, as CSV; who took it is kept."""
        told = filters_of(caller, ("merchant",))
        turned = await self._deeds.log_export(caller, LISTED, "list:fee-adjustments", told)
        if turned is not None:
            return turned
        merchant = self._merchant(caller)

        async def read(last: FeeAdjustment | None) -> Sequence[FeeAdjustment]:
            query = FeeAdjustmentQuery(merchant, last.id if last else None, AT_ONCE)
            [found] = await self._settlement.list_fee_adjustments([query])
            return found

        return save("fee-adjustments", ADJUSTMENTS, read)

    async def _show(self, caller: Caller, said: Said | None = None) -> Page:
        names = await self._files.merchant_names()
        merchant = self._merchant(caller)
        if merchant is not None and merchant not in names:
            return self._desk.problem(caller.request, 404, caller)
        query = FeeAdjustmentQuery(merchant, read_id(caller.asked("before", 40)), _PAGE)
        [found] = await self._settlement.list_fee_adjustments([query])
        next_page = ""
        if len(found) == _PAGE:
            asked = {"before": to_serial(found[-1].id)}
            whose = {"merchant": to_serial(merchant)} if merchant else {}
            next_page = f"{PATH}?{urlencode(whose | asked)}"
        [holds] = await self._settlement.read_fee_allowances([merchant]) if merchant else [_NOBODY]
        return self._desk.page(
            caller,
            "operator/adjustments.html",
            exported=saved_at(caller, PATH, ("merchant",)),
            path=_UNDER,
            status=200 if said is None else 422,
            merchant=merchant,
            holds=holds,
            tiers=await self._settlement.list_tier_allowances(),
            applied=[Applied(e, say_parts(self._desk, caller, e.parts)) for e in found],
            names=names,
            now=self._desk.clock.now(),
            next_page=next_page,
            tier=caller.written("tier", 2),
            allowed=caller.written("allowed", 5),
            days=caller.written("days", 3) or str(holds.notice_days),
            reason=caller.written("reason"),
            can_change=caller.may(Permission.MERCHANTS_WRITE),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    def _merchant(self, caller: Caller) -> UUID | None:
        return read_id(caller.written("merchant", 40) or caller.asked("merchant", 40))

    async def change(self, caller: Caller) -> Page:
        """Put up for whom suggestions are applied by themselves."""
        merchant, allowed = self._merchant(caller), caller.written("allowed", 5)
        tier, days = caller.written("tier", 2), caller.written("days", 3)
        if merchant is not None and merchant not in await self._files.merchant_names():
            return self._desk.problem(caller.request, 404, caller)
        told = {"allowed": allowed, "notice_days": days}
        told |= {"merchant": to_serial(merchant)} if merchant else {"tier": tier}
        new = _read(told)
        if new is None or not 1 <= new.notice_days <= 90:
            return await self._show(caller, Said.NO_NOTICE)
        said = await self._deeds.do(
            caller,
            _ALLOWED,
            f"merchant:{to_serial(merchant)}" if merchant else f"tier:{tier}",
            told,
            before=await self._before(new),
            merchant=merchant,
            is_joint=True,
        )
        return back_to(PATH, said) if said in GOOD else await self._show(caller, said)

    async def _before(self, new: FeeAllowance) -> dict[str, str]:
        """Give how it stands for whom is changed."""
        if new.merchant is not None:
            [holds] = await self._settlement.read_fee_allowances([new.merchant])
        else:
            every = await self._settlement.list_tier_allowances()
            holds = next((each for each in every if each.tier == new.tier), _NOBODY)
        allowed = "yes" if holds.is_allowed else "no"
        return {"allowed": allowed, "notice_days": str(holds.notice_days)}

    async def _put(self, told: Mapping[str, str], _person: str) -> Said:
        new = _read(told)
        if new is None:
            return Said.NO_NOTICE
        [status] = await self._settlement.put_fee_allowances([new])
        return _SAID[status]

    async def take_back(self, caller: Caller) -> Page:
        """Put up that what stood before counts again."""
        wanted = read_id(caller.part("adjustment"))
        merchant = self._merchant(caller)
        if wanted is None or merchant is None:
            return self._desk.problem(caller.request, 404, caller)
        # The page before it, exclusive, begins right above the one that is meant.
        query = FeeAdjustmentQuery(merchant, UUID(int=min(wanted.int + 1, _LAST)), 1)
        [found] = await self._settlement.list_fee_adjustments([query])
        made = next((each for each in found if each.id == wanted), None)
        if made is None:
            return self._desk.problem(caller.request, 404, caller)
        said = await self._deeds.do(
            caller,
            _TAKEN_BACK,
            f"merchant:{to_serial(merchant)}",
            {
                "merchant": to_serial(merchant),
                "adjustment": to_serial(made.id),
                "currency": made.currency,
                "percent": str(made.before_basis_points),
            },
            before={"percent": str(made.basis_points)},
            merchant=merchant,
            is_joint=True,
        )
        return back_to(PATH, said) if said in GOOD else await self._show(caller, said)

    async def _take_back(self, told: Mapping[str, str], _person: str) -> Said:
        id = read_id(told["adjustment"])
        if id is None:
            return Said.NOT_FOUND
        [status] = await self._settlement.take_back_adjustments([id])
        return _BACK_SAID[status]


_NOBODY = FeeAllowance(None, 0, is_allowed=False)


def _read(told: Mapping[str, str]) -> FeeAllowance | None:
    """Read an allowance out of what was put up; None: it is none."""
    allowed, days, tier = told["allowed"], told["notice_days"], told.get("tier", "")
    merchant = read_id(told.get("merchant", ""))
    if allowed not in _WORDS or not (days.isascii() and days.isdigit() and len(days) <= 2):
        return None
    if merchant is not None:
        return FeeAllowance(merchant, None, _WORDS[allowed], int(days))
    if len(tier) != 1 or tier not in "0123456789" or allowed == "tier":
        return None
    return FeeAllowance(None, int(tier), _WORDS[allowed], int(days))
