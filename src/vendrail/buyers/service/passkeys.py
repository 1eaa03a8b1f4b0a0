"""Passkeys: made within a session, shown to begin or to confirm one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.buyers import (
    Browser,
    BuyerId,
    EntryResult,
    EntryStatus,
    Passkey,
    PasskeyAsk,
    PasskeyDrop,
    PasskeyEntry,
    PasskeyId,
    PasskeyOptions,
    PasskeyProof,
    PasskeyPurpose,
    PasskeyStatus,
)
from vendrail.api.notify import Message
from vendrail.buyers import store
from vendrail.buyers.service.ground import Ground
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import new_id
from vendrail.kernel.passkeys import ceremonies

_log = structlog.get_logger(__name__)

_REFUSED = EntryResult(EntryStatus.REFUSED)
_ADDED = "added"


class PasskeysService(Ground):
    """The operations on passkeys."""

    def _challenge_key(
        self, challenge: bytes, purpose: PasskeyPurpose, browser: Browser, session: Row | None
    ) -> bytes:
        """Name a challenge by all that it is bound to: what it is for, the browser, its session."""
        whose = str(session["id"]) if session is not None else ""
        parts = (challenge.hex(), purpose.value, browser.device, whose)
        return self._hash("challenge", "\x1f".join(parts))

    async def _take(self, tx: Transaction, key: bytes, now: datetime) -> bool:
        """Use a challenge up, whatever comes of it; whether it was good."""
        made_at = await store.PASSKEYS.take_challenge(tx, key)
        life = timedelta(seconds=self._settings.challenge_s)
        return made_at is not None and now - made_at <= life

    async def ask_passkeys(self, asks: Sequence[PasskeyAsk]) -> list[PasskeyOptions]:
        """Give what browsers need; few and each its own, so one by one."""
        return [await self._ask_passkey(ask) for ask in asks]

    async def _ask_passkey(self, ask: PasskeyAsk) -> PasskeyOptions:
        if await self._wait(ask.browser):
            return PasskeyOptions(PasskeyStatus.LIMITED)
        site, now = self._site, self.clock.now()
        is_making = ask.purpose is PasskeyPurpose.MAKE
        challenge = ceremonies.new_challenge()
        async with self._db.transaction() as tx:
            session = await self._live_session(tx, ask.token, now)
            if site is None or (is_making and session is None):
                return PasskeyOptions(PasskeyStatus.REFUSED)
            key = self._challenge_key(challenge, ask.purpose, ask.browser, session)
            await store.PASSKEYS.add_challenge(tx, key, now)
            rows = (
                await store.PASSKEYS.list_of(tx, [session["buyer"]]) if session is not None else []
            )
        wait_s = self._settings.challenge_s
        if session is None or not is_making:
            options = ceremonies.prove_options(site, challenge, wait_s)
            return PasskeyOptions(PasskeyStatus.DONE, options)
        if len(rows) >= self._settings.passkeys_max:
            return PasskeyOptions(PasskeyStatus.FULL)
        keys = await self._data_keys.load([session["data_key"]])
        owner = (UUID(str(session["buyer"])).bytes, self._session(session, keys).buyer.email)
        others = [row["credential_id"] for row in rows]
        options = ceremonies.make_options(
            site, self._settings.site_name, challenge, owner, others, wait_s
        )
        return PasskeyOptions(PasskeyStatus.DONE, options)

    async def add_passkeys(self, entries: Sequence[PasskeyEntry]) -> list[PasskeyStatus]:
        """Add passkeys to the accounts of sessions; few and each its own, so one by one."""
        results = [await self._add_passkey(entry) for entry in entries]
        outcomes = [(_ADDED if each is PasskeyStatus.DONE else each.value,) for each in results]
        self._metrics.count_each("vendrail_buyer_passkeys_total", outcomes)
        return results

    async def _add_passkey(self, entry: PasskeyEntry) -> PasskeyStatus:
        if await self._wait(entry.browser):
            return PasskeyStatus.LIMITED
        site, now = self._site, self.clock.now()
        claim = ceremonies.read_claim(entry.credential, is_new=True)
        name = ceremonies.clean_name(entry.name)
        if site is None or claim is None or not name:
            return PasskeyStatus.REFUSED
        async with self._db.transaction() as tx:
            session = await self._live_session(tx, entry.token, now)
            key = self._challenge_key(claim.challenge, PasskeyPurpose.MAKE, entry.browser, session)
            if session is None or not await self._take(tx, key, now):
                return PasskeyStatus.REFUSED
            buyer = session["buyer"]
            if await store.PASSKEYS.lock_owner(tx, buyer) >= self._settings.passkeys_max:
                return PasskeyStatus.FULL
            made = ceremonies.check_made(entry.credential, claim.challenge, site)
            if made is None or not await store.PASSKEYS.add(
                tx, new_id(now), buyer, made, name, now
            ):
                return PasskeyStatus.REFUSED
        await self._tell_of_passkey(session, name, now)
        return PasskeyStatus.DONE

    async def _tell_of_passkey(self, session: Row, name: str, now: datetime) -> None:
        """Write to the account's address: whoever did not add it is to hear of it at once."""
        keys = await self._data_keys.load([session["data_key"]])
        buyer = self._session(session, keys).buyer
        link = f"{self._settings.public_url.rstrip('/')}/account"
        letter = Message(
            new_id(now), buyer.email, "passkey_added", buyer.locale, {"passkey": name, "link": link}
        )
        try:
            await self._notify.send_messages([letter])
        except Unavailable as error:  # It is there, and shows on the account's page.
            _log.warning("buyers.passkey_untold", buyer=str(buyer.id), error=str(error))

    async def redeem_passkeys(self, proofs: Sequence[PasskeyProof]) -> list[EntryResult]:
        """Sign in by passkeys, or confirm sessions; few and each its own, so one by one."""
        results: list[EntryResult] = []
        for proof in proofs:
            result, fault = await self._redeem_passkey(proof)
            outcome = fault or result.status.value
            self._metrics.count("vendrail_buyer_sign_ins_total", "passkey", outcome)
            results.append(result)
        return results

    async def _redeem_passkey(self, proof: PasskeyProof) -> tuple[EntryResult, str]:
        """Show one passkey; give the answer, and for ourselves why it was refused."""
        wait_s = await self._wait(proof.browser)
        if wait_s:
            return EntryResult(EntryStatus.LIMITED, wait_s=wait_s), ""
        site, now = self._site, self.clock.now()
        claim = ceremonies.read_claim(proof.credential, is_new=False)
        if site is None or claim is None:
            return _REFUSED, "unreadable"
        async with self._db.transaction() as tx:
            session = await self._live_session(tx, proof.token, now)
            key = self._challenge_key(claim.challenge, PasskeyPurpose.PROVE, proof.browser, session)
            if not await self._take(tx, key, now):
                return _REFUSED, "challenge_not_good"
            row = await store.PASSKEYS.load(tx, claim.credential_id)
            if row is None or not _is_owner(row["buyer"], claim.owner, session):
                return _REFUSED, "not_theirs"
            count = ceremonies.check_proof(
                proof.credential, claim.challenge, site, row["public_key"]
            )
            if count is None:
                return _REFUSED, "signature_wrong"
            if not ceremonies.is_counter_good(row["sign_count"], count):
                _log.warning(
                    "buyers.passkey_copied",
                    passkey=str(row["id"]),
                    buyer=str(row["buyer"]),
                    before=row["sign_count"],
                    now=count,
                )
                return _REFUSED, "copied"
            await store.PASSKEYS.use(tx, row["id"], count, now)
            token = await self._begin(tx, row["buyer"], proof.browser, proof.token, now)
        return EntryResult(EntryStatus.ACCEPTED, token), ""

    async def list_passkeys(self, buyers: Sequence[BuyerId]) -> list[list[Passkey]]:
        """List buyers' passkeys, oldest first."""
        found: dict[UUID, list[Passkey]] = {id: [] for id in buyers}
        async with self._db.reading() as tx:
            rows = await store.PASSKEYS.list_of(tx, buyers)
        for row in rows:
            passkey = Passkey(PasskeyId(row["id"]), row["name"], row["made_at"], row["used_at"])
            found[row["buyer"]].append(passkey)
        return [found[id] for id in buyers]

    async def remove_passkeys(self, drops: Sequence[PasskeyDrop]) -> list[bool]:
        """Remove passkeys: they open nothing from now on."""
        passkeys, buyers = [each.passkey for each in drops], [each.buyer for each in drops]
        async with self._db.transaction() as tx:
            gone = await store.PASSKEYS.delete(tx, passkeys, buyers)
        self._metrics.count("vendrail_buyer_passkeys_total", "removed", by=len(gone))
        return [each.passkey in gone for each in drops]


def _is_owner(buyer: UUID, claimed: bytes | None, session: Row | None) -> bool:
    """Whether a passkey is of who shows it: as its device says, and the session, where one is."""
    if session is not None and session["buyer"] != buyer:
        return False
    return session is not None if claimed is None else claimed == UUID(str(buyer)).bytes
