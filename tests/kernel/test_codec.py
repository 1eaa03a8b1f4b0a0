"""The codec: what travels comes back the same, and what does not fit is named."""

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.kernel.codec import Record, decode, encode, replace
from vendrail.kernel.errors import Malformed


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Record, frozen=True):
    id: UUID
    colour: Colour
    sealed: bytes


class Outer(Record, frozen=True):
    amount_minor: int
    at: datetime | None
    inner: list[Inner]
    text: str = ""


inners = st.builds(Inner, st.uuids(), st.sampled_from(Colour), st.binary(max_size=40))
outers = st.builds(
    Outer,
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)),
    st.lists(inners, max_size=4),
    st.text(),
)


@given(st.lists(outers, max_size=5))
def test_records_come_back_the_same(records):
    """Encoding and decoding a list of records gives equal records: no float, no lost byte."""
    assert records == decode(encode(records), list[Outer])


@pytest.mark.parametrize(
    "text, place",
    [
        ('{"amount_minor": 1.5, "at": null, "inner": []}', "$.amount_minor"),
        ('{"amount_minor": 1, "at": "yesterday", "inner": []}', "$.at"),
        ('{"amount_minor": 1, "at": null, "inner": [{"id": 7}]}', "$.inner[0].id"),
        ('{"amount_minor": 1}', "missing required field"),
        ("{", "truncated"),
        ("[]", "Expected `object`"),
    ],
)
def test_what_does_not_fit_is_malformed_with_its_place(text, place):
    """JSON that does not fit is refused, and the message says where."""
    with pytest.raises(Malformed, match=r".") as caught:
        decode(text, Outer)

    assert place in caught.value.message


def test_a_record_cannot_be_changed_only_copied():
    """Records are frozen; `replace` gives a changed copy and leaves the first as it was."""
    first = Outer(1, None, [])
    second = replace(first, amount_minor=2)

    with pytest.raises(AttributeError):
        first.amount_minor = 3
    assert (1, 2) == (first.amount_minor, second.amount_minor)
