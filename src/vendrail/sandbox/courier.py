"""The courier, who brings notifications to merchants until they are heard.

A merchant has heard when the answer is 200 with the seven bytes `success` and nothing else. Until
then the same text comes again, at the steps of the provider's ladder.
"""

import asyncio
import contextlib
import heapq
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import httpx
import msgspec
import structlog

from vendrail.kernel.clock import Clock
from vendrail.kernel.waiting import end_tasks, wait_at_most
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.records import Delivery, Notice, NoticeEnd
from vendrail.sandbox.settings import Settings

_log = structlog.get_logger(__name__)

_ANSWER_LENGTH_MAX = 200
_LOG_LENGTH = 10_000
_QUEUE_MAX = 1_000
_REORDER_S_MAX = 5.0


class Keeper(Protocol):
    """Where notices are kept until they have ended."""

    notices: dict[str, Notice]

    def save(self, *records: Notice | NoticeEnd) -> None:
        """Keep notices and their ends."""
        ...


def _delay_of(fault: Fault, otherwise_s: float) -> float:
    return otherwise_s if fault.params.delay_s is None else fault.params.delay_s


class Courier:
    """Brings notices to merchants: bounded in parallel, patient, and keeping a log."""

    def __init__(
        self,
        keeper: Keeper,
        settings: Settings,
        clock: Clock,
        ladder_s: Sequence[float],
        write: Callable[[httpx.AsyncClient, Notice], httpx.Request] | None = None,
        is_taken: Callable[[int, bytes], bool] | None = None,
    ) -> None:
        self.log: deque[Delivery] = deque(maxlen=_LOG_LENGTH)
        self._keeper = keeper
        self._settings = settings
        self._clock = clock
        self._ladder_s = ladder_s
        self._write = write or _write_request  # Anew for each try: some providers sign the moment.
        self._is_taken = is_taken or _says_success
        self._due: list[tuple[float, int, Notice]] = []
        self._sequence = 0
        self._held: list[Notice] = []
        self._followers: dict[str, list[Notice]] = {}  # By the notice that goes before them.
        self._news = asyncio.Event()
        self._queue: asyncio.Queue[Notice] = asyncio.Queue(_QUEUE_MAX)
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the body runs; what is still due is in the journal for next time."""
        limits = httpx.Limits(max_connections=self._settings.notify_workers)
        async with httpx.AsyncClient(
            timeout=self._settings.notify_timeout_s,
            limits=limits,
            follow_redirects=False,
            trust_env=False,
        ) as client:
            for notice in self._keeper.notices.values():
                self._schedule(notice, max(notice.due_at, time.time()))
            self._tasks = [asyncio.create_task(self._dispatch())]
            for _ in range(self._settings.notify_workers):
                self._tasks.append(asyncio.create_task(self._work(client)))
            try:
                yield
            finally:
                await end_tasks(self._tasks)

    def send(self, notice: Notice, faults: Sequence[Fault] = ()) -> None:
        """Keep a notice and send it off, with what was ordered for its way."""
        kinds = {fault.kind: fault for fault in faults}
        if FaultKind.DROP in kinds:
            self._note(notice, "dropped")
            return
        self._keeper.save(notice)
        if FaultKind.DUPLICATE in kinds:
            for _ in range(kinds[FaultKind.DUPLICATE].params.times - 1):
                self._schedule(msgspec.structs.replace(notice), time.time())
        delay_s = 0.0
        if FaultKind.DELAY in kinds:
            delay_s = _delay_of(kinds[FaultKind.DELAY], 1.0)
        if FaultKind.REORDER in kinds:
            # Held back until the next notice has gone, but not for ever.
            delay_s = _delay_of(kinds[FaultKind.REORDER], _REORDER_S_MAX)
            self._held.append(notice)
        elif self._held:
            self._followers[notice.notify_id] = self._held
            self._held = []
        self._schedule(notice, time.time() + delay_s)

    def _schedule(self, notice: Notice, due_at: float) -> None:
        self._sequence += 1
        notice.due_at = due_at
        heapq.heappush(self._due, (due_at, self._sequence, notice))
        self._news.set()

    async def _dispatch(self) -> None:
        while True:
            self._news.clear()
            now = time.time()
            while self._due and self._due[0][0] <= now:
                due_at, _, notice = heapq.heappop(self._due)
                if due_at == notice.due_at:  # Else it was put at another time since.
                    await self._queue.put(notice)
            wait_s = self._due[0][0] - time.time() if self._due else None
            await wait_at_most(self._news, wait_s)

    async def _work(self, client: httpx.AsyncClient) -> None:
        while True:
            notice = await self._queue.get()
            try:
                await self._deliver(client, notice)
            except OSError as error:  # The journal cannot be written: others still go out.
                _log.error("notice.not_kept", notify_id=notice.notify_id, error=str(error))

    async def _deliver(self, client: httpx.AsyncClient, notice: Notice) -> None:
        is_copy = self._keeper.notices.get(notice.notify_id) is not notice
        status_code, answer = 0, b""
        try:
            reply = await client.send(self._write(client, notice))
            status_code, answer = reply.status_code, reply.content
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            answer = f"{type(error).__name__}: {error}".encode()
        notice.attempts += 1
        is_taken = self._is_taken(status_code, answer)
        ladder = self._ladder_s
        if is_taken:
            outcome = "taken"
        elif is_copy:
            outcome = "not_taken"
        elif notice.attempts > len(ladder):
            outcome = "given_up"
        else:
            outcome = "retrying"
        self._note(notice, outcome, status_code, answer)
        if outcome == "retrying":
            step_s = ladder[notice.attempts - 1] * self._settings.notify_ladder_scale
            self._schedule(notice, time.time() + step_s)
            self._keeper.save(notice)
        elif not is_copy:
            self._keeper.save(NoticeEnd(notice.notify_id))
        for follower in self._followers.pop(notice.notify_id, ()):
            if follower.attempts == 0:
                self._schedule(follower, time.time())

    def _note(
        self, notice: Notice, outcome: str, status_code: int = 0, answer: bytes = b""
    ) -> None:
        self.log.append(
            Delivery(
                notify_id=notice.notify_id,
                out_trade_no=notice.out_trade_no,
                url=notice.url,
                form=notice.form,
                attempt=notice.attempts,
                at=self._clock.now(),
                outcome=outcome,
                status_code=status_code,
                answer=answer.decode("utf-8", "replace")[:_ANSWER_LENGTH_MAX],
                faults=notice.faults,
            )
        )


def _says_success(status_code: int, answer: bytes) -> bool:
    return status_code == 200 and answer == b"success"


def _write_request(client: httpx.AsyncClient, notice: Notice) -> httpx.Request:
    """Write a notice as its provider sends it: a form, or the query of an address."""
    if notice.method == "GET":
        joint = "&" if "?" in notice.url else "?"
        return client.build_request("GET", f"{notice.url}{joint}{notice.form}")
    return client.build_request(
        "POST",
        notice.url,
        content=notice.form,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
