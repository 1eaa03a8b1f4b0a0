"""What every room of webhooks works with."""

from dataclasses import dataclass

from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.http.targets import host_of
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.webhooks.settings import WebhooksSettings

PURPOSE = "webhooks.secret"
TOPIC = "webhooks"


@dataclass(frozen=True)
class Ground:
    """Handed from the service to its rooms, as it is."""

    db: Database
    vault: Vault
    clock: Clock
    wakeups: Wakeups
    metrics: Metrics
    settings: WebhooksSettings

    @property
    def own_hosts(self) -> list[str]:
        """Name the hosts by which the world reaches the platform: nobody else is told there."""
        host = host_of(self.settings.public_url)
        return [host] if host else []
