"""Registering: merchants who come by themselves prove their address, then open or apply."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from vendrail.api.identity import (
    Actor,
    ActorKind,
    Application,
    ApplicationQuery,
    ApplicationState,
    ApplicationVerdict,
    ChangeStatus,
    Invitation,
    InviteStatus,
    Merchant,
    PolicyStatus,
    ProofStatus,
    RegistrationChange,
    RegistrationEntry,
    RegistrationMode,
    RegistrationPolicy,
    RegistrationRequest,
    RegistrationResult,
    RegistrationStatus,
    RequestStatus,
    Role,
)
from vendrail.api.notify import Message
from vendrail.identity import decide, passwords
from vendrail.identity.service.joining import JoiningService
from vendrail.identity.store import people, registrations
from vendrail.identity.store.registrations import NewRegistration
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.errors import Error
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.vault import is_same

_log = structlog.get_logger(__name__)

_CODES = 10**8
_TRIES_MAX = 5
_LIFE = timedelta(minutes=15)
_KEPT = timedelta(days=1)
_TERMS_LENGTH_MAX = 100_000
_APPLICATIONS_MAX = 200
_FORGOTTEN_MAX = 2_000
_WHY = {
    ProofStatus.TOO_SHORT: RegistrationStatus.TOO_SHORT,
    ProofStatus.TOO_LONG: RegistrationStatus.TOO_LONG,
    ProofStatus.TOO_COMMON: RegistrationStatus.TOO_COMMON,
}


class _AddressTaken(Exception):
    """Somebody has the address by now: what was written with it is rolled back."""


class RegisteringService(JoiningService):
    """Lets merchants come by themselves, as far as the policy says."""

    async def read_registration_policy(self) -> RegistrationPolicy:
        """Read who may become a merchant, and on which terms."""
        async with self._ground.db.reading() as tx:
            return await registrations.load_policy(tx)

    async def change_registration(
        self, changes: Sequence[RegistrationChange]
    ) -> list[PolicyStatus]:
        """Change the policy; other terms are the next version."""
        return [await self._change_policy(change) for change in changes]

    async def _change_policy(self, change: RegistrationChange) -> PolicyStatus:
        ground, terms = self._ground, change.terms.strip()
        async with ground.db.transaction() as tx:
            await registrations.lock_policy(tx)
            before = await registrations.load_policy(tx)
            status = decide.policy(change, terms, before, _TERMS_LENGTH_MAX)
            if status is not PolicyStatus.CHANGED:
                return status
            version = before.terms_version + (terms != before.terms)
            now, by = ground.clock.now(), change.by.name
            await registrations.add_policy(
                tx, RegistrationPolicy(change.mode, terms, version, now, by)
            )
            act = ground.act(
                change.by,
                "registration.changed",
                "registration",
                before={"mode": before.mode, "terms_version": str(before.terms_version)},
                after={"mode": change.mode, "terms_version": str(version)},
                reason=change.reason,
            )
            await ground.write_acts(tx, [act])
        return PolicyStatus.CHANGED

    async def request_registrations(
        self, requests: Sequence[RegistrationRequest]
    ) -> list[RequestStatus]:
        """Send codes; what is done is the same whether or not somebody has the address."""
        return [await self._ask(request) for request in requests]

    async def _ask(self, request: RegistrationRequest) -> RequestStatus:
        ground, now = self._ground, self._ground.clock.now()
        email = decide.clean_email(request.email)
        name = " ".join(request.merchant_name.split())
        policy = await self.read_registration_policy()
        if policy.mode is RegistrationMode.INVITATION:
            return RequestStatus.CLOSED
        if email is None:
            return RequestStatus.EMAIL_MALFORMED
        if not 0 < len(name) <= decide.NAME_LENGTH_MAX or not name.isprintable():
            return RequestStatus.NAME_MALFORMED
        if request.terms_version != policy.terms_version:
            return RequestStatus.TERMS_DIFFER
        if await ground.wait_for(request.origin, f"register:{email}"):
            return RequestStatus.LIMITED
        key, code = self._key(email, request.origin.device), f"{secrets.randbelow(_CODES):08}"
        async with ground.db.transaction() as tx:
            is_known = email in await people.load_accounts(tx, [email])
            # For whom it is no code it is one that nobody is told.
            told = secrets.token_hex(16) if is_known else code
            new = NewRegistration(key, email, name, policy.terms_version, self._hash(email, told))
            await registrations.put_registration(tx, new, now)
        url = ground.settings.public_url.rstrip("/")
        letter = Message(
            new_id(now),
            email,
            "registration_known" if is_known else "registration_code",
            request.locale,
            {"link": f"{url}/console/sign-in"}
            if is_known
            else {"code": code, "minutes": str(int(_LIFE.total_seconds()) // 60)},
            stream=UUID(bytes=key[:16]),  # A newer code takes the place of an older one.
        )
        await self._notify.send_messages([letter])
        return RequestStatus.SENT

    def _key(self, email: str, device: str) -> bytes:
        return self._ground.hash("registration", f"{email}\x1f{device}")

    def _hash(self, email: str, code: str) -> bytes:
        return self._ground.hash("registration_code", f"{email}\x1f{code}")

    async def register_merchants(
        self, entries: Sequence[RegistrationEntry]
    ) -> list[RegistrationResult]:
        """Take codes: each opens one merchant, or makes one application."""
        return [await self._enter(entry) for entry in entries]

    async def _enter(self, entry: RegistrationEntry) -> RegistrationResult:
        ground = self._ground
        policy = await self.read_registration_policy()
        email = decide.clean_email(entry.email)
        if email is None or policy.mode is RegistrationMode.INVITATION:
            return RegistrationResult(RegistrationStatus.REFUSED)
        if await ground.wait_for(entry.origin, f"registering:{email}"):
            return RegistrationResult(RegistrationStatus.LIMITED)
        if policy.mode is RegistrationMode.OPEN:
            judged = passwords.judge(entry.password, email, entry.name, ground.settings.site_name)
            if judged is not ProofStatus.ACCEPTED:
                return RegistrationResult(_WHY[judged])
        row = await self._redeem(email, entry)
        if row is None:  # Before anything that costs: guesses at the door are many.
            return RegistrationResult(RegistrationStatus.REFUSED)
        stored = ""
        if policy.mode is RegistrationMode.OPEN:
            stored = await ground.passwords.hash(entry.password)
        try:
            async with ground.db.transaction() as tx:
                await registrations.drop_registration(tx, row["key"])
                if policy.mode is RegistrationMode.APPROVAL:
                    return await self._keep_application(tx, row, entry)
                return await self._open_merchant(tx, row, entry, stored)
        except _AddressTaken:
            return RegistrationResult(RegistrationStatus.REFUSED)

    async def _redeem(self, email: str, entry: RegistrationEntry) -> Row | None:
        """Give the registration that a code proves; a wrong one is counted, whatever follows."""
        ground, now = self._ground, self._ground.clock.now()
        async with ground.db.transaction() as tx:
            row = await registrations.try_registration(tx, self._key(email, entry.origin.device))
        given = self._hash(email, "".join(entry.code.split()))
        is_right = row is not None and is_same(row["code_hash"], given)
        if row is None or not is_right or row["tries"] > _TRIES_MAX:
            return None
        return row if now - row["made_at"] <= _LIFE else None

    async def _keep_application(
        self, tx: Transaction, row: Row, entry: RegistrationEntry
    ) -> RegistrationResult:
        ground, now = self._ground, self._ground.clock.now()
        email = row["email"]
        new = Application(
            new_id(now),
            email,
            decide.clean_name(entry.name, email),
            row["merchant_name"],
            entry.locale,
            row["terms_version"],
            now,
        )
        await registrations.add_application(tx, new)
        by = Actor(ActorKind.SYSTEM, None, email, replace(entry.origin, device=""))
        told = {"name": new.merchant_name, "terms_version": str(new.terms_version)}
        act = ground.act(by, "merchant.applied", f"person:{email}", after=told)
        await ground.write_acts(tx, [act])
        return RegistrationResult(RegistrationStatus.APPLIED)

    async def _open_merchant(
        self, tx: Transaction, row: Row, entry: RegistrationEntry, stored: str
    ) -> RegistrationResult:
        ground, now = self._ground, self._ground.clock.now()
        email, merchant, person = row["email"], new_id(now), new_id(now)
        name = decide.clean_name(entry.name, email)
        if not await people.add_person(tx, person, email, name, entry.locale, stored, now):
            raise _AddressTaken
        await people.put_merchants(tx, [Merchant(merchant, row["merchant_name"])])
        await people.put_membership(tx, person, merchant, Role.OWNER, now)
        await registrations.need_factor(tx, person)
        await registrations.accept_terms(tx, merchant, row["terms_version"], person, now)
        joined = (await people.load_people(tx, [person]))[person]
        token, session = await ground.begin_session(tx, joined, entry.origin)
        by = Actor(ActorKind.PERSON, person, email, session.origin)
        told = {"name": row["merchant_name"], "terms_version": str(row["terms_version"])}
        act = ground.act(by, "merchant.registered", f"person:{email}", merchant, after=told)
        await ground.write_acts(tx, [act])
        return RegistrationResult(RegistrationStatus.REGISTERED, token)

    async def list_applications(
        self, queries: Sequence[ApplicationQuery]
    ) -> list[list[Application]]:
        """List applications, the oldest first."""
        bounded = [
            replace(each, applications_max=max(0, min(each.applications_max, _APPLICATIONS_MAX)))
            for each in queries
        ]
        async with self._ground.db.reading() as tx:
            return [await registrations.list_applications(tx, each) for each in bounded]

    async def decide_applications(
        self, verdicts: Sequence[ApplicationVerdict]
    ) -> list[ChangeStatus]:
        """Invite whoever applied, or refuse them."""
        return [await self._decide(verdict) for verdict in verdicts]

    async def _decide(self, verdict: ApplicationVerdict) -> ChangeStatus:
        ground, now = self._ground, self._ground.clock.now()
        async with ground.db.reading() as tx:
            known = (await registrations.load_applications(tx, [verdict.application])).get(
                verdict.application
            )
        if known is None:
            return ChangeStatus.NOT_FOUND
        if known.state is not ApplicationState.WAITING:
            return ChangeStatus.UNCHANGED
        if (known.merchant_name, known.terms_version) != (
            verdict.merchant_name,
            verdict.terms_version,
        ):
            return ChangeStatus.DIFFERENT
        if verdict.is_accepted:
            # The link's id is the application's: whoever breaks off here invites once.
            merchant = derive(known.id, "merchant")
            [invited] = await self.invite_people(
                [
                    Invitation(
                        known.id,
                        known.email,
                        merchant,
                        Role.OWNER,
                        verdict.by,
                        known.locale,
                        known.merchant_name,
                    )
                ]
            )
            if invited.status not in (InviteStatus.INVITED, InviteStatus.EXISTS):
                return ChangeStatus.NOT_ALLOWED
        state = ApplicationState.INVITED if verdict.is_accepted else ApplicationState.REFUSED
        async with ground.db.transaction() as tx:
            is_new = await registrations.decide_application(
                tx, known.id, state, verdict.reason, verdict.by.name, now
            )
            if not is_new:
                return ChangeStatus.UNCHANGED
            act = ground.act(
                verdict.by,
                f"application.{state}",
                f"person:{known.email}",
                before={"state": known.state},
                after={"name": known.merchant_name},
                reason=verdict.reason,
            )
            await ground.write_acts(tx, [act])
        if not verdict.is_accepted:
            await self._tell_refused(known, verdict.reason)
        return ChangeStatus.CHANGED

    async def _tell_refused(self, known: Application, reason: str) -> None:
        id = derive(known.id, "refused")
        values = {"name": known.merchant_name, "reason": reason}
        letter = Message(id, known.email, "application_refused", known.locale, values)
        try:
            await self._notify.send_messages([letter])
        except Error as error:
            _log.warning("identity.not_mailed", application=str(known.id), error=error.message)

    async def forget_registrations(self) -> bool:
        """Delete codes that are over; true: there may be more."""
        ground = self._ground
        async with ground.db.transaction() as tx:
            before = ground.clock.now() - _KEPT
            count = await registrations.forget_registrations(tx, before, _FORGOTTEN_MAX)
        return count == _FORGOTTEN_MAX
