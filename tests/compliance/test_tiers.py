"""Tiers: who is asked, how much they may sell, and whether money goes out."""

from tests.orders.conftest import PRICE_MINOR

from vendrail.api.catalog import EVERYBODY, SalesLimit
from vendrail.api.compliance import COMPANY, DossierDecision, TermsChange, TierBound


async def _place(office):
    return (await office.market.place("S1")).status


async def test_nobody_is_asked_until_an_operator_says_so(office):
    """Before that all sell and are paid out; switched off again, they do too."""
    await office.market.offer("S1", keys=9)
    [terms] = await office.compliance.list_terms(1)
    [before] = await office.compliance.read_standings([office.market.merchant])
    first = await _place(office)
    asked = await office.ask(1)
    [during] = await office.compliance.read_standings([office.market.merchant])
    second = await _place(office)
    await office.ask(1, is_asked=False)
    [after] = await office.compliance.read_standings([office.market.merchant])

    assert (0, False, True) == (terms.version, terms.is_asked, before.has_payouts)
    assert ("changed", False, True) == (asked, during.has_payouts, after.has_payouts)
    assert ["placed", "limit_reached", "placed"] == [first, second, await _place(office)]


async def test_a_tier_sells_so_much_and_the_next_one_more(office):
    """What is sold in a month counts on; a merchant's own limit goes before its tier's."""
    await office.market.offer("S1", keys=9)
    await office.market.catalog.put_limits([SalesLimit(EVERYBODY, "CNY", 1)])
    await office.ask(PRICE_MINOR, 2 * PRICE_MINOR)
    unknown = [await _place(office), await _place(office)]
    dossier = await office.accept()
    office.clock.advance(31)
    person = [await _place(office), await _place(office)]
    await office.decide(dossier, DossierDecision.REVOKE)
    await office.accept(COMPANY)
    office.clock.advance(31)
    company = await _place(office)
    await office.market.catalog.put_limits([SalesLimit(office.market.merchant, "CNY", 1)])
    office.clock.advance(31)

    assert ["placed", "limit_reached"] * 2 == unknown + person
    assert ("placed", "limit_reached") == (company, await _place(office))


async def test_terms_are_versions_that_nobody_overwrites(office):
    """Whoever has not seen the newest writes none; the same again is no version."""
    await office.ask(5)
    same = await office.ask(5)
    old = TermsChange(0, False, "CNY", [TierBound()] * 3, "op", "why")
    bad = TermsChange(1, True, "CNY", [TierBound(0)] * 3, "op", "why")
    statuses = await office.compliance.change_terms([old, bad])
    [terms] = await office.compliance.list_terms(5)

    assert ("unchanged", ["changed_since", "field_malformed"]) == (same, statuses)
    assert (1, True, 5) == (terms.version, terms.is_asked, terms.bounds[0].month_minor_max)
