"""One pool per service, under its own role; a transaction is open only as long as SQL runs.

The only room that touches the driver. PostgreSQL's errors leave it in three kinds: `Retry` (run
the batch whole again), `Unavailable` (no server), and everything else as it is (the batch holds a
poison item: the batcher halves it until the culprit stands alone).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import asyncpg

from vendrail.kernel.errors import Broken, Unavailable

Row = asyncpg.Record
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_open_transactions: ContextVar[int] = ContextVar("open_transactions", default=0)

_RETRY_STATES = ("40001", "40P01", "55P03", "25P03", "25P04")
_LOST_STATES = ("08", "57P")
_REFUSED_STATES = ("28", "3D")  # Who we are, or the database, is not known there.
_UNABLE_STATES = ("53", "57014", "58")  # No room, too slow, or its disk fails.


class Retry(Unavailable):
    """A conflict, deadlock, lock time-out or lost connection: run the batch whole again."""


def assert_no_transaction() -> None:
    """Refuse to go on while a transaction is open here: no call leaves the service inside one."""
    if _open_transactions.get():
        raise Broken("A call to another service or a provider was made inside an open transaction.")


def _translate(error: BaseException) -> Exception | None:
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        if state in _RETRY_STATES or state.startswith(_LOST_STATES):
            return Retry(f"The database asked to try again: {error}", retry_after_s=0.05)
        if isinstance(error, asyncpg.InvalidCachedStatementError):
            return Retry(f"A migration has changed a table under us: {error}", retry_after_s=0.05)
        if state.startswith(_UNABLE_STATES):
            return Unavailable(f"The database cannot do this now: {error}", retry_after_s=2.0)
        if state.startswith(_REFUSED_STATES):
            return Unavailable(
                f"The database refused us: {error}. Check VENDRAIL_DATABASE_URL.", retry_after_s=5.0
            )
        return None
    if isinstance(error, asyncpg.InterfaceError):
        return Retry(f"The connection to the database was lost: {error}", retry_after_s=0.2)
    if isinstance(error, (OSError, TimeoutError)):
        advice = "Is the server running?"
        return Retry(f"The database cannot be reached: {error}. {advice}", retry_after_s=0.2)
    return None


async def _keep(_: object) -> None:
    """Spare the round trip that would reset a session: ours leave no state behind them."""


class Transaction:
    """What a store speaks to: parameters only, never text pasted into SQL."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        """Run a statement and give its rows."""
        rows: list[Row] = await self._connection.fetch(sql, *values)
        return rows

    async def fetch_row(self, sql: str, *values: object) -> Row | None:
        """Run a statement and give its first row, if any."""
        row: Row | None = await self._connection.fetchrow(sql, *values)
        return row

    async def fetch_value(self, sql: str, *values: object) -> Any:
        """Run a statement and give the first column of its first row."""
        return await self._connection.fetchval(sql, *values)

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement and give the number of rows it changed."""
        tag: str = await self._connection.execute(sql, *values)
        last = tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def copy_rows(
        self, schema: str, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        """Write many rows by COPY, a third cheaper than by insert; a row that is there is an error.

        For bulk intake, and on the hot path with `plain_first`.
        """
        await self._connection.copy_records_to_table(
            table, schema_name=schema, columns=list(columns), records=rows
        )

    def cursor(self, sql: str, *values: object) -> AsyncIterator[Row]:
        """Stream rows of a statement, a few at a time, for exports of any size."""
        stream: AsyncIterator[Row] = self._connection.cursor(sql, *values, prefetch=2_000)
        return stream


class Database:
    """The pool of one service. Opened lazily: no connection before the first statement."""

    def __init__(
        self,
        dsn: str,
        service: str,
        *,
        role: str | None = None,
        connections_max: int = 4,
        statement_timeout_ms: int = 10_000,
        lock_timeout_ms: int = 4_000,
        statement_cache: bool = True,
    ) -> None:
        self.dsn = dsn
        self.service = service
        self.role = role
        self._connections_max = connections_max
        self._settings = {
            "application_name": f"vendrail-{service}",
            "statement_timeout": str(statement_timeout_ms),
            "lock_timeout": str(lock_timeout_ms),
            "idle_in_transaction_session_timeout": "30000",
            "timezone": "UTC",
            "search_path": "pg_catalog",
            "jit": "off",
            # Every statement of a service finds its rows by an index. A plan made while a table was
            # empty, or had no statistics yet, would read the whole table for as long as it is kept.
            "enable_seqscan": "off",
        }
        if role is not None:
            self._settings["role"] = role
        self._statement_cache = statement_cache
        self._pool: Any = None
        self._opening = asyncio.Lock()

    async def _open_pool(self) -> Any:
        async with self._opening:
            if self._pool is None:
                try:
                    self._pool = await asyncpg.create_pool(
                        self.dsn,
                        min_size=0,
                        max_size=self._connections_max,
                        server_settings=self._settings,
                        statement_cache_size=512 if self._statement_cache else 0,
                        max_inactive_connection_lifetime=120.0,
                        command_timeout=60.0,
                        reset=_keep,
                    )
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    raise Unavailable(
                        f"The database cannot be reached: {error}. Is the server running?"
                    ) from error
        return self._pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction: commits at the end of the block, rolls back on any error."""
        pool = self._pool or await self._open_pool()
        mark = _open_transactions.set(_open_transactions.get() + 1)
        try:
            async with pool.acquire(timeout=30.0) as connection, connection.transaction():
                yield Transaction(connection)
        except Exception as error:
            translated = _translate(error)
            if translated is None:
                raise
            raise translated from error
        finally:
            _open_transactions.reset(mark)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Borrow a connection for statements that each stand alone (reads, or one atomic write)."""
        pool = self._pool or await self._open_pool()
        mark = _open_transactions.set(_open_transactions.get() + 1)
        try:
            async with pool.acquire(timeout=30.0) as connection:
                yield Transaction(connection)
        except Exception as error:
            translated = _translate(error)
            if translated is None:
                raise
            raise translated from error
        finally:
            _open_transactions.reset(mark)

    def pool_use(self) -> tuple[int, int, int]:
        """Give (open, idle, most) connections, for the metrics."""
        if self._pool is None:
            return (0, 0, self._connections_max)
        return (self._pool.get_size(), self._pool.get_idle_size(), self._connections_max)

    async def close(self) -> None:
        """Close the pool; a statement under way has ten seconds to end."""
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), timeout=10.0)
            except TimeoutError:
                self._pool.terminate()
            self._pool = None


