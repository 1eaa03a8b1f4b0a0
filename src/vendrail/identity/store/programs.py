"""All SQL of programs' keys."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.identity import ApiKey, Permission
from vendrail.kernel.db import Row, Transaction

_KEY = (
    "select id, merchant, name, scopes, prefix, secret_hash, made_by, made_at, ends_at, used_at,"
    " revoked_at, networks from identity.api_key"
)


def _key(row: Row) -> ApiKey:
    return ApiKey(
        row["id"],
        row["merchant"],
        row["name"],
        [Permission(scope) for scope in row["scopes"]],
        row["prefix"],
        row["made_by"],
        row["made_at"],
        row["ends_at"],
        row["used_at"],
        row["revoked_at"],
        row["networks"],
    )


async def add_key(tx: Transaction, key: ApiKey, secret_hash: bytes) -> bool:
    """Keep a key; false: its id is there."""
    return (
        await tx.execute(
            "insert into identity.api_key"
            " (id, merchant, name, scopes, prefix, secret_hash, made_by, made_at, ends_at,"
            " networks) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
            " on conflict (id) do nothing",
            key.id,
            key.merchant,
            key.name,
            [str(scope) for scope in key.scopes],
            key.prefix,
            secret_hash,
            key.made_by,
            key.made_at,
            key.ends_at,
            key.networks,
        )
        == 1
    )


async def count_keys(tx: Transaction, merchant: UUID, now: datetime) -> int:
    """Count a merchant's keys that still open something."""
    count: int = await tx.fetch_value(
        "select count(*) from identity.api_key where merchant = $1 and revoked_at is null"
        " and (ends_at is null or ends_at > $2)",
        merchant,
        now,
    )
    return count


async def list_keys(tx: Transaction, merchant: UUID) -> list[ApiKey]:
    """List a merchant's keys, the newest first."""
    rows = await tx.fetch(_KEY + " where merchant = $1 order by made_at desc limit 1000", merchant)
    return [_key(row) for row in rows]


async def load_keys(tx: Transaction, hashes: Sequence[bytes], now: datetime) -> dict[bytes, ApiKey]:
    """Load the keys that still open something, by the hashes of their secrets."""
    rows = await tx.fetch(
        _KEY + " where secret_hash = any($1::bytea[]) and revoked_at is null"
        " and (ends_at is null or ends_at > $2)",
        list(hashes),
        now,
    )
    return {row["secret_hash"]: _key(row) for row in rows}


async def touch_keys(tx: Transaction, keys: Sequence[UUID], now: datetime) -> None:
    """Remember that keys were used."""
    await tx.execute(
        "update identity.api_key set used_at = $2 where id = any($1::uuid[])", list(keys), now
    )


async def revoke(tx: Transaction, merchant: UUID, key: UUID, now: datetime) -> ApiKey | None:
    """End a key; give it where it was open."""
    row = await tx.fetch_row(
        "update identity.api_key set revoked_at = $3 where id = $2 and merchant = $1"
        " and revoked_at is null returning id, merchant, name, scopes, prefix, secret_hash,"
        " made_by, made_at, ends_at, used_at, revoked_at, networks",
        merchant,
        key,
        now,
    )
    return _key(row) if row else None


async def lock_key(tx: Transaction, merchant: UUID, key: UUID) -> ApiKey | None:
    """Load a merchant's key that was not revoked, and keep others from changing it."""
    row = await tx.fetch_row(
        _KEY + " where id = $2 and merchant = $1 and revoked_at is null for update", merchant, key
    )
    return _key(row) if row else None


async def set_networks(tx: Transaction, key: UUID, networks: Sequence[str]) -> None:
    """Say from where a key may come."""
    await tx.execute("update identity.api_key set networks = $2 where id = $1", key, list(networks))
