"""Where an attempt is paid that is paid on a chain."""

from vendrail.kernel.codec import Record


class Deposit(Record, frozen=True):
    """An address of an attempt's own, and what is asked for there."""

    place: int  # Which address of the account's row.
    address: str
    asset: str
    units: int
