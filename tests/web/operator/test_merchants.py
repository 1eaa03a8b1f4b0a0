"""Merchants in the operator's console: invited, and what they pay."""

import re
from uuid import UUID

import pytest
from tests.web.console.conftest import make_app

from vendrail.api.catalog import EVERYBODY, SalesLimit
from vendrail.api.identity import ActQuery, Merchant, Role
from vendrail.api.notify import LetterQuery
from vendrail.api.payouts import Payouts
from vendrail.api.settlement import Settlement
from vendrail.kernel.ids import new_id, to_serial
from vendrail.web.operator.files import told_apart

PASSWORD = "a quiet lake at dawn"


async def test_a_merchant_is_invited_and_begins(world):
    """The owner joins by the shown link, and is at the merchant's console under its name."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/merchants")
    await head.send("/operator/merchants/invite", name=" ", email="ow@south.example")
    assert 422 == head.page.status_code
    await head.send("/operator/merchants/invite", name="South Keys", email="ow@south.example")
    link = re.search(r"http://localhost(/join/[\w-]+)", head.page.text)[1]
    owner = world.browser()
    await owner.go(link)
    await owner.send(link, password=PASSWORD, again=PASSWORD, name="Olga")
    assert "/merchant" == owner.path
    assert "South Keys" in owner.text
    await head.go("/operator/merchants?q=south")
    path = re.search(r'href="(/operator/merchants/\w{26})">South Keys', head.page.text)[1]
    await head.go(path)

    assert "ow@south.example" in head.text
    assert "Owner" in head.text


async def test_an_owner_is_invited_to_a_shop_that_is_there(world):
    """A merchant that sold before anybody worked there gets its first owner under its own id."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    path = f"/operator/merchants/{to_serial(world.market.merchant)}"
    await head.go(path)
    await head.send(
        "/operator/merchants/invite",
        merchant=to_serial(world.market.merchant),
        email="ow@north.example",
    )
    link = re.search(r"http://localhost(/join/[\w-]+)", head.page.text)[1]
    owner = world.browser()
    await owner.go(link)
    await owner.send(link, password=PASSWORD, again=PASSWORD, name="Olga")
    await owner.go(f"/merchant/orders/{to_serial(world.orders['sold'])}")

    assert 200 == owner.page.status_code


async def approve(world, words: str):
    """Let a second administrator read what was put up, and approve it."""
    second = await world.join("second@rail.example", Role.OPERATOR_ADMIN)
    await second.go("/operator/approvals")
    assert words in second.text
    address = re.search(r'action="(/operator/approvals/[^"]+)"', second.page.text)[1]
    await second.send(address, decision="approve")
    assert "Approved, and done" in second.text


async def test_new_terms_follow_the_old(world):
    """They need a second person, who reads them in words; the log has before and after."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    merchant = world.market.merchant
    path = f"/operator/merchants/{to_serial(merchant)}"
    await head.go(path)
    assert 'name="percent" inputmode="decimal" required maxlength="10" value="2.50"' in (
        head.page.text
    )
    for percent in ("-1", "lots", "2.505", "101"):
        await head.send(f"{path}/terms", percent=percent, reason="a new contract")
        assert 422 == head.page.status_code, percent
    await head.send(
        f"{path}/terms", percent="3.25", fixed="0.30", least="0.50", reason="a new contract"
    )
    assert "second person" in head.text
    [[newest, *_]] = await world.market.house.api(Settlement).read_fee_terms([merchant])
    assert 250 == newest.basis_points
    await approve(world, "3.25 % + CN¥0.30")
    await head.go(path)
    [[newest, before, *_]] = await world.market.house.api(Settlement).read_fee_terms([merchant])
    [acts] = await world.identity.list_acts([ActQuery(None, 9, act="fee_terms.")])

    assert path == head.path
    assert (325, 30, 50) == (newest.basis_points, newest.fixed_minor, newest.fee_minor_min)
    assert 250 == before.basis_points
    [put] = [each for each in acts if each.act.endswith(".proposed")]
    assert ("250", "325") == (put.before["basis_points"], put.after["basis_points"])


async def test_only_administrators_change_merchants(world):
    """Support, risk and finance see merchants, and invite none, nor change what they pay."""
    for role in (Role.OPERATOR_FINANCE, Role.OPERATOR_RISK, Role.OPERATOR_SUPPORT):
        browser = await world.join(f"{role.value}@rail.example", role)
        path = f"/operator/merchants/{to_serial(world.market.merchant)}"
        assert 200 == (await browser.go("/operator/merchants")).status_code
        assert 200 == (await browser.go(path)).status_code
        assert "/terms" not in browser.page.text
        await browser.go("/console/account")
        for form in (f"{path}/terms", "/operator/merchants/invite"):
            sent = await browser.send(form, raw=True, percent="1", reason="x", email="a@b.example")
            assert 403 == sent.status_code


async def test_a_merchants_tier_is_set_with_a_reason(world):
    """It counts for the rules of fees, and the log says what it was before and why."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    merchant = world.market.merchant
    path = f"/operator/merchants/{to_serial(merchant)}"
    await head.go(path)
    await head.send(f"{path}/tier", tier="2", reason="")
    assert "Say why" in head.text
    await head.send(f"{path}/tier", tier="2", reason="long known")
    assert [0] == await world.house.api(Settlement).read_merchant_tiers([merchant])
    await approve(world, "long known")
    tiers = await world.house.api(Settlement).read_merchant_tiers([merchant])
    [acts] = await world.house.services["identity"].list_acts(
        [ActQuery(None, 10, act="fee_terms.tier_changed")]
    )

    assert [2] == tiers
    assert ({"tier": "0"}, "2", "long known") in [
        (each.before, each.after.get("tier"), each.reason) for each in acts
    ]
    assert 404 == (await head.send(f"{path}/tier", tier="10", reason="too far")).status_code


