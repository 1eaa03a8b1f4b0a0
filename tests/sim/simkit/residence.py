"""The house that lives through a simulation: all services, and crashes between two statements."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from simkit.shift import StandingClock
from simkit.trouble import Fault, FaultPlan, troubled_link
from vendrail.app.wiring import House, build
from vendrail.kernel import rpc
from vendrail.kernel.config import load_platform
from vendrail.kernel.db import Database, Row, Transaction
from vendrail.kernel.errors import Unavailable

OURS = "sim"  # Tasks whose name begins so are the simulation's; all others are the house's.
_TOPICS = (
    "payments", "sagas", "returns", "expiry", "deliveries", "notify", "catalog.holds",
    "payments.ask", "payments.confirm", "payments.refund",
)  # fmt: skip


class Lost(Exception):
    """Nobody answered: it may have been done, or not."""


class Pulse:
    """Counts the moments at which a house may die; from its last beat on nothing moves in it."""

    def __init__(self, tally: Counter[str]) -> None:
        self._tally = tally
        self._left = -1
        self.has_stopped = asyncio.Event()

    def stop_after(self, beats: int) -> None:
        """Let the house die at the n-th beat from now."""
        if self._left < 0:
            self._left = beats

    def spare(self) -> None:
        """Let it live on."""
        self._left = -1

    async def beat(self, where: str) -> None:
        """Come to a moment at which the house may die."""
        if self._left > 0:
            self._left -= 1
            if self._left == 0:
                self._tally[f"fault: crash at {where}"] += 1
                self.has_stopped.set()
        if self.has_stopped.is_set():
            await asyncio.get_running_loop().create_future()  # For ever: nothing wakes the dead.


class WatchedTransaction(Transaction):
    """A transaction whose statements are beats of the house."""

    __slots__ = ("_inner", "_pulse")

    def __init__(self, inner: Transaction, pulse: Pulse) -> None:
        self._inner = inner
        self._pulse = pulse

    async def _run(self, work: Callable[..., Awaitable[Any]], sql: str, values: object) -> Any:
        await self._pulse.beat("statement")
        return await work(sql, *values)

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        """Run a statement and give its rows."""
        return await self._run(self._inner.fetch, sql, values)

    async def fetch_row(self, sql: str, *values: object) -> Row | None:
        """Run a statement and give its first row, if any."""
        return await self._run(self._inner.fetch_row, sql, values)

    async def fetch_value(self, sql: str, *values: object) -> Any:
        """Run a statement and give the first column of its first row."""
        return await self._run(self._inner.fetch_value, sql, values)

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement and give the number of rows it changed."""
        return await self._run(self._inner.execute, sql, values)

    async def copy_rows(self, *values: Any) -> None:
        """Load many rows by COPY."""
        await self._pulse.beat("statement")
        await self._inner.copy_rows(*values)

    def cursor(self, sql: str, *values: object) -> AsyncIterator[Row]:
        """Stream rows of a statement."""
        return self._inner.cursor(sql, *values)


class WatchedDatabase(Database):
    """A pool whose statements and commits are beats of the house."""

    pulse: Pulse

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction; the house may die before its commit, and after."""
        async with super().transaction() as tx:
            yield WatchedTransaction(tx, self.pulse)
            await self.pulse.beat("commit")
        await self.pulse.beat("committed")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Borrow a connection; each statement commits by itself."""
        async with super().reading() as tx:
            yield WatchedTransaction(tx, self.pulse)
        await self.pulse.beat("committed")

    def abandon(self) -> None:
        """Hang up in the middle of a word, as a process does that is killed."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None


class Residence:
    """One house after another over one database; who asks it never knows which answers."""

    def __init__(
        self,
        home: Path,
        dsn: str,
        clock: StandingClock,
        plan: FaultPlan,
        tally: Counter[str],
        settings: dict[str, str],
        *,
        is_driven: bool = False,
    ) -> None:
        self._is_driven = is_driven  # Its loops stand still: whoever simulates turns them.
        self._environment = {
            "VENDRAIL_HOME": str(home),
            "VENDRAIL_DATABASE_URL": dsn,
            **settings,
        }
        self._clock = clock
        self._plan = plan
        self._tally = tally
        self._is_open = asyncio.Event()
        self._pulse = Pulse(tally)
        self._house: House | None = None
        self._apis: dict[Any, Any] = {}
        self._watching: asyncio.Task[None] | None = None
        self.broken: list[BaseException] = []
        self.deaths = 0

    async def open(self) -> None:
        """Build the first house, and watch over it."""
        await self._move_in()
        self._watching = asyncio.create_task(self._watch(), name=f"{OURS} watch")

    async def _move_in(self) -> None:
        self._pulse = Pulse(self._tally)

        def open_database(*values: Any, **named: Any) -> Database:
            database = WatchedDatabase(*values, **named)
            database.pulse = self._pulse
            return database

        self._house = await build(
            load_platform(self._environment),
            self._environment,
            clock=self._clock,
            link=troubled_link(self._plan, self._pulse.beat),
            open_database=open_database,
        )
        self._apis = {}
        if not self._is_driven:
            self._house.start_jobs()
        self._is_open.set()

    async def _watch(self) -> None:
        while True:
            await self._pulse.has_stopped.wait()
            self.deaths += 1
            self._is_open.clear()
            await self._bury()
            await self._move_in()

    async def _bury(self) -> None:
        """Cut off all that the dead house still holds; nothing of it ends in good order."""
        assert self._house is not None
        for database in self._house.databases.values():
            if isinstance(database, WatchedDatabase):
                database.abandon()
        while tasks := [
            task for task in asyncio.all_tasks() if not task.get_name().startswith(OURS)
        ]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.05)
        for service in self._house.services.values():
            if close := getattr(service, "close", None):
                await close()

    def crash_after(self, beats: int) -> None:
        """Let the house die at the n-th beat from now."""
        self._pulse.stop_after(beats)

    def calm(self) -> None:
        """No more trouble, and no more crashes."""
        self._plan.is_on = False
        self._pulse.spare()

    async def ask(self, api: Any, operation: str, *values: Any) -> tuple[Any, bool]:
        """Ask once; give the answer, and whether it was asked twice on the way; or raise Lost."""
        await self._is_open.wait()
        assert self._house is not None
        lane = f"actor.{operation}"
        fault = self._plan.draw(lane)
        if api not in self._apis:
            name = rpc.service_name(api)
            self._apis[api] = rpc.guard(api, self._house.services[name])
        target = getattr(self._apis[api], operation)
        carried = self._plan.carry(lane, lambda: target(*values), fault)
        task = asyncio.create_task(carried)
        await asyncio.wait({task})
        if task.cancelled() or isinstance(task.exception(), Unavailable):
            raise Lost
        return task.result(), fault is Fault.REPEAT

    async def turn(self, work: Callable[[House], Awaitable[Any]]) -> Any:
        """Let one loop of the house do its next piece of work; Lost: the house died of it."""
        await self._is_open.wait()
        assert self._house is not None
        task = asyncio.ensure_future(work(self._house))
        await asyncio.wait({task})
        if task.cancelled():
            raise Lost
        return task.result()

    def wake(self, topics: Sequence[str] = _TOPICS) -> None:
        """Let the loops look: time has passed."""
        if self._house is not None and self._is_open.is_set():
            for topic in topics:
                self._house.wakeups.wake(topic)

    async def close(self) -> None:
        """End the last house in good order."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._house is not None and self._is_open.is_set():
            await self._house.stop()
