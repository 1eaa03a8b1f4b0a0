"""The log says acts in words: each that is written anywhere has its own."""

import re
from pathlib import Path

import pytest

import vendrail
from vendrail.api.orders import RefundOrderStatus
from vendrail.kernel.locales import TAGS
from vendrail.web.languages import translations
from vendrail.web.merchant.orders import _ACCEPTED, _REFUSALS
from vendrail.web.operator.audit import _KINDS
from vendrail.web.operator.deeds import TEXTS
from vendrail.web.operator.orders import _SAID
from vendrail.web.pages import _people

ROOT = Path(vendrail.__file__).parent
ROOMS = ("identity/service", "web/console", "web/merchant", "web/operator")
TEMPLATES = ROOT / "web/templates/operator"


def acts() -> set[str]:
    """Gather the names of acts from the rooms that write them."""
    name = re.compile(
        rf'(?<!_log\.warning\()"((?:{"|".join(_KINDS)}|content|recovery_codes)\.[a-z_]+)"'
    )
    files = [path for room in ROOMS for path in (ROOT / room).glob("**/*.py")]
    return {found for path in files for found in name.findall(path.read_text("utf-8"))}


def test_every_act_of_the_log_is_said_in_words():
    """An act without words would be read as its code, in no language."""
    words = (TEMPLATES / "parts.html").read_text("utf-8")

    assert len(acts()) > 30
    assert [] == [each for each in sorted(acts()) if f'"{each}": _(' not in words]


def test_every_kind_of_act_is_said_in_words():
    """What the log is filtered by is in the reader's language too."""
    words = (TEMPLATES / "log.html").read_text("utf-8")

    assert [] == [each for each in _KINDS if f'"{each}": _(' not in words]


def test_the_log_is_filtered_by_every_desk_that_moves_money_or_lets_somebody_sell():
    """What people decide there is what the log is looked through for."""
    desks = "payout payout_batch payout_terms reserve remittance dossier complaint dispute sales"

    assert set(desks.split()) <= set(_KINDS)


@pytest.mark.parametrize("tag", TAGS)
def test_two_people_of_a_deed_are_said_in_words(tag):
    """Who put it up and who approved it are kept as one word; whoever reads has its language."""
    said = translations(tag).gettext
    told = _people("a@b.example, approved by c@d.example", said=said)

    assert "a@b.example" in told
    assert "c@d.example" in told
    assert (tag == "en") is ("approved by" in told)
    assert "a@b.example" == _people("a@b.example", said=said)


def test_every_refusal_of_a_refund_is_said_in_words():
    """Whoever asks for a refund in a console reads why it is refused, whatever the reason."""
    refusals = set(RefundOrderStatus) - set(_ACCEPTED)

    assert refusals == set(_REFUSALS)
    assert set(RefundOrderStatus) == set(_SAID)
    assert set(_SAID.values()) <= set(TEXTS)
