"""Sessions that tokens open, for each service that signs somebody in.

A token is replaced by and by. Every token a session ever had is kept: one that was replaced, and
comes again after the grace, is somebody else's copy. Such a service has in its own schema
`session (id, seen_at, ends_at, rotated_at, …)` and `token (token_hash, session, made_at, used_at,
replaced_at)`, whose rows go with their session's; what else a session is stands in its own store.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.kernel.db import Transaction

GRACE = timedelta(seconds=30)  # Requests that were on their way when a token was replaced.
_SEEN_STEP = timedelta(seconds=60)


class Shown(NamedTuple):
    """A token that was shown, and when its session did what."""

    token_hash: bytes
    session: UUID
    seen_at: datetime
    ends_at: datetime
    rotated_at: datetime
    used_at: datetime | None
    replaced_at: datetime | None

    def is_copied(self, now: datetime) -> bool:
        """Whether it came again long after another took its place: somebody else has a copy."""
        return self.replaced_at is not None and now - self.replaced_at > GRACE

    def is_live(self, now: datetime, idle_max: timedelta) -> bool:
        """Whether it opens its session."""
        is_idle = now - self.seen_at > idle_max
        return self.ends_at > now and not is_idle and not self.is_copied(now)

    def is_due(self, now: datetime, period: timedelta) -> bool:
        """Whether it is to be replaced: not one that has been, and is in its grace."""
        return self.replaced_at is None and now - self.rotated_at >= period


class Upkeep(NamedTuple):
    """What reading sessions changes in them."""

    unused: Sequence[bytes]  # Tokens that are used for the first time.
    seen: Sequence[UUID]
    due: Sequence[UUID]  # Sessions that get another token.


def upkeep(
    live: Iterable[Shown], renewing: Collection[bytes] | None, now: datetime, period: timedelta
) -> Upkeep | None:
    """Say what is to be written of tokens that open sessions; None: nothing, mostly.

    `renewing`: whose browsers can be given another token now; None: all of them.
    """
    shown = list(live)
    unused = [each.token_hash for each in shown if each.used_at is None]
    seen = [each.session for each in shown if now - each.seen_at >= _SEEN_STEP]
    due = [
        each.session
        for each in shown
        if (renewing is None or each.token_hash in renewing) and each.is_due(now, period)
    ]
    return Upkeep(unused, seen, due) if unused or seen or due else None


class SessionTokens:
    """The statements that are the same for sessions of every kind."""

    def __init__(self, schema: str) -> None:
        self._session = f'"{schema}".session'
        self._token = f'"{schema}".token'

    async def add(
        self,
        tx: Transaction,
        session: UUID,
        token_hash: bytes,
        now: datetime,
        *,
        used_at: datetime | None = None,
    ) -> None:
        """Give a session one more token; the one before opens it until this one is used."""
        await tx.execute(
            f"insert into {self._token} (token_hash, session, made_at, used_at)"
            " values ($1, $2, $3, $4)",
            token_hash,
            session,
            now,
            used_at,
        )

    async def renew(self, tx: Transaction, session: UUID, token_hash: bytes, now: datetime) -> None:
        """Give a session its only token: none of before opens it any more."""
        await tx.execute(f"delete from {self._token} where session = $1", session)
        await self.add(tx, session, token_hash, now, used_at=now)

    async def keep_up(
        self,
        tx: Transaction,
        changes: Upkeep,
        now: datetime,
        period: timedelta,
        new_token: Callable[[], tuple[str, bytes]],
    ) -> dict[UUID, str]:
        """Write what reading has changed; give the tokens that sessions go on with."""
        if changes.unused:
            await self._use(tx, changes.unused, now)
        if changes.seen:
            await tx.execute(
                f"update {self._session} set seen_at = $2"
                " where id = any($1::uuid[]) and seen_at < $2",
                list(changes.seen),
                now,
            )
        fresh: dict[UUID, str] = {}
        if changes.due:
            for session in await self._claim(tx, changes.due, now - period, now):
                fresh[session], token_hash = new_token()
                await self.add(tx, session, token_hash, now)
        return fresh

    async def _use(self, tx: Transaction, hashes: Sequence[bytes], now: datetime) -> None:
        """Take tokens into use for the first time: those before them are replaced from now on."""
        await tx.execute(
            f"with used as (update {self._token} set used_at = $2"
            "  where token_hash = any($1::bytea[]) and used_at is null returning session, made_at)"
            f" update {self._token} t set replaced_at = $2 from used u"
            " where t.session = u.session and t.made_at < u.made_at and t.replaced_at is null",
            list(hashes),
            now,
        )

    async def _claim(
        self, tx: Transaction, sessions: Sequence[UUID], before: datetime, now: datetime
    ) -> set[UUID]:
        """Claim sessions for a new token: of several requests at once, one."""
        rows = await tx.fetch(
            f"update {self._session} set rotated_at = $3"
            " where id = any($1::uuid[]) and rotated_at <= $2 returning id",
            list(sessions),
            before,
            now,
        )
        return {row["id"] for row in rows}

    async def end(self, tx: Transaction, sessions: Sequence[UUID]) -> set[UUID]:
        """End sessions; their tokens go with them."""
        rows = await tx.fetch(
            f"delete from {self._session} where id = any($1::uuid[]) returning id", list(sessions)
        )
        return {row["id"] for row in rows}

    async def forget(self, tx: Transaction, now: datetime, sessions_max: int) -> int:
        """Delete some sessions that are over."""
        return await tx.execute(
            f"delete from {self._session} where id in ("
            f" select id from {self._session} where ends_at < $1 order by ends_at limit $2)",
            now,
            sessions_max,
        )
