"""The emulated WeChat Pay, by an SDK that we did not write: what it takes, and how it says no."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from tests.sandbox.conftest import Door, Peer, running

from vendrail.sandbox.settings import Settings

GOOD = {"description": "月卡", "out_trade_no": "ORDER0001", "amount": {"total": 1230}}
SCENE = {"payer_client_ip": "203.0.113.9", "h5_info": {"type": "Wap"}}
NATIVE = "/v3/pay/transactions/native"


@pytest.fixture(scope="session")
def wechat_peer() -> Iterator[Peer]:
    """An independent implementation of the protocol, in a process of its own."""
    made = Peer("wechat_peer.py")
    yield made
    made.close()


async def register(door: Door, key: tuple[str, str], mode: str = "public_key") -> dict[str, str]:
    """Register a merchant; give what the SDK needs."""
    told = await door.post("/sandbox/wechat/merchants", {"public_key_pem": key[1], "mode": mode})
    private = serialization.load_pem_private_key(key[0].encode(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,  # The SDK reads no other.
        serialization.NoEncryption(),
    )
    return {**told, "private_key": private.decode()}


@pytest.fixture
async def merchant(door: Door, keys: list[tuple[str, str]]) -> dict[str, str]:
    """A merchant who knows WeChat Pay's public key."""
    return await register(door, keys[0])


@pytest.fixture
async def today(home) -> AsyncIterator[Door]:
    """A sandbox whose bill of a day is there at once."""
    async with running(home, settings=Settings(has_bill_today=True)) as made:
        yield made


def openid(merchant: dict[str, str], name: str = "buyer") -> str:
    """Give somebody who is known by the merchant's application."""
    return f"o{merchant['appid'][2:8]}-{name}"


async def placed(peer: Peer, merchant: dict[str, str], **more) -> dict:
    """Place an order with a code; the SDK verifies the reply."""
    answer = await peer.ask(merchant, call="pay", arguments={**GOOD, **more})
    assert 200 == answer["code"], answer
    return answer["result"]


async def pay(door: Door, merchant: dict[str, str], number: str = "ORDER0001") -> dict:
    """Let the buyer pay."""
    body = {"mchid": merchant["mchid"], "out_trade_no": number}
    return (await door.post("/sandbox/wechat/pay", body))["results"][0]


# Who sends, and how: what is changed, and what the refusal says.
ENVELOPES = [
    ({"headers": {"Authorization": ""}}, 401, "SIGN_ERROR", "缺少Authorization"),
    ({"replace": ["WECHATPAY2-SHA256-RSA2048", "RSA"]}, 401, "SIGN_ERROR", "格式错误"),
    ({"replace": ["nonce_str", "nonce"]}, 401, "SIGN_ERROR", "格式错误"),
    ({"mchid": "1999999999"}, 401, "SIGN_ERROR", "商户号不存在"),
    ({"serial_no": "0" * 40}, 401, "SIGN_ERROR", "序列号有误"),
    ({"replace": ['timestamp="1', 'timestamp="2']}, 401, "SIGN_ERROR", "5分钟"),
    ({"replace": ['signature="', 'signature="AAAA']}, 401, "SIGN_ERROR", "签名错误"),
    ({"signed_body": "{}"}, 401, "SIGN_ERROR", "签名错误"),
    ({"signed_path": "/v3/pay/transactions/h5"}, 401, "SIGN_ERROR", "签名错误"),
    ({"headers": {"Accept": "text/html"}}, 400, "PARAM_ERROR", "Accept"),
    ({"headers": {"Content-Type": "text/plain"}}, 400, "PARAM_ERROR", "Content-Type"),
    ({"body": "not json"}, 400, "PARAM_ERROR", "JSON"),
    ({"body": "[]"}, 400, "PARAM_ERROR", "JSON"),
    ({"path": "/v3/pay/transactions/magic"}, 404, "NOT_FOUND", ""),
]

