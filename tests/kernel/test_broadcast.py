"""Hints between processes: what one wakes, the others hear, once and without an echo."""

import asyncio
import contextlib

import pytest

from vendrail.kernel.broadcast import Broadcast
from vendrail.kernel.db import connect_once
from vendrail.kernel.outbox import Wakeups


@pytest.fixture
async def processes(database_url):
    """Two processes' wake-ups, carried over one database."""
    both = [Wakeups(), Wakeups()]
    tasks = [
        asyncio.create_task(Broadcast(database_url, each, ["payments", "orders"]).run())
        for each in both
    ]
    await _listening(database_url, 2)
    yield both
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _listening(url, count):
    owner = await connect_once(url)
    for _ in range(200):
        found = await owner.fetchval(
            "select count(*) from pg_stat_activity where application_name = 'vendrail-broadcast'"
            " and datname = current_database() and query ilike 'listen%'"
        )
        if found == count:
            break
        await asyncio.sleep(0.02)
    await owner.close()


async def test_a_wakeup_here_wakes_those_who_wait_there(processes):
    """A topic woken in one process is woken in the other, and no other topic is."""
    here, there = processes
    payments, orders = there.subscribe("payments"), there.subscribe("orders")
    here.wake("payments")
    await asyncio.wait_for(payments.wait(), timeout=5)

    assert not orders.is_set()


async def test_a_hint_does_not_echo(processes):
    """What was heard from another process is not sent back, or hints would never end."""
    here, there = processes
    heard_there = there.subscribe("payments")
    here.wake("payments")
    await asyncio.wait_for(heard_there.wait(), timeout=5)
    echo = here.subscribe("payments")
    await asyncio.sleep(0.2)

    assert not echo.is_set()
