"""Channel accounts and the data keys that seal their secrets."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.payments.store.base import Row, Transaction, columns

_LOCK_KEY = 0x70617963_68616E6E  # "paychann": one writer of channel accounts at a time.


async def lock_channels(tx: Transaction) -> None:
    """Let one writer of channel accounts in at a time."""
    await tx.execute("select pg_advisory_xact_lock($1)", _LOCK_KEY)


async def read_channels(tx: Transaction) -> list[Row]:
    """Read every channel account with the data key of its secrets."""
    return await tx.fetch(
        "select c.*, k.sealed as sealed_key from payments.channel c"
        " join payments.data_key k on k.id = c.data_key order by c.name"
    )


async def insert_data_key(tx: Transaction, id: UUID, sealed: bytes, at: datetime) -> None:
    """Write a data key before what it seals."""
    await tx.execute(
        "insert into payments.data_key (id, sealed, made_at) values ($1, $2, $3)", id, sealed, at
    )


async def write_channels(
    tx: Transaction, channels: Sequence[tuple[object, ...]], at: datetime
) -> None:
    """Write channel accounts whole. Columns as in the statement."""
    await tx.execute(
        "insert into payments.channel as c (id, name, kind, title, currencies, settings, sealed,"
        " data_key, is_active, confirm_above_minor, amount_minor_min, amount_minor_max, version,"
        " changed_at)"
        " select u.id, u.name, u.kind, u.title, string_to_array(u.currencies, ','), u.settings,"
        " u.sealed, u.data_key, u.is_active, u.confirm_above_minor, u.amount_minor_min,"
        " u.amount_minor_max, 1, $13"
        " from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[],"
        " $7::bytea[], $8::uuid[], $9::bool[], $10::bigint[], $11::bigint[], $12::bigint[])"
        " as u (id, name, kind, title, currencies, settings, sealed, data_key, is_active,"
        " confirm_above_minor, amount_minor_min, amount_minor_max)"
        " on conflict (id) do update set title = excluded.title, currencies = excluded.currencies,"
        " settings = excluded.settings, sealed = excluded.sealed, data_key = excluded.data_key,"
        " is_active = excluded.is_active, version = c.version + 1,"
        " confirm_above_minor = excluded.confirm_above_minor,"
        " amount_minor_min = excluded.amount_minor_min,"
        " amount_minor_max = excluded.amount_minor_max, changed_at = excluded.changed_at",
        *columns(channels, 12),
        at,
    )
