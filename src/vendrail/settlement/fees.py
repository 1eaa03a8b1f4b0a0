"""What a sale costs its merchant: percent + fixed, at least a minimum, never above the amount."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.settlement import ChannelCost, FeeTerms
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS, portion

PLATFORM = UUID(int=0)  # The merchant of the platform's own default terms.
ANY_CURRENCY = "*"  # The currency of default terms that are a percentage and nothing else.
BASIS_POINTS_MAX = 10_000
LEAD = timedelta(seconds=10)  # How long after they are written new terms begin at the soonest.


class FeeVersion(NamedTuple):
    """One version of fee terms as it stands; its number is unique on the platform."""

    number: int
    basis_points: int
    fixed_minor: int
    fee_minor_min: int
    is_fee_refunded: bool
    valid_from: datetime
    rule: int = 0  # Of a schedule: which of its rules, from 1; the number is then its version.
    fee_minor_max: int = 0  # 0: no cap but the amount.
    is_cost_borne: bool = False

    @property
    def memo(self) -> str:
        """Name the version, and the rule in it, for ever."""
        return fee_memo(self.number, self.rule)

    def says(self, terms: FeeTerms) -> bool:
        """Tell whether these terms would change nothing but the moment."""
        return (
            self.basis_points == terms.basis_points
            and self.fixed_minor == terms.fixed_minor
            and self.fee_minor_min == terms.fee_minor_min
            and self.is_fee_refunded == terms.is_fee_refunded
        )

    def as_terms(self, merchant: UUID, currency: str, valid_from: datetime | None) -> FeeTerms:
        """Give terms that say the same from another moment on."""
        return FeeTerms(
            merchant,
            currency,
            self.basis_points,
            self.fixed_minor,
            self.fee_minor_min,
            self.is_fee_refunded,
            valid_from,
        )


def fee_memo(number: int, rule: int) -> str:
    """Write what a fee was taken by: `fee:<terms>`, or `fee:<schedule>.<rule>`."""
    return f"fee:{number}.{rule}" if rule else f"fee:{number}"


def read_memo(memo: str) -> tuple[int, int] | None:
    """Read the version and the rule out of a memo; None: it is of something else."""
    number, _, rule = memo.removeprefix("fee:").partition(".")
    if not memo.startswith("fee:") or not number.isdecimal() or not (rule or "0").isdecimal():
        return None
    return int(number), int(rule or 0)


def fee_minor(version: FeeVersion, amount_minor: int) -> int:
    """Give the fee of one sale, in whole minor units; half a unit is rounded up."""
    fee = portion(amount_minor, version.basis_points) + version.fixed_minor
    if version.fee_minor_max:
        fee = min(fee, version.fee_minor_max)
    return min(amount_minor, max(fee, version.fee_minor_min))


def cost_minor(
    version: FeeVersion, amount_minor: int, currency: str, cost: ChannelCost | None
) -> int:
    """Give what the merchant bears of the channel's cost, beside the fee; never more than is left.

    Where it would eat all of a sale without a fee, a unit stays the merchant's: whether a sale was
    split is told by its share and its fee.
    """
    if not version.is_cost_borne or cost is None:
        return 0
    fixed = cost.cost_minor if cost.currency == currency else 0
    left = amount_minor - max(1, fee_minor(version, amount_minor))
    return max(0, min(portion(amount_minor, cost.cost_permyriad) + fixed, left))


def find_version(versions: Sequence[FeeVersion], moment: datetime) -> FeeVersion | None:
    """Choose from versions, newest first, the newest that was valid at the moment."""
    for version in versions:
        if version.valid_from <= moment:
            return version
    return None


def returned_fee_minor(
    fee: int, sale_minor: int, refunded_minor: int, fee_returned_minor: int, amount_minor: int
) -> int:
    """Give the part of a sale's fee that goes back with one more refund.

    The parts follow the share of the sale that is refunded in all, so whatever the order and size
    of the refunds, the one that refunds the last of the sale brings the returned fee to the whole.
    """
    if sale_minor <= 0:
        return 0
    refunded = min(sale_minor, refunded_minor + amount_minor)
    target = fee * refunded // sale_minor
    return max(0, min(target - fee_returned_minor, amount_minor))


def is_wellformed(terms: FeeTerms) -> bool:
    """Tell whether terms can be kept: known currency, whole numbers within bounds."""
    is_default = terms.merchant == PLATFORM and terms.currency == ANY_CURRENCY
    if is_default and (terms.fixed_minor or terms.fee_minor_min):
        return False  # An amount means nothing without its currency.
    return (
        (is_default or terms.currency in EXPONENTS)
        and 0 <= terms.basis_points <= BASIS_POINTS_MAX
        and 0 <= terms.fixed_minor <= AMOUNT_MINOR_MAX
        and 0 <= terms.fee_minor_min <= AMOUNT_MINOR_MAX
        and (terms.valid_from is None or terms.valid_from.tzinfo is not None)
    )
