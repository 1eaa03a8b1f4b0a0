"""All SQL of supplied sales: whose part of which order is booked under what."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.settlement import KeptSupply
from vendrail.kernel.db import Database

_FIELDS = 'id, "order", agent, supplier, amount_minor, currency, price_minor'


class BorneRefund(NamedTuple):
    """What a supplier bears of a refund that its agent has given."""

    id: UUID
    supplier: UUID
    currency: str
    amount_minor: int
    supply: UUID  # The sale's, as it is booked.


class SupplyStore:
    """Each method is one transaction, and none calls anyone while it is open."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add_supplies(self, supplies: Sequence[KeptSupply]) -> None:
        """Write what suppliers will have of sales, before anything is posted; a repeat is none."""
        ordered = sorted(supplies, key=lambda each: each.order)
        async with self._db.reading() as tx:
            await tx.execute(
                f"insert into settlement.supply ({_FIELDS})"  # noqa: S608 - a constant
                " select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[],"
                "  $5::bigint[], $6::text[], $7::bigint[]) on conflict do nothing",
                [each.id for each in ordered],
                [each.order for each in ordered],
                [each.agent for each in ordered],
                [each.supplier for each in ordered],
                [each.amount_minor for each in ordered],
                [each.currency for each in ordered],
                [each.price_minor for each in ordered],
            )

    async def load_by_order(self, orders: Collection[UUID]) -> dict[UUID, KeptSupply]:
        """Load by order what is somebody else's of it; most orders have no supplier."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f'select {_FIELDS} from settlement.supply where "order" = any($1)',  # noqa: S608
                list(orders),
            )
        return {row["order"]: KeptSupply(*row) for row in rows}

    async def load(self, ids: Collection[UUID]) -> dict[UUID, KeptSupply]:
        """Load by what they are booked under."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_FIELDS} from settlement.supply where id = any($1)",  # noqa: S608
                list(ids),
            )
        return {row["id"]: KeptSupply(*row) for row in rows}

    async def list_untold(self, rows_max: int) -> list[BorneRefund]:
        """List what agents gave back of suppliers' parts and nobody was told of, oldest first."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                "select id, merchant, currency, amount_minor, subject from settlement.refund"
                " where part_of is not null and told_at is null and state = 'paid'"
                " order by id limit $1",
                rows_max,
            )
        return [BorneRefund(*row) for row in rows]

    async def note_told(self, refunds: Collection[UUID], now: datetime) -> None:
        """Note that suppliers were told."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "update settlement.refund set told_at = $2"
                " where id = any($1::uuid[]) and told_at is null",
                list(refunds),
                now,
            )
