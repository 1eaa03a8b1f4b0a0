"""The benches, by name: what each measures and the function that runs it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vendrail.app.bench.pipeline import bench_pipeline


@dataclass(frozen=True)
class Bench:
    """One bench: `run(platform, environment, progress, *, orders=…)` gives its result."""

    help: str
    run: Callable[..., Awaitable[dict[str, object]]]


BENCHES = {
    "pipeline": Bench("From order placed to key readable, in batches.", bench_pipeline),
}
