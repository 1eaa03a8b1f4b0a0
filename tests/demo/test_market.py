"""The demo's goods: enough of them, each with a picture of ours, keys that are never twice."""

import io
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from string import Formatter

import pytest
from rich.cells import cell_len
from rich.console import Console

from vendrail.api.catalog import Catalog, DeliveryKind, KeyState, Shop
from vendrail.api.identity import Identity
from vendrail.api.wallets import Wallets
from vendrail.app.demo import book, codes, covers
from vendrail.app.demo.market import KEYS_PER_VARIANT, prose, read_market
from vendrail.app.demo.seeding import seed
from vendrail.app.demo.words import _WORDS, Places, Tongue
from vendrail.app.services import SCHEMAS
from vendrail.app.wiring import House, build
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import named_id
from vendrail.kernel.locales import TAGS
from vendrail.kernel.migrate import migrate


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """The whole platform on an empty database."""
    await migrate(database_url, SCHEMAS)
    house = await build(PlatformSettings(home=tmp_path, database_url=database_url), {})
    yield house
    await house.stop()


def test_market_is_as_large_as_promised() -> None:
    """Three merchants, four shops, fifteen products of five categories, every way to deliver."""
    market = read_market()
    products = [each.product for each in market.goods]

    assert (3, 4, 15) == (len(market.terms), len(market.shops), len(market.goods))
    assert 5 == len({product.category for product in products})
    assert set(DeliveryKind) == {product.delivery for product in products}
    prices = [v.prices_minor for each in products for v in each.variants]
    assert all(price > 0 for each in prices for price in each.values())
    assert {"CNY", "SGD", "USD"} == {currency for each in prices for currency in each}
    assert all(len(product.description) > 40 and product.instructions for product in products)


def test_every_product_has_a_cover_of_its_own() -> None:
    """Each cover is well-formed, different, small, and loads and runs nothing."""
    drawn = {each.product.slug: covers.draw(each.product.slug) for each in read_market().goods}
    elements = [element for text in drawn.values() for element in ET.fromstring(text).iter()]
    tags = {element.tag.split("}")[1] for element in elements}

    assert set(covers.COVERS) == set(drawn)
    assert 15 == len(set(drawn.values()))
    assert tags <= {
        "svg", "defs", "linearGradient", "radialGradient", "stop", "rect", "circle", "path",
        "polygon", "g", "clipPath",
    }  # fmt: skip
    assert not any("href" in name for element in elements for name in element.attrib)
    assert 10_000 > max(map(len, drawn.values()))


@pytest.mark.parametrize("form", codes.FORMS)
def test_keys_of_a_form_are_never_twice(form: str) -> None:
    """Ten thousand keys of any form are ten thousand different keys, each one line."""
    made = codes.make(form, 10_000)

    assert 10_000 == len(set(made))
    assert not any("\n" in key for key in made)


def test_book_is_an_epub() -> None:
    """The book opens: its type comes first and unpacked, every page is well-formed."""
    with zipfile.ZipFile(io.BytesIO(book.build())) as archive:
        names = archive.namelist()
        for name in names[1:]:
            ET.fromstring(archive.read(name))

        assert "mimetype" == names[0]
        assert zipfile.ZIP_STORED == archive.getinfo("mimetype").compress_type
        assert b"application/epub+zip" == archive.read("mimetype")


async def test_seeding_twice_adds_nothing(house: House) -> None:
    """The second seeding finds everything there; what a person changed since stays changed."""
    catalog: Catalog = house.api(Catalog)
    first = await seed(house, is_known=False)
    view = (await catalog.read_products([read_market().goods[0].product.id]))[0]
    assert view is not None
    await catalog.put_products([replace(view.product, title="New title")])
    second = await seed(house, is_known=True)
    again = (await catalog.read_products([view.product.id]))[0]
    shops = await catalog.read_shops([])
    keys = await catalog.export_keys("FOG-STD", KeyState.FREE, None, 1_000)

    assert (first % KEYS_PER_VARIANT, 0) == (0, second)
    assert again is not None
    assert "New title" == again.product.title
    assert 4 == len(shops)
    assert KEYS_PER_VARIANT == len({key for _, key in keys})


async def test_wallets_are_on_until_somebody_switches_them_off(house: House) -> None:
    """The first seeding switches wallets on in yuan; what a person said since stays so."""
    wallets: Wallets = house.api(Wallets)
    await seed(house, is_known=False)
    [first] = await wallets.list_wallet_terms()
    await wallets.put_wallet_terms([replace(first, is_on=False)])
    await seed(house, is_known=True)
    second = await wallets.list_wallet_terms()

    assert read_market().wallets == [first]
    assert ("CNY", True) == (first.currency, first.is_on)
    assert [replace(first, is_on=False)] == second


