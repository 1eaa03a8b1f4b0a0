"""All SQL of compliance."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.compliance import DossierQuery, DossierState, SubmitDossier
from vendrail.kernel.db import Row, Transaction

LIST_WAITING = (
    "select * from compliance.dossier where state = 'submitted'"
    " and (submitted_at, id) > (select coalesce(max(submitted_at), '-infinity'),"
    "  coalesce(max(id::text), '00000000-0000-0000-0000-000000000000')::uuid"
    "  from compliance.dossier where id = $1)"
    " order by submitted_at, id limit $2"
)
LIST_OF_MERCHANT = (
    "select * from compliance.dossier where merchant = $1 and ($2::uuid is null or id < $2)"
    " order by id desc limit $3"
)
_LIVE = "('draft', 'submitted', 'more_asked')"


class Sealed(NamedTuple):
    """Something that is kept sealed."""

    content: bytes
    key: UUID


class NewDocument(NamedTuple):
    """A document as it is kept."""

    id: UUID
    dossier: UUID
    kind: str
    media_type: str
    size: int
    sealed: Sealed


async def lock_terms(tx: Transaction) -> None:
    """Let nobody else write terms meanwhile."""
    await tx.execute("lock table compliance.terms in exclusive mode")


async def list_terms(tx: Transaction, rows_max: int) -> list[Row]:
    """Read the newest versions."""
    return await tx.fetch("select * from compliance.terms order by version desc limit $1", rows_max)


async def add_terms(
    tx: Transaction,
    version: int,
    bounds: bytes,
    now: datetime,
    *,
    is_asked: bool,
    currency: str,
    person: str,
    reason: str,
) -> None:
    """Write a version."""
    await tx.execute(
        "insert into compliance.terms values ($1, $2, $3, $4, $5, $6, $7)",
        version,
        is_asked,
        currency,
        bounds,
        now,
        person,
        reason,
    )


async def read_counting(tx: Transaction, merchants: Collection[UUID] | None) -> list[Row]:
    """Read the dossiers that count, of some merchants or (None) of all."""
    return await tx.fetch(
        "select merchant, tier, expires_on from compliance.dossier where state = 'accepted'"
        " and ($1::uuid[] is null or merchant = any($1))",
        list(merchants) if merchants is not None else None,
    )


async def lock_merchant(tx: Transaction, merchant: UUID) -> None:
    """Let nobody else write a merchant's dossiers meanwhile."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('compliance:' || $1::text, 0))",
        str(merchant),
    )


async def load_dossiers(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Row]:
    """Read dossiers by id."""
    rows = await tx.fetch("select * from compliance.dossier where id = any($1::uuid[])", list(ids))
    return {row["id"]: row for row in rows}


async def find_open(tx: Transaction, merchant: UUID) -> UUID | None:
    """Give a merchant's dossier that is open."""
    found: UUID | None = await tx.fetch_value(
        f"select id from compliance.dossier where merchant = $1 and state in {_LIVE}",  # noqa: S608 - a constant
        merchant,
    )
    return found


async def count_since(tx: Transaction, merchant: UUID, since: datetime) -> int:
    """Count the dossiers that a merchant has begun."""
    count: int = await tx.fetch_value(
        "select count(*) from compliance.dossier where merchant = $1 and made_at >= $2",
        merchant,
        since,
    )
    return count


async def put_draft(
    tx: Transaction,
    draft: tuple[UUID, UUID, int, str],
    sealed: Sealed,
    now: datetime,
    erase_at: datetime,
) -> None:
    """Write a dossier (its id, merchant, tier and country) with its fields."""
    await tx.execute(
        "insert into compliance.dossier as d (id, merchant, tier, country, state, made_at,"
        "  touched_at, sealed, data_key, erase_at)"
        " values ($1, $2, $3, $4, 'draft', $5, $5, $6, $7, $8) on conflict (id) do update set"
        "  tier = excluded.tier, country = excluded.country, touched_at = excluded.touched_at,"
        "  sealed = excluded.sealed, data_key = excluded.data_key, version = d.version + 1,"
        "  erase_at = excluded.erase_at",
        *draft,
        now,
        sealed.content,
        sealed.key,
        erase_at,
    )


