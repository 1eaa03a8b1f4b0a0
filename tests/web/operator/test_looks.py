"""The operator's pages in a real browser: at every width, in both themes and languages."""

import pytest
from playwright.async_api import async_playwright
from tests.compliance.conftest import Office
from tests.disputes.rows import add_dispute
from tests.e2e.walk import AXE, GRAVE
from tests.payments.rows import write_arrivals
from tests.payouts.rows import write_files, write_remittances, write_rows
from tests.web.console.conftest import CLI
from tests.web.console.test_filters import save
from tests.web.operator.test_closes import close_days
from tests.web.operator.test_desks import stick
from tests.web.test_browser import CHROMIUM, COVERED, CUT, FLAGS, IS_FITTING, free_port, served

from vendrail.api.catalog import (
    GoodsDecision,
    GoodsRule,
    GoodsRules,
    GoodsVerdict,
    MerchantId,
    SalesStop,
    ShopProductQuery,
)
from vendrail.api.compliance import COMPANY
from vendrail.api.identity import Merchant, RegistrationChange, RegistrationMode, Role
from vendrail.api.payments import UnmatchedQuery
from vendrail.api.payouts import NewBatch, Payouts
from vendrail.api.settlement import HoldTerms, RiskTier, Settlement
from vendrail.kernel.codec import replace
from vendrail.kernel.http import Edge
from vendrail.kernel.ids import new_id, to_serial

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


async def forbid_goods(world) -> None:
    """Write rules that find the shop's text, and take a product down."""
    catalog, merchant = world.market.catalog, MerchantId(world.market.merchant)
    rules = [GoodsRule(f"word {number}", GoodsVerdict.REVIEW) for number in range(30)]
    await catalog.put_goods_rules([GoodsRules([*rules, GoodsRule("a-long-word-" * 5)])])
    [[shop, *_]] = await catalog.list_shops([merchant])
    await catalog.put_shops([replace(shop, notice="word 1, word 12, word 25 " * 9)])
    [[found, *_]] = await catalog.list_products([ShopProductQuery(merchant)])
    down = GoodsDecision(
        found.product.id, is_allowed=False, by="ad@rail.example", reason="no " * 90
    )
    await catalog.decide_goods([down])


