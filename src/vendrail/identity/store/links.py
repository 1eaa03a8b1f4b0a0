"""All SQL of the links by which people join, or set a password anew."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.identity import Link, LinkKind, Role
from vendrail.kernel.db import Row, Transaction

_LINK = (
    "select l.id, l.token_hash, l.kind, l.email, l.merchant, l.role, l.invited_by, l.made_at,"
    " l.ends_at, p.id is not null as is_known, coalesce(m.name, '') as merchant_name"
    " from identity.link l left join identity.person p on p.email = l.email"
    " left join identity.merchant m on m.id = l.merchant"
)


def _link(row: Row) -> Link:
    return Link(
        row["id"],
        LinkKind(row["kind"]),
        row["email"],
        row["merchant"],
        Role(row["role"]) if row["role"] else None,
        row["is_known"],
        row["invited_by"],
        row["made_at"],
        row["ends_at"],
        row["merchant_name"],
    )


async def add_link(tx: Transaction, link: Link, token_hash: bytes) -> bool:
    """Keep a link; false: its id is there. Earlier ones for the same thing are withdrawn."""
    await tx.execute(
        "update identity.link set used_at = $4 where used_at is null and email = $1 and kind = $2"
        " and merchant is not distinct from $3 and id <> $5",
        link.email,
        link.kind,
        link.merchant,
        link.made_at,
        link.id,
    )
    return (
        await tx.execute(
            "insert into identity.link"
            " (id, token_hash, kind, email, merchant, role, invited_by, made_at, ends_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (id) do nothing",
            link.id,
            token_hash,
            link.kind,
            link.email,
            link.merchant,
            link.role,
            link.invited_by,
            link.made_at,
            link.ends_at,
        )
        == 1
    )


async def load_links(tx: Transaction, hashes: Sequence[bytes], now: datetime) -> dict[bytes, Link]:
    """Load the links that are still good."""
    rows = await tx.fetch(
        _LINK + " where l.token_hash = any($1::bytea[]) and l.used_at is null and l.ends_at > $2",
        list(hashes),
        now,
    )
    return {row["token_hash"]: _link(row) for row in rows}


async def list_invitations(tx: Transaction, merchant: UUID | None, now: datetime) -> list[Link]:
    """List the open invitations of a place, the newest first."""
    rows = await tx.fetch(
        _LINK + " where l.merchant is not distinct from $1 and l.kind = 'invitation'"
        " and l.used_at is null and l.ends_at > $2 order by l.made_at desc limit 500",
        merchant,
        now,
    )
    return [_link(row) for row in rows]


async def use_link(tx: Transaction, link: UUID, now: datetime) -> bool:
    """Use a link up; false: a rival was faster, or it was withdrawn."""
    return (
        await tx.execute(
            "update identity.link set used_at = $2"
            " where id = $1 and used_at is null and ends_at > $2",
            link,
            now,
        )
        == 1
    )


async def withdraw(tx: Transaction, link: UUID, merchant: UUID | None, now: datetime) -> Row | None:
    """Withdraw an invitation of a place; give whose it was, and as what."""
    return await tx.fetch_row(
        "update identity.link set used_at = $3 where id = $1 and used_at is null"
        " and merchant is not distinct from $2 and kind = 'invitation' returning email, role",
        link,
        merchant,
        now,
    )
