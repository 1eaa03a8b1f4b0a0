"""The database room: transactions that end, errors in three kinds, no call out of an open one."""

import asyncio

import pytest

from vendrail.kernel.db import Database, Retry, assert_no_transaction, connect_once, is_retryable
from vendrail.kernel.errors import Broken, Unavailable


@pytest.fixture
async def db(database_url):
    owner = await connect_once(database_url)
    await owner.execute("create schema t; create table t.row (id int primary key, n int not null)")
    await owner.close()
    database = Database(database_url, "t", connections_max=4)
    yield database
    await database.close()


async def count(db):
    async with db.reading() as tx:
        return await tx.fetch_value("select count(*) from t.row")


async def test_a_block_that_ends_is_committed(db):
    """Leaving the block commits; an error rolls everything back."""
    async with db.transaction() as tx:
        changed = await tx.execute("insert into t.row select i, i from generate_series(1, 5) i")

    async def fail():
        async with db.transaction() as tx:
            await tx.execute("delete from t.row")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert 5 == changed
    assert 5 == await count(db)


async def test_a_cancelled_transaction_rolls_back(db):
    """A task cancelled inside a transaction leaves nothing and gives its connection back."""
    started = asyncio.Event()

    async def work():
        async with db.transaction() as tx:
            await tx.execute("insert into t.row values (1, 1)")
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert 0 == await count(db)


async def test_no_call_leaves_an_open_transaction(db):
    """Inside a transaction `assert_no_transaction` refuses; outside it does not."""
    assert_no_transaction()
    async with db.transaction():
        with pytest.raises(Broken):
            assert_no_transaction()
        async with db.transaction():
            pass
        with pytest.raises(Broken):
            assert_no_transaction()
    assert_no_transaction()


async def test_a_deadlock_is_retried_by_one(db):
    """Of two transactions that lock each other out, one gets `Retry`, the other goes through."""
    async with db.transaction() as tx:
        await tx.execute("insert into t.row values (1, 0), (2, 0)")
    barrier = asyncio.Barrier(2)

    async def both(first, second):
        async with db.transaction() as tx:
            await tx.execute("update t.row set n = n + 1 where id = $1", first)
            await barrier.wait()
            await tx.execute("update t.row set n = n + 1 where id = $1", second)

    results = await asyncio.gather(both(1, 2), both(2, 1), return_exceptions=True)

    assert 1 == sum(isinstance(result, Retry) for result in results)
    assert 1 == sum(result is None for result in results)


async def test_a_lock_that_is_not_given_is_retried(database_url, db):
    """Waiting for a lock longer than the lock time-out gives `Retry`."""
    impatient = Database(database_url, "t", lock_timeout_ms=100)
    async with db.transaction() as tx:
        await tx.execute("insert into t.row values (1, 0)")
    async with db.transaction() as tx:
        await tx.execute("update t.row set n = 1")
        with pytest.raises(Retry):
            async with impatient.transaction() as other:
                await other.execute("update t.row set n = 2")
    await impatient.close()


async def test_a_lost_connection_is_retried(database_url, db):
    """A connection that the server cut gives `Retry`, and the next transaction has a fresh one."""

    async def cut():
        async with db.transaction() as tx:
            pid = await tx.fetch_value("select pg_backend_pid()")
            owner = await connect_once(database_url)
            await owner.execute(f"select pg_terminate_backend({pid})")
            await owner.close()
            await tx.execute("select 1")

    with pytest.raises(Retry) as caught:
        await cut()

    assert is_retryable(caught.value)
    assert 0 == await count(db)


async def test_a_poison_row_is_no_retry(db):
    """A broken constraint is the batch's own fault and comes out as it is."""
    with pytest.raises(Exception, match="duplicate key") as caught:
        async with db.transaction() as tx:
            await tx.execute("insert into t.row values (1, 1), (1, 2)")

    assert not is_retryable(caught.value)


async def test_a_statement_that_takes_too_long_is_stopped(database_url, db):
    """The statement time-out ends what runs too long: no request hangs on the database."""
    hasty = Database(database_url, "t", statement_timeout_ms=100)
    with pytest.raises(Unavailable):
        async with hasty.transaction() as tx:
            await tx.execute("select pg_sleep(30)")
    await hasty.close()


async def test_no_server_is_unavailable():
    """Where no server listens, the error says what to look at."""
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none", "t")
    with pytest.raises(Unavailable, match="cannot be reached"):
        async with nowhere.transaction():
            pass
    with pytest.raises(Unavailable, match="VENDRAIL_DATABASE_URL"):
        await connect_once("postgresql://nobody@127.0.0.1:1/none")


async def test_a_busy_pool_is_waited_for(database_url, db):
    """More tasks than connections wait their turn; the pool never grows over its size."""
    small = Database(database_url, "t", connections_max=2)

    async def work(number):
        async with small.transaction() as tx:
            await tx.execute("insert into t.row values ($1, 0)", number)

    await asyncio.gather(*(work(number) for number in range(50)))
    used, _, most = small.pool_use()
    await small.close()

    assert 50 == await count(db)
    assert used <= most == 2


async def test_it_works_behind_a_pooler(database_url, db):
    """Without the statement cache (behind a pooler) statements still take parameters."""
    pooled = Database(database_url, "t", statement_cache=False)
    async with pooled.transaction() as tx:
        rows = [await tx.fetch_row("select $1::int as n", number) for number in range(3)]
    await pooled.close()

    assert [0, 1, 2] == [row["n"] for row in rows]


async def test_many_rows_are_copied_and_streamed(db):
    """Bulk intake goes in by COPY and comes out by a cursor, row by row."""
    async with db.transaction() as tx:
        await tx.copy_rows("t", "row", ["id", "n"], [(i, i * i) for i in range(5_000)])
    async with db.transaction() as tx:
        total = 0
        async for row in tx.cursor("select n from t.row order by id"):
            total += row["n"]

    assert sum(i * i for i in range(5_000)) == total


async def test_an_unknown_database_is_unavailable(database_url):
    """A database that is not there gives advice, not the driver's error."""
    unknown = Database(database_url.replace("/test_", "/no_such_", 1), "t")
    with pytest.raises(Unavailable, match="VENDRAIL_DATABASE_URL"):
        async with unknown.transaction():
            pass
    await unknown.close()


async def test_a_statement_outlives_a_changed_table(database_url, db):
    """A migration that changes a table under a prepared statement costs one `Retry`, no error."""
    async with db.transaction() as tx:
        await tx.fetch("select * from t.row")
    owner = await connect_once(database_url)
    await owner.execute("alter table t.row add column more text")
    await owner.close()

    async def read():
        async with db.transaction() as tx:
            return await tx.fetch("select * from t.row")

    try:
        await read()
    except Retry:
        await read()
