"""What a price is in another currency: exact, never below the middle, its cost told apart."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.fx import Rate, RatePair, RateStatus
from vendrail.fx import decide
from vendrail.fx.decide import Terms
from vendrail.fx.sheets import (
    Sheet,
    read_ecb,
    read_frankfurter,
    read_openexchangerates,
)
from vendrail.fx.sources import read_installed
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS, exponent

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
TERMS = Terms(345_600, 1, 30, 20, 900)
CODES = sorted(EXPONENTS)
OXR = '{"disclaimer": "", "license": "", "timestamp": %s, "base": "USD", "rates": {"CNY": %s}}'
MIDS = st.decimals("0.000001", "99999", allow_nan=False, places=6)


def sheet(source="ecb", at=NOW, **rates):
    """A sheet against the euro."""
    return Sheet(source, "EUR", {code: Decimal(value) for code, value in rates.items()}, at)


def exact(rate: Rate, amount_minor: int) -> Decimal:
    """What an amount is at the middle rate, in minor units, to sixty digits."""
    with localcontext() as context:
        context.prec = 60
        places = exponent(rate.paid_currency) - exponent(rate.currency)
        return (amount_minor * rate.mid).scaleb(places)


def is_honest(rate: Rate, amount_minor: int) -> bool:
    """Within 0.3 % of the middle, all in; or what lies above it is a line of its own."""
    price = rate.price(amount_minor)
    middle = exact(rate, amount_minor)
    is_within = middle <= price.paid_minor <= middle * Decimal("1.003")
    return is_within or (price.spread_minor > 0 and price.fair_minor <= middle)


def test_b6_ten_thousand_quotes_are_honest_to_the_unit():
    """Of 10,000 prices each is within 0.3 % of the middle or tells the rest, which sums to it."""
    chance = random.Random(20261129)
    installed = read_installed()
    known = [code for code in CODES if code in {*installed.rates, "EUR"}]
    now = installed.rated_at
    seen = within = 0
    while seen < 10_000:
        pair = RatePair(*chance.sample(known, 2))
        found = decide.rate(pair, [installed], TERMS, now).rate
        amount_minor = int(10 ** chance.uniform(0, 9))
        price = found.price(amount_minor)
        middle = exact(found, amount_minor)
        seen += 1
        within += middle <= price.paid_minor <= middle * Decimal("1.003")

        assert is_honest(found, amount_minor), (pair, amount_minor, price)
        assert price.fair_minor + price.spread_minor == price.paid_minor
        assert price.paid_minor >= middle

    assert within > 6_000  # The rest are amounts of a few coins, where one coin is more.


@given(
    st.sampled_from(CODES),
    st.sampled_from(CODES),
    MIDS,
    st.integers(0, 1_000),
    st.integers(1, AMOUNT_MINOR_MAX),
)
def test_a_price_is_the_middle_and_its_cost(currency, paid_currency, mid, points, amount_minor):
    """Whatever the pair: fair is the middle cut to the unit, the rest at most spread and a unit."""
    rate = Rate(currency, paid_currency, mid, points, NOW, ["ecb"])
    price = rate.price(amount_minor)
    middle = exact(rate, amount_minor)

    assert price.fair_minor == int(middle)
    assert price.paid_minor > 0
    assert 0 <= price.paid_minor - middle * (10_000 + points) / 10_000 < 1
    assert is_honest(rate, amount_minor)


@given(MIDS, st.integers(0, 1_000), st.integers(1, 10**9), st.integers(0, 10**6))
def test_more_never_costs_less(mid, points, amount_minor, more_minor):
    """A larger amount never has a smaller price."""
    rate = Rate("CNY", "JPY", mid, points, NOW, ["ecb"])

    assert rate.price(amount_minor).paid_minor <= rate.price(amount_minor + more_minor).paid_minor


@pytest.mark.parametrize(
    "paid_currency, mid, paid_minor",
    [("JPY", "23.6", 24), ("KWD", "0.0431", 44), ("USD", "0.1503", 16), ("VND", "3600", 3_600)],
)
def test_exponents_are_each_currency_s_own(paid_currency, mid, paid_minor):
    """One yuan in yen is whole, in dinars it has three places, in dollars two, in dong none."""
    rate = Rate("CNY", paid_currency, Decimal(mid), 0, NOW, ["ecb"])

    assert paid_minor == rate.price(100).paid_minor


def test_the_middle_of_several_sources_counts():
    """Of three sources the middle one is taken, of two the mean, and all of them are named."""
    pair = RatePair("EUR", "USD")
    sheets = [sheet(name, USD=value) for name, value in (("a", "1.2"), ("b", "1.201"))]

    two = decide.rate(pair, sheets, TERMS, NOW).rate
    three = decide.rate(pair, [*sheets, sheet("c", USD="1.203")], TERMS, NOW).rate

    assert (Decimal("1.2005"), ["a", "b"]) == (two.mid, two.sources)
    assert (Decimal("1.201"), ["a", "b", "c"]) == (three.mid, three.sources)


def test_what_is_old_or_disputed_is_not_believed():
    """Old sheets count for nothing, and a source that is 0.3 % off leaves no rate at all."""
    pair = RatePair("EUR", "USD")
    good = sheet("a", USD="1.2")
    old = sheet("b", NOW - timedelta(seconds=345_601), USD="1.3")
    near, far = sheet("c", USD="1.2071"), sheet("c", USD="1.2073")

    def status(*sheets, terms=TERMS):
        return decide.rate(pair, sheets, terms, NOW).status

    assert RateStatus.RATED == status(good, old)
    assert RateStatus.RATES_STALE == status(old)
    assert RateStatus.RATES_TOO_FEW == status(good, old, terms=TERMS._replace(sources_min=2))
    assert RateStatus.RATED == status(good, near)
    assert RateStatus.RATES_DISPUTED == status(good, far)
    assert RateStatus.NOT_RATED == status(sheet("a", GBP="1.2"))
    assert RateStatus.NOT_RATED == status()


def test_what_one_bank_has_said_is_one_voice():
    """Two faces of the bank are no two sources, and weigh no more than another one."""
    pair = RatePair("EUR", "USD")
    bank = [sheet(name, USD="1.2") for name in ("ecb", "frankfurter", "history")]
    other = sheet("openexchangerates", USD="1.203")
    terms = TERMS._replace(sources_min=2)

    assert RateStatus.RATES_TOO_FEW == decide.rate(pair, bank, terms, NOW).status
    found = decide.rate(pair, [*bank, other], terms, NOW).rate
    assert Decimal("1.2015") == found.mid
    assert 4 == len(found.sources)


@pytest.mark.parametrize("value", ["1e999999", "1e10", "1e-10", "1e-999999"])
def test_absurd_numbers_are_refused(value):
    """What no currency is worth is no rate: nothing after it overflows."""
    body = OXR % ("1789000000", value)
    with pytest.raises(Malformed, match="CNY"):
        read_openexchangerates(body.encode())


@pytest.mark.parametrize("moment", [10**18, 10**30, -(10**18), 253_402_300_800])
def test_a_moment_that_is_none_is_refused(moment):
    """A time outside of the calendar is the source's mistake, and told as that."""
    with pytest.raises(Malformed):
        read_openexchangerates((OXR % (moment, "7.1")).encode())


