"""What merchants read of fees: their terms and the rules, with examples; each order's own."""

import pytest

from vendrail.api.identity import Role
from vendrail.api.settlement import FeeRule, FeeSchedule
from vendrail.kernel.ids import new_id

CARDS = FeeRule(250, 30, 10, currency="CNY", title="digital cards", methods=["alipay"])
WORDS = {
    "en": "2.50 % + CN¥0.30, at least CN¥0.10, by rule 1 “digital cards” of the fees from Nov 23",
    "zh-CN": "2.50 % + ¥0.30，最低 ¥0.10，依据 2026年11月23日 起的手续费规则 1“digital cards”",
    "zh-TW": "的手續費規則 1「digital cards」",
    "ja": "からの手数料のルール 1「digital cards」による",
    "ko": "부터의 수수료 규칙 1 “digital cards”에 따름",
    "es": "según la regla 1 «digital cards» de las comisiones desde el",
}


async def test_a_merchant_reads_their_own_terms_with_an_example(town, address_of):
    """Own terms and what a sale of 100 costs by them; and on the order what it cost, and why."""
    await town.north.offer("GAME")
    order = await town.sell(town.north, "GAME")
    browser = await town.join(Role.OWNER)
    await browser.go("/merchant/fees")
    terms = browser.text
    await browser.go("/merchant/balance")
    assert "After the fee: 2.50 % + CN¥0.10, at least CN¥0.20, by the merchant" in browser.text
    assert "Your own terms 2.50 % + CN¥0.10, at least CN¥0.20" in terms
    assert "A sale of CN¥100.00 costs CN¥2.60; CN¥97.40 are yours." in terms
    assert "For sales in other currencies 1.00 %" in terms
    await browser.go(address_of(order))
    assert "The merchant's share CN¥19.30 Fee CN¥0.60" in browser.text
    assert "2.50 % + CN¥0.10, at least CN¥0.20, by the merchant's own terms from" in browser.text


@pytest.fixture
async def ruled(town):
    """A town whose merchants have no terms of their own, and an order sold by a rule."""
    async with town.house.databases["settlement"].transaction() as tx:
        await tx.execute("delete from settlement.fee_terms where basis_points = 250")
    schedule = FeeSchedule(new_id(town.clock.now()), [CARDS, FeeRule(100)])
    await town.north.settlement.put_fee_schedules([schedule])
    town.clock.advance(11)
    await town.north.offer("GAME")
    return await town.sell(town.north, "GAME")


@pytest.mark.parametrize("language", WORDS)
async def test_an_orders_fee_is_explained_in_every_language(town, ruled, address_of, language):
    """Percent, fixed part, minimum, number and name of the rule, and from when it counts."""
    browser = await town.join(Role.OWNER)
    browser.http.headers["Accept-Language"] = language
    await browser.go(address_of(ruled))

    assert WORDS[language] in browser.text


async def test_a_merchant_reads_the_rules_and_what_they_know(town, ruled):
    """Every rule with an example, and what was counted; not for who sees no money."""
    await town.north.settlement.put_merchant_tiers([(town.north.merchant, 2)])
    browser = await town.join(Role.OWNER)
    await browser.go("/merchant/fees")
    seller = await town.join(Role.SELLER)
    await seller.go("/merchant/fees")

    assert "digital cards Alipay CNY The channel's cost is included" in browser.text
    assert "A sale of CN¥100.00 costs CN¥2.80; CN¥97.20 are yours." in browser.text
    assert "Every other sale" in browser.text
    assert "Tier 2" in browser.text
    assert 403 == seller.page.status_code
