"""First in, first out: a merchant's money as one queue, earned at one end, taken at the other.

Every minor unit that became available has its place in the queue, and every payout took a stretch
of it. What came back from a payout counts as if it had never left. No I/O, no clock.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

Point = tuple[datetime, UUID]  # Where a transfer stands in the journal.


class Stretch(NamedTuple):
    """Places in the queue, from the first up to before the last."""

    begin: int
    end: int


class Mark(NamedTuple):
    """A payout, and what had been earned and taken before it."""

    payout: UUID
    point: Point
    amount_minor: int
    credits_minor: int
    debits_minor: int


class Bounce(NamedTuple):
    """A payout that came back: each of its takings and returns, and where they stand."""

    taken: tuple[tuple[Point, int], ...]
    returned: tuple[tuple[Point, int], ...]


class Earned(NamedTuple):
    """What of an order became available with one transfer, perhaps with other orders' money.

    Of what was released together no order goes before another: a payout that took half of it took
    half of each order's part.
    """

    point: Point
    whole_minor: int  # What the transfer moved.
    part_begin: int  # The order's part of it, and where in the order's share that begins.
    part_end: int


def credits_at(raw_minor: int, point: Point, bounces: Iterable[Bounce]) -> int:
    """Give the place in the queue at which a transfer puts money, without what only came back."""
    return raw_minor - sum(
        minor for bounce in bounces for back, minor in bounce.returned if back < point
    )


def stretch_of(mark: Mark, bounces: Iterable[Bounce]) -> Stretch:
    """Give what a payout took of the queue, without what payouts took that came back."""
    begin = mark.debits_minor - sum(
        minor for bounce in bounces for out, minor in bounce.taken if out < mark.point
    )
    return Stretch(begin, begin + mark.amount_minor)


def share_of(earned: Earned, begin: int, taken: Stretch) -> int:
    """Give what a stretch took of an order's part, its transfer's money beginning at a place."""
    first = max(taken.begin, begin) - begin
    last = min(taken.end, begin + earned.whole_minor) - begin
    if last <= first:
        return 0
    part = earned.part_end - earned.part_begin
    # Both ends are rounded down, so that the shares of all stretches sum to the part.
    return part * last // earned.whole_minor - part * first // earned.whole_minor


def share_out(parts: Sequence[tuple[UUID, int]], total_minor: int) -> list[tuple[UUID, int]]:
    """Sum by payout, in their order, no more than there is to share out."""
    sums: dict[UUID, int] = {}
    left = total_minor
    for payout, minor in parts:
        told = min(minor, left)
        if told > 0:
            sums[payout] = sums.get(payout, 0) + told
            left -= told
    return list(sums.items())
