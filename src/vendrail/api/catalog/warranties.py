"""Warranties: how long a product's keys can be claimed dead, and what is done about it at once."""

from vendrail.kernel.codec import Record

HOURS_MAX = 366 * 24
COVERS_MAX = 500
KEYS_MAX = 100
BUYER_KEYS_MAX = 1_000


class ProductWarranty(Record, frozen=True):
    """What a merchant promises of a product; what is sold keeps what was promised then."""

    hours: int  # So long after the delivery a dead key can be claimed.
    covers: str = ""  # In the merchant's words.
    keys_max: int = 0  # So many keys of an order are replaced without asking; 0: none.
    buyer_keys_max: int = 0  # And so many of one buyer's in thirty days, of all the merchant's.
    is_refunded_when_out: bool = False  # No key is free: the money goes back; else they are asked.