async def touch(tx: Transaction, dossier: UUID, now: datetime, erase_at: datetime) -> None:
    """Write that something of a dossier is other than it was."""
    await tx.execute(
        "update compliance.dossier set version = version + 1, touched_at = $2, erase_at = $3"
        " where id = $1",
        dossier,
        now,
        erase_at,
    )


async def submit(tx: Transaction, dossier: UUID, now: datetime) -> None:
    """Write that a dossier is to be looked at; it is not deleted by time meanwhile."""
    await tx.execute(
        "update compliance.dossier set state = 'submitted', version = version + 1,"
        " submitted_at = $2, erase_at = null where id = $1",
        dossier,
        now,
    )


async def is_submitted(tx: Transaction, asked: SubmitDossier) -> bool:
    """Say whether a dossier stands as it does after being handed in so."""
    found: bool = await tx.fetch_value(
        "select exists (select from compliance.dossier where id = $1 and merchant = $2"
        " and state = 'submitted' and version = $3::int + 1)",
        asked.id,
        asked.merchant,
        asked.version,
    )
    return found


async def settle(
    tx: Transaction,
    dossier: UUID,
    state: DossierState,
    *,
    now: datetime,
    person: str,
    reasons: Sequence[str],
    note: str,
    checks: Sequence[str],
    expires_on: date | None,
    erase_at: datetime | None,
) -> None:
    """Write what a person has made of a dossier."""
    await tx.execute(
        "update compliance.dossier set state = $2, version = version + 1, decided_at = $3,"
        " decided_by = $4, reasons = $5, note = $6, checks = $7,"
        " expires_on = coalesce($8, expires_on), erase_at = $9,"
        " accepted_at = case when $2::text = 'accepted' then $3 else accepted_at end,"
        " ended_at = case when $2::text = 'revoked' then $3 end where id = $1",
        dossier,
        state,
        now,
        person,
        list(reasons),
        note,
        list(checks),
        expires_on,
        erase_at,
    )


async def replace_counting(
    tx: Transaction, merchant: UUID, now: datetime, erase_at: datetime
) -> None:
    """End the dossier that counted until now."""
    await tx.execute(
        "update compliance.dossier set state = 'replaced', version = version + 1, ended_at = $2,"
        " erase_at = $3 where merchant = $1 and state = 'accepted'",
        merchant,
        now,
        erase_at,
    )


async def list_dossiers(tx: Transaction, query: DossierQuery, rows_max: int) -> list[Row]:
    """Read a page of dossiers."""
    if query.merchant is None:
        return await tx.fetch(LIST_WAITING, query.after, rows_max)
    return await tx.fetch(LIST_OF_MERCHANT, query.merchant, query.after, rows_max)


async def count_waiting(tx: Transaction) -> tuple[int, datetime | None]:
    """Count what waits for a person, and since when."""
    [row] = await tx.fetch(
        "select count(*) as count, min(submitted_at) as since from compliance.dossier"
        " where state = 'submitted'"
    )
    return row["count"], row["since"]


async def count_tiers(tx: Transaction) -> dict[int, int]:
    """Count the merchants of each tier that was accepted."""
    rows = await tx.fetch(
        "select tier, count(*) as count from compliance.dossier where state = 'accepted' group by 1"
    )
    return {row["tier"]: row["count"] for row in rows}


# Documents.


async def list_documents(tx: Transaction, dossiers: Collection[UUID]) -> list[Row]:
    """Read what documents dossiers have, unopened."""
    return await tx.fetch(
        "select id, dossier, kind, media_type, size, added_at from compliance.document"
        " where dossier = any($1::uuid[]) order by dossier, id",
        list(dossiers),
    )


