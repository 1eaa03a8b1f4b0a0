"""Goods without end in the console: a key for all, a text, a file; and what their buyers get."""

import pytest
from tests.web.console.conftest import make_app

from vendrail.api.catalog import MerchantId, ProductState, ShopProductQuery
from vendrail.api.identity import Role
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import to_serial


async def make(town, browser, read_field, delivery: str):
    """Make a product with the console, and put it on sale; give it and the address of its stock."""
    await browser.go("/merchant/products/new")
    await browser.send(
        "/merchant/products/new",
        nonce=read_field(browser, "nonce"),
        shop=to_serial(town.north.shop),
        title="Something",
        delivery=delivery,
        sku="THING",
        price_CNY="19.90",
        quantity_min="1",
        quantity_max="5",
        variant="",
        category="",
    )
    [[found]] = await town.north.catalog.list_products(
        [ShopProductQuery(MerchantId(town.north.merchant))]
    )
    await town.north.catalog.put_products([replace(found.product, state=ProductState.ON_SALE)])
    town.clock.advance(5)
    return found.product, f"/merchant/products/{to_serial(found.product.id)}/stock"


async def put_file(browser, product, name: str, content: bytes):
    """Send a file with the form of the stock's page."""
    path = f"/merchant/files/{to_serial(product.id)}?form_token={browser.token()}"
    sent = {"file": (name, content, "application/octet-stream")}
    browser.page = await browser.http.post(
        path, data={"sku": "THING"}, files=sent, follow_redirects=True
    )


async def buy(town, quantity=1):
    """Let somebody buy it; give their browser, on the page of the order."""
    placed = await town.north.place("THING", quantity)
    await town.north.pay(placed.order, quantity=quantity)
    await town.north.run()
    buyer = town.world.browser()
    await buyer.go(f"/orders/{to_serial(placed.order)}?key={placed.secret}")
    return buyer


@pytest.mark.parametrize("delivery", ["reusable_key", "text"])
async def test_each_buyer_gets_the_content(town, read_field, delivery):
    """Until there is a content it is sold out; then every buyer reads it, and no merchant."""
    owner = await town.join(Role.OWNER)
    _, stock = await make(town, owner, read_field, delivery)
    await owner.go(stock)
    assert "No content yet" in owner.text
    placed = await town.north.place("THING")
    assert "sold_out" == placed.status
    await owner.send(f"{stock}/content", sku="THING", content="ONE-FOR-ALL")
    assert "The content is set" in owner.text
    first, second = await buy(town), await buy(town, 2)

    assert "ONE-FOR-ALL" not in owner.page.text
    assert (1, 2) == tuple(each.page.text.count("ONE-FOR-ALL</code>") for each in (first, second))


async def test_a_file_goes_from_the_merchant_to_its_buyers(town, read_field):
    """Sent with the form, sealed on disk, shown with kind and size, and downloaded as it was."""
    owner = await town.join(Role.OWNER)
    product, stock = await make(town, owner, read_field, "file")
    await owner.go(stock)
    assert "No file yet" in owner.text
    content = b"%PDF-1.7 a secret book" * 9_000
    await put_file(owner, product, "小册子 one.pdf", content)
    assert 200 == owner.page.status_code
    assert "小册子 one.pdf" in owner.text
    assert "application/pdf" in owner.text
    buyer = await buy(town)
    file = await buyer.http.get(f"{buyer.path}/files/1")
    lying = [path for path in (town.home / "files").rglob("*") if path.is_file()]
    [*_, act] = await town.acts(town.north, "content.")

    assert "小册子 one.pdf</a>" in buyer.page.text
    assert (200, content) == (file.status_code, file.content)
    assert str(len(content)) == file.headers["content-length"]
    assert 1 == len(lying)
    assert b"secret" not in lying[0].read_bytes()
    assert {"file": "小册子 one.pdf", "bytes": str(len(content))} == act.after
    assert 404 == (await town.world.browser().http.get(f"{buyer.path}/files/1")).status_code


async def test_a_new_file_takes_the_place_of_the_old_one(town, read_field):
    """Buyers of before get the new one too, and the old one is gone from the folder."""
    owner = await town.join(Role.OWNER)
    product, stock = await make(town, owner, read_field, "file")
    await owner.go(stock)
    await put_file(owner, product, "one.txt", b"first")
    buyer = await buy(town)
    await put_file(owner, product, "../two\\three.txt", b"second")
    await buyer.go(buyer.path)
    file = await buyer.http.get(f"{buyer.path}/files/1")
    lying = [path for path in (town.home / "files").rglob("*") if path.is_file()]

    assert "three.txt</a>" in buyer.page.text
    assert b"second" == file.content
    assert ["three.txt"] == [path.name for path in lying]


async def test_a_file_that_does_not_fit_changes_nothing(town, read_field):
    """An empty file, none at all, or one for goods that are no file: said, and all stays."""
    owner = await town.join(Role.OWNER)
    product, stock = await make(town, owner, read_field, "file")
    await owner.go(stock)
    await put_file(owner, product, "one.txt", b"first")
    await put_file(owner, product, "two.txt", b"")
    empty = owner.page.status_code
    await owner.go(stock)
    path = f"/merchant/files/{to_serial(product.id)}?form_token={owner.token()}"
    without = await owner.http.post(path, data={"sku": "THING"})
    narrow = make_app(town.house, town.home, sold_file_bytes_max=1_000)
    other = town.world.browser(app=narrow)
    await other.sign_in("owner@north.example")
    await other.go(stock)
    await put_file(other, product, "big", b"x" * 1_001)
    large = other.page.status_code
    await owner.go(stock)

    assert [422] * 3 == [empty, without.status_code, large]
    assert "one.txt" in owner.text
    assert 1 == len([each for each in (town.home / "files").rglob("*") if each.is_file()])


async def test_a_file_that_is_gone_is_said(town, read_field):
    """Where the folder has lost it, the merchant's page says so instead of showing a size."""
    owner = await town.join(Role.OWNER)
    product, stock = await make(town, owner, read_field, "file")
    await owner.go(stock)
    await put_file(owner, product, "one.txt", b"first")
    for each in (town.home / "files").rglob("*.txt"):
        each.unlink()
    await owner.go(stock)

    assert "is gone from the platform's folder" in owner.text
