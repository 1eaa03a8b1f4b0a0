"""All SQL of registrations: the policy, codes, applications, and accepted terms."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.identity import (
    Application,
    ApplicationQuery,
    ApplicationState,
    RegistrationMode,
    RegistrationPolicy,
)
from vendrail.kernel.db import Row, Transaction

_FIRST = UUID(int=0)


class NewRegistration(NamedTuple):
    """Somebody is asked for a code."""

    key: bytes
    email: str
    merchant_name: str
    terms_version: int
    code_hash: bytes


async def lock_policy(tx: Transaction) -> None:
    """Let one change of the policy through at a time."""
    await tx.execute("select pg_advisory_xact_lock(hashtext('identity.registration_policy'))")


async def load_policy(tx: Transaction) -> RegistrationPolicy:
    """Read what counts now."""
    row = await tx.fetch_row(
        "select mode, terms, terms_version, made_at, made_by from identity.registration_policy"
        " order by number desc limit 1"
    )
    if row is None:
        return RegistrationPolicy()
    mode = RegistrationMode(row["mode"])
    return RegistrationPolicy(
        mode, row["terms"], row["terms_version"], row["made_at"], row["made_by"]
    )


async def add_policy(tx: Transaction, policy: RegistrationPolicy) -> None:
    """Write what counts from now on."""
    await tx.execute(
        "insert into identity.registration_policy (mode, terms, terms_version, made_at, made_by)"
        " values ($1, $2, $3, $4, $5)",
        policy.mode,
        policy.terms,
        policy.terms_version,
        policy.made_at,
        policy.made_by,
    )


async def put_registration(tx: Transaction, new: NewRegistration, now: datetime) -> None:
    """Keep one code for an address and browser; a newer one takes its place."""
    await tx.execute(
        "insert into identity.registration as r"
        " (key, email, merchant_name, terms_version, code_hash, made_at)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (key) do update"
        "  set merchant_name = excluded.merchant_name, terms_version = excluded.terms_version,"
        "  code_hash = excluded.code_hash, made_at = excluded.made_at, tries = 0",
        *new,
        now,
    )


async def try_registration(tx: Transaction, key: bytes) -> Row | None:
    """Count a try and give the code it is compared with."""
    return await tx.fetch_row(
        "update identity.registration set tries = tries + 1 where key = $1 returning *", key
    )


async def drop_registration(tx: Transaction, key: bytes) -> None:
    """A code is good once."""
    await tx.execute("delete from identity.registration where key = $1", key)


async def forget_registrations(tx: Transaction, before: datetime, rows_max: int) -> int:
    """Delete codes that are too old to be of use."""
    return await tx.execute(
        "delete from identity.registration where key in"
        " (select key from identity.registration where made_at < $1 limit $2)",
        before,
        rows_max,
    )


async def need_factor(tx: Transaction, person: UUID) -> None:
    """Let a person set a second factor up before anything else."""
    await tx.execute("update identity.person set needs_second_factor = true where id = $1", person)


async def accept_terms(
    tx: Transaction, merchant: UUID, version: int, person: UUID, now: datetime
) -> None:
    """Keep which terms a merchant has accepted."""
    await tx.execute(
        "insert into identity.acceptance (merchant, terms_version, person, at)"
        " values ($1, $2, $3, $4) on conflict do nothing",
        merchant,
        version,
        person,
        now,
    )


async def add_application(tx: Transaction, new: Application) -> None:
    """Write an application; whoever waits already waits once, under the newest name."""
    await tx.execute(
        "insert into identity.application"
        " (id, email, name, merchant_name, locale, terms_version, made_at)"
        " values ($1, $2, $3, $4, $5, $6, $7) on conflict (email) where state = 'waiting'"
        " do update set name = excluded.name, merchant_name = excluded.merchant_name,"
        "  terms_version = excluded.terms_version",
        new.id,
        new.email,
        new.name,
        new.merchant_name,
        new.locale,
        new.terms_version,
        new.made_at,
    )


async def list_applications(tx: Transaction, query: ApplicationQuery) -> list[Application]:
    """Read a page of applications, the oldest first."""
    rows = await tx.fetch(
        "select * from identity.application where state = $1 and id > $2 order by id limit $3",
        query.state,
        query.after or _FIRST,
        query.applications_max,
    )
    return [_application(row) for row in rows]


async def load_applications(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Application]:
    """Read applications."""
    rows = await tx.fetch(
        "select * from identity.application where id = any($1::uuid[])", list(ids)
    )
    return {row["id"]: _application(row) for row in rows}


async def decide_application(
    tx: Transaction, id: UUID, state: ApplicationState, reason: str, by: str, now: datetime
) -> bool:
    """Write what became of an application; false: it waits no more."""
    count = await tx.execute(
        "update identity.application set state = $2, reason = $3, decided_by = $4, decided_at = $5"
        " where id = $1 and state = 'waiting'",
        id,
        state,
        reason,
        by,
        now,
    )
    return count == 1


def _application(row: Row) -> Application:
    return Application(
        row["id"],
        row["email"],
        row["name"],
        row["merchant_name"],
        row["locale"],
        row["terms_version"],
        row["made_at"],
        ApplicationState(row["state"]),
        row["reason"],
        row["decided_by"],
    )
