"""The wiring: reads each constructor's needs from its types and gives the object here, or a peer.

One code path for both shapes: a need that is an api Protocol becomes the service of this process
(guarded against calls inside an open transaction) or `rpc.connect` to the peer that has it.
"""

import asyncio
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from vendrail.app.services import SCHEMAS, SERVICES, ServiceEntry
from vendrail.kernel import config, rpc
from vendrail.kernel.broadcast import Broadcast
from vendrail.kernel.clock import Clock, SystemClock
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Malformed
from vendrail.kernel.jobs import Job
from vendrail.kernel.limits import Limits
from vendrail.kernel.migrate import has_roles, role_name
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics, watch_loop
from vendrail.kernel.vault import Vault
from vendrail.kernel.waiting import end_tasks

_log = structlog.get_logger(__name__)

# How one service reaches another of its process: given its api and itself. A simulation puts its
# trouble there, and watches statements through a `Database` of its own kind.
Link = Callable[[Any, Any], Any]

# What other processes may wait for.
_TOPICS = (
    "payments",
    "channels",
    "orders",
    "sagas",
    "notify",
    "identity",
    "epay",
    "payouts",
    "disputes",
    "webhooks",
    "compliance",
    "domains",
)


class House:
    """Everything of one process: the services it runs, clients of those it does not, its loops."""

    def __init__(
        self,
        platform: PlatformSettings,
        environment: Mapping[str, str],
        clock: Clock,
        vault: Vault,
        *,
        only: Sequence[str] = (),
        peers: Mapping[str, str] | None = None,
        with_roles: bool = True,
        link: Link | None = None,
        open_database: Callable[..., Database] = Database,
    ) -> None:
        self.platform = platform
        self.clock = clock
        self.vault = vault
        self.wakeups = Wakeups()
        self.metrics = Metrics()  # One of them a process: all that is counted here.
        self.databases: dict[str, Database] = {}
        self.services: dict[str, Any] = {}  # What runs here, unguarded: for its loops and routes.
        self._apis: dict[str, Any] = {}
        self._environment = environment
        self._with_roles = with_roles
        self._link = link or partial(rpc.guard, metrics=self.metrics)
        self._open_database = open_database
        self._peers = dict(peers or {})
        self._tasks: list[asyncio.Task[None]] = []
        self._by_api = {entry.api: entry for entry in SERVICES}
        known = {entry.name for entry in SERVICES}
        unknown = (set(only) | set(self._peers)) - known
        if unknown:
            raise Malformed(f"No such service: {sorted(unknown)}. There are: {sorted(known)}.")
        self.names = tuple(e.name for e in SERVICES if not only or e.name in only)
        for entry in SERVICES:
            if entry.name in self.names:
                self._build(entry, ())

    def api(self, protocol: type[Any]) -> Any:
        """Give what fulfils an api: the service of this process, or a client of its peer."""
        return self._resolve(self._by_api[protocol], ())

    def _resolve(self, entry: ServiceEntry, path: tuple[str, ...]) -> Any:
        if entry.name not in self._apis:
            if entry.name in self.names:
                self._build(entry, path)
            else:
                url = self._peers.get(entry.name)
                if url is None:
                    raise Malformed(
                        f"{entry.name} does not run here; say where with --peer {entry.name}=URL."
                    )
                secret = rpc.load_secret(
                    self.platform.home, self.platform.rpc_secret_file, self._environment
                )
                self._apis[entry.name] = rpc.connect(entry.api, url, secret, metrics=self.metrics)
        return self._apis[entry.name]

    def _build(self, entry: ServiceEntry, path: tuple[str, ...]) -> None:
        if entry.name in self.services:
            return
        if entry.name in path:
            raise Malformed(f"Services need each other in a circle: {[*path, entry.name]}.")
        needs = needs_of(entry)
        given = {name: self._need(entry, kind, (*path, entry.name)) for name, kind in needs.items()}
        service = entry.implementation(**given)
        self.services[entry.name] = service
        self._apis[entry.name] = self._link(entry.api, service)

    def _need(self, entry: ServiceEntry, kind: Any, path: tuple[str, ...]) -> Any:
        if kind is Database:
            return self._database(entry.name, entry.connections_max)
        if kind is Vault:
            return self.vault
        if kind is Clock:
            return self.clock
        if kind is Wakeups:
            return self.wakeups
        if kind is Metrics:
            return self.metrics
        if kind is Limits:
            return Limits(self.limits_database(), self.vault, self.clock)
        if kind in self._by_api:
            return self._resolve(self._by_api[kind], path)
        if isinstance(kind, type) and kind.__name__.endswith("Settings"):
            return self.settings(kind, entry.name)
        raise Malformed(f"{entry.name} needs {kind}, which the wiring cannot give.")

    def settings(self, kind: type[Any], name: str) -> Any:
        """Read the settings of a room; what is the platform's is the same everywhere."""
        return config.load_room(kind, name, self.platform, self._environment)

    def limits_database(self) -> Database:
        """Give the database of the rate limits, which all faces share."""
        return self.databases.get("limits") or self._database("limits", 2)

    def _database(self, name: str, connections_max: int) -> Database:
        database = self._open_database(
            self.platform.database_url,
            name,
            role=role_name(name) if self._with_roles else None,
            connections_max=connections_max,
            statement_cache=not self.platform.is_pooled,
        )
        self.databases[name] = database
        return database

    def jobs(self) -> list[Job]:
        """Name the background loops of the services that run here."""
        return [
            job for entry in SERVICES if entry.name in self.services for job in self._jobs_of(entry)
        ]

    def _jobs_of(self, entry: ServiceEntry) -> list[Job]:
        """Give a service's loops the apis that they alone need: to read what others tell.

        A loop may read the events of a service that calls its own: that is no circle of needs,
        for both services stand by the time that loops are made.
        """
        hints = typing.get_type_hints(entry.jobs)
        needs = {
            name: self._resolve(self._by_api[kind], ())
            for name, kind in hints.items()
            if kind in self._by_api
        }
        return entry.jobs(self.services[entry.name], **needs)

    def start_jobs(self) -> None:
        """Start the loops; `stop` ends them."""
        self._tasks = [asyncio.create_task(job.run(), name=job.name) for job in self.jobs()]
        self._tasks.append(asyncio.create_task(watch_loop(self.metrics), name="loop_lag"))
        if not self.platform.is_pooled:  # Behind a pooler nobody can listen: polling does.
            carry = Broadcast(self.platform.database_url, self.wakeups, _TOPICS)
            self._tasks.append(asyncio.create_task(carry.run(), name="broadcast"))

    async def stop(self) -> None:
        """Stop the loops, let what is in flight end, close what is open."""
        await end_tasks(self._tasks)
        for service in self.services.values():
            drain = getattr(service, "drain", None)
            if drain is not None:
                await drain()
        for service in self.services.values():
            close = getattr(service, "close", None)
            if close is not None:
                await close()
        for database in self.databases.values():
            await database.close()
        for name in self._peers:
            client = self._apis.get(name)
            if client is not None:
                await rpc.disconnect(client)


def needs_of(entry: ServiceEntry) -> dict[str, Any]:
    """Read what a service needs from its constructor's types."""
    hints = typing.get_type_hints(entry.implementation.__init__)
    return {name: kind for name, kind in hints.items() if name != "return"}


async def build(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    *,
    only: Sequence[str] = (),
    peers: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    link: Link | None = None,
    open_database: Callable[..., Database] = Database,
) -> House:
    """Open the vault and build the house of this process."""
    vault = Vault.open(platform.home, environment)
    with_roles = await has_roles(platform.database_url, SCHEMAS)
    if not with_roles:
        _log.warning("wiring.one_role", advice="grant CREATEROLE to keep the services apart")
    return House(
        platform,
        environment,
        clock or SystemClock(),
        vault,
        only=only,
        peers=peers,
        with_roles=with_roles,
        link=link,
        open_database=open_database,
    )