async def load_document(tx: Transaction, id: UUID, dossier: UUID) -> Row | None:
    """Read a document of a dossier."""
    rows = await tx.fetch(
        "select c.*, d.merchant from compliance.document c"
        " join compliance.dossier d on d.id = c.dossier where c.id = $1 and c.dossier = $2",
        id,
        dossier,
    )
    return rows[0] if rows else None


async def add_document(tx: Transaction, new: NewDocument, now: datetime) -> None:
    """Write a document."""
    await tx.execute(
        "insert into compliance.document values ($1, $2, $3, $4, $5, $6, $7, $8)",
        new.id,
        new.dossier,
        new.kind,
        new.media_type,
        new.size,
        new.sealed.content,
        new.sealed.key,
        now,
    )


async def remove_document(tx: Transaction, id: UUID, dossier: UUID) -> bool:
    """Delete a document."""
    count = await tx.execute(
        "delete from compliance.document where id = $1 and dossier = $2", id, dossier
    )
    return count == 1


# Ends, and letters.


async def claim_expired(tx: Transaction, today: date, rows_max: int) -> list[Row]:
    """Take dossiers whose day is over."""
    return await tx.fetch(
        "select * from compliance.dossier where state = 'accepted' and expires_on < $1"
        " order by expires_on limit $2 for update skip locked",
        today,
        rows_max,
    )


async def expire(tx: Transaction, id: UUID, now: datetime, erase_at: datetime) -> None:
    """Write that a dossier counts no more."""
    await tx.execute(
        "update compliance.dossier set state = 'expired', version = version + 1, ended_at = $2,"
        " erase_at = $3 where id = $1",
        id,
        now,
        erase_at,
    )


async def take_expiring(tx: Transaction, until: date, rows_max: int) -> list[Row]:
    """Take dossiers that end soon and whose merchants do not know yet, each once."""
    return await tx.fetch(
        "update compliance.dossier set is_warned = true where id in"
        " (select id from compliance.dossier where state = 'accepted' and expires_on < $1"
        "   and not is_warned order by expires_on limit $2 for update skip locked)"
        " returning id, merchant, expires_on",
        until,
        rows_max,
    )


async def erase(tx: Transaction, now: datetime, rows_max: int) -> int:
    """Delete what dossiers hold whose time is over; drafts go whole. Gives how many."""
    rows = await tx.fetch(
        "update compliance.dossier set sealed = null, data_key = null, note = '', erase_at = null"
        " where id in (select id from compliance.dossier where erase_at <= $1"
        "  order by erase_at limit $2 for update skip locked) returning id, state",
        now,
        rows_max,
    )
    ids = [row["id"] for row in rows]
    if ids:
        await tx.execute("delete from compliance.document where dossier = any($1::uuid[])", ids)
        await tx.execute(
            "delete from compliance.dossier where id = any($1::uuid[]) and state = 'draft'", ids
        )
        await tx.execute(
            "update compliance.dossier set state = 'refused', version = version + 1"
            " where id = any($1::uuid[]) and state = 'more_asked'",
            ids,
        )
    return len(ids)


async def add_letter(
    tx: Transaction, id: UUID, merchant: UUID, step: str, facts: bytes, now: datetime
) -> None:
    """Keep a letter that is to be written."""
    await tx.execute(
        "insert into compliance.letter values ($1, $2, $3, $4, $5) on conflict do nothing",
        id,
        merchant,
        step,
        facts,
        now,
    )


async def claim_letters(tx: Transaction, now: datetime, again: datetime, max_: int) -> list[Row]:
    """Take letters that are due; nobody else takes them for a while."""
    return await tx.fetch(
        "update compliance.letter set due_at = $2 where id in (select id from compliance.letter"
        " where due_at <= $1 order by due_at limit $3 for update skip locked) returning *",
        now,
        again,
        max_,
    )


async def drop_letters(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Forget letters that were handed on."""
    await tx.execute("delete from compliance.letter where id = any($1::uuid[])", list(ids))
