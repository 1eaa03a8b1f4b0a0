"""Settlement: the fee is taken and the rest is the merchant's, to the minor unit, at once."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.settlement.adjustments import Adjusting as Adjusting
from vendrail.api.settlement.adjustments import FeeAdjustment as FeeAdjustment
from vendrail.api.settlement.adjustments import FeeAdjustmentQuery as FeeAdjustmentQuery
from vendrail.api.settlement.adjustments import FeeAdjustmentStatus as FeeAdjustmentStatus
from vendrail.api.settlement.adjustments import FeeAllowance as FeeAllowance
from vendrail.api.settlement.adjustments import FeeAllowanceStatus as FeeAllowanceStatus
from vendrail.api.settlement.deposits import Deposit as Deposit
from vendrail.api.settlement.deposits import DepositKind as DepositKind
from vendrail.api.settlement.deposits import DepositMove as DepositMove
from vendrail.api.settlement.deposits import DepositQuery as DepositQuery
from vendrail.api.settlement.deposits import DepositState as DepositState
from vendrail.api.settlement.deposits import DepositStatus as DepositStatus
from vendrail.api.settlement.deposits import DepositTerms as DepositTerms
from vendrail.api.settlement.deposits import DepositTermsStatus as DepositTermsStatus
from vendrail.api.settlement.fees import ChannelCost as ChannelCost
from vendrail.api.settlement.fees import FeeFacts as FeeFacts
from vendrail.api.settlement.fees import FeeRule as FeeRule
from vendrail.api.settlement.fees import FeeSchedule as FeeSchedule
from vendrail.api.settlement.fees import FeeScheduleStatus as FeeScheduleStatus
from vendrail.api.settlement.fees import FeeTerms as FeeTerms
from vendrail.api.settlement.fees import FeeTermsStatus as FeeTermsStatus
from vendrail.api.settlement.fees import FeeTold as FeeTold
from vendrail.api.settlement.fees import FeeTrial as FeeTrial
from vendrail.api.settlement.fees import FeeTrialResult as FeeTrialResult
from vendrail.api.settlement.fees import PastSale as PastSale
from vendrail.api.settlement.fees import TriedFee as TriedFee
from vendrail.api.settlement.shares import DueShare as DueShare
from vendrail.api.settlement.shares import OrderShare as OrderShare
from vendrail.api.settlement.shares import SharePart as SharePart
from vendrail.api.settlement.shares import ShareQuery as ShareQuery
from vendrail.api.settlement.standing import HeldSum as HeldSum
from vendrail.api.settlement.standing import MerchantDebt as MerchantDebt
from vendrail.api.settlement.standing import SettlementHealth as SettlementHealth
from vendrail.api.settlement.suggestions import FeeBounds as FeeBounds
from vendrail.api.settlement.suggestions import FeeBoundsStatus as FeeBoundsStatus
from vendrail.api.settlement.suggestions import FeeCause as FeeCause
from vendrail.api.settlement.suggestions import FeePart as FeePart
from vendrail.api.settlement.suggestions import FeeSuggestion as FeeSuggestion
from vendrail.api.settlement.suggestions import FeeSuggestionQuery as FeeSuggestionQuery
from vendrail.api.settlement.suggestions import Suggesting as Suggesting
from vendrail.api.settlement.supplies import KeptSupply as KeptSupply
from vendrail.api.settlement.supplies import Supply as Supply
from vendrail.api.settlement.supplies import supply_of as supply_of
from vendrail.kernel.codec import Record
from vendrail.kernel.money import Money


class WalletPart(Record, frozen=True):
    """What a buyer's wallet pays of an order: a pending transfer to held, to be posted whole."""

    hold: UUID  # The pending transfer.
    buyer: UUID
    amount_minor: int


class RiskTier(StrEnum):
    """How far a merchant is trusted; each tier has hold terms of its own."""

    NEW = "new"
    STANDARD = "standard"  # Where nothing else is said.
    TRUSTED = "trusted"
    WATCHED = "watched"


class HoldTerms(Record, frozen=True):
    """When the share of a sale becomes its merchant's to use: of a merchant or, without, of a tier.

    Never changed, only followed by a newer version; a sale takes the version valid when it was
    placed. Without any, a share is available at once.
    """

    merchant: UUID | None
    tier: RiskTier | None = None  # Of a merchant: whose terms it follows; None: its own figures.
    pending_hours: int = 0  # After the payment, to the full hour.
    reserve_basis_points: int = 0  # Of the share: kept longer, against refunds and disputes.
    reserve_days: int = 0  # After the payment, to the full day (UTC).
    valid_from: datetime | None = None  # At least ten seconds ahead; None: as soon as can be.