async def addresses(world, place) -> list[str]:
    """Let one of each wait at the desks, and give the pages that are looked at."""
    watched = world.orders["watched"]
    stuck = await stick(place, watched)
    terms = HoldTerms(None, RiskTier.WATCHED, 72, 1_000, 30)
    own = HoldTerms(world.market.merchant, RiskTier.WATCHED)
    await world.market.house.api(Settlement).put_hold_terms([terms, own])
    now, merchant = world.house.clock.now(), world.market.merchant
    disputed = await add_dispute(place.url, now, merchant, watched)
    await add_dispute(place.url, now, merchant, None, "lost", problem="refunded_before")
    [[money]] = await world.market.payments.list_unmatched([UnmatchedQuery()])
    strange = await write_arrivals(world.house, watched)
    await world.identity.put_merchants([Merchant(world.market.merchant, "North " * 10)])
    opened = RegistrationChange(RegistrationMode.OPEN, "# Terms\n\nBe honest. " * 30, CLI)
    await world.identity.change_registration([opened])
    await world.market.catalog.stop_sales([SalesStop(world.market.merchant, "stolen keys " * 20)])
    payouts = await write_rows(world.house, world.market.merchant)
    closed = await close_days(world)
    await write_remittances(world.house)
    await forbid_goods(world)
    await write_rows(world.house, new_id(world.house.clock.now()))
    batch = NewBatch(new_id(world.house.clock.now()), "CNY", None, "ops@a.example")
    await world.house.api(Payouts).make_batches([batch])
    file, answer, bank = map(to_serial, await write_files(world.house, payouts))
    office = Office(world.market)
    await office.ask(100_000, 1_000_000)
    dossier = await office.draft(COMPANY, company_name="North Trading and Sons " * 8)
    await office.submit(dossier)
    return [
        "/operator/reviews",
        f"/operator/reviews/{to_serial(watched)}",
        "/operator/complaints",
        "/operator/complaints?show=all",
        f"/operator/complaints/{to_serial(watched)}",
        "/operator/unmatched",
        f"/operator/unmatched/{to_serial(money.id)}",
        *strange,
        "/operator/sagas",
        "/operator/sagas?state=waiting",
        "/operator/sagas?state=all",
        stuck,
        f"/operator/orders/{to_serial(watched)}",
        "/operator/log",
        "/operator/search",
        "/operator/closes",
        "/operator/corrections",
        *closed,
        f"/operator/search?q={to_serial(watched)}",
        f"/operator/search?q={to_serial(payouts[2])}",
        "/operator/channels",
        "/operator/channels/new",
        *(f"/operator/channels/new?kind={kind}" for kind in ("alipay", "epay")),
        f"/operator/channels/{to_serial(world.market.channel)}",
        f"/operator/channels/{to_serial(world.market.channel)}?said=changed",
        "/operator/routing",
        f"/operator/routing/{to_serial(world.market.channel)}",
        "/operator/settlement",
        f"/operator/merchants/{to_serial(world.market.merchant)}",
        f"/operator/merchants/{to_serial(world.market.merchant)}/holding",
        f"/operator/merchants/{to_serial(world.market.merchant)}/deposit",
        "/operator/goods",
        "/operator/goods?state=taken_down",
        "/operator/goods/rules",
        "/operator/registration",
        "/operator/verifications",
        "/operator/verifications/terms",
        f"/operator/verifications/{to_serial(dossier)}",
        "/console/register",
        "/console/register/terms",
        "/operator/system",
        "/operator/currencies",
        "/operator/payouts?view=all",
        "/operator/payouts?view=review",
        *(f"/operator/payouts/{to_serial(each)}" for each in payouts[2:6:3]),
        "/operator/reserves",
        "/operator/remittances",
        f"/operator/payout-batches/{to_serial(batch.id)}",
        "/operator/bank-files",
        f"/operator/bank-files/{file}?answer={answer}",
        "/operator/banks",
        f"/operator/banks?bank={bank}",
        "/operator/coupons",
        "/operator/payout-terms",
        "/operator/wallets",
        "/operator/wallets/CNY",
        "/operator/disputes",
        "/operator/disputes?state=won",
        f"/operator/disputes/{to_serial(disputed)}",
        "/operator/fees",
        "/operator/fees/edit",
        "/operator/suggestions",
        "/operator/suggestions/automatic",
        f"/operator/suggestions/automatic?merchant={to_serial(world.market.merchant)}",
    ]


@pytest.mark.parametrize(
    "language, scheme",
    [("zh-CN", "light"), ("en-US", "dark"), ("es-ES", "light"), ("ko-KR", "dark")],
)
async def test_every_page_fits_and_axe_has_no_grave_complaint(world, place, language, scheme):
    """From 360 px up nothing scrolls sideways, contrast holds, and no script breaks."""
    pages = await addresses(world, place)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    name = "What has come back, looked at every morning by each of us"
    await save(head, "/operator/payouts?view=back", name, shared="yes", default="yes")
    pages += ["/operator/filters", "/operator/orders?state=paid", "/operator/go?q=back"]
    site, complaints = f"http://127.0.0.1:{(port := free_port())}", []
    jar = head.http.cookies.jar
    async with served(Edge(world.app), port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(
            locale=language, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
        )
        await context.add_cookies(
            [{"name": each.name, "value": each.value, "url": site} for each in jar]
        )
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for address in pages:
            answer = await page.goto(site + address)
            assert 200 == answer.status
            assert address.partition("?")[0] in page.url
            for width in (360, 768, 1440):
                await page.set_viewport_size({"width": width, "height": 900})
                assert await page.evaluate(IS_FITTING), f"{address} overflows at {width}"
                assert [] == await page.evaluate(CUT), f"{address} at {width}"
            assert [] == await page.evaluate(COVERED), address
            await page.add_script_tag(path=str(AXE))
            found = await page.evaluate(GRAVE)
            assert [] == found, f"{address} in {scheme}"
        await chromium.close()

    assert [] == complaints
