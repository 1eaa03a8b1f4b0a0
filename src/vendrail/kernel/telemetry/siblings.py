"""The workers of one server answer a scrape together: whichever is asked asks the others too.

A load balancer, or the kernel, gives a scrape to any of them, so one worker's numbers alone would
jump up and down. Each worker listens on a socket in a folder that is theirs; a number in its name
is the `worker` label of its series, and a worker that comes after one that died takes its number.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from vendrail.kernel.telemetry.metrics import Metrics

_ANSWER_S = 2.0
_WORKERS_MAX = 256

_log = structlog.get_logger(__name__)


class Siblings:
    """One worker's metrics among those of the others; open for as long as the worker serves."""

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self._folder = folder
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self._number = 0

    async def open(self) -> None:
        """Take the first free number and listen under it."""
        for number in range(1, _WORKERS_MAX + 1):
            path = self._folder / f"{number}.sock"
            if await _is_answered(path):
                continue
            with contextlib.suppress(OSError):
                path.unlink()
            with contextlib.suppress(OSError):  # Another worker that starts was quicker.
                self._server = await asyncio.start_unix_server(self._answer, path)
                self._number = number
                return
        _log.warning("metrics.alone", reason="no free number", workers_max=_WORKERS_MAX)

    async def close(self) -> None:
        """Hang up, and give the number back."""
        if self._server is not None:
            self._server.close()
            (self._folder / f"{self._number}.sock").unlink(missing_ok=True)
            self._server = None

    async def render(self) -> bytes:
        """Give the metrics of all workers as Prometheus reads them."""
        own = self._number
        paths = {int(path.stem): path for path in self._folder.glob("*.sock")}
        others = sorted(number for number in paths if number != own)
        texts = await asyncio.gather(
            self._metrics.render(), *(_ask(paths[number]) for number in others)
        )
        return merge(zip((own, *others), texts, strict=True))

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await self._metrics.render())
            await writer.drain()
        except ConnectionError:
            pass  # Whoever asked has gone.
        finally:
            writer.close()


def merge(texts: Iterable[tuple[int, bytes]]) -> bytes:
    """Put the metrics of several workers together, each series with its worker's number."""
    families: dict[str, Metric] = {}
    for worker, text in texts:
        for family in text_string_to_metric_families(text.decode()):
            kept = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            for sample in family.samples:
                kept.add_sample(sample.name, {**sample.labels, "worker": str(worker)}, sample.value)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(list(families.values())))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """Give what there is, as registries ask for it."""
        return self._families


async def _ask(path: Path) -> bytes:
    """Ask one worker; one that does not answer is left out, for it may be about to end."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        _log.warning("metrics.unanswered", worker=path.stem, error=str(error))
        return b""


async def _is_answered(path: Path) -> bool:
    """Tell whether a living worker listens there."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
