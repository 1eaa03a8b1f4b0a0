"""Payouts decided together: those that waited, once, each by itself, and no others."""

import asyncio
from contextlib import suppress

from vendrail.api.payouts import (
    BatchVerdict,
    NewBatch,
    PayoutQuery,
    PayoutState,
    PayoutTerms,
    PayoutVerdict,
)
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id

from tests.payouts.conftest import LEASE_S, World  # isort: skip


async def waiting(world: World, count: int) -> list:
    """Payouts that wait for a person."""
    await world.payouts.put_terms([PayoutTerms("CNY", 1, 0, 50)])
    await world.earn(100_000)
    wanted = [world.ask(100 + number) for number in range(count)]
    assert ["taken"] * count == await world.payouts.request_payouts(wanted)
    return wanted


async def made(world: World, **changes):
    """A batch of what waits."""
    values = {"id": new_id(world.clock.now()), "currency": "CNY", "merchant": None, "by": "ops"}
    [batch] = await world.payouts.make_batches([NewBatch(**(values | changes))])
    return batch


async def states(world: World, payouts) -> list[PayoutState]:
    """How payouts stand."""
    return [each.state for each in await world.payouts.read_payouts([e.id for e in payouts])]


async def test_a_batch_is_what_waited_and_its_decision_comes_to_each(world: World) -> None:
    """Later ones are not in it; one that was decided meanwhile stays as it was decided."""
    first = await waiting(world, 120)
    [[sum_up]] = await world.payouts.sum_reviews([None])
    assert ("CNY", 120, sum(e.amount_minor for e in first)) == (
        sum_up.currency, sum_up.payouts, sum_up.sum_minor,
    )  # fmt: skip
    batch = await made(world)
    assert batch == await made(world, id=batch.id)
    [late] = await waiting(world, 1)
    lone = PayoutVerdict(first[7].id, is_approved=False, by="ops", reason="odd")
    assert ["done"] == await world.payouts.review_payouts([lone])
    assert ["done"] == await world.payouts.decide_batches(
        [BatchVerdict(batch.id, is_approved=True, by="two", reason="known shops")]
    )
    assert ["known"] == await world.payouts.decide_batches(
        [BatchVerdict(batch.id, is_approved=False, by="three", reason="no")]
    )
    await world.run()

    told = await states(world, first)
    assert {PayoutState.SUCCEEDED} == {*told[:7], *told[8:]}
    assert [PayoutState.DECLINED, PayoutState.REVIEW] == [told[7], *await states(world, [late])]
    [now] = await world.payouts.read_batches([batch.id])
    assert (120, 120, 1, True) == (now.payouts, now.done, now.left, now.is_approved)
    [steps] = await world.payouts.read_steps([first[0].id])
    assert ("known shops", "two") in [(each.note, each.by) for each in steps]


async def test_of_many_who_decide_one_is_heard(world: World) -> None:
    """Ten say yes and no at once: the first word counts for all payouts of the batch."""
    wanted = await waiting(world, 5)
    batch = await made(world, merchant=world.merchant)
    said = await asyncio.gather(
        *(
            world.payouts.decide_batches([BatchVerdict(batch.id, n % 2 == 0, f"ops{n}", "why")])
            for n in range(10)
        )
    )
    await world.run()

    assert ["done"] + ["known"] * 9 == sorted(status for [status] in said)
    [now] = await world.payouts.read_batches([batch.id])
    end = PayoutState.SUCCEEDED if now.is_approved else PayoutState.DECLINED
    assert {end} == set(await states(world, wanted))


async def test_nothing_waits_for_a_stranger_or_in_another_currency(world: World) -> None:
    """Of another merchant, or in another currency, there is no batch."""
    await waiting(world, 2)

    assert await made(world, merchant=new_id(world.clock.now())) is None
    assert await made(world, currency="EUR") is None
    assert [None] == await world.payouts.read_batches([new_id(world.clock.now())])
    assert ["batch_not_found"] == await world.payouts.decide_batches(
        [BatchVerdict(new_id(world.clock.now()), is_approved=True, by="ops", reason="why")]
    )


async def test_a_decision_that_breaks_off_comes_to_each_once(make_world, fuse) -> None:
    """Wherever the work breaks off, another process goes on; every payout is decided once."""
    world = await make_world(fuse=fuse)
    await world.be_verified()
    wanted = await waiting(world, 3)
    batch = await made(world)
    verdict = BatchVerdict(batch.id, is_approved=False, by="ops", reason="why")
    await world.payouts.decide_batches([verdict])
    for count in range(0, 24, 3):
        with fuse.broken_after(count), suppress(Broken):
            await world.house.services["payouts"].advance_due()
    await world.later(LEASE_S)

    assert {PayoutState.DECLINED} == set(await states(world, wanted))
    [found] = await world.payouts.list_payouts([PayoutQuery(batch=batch.id, currency="CNY")])
    assert {each.id for each in wanted} == {each.id for each in found}
    steps = await world.payouts.read_steps([each.id for each in wanted])
    assert [1] * 3 == [sum(each.by == "ops" for each in one) for one in steps]
    [now] = await world.payouts.read_batches([batch.id])
    assert (3, 0) == (now.done, now.left)
