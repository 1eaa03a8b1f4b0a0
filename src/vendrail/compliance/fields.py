"""Fields: each is what it says it is, by the rules of the country where that is known."""

import re
from collections.abc import Callable, Mapping
from datetime import date

import phonenumbers
from stdnum import get_cc_module
from stdnum.exceptions import ValidationError

from vendrail.api.compliance import FIELDS, FieldProblem
from vendrail.compliance.decide import names

_OLD_ENOUGH = 18
_OLDEST = 120
_ANY_NUMBER = re.compile(r"(?=.*[0-9])[0-9A-Za-z][0-9A-Za-z ./-]{2,38}[0-9A-Za-z]")
_NAME = re.compile(r"(?=.*[^\W\d_]).{2,200}")
_ADDRESS = re.compile(r"(?=.*[^\W\d_]).{8,300}")

# The rules of each country, by their names in the library.
PERSON_RULES: Mapping[str, tuple[str, ...]] = {
    "BR": ("cpf",),
    "CN": ("ric",),
    "ES": ("dni", "nie"),
    "IT": ("codicefiscale",),
    "KR": ("rrn",),
    "PL": ("pesel",),
}
COMPANY_RULES: Mapping[str, tuple[str, ...]] = {
    "AU": ("abn",),
    "BR": ("cnpj",),
    "CN": ("uscc",),
    "ES": ("nif",),
    "FR": ("siren",),
    "IT": ("iva",),
    "JP": ("cn",),
    "KR": ("brn",),
    "PL": ("nip",),
    "SG": ("uen",),
    "TW": ("ubn",),
    "US": ("ein",),
}

Check = Callable[[str, str, Mapping[str, str], date], FieldProblem | None]


def look_at(
    tier: int, country: str, fields: Mapping[str, str], today: date
) -> dict[str, FieldProblem]:
    """Say what is wrong with the fields of a dossier."""
    problems: dict[str, FieldProblem] = {}
    for name, is_needed in names(FIELDS[tier]).items():
        text = fields.get(name, "").strip()
        if not text:
            if is_needed:
                problems[name] = FieldProblem.MISSING
            continue
        problem = _CHECKS[name](text, country, fields, today)
        if problem is not None:
            problems[name] = problem
    return problems


def _like(pattern: re.Pattern[str]) -> Check:
    def check(
        text: str, _country: str, _fields: Mapping[str, str], _today: date
    ) -> FieldProblem | None:
        return None if pattern.fullmatch(text) else FieldProblem.MALFORMED

    return check


def _birth_date(
    text: str, _country: str, _fields: Mapping[str, str], today: date
) -> FieldProblem | None:
    born = _day(text)
    if born is None:
        return FieldProblem.MALFORMED
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if not 0 <= years <= _OLDEST:
        return FieldProblem.MALFORMED
    return None if years >= _OLD_ENOUGH else FieldProblem.TOO_YOUNG


def _person_number(
    text: str, country: str, fields: Mapping[str, str], _today: date
) -> FieldProblem | None:
    rules = PERSON_RULES.get(country)
    if rules is None:
        return None if _ANY_NUMBER.fullmatch(text) else FieldProblem.MALFORMED
    for rule in rules:
        module = get_cc_module(country.lower(), rule)
        if module is None or not module.is_valid(text):
            continue
        born = _day(fields.get("birth_date", "").strip())
        return FieldProblem.OF_ANOTHER if _tells_otherwise(module, text, born) else None
    return FieldProblem.MALFORMED


def _tells_otherwise(module: object, number: str, born: date | None) -> bool:
    """Whether a number tells of another day of birth than its holder."""
    read = getattr(module, "get_birth_date", None)
    if read is None or born is None:
        return False
    try:
        return bool(read(number) != born)
    except ValidationError:
        return False


def _company_number(
    text: str, country: str, _fields: Mapping[str, str], _today: date
) -> FieldProblem | None:
    rules = COMPANY_RULES.get(country)
    if rules is None:
        return None if _ANY_NUMBER.fullmatch(text) else FieldProblem.MALFORMED
    modules = [get_cc_module(country.lower(), rule) for rule in rules]
    is_valid = any(module is not None and module.is_valid(text) for module in modules)
    return None if is_valid else FieldProblem.MALFORMED


def _tax_number(
    text: str, country: str, _fields: Mapping[str, str], _today: date
) -> FieldProblem | None:
    module = get_cc_module(country.lower(), "vat")
    if module is None:
        return None if _ANY_NUMBER.fullmatch(text) else FieldProblem.MALFORMED
    return None if module.is_valid(text) else FieldProblem.MALFORMED


def _phone(
    text: str, country: str, _fields: Mapping[str, str], _today: date
) -> FieldProblem | None:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return FieldProblem.MALFORMED
    return None if phonenumbers.is_valid_number(number) else FieldProblem.MALFORMED


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == len("2000-01-01") else None
    except ValueError:
        return None


_CHECKS: Mapping[str, Check] = {
    "full_name": _like(_NAME),
    "company_name": _like(_NAME),
    "address": _like(_ADDRESS),
    "birth_date": _birth_date,
    "person_number": _person_number,
    "company_number": _company_number,
    "tax_number": _tax_number,
    "phone": _phone,
}
