"""What wallets may hold, and what their movements are called. Pure: no I/O, no clock, no random."""

from collections.abc import Sequence

from vendrail.api.ledger import Entry, TransferCode, TransferKind
from vendrail.api.wallets import (
    TopUpQuestion,
    TopUpStatus,
    WalletEntry,
    WalletMovement,
    WalletTerms,
    WalletTermsStatus,
)
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS

_MOVEMENTS = {
    TransferCode.TOP_UP: WalletMovement.TOPPED_UP,
    TransferCode.WALLET_PAYMENT: WalletMovement.PAID,
    TransferCode.REFUND_PAID: WalletMovement.REFUNDED,
    TransferCode.REFUND: WalletMovement.TOP_UP_RETURNED,
    TransferCode.REFUND_RETURNED: WalletMovement.TOPPED_UP,
    TransferCode.SPLIT_REVERSAL: WalletMovement.TOP_UP_RETURNED,
}
MOVING = (TransferKind.SINGLE, TransferKind.POST)


def terms(new: WalletTerms, known: WalletTerms | None) -> WalletTermsStatus:
    """Say how writing terms would end."""
    if new.currency not in EXPONENTS:
        return WalletTermsStatus.CURRENCY_UNKNOWN
    is_ordered = 0 < new.top_up_minor_min <= new.top_up_minor_max <= new.balance_minor_max
    is_empty = not (new.top_up_minor_max or new.is_on) and new.top_up_minor_min > -1
    if not (is_ordered or is_empty) or not (
        0 <= new.balance_minor_max <= AMOUNT_MINOR_MAX and new.step_up_minor >= 0
    ):
        return WalletTermsStatus.LIMITS_MALFORMED
    return WalletTermsStatus.UNCHANGED if new == known else WalletTermsStatus.WRITTEN


def top_up(question: TopUpQuestion, terms: WalletTerms | None, balance_minor: int) -> TopUpStatus:
    """Say whether so much may be paid into a wallet that holds so much."""
    if terms is None or not terms.is_on:
        return TopUpStatus.WALLET_OFF
    if question.amount_minor < max(1, terms.top_up_minor_min):
        return TopUpStatus.AMOUNT_TOO_SMALL
    if question.amount_minor > terms.top_up_minor_max:
        return TopUpStatus.AMOUNT_TOO_LARGE
    if balance_minor + question.amount_minor > terms.balance_minor_max:
        return TopUpStatus.BALANCE_TOO_HIGH
    return TopUpStatus.ALLOWED


def standing(terms: WalletTerms | None, balance_minor: int) -> TopUpStatus:
    """Judge a top-up that is in its wallet already: only by the most that the wallet may hold.

    Of several that came in beside each other the last one at least finds too much there.
    """
    if terms is None or balance_minor <= terms.balance_minor_max:
        return TopUpStatus.ALLOWED
    return TopUpStatus.BALANCE_TOO_HIGH


def statement(entries: Sequence[Entry], balance_minor: int) -> list[WalletEntry]:
    """Tell movements, newest first, with what was there after each; reservations moved nothing."""
    told = []
    for entry in entries:
        if entry.kind not in MOVING or not entry.amount_minor:
            continue
        told.append(
            WalletEntry(
                entry.transfer,
                entry.at,
                _MOVEMENTS.get(entry.code, WalletMovement.OTHER),
                entry.subject,
                entry.amount_minor,
                balance_minor,
            )
        )
        balance_minor -= entry.amount_minor
    return told
