"""How money of one currency becomes money of another: two transfers that stand or fall together.

No transfer has two currencies. The platform takes what was paid into its position in that currency,
and gives the price out of its position in the other: what both hold is its exposure. Pure.
"""

from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import AccountId, Chart, Transfer, TransferCode, TransferId
from vendrail.kernel.ids import derive

PairKey = tuple[str, str]  # The price's currency, and the one that is paid.


class Sides(NamedTuple):
    """The platform's position in a pair of currencies: one account in each."""

    price: AccountId
    paid: AccountId


def sides_of(pair: PairKey) -> Sides:
    """Give the accounts of a pair, open or not."""
    price, paid = pair
    return Sides(Chart(price).fx(paid).id, Chart(paid).fx(price).id)


class Leg(NamedTuple):
    """One half of an exchange: all of it in one currency."""

    debit: AccountId
    credit: AccountId
    amount_minor: int


def exchange_transfers(
    parent: UUID, step: str, subject: UUID, legs: tuple[Leg, Leg], *, is_linked: bool = False
) -> list[Transfer]:
    """Change money: into the position in one currency, and out of it in the other.

    Linked: it succeeds or fails with what comes after it.
    """
    return [
        Transfer(
            TransferId(derive(parent, f"{step}:{side}")),
            leg.debit,
            leg.credit,
            leg.amount_minor,
            TransferCode.EXCHANGE,
            subject,
            is_linked=is_linked or side == "in",
        )
        for side, leg in zip(("in", "out"), legs, strict=True)
    ]
