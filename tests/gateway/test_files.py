"""Files that are sold, over the API: an address for each, and the order's secret opens it."""

import pytest

from vendrail.kernel.ids import from_serial

KEY = {"Idempotency-Key": "0d4f1c1e-0000-4000-8000-000000000002"}
ORDER = {"sku": "STEAM-50", "quantity": 2, "contact": "a@example.com"}


@pytest.fixture
async def placed(api):
    """A placed order."""
    return (await api.post("/api/v1/orders", json=ORDER, headers=KEY)).json()


@pytest.fixture
def bearer(placed):
    """The header that opens the order."""
    return {"Authorization": f"Bearer {placed['secret']}"}


@pytest.fixture
def address(placed):
    """Where the order's first file is."""
    return f"/api/v1/orders/{placed['id']}/files/1"


@pytest.fixture
def book(tmp_path):
    """A file for sale, beside a secret that is not."""
    (tmp_path / "files").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "files/out").symlink_to(tmp_path)
    (tmp_path / "files/星.epub").write_bytes(b"book" * 500_000)
    return "星.epub"


async def test_a_file_is_given_for_the_orders_secret(api, market, placed, bearer, address, book):
    """A delivered order names an address for each file, which gives it for the same secret."""
    before = await api.get(address, headers=bearer)
    market.deliver(from_serial(placed["id"]), book, book, delivery="file")
    read = (await api.get(f"/api/v1/orders/{placed['id']}", headers=bearer)).json()
    file = await api.get(address, headers=bearer)

    assert (404, "order_not_found") == (before.status_code, before.json()["code"])
    assert [f"https://pay.example.com{address[:-1]}{n}" for n in (1, 2)] == read["keys"]
    assert (200, b"book" * 500_000) == (file.status_code, file.content)
    assert "attachment; filename*=utf-8''%E6%98%9F.epub" == file.headers["content-disposition"]
    assert "application/octet-stream" == file.headers["content-type"]
    assert "2000000" == file.headers["content-length"]
    assert "no-store" == file.headers["cache-control"]


async def test_a_file_is_given_to_nobody_else(api, market, placed, bearer, address, book):
    """A wrong secret, another number and an unknown order answer alike; no secret is 401."""
    market.deliver(from_serial(placed["id"]), book, delivery="file")
    wrong = await api.get(address, headers={"Authorization": "Bearer wrong"})
    others = [
        await api.get(f"{address[:-1]}{number}", headers=bearer)
        for number in ("2", "0", "x", "-1", "%2e%2e")
    ]
    unknown = await api.get("/api/v1/orders/1/files/1", headers=bearer)

    assert {404} == {each.status_code for each in (wrong, unknown, *others)}
    assert 1 == len({each.content for each in (wrong, unknown, *others)})
    assert 401 == (await api.get(address)).status_code
    assert 405 == (await api.post(address, headers=bearer)).status_code


@pytest.mark.parametrize("path", ["../secret", "out/secret", "/etc/passwd", "none.zip", "\0"])
async def test_a_file_lies_below_its_folder(api, market, placed, bearer, address, book, path):
    """Whatever a content names, nothing outside the folder of files is given."""
    market.deliver(from_serial(placed["id"]), path, delivery="file")

    assert 404 == (await api.get(address, headers=bearer)).status_code


async def test_a_key_is_no_path(api, market, placed, bearer, address, book):
    """An order of keys opens no file, even where a key reads like the path of one."""
    market.deliver(from_serial(placed["id"]), book)
    read = (await api.get(f"/api/v1/orders/{placed['id']}", headers=bearer)).json()

    assert 404 == (await api.get(address, headers=bearer)).status_code
    assert [book] == read["keys"]
