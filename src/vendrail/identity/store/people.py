"""All SQL of people, memberships, merchants, devices and data keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.identity import Merchant, Person, Role
from vendrail.identity.decide import with_permissions
from vendrail.kernel.codec import decode
from vendrail.kernel.db import Row, Transaction

OPERATOR = UUID(int=0)  # As memberships name the operator of the platform.


class Account(NamedTuple):
    """A person, with what signing in needs."""

    person: Person
    password: str
    failed_count: int
    locked_by: str


def read_person(document: str) -> Person:
    """Read a person from their document."""
    return with_permissions(decode(document, Person))


async def load_accounts(tx: Transaction, emails: Sequence[str]) -> dict[str, Account]:
    """Load people by their addresses."""
    rows = await tx.fetch(
        "select d.document::text as document, p.email, p.password, p.failed_count, p.locked_by"
        " from identity.person p join identity.person_document d on d.id = p.id"
        " where p.email = any($1::text[])",
        list(emails),
    )
    return {row["email"]: _account(row) for row in rows}


async def load_account(tx: Transaction, person: UUID) -> Account | None:
    """Load one person by id."""
    row = await tx.fetch_row(
        "select d.document::text as document, p.email, p.password, p.failed_count, p.locked_by"
        " from identity.person p join identity.person_document d on d.id = p.id where p.id = $1",
        person,
    )
    return _account(row) if row else None


def _account(row: Row) -> Account:
    person = read_person(row["document"])
    return Account(person, row["password"], row["failed_count"], row["locked_by"])


async def load_people(tx: Transaction, people: Sequence[UUID]) -> dict[UUID, Person]:
    """Load people by id."""
    rows = await tx.fetch(
        "select id, document::text as document from identity.person_document"
        " where id = any($1::uuid[])",
        list(people),
    )
    return {row["id"]: read_person(row["document"]) for row in rows}


async def list_members(tx: Transaction, merchant: UUID | None) -> list[Person]:
    """List who works somewhere, by name."""
    rows = await tx.fetch(
        "select d.document::text as document from identity.membership m"
        " join identity.person_document d on d.id = m.person"
        " where m.merchant = $1 order by d.name, d.email limit 2000",
        merchant or OPERATOR,
    )
    return [read_person(row["document"]) for row in rows]


async def add_person(
    tx: Transaction, id: UUID, email: str, name: str, locale: str, password: str, now: datetime
) -> bool:
    """Add a person; false: their address is there already."""
    return (
        await tx.execute(
            "insert into identity.person (id, email, name, locale, password, created_at)"
            " values ($1, $2, $3, $4, $5, $6) on conflict (email) do nothing",
            id,
            email,
            name,
            locale,
            password,
            now,
        )
        == 1
    )


async def choose_language(tx: Transaction, person: UUID, locale: str) -> bool:
    """Remember the language that a person is written to in; false: nobody."""
    statement = "update identity.person set locale = $2 where id = $1"
    return await tx.execute(statement, person, locale) == 1


async def set_password(tx: Transaction, person: UUID, password: str) -> None:
    """Keep a new password hash; what was tried before is forgotten."""
    await tx.execute(
        "update identity.person set password = $2, failed_count = 0 where id = $1",
        person,
        password,
    )


async def set_locked(tx: Transaction, person: UUID, *, is_locked: bool, by: str) -> None:
    """Lock or unlock a person."""
    await tx.execute(
        "update identity.person set state = $2, locked_by = $3, failed_count = 0 where id = $1",
        person,
        "locked" if is_locked else "active",
        by if is_locked else "",
    )


async def count_failure(tx: Transaction, person: UUID, failures_max: int) -> bool:
    """Count a wrong password; true: it was the one that locks the person."""
    row = await tx.fetch_row(
        "update identity.person set failed_count = failed_count + 1,"
        " state = case when failed_count + 1 >= $2 then 'locked' else state end"
        " where id = $1 returning failed_count",
        person,
        failures_max,
    )
    return row is not None and row["failed_count"] == failures_max


async def count_success(tx: Transaction, person: UUID, now: datetime) -> None:
    """Remember that somebody signed in."""
    await tx.execute(
        "update identity.person set failed_count = 0, signed_in_at = $2 where id = $1", person, now
    )


async def put_membership(
    tx: Transaction, person: UUID, merchant: UUID | None, role: Role, now: datetime
) -> None:
    """Make a person a member, or give a member another role."""
    await tx.execute(
        "insert into identity.membership (person, merchant, role, created_at)"
        " values ($1, $2, $3, $4) on conflict (person, merchant) do update set role = $3",
        person,
        merchant or OPERATOR,
        role,
        now,
    )


async def remove_membership(tx: Transaction, person: UUID, merchant: UUID | None) -> None:
    """End a membership."""
    await tx.execute(
        "delete from identity.membership where person = $1 and merchant = $2",
        person,
        merchant or OPERATOR,
    )


async def lock_place(tx: Transaction, merchant: UUID | None) -> None:
    """Let one change to the members of a place through at a time: one head must stay."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('identity.place:' || $1, 0))",
        str(merchant or OPERATOR),
    )


async def put_merchants(tx: Transaction, merchants: Sequence[Merchant]) -> set[UUID]:
    """Name merchants; give those that are new."""
    rows = await tx.fetch(
        "insert into identity.merchant as m (id, name)"
        " select n.id, n.name from unnest($1::uuid[], $2::text[]) as n (id, name) order by n.id"
        " on conflict (id) do update set name = excluded.name returning m.id, m.xmax = 0 as is_new",
        [merchant.id for merchant in merchants],
        [merchant.name for merchant in merchants],
    )
    return {row["id"] for row in rows if row["is_new"]}


async def load_merchants(tx: Transaction, merchants: Sequence[UUID]) -> dict[UUID, str]:
    """Give merchants' names."""
    rows = await tx.fetch(
        "select id, name from identity.merchant where id = any($1::uuid[])", list(merchants)
    )
    return {row["id"]: row["name"] for row in rows}


async def list_merchants(
    tx: Transaction, merchants_max: int, after: Merchant | None
) -> list[Merchant]:
    """List merchants by name, those after one."""
    rows = await tx.fetch(
        "select id, name from identity.merchant"
        " where $2::uuid is null or (name, id) > ($3, $2) order by name, id limit $1",
        merchants_max,
        after.id if after else None,
        after.name if after else "",
    )
    return [Merchant(row["id"], row["name"]) for row in rows]


async def lock_person(tx: Transaction, person: UUID) -> None:
    """Let one change to what a person signs in by through at a time."""
    await tx.execute("select 1 from identity.person where id = $1 for update", person)


async def knows_device(tx: Transaction, person: UUID, device_hash: bytes) -> bool:
    """Whether the person has signed in from this browser before."""
    return bool(
        await tx.fetch_value(
            "select true from identity.device where person = $1 and device_hash = $2",
            person,
            device_hash,
        )
    )


async def put_device(tx: Transaction, person: UUID, device_hash: bytes, now: datetime) -> None:
    """Remember a browser from which a person has signed in."""
    await tx.execute(
        "insert into identity.device (person, device_hash, seen_at) values ($1, $2, $3)"
        " on conflict (person, device_hash) do update set seen_at = $3",
        person,
        device_hash,
        now,
    )


async def forget_devices(tx: Transaction, person: UUID) -> None:
    """Forget from which browsers a person has come."""
    await tx.execute("delete from identity.device where person = $1", person)
