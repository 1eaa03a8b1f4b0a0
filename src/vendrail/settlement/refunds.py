"""Where a refund takes its money from, and what may happen to it. Pure.

Before the split the money is held; after it, the merchant's available pays first and debt the rest,
and the platform gives its part of the fee back where the terms say so. What nobody owns comes out
of suspense. What was taken is kept, so that a refund which fails gives exactly that back.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import AccountId, Transfer, TransferCode, TransferId
from vendrail.api.settlement import RefundPosting, RefundPostingStatus
from vendrail.kernel.ids import derive
from vendrail.kernel.money import EXPONENTS, Money
from vendrail.settlement.exchange import Leg, Sides, exchange_transfers
from vendrail.settlement.fees import returned_fee_minor
from vendrail.settlement.sharing import Shared
from vendrail.settlement.split import MerchantAccounts, SplitFound, is_changeable, is_wellformed


class RefundSource(StrEnum):
    """Where the money of an order is when it is refunded."""

    HELD = "held"
    SPLIT = "split"  # With the merchant and, for the fee, the platform.
    SUSPENSE = "suspense"


class RefundState(StrEnum):
    """Where one refund stands."""

    ASKED = "asked"  # Written down; its money may be on the way to clearing.
    OPEN = "open"  # In clearing.
    PAYING = "paying"
    PAID = "paid"
    RETURNING = "returning"
    RETURNED = "returned"
    CANCELLED = "cancelled"  # Undone before it arrived: a tombstone.


class KeptRefund(NamedTuple):
    """What is kept of a refund: enough to do each of its movements again."""

    id: UUID
    subject: UUID
    merchant: UUID | None
    channel: str
    currency: str
    amount_minor: int
    source: RefundSource
    fee_minor: int  # The part that comes out of the platform's fee.
    debt_minor: int  # The part that the merchant owes since; known when open.
    state: RefundState
    paid_currency: str | None = None  # Where another currency was paid: what goes back …
    paid_minor: int | None = None  # … and how much of it.
    to_wallet: UUID | None = None  # Whose wallet it goes to, where it goes to none of a channel.
    from_wallet: UUID | None = None  # Whose wallet it comes out of: the order was its top-up.
    pending_account: UUID | None = None  # Where the order's pending part lies …
    pending_minor: int = 0  # … and how much was taken there; while asked: at most so much.
    reserve_account: UUID | None = None
    reserve_minor: int = 0
    supplied_minor: int = 0  # The part that the supplier bears: a row of its own, …
    part_of: UUID | None = None  # … which names the refund that it is part of.

    @property
    def is_held_back(self) -> bool:
        """Whether anything of it may come out of what is not due yet."""
        return self.pending_account is not None or self.reserve_account is not None

    @property
    def back(self) -> Money:
        """What goes back to where it came from."""
        if self.paid_currency is None or self.paid_minor is None:
            return Money(self.amount_minor, self.currency)
        return Money(self.paid_minor, self.paid_currency)

    @property
    def is_out_of_wallet(self) -> bool:
        """Tell whether it comes out of a wallet, which owes nothing: all of it, or nothing."""
        return self.from_wallet is not None and self.source is RefundSource.SPLIT

    @property
    def share_minor(self) -> int:
        """The part that the merchant bears: not out of the fee, and not the supplier's."""
        return self.amount_minor - self.fee_minor - self.supplied_minor

    @property
    def own_minor(self) -> int:
        """The part that this row moves to clearing and back."""
        return self.amount_minor - self.supplied_minor

    def fits(self, posting: RefundPosting) -> bool:
        """Tell whether a repeat asks for the same."""
        return (
            self.subject == posting.order
            and self.merchant == posting.merchant
            and self.channel == posting.channel
            and self.currency == posting.currency
            and self.amount_minor == posting.amount_minor
            and self.back == (posting.paid or Money(posting.amount_minor, posting.currency))
            and (self.to_wallet, self.from_wallet) == (posting.to_wallet, posting.from_wallet)
        )


PoolKey = tuple[UUID, RefundSource]


class Pool(NamedTuple):
    """How much of an order's money lies in one place, and how much of it has been refunded."""

    subject: UUID
    source: RefundSource
    size_minor: int
    refunded_minor: int = 0
    fee_returned_minor: int = 0
    pending_minor: int = 0
    reserve_minor: int = 0

    @property
    def key(self) -> PoolKey:
        """What tells one pool from another."""
        return (self.subject, self.source)

    @property
    def is_shared(self) -> bool:
        """Whether a supplier may have a part of it: only of what was split."""
        return self.source is RefundSource.SPLIT


def is_refund_wellformed(posting: RefundPosting) -> bool:
    """Tell whether a refund's amount and currency can be moved at all."""
    paid = posting.paid
    if paid is not None and not is_changeable(paid, posting.currency):
        return False
    return is_wellformed(posting.amount_minor) and posting.currency in EXPONENTS


