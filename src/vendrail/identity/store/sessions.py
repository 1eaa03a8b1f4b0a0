"""All SQL of sessions and their tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.identity import Origin, Person, Session, SessionStage
from vendrail.identity.store.people import read_person
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.sessions import SessionTokens, Shown

TOKENS = SessionTokens("identity")


class TokenRow(NamedTuple):
    """A token that was shown, with its session."""

    session: Session
    shown: Shown
    device_hash: bytes


_SESSION = (
    "select s.id, s.stage, s.merchant, s.begun_at, s.seen_at, s.ends_at, s.confirmed_at,"
    " s.rotated_at, s.address, s.agent, s.device_hash, d.document::text as document"
)


def _session(row: Row) -> Session:
    person: Person = read_person(row["document"])
    return Session(
        row["id"],
        person,
        SessionStage(row["stage"]),
        row["merchant"],
        row["begun_at"],
        row["seen_at"],
        row["ends_at"],
        row["confirmed_at"],
        Origin(row["address"], row["agent"]),
    )


async def load_tokens(tx: Transaction, hashes: Sequence[bytes]) -> dict[bytes, TokenRow]:
    """Load the sessions that tokens open, whatever has become of them."""
    rows = await tx.fetch(
        _SESSION + ", t.token_hash, t.used_at, t.replaced_at"
        " from identity.token t join identity.session s on s.id = t.session"
        " join identity.person_document d on d.id = s.person"
        " where t.token_hash = any($1::bytea[])",
        list(hashes),
    )
    return {
        row["token_hash"]: TokenRow(
            _session(row),
            Shown(
                row["token_hash"],
                row["id"],
                row["seen_at"],
                row["ends_at"],
                row["rotated_at"],
                row["used_at"],
                row["replaced_at"],
            ),
            row["device_hash"],
        )
        for row in rows
    }


async def list_sessions(
    tx: Transaction, person: UUID, now: datetime, idle_since: datetime
) -> list[Session]:
    """List a person's open sessions, last seen first."""
    rows = await tx.fetch(
        _SESSION + " from identity.session s join identity.person_document d on d.id = s.person"
        " where s.person = $1 and s.ends_at > $2 and s.seen_at > $3"
        " order by s.seen_at desc limit 200",
        person,
        now,
        idle_since,
    )
    return [_session(row) for row in rows]


async def add_session(
    tx: Transaction, session: Session, device_hash: bytes, token_hash: bytes
) -> None:
    """Begin a session with its first token."""
    await tx.execute(
        "insert into identity.session (id, person, stage, merchant, begun_at, seen_at, ends_at,"
        " confirmed_at, rotated_at, address, agent, device_hash)"
        " values ($1, $2, $3, $4, $5, $5, $6, $5, $5, $7, $8, $9)",
        session.id,
        session.person.id,
        session.stage,
        session.merchant,
        session.begun_at,
        session.ends_at,
        session.origin.address,
        session.origin.agent,
        device_hash,
    )
    await TOKENS.add(tx, session.id, token_hash, session.begun_at, used_at=session.begun_at)


async def renew(tx: Transaction, session: Session, token_hash: bytes, now: datetime) -> None:
    """Change what a session may do: no token of before opens it any more."""
    await tx.execute(
        "update identity.session set stage = $2, rotated_at = $3, seen_at = $3, ends_at = $4,"
        " confirmed_at = $5 where id = $1",
        session.id,
        session.stage,
        now,
        session.ends_at,
        session.confirmed_at,
    )
    await TOKENS.renew(tx, session.id, token_hash, now)


async def choose_merchant(tx: Transaction, session: UUID, merchant: UUID) -> bool:
    """Remember a session's merchant, if its person is a member there."""
    return (
        await tx.execute(
            "update identity.session s set merchant = $2 where s.id = $1 and exists ("
            " select from identity.membership m where m.person = s.person and m.merchant = $2)",
            session,
            merchant,
        )
        == 1
    )


async def end_all(tx: Transaction, person: UUID, but: UUID | None = None) -> int:
    """End all sessions of a person, but one."""
    return await tx.execute(
        "delete from identity.session where person = $1 and id is distinct from $2", person, but
    )
