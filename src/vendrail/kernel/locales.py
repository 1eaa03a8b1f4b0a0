"""The languages that people are spoken to in, and which of them is nearest to another."""

import re

from babel import Locale
from babel.numbers import format_currency

from vendrail.kernel.money import to_decimal

TAGS = ("zh-Hans", "zh-Hant", "en", "ja", "ko", "es")
_TRADITIONAL = {"hant", "tw", "hk", "mo"}
COUNTRIES = frozenset(
    str(code) for code in Locale("en").territories if re.fullmatch("[A-Z]{2}", str(code))
) - {"CQ", "EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}  # Regions that are no countries.
_CODE_BEFORE_DIGIT = re.compile(r"(?<=[A-Z]{3})(?=[0-9])")


def nearest(tag: str) -> str:
    """Give the language that is nearest to a tag (BCP 47); empty: none is near."""
    if tag in TAGS:
        return tag
    language, *parts = tag.lower().replace("_", "-").split("-")
    if language == "zh":
        is_traditional = "hans" not in parts and not _TRADITIONAL.isdisjoint(parts)
        return "zh-Hant" if is_traditional else "zh-Hans"
    return language if language in TAGS else ""


def country_names(locale: Locale | str) -> dict[str, str]:
    """Name the countries as people of a locale do, in the order of their names."""
    found = Locale.parse(str(locale).replace("-", "_")).territories
    names = {code: found.get(code, code) for code in COUNTRIES}
    return dict(sorted(names.items(), key=lambda each: each[1].casefold()))


def amount_text(amount_minor: int, currency: str, locale: Locale | str) -> str:
    """Write an amount in minor units as people of a locale do: `US$12.90`, `SGD 12.90`.

    A code stands apart from its digits by a space that does not break, as CLDR's currency
    spacing has it; babel leaves that out.
    """
    text = format_currency(to_decimal(amount_minor, currency), currency, locale=locale)
    return _CODE_BEFORE_DIGIT.sub("\u00a0", text)
