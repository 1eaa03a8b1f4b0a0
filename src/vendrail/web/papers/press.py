"""The press: hands what is told on a paper to a process that sets it, few at a time."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from vendrail.kernel.errors import Broken, Overloaded, Unavailable
from vendrail.web.languages import Language

_AT_ONCE = 2
_WAITING_MAX = 32  # More people than this wait for papers: come back later.
_LIMIT_S = 60.0
_FONTS = {
    "zh-Hans": "Noto Sans S Chinese",
    "zh-Hant": "Noto Sans T Chinese",
    "ja": "Noto Sans Japanese",
    "ko": "Noto Sans Korean",
}

_log = structlog.get_logger(__name__)


class Press:
    """Prints papers, a process for each, so many at once as do not slow the pages."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def print(
        self, paper: str, language: Language, made_at: datetime, told: Mapping[str, Any]
    ) -> bytes:
        """Set a paper by its template and give the PDF; the same is told, the same bytes come."""
        if self._waiting >= _WAITING_MAX:
            raise Overloaded("Many papers are being printed; ask again in a moment.")
        whole = {
            **told,
            "paper": paper,
            "made_at_s": int(made_at.timestamp()),
            "language": language.locale.language,
            "fonts": _fonts_of(language),
        }
        self._waiting += 1
        try:
            async with self._turn:
                return await _set(json.dumps(whole).encode())
        finally:
            self._waiting -= 1


def _fonts_of(language: Language) -> list[str]:
    """Name the reader's own script first: the same character is drawn otherwise in another."""
    own = _FONTS.get(language.tag, _FONTS["zh-Hans"])
    return [own, *(each for each in _FONTS.values() if each != own)]


async def _set(told: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vendrail.web.papers.printing", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            paper, complaint = await process.communicate(told)
    except TimeoutError:
        raise Unavailable("The paper took too long to print; ask again in a moment.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0 or not paper.startswith(b"%PDF"):
        _log.error("web.paper_failed", said=complaint.decode(errors="replace")[-2000:])
        raise Broken("A paper could not be set; the log says why.")
    return paper
