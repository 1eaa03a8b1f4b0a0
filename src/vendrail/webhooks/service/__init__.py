"""Webhooks' service: endpoints, what happened, and telling them of it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.catalog import Catalog
from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.api.webhooks import (
    Again,
    DeliveryName,
    DeliveryQuery,
    DeliveryState,
    DeliveryView,
    EndpointChange,
    EndpointMade,
    EndpointName,
    EndpointStatus,
    EndpointView,
    EventQuery,
    NewEndpoint,
    NewSecret,
    Redelivery,
    WebhookEvent,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.numbers import Found
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.webhooks.service.endpoints import Endpoints
from vendrail.webhooks.service.ground import Ground
from vendrail.webhooks.service.log import Log
from vendrail.webhooks.service.reading import Reading
from vendrail.webhooks.service.telling import Telling, overdue_s
from vendrail.webhooks.service.watching import Watching
from vendrail.webhooks.settings import WebhooksSettings
from vendrail.webhooks.store import endpoints, log

_FORGOTTEN_MAX = 2_000


class WebhooksService:
    """Fulfils `api.webhooks.Webhooks`."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: WebhooksSettings,
        notify: Notify,
        identity: Identity,
    ) -> None:
        self._db = db
        self._metrics = metrics
        self.clock = clock
        self.wakeups = wakeups
        self.settings = settings
        self._ground = ground = Ground(db, vault, clock, wakeups, metrics, settings)
        self._endpoints = Endpoints(ground)
        self._log = Log(ground)
        self.reading = Reading(ground)
        self.telling = Telling(ground, self._endpoints, notify, identity)
        for state in DeliveryState:  # So that the first one is a change.
            metrics.count("vendrail_webhooks_total", state.value, by=0)

    def watching(self, catalog: Catalog) -> Watching:
        """Give what looks at stock."""
        return Watching(self._ground, self.reading, catalog)

    async def make_endpoints(self, endpoints: Sequence[NewEndpoint]) -> list[EndpointMade]:
        """Make endpoints; few at once, so one by one."""
        return [await self._endpoints.make(each) for each in endpoints]

    async def change_endpoints(self, changes: Sequence[EndpointChange]) -> list[EndpointStatus]:
        """Change endpoints; few at once, so one by one."""
        return [await self._endpoints.change(each) for each in changes]

    async def rotate_secrets(self, secrets: Sequence[NewSecret]) -> list[EndpointMade]:
        """Make other secrets; few at once, so one by one."""
        return [await self._endpoints.rotate(each) for each in secrets]

    async def close_endpoints(self, endpoints: Sequence[EndpointName]) -> list[EndpointStatus]:
        """Delete endpoints; few at once, so one by one."""
        return [await self._endpoints.close(each) for each in endpoints]

    async def list_endpoints(self, merchants: Sequence[UUID]) -> list[list[EndpointView]]:
        """List merchants' endpoints, oldest first."""
        return await self._endpoints.list_own(merchants)

    async def list_failing(self, endpoints_max: int) -> list[EndpointView]:
        """List endpoints of all merchants that do not hear, the longest first."""
        return await self._endpoints.list_failing(endpoints_max)

    async def test_endpoints(self, endpoints: Sequence[EndpointName]) -> list[Again]:
        """Send test events; few at once, so one by one."""
        return [await self.reading.test(each) for each in endpoints]

    async def list_deliveries(self, queries: Sequence[DeliveryQuery]) -> list[list[DeliveryView]]:
        """List endpoints' deliveries, newest first."""
        return [await self._log.list_deliveries(query) for query in queries]

    async def read_deliveries(self, names: Sequence[DeliveryName]) -> list[DeliveryView | None]:
        """Read deliveries with what was sent and every try."""
        return await self._log.read_deliveries(names)

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find messages by the numbers they carry, or those of a telling."""
        return await self._log.find_numbers(numbers)

    async def retry_deliveries(self, names: Sequence[DeliveryName]) -> list[Again]:
        """Tell again now, from the first step, under the same id."""
        return await self._log.retry(names)

    async def redeliver_events(self, redeliveries: Sequence[Redelivery]) -> list[Again]:
        """Tell endpoints again of what happened within a time; few at once, so one by one."""
        return [await self._log.redeliver(each) for each in redeliveries]

    async def list_webhook_events(self, queries: Sequence[EventQuery]) -> list[list[WebhookEvent]]:
        """List what happened to merchants since their first endpoint, newest first."""
        return [await self._log.list_events(query) for query in queries]

    async def forget(self) -> bool:
        """Erase old secrets, and delete some events that are too old; true: there are more."""
        now = self.clock.now()
        before = now - timedelta(days=self.settings.keep_days)
        async with self._db.transaction() as tx:
            await endpoints.forget_old_secrets(tx, now)
            return await log.forget(tx, before, _FORGOTTEN_MAX) == _FORGOTTEN_MAX

    async def measure(self) -> dict[str, float]:
        """Count what waits, how late it is, and how endpoints stand: for the metrics."""
        now = self.clock.now()
        async with self._db.reading() as tx:
            row = await log.sum_waiting(tx, now)
        assert row is not None  # A sum always is a row.
        names = ("waiting", "hearing", "failing", "disabled")
        return {name: row[name] for name in names} | {"late_s": overdue_s(row["due_at"], now)}

    async def drain(self) -> None:
        """Let what is on its way arrive: before a stop."""
        await self.telling.drain()

    async def close(self) -> None:
        """Hang up."""
        await self.telling.close()
