"""Payments found by any number: ours, a provider's, or a chain's; each by an index."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.payments.store.base import Row, Transaction

_FOUND_MAX = 64

FIND_ATTEMPTS = (
    "select a.id, a.order_id, a.number, a.merchant, a.opened_at, '' as key"
    " from unnest($1::uuid[], $2::int[]) as u (order_id, number)"
    " join payments.attempt a on a.order_id = u.order_id and a.number = u.number"
    " union all"
    " select a.id, a.order_id, a.number, a.merchant, a.opened_at, ''"
    " from payments.attempt a where a.id = any($3::uuid[])"
    " union all"
    " select a.id, a.order_id, a.number, a.merchant, a.opened_at, p.reference"
    " from payments.presentation p join payments.attempt a on a.id = p.attempt_id"
    " where p.reference = any($4::text[]) and p.reference <> ''"
)
_CAPTURE = (
    "select c.id, c.provider_number, coalesce(v.order_id, c.order_id) as order_id,"
    " coalesce(v.merchant, c.merchant) as merchant, c.paid_at"
)
_VERDICT = " left join payments.verdict v on v.capture_id = c.id and v.order_id is not null"
FIND_CAPTURES = (
    f"{_CAPTURE} from unnest($1::uuid[]) as h (channel) cross join unnest($2::text[]) as u (number)"
    " join payments.capture c on c.channel = h.channel and c.provider_number = u.number"
    f"{_VERDICT} union all {_CAPTURE} from payments.capture c{_VERDICT}"
    " where c.id = any($3::uuid[])"
)
FIND_REFUNDS = (
    "select r.id, coalesce(v.order_id, c.order_id) as order_id,"  # noqa: S608 - constants only
    " coalesce(v.merchant, c.merchant) as merchant, r.asked_at"
    f" from payments.refund r join payments.capture c on c.id = r.capture_id{_VERDICT}"
    " where r.id = any($1::uuid[])"
)
# A chain's transaction is known by its hash, or by that and the place in it.
FIND_SIGHTINGS = (
    "select u.number as key, s.number, s.at, s.attempt_id, s.refund_id,"
    " coalesce(a.order_id, c.order_id) as order_id, coalesce(a.merchant, c.merchant) as merchant"
    " from unnest($1::uuid[]) as h (channel) cross join unnest($2::text[]) as u (number)"
    " join payments.sighting s on s.channel = h.channel"
    "  and s.number >= u.number and s.number < u.number || '~'"
    " left join payments.attempt a on a.id = s.attempt_id"
    " left join payments.refund r on r.id = s.refund_id"
    " left join payments.capture c on c.id = r.capture_id limit $3"
)


async def find_attempts(
    tx: Transaction,
    numbers: Sequence[tuple[UUID, int]],
    ids: Sequence[UUID],
    references: Sequence[str],
) -> list[Row]:
    """Find attempts by what an out_trade_no says, their ids, or what a provider calls them."""
    return await tx.fetch(
        FIND_ATTEMPTS,
        [order for order, _ in numbers],
        [number for _, number in numbers],
        ids,
        references,
    )


async def find_captures(
    tx: Transaction, channels: Sequence[UUID], numbers: Sequence[str], ids: Sequence[UUID]
) -> list[Row]:
    """Find money that arrived by its number at the provider, or by its id."""
    return await tx.fetch(FIND_CAPTURES, channels, numbers, ids)


async def find_refunds(tx: Transaction, ids: Sequence[UUID]) -> list[Row]:
    """Find refunds by their ids, with whose capture they give back."""
    return await tx.fetch(FIND_REFUNDS, ids)


async def find_sightings(
    tx: Transaction, channels: Sequence[UUID], hashes: Sequence[str]
) -> list[Row]:
    """Find what was seen on chains by transactions' hashes."""
    return await tx.fetch(FIND_SIGHTINGS, channels, hashes, _FOUND_MAX)
