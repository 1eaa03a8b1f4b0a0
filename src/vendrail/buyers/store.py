"""All SQL of buyers' accounts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.passkeys import PasskeyRows
from vendrail.kernel.sessions import SessionTokens, Shown

TOKENS = SessionTokens("buyers")
PASSKEYS = PasskeyRows("buyers", "buyer")
_SESSION = (
    "select s.*, b.email_sealed, b.data_key, b.locale, b.made_at as buyer_made_at"
    " from buyers.session s join buyers.buyer b on b.id = s.buyer"
)


async def put_codes(tx: Transaction, codes: Sequence[tuple[bytes, bytes]], now: datetime) -> None:
    """Keep one code for each address and browser; a newer one takes its place."""
    await tx.execute(
        "insert into buyers.code (key, code_hash, made_at)"
        " select k, h, $3 from unnest($1::bytea[], $2::bytea[]) as n (k, h)"
        " on conflict (key) do update"
        "  set code_hash = excluded.code_hash, made_at = excluded.made_at, tries = 0",
        *zip(*codes, strict=True),
        now,
    )


async def try_code(tx: Transaction, key: bytes) -> Row | None:
    """Count a try and give the code it is compared with."""
    return await tx.fetch_row(
        "update buyers.code set tries = tries + 1 where key = $1 returning *", key
    )


async def drop_code(tx: Transaction, key: bytes) -> None:
    """A code is good once."""
    await tx.execute("delete from buyers.code where key = $1", key)


async def find_buyer(tx: Transaction, email_hash: bytes) -> UUID | None:
    """Find a buyer by address."""
    row = await tx.fetch_row("select id from buyers.buyer where email_hash = $1", email_hash)
    return row["id"] if row is not None else None


async def add_buyer(
    tx: Transaction,
    id: UUID,
    email_hash: bytes,
    email_sealed: bytes,
    data_key: UUID,
    locale: str,
    now: datetime,
) -> UUID:
    """Write a buyer who is new; of two sign-ins at once both get the one who is there."""
    row = await tx.fetch_row(
        "insert into buyers.buyer"
        " (id, email_hash, email_sealed, data_key, locale, made_at, signed_in_at)"
        " values ($1, $2, $3, $4, $5, $6, $6)"
        " on conflict (email_hash) do update set signed_in_at = excluded.signed_in_at"
        " returning id",
        id,
        email_hash,
        email_sealed,
        data_key,
        locale,
        now,
    )
    assert row is not None
    found: UUID = row["id"]
    return found


async def welcome(tx: Transaction, buyer: UUID, now: datetime) -> None:
    """Remember that a buyer has signed in."""
    await tx.execute("update buyers.buyer set signed_in_at = $2 where id = $1", buyer, now)


async def choose_language(tx: Transaction, buyer: UUID, locale: str) -> bool:
    """Remember a buyer's language."""
    statement = "update buyers.buyer set locale = $2 where id = $1"
    return await tx.execute(statement, buyer, locale) == 1


async def delete_buyers(tx: Transaction, buyers: Sequence[UUID]) -> set[UUID]:
    """Delete buyers; what is theirs goes with them."""
    rows = await tx.fetch(
        "delete from buyers.buyer where id = any($1::uuid[]) returning id", list(buyers)
    )
    return {row["id"] for row in rows}


async def load_tokens(tx: Transaction, hashes: Sequence[bytes]) -> dict[bytes, Row]:
    """Load the sessions that tokens open, whatever has become of them."""
    rows = await tx.fetch(
        "select s.*, b.email_sealed, b.data_key, b.locale, b.made_at as buyer_made_at,"
        " t.token_hash, t.used_at, t.replaced_at"
        " from buyers.token t join buyers.session s on s.id = t.session"
        " join buyers.buyer b on b.id = s.buyer where t.token_hash = any($1::bytea[])",
        list(hashes),
    )
    return {row["token_hash"]: row for row in rows}


def shown(row: Row) -> Shown:
    """Give what is known of a token that was shown."""
    return Shown(
        row["token_hash"],
        row["id"],
        row["seen_at"],
        row["ends_at"],
        row["rotated_at"],
        row["used_at"],
        row["replaced_at"],
    )


async def list_sessions(
    tx: Transaction, buyer: UUID, now: datetime, idle_since: datetime
) -> list[Row]:
    """List a buyer's open sessions, last seen first."""
    return await tx.fetch(
        _SESSION + " where s.buyer = $1 and s.ends_at > $2 and s.seen_at > $3"
        " order by s.seen_at desc limit 100",
        buyer,
        now,
        idle_since,
    )


async def add_session(
    tx: Transaction,
    id: UUID,
    buyer: UUID,
    agent: str,
    token_hash: bytes,
    now: datetime,
    ends_at: datetime,
) -> None:
    """Begin a session with its first token."""
    await tx.execute(
        "insert into buyers.session"
        " (id, buyer, begun_at, seen_at, ends_at, confirmed_at, rotated_at, agent)"
        " values ($1, $2, $3, $3, $4, $3, $3, $5)",
        id,
        buyer,
        now,
        ends_at,
        agent,
    )
    await TOKENS.add(tx, id, token_hash, now, used_at=now)


async def confirm(tx: Transaction, session: UUID, token_hash: bytes, now: datetime) -> None:
    """Make a session fresh: no token of before opens it any more."""
    await tx.execute(
        "update buyers.session set confirmed_at = $2, rotated_at = $2, seen_at = $2 where id = $1",
        session,
        now,
    )
    await TOKENS.renew(tx, session, token_hash, now)


async def end_all(tx: Transaction, buyer: UUID) -> int:
    """End all sessions of a buyer."""
    return await tx.execute("delete from buyers.session where buyer = $1", buyer)


async def forget_proofs(
    tx: Transaction, codes_before: datetime, challenges_before: datetime, rows_max: int
) -> int:
    """Delete some codes and challenges that are over."""
    codes = await tx.execute(
        "delete from buyers.code where key in"
        " (select key from buyers.code where made_at < $1 order by made_at limit $2)",
        codes_before,
        rows_max,
    )
    challenges = await PASSKEYS.forget_challenges(tx, challenges_before, rows_max)
    return max(codes, challenges)
