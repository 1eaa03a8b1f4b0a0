"""The emulated Epay V2: as strict as a real one, spoken to by requests we sign ourselves here."""

import base64
import time
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding


class Shop:
    """A shop that speaks Epay V2 by hand: it knows the rule, and nothing of the product."""

    def __init__(self, door, told: dict, private_pem: str) -> None:
        self.door = door
        self.pid = told["pid"]
        self.platform = serialization.load_pem_public_key(told["public_key"].encode())
        self.key = serialization.load_pem_private_key(private_pem.encode(), None)

    def text(self, fields: dict) -> bytes:
        """Write what is signed, as the public description says."""
        parts = [
            f"{k}={v}"
            for k, v in sorted(fields.items())
            if v not in ("", None) and k not in {"sign", "sign_type"} and not isinstance(v, list)
        ]
        return "&".join(parts).encode()

    def sign(self, **changes: str | None) -> dict[str, str]:
        """Sign fields of this moment, or as told; None leaves a field out."""
        fields = {"pid": self.pid, "timestamp": str(int(time.time())), **changes}
        fields = {name: value for name, value in fields.items() if value is not None}
        sign = self.key.sign(self.text(fields), padding.PKCS1v15(), hashes.SHA256())
        return {"sign_type": "RSA", **fields, "sign": base64.b64encode(sign).decode()}

    def order(self, number: str = "N1", **changes: str | None) -> dict[str, str]:
        """Write an order that is in order, or as told."""
        fields = {
            "type": "wxpay",
            "method": "web",
            "out_trade_no": number,
            "notify_url": "http://127.0.0.1:9/callbacks/1",
            "return_url": "http://127.0.0.1:9/back?a=1",
            "name": "VIP会员 & more",
            "money": "12.30",
            "clientip": "203.0.113.9",
            **changes,
        }
        return self.sign(**fields)

    async def post(self, path: str, fields: dict[str, str]) -> dict:
        """Post a form to a door; a yes must be signed by the platform."""
        reply = await self.door.client.post(f"{self.door.url}/epay2/api/{path}", data=fields)
        assert reply.status_code == 200
        told = reply.json()
        if told["code"] == 0:
            self.platform.verify(
                base64.b64decode(told["sign"]), self.text(told), padding.PKCS1v15(), hashes.SHA256()
            )
        return told

    async def ask(self, path: str, **fields: str) -> dict:
        """Ask a door."""
        return await self.post(path, self.sign(**fields))

    async def pay(self, number: str) -> bool:
        """Let the buyer pay."""
        body = {"pid": self.pid, "out_trade_no": number}
        return (await self.door.post("/sandbox/epay2/pay", body))["is_paid"]


async def shop_of(door, key: tuple[str, str], **more: object) -> Shop:
    """Register a merchant."""
    told = await door.post("/sandbox/epay2/merchants", {"public_key_pem": key[1], **more})
    return Shop(door, told, key[0])


@pytest.fixture
async def shop(door, keys) -> Shop:
    """A merchant."""
    return await shop_of(door, keys[0])


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"pid": ""}, "商户ID(pid)不能为空"),
        ({"pid": "77"}, "商户不存在"),
        ({"timestamp": None}, "时间戳(timestamp)不能为空"),
        ({"timestamp": "1700000000"}, "时间戳(timestamp)已过期"),
        ({"timestamp": "soon"}, "时间戳(timestamp)已过期"),
        ({"sign_type": "MD5"}, "签名类型(sign_type)错误"),
        ({"type": None}, "支付方式(type)不能为空"),
        ({"type": "paypal"}, "支付方式(type)不支持"),
        ({"method": None}, "接口类型(method)不能为空"),
        ({"method": "fax"}, "接口类型(method)不支持"),
        ({"device": "fax"}, "设备类型(device)不支持"),
        ({"clientip": None}, "用户IP地址(clientip)不能为空"),
        ({"out_trade_no": ""}, "订单号(out_trade_no)不能为空"),
        ({"out_trade_no": "N 1"}, "订单号(out_trade_no)格式不正确"),
        ({"notify_url": None}, "通知地址(notify_url)不能为空"),
        ({"notify_url": "ftp://shop.example"}, "通知地址(notify_url)格式不正确"),
        ({"return_url": "javascript:alert(1)"}, "回调地址(return_url)格式不正确"),
        ({"name": ""}, "名称(name)不能为空"),
        ({"name": "会" * 43}, "商品名称(name)过长"),
        ({"money": None}, "金额(money)不能为空"),
        ({"money": "0.00"}, "金额不合法"),
        ({"money": "1.005"}, "金额不合法"),
        ({"money": "-1"}, "金额不合法"),
        ({"money": "100000.01"}, "超出最大支付金额"),
    ],
)
async def test_a_wrong_order_is_refused(shop, changes, words):
    """Each field is checked, well signed or not worth it; a refusal says why, and is not signed."""
    assert {"code": -1, "msg": words} == await shop.post("pay/create", shop.order(**changes))


