"""The operator's console in a real browser: joined by the demo's link, signed in, looked at."""

import re

import pyotp
import pytest
import pytest_asyncio
from tests.e2e.walk import Seen, Walk

from vendrail.kernel.locales import nearest

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),  # Six languages, and every width of each page.
]

PASSWORD = "a quiet lake at dawn"
PAGES = (
    "",
    "/orders",
    "/complaints",
    "/reviews",
    "/unmatched",
    "/sagas",
    "/approvals",
    "/channels",
    "/currencies",
    "/people",
    "/log",
    "/system",
)
LATER = (
    ("en-US", "dark"),
    ("zh-TW", "light"),
    ("ja-JP", "dark"),
    ("ko-KR", "light"),
    ("es-ES", "dark"),
)
# They show names and addresses, which are in no language.
NAMED = ("/unmatched", "/channels", "/currencies", "/people", "/log", "/system")
EXPECTED = ("(Not Found)", "(Unprocessable Entity)", "(Unprocessable Content)")


async def join(walk: Walk, link: str) -> str:
    """Join by the link, looking closely at each step; give a recovery code."""
    page = walk.page
    await page.goto(link)
    await walk.look("join")
    await page.locator("#name").fill("ann@rail.example")  # The same in every language.
    for field in ("#password", "#again"):
        await page.locator(field).fill(PASSWORD)
    await page.locator("main button[type=submit]").click()
    await page.wait_for_url("**/console/factor")
    await page.locator("main summary").click()
    await walk.look("second factor", is_translated=False)  # It names the key in groups.
    secret = (await page.locator("#secret").inner_text()).replace(" ", "")
    await page.locator("#code").fill("000000")
    await page.locator("main button.btn-primary").click()
    await page.locator("#problem").wait_for()
    await page.locator("#code").fill(pyotp.TOTP(secret).now())
    await page.locator("main button.btn-primary").click()
    await page.locator("#codes").wait_for()
    await walk.look("recovery codes")
    return await page.locator("#codes code").first.inner_text()


async def sign_in(walk: Walk, code: str) -> None:
    """Sign in with the keyboard alone, and a recovery code."""
    page = walk.page
    await walk.go("/console/forgotten", "forgotten")
    await walk.go("/console/sign-in", "sign in")
    await page.keyboard.type("operator@demo.example")
    await page.locator("#password").focus()
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/code")
    await walk.look("code")
    await page.locator("#code").fill(code)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/operator")


@pytest_asyncio.fixture(loop_scope="session")
async def walked(demo, visit):
    """Join in Chinese by day, sign in in English by night, then look at every page in each."""
    link = re.search(r"http://\S+/join/[\w-]+", demo.told)[0]
    browser = await visit("zh-CN", color_scheme="light")
    walk = Walk(await browser.enter(), "zh-CN")
    code = await join(walk, link)
    seen = [(await everywhere(walk), browser.complaints)]
    cookies = []
    for language, scheme in LATER:
        browser = await visit(language, color_scheme=scheme)
        walk = Walk(await browser.enter(), language)
        if cookies:
            await browser.context.add_cookies(cookies)
        await walk.page.goto(f"{walk.buyer.site}/language/{nearest(language)}?next=/help")
        if not cookies:
            await sign_in(walk, code)
        seen.append((await everywhere(walk), browser.complaints))
        cookies = await browser.context.cookies()  # A session's token changes by and by.
    return seen


async def everywhere(walk: Walk) -> Seen:
    """Look at every page of the console."""
    for path in PAGES:
        name = path or "home"
        await walk.go(f"/operator{path}", name, is_translated=path not in NAMED)
    await walk.go("/console/account", "account", is_translated=False)  # It names browsers.
    return walk.seen


async def test_consoles_are_whole_in_a_browser(walked):
    """No page is wider than its screen, mixes languages, or has a serious finding of axe."""
    assert {"join", "recovery codes"} <= set(walked[0][0].stops)
    assert {"forgotten", "sign in", "code"} <= set(walked[1][0].stops)
    for seen, complaints in walked:
        assert {*(path or "home" for path in PAGES), "account"} <= set(seen.stops)
        assert [] == seen.overflowing
        assert [] == seen.foreign
        assert [] == seen.grave
        assert [] == [each for each in complaints if not any(word in each for word in EXPECTED)]
