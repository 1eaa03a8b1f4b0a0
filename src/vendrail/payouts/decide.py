"""What may happen to payouts and how it is said to the ledger; no I/O, no clock."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import (
    Account,
    Chart,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
)
from vendrail.api.payments import PayoutFate
from vendrail.api.payouts import PayoutOrigin, PayoutState, ReserveSource
from vendrail.kernel.ids import derive
from vendrail.kernel.machine import IMPOSSIBLE, STAYS, Machine
from vendrail.payouts.bankfiles import is_cn_account, is_iban

S = PayoutState


class PayoutEvent(StrEnum):
    """What can happen to a payout."""

    HELD = "held"
    HELD_LARGE = "held_large"
    NOT_HELD = "not_held"
    APPROVED = "approved"
    DECLINED = "declined"
    RESERVED = "reserved"
    TOLD = "told"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETURNED = "returned"


E = PayoutEvent
PAYOUT = Machine(
    "payout",
    PayoutState,
    PayoutEvent,
    S.REQUESTED,
    {
        S.REQUESTED: {E.HELD: S.READY, E.HELD_LARGE: S.REVIEW, E.NOT_HELD: S.REFUSED},
        S.REVIEW: {E.APPROVED: S.READY, E.DECLINED: S.DECLINED},
        S.READY: {E.APPROVED: STAYS, E.RESERVED: S.RESERVED, E.DECLINED: S.DECLINED},
        S.RESERVED: {E.TOLD: S.SENT, E.DECLINED: S.DECLINED},
        S.SENT: {
            E.TOLD: STAYS,  # Under the same number: nothing moves twice.
            E.SUCCEEDED: S.SUCCEEDED,
            E.FAILED: S.FAILED,
            E.RETURNED: S.RETURNED,
        },
        S.SUCCEEDED: {E.SUCCEEDED: STAYS, E.RETURNED: S.RETURNED},
    },
    otherwise=IMPOSSIBLE,
)
OPEN = (S.REQUESTED, S.REVIEW, S.READY, S.RESERVED, S.SENT)
DECLINABLE = tuple(each for each in PayoutState if PAYOUT.is_possible(each, E.DECLINED))


class Task(StrEnum):
    """What a payout that is due wants next."""

    HOLD = "hold"
    RESERVE = "reserve"
    TELL = "tell"
    ASK = "ask"
    SETTLE = "settle"
    NOTHING = "nothing"


_TASKS = {
    S.REQUESTED: Task.HOLD,
    S.READY: Task.RESERVE,
    S.RESERVED: Task.TELL,
    S.SENT: Task.ASK,
    S.SUCCEEDED: Task.ASK,
}


class Kept(NamedTuple):
    """A payout as it is kept."""

    id: UUID
    merchant: UUID
    payee: UUID
    channel: UUID
    channel_name: str
    currency: str
    amount_minor: int
    fee_minor: int
    origin: str
    state: PayoutState
    verdict: str
    turn: int
    tries: int
    asks: int
    reserve_tries: int
    problem: str
    is_filed: bool = False  # Leaves in a file: nobody is told or asked by itself.

    @property
    def task(self) -> Task:
        """Say what it wants next."""
        if self.verdict:
            return Task.SETTLE
        if self.is_filed and self.state not in (S.REQUESTED, S.READY):
            return Task.NOTHING  # A person carries it, and tells what came of it.
        return _TASKS.get(self.state, Task.NOTHING)


EVENTS: Mapping[str, PayoutEvent] = {  # What each verdict means once the books follow it.
    "succeeded": E.SUCCEEDED,
    "failed": E.FAILED,
    "returned": E.RETURNED,
    "declined": E.DECLINED,
}


def verdict_of(state: PayoutState, fate: PayoutFate) -> str:
    """Give what a provider's answer decides; empty: nothing yet.

    A payout that had succeeded and has not any more has come back, however it is said.
    """
    if state is S.SUCCEEDED:
        return "returned" if fate in (PayoutFate.RETURNED, PayoutFate.FAILED) else ""
    if fate in (PayoutFate.SUCCEEDED, PayoutFate.FAILED, PayoutFate.RETURNED):
        return fate.value
    return ""


_DELAYS_S = (5, 30, 120, 600, 3_600)
_WATCH_S = (3_600, 6 * 3_600, 24 * 3_600)


def ask_again_in(asks: int) -> timedelta:
    """Say how long to wait before asking once more."""
    return timedelta(seconds=_DELAYS_S[min(asks, len(_DELAYS_S) - 1)])


def watch_again_in(asks: int, days: int) -> timedelta | None:
    """Say when to look again whether a payout came back; None: it is long enough ago."""
    if not days or asks >= days + len(_WATCH_S) - 1:
        return None
    return timedelta(seconds=_WATCH_S[min(asks, len(_WATCH_S) - 1)])


# The books.


class Books(NamedTuple):
    """The accounts that a payout moves money between."""

    source: Account
    in_transit: Account
    reserve: Account
    fee: Account


def books_of(kept: Kept) -> Books:
    """Name the accounts; a test is paid by the platform."""
    chart = Chart(kept.currency)
    is_test = kept.origin == PayoutOrigin.TEST
    return Books(
        chart.platform_channel_cost() if is_test else chart.merchant(kept.merchant, "available"),
        chart.payout_in_transit(kept.channel_name),
        chart.payout_reserve(kept.channel_name),
        chart.platform_fee(),
    )


def hold_transfers(kept: Kept) -> list[Transfer]:
    """Hold amount and fee, both or neither."""
    books = books_of(kept)
    legs = [_pending(kept, "hold", books.source, books.in_transit, kept.amount_minor)]
    if kept.fee_minor:
        legs.append(
            _pending(kept, "fee", books.source, books.fee, kept.fee_minor, TransferCode.PAYOUT_FEE)
        )
    return _linked(legs)


def reserve_transfer(kept: Kept) -> Transfer:
    """Ask the reserve; a refusal is kept under its id, so that each asking has one of its own."""
    books = books_of(kept)
    return _pending(
        kept, f"reserve:{kept.reserve_tries}", books.in_transit, books.reserve, kept.amount_minor
    )


def settle_transfers(kept: Kept, *, is_reserved: bool) -> list[Transfer]:
    """Post or void what was held and reserved: all of it or nothing."""
    books = books_of(kept)
    is_paid = kept.verdict in ("succeeded", "returned")
    kind = TransferKind.POST if is_paid else TransferKind.VOID
    word = "post" if is_paid else "void"
    steps = [("hold", books.source, books.in_transit, TransferCode.PAYOUT)]
    if kept.fee_minor:
        steps.append(("fee", books.source, books.fee, TransferCode.PAYOUT_FEE))
    if is_reserved:
        name = f"reserve:{kept.reserve_tries}"
        steps.append((name, books.in_transit, books.reserve, TransferCode.PAYOUT))
    return _linked(
        [
            Transfer(
                TransferId(derive(kept.id, f"{word}:{name}")),
                debit.id,
                credit.id,
                0,
                code,
                kept.id,
                kind,
                TransferId(derive(kept.id, name)),
            )
            for name, debit, credit, code in steps
        ]
    )


def return_transfers(kept: Kept) -> list[Transfer]:
    """Put back what came back, new transfers all: reserve, balance, and the fee."""
    books = books_of(kept)
    code = TransferCode.PAYOUT_RETURNED
    legs = [
        _single(kept, "return:reserve", books.reserve, books.in_transit, kept.amount_minor, code),
        _single(kept, "return:hold", books.in_transit, books.source, kept.amount_minor, code),
    ]
    if kept.fee_minor:
        legs.append(_single(kept, "return:fee", books.fee, books.source, kept.fee_minor, code))
    return _linked(legs)


def top_up_accounts(
    channel_name: str, currency: str, source: ReserveSource
) -> tuple[Account, Account]:
    """Name the reserve, and where its money comes from."""
    chart = Chart(currency)
    sources = {
        ReserveSource.OWNER: chart.capital("owner"),
        ReserveSource.SETTLEMENT: chart.provider(channel_name),
        ReserveSource.BANK: chart.bank(),
    }
    return chart.payout_reserve(channel_name), sources[source]


def _pending(
    kept: Kept,
    step: str,
    debit: Account,
    credit: Account,
    amount_minor: int,
    code: TransferCode = TransferCode.PAYOUT,
) -> Transfer:
    return Transfer(
        TransferId(derive(kept.id, step)),
        debit.id,
        credit.id,
        amount_minor,
        code,
        kept.id,
        TransferKind.PENDING,
    )


def _single(
    kept: Kept, step: str, debit: Account, credit: Account, amount_minor: int, code: TransferCode
) -> Transfer:
    id = TransferId(derive(kept.id, step))
    return Transfer(id, debit.id, credit.id, amount_minor, code, kept.id)


def _linked(legs: list[Transfer]) -> list[Transfer]:
    return [
        Transfer(
            leg.id, leg.debit, leg.credit, leg.amount_minor, leg.code, leg.subject, leg.kind,
            leg.pending, is_linked=place < len(legs) - 1,
        )
        for place, leg in enumerate(legs)
    ]  # fmt: skip


# Payees.

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+?[0-9]{6,15}")
_SHAPES: Mapping[str, Callable[[str], bool]] = {
    "user_id": lambda text: bool(re.fullmatch(r"2088[0-9]{12}", text)),
    "logon_id": lambda text: bool(_EMAIL.fullmatch(text) or _PHONE.fullmatch(text)),
    "open_id": lambda text: bool(re.fullmatch(r"[0-9A-Za-z_-]{20,64}", text)),
    "openid": lambda text: bool(re.fullmatch(r"[0-9A-Za-z_-]{20,64}", text)),
    "iban": is_iban,
    "cn_bank": is_cn_account,
    "connected_account": lambda text: bool(re.fullmatch(r"acct_[0-9A-Za-z]{6,40}", text)),
}
NAMED = frozenset({"logon_id", "alipay", "bank", "iban", "cn_bank"})  # There, names are compared.


def is_account(kind: str, account: str) -> bool:
    """Tell whether an account looks like one of its kind."""
    shape = _SHAPES.get(kind)
    if shape is not None:
        return shape(account)
    return bool(re.fullmatch(r"\S{3,64}", account))


def tidy(kind: str, account: str) -> str:
    """Write an account in the one form that it has: two are the same only if they are equal."""
    if kind == "iban":
        return "".join(account.split()).upper()
    return " ".join(account.split()) if kind == "cn_bank" else account.strip()


def mask(kind: str, account: str) -> str:
    """Show an account so that its owner knows it again and nobody else learns it."""
    local, at, domain = account.partition("@")
    if at:
        return f"{local[:2]}***@{domain}"
    if kind == "cn_bank":
        account, _, bank = account.partition(" ")
        return f"{mask('', account)} {bank}".strip()
    return f"{account[:3]}***{account[-4:]}" if len(account) > 9 else f"***{account[-2:]}"


def mask_name(name: str) -> str:
    """Show the first letter of a name."""
    return f"{name[0]}**" if name else ""
