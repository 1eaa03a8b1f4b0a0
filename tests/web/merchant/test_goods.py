"""Products and keys of a merchant, as a browser changes them, over real services."""

import csv
import html
import io
import re

import pytest
from tests.web.console.conftest import PASSWORD

from vendrail.api.catalog import (
    DeliveryKind,
    KeyState,
    MerchantId,
    ProductState,
    QuantityPrice,
    ShopProductQuery,
    StockCount,
)
from vendrail.api.identity import Role
from vendrail.kernel.ids import to_serial

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100


async def goods(town, market=None):
    """Read a merchant's products, newest first."""
    market = market or town.north
    query = ShopProductQuery(MerchantId(market.merchant))
    return (await market.catalog.list_products([query]))[0]


async def upload(browser, path: str, name: str, content: bytes, **fields: str):
    """Send a file with the fields of its form."""
    token = browser.token()
    files = {"file": (name, content)}
    sent = await browser.http.post(
        f"{path}?form_token={token}", data=fields, files=files, follow_redirects=True
    )
    browser.page = sent
    return sent


async def stocked(town, browser, sku: str = "GAME") -> str:
    """Open the stock page of a product; give its product's address."""
    await town.north.offer(sku, keys=0)
    [found, *_] = await goods(town)
    path = f"/merchant/products/{to_serial(found.product.id)}"
    await browser.go(f"{path}/stock")
    return path


async def test_a_product_is_made_priced_and_put_on_sale(town, read_field):
    """A draft, then its price and words; each change is said, and in the log, before and after."""
    browser = await town.join(Role.SELLER)
    await browser.go("/merchant/products/new")
    first = {
        "shop": read_field(browser, "shop"),
        "nonce": read_field(browser, "nonce"),
        "title": "Steam wallet",
        "category": "Games",
        "delivery": "unique_key",
        "sku": "STEAM-50",
        "variant": "50 CNY",
        "price_CNY": "48.80",
        "quantity_min": "1",
        "quantity_max": "5",
    }
    await browser.send("/merchant/products/new", **first)
    path, said = browser.path, ["Saved." in browser.text]
    town.clock.advance(1)  # Acts of one moment have no order.
    await browser.send(
        f"{path}/variants",
        variant=read_field(browser, "variant"),
        sku="STEAM-50",
        title="50 CNY",
        price_CNY="47",
        quantity_min="1",
        quantity_max="10",
        position="0",
    )
    said.append("Saved." in browser.text)
    town.clock.advance(1)
    await browser.send(
        path, title="Steam wallet code", description="**Fast**", restock_hours="2", category=""
    )
    said.append("Saved." in browser.text)
    town.clock.advance(1)
    await browser.send(f"{path}/state", state="on_sale")
    said.append("Saved." in browser.text)
    [found] = await goods(town)
    acts = await town.acts(town.north)
    shown = await town.world.browser().go(f"/products/{path[-26:]}")

    product = found.product
    assert ("Steam wallet code", ProductState.ON_SALE) == (product.title, product.state)
    assert [False, True, True, True] == said
    assert (7_200, "") == (product.restock_wait_s, product.category)
    assert [{"CNY": 4_700}] == [each.prices_minor for each in product.variants]
    assert "<strong>Fast</strong>" in shown.text
    told = [(each.act, each.before, each.after) for each in acts if each.act != "member.joined"]
    told = [each for each in told if each[0].startswith(("product", "variant"))]
    assert ["product.created", "variant.changed", "product.changed", "product.changed"] == [
        each[0] for each in told
    ]
    assert {"price CNY": "48.80", "quantity": "1–5"} == told[1][1]
    assert {"price CNY": "47.00", "quantity": "1–10"} == told[1][2]
    assert ({"state": "draft"}, {"state": "on_sale"}) == told[3][1:]


