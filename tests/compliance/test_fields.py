"""Fields: numbers are checked by the rules of their country, and ages by the day."""

from datetime import date

import pytest
from stdnum import get_cc_module
from tests.compliance.papers import FIELDS

from vendrail.api.compliance import COMPANY, COMPANY_NUMBERS, PERSON, PERSON_NUMBERS
from vendrail.compliance.fields import COMPANY_RULES, PERSON_RULES, look_at
from vendrail.kernel.locales import COUNTRIES

TODAY = date(2026, 11, 29)


def test_every_number_that_is_named_is_checked_and_there_is_a_rule():
    """Names and rules are of the same countries, and the library has each rule."""
    assert PERSON_NUMBERS.keys() == PERSON_RULES.keys() <= COUNTRIES
    assert COMPANY_NUMBERS.keys() == COMPANY_RULES.keys() <= COUNTRIES
    for rules in (PERSON_RULES, COMPANY_RULES):
        for country, names in rules.items():
            assert all(get_cc_module(country.lower(), name) for name in names)


@pytest.mark.parametrize(
    "tier, country, changes, problems",
    [
        (PERSON, "CN", {}, {}),
        (COMPANY, "CN", {}, {}),
        (PERSON, "CN", {"person_number": "110101199003071091"}, {"person_number": "malformed"}),
        (PERSON, "CN", {"birth_date": "1990-03-08"}, {"person_number": "of_another"}),
        (PERSON, "CN", {"birth_date": "7 March 1990"}, {"birth_date": "malformed"}),
        (PERSON, "JP", {"person_number": "TK1234567", "phone": "+81312345678"}, {}),
        (PERSON, "JP", {"person_number": "none"}, {"person_number": "malformed"}),
        (PERSON, "ES", {"person_number": "X5910266W", "phone": "+34612345678"}, {}),
        (COMPANY, "JP", {"company_number": "5-8356-7825-6246", "phone": "+81312345678"}, {}),
        (COMPANY, "JP", {"company_number": "2-8356-7825-6246"}, {"company_number": "malformed"}),
        (COMPANY, "DE", {"company_number": "HRB 12345", "tax_number": "DE136695976"}, {}),
        (COMPANY, "DE", {"company_number": "HRB 12345", "tax_number": "DE1"},
         {"tax_number": "malformed"}),
        (PERSON, "CN", {"full_name": "4711"}, {"full_name": "malformed"}),
        (PERSON, "CN", {"phone": "+861"}, {"phone": "malformed"}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tier, country, changes, problems):
    """Each problem stands at its field, and nothing else does."""
    found = look_at(tier, country, {**FIELDS[tier], **changes}, TODAY)

    assert problems == found


@pytest.mark.parametrize(
    "born, problem",
    [
        ("2008-11-29", None),
        ("2008-11-30", "too_young"),
        ("2030-01-01", "malformed"),
        ("1900-01-01", "malformed"),
    ],
)
def test_sellers_are_of_age_on_the_day(born, problem):
    """Eighteen is reached on the birthday, and nobody is born tomorrow or a century ago."""
    fields = {**FIELDS[PERSON], "birth_date": born, "person_number": "AB123456"}

    assert problem == look_at(PERSON, "SE", fields, TODAY).get("birth_date")
