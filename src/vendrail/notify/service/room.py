"""What every room of notify works with."""

from dataclasses import dataclass

from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record
from vendrail.kernel.db import Database
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.notify.settings import NotifySettings

PURPOSE = "notify.message"


class Content(Record, frozen=True):
    """What a letter says and to whom: sealed while it waits, or read as it leaves."""

    recipient: str
    locale: str
    values: dict[str, str]


@dataclass(frozen=True)
class Means:
    """Handed from the service to its rooms, as it is."""

    db: Database
    clock: Clock
    wakeups: Wakeups
    metrics: Metrics
    settings: NotifySettings


class Room:
    """A part of notify that works by itself."""

    def __init__(self, means: Means) -> None:
        self._db = means.db
        self._clock = means.clock
        self._wakeups = means.wakeups
        self._metrics = means.metrics
        self._settings = means.settings
