"""Fees in the operator's console: a draft of rules, tried on what was sold, and changed by two."""

import html
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.app.conftest import execute
from tests.web.console.conftest import make_app

from vendrail.api.identity import ActQuery, Identity, Role
from vendrail.api.notify import Notify
from vendrail.api.settlement import (
    FeeAdjustmentQuery,
    FeeAllowance,
    FeeBounds,
    FeeFacts,
    FeeRule,
    FeeSchedule,
    FeeTerms,
    Settlement,
)
from vendrail.kernel.ids import new_id, to_serial

CARDS = {
    "title": "digital cards",
    "percent": "2.50",
    "currency": "CNY",
    "fixed": "0.30",
    "least": "0.10",
    "most": "",
    "bearer": "platform",
    "categories": "cards, gift cards",
    "amount_below": "100",
    "disputes_from": "0.50",
}
RULE = FeeRule(
    250,
    30,
    10,
    title="digital cards",
    categories=["cards", "gift cards"],
    currency="CNY",
    amount_minor_below=10_000,
    dispute_permyriad_min=50,
)


def draft_of(browser) -> str:
    """Give the draft that the page's forms carry."""
    return html.unescape(re.search(r'name="rules" value="([^"]*)"', browser.page.text)[1])


@pytest.fixture
async def head(world):
    """An administrator, in a platform where two decide."""
    world.app = make_app(world.house, world.home, second_person_above_minor=1_000)
    return await world.join("ad@rail.example", Role.OPERATOR_ADMIN)


async def test_a_draft_is_changed_rule_by_rule(head):
    """Rules are added, moved and taken out; what cannot be a rule is told, and nothing is lost."""
    await head.go("/operator/fees")
    assert "No rules yet" in head.text
    await head.go("/operator/fees/edit")
    assert "Nothing is changed yet." in head.text
    edit = "/operator/fees/edit"
    await head.send(edit, rules=draft_of(head), do="new")
    await head.send(edit, rules=draft_of(head), do="put", **{**CARDS, "currency": ""})
    assert 422 == head.page.status_code
    assert 'value="gift cards, cards"' not in head.page.text
    assert 'value="cards, gift cards"' in head.page.text
    await head.send(edit, rules=draft_of(head), do="put", percent="1.00", bearer="merchant")
    assert "needs a condition" in head.text
    await head.send(edit, rules=draft_of(head), do="put", **CARDS)
    assert "2.50 % + CN¥0.30, at least CN¥0.10" in head.text
    assert "Category: cards, gift cards" in head.text
    assert "Sales disputed" in head.text
    await head.send(edit, rules=draft_of(head), do="put", percent="1", methods="wechat")
    first = draft_of(head)
    await head.send(edit, rules=first, do="up:1")
    moved = draft_of(head)
    await head.send(edit, rules=moved, do="drop:0")
    left = draft_of(head)
    await head.send(edit, rules=left, do="put:1", percent="0.80", refunded="yes")

    assert first.index("digital cards") < first.index("wechat")
    assert moved.index("wechat") < moved.index("digital cards")
    assert "wechat" not in left
    assert "0.80 %" in head.text
    assert "Given back on refunds" in head.text
    assert 400 == (await head.send(edit, rules="[", do="preview")).status_code


async def test_rules_begin_when_a_second_person_has_approved(world, head):
    """Put up by one, read in words and approved by another; kept with who and why."""
    await head.go("/operator/fees/edit")
    await head.send("/operator/fees/edit", rules=draft_of(head), do="put", **CARDS)
    draft = draft_of(head)
    await head.send("/operator/fees", rules=draft, reason="")
    assert "Say why" in head.text
    await head.send("/operator/fees", rules=draft, reason="a better offer")
    assert "A second person must approve it" in head.text
    settlement = world.house.api(Settlement)
    before = await settlement.list_fee_schedules()
    other = await world.join("ot@rail.example", Role.OPERATOR_ADMIN)
    await other.go("/operator/approvals")
    assert "2.50 % + CN¥0.30, at least CN¥0.10" in other.text
    approval = re.search(r'action="(/operator/approvals/\w{26})"', other.page.text)[1]
    await other.send(approval, decision="approve")
    [schedule] = await settlement.list_fee_schedules()
    await other.go("/operator/fees")
    acts = (await world.house.services["identity"].list_acts([ActQuery(None, 100)]))[0]

    assert [] == before
    assert RULE == schedule.rules[0]
    assert "ad@rail.example, approved by ot@rail.example" == schedule.person
    assert "a better offer" == schedule.reason
    assert "“a better offer”" in other.text
    assert "fee_schedule.changed.approved" in {each.act for each in acts}