async def test_a_merchants_payouts_are_stopped_and_go_on_with_a_reason(world):
    """Finance stops them and lets them go on; page and log say why, and others may not."""
    payouts, merchant = world.house.api(Payouts), world.market.merchant
    path = f"/operator/merchants/{to_serial(merchant)}"
    money = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await money.go(path)
    await money.send(f"{path}/payouts", state="stopped", reason="")
    assert "Say why" in money.text
    await money.send(f"{path}/payouts", state="stopped", reason="a stolen shop")
    stopped = await payouts.read_suspensions([merchant])
    assert "Payouts are stopped. a stolen shop" in money.text
    await money.send(f"{path}/payouts", state="going", reason="the owner is back")
    [acts] = await world.identity.list_acts([ActQuery(merchant, 10, act="payouts.suspended")])
    strange = await money.send(f"{path}/payouts", state="maybe", reason="who knows")

    assert ["a stolen shop"] == stopped
    assert [""] == await payouts.read_suspensions([merchant])
    assert "Payouts are stopped" not in (await money.go(path)).text
    assert [("going", "the owner is back"), ("stopped", "a stolen shop")] == [
        (each.after["state"], each.reason) for each in acts
    ]
    assert 404 == strange.status_code
    support = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    assert f"{path}/payouts" not in (await support.go(path)).text
    await support.go("/console/account")
    sent = await support.send(f"{path}/payouts", raw=True, state="stopped", reason="x")
    assert 403 == sent.status_code


async def test_a_merchants_sales_are_stopped_by_one_and_begun_again_by_two(world):
    """Risk stops them at once, and its people are told; a second person lets them go on."""
    world.app = make_app(world.house, world.home, second_person_above_minor=1_000)
    catalog, merchant = world.market.catalog, world.market.merchant
    path = f"/operator/merchants/{to_serial(merchant)}"
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go(path)
    await head.send("/operator/merchants/invite", merchant=to_serial(merchant), email="o@n.example")
    owner, link = world.browser(), re.search(r"http://localhost(/join/[\w-]+)", head.page.text)[1]
    await owner.go(link)
    await owner.send(link, password=PASSWORD, again=PASSWORD, name="Olga")
    [offer] = await catalog.read_offers(["S2"])
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    await risk.go(path)
    await risk.send(f"{path}/sales", state="stopped", reason="")
    assert "Say why" in risk.text
    await risk.send(f"{path}/sales", state="stopped", reason="stolen keys")
    assert "Sales are stopped. stolen keys" in risk.text
    await owner.go("/merchant")
    told = owner.text
    product = await world.browser().go(f"/products/{to_serial(offer.product)}")
    shop = await world.browser().go(f"/shops/{offer.shop_slug}")
    await risk.send(f"{path}/sales", state="going", reason="it was a mistake")
    [still] = await catalog.read_suspensions([merchant])
    await head.go("/operator/approvals")
    proposal = re.search(r"/operator/approvals/\w{26}", head.page.text)[0]
    await head.send(proposal, decision="approve")
    [acts] = await world.identity.list_acts([ActQuery(merchant, 10, act="sales.")])
    [letters] = await world.house.services["notify"].list_letters([LetterQuery()])

    assert "The platform has stopped your sales. stolen keys" in told
    assert "not on sale at the moment" in product.text
    assert 'action="/orders"' not in product.text
    assert 404 == shop.status_code
    assert still is not None
    assert [None] == await catalog.read_suspensions([merchant])
    assert [("sales.stopped", "going", "stolen keys")] == [
        (each.act, each.before["state"], each.reason)
        for each in acts
        if each.act == "sales.stopped"
    ]
    assert {"sales_stopped", "sales_resumed"} <= {each.template for each in letters}
    await risk.send(f"{path}/sales", state="stopped", reason="stolen keys again")
    await risk.send(f"{path}/sales", state="going", reason="it was a mistake")
    assert "A second person must approve it" in risk.text


