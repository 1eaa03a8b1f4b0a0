"""Settlement: whether releases keep up, who owes, and when merchants get what they sold for."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.settlement import HoldTerms, HoldTermsStatus, MerchantDebt, RiskTier
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_PATH = "/operator/settlement"
_CHANGED = "hold_terms.changed"
_PERCENT = "CNY"  # Two places, as hundredths of a percent have.
_AGES = (timedelta(days=7), timedelta(days=30), timedelta(days=90))
_SAID = {
    HoldTermsStatus.CREATED: Said.SAVED,
    HoldTermsStatus.UNCHANGED: Said.EXISTS,
    HoldTermsStatus.BACKDATED: Said.OTHERWISE,
    HoldTermsStatus.FIELD_MALFORMED: Said.NO_HOLD,
}


class AgedDebts(NamedTuple):
    """What is owed in one currency, by how long it has been: 0–7, –30, –90 days, longer."""

    currency: str
    sums: list[int]


class HoldingDesk:
    """The desk of settlement."""

    entries = (Entry(_PATH, message("Settlement"), "coins", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._settlement = desk.apis.settlement
        deeds.add(Deed(_CHANGED, Permission.MERCHANTS_WRITE, self._put_terms))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.MERCHANTS_WRITE
        merchant = "/operator/merchants/{merchant:str}/holding"
        return [
            desk.get(_PATH, self.show, Permission.BALANCE_READ),
            desk.post(f"{_PATH}/tiers", self.change_tier, write, is_grave=True),
            desk.get(merchant, self.show_merchant, Permission.MERCHANTS_READ),
            desk.post(merchant, self.change_merchant, write, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show what is due, what is to come, what is owed, and the tiers' terms."""
        return await self.answer(caller)

    async def answer(self, caller: Caller, said: Said | None = None) -> Page:
        """Show the page, with what could not be done."""
        debts = await self._settlement.list_debts()
        return self._desk.page(
            caller,
            "operator/settlement.html",
            path=_PATH,
            status=200 if said is None else 422,
            health=await self._settlement.read_health(),
            sums=await self._settlement.sum_held(),
            debts=debts,
            deposits=await self._settlement.list_deposits(),
            aged=_aged(debts, self._desk.clock.now()),
            names=await self._files.merchant_names(),
            tiers=await self._tiers(),
            tier=caller.written("tier", 20) or RiskTier.STANDARD.value,
            written=_written(caller),
            reason=caller.written("reason"),
            can_change=caller.may(Permission.MERCHANTS_WRITE),
            can_write=caller.may(Permission.PAYOUTS_WRITE),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def _tiers(self) -> dict[RiskTier, HoldTerms]:
        """Give the newest terms of each tier; without any, all is available at once."""
        newest: dict[RiskTier, HoldTerms] = {tier: HoldTerms(None, tier) for tier in RiskTier}
        for terms in reversed(await self._settlement.read_tier_terms()):
            if terms.tier is not None:
                newest[terms.tier] = terms
        return newest

    async def show_merchant(self, caller: Caller) -> Page:
        """Show the terms of one merchant."""
        return await self._show_merchant(caller)

    async def _show_merchant(self, caller: Caller, said: Said | None = None) -> Page:
        merchant = read_id(caller.part("merchant"))
        name = (await self._files.merchant_names()).get(merchant) if merchant is not None else None
        if merchant is None or name is None:
            return self._desk.problem(caller.request, 404, caller)
        [versions] = await self._settlement.read_hold_terms([merchant])
        return self._desk.page(
            caller,
            "operator/holding.html",
            status=200 if said is None else 422,
            merchant=merchant,
            name=name,
            versions=versions,
            tiers=await self._tiers(),
            now=self._desk.clock.now(),
            follows=caller.written("tier", 20),
            written=_written(caller),
            reason=caller.written("reason"),
            can_change=caller.may(Permission.MERCHANTS_WRITE),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def change_tier(self, caller: Caller) -> Page:
        """Write new terms of a tier, with a second person."""
        tier = caller.written("tier", 20)
        told = _read_terms(caller)
        if told is None or tier not in {each.value for each in RiskTier}:
            return await self.answer(caller, Said.NO_HOLD)
        before = (await self._tiers())[RiskTier(tier)]
        said = await self._deeds.do(
            caller,
            _CHANGED,
            f"tier:{tier}",
            {"merchant": "", "tier": tier, **told},
            before=_as_told(before),
            is_joint=True,
        )
        return back_to(_PATH, said) if said in GOOD else await self.answer(caller, said)

    async def change_merchant(self, caller: Caller) -> Page:
        """Put a merchant in a tier, or give it terms of its own; with a second person."""
        merchant = read_id(caller.part("merchant"))
        if merchant is None:
            return self._desk.problem(caller.request, 404, caller)
        tier = caller.written("tier", 20)
        told = _read_terms(caller) if tier not in {each.value for each in RiskTier} else _NONE
        if told is None:
            return await self._show_merchant(caller, Said.NO_HOLD)
        serial = to_serial(merchant)
        [versions] = await self._settlement.read_hold_terms([merchant])
        before = _as_told(versions[0]) if versions else {}
        said = await self._deeds.do(
            caller,
            _CHANGED,
            f"merchant:{serial}",
            {"merchant": serial, "tier": tier if told is _NONE else "", **told},
            before=before,
            merchant=merchant,
            is_joint=True,
        )
        path = f"/operator/merchants/{serial}/holding"
        return back_to(path, said) if said in GOOD else await self._show_merchant(caller, said)

    async def _put_terms(self, told: Mapping[str, str], _person: str) -> Said:
        terms = HoldTerms(
            read_id(told["merchant"]) if told["merchant"] else None,
            RiskTier(told["tier"]) if told["tier"] else None,
            int(told["pending_hours"]),
            int(told["reserve_basis_points"]),
            int(told["reserve_days"]),
        )
        [status] = await self._settlement.put_hold_terms([terms])
        return _SAID[status]


_NONE: dict[str, str] = {"pending_hours": "0", "reserve_basis_points": "0", "reserve_days": "0"}


def _written(caller: Caller) -> dict[str, str]:
    return {name: caller.written(name, 10) for name in ("hours", "percent", "days")}


def _read_terms(caller: Caller) -> dict[str, str] | None:
    """Read the figures of the form; None: they make no sense."""
    written = {name: text.strip() or "0" for name, text in _written(caller).items()}
    try:
        points = from_text(written["percent"], _PERCENT)
    except Malformed:
        return None
    if not (written["hours"].isascii() and written["hours"].isdigit()):
        return None
    if not (written["days"].isascii() and written["days"].isdigit()):
        return None
    hours, days = int(written["hours"]), int(written["days"])
    is_sound = hours <= 2_160 and 0 <= points <= 10_000 and days <= 365
    if not is_sound or (points == 0) != (days == 0):
        return None
    return {
        "pending_hours": str(hours),
        "reserve_basis_points": str(points),
        "reserve_days": str(days),
    }


def _as_told(terms: HoldTerms) -> dict[str, str]:
    return {
        "tier": terms.tier.value if terms.tier else "",
        "pending_hours": str(terms.pending_hours),
        "reserve_percent": to_text(terms.reserve_basis_points, _PERCENT),
        "reserve_days": str(terms.reserve_days),
    }


def _aged(debts: Sequence[MerchantDebt], now: datetime) -> list[AgedDebts]:
    sums: dict[str, list[int]] = {}
    for debt in debts:
        row = sums.setdefault(debt.currency, [0] * (len(_AGES) + 1))
        row[sum(now - debt.since >= age for age in _AGES)] += debt.debt_minor
    return [AgedDebts(currency, sums[currency]) for currency in sorted(sums)]
