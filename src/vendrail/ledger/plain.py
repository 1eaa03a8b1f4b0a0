"""Plain batches, nearly all there are: single transfers that could be applied in any order.

Where every account can bear the sum of all that the batch takes from it, before anything comes in,
each transfer succeeds whatever the order. Then nothing need be loaded: the journal's key tells
whether an id is new, and one guarded update a batch checks the limits.

This is the hot path of the whole platform: some microseconds a transfer, so no more objects than
rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from vendrail.api.ledger import Transfer, TransferKind
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.ledger.books import Books, Terms, free_minor
from vendrail.ledger.decide import MEMO_LENGTH_MAX

Row = tuple[object, ...]
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
class Plain:
    """A plain batch, ready to be written if its guards hold."""

    rows: list[Row]  # For the journal, by `COLUMNS`, in id order.
    guarded: list[tuple[int, int, int]]  # Limited accounts in number order: debits, credits.
    deltas: list[tuple[int, int, int, int, int]]  # The other accounts, all four counters.
    payers: list[int]  # The limited accounts that value is taken from.


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
    guarded: list[tuple[int, int, int]] = []
    deltas: list[tuple[int, int, int, int, int]] = []
    payers: list[int] = []
    for terms in debits.keys() | credits.keys():
        debited, credited = debits.get(terms, 0), credits.get(terms, 0)
        if not terms.is_limited:
            deltas.append((terms.number, 0, debited, 0, credited))
            continue
        guarded.append((terms.number, debited, credited))
        if debited if terms.are_debits_limited else credited:
            payers.append(terms.number)
    guarded.sort()
    return Plain(rows, guarded, deltas, payers)


def strain(books: Books, transfers: Sequence[Transfer]) -> dict[int, bool]:
    """Tell of each limited account that was to pay whether it could not bear the same batch again.

    Batches that take from such an account are loaded first; guessing would only cost a rollback.
    """
    asked: dict[Terms, int] = {}
    for transfer in transfers:
        debit = books.accounts.get(transfer.debit.int)
        credit = books.accounts.get(transfer.credit.int)
        if debit is not None and debit.are_debits_limited:
            asked[debit] = asked.get(debit, 0) + transfer.amount_minor
        if credit is not None and credit.are_credits_limited:
            asked[credit] = asked.get(credit, 0) + transfer.amount_minor
    return {
        terms.number: free_minor(terms, books.counters[terms.number]) < sum_minor
        for terms, sum_minor in asked.items()
    }
