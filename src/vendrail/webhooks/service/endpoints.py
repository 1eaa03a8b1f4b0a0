"""Endpoints: made, changed, given other secrets, deleted; a secret is told once."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.webhooks import (
    EndpointChange,
    EndpointId,
    EndpointMade,
    EndpointName,
    EndpointState,
    EndpointStatus,
    EndpointView,
    EventKind,
    NewEndpoint,
    NewSecret,
)
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Row
from vendrail.kernel.http.targets import networks
from vendrail.kernel.ids import new_id
from vendrail.webhooks import decide
from vendrail.webhooks.service.ground import PURPOSE, TOPIC, Ground
from vendrail.webhooks.store import endpoints

_KEY_LIFE = timedelta(days=1)
_FAILING_MAX = 200


class Sealed(NamedTuple):
    """A fresh secret, and what is kept of it."""

    text: str
    key_id: UUID
    data_key: UUID
    sealed: bytes


class Endpoints:
    """Keeps merchants' endpoints."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._db = ground.db
        setting = "VENDRAIL_WEBHOOKS_NETWORKS_ALLOWED"
        self._allowed = networks(ground.settings.networks_allowed, setting)
        self._data_keys = DataKeys(ground.db, ground.vault, ground.clock, life=_KEY_LIFE)

    async def make(self, new: NewEndpoint) -> EndpointMade:
        """Make one endpoint with its secret."""
        fault = self._fault(new.url, new.note)
        if fault is not None:
            return EndpointMade(fault)
        made, now = await self._new_secret(), self._ground.clock.now()
        async with self._db.transaction() as tx:
            count = await endpoints.count_endpoints(tx, new.merchant)
            known = (await endpoints.load_endpoints(tx, [new.id])).get(new.id)
            if known is not None:
                if known["merchant"] != new.merchant:
                    return EndpointMade(EndpointStatus.ENDPOINT_NOT_FOUND)
                return EndpointMade(EndpointStatus.EXISTS, view(known))
            if await endpoints.is_closed(tx, new.id):
                return EndpointMade(EndpointStatus.DELETED)
            if count >= self._ground.settings.endpoints_max:
                return EndpointMade(EndpointStatus.TOO_MANY)
            await endpoints.add_endpoint(tx, new, made.key_id, made.data_key, made.sealed, now)
            row = (await endpoints.load_endpoints(tx, [new.id]))[new.id]
        return EndpointMade(EndpointStatus.DONE, view(row), made.text)

    async def change(self, change: EndpointChange) -> EndpointStatus:
        """Change one endpoint; what is None stays."""
        async with self._db.transaction() as tx:
            row = await endpoints.lock_endpoint(tx, change.id, change.merchant)
            if row is None:
                return EndpointStatus.ENDPOINT_NOT_FOUND
            url = row["url"] if change.url is None else change.url
            note = row["note"] if change.note is None else change.note
            kinds = row["kinds"] if change.kinds is None else [str(each) for each in change.kinds]
            is_ordered = row["is_ordered"] if change.is_ordered is None else change.is_ordered
            # Where it leads is judged only as it is given: settings may have changed since.
            judged = url if change.url is not None else "https://example.com/"
            fault = self._fault(judged, note)
            if fault is not None:
                return fault
            now = self._ground.clock.now()
            await endpoints.change_endpoint(
                tx, change.id, url, kinds, note, now, is_ordered=is_ordered
            )
            is_enabled = row["state"] == EndpointState.ENABLED
            if change.is_enabled is False and is_enabled:
                await endpoints.disable(tx, change.id, decide.REASON_BY_HAND, None)
            elif change.is_enabled and not is_enabled:
                await endpoints.enable(tx, change.id)
        self._ground.wakeups.wake(TOPIC)
        return EndpointStatus.DONE

    def _fault(self, url: str, note: str) -> EndpointStatus | None:
        return decide.endpoint_fault(url, note, self._allowed, self._ground.own_hosts)

    async def rotate(self, name: NewSecret) -> EndpointMade:
        """Give one endpoint another secret; the one before signs for a while too."""
        made, now = await self._new_secret(name.once), self._ground.clock.now()
        until = now + timedelta(seconds=self._ground.settings.old_secret_s)
        async with self._db.transaction() as tx:
            standing = await endpoints.lock_endpoint(tx, name.id, name.merchant)
            if standing is None:
                return EndpointMade(EndpointStatus.ENDPOINT_NOT_FOUND)
            if not await endpoints.add_wish(tx, name.id, made.key_id):
                known = (await endpoints.load_endpoints(tx, [name.id]))[name.id]
                return EndpointMade(EndpointStatus.EXISTS, view(known))
            await endpoints.rotate(tx, name.id, made.key_id, made.data_key, made.sealed, now, until)
            row = (await endpoints.load_endpoints(tx, [name.id]))[name.id]
        return EndpointMade(EndpointStatus.DONE, view(row), made.text)

    async def close(self, name: EndpointName) -> EndpointStatus:
        """Delete one endpoint."""
        async with self._db.transaction() as tx:
            now = self._ground.clock.now()
            is_closed = await endpoints.delete_endpoint(tx, name.id, name.merchant, now)
        return EndpointStatus.DONE if is_closed else EndpointStatus.ENDPOINT_NOT_FOUND

    async def list_own(self, merchants: Sequence[UUID]) -> list[list[EndpointView]]:
        """List merchants' endpoints, oldest first."""
        async with self._db.reading() as tx:
            rows = await endpoints.list_endpoints(tx, merchants)
        return [[view(row) for row in rows if row["merchant"] == each] for each in merchants]

    async def list_failing(self, endpoints_max: int) -> list[EndpointView]:
        """List endpoints that do not hear, the longest first."""
        async with self._db.reading() as tx:
            rows = await endpoints.list_failing(tx, max(0, min(endpoints_max, _FAILING_MAX)))
        return [view(row) for row in rows]

    async def _new_secret(self, key_id: UUID | None = None) -> Sealed:
        data_key = await self._data_keys.newest()
        key_id = key_id or new_id(self._ground.clock.now())
        secret = secrets.token_bytes(decide.SECRET_BYTES)
        sealed = self._ground.vault.seal(data_key, PURPOSE, key_id, secret)
        return Sealed(decide.write_secret(secret), key_id, data_key.id, sealed)

    async def secrets_of(self, rows: Sequence[Row]) -> dict[UUID, list[bytes]]:
        """Open the secrets that sign now for the endpoints of these deliveries, newest first."""
        now = self._ground.clock.now()
        first = {row["endpoint"]: row for row in rows}
        ids = [row[name] for row in first.values() for name in ("data_key", "old_data_key")]
        keys = await self._data_keys.load(ids)
        opened: dict[UUID, list[bytes]] = {}
        for endpoint, row in first.items():
            found = [(row["key_id"], row["data_key"], row["sealed"])]
            if row["old_key_until"] is not None and row["old_key_until"] > now:
                found.append((row["old_key_id"], row["old_data_key"], row["old_sealed"]))
            opened[endpoint] = [
                self._ground.vault.unseal(keys[data_key], PURPOSE, key_id, sealed)
                for key_id, data_key, sealed in found
            ]
        return opened


def view(row: Row) -> EndpointView:
    """Give an endpoint as it is shown."""
    return EndpointView(
        EndpointId(row["id"]),
        row["merchant"],
        row["url"],
        [EventKind(each) for each in row["kinds"]],
        row["is_ordered"],
        row["note"],
        EndpointState(row["state"]),
        row["reason"],
        row["made_at"],
        row["keyed_at"],
        row["old_key_until"],
        row["failing_since"],
        row["heard_at"],
        row["waiting"],
    )
