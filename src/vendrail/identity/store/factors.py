"""All SQL of second factors and recovery codes."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Row, Transaction


async def load_factor(tx: Transaction, person: UUID) -> Row | None:
    """Load a person's second factor, in use or drafted, locked against a rival."""
    return await tx.fetch_row(
        "select data_key, sealed, step_last, draft_key, draft_sealed, draft_session, confirmed_at"
        " from identity.factor where person = $1 for update",
        person,
    )


async def put_draft(
    tx: Transaction, person: UUID, session: UUID, data_key: UUID, sealed: bytes
) -> None:
    """Keep a drafted secret beside the one in use."""
    await tx.execute(
        "insert into identity.factor as f (person, draft_key, draft_sealed, draft_session)"
        " values ($1, $2, $3, $4) on conflict (person) do update"
        " set draft_key = $2, draft_sealed = $3, draft_session = $4",
        person,
        data_key,
        sealed,
        session,
    )


async def use_draft(tx: Transaction, person: UUID, step: int, now: datetime) -> None:
    """Take the draft into use."""
    await tx.execute(
        "update identity.factor set data_key = draft_key, sealed = draft_sealed, step_last = $2,"
        " confirmed_at = $3, draft_key = null, draft_sealed = null, draft_session = null"
        " where person = $1",
        person,
        step,
        now,
    )


async def use_step(tx: Transaction, person: UUID, step: int) -> bool:
    """Use a time step up; false: a rival has used it, or a later one."""
    return (
        await tx.execute(
            "update identity.factor set step_last = $2 where person = $1 and step_last < $2",
            person,
            step,
        )
        == 1
    )


async def put_recovery_codes(tx: Transaction, person: UUID, hashes: Sequence[bytes]) -> None:
    """Put new recovery codes in the place of the old."""
    await tx.execute("delete from identity.recovery_code where person = $1", person)
    await tx.execute(
        "insert into identity.recovery_code (person, code_hash)"
        " select $1, h from unnest($2::bytea[]) as n (h)",
        person,
        list(hashes),
    )


async def use_recovery_code(tx: Transaction, person: UUID, code_hash: bytes, now: datetime) -> bool:
    """Use a recovery code up; false: there is none such left."""
    return (
        await tx.execute(
            "update identity.recovery_code set used_at = $3"
            " where person = $1 and code_hash = $2 and used_at is null",
            person,
            code_hash,
            now,
        )
        == 1
    )


async def remove_factors(tx: Transaction, person: UUID) -> bool:
    """Take app, passkeys and recovery codes off; true where one of the first two was."""
    await tx.execute("delete from identity.recovery_code where person = $1", person)
    passkeys = await tx.execute("delete from identity.passkey where person = $1", person)
    return await tx.execute("delete from identity.factor where person = $1", person) + passkeys > 0
