"""Limits: what is allowed is given, nothing beyond, over all processes, without a write each."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.kernel.errors import Malformed
from vendrail.kernel.limits import SharedLimit, TokenBuckets


@pytest.fixture
async def db(make_database):
    return await make_database("limits")


def shared(db, vault, clock, capacity=80, window_s=60, **options):
    options = {"name": "place", "capacity": capacity, "window_s": window_s, **options}
    return SharedLimit(db, vault, clock, **options)


async def test_a_limit_holds_across_processes(db, vault, clock):
    """Of 300 tries by four processes at once, exactly as many as allowed go through."""
    processes = [shared(db, vault, clock, capacity=100) for _ in range(4)]
    waits = await asyncio.gather(
        *(processes[number % 4].take("192.0.2.1") for number in range(1_000))
    )

    assert 100 == waits.count(0.0)
    assert all(0 <= wait_s <= 60 for wait_s in waits)


@pytest.mark.parametrize("capacity", [1, 2, 7, 8, 9, 20, 97])
async def test_every_capacity_is_met_exactly(db, vault, clock, capacity):
    """Whatever the number, one process gets exactly so many, and in the next window again."""
    limit = shared(db, vault, clock, capacity=capacity)
    first = [await limit.take("k") for _ in range(capacity + 5)]
    clock.advance(60)
    second = [await limit.take("k") for _ in range(capacity + 5)]

    assert [0.0] * capacity == first[:capacity] == second[:capacity]
    assert all(wait_s > 0 for wait_s in first[capacity:] + second[capacity:])


async def test_a_request_costs_no_write(db, vault, clock):
    """A thousand requests of one key cost some ten writes, and refusals cost none."""
    limit = shared(db, vault, clock, capacity=800)
    calls = []
    inner = limit._borrows._call

    async def counted(items):
        calls.append(len(items))
        return await inner(items)

    limit._borrows._call = counted
    for _ in range(1_000):
        await limit.take("k")

    assert len(calls) <= 9


async def test_keys_do_not_disturb_each_other(db, vault, clock):
    """Many keys at once are borrowed for in shared batches, each with its own allowance."""
    limit = shared(db, vault, clock, capacity=8)
    waits = await asyncio.gather(*(limit.take(f"k{n % 50}") for n in range(1_000)))
    async with db.reading() as tx:
        rows = await tx.fetch("select blocks, limit_hash from limits.taken")

    assert 400 == waits.count(0.0)
    assert {8} == {row["blocks"] for row in rows}
    assert not any(b"k1" in row["limit_hash"] for row in rows)


async def test_limits_of_other_names_are_apart(db, vault, clock):
    """Two limits for the same key do not share their allowance."""
    place, lookup = (
        shared(db, vault, clock, capacity=1),
        shared(db, vault, clock, capacity=1, name="lookup"),
    )

    assert (0.0, 0.0) == (await place.take("k"), await lookup.take("k"))
    assert await place.take("k") > 0


async def test_what_is_over_is_forgotten(db, vault, clock):
    """Windows that have ended are deleted; memory holds no more keys than it may."""
    limit = shared(db, vault, clock, keys_max=10)
    for number in range(50):
        await limit.take(f"k{number}")
    held = len(limit._slots)
    clock.advance(200)
    await limit.take("new")
    async with db.reading() as tx:
        rows = await tx.fetch_value("select count(*) from limits.taken")

    assert 10 == held
    assert 1 == rows


async def test_the_wait_is_until_the_window_ends(db, vault, clock):
    """A refusal says how long to wait, and after that it goes on."""
    limit = shared(db, vault, clock, capacity=1)
    await limit.take("k")
    clock.advance(12)
    wait_s = await limit.take("k")
    clock.advance(wait_s)

    assert 0 < wait_s <= 48
    assert 0.0 == await limit.take("k")


@given(
    st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 10), min_size=1, max_size=200)
)
def test_a_bucket_never_gives_more_than_its_rate(rate_per_s, burst, pauses):
    """In any time a bucket gives at most its burst and what has flowed in since."""
    buckets = TokenBuckets(rate_per_s, burst)
    now_s, given_count = 0.0, 0
    for pause_s in pauses:
        now_s += pause_s
        given_count += buckets.take("k", now_s) == 0.0
        assert given_count <= burst + now_s * rate_per_s + 1e-6


def test_a_bucket_fills_again_after_the_wait():
    """After the wait that was told there is a token again; other keys are not held up."""
    buckets = TokenBuckets(0.5, 1)
    first, wait_s = buckets.take("k", 0.0), buckets.take("k", 0.0)

    assert (0.0, 2.0, 0.0) == (first, wait_s, buckets.take("other", 0.0))
    assert 0.0 == buckets.take("k", wait_s)


def test_buckets_are_bounded():
    """However many keys come, no more are remembered than the bound."""
    buckets = TokenBuckets(1, 1, keys_max=100)
    for number in range(10_000):
        buckets.take(str(number), 0.0)

    assert 100 == len(buckets._buckets)


@pytest.mark.parametrize("rate_per_s, burst", [(0, 1), (-1, 1), (1, 0)])
def test_senseless_buckets_are_malformed(rate_per_s, burst):
    """A bucket without rate or room is refused."""
    with pytest.raises(Malformed):
        TokenBuckets(rate_per_s, burst)
