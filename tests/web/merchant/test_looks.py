"""The merchant's pages in a real browser: at every width, in both themes and languages, quietly."""

import pytest
from playwright.async_api import async_playwright
from tests.compliance.conftest import Office
from tests.disputes.rows import add_dispute
from tests.domains.rows import add_domains
from tests.e2e.walk import AXE, GRAVE
from tests.payouts.rows import write_files, write_rows
from tests.web.console.test_filters import save
from tests.web.merchant import conftest as merchants
from tests.web.merchant.test_card_sites import asked
from tests.web.merchant.test_listings import supply
from tests.web.merchant.test_webhooks import listen, tell
from tests.web.test_browser import CHROMIUM, COVERED, CUT, FLAGS, IS_FITTING, free_port, served

from vendrail.api.catalog import (
    AgencyAct,
    AgencyMove,
    Floor,
    ListSupplied,
    MerchantId,
    QuantityPrice,
    ShopProductQuery,
    SuppliedVariantQuery,
)
from vendrail.api.compliance import DossierDecision
from vendrail.api.identity import KEY_SCOPES, ApiKey, NewApiKey, Role
from vendrail.api.orders import RefundOrder, ReplaceItems
from vendrail.api.promotions import Coupon, CouponId, MakeCouponCodes, Promotions
from vendrail.api.settlement import (
    DepositKind,
    DepositMove,
    DepositTerms,
    HoldTerms,
    Settlement,
    supply_of,
)
from vendrail.app.wiring import House
from vendrail.kernel import config
from vendrail.kernel.codec import replace
from vendrail.kernel.http import Edge
from vendrail.kernel.ids import new_id, to_serial

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture
async def served_town(platform_url, clock, vault, tmp_path):
    """Two merchants behind the edge, on a free port; gives the town and its address."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    platform = config.PlatformSettings(home=tmp_path, database_url=platform_url, public_url=address)

    def open_house() -> House:
        return House(platform, merchants.consoles.QUICK, clock, vault)

    before, merchants.consoles.SITE = merchants.consoles.SITE, address
    world = merchants.consoles.World(open_house, tmp_path)
    town = await merchants.open_town(world, tmp_path)
    async with served(Edge(world.app), port):
        yield town, address
    await world.close()
    merchants.consoles.SITE = before


async def addresses(town) -> list[str]:
    """Let something happen, and give every page where it shows."""
    await town.north.offer("FREE", keys=3)  # Sold before anything is held: a deposit comes of it.
    await town.sell(town.north, "FREE")
    await put_deposit(town)
    terms = HoldTerms(
        town.north.merchant, pending_hours=72, reserve_basis_points=1_000, reserve_days=30
    )
    await town.north.settlement.put_hold_terms([terms])
    town.clock.advance(11)
    await town.north.offer("STEAM-50", keys=9)
    await town.north.offer("A-VERY-LONG-NAME-OF-SOMETHING-TO-BE-SOLD-HERE", keys=2)
    order = await town.sell(
        town.north, "STEAM-50", 2, contact="a.rather.long.name@mail.example.com"
    )
    kept = await town.sell(town.north, "STEAM-50", 3)
    bad = ReplaceItems(
        new_id(town.clock.now()), kept, [1, 3], "dud " * 40, "a.long.name@mail.example"
    )
    await town.north.orders.replace_items([bad])
    placed = (await town.north.place("A-VERY-LONG-NAME-OF-SOMETHING-TO-BE-SOLD-HERE")).order
    refund = RefundOrder(new_id(town.clock.now()), order, 500, "half " * 30, "lin")
    await town.north.orders.refund_orders([refund])
    for name in ("robot", "a-long-name-of-a-program-that-reads-orders" * 2):
        key = ApiKey(new_id(town.clock.now()), town.north.merchant, name[:80], list(KEY_SCOPES))
        if name != "robot":
            key = replace(key, networks=["203.0.113.7/32", "2001:db8:1234:5678::/64"])
        await town.world.identity.make_api_keys([NewApiKey(key, town.cli)])
    [made] = await town.epay.make_epay_keys([town.north.merchant])
    site = [asked(made.account.pid, made.key, number) for number in ("A" * 64, "N-2")]
    unpaid, charged = await town.epay.take_epay_requests(site)
    await town.north.pay(charged.order, amount_minor=100)
    await town.north.run()
    await town.house.services["epay"].telling.consume()
    look = replace(town.north.record, theme="plum", notice="**Welcome**, [here](https://a.example)")
    await town.north.catalog.put_shops([look])
    query = ShopProductQuery(MerchantId(town.north.merchant))
    ((long, short, *_),) = await town.north.catalog.list_products([query])
    steps = [QuantityPrice(start, {"CNY": 1_900 - start}) for start in (2, 5, 10)]
    cheap = replace(long.product.variants[0], quantity_prices=steps)
    await town.north.catalog.put_products([replace(long.product, variants=[cheap])])
    long, short = (f"/merchant/products/{to_serial(each.product.id)}" for each in (long, short))
    coupon = Coupon(
        CouponId(new_id(town.clock.now())),
        town.north.merchant,
        "A rather long name of a coupon for the first week of the winter sale",
        "CNY",
        permyriad=1_250,
        cap_minor=2_000,
        uses_per_code=9,
        word="THEWORDOFTHELONGESTKINDTHEREIS12",
    )
    promotions = town.house.api(Promotions)
    await promotions.put_coupons([coupon])
    await promotions.make_codes([MakeCouponCodes(coupon.id, coupon.merchant, 40)])
    discounted = (await town.north.place("STEAM-50", coupon=coupon.word)).order
    payouts = await write_rows(town.house, town.north.merchant)
    await write_files(town.house, payouts)
    hooked = await listen(town, url=f"https://hooks.example/{'long' * 30}")
    await town.sell(town.north, "STEAM-50")
    failed = await tell(town, hooked)
    now, url = town.clock.now(), town.house.platform.database_url
    dispute = await add_dispute(url, now, town.north.merchant, order)
    lost = await add_dispute(url, now, town.north.merchant, order, "lost")
    await add_domains(town.house, town.north.merchant, town.north.shop)
    office = Office(town.north)
    await office.ask(10_000_000)
    dossier = await office.draft(full_name="A person with a rather long name " * 6)
    await office.submit(dossier)
    await office.decide(dossier, DossierDecision.ASK_MORE, note="It is dark. " * 30)
    supplied = await sell_through(town)
    parts = await supply(town.south, town.north, 51)
    return [
        "/merchant/agents",
        "/merchant/agents/floors",
        "/merchant/agents/floors?state=bare",
        "/merchant/agents/floors?q=nothing",
        "/merchant/agents/goods",
        f"/merchant/agents/goods?q=part&after={to_serial(parts[5])}",
        f"/merchant/agents/{to_serial(supplied)}",
        "/console/account",
        "/console/account/letters",
        "/merchant/deposit",
        "/merchant/verification",
        "/merchant/payouts",
        "/merchant/payouts/schedule",
        *(f"/merchant/payouts/{to_serial(each)}" for each in payouts[:6:5]),
        "/merchant/disputes",
        "/merchant/disputes?state=won",
        f"/merchant/disputes/{to_serial(dispute)}",
        f"/merchant/disputes/{to_serial(lost)}",
        "/merchant/coupons",
        "/merchant/coupons/new",
        f"/merchant/coupons/{to_serial(coupon.id)}",
        f"/merchant/orders/{to_serial(discounted)}",
        "/merchant/balance",
        "/merchant/balance?of=debt",
        "/merchant/statements",
        "/merchant/statements?month=2026-01",
        "/merchant/complaints",
        f"/merchant/complaints/{to_serial(charged.order)}",
        "/merchant/messages",
        "/merchant/answers",
        "/merchant/fees",
        "/merchant/shop",
        "/merchant/domains",
        "/merchant/staff",
        "/merchant/api-keys",
        "/merchant/card-sites",
        "/merchant/webhooks",
        f"/merchant/webhooks/{to_serial(hooked.id)}",
        f"/merchant/webhooks/{to_serial(hooked.id)}?state=given_up",
        f"/merchant/webhooks/{to_serial(hooked.id)}/deliveries/{to_serial(failed)}",
        "/merchant/methods",
        f"/orders/{to_serial(unpaid.order)}?key={unpaid.secret}",
        f"/orders/{to_serial(charged.order)}?key={charged.secret}",
        f"/merchant/orders/{to_serial(charged.order)}",
        "/submit.php?pid=1",
        "/merchant/products",
        "/merchant/products?q=nothing",
        "/merchant/products/new",
        long,
        short,
        f"{long}/stock",
        f"{short}/stock",
        f"{short}/preview",
        "/shops/north",
        "/merchant",
        "/merchant?span=month",
        "/merchant/sales?days=90",
        "/merchant/sales?currency=USD",
        "/merchant/orders",
        "/merchant/orders?state=placed",
        "/merchant/orders?q=nothing",
        f"/merchant/orders/{to_serial(order)}",
        f"/merchant/orders/{to_serial(placed)}",
        f"/merchant/orders/{to_serial(kept)}",
        "/merchant/orders/nothing",
        "/merchant/search",
        "/merchant/go?q=pro",
        f"/merchant/search?q={to_serial(order)}",
    ]


async def sell_through(town):
    """Let each merchant be the other's agent, and one sell; give the supplier's part."""
    sold = None
    sides = ((town.south, town.north, "SUP"), (town.north, town.south, "OWN"))
    for at, (supplier, agent, sku) in enumerate(sides):
        await supplier.offer(sku, keys=4, title="A game of a rather long name, for two or more")
        merchants = (MerchantId(supplier.merchant), MerchantId(agent.merchant))
        invite = AgencyMove(AgencyAct.INVITE, merchants[0], slug=agent.record.slug)
        await supplier.catalog.move_agencies([invite])
        await supplier.catalog.move_agencies(
            [AgencyMove(AgencyAct.ACCEPT, merchants[1], *merchants)]
        )
        source = supplier.skus[sku]
        floor = Floor(merchants[0], source, {"CNY": 1_234, "USD": 200})
        await supplier.catalog.put_floors([floor])
        prices = {"CNY": 1_990, "USD": 300}
        await supplier.catalog.put_listings(
            [ListSupplied(merchants[1], agent.shop, source, prices)]
        )
        town.clock.advance(2)
        [[listed]] = await agent.catalog.list_supplied([SuppliedVariantQuery(merchants[1])])
        [view] = await agent.catalog.read_products([listed.product])
        agent.numbers += 500 * at  # No payment has another's number.
        sold = supply_of(await town.sell(agent, view.product.variants[0].sku, 2))
        # In one of two currencies it is not for sale any more.
        await supplier.catalog.put_floors([replace(floor, prices_minor={"CNY": 1_234, "USD": 400})])
    return sold


async def put_deposit(town):
    """Ask for a deposit, half paid in, of which some is on its way back."""
    settlement, merchant = town.house.api(Settlement), town.north.merchant
    for amount_minor in (100_000, 50):
        await settlement.put_deposit_terms([DepositTerms(merchant, "CNY", amount_minor)])
        move = DepositMove(new_id(town.clock.now()), merchant, "CNY", DepositKind.PAID, 100)
        back = replace(move, id=new_id(town.clock.now()), kind=DepositKind.RETURNED)
        await settlement.move_deposits([move, back])
    await settlement.put_deposit_terms([DepositTerms(merchant, "CNY", 100_000)])


@pytest.mark.parametrize(
    "language, scheme",
    [("zh-CN", "light"), ("en-US", "dark"), ("es-ES", "light"), ("ko-KR", "dark")],
)
async def test_every_page_fits_and_axe_has_no_grave_complaint(served_town, language, scheme):
    """From 360 px up nothing scrolls sideways, contrast holds, and the console stays silent."""
    town, site = served_town
    pages = await addresses(town)
    owner = await town.join(Role.OWNER)
    for state, more in (("placed", {"shared": "yes"}), ("delivered", {"default": "yes"})):
        name = f"What is {state}, looked at every morning by each of us"
        await save(owner, f"/merchant/orders?state={state}", name, **more)
    pages += ["/merchant/filters", "/merchant/orders?state=paid", "/merchant/orders?q=a@b.example"]
    jar = owner.http.cookies.jar
    cookies = [{"name": each.name, "value": each.value, "url": site} for each in jar]
    complaints = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(
            locale=language, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
        )
        await context.add_cookies(cookies)
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for address in pages:
            await page.goto(site + address)
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


async def test_the_chart_is_drawn_within_the_policy(served_town):
    """Under the page's own policy the chart draws, nothing is blocked, and the table is at hand."""
    town, site = served_town
    await addresses(town)
    owner = await town.join(Role.OWNER)
    said = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(locale="en-US")
        jar = owner.http.cookies.jar
        await context.add_cookies(
            [{"name": each.name, "value": each.value, "url": site} for each in jar]
        )
        page = await context.new_page()
        page.on("console", lambda told: said.append(told.text))
        await page.goto(f"{site}/merchant")
        await page.locator("[data-chart][data-drawn] canvas").wait_for()
        box = await page.locator("[data-chart] canvas").bounding_box()
        await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await page.locator("details[data-table] summary").click()
        rows = await page.locator("details[data-table] tbody tr").count()
        await chromium.close()

    assert 200 < box["height"]
    assert (1, []) == (rows, said)