async def test_a_draft_is_tried_on_last_months_sales(world, place, head):
    """Every delivered order of the month, as it was and by the draft; own terms stay theirs."""
    await head.go("/operator/fees/edit")
    await head.send("/operator/fees/edit", rules=draft_of(head), do="preview")
    assert "Nothing was sold in that time." in head.text
    now = world.house.clock.now().astimezone(ZoneInfo("Asia/Shanghai"))  # As the site counts.
    world.house.clock.advance(
        ((now.replace(day=1) + timedelta(days=40)).replace(day=1) - now).total_seconds() + 86_400
    )
    late = await world.join("la@rail.example", Role.OPERATOR_ADMIN)
    await late.go("/operator/fees/edit")
    await late.send("/operator/fees/edit", rules=draft_of(late), do="put:0", percent="10")
    await late.send("/operator/fees/edit", rules=draft_of(late), do="preview")
    assert "Own terms" in late.text
    assert "5 sales for CN¥99.50" in late.text
    assert "CN¥3.00 → CN¥3.00" in late.text
    await execute(place.url, "delete from settlement.fee_terms where basis_points = 250")
    await late.send("/operator/fees/edit", rules=draft_of(late), do="preview")

    assert "CN¥1.00 → CN¥9.95" in late.text
    assert "+CN¥8.95" in late.text
    told = html.unescape(re.search(r'data-told="([^"]*)"', late.page.text)[1])
    assert '"sales":["1.00"],"refunds":["9.95"]' in told


async def test_who_only_reads_changes_nothing(world):
    """Support sees the rules, and neither a draft nor the button that leads to one."""
    reader = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await reader.go("/operator/fees")
    shown = reader.text
    await reader.go("/operator/fees/edit")

    assert "What counts now" in shown
    assert "Change the rules" not in shown
    assert 403 == reader.page.status_code


async def test_suggested_fees_are_put_up_by_one_and_applied_by_two(world):
    """Bounds, then what is suggested in words, then own terms: each with a second person."""
    settlement, merchant = world.market.house.api(Settlement), world.market.merchant
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    second = await world.join("second@rail.example", Role.OPERATOR_ADMIN)
    path = "/operator/suggestions"
    fields = {"currency": "CNY", "least": "1", "most": "4", "margin": "1", "reason": "as agreed"}
    more = {"above": "1000", "volume": "0.15", "refunds": "0.10", "disputes": "0.20"}
    await head.go(path)
    await head.send(path, **(fields | {"least": "5"}), **more)
    assert "the lower bound not above" in head.text
    await head.send(path, **fields, **more)
    await approve(second)
    facts = FeeFacts(merchant, "CNY", 450_000, 100, 3, 1)
    assert [True] == await settlement.put_fee_facts([facts])
    world.clock.advance(60)
    await head.go(path)
    assert "1.00 % margin, −0.30 % for the volume, +0.30 % for refunds" in head.text
    points = re.search(r'name="basis_points" value="([0-9]+)"', head.page.text)[1]
    told = {"currency": "CNY", "merchant": to_serial(merchant)}
    await head.send(f"{path}/apply", **told, basis_points="1")
    assert "not suggested any more" in head.text
    await head.send(f"{path}/apply", **told, basis_points=points)
    assert "second person" in head.text
    [[before, *_]] = await settlement.read_fee_terms([merchant])
    assert 250 == before.basis_points
    await approve(second)

    [[newest, *_]] = await settlement.read_fee_terms([merchant])
    assert int(points) == newest.basis_points
    assert before.is_fee_refunded == newest.is_fee_refunded
    finance = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await finance.go(path)
    assert "for the volume" in finance.text
    assert "Submit for approval" not in finance.text
    await finance.go("/console/account")
    assert 403 == (await finance.send(f"{path}/apply", raw=True, **told)).status_code


