"""The line to a provider: one pool, a time-out, a breaker for each account, threads for signing.

A provider that fails several times in a row is left alone for a while, then one call tries it; so a
dead provider costs nobody more than a moment. No call goes out while a transaction is open.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from time import perf_counter
from typing import TypeVar
from uuid import UUID

import httpx

from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record
from vendrail.kernel.http.outgoing import lost_lines
from vendrail.payments.settings import PaymentsSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

LATENCIES_MS = (25, 50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800)
REPLY_BYTES_MAX = 1 << 20
FILE_BYTES_MAX = 256 << 20  # A day's statement of a busy account.
_PAUSE_S_MAX = 60.0
_CHUNK = 64
_LEFT_ALONE = "it failed several times in a row and is left alone a while"


class ProviderAway(Exception):
    """The provider did not answer in a way that says anything; nothing may be assumed."""


class TooLarge(ProviderAway):
    """The provider answers, and with more than is read; less may be asked for."""


class Reply(Record, frozen=True):
    """What came back, untouched."""

    status_code: int
    headers: dict[str, str]
    body: bytes


class Breaker:
    """Counts failures in a row; open: refuses; half open: lets one call through to try."""

    def __init__(self, clock: Clock, failures_max: int, pause_s: float) -> None:
        self._clock = clock
        self._failures_max = failures_max
        self._pause_s_first = pause_s
        self._pause_s = pause_s
        self._failures = 0
        self._open_until: datetime | None = None
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Tell whether the provider is being left alone now."""
        return self._open_until is not None

    @property
    def is_admitting(self) -> bool:
        """Tell whether a call could go out now; asking changes nothing."""
        if self._open_until is None:
            return True
        return not self._is_probing and self._clock.now() >= self._open_until

    def admit(self) -> bool:
        """Let a call go out, or not; in the half-open state only one may."""
        if not self.is_admitting:
            return False
        self._is_probing = self.is_open
        return True

    def succeed(self) -> None:
        """Note an answer: the provider is back."""
        self._failures = 0
        self._pause_s = self._pause_s_first
        self._open_until = None
        self._is_probing = False

    def fail(self) -> None:
        """Note a failure; after several in a row, or a failed try, leave the provider alone."""
        self._failures += 1
        if self._is_probing:
            self._pause_s = min(self._pause_s * 2, _PAUSE_S_MAX)
        if self._is_probing or self._failures >= self._failures_max:
            self._open_until = self._clock.now() + timedelta(seconds=self._pause_s)
        self._is_probing = False

    def abandon(self) -> None:
        """Note that a call was given up by its caller: it says nothing about the provider."""
        self._is_probing = False


class Pulse:
    """What a line has noted since somebody took it: calls, failures, how long answers took."""

    def __init__(self) -> None:
        self._calls = self._failures = 0
        self._latencies = [0] * (len(LATENCIES_MS) + 1)

    @property
    def is_beating(self) -> bool:
        """Tell whether there is anything to take."""
        return self._calls > 0

    def note(self, took_s: float, *, is_answered: bool) -> None:
        """Note one call."""
        self._calls += 1
        if is_answered:
            self._latencies[bisect_left(LATENCIES_MS, took_s * 1_000)] += 1
        else:
            self._failures += 1

    def take(self) -> tuple[int, int, list[int]]:
        """Give calls, failures and answers by latency, and begin anew."""
        taken = (self._calls, self._failures, self._latencies)
        self._calls = self._failures = 0
        self._latencies = [0] * (len(LATENCIES_MS) + 1)
        return taken