async def test_sending_a_form_twice_makes_one_product(town, read_field):
    """The form of a new product is good once: sent again it changes nothing."""
    browser = await town.join(Role.SELLER)
    await browser.go("/merchant/products/new")
    fields = {"shop": read_field(browser, "shop"), "nonce": read_field(browser, "nonce")}
    fields |= {"title": "One", "delivery": "text", "sku": "ONE", "price_CNY": "1"}
    fields |= {"quantity_min": "1", "quantity_max": "1"}
    for _ in range(2):
        await browser.go("/merchant/products/new")
        await browser.send("/merchant/products/new", **fields)

    assert ["One"] == [each.product.title for each in await goods(town)]


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"price_CNY": "cheap"}, "Write prices"),
        ({"price_CNY": ""}, "Write prices"),
        ({"price_CNY": "0"}, "does not fit"),
        ({"price_CNY": "-1"}, "does not fit"),
        ({"sku": "a b"}, "does not fit"),
        ({"sku": "TAKEN"}, "SKU is taken"),
        ({"quantity_min": "x"}, "whole numbers"),
        ({"quantity_min": "9", "quantity_max": "3"}, "does not fit"),
        ({"title": ""}, "does not fit"),
        ({"shop": "nothing"}, "one of your shops"),
    ],
)
async def test_a_wrong_product_is_said_and_not_made(town, read_field, wrong, said):
    """What does not fit is said above the form, and what was written stays in it."""
    await town.south.offer("TAKEN")
    browser = await town.join(Role.SELLER)
    await browser.go("/merchant/products/new")
    fields = {"shop": read_field(browser, "shop"), "nonce": read_field(browser, "nonce")}
    fields |= {"title": "Mine & yours", "delivery": "text", "sku": "ONE", "price_CNY": "1"}
    fields |= {"quantity_min": "1", "quantity_max": "1"} | wrong
    await browser.send("/merchant/products/new", **fields)

    assert (422, []) == (browser.page.status_code, await goods(town))
    assert said in browser.text
    assert wrong.get("title") == "" or "Mine &amp; yours" in browser.page.text


async def test_quantity_prices_are_set_shown_and_taken_off(town, read_field):
    """The form's lines become steps, the buyers' page tells them; what does not fit is said."""
    browser = await town.join(Role.SELLER)
    path = await stocked(town, browser)
    await browser.go(path)
    fields = {"variant": read_field(browser, "variant"), "sku": "GAME", "price_CNY": "19.90"}
    fields |= {"quantity_min": "1", "quantity_max": "20", "position": "0", "title": "One"}
    steps = {"step_0_from": "10", "step_0_CNY": "15.00", "step_1_from": "5", "step_1_CNY": "18.00"}
    await browser.send(f"{path}/variants", **fields, **steps)
    [found] = await goods(town)
    acts = await town.acts(town.north, "variant.changed")
    shown = await town.world.browser().go(f"/products/{path[-26:]}")
    kept = browser.text
    await browser.send(f"{path}/variants", **fields, step_0_from="5", step_0_CNY="19.90")
    wrong = (browser.page.status_code, browser.text)
    await browser.send(f"{path}/variants", **fields, step_0_from="", step_0_CNY="")
    [after] = await goods(town)

    steps = [QuantityPrice(5, {"CNY": 1_800}), QuantityPrice(10, {"CNY": 1_500})]
    assert steps == found.product.variants[0].quantity_prices
    assert "18.00" == acts[0].after["price CNY from 5"]
    assert 'data-steps="5:1800 10:1500"' in shown.text
    assert "from 10: CN¥15.00 each" in shown.text
    assert "from 5: CN¥18.00 each" in kept
    assert (422, True) == (wrong[0], "each is cheaper than the one before" in wrong[1])
    assert [] == after.product.variants[0].quantity_prices


async def test_variants_come_and_go_and_their_keys_stay(town, read_field):
    """A variant is added, another withdrawn; the last one stays whatever is sent."""
    browser = await town.join(Role.SELLER)
    path = await stocked(town, browser)
    await browser.go(path)
    new = browser.page.text.split('name="variant" value="')[-1][:26]
    fields = {"quantity_min": "1", "quantity_max": "2", "position": "1"}
    await browser.send(f"{path}/variants", variant=new, sku="GAME-2", price_CNY="9", **fields)
    [found] = await goods(town)
    first = min(found.product.variants, key=lambda each: each.position)
    await browser.send(f"{path}/variants", variant=to_serial(first.id), act="withdraw")
    [after] = await goods(town)
    last = after.product.variants[0]
    await browser.send(f"{path}/variants", variant=to_serial(last.id), act="withdraw")

    assert {"GAME", "GAME-2"} == {each.sku for each in found.product.variants}
    assert ["GAME-2"] == [each.sku for each in after.product.variants]
    assert 422 == browser.page.status_code
    assert first.id in after.variants_ever


async def test_keys_come_in_from_a_file_with_a_report(town, read_field):
    """Lines are added or rejected with number and reason; the same form again adds nothing."""
    browser = await town.join(Role.SELLER)
    path = await stocked(town, browser)
    intake = path.replace("products", "intake")
    nonce = read_field(browser, "nonce")
    content = "key,note\nAAA-1,x\nAAA-2,y\nAAA-1,z\n,empty\n".encode("gb18030")
    for _ in range(2):
        await upload(browser, intake, "keys.csv", content, sku="GAME", nonce=nonce)
        assert "2 of 4 lines are keys now" in browser.text
        assert "known already 1" in browser.text
        assert "4,duplicate" in browser.page.text.replace("%2C", ",")
    [stock] = await town.north.catalog.count_stock(["GAME"])
    acts = await town.acts(town.north, "keys.")

    assert 2 == stock.free
    assert ["keys.added", "keys.added"] == [each.act for each in acts]
    assert "keys.csv" == acts[0].after["file"]
    assert "AAA-1" not in browser.page.text


