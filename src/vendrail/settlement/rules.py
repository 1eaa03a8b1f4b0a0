"""Which rule of a schedule a sale falls under: the first that fits. Pure, and always an answer."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from vendrail.api.settlement import FeeFacts, FeeRule, FeeSchedule, FeeScheduleStatus
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS
from vendrail.settlement.fees import BASIS_POINTS_MAX, FeeVersion

RULES_MAX = 100
_VALUES_MAX = 100  # Of one condition that lists values.
_LINE_MAX = 100
TIER_MAX = 9
_AMOUNTS = ("fixed_minor", "fee_minor_min", "fee_minor_max")
_AMOUNT_BANDS = ("amount_minor", "volume_minor")
_RATE_BANDS = ("refund_permyriad", "dispute_permyriad")


class RuledSale(NamedTuple):
    """All of one sale that rules may ask for."""

    amount_minor: int
    currency: str
    method: str
    category: str
    tier: int
    facts: FeeFacts


class Schedule(NamedTuple):
    """One version of the schedule, ready to be asked."""

    number: int
    valid_from: datetime
    rules: Sequence[FeeRule]
    versions: Sequence[FeeVersion]  # One for each rule.
    asks_facts: bool  # Some rule asks what was counted of the merchant, or their tier.
    asks_cost: bool  # Some rule lets the merchant bear the channel's cost.

    def decide(self, sale: RuledSale) -> FeeVersion:
        """Give the version of the first rule that fits; the last one always does."""
        for rule, version in zip(self.rules, self.versions, strict=True):
            if fits(rule, sale):
                return version
        raise AssertionError("The last rule of a schedule has no condition.")


def compile_schedule(schedule: FeeSchedule) -> Schedule:
    """Make a schedule that was written ready to be asked."""
    assert schedule.valid_from is not None
    versions = [
        FeeVersion(
            schedule.version,
            rule.basis_points,
            rule.fixed_minor,
            rule.fee_minor_min,
            rule.is_fee_refunded,
            schedule.valid_from,
            number,
            rule.fee_minor_max,
            rule.is_cost_borne,
        )
        for number, rule in enumerate(schedule.rules, 1)
    ]
    return Schedule(
        schedule.version,
        schedule.valid_from,
        schedule.rules,
        versions,
        any(asks_facts(rule) for rule in schedule.rules),
        any(rule.is_cost_borne for rule in schedule.rules),
    )


def fits(rule: FeeRule, sale: RuledSale) -> bool:
    """Tell whether every condition of a rule holds of a sale."""
    if rule.currency and rule.currency != sale.currency:
        return False
    if rule.methods and sale.method not in rule.methods:
        return False
    if rule.categories and sale.category not in rule.categories:
        return False
    if not _within(sale.amount_minor, rule.amount_minor_min, rule.amount_minor_below):
        return False
    return not asks_facts(rule) or _fits_facts(rule, sale)


def _fits_facts(rule: FeeRule, sale: RuledSale) -> bool:
    facts = sale.facts
    return (
        (not rule.tiers or sale.tier in rule.tiers)
        and _within(facts.volume_minor, rule.volume_minor_min, rule.volume_minor_below)
        and _within(facts.refund_permyriad, rule.refund_permyriad_min, rule.refund_permyriad_below)
        and _within(
            facts.dispute_permyriad, rule.dispute_permyriad_min, rule.dispute_permyriad_below
        )
    )


def _within(value: int, least: int, below: int) -> bool:
    return value >= least and (not below or value < below)


def asks_facts(rule: FeeRule) -> bool:
    """Tell whether a rule asks what was counted of the merchant, or their tier."""
    bands = ("volume_minor", *_RATE_BANDS)
    return bool(rule.tiers) or any(_is_asked(rule, band) for band in bands)


def _is_asked(rule: FeeRule, band: str) -> bool:
    return bool(getattr(rule, f"{band}_min") or getattr(rule, f"{band}_below"))


def is_for_all(rule: FeeRule) -> bool:
    """Tell whether a rule has no condition."""
    return not (
        rule.currency
        or rule.methods
        or rule.categories
        or _is_asked(rule, "amount_minor")
        or asks_facts(rule)
    )


def is_wellformed(rule: FeeRule) -> bool:
    """Tell whether a rule can be kept: known currency, whole numbers within bounds, no noise."""
    speaks_of_amounts = any(getattr(rule, name) for name in _AMOUNTS) or any(
        _is_asked(rule, band) for band in _AMOUNT_BANDS
    )
    bounds = [(getattr(rule, name), AMOUNT_MINOR_MAX) for name in _AMOUNTS]
    for bands, most in ((_AMOUNT_BANDS, AMOUNT_MINOR_MAX), (_RATE_BANDS, 10_001)):
        for band in bands:
            least, below = getattr(rule, f"{band}_min"), getattr(rule, f"{band}_below")
            if below and below <= least:
                return False
            bounds += [(least, most), (below, most)]
    return (
        0 <= rule.basis_points <= BASIS_POINTS_MAX
        and all(0 <= value <= most for value, most in bounds)
        and (not rule.fee_minor_max or rule.fee_minor_max >= rule.fee_minor_min)
        and (rule.currency in EXPONENTS or (not rule.currency and not speaks_of_amounts))
        and len(rule.title) <= _LINE_MAX
        and all(0 <= tier <= TIER_MAX for tier in rule.tiers)
        and _are_lines(rule.categories)
        and _are_lines(rule.methods)
        and len(rule.tiers) <= TIER_MAX + 1
    )


def _are_lines(values: Sequence[str]) -> bool:
    return len(values) <= _VALUES_MAX and all(0 < len(each) <= _LINE_MAX for each in values)


def problem(rules: Sequence[FeeRule]) -> FeeScheduleStatus | None:
    """Say why rules cannot be a schedule; None: they can."""
    if not rules or not is_for_all(rules[-1]) or any(map(is_for_all, rules[:-1])):
        return FeeScheduleStatus.NO_LAST_RULE
    if len(rules) > RULES_MAX or not all(map(is_wellformed, rules)):
        return FeeScheduleStatus.FIELD_MALFORMED
    return None
