"""New work is turned away when what is under way takes too long; each owner keeps a fair share."""

import asyncio
import time

import pytest

from vendrail.kernel.batcher import Batcher
from vendrail.kernel.errors import Overloaded
from vendrail.kernel.shedding import Shedder


class Slow:
    """A batch operation that takes as long as it is told."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s

    async def __call__(self, items):
        await asyncio.sleep(self.delay_s)
        return items


def make_shedder(call, wanted_s=0.05):
    """Put a shedder before a batcher; an item's owner is its first letter."""
    return Shedder(Batcher(call, size_max=4), lambda item: item[0], wanted_s=wanted_s)


async def offer(shedder, items):
    """Offer all items at once; give how many of each owner were taken, and how many refused."""

    async def one(item):
        try:
            return await shedder.submit(item)
        except Overloaded:
            return ""

    told = await asyncio.gather(*(one(item) for item in items))
    return "".join(sorted(item[:1] for item in told)), told.count("")


async def test_nothing_is_refused_while_answers_come_in_time():
    """A quick operation takes in hundreds at once."""
    shedder = make_shedder(Slow(0.0), wanted_s=5.0)

    taken, refused = await offer(shedder, [f"a{n}" for n in range(400)])

    assert 400 == len(taken)
    assert 0 == refused
    assert not shedder.is_full()


async def test_slow_answers_let_less_in():
    """After answers that took too long fewer are taken in at once; quick ones open it again."""
    call = Slow(0.1)
    shedder = make_shedder(call)
    for _ in range(6):
        await offer(shedder, [f"a{n}" for n in range(64)])
        await asyncio.sleep(0.01)

    taken, refused = await offer(shedder, [f"a{n}" for n in range(64)])
    call.delay_s = 0.0
    for _ in range(400):
        await offer(shedder, [f"a{n}" for n in range(12)])
    reopened, _ = await offer(shedder, [f"a{n}" for n in range(64)])

    assert 16 == len(taken)
    assert 48 == refused
    assert len(taken) < len(reopened)


async def test_a_flood_of_one_leaves_room_for_others():
    """While one owner asks for all there is, another still gets its share."""
    call = Slow(0.1)
    shedder = make_shedder(call)
    for _ in range(6):
        await offer(shedder, [f"a{n}" for n in range(64)])
    flood = [f"a{n}" for n in range(8)] + ["b0"] + [f"a{n}" for n in range(64)] + ["b1", "b2"]

    taken, _ = await offer(shedder, flood)

    assert 3 == taken.count("b")


@pytest.mark.parametrize("under_way, is_full", [(16, True), (3, False)])
async def test_a_late_loop_is_full(under_way, is_full):
    """While the loop is late and much is under way, new ones are turned away; else nobody is."""
    shedder = make_shedder(Slow(0.3), wanted_s=0.05)
    assert not shedder.is_full()
    offered = asyncio.create_task(offer(shedder, [f"a{n}" for n in range(under_way)]))
    await asyncio.sleep(0.06)

    time.sleep(0.2)  # Whoever blocks the loop.

    assert is_full == shedder.is_full()
    await offered
    await asyncio.sleep(0.15)
    assert not shedder.is_full()


@pytest.mark.parametrize("error", [RuntimeError("broken"), asyncio.CancelledError()])
async def test_what_fails_gives_its_place_back(error):
    """A failed or abandoned call is no longer under way."""

    async def fail(_items):
        raise error

    shedder = make_shedder(fail)
    with pytest.raises(BaseException):  # noqa: B017, PT011  # A cancelled batch says Unavailable.
        await shedder.submit("a")

    assert 0 == shedder._count
    assert 0 == len(shedder._under_way)


@pytest.mark.parametrize("refused, is_strained", [(1, False), (31, False), (32, True), (60, True)])
async def test_one_moments_crowd_is_no_strain(refused, is_strained):
    """A few refusals ask nobody for a proof; many in a few seconds do."""
    shedder = make_shedder(Slow(0.1))
    for _ in range(6):
        await shedder.submit("a")  # Slow: the limit falls as far as it goes.

    _, told = await offer(shedder, [f"a{n}" for n in range(16 + refused)])

    assert refused == told
    assert is_strained == shedder.is_strained()