async def test_keys_are_pasted_too(town, read_field):
    """Without a file, what was pasted is taken in, a key a line; nothing at all is said."""
    browser = await town.join(Role.SELLER)
    path = await stocked(town, browser)
    intake = path.replace("products", "intake")
    await upload(browser, intake, "", b"", sku="GAME", nonce=read_field(browser, "nonce"))
    assert (422, True) == (browser.page.status_code, "Choose a file" in browser.text)
    fields = {"sku": "GAME", "nonce": read_field(browser, "nonce"), "pasted": "B-1\r\nB-2\r\n"}
    await upload(browser, intake, "", b"", **fields)
    [stock] = await town.north.catalog.count_stock(["GAME"])

    assert "2 of 2 lines are keys now" in browser.text
    assert 2 == stock.free


async def test_a_table_without_a_column_of_keys_is_said(town, read_field):
    """What cannot be read is explained, and nothing is taken in."""
    browser = await town.join(Role.SELLER)
    path = await stocked(town, browser)
    intake = path.replace("products", "intake")
    fields = {"sku": "GAME", "nonce": read_field(browser, "nonce")}
    await upload(browser, intake, "keys.csv", b"one,two\nA,B\n", **fields)

    assert "must name its column of keys" in browser.text
    assert [StockCount("GAME", 0, 0, 0, 0, 0)] == await town.north.catalog.count_stock(["GAME"])


async def test_a_batch_is_undone_and_sold_keys_are_named(town, read_field):
    """Free keys of the batch are void, the order that has one is named, the reason is kept."""
    browser = await town.join(Role.SELLER)
    path = await stocked(town, browser)
    intake = path.replace("products", "intake")
    content = b"\n".join(b"K-%d" % n for n in range(5))
    nonce = read_field(browser, "nonce")
    await upload(browser, intake, "keys.txt", content, sku="GAME", nonce=nonce)
    order = await town.sell(town.north, "GAME")
    batch = read_field(browser, "batch")
    await browser.send(f"{path}/stock/void", sku="GAME", batch=batch)
    assert (422, True) == (browser.page.status_code, "Say why" in browser.text)
    await browser.send(f"{path}/stock/void", sku="GAME", batch=batch, reason="wrong file")
    [act] = await town.acts(town.north, "keys.voided")

    assert "4 keys are void now" in browser.text
    assert to_serial(order) in browser.page.text
    assert [StockCount("GAME", 0, 0, 0, 1, 4)] == await town.north.catalog.count_stock(["GAME"])
    assert ("wrong file", {"free": "4", "void": "0"}) == (act.reason, act.before)


async def test_keys_go_out_only_to_who_may_and_are_logged_first(town):
    """An owner gets a file of the keys in clear, with a reason; a seller gets none."""
    seller, owner = await town.join(Role.SELLER), await town.join(Role.OWNER)
    path = await stocked(town, seller)
    await town.north.stock("GAME", 3)
    fields = {"sku": "GAME", "state": "free"}
    await owner.go(f"{path}/stock")
    refused = await owner.send(f"{path}/stock/export", raw=True, **fields)
    given = await owner.send(f"{path}/stock/export", raw=True, reason="moving", **fields)
    denied = await seller.send(f"{path}/stock/export", raw=True, reason="mine", **fields)
    rows = list(csv.DictReader(io.StringIO(given.text)))
    kept = await town.north.catalog.export_keys("GAME", KeyState.FREE, None, 10)
    acts = await town.acts(town.north, "keys.exported")

    assert [key for _, key in kept] == [row["key"] for row in rows]
    assert 'attachment; filename="GAME-free.csv"' == given.headers["content-disposition"]
    assert "no-store" == given.headers["cache-control"]
    assert (422, 403) == (refused.status_code, denied.status_code)
    assert [("moving", {"state": "free", "count": "3"})] == [(a.reason, a.after) for a in acts]
    assert "Take keys out" not in seller.text


async def test_content_of_what_has_no_end(town):
    """A text is set once and never shown again; the variant can be bought from then on."""
    await town.north.offer("BOOK", keys=0, delivery=DeliveryKind.TEXT)
    [found] = await goods(town)
    path = f"/merchant/products/{to_serial(found.product.id)}/stock"
    browser = await town.join(Role.SELLER)
    await browser.go(path)
    assert "sold out" in browser.text
    await browser.send(f"{path}/content", sku="BOOK", content="the secret chapter")
    [after] = await goods(town)

    assert ["BOOK"] == after.contents
    assert "secret chapter" not in browser.page.text


