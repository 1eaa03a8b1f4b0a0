"""What follows from a dispute: parts of prices, and who bears what. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.disputes import AnswerStatus, DisputeState, PutEvidence, PutEvidenceStatus
from vendrail.api.orders import OrderState, OrderView
from vendrail.api.payments.disputes import DisputeOutcome
from vendrail.api.settlement import ChargebackPosting, ChargebackStep, Freeze, RefundPosting
from vendrail.api.wallets import WALLET_DESK, WalletHold
from vendrail.kernel.ids import derive, made_at
from vendrail.kernel.money import Money

TEXT_LENGTH_MAX = 10_000
FILE_BYTES_MAX = 2_000_000
FILES_BYTES_MAX = 4_500_000  # Of one dispute in all: banks take no more.
_NAME_LENGTH_MAX = 80
_MAGIC = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
}
_ENDINGS = {"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg"}
_ENDED = (OrderState.EXPIRED, OrderState.CANCELLED, OrderState.REFUNDED)


class Price(NamedTuple):
    """The disputed part of what a merchant sold, in the currency of the price."""

    amount_minor: int
    currency: str
    whole_minor: int  # What the order costs; what came, where it did not fill the order.
    is_split: bool


class Told(NamedTuple):
    """How much of which capture a bank takes back, in the currency that was paid."""

    capture: UUID
    amount_minor: int
    captured_minor: int
    currency: str


class Case(NamedTuple):
    """A dispute, as far as its money goes."""

    id: UUID
    capture: UUID
    order: UUID | None
    merchant: UUID | None
    channel_name: str
    amount_minor: int
    currency: str
    fee_minor: int
    outcome: DisputeOutcome
    price: Price
    wallet: UUID | None = None  # Of a top-up: in whose wallet its money is, or was.

    @property
    def subject(self) -> UUID:
        """What its transfers are of: the order, or the capture where there is none."""
        return self.order or self.capture


class Left(NamedTuple):
    """What of an order's price a lost dispute may take."""

    whole_minor: int  # Paid refunds and other disputes have left so much.
    begun_minor: int | None  # What this one was about to take before; 0: nothing, for good.
    asked: list[UUID]  # Refunds that had not ended.

    def of(self, case: Case) -> int:
        """Say how much of it is this dispute's."""
        return min(self.whole_minor, case.price.amount_minor)


def part_of_price(amount_minor: int, paid_minor: int, price_minor: int) -> int:
    """Say which part of a price is disputed, where another currency was paid; never nothing."""
    if amount_minor >= paid_minor:
        return price_minor
    return max(1, price_minor * amount_minor // paid_minor)


def is_settled(order: OrderView | None) -> bool:
    """Tell whether it is known where an order's money is: with its merchant, or on the way back."""
    return order is None or order.delivered_at is not None or order.state in _ENDED


def price_of(told: Told, order: OrderView | None) -> Price:
    """Say which part of what was sold is disputed.

    Only the capture that filled a delivered order was split. Any other, such as a second one of
    the same order, lies in held as it came.
    """
    is_split = order is not None and order.delivered_at is not None
    if order is None or not is_split or order.capture != told.capture:
        return Price(told.amount_minor, told.currency, told.captured_minor, is_split=False)
    if order.currency == told.currency:
        part_minor = min(told.amount_minor, order.amount_minor)
    else:
        part_minor = part_of_price(told.amount_minor, told.captured_minor, order.amount_minor)
    return Price(part_minor, order.currency, order.amount_minor, is_split=True)


def state_of(outcome: str, *, is_answered: bool) -> DisputeState:
    """Say how a dispute stands."""
    if outcome != DisputeOutcome.OPEN:
        return DisputeState(outcome)
    return DisputeState.ANSWERED if is_answered else DisputeState.OPEN


def freeze_of(case: Case) -> Freeze | None:
    """Say what is kept from leaving; in held or in suspense nothing can leave.

    Of a top-up nothing is its desk's: then it only keeps refunds away.
    """
    if case.order is None or case.merchant is None or not case.price.is_split:
        return None
    price = case.price
    amount_minor, currency = price.amount_minor, price.currency
    return Freeze(case.id, case.order, case.merchant, amount_minor, currency, is_exclusive=True)


def hold_of(case: Case, amount_minor: int) -> WalletHold | None:
    """Say what is kept from being spent of a wallet that was topped up; each amount is a hold."""
    if case.order is None or case.merchant is None or case.wallet is None or amount_minor <= 0:
        return None
    return WalletHold(
        derive(case.id, f"wallet:{amount_minor}"),
        case.order,
        case.merchant,
        case.wallet,
        amount_minor,
        case.price.currency,
    )


def posting(case: Case, step: ChargebackStep, amount_minor: int) -> ChargebackPosting:
    """Write one step of a dispute for the books."""
    return ChargebackPosting(
        case.id,
        step,
        case.subject,
        case.merchant,
        case.channel_name,
        amount_minor,
        case.currency,
    )


def opening(case: Case) -> list[ChargebackPosting]:
    """The provider has taken the money, and its fee."""
    fee = [posting(case, ChargebackStep.FEE, case.fee_minor)] if case.fee_minor else []
    return [posting(case, ChargebackStep.TAKEN, case.amount_minor), *fee]


def refund_of(case: Case, price_minor: int) -> RefundPosting:
    """What the payer has back, by way of a refund: frozen first, then available, then debt.

    The books guard that dispute and refunds together take no more than was captured.
    """
    whole = price_minor == case.price.amount_minor
    back_minor = case.amount_minor if whole else lost_part(case, price_minor)
    is_foreign = case.currency != case.price.currency
    return RefundPosting(
        refund=derive(case.id, "refund" if whole else f"refund:{price_minor}"),
        order=case.subject,
        merchant=case.merchant,
        channel=case.channel_name,
        amount_minor=price_minor,
        currency=case.price.currency,
        placed_at=made_at(case.subject),
        is_split=case.price.is_split,
        captured_minor=case.price.whole_minor,
        paid=Money(back_minor, case.currency) if is_foreign else None,
        is_chargeback=True,
        from_wallet=case.wallet,
    )


def lost_part(case: Case, price_minor: int) -> int:
    """Say how much of what the bank takes back a part of the price is worth."""
    return case.amount_minor * price_minor // case.price.amount_minor


def passes_fee_on(case: Case, *, is_merchants: bool) -> bool:
    """Whether the merchant bears the provider's fee: of lost disputes, in the price's currency.

    Top-ups are nobody's sales.
    """
    is_lost = case.outcome is DisputeOutcome.LOST
    is_sale = case.merchant is not None and case.merchant != WALLET_DESK
    is_owned = is_sale and case.currency == case.price.currency
    return is_merchants and is_lost and is_owned and case.fee_minor > 0


def may_answer(
    state: DisputeState, answer_by: datetime | None, text: str, now: datetime
) -> AnswerStatus | None:
    """Say why an answer is not taken, or nothing."""
    if state is DisputeState.ANSWERED:
        return AnswerStatus.EXISTS
    if state is not DisputeState.OPEN:
        return AnswerStatus.DISPUTE_ENDED
    if answer_by is not None and now > answer_by:
        return AnswerStatus.TOO_LATE
    if not 1 <= len(text.strip()) <= TEXT_LENGTH_MAX:
        return AnswerStatus.TEXT_MALFORMED
    return None


def media_type(content: bytes) -> str:
    """Tell what a file is by what it holds; empty: nothing that banks take."""
    return next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), "")


