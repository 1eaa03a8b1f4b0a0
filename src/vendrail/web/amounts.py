"""Amounts and times as people read them, in their language; from minor units, never from floats."""

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_date, format_time, get_datetime_format
from babel.numbers import format_decimal, get_currency_name

from vendrail.kernel.locales import amount_text


@cache
def time_zone(name: str) -> tzinfo:
    """Give a time zone; UTC on machines that lack the data for it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


@lru_cache(4096)
def amount(amount_minor: int, currency: str, locale: Locale) -> str:
    """Write an amount of money with its sign."""
    return amount_text(amount_minor, currency, locale)


@lru_cache(512)
def currency_name(currency: str, locale: Locale) -> str:
    """Write what a currency is called."""
    return get_currency_name(currency, locale=locale)


def count(number: int, locale: Locale) -> str:
    """Write a whole number with its groups."""
    return format_decimal(number, locale=locale)


def share(permyriad: int, locale: Locale) -> str:
    """Write hundredths of a percent as percent, with both of their places."""
    return f"{format_decimal(Decimal(permyriad) / 100, '#,##0.00', locale=locale)} %"


@cache
def _time_format(length: str, locale: Locale) -> str:
    """Give the pattern of times, with the half of the day in full: Korean has no AM of its own."""
    return re.sub("a+", "aaaa", locale.time_formats[length].pattern)


@lru_cache(4096)
def moment(at: datetime, locale: Locale, zone: str) -> str:
    """Write a date and time."""
    both = str(get_datetime_format("medium", locale=locale)).replace("'", "")
    return both.format(hour(at, locale, zone), day(at, locale, zone))


@lru_cache(4096)
def hour(at: datetime, locale: Locale, zone: str) -> str:
    """Write a time of day."""
    return format_time(at, _time_format("medium", locale), tzinfo=time_zone(zone), locale=locale)


@lru_cache(4096)
def clock(at: datetime, locale: Locale, zone: str) -> str:
    """Write a time of day without seconds."""
    return format_time(at, _time_format("short", locale), tzinfo=time_zone(zone), locale=locale)


@lru_cache(4096)
def day(at: datetime, locale: Locale, zone: str) -> str:
    """Write a date."""
    return format_date(at.astimezone(time_zone(zone)).date(), "medium", locale=locale)
