"""The benches, by name: what each measures and the function that runs it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vendrail.app.bench.callback import bench_callback
from vendrail.app.bench.http import bench_http
from vendrail.app.bench.idle import bench_idle
from vendrail.app.bench.ledger import bench_ledger
from vendrail.app.bench.page import bench_page
from vendrail.app.bench.pipeline import bench_pipeline
from vendrail.app.bench.release import bench_release
from vendrail.app.bench.sealing import bench_sealing
from vendrail.app.bench.statement import bench_statement


@dataclass(frozen=True)
class Bench:
    """One bench: `run(platform, environment, progress, *, orders=…)` gives its result."""

    help: str
    run: Callable[..., Awaitable[dict[str, object]]]


BENCHES = {
    "pipeline": Bench("From order placed to key readable, in batches.", bench_pipeline),
    "http": Bench("The whole way over HTTP, callbacks signed.", bench_http),
    "ledger": Bench("Posting alone, on accounts with limits.", bench_ledger),
    "callback": Bench("From callback to key readable, unloaded.", bench_callback),
    "page": Bench("The order page under 256 readers.", bench_page),
    "statement": Bench("A month of many lines as CSV and XLSX.", bench_statement),
    "release": Bench("Releasing shares that have fallen due.", bench_release),
    "sealing": Bench("Posting while the journal is sealed, and while not.", bench_sealing),
    "idle": Bench("What a platform costs that nobody uses.", bench_idle),
}