# What an order says: what is changed, and the code it earns.
ORDERS = [
    ({"appid": "wx0000000000000000"}, 400, "APPID_MCHID_NOT_MATCH"),
    ({"mchid": "1999999999"}, 400, "INVALID_REQUEST"),
    ({"out_trade_no": "short"}, 400, "PARAM_ERROR"),
    ({"out_trade_no": "a" * 33}, 400, "PARAM_ERROR"),
    ({"out_trade_no": "订单订单订单"}, 400, "PARAM_ERROR"),
    ({"description": "月" * 128}, 400, "PARAM_ERROR"),
    ({"notify_url": "https://shop.example/x?id=1"}, 400, "PARAM_ERROR"),
    ({"notify_url": "ftp://shop.example/x"}, 400, "PARAM_ERROR"),
    ({"amount": {"total": 0}}, 400, "PARAM_ERROR"),
    ({"amount": {"total": 12.3}}, 400, "PARAM_ERROR"),
    ({"amount": {"total": "1230"}}, 400, "PARAM_ERROR"),
    ({"amount": {"total": 1230, "currency": "USD"}}, 400, "PARAM_ERROR"),
    ({"amount": {"total": 100_000_001}}, 400, "PARAM_ERROR"),
    ({"time_expire": "2026-11-29 12:00:00"}, 400, "PARAM_ERROR"),
    ({"time_expire": "2020-01-01T00:00:00+08:00"}, 400, "INVALID_REQUEST"),
    ({"pay_type": "h5", "scene_info": {"payer_client_ip": "203.0.113.9"}}, 400, "PARAM_ERROR"),
    ({"pay_type": "h5", "scene_info": {**SCENE, "payer_client_ip": "x"}}, 400, "PARAM_ERROR"),
    ({"pay_type": "h5", "scene_info": {**SCENE, "h5_info": {"type": "TV"}}}, 400, "PARAM_ERROR"),
    ({"pay_type": "jsapi", "payer": {"openid": ""}}, 400, "PARAM_ERROR"),
    ({"pay_type": "jsapi", "payer": {"openid": "oSomebodyElse"}}, 400, "PARAM_ERROR"),
]


@pytest.mark.parametrize("changes,status,code,words", ENVELOPES)
async def test_a_wrong_envelope_is_refused(wechat_peer, merchant, changes, status, code, words):
    """Every header, and what it signs, is checked before anything is done."""
    body = json.dumps({"mchid": merchant["mchid"]})
    told = {"method": "POST", "path": NATIVE, "body": body, **changes}
    answer = await wechat_peer.ask(merchant, send=told)

    assert (status, code) == (answer["code"], answer["result"]["code"])
    assert words in answer["result"]["message"]


@pytest.mark.parametrize("changes,status,code", ORDERS)
async def test_a_wrong_order_is_refused(wechat_peer, merchant, changes, status, code):
    """What an order says must be whole, in its bounds, and the merchant's own."""
    answer = await wechat_peer.ask(merchant, call="pay", arguments={**GOOD, **changes})

    assert (status, code) == (answer["code"], answer["result"]["code"])


async def test_an_order_lives_once(door, wechat_peer, merchant):
    """The same order again is the same; a changed, paid or closed one is refused by its code."""

    async def code_of(**changes):
        answer = await wechat_peer.ask(merchant, call="pay", arguments={**GOOD, **changes})
        return answer["result"].get("code")

    first = await placed(wechat_peer, merchant)
    assert first == await placed(wechat_peer, merchant)
    assert "OUT_TRADE_NO_USED" == await code_of(amount={"total": 1})
    assert "OUT_TRADE_NO_USED" == await code_of(pay_type="h5", scene_info=SCENE)
    await pay(door, merchant)
    assert "ORDERPAID" == await code_of()
    closing = {"call": "close", "arguments": {"out_trade_no": "ORDER0001"}}
    assert "ORDERPAID" == (await wechat_peer.ask(merchant, **closing))["result"]["code"]
    await placed(wechat_peer, merchant, out_trade_no="ORDER0002")
    closing["arguments"] = {"out_trade_no": "ORDER0002"}
    for _ in range(2):
        assert 204 == (await wechat_peer.ask(merchant, **closing))["code"]
    assert "ORDER_CLOSED" == await code_of(out_trade_no="ORDER0002")
    unknown = {"call": "query", "arguments": {"out_trade_no": "ORDER0003"}}
    answer = await wechat_peer.ask(merchant, **unknown)
    assert (404, "ORDER_NOT_EXIST") == (answer["code"], answer["result"]["code"])