class HoldTermsStatus(StrEnum):
    """How writing one version of hold terms ended."""

    CREATED = "created"
    UNCHANGED = "unchanged"  # The newest version already says so.
    BACKDATED = "backdated"  # Sales may already have used the version before.
    FIELD_MALFORMED = "field_malformed"


class CaptureBooking(Record, frozen=True):
    """Money that arrived: provider receivable -> the merchant's held, or suspense if unmatched."""

    capture: UUID
    subject: UUID  # The order, or the capture itself when nothing fits.
    channel: str  # The channel account's name, as in `provider:<channel>`.
    merchant: UUID | None  # None: to suspense:unmatched.
    amount_minor: int
    currency: str
    is_from_suspense: bool = False  # Matched later: suspense -> held.
    wallet: WalletPart | None = None  # Comes beside it, or alone: the amount is then zero.


class Sale(Record, frozen=True):
    """A paid order to be split; its ids derive from the order."""

    order: UUID
    merchant: UUID
    amount_minor: int
    currency: str
    placed_at: datetime  # Chooses the fee version.
    booking: CaptureBooking | None = None  # Booked in the same chain where not booked before.
    paid: Money | None = None  # In another currency: changed into the price in the same chain.
    wallet: UUID | None = None  # A top-up: all of it is this buyer's, and no fee is taken.
    paid_at: datetime | None = None  # From when hold terms count; None: from placing.
    method: str = ""  # How it was paid, and …
    category: str = ""  # … of what sort the product was: rules of fees ask for both.
    supply: Supply | None = None  # Of an agent's sale: the part that is another merchant's.

    @property
    def channel(self) -> str:
        """Name the channel account that took the money, where it is known."""
        return self.booking.channel if self.booking is not None else ""


class SaleStatus(StrEnum):
    """How one split ended."""

    SPLIT = "split"
    CANCELLED = "cancelled"  # It was reversed before it arrived.
    AMOUNT_MALFORMED = "amount_malformed"
    NOT_HELD = "not_held"  # The money is not in held: the books disagree, a person must look.
    MARKUP_TOO_LOW = "markup_too_low"  # Asked beforehand: fee and cost would eat more than it.


class SaleResult(Record, frozen=True):
    """What the fee and the merchant's share were."""

    status: SaleStatus
    fee_minor: int = 0
    share_minor: int = 0
    fee_version: int = 0
    fee_rule: int = 0  # Which rule of the schedule's version, from 1; 0: a version of terms.
    cost_minor: int = 0  # What the merchant bears of the channel's cost.
    supplied_minor: int = 0  # What is the supplier's.


class RefundPosting(Record, frozen=True):
    """Money to give back: out of held; after the split, the merchant's, the rest becomes debt.

    Of the merchant's: first the order's own pending part, then its own reserve, then available.
    """

    refund: UUID
    order: UUID
    merchant: UUID | None  # None: out of suspense.
    channel: str
    amount_minor: int
    currency: str
    placed_at: datetime
    is_split: bool  # Has the order been split (delivered)? Then held is empty of it.
    captured_minor: int  # The order's whole captured amount: the last partial takes the remainder.
    refunded_minor: int = 0  # What earlier refunds of the order took.
    paid: Money | None = None  # What goes back, where another currency was paid.
    to_wallet: UUID | None = None  # Goes to this buyer's wallet, not over the channel.
    from_wallet: UUID | None = None  # Of a top-up: comes out of this buyer's wallet, or not at all.
    is_chargeback: bool = False  # What a payer's bank has taken: it goes past exclusive freezes.


class RefundPostingStatus(StrEnum):
    """How one posting of a refund ended."""

    POSTED = "posted"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"  # The id stands for another refund.
    MORE_THAN_CAPTURED = "more_than_captured"
    AMOUNT_MALFORMED = "amount_malformed"
    WALLET_TOO_LOW = "wallet_too_low"  # What was topped up has been spent.
    DISPUTED = (
        "disputed"  # The payer's bank may take the same money: asked again when it has ended.
    )
    CANCELLED = "cancelled"
    NOT_OPEN = "not_open"  # Paid or returned before it was opened, or ended the other way.


