"""Fees: what a sale costs this merchant, with examples, and what the rules know of them."""

from typing import NamedTuple
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.settlement import (
    FeeAdjustmentQuery,
    FeeRule,
    FeeTerms,
    FeeTrial,
    PastSale,
)
from vendrail.kernel.money import from_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.feewords import say_parts_openly
from vendrail.web.languages import message
from vendrail.web.storefront.front import Page

_PATH = "/merchant/fees"
_PLATFORM = UUID(int=0)
_FOLLOWED_MAX = 12
_EXAMPLE = "100"  # Of the currency, unless a rule begins above.


class Explained(NamedTuple):
    """A rule, and what it would take of one sale."""

    rule: FeeRule
    amount_minor: int
    fee_minor: int
    currency: str


class OwnFees:
    """The page on which a merchant reads what they pay."""

    entries = (Entry(_PATH, message("Fees"), "coins", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._settlement = desk.apis.settlement
        self._currency = desk.front.settings.default_currency

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the route of the page."""
        return [self._desk.get(_PATH, self.show, Permission.BALANCE_READ)]

    async def show(self, caller: Caller) -> Page:
        """Show the merchant's own terms, and the rules for the currencies that have none."""
        now = self._desk.clock.now()
        own, standard = await self._settlement.read_fee_terms([caller.merchant, _PLATFORM])
        begun = [each for each in own if each.valid_from and each.valid_from <= now]
        newest = {each.currency: each for each in reversed(begun)}
        schedules = await self._settlement.list_fee_schedules()
        schedule = next((s for s in schedules if s.valid_from and s.valid_from <= now), None)
        rules = schedule.rules if schedule else []
        if schedule is None:
            defaults = {each.currency: each for each in reversed(standard)}
            rules = [_as_rule(each) for each in defaults.values()]
        [facts] = await self._settlement.read_fee_facts([caller.merchant])
        [tier] = await self._settlement.read_merchant_tiers([caller.merchant])
        query = FeeAdjustmentQuery(caller.merchant, None, _FOLLOWED_MAX)
        [adjusted] = await self._settlement.list_fee_adjustments([query])
        return self._desk.page(
            caller,
            "merchant/fees.html",
            path=_PATH,
            own=await self._explain([_as_rule(each) for each in newest.values()]),
            rules=await self._explain(rules),
            since=schedule.valid_from if schedule else None,
            facts=[each for each in facts if each.sold_count],
            tier=tier,
            followed=[
                (each, say_parts_openly(self._desk, caller, each.parts)) for each in adjusted
            ],
            now=now,
        )

    async def _explain(self, rules: list[FeeRule]) -> list[Explained]:
        """Ask what each rule would take of one sale, as if it were on every sale."""
        examples = []
        for rule in rules:
            currency = rule.currency or self._currency
            amount = max(from_text(_EXAMPLE, currency), rule.amount_minor_min)
            bare = FeeRule(
                rule.basis_points,
                rule.fixed_minor,
                rule.fee_minor_min,
                rule.fee_minor_max,
                currency=currency,
            )
            sale = PastSale(_PLATFORM, amount, currency, self._desk.clock.now())
            examples.append((rule, amount, currency, FeeTrial([bare, FeeRule()], [sale])))
        results = await self._settlement.try_fees([trial for *_, trial in examples])
        return [
            Explained(rule, amount, result.fees[0].tried_fee_minor, currency)
            for (rule, amount, currency, _), result in zip(examples, results, strict=True)
        ]


def _as_rule(terms: FeeTerms) -> FeeRule:
    return FeeRule(
        terms.basis_points,
        terms.fixed_minor,
        terms.fee_minor_min,
        is_fee_refunded=terms.is_fee_refunded,
        currency="" if terms.currency == "*" else terms.currency,
    )
