"""Payees: sealed accounts, proven by a small payout, and cooled off."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import Chart, Ledger
from vendrail.api.payouts import (
    NewPayee,
    Payee,
    PayeeId,
    PayeeProof,
    PayeeState,
    PayeeStatus,
    PayoutChannel,
    PayoutId,
    PayoutState,
    VerifyStatus,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.vault import Vault
from vendrail.payouts import decide
from vendrail.payouts.settings import PayoutsSettings
from vendrail.payouts.store import Database, Row
from vendrail.payouts.store import payees as payees_store
from vendrail.payouts.store import payouts as payouts_store
from vendrail.payouts.store.payees import PayeeRow
from vendrail.payouts.ways import Ways

_PURPOSE = "payouts.payee"
_DIGEST = "payouts.payee.digest"
_TEST_AMOUNT = "payouts.test"
TESTS_MAX = 3  # Of one payee; and of one merchant in a day.
GUESSES_MAX = 3


class Sealed(Record, frozen=True):
    """What is sealed of a payee."""

    account: str
    name: str


class Whole(NamedTuple):
    """A payee, opened; never shown."""

    kind: str
    account: str
    name: str


class Payees:
    """Keeps the accounts that merchants are paid to."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        settings: PayoutsSettings,
        ledger: Ledger,
        ways: Ways,
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._settings = settings
        self._ledger = ledger
        self._ways = ways

    async def add(self, payees: Sequence[NewPayee]) -> list[PayeeStatus]:
        """Add payees; few and each its own, so one by one."""
        ways: dict[UUID, PayoutChannel] = {way.channel: way for way in await self._ways.list_all()}
        return [await self._add(each, ways.get(each.channel)) for each in payees]

    async def _add(self, new: NewPayee, way: PayoutChannel | None) -> PayeeStatus:
        account, name = decide.tidy(new.kind, new.account), " ".join(new.name.split())
        if way is None or new.kind not in way.payee_kinds:
            return PayeeStatus.WAY_UNKNOWN
        if not decide.is_account(new.kind, account):
            return PayeeStatus.ACCOUNT_MALFORMED
        if not name and new.kind in decide.NAMED:
            return PayeeStatus.NAME_MISSING
        content = encode(Sealed(account, name))
        told = f"{new.channel}|{new.kind}|".encode() + content
        digest = self._vault.keyed_hash(_DIGEST, told)
        now, key = self._clock.now(), self._vault.new_data_key()
        has_money = await self._has_money(new.merchant, way.currencies)
        async with self._db.transaction() as tx:
            await payees_store.lock_merchants(tx, [new.merchant])
            known = (await payees_store.load_payees(tx, [new.id])).get(new.id)
            if known is not None:
                is_same = (known["merchant"], known["digest"]) == (new.merchant, digest)
                return PayeeStatus.EXISTS if is_same else PayeeStatus.EXISTS_DIFFERENT
            others = await payees_store.list_payees(tx, [new.merchant])
            open_ones = [each for each in others if each["state"] != PayeeState.CLOSED]
            if any(each["digest"] == digest for each in open_ones):
                return PayeeStatus.EXISTS
            if len(open_ones) >= self._settings.payees_max:
                return PayeeStatus.TOO_MANY
            # The first of all, before there is money, needs none: there is nobody to be robbed yet.
            hours = self._settings.cooling_hours if others or has_money else 0
            row = PayeeRow(
                new.id,
                new.merchant,
                new.channel,
                way.channel_name,
                new.kind,
                decide.mask(new.kind, account),
                decide.mask_name(name),
                digest,
                self._vault.seal(key, _PURPOSE, new.id, content),
                list(way.currencies),
                now,
                new.by[:200],
                now + timedelta(hours=hours),
            )
            await payees_store.insert_payee(tx, row, key)
        return PayeeStatus.CREATED

    async def _has_money(self, merchant: UUID, currencies: Sequence[str]) -> bool:
        """Tell whether a merchant has anything that could go to an account of these currencies."""
        available = [Chart(each).merchant(merchant, "available").id for each in currencies]
        balances = await self._ledger.read_balances(available)
        return any(each is not None and each.credit_minor > 0 for each in balances)

    async def list_open(self, merchants: Sequence[UUID]) -> list[list[Payee]]:
        """List merchants' payees."""
        async with self._db.reading() as tx:
            rows = await payees_store.list_payees(tx, merchants)
        found: dict[UUID, list[Payee]] = {}
        for row in rows:
            if row["state"] != PayeeState.CLOSED:
                found.setdefault(row["merchant"], []).append(_payee(row))
        return [found.get(each, []) for each in merchants]

    async def close(self, payees: Sequence[tuple[PayeeId, UUID]]) -> list[bool]:
        """Close payees; what has not gone there yet comes back."""
        merchants = {merchant for _, merchant in payees}
        async with self._db.transaction() as tx:
            await payees_store.lock_merchants(tx, merchants)
            closed = [await payees_store.close_payee(tx, id, merchant) for id, merchant in payees]
            await payouts_store.decline_stopped(tx, merchants, self._clock.now())
        return closed

    async def open(self, ids: Collection[UUID]) -> dict[UUID, Whole]:
        """Open payees, to tell a provider of them."""
        async with self._db.reading() as tx:
            rows = await payees_store.load_payees(tx, ids)
        opened = {}
        for id, row in rows.items():
            key = self._vault.load_data_key(row["data_key"], row["sealed_key"])
            sealed = decode(self._vault.unseal(key, _PURPOSE, id, row["sealed"]), Sealed)
            opened[id] = Whole(row["kind"], sealed.account, sealed.name)
        return opened

    def secret_minor(self, test: UUID) -> int:
        """Give the amount of a test: nobody can tell it from the test's id."""
        digest = self._vault.keyed_hash(_TEST_AMOUNT, test.bytes)
        return 11 + int.from_bytes(digest[:4], "big") % 89

    async def verify(self, proofs: Sequence[PayeeProof]) -> list[VerifyStatus]:
        """Compare what merchants say with what was sent."""
        return [await self._verify(each) for each in proofs]

    async def _verify(self, proof: PayeeProof) -> VerifyStatus:
        async with self._db.transaction() as tx:
            row = await payees_store.lock_payee(tx, proof.payee)
            is_theirs = row is not None and row["merchant"] == proof.merchant
            if row is None or not is_theirs or row["state"] == PayeeState.CLOSED:
                return VerifyStatus.PAYEE_NOT_FOUND
            if row["state"] == PayeeState.VERIFIED:
                return VerifyStatus.VERIFIED
            test = row["test"]
            sent = (await payouts_store.load_payouts(tx, [test])).get(test) if test else None
            if sent is None or sent["state"] != PayoutState.SUCCEEDED:
                return VerifyStatus.NOT_TESTED
            if row["guesses"] >= GUESSES_MAX:
                return VerifyStatus.TOO_MANY
            if sent["amount_minor"] != proof.amount_minor:
                await payees_store.count_guess(tx, proof.payee)
                return VerifyStatus.AMOUNT_WRONG
            await payees_store.verify_payee(tx, proof.payee)
        return VerifyStatus.VERIFIED


def _payee(row: Row) -> Payee:
    return Payee(
        PayeeId(row["id"]),
        row["merchant"],
        row["channel"],
        row["channel_name"],
        row["kind"],
        row["shown"],
        row["name"],
        PayeeState(row["state"]),
        list(row["currencies"]),
        row["added_at"],
        row["added_by"],
        row["usable_at"],
        PayoutId(row["test"]) if row["test"] else None,
        max(0, TESTS_MAX - row["tests"]),
        max(0, GUESSES_MAX - row["guesses"]),
    )