class Line:
    """One account's way out."""

    def __init__(self, switchboard: "Switchboard", breaker: Breaker, calls_max: int) -> None:
        self._switchboard = switchboard
        self._slots = asyncio.Semaphore(calls_max)
        self.breaker = breaker
        self.pulse = Pulse()
        self.is_answered = False  # Whether a whole answer has ever come.

    def expect(self) -> None:
        """Raise `ProviderAway` while the provider is left alone, before anything is signed."""
        if not self.breaker.is_admitting:
            raise ProviderAway(_LEFT_ALONE)

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        bytes_max: int = REPLY_BYTES_MAX,
    ) -> Reply:
        """Send one request and read the whole answer, or raise `ProviderAway`."""
        self._switchboard.guard()
        async with self._slots:
            if not self.breaker.admit():
                raise ProviderAway(_LEFT_ALONE)
            begun = perf_counter()
            try:
                reply = await self._switchboard.exchange(
                    method,
                    url,
                    params=params,
                    form=form,
                    content=content,
                    headers=headers,
                    bytes_max=bytes_max,
                )
            except TooLarge:
                self.breaker.succeed()
                self.pulse.note(perf_counter() - begun, is_answered=True)
                raise
            except ProviderAway:
                self.breaker.fail()
                self.pulse.note(perf_counter() - begun, is_answered=False)
                raise
            except BaseException:
                self.breaker.abandon()
                raise
            self.breaker.succeed()
            self.pulse.note(perf_counter() - begun, is_answered=True)
            self.is_answered = True
        return reply

    async def offload(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Do work of the processor for each item in threads, beside the event loop."""
        return await self._switchboard.offload(work, items)


class Switchboard:
    """What all lines share: the pool of connections and the threads."""

    def __init__(self, clock: Clock, settings: PaymentsSettings, guard: Callable[[], None]) -> None:
        self.guard = guard  # Raises while a transaction is open.
        self._clock = clock
        self._settings = settings
        self._lines: dict[UUID, Line] = {}
        self._client: httpx.AsyncClient | None = None
        self._threads = ThreadPoolExecutor(
            settings.signing_threads, thread_name_prefix="payments-signing"
        )

    def line(self, account: UUID) -> Line:
        """Give the line of an account, always the same one."""
        line = self._lines.get(account)
        if line is None:
            settings = self._settings
            breaker = Breaker(self._clock, settings.breaker_failures, settings.breaker_pause_s)
            line = self._lines[account] = Line(self, breaker, settings.provider_calls_max)
        return line

    def line_for_once(self) -> Line:
        """Give a line of nobody's, whose breaker knows of no failure, for a single question."""
        breaker = Breaker(self._clock, self._settings.breaker_failures, 1.0)
        return Line(self, breaker, 1)

    def all(self) -> dict[UUID, Line]:
        """Give every account's line that was ever used here."""
        return dict(self._lines)

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
        bytes_max: int,
    ) -> Reply:
        """Make one HTTP exchange; whatever is no whole answer below 500 is `ProviderAway`."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(self._settings.provider_timeout_s, connect=3.0),
                limits=httpx.Limits(max_connections=256, max_keepalive_connections=64),
                headers={"User-Agent": "Vendrail"},
            )
        body = bytearray()
        try:
            with lost_lines():
                async with (
                    asyncio.timeout(self._settings.provider_timeout_s),
                    self._client.stream(
                        method, url, params=params, data=form, content=content, headers=headers
                    ) as response,
                ):
                    told = response.headers.get("content-length", "")
                    if told.isdecimal() and int(told) > bytes_max:
                        raise TooLarge("its answer is too large")
                    async for part in response.aiter_bytes():
                        body += part
                        if len(body) > bytes_max:
                            raise TooLarge("its answer is too large")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise ProviderAway(f"{type(error).__name__}: {error}") from error
        if response.status_code >= 500:
            raise ProviderAway(f"it answered HTTP {response.status_code}")
        return Reply(response.status_code, dict(response.headers), bytes(body))

    async def offload(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Share items out among the threads; give results in order."""
        if not items:
            return []
        loop = asyncio.get_running_loop()
        size = min(_CHUNK, -(-len(items) // self._settings.signing_threads))
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        done = await asyncio.gather(
            *(loop.run_in_executor(self._threads, _each, work, chunk) for chunk in chunks)
        )
        return [result for chunk in done for result in chunk]

    async def close(self) -> None:
        """Let connections and threads go."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        self._threads.shutdown(wait=False)


def _each(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    return [work(item) for item in items]