async def test_how_much_a_merchant_may_sell_is_written_with_a_reason(world):
    """Its own limit, or everybody's: the merchant reads it, the buyer is told, the log has both."""
    catalog, merchant = world.market.catalog, world.market.merchant
    await world.identity.put_merchants([Merchant(merchant, "North")])
    path, everybody = (f"/operator/merchants/{to_serial(id)}" for id in (merchant, UUID(int=0)))
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    await risk.go(path)
    for wrong in ({"order_max": ""}, {"order_max": "-1"}, {"month_max": "lots"}, {"kind": "odd"}):
        await risk.send(f"{path}/limit", **{"kind": "bounds", "reason": "new", **wrong})
        assert 422 == risk.page.status_code, wrong
    await risk.send(f"{path}/limit", kind="bounds", order_max="10.00", month_max="500", reason="")
    assert "Say why" in risk.text
    await risk.send(
        f"{path}/limit", kind="bounds", order_max="10.00", month_max="500", reason="new"
    )
    assert 'value="10.00"' in risk.page.text
    await risk.go(everybody)
    await risk.send(f"{everybody}/limit", kind="bounds", month_max="99.00", reason="strangers")
    owner = await world.join("ow@north.example", Role.OWNER, merchant=merchant)
    await owner.go("/merchant")
    told = owner.text
    [offer] = await catalog.read_offers(["S2"])
    buyer = world.browser()
    await buyer.go(f"/products/{to_serial(offer.product)}")
    await buyer.send("/orders", sku="S2", currency="CNY", quantity="1", contact="b@e.example",
                     product=to_serial(offer.product), nonce="n" * 24, method="alipay")  # fmt: skip
    refused = buyer.text
    await risk.go(path)
    await risk.send(f"{path}/limit", kind="bounds", order_max="9", month_max="99", reason="less")
    await risk.send(f"{path}/limit", kind="as_everybody", reason="like all")
    put_up = risk.text
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/approvals")
    proposal = re.search(r"/operator/approvals/\w{26}", head.page.text)[0]
    await head.send(proposal, decision="approve")
    [acts] = await world.identity.list_acts([ActQuery(None, 10, act="sales.limited")])
    written = [each for each in acts if "limit" in each.after]

    assert "CN¥10.00 an order · CN¥500.00 in thirty days" in told
    assert "Too much for this shop now" in refused
    assert "A second person must approve it" in put_up
    assert [(UUID(int=0), None, 9_900)] == [
        (each.merchant, each.order_minor_max, each.month_minor_max)
        for each in await catalog.list_limits()
    ]
    assert [
        ("bounds", "as_everybody"),
        ("bounds", "bounds"),
        ("as_everybody", "bounds"),
        ("as_everybody", "bounds"),
    ] == [(each.before["limit"], each.after["limit"]) for each in written]


