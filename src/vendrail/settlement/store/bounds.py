"""Bounds of suggestions, and what was counted last of all merchants."""

from uuid import UUID

from vendrail.api.settlement import ChannelCost, FeeBounds, FeeFacts, FeeSuggestionQuery
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database

_FIELDS = (
    "currency, least_basis_points, most_basis_points, margin_basis_points, volume_minor_from,"
    " volume_basis_points, refund_basis_points, dispute_basis_points"
)


class BoundsStore:
    """Each method is one transaction."""

    _db: Database
    _clock: Clock

    async def load_bounds(self) -> list[FeeBounds]:
        """Load all bounds, by currency."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(f"select {_FIELDS} from settlement.fee_bounds order by currency")  # noqa: S608 - a constant
        return [FeeBounds(*row) for row in rows]

    async def put_bounds(self, bounds: FeeBounds) -> None:
        """Write one currency's bounds."""
        async with self._db.transaction() as tx:
            await tx.execute(
                f"insert into settlement.fee_bounds ({_FIELDS})"  # noqa: S608 - a constant
                " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (currency) do update"
                " set least_basis_points = $2, most_basis_points = $3, margin_basis_points = $4,"
                " volume_minor_from = $5, volume_basis_points = $6, refund_basis_points = $7,"
                " dispute_basis_points = $8",
                bounds.currency,
                bounds.least_basis_points,
                bounds.most_basis_points,
                bounds.margin_basis_points,
                bounds.volume_minor_from,
                bounds.volume_basis_points,
                bounds.refund_basis_points,
                bounds.dispute_basis_points,
            )

    async def load_sellers(self, query: FeeSuggestionQuery, sales_min: int) -> list[FeeFacts]:
        """Load what counts of merchants who sold enough, a page by merchant."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                "select * from (select distinct on (merchant) merchant, currency, volume_minor,"
                "  sold_count, refunded_count, disputed_count from settlement.fee_facts"
                "  where currency = $1 and valid_from <= $2 and ($3::uuid is null or merchant > $3)"
                "  order by merchant, valid_from desc) f where sold_count >= $4"
                " order by merchant limit $5",
                query.currency,
                self._clock.now(),
                query.after,
                sales_min,
                min(query.suggestions_max, 200),
            )
        return [FeeFacts(UUID(str(row[0])), *row[1:]) for row in rows]

    async def load_channel_costs(self) -> list[ChannelCost]:
        """Load what channels cost now, as it was written last."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                "select distinct on (channel) channel, cost_permyriad, cost_minor, currency,"
                " string_to_array(currencies, ',')"
                " from settlement.channel_cost order by channel, valid_from desc"
            )
        return [ChannelCost(*row) for row in rows]
