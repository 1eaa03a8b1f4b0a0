"""Plain batches, nearly all there are: single transfers under new ids.

Where an account can bear the sum of all that the batch takes from it, before anything comes in,
each of its transfers succeeds whatever the order. So nothing need be loaded before the batch is
written: the journal's key tells whether the ids are new, and only what involves an account that is
short of that sum is decided one by one.

This is the hot path of the whole platform: some microseconds a transfer, so no more objects than
rows.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from vendrail.api.ledger import Transfer, TransferKind
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.ledger.books import Terms
from vendrail.ledger.decide import MEMO_LENGTH_MAX

Row = tuple[object, ...]
Move = tuple[int, int, int, int, int]
_id_int = attrgetter("id.int")
COLUMNS = (
    "id",
    "subject",
    "at",
    "amount_minor",
    "debit",
    "credit",
    "is_linked",
    "code",
    "memo",
)


@dataclass(frozen=True, slots=True)
class Sums:
    """What a batch does to accounts, added up: their numbers, then changes to the four counters."""

    limited: list[Move]
    others: list[Move]


@dataclass(frozen=True, slots=True)
class Plain:
    """A plain batch as it is written if all of it succeeds."""

    rows: list[Row]  # For the journal, by `COLUMNS`, in id order.
    sums: Sums


def gather(
    transfers: Sequence[Transfer], accounts: Mapping[int, Terms], at: datetime
) -> Plain | None:
    """Bring a batch into rows and sums; None where it is not plain or an account is not known."""
    find = accounts.get
    single = TransferKind.SINGLE
    rows: list[Row] = []
    debits: dict[Terms, int] = {}
    credits: dict[Terms, int] = {}
    if not transfers or transfers[-1].is_linked:
        return None
    for new in sorted(transfers, key=_id_int):
        debit = find(new.debit.int)
        credit = find(new.credit.int)
        amount = new.amount_minor
        memo: str | None = new.memo
        if (
            debit is None
            or credit is None
            or debit is credit
            or not 0 < amount <= AMOUNT_MINOR_MAX
            or new.kind is not single
            or debit.currency != credit.currency
            or new.is_balancing
            or new.pending is not None
            or new.timeout_s
        ):
            return None
        if not memo:
            memo = None
        elif len(memo) > MEMO_LENGTH_MAX or "\x00" in memo:
            return None
        rows.append(
            (
                new.id,
                new.subject,
                at,
                amount,
                debit.number,
                credit.number,
                new.is_linked,
                new.code,
                memo,
            )
        )
        debits[debit] = debits.get(debit, 0) + amount
        credits[credit] = credits.get(credit, 0) + amount
    return Plain(rows, _add_up(debits, credits))


def _add_up(debits: Mapping[Terms, int], credits: Mapping[Terms, int]) -> Sums:
    limited: list[Move] = []
    others: list[Move] = []
    for terms in debits.keys() | credits.keys():
        side = limited if terms.is_limited else others
        side.append((terms.number, 0, debits.get(terms, 0), 0, credits.get(terms, 0)))
    limited.sort()
    return Sums(limited, others)


def involved(
    transfers: Sequence[Transfer], accounts: Mapping[int, Terms], short: Container[int]
) -> list[Transfer]:
    """Pick what involves an account that is short, on either side, with the whole of its chain."""
    picked: list[Transfer] = []
    chain: list[Transfer] = []
    is_involved = False
    for new in transfers:
        chain.append(new)
        is_involved = (
            is_involved
            or accounts[new.debit.int].number in short
            or accounts[new.credit.int].number in short
        )
        if not new.is_linked:
            if is_involved:
                picked += chain
            chain = []
            is_involved = False
    return picked


def add_up_kept(
    transfers: Sequence[Transfer], accounts: Mapping[int, Terms], refused: Container[UUID]
) -> Sums:
    """Add a plain batch up again, without those that were refused."""
    debits: dict[Terms, int] = {}
    credits: dict[Terms, int] = {}
    for new in transfers:
        if new.id not in refused:
            debit, credit = accounts[new.debit.int], accounts[new.credit.int]
            debits[debit] = debits.get(debit, 0) + new.amount_minor
            credits[credit] = credits.get(credit, 0) + new.amount_minor
    return _add_up(debits, credits)
