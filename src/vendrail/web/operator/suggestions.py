"""Suggested fees: what each merchant might pay, and why; put up for a second person."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.settlement import (
    FeeAllowance,
    FeeBounds,
    FeeBoundsStatus,
    FeeFacts,
    FeeSuggestion,
    FeeSuggestionQuery,
    FeeTerms,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import EXPONENTS, from_text, portion, to_text
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry, replace_form
from vendrail.web.console.exports import AT_ONCE, LISTED, save
from vendrail.web.console.tables import SUGGESTIONS
from vendrail.web.feewords import say_parts
from vendrail.web.languages import message
from vendrail.web.operator.adjustments import PATH as AUTOMATIC
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.fees import chart, last_month, most
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page
from vendrail.web.trials import try_terms

_PATH = "/operator/suggestions"
_CHANGED, _TERMS = "fee_bounds.changed", "fee_terms.changed"
_PAGE = 50
_TRIED = 200  # Suggestions that are read at once for a trial.
_PERCENT = "CNY"  # Two places, as hundredths of a percent have.
_PERCENTS = {
    "least": "least_basis_points",
    "most": "most_basis_points",
    "margin": "margin_basis_points",
    "volume": "volume_basis_points",
    "refunds": "refund_basis_points",
    "disputes": "dispute_basis_points",
}
_SAID = {
    FeeBoundsStatus.CHANGED: Said.SAVED,
    FeeBoundsStatus.UNCHANGED: Said.EXISTS,
    FeeBoundsStatus.FIELD_MALFORMED: Said.NO_BOUNDS,
}


class Suggested(NamedTuple):
    """A suggestion beside what stands."""

    suggestion: FeeSuggestion
    change_minor: int  # What the last 30 days would have cost more, or less.
    words: str
    allowance: FeeAllowance


class SuggestionsDesk:
    """The operator's page of suggested fees."""

    entries = (Entry(_PATH, message("Suggested fees"), "coins", Permission.MERCHANTS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._settlement = desk.apis.settlement
        deeds.add(Deed(_CHANGED, Permission.MERCHANTS_WRITE, self._put_bounds))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read, write = self._desk, Permission.MERCHANTS_READ, Permission.MERCHANTS_WRITE
        return [
            desk.get(_PATH, self.show, read),
            desk.get(f"{_PATH}.csv", self.export, read),
            desk.post(_PATH, self.change, write, is_grave=True),
            desk.post(f"{_PATH}/apply", self.apply, write, is_grave=True),
            desk.post(f"{_PATH}/trial", self.attempt, write),
        ]

    async def show(self, caller: Caller) -> Page:
        """List suggestions in one currency, and its bounds."""
        return await self._show(caller)

    async def export(self, caller: Caller) -> Page:
        """Give what is suggested in one currency as CSV; who took it is kept."""
        currency = self._currency(caller)
        told = {"currency": currency}
        turned = await self._deeds.log_export(caller, LISTED, "list:fee-suggestions", told)
        if turned is not None:
            return turned

        async def read(last: FeeSuggestion | None) -> Sequence[FeeSuggestion]:
            after = last.facts.merchant if last else None
            [found] = await self._settlement.suggest_fees(
                [FeeSuggestionQuery(currency, after, AT_ONCE)]
            )
            return found

        return save("fee-suggestions", SUGGESTIONS, read)

    def _currency(self, caller: Caller) -> str:
        asked = caller.written("currency", 3) or caller.asked("currency", 3)
        return asked if asked in EXPONENTS else self._desk.front.settings.default_currency

    async def attempt(self, caller: Caller) -> Page:
        """Try what is suggested on the sales of the last whole month."""
        apis, currency = self._desk.apis, self._currency(caller)
        zone = time_zone(self._desk.front.settings.time_zone)
        since, until = last_month(self._desk.clock.now(), zone)
        terms = await self._all_terms(currency)
        trial = await try_terms(
            terms, since, until, zone, apis.orders, apis.payments, apis.settlement
        )
        return self._desk.page(
            caller,
            "operator/suggestions_trial.html",
            path=_PATH,
            currency=currency,
            since=since,
            until=until - timedelta(days=1),
            trial=trial,
            names=await self._files.merchant_names(),
            merchants=most(trial),
            chart=chart(trial, currency),
        )

    async def _all_terms(self, currency: str) -> list[FeeTerms]:
        """Give all that is suggested in a currency, as the terms that it would be."""
        terms, after = [], None
        while True:
            query = FeeSuggestionQuery(currency, after, _TRIED)
            [found] = await self._settlement.suggest_fees([query])
            merchants = [each.facts.merchant for each in found]
            terms += [replace(_base(each), basis_points=each.basis_points) for each in found]
            if len(found) < _TRIED:
                return terms
            after = merchants[-1]

    async def _show(self, caller: Caller, said: Said | None = None) -> Page:
        currency = self._currency(caller)
        every = await self._settlement.list_fee_bounds()
        bounds = next((each for each in every if each.currency == currency), None)
        query = FeeSuggestionQuery(currency, read_id(caller.asked("after", 40)), _PAGE)
        [found] = await self._settlement.suggest_fees([query])
        next_page = ""
        if len(found) == _PAGE:
            last = to_serial(found[-1].facts.merchant)
            next_page = f"{_PATH}?{urlencode({'currency': currency, 'after': last})}"
        return self._desk.page(
            caller,
            "operator/suggestions.html",
            path=_PATH,
            status=200 if said is None else 422,
            currency=currency,
            exported=f"{_PATH}.csv?currency={currency}",
            bounded=sorted({currency, *(each.currency for each in every)}),
            choices=sorted(EXPONENTS),
            bounds=bounds,
            automatic=AUTOMATIC,
            suggested=await self._beside(caller, found),
            names=await self._files.merchant_names(),
            next_page=next_page,
            written=_written(bounds, currency) | (dict(caller.form) if said is not None else {}),
            reason=caller.written("reason"),
            can_change=caller.may(Permission.MERCHANTS_WRITE),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def _beside(self, caller: Caller, found: Sequence[FeeSuggestion]) -> list[Suggested]:
        merchants = [each.facts.merchant for each in found]
        allowed = await self._settlement.read_fee_allowances(merchants)
        return [
            Suggested(
                each,
                _change(each),
                say_parts(self._desk, caller, each.parts),
                allowance,
            )
            for each, allowance in zip(found, allowed, strict=True)
        ]

    async def apply(self, caller: Caller) -> Page:
        """Put what is suggested for one merchant up, as own terms; the rest of them stays."""
        merchant, currency = read_id(caller.written("merchant", 40)), self._currency(caller)
        if merchant is None:
            return self._desk.problem(caller.request, 404, caller)
        before = UUID(int=max(0, merchant.int - 1))
        [found] = await self._settlement.suggest_fees([FeeSuggestionQuery(currency, before, 1)])
        each = next((e for e in found if e.facts.merchant == merchant), None)
        if each is None or str(each.basis_points) != caller.written("basis_points", 6):
            return await self._show(caller, Said.NOT_SUGGESTED)
        told = _as_told(_base(each))
        payload = {**told, "basis_points": str(each.basis_points)}
        said = await self._deeds.do(
            replace_form(
                caller, {**caller.form, "reason": say_parts(self._desk, caller, each.parts)}
            ),
            _TERMS,
            f"merchant:{to_serial(merchant)}",
            {"merchant": to_serial(merchant), "currency": currency, **payload},
            before=told if each.is_base_own else {},
            merchant=merchant,
            is_joint=True,
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, said)

    async def change(self, caller: Caller) -> Page:
        """Put how fees are suggested up for a second person."""
        currency = self._currency(caller)
        try:
            told = {
                field: str(from_text(caller.written(name, 10) or "0", _PERCENT))
                for name, field in _PERCENTS.items()
            }
            told["volume_minor_from"] = str(from_text(caller.written("above", 20) or "0", currency))
        except Malformed:
            return await self._show(caller, Said.NO_BOUNDS)
        new = _bounds(currency, told)
        if not _is_sound(new):
            return await self._show(caller, Said.NO_BOUNDS)
        every = await self._settlement.list_fee_bounds()
        standing = next((each for each in every if each.currency == currency), None)
        before = {n: str(getattr(standing, n)) for n in told} if standing else {}
        payload = {"currency": currency, **told}
        said = await self._deeds.do(
            caller, _CHANGED, f"currency:{currency}", payload, before=before, is_joint=True
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, said)

    async def _put_bounds(self, told: Mapping[str, str], _person: str) -> Said:
        [status] = await self._settlement.put_fee_bounds([_bounds(told["currency"], told)])
        return _SAID[status]


def _base(each: FeeSuggestion) -> FeeTerms:
    """Give what counts now, of which the percentage alone changes."""
    return each.base or FeeTerms(each.facts.merchant, each.facts.currency, 0)


def _change(each: FeeSuggestion) -> int:
    """Say what the last 30 days would have cost more, or less, each sale being the average one."""
    base = _base(each)
    was, would = (
        _cost(each.facts, replace(base, basis_points=points))
        for points in (base.basis_points, each.basis_points)
    )
    return would - was


def _cost(facts: FeeFacts, terms: FeeTerms) -> int:
    """Give what so many sales cost, with what is fixed, at least and at most taken of each."""
    sold = facts.sold_count
    fee_minor = portion(facts.volume_minor, terms.basis_points) + terms.fixed_minor * sold
    return min(facts.volume_minor, max(fee_minor, terms.fee_minor_min * sold))


def _bounds(currency: str, told: Mapping[str, str]) -> FeeBounds:
    names = (*_PERCENTS.values(), "volume_minor_from")
    return FeeBounds(currency, **{name: int(told[name]) for name in names})


def _is_sound(bounds: FeeBounds) -> bool:
    parts = [getattr(bounds, name) for name in _PERCENTS.values()]
    return (
        all(0 <= each <= 10_000 for each in parts)
        and bounds.least_basis_points <= bounds.most_basis_points
        and bounds.volume_minor_from >= 0
    )


def _written(bounds: FeeBounds | None, currency: str) -> dict[str, str]:
    if bounds is None:
        return dict.fromkeys((*_PERCENTS, "above"), "")
    percents = {n: to_text(getattr(bounds, field), _PERCENT) for n, field in _PERCENTS.items()}
    return {**percents, "above": to_text(bounds.volume_minor_from, currency)}


def _as_told(terms: FeeTerms) -> dict[str, str]:
    return {
        "basis_points": str(terms.basis_points),
        "fixed_minor": str(terms.fixed_minor),
        "fee_minor_min": str(terms.fee_minor_min),
        "is_fee_refunded": "yes" if terms.is_fee_refunded else "no",
    }
