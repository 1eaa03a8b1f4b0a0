"""How a sale becomes transfers: the capture booked, the share to the merchant, the fee to us. Pure.

Ids derive from the order (and, for the booking, from the capture), so there is one split an order.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import (
    AccountId,
    Chart,
    PostedTransfer,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
    TransferResult,
    TransferStatus,
)
from vendrail.api.ledger.closes import MATCH_STEPS
from vendrail.api.settlement import (
    CaptureBooking,
    ChannelCost,
    Sale,
    SaleResult,
    SaleStatus,
)
from vendrail.kernel.ids import derive
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS, Money
from vendrail.settlement.exchange import Leg, Sides, exchange_transfers
from vendrail.settlement.fees import FeeVersion, cost_minor, fee_memo, fee_minor, read_memo

SHARE_STEP = "sale:share"
FEE_STEP = "sale:fee"
SHARE_STEPS = (SHARE_STEP, "sale:share:2")
COST_STEP = "sale:cost"
SUPPLY_STEP = "sale:supply"
SUPPLY_MEMO = "supply"  # Of a supplier's share: no fee was taken of it.


class MerchantAccounts(NamedTuple):
    """The accounts that one merchant's money of one currency moves between."""

    held: AccountId
    available: AccountId
    debt: AccountId
    fee: AccountId
    clearing: AccountId
    suspense: AccountId
    tombstone: AccountId
    cost: AccountId


def is_wellformed(amount_minor: int) -> bool:
    """Tell whether an amount can be moved at all."""
    return 0 < amount_minor <= AMOUNT_MINOR_MAX


def is_changeable(paid: Money, currency: str) -> bool:
    """Tell whether money can be changed into another currency at all."""
    is_other = paid.currency in EXPONENTS and paid.currency != currency
    return is_other and is_wellformed(paid.amount_minor)


def booking_transfers(
    booking: CaptureBooking,
    provider: AccountId | None,
    accounts: MerchantAccounts,
    *,
    is_linked: bool = False,
    is_second: bool = False,
) -> list[Transfer]:
    """Book money that arrived: to the merchant's held account, or to suspense when nothing fits.

    What a wallet pays is posted beside it. The second id is for money whose first one was spoiled
    by a chain that failed.
    """
    legs = []
    if booking.amount_minor and provider is not None:
        legs.append(
            _capture_transfer(booking, provider, accounts, is_linked=is_linked, is_second=is_second)
        )
    part = booking.wallet
    if part is not None:
        step = "wallet:alone" if is_second else "wallet"
        legs.append(
            Transfer(
                TransferId(derive(part.hold, step)),
                Chart(booking.currency).buyer_wallet(part.buyer).id,
                accounts.held,
                part.amount_minor,
                TransferCode.WALLET_PAYMENT,
                booking.subject,
                TransferKind.POST,
                TransferId(part.hold),
                is_linked=is_linked,
            )
        )
    return legs


def _capture_transfer(
    booking: CaptureBooking,
    provider: AccountId,
    accounts: MerchantAccounts,
    *,
    is_linked: bool,
    is_second: bool,
) -> Transfer:
    if booking.is_from_suspense:
        step, debit, credit, code = (
            MATCH_STEPS[0],
            accounts.suspense,
            accounts.held,
            TransferCode.MATCHED,
        )
    elif booking.merchant is None:
        step, debit, credit, code = "book", provider, accounts.suspense, TransferCode.UNMATCHED
    else:
        step, debit, credit, code = "book", provider, accounts.held, TransferCode.CAPTURE
    return Transfer(
        TransferId(derive(booking.capture, f"{step}:alone" if is_second else step)),
        debit,
        credit,
        booking.amount_minor,
        code,
        booking.subject,
        is_linked=is_linked,
    )


def due(sale: Sale) -> Money:
    """Say what must be there for a sale, in the currency that it was paid in."""
    return sale.paid or Money(sale.amount_minor, sale.currency)


def covers(booking: CaptureBooking, sale: Sale) -> bool:
    """Tell whether the money booked is this sale's, and enough for it."""
    wanted = due(sale)
    wallet_minor = booking.wallet.amount_minor if booking.wallet else 0
    return (
        booking.amount_minor + wallet_minor >= wanted.amount_minor
        and booking.currency == wanted.currency
        and booking.merchant == sale.merchant
        and booking.subject == sale.order
    )


def sale_transfers(
    sale: Sale,
    result: SaleResult,
    accounts: MerchantAccounts,
    parts: Sequence[tuple[AccountId, int]] = (),
) -> list[Transfer]:
    """Split what is held into share, fee and channel's cost: a chain without a leg that is zero.

    The share is available, or goes by parts; the first leg of it has the same id either way.
    Of a top-up the accounts are the buyer's, the share is all of it, and there is no fee.
    """
    gained = TransferCode.TOP_UP if sale.wallet else TransferCode.SALE
    is_supplied = bool(result.supplied_minor)
    memo = fee_memo(result.fee_version, result.fee_rule)
    legs = [
        (FEE_STEP, accounts.fee, result.fee_minor, TransferCode.FEE),
        (COST_STEP, accounts.cost, result.cost_minor, TransferCode.CHANNEL_COST),
    ]
    if parts:
        legs[:0] = [(step, *part, gained) for step, part in zip(SHARE_STEPS, parts, strict=False)]
    else:
        legs.insert(0, (SHARE_STEP, accounts.available, result.share_minor, gained))
    left = sale.amount_minor - result.supplied_minor
    chain = []
    for step, account, amount_minor, code in legs:
        left -= amount_minor
        if amount_minor:
            chain.append(
                Transfer(
                    TransferId(derive(sale.order, step)),
                    accounts.held,
                    account,
                    amount_minor,
                    code,
                    sale.order,
                    is_linked=left > 0 or is_supplied,
                    memo=memo,
                )
            )
    return chain


