"""What all operations of identity stand on: hashes, data keys, limits, the log."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.identity import Act, Actor, Origin, Person, Session, SessionStage
from vendrail.identity import decide
from vendrail.identity.hashing import Passwords
from vendrail.identity.settings import IdentitySettings
from vendrail.identity.store import acts, people, sessions
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.http.addresses import limit_key
from vendrail.kernel.ids import new_id
from vendrail.kernel.limits import Limits
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.passkeys import read_site
from vendrail.kernel.vault import Vault

_DATA_KEY_LIFE = timedelta(hours=1)
_FACTOR_LIFE = timedelta(minutes=15)  # Between the password and the second factor.
_AGENT_LENGTH_MAX = 300


class Ground:
    """Shared by the operations of one process."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        limits: Limits,
        settings: IdentitySettings,
    ) -> None:
        self.db = db
        self.vault = vault
        self.clock = clock
        self.wakeups = wakeups
        self.settings = settings
        self.passwords = Passwords(vault, settings)
        self.site = read_site(settings.public_url)
        self._address = limits.shared("identity_address", settings.tries_per_address_max, 300)
        self._account = limits.shared("identity_account", settings.tries_per_account_max, 900)
        self.data_keys = DataKeys(db, vault, clock, life=_DATA_KEY_LIFE)

    def hash(self, kind: str, text: str) -> bytes:
        """Hash a token, code or device: found again, and good for nothing by itself."""
        return self.vault.keyed_hash(f"identity.{kind}", text.encode())

    def new_token(self, kind: str) -> tuple[str, bytes]:
        """Make a random token and the hash that is kept of it."""
        token = secrets.token_urlsafe(32)
        return token, self.hash(kind, token)

    async def wait_for(self, origin: Origin, account: str) -> float:
        """Count a try from a network and at an account: 0, or the seconds to wait before it."""
        return await self.wait_at(origin) or await self._account.take(account)

    async def wait_at(self, origin: Origin) -> float:
        """Count a try from a network: 0, or the seconds to wait before it."""
        return await self._address.take(limit_key(origin.address)) if origin.address else 0.0

    async def write_acts(self, tx: Transaction, written: Sequence[Act]) -> set[UUID]:
        """Write acts with the change that they tell of."""
        now = self.clock.now()
        added = await acts.add_acts(tx, [replace(act, at=now) for act in written])
        if added:
            self.wakeups.wake("identity")
        return added

    def act(
        self,
        by: Actor,
        act: str,
        subject: str,
        merchant: UUID | None = None,
        *,
        before: dict[str, str] | None = None,
        after: dict[str, str] | None = None,
        reason: str = "",
    ) -> Act:
        """Make an act of this moment."""
        id = new_id(self.clock.now())
        return Act(id, by, act, subject, merchant, before or {}, after or {}, reason)

    async def begin_session(
        self, tx: Transaction, person: Person, origin: Origin, *, is_proven: bool = False
    ) -> tuple[str, Session]:
        """Begin a session as far as a password leads; give its token.

        `is_proven`: the second factor, if there is one, has been shown as well.
        """
        now = self.clock.now()
        stage = SessionStage.OPEN
        if person.has_second_factor and not is_proven:
            stage = SessionStage.FACTOR
        elif decide.needs_factor(person) and not person.has_second_factor:
            stage = SessionStage.ENROLMENT
        token, token_hash = self.new_token("token")
        device_hash = self.hash("device", origin.device)
        first = next((each.merchant for each in person.memberships if each.merchant), None)
        session = Session(
            new_id(now),
            person,
            stage,
            first,
            now,
            now,
            self.session_end(stage, now),
            now,
            replace(origin, agent=origin.agent[:_AGENT_LENGTH_MAX], device=""),
        )
        await sessions.add_session(tx, session, device_hash, token_hash)
        if stage is SessionStage.OPEN:
            await self.welcome(tx, person, device_hash)
        return token, session

    def session_end(self, stage: SessionStage, begun_at: datetime) -> datetime:
        """Say when a session ends, however busy."""
        if stage is SessionStage.OPEN:
            return begun_at + timedelta(hours=self.settings.session_hours_max)
        return begun_at + _FACTOR_LIFE

    async def welcome(self, tx: Transaction, person: Person, device_hash: bytes) -> None:
        """Remember that a person is in, and from which browser."""
        now = self.clock.now()
        await people.count_success(tx, person.id, now)
        if device_hash != self.hash("device", ""):
            await people.put_device(tx, person.id, device_hash, now)
