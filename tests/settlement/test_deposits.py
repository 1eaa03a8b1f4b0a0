"""Deposits: asked, paid in, taken for debts, given back; over real books, whatever breaks off."""

import asyncio
import contextlib
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.settlement.test_holding import free_of_fees, refund, sell

from vendrail.api.ledger import Chart, EntryQuery
from vendrail.api.settlement import (
    Deposit,
    DepositKind,
    DepositMove,
    DepositQuery,
    DepositState,
    DepositStatus,
    DepositTerms,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.kernel.migrate import migrate, read_migrations
from vendrail.settlement.deposits import movable

PAID, TAKEN, RETURNED = DepositKind.PAID, DepositKind.TAKEN, DepositKind.RETURNED
DONE, ASKED = DepositStatus.DONE, DepositStatus.ASKED


async def ask(world, amount_minor, days=30):
    """Ask the merchant for a deposit."""
    terms = DepositTerms(world.merchant, world.currency, amount_minor, days)
    await world.settlement.put_deposit_terms([terms])


def move(world, kind, amount_minor, **more):
    """One movement of the merchant's deposit."""
    id = new_id(world.clock.now())
    return DepositMove(id, world.merchant, world.currency, kind, amount_minor, **more)


async def stand(world):
    """What is paid in, available and owed."""
    key = (world.merchant, world.currency)
    [deposit] = await world.settlement.read_deposits([key])
    [balance] = await world.settlement.read_merchant_balances([key])
    return deposit.held_minor, balance.available_minor, balance.debt_minor


async def paid_in(world, asked_minor=1_000, earned_minor=5_000, days=30):
    """A merchant who has earned something and paid its deposit in."""
    await free_of_fees(world)
    await ask(world, asked_minor, days)
    sale = await sell(world, earned_minor)
    assert [DONE] == await world.settlement.move_deposits([move(world, PAID, asked_minor)])
    return sale


async def test_a_deposit_is_paid_from_what_is_there_and_once(world):
    """Nothing is paid unasked or beyond the balance; a repeat moves nothing, another is told."""
    await free_of_fees(world)
    unasked = await world.settlement.move_deposits([move(world, PAID, 100)])
    await ask(world, 1_000)
    await sell(world, 1_500)
    paying = move(world, PAID, 1_000)
    statuses = await world.settlement.move_deposits(
        [paying, paying, replace(paying, amount_minor=900), move(world, PAID, 501)]
    )

    assert [DepositStatus.NO_TERMS] == unasked
    assert ["done", "done", "exists_different", "balance_too_low"] == statuses
    assert (1_000, 500, 0) == await stand(world)


async def test_two_payments_at_once_take_no_more_than_there_is(world):
    """Ten at once for the last of a balance: one is paid, and no account goes below zero."""
    await free_of_fees(world)
    await ask(world, 1_000)
    await sell(world, 1_000)
    every = await asyncio.gather(
        *(world.settlement.move_deposits([move(world, PAID, 1_000)]) for _ in range(10))
    )

    assert 1 == sum(statuses == [DONE] for statuses in every)
    assert (1_000, 0, 0) == await stand(world)


async def test_it_is_taken_for_what_is_owed_and_no_more(world):
    """Of a deposit goes at most the debt; the reason stands beside it, and the books say so."""
    sale = await paid_in(world)
    await world.spend(4_000)
    await refund(world, sale, 300)
    world.clock.advance(1)  # Movements of one moment have no order.
    taking = move(world, TAKEN, 900, reason="refunds not covered")
    statuses = await world.settlement.move_deposits([taking, taking, move(world, TAKEN, 1)])
    [[kept, _]] = await world.settlement.list_deposit_moves(
        [DepositQuery(world.merchant, world.currency)]
    )
    deposit = Chart(world.currency).merchant(world.merchant, "deposit").id
    [entries] = await world.ledger.read_entries([EntryQuery(deposit, None, 10)])

    assert [DONE, DONE, DepositStatus.NOTHING_OWED] == statuses
    assert (700, 0, 0) == await stand(world)
    assert (300, "refunds not covered") == (kept.moved_minor, kept.reason)
    assert [("deposit_taken", -300), ("deposit", 1_000)] == [
        (each.code, each.amount_minor) for each in entries
    ]


async def test_what_was_taken_too_much_comes_back(world):
    """When a sale has settled the debt at the same moment, what was taken besides is given back."""
    sale = await paid_in(world)
    await world.spend(4_000)
    await refund(world, sale, 300)
    taking = move(world, TAKEN, 300)
    service = world.service._deposits()
    deposit, *_ = await service._look(taking)
    assert 1_000 == deposit.held_minor
    written = replace(taking, asked_at=world.clock.now(), due_at=world.clock.now())
    await service._store.add_move(written, 300)
    await sell(world, 500)  # Recovers all that was owed.
    await world.service.move_due_deposits()
    await world.service.recover_debts()
    await world.service.recover_debts()

    assert (700, 500, 0) == await stand(world)


async def test_it_comes_back_after_the_days_of_the_terms(world):
    """What the terms leave free is asked back, one return at a time, and moves when it is due."""
    await paid_in(world)
    early = await world.settlement.move_deposits([move(world, RETURNED, 1)])
    await ask(world, 400, days=10)
    asked = await world.settlement.move_deposits([move(world, RETURNED, 600)])
    again = await world.settlement.move_deposits([move(world, RETURNED, 1)])
    world.clock.advance(10 * 86_400 - 60)
    await world.service.move_due_deposits()
    before = await stand(world)
    world.clock.advance(120)
    await world.service.move_due_deposits()

    assert [DepositStatus.MORE_THAN_FREE] == early
    assert ([ASKED], [DepositStatus.ASKED_BEFORE]) == (asked, again)
    assert (1_000, 4_000, 0) == before
    assert (400, 4_600, 0) == await stand(world)


async def test_returns_at_once_leave_what_the_terms_ask_for(world):
    """Six returns at once, each of all that is free: one moves, and what is asked for stays."""
    await paid_in(world, days=0)
    await ask(world, 500, days=0)
    moves = [move(world, RETURNED, 500) for _ in range(6)]
    await asyncio.gather(*(world.settlement.move_deposits([each]) for each in moves))
    await world.service.move_due_deposits()

    assert (500, 4_500, 0) == await stand(world)


async def test_a_return_that_is_not_posted_yet_counts(world):
    """While one return moves no other is taken; what is taken for a debt is waited for."""
    await paid_in(world, days=0)
    await ask(world, 500, days=0)
    now, store = world.clock.now(), world.service._store.deposits
    first = move(world, RETURNED, 500, asked_at=now, due_at=now)
    await store.add_move(replace(first, state=DepositState.ASKED), 500)
    assert await store.begin(first, 500, 0)
    again = await world.settlement.move_deposits([move(world, RETURNED, 500)])
    await world.service.move_due_deposits()
    taking = move(world, TAKEN, 100, asked_at=now, due_at=now)
    await store.add_move(taking, 100)
    await ask(world, 400, days=0)
    last = await world.settlement.move_deposits([move(world, RETURNED, 100)])

    assert ([DepositStatus.ASKED_BEFORE], [ASKED]) == (again, last)
    assert (500, 4_500, 0) == await stand(world)


async def test_a_return_that_waits_beside_one_that_broke_off_is_refused_by_the_change(database_url):
    """Data of before bring both into one key; what moves stays, and what waits is refused."""
    await migrate(database_url, ["settlement"], lambda service: read_migrations(service)[:12])
    owner = await connect_once(database_url)
    merchant, other, now = UUID(int=7), UUID(int=8), datetime(2026, 3, 1, tzinfo=UTC)
    rows = [
        (UUID(int=1), merchant, "CNY", "moving", 500),
        (UUID(int=2), merchant, "CNY", "asked", 0),
        (UUID(int=3), merchant, "SGD", "asked", 0),
        (UUID(int=4), other, "CNY", "asked", 0),
    ]
    await owner.executemany(
        "insert into settlement.deposit_move (id, merchant, currency, kind, asked_minor,"
        " amount_minor, state, asked_at, due_at)"
        " values ($1, $2, $3, 'returned', 500, $5, $4, $6, $6)",
        [(*row, now) for row in rows],
    )
    await migrate(database_url, ["settlement"])
    found = await owner.fetch(
        "select state, ended_at is not null from settlement.deposit_move order by id"
    )
    await owner.close()

    waiting = ("asked", False)
    assert [("moving", False), ("refused", True), waiting, waiting] == [tuple(e) for e in found]


@pytest.mark.parametrize("is_posted", [True, False])
async def test_a_taking_between_what_a_return_reads_and_begins_counts(world, is_posted):
    """Whatever is taken while a return looks, posted yet or not: what is asked for stays."""
    sale = await paid_in(world, days=0)
    await world.spend(4_000)
    await refund(world, sale, 300)
    await ask(world, 500, days=0)
    now, service = world.clock.now(), world.service._deposits()
    taking = move(world, TAKEN, 300, asked_at=now, due_at=now)
    returning = move(world, RETURNED, 500, asked_at=now, due_at=now, state=DepositState.ASKED)
    await service._store.add_move(returning, 500)
    look = service._look

    async def look_slowly(asked):
        found = await look(asked)
        if is_posted:
            assert [DONE] == await world.settlement.move_deposits([taking])
        else:
            assert await service._store.add_move(taking, 300)
        return found

    service._look = look_slowly
    assert ASKED == await service._finish(returning)
    for _ in range(3):
        await world.service.move_due_deposits()
    held_minor, *_ = await stand(world)
    assert 500 == held_minor


async def test_higher_terms_keep_what_was_asked_back(world):
    """A return takes no more than is free when it is due; with nothing free it is refused."""
    await paid_in(world)
    await ask(world, 0, days=1)
    world.clock.advance(1)
    asked = move(world, RETURNED, 1_000)
    await world.settlement.move_deposits([asked])
    await ask(world, 1_000, days=1)
    world.clock.advance(2 * 86_400)
    await world.service.move_due_deposits()
    [[kept, _]] = await world.settlement.list_deposit_moves(
        [DepositQuery(world.merchant, world.currency)]
    )

    assert (DepositState.REFUSED, 0) == (kept.state, kept.moved_minor)
    assert (1_000, 4_000, 0) == await stand(world)


@pytest.mark.parametrize("calls", range(1, 20, 3))
async def test_a_movement_that_broke_off_is_finished_once(fragile_world, calls):
    """Wherever a crash comes, the loop does the rest, and the money has moved once."""
    world = fragile_world
    await free_of_fees(world)
    await ask(world, 1_000)
    await sell(world, 2_000)
    paying = move(world, PAID, 1_000)
    with contextlib.suppress(Broken), world.fuse.broken_after(calls):
        await world.settlement.move_deposits([paying])
    await world.service.move_due_deposits()
    held, *_ = await stand(world)
    statuses = await world.settlement.move_deposits([paying])

    assert held in (0, 1_000)
    assert [DONE] == statuses
    assert (1_000, 1_000, 0) == await stand(world)


@given(
    kind=st.sampled_from(list(DepositKind)),
    asked=st.integers(1, 1_000),
    held=st.integers(0, 1_000),
    wanted=st.integers(0, 1_000),
    available=st.integers(0, 1_000),
    owed=st.integers(-1_000, 1_000),
)
def test_nothing_moves_that_is_not_there(kind, asked, held, wanted, available, owed):
    """No kind moves more than is asked or than its source has; a taking never exceeds the debt."""
    someone = UUID(int=1)
    terms = DepositTerms(someone, "CNY", wanted)
    deposit = Deposit(someone, "CNY", held, terms)
    moved = movable(DepositMove(someone, someone, "CNY", kind, asked), deposit, available, owed)
    source = available if kind is PAID else held

    assert 0 <= moved <= min(asked, source)
    assert kind is not TAKEN or moved <= max(0, owed)
    assert kind is not RETURNED or held - moved >= min(held, wanted)