@pytest.mark.parametrize("mode", ["public_key", "certificate", "both"])
async def test_a_sale_and_a_refund_by_the_independent_sdk(door, wechat_peer, keys, mode):
    """The SDK places, asks and refunds, and verifies each reply by the key it names."""
    merchant = await register(door, keys[0], mode)
    placing = await placed(wechat_peer, merchant)
    assert 200 == (await door.client.get(placing["code_url"])).status_code
    paid = await pay(door, merchant)
    asked = {"call": "query", "arguments": {"out_trade_no": "ORDER0001"}}
    found = (await wechat_peer.ask(merchant, **asked))["result"]
    back = {"out_refund_no": "R1", "amount": {"refund": 230, "total": 1230, "currency": "CNY"}}
    refunding = {"call": "refund", "arguments": {**back, "out_trade_no": "ORDER0001"}}
    refunds = [(await wechat_peer.ask(merchant, **refunding))["result"] for _ in range(2)]
    after = (await wechat_peer.ask(merchant, **asked))["result"]

    assert ("SUCCESS", 1230) == (found["trade_state"], found["amount"]["total"])
    assert paid["transaction_id"] == found["transaction_id"]
    assert refunds[0] == refunds[1], "The same number is the same refund."
    assert ("SUCCESS", 230) == (refunds[0]["status"], refunds[0]["amount"]["refund"])
    assert "REFUND" == after["trade_state"]


REFUNDS = [
    ({"amount": {"refund": 1231, "total": 1230, "currency": "CNY"}}, 400, "INVALID_REQUEST"),
    ({"amount": {"refund": 1, "total": 1, "currency": "CNY"}}, 400, "INVALID_REQUEST"),
    ({"amount": {"refund": 0, "total": 1230, "currency": "CNY"}}, 400, "PARAM_ERROR"),
    ({"amount": {"refund": 1, "total": 1230}}, 400, "PARAM_ERROR"),
    ({"reason": "月" * 30}, 400, "PARAM_ERROR"),
    ({"out_refund_no": "退款"}, 400, "PARAM_ERROR"),
    ({"out_trade_no": "ORDER0009"}, 404, "RESOURCE_NOT_EXISTS"),
]


@pytest.mark.parametrize("changes,status,code", REFUNDS)
async def test_a_wrong_refund_is_refused(door, wechat_peer, merchant, changes, status, code):
    """Money goes back up to what came, under a number of its own, for an order that is paid."""
    await placed(wechat_peer, merchant)
    good = {
        "out_trade_no": "ORDER0001",
        "out_refund_no": "R1",
        "amount": {"refund": 230, "total": 1230, "currency": "CNY"},
    }
    early = await wechat_peer.ask(merchant, call="refund", arguments=good)
    await pay(door, merchant)
    answer = await wechat_peer.ask(merchant, call="refund", arguments={**good, **changes})

    assert "INVALID_REQUEST" == early["result"]["code"], "Nobody had paid."
    assert (status, code) == (answer["code"], answer["result"]["code"])


async def test_a_callback_is_opened_by_the_independent_sdk(door, wechat_peer, merchant):
    """What we send is signed and sealed so that the SDK reads it, and nothing that was changed."""
    await placed(wechat_peer, merchant)
    body = {"mchid": merchant["mchid"], "orders": [{"out_trade_no": "ORDER0001"}]}
    (sent,) = (await door.post("/sandbox/wechat/sign-notifications", body))["notifications"]
    told = {"headers": sent["headers"], "body": sent["body"]}
    opened = (await wechat_peer.ask(merchant, callback=told))["result"]
    changed = {**told, "body": told["body"].replace("支付成功", "支付失败")}
    probe = (await door.post("/sandbox/wechat/sign-notifications", {**body, "is_probe": True}))[
        "notifications"
    ][0]

    assert "TRANSACTION.SUCCESS" == opened["event_type"]
    assert "transaction" == json.loads(told["body"])["resource"]["original_type"]
    assert ("SUCCESS", 1230) == (
        opened["resource"]["trade_state"],
        opened["resource"]["amount"]["total"],
    )
    assert {"result": None} == await wechat_peer.ask(merchant, callback=changed)
    refused = await wechat_peer.ask(
        merchant, callback={"headers": probe["headers"], "body": probe["body"]}
    )
    assert None is refused.get("result")


