"""What a dispute keeps of an order's share from leaving, and what refunds take of that. Pure.

A freeze takes at most what the order has left to its merchant, and at most what is there: it never
makes a debt. A refund of the order takes what is frozen for it first.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import AccountId, Chart, Transfer, TransferCode, TransferId
from vendrail.api.settlement import Freeze, FreezeStatus, KeptSupply, RefundPosting
from vendrail.kernel.ids import derive
from vendrail.kernel.money import EXPONENTS
from vendrail.settlement.refunds import HeldBack, KeptRefund, Pool, RefundSource
from vendrail.settlement.sharing import Shared
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
    pending_minor: int = 0  # … and how much came out of it; while asked: at most so much.
    reserve_account: UUID | None = None
    reserve_minor: int = 0
    is_exclusive: bool = False  # No refund of the order is opened while it stands.
    thawed_pending_minor: int = 0  # Of what was thawed, what had been pending …
    thawed_reserve_minor: int = 0  # … and in reserve.
    supplied_minor: int = 0  # Of what is asked, the supplier's: a row of its own, …
    part_of: UUID | None = None  # … which names the freeze that it is part of.

    @property
    def left_minor(self) -> int:
        """What is kept from leaving now, or will be when it has arrived."""
        if self.state is FreezeState.ASKED:
            return self.wanted_minor
        return self.frozen_minor - self.thawed_minor if self.state is FreezeState.FROZEN else 0

    def split_up(self, amount_minor: int) -> tuple[int, int]:
        """Say how much of a part of what is left had been pending, and how much in reserve."""
        pending = min(amount_minor, max(0, self.pending_minor - self.thawed_pending_minor))
        reserve = max(0, self.reserve_minor - self.thawed_reserve_minor)
        return pending, min(amount_minor - pending, reserve)

    def less(self, amount_minor: int, pending_minor: int, reserve_minor: int) -> "KeptFreeze":
        """Say what it is when something has left it; below zero: when it is back."""
        return self._replace(
            thawed_minor=self.thawed_minor + amount_minor,
            thawed_pending_minor=self.thawed_pending_minor + pending_minor,
            thawed_reserve_minor=self.thawed_reserve_minor + reserve_minor,
        )

    def fits(self, asked: Freeze) -> bool:
        """Tell whether a repeat asks for the same."""
        return (
            self.subject == asked.order
            and self.merchant == asked.merchant
            and self.currency == asked.currency
            and self.asked_minor + self.supplied_minor == asked.amount_minor
        )


class Thaw(NamedTuple):
    """What a refund takes of a freeze."""

    refund: UUID
    freeze: UUID
    amount_minor: int
    pending_minor: int = 0  # So much of it had been pending …
    reserve_minor: int = 0  # … and so much in reserve.
    is_back: bool = False  # The refund has failed, and it is frozen again.
    pending_account: UUID | None = None
    reserve_account: UUID | None = None

    @property
    def buckets(self) -> list[UUID]:
        """The buckets that it goes back to when the refund fails and the freeze has ended."""
        if self.is_back:
            return []
        return [each for each in (self.pending_account, self.reserve_account) if each is not None]


def is_freezable(asked: Freeze) -> bool:
    """Tell whether an amount and currency can be moved at all."""
    return is_wellformed(asked.amount_minor) and asked.currency in EXPONENTS


def ask_freeze(
    asked: Freeze,
    share_minor: int,
    pool: Pool,
    standing: Iterable[KeptFreeze],
    back: HeldBack = HeldBack(),  # noqa: B008 - a tuple, never changed
    shared: Shared = Shared(),  # noqa: B008 - a tuple, never changed
) -> tuple[KeptFreeze, Pool]:
    """Freeze what the order has left to its merchant and no other dispute has frozen before.

    What is not due yet comes first: of that no refund takes any more, and it is not released.
    """
    refunded = pool.refunded_minor - pool.fee_returned_minor - shared.before_minor
    frozen = sum(each.left_minor for each in standing if each.subject == asked.order)
    asked_minor = asked.amount_minor - shared.part_minor
    wanted = max(0, min(asked_minor, share_minor - refunded - frozen))
    pending = max(0, min(wanted, back.pending_minor - pool.pending_minor))
    reserve = max(0, min(wanted - pending, back.reserve_minor - pool.reserve_minor))
    kept = KeptFreeze(
        asked.id,
        asked.order,
        asked.merchant,
        asked.currency,
        asked_minor,
        wanted,
        0,
        0,
        FreezeState.ASKED,
        back.pending if pending else None,
        pending,
        back.reserve if reserve else None,
        reserve,
        asked.is_exclusive,
        supplied_minor=shared.part_minor,
    )
    return kept, pool._replace(
        pending_minor=pool.pending_minor + pending, reserve_minor=pool.reserve_minor + reserve
    )


def part_of(asked: Freeze, supply: KeptSupply, amount_minor: int) -> Freeze:
    """Give the supplier's part of a freeze: of what was split out of the order for it."""
    return Freeze(
        derive(asked.id, "supply"),
        supply.id,
        supply.supplier,
        amount_minor,
        supply.currency,
        asked.is_exclusive,
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
                parts = freeze.split_up(taken)
                thaws.append(Thaw(refund.id, freeze.id, taken, *parts))
                left[freeze.id] = freeze.less(taken, *parts)
    changed = {each.freeze for each in thaws}
    return thaws, [freeze for freeze in left.values() if freeze.id in changed]


def hand_over(
    ending: Sequence[KeptFreeze], standing: Iterable[KeptFreeze]
) -> tuple[list[KeptFreeze], list[KeptFreeze]]:
    """Leave what freezes end with to their orders' other disputes, as far as these ask for more.

    It stays where it lies: only whom it is frozen for changes. Give the ending ones, and who got.
    """
    ended = {each.id for each in ending}
    others = {each.id: each for each in standing if each.id not in ended}
    left = []
    for end in ending:
        for other in list(others.values()):
            part = min(end.left_minor, other.asked_minor - other.frozen_minor)
            if other.subject != end.subject or part <= 0:
                continue
            frozen = other.frozen_minor + part
            pending, reserve = end.split_up(part)
            others[other.id] = other._replace(
                frozen_minor=frozen,
                wanted_minor=max(other.wanted_minor, frozen),
                pending_account=other.pending_account or (end.pending_account if pending else None),
                pending_minor=other.pending_minor + pending,
                reserve_account=other.reserve_account or (end.reserve_account if reserve else None),
                reserve_minor=other.reserve_minor + reserve,
            )
            end = end.less(part, pending, reserve)  # noqa: PLW2901 - what is left of it
        left.append(end)
    return left, list(others.values())


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
    """Give what no refund has taken back to where it was taken from."""
    rest_minor = kept.frozen_minor - kept.thawed_minor
    pending, reserve = kept.split_up(rest_minor)
    frozen = frozen_account(kept.merchant, kept.currency)
    legs = (
        ("unfreeze", accounts.available, rest_minor - pending - reserve),
        ("unfreeze:pending", AccountId(kept.pending_account or frozen), pending),
        ("unfreeze:reserve", AccountId(kept.reserve_account or frozen), reserve),
    )
    return [
        _back(derive(kept.id, step), frozen, target, amount_minor, kept.subject)
        for step, target, amount_minor in legs
        if amount_minor
    ]


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


def returned_parts(refund: KeptRefund, thaws: Iterable[Thaw]) -> list[tuple[str, AccountId, int]]:
    """Say where what a failed refund had thawed goes: frozen again, or to what is not due yet."""
    parts: list[tuple[str, AccountId, int]] = []
    for each in thaws:
        if each.refund != refund.id or refund.merchant is None:
            continue
        if each.is_back:
            frozen = frozen_account(refund.merchant, refund.currency)
            parts.append((f"return:frozen:{each.freeze}", frozen, each.amount_minor))
            continue
        if each.pending_account is not None:
            account = AccountId(each.pending_account)
            parts.append((f"return:pending:{each.freeze}", account, each.pending_minor))
        if each.reserve_account is not None:
            account = AccountId(each.reserve_account)
            parts.append((f"return:reserve:{each.freeze}", account, each.reserve_minor))
    return parts


def frozen_by_order(standing: Iterable[KeptFreeze]) -> dict[UUID, int]:
    """Sum what lies frozen for orders."""
    sums: dict[UUID, int] = {}
    for each in standing:
        if each.state is FreezeState.FROZEN:
            sums[each.subject] = sums.get(each.subject, 0) + each.left_minor
    return sums


def frozen_account(merchant: UUID, currency: str) -> AccountId:
    """Give the account that a merchant's frozen money lies in."""
    return Chart(currency).merchant(merchant, "frozen").id


def _back(
    id: UUID, frozen: AccountId, available: AccountId, amount_minor: int, subject: UUID
) -> Transfer:
    code = TransferCode.UNFREEZE
    return Transfer(TransferId(id), frozen, available, amount_minor, code, subject)