def asks_too_much(posting: RefundPosting) -> bool:
    """Tell whether a refund exceeds what was captured, by the asker's own figures."""
    return posting.refunded_minor + posting.amount_minor > posting.captured_minor


def choose_pool(posting: RefundPosting, found: SplitFound) -> Pool:
    """Say which money is refunded, and how much of it the books hold.

    The books decide, not the asker: what is said to be split and is not is taken from held.
    """
    if posting.merchant is None:
        return Pool(posting.order, RefundSource.SUSPENSE, max(0, found.suspense_minor))
    if posting.is_split and found.split_minor:
        return Pool(posting.order, RefundSource.SPLIT, found.split_minor)
    held = found.captured_minor - found.split_minor - found.exchanged_minor
    return Pool(posting.order, RefundSource.HELD, max(0, held))


class HeldBack(NamedTuple):
    """What of an order's share was not available at once, and where it lies."""

    pending: AccountId | None = None
    pending_minor: int = 0
    reserve: AccountId | None = None
    reserve_minor: int = 0


_NOTHING_BACK = HeldBack()


_NOT_SHARED = Shared()


def ask_refund(
    posting: RefundPosting,
    pool: Pool,
    found: SplitFound,
    back: HeldBack = _NOTHING_BACK,
    *,
    is_fee_refunded: bool,
    frozen_minor: int = 0,
    shared: Shared = _NOT_SHARED,
) -> tuple[KeptRefund, Pool] | None:
    """Take a refund out of its pool; None when that much is not there.

    What is frozen for the order comes first. Of what is not due yet the rest may take all that no
    other refund of the order has taken, or may still take: how much is there when it comes is not
    known before.
    """
    refunded = pool.refunded_minor + posting.amount_minor
    if refunded > pool.size_minor:
        return None
    fee = 0
    if pool.source is RefundSource.SPLIT and is_fee_refunded:
        fee = returned_fee_minor(
            found.fee_minor,
            found.split_minor - shared.size_minor,
            pool.refunded_minor - shared.before_minor,
            pool.fee_returned_minor,
            posting.amount_minor - shared.part_minor,
        )
    share = (
        posting.amount_minor - fee - shared.part_minor if pool.source is RefundSource.SPLIT else 0
    )
    rest = max(0, share - frozen_minor)
    pending = max(0, min(rest, back.pending_minor - pool.pending_minor))
    reserve = max(0, min(rest, back.reserve_minor - pool.reserve_minor))
    kept = KeptRefund(
        posting.refund,
        posting.order,
        posting.merchant,
        posting.channel,
        posting.currency,
        posting.amount_minor,
        pool.source,
        fee,
        0,
        RefundState.ASKED,
        *_paid(posting),
        posting.to_wallet,
        posting.from_wallet,
        back.pending if pending else None,
        pending,
        back.reserve if reserve else None,
        reserve,
        shared.part_minor,
    )
    changed = pool._replace(
        refunded_minor=refunded,
        fee_returned_minor=pool.fee_returned_minor + fee,
        pending_minor=pool.pending_minor + pending,
        reserve_minor=pool.reserve_minor + reserve,
    )
    return kept, changed


def _paid(posting: RefundPosting) -> tuple[str | None, int | None]:
    paid = posting.paid
    return (paid.currency, paid.amount_minor) if paid is not None else (None, None)


def tombstone(posting: RefundPosting) -> KeptRefund:
    """What stands on a refund's id when it is returned before it was opened."""
    return KeptRefund(
        posting.refund,
        posting.order,
        posting.merchant,
        posting.channel,
        posting.currency,
        posting.amount_minor,
        RefundSource.HELD,
        0,
        0,
        RefundState.CANCELLED,
        *_paid(posting),
        posting.to_wallet,
        posting.from_wallet,
    )


def open_status(kept: KeptRefund, posting: RefundPosting, *, is_new: bool) -> RefundPostingStatus:
    """Answer who asks to open a refund that is there."""
    if not kept.fits(posting):
        return RefundPostingStatus.EXISTS_DIFFERENT
    if kept.state is RefundState.CANCELLED:
        is_poor = kept.is_out_of_wallet
        return RefundPostingStatus.WALLET_TOO_LOW if is_poor else RefundPostingStatus.CANCELLED
    return RefundPostingStatus.POSTED if is_new else RefundPostingStatus.EXISTS


def _leg(
    kept: KeptRefund,
    step: str,
    debit: AccountId,
    credit: AccountId,
    amount_minor: int,
    code: TransferCode,
    *,
    is_balancing: bool = False,
) -> list[Transfer]:
    if not amount_minor:
        return []
    id = TransferId(derive(kept.id, step))
    return [
        Transfer(id, debit, credit, amount_minor, code, kept.subject, is_balancing=is_balancing)
    ]