class Freeze(Record, frozen=True):
    """Keep what an order has left to its merchant from leaving while it is disputed.

    The id is the dispute's. A refund of the order takes what is frozen for it first.
    """

    id: UUID
    order: UUID
    merchant: UUID
    amount_minor: int  # At most so much of the order's share, and at most what is there.
    currency: str
    is_exclusive: bool = False  # While it stands, only chargebacks take money of the order.


class FreezeStatus(StrEnum):
    """How freezing, or ending it, ended."""

    FROZEN = "frozen"
    ENDED = "ended"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"  # The id stands for another freeze.
    CANCELLED = "cancelled"  # It was ended before it arrived.
    AMOUNT_MALFORMED = "amount_malformed"


class FreezeResult(Record, frozen=True):
    """What was frozen, and what of it is frozen still."""

    status: FreezeStatus
    frozen_minor: int = 0
    left_minor: int = 0


class ChargebackStep(StrEnum):
    """What happens to money that a payer's bank takes back; each step once for a dispute."""

    TAKEN = "taken"  # provider -> chargeback: the provider keeps it while it is disputed.
    RETURNED = "returned"  # chargeback -> provider: won, or given back in the payer's refund.
    LOST = "lost"  # chargeback -> platform:channel_cost: nobody is there whom it could be asked of.
    FEE = "fee"  # platform:channel_cost -> provider: what the provider asks for the dispute.
    FEE_PASSED_ON = "fee_passed_on"  # available, then debt -> platform:channel_cost.


class ChargebackPosting(Record, frozen=True):
    """One step of a dispute in the books; `dispute` and `step` give its transfers' ids."""

    dispute: UUID
    step: ChargebackStep
    order: UUID
    merchant: UUID | None  # Whom a fee is passed on to.
    channel: str
    amount_minor: int
    currency: str


class MerchantBalance(Record, frozen=True):
    """Where a merchant's money is, in minor units."""

    merchant: UUID
    currency: str
    held_minor: int
    available_minor: int
    pending_minor: int
    frozen_minor: int
    debt_minor: int
    reserve_minor: int = 0
    leaving_minor: int = 0  # Of what is available: set aside for payouts that have not ended.


