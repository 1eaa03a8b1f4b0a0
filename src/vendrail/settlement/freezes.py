"""What a dispute keeps of an order's share from leaving, and what refunds take of that. Pure.

A freeze takes at most what the order has left to its merchant, and at most what is there: it never
makes a debt. A refund of the order takes what is frozen for it first.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import AccountId, Chart, Transfer, TransferCode, TransferId
from vendrail.api.settlement import Freeze, FreezeStatus, RefundPosting
from vendrail.kernel.ids import derive
from vendrail.kernel.money import EXPONENTS
from vendrail.settlement.refunds import HeldBack, KeptRefund, Pool, RefundSource
from vendrail.settlement.split import MerchantAccounts, is_wellformed


class FreezeState(StrEnum):
    """Where one freeze stands."""

    ASKED = "asked"  # Written down; its money may be on the way.
    FROZEN = "frozen"
    ENDING = "ending"  # What is left of it is on the way back.
    ENDED = "ended"
    CANCELLED = "cancelled"  # Ended before it arrived: a tombstone.


class KeptFreeze(NamedTuple):
    """What is kept of a freeze: enough to do each of its movements again."""

    id: UUID
    subject: UUID
    merchant: UUID
    currency: str
    asked_minor: int
    wanted_minor: int  # The part of it that the order had left to its merchant then.
    frozen_minor: int
    thawed_minor: int  # The part of what was frozen that refunds have taken.
    state: FreezeState
    pending_account: UUID | None = None  # Where the order's pending part lies …
    pending_minor: int = 0  # … and how much may come out of it: at most so much.
    reserve_account: UUID | None = None
    reserve_minor: int = 0
    is_exclusive: bool = False  # No refund of the order is opened while it stands.

    @property
    def left_minor(self) -> int:
        """What is kept from leaving now, or will be when it has arrived."""
        if self.state is FreezeState.ASKED:
            return self.wanted_minor
        return self.frozen_minor - self.thawed_minor if self.state is FreezeState.FROZEN else 0

    def fits(self, asked: Freeze) -> bool:
        """Tell whether a repeat asks for the same."""
        return (
            self.subject == asked.order
            and self.merchant == asked.merchant
            and self.currency == asked.currency
            and self.asked_minor == asked.amount_minor
        )


class Thaw(NamedTuple):
    """What a refund takes of a freeze."""

    refund: UUID
    freeze: UUID
    amount_minor: int


def is_freezable(asked: Freeze) -> bool:
    """Tell whether an amount and currency can be moved at all."""
    return is_wellformed(asked.amount_minor) and asked.currency in EXPONENTS


def ask_freeze(
    asked: Freeze,
    share_minor: int,
    pool: Pool,
    standing: Iterable[KeptFreeze],
    back: HeldBack = HeldBack(),  # noqa: B008 - a tuple, never changed
) -> tuple[KeptFreeze, Pool]:
    """Freeze what the order has left to its merchant and no other dispute has frozen before.

    What is not due yet comes first: of that no refund takes any more, and it is not released.
    """
    refunded = pool.refunded_minor - pool.fee_returned_minor
    frozen = sum(each.left_minor for each in standing if each.subject == asked.order)
    wanted = max(0, min(asked.amount_minor, share_minor - refunded - frozen))
    pending = max(0, min(wanted, back.pending_minor - pool.pending_minor))
    reserve = max(0, min(wanted - pending, back.reserve_minor - pool.reserve_minor))
    kept = KeptFreeze(
        asked.id,
        asked.order,
        asked.merchant,
        asked.currency,
        asked.amount_minor,
        wanted,
        0,
        0,
        FreezeState.ASKED,
        back.pending if pending else None,
        pending,
        back.reserve if reserve else None,
        reserve,
        asked.is_exclusive,
    )
    return kept, pool._replace(
        pending_minor=pool.pending_minor + pending, reserve_minor=pool.reserve_minor + reserve
    )


def tombstone(asked: Freeze) -> KeptFreeze:
    """What stands on a freeze's id when it is ended before it was asked."""
    kept, _ = ask_freeze(asked, 0, Pool(asked.order, RefundSource.SPLIT, 0), ())
    return kept._replace(state=FreezeState.CANCELLED)