def _source(kept: KeptRefund, accounts: MerchantAccounts) -> AccountId:
    if kept.source is RefundSource.SPLIT:
        return accounts.available
    return accounts.held if kept.source is RefundSource.HELD else accounts.suspense


def pending_transfers(kept: KeptRefund, accounts: MerchantAccounts) -> list[Transfer]:
    """Take of the order's pending part what is still there."""
    return _back_leg(kept, "pending", kept.pending_account, kept.pending_minor, accounts)


def reserve_transfers(
    kept: KeptRefund, accounts: MerchantAccounts, thawed_minor: int
) -> list[Transfer]:
    """Take of the order's reserve what is still there and still needed."""
    needed = min(kept.reserve_minor, kept.share_minor - thawed_minor - kept.pending_minor)
    return _back_leg(kept, "reserve", kept.reserve_account, needed, accounts)


def _back_leg(
    kept: KeptRefund,
    part: str,
    account: UUID | None,
    amount_minor: int,
    accounts: MerchantAccounts,
) -> list[Transfer]:
    if account is None:
        return []
    debit, code = AccountId(account), TransferCode.REFUND
    step = f"refund:{part}"
    return _leg(kept, step, debit, accounts.clearing, amount_minor, code, is_balancing=True)


def opening_transfers(kept: KeptRefund, accounts: MerchantAccounts) -> list[Transfer]:
    """Take the rest to clearing; the first leg takes at most what a merchant still has.

    Out of a buyer's wallet comes all of it, or nothing.
    """
    return [
        *_leg(
            kept,
            "refund",
            _source(kept, accounts),
            accounts.clearing,
            kept.share_minor - kept.pending_minor - kept.reserve_minor,
            TransferCode.REFUND,
            is_balancing=kept.source is RefundSource.SPLIT and not kept.is_out_of_wallet,
        ),
        *_leg(
            kept,
            "refund:fee",
            accounts.fee,
            accounts.clearing,
            kept.fee_minor,
            TransferCode.REFUND_FEE,
        ),
    ]


def debt_transfers(kept: KeptRefund, debt_minor: int, accounts: MerchantAccounts) -> list[Transfer]:
    """Make the merchant owe what was not there."""
    return _leg(
        kept, "refund:debt", accounts.debt, accounts.clearing, debt_minor, TransferCode.REFUND
    )


def paying_transfers(
    kept: KeptRefund, accounts: MerchantAccounts, target: AccountId
) -> list[Transfer]:
    """Take the money from clearing to the provider, who has paid it out, or to a wallet.

    A supplier's part goes with the refund that it is part of.
    """
    if kept.part_of is not None:
        return []
    return _leg(
        kept,
        "refund:paid",
        accounts.clearing,
        target,
        kept.back.amount_minor,
        TransferCode.REFUND_PAID,
    )


def change_transfers(
    kept: KeptRefund, accounts: MerchantAccounts, foreign: MerchantAccounts, sides: Sides
) -> list[Transfer]:
    """Change what lies in clearing into what goes back."""
    legs = (
        Leg(accounts.clearing, sides.price, kept.amount_minor),
        Leg(sides.paid, foreign.clearing, kept.back.amount_minor),
    )
    return exchange_transfers(kept.id, "refund:exchange", kept.subject, legs)


def change_back_transfers(
    kept: KeptRefund, accounts: MerchantAccounts, foreign: MerchantAccounts, sides: Sides
) -> list[Transfer]:
    """Change it back, where the provider has refused."""
    legs = (
        Leg(foreign.clearing, sides.paid, kept.back.amount_minor),
        Leg(sides.price, accounts.clearing, kept.amount_minor),
    )
    return exchange_transfers(kept.id, "return:exchange", kept.subject, legs)


def returning_transfers(
    kept: KeptRefund, accounts: MerchantAccounts, thawed: Sequence[tuple[str, AccountId, int]]
) -> list[Transfer]:
    """Give exactly what was taken back to where it was taken from; first what had been frozen."""
    rest = kept.share_minor - kept.debt_minor - kept.pending_minor - kept.reserve_minor
    rest -= sum(amount_minor for _, _, amount_minor in thawed)
    legs = (
        *thawed,
        ("return", _source(kept, accounts), rest),
        ("return:pending", AccountId(kept.pending_account or accounts.held), kept.pending_minor),
        ("return:reserve", AccountId(kept.reserve_account or accounts.held), kept.reserve_minor),
        ("return:debt", accounts.debt, kept.debt_minor),
        ("return:fee", accounts.fee, kept.fee_minor),
    )
    return [
        transfer
        for step, credit, amount_minor in legs
        for transfer in _leg(
            kept, step, accounts.clearing, credit, amount_minor, TransferCode.REFUND_RETURNED
        )
    ]
