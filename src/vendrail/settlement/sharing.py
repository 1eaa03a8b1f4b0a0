"""How a supplier and its agent share what goes back of a sale. Pure."""

from typing import NamedTuple


class Shared(NamedTuple):
    """What a supplier has of a sale, what it has borne of refunds, and what it bears of one."""

    size_minor: int = 0
    before_minor: int = 0
    part_minor: int = 0


def share_out(
    amount_minor: int, whole_minor: int, refunded_minor: int, size_minor: int, before_minor: int
) -> Shared:
    """Say what the supplier bears of a refund, or of a freeze, of an order.

    By the share of the sale that has gone back in all, so that the last refund takes the last of
    both sides; neither ever bears more than it has got.
    """
    if not size_minor or not whole_minor:
        return Shared()
    refunded = min(whole_minor, refunded_minor + amount_minor)
    part = size_minor * refunded // whole_minor - before_minor
    agents_left = whole_minor - size_minor - (refunded_minor - before_minor)
    part = max(0, amount_minor - agents_left, part)
    part = min(part, amount_minor, size_minor - before_minor)
    return Shared(size_minor, before_minor, part)