def change_transfers(
    sale: Sale, paid: Money, accounts: MerchantAccounts, foreign: MerchantAccounts, sides: Sides
) -> list[Transfer]:
    """Change what was paid into the price, before the split: links of its chain."""
    legs = (
        Leg(foreign.held, sides.paid, paid.amount_minor),
        Leg(sides.price, accounts.held, sale.amount_minor),
    )
    return exchange_transfers(sale.order, "exchange", sale.order, legs, is_linked=True)


def change_back_transfers(
    sale: Sale, paid: Money, accounts: MerchantAccounts, foreign: MerchantAccounts, sides: Sides
) -> list[Transfer]:
    """Change the price back into what was paid, after the split was undone."""
    legs = (
        Leg(accounts.held, sides.price, sale.amount_minor),
        Leg(sides.paid, foreign.held, paid.amount_minor),
    )
    return exchange_transfers(sale.order, "undo:exchange", sale.order, legs)


def price(sale: Sale, version: FeeVersion, cost: ChannelCost | None = None) -> SaleResult:
    """Say what the fee, the channel's cost and the share of a sale are; a top-up costs nothing.

    What is a supplier's comes first, whole: where fee and cost would be more than the rest, the
    platform takes less.
    """
    if sale.wallet is not None:
        return SaleResult(SaleStatus.SPLIT, 0, sale.amount_minor, 0)
    fee = fee_minor(version, sale.amount_minor)
    borne = cost_minor(version, sale.amount_minor, sale.currency, cost)
    supplied = sale.supply.amount_minor if sale.supply is not None else 0
    if supplied:
        fee = min(fee, sale.amount_minor - supplied)
        borne = min(borne, sale.amount_minor - supplied - fee)
    share = sale.amount_minor - fee - borne - supplied
    return SaleResult(SaleStatus.SPLIT, fee, share, version.number, version.rule, borne, supplied)


def marker_transfers(sale: Sale, accounts: MerchantAccounts) -> list[Transfer]:
    """Try to take a split's ids with transfers that must be refused.

    Where the split stands they answer `exists_different`; else they are refused for want of money,
    and the refusal, kept under the id, stands in the way of a split that comes late.
    """
    return [
        Transfer(
            TransferId(derive(sale.order, step)),
            accounts.tombstone,
            accounts.held,
            1,
            TransferCode.SPLIT_REVERSAL,
            sale.order,
        )
        for step in marker_steps(sale)
    ]


def marker_steps(sale: Sale) -> tuple[str, ...]:
    """Name the legs of which one at least stands where a sale was split."""
    return (SHARE_STEP, FEE_STEP) if sale.supply is None else (SHARE_STEP, FEE_STEP, SUPPLY_STEP)


def is_fresh(chain: Sequence[TransferResult]) -> bool:
    """Tell whether a sale was split just now: its last leg, so all of the chain, is new."""
    return bool(chain) and chain[-1].status is TransferStatus.CREATED


def is_barred(legs: Sequence[TransferResult]) -> bool:
    """Tell whether something else, such as a tombstone, stands on an id of a broken chain."""
    return any(leg.status is TransferStatus.EXISTS_DIFFERENT for leg in legs)


def stands(marks: Iterable[TransferResult]) -> bool:
    """Tell from the markers' answers whether the split was there before them."""
    return any(mark.status is TransferStatus.EXISTS_DIFFERENT for mark in marks)


def held_back_reversals(
    order: UUID, found: "SplitFound", accounts: MerchantAccounts
) -> list[Transfer]:
    """Take back what of a share is not released yet, as far as it is still there."""
    return [
        Transfer(
            TransferId(derive(order, f"undo:share:{number}")),
            account,
            accounts.held,
            amount_minor,
            TransferCode.SPLIT_REVERSAL,
            order,
            is_balancing=True,
        )
        for number, (account, amount_minor) in enumerate(found.held_back, start=1)
    ]