async def test_without_scripts_the_table_is_open(served_town):
    """Where no script runs, the numbers stand in an open table and no empty chart is left."""
    town, site = served_town
    await addresses(town)
    owner = await town.join(Role.OWNER)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(locale="en-US", java_script_enabled=False)
        jar = owner.http.cookies.jar
        await context.add_cookies(
            [{"name": each.name, "value": each.value, "url": site} for each in jar]
        )
        page = await context.new_page()
        await page.goto(f"{site}/merchant")
        is_open = await page.locator("details[data-table] tbody tr").first.is_visible()
        is_chart = await page.locator("[data-chart]").is_visible()
        await chromium.close()

    assert (True, False) == (is_open, is_chart)


async def test_a_key_file_goes_in_without_leaving_the_page(served_town, tmp_path):
    """With scripts a file is sent in place, the report comes into the page, and nothing breaks."""
    town, site = served_town
    await town.north.offer("GAME", keys=0)
    query = ShopProductQuery(MerchantId(town.north.merchant))
    ((found,),) = await town.north.catalog.list_products([query])
    file = tmp_path / "keys.txt"
    file.write_text("".join(f"KEY-{n:06}\n" for n in range(2_000)) + "KEY-000001\n")
    owner = await town.join(Role.OWNER)
    said = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(locale="en-US")
        jar = owner.http.cookies.jar
        await context.add_cookies(
            [{"name": each.name, "value": each.value, "url": site} for each in jar]
        )
        page = await context.new_page()
        page.on("console", lambda told: said.append(told.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        path = f"{site}/merchant/products/{to_serial(found.product.id)}/stock"
        await page.goto(path)
        await page.locator("#file").set_input_files(file)
        await page.locator("[data-upload] button[type=submit]").click()
        report = page.get_by_role("status")
        await report.wait_for()
        told = await report.inner_text()
        address = page.url
        await chromium.close()
    [stock] = await town.north.catalog.count_stock(["GAME"])

    assert "2,000 of 2,001 lines are keys now." in told
    assert (2_000, path, []) == (stock.free, address, said)
