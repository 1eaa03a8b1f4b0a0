"""Every metric in one table: name, kind, labels, help. One registry a process."""

import inspect
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal, Protocol
from weakref import WeakSet

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Broken

CONTENT_TYPE = CONTENT_TYPE_LATEST

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 3_600.0, 86_400.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)

_log = structlog.get_logger(__name__)


class Metric(Record, frozen=True):
    """One row of the table of metrics."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


METRICS = (
    # What the business sees.
    Metric(
        "vendrail_orders_total",
        "counter",
        ("outcome",),
        "Orders that were asked for, by how placing them ended.",
    ),
    Metric(
        "vendrail_charges_total",
        "counter",
        ("outcome",),
        "Charges that were asked for, by how placing them ended.",
    ),
    Metric(
        "vendrail_epay_requests_total",
        "counter",
        ("outcome",),
        "Charges that card sites asked for by Epay, by how taking them ended.",
    ),
    Metric(
        "vendrail_epay_notices_total",
        "counter",
        ("outcome",),
        "Tries to tell card sites of paid charges: taken, waiting for the next try, given_up.",
    ),
    Metric(
        "vendrail_webhooks_total",
        "counter",
        ("outcome",),
        "Tries to tell merchants' programs: heard, waiting for the next try, given_up, dropped.",
    ),
    Metric(
        "vendrail_webhooks_waiting",
        "gauge",
        (),
        "How much merchants' programs are still to be told.",
    ),
    Metric(
        "vendrail_webhook_late_seconds",
        "gauge",
        (),
        "For how long the latest of what merchants' programs are to be told has been due.",
    ),
    Metric(
        "vendrail_webhook_endpoints",
        "gauge",
        ("state",),
        "Endpoints of merchants' programs, by how they stand: hearing, failing, disabled.",
    ),
    Metric(
        "vendrail_domain_checks_total",
        "counter",
        ("finding",),
        "Looks at the records of shops' own domains: proven, no_record, other_record, unanswered.",
    ),
    Metric(
        "vendrail_payments_total",
        "counter",
        ("method", "channel", "outcome"),
        "Payments, by how they ended: captured, unmatched, disputed, refunded, refund_failed.",
    ),
    Metric(
        "vendrail_payments_minor_total",
        "counter",
        ("channel", "currency"),
        "Captured money in minor units.",
    ),
    Metric(
        "vendrail_callbacks_total",
        "counter",
        ("channel", "outcome"),
        "Callbacks of providers, by what they were taken for.",
    ),
    Metric(
        "vendrail_delivery_seconds",
        "histogram",
        (),
        "From the capture of an order's money until its keys are readable.",
        _SLOW_S,
    ),
    Metric(
        "vendrail_clearing_age_seconds",
        "gauge",
        ("account", "currency"),
        "Age of the oldest amount that lies in a clearing account, which must come back to zero.",
    ),
    Metric(
        "vendrail_clearing_balance_minor",
        "gauge",
        ("account", "currency"),
        "What a clearing account holds now, in minor units.",
    ),
    Metric(
        "vendrail_close_late_seconds",
        "gauge",
        (),
        "How long the next day to be closed could have been closed, and is not.",
    ),
    Metric(
        "vendrail_quotes_total",
        "counter",
        ("outcome",),
        "Prices that were asked for in another currency, by how asking ended.",
    ),
    Metric(
        "vendrail_coupons_total",
        "counter",
        ("outcome",),
        "Coupons that orders were placed with, by how asking for them ended.",
    ),
    Metric(
        "vendrail_rate_fetches_total",
        "counter",
        ("source", "outcome"),
        "Tries to read a source of exchange rates: read, failed.",
    ),
    # What moves it.
    Metric("vendrail_sagas", "gauge", ("kind", "state"), "Sagas that have not ended."),
    Metric(
        "vendrail_saga_age_seconds",
        "gauge",
        ("kind", "state"),
        "Age of the oldest saga that has not ended.",
    ),
    Metric("vendrail_saga_ends_total", "counter", ("kind", "outcome"), "Sagas, by how they ended."),
    Metric(
        "vendrail_batch_size", "histogram", ("operation",), "Items that shared a batch.", _SIZES
    ),
    Metric("vendrail_queue_depth", "gauge", ("operation",), "Items that wait for a batch."),
    Metric("vendrail_shed_total", "counter", ("operation",), "Calls turned away by a full queue."),
    Metric(
        "vendrail_event_lag_seconds",
        "gauge",
        ("consumer",),
        "Time since a consumer of events was last known to have read all there were.",
    ),
    Metric(
        "vendrail_letters_total",
        "counter",
        ("template", "outcome"),
        "Letters, by how they ended: sent, or why not (stale, overtaken, no_address, failed, …).",
    ),
    Metric(
        "vendrail_telegram_letters_total",
        "counter",
        ("template", "outcome"),
        "Letters by Telegram, by how they ended; diverted: left by e-mail in its place.",
    ),
    Metric("vendrail_releases_overdue", "gauge", (), "Releases whose moment is over a minute ago."),
    Metric("vendrail_release_lag_seconds", "gauge", (), "How long the oldest of them is overdue."),
    Metric(
        "vendrail_debts_minor",
        "gauge",
        ("currency", "days"),
        "What merchants owe, by how many days it is old at least.",
    ),
    Metric("vendrail_reserves_low", "gauge", (), "Payout reserves that may not last much longer."),
    Metric(
        "vendrail_dossiers_total",
        "counter",
        ("step",),
        "Dossiers: submitted, accepted, more_asked, refused, revoked, expired and so on.",
    ),
    Metric("vendrail_dossiers_waiting", "gauge", (), "Dossiers that wait for a person."),
    Metric("vendrail_dossier_age_seconds", "gauge", (), "Age of the dossier that waits longest."),
    Metric("vendrail_merchants_verified", "gauge", ("tier",), "Merchants whose tier counts."),
    Metric("vendrail_merchants_suspended", "gauge", (), "Merchants whose sales are stopped."),
    Metric("vendrail_letters_waiting", "gauge", (), "Letters that have not left yet."),
    Metric("vendrail_letter_age_seconds", "gauge", (), "Age of the oldest letter that waits."),
    Metric(
        "vendrail_complaint_steps_total",
        "counter",
        ("step",),
        "What was done about complaints: opened, offered, escalated, ruled, done, limit_open, ….",
    ),
    Metric(
        "vendrail_warranty_claims_total",
        "counter",
        ("outcome",),
        "Dead keys under a warranty: taken at once, over_limit; of those taken: repaid, unstocked.",
    ),
    Metric("vendrail_complaints", "gauge", ("state",), "Complaints that have not ended."),
    Metric(
        "vendrail_complaints_overdue",
        "gauge",
        ("state",),
        "Complaints whose step has taken longer than it may.",
    ),
    Metric(
        "vendrail_messages_written_total",
        "counter",
        ("side",),
        "Messages about orders, by who wrote: buyer, merchant, operator.",
    ),
    Metric(
        "vendrail_buyer_codes_total",
        "counter",
        ("outcome",),
        "Codes to sign in that buyers asked for, by how asking ended.",
    ),
    Metric(
        "vendrail_buyer_sign_ins_total",
        "counter",
        ("way", "outcome"),
        "Codes and passkeys that buyers showed: accepted, limited, or why it was refused.",
    ),
    Metric(
        "vendrail_buyer_passkeys_total",
        "counter",
        ("step",),
        "Passkeys of buyers that were added or removed, or why one was not added.",
    ),
    Metric(
        "vendrail_buyer_sessions_ended_total",
        "counter",
        ("reason",),
        "Sessions of buyers that ended: signed_out, everywhere, replaced, copied, over, deleted.",
    ),
    # What carries it.
    Metric(
        "vendrail_http_request_seconds",
        "histogram",
        ("method", "route", "status"),
        "Time to answer a request, by route and class of status.",
        _FAST_S,
    ),
    Metric(
        "vendrail_rpc_call_seconds",
        "histogram",
        ("service", "operation", "outcome"),
        "Time of a call to a service, here or to a peer.",
        _FAST_S,
    ),
    Metric(
        "vendrail_provider_call_seconds",
        "histogram",
        ("channel", "operation", "outcome"),
        "Time of a call to a payment provider, by what it said.",
        _SLOW_S,
    ),
    Metric(
        "vendrail_payouts_total",
        "counter",
        ("state",),
        "Payouts to merchants that came to a state.",
    ),
    Metric(
        "vendrail_limit_refusals_total",
        "counter",
        ("limit",),
        "Requests turned away by a rate limit.",
    ),
    Metric(
        "vendrail_card_numbers_total",
        "counter",
        ("where",),
        "Card numbers refused in a `query` or a `body` that was sent to us, or masked in a `log`.",
    ),
    Metric(
        "vendrail_proofs_total",
        "counter",
        ("outcome",),
        "Proofs of work that were `wanted`, and those shown that were `good` or `refused`.",
    ),
    Metric(
        "vendrail_pool_connections",
        "gauge",
        ("service", "state"),
        "Connections of a service's database pool: open, idle, most.",
    ),
    Metric(
        "vendrail_loop_lag_seconds",
        "gauge",
        (),
        "How late the event loop woke up, at worst in the last ten seconds.",
    ),
    Metric("vendrail_database_bytes", "gauge", (), "Size of the database on disk."),
    Metric("vendrail_database_info", "gauge", ("version",), "Always 1: which PostgreSQL there is."),
    Metric("vendrail_info", "gauge", ("version",), "Always 1: which version runs."),
)


class _Histogram(Histogram):
    """A histogram that takes a whole batch: one addition a bucket, whatever its size."""

    def observe_all(self, values: Sequence[float]) -> None:
        """Put values in."""
        self._sum.inc(sum(values))
        bounds = self._upper_bounds
        for place, count in Tally([bisect_left(bounds, value) for value in values]).items():
            self._buckets[place].inc(count)


_KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": _Histogram}


class Queue(Protocol):
    """Where items wait for a batch."""

    name: str

    @property
    def depth(self) -> int:
        """Give how many items wait."""
        ...


class Metrics:
    """The metrics of one process. Values that must be asked for are asked when scraped."""

    def __init__(self, table: Sequence[Metric] = METRICS) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._collectors: dict[str, Any] = {}
        self._labels = {metric.name: metric.labels for metric in table}
        self._children: dict[tuple[str, ...], Any] = {}
        self._asked: list[Callable[[], Awaitable[None] | None]] = [self._put_depths]
        self._queues: WeakSet[Queue] = WeakSet()
        for metric in table:
            options: dict[str, Any] = {"registry": self._registry}
            if metric.buckets:
                options["buckets"] = metric.buckets
            collector = _KINDS[metric.kind](metric.name, metric.help, metric.labels, **options)
            self._collectors[metric.name] = collector
        for standard in (ProcessCollector, PlatformCollector, GCCollector):
            standard(registry=self._registry)

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        self._child(name, labels).inc(by)

    def count_each(self, name: str, outcomes: Iterable[tuple[str, ...]]) -> None:
        """Add one for each of these label sets: a batch's outcomes, added up first."""
        for labels, number in Tally(outcomes).items():
            self._child(name, labels).inc(number)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Put a value into a histogram."""
        self._child(name, labels).observe(value)

    def observe_all(self, name: str, values: Sequence[float], *labels: str) -> None:
        """Put a batch's values into a histogram."""
        self._child(name, labels).observe_all(values)

    def put(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._child(name, labels).set(value)

    def clear(self, name: str) -> None:
        """Forget all values of a gauge: before it is filled anew."""
        collector = self._collectors[name]
        collector.clear()
        self._children = {key: child for key, child in self._children.items() if key[0] != name}

    def observe_batch(self, operation: str, size: int) -> None:
        """Note a batch's size."""
        self._child("vendrail_batch_size", (operation,)).observe(size)

    def watch_queue(self, queue: Queue) -> None:
        """Tell at each scrape how many items wait here, as long as it is there."""
        self._queues.add(queue)
        self.count("vendrail_shed_total", queue.name, by=0)  # So that the first one is a change.

    def _put_depths(self) -> None:
        depths: dict[str, int] = {}
        for queue in self._queues:
            depths[queue.name] = depths.get(queue.name, 0) + queue.depth
        for name, depth in depths.items():
            self.put("vendrail_queue_depth", depth, name)

    def ask_at_scrape(self, ask: Callable[[], Awaitable[None] | None]) -> None:
        """Have this called before each scrape, to put what changes by itself (pools, queues)."""
        self._asked.append(ask)

    async def render(self) -> bytes:
        """Give all metrics as Prometheus reads them; one that cannot be asked hides no other."""
        for ask in self._asked:
            try:
                waiting = ask()
                if inspect.isawaitable(waiting):
                    await waiting
            except Exception:  # noqa: BLE001  # A scrape must show what it can.
                _log.exception("metrics.unanswered")
        return generate_latest(self._registry)

    def value(self, name: str, *labels: str) -> float:
        """Read a counter or gauge back (of a histogram: how many values it holds)."""
        metric = next(iter(self._collectors[name].collect()))
        wanted = dict(zip(self._labels[name], labels, strict=True))
        for sample in metric.samples:
            if sample.labels == wanted and sample.name.endswith(("_total", "_count", name)):
                found: float = sample.value
                return found
        return 0.0

    def _child(self, name: str, labels: tuple[str, ...]) -> Any:
        child = self._children.get((name, *labels))
        if child is None:
            collector = self._collectors.get(name)
            if collector is None:
                raise Broken(f"There is no metric {name!r} in the table of metrics.")
            child = collector.labels(*labels) if labels else collector
            self._children[name, *labels] = child
        return child
