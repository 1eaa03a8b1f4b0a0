"""Passkeys of people: made after a fresh proof, shown to sign in or to prove who is there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.identity import (
    Actor,
    ActorKind,
    Person,
    PersonState,
    ProofResult,
    ProofStatus,
    SessionStage,
    StaffPasskey,
    StaffPasskeyAsk,
    StaffPasskeyDrop,
    StaffPasskeyEntry,
    StaffPasskeyOptions,
    StaffPasskeyProof,
    StaffPasskeyPurpose,
    StaffPasskeyResult,
    StaffPasskeyStatus,
)
from vendrail.api.notify import Message, Notify
from vendrail.identity.service.ground import Ground
from vendrail.identity.service.proving import ProvingService
from vendrail.identity.service.signing import actor_of
from vendrail.identity.store import people, sessions
from vendrail.identity.store.passkeys import PASSKEYS, find_person
from vendrail.identity.store.sessions import TokenRow
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.errors import Error
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.passkeys import Claim, ceremonies

_log = structlog.get_logger(__name__)

_REFUSED = ProofResult(ProofStatus.REFUSED)
_FORGOTTEN_MAX = 2_000


class PasskeysService(ProvingService):
    """The operations on people's passkeys; each device must know who holds it."""

    def __init__(self, ground: Ground, notify: Notify) -> None:
        ProvingService.__init__(self, ground)
        self._notify = notify

    def _challenge_key(
        self, challenge: bytes, purpose: StaffPasskeyPurpose, device: str, session: UUID | None
    ) -> bytes:
        """Name a challenge by all that it is bound to: what it is for, the browser, its session."""
        parts = (challenge.hex(), purpose.value, device, str(session or ""))
        return self._ground.hash("challenge", "\x1f".join(parts))

    async def _take(self, tx: Transaction, key: bytes) -> bool:
        """Use a challenge up, whatever comes of it; whether it was good."""
        ground = self._ground
        made_at = await PASSKEYS.take_challenge(tx, key)
        life = timedelta(seconds=ground.settings.challenge_s)
        return made_at is not None and ground.clock.now() - made_at <= life

    async def ask_passkeys(self, asks: Sequence[StaffPasskeyAsk]) -> list[StaffPasskeyOptions]:
        """Give what browsers need; few and each its own, so one by one."""
        return [await self._ask_passkey(ask) for ask in asks]

    async def _ask_passkey(self, ask: StaffPasskeyAsk) -> StaffPasskeyOptions:
        ground, site = self._ground, self._ground.site
        if await ground.wait_at(ask.origin):
            return StaffPasskeyOptions(StaffPasskeyStatus.LIMITED)
        is_making = ask.purpose is StaffPasskeyPurpose.MAKE
        row = None
        if ask.purpose is not StaffPasskeyPurpose.SIGN_IN:
            row = await self._row(ask.token)
            if row is None or not (self._may_set(row) if is_making else _may_prove(row)):
                return StaffPasskeyOptions(StaffPasskeyStatus.REFUSED)
        if site is None:
            return StaffPasskeyOptions(StaffPasskeyStatus.REFUSED)
        person = row.session.person if row else None
        async with ground.db.reading() as tx:
            own = await PASSKEYS.list_of(tx, [person.id]) if person else []
        if is_making and len(own) >= ground.settings.passkeys_max:
            return StaffPasskeyOptions(StaffPasskeyStatus.FULL)
        if not is_making and person is not None and not own:
            return StaffPasskeyOptions(StaffPasskeyStatus.REFUSED)
        challenge, session = ceremonies.new_challenge(), row.session.id if row else None
        key = self._challenge_key(challenge, ask.purpose, ask.origin.device, session)
        async with ground.db.transaction() as tx:
            await PASSKEYS.add_challenge(tx, key, ground.clock.now())
        ids, wait_s = [each["credential_id"] for each in own], ground.settings.challenge_s
        if is_making and person is not None:
            options = ceremonies.make_options(
                site,
                ground.settings.site_name,
                challenge,
                (person.id.bytes, person.email),
                ids,
                wait_s,
                is_verified=True,
            )
        else:
            options = ceremonies.prove_options(site, challenge, wait_s, ids, is_verified=True)
        return StaffPasskeyOptions(StaffPasskeyStatus.DONE, options)

    async def add_passkeys(self, entries: Sequence[StaffPasskeyEntry]) -> list[StaffPasskeyResult]:
        """Add passkeys to the people of sessions; few and each its own, so one by one."""
        return [await self._add_passkey(entry) for entry in entries]

    async def _add_passkey(self, entry: StaffPasskeyEntry) -> StaffPasskeyResult:
        ground, site, now = self._ground, self._ground.site, self._ground.clock.now()
        refused = StaffPasskeyResult(StaffPasskeyStatus.REFUSED)
        if await ground.wait_at(entry.origin):
            return StaffPasskeyResult(StaffPasskeyStatus.LIMITED)
        claim = ceremonies.read_claim(entry.credential, is_new=True)
        name, looked = ceremonies.clean_name(entry.name), await self._row(entry.token)
        if site is None or claim is None or not name or looked is None:
            return refused
        id = new_id(now)
        async with ground.db.transaction() as tx:
            count = await PASSKEYS.lock_owner(tx, looked.session.person.id)
            row = await self._row_in(tx, entry.token)  # Once more: a rival may have ended it.
            if row is None or not self._may_set(row):
                return refused
            purpose, device = StaffPasskeyPurpose.MAKE, entry.origin.device
            key = self._challenge_key(claim.challenge, purpose, device, row.session.id)
            if not await self._take(tx, key):
                return refused
            if count >= ground.settings.passkeys_max:
                return StaffPasskeyResult(StaffPasskeyStatus.FULL)
            made = ceremonies.check_made(entry.credential, claim.challenge, site, is_verified=True)
            person = row.session.person
            if made is None or not await PASSKEYS.add(tx, id, person.id, made, name, now):
                return refused
            result = StaffPasskeyResult(StaffPasskeyStatus.DONE)
            if not person.has_second_factor:
                codes = await self._put_recovery_codes(tx, row)
                await sessions.end_all(tx, person.id, but=row.session.id)
                result = replace(result, token=await self._renew(tx, row), recovery_codes=codes)
            await self._write_change(tx, row, "passkey.added", name, (count, count + 1))
        await self._tell(person, derive(id, "added"), "added", name, entry.origin.address)
        return result

    async def _write_change(
        self, tx: Transaction, row: TokenRow, act: str, name: str, counts: tuple[int, int]
    ) -> None:
        ground, subject = self._ground, f"person:{row.session.person.email}"
        was, now = ({"passkeys": str(count)} for count in counts)
        told = ground.act(
            actor_of(row.session), act, subject, before=was, after=now | {"passkey": name}
        )
        await ground.write_acts(tx, [told])

    async def _tell(self, person: Person, id: UUID, step: str, name: str, address: str) -> None:
        """Write to the person: who did not do it is to hear of it at once."""
        link = f"{self._ground.settings.public_url.rstrip('/')}/console/account"
        values = {"step": step, "passkey": name, "link": link, "address": address or "—"}
        letter = Message(id, person.email, "staff_passkey", person.locale, values)
        try:
            await self._notify.send_messages([letter])
        except Error as error:  # It is in the log, and shows on the account's page.
            _log.warning("identity.passkey_untold", person=str(person.id), error=error.message)

    async def show_passkeys(self, proofs: Sequence[StaffPasskeyProof]) -> list[ProofResult]:
        """Sign in by passkeys alone, or prove by them who is in; few, so one by one."""
        return [await self._show_passkey(proof) for proof in proofs]

    async def _show_passkey(self, proof: StaffPasskeyProof) -> ProofResult:
        ground = self._ground
        claim = ceremonies.read_claim(proof.credential, is_new=False)
        row = await self._row(proof.token) if proof.token else None
        if proof.token and (row is None or not _may_prove(row)):
            return _REFUSED
        if row is None:
            wait_s = await ground.wait_at(proof.origin)
        else:
            wait_s = await ground.wait_for(proof.origin, f"factor:{row.session.person.id}")
        if wait_s:
            return ProofResult(ProofStatus.LIMITED, wait_s=wait_s)
        if claim is None:
            return _REFUSED
        purpose = StaffPasskeyPurpose.PROVE if row else StaffPasskeyPurpose.SIGN_IN
        session = row.session.id if row else None
        key = self._challenge_key(claim.challenge, purpose, proof.origin.device, session)
        async with ground.db.transaction() as tx:
            if not await self._take(tx, key):
                return _REFUSED
            owner = await find_person(tx, claim.credential_id)
            if owner is not None:
                await people.lock_person(tx, owner)
            found = await PASSKEYS.load(tx, claim.credential_id)
            if found is None or not await self._is_good(tx, proof, claim, found, row):
                return await self._note_refusal(tx, proof, found, row)
            return await self._let_in(tx, proof, found["person"], row)

    async def _is_good(
        self,
        tx: Transaction,
        proof: StaffPasskeyProof,
        claim: Claim,
        found: Row,
        row: TokenRow | None,
    ) -> bool:
        """Whether a passkey proves who shows it; its counter goes on."""
        ground, site, owner = self._ground, self._ground.site, UUID(str(found["person"]))
        if site is None or (row is not None and row.session.person.id != owner):
            return False
        if row is None if claim.owner is None else claim.owner != owner.bytes:
            return False  # Only within a session a device need not say whose key it is.
        count = ceremonies.check_proof(
            proof.credential, claim.challenge, site, found["public_key"], is_verified=True
        )
        if count is None:
            return False
        if not ceremonies.is_counter_good(found["sign_count"], count):
            account = await people.load_account(tx, owner)
            email = account.person.email if account else ""
            by = Actor(ActorKind.SYSTEM, None, "sign-in", replace(proof.origin, device=""))
            counts = {"count": str(found["sign_count"])}, {"count": str(count)}
            act = ground.act(
                by, "passkey.copied", f"person:{email}", before=counts[0], after=counts[1]
            )
            await ground.write_acts(tx, [act])
            return False
        await PASSKEYS.use(tx, found["id"], count, ground.clock.now())
        return True

    async def _note_refusal(
        self, tx: Transaction, proof: StaffPasskeyProof, found: Row | None, row: TokenRow | None
    ) -> ProofResult:
        """Write down whose door it was; a stranger with a key of nobody's is no news."""
        ground = self._ground
        if row is not None:
            subject = f"person:{row.session.person.email}"
            acts = [ground.act(actor_of(row.session), "factor.refused", subject)]
            await ground.write_acts(tx, acts)
        elif found is not None and (account := await people.load_account(tx, found["person"])):
            by = Actor(ActorKind.SYSTEM, None, "sign-in", replace(proof.origin, device=""))
            act = ground.act(by, "session.refused", f"person:{account.person.email}")
            await ground.write_acts(tx, [act])
        return _REFUSED

    async def _let_in(
        self, tx: Transaction, proof: StaffPasskeyProof, person_id: UUID, row: TokenRow | None
    ) -> ProofResult:
        """Open the session that is there, or begin one."""
        ground = self._ground
        if row is not None:
            row = await self._row_in(tx, proof.token)
            if row is None:
                return _REFUSED
            token = await self._renew(tx, row)
            session, is_begun = row.session, row.session.stage is SessionStage.FACTOR
        else:
            person = (await people.load_people(tx, [person_id])).get(person_id)
            if person is None or person.state is not PersonState.ACTIVE:
                return _REFUSED
            token, session = await ground.begin_session(tx, person, proof.origin, is_proven=True)
            is_begun = True
        if is_begun:
            by, subject = actor_of(session), f"session:{session.id}"
            act = ground.act(by, "session.begun", subject, after={"way": "passkey"})
            await ground.write_acts(tx, [act])
        return ProofResult(ProofStatus.ACCEPTED, token)

    async def list_passkeys(self, of: Sequence[UUID]) -> list[list[StaffPasskey]]:
        """List people's passkeys, oldest first."""
        found: dict[UUID, list[StaffPasskey]] = {id: [] for id in of}
        async with self._ground.db.reading() as tx:
            rows = await PASSKEYS.list_of(tx, of)
        for each in rows:
            passkey = StaffPasskey(each["id"], each["name"], each["made_at"], each["used_at"])
            found[each["person"]].append(passkey)
        return [found[id] for id in of]

    async def remove_passkeys(self, drops: Sequence[StaffPasskeyDrop]) -> list[StaffPasskeyStatus]:
        """Remove passkeys; few and each its own, so one by one."""
        return [await self._remove_passkey(drop) for drop in drops]

    async def _remove_passkey(self, drop: StaffPasskeyDrop) -> StaffPasskeyStatus:
        ground = self._ground
        if await ground.wait_at(drop.origin):
            return StaffPasskeyStatus.LIMITED
        looked = await self._row(drop.token)
        if looked is None:
            return StaffPasskeyStatus.REFUSED
        async with ground.db.transaction() as tx:
            count = await PASSKEYS.lock_owner(tx, looked.session.person.id)
            row = await self._row_in(tx, drop.token)
            if row is None or not self._may_set(row):
                return StaffPasskeyStatus.REFUSED
            person = row.session.person
            names = {each["id"]: each["name"] for each in await PASSKEYS.list_of(tx, [person.id])}
            if drop.passkey not in names:
                return StaffPasskeyStatus.REFUSED
            if count == 1 and not person.has_app:
                return StaffPasskeyStatus.LAST
            await PASSKEYS.delete(tx, [drop.passkey], [person.id])
            await sessions.end_all(tx, person.id, but=row.session.id)
            name = names[drop.passkey]
            await self._write_change(tx, row, "passkey.removed", name, (count, count - 1))
        id = derive(drop.passkey, "removed")
        await self._tell(person, id, "removed", name, drop.origin.address)
        return StaffPasskeyStatus.DONE

    async def forget_challenges(self) -> bool:
        """Delete some challenges that are over; true: there may be more."""
        ground = self._ground
        before: datetime = ground.clock.now() - timedelta(seconds=ground.settings.challenge_s)
        async with ground.db.transaction() as tx:
            count = await PASSKEYS.forget_challenges(tx, before, _FORGOTTEN_MAX)
        return count == _FORGOTTEN_MAX


def _may_prove(row: TokenRow) -> bool:
    """Whether a passkey may be shown here: not where a factor is still to be set up."""
    return row.session.stage is not SessionStage.ENROLMENT
