"""Programs' keys: made, shown once, checked many times, ended."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.identity import (
    KEY_SCOPES,
    Actor,
    ApiKey,
    ApiKeyChange,
    ApiKeyChangeStatus,
    ApiKeyResult,
    ApiKeyStatus,
    ChangeStatus,
    NewApiKey,
    Permission,
)
from vendrail.identity import decide
from vendrail.identity.service.ground import Ground
from vendrail.identity.store import people, programs
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Transaction

_REMEMBERED = timedelta(seconds=5)
_REMEMBERED_MAX = 20_000
_USED_STEP = timedelta(minutes=1)
_FORM = "vrk"  # What secret scanners look for.
_SECRET_LENGTH_MAX = 100


class ProgramsService:
    """API keys of merchants."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._checked: dict[bytes, tuple[datetime, ApiKey | None]] = {}

    async def make_api_keys(self, keys: Sequence[NewApiKey]) -> list[ApiKeyResult]:
        """Make keys for programs; a secret is told once, here."""
        return [await self._make(new) for new in keys]

    async def _make(self, new: NewApiKey) -> ApiKeyResult:
        ground, now, asked = self._ground, self._ground.clock.now(), new.key
        name = " ".join(asked.name.split())
        if not 1 <= len(name) <= decide.NAME_LENGTH_MAX:
            return ApiKeyResult(ApiKeyStatus.NAME_MALFORMED)
        scopes = sorted(set(asked.scopes))
        if not scopes or not set(scopes) <= set(KEY_SCOPES):
            return ApiKeyResult(ApiKeyStatus.SCOPES_MALFORMED)
        networks = decide.clean_networks(asked.networks)
        if networks is None:
            return ApiKeyResult(ApiKeyStatus.NETWORKS_MALFORMED)
        prefix = f"{_FORM}_{_letters(5)}"
        secret = f"{prefix}_{_letters(20)}"
        key = replace(
            asked,
            name=name,
            scopes=scopes,
            networks=networks,
            prefix=prefix,
            made_by=new.by.name,
            made_at=now,
        )
        async with ground.db.transaction() as tx:
            if not await self._may(tx, new.by, asked.merchant):
                return ApiKeyResult(ApiKeyStatus.NOT_ALLOWED)
            count = await programs.count_keys(tx, asked.merchant, now)
            if count >= ground.settings.api_keys_per_merchant_max:
                return ApiKeyResult(ApiKeyStatus.TOO_MANY)
            if not await programs.add_key(tx, key, ground.hash("api_key", secret)):
                return ApiKeyResult(ApiKeyStatus.EXISTS)
            after = {"name": name, "scopes": " ".join(scopes), "ends_at": _day(key.ends_at)}
            if networks:
                after["networks"] = " ".join(networks)
            act = ground.act(
                new.by, "api_key.made", f"api_key:{prefix}", asked.merchant, after=after
            )
            await ground.write_acts(tx, [act])
        return ApiKeyResult(ApiKeyStatus.MADE, secret, prefix)

    async def _may(self, tx: Transaction, by: Actor, merchant: UUID) -> bool:
        if by.id is None:
            return decide.may_staff(None, by.kind, None)
        person = (await people.load_people(tx, [by.id])).get(by.id)
        there = decide.membership_at(person, merchant) if person else None
        return there is not None and Permission.API_KEYS_WRITE in there.permissions

    async def list_api_keys(self, merchants: Sequence[UUID]) -> list[list[ApiKey]]:
        """List merchants' keys, the newest first."""
        async with self._ground.db.reading() as tx:
            return [await programs.list_keys(tx, merchant) for merchant in merchants]

    async def revoke_api_keys(
        self, keys: Sequence[tuple[UUID, UUID]], by: Actor
    ) -> list[ChangeStatus]:
        """End keys, each (merchant, key)."""
        ground, statuses = self._ground, []
        async with ground.db.transaction() as tx:
            for merchant, id in keys:
                if not await self._may(tx, by, merchant):
                    statuses.append(ChangeStatus.NOT_ALLOWED)
                    continue
                key = await programs.revoke(tx, merchant, id, ground.clock.now())
                if key is None:
                    statuses.append(ChangeStatus.NOT_FOUND)
                    continue
                act = ground.act(
                    by,
                    "api_key.revoked",
                    f"api_key:{key.prefix}",
                    merchant,
                    before={"name": key.name},
                )
                await ground.write_acts(tx, [act])
                statuses.append(ChangeStatus.CHANGED)
        self._checked.clear()
        return statuses

    async def change_api_keys(self, changes: Sequence[ApiKeyChange]) -> list[ApiKeyChangeStatus]:
        """Say from which networks keys may come; known everywhere seconds later."""
        async with self._ground.db.transaction() as tx:
            statuses = [await self._set_networks(tx, change) for change in changes]
        self._checked.clear()
        return statuses

    async def _set_networks(self, tx: Transaction, change: ApiKeyChange) -> ApiKeyChangeStatus:
        networks = decide.clean_networks(change.networks)
        if networks is None:
            return ApiKeyChangeStatus.NETWORKS_MALFORMED
        if not await self._may(tx, change.by, change.merchant):
            return ApiKeyChangeStatus.NOT_ALLOWED
        key = await programs.lock_key(tx, change.merchant, change.key)
        if key is None:
            return ApiKeyChangeStatus.NOT_FOUND
        if key.networks == networks:
            return ApiKeyChangeStatus.UNCHANGED
        await programs.set_networks(tx, key.id, networks)
        act = self._ground.act(
            change.by,
            "api_key.changed",
            f"api_key:{key.prefix}",
            change.merchant,
            before={"networks": " ".join(key.networks)},
            after={"networks": " ".join(networks)},
        )
        await self._ground.write_acts(tx, [act])
        return ApiKeyChangeStatus.CHANGED

    async def check_api_keys(self, given: Sequence[str]) -> list[ApiKey | None]:
        """Give the key that each secret is, as it was seconds ago; None: no such key any more."""
        ground, now = self._ground, self._ground.clock.now()
        hashes = [ground.hash("api_key", secret[:_SECRET_LENGTH_MAX]) for secret in given]
        asked = {key for key in hashes if not self._remembers(key, now)}
        if asked:
            await self._look_up(list(asked), now)
        return [self._checked[key][1] for key in hashes]

    def _remembers(self, key: bytes, now: datetime) -> bool:
        known = self._checked.get(key)
        return known is not None and now - known[0] < _REMEMBERED

    async def _look_up(self, asked: Sequence[bytes], now: datetime) -> None:
        ground = self._ground
        async with ground.db.reading() as tx:
            found = await programs.load_keys(tx, asked, now)
            used = [
                key.id
                for key in found.values()
                if key.used_at is None or now - key.used_at >= _USED_STEP
            ]
            if used:
                await programs.touch_keys(tx, used, now)
        if len(self._checked) + len(asked) > _REMEMBERED_MAX:
            self._checked.clear()
        self._checked |= {key: (now, found.get(key)) for key in asked}


def _letters(length_bytes: int) -> str:
    return base64.b32encode(secrets.token_bytes(length_bytes)).decode().lower()


def _day(at: datetime | None) -> str:
    return at.date().isoformat() if at else ""