async def test_merchants_are_known_whatever_becomes_of_their_shops(house: House) -> None:
    """Identity knows each merchant by name; one that a person named anew keeps that name."""
    identity: Identity = house.api(Identity)
    await seed(house, is_known=False)
    first = await identity.list_merchants(10, None)
    await identity.put_merchants([replace(first[0], name="New name")])
    await seed(house, is_known=True)
    names = {each.id: each.name for each in await identity.list_merchants(10, None)}

    assert {s.merchant: s.merchant_name for s in read_market().shops} == {
        each.id: each.name for each in first
    }
    assert names == {each.id: each.name for each in first} | {first[0].id: "New name"}


async def test_seeding_goes_on_where_it_was_ended(house: House) -> None:
    """A seeding that was ended in the middle is completed by the next one."""
    catalog: Catalog = house.api(Catalog)
    market = read_market()
    await catalog.put_shops(market.shops[:2])
    await catalog.put_products([each.product for each in market.goods[:3]])
    added = await seed(house, is_known=False)
    counts = await catalog.count_stock(
        [v.sku for g in market.goods if g.form for v in g.product.variants]
    )

    assert added == sum(count.free for count in counts if count)
    assert {KEYS_PER_VARIANT} == {count.free for count in counts if count}


async def test_file_for_sale_is_not_public(house: House) -> None:
    """The book lies in the folder of files, and nothing but pictures in the public one."""
    await seed(house, is_known=False)
    home = house.platform.home

    assert book.build() == (home / "files/demo" / book.FILE_NAME).read_bytes()
    assert {".svg"} == {path.suffix for path in (home / "media").rglob("*") if path.is_file()}


async def test_marketplace_of_others_is_left_alone(house: House) -> None:
    """Where other shops are open and the demo never was, nothing is put in."""
    catalog: Catalog = house.api(Catalog)
    stranger = Shop(named_id("a"), named_id("b"), "Someone", "someones-shop", "Someone's shop")
    await catalog.put_shops([stranger])

    with pytest.raises(Malformed, match="did not make"):
        await seed(house, is_known=False)
    assert [stranger] == await catalog.read_shops([])


@pytest.mark.parametrize(
    "environment,expected",
    [
        ({}, "Shop"),
        ({"LANG": "zh_CN.UTF-8"}, "商城"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "Shop"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "商城"),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, "Shop"),
        ({"LC_MESSAGES": "zh_TW.UTF-8", "LANG": "en_US.UTF-8"}, "商城"),
        ({"LANG": "ja_JP.UTF-8"}, "ショップ"),
        ({"LANG": "ko_KR.UTF-8"}, "상점"),
        ({"LANG": "es_MX.UTF-8@currency"}, "Tienda"),
        ({"LANG": "de_DE.UTF-8"}, "Shop"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:ja:en"}, "ショップ"),
    ],
)
def test_panel_speaks_the_language_of_the_terminal(
    environment: dict[str, str], expected: str
) -> None:
    """The language that the terminal asks for, as gettext decides; English where it has none."""
    assert expected == Tongue(environment).say("shop")
    assert Tongue(environment).panel(Places("http://a", "http://b", Path("/c")))


@pytest.mark.parametrize("tag", TAGS)
def test_demo_says_the_same_in_every_language(tag: str) -> None:
    """Each language has every word, the same values in it, and a panel that fits a terminal."""
    said, english = _WORDS[tag], _WORDS["en"]
    console = Console(width=80, record=True, file=io.StringIO())
    places = Places("http://127.0.0.1:8080", "http://127.0.0.1:8081", Path("/var/lib/vendrail"))
    console.print(Tongue({"LANG": tag.replace("-", "_")}).panel(places))
    lines = console.export_text().splitlines()

    assert list(english) == list(said)
    assert {word: _values(text) for word, text in english.items()} == {
        word: _values(text) for word, text in said.items()
    }
    assert all(cell_len(line) == cell_len(lines[0]) <= 80 for line in lines)
    assert said["title"] in lines[0]


def _values(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def test_line_breaks_inside_chinese_are_taken_out() -> None:
    """A sentence broken in the source is whole on the page; lists and English keep their breaks."""
    assert "潮汐和耳朵。\n\n- 一\n- 二\nA b\nc" == prose("潮汐\n和耳朵。\n\n- 一\n- 二\nA b\nc\n")
