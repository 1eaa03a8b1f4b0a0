"""The stored data keys of all services: checked that they open, sealed anew after a rotation."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from vendrail.app.services import SCHEMAS
from vendrail.kernel.db import connect_once
from vendrail.kernel.vault import Vault

_BATCH = 1_000
_MASTER_ID = slice(17, 25)  # Where a sealed data key names the master key that sealed it.


async def _read_tables(connection: Any) -> list[str]:
    """Name the services that keep data keys."""
    rows = await connection.fetch(
        "select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relname = 'data_key' and c.relkind = 'r' and n.nspname = any($1::text[])"
        " order by n.nspname",
        SCHEMAS,
    )
    return [row["nspname"] for row in rows]


async def count_keys(dsn: str) -> int:
    """Count the stored data keys of all services."""
    connection = await connect_once(dsn)
    try:
        counts = [
            await connection.fetchval(f'select count(*) from "{service}".data_key')  # noqa: S608
            for service in await _read_tables(connection)
        ]
    finally:
        await connection.close()
    return sum(counts)


async def check_keys(dsn: str, vault: Vault) -> int:
    """Open the newest and the oldest data key of each service; `Broken` where one does not open."""
    checked = 0
    connection = await connect_once(dsn)
    try:
        for service in await _read_tables(connection):
            rows = await connection.fetch(
                f'(select id, sealed from "{service}".data_key order by made_at limit 1) union all'  # noqa: S608
                f' (select id, sealed from "{service}".data_key order by made_at desc limit 1)'
            )
            for row in rows:
                vault.load_data_key(row["id"], row["sealed"])
                checked += 1
    finally:
        await connection.close()
    return checked


async def rewrap_keys(
    dsn: str, vault: Vault, told: Callable[[str, int, int], None]
) -> dict[str, int]:
    """Seal every stored data key under the newest master key; rows stay as they are.

    Batch by batch, and harmless to break off or to repeat: what is done already is passed over.
    """
    newest = vault.new_data_key().sealed[_MASTER_ID]
    done: dict[str, int] = {}
    connection = await connect_once(dsn)
    try:
        for service in await _read_tables(connection):
            done[service] = 0
            total = await connection.fetchval(f'select count(*) from "{service}".data_key')  # noqa: S608
            last, seen = UUID(int=0), 0
            while rows := await connection.fetch(
                f'select id, sealed from "{service}".data_key where id > $1'  # noqa: S608
                " order by id limit $2",
                last,
                _BATCH,
            ):
                last, seen = rows[-1]["id"], seen + len(rows)
                stale = [row for row in rows if row["sealed"][_MASTER_ID] != newest]
                await connection.execute(
                    f'update "{service}".data_key k set sealed = n.sealed'  # noqa: S608
                    " from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as n (id, sealed, before)"
                    " where k.id = n.id and k.sealed = n.before",
                    [row["id"] for row in stale],
                    [vault.rewrap(row["sealed"]) for row in stale],
                    [row["sealed"] for row in stale],
                )
                done[service] += len(stale)
                told(service, seen, total)
    finally:
        await connection.close()
    return done