TRANSFERS = [
    ({"out_bill_no": "with-hyphen"}, 400, "PARAM_ERROR"),
    ({"transfer_scene_id": "9999"}, 403, "NO_AUTH"),
    ({"transfer_scene_report_infos": []}, 400, "PARAM_ERROR"),
    ({"transfer_amount": 9}, 400, "PARAM_ERROR"),
    ({"transfer_amount": 100_000_000, "user_name": "王小明"}, 403, "NOT_ENOUGH"),
    ({"openid": "oSomebodyElse"}, 400, "OPENID_MISMATCH"),
    ({"transfer_remark": "月" * 33}, 400, "PARAM_ERROR"),
    ({"appid": "wx0000000000000000"}, 400, "APPID_MCHID_NOT_MATCH"),
]


def transfer(merchant: dict[str, str], **changes) -> dict:
    """Ask for a transfer."""
    report = [{"info_type": name, "info_content": "货款"} for name in ("岗位类型", "报酬说明")]
    return {
        "out_bill_no": "BILL1",
        "transfer_scene_id": "1005",
        "openid": openid(merchant),
        "transfer_amount": 500,
        "transfer_remark": "货款",
        "transfer_scene_report_infos": report,
        **changes,
    }


@pytest.mark.parametrize("changes,status,code", TRANSFERS)
async def test_a_wrong_transfer_is_refused(wechat_peer, merchant, changes, status, code):
    """A transfer names a scene and reports on it, has bounds, and needs money."""
    if changes.get("transfer_amount") == 100_000_000:
        await wechat_peer.ask(
            merchant, call="mch_transfer_bills", arguments=transfer(merchant, out_bill_no="A")
        )
    arguments = transfer(merchant, **changes)
    answer = await wechat_peer.ask(merchant, call="mch_transfer_bills", arguments=arguments)

    assert (status, code) == (answer["code"], answer["result"]["code"])


@pytest.mark.parametrize("name,state", [("王小明", "SUCCESS"), ("别人", "FAIL")])
@pytest.mark.parametrize("mode", ["public_key", "certificate"])
async def test_a_transfer_waits_for_its_payee(door, wechat_peer, keys, mode, name, state):
    """The SDK seals the name; the payee confirms by the package, and it must be their own name."""
    merchant = await register(door, keys[0], mode)
    await wechat_peer.ask(merchant, call="query", arguments={"out_trade_no": "ORDER0001"})
    ask = {"call": "mch_transfer_bills", "arguments": transfer(merchant, user_name=name)}
    made = (await wechat_peer.ask(merchant, **ask))["result"]
    again = (await wechat_peer.ask(merchant, **ask))["result"]
    other = {**ask, "arguments": transfer(merchant, user_name=name, transfer_amount=501)}
    confirm = {"mchid": merchant["mchid"], "out_bill_no": "BILL1"}
    wrong = await door.client.post(
        f"{door.url}/sandbox/wechat/confirm-transfer",
        json={**confirm, "package_info": "guessed"},
        headers=door.headers,
    )

    assert ("WAIT_USER_CONFIRM", made) == (made["state"], again)
    assert "ALREADY_EXISTS" == (await wechat_peer.ask(merchant, **other))["result"]["code"]
    assert 400 == wrong.status_code
    await door.post(
        "/sandbox/wechat/confirm-transfer", {**confirm, "package_info": made["package_info"]}
    )
    query = {"call": "mch_transfer_bills_query", "arguments": {"out_bill_no": "BILL1"}}
    assert state == (await wechat_peer.ask(merchant, **query))["result"]["state"]
    cancel = {"call": "mch_transfer_bills_cancel", "arguments": {"out_bill_no": "BILL1"}}
    assert "INVALID_REQUEST" == (await wechat_peer.ask(merchant, **cancel))["result"]["code"]


