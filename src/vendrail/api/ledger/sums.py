"""Sums of the books."""

from vendrail.kernel.codec import Record


class AccountSum(Record, frozen=True):
    """What accounts of one kind and currency hold together."""

    currency: str
    accounts_count: int
    credit_minor: int


class EntrySum(Record, frozen=True):
    """What entries posted together."""

    debits_minor: int = 0
    credits_minor: int = 0
