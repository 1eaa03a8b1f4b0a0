"""All SQL of saved filters."""

from datetime import datetime
from uuid import UUID

from vendrail.api.identity import FILTERS_MAX, FilterChange, FilterQuery, SavedFilter
from vendrail.identity.store.people import OPERATOR
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Row, Transaction

# What one person may see; $2 is they.
_FILTER = (
    "select f.id, f.person, f.merchant, f.page, f.name, f.query::text as query, f.is_shared,"
    " f.saved_at, p.name as person_name, exists (select from identity.default_filter d"
    " where d.filter = f.id and d.person = $2) as is_default"
    " from identity.saved_filter f join identity.person p on p.id = f.person"
)


def _filter(row: Row) -> SavedFilter:
    return SavedFilter(
        row["id"],
        row["person"],
        None if row["merchant"] == OPERATOR else row["merchant"],
        row["page"],
        row["name"],
        decode(row["query"], dict[str, str]),
        is_shared=row["is_shared"],
        is_default=row["is_default"],
        person_name=row["person_name"],
        saved_at=row["saved_at"],
    )


async def list_filters(tx: Transaction, query: FilterQuery) -> list[SavedFilter]:
    """List a person's own filters and those shared with them, by name."""
    rows = await tx.fetch(
        _FILTER + " where f.merchant = $1 and (f.person = $2 or f.is_shared)"
        " and ($3 = '' or f.page = $3) order by f.page, lower(f.name), f.id limit 2000",
        query.merchant or OPERATOR,
        query.person,
        query.page,
    )
    return [_filter(row) for row in rows]


async def load_filter(tx: Transaction, person: UUID, filter: UUID) -> SavedFilter | None:
    """Load a filter as a person would find it, whoever they are, and keep others from it."""
    row = await tx.fetch_row(_FILTER + " where f.id = $1 for update of f", filter, person)
    return _filter(row) if row else None


async def has_name(tx: Transaction, filter: SavedFilter) -> bool:
    """Whether a person has another filter of that name for the list."""
    return bool(
        await tx.fetch_value(
            "select exists (select from identity.saved_filter where person = $1 and merchant = $2"
            " and page = $3 and lower(name) = lower($4) and id <> $5)",
            filter.person,
            filter.merchant or OPERATOR,
            filter.page,
            filter.name,
            filter.id,
        )
    )


async def count_filters(tx: Transaction, person: UUID, merchant: UUID | None, page: str) -> int:
    """Count a person's filters for a list; with an empty page: for all, wherever they work."""
    count: int = await tx.fetch_value(
        "select count(*) from identity.saved_filter where person = $1"
        " and ($3 = '' or (merchant = $2 and page = $3))",
        person,
        merchant or OPERATOR,
        page,
    )
    return count


async def is_shared_full(tx: Transaction, merchant: UUID | None, page: str) -> bool:
    """Whether as many filters are shared for a list as may be."""
    count: int = await tx.fetch_value(
        "select count(*) from identity.saved_filter"
        " where merchant = $1 and page = $2 and is_shared",
        merchant or OPERATOR,
        page,
    )
    return count >= FILTERS_MAX


async def add_filter(tx: Transaction, filter: SavedFilter, now: datetime) -> None:
    """Keep a filter."""
    await tx.execute(
        "insert into identity.saved_filter"
        " (id, person, merchant, page, name, query, is_shared, saved_at)"
        " values ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8)",
        filter.id,
        filter.person,
        filter.merchant or OPERATOR,
        filter.page,
        filter.name,
        encode(filter.query).decode(),
        filter.is_shared,
        now,
    )


async def change_filter(tx: Transaction, change: FilterChange) -> None:
    """Name a filter anew, and say who sees it; others' lists open by what they still see."""
    await tx.execute(
        "update identity.saved_filter set name = $2, is_shared = $3 where id = $1",
        change.filter,
        change.name,
        change.is_shared,
    )
    if not change.is_shared:
        await tx.execute(
            "delete from identity.default_filter d using identity.saved_filter f"
            " where d.filter = $1 and f.id = $1 and d.person <> f.person",
            change.filter,
        )


async def drop_filter(tx: Transaction, filter: UUID) -> None:
    """Remove a filter; no list opens by it any more."""
    await tx.execute("delete from identity.saved_filter where id = $1", filter)


async def put_default(tx: Transaction, person: UUID, filter: SavedFilter) -> None:
    """Let a person's list open by a filter, in place of another."""
    await tx.execute(
        "insert into identity.default_filter (person, merchant, page, filter)"
        " values ($1, $2, $3, $4)"
        " on conflict (person, merchant, page) do update set filter = excluded.filter",
        person,
        filter.merchant or OPERATOR,
        filter.page,
        filter.id,
    )


async def drop_default(tx: Transaction, person: UUID, filter: UUID) -> None:
    """Let a person's list open as it comes."""
    await tx.execute(
        "delete from identity.default_filter where person = $1 and filter = $2", person, filter
    )