async def test_only_the_right_signature_is_taken(shop, keys):
    """Another key, a changed, added or doubled field, or none at all: refused."""
    good = shop.order()
    stranger = Shop(shop.door, {"pid": shop.pid, "public_key": keys[1][1]}, keys[1][0])
    wrong = [
        {**good, "money": "0.01"},
        {**good, "param": "x"},
        {**good, "sign": "AAAA"},
        {**good, "sign": "not base64"},
        stranger.order(),
    ]
    for each in wrong:
        assert "RSA签名校验失败" == (await shop.post("pay/create", each))["msg"]
    assert "签名(sign)不能为空" == (await shop.post("pay/create", {**good, "sign": ""}))["msg"]
    twice = urlencode([*good.items(), ("money", "12.30")])
    reply = await shop.door.client.post(f"{shop.door.url}/epay2/api/pay/create?{twice}")
    assert "参数重复" == reply.json()["msg"]
    assert 0 == (await shop.post("pay/create", good))["code"]


async def test_an_order_lives_as_the_provider_says(shop):
    """Made, the same again, changed, paid, paid again, given back: each has its answer."""
    made = await shop.post("pay/create", shop.order())
    again = await shop.post("pay/create", shop.order())
    other = await shop.post("pay/create", shop.order(money="1.00"))
    open_ = await shop.ask("pay/query", out_trade_no="N1")
    early = await shop.ask("pay/refund", out_trade_no="N1", money="1.00", out_refund_no="R1")
    assert await shop.pay("N1")
    late = await shop.post("pay/create", shop.order())
    paid = await shop.ask("pay/query", trade_no=made["trade_no"])
    closed = await shop.ask("pay/close", out_trade_no="N1")

    assert made["trade_no"] == again["trade_no"]
    assert "订单号重复，且金额或商品与原订单不一致" == other["msg"]
    assert (0, "只有已支付订单才能退款") == (open_["status"], early["msg"])
    assert "该订单已完成支付，请勿重复支付" == late["msg"] == closed["msg"]
    assert (1, "12.30") == (paid["status"], paid["money"])
    assert "订单号不存在" == (await shop.ask("pay/query", out_trade_no="N2"))["msg"]
    assert "订单号不能为空" == (await shop.ask("pay/query"))["msg"]


async def test_a_refund_moves_money_once_for_each_number(shop):
    """The same number is the same refund; another amount under it, and too much, are refused."""
    await shop.post("pay/create", shop.order())
    await shop.pay("N1")
    ask = {"out_trade_no": "N1", "money": "2.30", "out_refund_no": "R1"}

    assert 0 == (await shop.ask("pay/refund", **ask))["code"]
    assert "2.30" == (await shop.ask("pay/refund", **ask))["reducemoney"]
    wrong = await shop.ask("pay/refund", **{**ask, "money": "2.31"})
    assert "退款单号已被使用，且金额不一致" == wrong["msg"]
    much = await shop.ask("pay/refund", **{**ask, "money": "10.01", "out_refund_no": "R2"})
    assert "退款金额大于订单剩余可退金额" == much["msg"]
    found = await shop.ask("pay/refundquery", out_refund_no="R1")
    assert (1, "2.30", "N1") == (found["status"], found["money"], found["out_trade_no"])
    missing = await shop.ask("pay/refundquery", out_refund_no="R2")
    assert "退款单号不存在" == missing["msg"]


