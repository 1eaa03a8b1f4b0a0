"""Coupons as their merchant makes them and a buyer without JavaScript uses them."""

import csv
import io

import pytest
from playwright.async_api import async_playwright
from tests.web.merchant.test_goods import goods
from tests.web.merchant.test_looks import served_town
from tests.web.test_browser import CHROMIUM, FLAGS, IS_FITTING

from vendrail.api.identity import Role
from vendrail.api.promotions import Coupon, CouponId, CouponQuery, Promotions, discount_minor
from vendrail.kernel.ids import new_id, to_serial

__all__ = ["served_town"]

NEW = "/merchant/coupons/new"


async def coupons(town):
    """Read the merchant's coupons, newest first."""
    promotions = town.house.api(Promotions)
    [found] = await promotions.list_coupons([CouponQuery(town.north.merchant)])
    return found


async def make(town, browser, read_field, **more):
    """Fill in the form of a new coupon; give the address that it leads to."""
    await browser.go(NEW)
    fields = {"nonce": read_field(browser, "nonce"), "title": "Five off", "kind": "fixed"}
    fields |= {"amount": "5.00", "currency": "CNY", "word": "spring", "uses_per_code": "1"}
    await browser.send(NEW, **(fields | more))
    return browser.path


async def test_a_coupon_is_made_used_and_seen_by_all(town, read_field):
    """A word and codes; applied, ordered, shown to buyer and merchant; each act is in the log."""
    await town.north.offer("GAME", keys=9)
    seller = await town.join(Role.SELLER)
    path = await make(town, seller, read_field, codes_count="3", uses_per_code="2")
    await seller.send(f"{path}/codes", known="3", codes_count="2")
    await seller.send(f"{path}/codes", known="3", codes_count="2")  # Sent twice.
    exported = await seller.send(f"{path}/export", raw=True)
    rows = list(csv.reader(io.StringIO(exported.text)))
    [product] = await goods(town)
    buyer = town.world.browser()
    page = f"/products/{to_serial(product.product.id)}"
    await buyer.go(page)
    chosen = {"sku": "GAME", "quantity": "2", "currency": "CNY", "coupon": rows[2][0].lower()}
    chosen |= {"nonce": read_field(buyer, "nonce"), "product": read_field(buyer, "product")}
    await buyer.send(f"{page}/coupon", **chosen)
    applied = buyer.text
    await buyer.send("/orders", **chosen, contact="a@b.cn", method="alipay")
    order = buyer.path
    await buyer.go(order)
    await seller.go(path)
    seen = seller.text
    await seller.go(f"/merchant{order}")
    acts = [each.act for each in await town.acts(town.north, "coupon.")]
    operator = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await operator.go("/operator/coupons")

    assert ["code", "SPRING"] == [row[0] for row in rows[:2]]
    assert 5 == len({row[0] for row in rows[2:]})
    assert "Five off −CN¥5.00 For this quantity you pay CN¥34.80." in applied
    assert "Price CN¥39.80 Five off −CN¥5.00 Total CN¥34.80" in buyer.text
    assert "Held 1" in seen
    assert "Five off −CN¥5.00 Out of CN¥39.80" in seller.text
    assert "Five off −CN¥5.00 · 5 codes North Good now Held 1" in operator.text
    made = ["coupon.codes_made"] * 2
    assert sorted(["coupon.created", *made, "coupon.codes_exported"]) == sorted(acts)


