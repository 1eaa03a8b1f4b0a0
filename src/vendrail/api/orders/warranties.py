"""Warranties of orders: what was promised of their keys when they were placed."""

from datetime import datetime, timedelta

from vendrail.kernel.codec import Record


class Warranty(Record, frozen=True):
    """How long keys of an order can be claimed dead, and what is done about it at once."""

    hours: int
    covers: str = ""  # In the merchant's words.
    keys_max: int = 0  # So many of its keys are replaced without asking; 0: none.
    buyer_keys_max: int = 0  # And so many of its buyer's in thirty days, of all the merchant's.
    is_refunded_when_out: bool = False  # No key is free: the money goes back; else they are asked.

    def ends_at(self, delivered_at: datetime) -> datetime:
        """Say until when it holds."""
        return delivered_at + timedelta(hours=self.hours)
