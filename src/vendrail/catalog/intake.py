"""Merchants' key files: cleaned line by line, taken in batch by batch."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from vendrail.api.catalog import Catalog, KeyIntake, KeyIntakeResult, KeyLine, KeyReject
from vendrail.kernel.errors import Malformed
from vendrail.kernel.keyfiles import EDGES, UNREADABLE, Format, format_of, in_batches, read_lines
from vendrail.kernel.waiting import end_tasks

_BATCHES_IN_FLIGHT = 2
_REJECTS_KEPT = 1_000


def clean(text: str, length_max: int) -> tuple[str, str]:
    """Give the key of a line and no reason, or no key and why not: empty, too_long, not_text."""
    text = text.strip(EDGES)
    if not text:
        return "", "empty"
    if len(text) > length_max:
        return "", "too_long"
    if UNREADABLE in text or not (text.isprintable() or _is_text(text)):
        return "", "not_text"
    return text, ""


def _is_text(text: str) -> bool:
    """Whether there are no control characters but line breaks and tabs, and no half of a pair."""
    return not any(
        (letter < " " and letter not in "\n\r\t")
        or "\x7f" <= letter <= "\x9f"
        or "\ud800" <= letter <= "\udfff"
        for letter in text
    )


@dataclass(slots=True)
class Report:
    """What came of a file: every line was either added or rejected."""

    batch: UUID
    lines: int = 0
    added: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # Reason -> lines.
    rejects: list[KeyReject] = field(default_factory=list)  # The first thousand.

    def add(self, lines: int, result: KeyIntakeResult) -> None:
        """Count one batch."""
        self.lines += lines
        self.added += result.added_count
        self.rejected.update(reject.reason for reject in result.rejects)
        self.rejects += result.rejects[: max(0, _REJECTS_KEPT - len(self.rejects))]


async def take_file(
    catalog: Catalog,
    sku: str,
    source: Path | BinaryIO,
    batch: UUID,
    *,
    format: Format | None = None,
    column: str | None = None,
    on_progress: Callable[[Report], None] | None = None,
    on_rejects: Callable[[list[KeyReject]], None] | None = None,
) -> Report:
    """Take a key file in: two batches under way, so that reading and writing go side by side.

    Taking the same file in again under the same batch id changes nothing and reports the same.
    """
    if isinstance(source, Path):
        stream = await asyncio.to_thread(source.open, "rb")
        try:
            return await take_file(
                catalog, sku, stream, batch, format=format or format_of(source), column=column,
                on_progress=on_progress, on_rejects=on_rejects,
            )  # fmt: skip
        finally:
            stream.close()
    report = Report(batch)
    lines = in_batches(read_lines(source, format or "txt", column))
    flights: deque[tuple[int, asyncio.Task[list[KeyIntakeResult]]]] = deque()

    async def land() -> None:
        count, task = flights.popleft()
        result = (await task)[0]
        if not result.sku_found:
            raise Malformed(f"There is no SKU {sku!r} in the catalog; make the product first.")
        report.add(count, result)
        if on_rejects and result.rejects:
            on_rejects(result.rejects)
        if on_progress:
            on_progress(report)

    try:
        while chunk := await asyncio.to_thread(next, lines, None):
            call = catalog.add_keys([KeyIntake(sku, batch, [KeyLine(*line) for line in chunk])])
            flights.append((len(chunk), asyncio.ensure_future(call)))
            if len(flights) >= _BATCHES_IN_FLIGHT:
                await land()
        while flights:
            await land()
    finally:
        await end_tasks(task for _, task in flights)
        lines.close()
    return report