async def test_one_person_makes_no_limit_wider(world):
    """More, another bound away, none, or everybody's taken away: each waits for a second person."""
    catalog, merchant = world.market.catalog, world.market.merchant
    await world.identity.put_merchants([Merchant(merchant, "North")])
    await catalog.put_limits([SalesLimit(merchant, "CNY", 1_000, 50_000)])
    await catalog.put_limits([SalesLimit(EVERYBODY, "CNY", 1_000, None)])
    before = await catalog.list_limits()
    path, everybody = (f"/operator/merchants/{to_serial(id)}" for id in (merchant, EVERYBODY))
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    bounds = {"kind": "bounds", "order_max": "10.00", "month_max": "500"}
    for where, wider in (
        (path, bounds | {"order_max": "10.01"}),
        (path, bounds | {"order_max": "1", "month_max": ""}),
        (path, {"kind": "none"}),
        (path, {"kind": "as_everybody"}),
        (everybody, {"kind": "as_everybody"}),
    ):
        await risk.go(where)
        await risk.send(f"{where}/limit", reason="trusted", **wider)
        assert "A second person must approve it" in risk.text, wider
        assert before == await catalog.list_limits()
    await risk.go(path)
    await risk.send(f"{path}/limit", reason="less", **(bounds | {"order_max": "9"}))
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/approvals")
    for proposal in set(re.findall(r"/operator/approvals/\w{26}", head.page.text)):
        await head.send(proposal, decision="approve")

    # What was put up before the limit became another is not what anybody wants to approve now.
    assert SalesLimit(merchant, "CNY", 900, 50_000) in await catalog.list_limits()


async def test_only_risk_and_administrators_stop_sales(world):
    """Finance and support see that they are stopped, and can neither stop them nor begin."""
    path = f"/operator/merchants/{to_serial(world.market.merchant)}"
    for role in (Role.OPERATOR_FINANCE, Role.OPERATOR_SUPPORT):
        browser = await world.join(f"{role.value}@rail.example", role)
        assert f"{path}/sales" not in (await browser.go(path)).text
        await browser.go("/console/account")
        sent = await browser.send(f"{path}/sales", raw=True, state="stopped", reason="x")
        assert 403 == sent.status_code


def test_names_that_look_alike_are_told_apart():
    """Width, case, blanks and what is not seen make no difference; other names stay as they are."""
    ids = [UUID(int=number) for number in range(1, 6)]
    names = ["North", "ＮＯＲＴＨ", "no\u200brth ", "South", "Nørth"]
    told = told_apart(dict(zip(ids, names, strict=True)))

    assert ["South", "Nørth"] == [told[each] for each in ids[3:]]
    assert [f"{name} · {to_serial(id)[-6:]}" for id, name in zip(ids, names[:3], strict=False)] == [
        told[each] for each in ids[:3]
    ]


@pytest.mark.parametrize(
    "like",
    ["No\u034frth", "North\ufe0f", "North\u3164", "\u2800North", "North\U000e0101", "Nor\u115fth"],
)
def test_letters_that_nobody_sees_make_no_other_name(like):
    """Fillers, joiners and selectors, which count as letters elsewhere, tell no merchants apart."""
    ids = [UUID(int=number) for number in (1, 2)]
    told = told_apart(dict(zip(ids, ["North", like], strict=True)))

    assert all(told[each].endswith(f" · {to_serial(each)[-6:]}") for each in ids)


@pytest.mark.parametrize("dot", ["·", "•", "・"])
def test_nobody_takes_on_what_tells_another_apart(dot):
    """Who writes the end of another's serial behind its name bears the end of its own beside."""
    first, second, third = (UUID(int=number) for number in (1, 2, 3))
    like = f"North {dot} {to_serial(first)[-6:]}"
    told = told_apart({first: "North", second: "North", third: like})
    alone = told_apart({first: "North", third: like})

    assert f"{like} · {to_serial(third)[-6:]}" == told[third] == alone[third]
    assert f"North · {to_serial(first)[-6:]}" == told[first] == alone[first]


async def test_two_merchants_of_one_name_are_told_apart_where_one_is_chosen(world):
    """In the list, its search, the filters and the page of each; their own names stay."""
    now = world.clock.now()
    first, second = Merchant(new_id(now), "Twin Keys"), Merchant(new_id(now), "TWIN  keys")
    await world.identity.put_merchants([first, second])
    ends = [to_serial(each.id)[-6:] for each in (first, second)]
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    for page in ("/operator/merchants?q=twin", "/operator/orders", "/operator/corrections"):
        await head.go(page)
        assert all(f"· {end}" in head.text for end in ends), page
    await head.go(f"/operator/merchants?q={ends[1]}")
    assert ends[0] not in head.text
    await head.go(f"/operator/merchants/{to_serial(first.id)}")
    assert f"Twin Keys · {ends[0]}" in head.text
    fields = {"merchant": to_serial(first.id), "email": "ow@twin.example"}
    await head.send("/operator/merchants/invite", **fields)
    known = await world.identity.list_merchants(100, None)

    assert {"Twin Keys", "TWIN  keys"} <= {each.name for each in known}
