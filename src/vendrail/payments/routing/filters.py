"""Filters: who cannot take a payment at all, and which person's rule says so."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from vendrail.api.payments import ChannelTerms, Method, RoutingRule, RuleEffect
from vendrail.api.payments import RouteFate as Fate


class Asked(NamedTuple):
    """A payment, as far as it matters to whom it goes."""

    merchant: UUID
    method: str
    currency: str
    amount_minor: int
    country: str
    hour: int  # Of the day, in UTC.


def fate_of(
    asked: Asked,
    offer: Method,
    terms: ChannelTerms,
    rules: Sequence[RoutingRule],
    taken_minor: Mapping[tuple[UUID, str], int],
) -> Fate:
    """Say why a channel cannot take a payment. Where several would fit, the first listed."""
    if asked.currency not in offer.currencies:
        return Fate.CURRENCY
    if not offer.takes(asked.amount_minor):
        return Fate.AMOUNT
    if not is_open(terms, asked.hour):
        return Fate.HOURS
    if terms.countries and asked.country and asked.country not in terms.countries:
        return Fate.COUNTRY
    if terms.volume_day_minor:
        taken = taken_minor.get((offer.channel, asked.currency), 0)
        if taken + asked.amount_minor > terms.volume_day_minor:
            return Fate.VOLUME
    if any(
        rule.effect is RuleEffect.NEVER
        and rule.channel in {None, offer.channel}
        and rule.fits(asked.merchant, asked.method, asked.country)
        for rule in rules
    ):
        return Fate.RULE
    return Fate.FREE


def is_open(terms: ChannelTerms, hour: int) -> bool:
    """Tell whether a channel takes payments in an hour of the day; its hours may span midnight."""
    if terms.hour_from == terms.hour_to:
        return True
    if terms.hour_from < terms.hour_to:
        return terms.hour_from <= hour < terms.hour_to
    return hour >= terms.hour_from or hour < terms.hour_to


def is_pinned(asked: Asked, channel: UUID, rules: Sequence[RoutingRule]) -> bool:
    """Tell whether a person said that such payments go there."""
    return any(
        rule.effect is RuleEffect.PIN
        and rule.channel == channel
        and rule.fits(asked.merchant, asked.method, asked.country)
        for rule in rules
    )


def cost_share(cost_minor: int, amount_minor: int) -> float:
    """Give a cost as a share of an amount; no money is made of it again."""
    cost, amount = cost_minor, max(amount_minor, 1)
    return cost / amount
