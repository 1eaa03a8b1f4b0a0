"""Routing: which ways to pay are offered, over which channel a payment goes, and why."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.api.payments.channels import ChannelId, Device, Method
from vendrail.kernel.codec import Record

RuleId = NewType("RuleId", UUID)

_BOUNDS = {
    "cost_permyriad": (0, 10_000),
    "cost_minor": (0, 10**12),
    "cost_failed_minor": (0, 10**12),
    "weight_percent": (0, 1_000),
    "cap_percent": (1, 100),
    "volume_day_minor": (0, 10**15),
    "hour_from": (0, 23),
    "hour_to": (0, 23),
}


class ChannelTerms(Record, frozen=True):
    """What a channel account costs, and what it may take; written whole, by its channel."""

    channel: ChannelId
    cost_permyriad: int = 0  # Of the amount, in hundredths of a percent: 60 = 0.60 %.
    cost_minor: int = 0  # Of each payment beside it.
    cost_failed_minor: int = 0  # Of each payment that fails.
    weight_percent: int = 100  # A thumb on the scales; 0: only where no other can.
    cap_percent: int = 100  # At most this share of the payments that others could take too.
    volume_day_minor: int = 0  # Takes no more in a day of UTC; 0 = no bound.
    hour_from: int = 0  # Open from this hour of UTC …
    hour_to: int = 0  # … until before this one; both the same: always.
    countries: list[str] = []  # Only for buyers there; empty: everywhere.

    @property
    def problem(self) -> str:
        """Name the field that makes no sense, or nothing."""
        for name, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                return name
        is_right = all(
            len(each) == 2 and each.isascii() and each.isupper() for each in self.countries
        )
        return "" if is_right and len(self.countries) <= 250 else "countries"


class TermsStatus(StrEnum):
    """How writing the terms of one channel ended."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CHANNEL_NOT_FOUND = "channel_not_found"
    MALFORMED = "malformed"


class RuleEffect(StrEnum):
    """What a rule does."""

    PIN = "pin"  # This channel first, wherever it can.
    NEVER = "never"  # Not this channel, or not this method at all.


class RoutingRule(Record, frozen=True):
    """What a person decided for some payments; what is left open holds for all."""

    id: RuleId
    effect: RuleEffect
    channel: ChannelId | None = None  # None, of NEVER alone: over no channel.
    merchant: UUID | None = None
    method: str = ""
    country: str = ""

    @property
    def is_meaningful(self) -> bool:
        """Tell whether it says something: a pin names its channel, a ban names anything."""
        if not (len(self.method) <= 64 and len(self.country) in {0, 2}):
            return False
        if self.effect is RuleEffect.PIN:
            return self.channel is not None
        return self.channel is not None or bool(self.method)

    def fits(self, merchant: UUID, method: str, country: str) -> bool:
        """Tell whether it holds for such a payment."""
        return (
            self.merchant in {None, merchant}
            and self.method in {"", method}
            and self.country in {"", country}
        )


class RuleStatus(StrEnum):
    """How writing one rule ended."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    CHANNEL_NOT_FOUND = "channel_not_found"
    MALFORMED = "malformed"  # A pin without a channel; a rule about nothing.


class MethodChoice(Record, frozen=True):
    """Which ways to pay a merchant does not take; written whole, by its merchant."""

    merchant: UUID
    methods_off: list[str]


class MethodChoiceStatus(StrEnum):
    """How writing one merchant's choice ended. Where several would fit, the first is given."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    METHOD_UNKNOWN = "method_unknown"  # No account offers it.
    NONE_LEFT = "none_left"  # Nobody could pay this merchant any more.


class MerchantMethod(Record, frozen=True):
    """A way to pay as its merchant may choose it, with what it costs over its cheapest channel."""

    method: str
    title: str
    currencies: list[str]  # Empty: it is off, and no account offers it just now.
    is_on: bool
    cost_permyriad: int = 0  # Of the amount, in hundredths of a percent …
    cost_minor: int = 0  # … and of each payment beside it, in the first of its currencies.
    cost_permyriad_max: int = 0  # Over its dearest channel.
    cost_minor_max: int = 0

    @property
    def has_cost(self) -> bool:
        """Tell whether anybody said what it costs."""
        return bool(self.cost_permyriad_max or self.cost_minor_max)


class OfferQuestion(Record, frozen=True):
    """Which ways to pay are offered to a buyer, who may pay any amount within bounds."""

    merchant: UUID
    currency: str
    amount_minor_min: int
    amount_minor_max: int
    device: Device | None = None
    country: str = ""
    habit: str = ""  # The method this buyer took last: it comes first.


class RouteReason(StrEnum):
    """Why a payment went over its channel."""

    ONLY = "only"  # There was no other.
    PINNED = "pinned"  # A person said so.
    BEST = "best"  # Expected success × (amount − cost) was best.
    EXPLORED = "explored"  # Not the best by what is known, but it might be.
    LAST_RESORT = "last_resort"  # All were capped, failing or away.
    FAILED_OVER = "failed_over"  # The channel before could not open it.
    ASKED = "asked"  # Whoever opened it named the channel.


