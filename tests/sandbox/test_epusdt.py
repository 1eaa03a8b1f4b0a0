"""The emulated epusdt: it refuses what the programs refuse, by their own codes."""

import json
from hashlib import md5

import pytest

MADE = "api/v1/order/create-transaction"
GMPAY = "payments/gmpay/v1/order/create-transaction"


class Shop:
    """A shop that speaks epusdt by hand: it knows the rule, and nothing of the product."""

    def __init__(self, door, told: dict) -> None:
        self.door = door
        self.id = told["account"]
        self.token = told["token"]

    def order(self, **changes: object) -> dict:
        """Write an order that is in order, or as told; None leaves a field out."""
        fields = {
            "order_id": "N1",
            "amount": 42.5,
            "notify_url": "http://127.0.0.1:9/callbacks/1",
            "redirect_url": "http://127.0.0.1:9/back",
            **changes,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def sign(self, fields: dict) -> dict:
        """Sign fields as the public description says."""
        text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if v not in (None, ""))
        return {**fields, "signature": md5(f"{text}{self.token}".encode()).hexdigest()}

    async def post(self, path: str, body: bytes | dict, account: str = "") -> dict:
        """Post to a door; give the answer."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self.door.url}/epusdt/{account or self.id}/{path}"
        reply = await self.door.client.post(url, content=content)
        assert reply.status_code == 200
        return reply.json()

    async def make(self, path: str = MADE, **changes: object) -> dict:
        """Make an order."""
        return await self.post(path, self.sign(self.order(**changes)))

    async def status(self, trade_id: str) -> dict:
        """Ask about a trade."""
        url = f"{self.door.url}/epusdt/{self.id}/pay/check-status/{trade_id}"
        return (await self.door.client.get(url)).json()


async def shop_of(door, **more: object) -> Shop:
    """Set a server up."""
    return Shop(door, await door.post("/sandbox/epusdt/accounts", more))


@pytest.fixture
async def shop(door) -> Shop:
    """A BEpusdt."""
    return await shop_of(door, program="bepusdt")


@pytest.mark.parametrize(
    "changes,code",
    [
        ({"order_id": None}, 400),
        ({"order_id": "N" * 33}, 400),
        ({"amount": None}, 400),
        ({"amount": "42.5"}, 400),
        ({"amount": -1}, 10004),
        ({"amount": 0.01}, 10004),
        ({"amount": 0.02}, 10004),
        ({"amount": 1000001}, 400),
        ({"notify_url": None}, 400),
        ({"notify_url": "ftp://shop.example"}, 400),
        ({"redirect_url": "javascript:alert(1)"}, 400),
        ({"trade_type": "doge.mainnet"}, 400),
        ({"rate": "seven"}, 10006),
        ({"timeout": 59}, 400),
        ({"nested": {}}, 10009),
    ],
)
async def test_a_wrong_order_is_refused(shop, changes, code):
    """Each field is checked, well signed or not worth it."""
    told = (
        await shop.make(**changes)
        if "nested" not in changes
        else (await shop.post(MADE, {**shop.sign(shop.order()), "nested": [1]}))
    )

    assert (code, None) == (told["status_code"], told["data"])
    assert told["message"]


async def test_only_the_right_signature_is_taken(shop):
    """Another token, a changed or added field, a long number, capitals, or none at all."""
    good = shop.sign(shop.order())
    stranger = Shop(shop.door, {"account": shop.id, "token": "0" * 32})
    long = shop.sign(shop.order(amount="42.50"))
    wrong = [
        {**good, "amount": 1},
        {**good, "order_id": "N2"},
        {**good, "fiat": "USD"},
        {**good, "signature": ""},
        {**good, "signature": good["signature"].upper()},
        {k: v for k, v in good.items() if k != "signature"},
        stranger.sign(stranger.order()),
        {**long, "amount": 42.5},
    ]
    for each in wrong:
        assert 401 == (await shop.post(MADE, each))["status_code"]
    assert 401 == (await shop.post(MADE, good, account="9"))["status_code"]
    for body in (b"", b"[]", b"{", b"\xff", b'{"a":1,"a":2}'):
        assert 10009 == (await shop.post(MADE, body))["status_code"]
    assert 200 == (await shop.post(MADE, good))["status_code"]
    assert 10002 == (await shop.post(MADE, good))["status_code"]


async def test_no_wallet_and_no_free_amount_are_refused(door):
    """Without a wallet nothing is taken; two orders of one price differ in what is paid."""
    bare = await shop_of(door, has_wallet=False)
    assert 10003 == (await bare.make())["status_code"]
    shop = await shop_of(door)
    amounts = {(await shop.make(order_id=f"N{n}"))["data"]["actual_amount"] for n in range(100)}

    assert 100 == len(amounts)
    assert 10005 == (await shop.make(order_id="N100"))["status_code"]


async def test_a_cancelled_order_is_over_and_only_once(shop):
    """Taken back it cannot be paid, nor taken back again; others cannot take it back."""
    made = (await shop.make())["data"]
    other = await shop_of(shop.door, program="bepusdt")
    ask = {"trade_id": made["trade_id"]}
    path = "api/v1/order/cancel-transaction"

    assert 10008 == (await other.post(path, other.sign(ask)))["status_code"]
    assert 200 == (await shop.post(path, shop.sign(ask)))["status_code"]
    assert 10013 == (await shop.post(path, shop.sign(ask)))["status_code"]
    assert 4 == (await shop.status(made["trade_id"]))["status"]
    body = {"account": shop.id, "order_id": "N1"}
    assert not (await shop.door.post("/sandbox/epusdt/moves", body))["is_paid"]
    assert 10008 == (await shop.status("1"))["status_code"]


@pytest.mark.parametrize(
    "changes,code",
    [
        ({"pid": "9"}, 401),
        ({"currency": "usd"}, 400),
        ({"network": None}, 400),
        ({"token": "doge"}, 10016),
        ({}, 200),
    ],
)
async def test_gmpay_wants_more(door, changes, code):
    """A merchant's number, a currency, a coin and its chain; and its own door."""
    shop = await shop_of(door, program="gmpay")
    asked = {"pid": shop.id, "currency": "cny", "token": "usdt", "network": "trc20", **changes}

    assert code == (await shop.make(GMPAY, **asked))["status_code"]
    assert 400 == (await shop.make(MADE, **asked))["status_code"]


async def test_the_page_takes_the_money_and_leads_back(shop):
    """The buyer sees coins and address, pays, and goes back to the shop; the trade is paid."""
    made = (await shop.make())["data"]
    page = await shop.door.client.get(made["payment_url"])
    assert f"{made['actual_amount']} USDT" in page.text
    assert made["token"] in page.text

    paid = await shop.door.client.post(f"{made['payment_url']}/pay")
    assert (303, "http://127.0.0.1:9/back") == (paid.status_code, paid.headers["location"])
    assert 2 == (await shop.status(made["trade_id"]))["status"]
