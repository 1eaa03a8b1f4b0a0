"""A reserve's forecast in a real browser: its chart and its table, at every width."""

import random
from datetime import timedelta

import pytest
from playwright.async_api import async_playwright
from tests.e2e.walk import AXE, GRAVE
from tests.web.test_browser import CHROMIUM, FLAGS, IS_FITTING, free_port, served
from tests.web.test_payouts import alipay, alipay_home, alipay_server, cert_app, place, prove

from vendrail.api.identity import Role
from vendrail.kernel.http import Edge
from vendrail.kernel.ids import new_id

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
__all__ = ["alipay", "alipay_home", "alipay_server", "cert_app", "place"]

_PAST = (
    "insert into payouts.payout (id, merchant, payee, channel, channel_name, currency,"
    " amount_minor, fee_minor, origin, state, asked_at, asked_by)"
    " select $1, merchant, id, channel, channel_name, 'CNY', $2, 0, 'scheduled', 'succeeded', $3,"
    " '' from payouts.payee limit 1"
)


async def write_weeks(place) -> None:
    """Let payouts have gone out three times a day for eight weeks, more of them on Fridays."""
    now, chance = place.world.clock.now(), random.Random("weeks")
    async with place.world.house.databases["payouts"].transaction() as tx:
        for hour in range(1, 8 * 168 + 1):
            at = now - timedelta(hours=hour)
            if at.hour in (1, 9, 14):
                many = 3 if at.weekday() == 4 else 1
                amount_minor = int(chance.uniform(200_000, 3_000_000)) * many
                await tx.execute(_PAST, new_id(now), amount_minor, at)


@pytest.mark.parametrize("language, scheme", [("zh-CN", "light"), ("en-US", "dark")])
async def test_a_forecast_is_drawn_and_told(place, language, scheme) -> None:
    """The curve is drawn, the table opens, nothing scrolls sideways, axe has no grave complaint."""
    await prove(place, await place.world.join("own@a.example", Role.OWNER))
    await place.money.top_up(12_345_678)
    await write_weeks(place)
    head = await place.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    site, complaints = f"http://127.0.0.1:{(port := free_port())}", []
    async with served(Edge(place.world.app), port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(
            locale=language, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
        )
        await context.add_cookies(
            [{"name": e.name, "value": e.value, "url": site} for e in head.http.cookies.jar]
        )
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for address in ("/operator/reserves", "/operator/reserves/alipay/CNY"):
            answer = await page.goto(site + address)
            assert 200 == answer.status
            if address.endswith("CNY"):
                await page.wait_for_selector("[data-drawn]", timeout=30_000)
                await page.locator("details[data-table] summary").click()
            for width in (360, 768, 1440):
                await page.set_viewport_size({"width": width, "height": 900})
                assert await page.evaluate(IS_FITTING), f"{address} overflows at {width}"
            await page.add_script_tag(path=str(AXE))
            assert [] == await page.evaluate(GRAVE), f"{address} in {scheme}"
        await chromium.close()

    assert [] == complaints
