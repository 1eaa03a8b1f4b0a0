"""All SQL of domains. Whoever changes what a host stands for holds the host's lock."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.domains import Domain, DomainId, DomainState, Finding, ShopHost
from vendrail.domains.decide import Standing
from vendrail.kernel.db import Row, Transaction


def to_domain(row: Row) -> Domain:
    """Read a domain out of its row."""
    return Domain(
        DomainId(row["id"]),
        row["merchant"],
        row["shop"],
        row["host"],
        row["token"],
        DomainState(row["state"]),
        row["made_at"],
        Finding(row["finding"]),
        row["is_taken"],
        row["checked_at"],
        row["proven_at"],
        row["failing_since"],
        row["lost_at"],
    )


def to_standing(row: Row) -> Standing:
    """Read a domain out of its row, with how it is looked for."""
    return Standing(to_domain(row), row["failures"], row["next_check_at"])


async def lock_merchant(tx: Transaction, merchant: UUID) -> None:
    """Let nobody else add domains of a merchant until the end: they are counted."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('domains.merchant:' || $1, 0))",
        str(merchant),
    )


async def count_additions(tx: Transaction, merchant: UUID, since: datetime) -> int:
    """Count what a merchant has added since a moment, and forget what was before."""
    await tx.execute(
        "delete from domains.addition where merchant = $1 and at <= $2", merchant, since
    )
    count: int = await tx.fetch_value(
        "select count(*) from domains.addition where merchant = $1", merchant
    )
    return count


async def note_addition(tx: Transaction, merchant: UUID, now: datetime) -> None:
    """Write that a merchant has added a domain: removing it does not take this back."""
    await tx.execute("insert into domains.addition values ($1, $2)", merchant, now)


async def lock_host(tx: Transaction, host: str) -> None:
    """Let nobody else decide until the end whose a host is."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('domains.host:' || $1, 0))", host
    )


async def list_of_shop(tx: Transaction, shop: UUID) -> list[Row]:
    """Read the domains of a shop."""
    return await tx.fetch("select * from domains.domain where shop = $1", shop)


async def add(tx: Transaction, new: Domain, slug: str, next_check_at: datetime) -> None:
    """Write a claim."""
    await tx.execute(
        "insert into domains.domain (id, merchant, shop, slug, host, token, state, made_at,"
        "  finding, is_taken, next_check_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        new.id,
        new.merchant,
        new.shop,
        slug,
        new.host,
        new.token,
        new.state,
        new.made_at,
        new.finding,
        new.is_taken,
        next_check_at,
    )


async def read(tx: Transaction, id: UUID) -> Row | None:
    """Read one domain."""
    return await tx.fetch_row("select * from domains.domain where id = $1", id)


async def begin_check(
    tx: Transaction, id: UUID, merchant: UUID, before: datetime, now: datetime
) -> Row | None:
    """Take a domain that was last looked at before a moment; nobody else takes it meanwhile."""
    return await tx.fetch_row(
        "update domains.domain set checked_at = $4"
        " where id = $1 and merchant = $2 and (checked_at is null or checked_at <= $3) returning *",
        id,
        merchant,
        before,
        now,
    )


async def claim_due(tx: Transaction, now: datetime, again: datetime, rows_max: int) -> list[Row]:
    """Take domains whose proof is to be looked for; nobody else takes them for a while."""
    return await tx.fetch(
        "update domains.domain set next_check_at = $2 where id in (select id from domains.domain"
        "  where next_check_at <= $1 order by next_check_at limit $3 for update skip locked)"
        " returning *",
        now,
        again,
        rows_max,
    )


async def is_taken(tx: Transaction, host: str, id: UUID) -> bool:
    """Tell whether another claim on a host is the one that counts."""
    query = (
        "select exists (select from domains.domain"
        " where host = $1 and state = 'active' and id <> $2)"
    )
    return bool(await tx.fetch_value(query, host, id))


async def save(tx: Transaction, standing: Standing) -> None:
    """Write what a look has made of a domain."""
    domain = standing.domain
    await tx.execute(
        "update domains.domain set state = $2, finding = $3, is_taken = $4, checked_at = $5,"
        "  proven_at = $6, failing_since = $7, lost_at = $8, failures = $9, next_check_at = $10"
        " where id = $1",
        domain.id,
        domain.state,
        domain.finding,
        domain.is_taken,
        domain.checked_at,
        domain.proven_at,
        domain.failing_since,
        domain.lost_at,
        standing.failures,
        standing.next_check_at,
    )


async def hurry(tx: Transaction, host: str, now: datetime) -> None:
    """Have all claims on a host that matter to each other looked at at once: one has changed."""
    await tx.execute(
        "update domains.domain set next_check_at = least(next_check_at, $2)"
        " where host = $1 and (state = 'active' or is_taken)",
        host,
        now,
    )


async def remove(tx: Transaction, id: UUID, merchant: UUID) -> Row | None:
    """Delete a claim."""
    return await tx.fetch_row(
        "delete from domains.domain where id = $1 and merchant = $2 returning *", id, merchant
    )


async def list_of_merchants(tx: Transaction, merchants: Sequence[UUID]) -> list[Row]:
    """Read merchants' domains, the oldest first."""
    return await tx.fetch(
        "select * from domains.domain where merchant = any($1::uuid[]) order by made_at, id",
        list(merchants),
    )


async def list_hosts(tx: Transaction) -> list[ShopHost]:
    """Read all active domains."""
    rows = await tx.fetch(
        "select host, merchant, shop, slug from domains.domain where state = 'active'"
        " order by proven_at, id"
    )
    return [ShopHost(*row) for row in rows]


async def add_letter(tx: Transaction, id: UUID, domain: Domain, step: str, due: datetime) -> None:
    """Keep what is to be told, by letter or in the log; `step` says which."""
    await tx.execute(
        "insert into domains.letter (id, merchant, shop, host, step, due_at)"
        " values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        id,
        domain.merchant,
        domain.shop,
        domain.host,
        step,
        due,
    )


async def claim_letters(tx: Transaction, now: datetime, again: datetime, max_: int) -> list[Row]:
    """Take letters that are due; nobody else takes them for a while."""
    return await tx.fetch(
        "update domains.letter set due_at = $2 where id in (select id from domains.letter"
        " where due_at <= $1 order by due_at limit $3 for update skip locked) returning *",
        now,
        again,
        max_,
    )


async def drop_letters(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Forget letters that were handed on."""
    await tx.execute("delete from domains.letter where id = any($1::uuid[])", list(ids))