def clean_name(name: str, kind: str) -> str:
    """Give a file's name as it travels: its last part in plain letters, and the right ending."""
    last = name.replace("\\", "/").rpartition("/")[2]
    stem = last.rpartition(".")[0] or last
    kept = "".join(each for each in stem if each.isalnum() or each in " -_()").strip()
    return f"{kept[:_NAME_LENGTH_MAX].strip() or 'file'}.{_ENDINGS[kind]}"


class Paper(NamedTuple):
    """What of a dispute's file the next one depends on."""

    id: UUID
    kind: str
    size: int


def may_change(
    state: DisputeState, answer_by: datetime | None, now: datetime, *, is_answering: bool
) -> PutEvidenceStatus | None:
    """Say why files of a dispute cannot be changed any more, or nothing."""
    if state is DisputeState.ANSWERED or (state is DisputeState.OPEN and is_answering):
        return PutEvidenceStatus.ALREADY_SENT
    if state is not DisputeState.OPEN:
        return PutEvidenceStatus.DISPUTE_ENDED
    is_late = answer_by is not None and now > answer_by
    return PutEvidenceStatus.TOO_LATE if is_late else None


def may_keep(file: PutEvidence, known: Sequence[Paper]) -> PutEvidenceStatus:
    """Say whether a file can be kept beside those that are there."""
    if any(each.id == file.id for each in known):
        return PutEvidenceStatus.EXISTS
    if not 0 < len(file.content) <= FILE_BYTES_MAX or not media_type(file.content):
        return PutEvidenceStatus.FILE_REFUSED
    others = sum(each.size for each in known if each.kind != file.kind)
    is_much = others + len(file.content) > FILES_BYTES_MAX
    return PutEvidenceStatus.TOO_MUCH if is_much else PutEvidenceStatus.KEPT


class Telling(NamedTuple):
    """What letters about a dispute depend on."""

    outcome: str
    told: str  # The last that was told: empty, `opened`, `soon`, `last`, or how it ended.
    is_answered: bool
    answer_by: datetime | None


def letter(dispute: Telling, now: datetime, soon: timedelta, last: timedelta) -> str:
    """Say which letter about a dispute is due; empty: none. What was missed is not told late."""
    if dispute.outcome != DisputeOutcome.OPEN:
        return "" if dispute.told == dispute.outcome else dispute.outcome
    if not dispute.told:
        return "opened"
    if dispute.is_answered or dispute.answer_by is None or now > dispute.answer_by:
        return ""
    if now >= dispute.answer_by - last:
        return "" if dispute.told == "last" else "last"
    return "soon" if now >= dispute.answer_by - soon and dispute.told == "opened" else ""