async def test_own_terms_begin_with_what_the_rules_take_beside_the_percentage(world):
    """Put up for a merchant that pays by the rules, a suggestion changes the percentage alone."""
    settlement, clock = world.market.house.api(Settlement), world.clock
    merchant = new_id(clock.now())
    rule = FeeRule(250, 30, 50, is_fee_refunded=True, currency="CNY", amount_minor_below=10_000)
    await settlement.put_fee_schedules([FeeSchedule(new_id(clock.now()), [rule, FeeRule(300)])])
    await settlement.put_fee_bounds([FeeBounds("CNY", 80, 400, 200)])
    await settlement.put_fee_facts([FeeFacts(merchant, "CNY", 500_000, 100)])
    clock.advance(60)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    second = await world.join("second@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/suggestions?currency=CNY")
    assert "By the rules for everybody, on an average sale · Now: 2.50 % + CN¥0.30" in head.text
    points = re.search(r'name="basis_points" value="([0-9]+)"', head.page.text)[1]
    fields = {"currency": "CNY", "merchant": to_serial(merchant), "basis_points": points}
    await head.send("/operator/suggestions/apply", **fields)
    await approve(second)
    [[newest]] = await settlement.read_fee_terms([merchant])

    assert (int(points), 30, 50, True) == (
        newest.basis_points,
        newest.fixed_minor,
        newest.fee_minor_min,
        newest.is_fee_refunded,
    )
    assert 140 == int(points)  # 2.00 % margin, less 0.30 of each 50.00.


async def test_a_lower_percentage_changes_nothing_where_the_least_is_taken(world):
    """What a suggestion would have changed counts with what own terms take at least of a sale."""
    settlement, merchant = world.market.house.api(Settlement), world.market.merchant
    await settlement.put_fee_bounds([FeeBounds("CNY", 80, 400, 100)])
    await settlement.put_fee_facts([FeeFacts(merchant, "CNY", 2_000, 20)])
    world.clock.advance(60)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/suggestions")

    assert "¥0.20" in head.text
    assert "0.80 %" in head.text
    assert "over the last 30 days" not in head.text