class PlainWork(Protocol[Result_co]):
    """Writing a batch, either as all new or with care."""

    def __call__(self, *, is_plain: bool) -> Awaitable[Result_co]:
        """Begin a transaction of its own; where not plain, look at what is there and pass by it."""
        ...


async def plain_first(work: PlainWork[Result]) -> Result:
    """Write a batch as all new, by COPY, as nearly every batch is; with care where it is not."""
    try:
        return await work(is_plain=True)
    except Exception as error:
        if not is_duplicate(error):
            raise
    return await work(is_plain=False)


async def connect_once(dsn: str, **settings: str) -> Any:
    """Open one connection as the owner, for migrations, audit and administration."""
    try:
        return await asyncpg.connect(dsn, server_settings={"timezone": "UTC", **settings})
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(
            f"The database cannot be reached: {error}. Check VENDRAIL_DATABASE_URL and the server."
        ) from error


def is_refused(error: BaseException) -> bool:
    """Tell whether PostgreSQL refused for want of a privilege (42501)."""
    return isinstance(error, asyncpg.InsufficientPrivilegeError)


def is_duplicate(error: BaseException) -> bool:
    """Tell whether a row's key was there already (23505)."""
    return isinstance(error, asyncpg.UniqueViolationError)


def is_retryable(error: BaseException) -> bool:
    """Tell whether the whole batch should simply be run again."""
    return isinstance(error, Retry)