async def test_a_transfer_moves_money_once_for_each_number(shop):
    """Type, payee, name and money are needed; the same number is the same transfer."""
    ask = {"type": "alipay", "account": "a@b.test", "name": "张三", "money": "5.00"}
    number = {"out_biz_no": "T1"}
    for name, words in [
        ("type", "支付方式(type)不能为空"),
        ("account", "收款账号(account)不能为空"),
        ("name", "名称(name)不能为空"),
        ("money", "金额(money)不能为空"),
    ]:
        assert words == (await shop.ask("transfer/submit", **{**ask, **number, name: ""}))["msg"]
    before = (await shop.ask("transfer/balance"))["available_money"]
    first = await shop.ask("transfer/submit", **ask, **number)
    again = await shop.ask("transfer/submit", **ask, **number)
    other = await shop.ask("transfer/submit", **{**ask, "money": "6.00"}, **number)
    found = await shop.ask("transfer/query", **number)
    after = (await shop.ask("merchant/info"))["money"]

    assert first["biz_no"] == again["biz_no"] == found["biz_no"]
    assert "转账单号已被使用，且收款人或金额不一致" == other["msg"]
    assert (1, "5.00") == (found["status"], found["amount"])
    assert ("1000000.00", "999995.00") == (before, after)
    missing = await shop.ask("transfer/query", out_biz_no="T2")
    assert "转账单号不存在" == missing["msg"]


async def test_what_is_closed_takes_no_money(shop, keys):
    """A closed order cannot be paid or made again; some channels cannot close."""
    made = await shop.post("pay/create", shop.order())
    assert 0 == (await shop.ask("pay/close", out_trade_no="N1"))["code"]
    page = await shop.door.client.get(made["pay_info"])

    assert not await shop.pay("N1")
    assert "订单已关闭" in page.text
    assert "该订单已关闭或超时" == (await shop.post("pay/create", shop.order()))["msg"]
    stiff = await shop_of(shop.door, keys[1], can_close=False)
    await stiff.post("pay/create", stiff.order())
    refused = await stiff.ask("pay/close", out_trade_no="N1")
    assert "当前支付通道不支持关闭订单" == refused["msg"]


async def test_the_page_leads_to_the_money_and_back(shop):
    """The buyer opens the signed address, pays, and goes back with a signed word of it."""
    fields = shop.order(method=None, clientip=None)
    address = f"{shop.door.url}/epay2/api/pay/submit?{urlencode(fields)}"
    opened = await shop.door.client.get(address)
    assert 303 == opened.status_code
    page = await shop.door.client.get(f"{shop.door.url}{opened.headers['location']}")
    assert "确认付款" in page.text

    paid = await shop.door.client.post(f"{shop.door.url}{opened.headers['location']}/pay")
    assert paid.headers["location"].startswith("http://127.0.0.1:9/back?a=1&pid=")
    refused = await shop.door.client.get(address.replace("12.30", "0.01"))
    assert "RSA签名校验失败" in refused.text


async def test_who_was_paid_sees_how_much_and_sends_it_back(shop):
    """The page of arrivals tells the amount that a test payout sent; its button is a bounce."""
    ask = {"type": "bank", "account": "6222020200112233445", "name": "张三", "money": "0.77"}
    await shop.ask("transfer/submit", **ask, out_biz_no="T1")
    client, url = shop.door.client, shop.door.url
    arrived = (await client.get(f"{url}/epay2/arrivals")).text
    await client.post(f"{url}/epay2/arrivals/{shop.pid}/T1/back")
    found = await shop.ask("transfer/query", out_biz_no="T1")
    gone = (await client.get(f"{url}/epay2/arrivals")).text

    assert "0.77" in arrived
    assert f"/epay2/arrivals/{shop.pid}/T1/back" in arrived
    assert 2 == found["status"]
    assert "/back" not in gone