async def test_fees_follow_by_themselves_where_two_allow_it(world):
    """Two allow it, the night applies it, log and letters tell; two take it back, and it stays."""
    world.app = make_app(world.house, world.home, second_person_above_minor=1_000)
    house, merchant, clock = world.market.house, world.market.merchant, world.clock
    settlement, identity = house.api(Settlement), house.api(Identity)
    path, serial = "/operator/suggestions/automatic", to_serial(merchant)
    bounds = FeeBounds("CNY", 80, 400, 100, 100_000, 15, 10, 20)
    await settlement.put_fee_bounds([bounds])
    clock.advance(31 * 86_400)
    await settlement.put_fee_facts([FeeFacts(merchant, "CNY", 450_000, 100, 3, 1)])
    clock.advance(60)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    second = await world.join("second@rail.example", Role.OPERATOR_ADMIN)
    owner = await world.join("own@a.example", Role.OWNER, merchant=merchant)
    for told in ({"days": "0"}, {"days": "91"}, {"allowed": "perhaps"}, {"tier": "10"}):
        fields = {"tier": "0", "allowed": "yes", "days": "7", "reason": "agreed"}
        await head.go(path)
        await head.send(path, **(fields | told))
        assert "Days of notice are 1 to 90" in head.text
    await head.go(f"{path}?merchant={serial}")
    assert "Not allowed (as its tier 0)" in head.text
    await head.send(path, merchant=serial, allowed="yes", days="7", reason="it was agreed")
    assert "second person" in head.text
    assert 0 == await house.services["settlement"].adjust_fees()
    await second.go("/operator/approvals")
    assert "Days of notice: 7" in second.text
    await approve(second)
    assert 1 == await house.services["settlement"].adjust_fees()
    telling = house.services["settlement"].telling(identity, house.api(Notify))
    for _ in range(2):
        await telling.tell_due()
    [[act, *more]] = await identity.list_acts([ActQuery(merchant, 9, act="fee_adjustment.")])

    [[newest, before, *_]] = await settlement.read_fee_terms([merchant])
    letters = [each["subject"] for each in await world.letters("own@a.example")]
    assert [] == more
    assert ("250", str(newest.basis_points)) == (
        act.before["basis_points"],
        act.after["basis_points"],
    )
    assert 1 == sum("Your fee changes on" in each for each in letters)
    await owner.go("/merchant/fees")
    assert "base fee, −0.30 % for the volume" in owner.text
    assert "margin" not in owner.text
    await head.go(path)
    address = re.search(r'action="([^"]+/back)"', head.page.text)[1]
    await head.send(address, merchant=serial, reason="not this time")
    await approve(second)
    await telling.tell_due()
    [[after, *_]] = await settlement.read_fee_terms([merchant])
    assert before.basis_points == after.basis_points
    assert newest.valid_from == after.valid_from
    await head.go(path)
    assert "Taken back on" in head.text
    assert "/back" not in head.page.text
    letters = [each["subject"] for each in await world.letters("own@a.example")]
    assert letters[-1] == "Your fee is 2.50 % as before"


@pytest.mark.parametrize("is_agreed", [False, True])
async def test_the_log_has_what_was_ended_before_anybody_was_told(world, is_agreed):
    """Taken back or overtaken by terms of people: its making stands in the log all the same."""
    house, merchant, clock = world.market.house, world.market.merchant, world.clock
    settlement, identity = house.api(Settlement), house.api(Identity)
    await settlement.put_fee_bounds([FeeBounds("CNY", 80, 400, 100, 100_000, 15, 10, 20)])
    await settlement.put_fee_allowances([FeeAllowance(merchant, None, is_allowed=True)])
    clock.advance(31 * 86_400)
    await settlement.put_fee_facts([FeeFacts(merchant, "CNY", 450_000, 100, 3, 1)])
    clock.advance(60)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await world.join("own@a.example", Role.OWNER, merchant=merchant)
    assert 1 == await house.services["settlement"].adjust_fees()
    [[made]] = await settlement.list_fee_adjustments([FeeAdjustmentQuery(merchant)])
    if is_agreed:
        await settlement.put_fee_terms([FeeTerms(merchant, "CNY", 190, 10, 20)])
    else:
        await settlement.take_back_adjustments([made.id])
    telling = house.services["settlement"].telling(identity, house.api(Notify))
    for _ in range(2):
        await telling.tell_due()
    [acts] = await identity.list_acts([ActQuery(merchant, 9, act="fee_adjustment.")])
    letters = [each["subject"] for each in await world.letters("own@a.example")]
    await head.go("/operator/suggestions/automatic")

    assert ["fee_adjustment.made"] == [each.act for each in acts]
    assert (0 if is_agreed else 1) == sum("as before" in each for each in letters)
    assert not any("Your fee changes" in each for each in letters)
    assert ("Overtaken by terms agreed on" if is_agreed else "Taken back on") in head.text
    assert "/back" not in head.page.text


async def approve(browser) -> None:
    """Approve what waits."""
    await browser.go("/operator/approvals")
    address = re.search(r'action="(/operator/approvals/[^"]+)"', browser.page.text)[1]
    await browser.send(address, decision="approve")
    assert "Approved, and done" in browser.text