async def test_a_refused_coupon_says_why_and_keeps_the_form(town, read_field):
    """What does not fit is said beside the form, applied or ordered; nothing is placed."""
    await town.north.offer("GAME", keys=9)
    seller = await town.join(Role.SELLER)
    path = await make(town, seller, read_field, order_min="30")
    [product] = await goods(town)
    buyer = town.world.browser()
    page = f"/products/{to_serial(product.product.id)}"
    said = []
    for code in ("SPRING", "WINTER"):
        await buyer.go(page)
        chosen = {"sku": "GAME", "quantity": "1", "currency": "CNY", "coupon": code}
        chosen |= {"nonce": read_field(buyer, "nonce"), "product": read_field(buyer, "product")}
        await buyer.send(f"{page}/coupon", **chosen)
        said.append(buyer.text)
        await buyer.send("/orders", **chosen, contact="a@b.cn", method="alipay")
        said.append(buyer.text)
    refused = buyer.page.status_code
    await seller.go(path)
    await seller.send(f"{path}/state", state="off")
    await buyer.go(page)
    await buyer.send(f"{page}/coupon", **(chosen | {"coupon": "SPRING", "quantity": "2"}))
    [view] = await coupons(town)

    assert all("The order is too small for this coupon." in each for each in said[:2])
    assert all("This shop has no such coupon." in each for each in said[2:])
    assert 422 == refused
    assert "This coupon is not taken at the moment." in buyer.text
    assert (0, 0) == (view.held_count, view.used_count)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"amount": "much"}, "in digits with one point"),
        ({"amount": "0"}, "does not fit"),
        ({"kind": "percent", "percent": "101"}, "does not fit"),
        ({"word": "a b"}, "does not fit"),
        ({"word": ""}, "Give the coupon a word"),
        ({"uses_max": "0"}, "does not fit"),
        ({"codes_count": "many"}, "in digits"),
        ({"starts_at": "2026-12-02T00:00", "ends_at": "2026-12-01T00:00"}, "does not fit"),
        ({"ends_at": "tomorrow"}, "in digits"),
        ({"title": " "}, "does not fit"),
    ],
)
async def test_a_wrong_coupon_is_said_and_not_made(town, read_field, wrong, said):
    """What does not fit is said above the form, and what was written stays in it."""
    seller = await town.join(Role.SELLER)
    await make(town, seller, read_field, **wrong)

    assert (422, []) == (seller.page.status_code, await coupons(town))
    assert said in seller.text


async def test_codes_leave_with_a_fresh_proof_alone(town, read_field):
    """Their file asks who it is for after a while; letters for a number of codes make none."""
    seller = await town.join(Role.SELLER)
    path = await make(town, seller, read_field)
    wrong = await seller.send(f"{path}/codes", raw=True, known="0", codes_count="many")
    town.clock.advance(3_000)
    await seller.go(path)
    await seller.send(f"{path}/export")
    [view] = await coupons(town)

    assert (422, 0) == (wrong.status_code, view.codes_count)
    assert "/console/confirm" == seller.path
    assert [] == await town.acts(town.north, "coupon.codes_exported")


async def test_a_coupon_is_its_merchants_alone(town, read_field):
    """Another merchant neither sees nor changes it; a form sent twice makes one."""
    seller = await town.join(Role.SELLER)
    await seller.go(NEW)
    nonce = read_field(seller, "nonce")
    for _ in range(2):
        path = await make(town, seller, read_field, nonce=nonce, kind="percent", percent="12.5")
    await seller.send(path, title="More", uses_per_code="9", uses_max="20", ends_at="")
    stranger = await town.join(Role.SELLER, town.south)
    answers = [await stranger.go(path)]
    await stranger.go("/merchant/coupons")
    answers += [
        await stranger.send(f"{path}{tail}", raw=True, state="off", title="X", uses_per_code="1")
        for tail in ("", "/state", "/codes", "/export")
    ]
    [view] = await coupons(town)
    terms = view.coupon

    assert {404} == {each.status_code for each in answers}
    assert ("More", 1_250, 20, 9, True) == (
        terms.title, terms.permyriad, terms.uses_max, terms.uses_per_code, terms.is_on,
    )  # fmt: skip


@pytest.mark.browser
@pytest.mark.timeout(240)
async def test_the_total_follows_the_quantity_with_a_coupon(served_town):
    """The button says for every quantity what the order will cost; a changed code says nothing."""
    town, site = served_town
    await town.north.offer("GAME", keys=20)
    terms = Coupon(
        CouponId(new_id(town.clock.now())),
        town.north.merchant,
        "Spring",
        "CNY",
        permyriad=1_250,
        cap_minor=1_000,
        order_minor_min=3_000,
        word="SPRING",
    )
    await town.house.api(Promotions).put_coupons([terms])
    [found] = await goods(town)
    told = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await chromium.new_page(locale="en-US", viewport={"width": 360, "height": 800})
        await page.goto(f"{site}/products/{to_serial(found.product.id)}")
        await page.locator("#quantity").fill("2")
        await page.get_by_text("Use a coupon").click()
        await page.locator("#coupon").fill("spring")
        await page.get_by_role("button", name="Apply").click()
        await page.get_by_role("status").wait_for()
        total = page.locator("[data-total]")
        for quantity in (1, 2, 3, 10):
            await page.locator("#quantity").fill(str(quantity))
            told.append(await total.inner_text())
        await page.locator("#coupon").fill("other")
        await page.locator("#quantity").fill("2")
        told.append(await total.inner_text())
        is_fitting = await page.evaluate(IS_FITTING)
        await chromium.close()

    amounts = [1_990 * each - discount_minor(terms, 1_990 * each) for each in (1, 2, 3, 10)]
    assert [f"CN¥{minor / 100:.2f}" for minor in (*amounts, 3_980)] == told
    assert is_fitting