async def test_a_transfer_is_cancelled_until_it_is_confirmed(wechat_peer, merchant):
    """Cancelling signs no body; one that signs none and sends `null` is refused."""
    arguments = transfer(merchant)
    await wechat_peer.ask(merchant, call="mch_transfer_bills", arguments=arguments)
    path = "/v3/fund-app/mch-transfer/transfer-bills/out-bill-no/BILL1/cancel"
    told = {"method": "POST", "path": path, "body": "null", "signed_body": ""}
    wrong = await wechat_peer.ask(merchant, send=told)
    cancel = {"call": "mch_transfer_bills_cancel", "arguments": {"out_bill_no": "BILL1"}}
    answer = await wechat_peer.ask(merchant, **cancel)
    query = {"call": "mch_transfer_bills_query", "arguments": {"out_bill_no": "BILL1"}}

    assert "SIGN_ERROR" == wrong["result"]["code"]
    assert "CANCELING" == answer["result"]["state"]
    assert "CANCELLED" == (await wechat_peer.ask(merchant, **query))["result"]["state"]


async def test_bills_are_fetched_by_the_independent_sdk(today: Door, wechat_peer, keys):
    """Both bills name their hash, are fetched by a signed request, and count the day's money."""
    merchant = await register(today, keys[0])
    await placed(wechat_peer, merchant)
    await pay(today, merchant)
    back = {"refund": 230, "total": 1230, "currency": "CNY"}
    arguments = {"out_trade_no": "ORDER0001", "out_refund_no": "R1", "amount": back}
    await wechat_peer.ask(merchant, call="refund", arguments=arguments)
    day = (datetime.now(UTC) + timedelta(hours=8)).date().isoformat()
    plain = {}
    for name in ("trade_bill", "fundflow_bill"):
        link = (await wechat_peer.ask(merchant, call=name, arguments={"bill_date": day}))["result"]
        url = link["download_url"]
        file = await wechat_peer.ask(merchant, call="download_bill", arguments={"url": url})
        plain[name] = gzip.decompress(bytes.fromhex(file["bytes"]))
        assert ("SHA1", hashlib.sha1(plain[name]).hexdigest()) == (
            link["hash_type"],
            link["hash_value"],
        )
    trade = plain["trade_bill"].decode("utf-8-sig").split("\r\n")
    flow = plain["fundflow_bill"].decode("utf-8-sig").split("\r\n")
    other = await register(today, keys[1])
    theirs = await wechat_peer.ask(other, call="download_bill", arguments={"url": url})

    assert (27, 7) == (len(trade[0].split(",")), len(trade[3].split(",")))
    assert [27, 27] == [len(line.split(",")) for line in trade[1:3]]
    assert "`2,`12.30,`2.30,`0.00,`0.06000,`12.30,`2.30" == trade[4]
    assert (11, "`3,`1,`12.30,`2,`2.37") == (len(flow[0].split(",")), flow[5])
    assert (403, "NO_AUTH") == (theirs["code"], theirs["result"]["code"])


@pytest.mark.parametrize(
    "day,code",
    [
        ("2026-13-01", "PARAM_ERROR"),
        ("2020-01-01", "NO_STATEMENT_EXIST"),
        ("9999-01-01", "INVALID_REQUEST"),
    ],
)
async def test_a_bill_that_is_not_there_is_refused(wechat_peer, merchant, day, code):
    """A day that is none, that was empty, or that is to come, each has its code."""
    answer = await wechat_peer.ask(merchant, call="trade_bill", arguments={"bill_date": day})

    assert code == answer["result"]["code"]


class Merchant:
    """A merchant's callback address: keeps what it hears, and answers as it is told."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses = statuses
        self.heard: list[dict] = []
        self.is_done = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear one callback, and answer with the next status."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers["content-length"]))
        self.heard.append({"headers": headers, "body": body.decode()})
        status = self.statuses.pop(0)
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        if not self.statuses:
            self.is_done.set()


async def test_callbacks_come_again_until_they_are_heard(door, wechat_peer, merchant):
    """The same envelope comes again, signed anew each time, until the answer is 200 or 204."""
    ear = Merchant([500, 302, 204])
    server = await asyncio.start_server(ear.answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callbacks/1"
    await placed(wechat_peer, merchant, notify_url=url)
    await pay(door, merchant)
    async with asyncio.timeout(20):
        await ear.is_done.wait()
    server.close()

    assert 1 == len({each["body"] for each in ear.heard})
    assert 3 == len({each["headers"]["wechatpay-nonce"] for each in ear.heard})
    for each in ear.heard:
        opened = (await wechat_peer.ask(merchant, callback=each))["result"]
        assert "SUCCESS" == opened["resource"]["trade_state"]
