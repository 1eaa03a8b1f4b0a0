"""Signing in, and the sessions that come of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.identity import (
    Actor,
    ActorKind,
    PersonState,
    ProofResult,
    ProofStatus,
    Session,
    SessionQuery,
    SessionStage,
    SignIn,
)
from vendrail.identity import decide
from vendrail.identity.service.ground import Ground
from vendrail.identity.store import people, sessions
from vendrail.identity.store.people import Account
from vendrail.identity.store.sessions import TokenRow
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Transaction
from vendrail.kernel.sessions import upkeep

_log = structlog.get_logger(__name__)

_NOBODY = UUID(int=0)
_FORGOTTEN_MAX = 2_000


class SigningService:
    """Sessions: begun by a password, replaced by and by, ended."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def sign_in(self, attempts: Sequence[SignIn]) -> list[ProofResult]:
        """Check passwords; each costs a tenth of a second, so one by one."""
        return [await self._sign_in(attempt) for attempt in attempts]

    async def _sign_in(self, attempt: SignIn) -> ProofResult:
        ground, origin = self._ground, attempt.origin
        email = decide.clean_email(attempt.email) or ""
        device_hash = ground.hash("device", origin.device)
        async with ground.db.reading() as tx:
            account = (await people.load_accounts(tx, [email])).get(email)
            person_id = account.person.id if account else _NOBODY
            is_known_device = await people.knows_device(tx, person_id, device_hash)
        counted = f"{email}|{device_hash.hex()}" if is_known_device else email
        wait_s = await ground.wait_for(origin, counted)
        if wait_s:
            return ProofResult(ProofStatus.LIMITED, wait_s=wait_s)
        is_right = await ground.passwords.check(
            account.password if account else None, attempt.password
        )
        if account is None or not is_right or account.person.state is not PersonState.ACTIVE:
            await self._refuse(person_id, account, attempt, is_right=is_right)
            return ProofResult(ProofStatus.REFUSED)
        return await self._accept(account, attempt)

    async def _refuse(
        self, person_id: UUID, account: Account | None, attempt: SignIn, *, is_right: bool
    ) -> None:
        """Count a wrong try. Where nobody is, the same statements find nothing."""
        ground = self._ground
        async with ground.db.transaction() as tx:
            is_locked_now = False
            if not is_right:
                is_locked_now = await people.count_failure(
                    tx, person_id, ground.settings.failures_max
                )
            if account is not None:
                by = Actor(ActorKind.SYSTEM, None, "sign-in", replace(attempt.origin, device=""))
                name = "person.locked" if is_locked_now else "session.refused"
                subject = f"person:{account.person.email}"
                await ground.write_acts(tx, [ground.act(by, name, subject)])

    async def _accept(self, account: Account, attempt: SignIn) -> ProofResult:
        ground, person = self._ground, account.person
        renewed = ""
        if ground.passwords.is_outdated(account.password):
            renewed = await ground.passwords.hash(attempt.password)
        async with ground.db.transaction() as tx:
            if renewed:
                await people.set_password(tx, person.id, renewed)
            token, session = await ground.begin_session(tx, person, attempt.origin)
            if session.stage is SessionStage.OPEN:
                by = actor_of(session)
                await ground.write_acts(
                    tx, [ground.act(by, "session.begun", f"session:{session.id}")]
                )
        return ProofResult(ProofStatus.ACCEPTED, token)

    async def read_sessions(self, queries: Sequence[SessionQuery]) -> list[Session | None]:
        """Give who comes with each token; some get a new token to go on with."""
        ground = self._ground
        now = ground.clock.now()
        hashes = [ground.hash("token", query.token) for query in queries]
        async with ground.db.reading() as tx:
            rows = await sessions.load_tokens(tx, hashes)
        live = {key: row for key, row in rows.items() if self._is_live(row, now)}
        copied = [row for row in rows.values() if row.shown.is_copied(now)]
        fresh = await self._keep_up(live, copied, now) if live or copied else {}
        found: list[Session | None] = []
        for key in hashes:
            row = live.get(key)
            if row is None:
                found.append(None)
            else:
                token = fresh.pop(row.session.id, "")
                found.append(replace(row.session, token=token))
        return found

    def _is_live(self, row: TokenRow, now: datetime) -> bool:
        idle_max = timedelta(minutes=self._ground.settings.session_idle_minutes_max)
        is_welcome = row.session.person.state is PersonState.ACTIVE
        return is_welcome and row.shown.is_live(now, idle_max)

    async def _keep_up(
        self, live: dict[bytes, TokenRow], copied: Sequence[TokenRow], now: datetime
    ) -> dict[UUID, str]:
        """Write what reading sessions changes: first uses, new tokens, times, ends."""
        ground = self._ground
        period = timedelta(minutes=ground.settings.session_rotate_minutes)
        changes = upkeep((row.shown for row in live.values()), None, now, period)
        if changes is None and not copied:
            return {}
        async with ground.db.transaction() as tx:
            if copied:
                await self._end_copied(tx, copied)
            if changes is None:
                return {}
            return await sessions.TOKENS.keep_up(
                tx, changes, now, period, lambda: ground.new_token("token")
            )

    async def _end_copied(self, tx: Transaction, copied: Sequence[TokenRow]) -> None:
        ground = self._ground
        gone = await sessions.TOKENS.end(tx, [row.session.id for row in copied])
        await ground.write_acts(
            tx,
            [
                ground.act(
                    Actor(ActorKind.SYSTEM, None, "sessions", row.session.origin),
                    "session.copied",
                    f"person:{row.session.person.email}",
                    reason="A token came again after it had been replaced.",
                )
                for row in copied
                if row.session.id in gone
            ],
        )
        _log.warning("identity.token_copied", sessions=[str(id) for id in gone])

    async def choose_merchants(self, choices: Sequence[tuple[UUID, UUID]]) -> list[bool]:
        """Remember (session, merchant): whose console is opened next; false: not theirs."""
        async with self._ground.db.transaction() as tx:
            return [await sessions.choose_merchant(tx, *choice) for choice in choices]

    async def choose_languages(self, choices: Sequence[tuple[UUID, str]]) -> list[bool]:
        """Remember (person, language): letters to them are written in it; false: nobody."""
        async with self._ground.db.transaction() as tx:
            return [await people.choose_language(tx, *choice) for choice in choices]

    async def list_sessions(self, of: Sequence[UUID]) -> list[list[Session]]:
        """List people's sessions, last seen first."""
        ground = self._ground
        now = ground.clock.now()
        idle_since = now - timedelta(minutes=ground.settings.session_idle_minutes_max)
        async with ground.db.reading() as tx:
            return [await sessions.list_sessions(tx, id, now, idle_since) for id in of]

    async def end_sessions(self, ended: Sequence[UUID]) -> list[bool]:
        """End sessions: their tokens open nothing from now on; true where one was open."""
        async with self._ground.db.transaction() as tx:
            gone = await sessions.TOKENS.end(tx, ended)
        return [id in gone for id in ended]

    async def end_all_sessions(self, of: Sequence[UUID]) -> list[int]:
        """Sign people out everywhere; how many sessions that were."""
        async with self._ground.db.transaction() as tx:
            return [await sessions.end_all(tx, id) for id in of]

    async def forget_sessions(self) -> bool:
        """Delete some sessions that are over; true: there are more."""
        ground = self._ground
        async with ground.db.reading() as tx:
            count = await sessions.TOKENS.forget(tx, ground.clock.now(), _FORGOTTEN_MAX)
        return count == _FORGOTTEN_MAX


def actor_of(session: Session) -> Actor:
    """Give a session's person as whoever acts."""
    return Actor(ActorKind.PERSON, session.person.id, session.person.email, session.origin)