async def test_a_picture_is_what_its_bytes_say(town, read_field):
    """A PNG becomes the product's picture whatever it is called; a script in disguise does not."""
    browser = await town.join(Role.SELLER)
    path = await stocked(town, browser)
    await browser.go(path)
    await upload(browser, f"{path}/picture", "../../evil.html", PNG)
    [found] = await goods(town)
    shown = await town.world.browser().http.get(f"/media/{found.product.picture}")
    await upload(browser, f"{path}/picture", "a.png", b"<svg onload=alert(1)>")

    assert found.product.picture.startswith(f"merchants/{to_serial(town.north.merchant)}/")
    assert ("image/png", PNG) == (shown.headers["content-type"], shown.content)
    assert (422, True) == (browser.page.status_code, "PNG, JPEG or WebP" in browser.text)


async def test_a_product_typed_for_longer_than_a_session_lasts_is_not_lost(town):
    """Signed in again, the long form is as it was typed; pressed once more, it is saved."""
    await town.north.offer("GAME", keys=0)
    [found] = await goods(town)
    path = f"/merchant/products/{to_serial(found.product.id)}"
    email = "seller@north.example"
    browser = await town.join(Role.SELLER, email=email)
    await browser.go(path)
    typed = {
        "title": 'The "long" <game>',
        "category": "Games & more",
        "description": "**Bold**\n\nlines & <tags>",
        "instructions": "Type it in.",
        "hold_policy": "at_payment",
        "restock_hours": "48",
        "warranty_term": "30",
        "warranty_unit": "days",
        "warranty_covers": "All of it",
        "warranty_keys": "2",
        "warranty_buyer_keys": "3",
        "warranty_out": "refund",
    }
    town.clock.advance(61 * 60)
    await browser.send(path, **typed)
    assert "/console/sign-in" == browser.path
    onto = html.unescape(re.search(r'name="next" value="([^"]*)"', browser.page.text)[1])
    await browser.send("/console/sign-in", email=email, password=PASSWORD, next=onto)
    shown = read_form(browser.page.text, path)

    assert (path, True) == (browser.path, "Nothing was sent yet" in browser.text)
    assert typed == {name: shown[name] for name in typed}
    [same] = await goods(town)
    assert found.product.title == same.product.title
    await browser.send(path, **{name: shown[name] for name in typed})
    [saved] = await goods(town)
    assert ('The "long" <game>', "**Bold**\n\nlines & <tags>") == (
        saved.product.title,
        saved.product.description,
    )


def read_form(page: str, address: str) -> dict[str, str]:
    """Give what a browser would send of the last form to an address, without its token."""
    form = page.rsplit(f'action="{address}"', maxsplit=1)[-1].split("</form>", maxsplit=1)[0]
    found = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = (re.search(rf'{each}="([^"]*)"', tag) for each in ("name", "value"))
        found[name[1]] = html.unescape(value[1]) if value else ""
    for name, text in re.findall(
        r'<textarea[^>]* name="([^"]*)"[^>]*>(.*?)</textarea>', form, re.DOTALL
    ):
        found[name] = html.unescape(text).removeprefix("\n")
    for name, options in re.findall(
        r'<select[^>]* name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL
    ):
        [chosen] = re.findall(r'value="([^"]*)" selected', options)
        found[name] = html.unescape(chosen)
    return found


async def test_a_draft_is_previewed_as_buyers_will_see_it(town):
    """The preview shows the shop's page of a draft, which buyers do not find yet."""
    await town.north.offer("GAME", keys=3)
    [found] = await goods(town)
    path = f"/merchant/products/{to_serial(found.product.id)}"
    browser = await town.join(Role.SELLER)
    await browser.go(path)
    await browser.send(f"{path}/state", state="draft")
    await browser.go(f"{path}/preview")
    hidden = await town.world.browser().go(f"/products/{path[-26:]}")

    assert "Nothing can be bought here" in browser.text
    assert "Product GAME" in browser.text
    assert "inert" in browser.page.text
    assert 404 == hidden.status_code


async def test_who_only_looks_changes_nothing(town):
    """Support sees products and stock without a form, and what it sends is refused."""
    browser = await town.join(Role.SUPPORT)
    path = await stocked(town, browser)
    assert "Take keys in" not in browser.text
    await browser.go(path)
    assert "Save" not in browser.text
    sent = await browser.send(f"{path}/state", raw=True, state="paused")
    [found] = await goods(town)

    assert (403, ProductState.ON_SALE) == (sent.status_code, found.product.state)
