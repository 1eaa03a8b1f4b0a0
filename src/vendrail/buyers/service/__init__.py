"""The service: codes to addresses, sessions by tokens, accounts made and forgotten."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.buyers import (
    Browser,
    BuyerId,
    BuyerSession,
    BuyerSessionId,
    BuyerSessionQuery,
    CodeEntry,
    CodeRequest,
    CodeResult,
    CodeStatus,
    EntryResult,
    EntryStatus,
)
from vendrail.api.notify import Message
from vendrail.buyers import decide, store
from vendrail.buyers.service.ground import PURPOSE
from vendrail.buyers.service.passkeys import PasskeysService
from vendrail.kernel.db import Row
from vendrail.kernel.http.addresses import limit_key
from vendrail.kernel.ids import new_id
from vendrail.kernel.sessions import upkeep
from vendrail.kernel.vault import is_same

_log = structlog.get_logger(__name__)

_FORGOTTEN_MAX = 2_000
_CODES = 10**8


class BuyersService(PasskeysService):
    """Fulfils `api.buyers.Buyers`."""

    def _code_key(self, email: str, browser: Browser) -> bytes:
        return self._hash("code_key", f"{email}\x1f{browser.device}")[:16]

    async def request_codes(self, requests: Sequence[CodeRequest]) -> list[CodeResult]:
        """Send one-time codes; what is done is the same whether or not accounts exist."""
        now = self.clock.now()
        results: list[CodeResult] = []
        codes: dict[bytes, tuple[str, bytes, Message]] = {}
        for request in requests:
            email = decide.clean_email(request.email)
            if email is None:
                results.append(CodeResult(CodeStatus.EMAIL_MALFORMED))
                continue
            wait_s = await self._wait(request.browser) or await self._wait_mail(
                email, request.browser
            )
            if wait_s:
                results.append(CodeResult(CodeStatus.LIMITED, wait_s))
                continue
            key, code = self._code_key(email, request.browser), f"{secrets.randbelow(_CODES):08}"
            minutes = str(self._settings.code_s // 60)
            letter = Message(
                new_id(now),
                email,
                "sign_in_code",
                request.locale,
                {"code": code, "minutes": minutes},
                stream=UUID(bytes=key),  # A newer code takes the place of an older one.
            )
            codes[key] = (email, self._hash("code", f"{email}\x1f{code}"), letter)
            results.append(CodeResult(CodeStatus.SENT))
        if codes:
            rows = sorted((key, code_hash) for key, (_, code_hash, _) in codes.items())
            async with self._db.reading() as tx:
                await store.put_codes(tx, rows, now)
            await self._notify.send_messages([letter for _, _, letter in codes.values()])
        outcomes = [(result.status.value,) for result in results]
        self._metrics.count_each("vendrail_buyer_codes_total", outcomes)
        return results

    def _known(self, email: str, browser: Browser) -> str:
        """Mark that a device has signed in by an address: nobody else can make the mark."""
        return self._hash("known", f"{email}\x1f{browser.device}").hex()

    async def _wait_mail(self, email: str, browser: Browser) -> float:
        """Count a letter to an address: 0, or the seconds to wait before it.

        What strangers ask for counts by their network, so that they use up nobody's allowance but
        their own; all of it together is bounded too, and that bound never holds up a known device.
        """
        if is_same(self._known(email, browser).encode(), browser.known.encode()):
            return await self._device.take(f"{email}\x1f{browser.device}")
        network = limit_key(browser.address) if browser.address else ""
        return await self._email.take(f"{email}\x1f{network}") or await self._mail.take(email)

    async def redeem_codes(self, entries: Sequence[CodeEntry]) -> list[EntryResult]:
        """Sign in by right codes; few and each its own, so one by one."""
        results: list[EntryResult] = []
        for entry in entries:
            result, fault = await self._redeem(entry)
            outcome = fault or result.status.value
            self._metrics.count("vendrail_buyer_sign_ins_total", "code", outcome)
            results.append(result)
        return results

    async def _redeem(self, entry: CodeEntry) -> tuple[EntryResult, str]:
        """Show one code; give the answer, and for ourselves why it was refused."""
        wait_s = await self._wait(entry.browser)
        if wait_s:
            return EntryResult(EntryStatus.LIMITED, wait_s=wait_s), ""
        refused = EntryResult(EntryStatus.REFUSED)
        email = decide.clean_email(entry.email)
        if email is None:
            return refused, "email_malformed"
        now = self.clock.now()
        key = self._code_key(email, entry.browser)
        data_key = await self._data_keys.newest()
        async with self._db.transaction() as tx:
            row = await store.try_code(tx, key)
            given = self._hash("code", f"{email}\x1f{entry.code.strip()}")
            is_right = row is not None and is_same(row["code_hash"], given)
            if row is None:
                return refused, "not_asked_for"
            fault = decide.code_fault(
                row["made_at"], row["tries"], now, self._settings, is_right=is_right
            )
            if fault:
                return refused, fault
            await store.drop_code(tx, key)
            email_hash = self._hash("email", email)
            buyer = await store.find_buyer(tx, email_hash)
            if buyer is None:
                id = new_id(now)
                sealed = self._vault.seal(data_key, PURPOSE, id, email.encode())
                # Of two first sign-ins at once one writes; its id is what the address is sealed to.
                buyer = await store.add_buyer(
                    tx, id, email_hash, sealed, data_key.id, entry.locale, now
                )
            token = await self._begin(tx, buyer, entry.browser, entry.token, now)
        known = self._known(email, entry.browser)
        return EntryResult(EntryStatus.ACCEPTED, token, known=known), ""

    async def read_sessions(
        self, queries: Sequence[BuyerSessionQuery]
    ) -> list[BuyerSession | None]:
        """Give who comes with each token; some get a new token to go on with."""
        now = self.clock.now()
        hashes = [self._hash("token", query.token) for query in queries]
        async with self._db.reading() as tx:
            rows = await store.load_tokens(tx, list(set(hashes)))
        live = {key: row for key, row in rows.items() if self._is_live(row, now)}
        copied = [row for row in rows.values() if store.shown(row).is_copied(now)]
        renewing = {key for key, query in zip(hashes, queries, strict=True) if query.is_renewing}
        fresh = await self._keep_up(live, copied, renewing, now) if live or copied else {}
        keys = await self._data_keys.load(row["data_key"] for row in live.values())
        found: list[BuyerSession | None] = []
        for key, query in zip(hashes, queries, strict=True):
            row = live.get(key)
            token = fresh.pop(row["id"], "") if row is not None and query.is_renewing else ""
            found.append(self._session(row, keys, token) if row is not None else None)
        return found

    async def _keep_up(
        self, live: dict[bytes, Row], copied: Sequence[Row], renewing: set[bytes], now: datetime
    ) -> dict[UUID, str]:
        """Write what reading sessions changes: first uses, new tokens, times, ends."""
        period = timedelta(minutes=self._settings.session_rotate_minutes)
        changes = upkeep(map(store.shown, live.values()), renewing, now, period)
        if changes is None and not copied:
            return {}
        async with self._db.transaction() as tx:
            if copied:
                gone = await store.TOKENS.end(tx, [row["id"] for row in copied])
                self._count_ended(len(gone), "copied")
                _log.warning("buyers.token_copied", sessions=[str(id) for id in gone])
            if changes is None:
                return {}
            return await store.TOKENS.keep_up(tx, changes, now, period, self._new_token)

    async def list_sessions(self, buyers: Sequence[BuyerId]) -> list[list[BuyerSession]]:
        """List buyers' sessions, last seen first."""
        now = self.clock.now()
        idle_since = now - timedelta(days=self._settings.session_idle_days_max)
        async with self._db.reading() as tx:
            found = [await store.list_sessions(tx, id, now, idle_since) for id in buyers]
        keys = await self._data_keys.load(row["data_key"] for rows in found for row in rows)
        return [[self._session(row, keys) for row in rows] for rows in found]

    async def end_sessions(self, sessions: Sequence[BuyerSessionId]) -> list[bool]:
        """End sessions: their tokens open nothing from now on."""
        async with self._db.transaction() as tx:
            gone = await store.TOKENS.end(tx, sessions)
        self._count_ended(len(gone), "signed_out")
        return [id in gone for id in sessions]

    async def end_all_sessions(self, buyers: Sequence[BuyerId]) -> list[int]:
        """Sign buyers out everywhere."""
        async with self._db.transaction() as tx:
            counts = [await store.end_all(tx, id) for id in buyers]
        self._count_ended(sum(counts), "everywhere")
        return counts

    async def choose_languages(self, choices: Sequence[tuple[BuyerId, str]]) -> list[bool]:
        """Remember buyers' languages."""
        async with self._db.transaction() as tx:
            return [await store.choose_language(tx, *choice) for choice in choices]

    async def forget_buyers(self, buyers: Sequence[BuyerId]) -> list[bool]:
        """Delete accounts with all that is theirs."""
        async with self._db.transaction() as tx:
            ended = sum([await store.end_all(tx, id) for id in buyers])
            gone = await store.delete_buyers(tx, buyers)
        self._count_ended(ended, "deleted")
        return [id in gone for id in buyers]

    async def forget(self) -> bool:
        """Delete some codes, challenges and sessions that are over; true: there are more."""
        now = self.clock.now()
        codes_before = now - timedelta(seconds=self._settings.code_s)
        challenges_before = now - timedelta(seconds=self._settings.challenge_s)
        async with self._db.transaction() as tx:
            proofs = await store.forget_proofs(tx, codes_before, challenges_before, _FORGOTTEN_MAX)
            sessions = await store.TOKENS.forget(tx, now, _FORGOTTEN_MAX)
        self._count_ended(sessions, "over")
        return max(proofs, sessions) == _FORGOTTEN_MAX