class RouteFate(StrEnum):
    """Why a channel was passed over; empty: it was in the running."""

    FREE = ""
    CAPPED = "capped"  # It had its share: others first.
    FAILING = "failing"  # Most of its last payments failed: others first, for a while.
    AWAY = "away"  # Its provider did not answer: others first.
    DEVICE = "device"  # It does not open where the buyer's browser runs: others first.
    CURRENCY = "currency"
    AMOUNT = "amount"
    HOURS = "hours"
    COUNTRY = "country"
    VOLUME = "volume"  # It had taken what it may take in a day.
    RULE = "rule"  # A person said: never.
    TRIED = "tried"  # It had just failed to open this very payment.


class RouteOption(Record, frozen=True, array_like=True):
    """How one channel came off, in millionths."""

    channel: ChannelId
    success_ppm: int  # Expected.
    score_ppm: int  # Left of each unit of money, after cost.
    share_ppm: int  # How likely it was to be chosen: the propensity.
    fate: RouteFate


class Route(Record, frozen=True):
    """A decision, as it is kept with its attempt."""

    reason: RouteReason
    options: list[RouteOption] = []  # Empty where there was nothing to choose.


class DecisionOutcome(StrEnum):
    """What came of a payment that was sent to its channel."""

    SUCCEEDED = "succeeded"  # It was paid.
    FAILED = "failed"  # By the channel's own fault, as routing counts it.
    GIVEN_UP = "given_up"  # Its buyer did not pay, or could not have anywhere.
    OPEN = "open"


class Decision(Record, frozen=True):
    """A payment that was opened over the channel that routing chose, and what came of it."""

    attempt: UUID
    order: UUID
    at: datetime
    channel_name: str
    method: str
    country: str
    amount_minor: int
    currency: str
    propensity_ppm: int  # How likely the channel was to be chosen.
    outcome: DecisionOutcome


class DecisionQuery(Record, frozen=True):
    """A page of decisions whose payments began in a stretch of time, oldest first."""

    since: datetime
    until: datetime
    currency: str
    after: UUID | None = None  # The last attempt of the page before.
    decisions_max: int = 500


class SegmentView(Record, frozen=True):
    """What is known of payments that are alike; counts in thousandths, older ones weigh less."""

    channel: ChannelId
    method: str  # Empty fields hold for all; band 0 too.
    country: str
    band: int  # Two for each power of ten of the amount in minor units.
    successes_milli: int
    failures_milli: int
    success_ppm: int  # Expected: shrunk to what the wider segment says.
    spread_ppm: int  # One standard deviation of it.


class ChannelStanding(Record, frozen=True):
    """How a channel stands in the choice now, as this process sees it."""

    channel: ChannelId
    success_ppm: int
    fate: RouteFate  # FREE, CAPPED, FAILING, AWAY.
    taken_ppm: int  # Its share of late, where it is capped.
    price_ppm: int  # By how much it must be better to be chosen, for its cap.


class Routing(Protocol):
    """The part of payments that chooses."""

    async def offer_methods(self, questions: Sequence[OfferQuestion]) -> list[list[Method]]:
        """List the ways to pay for each, the likeliest first: each once, none that cannot be."""
        ...

    async def put_method_choices(self, choices: Sequence[MethodChoice]) -> list[MethodChoiceStatus]:
        """Write which ways merchants do not take; one at least stays."""
        ...

    async def list_merchant_methods(self, merchants: Sequence[UUID]) -> list[list[MerchantMethod]]:
        """List the ways that accounts offer, each once, and whether each merchant takes them."""
        ...

    async def put_terms(self, terms: Sequence[ChannelTerms]) -> list[TermsStatus]:
        """Write what channels cost and may take, whole."""
        ...

    async def list_terms(self) -> list[ChannelTerms]:
        """List the terms of every channel, those nobody has written too."""
        ...

    async def put_rules(self, rules: Sequence[RoutingRule]) -> list[RuleStatus]:
        """Write rules; one that is there never changes."""
        ...

    async def drop_rules(self, rules: Sequence[RuleId]) -> list[bool]:
        """Take rules back; false: there was none."""
        ...

    async def list_rules(self) -> list[RoutingRule]:
        """List the rules, oldest first."""
        ...

    async def list_segments(self, channels: Sequence[ChannelId]) -> list[list[SegmentView]]:
        """Say what is known of each channel's payments, the widest segment first."""
        ...

    async def read_standings(self, channels: Sequence[ChannelId]) -> list[ChannelStanding | None]:
        """Say how channels stand in the choice now."""
        ...

    async def list_decisions(self, queries: Sequence[DecisionQuery]) -> list[list[Decision]]:
        """List what was decided and what came of it; an empty page ends.

        What nobody opened and what its opener sent to a channel by name was no decision.
        """
        ...

    async def read_routes(self, attempts: Sequence[UUID]) -> list[Route | None]:
        """Read why attempts went over their channels; None: there is no such attempt."""
        ...
