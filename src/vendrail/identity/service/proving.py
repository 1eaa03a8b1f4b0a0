"""Showing factors: codes and passwords within a session, setting them up, changing them."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.identity import (
    PROOF_FRESH,
    FactorDraft,
    PasswordChange,
    PersonState,
    Proof,
    ProofResult,
    ProofStatus,
    Session,
    SessionStage,
)
from vendrail.identity import factors, passwords
from vendrail.identity.service.ground import Ground
from vendrail.identity.service.signing import actor_of
from vendrail.identity.store import factors as factor_store
from vendrail.identity.store import people, sessions
from vendrail.identity.store.sessions import TokenRow
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Transaction
from vendrail.kernel.errors import Broken

_PURPOSE = "identity.factor"


class ProvingService:
    """Second factors, recovery codes, passwords."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def show_proofs(self, proofs: Sequence[Proof]) -> list[ProofResult]:
        """Check a second factor, or a password again: opens the session, and makes it fresh."""
        return [await self._show(proof) for proof in proofs]

    async def _show(self, proof: Proof) -> ProofResult:
        ground = self._ground
        row = await self._row(proof.token)
        if row is None or row.session.stage is SessionStage.ENROLMENT:
            return ProofResult(ProofStatus.REFUSED)
        person = row.session.person
        wait_s = await ground.wait_for(proof.origin, f"factor:{person.id}")
        if wait_s:
            return ProofResult(ProofStatus.LIMITED, wait_s=wait_s)
        if not person.has_second_factor and not await self._is_password(row, proof.password):
            return ProofResult(ProofStatus.REFUSED)
        async with ground.db.transaction() as tx:
            by = actor_of(row.session)
            if person.has_second_factor and not await self._use_code(tx, row, proof.code):
                act = ground.act(by, "factor.refused", f"person:{person.email}")
                await ground.write_acts(tx, [act])
                return ProofResult(ProofStatus.REFUSED)
            token = await self._renew(tx, row)
            if row.session.stage is SessionStage.FACTOR:
                act = ground.act(by, "session.begun", f"session:{row.session.id}")
                await ground.write_acts(tx, [act])
        return ProofResult(ProofStatus.ACCEPTED, token)

    async def _row(self, token: str) -> TokenRow | None:
        """Give the live session that a token opens; one that was replaced opens nothing here."""
        async with self._ground.db.reading() as tx:
            return await self._row_in(tx, token)

    async def _row_in(self, tx: Transaction, token: str) -> TokenRow | None:
        ground = self._ground
        now = ground.clock.now()
        key = ground.hash("token", token)
        row = (await sessions.load_tokens(tx, [key])).get(key)
        if row is None or row.shown.replaced_at is not None:
            return None
        is_active = row.session.person.state is PersonState.ACTIVE
        idle_max = timedelta(minutes=ground.settings.session_idle_minutes_max)
        return row if is_active and row.shown.is_live(now, idle_max) else None

    async def _is_password(self, row: TokenRow, password: str) -> bool:
        async with self._ground.db.reading() as tx:
            account = await people.load_account(tx, row.session.person.id)
        return await self._ground.passwords.check(account.password if account else None, password)

    async def _use_code(self, tx: Transaction, row: TokenRow, text: str) -> bool:
        """Use a code up, of either kind."""
        ground, person = self._ground, row.session.person.id
        code, now = factors.read_code(text), ground.clock.now()
        if not factors.is_time_code(code):
            code_hash = ground.hash("recovery", f"{person}|{code}")
            return await factor_store.use_recovery_code(tx, person, code_hash, now)
        kept = await factor_store.load_factor(tx, person)
        if kept is None or kept["sealed"] is None:
            return False
        secret = await self._open(tx, person, kept["data_key"], kept["sealed"])
        step = factors.find_step(secret, code, now, kept["step_last"])
        return step is not None and await factor_store.use_step(tx, person, step)

    async def _renew(self, tx: Transaction, row: TokenRow, *, is_fresh: bool = True) -> str:
        """Open a session with a new token, and a fresh proof; the tokens before are gone."""
        ground, now = self._ground, self._ground.clock.now()
        token, token_hash = ground.new_token("token")
        session = replace(
            row.session,
            stage=SessionStage.OPEN,
            ends_at=ground.session_end(SessionStage.OPEN, row.session.begun_at),
            confirmed_at=now if is_fresh else row.session.confirmed_at,
        )
        await sessions.renew(tx, session, token_hash, now)
        await ground.welcome(tx, row.session.person, row.device_hash)
        return token

    def _is_fresh(self, session: Session) -> bool:
        return self._ground.clock.now() - session.confirmed_at <= PROOF_FRESH

    def _may_set(self, row: TokenRow | None) -> bool:
        """Whether a second factor may be set up here: in place of one only when fresh."""
        if row is None or row.session.stage is SessionStage.FACTOR:
            return False
        return self._is_fresh(row.session)

    async def draft_factors(self, tokens: Sequence[str]) -> list[FactorDraft | None]:
        """Make a second factor for each session's person: it counts once a code has been shown."""
        return [await self._draft(token) for token in tokens]

    async def _draft(self, token: str) -> FactorDraft | None:
        ground = self._ground
        row = await self._row(token)
        if row is None or not self._may_set(row):
            return None
        person = row.session.person
        fresh_key = await ground.data_keys.newest()
        async with ground.db.transaction() as tx:
            secret = await self._drafted(tx, row)
            if not secret:
                secret = factors.new_secret()
                sealed = ground.vault.seal(fresh_key, _PURPOSE, person.id, secret.encode())
                await factor_store.put_draft(tx, person.id, row.session.id, fresh_key.id, sealed)
        url = factors.address_of(secret, person.email, ground.settings.site_name)
        return FactorDraft(secret, url)

    async def _drafted(self, tx: Transaction, row: TokenRow) -> str:
        """Give what this session has drafted: a page that is loaded again shows the same."""
        kept = await factor_store.load_factor(tx, row.session.person.id)
        if kept is None or kept["draft_session"] != row.session.id:
            return ""
        person = row.session.person.id
        return await self._open(tx, person, kept["draft_key"], kept["draft_sealed"])

    async def _open(self, tx: Transaction, person: UUID, data_key: UUID, sealed: bytes) -> str:
        """Open a person's sealed secret."""
        key = (await self._ground.data_keys.load([data_key], tx)).get(data_key)
        if key is None:
            raise Broken(
                f"The data key {data_key} of identity is missing; restore it from a backup."
            )
        return self._ground.vault.unseal(key, _PURPOSE, person, sealed).decode()

    async def set_factors(self, proofs: Sequence[Proof]) -> list[ProofResult]:
        """Take the drafted factors into use by their first codes; gives recovery codes."""
        return [await self._set(proof) for proof in proofs]

    async def _set(self, proof: Proof) -> ProofResult:
        ground = self._ground
        row = await self._row(proof.token)
        if row is None or not self._may_set(row):
            return ProofResult(ProofStatus.REFUSED)
        person, now = row.session.person, ground.clock.now()
        wait_s = await ground.wait_for(proof.origin, f"factor:{person.id}")
        if wait_s:
            return ProofResult(ProofStatus.LIMITED, wait_s=wait_s)
        async with ground.db.transaction() as tx:
            secret = await self._drafted(tx, row)
            code = factors.read_code(proof.code)
            step = factors.find_step(secret, code, now, 0) if secret else None
            if step is None:
                return ProofResult(ProofStatus.REFUSED)
            await factor_store.use_draft(tx, person.id, step, now)
            codes = await self._put_recovery_codes(tx, row)
            await sessions.end_all(tx, person.id, but=row.session.id)
            token = await self._renew(tx, row)
            act = "factor.replaced" if person.has_app else "factor.added"
            by = actor_of(row.session)
            was = {"second_factor": "on" if person.has_second_factor else "off"}
            told = ground.act(
                by, act, f"person:{person.email}", before=was, after={"second_factor": "on"}
            )
            await ground.write_acts(tx, [told])
        return ProofResult(ProofStatus.ACCEPTED, token, recovery_codes=codes)

    async def _put_recovery_codes(self, tx: Transaction, row: TokenRow) -> list[str]:
        person, codes = row.session.person.id, factors.new_recovery_codes()
        hashes = [
            self._ground.hash("recovery", f"{person}|{factors.read_code(code)}") for code in codes
        ]
        await factor_store.put_recovery_codes(tx, person, hashes)
        return codes

    async def renew_recovery_codes(self, tokens: Sequence[str]) -> list[list[str]]:
        """Make new recovery codes in place of the old ones, in fresh sessions; else none."""
        return [await self._renew_codes(token) for token in tokens]

    async def _renew_codes(self, token: str) -> list[str]:
        ground = self._ground
        row = await self._row(token)
        if row is None or not (row.session.person.has_second_factor and self._may_set(row)):
            return []
        async with ground.db.transaction() as tx:
            codes = await self._put_recovery_codes(tx, row)
            by, subject = actor_of(row.session), f"person:{row.session.person.email}"
            await ground.write_acts(tx, [ground.act(by, "recovery_codes.renewed", subject)])
        return codes

    async def change_passwords(self, changes: Sequence[PasswordChange]) -> list[ProofResult]:
        """Set new passwords; all other sessions of the person end."""
        return [await self._change(change) for change in changes]

    async def _change(self, change: PasswordChange) -> ProofResult:
        ground = self._ground
        row = await self._row(change.token)
        if row is None or row.session.stage is not SessionStage.OPEN:
            return ProofResult(ProofStatus.REFUSED)
        person = row.session.person
        wait_s = await ground.wait_for(change.origin, f"password:{person.id}")
        if wait_s:
            return ProofResult(ProofStatus.LIMITED, wait_s=wait_s)
        if not await self._is_password(row, change.before):
            return ProofResult(ProofStatus.REFUSED)
        judged = passwords.judge(change.after, person.email, person.name, ground.settings.site_name)
        if judged is not ProofStatus.ACCEPTED:
            return ProofResult(judged)
        stored = await ground.passwords.hash(change.after)
        async with ground.db.transaction() as tx:
            await people.set_password(tx, person.id, stored)
            await sessions.end_all(tx, person.id, but=row.session.id)
            token = await self._renew(tx, row, is_fresh=not person.has_second_factor)
            act = ground.act(actor_of(row.session), "password.changed", f"person:{person.email}")
            await ground.write_acts(tx, [act])
        return ProofResult(ProofStatus.ACCEPTED, token)
