"""Every page of the storefront, as a browser shows it: whole, in one language, for everybody."""

import pytest
import pytest_asyncio
from tests.e2e.account import AccountWalk

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),  # Six languages, and every width of each page.
]

LOAD_BYTES_MAX = 60_000
STOPS_MIN = 40
HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(1)</script>{{7*7}}@x.example"
walked = {}


VISITORS = [
    ("zh-CN", "light"),
    ("en-US", "dark"),
    ("zh-TW", "dark"),
    ("ja-JP", "light"),
    ("ko-KR", "dark"),
    ("es-ES", "light"),
]


@pytest_asyncio.fixture(loop_scope="session", params=VISITORS, ids="-".join)
async def seen(request, visit, read_code):
    """Walk everywhere once for each language, half of them in the dark."""
    if request.param not in walked:
        language, scheme = request.param
        browser = await visit(language, color_scheme=scheme)
        walk = AccountWalk(await browser.enter(), language, read_code)
        walked[request.param] = await walk.everywhere(), browser.complaints
    return walked[request.param]


async def test_b7_no_page_scrolls_sideways(seen):
    """B7: from 320 pixels to 3840 no page is wider than the screen."""
    (found, _) = seen

    assert len(found.stops) >= STOPS_MIN
    assert [] == found.overflowing


async def test_b7_every_page_speaks_one_language(seen):
    """B7: no word of ours is left in another language, in texts, titles, labels or hints."""
    (found, _) = seen

    assert [] == found.foreign


async def test_b7_no_serious_finding_of_axe(seen):
    """B7: axe-core has no serious or critical complaint about any page, in either theme."""
    (found, _) = seen

    assert [] == found.grave


async def test_browser_has_nothing_to_complain_about(seen):
    """The console stays empty: nothing missing, nothing that the policy refuses."""
    (_, complaints) = seen
    expected = ("(Not Found)", "(Unprocessable Entity)", "(Unprocessable Content)")

    assert [] == [each for each in complaints if not any(word in each for word in expected)]


@pytest.mark.parametrize("language", [language for language, _ in VISITORS])
@pytest.mark.parametrize("width", [360, 1440])
async def test_b7_first_load_is_light(visit, width, language):
    """B7: the first visit of the front page brings at most 60 kB over the wire, pictures too."""
    browser = await visit(language, viewport={"width": width, "height": 800})
    buyer = await browser.enter()
    wire = await browser.context.new_cdp_session(buyer.page)
    sizes: dict[str, int] = {}
    names: dict[str, str] = {}
    wire.on("Network.responseReceived", lambda e: names.update({e["requestId"]: _name(e)}))
    wire.on(
        "Network.loadingFinished",
        lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}),
    )
    await wire.send("Network.enable")
    await buyer.page.goto(buyer.site, wait_until="networkidle")
    told = {names.get(id, id): size for id, size in sizes.items()}

    assert any("app." in name for name in told)
    assert sum(sizes.values()) <= LOAD_BYTES_MAX, told


def _name(event) -> str:
    return event["response"]["url"].rpartition("/")[2]


async def test_x16_hostile_input_stays_text(visit):
    """X16: markup in searches, contacts and links runs nothing and breaks no page."""
    browser = await visit("en-US")
    buyer = await browser.enter()
    page = buyer.page
    raised: list[str] = []
    page.on("dialog", lambda dialog: raised.append(dialog.message))
    await page.goto(f"{buyer.site}/")
    await page.get_by_label("Search products").fill(HOSTILE[:80])
    await page.get_by_text("Nothing found").wait_for()
    await page.get_by_label("Search products").press("Enter")
    await page.get_by_text("Nothing found").wait_for()
    assert HOSTILE[:80] == await page.get_by_label("Search products").input_value()
    await buyer.open_product()
    await buyer.write("contact", HOSTILE)
    await buyer.tap("buy")
    await page.locator("#problem").wait_for()
    assert HOSTILE == await page.locator("#contact").input_value()
    await page.goto(f"{buyer.site}/lookup")
    await page.locator("#contact").evaluate("(field) => { field.type = 'text' }")
    await buyer.write("contact", HOSTILE)
    await buyer.tap("send a code")
    await page.locator("#code").wait_for()
    assert "{{7*7}}" in await page.locator("main").inner_text()
    await page.locator("#link").fill(f"{buyer.site}/orders/{HOSTILE}?key={HOSTILE}")
    await page.locator("form[action='/lookup/link'] button").click()
    await page.locator("#link-problem").wait_for()
    for path in (f"/shops/{HOSTILE}", f"/products/{HOSTILE}", f"/?category={HOSTILE}"):
        await page.goto(f"{buyer.site}{path}")
        assert 0 == await page.locator("img[src=x], script:not([src])").count()

    assert [] == raised
