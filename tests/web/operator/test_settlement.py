"""Settlement in the operator's console: hold terms by two people, who owes, where a share is."""

import re
from datetime import timedelta

from tests.web.console.conftest import make_app

from vendrail.api.identity import ActQuery, Role
from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode
from vendrail.api.settlement import HoldTerms, RiskTier, Settlement
from vendrail.kernel.ids import new_id, to_serial


async def newest_of(world):
    """Read a merchant's newest hold terms."""
    settlement = world.market.house.api(Settlement)
    [versions] = await settlement.read_hold_terms([world.market.merchant])
    return versions[0] if versions else None


async def test_hold_terms_are_changed_by_two_people(world):
    """One puts the change up, another approves it; before, nothing has changed."""
    world.app = make_app(world.house, world.home, second_person_above_minor=500)
    first = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    other = await world.join("be@rail.example", Role.OPERATOR_ADMIN)
    path = f"/operator/merchants/{to_serial(world.market.merchant)}/holding"
    await first.go(path)
    await first.send(
        path, tier="", hours="24", percent="7.5", days="30", reason="many disputes lately"
    )
    assert "A second person must approve it" in first.text
    assert await newest_of(world) is None
    await other.go("/operator/approvals")
    assert "many disputes lately" in other.text
    assert "Pending for hours" in other.text
    assert not re.search("pending_hours|reserve_(basis_points|days)", other.text)
    [approval] = set(re.findall(r'action="(/operator/approvals/\w{26})"', other.page.text))
    await other.send(approval, decision="approve")
    terms = await newest_of(world)
    await first.go(path)

    assert (24, 750, 30) == (terms.pending_hours, terms.reserve_basis_points, terms.reserve_days)
    assert "Pending for 24 hours · 7.50 % of it in reserve for 30 days" in first.text
    acts = await world.acts(act="hold_terms.")
    assert ["hold_terms.changed.proposed", "hold_terms.changed.approved"] == acts


async def test_a_merchant_follows_a_tier_and_the_tier_changes(world):
    """Where the platform works without second persons, both are done at once and logged."""
    world.app = make_app(world.house, world.home, second_person_above_minor=0)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/settlement")
    for wrong in (
        {"hours": "2161"},
        {"percent": "5"},
        {"days": "5"},
        {"percent": "x", "days": "1"},
    ):
        await head.send("/operator/settlement/tiers", tier="watched", reason="why", **wrong)
        assert 422 == head.page.status_code, wrong
    await head.send("/operator/settlement/tiers", tier="watched", hours="72", reason="new policy")
    assert "Pending for 72 hours" in head.text
    path = f"/operator/merchants/{to_serial(world.market.merchant)}/holding"
    await head.go(path)
    await head.send(path, tier="watched", hours="", reason="looked odd")
    [[act, *_]] = await world.identity.list_acts([ActQuery(world.market.merchant, 1)])

    assert HoldTerms(world.market.merchant, RiskTier.WATCHED) == (
        await newest_of(world)
    ).__replace__(valid_from=None)
    assert "As the tier “Watched”" in head.text
    assert ("hold_terms.changed", "looked odd") == (act.act, act.reason)


async def test_only_administrators_change_hold_terms(world):
    """Finance sees settlement and changes nothing; support does not even see it."""
    finance = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await finance.go("/operator/settlement")
    assert "Nobody owes anything." in finance.text
    assert "New hold terms" not in finance.text
    await finance.send("/operator/settlement/tiers", tier="new", hours="1", reason="why")
    assert finance.page.status_code in (403, 404)
    support = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await support.go("/operator/settlement")

    assert support.page.status_code in (403, 404)


async def test_an_order_tells_where_its_share_is(world):
    """The file of a sold order says what the fee was and that the share is available."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go(f"/operator/orders/{to_serial(world.orders['sold'])}")

    assert "The merchant's share Split" in head.text
    assert "At once, with the delivery." in head.text


async def owe(world, amount_minor: int) -> None:
    """Let the merchant owe the platform, since the day before."""
    house, merchant = world.market.house, world.market.merchant
    chart, id = Chart("CNY"), new_id(house.clock.now())
    debt = chart.merchant(merchant, "debt")
    await house.api(Ledger).open_accounts([debt, chart.platform_channel_cost()])
    moved = Transfer(
        id, debt.id, chart.platform_channel_cost().id, amount_minor, TransferCode.ADJUSTMENT, id
    )
    [result] = await house.api(Ledger).post_transfers([moved])
    assert result.is_done
    since = house.clock.now() - timedelta(days=40)
    async with house.databases["settlement"].transaction() as tx:
        await tx.execute(
            "insert into settlement.debtor (merchant, currency, since) values ($1, 'CNY', $2)",
            merchant,
            since,
        )


async def test_a_debt_is_told_and_saved(world):
    """Finance saves what is owed, and writes to who owes it: once a day, and never of nothing."""
    finance = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    merchant = world.market.merchant
    path, fields = "/operator/settlement", {"merchant": to_serial(merchant), "currency": "CNY"}
    await finance.go(path)
    await finance.send(f"{path}/debts/letters", **fields)
    assert 422 == finance.page.status_code
    await owe(world, 12_345)
    await finance.go(path)
    await finance.send(f"{path}/debts/letters", **fields)
    assert "Nobody works there who could be written to." in finance.text
    await world.join("own@a.example", Role.OWNER, merchant=merchant)
    for said in ("The letter is on its way", "decided so before"):
        await finance.go(path)
        await finance.send(f"{path}/debts/letters", **fields)
        assert said in finance.text
    saved = await finance.http.get(f"{path}/debts.csv")
    letters = [each for each in await world.letters("own@a.example") if "owes" in each["subject"]]

    assert ["Your shop owes CN¥123.45"] == [each["subject"] for each in letters]
    [_, row, *rest] = saved.text.splitlines()
    assert [] == rest
    assert "CNY,123.45," in row
    assert row.endswith(",40")
    acts = await world.acts()
    assert (2, 1) == (acts.count("debt.told"), acts.count("debt.exported"))
    support = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await support.go("/console/account")
    assert (await support.send(f"{path}/debts/letters", **fields)).status_code in (403, 404)
    assert (await support.go(f"{path}/debts.csv")).status_code in (403, 404)
