"""Ids: in time order, with the shard inside, derived ones beside their parents."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import (
    SHARD_COUNT,
    derive,
    first_id_at,
    from_serial,
    made_at,
    named_id,
    new_id,
    shard_of,
    to_serial,
)

moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
)
shards = st.integers(0, SHARD_COUNT - 1)
any_id = st.uuids()


def _shard(id: UUID) -> int:
    return id.int >> 64 & 0xFFF


@given(moments, shards)
def test_an_id_carries_its_moment_and_shard(moment, shard):
    """An id is a UUIDv7 from which its millisecond and its merchant's shard are read back."""
    made = new_id(moment, shard)

    assert 7 == made.version
    assert "specified in RFC 4122" == made.variant
    assert moment == made_at(made)
    assert shard == _shard(made)


@given(moments, st.integers(1, 10**9), shards, shards)
def test_later_ids_sort_later(moment, later_ms, shard, other_shard):
    """An id made a millisecond later sorts behind, whatever the shards."""
    first = new_id(moment, shard)
    second = new_id(moment + timedelta(milliseconds=later_ms), other_shard)

    assert first < second


@given(moments, shards, st.text(), st.text())
def test_a_derived_id_keeps_time_and_shard(moment, shard, step, other_step):
    """A derived id has its parent's time and shard, and is the same each time, per step."""
    parent = new_id(moment, shard)
    child = derive(parent, step)

    assert child == derive(parent, step)
    assert (child == derive(parent, other_step)) == (step == other_step)
    assert child != parent
    assert (parent.int >> 64) == (child.int >> 64)
    assert 7 == child.version


def test_derived_ids_do_not_meet():
    """A hundred thousand derived ids of one millisecond are all different."""
    parents = [new_id(datetime(2026, 11, 23, tzinfo=UTC)) for _ in range(20_000)]
    steps = ("capture", "sale", "fee", "allocate", "deliver")

    assert 100_000 == len({derive(parent, step) for parent in parents for step in steps})


@given(any_id)
def test_a_serial_number_comes_back(id):
    """Writing an id as a serial number and reading it gives the id; order is kept."""
    serial = to_serial(id)

    assert 26 == len(serial)
    assert id == from_serial(serial)
    assert id == from_serial(f" {serial[:8].lower()}-{serial[8:]} ")


@given(any_id, any_id)
def test_serial_numbers_sort_as_ids_do(first, second):
    """The order of serial numbers is the order of their ids, so of their time."""
    assert (first < second) == (to_serial(first) < to_serial(second))


@given(any_id)
def test_a_serial_number_forgives_look_alikes(id):
    """O is read as 0, and I and L as 1: people copy by eye."""
    serial = to_serial(id)

    assert id == from_serial(serial.replace("0", "O").replace("1", "L"))
    assert id == from_serial(serial.replace("0", "o").replace("1", "i"))


@pytest.mark.parametrize("text", ["", "0" * 25, "0" * 27, "U" * 26, "Z" * 26, "0" * 25 + "é"])
def test_what_is_no_serial_number_is_malformed(text):
    """A text of another length, alphabet or range is refused with advice."""
    with pytest.raises(Malformed):
        from_serial(text)


@given(st.text())
def test_any_text_is_read_or_malformed(text):
    """No text makes the reader fail in another way."""
    try:
        id = from_serial(text)
    except Malformed:
        return

    assert isinstance(id, UUID)


@given(moments)
def test_the_first_id_of_a_moment_bounds_it(moment):
    """The first id at a moment is not above any id of it, and above all ids before."""
    bound = first_id_at(moment)

    assert bound <= new_id(moment)
    assert new_id(moment - timedelta(milliseconds=1), SHARD_COUNT - 1) < bound


@given(st.text(), st.text())
def test_a_named_id_belongs_to_its_name(name, other):
    """A name gives one id, always the same, of version 8."""
    assert 8 == named_id(name).version
    assert (named_id(name) == named_id(other)) == (name == other)


def test_shards_are_used_evenly():
    """Merchants spread over all shards, none is far more used than the mean."""
    now = datetime(2026, 11, 23, tzinfo=UTC)
    counts = [0] * 16
    for _ in range(16_000):
        shard = shard_of(new_id(now))
        assert 0 <= shard < SHARD_COUNT
        counts[shard * 16 // SHARD_COUNT] += 1

    assert max(counts) < 1_250
    assert min(counts) > 750


def test_our_ids_are_plain_uuids_to_everyone():
    """What we make and what JSON gives back are equal, hash alike and encode alike."""
    made = new_id(datetime.now(UTC), 7)
    same = UUID(str(made))

    assert made == same
    assert hash(made) == hash(same)
    assert isinstance(made, UUID)
    assert encode([made]) == encode([same])
    assert derive(made, "step") == derive(same, "step")
