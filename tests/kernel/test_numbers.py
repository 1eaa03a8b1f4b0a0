"""Numbers as they are copied: what nobody sees of them makes no other number."""

import pytest

from vendrail.kernel.numbers import bare


@pytest.mark.parametrize(
    "mark", ["\u200b", "\u200e", "\ufeff", "\u202d", "\u202c", "\u2068", "\u2069"]
)
def test_marks_of_direction_and_of_breaks_are_no_part_of_a_number(mark):
    """Telephones and papers put them around what is copied, or into it."""
    assert "06ASMR" == bare(f" {mark}06{mark}ASMR{mark} ")


def test_what_joins_letters_stays():
    """Letters of some scripts, and pictures, are others without it."""
    assert "\u06cc\u200c\u06a9" == bare("\u06cc\u200c\u06a9")
