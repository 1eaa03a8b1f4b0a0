"""Fees: what a sale costs its merchant, by terms of its own or by the rules for everybody."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.kernel.codec import Record


class FeeTerms(Record, frozen=True):
    """What a merchant pays on a sale from a moment on: percent + fixed, at least a minimum.

    Never changed, only followed by a newer version; a sale takes the version valid when it was
    placed. Those of the all-zero merchant (the platform) are for merchants without their own.
    """

    merchant: UUID
    currency: str
    basis_points: int  # Hundredths of a percent of the amount.
    fixed_minor: int = 0
    fee_minor_min: int = 0
    is_fee_refunded: bool = False  # Policy: does the platform give its fee back on a refund?
    valid_from: datetime | None = None  # At least ten seconds ahead; None: as soon as can be.


class FeeTermsStatus(StrEnum):
    """How writing one version of fee terms ended."""

    CREATED = "created"
    UNCHANGED = "unchanged"  # The newest version already says so.
    BACKDATED = "backdated"  # Sales may already have used the version before.
    FIELD_MALFORMED = "field_malformed"


class FeeRule(Record, frozen=True, omit_defaults=True):
    """One rule of a schedule: on which sales it is, and what they cost. What is open fits all.

    Bands reach from `min` to below `below`, which is without end where it is 0. Amounts mean
    nothing without their currency: a rule that speaks of any names it.
    """

    basis_points: int = 0  # Hundredths of a percent of the amount.
    fixed_minor: int = 0
    fee_minor_min: int = 0
    fee_minor_max: int = 0  # 0: no cap but the amount.
    is_cost_borne: bool = False  # The merchant bears the channel's cost, beside the fee.
    is_fee_refunded: bool = False
    title: str = ""  # What the operator calls it; merchants read it too.
    tiers: list[int] = []
    categories: list[str] = []  # As products name them.
    methods: list[str] = []
    currency: str = ""
    amount_minor_min: int = 0
    amount_minor_below: int = 0
    volume_minor_min: int = 0  # What the merchant sold in 30 days, in the rule's currency.
    volume_minor_below: int = 0
    refund_permyriad_min: int = 0  # Of 10,000 sales of those 30 days, how many were refunded.
    refund_permyriad_below: int = 0
    dispute_permyriad_min: int = 0  # … or disputed.
    dispute_permyriad_below: int = 0


class FeeSchedule(Record, frozen=True):
    """What merchants without terms of their own pay from a moment on: the first rule that fits.

    Never changed, only followed by a newer version. The last rule has no condition.
    """

    id: UUID  # Chosen by the caller: sending it again changes nothing.
    rules: list[FeeRule]
    valid_from: datetime | None = None  # At least ten seconds ahead; None: as soon as can be.
    person: str = ""
    reason: str = ""
    version: int = 0  # Given when it is written …
    made_at: datetime | None = None  # … at this moment.


class FeeScheduleStatus(StrEnum):
    """How writing one version of the schedule ended. The first that fits is given."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    NO_LAST_RULE = "no_last_rule"  # The last rule must be on every sale, and no other may be.
    FIELD_MALFORMED = "field_malformed"
    UNCHANGED = "unchanged"  # The version before already says so.
    BACKDATED = "backdated"  # Sales may already have used the version before.


class FeeFacts(Record, frozen=True):
    """What rules ask of a merchant, counted over 30 days; from a moment on, until the next."""

    merchant: UUID
    currency: str
    volume_minor: int = 0
    sold_count: int = 0
    refunded_count: int = 0
    disputed_count: int = 0
    tier: int = 0
    valid_from: datetime | None = None  # Given when they are written.

    @property
    def refund_permyriad(self) -> int:
        """How many of 10,000 sales were refunded."""
        return self.refunded_count * 10_000 // self.sold_count if self.sold_count else 0

    @property
    def dispute_permyriad(self) -> int:
        """How many of 10,000 sales were disputed."""
        return self.disputed_count * 10_000 // self.sold_count if self.sold_count else 0


class ChannelCost(Record, frozen=True):
    """What a channel costs by the terms of routing, as fees count it."""

    channel: str  # The channel account's name.
    cost_permyriad: int
    cost_minor: int = 0  # Of each payment beside it …
    currency: str = ""  # … in this currency alone.
    currencies: list[str] = []  # Which it takes; empty: that is not known.


class FeeTold(Record, frozen=True):
    """Where a fee comes from: the rule or the terms that a memo of a transfer names."""

    rule: FeeRule
    number: int  # Which rule of the schedule, from 1; 0: the merchant's terms, or the default's.
    valid_from: datetime
    is_own: bool  # The merchant's own terms.


class PastSale(Record, frozen=True):
    """A sale that was, as a schedule is tried on it."""

    merchant: UUID
    amount_minor: int
    currency: str
    placed_at: datetime
    channel: str = ""
    method: str = ""
    category: str = ""


class FeeTrial(Record, frozen=True):
    """Try rules or terms on sales that were: what each would have cost, beside what it did."""

    rules: list[FeeRule]  # Empty beside terms: everybody else pays what was paid.
    sales: list[PastSale]
    terms: list[FeeTerms] = []  # Own terms that are tried too, in place of what counted then.


class TriedFee(Record, frozen=True, array_like=True):
    """What one sale cost its merchant, and what it would have; with the channel's cost apart."""

    fee_minor: int
    cost_minor: int
    tried_fee_minor: int
    tried_cost_minor: int
    number: int  # The rule that would have been it, from 1; 0: the merchant has own terms.


class FeeTrialResult(Record, frozen=True):
    """The outcome of a trial; empty where the rules cannot be."""

    status: FeeScheduleStatus
    fees: list[TriedFee] = []
