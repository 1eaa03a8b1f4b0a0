"""Accounts: numbers and keys of card sites, and who may come in with them."""

import secrets
from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from vendrail.api.epay import EpayAccount, EpayAsk, EpayChange, EpayKey, EpayStatus
from vendrail.epay import decide, store
from vendrail.epay.settings import EpaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.epay import holds_other_order, is_signed
from vendrail.kernel.ids import new_id
from vendrail.kernel.limits import Limits
from vendrail.kernel.vault import Vault, is_same

_PURPOSE = "epay.key"
_KEY_BYTES = 16  # As letters 32: what sites have room for.
_MINUTE_S = 60


class Keyed(NamedTuple):
    """An account with its key, opened."""

    account: EpayAccount
    key: str

    @property
    def pid(self) -> int:
        """Give the number that the site knows."""
        return self.account.pid


class Accounts:
    """Makes, opens and judges accounts."""

    def __init__(
        self, db: Database, vault: Vault, clock: Clock, settings: EpaySettings, limits: Limits
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        most = settings.requests_per_minute_max
        self._limit = limits.shared("epay", most, _MINUTE_S) if most else None

    async def make_keys(self, merchants: Sequence[UUID]) -> list[EpayKey]:
        """Make keys; few and each its own, so one by one."""
        now = self._clock.now()
        made = []
        for merchant in merchants:
            data_key, key_id = self._vault.new_data_key(), new_id(now)
            key = secrets.token_hex(_KEY_BYTES)
            sealed = self._vault.seal(data_key, _PURPOSE, key_id, key.encode())
            async with self._db.transaction() as tx:
                row = await store.put_key(tx, merchant, key_id, data_key, sealed, now)
            made.append(EpayKey(_account(row), key))
        return made

    async def read(self, merchants: Sequence[UUID]) -> list[EpayAccount | None]:
        """Read merchants' accounts."""
        async with self._db.reading() as tx:
            rows = await store.load_accounts_of(tx, merchants)
        return [_account(rows[each]) if each in rows else None for each in merchants]

    async def change(self, changes: Sequence[EpayChange]) -> list[EpayAccount | None]:
        """Change switches."""
        async with self._db.transaction() as tx:
            rows = [await store.change_account(tx, each) for each in changes]
        return [_account(row) if row is not None else None for row in rows]

    async def open(self, pids: Collection[int]) -> dict[int, Keyed]:
        """Open the keys of accounts."""
        async with self._db.reading() as tx:
            rows = await store.load_accounts(tx, list(pids))
        return {pid: Keyed(_account(row), self._unseal(row)) for pid, row in rows.items()}

    def _unseal(self, row: Row) -> str:
        data_key = self._vault.load_data_key(row["data_key"], row["sealed_key"])
        return self._vault.unseal(data_key, _PURPOSE, row["key_id"], row["sealed"]).decode()

    async def admit_signed(self, fields: Sequence[dict[str, str]]) -> list[Keyed | EpayStatus]:
        """Say whose fields these are, by number and signature; else why nobody's."""
        keyed = await self._find([each.get("pid", "") for each in fields])
        return [await self._judge_signed(*each) for each in zip(fields, keyed, strict=True)]

    async def admit_keys(self, asks: Sequence[EpayAsk]) -> list[Keyed | EpayStatus]:
        """Say whose questions these are, by number and key; else why nobody's."""
        keyed = await self._find([ask.pid for ask in asks])
        return [await self._judge_key(*each) for each in zip(asks, keyed, strict=True)]

    async def _find(self, pids: Sequence[str]) -> list[Keyed | None]:
        numbers = [decide.read_pid(pid) for pid in pids]
        keyed = await self.open({number for number in numbers if number is not None})
        return [keyed.get(number) if number is not None else None for number in numbers]

    async def _judge_signed(
        self, fields: dict[str, str], keyed: Keyed | None
    ) -> Keyed | EpayStatus:
        if keyed is None:
            return EpayStatus.PID_UNKNOWN
        if fields.get("sign_type", "MD5").upper() != "MD5":
            return EpayStatus.SIGN_TYPE_UNKNOWN
        if not is_signed(fields, keyed.key) or holds_other_order(fields):
            return EpayStatus.SIGN_WRONG
        if not keyed.account.is_open and not keyed.account.is_suspended:
            return EpayStatus.CLOSED
        return await self._count(keyed)

    async def _judge_key(self, ask: EpayAsk, keyed: Keyed | None) -> Keyed | EpayStatus:
        if keyed is None:
            return EpayStatus.PID_UNKNOWN
        if not is_same(ask.key, keyed.key):
            return EpayStatus.KEY_WRONG
        return await self._count(keyed)

    async def _count(self, keyed: Keyed) -> Keyed | EpayStatus:
        """Count what surely came from the site: nobody else can use up its rate."""
        if keyed.account.is_suspended:
            return EpayStatus.SUSPENDED
        if self._limit is not None and await self._limit.take(str(keyed.pid)) > 0:
            return EpayStatus.TOO_OFTEN
        return keyed


def _account(row: Row) -> EpayAccount:
    return EpayAccount(
        row["pid"],
        row["merchant"],
        row["is_open"],
        row["is_suspended"],
        row["can_refund"],
        row["made_at"],
        row["keyed_at"],
    )