@given(st.lists(MIDS, min_size=1, max_size=7))
def test_the_middle_lies_between(values):
    """The middle is never outside of what the sources say, and their order does not matter."""
    middle = decide.median(values)

    assert min(values) <= middle <= max(values)
    assert decide.median(values[::-1]) == middle


@given(MIDS, MIDS)
def test_a_cross_rate_is_the_same_whatever_the_base(usd, cny):
    """Dollars in yuan are the same from a sheet against the euro as from one against the dollar."""
    euro = Sheet("a", "EUR", {"USD": usd, "CNY": cny}, NOW)
    dollar = Sheet("b", "USD", {"CNY": cny / usd, "EUR": 1 / usd}, NOW)
    one, other = euro.cross("USD", "CNY"), dollar.cross("USD", "CNY")

    assert abs(one - other) <= one * Decimal("1e-20")


ECB = (
    b'<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
    b' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><gesmes:subject>x'
    b"</gesmes:subject><Cube><Cube time='2026-11-20'><Cube currency='USD' rate='1.1172'/>"
    b"<Cube currency='JPY' rate='175.68'/></Cube></Cube></gesmes:Envelope>"
)


def test_the_bank_s_sheet_is_read():
    """The bank's own form gives its rates, of the afternoon of its day."""
    read = read_ecb(ECB)

    assert {"USD": Decimal("1.1172"), "JPY": Decimal("175.68")} == read.rates
    assert ("EUR", datetime(2026, 11, 20, 15, tzinfo=UTC)) == (read.base, read.rated_at)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"<!DOCTYPE lolz [<!ENTITY lol 'lol'>]>" + ECB,
        ECB.replace(b"1.1172", b"-1.1172"),
        ECB.replace(b"1.1172", b"0"),
        ECB.replace(b"1.1172", b"NaN"),
        ECB.replace(b"1.1172", b"1,1172"),
        ECB.replace(b"'JPY'", b"'USD'"),
        ECB.replace(b"'JPY'", b"'jpy'"),
        ECB.replace(b"2026-11-20", b"yesterday"),
        ECB.replace(b"</Cube></Cube>", b"</Cube><Cube time='2026-11-19'/></Cube>"),
        ECB[:-9],
    ],
)
def test_what_is_no_sheet_of_the_bank_is_refused(body):
    """Another shape, another page, a trick of XML, or a rate that is none: never believed."""
    with pytest.raises(Malformed):
        read_ecb(body)


def test_numbers_of_json_never_pass_through_floats():
    """A rate of more digits than a float has arrives with all of them."""
    long = "0.1234567890123456789"
    body = f'{{"disclaimer":"","license":"","timestamp":1,"base":"USD","rates":{{"CNY":{long}}}}}'
    other = f'{{"amount":1.0,"base":"EUR","date":"2026-11-20","rates":{{"CNY":{long}}}}}'

    assert Decimal(long) == read_openexchangerates(body.encode()).rates["CNY"]
    assert Decimal(long) == read_frankfurter(other.encode()).rates["CNY"]


@pytest.mark.parametrize(
    "read, body",
    [
        (read_openexchangerates, b'{"error":true,"status":401,"message":"invalid_app_id"}'),
        (read_openexchangerates, b'{"disclaimer":"","license":"","timestamp":1,"base":"USD"}'),
        (read_frankfurter, b'{"amount":100.0,"base":"EUR","date":"2026-11-20","rates":{"CNY":7}}'),
        (read_frankfurter, b'{"amount":1.0,"base":"EUR","date":"2026-11-20","rates":{}}'),
        (read_frankfurter, b'{"amount":1,"base":"EUR","date":"2026-11-20","rates":{"CNY":-7}}'),
        (read_frankfurter, b"<!doctype html>"),
    ],
)
def test_what_is_no_sheet_of_a_service_is_refused(read, body):
    """An error, a part, another amount or a rate that is none: never believed."""
    with pytest.raises(Malformed):
        read(body)
