"""A file that is sold, from choice to download, over the assembled platform."""

import httpx

from vendrail.api.catalog import DeliveryKind
from vendrail.app.serving import assemble
from vendrail.kernel.ids import to_serial


async def test_a_paid_file_is_downloaded_by_its_buyer_alone(market, tmp_path):
    """Paid, it comes over the page and the API for the order's secret, and in no other way."""
    (tmp_path / "files/books").mkdir(parents=True)
    (tmp_path / "files/books/one.epub").write_bytes(b"a book")
    await market.offer("BOOK", keys=0, delivery=DeliveryKind.FILE)
    await market.catalog.put_contents([("BOOK", "books/one.epub")])
    placed = await market.place("BOOK")
    serial = to_serial(placed.order)
    bearer = {"Authorization": f"Bearer {placed.secret}"}
    transport = httpx.ASGITransport(assemble(market.house, ["web", "gateway"]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        address = f"/api/v1/orders/{serial}/files/1"
        unpaid = await client.get(address, headers=bearer)
        await market.pay(placed.order)
        await market.run()
        read = (await client.get(f"/api/v1/orders/{serial}", headers=bearer)).json()
        by_api = await client.get(address, headers=bearer)
        head = await client.head(address, headers=bearer)
        stranger = await client.get(f"/orders/{serial}/files/1")
        public = await client.get("/media/books/one.epub")
        await client.get(f"/orders/{serial}?key={placed.secret}")
        page = await client.get(f"/orders/{serial}")
        by_page = await client.get(f"/orders/{serial}/files/1")

    assert [404] * 3 == [each.status_code for each in (unpaid, stranger, public)]
    assert [address] == [httpx.URL(key).path for key in read["keys"]]
    assert (b"a book", b"a book") == (by_api.content, by_page.content)
    assert (200, b"", "6") == (head.status_code, head.content, head.headers["content-length"])
    assert f'href="/orders/{serial}/files/1"' in page.text
