"""Amounts as people of a language write them."""

import pytest

from vendrail.kernel.locales import TAGS, amount_text, country_names


@pytest.mark.parametrize(
    "amount_minor, currency, locale, text",
    [
        (1_290, "SGD", "zh_CN", "SGD\u00a012.90"),
        (-1_290, "SGD", "en", "-SGD\u00a012.90"),
        (12_900, "KWD", "ja", "KWD\u00a012.900"),
        (1_290, "USD", "zh_CN", "US$12.90"),
        (1_290, "HKD", "en", "HK$12.90"),
        (1_290, "SGD", "es", "12,90\u00a0SGD"),
        (1_290, "JPY", "en", "¥1,290"),
    ],
)
def test_a_code_stands_apart_from_its_digits(amount_minor, currency, locale, text):
    """Signs touch their digits, codes of three letters do not, wherever the language puts them."""
    assert text == amount_text(amount_minor, currency, locale)


@pytest.mark.parametrize("tag", TAGS)
def test_every_country_has_a_name_in_every_language(tag: str) -> None:
    """Nobody chooses a country by a code of two letters."""
    assert not [name for code, name in country_names(tag).items() if name == code]
