"""All SQL of kept forms."""

from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Row, Transaction


async def add_form(
    tx: Transaction, id: UUID, browser: bytes, data_key: UUID, sealed: bytes, now: datetime
) -> None:
    """Keep a form; one of that id stays as it is."""
    await tx.execute(
        "insert into identity.kept_form (id, browser, data_key, sealed, kept_at)"
        " values ($1, $2, $3, $4, $5) on conflict (id) do nothing",
        id,
        browser,
        data_key,
        sealed,
        now,
    )


async def load_form(tx: Transaction, id: UUID, browser: bytes, since: datetime) -> Row | None:
    """Load a form that was kept after a time, in that browser."""
    return await tx.fetch_row(
        "select data_key, sealed, kept_at from identity.kept_form"
        " where id = $1 and browser = $2 and kept_at > $3",
        id,
        browser,
        since,
    )


async def forget_forms(tx: Transaction, before: datetime, forms_max: int) -> int:
    """Delete some forms that were kept before a time; give how many."""
    count: int = await tx.fetch_value(
        "with gone as (delete from identity.kept_form where id in (select id"
        " from identity.kept_form where kept_at <= $1 order by kept_at limit $2"
        " for update skip locked) returning 1) select count(*) from gone",
        before,
        forms_max,
    )
    return count
