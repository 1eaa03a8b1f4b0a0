"""The system: how busy, how quick and how full it is, read from what every scrape reads."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.notify import CheckReport
from vendrail.kernel.telemetry import Readings, Spread
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.storefront.front import Page

_PATH = "/operator/system"
_SHOWN_MAX = 20
_MEGA = 1_000_000
_LATENCIES = (
    # Histogram, its labels, and how its rows are called.
    (message("Pages and interfaces"), "vendrail_http_request_seconds", ("method", "route")),
    (message("Calls to services"), "vendrail_rpc_call_seconds", ("service", "operation")),
    (message("Calls to providers"), "vendrail_provider_call_seconds", ("channel", "operation")),
)


class Worker(NamedTuple):
    """One process that serves."""

    number: str
    version: str
    python: str
    began_at: datetime | None
    memory_mb: int
    lag: str


class Queue(NamedTuple):
    """The batches of one operation."""

    operation: str
    waiting: int
    shed: int
    sizes: Spread | None


class Latency(NamedTuple):
    """How long one operation takes."""

    name: str
    number: int
    half: str
    most: str


class System:
    """The page of the system."""

    entries = (Entry(_PATH, message("System"), "gear", Permission.SYSTEM_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._notify, self._render = desk.apis.notify, desk.apis.render_metrics
        self._webhooks = desk.apis.webhooks

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of this page."""
        return [self._desk.get(_PATH, self.show, Permission.SYSTEM_READ)]

    async def show(self, caller: Caller) -> Page:
        """Show it as it is now; a browser with scripts asks again by itself."""
        read = Readings(await self._render())
        checks: dict[str, CheckReport] = {c.name: c for c in await self._notify.list_checks()}
        return self._desk.page(
            caller,
            "operator/system.html",
            now=self._desk.clock.now(),
            workers=_workers(read),
            queues=_queues(read),
            latencies=[
                (self._desk.say(caller, title), _latencies(read.spread(name, labels)))
                for title, name, labels in _LATENCIES
            ],
            lags=_spans(read.gather("vendrail_event_lag_seconds", ("consumer",), min)),
            sagas=_sagas(read),
            pools=_pools(read),
            letters=int(max(read.gather("vendrail_letters_waiting", (), max).values(), default=0)),
            postgres=", ".join(
                key[0] for key in read.gather("vendrail_database_info", ("version",))
            ),
            database_mb=_largest(read, "vendrail_database_bytes") // _MEGA,
            failing=await self._webhooks.list_failing(_SHOWN_MAX),
            audit=checks.get("audit"),
            backup=checks.get("backup"),
        )


def _largest(read: Readings, name: str) -> int:
    return int(max(read.gather(name, (), max).values(), default=0))


def _workers(read: Readings) -> list[Worker]:
    """Give the processes of this server; one that serves alone has no number."""
    versions = read.gather("vendrail_info", ("worker", "version"))
    python_of = {key[0]: key[1] for key in read.gather("python_info", ("worker", "version"))}
    began = read.gather("process_start_time_seconds", ("worker",))
    memory = read.gather("process_resident_memory_bytes", ("worker",))
    lags = read.gather("vendrail_loop_lag_seconds", ("worker",))
    return [
        Worker(
            worker or "1",
            next((version for each, version in versions if each == worker), ""),
            python_of.get(worker, ""),
            datetime.fromtimestamp(began[worker,], UTC) if (worker,) in began else None,
            int(memory.get((worker,), 0)) // _MEGA,
            span(lags[worker,]) if (worker,) in lags else "",
        )
        for worker in sorted(python_of, key=lambda number: (len(number), number))
    ]


def _queues(read: Readings) -> list[Queue]:
    """Give the operations that have queues, those with the most batches first."""
    waiting = read.gather("vendrail_queue_depth", ("operation",))
    shed = read.gather("vendrail_shed_total", ("operation",))
    sizes = read.spread("vendrail_batch_size", ("operation",))
    names = {*waiting, *shed, *sizes}
    found = [
        Queue(key[0], int(waiting.get(key, 0)), int(shed.get(key, 0)), sizes.get(key))
        for key in names
    ]
    found.sort(key=lambda each: (-each.waiting, -(each.sizes.number if each.sizes else 0), each))
    return found[:_SHOWN_MAX]


def _latencies(spreads: Mapping[tuple[str, ...], Spread]) -> list[Latency]:
    """Give the operations that were asked for most."""
    busiest = sorted(spreads.items(), key=lambda each: (-each[1].number, each[0]))
    return [
        Latency(" ".join(key), spread.number, span(spread.p50), span(spread.p99))
        for key, spread in busiest[:_SHOWN_MAX]
    ]


def _spans(values: Mapping[tuple[str, ...], float]) -> list[tuple[str, str]]:
    return [(" ".join(key), span(value)) for key, value in values.items()]


def _sagas(read: Readings) -> list[tuple[str, str, int, str]]:
    """Give what has not ended: every worker sees all of them."""
    counts = read.gather("vendrail_sagas", ("kind", "state"), max)
    ages = read.gather("vendrail_saga_age_seconds", ("kind", "state"), max)
    return [
        (kind, state, int(count), span(ages.get((kind, state), 0.0)))
        for (kind, state), count in counts.items()
        if count
    ]


def _pools(read: Readings) -> list[tuple[str, int, int, int]]:
    """Give each service's connections over all workers: at work, open, and most."""
    found = read.gather("vendrail_pool_connections", ("service", "state"))
    services = sorted({service for service, _ in found})
    rows = []
    for service in services:
        opened, idle, most = (int(found.get((service, s), 0)) for s in ("open", "idle", "most"))
        rows.append((service, opened - idle, opened, most))
    return rows


def span(seconds: float) -> str:
    """Write a length of time shortly, with three digits at most."""
    seconds = max(0.0, seconds)  # Clocks of two machines may differ a little.
    if seconds < 1:
        return f"{seconds * 1_000:.3g} ms"
    for unit, size_s, until_s in (("s", 1, 60), ("min", 60, 3_600), ("h", 3_600, 172_800)):
        if seconds < until_s:
            return f"{seconds / size_s:.3g} {unit}"
    return f"{seconds / 86_400:.0f} d"
