"""Merchants' fees: what a sale costs them, by their own terms or by the rules for everybody."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from vendrail.api.settlement import FeeFacts, FeeRule, FeeTerms, Settlement
from vendrail.gateway.exchange import Answer, Exchange, said
from vendrail.gateway.merchant.keyring import Program
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, encode

_PLATFORM = UUID(int=0)


class FeeTermsBody(Record, frozen=True):
    """What you pay in one currency by terms of your own, from a moment on."""

    currency: Annotated[str, Meta(description="ISO 4217; `*` for every other.")]
    basis_points: Annotated[int, Meta(description="Hundredths of a percent of the amount.")]
    fixed_minor: int
    fee_minor_min: int
    is_fee_refunded: Annotated[bool, Meta(description="It goes back with refunds, by share.")]
    valid_from: datetime | None


class FeeFactsBody(Record, frozen=True):
    """What was counted of your last 30 days in one currency, for rules that ask for it."""

    currency: str
    volume_minor: int
    sold_count: int
    refund_permyriad: int
    dispute_permyriad: int


class FeesBody(Record, frozen=True):
    """What a sale costs you: by terms of your own, where they name its currency, else by rules."""

    own: Annotated[list[FeeTermsBody], Meta(description="Those that count, then those that will.")]
    rules: Annotated[list[FeeRule], Meta(description="The first one that fits a sale is it.")]
    version: Annotated[int, Meta(description="Of the rules; 0: the platform's default.")]
    valid_from: datetime | None
    tier: int
    facts: list[FeeFactsBody]


class FeesRoom:
    """Answers about a merchant's fees."""

    def __init__(self, settlement: Settlement, clock: Clock) -> None:
        self._settlement = settlement
        self._clock = clock

    async def read_fees(self, _: Exchange, program: Program, __: str) -> Answer:
        """Read own terms, the rules that count now, and what they know of the merchant."""
        now = self._clock.now()
        own, standard = await self._settlement.read_fee_terms([program.merchant, _PLATFORM])
        schedules = await self._settlement.list_fee_schedules()
        schedule = next((s for s in schedules if s.valid_from and s.valid_from <= now), None)
        rules = schedule.rules if schedule else [_as_rule(e) for e in _standing(standard, now)]
        [facts] = await self._settlement.read_fee_facts([program.merchant])
        [tier] = await self._settlement.read_merchant_tiers([program.merchant])
        coming = [each for each in reversed(own) if each.valid_from and each.valid_from > now]
        body = FeesBody(
            [_terms(each) for each in (*_standing(own, now), *coming)],
            rules,
            schedule.version if schedule else 0,
            schedule.valid_from if schedule else None,
            tier,
            [_facts(each) for each in facts if each.sold_count],
        )
        return said(200, encode(body))


def _standing(versions: list[FeeTerms], now: datetime) -> list[FeeTerms]:
    """Give the newest terms of each currency that have begun; versions come newest first."""
    begun = [each for each in versions if each.valid_from is None or each.valid_from <= now]
    newest = {each.currency: each for each in reversed(begun)}
    return [newest[currency] for currency in sorted(newest)]


def _as_rule(terms: FeeTerms) -> FeeRule:
    return FeeRule(
        terms.basis_points,
        terms.fixed_minor,
        terms.fee_minor_min,
        is_fee_refunded=terms.is_fee_refunded,
        currency="" if terms.currency == "*" else terms.currency,
    )


def _terms(terms: FeeTerms) -> FeeTermsBody:
    return FeeTermsBody(
        terms.currency,
        terms.basis_points,
        terms.fixed_minor,
        terms.fee_minor_min,
        terms.is_fee_refunded,
        terms.valid_from,
    )


def _facts(facts: FeeFacts) -> FeeFactsBody:
    return FeeFactsBody(
        facts.currency,
        facts.volume_minor,
        facts.sold_count,
        facts.refund_permyriad,
        facts.dispute_permyriad,
    )