def thaw(
    refunds: Iterable[KeptRefund], standing: Iterable[KeptFreeze]
) -> tuple[list[Thaw], list[KeptFreeze]]:
    """Share what is frozen of orders out to refunds of them, the oldest freeze first."""
    left = {each.id: each for each in standing if each.state is FreezeState.FROZEN}
    thaws = []
    for refund in refunds:
        wanted = refund.share_minor if refund.source is RefundSource.SPLIT else 0
        for freeze in list(left.values()):
            taken = min(wanted, freeze.left_minor) if freeze.subject == refund.subject else 0
            if taken > 0:
                wanted -= taken
                thaws.append(Thaw(refund.id, freeze.id, taken))
                thawed = freeze.thawed_minor + taken
                left[freeze.id] = freeze._replace(thawed_minor=thawed)
    changed = {each.freeze for each in thaws}
    return thaws, [freeze for freeze in left.values() if freeze.id in changed]


def bars(posting: RefundPosting, standing: Iterable[KeptFreeze]) -> bool:
    """Tell whether a refund must wait: the payer's bank may take the same money."""
    return not posting.is_chargeback and any(
        each.is_exclusive and each.subject == posting.order for each in standing
    )


def freeze_status(kept: KeptFreeze, asked: Freeze, *, is_new: bool) -> FreezeStatus:
    """Answer who asks for a freeze that is there."""
    if not kept.fits(asked):
        return FreezeStatus.EXISTS_DIFFERENT
    if kept.state is FreezeState.CANCELLED:
        return FreezeStatus.CANCELLED
    return FreezeStatus.FROZEN if is_new else FreezeStatus.EXISTS


def pending_transfers(kept: KeptFreeze, _: MerchantAccounts) -> list[Transfer]:
    """Take of the order's pending part what is still there."""
    return _leg(kept, "freeze:pending", kept.pending_account, kept.pending_minor)


def reserve_transfers(kept: KeptFreeze, _: MerchantAccounts) -> list[Transfer]:
    """Take of the order's reserve what is still there."""
    return _leg(kept, "freeze:reserve", kept.reserve_account, kept.reserve_minor)


def freeze_transfers(kept: KeptFreeze, accounts: MerchantAccounts) -> list[Transfer]:
    """Take the rest of what is wanted, at most what is there, out of what is available."""
    rest_minor = kept.wanted_minor - kept.pending_minor - kept.reserve_minor
    return _leg(kept, "freeze", accounts.available, rest_minor)


def _leg(kept: KeptFreeze, step: str, debit: UUID | None, amount_minor: int) -> list[Transfer]:
    if debit is None or not amount_minor:
        return []
    return [
        Transfer(
            TransferId(derive(kept.id, step)),
            AccountId(debit),
            frozen_account(kept.merchant, kept.currency),
            amount_minor,
            TransferCode.FREEZE,
            kept.subject,
            is_balancing=True,
        )
    ]


def unfreeze_transfers(kept: KeptFreeze, accounts: MerchantAccounts) -> list[Transfer]:
    """Give back what no refund has taken."""
    rest_minor = kept.frozen_minor - kept.thawed_minor
    if not rest_minor:
        return []
    frozen = frozen_account(kept.merchant, kept.currency)
    id = derive(kept.id, "unfreeze")
    return [_back(id, frozen, accounts.available, rest_minor, kept.subject)]


def thaw_transfers(
    refund: KeptRefund, thaws: Iterable[Thaw], accounts: MerchantAccounts
) -> list[Transfer]:
    """Give back what a refund takes in the same moment: nobody else can reach it in between."""
    if refund.merchant is None:
        return []
    frozen = frozen_account(refund.merchant, refund.currency)
    return [
        _back(
            derive(refund.id, f"thaw:{each.freeze}"),
            frozen,
            accounts.available,
            each.amount_minor,
            refund.subject,
        )
        for each in thaws
        if each.refund == refund.id
    ]


def frozen_account(merchant: UUID, currency: str) -> AccountId:
    """Give the account that a merchant's frozen money lies in."""
    return Chart(currency).merchant(merchant, "frozen").id


def _back(
    id: UUID, frozen: AccountId, available: AccountId, amount_minor: int, subject: UUID
) -> Transfer:
    code = TransferCode.UNFREEZE
    return Transfer(TransferId(id), frozen, available, amount_minor, code, subject)
