"""The saga log: claimed by one, fenced for all others, gone when it has ended."""

from datetime import timedelta

import pytest

from vendrail.kernel.ids import new_id
from vendrail.kernel.saga import Saga, SagaLog, SagaMark, SagaState


@pytest.fixture
async def db(make_database):
    return await make_database("orders")


def begin(clock, count=1):
    return [Saga(new_id(clock.now()), "purchase", new_id(clock.now()), b"{}") for _ in range(count)]


async def test_a_saga_starts_once(db, clock):
    """Starting the same saga again starts nothing, and the first data stay."""
    log = SagaLog("orders", new_id(clock.now()))
    (saga,) = begin(clock)
    async with db.transaction() as tx:
        first = await log.start(tx, [saga], clock.now())
        again = await log.start(tx, [saga], clock.now())

    assert ({saga.id}, set()) == (first, again)


async def test_a_lease_keeps_others_away_until_it_runs_out(db, clock):
    """While a runner holds a saga nobody claims it; when its lease has run out, another does."""
    mine, other = (SagaLog("orders", new_id(clock.now()), lease_s=60) for _ in range(2))
    sagas = begin(clock, 3)
    async with db.transaction() as tx:
        await mine.start(tx, sagas, clock.now())
        early = await other.claim(tx, clock.now(), 10)
    clock.advance(61)
    async with db.transaction() as tx:
        late = await other.claim(tx, clock.now(), 10)

    assert [] == early
    assert {saga.id for saga in sagas} == {saga.id for saga in late}


async def test_a_runner_that_lost_its_lease_changes_nothing(db, clock):
    """Neither a mark nor an end of a runner without the lease takes effect (X5, fencing)."""
    lost, new = (SagaLog("orders", new_id(clock.now()), lease_s=60) for _ in range(2))
    (saga,) = begin(clock)
    async with db.transaction() as tx:
        await lost.start(tx, [saga], clock.now())
    clock.advance(61)
    async with db.transaction() as tx:
        await new.claim(tx, clock.now(), 10)
    mark = SagaMark(saga.id, SagaState.WAITING, "review", clock.now(), b"{}")
    async with db.transaction() as tx:
        marked = await lost.mark(tx, [mark])
        ended = await lost.end(tx, [saga.id])
        standing = await lost.find(tx, [saga.id])
        ended_by_holder = await new.end(tx, [saga.id])

    assert (set(), set()) == (marked, ended)
    assert SagaState.RUNNING is standing[saga.id].state
    assert {saga.id} == ended_by_holder


async def test_two_claimers_share_the_work(db, clock):
    """Two runners that claim at the same moment get different sagas, all of them once."""
    first, second = (SagaLog("orders", new_id(clock.now())) for _ in range(2))
    starter = SagaLog("orders", new_id(clock.now()), lease_s=0)
    sagas = begin(clock, 20)
    async with db.transaction() as tx:
        await starter.start(tx, sagas, clock.now())
    async with db.transaction() as one, db.transaction() as two:
        mine = await first.claim(one, clock.now(), 12)
        theirs = await second.claim(two, clock.now(), 12)

    assert 20 == len(mine) + len(theirs)
    assert {saga.id for saga in sagas} == {saga.id for saga in mine + theirs}


async def test_a_wait_is_looked_at_when_due_and_when_woken(db, clock):
    """A parked saga is claimed at its due time, or at once when someone wakes it."""
    log = SagaLog("orders", new_id(clock.now()))
    (saga,) = begin(clock)
    due = clock.now() + timedelta(hours=1)
    async with db.transaction() as tx:
        await log.start(tx, [saga], clock.now())
        await log.mark(tx, [SagaMark(saga.id, SagaState.WAITING, "review", due, b"1")])
        early = await log.claim(tx, clock.now(), 10)
        woken = await log.wake(tx, [saga.id], clock.now())
        claimed = await log.claim(tx, clock.now(), 10)

    assert [] == early
    assert {saga.id} == woken
    assert [(saga.id, SagaState.WAITING, b"1")] == [(s.id, s.state, s.data) for s in claimed]


async def test_a_stuck_saga_waits_for_a_person(db, clock):
    """A stuck saga is never claimed by itself; waking it makes it run again."""
    log = SagaLog("orders", new_id(clock.now()))
    (saga,) = begin(clock)
    stuck = SagaMark(saga.id, SagaState.STUCK, "person", clock.now(), b"{}", "why")
    async with db.transaction() as tx:
        await log.start(tx, [saga], clock.now())
        await log.mark(tx, [stuck])
        by_itself = await log.claim(tx, clock.now() + timedelta(days=9), 10)
        await log.wake(tx, [saga.id], clock.now())
        claimed = await log.claim(tx, clock.now(), 10)

    assert [] == by_itself
    assert [SagaState.RUNNING] == [each.state for each in claimed]


async def test_a_stuck_saga_that_has_turned_only_goes_back(db, clock):
    """Turned by itself or by a person, and stuck after it: woken, it still undoes."""
    log = SagaLog("orders", new_id(clock.now()))
    turned, given_up = begin(clock, 2)
    stuck = [
        SagaMark(s.id, SagaState.STUCK, "person", clock.now(), b"{}") for s in (given_up, turned)
    ]
    async with db.transaction() as tx:
        await log.start(tx, [turned, given_up], clock.now())
        early = await log.turn_stuck(tx, [given_up.id], "given up", clock.now())
        await log.mark(tx, [SagaMark(turned.id, SagaState.UNDOING, "gone", clock.now(), b"{}")])
        await log.mark(tx, stuck[:1])
        word = [await log.turn_stuck(tx, [given_up.id], "given up", clock.now()) for _ in range(2)]
        for _ in range(2):
            await log.claim(tx, clock.now(), 10, is_slow=True)
            await log.mark(tx, stuck)
        late = await log.turn_stuck(tx, [turned.id, given_up.id], "given up", clock.now())
        await log.wake(tx, [turned.id, given_up.id], clock.now())
        claimed = await log.claim(tx, clock.now(), 10, is_slow=True)

    assert (set(), [{given_up.id}, set()], set()) == (early, word, late)
    assert [(SagaState.UNDOING, True)] * 2 == [(each.state, each.is_turned) for each in claimed]


async def test_what_calls_a_provider_runs_in_a_lane_of_its_own(db, clock):
    """A slow saga is claimed by the slow lane alone, so that no delivery ever waits behind it."""
    log = SagaLog("orders", new_id(clock.now()))
    slow = Saga(new_id(clock.now()), "refund", new_id(clock.now()), b"{}", is_slow=True)
    (turned,) = begin(clock)
    async with db.transaction() as tx:
        await log.start(tx, [slow, turned], clock.now())
        await log.mark(tx, [SagaMark(turned.id, SagaState.UNDOING, "sold out", clock.now(), b"{}")])
        quick_lane = await log.claim(tx, clock.now(), 10)
        slow_lane = await log.claim(tx, clock.now(), 10, is_slow=True)

    assert [] == quick_lane
    assert {slow.id, turned.id} == {saga.id for saga in slow_lane}