class Settlement(Adjusting, Suggesting, Protocol):
    """Move the money of sales and refunds through the ledger."""

    async def put_fee_terms(self, terms: Sequence[FeeTerms]) -> list[FeeTermsStatus]:
        """Write new versions of merchants' fee terms and open the merchants' accounts."""
        ...

    async def read_fee_terms(self, merchants: Sequence[UUID]) -> list[list[FeeTerms]]:
        """Read all versions of merchants' fee terms, newest first."""
        ...

    async def put_hold_terms(self, terms: Sequence[HoldTerms]) -> list[HoldTermsStatus]:
        """Write new versions of hold terms; what is sold already keeps the terms it has."""
        ...

    async def read_hold_terms(self, merchants: Sequence[UUID]) -> list[list[HoldTerms]]:
        """Read all versions of merchants' hold terms, newest first."""
        ...

    async def read_tier_terms(self) -> list[HoldTerms]:
        """Read all versions of the tiers' hold terms, newest first."""
        ...

    async def put_fee_schedules(self, schedules: Sequence[FeeSchedule]) -> list[FeeScheduleStatus]:
        """Write new versions of the schedule that merchants without their own terms pay by."""
        ...

    async def list_fee_schedules(self) -> list[FeeSchedule]:
        """List all versions of the schedule, newest first."""
        ...

    async def put_fee_facts(self, facts: Sequence[FeeFacts]) -> list[bool]:
        """Write what was counted of merchants; false: it stands so already."""
        ...

    async def read_fee_facts(self, merchants: Sequence[UUID]) -> list[list[FeeFacts]]:
        """Read what counts of merchants now, in each of their currencies."""
        ...

    async def put_merchant_tiers(self, tiers: Sequence[tuple[UUID, int]]) -> list[bool]:
        """Write merchants' tiers, which count in a moment; false: it is that already."""
        ...

    async def read_merchant_tiers(self, merchants: Sequence[UUID]) -> list[int]:
        """Read merchants' tiers; 0 where nobody has written any."""
        ...

    async def put_channel_costs(self, costs: Sequence[ChannelCost]) -> list[bool]:
        """Write what channels cost, where merchants bear it; false: it stands so already."""
        ...

    async def tell_fees(self, memos: Sequence[str]) -> list[FeeTold | None]:
        """Say where fees come from, by the memos of their transfers; None: that is none of fees."""
        ...

    async def try_fees(self, trials: Sequence[FeeTrial]) -> list[FeeTrialResult]:
        """Price sales that were by other rules, beside what counted then; nothing is written."""
        ...

    async def book_captures(self, bookings: Sequence[CaptureBooking]) -> list[bool]:
        """Book money that arrived; true when it stands in the books, now or from before."""
        ...

    async def price_sales(self, sales: Sequence[Sale]) -> list[SaleResult]:
        """Say what the parts of sales would be, by what counts now; nothing is written.

        Of a supplied sale whose markup does not bear fee and cost, of the dearest channel where
        none is named: `markup_too_low`. Where that shows only when it was paid, the platform takes
        less: nobody's share is below zero.
        """
        ...

    async def read_supplies(self, ids: Sequence[UUID]) -> list[KeptSupply | None]:
        """Read whose orders suppliers' parts were split out of, by what they are booked under."""
        ...

    async def split_sales(self, sales: Sequence[Sale]) -> list[SaleResult]:
        """Take the fee and give the merchant the rest; replay gives the same result."""
        ...

    async def reverse_sales(self, sales: Sequence[Sale]) -> list[bool]:
        """Undo splits that came before the pivot; leaves a tombstone where there was none."""
        ...

    async def open_refunds(self, refunds: Sequence[RefundPosting]) -> list[RefundPostingStatus]:
        """Move the money of refunds to refund:clearing, when a refund is asked of the provider."""
        ...

    async def pay_refunds(self, refunds: Sequence[RefundPosting]) -> list[RefundPostingStatus]:
        """Move it from clearing to the provider, when the provider has confirmed."""
        ...

    async def return_refunds(self, refunds: Sequence[RefundPosting]) -> list[RefundPostingStatus]:
        """Move it back to where it was taken from, when the provider has refused for good."""
        ...

    async def freeze_money(self, freezes: Sequence[Freeze]) -> list[FreezeResult]:
        """Keep orders' shares from leaving while they are disputed; never makes a debt."""
        ...

    async def unfreeze_money(self, freezes: Sequence[Freeze]) -> list[FreezeResult]:
        """End freezes: what no refund has taken is the merchant's to use again."""
        ...

    async def find_disputed(self, orders: Sequence[UUID]) -> list[bool]:
        """Tell of which orders no refund may be opened now: an exclusive freeze stands."""
        ...

    async def find_opened(self, refunds: Sequence[UUID]) -> list[bool]:
        """Tell which refunds the books have taken in, however they ended; others wait outside."""
        ...

    async def post_chargebacks(self, postings: Sequence[ChargebackPosting]) -> list[bool]:
        """Move money of disputes; true when a step stands in the books, now or from before."""
        ...

    async def read_merchant_balances(
        self, merchants: Sequence[tuple[UUID, str]]
    ) -> list[MerchantBalance]:
        """Read where merchants' money is, by (merchant, currency)."""
        ...

    async def read_due_shares(self, merchants: Sequence[tuple[UUID, str]]) -> list[list[DueShare]]:
        """Read by (merchant, currency) what becomes available when, the soonest first."""
        ...

    async def read_health(self) -> SettlementHealth:
        """Read whether releases keep up."""
        ...

    async def sum_held(self) -> list[HeldSum]:
        """Sum what is not due yet, of all merchants; reads every open bucket."""
        ...

    async def list_debts(self) -> list[MerchantDebt]:
        """List who owes, the oldest debt first."""
        ...

    async def put_deposit_terms(self, terms: Sequence[DepositTerms]) -> list[DepositTermsStatus]:
        """Ask merchants for deposits, of another amount or none any more."""
        ...

    async def read_deposits(self, merchants: Sequence[tuple[UUID, str]]) -> list[Deposit]:
        """Read how merchants' deposits stand, by (merchant, currency)."""
        ...

    async def list_deposits(self) -> list[Deposit]:
        """List the deposits that were asked for last; the first two hundred."""
        ...

    async def list_deposit_moves(self, queries: Sequence[DepositQuery]) -> list[list[DepositMove]]:
        """List movements of deposits, the newest first."""
        ...

    async def move_deposits(self, moves: Sequence[DepositMove]) -> list[DepositStatus]:
        """Pay in, take for what is owed, or ask for a return."""
        ...

    async def read_order_shares(self, queries: Sequence[ShareQuery]) -> list[OrderShare]:
        """Read where orders' shares are: pending, in reserve or released, and from when."""
        ...
