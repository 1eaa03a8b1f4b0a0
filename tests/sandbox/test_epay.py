"""The emulated Epay: as strict as a real one, spoken to by requests that we sign ourselves here."""

import asyncio
from hashlib import md5
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from tests.sandbox.conftest import running

KEY_OF_NOBODY = "0" * 32


class Shop:
    """A shop that speaks Epay by hand: it knows the rule, and nothing of the product."""

    def __init__(self, door, merchant: dict, notify_url: str) -> None:
        self.door = door
        self.pid = merchant["pid"]
        self.key = merchant["key"]
        self.notify_url = notify_url

    def sign(self, fields: dict[str, str]) -> str:
        """Sign fields as the public description says."""
        parts = [
            f"{k}={v}" for k, v in sorted(fields.items()) if v and k not in {"sign", "sign_type"}
        ]
        return md5(("&".join(parts) + self.key).encode()).hexdigest()

    def order(self, number: str = "N1", **changes: str | None) -> dict[str, str]:
        """Write an order that is in order, or as told; None leaves a field out."""
        fields = {
            "pid": self.pid,
            "type": "wxpay",
            "out_trade_no": number,
            "notify_url": self.notify_url,
            "return_url": "http://shop.example/back?a=1",
            "name": "VIP会员 & more",
            "money": "12.30",
            **changes,
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        return {"sign": self.sign(fields), "sign_type": "MD5", **fields}

    async def submit(self, fields: dict[str, str]) -> httpx.Response:
        """Open submit.php as a browser would."""
        return await self.door.client.get(
            f"{self.door.url}/epay/submit.php?{urlencode(fields)}", follow_redirects=True
        )

    async def make(self, number: str = "N1", **changes: str | None) -> dict:
        """Ask mapi.php for a code."""
        fields = self.order(number, **{"clientip": "203.0.113.9", **changes})
        return await self.post("mapi.php", fields)

    async def post(self, path: str, fields: dict[str, str]) -> dict:
        """Post a form to a door."""
        reply = await self.door.client.post(f"{self.door.url}/epay/{path}", data=fields)
        assert reply.status_code == 200
        return reply.json()

    async def ask(self, act: str, **fields: str) -> dict:
        """Ask api.php by GET."""
        query = urlencode({"act": act, "pid": self.pid, "key": self.key, **fields})
        return (await self.door.client.get(f"{self.door.url}/epay/api.php?{query}")).json()

    async def pay(self, *numbers: str, **more: object) -> list[dict]:
        """Let buyers pay."""
        body = {"pid": self.pid, "out_trade_no": list(numbers), **more}
        return (await self.door.post("/sandbox/epay/pay", body))["results"]

    async def fault(self, kind: str, **more: object) -> None:
        """Order a fault."""
        await self.door.post("/sandbox/epay/faults", {"kind": kind, **more})


class Bell:
    """A callback address: keeps each request line, and answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[tuple[str, dict[str, str]]] = []
        self.answers: list[bytes] = []
        self._news = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n")[0].split(" ")
        length = [x.split(":")[1] for x in head.lower().split("\r\n") if x.startswith("content-le")]
        body = await reader.readexactly(int(length[0])) if length else b""
        text = body.decode() if method == "POST" else urlsplit(target).query
        self.heard.append((method, dict(parse_qsl(text, keep_blank_values=True))))
        self._news.set()
        said = self.answers.pop(0) if self.answers else b"success"
        size = str(len(said)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: " + size)
        writer.write(b"\r\n\r\n" + said)
        await writer.drain()
        writer.close()

    async def wait(self, count: int) -> list[dict[str, str]]:
        """Wait until so many callbacks were heard."""
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return [fields for _, fields in self.heard]


@pytest.fixture
async def bell():
    """A callback address on a free port."""
    made = Bell()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callbacks/epay"
    yield made
    server.close()


async def registered(door, bell, **fork: object) -> Shop:
    """Register a shop at a provider that differs as told."""
    merchant = await door.post("/sandbox/epay/merchants", {"name": "星河数码", "fork": fork})
    return Shop(door, merchant, bell.url)


@pytest.fixture
async def epay(door, bell) -> Shop:
    """A shop at the plain provider."""
    return await registered(door, bell)


# Orders.


@pytest.mark.parametrize(
    "changes,problem",
    [
        ({"pid": ""}, "pid_missing"),
        ({"pid": "77"}, "pid_unknown"),
        ({"type": "paypal"}, "type_unknown"),
        ({"out_trade_no": ""}, "out_trade_no_missing"),
        ({"out_trade_no": "N 1"}, "out_trade_no_malformed"),
        ({"out_trade_no": "N" * 65}, "out_trade_no_malformed"),
        ({"notify_url": None}, "notify_url_missing"),
        ({"notify_url": "ftp://shop.example"}, "notify_url_malformed"),
        ({"return_url": None}, "return_url_missing"),
        ({"return_url": "javascript:alert(1)"}, "return_url_malformed"),
        ({"name": ""}, "name_missing"),
        ({"name": "会" * 43}, "name_too_long"),
        ({"money": None}, "money_missing"),
        ({"money": "0"}, "money_malformed"),
        ({"money": "0.00"}, "money_malformed"),
        ({"money": "-1"}, "money_malformed"),
        ({"money": "1.005"}, "money_malformed"),
        ({"money": "1e2"}, "money_malformed"),
        ({"money": "1,00"}, "money_malformed"),
        ({"money": "１"}, "money_malformed"),
        ({"money": "100000.01"}, "money_too_large"),
    ],
)
async def test_a_wrong_order_is_refused(epay, changes, problem):
    """Each field is checked at both doors, well signed or not worth it: a person reads why."""
    page = await epay.submit(epay.order(**changes))
    assert problem in page.text
    assert "无法付款" in page.text

    reply = await epay.make(**changes)
    if problem != "return_url_missing":  # A server needs no way back.
        assert (reply["code"], "trade_no" in reply) == (-1, False)


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"type": None}, "支付方式(type)不能为空"),
        ({"clientip": None}, "用户IP地址(clientip)不能为空"),
        ({"device": "fax"}, "设备类型(device)不存在"),
    ],
)
async def test_a_server_must_say_more(epay, changes, words):
    """mapi.php wants to know the way to pay, the buyer's address, and a device it knows."""
    assert {"code": -1, "msg": words} == await epay.make(**changes)


async def test_only_the_right_signature_is_taken(epay):
    """Another key, a changed, added or doubled field, capitals, or none at all: refused."""
    good = epay.order()
    upper = {**good, "sign": good["sign"].upper()}
    stranger = Shop(epay.door, {"pid": epay.pid, "key": KEY_OF_NOBODY}, epay.notify_url)
    wrong = [
        {**good, "money": "0.01"},
        {**good, "param": "x"},
        {**good, "sign": ""},
        {**good, "sign": "x"},
        {k: v for k, v in good.items() if k != "sign"},
        {**good, "sign_type": "RSA"},
        upper,
        stranger.order(),
    ]
    for fields in wrong:
        assert "sign_" in (await epay.submit(fields)).text
    twice = f"{epay.door.url}/epay/submit.php?{urlencode(good)}&money=0.01"
    assert "field_twice" in (await epay.door.client.get(twice)).text

    assert "等待付款" in (await epay.submit(good)).text
    assert "等待付款" in (await epay.submit({**good, "empty": ""})).text


async def test_the_same_order_again_is_the_same(epay):
    """Again is again; another amount or name under the number is refused, and a paid one too."""
    first = await epay.make()
    again = await epay.make()
    await epay.submit(epay.order())

    assert first == again
    for changes in ({"money": "12.31"}, {"name": "else"}):
        assert "重复" in (await epay.make(**changes))["msg"]
        assert "order_differs" in (await epay.submit(epay.order(**changes))).text
    await epay.pay("N1")
    assert "已完成支付" in (await epay.make())["msg"]
    assert "order_paid" in (await epay.submit(epay.order())).text


@pytest.mark.parametrize("device,way", [("pc", "qrcode"), ("mobile", "payurl"), ("jump", "payurl")])
async def test_the_way_to_pay_fits_the_device(epay, device, way):
    """A computer gets a code, a phone an address; both open the order."""
    reply = await epay.make(device=device)

    assert 1 == reply["code"]
    page = await epay.door.client.get(reply[way])
    assert ("星河数码" in page.text, "12.30" in page.text) == (True, True)


# The wallet.


async def test_tapping_pays_and_leads_back_signed(epay, bell):
    """One tap pays once; the buyer comes back with the shop's own query and a signed one."""
    page = await epay.submit(epay.order(param="p=1&q"))
    path = urlsplit(str(page.url)).path
    left = await epay.door.client.post(f"{epay.door.url}{path}/cancel")
    back = await epay.door.client.post(f"{epay.door.url}{path}/pay")
    second = await epay.door.client.post(f"{epay.door.url}{path}/pay")
    await bell.wait(1)
    await asyncio.sleep(0.05)
    query = dict(parse_qsl(urlsplit(back.headers["location"]).query))

    assert "您已取消付款" in left.text
    assert "1" == query.pop("a")
    assert ("TRADE_SUCCESS", "p=1&q") == (query["trade_status"], query["param"])
    assert epay.sign(query) == query["sign"]
    assert second.status_code == 303
    assert 1 == len(bell.heard)
    assert "付款成功" in (await epay.door.client.get(f"{epay.door.url}{path}")).text


async def test_a_guessed_page_shows_nothing(epay):
    """A page that is not there says so, and runs no script."""
    page = await epay.door.client.get(f"{epay.door.url}/epay/pay/guess")

    assert page.status_code == 404
    assert "default-src 'none'" in page.headers["content-security-policy"]


# Callbacks.


@pytest.mark.parametrize(
    "fork,method,money",
    [
        ({}, "GET", "12.30"),
        ({"places": 4}, "GET", "12.3000"),
        ({"places": 0, "tells_sign_type": False}, "GET", "12.3"),
        ({"notifies_by": "POST"}, "POST", "12.30"),
    ],
)
async def test_a_payment_is_told_signed(door, bell, fork, method, money):
    """Every field of the description, signed over the very text that is sent."""
    shop = await registered(door, bell, **fork)
    made = await shop.make()
    await shop.pay("N1", "N1")
    (told,) = await bell.wait(1)
    await asyncio.sleep(0.05)

    assert [method] == [each for each, _ in bell.heard]
    assert shop.sign(told) == told["sign"]
    assert ("sign_type" in told) == fork.get("tells_sign_type", True)
    assert (
        shop.pid,
        made["trade_no"],
        "N1",
        "wxpay",
        "VIP会员 & more",
        money,
        "TRADE_SUCCESS",
    ) == (
        told["pid"],
        told["trade_no"],
        told["out_trade_no"],
        told["type"],
        told["name"],
        told["money"],
        told["trade_status"],
    )


async def test_anything_but_success_is_told_again(door, epay, bell):
    """The same text comes again until the answer is exactly `success`."""
    bell.answers = [b"fail", b"SUCCESS", b"success\n"]
    await epay.make()
    await epay.pay("N1")
    told = await bell.wait(4)
    await asyncio.sleep(0.05)

    assert 4 == len(bell.heard)
    assert all(each == told[0] for each in told)
    log = await door.get("/sandbox/epay/notifications", out_trade_no="N1")
    assert ["retrying"] * 3 + ["taken"] == [each["outcome"] for each in log["notifications"]]
    assert 0 == log["pending"]


# api.php.


async def test_an_order_is_told_to_its_merchant(epay):
    """Status 0, then 1, then 2 when all went back; the provider's own number wins."""
    made = await epay.make()
    before = await epay.ask("order", out_trade_no="N1")
    await epay.pay("N1")
    after = await epay.ask("order", out_trade_no="unknown", trade_no=made["trade_no"])
    await epay.post("api.php?act=refund", _refund(epay, "12.30"))
    returned = await epay.ask("order", out_trade_no="N1")

    assert [(1, 0), (1, 1), (1, 2)] == [
        (told["code"], told["status"]) for told in (before, after, returned)
    ]
    assert ("12.30", "N1", int(epay.pid)) == (after["money"], after["out_trade_no"], after["pid"])
    assert "12.30" == returned["refundmoney"]


def _refund(shop: Shop, money: str, number: str = "N1", key: str = "") -> dict[str, str]:
    return {"pid": shop.pid, "key": key or shop.key, "out_trade_no": number, "money": money}


async def test_api_refuses_what_is_wrong(door, bell, epay):
    """Another key, merchant, order or act; a refund by GET, of nothing, too much, or unpaid."""
    await epay.make()
    poor = Shop(
        door,
        await door.post("/sandbox/epay/merchants", {"opening_minor": -500}),
        bell.url,
    )
    await poor.make("P1", money="3.00")
    await poor.pay("P1")

    async def words(reply) -> str:
        told = await reply
        assert told["code"] != 1
        return told["msg"]

    refund = "api.php?act=refund"
    assert "密钥错误" in await words(epay.ask("order", key="x" * 32, out_trade_no="N1"))
    assert "商户ID不存在" in await words(epay.ask("order", pid="9", out_trade_no="N1"))
    assert "商户ID不能为空" in await words(epay.ask("order", pid="", out_trade_no="N1"))
    assert "订单号不存在" in await words(epay.ask("order", out_trade_no="N9"))
    assert "订单号不存在" in await words(poor.ask("order", out_trade_no="N1"))
    assert "No Act!" in await words(epay.ask("drop", out_trade_no="N1"))
    assert "请求方式" in await words(epay.ask("refund", out_trade_no="N1", money="1.00"))
    assert "已支付" in await words(epay.post(refund, _refund(epay, "1.00")))
    await epay.pay("N1")
    assert "金额不合法" in await words(epay.post(refund, _refund(epay, "0")))
    assert "不能为空" in await words(epay.post(refund, _refund(epay, "")))
    assert "大于" in await words(epay.post(refund, _refund(epay, "12.31")))
    assert "密钥错误" in await words(epay.post(refund, _refund(epay, "1.00", key="x" * 32)))
    assert "余额不足" in await words(poor.post(refund, _refund(poor, "3.00", "P1")))


async def test_a_refund_told_twice_goes_back_twice(epay):
    """There is no number to tell two refunds apart: that is the trap, up to what was paid."""
    await epay.make()
    await epay.pay("N1")
    said = [await epay.post("api.php?act=refund", _refund(epay, "5.00")) for _ in range(3)]

    assert [1, 1, -1] == [each["code"] for each in said]
    assert "10.00" == (await epay.ask("order", out_trade_no="N1"))["refundmoney"]


@pytest.mark.parametrize("by", ["GET", "POST"])
async def test_a_fork_takes_one_method_only(door, bell, by):
    """Some forks read orders by GET only, some by POST only."""
    shop = await registered(door, bell, asked_by=by)
    await shop.make()
    asked = {"pid": shop.pid, "key": shop.key, "out_trade_no": "N1"}

    got = (await shop.ask("order", out_trade_no="N1"))["code"]
    posted = (await shop.post("api.php?act=order", asked))["code"]
    assert (got == 1, posted == 1) == (by == "GET", by == "POST")


async def test_a_merchant_sees_its_balance(epay):
    """act=query gives what the merchant has, sales added and refunds taken off."""
    await epay.make()
    await epay.pay("N1")
    await epay.post("api.php?act=refund", _refund(epay, "2.30"))

    assert "1000010.00" == (await epay.ask("query"))["money"]


# Faults.


@pytest.mark.parametrize(
    "kind,params,field,value",
    [
        ("wrong_amount", {}, "money", "0.01"),
        ("wrong_app", {}, "pid", "9999"),
        ("wrong_status", {}, "trade_status", "WAIT_BUYER_PAY"),
    ],
)
async def test_well_signed_and_wrong(epay, bell, kind, params, field, value):
    """A mix-up at the provider is signed all the same."""
    await epay.fault(kind, params=params)
    await epay.make()
    await epay.pay("N1")
    (told,) = await bell.wait(1)

    assert value == told[field]
    assert epay.sign(told) == told["sign"]


async def test_badly_signed(epay, bell):
    """A changed field or no signature at all, on the way or out of nothing."""
    await epay.fault("tamper")
    await epay.make()
    await epay.pay("N1")
    await epay.make("N2")
    match = {"app_id": epay.pid, "out_trade_no": "N2"}
    await epay.fault("unsigned_success", match=match, params={"is_now": True})
    tampered, unsigned = await bell.wait(2)

    assert ("0.01", False) == (tampered["money"], epay.sign(tampered) == tampered["sign"])
    assert ("TRADE_SUCCESS", False) == (unsigned["trade_status"], "sign" in unsigned)
    assert 0 == (await epay.ask("order", out_trade_no="N2"))["status"]


async def test_on_the_way(epay, bell):
    """A callback comes several times, never, late, or after the next one."""
    for number, kind, params in (
        ("A", "duplicate", {"times": 3}),
        ("B", "drop", {}),
        ("C", "delay", {"delay_s": 0.2}),
        ("D", "reorder", {}),
    ):
        await epay.fault(kind, match={"out_trade_no": number}, params=params)
    for number in "ABCDE":
        await epay.make(number)
        await epay.pay(number)
    heard = [told["out_trade_no"] for told in await bell.wait(6)]

    assert 3 == heard.count("A")
    assert "B" not in heard
    assert heard.index("E") < heard.index("D")


async def test_at_the_doors(epay):
    """A door is away before or after the work, unknown, at odds with the truth, or says no."""
    await epay.make()
    await epay.pay("N1")
    url = f"{epay.door.url}/epay/api.php"
    form = {"act": "order", "pid": epay.pid, "key": epay.key, "out_trade_no": "N1"}
    await epay.fault("gateway_down", params={"status": 502})
    assert 502 == (await epay.door.client.post(url, data=form)).status_code
    await epay.fault("query_unknown")
    assert -1 == (await epay.ask("order", out_trade_no="N1"))["code"]
    await epay.fault("query_disagrees")
    assert 0 == (await epay.ask("order", out_trade_no="N1"))["status"]
    await epay.fault("query_disagrees", params={"field": "money", "value": "0.01"})
    assert "0.01" == (await epay.ask("order", out_trade_no="N1"))["money"]
    await epay.fault("slow", params={"delay_s": 0.01}, match={"method": "order"})
    assert 1 == (await epay.ask("order", out_trade_no="N1"))["code"]

    await epay.fault("gateway_down", params={"is_after": True}, match={"method": "refund"})
    refund = {**form, "act": "refund", "money": "1.00"}
    assert 503 == (await epay.door.client.post(url, data=refund)).status_code
    await epay.fault("gateway_down", match={"method": "refund"})
    assert 503 == (await epay.door.client.post(url, data=refund)).status_code
    assert "1.00" == (await epay.ask("order", out_trade_no="N1"))["refundmoney"]
    await epay.fault("business_error", params={"sub_code": "balance_too_low"})
    assert "余额不足" in (await epay.post("api.php", refund))["msg"]


async def test_faults_are_counted_listed_and_taken_back(door, epay):
    """What cannot be carried out is refused; what is ordered can be seen and taken back."""
    for kind, params in (
        ("wrong_seller", {}),
        ("bad_reply_signature", {}),
        ("business_error", {"sub_code": "ACQ.SYSTEM_ERROR"}),
    ):
        reply = await door.client.post(
            f"{door.url}/sandbox/epay/faults",
            json={"kind": kind, "params": params},
            headers=door.headers,
        )
        assert reply.status_code == 400
    await epay.fault("drop", count=2)

    assert 2 == (await door.get("/sandbox/epay/faults"))["faults"][0]["count"]
    await door.client.delete(f"{door.url}/sandbox/epay/faults", headers=door.headers)
    assert [] == (await door.get("/sandbox/epay/faults"))["faults"]


# The sandbox around it.


async def test_nothing_is_forgotten(home, bell):
    """Merchants, orders and what is still to be told survive a restart."""
    async with running(home) as door:
        shop = await registered(door, bell)
        await shop.make()
        await shop.fault("delay", params={"delay_s": 30})
        await shop.pay("N1")
    async with running(home) as door:
        shop.door = door
        assert 1 == (await shop.ask("order", out_trade_no="N1"))["status"]
        (told,) = await bell.wait(1)
        assert "N1" == told["out_trade_no"]
        assert (await registered(door, bell)).pid != shop.pid


async def test_an_account_is_ready_for_use(door):
    """Whoever holds the control token is given an account, the same one each time."""
    first = await door.post("/sandbox/accounts", "")
    again = await door.post("/sandbox/accounts", "")
    elsewhere = await door.post("/sandbox/accounts", "https://wallet.example")
    account, other = [
        next(each for each in told["accounts"] if each["kind"] == "epay")
        for told in (first, elsewhere)
    ]

    assert first == again
    assert ("epay", f"{door.url}/epay/") == (account["kind"], account["settings"]["url"])
    settings = {**account["settings"], "url": "https://wallet.example/epay/"}
    assert settings == other["settings"]
    bare = await door.client.post(f"{door.url}/sandbox/accounts", json={})
    assert bare.status_code == 401