def reversal_transfers(
    order: UUID, found: "SplitFound", accounts: MerchantAccounts
) -> list[Transfer]:
    """Take a split back: the share as far as it is still there, the rest whole."""
    legs = []
    if found.share_minor:
        legs.append(
            Transfer(
                TransferId(derive(order, "undo:share")),
                accounts.available,
                accounts.held,
                found.share_minor,
                TransferCode.SPLIT_REVERSAL,
                order,
                is_balancing=True,
            )
        )
    if found.fee_minor:
        legs.append(
            Transfer(
                TransferId(derive(order, "undo:fee")),
                accounts.fee,
                accounts.held,
                found.fee_minor,
                TransferCode.SPLIT_REVERSAL,
                order,
            )
        )
    if found.cost_minor:
        legs.append(
            Transfer(
                TransferId(derive(order, "undo:cost")),
                accounts.cost,
                accounts.held,
                found.cost_minor,
                TransferCode.SPLIT_REVERSAL,
                order,
            )
        )
    if found.supplied_to is not None:
        legs.append(
            Transfer(
                TransferId(derive(order, "undo:supply")),
                found.supplied_to,
                accounts.held,
                found.supplied_minor,
                TransferCode.SPLIT_REVERSAL,
                order,
            )
        )
    return legs


def reversal_debt(order: UUID, rest_minor: int, accounts: MerchantAccounts) -> Transfer:
    """Make the merchant owe the part of the share that is no longer there."""
    return Transfer(
        TransferId(derive(order, "undo:debt")),
        accounts.debt,
        accounts.held,
        rest_minor,
        TransferCode.SPLIT_REVERSAL,
        order,
    )


class SplitFound(NamedTuple):
    """What the books hold of one order: money that came, the split, and whether it was undone."""

    captured_minor: int = 0
    suspense_minor: int = 0
    share_minor: int = 0
    fee_minor: int = 0
    fee_version: int = 0
    is_reversed: bool = False
    exchanged_minor: int = 0  # What was changed into another currency; below zero: out of one.
    held_back: tuple[tuple[AccountId, int], ...] = ()  # Of the share, what was not available.
    fee_rule: int = 0
    cost_minor: int = 0
    refunded_minor: int = 0  # Out of held: what never was the merchant's.
    supplied_minor: int = 0
    supplied_to: AccountId | None = None  # The supplier's held account, which it went through.

    @property
    def fee(self) -> tuple[int, int]:
        """Name what the fee was taken by: version and rule."""
        return self.fee_version, self.fee_rule

    @property
    def result(self) -> SaleResult:
        """Say of the split what was said when it was made."""
        name, borne = self.fee, self.cost_minor
        supplied = self.supplied_minor
        return SaleResult(
            SaleStatus.SPLIT, self.fee_minor, self.share_minor, *name, borne, supplied
        )

    @property
    def amount_minor(self) -> int:
        """How much was split, undone since or not."""
        return self.share_minor + self.fee_minor + self.cost_minor + self.supplied_minor

    @property
    def split_minor(self) -> int:
        """How much of the captured money is with merchants and platform now."""
        return 0 if self.is_reversed else self.amount_minor


def find_split(
    order: UUID, posted: Sequence[PostedTransfer], accounts: MerchantAccounts
) -> SplitFound:
    """Read from an order's transfers what became of its money, in this merchant's accounts."""
    sums = dict.fromkeys(TransferCode, 0)
    exchanged = share = refunded = 0
    name = (0, 0)
    held_back: list[tuple[AccountId, int]] = []
    share_ids = [derive(order, step) for step in SHARE_STEPS]
    beside = dict.fromkeys((derive(order, step) for step in (FEE_STEP, COST_STEP)), 0)
    ours = (accounts.held, accounts.suspense)
    supply_id = derive(order, SUPPLY_STEP)
    supplied, supplied_to = 0, None
    for entry in posted:
        transfer = entry.transfer
        if transfer.debit not in ours and transfer.credit not in ours:
            continue
        if transfer.kind not in (TransferKind.SINGLE, TransferKind.POST):
            continue  # A wallet's money that is only reserved, or was let go.
        sums[transfer.code] += transfer.amount_minor
        if transfer.code is TransferCode.EXCHANGE:
            is_leaving = transfer.debit == accounts.held
            exchanged += transfer.amount_minor if is_leaving else -transfer.amount_minor
        if transfer.code is TransferCode.REFUND and transfer.debit == accounts.held:
            refunded += transfer.amount_minor
        if transfer.code is TransferCode.REFUND_RETURNED and transfer.credit == accounts.held:
            refunded -= transfer.amount_minor
        if transfer.id == supply_id:
            name = read_memo(transfer.memo) or name
            supplied, supplied_to = transfer.amount_minor, transfer.credit
        elif transfer.id in beside:
            name = read_memo(transfer.memo) or name
            beside[transfer.id] = transfer.amount_minor
        elif transfer.id in share_ids:
            name = read_memo(transfer.memo) or name
            share += transfer.amount_minor
            if transfer.credit != accounts.available:
                held_back.append((transfer.credit, transfer.amount_minor))
    fee, cost = beside.values()
    return SplitFound(
        sums[TransferCode.CAPTURE] + sums[TransferCode.MATCHED] + sums[TransferCode.WALLET_PAYMENT],
        sums[TransferCode.UNMATCHED] - sums[TransferCode.MATCHED],
        share,
        fee,
        name[0],
        sums[TransferCode.SPLIT_REVERSAL] > 0,
        exchanged,
        tuple(held_back),
        name[1],
        cost,
        refunded,
        supplied,
        supplied_to,
    )
