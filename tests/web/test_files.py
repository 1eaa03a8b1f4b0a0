"""Files that are sold: nobody gets one but the order that has bought it."""

import re
from urllib.parse import urlsplit

import pytest

from vendrail.kernel.ids import from_serial


async def buy(browser) -> tuple[str, str]:
    """Place an order on the pages; give its address, and its address with the secret."""
    home = await browser.get("/")
    link = re.search(r'href="(/products/\w{26})">[^<]*Steam', home.text)[1]
    form = (await browser.get(link)).text.split('action="/orders"', 1)[1].split("</form>", 1)[0]
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    chosen = {"sku": "STEAM-50", "quantity": "2", "contact": "a@example.com", "method": "alipay"}
    placed = await browser.post("/orders", data=hidden | chosen)
    page = await browser.get(placed.headers["location"].split("?")[0])
    key = re.search(r"\?key=[\w%=-]+", page.text)[0]
    address = urlsplit(placed.headers["location"]).path
    return address, address + key


@pytest.fixture
def book(tmp_path):
    """A file for sale, beside a secret that is not."""
    (tmp_path / "files/books").mkdir(parents=True)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/master.json").write_text("secret")
    (tmp_path / "files/out").symlink_to(tmp_path / "secrets")
    file = tmp_path / "files/books/Star 7.epub"
    file.write_bytes(b"book" * 500_000)
    return "books/Star 7.epub"


async def test_a_file_is_given_to_its_buyer_alone(browser, market, book):
    """The order's page links to the file; without the order's secret, or a wrong one, it is 404."""
    address, opening = await buy(browser)
    market.deliver(from_serial(address.split("/")[2]), book, book, delivery="file")
    page = await browser.get(address)
    file = await browser.get(f"{address}/files/1")
    browser.cookies.clear()
    without = await browser.get(f"{address}/files/1")
    wrong = await browser.get(f"{address}?key=wrong")
    after_wrong = await browser.get(f"{address}/files/1")
    await browser.get(opening)
    again = await browser.get(f"{address}/files/2")

    assert f'href="{address}/files/1" download>Star 7.epub</a>' in page.text
    assert f'href="{address}/files/2"' in page.text
    assert book not in page.text
    assert (200, b"book" * 500_000) == (file.status_code, file.content)
    assert "attachment; filename*=utf-8''Star%207.epub" == file.headers["content-disposition"]
    assert "application/octet-stream" == file.headers["content-type"]
    assert "no-store" == file.headers["cache-control"]
    assert [404] * 3 == [each.status_code for each in (without, wrong, after_wrong)]
    assert 200 == again.status_code


async def test_a_file_is_given_once_it_is_delivered(browser, market, book):
    """Before the delivery there is no file, and never one that the order did not buy."""
    address, _ = await buy(browser)
    before = await browser.get(f"{address}/files/1")
    market.deliver(from_serial(address.split("/")[2]), book, delivery="file")
    others = [
        await browser.get(f"{address}/files/{number}")
        for number in ("0", "2", "-1", "1.0", "x", "٣", "9" * 40, "%2e%2e")
    ]

    assert 404 == before.status_code
    assert {404} == {each.status_code for each in others}
    assert 404 == (await browser.get(f"{address}/keys.txt")).status_code
    assert 404 == (await browser.get(f"/media/{book}")).status_code


@pytest.mark.parametrize(
    "path", ["../secrets/master.json", "out/master.json", "/etc/passwd", "none.zip", "books", "\0"]
)
async def test_a_file_lies_below_its_folder(browser, market, book, path):
    """Whatever a content names, nothing outside the folder of files is given."""
    address, _ = await buy(browser)
    market.deliver(from_serial(address.split("/")[2]), path, delivery="file")

    assert 404 == (await browser.get(f"{address}/files/1")).status_code


async def test_a_key_is_no_path(browser, market, book):
    """An order of keys opens no file, even where a key reads like the path of one."""
    address, _ = await buy(browser)
    market.deliver(from_serial(address.split("/")[2]), book)

    assert 404 == (await browser.get(f"{address}/files/1")).status_code
    assert book in (await browser.get(address)).text
