"""A dossier in a browser without scripts: whichever button is pressed, nothing typed is lost."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import async_playwright
from tests.compliance.papers import FIELDS, PICTURE
from tests.web.console import conftest as consoles
from tests.web.test_browser import CHROMIUM, FLAGS, free_port, served

from vendrail.api.compliance import PERSON
from vendrail.api.identity import Role
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.http import Edge

PAGE = "/merchant/verification"
PHOTOGRAPH = PICTURE + b"\0" * 6_000_000  # Larger than a document may be.


@pytest.fixture
async def world(platform_url, clock, vault, tmp_path):
    """The platform with its consoles, at a port of its own."""
    site = f"http://127.0.0.1:{free_port()}"
    before, consoles.SITE = consoles.SITE, site
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=site)
    world = consoles.World(lambda: House(platform, consoles.QUICK, clock, vault), tmp_path)
    world.site = site
    yield world
    await world.close()
    consoles.SITE = before


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_what_is_typed_stays_whichever_button_is_pressed(world):
    """Adding a document, removing one, and one that is too large keep every field as typed."""
    owner = await world.join("ow@north.example", Role.OWNER)
    below = {PAGE + "/documents/": 20_000_000}
    door = Edge(world.app, body_bytes_max_below=below)
    async with served(door, urlsplit(world.site).port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(locale="en-US", java_script_enabled=False)
        jar = owner.http.cookies.jar
        await context.add_cookies(
            [{"name": each.name, "value": each.value, "url": world.site} for each in jar]
        )
        page = await context.new_page()

        async def typed() -> dict[str, str]:
            return {
                name: await page.locator(f"#{name}").get_attribute("value")
                for name in FIELDS[PERSON]
            }

        async def choose(content: bytes, kind: str) -> None:
            await page.locator("#kind").select_option(kind)
            file = {"name": "a.png", "mimeType": "image/png", "buffer": content}
            await page.locator("#document").set_input_files(file)

        await page.goto(world.site + PAGE)
        await page.locator("#country").select_option("CN")
        await page.get_by_role("button", name="Begin").click()
        told = dict.fromkeys(FIELDS[PERSON], "")
        seen = []
        for step, (name, text) in enumerate(FIELDS[PERSON].items()):
            told[name] = text
            await page.locator(f"#{name}").fill(text)
            if step in (0, 2):
                await choose(PICTURE, "address_proof")
                await page.get_by_role("button", name="Add the document").click()
            elif step == 1:
                await choose(PHOTOGRAPH, "address_proof")
                await page.get_by_role("button", name="Add the document").click()
                refused = await page.locator("body").inner_text()
                kind = await page.locator("#kind option[selected]").get_attribute("value")
            else:
                await choose(PICTURE, "address_proof")
                await page.get_by_role("button", name="Remove it").first.click()
                left = await page.locator("#document-again").inner_text()
            seen.append((await typed(), dict(told)))
        gone = await page.locator("#documents").inner_text()
        await chromium.close()

    assert [told for _, told in seen] == [found for found, _ in seen]
    assert "Only pictures (PNG, JPEG, WebP) and PDF of at most 5 MB are taken." in refused
    assert ("address_proof", "Choose the file again.") == (kind, left)
    assert "None yet." in gone
