"""A shop's look: a few accents that can be read, light or dark, and a picture of its own."""

import re
from pathlib import Path

import pytest

from vendrail.api.catalog import MerchantId, ShopProductQuery
from vendrail.api.identity import Role
from vendrail.kernel.ids import to_serial
from vendrail.web import app as web
from vendrail.web.merchant.shop import ACCENTS

CSS = (Path(web.__file__).parent / "assets/design.css").read_text("utf-8")
PNG = b"\x89PNG\r\n\x1a\n" + b"a small picture"
FIELDS = {"name": "North", "contact": "", "notice": "", "is_open": "yes"}


def luminance(colour: str) -> float:
    """Give a colour's relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colours(block: str) -> dict[str, str]:
    """Read the colours that a block of the style sheet sets."""
    return dict(re.findall(r"--color-([a-z0-9-]+): (#[0-9a-f]{6});", block))


def grounds(theme: str) -> dict[str, str]:
    """Read the colours of a theme."""
    return colours(CSS.split(f'name: "{theme}";', 1)[1].split("}", 1)[0])


@pytest.mark.parametrize("accent", ACCENTS)
def test_every_accent_can_be_read_in_both_themes(accent):
    """As a text, as a button's ground and on it: 4.5 to 1 or more, in light, dark and by system."""
    plain = re.search(rf"\n  \.accent-{accent} \{{(.*?)\}}", CSS, re.DOTALL)[1]
    chosen = re.search(
        rf'\[data-theme="rail-dark"\] \.accent-{accent} \{{(.*?)\}}', CSS, re.DOTALL
    )[1]
    by_system = re.search(
        rf":root:not\(\[data-theme\]\) \.accent-{accent} \{{(.*?)\}}", CSS, re.DOTALL
    )[1]

    assert colours(chosen) == colours(by_system)
    for block, theme in ((plain, "rail"), (chosen, "rail-dark")):
        own, ground = colours(block), grounds(theme)
        assert 4.5 <= contrast(own["primary"], own["primary-content"])
        for base in ("base-100", "base-200"):
            assert 4.5 <= contrast(own["primary"], ground[base]), (theme, base)


async def test_the_shop_and_its_products_wear_the_look(town):
    """Accent and scheme are on both pages, until a visitor chooses otherwise; elsewhere on none."""
    await town.north.offer("GAME", keys=3)
    browser = await town.join(Role.OWNER)
    path = f"/merchant/shop/{to_serial(town.north.shop)}"
    await browser.go("/merchant/shop")
    await browser.send(path, theme="plum", scheme="dark", **FIELDS)
    [[found]] = await town.north.catalog.list_products(
        [ShopProductQuery(MerchantId(town.north.merchant))]
    )
    town.clock.advance(5)  # Pages learn of it within their short memory.
    visitor = town.world.browser(app=town.world.make_other())
    pages = [
        (await visitor.http.get(address)).text
        for address in ("/shops/north", f"/products/{to_serial(found.product.id)}")
    ]
    home = (await visitor.http.get("/")).text
    await visitor.http.get("/theme/light?next=/")
    light = (await visitor.http.get("/shops/north")).text

    for page in pages:
        assert 'class="accent-plum" data-theme="rail-dark">' in page
        assert "style=" not in page
    assert "accent-plum" not in home
    assert 'class="accent-plum" data-theme="rail">' in light


async def test_a_look_that_is_none_changes_nothing(town):
    """A theme that is not offered leaves the one that is there, whoever sends it."""
    browser = await town.join(Role.OWNER)
    path = f"/merchant/shop/{to_serial(town.north.shop)}"
    await browser.go("/merchant/shop")
    await browser.send(path, theme='x" onload="y', scheme="bright", **FIELDS)
    [[shop]] = await town.north.catalog.list_shops([MerchantId(town.north.merchant)])

    assert ("default", "auto") == (shop.theme, shop.scheme)


async def test_a_logo_comes_and_goes(town):
    """A picture is told by its bytes and shown at the head of the shop, until it is removed."""
    browser = await town.join(Role.OWNER)
    path = f"/merchant/shop/{to_serial(town.north.shop)}"
    await browser.go("/merchant/shop")

    async def send(content):
        address = f"{path}/logo?form_token={browser.token()}"
        files = {"picture": ("logo.png", content, "image/png")}
        browser.page = await browser.http.post(address, files=files, follow_redirects=True)
        return browser.page.status_code

    assert 422 == await send(b"<svg onload=1>")
    await browser.go("/merchant/shop")
    assert 200 == await send(PNG)
    [[shop]] = await town.north.catalog.list_shops([MerchantId(town.north.merchant)])
    picture = await browser.http.get(f"/media/{shop.logo}")
    town.clock.advance(5)
    shown = await town.world.browser(app=town.world.make_other()).http.get("/shops/north")
    await browser.go("/merchant/shop")
    await browser.send(f"{path}/logo/remove")
    [[after]] = await town.north.catalog.list_shops([MerchantId(town.north.merchant)])

    assert PNG == picture.content
    assert f'src="/media/{shop.logo}"' in shown.text
    assert "" == after.logo
    assert "shop.changed" in {act.act for act in await town.acts(town.north)}
