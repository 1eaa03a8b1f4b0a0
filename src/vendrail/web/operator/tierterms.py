"""Terms of tiers: whether merchants are asked who they are, and what each tier may sell."""

from collections.abc import Mapping

from litestar.handlers import HTTPRouteHandler

from vendrail.api.compliance import (
    TIERS,
    ComplianceTerms,
    TermsChange,
    TermsChangeStatus,
    TierBound,
)
from vendrail.api.identity import Permission
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.storefront.front import Page

_LIST = "/operator/verifications"
_PATH = f"{_LIST}/terms"
_CHANGED = "tiers.changed"
_SHOWN_MAX = 20
_BOUNDS = ("order", "month")
_SAID = {
    TermsChangeStatus.CHANGED: Said.SAVED,
    TermsChangeStatus.UNCHANGED: Said.EXISTS,
    TermsChangeStatus.CHANGED_SINCE: Said.OTHERWISE,
    TermsChangeStatus.FIELD_MALFORMED: Said.NO_BOUND,
}


class TierTerms:
    """Writes versions: what is narrower by one person, what is wider by two."""

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._compliance = desk.apis.compliance
        self._currency = desk.front.settings.default_currency
        deeds.add(Deed(_CHANGED, Permission.COMPLIANCE_WRITE, self._run))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        needed = Permission.COMPLIANCE_WRITE
        return [
            self._desk.get(_PATH, self.show, needed),
            self._desk.post(_PATH, self.change, needed, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show what counts, and the versions before."""
        return await self._show(caller)

    async def _show(self, caller: Caller, said: Said | None = None) -> Page:
        newest, *before = await self._compliance.list_terms(_SHOWN_MAX)
        return self._desk.page(
            caller,
            "operator/tierterms.html",
            path=_LIST,
            status=200 if said is None else 422,
            newest=newest,
            before=before,
            currency=self._currency,
            written=_as_written(newest) | dict(caller.form),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def change(self, caller: Caller) -> Page:
        """Write what the form says."""
        [newest] = await self._compliance.list_terms(1)
        after = caller.written("after", 10)
        is_asked = caller.written("is_asked", 3)
        if is_asked not in ("yes", "no") or not after.isdecimal():
            return self._desk.problem(caller.request, 404, caller)
        try:
            bounds = {
                f"tier_{tier}_{name}": str(from_text(text, self._currency))
                for tier in TIERS
                for name in _BOUNDS
                if (text := caller.written(f"tier_{tier}_{name}", 20))
            }
        except Malformed:
            return await self._show(caller, Said.NO_BOUND)
        told = {"after": after, "is_asked": is_asked, "currency": self._currency, **bounds}
        if any(int(each) <= 0 for each in bounds.values()):
            return await self._show(caller, Said.NO_BOUND)
        said = await self._deeds.do(
            caller,
            _CHANGED,
            "tiers",
            told,
            is_joint=_is_wider(newest, _as_change(told)),
            before=_as_told(newest),
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, said)

    async def _run(self, told: Mapping[str, str], person: str) -> Said:
        change = _as_change(told, person)
        [status] = await self._compliance.change_terms([change])
        return _SAID[status]


def _as_change(told: Mapping[str, str], person: str = "") -> TermsChange:
    bounds = [
        TierBound(*(_minor(told.get(f"tier_{tier}_{name}")) for name in _BOUNDS)) for tier in TIERS
    ]
    is_asked, reason = told["is_asked"] == "yes", told.get("reason", "")
    return TermsChange(int(told["after"]), is_asked, told["currency"], bounds, person, reason)


def _minor(text: str | None) -> int | None:
    return int(text) if text else None


def _is_wider(before: ComplianceTerms, after: TermsChange) -> bool:
    """Tell whether any merchant may do what they could not before."""
    if not before.is_asked:
        return False
    if not after.is_asked or before.currency != after.currency:
        return True
    pairs = [
        pair
        for old, new in zip(before.bounds, after.bounds, strict=True)
        for pair in (
            (old.order_minor_max, new.order_minor_max),
            (old.month_minor_max, new.month_minor_max),
        )
    ]
    return any(old is not None and (new is None or new > old) for old, new in pairs)


def _as_told(terms: ComplianceTerms) -> dict[str, str]:
    bounds = {
        f"tier_{tier}_{name}": str(minor)
        for tier, bound in enumerate(terms.bounds)
        for name, minor in zip(_BOUNDS, (bound.order_minor_max, bound.month_minor_max), strict=True)
        if minor is not None
    }
    return {"version": str(terms.version), "is_asked": "yes" if terms.is_asked else "no", **bounds}


def _as_written(terms: ComplianceTerms) -> dict[str, str]:
    """Give terms as the form's fields hold them."""
    told = _as_told(terms)
    names = [f"tier_{tier}_{name}" for tier in TIERS for name in _BOUNDS]
    amounts = {name: to_text(int(told[name]), terms.currency) for name in names if name in told}
    return {"is_asked": told["is_asked"], **dict.fromkeys(names, ""), **amounts}
