"""Epay V2: RSA on both sides; a yes that is not signed is none, and money goes out once."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives import serialization
from tests.payments.conftest import Door, altered, make_key, yuan

from vendrail.api.payments import ActionKind
from vendrail.channelkit.bench import Bench, Message, Operation, Sale, Trouble, Twist
from vendrail.channelkit.contract import ChannelContract
from vendrail.kernel.codec import replace
from vendrail.kernel.epay import signing_text
from vendrail.kernel.ids import new_id
from vendrail.payments.channels import alipay_signatures as signatures
from vendrail.payments.channels.base import (
    Account,
    Ask,
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    CloseOutcome,
    Payee,
    PayoutAsk,
    PayoutOutcome,
    QueryOutcome,
    RefundAsk,
    RefundOutcome,
    SettingProblem,
    check_settings,
    registry,
)
from vendrail.payments.channels.epay2_messages import (
    Unclear,
    is_refused,
    order,
    read_close,
    read_notification,
    read_query,
    read_refund,
    read_refund_query,
    read_reply,
    read_transfer,
    read_transfer_query,
    read_way,
    request,
)
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.settings import PaymentsSettings

CHANNEL = registry()["epay2"]
PEER = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
OURS, THEIRS = make_key(), make_key()
GOOD = {
    "url": "https://pay.example.com/",
    "pid": "2001",
    "private_key": OURS[0],
    "public_key": THEIRS[1],
}
SETTINGS = check_settings(CHANNEL, GOOD)
NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)


class Platform(Door):
    """The sandbox's Epay V2 as tests see it: a merchant, its orders, its faults."""

    def post(self, path: str, body: object) -> dict:
        """Post to a control route."""
        reply = self._client.post(f"/sandbox/epay2/{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def register(self, key: tuple[str, str], **more: object) -> dict[str, str]:
        """Register a merchant by its key; give the settings of its account."""
        told = self.post("merchants", {"public_key_pem": key[1], **more})
        return {
            "url": f"{self.url}/epay2",
            "pid": told["pid"],
            "private_key": key[0],
            "public_key": told["public_key"],
            "shows": "page,qr",
            "sign_type": str(more.get("sign_type", "RSA")),
            "refunds": "yes",
            "allows_http": "yes",
        }

    def open(self, url: str) -> int:
        """Open a page as the buyer's browser would; a refusal is no page."""
        reply = self._client.get(url, follow_redirects=True)
        return 400 if "无法付款" in reply.text else reply.status_code

    def order(self, pid: str, number: str) -> dict:
        """Give what the provider knows of an order."""
        return self._client.get(f"/sandbox/epay2/orders/{number}", params={"pid": pid}).json()

    def transferred(self, pid: str, number: str) -> int:
        """Give what a merchant paid out under a number."""
        params = {"pid": pid, "out_biz_no": number}
        made = self._client.get("/sandbox/epay2/transfers", params=params).json()["transfers"]
        return sum(each["money_minor"] for each in made)

    def fault(self, kind: str, **more: object) -> None:
        """Order a fault."""
        self.post("faults", {"kind": kind, **more})

    def clear(self) -> None:
        """Take faults back."""
        self._client.delete("/sandbox/epay2/faults")


class Epay2Bench(Bench):
    """Two merchants at an Epay V2."""

    kind = "epay2"

    def __init__(self, platform: Platform, **more: object) -> None:
        self.platform = platform
        self._settings = platform.register(OURS, **more)
        self._others = platform.register(THEIRS, **more)
        self.pid = self._settings["pid"]

    async def settings(self):
        """Give the settings of a merchant."""
        return dict(self._settings)

    async def other_settings(self):
        """Give the settings of another merchant."""
        return dict(self._others)

    async def open(self, action):
        """Open the page, or what the code leads to."""
        address = action.text if action.kind is ActionKind.QR else action.url
        return 200 == await asyncio.to_thread(self.platform.open, address)

    async def pay(self, sale: Sale) -> None:
        """Open it and pay."""
        assert await self.open(sale.action)
        body = {"pid": self.pid, "out_trade_no": sale.number}
        assert (await asyncio.to_thread(self.platform.post, "pay", body))["is_paid"]

    async def paid(self, sale: Sale, twist: Twist = Twist.NONE):
        """Pay, and sign the callback; another amount is what was really paid."""
        if twist is Twist.CURRENCY:
            return None  # It knows of no currency but one.
        amount = {Twist.LESS: -1, Twist.MORE: 1}.get(twist, 0) + sale.amount_minor
        changes = {
            Twist.ACCOUNT: {"pid": "9999"},
            Twist.UNPAID: {"trade_status": "WAIT_BUYER_PAY"},
        }
        wanted = {
            "pid": self.pid,
            "out_trade_no": sale.number,
            "money": yuan(amount),
            "changes": changes.get(twist, {}),
        }
        told = await asyncio.to_thread(self.platform.post, "sign-notifications", wanted)
        return Message("GET", query=told["body"])

    def forgeries(self, message):
        """Change what was signed, sign with the merchant's key, double a field, be late."""
        body = message.query.encode()
        fields = dict(parse_qsl(message.query, keep_blank_values=True))
        key = signatures.load_private_key(OURS[0])
        own = {**fields, "sign": signatures.sign(signing_text(fields).encode(), key)}
        changed = [
            altered(body, money="0.01"),
            altered(body, out_trade_no="0" * 27),
            altered(body, sign=""),
            altered(body, sign="AAAA"),
            altered(body, sign_type="MD5"),
            altered(body, timestamp=str(int(fields["timestamp"]) + 1)),
            altered(body, added="1"),
            urlencode(own).encode(),
            body + b"&money=12.30",
            b"",
            b"%ff=%zz",
        ]
        return [Message("GET", query=each.decode()) for each in changed]

    async def known_minor(self, sale: Sale) -> int:
        """Give what the order costs."""
        order = await asyncio.to_thread(self.platform.order, self.pid, sale.number)
        return order["money_minor"]

    async def returned_minor(self, sale: Sale) -> int:
        """Add up the order's refunds."""
        order = await asyncio.to_thread(self.platform.order, self.pid, sale.number)
        return sum(refund["money_minor"] for refund in order["refunds"])

    async def trouble(self, trouble: Trouble, operation: Operation, *, count: int = 1) -> bool:
        """Order a fault for one door."""
        doors = {
            Operation.PRESENT: "create",
            Operation.QUERY: "query",
            Operation.CLOSE: "close",
            Operation.REFUND: "refund",
            Operation.REFUND_QUERY: "refundquery",
            Operation.PAYOUT: "transfer",
            Operation.PAYOUT_QUERY: "transferquery",
        }
        if operation not in doors:
            return False
        kind, params = {
            Trouble.AWAY: ("gateway_down", {}),
            Trouble.LOST: ("gateway_down", {"is_after": True}),
            Trouble.UNCLEAR: ("query_unknown", {}),
            Trouble.SLOW: ("slow", {"delay_s": 1.5}),
            Trouble.DENIES: ("query_disagrees", {}),
        }[trouble]
        if trouble is Trouble.UNCLEAR and operation is Operation.QUERY:
            kind = "bad_reply_signature"  # A yes that is not the platform's.
        fault = {"match": {"method": doors[operation]}, "params": params, "count": count}
        await asyncio.to_thread(lambda: self.platform.fault(kind, **fault))
        return True

    async def calm(self) -> None:
        """Take faults back."""
        await asyncio.to_thread(self.platform.clear)

    async def payee(self):
        """Give somebody at Alipay."""
        return Payee("alipay", "mei@shop.test", "张三")

    async def paid_out_minor(self, payout_number: str) -> int:
        """Ask the sandbox for a transfer."""
        return await asyncio.to_thread(self.platform.transferred, self.pid, payout_number)


@pytest.fixture
def platform(alipay_server, alipay_home):
    """The sandbox's Epay V2, without faults."""
    door = Platform(alipay_server.url, alipay_home)
    door.clear()
    yield door
    door.clear()
    door.close()


class TestEpay2(ChannelContract):
    """Epay V2."""

    @pytest.fixture
    def bench(self, platform):
        """Two merchants."""
        return Epay2Bench(platform)


# Signatures, against an independent SDK that has the same rule.


def _peer(told: object) -> dict:
    """Sign and verify with the independent SDK, in its own venv."""
    if not PEER.exists():
        pytest.fail("The independent SDK is not installed; run `make test` once.")
    program = (
        "import json, sys; from alipay import AliPay; from urllib.parse import parse_qsl;"
        "told = json.load(sys.stdin);"
        "ours = AliPay(appid='1', app_private_key_string=told['ours'],"
        " alipay_public_key_string=told['platform'], sign_type='RSA2');"
        "theirs = AliPay(appid='1', app_private_key_string=told['theirs'],"
        " alipay_public_key_string=told['platform'], sign_type='RSA2');"
        "print(json.dumps({'asked': dict(parse_qsl(ours.sign_data(told['asked'])))['sign'],"
        " 'told': dict(parse_qsl(theirs.sign_data(told['told'])))['sign'],"
        " 'verified': [ours.verify(dict(each), sign) for each, sign in told['signed']]}))"
    )
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = run(
        [PEER, "-c", program],
        check=False,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        env=env,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def _pem(text: str) -> str:
    """Write a private key in the older form that the SDK reads."""
    key = serialization.load_pem_private_key(text.encode(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


async def test_an_independent_sdk_signs_as_we_do_and_verifies_what_is_signed(platform):
    """Requests come out as the SDK signs them; it verifies the sandbox, and we verify it."""
    bench = Epay2Bench(platform)
    given = await bench.settings()
    fields = {"out_trade_no": "N1", "name": "月卡 100% & more", "money": "1.00", "param": ""}
    ours = request(fields, check_settings(CHANNEL, given), NOW)
    wanted = {"pid": bench.pid, "out_trade_no": "N1", "money": "1.00"}
    body = platform.post("sign-notifications", wanted)["body"]
    told = dict(parse_qsl(body))
    sign, sign_type = told.pop("sign"), told.pop("sign_type")
    stamp = str(int(NOW.timestamp()))
    callback = {
        "pid": "2001",
        "out_trade_no": "N1",
        "trade_no": "T1",
        "money": "1.00",
        "name": "月卡",
        "trade_status": "TRADE_SUCCESS",
        "timestamp": stamp,
    }
    asked = {name: value for name, value in ours.items() if name not in {"sign", "sign_type"}}
    answer = _peer(
        {
            "ours": _pem(OURS[0]),
            "theirs": _pem(THEIRS[0]),
            "platform": given["public_key"],
            "asked": asked,
            "told": callback,
            "signed": [[told, sign], [{**told, "money": "2.00"}, sign]],
        }
    )

    assert "RSA" == sign_type
    assert ours["sign"] == answer["asked"]
    assert [True, False] == answer["verified"]
    signed = urlencode({**callback, "sign": answer["told"], "sign_type": "RSA"}).encode()
    facts = read_notification(signed, SETTINGS, NOW)
    assert isinstance(facts, CallbackFacts)
    assert ("N1", "T1", 100, "") == (
        facts.out_trade_no,
        facts.provider_number,
        facts.amount_minor,
        facts.mismatch,
    )
    for late in (timedelta(seconds=301), timedelta(seconds=-301)):
        assert CallbackRefusal("timestamp_stale") == read_notification(signed, SETTINGS, NOW + late)


def callback(fields: dict[str, str], *, signed: dict[str, str] | None = None) -> bytes:
    """Make a callback under the platform's signature of these fields, or of others."""
    text = signing_text(signed or fields).encode()
    sign = signatures.sign(text, signatures.load_private_key(THEIRS[0]))
    return urlencode({**fields, "sign": sign, "sign_type": "RSA"}).encode()


def test_x7_a_title_forges_no_second_callback():
    """What was signed of one order, cut into the fields of another, is no money by itself."""
    stamp = str(int(NOW.timestamp()))
    tail = {"pid": "2001", "timestamp": stamp, "trade_no": "F", "trade_status": "TRADE_SUCCESS"}
    wished = {"out_trade_no": "B", **tail}
    title = "x&" + "&".join(f"{name}={value}" for name, value in wished.items())
    told = {"money": "1.00", "name": f"{title}&z=", "out_trade_no": "A", **tail, "type": "alipay"}
    rest = signing_text(told).split("&z=", 1)[1]
    forged = {"money": "1.00", "name": "x", "out_trade_no": "B", **tail, "z": rest}
    odd = {**told, "name": "x", "zz=1&zzz": "1"}
    plain = {**told, "name": "月卡 a=b"}

    assert signing_text(told) == signing_text(forged)
    claimed, captured = CallbackKind.CLAIMED, CallbackKind.CAPTURED
    for fields, signed, wanted in (
        (told, told, ("A", claimed)),
        (forged, told, ("B", claimed)),
        (odd, odd, ("A", claimed)),
        (plain, plain, ("A", captured)),
    ):
        facts = read_notification(callback(fields, signed=signed), SETTINGS, NOW)
        assert isinstance(facts, CallbackFacts)
        assert (*wanted, "") == (facts.out_trade_no, facts.kind, facts.mismatch)
    sent = order(replace(ASK, method="alipay", title=title))
    assert not set("&=") & set(sent["name"])
    assert "x＆out_trade_no＝B" in sent["name"]


def reply(**fields: object) -> bytes:
    """Make a reply signed by the platform, numbers and all."""
    text = signing_text({name: str(value) for name, value in fields.items()})
    sign = signatures.sign(text.encode(), signatures.load_private_key(THEIRS[0]))
    return json.dumps({**fields, "sign": sign, "sign_type": "RSA"}).encode()


def test_a_yes_counts_only_when_it_is_signed():
    """Unsigned, changed, signed by ourselves, doubled or no JSON: nothing may be believed."""
    good = reply(code=0, status=1, money="1.00")
    own = signatures.sign(b"code=0", signatures.load_private_key(OURS[0]))
    wrong = [
        b'{"code":0,"status":1}',
        good.replace(b"1.00", b"2.00"),
        good[:-1] + b',"added":"1"}',
        good[:-1] + b',"status":0}',
        json.dumps({"code": 0, "sign": own}).encode(),
        b'{"status":1}',
        b'{"code":"zero"}',
        b"[]",
        b"<html>",
        b"",
    ]

    assert "1.00" == read_reply(good, SETTINGS)["money"]
    assert "x" not in read_reply(good[:-1] + b',"x":{"money":"9"}}', SETTINGS)
    for body in wrong:
        with pytest.raises(Unclear):
            read_reply(body, SETTINGS)
    assert "-1" == read_reply(b'{"code":-1,"msg":"no"}', SETTINGS)["code"]


ASK = Ask("N", "alipay", 100, "CNY", "", NOW, NOW)
YES = {"code": "0", "out_trade_no": "N", "pid": "2001", "money": "1.00", "trade_no": "T"}


@pytest.mark.parametrize(
    "fields,outcome",
    [
        ({**YES, "status": "1"}, QueryOutcome.PAID),
        ({**YES, "status": "0"}, QueryOutcome.UNPAID),
        ({**YES, "status": "2"}, QueryOutcome.CLOSED),
        ({**YES, "status": "3"}, QueryOutcome.UNKNOWN),
        ({**YES, "status": "4"}, QueryOutcome.UNKNOWN),
        ({**YES, "status": "1", "out_trade_no": "M"}, QueryOutcome.UNKNOWN),
        ({**YES, "status": "1", "pid": "1"}, QueryOutcome.UNKNOWN),
        ({**YES, "status": "1", "money": "1.005"}, QueryOutcome.UNKNOWN),
        ({**YES, "status": "1", "trade_no": ""}, QueryOutcome.UNKNOWN),
        ({"code": "-1", "msg": "订单号不存在"}, QueryOutcome.NOT_FOUND),
        ({"code": "-1", "msg": "商户不存在"}, QueryOutcome.UNKNOWN),
        ({"code": "-1", "msg": "系统繁忙"}, QueryOutcome.UNKNOWN),
    ],
)
def test_an_order_is_what_the_provider_says(fields, outcome):
    """Only a paid order with all its names is paid; frozen and authorised money is not ours yet."""
    assert outcome is read_query(fields, ASK, SETTINGS).outcome


def test_a_refund_ends_by_the_query():
    """A yes is taken on; the query tells of the end, for this number and this amount."""
    ask = RefundAsk("R", "N", "T", 30, 100, "CNY", "")
    yes = {"code": "0", "out_refund_no": "R", "money": "0.30"}

    assert RefundOutcome.PENDING is read_refund(yes).outcome
    no = read_refund({"code": "-1", "msg": "商户余额不足"})
    assert (RefundOutcome.FAILED, False) == (no.outcome, no.is_final)
    vague = ("系统繁忙", "退款单号已存在", "处理中", "退款失败：系统错误", "网络异常")
    for msg in (*vague, "ACQ.SYSTEM_ERROR"):
        assert RefundOutcome.UNKNOWN is read_refund({"code": "-1", "msg": msg}).outcome
    expected = {
        "1": RefundOutcome.SUCCEEDED,
        "0": RefundOutcome.FAILED,
        "9": RefundOutcome.UNKNOWN,
    }
    for status, outcome in expected.items():
        assert outcome is read_refund_query({**yes, "status": status}, ask).outcome
    for wrong in ({"out_refund_no": "S"}, {"money": "0.31"}):
        told = read_refund_query({**yes, "status": "1", **wrong}, ask)
        assert RefundOutcome.UNKNOWN is told.outcome
    missing = {"code": "-1", "msg": "退款单号不存在"}
    assert RefundOutcome.NOT_FOUND is read_refund_query(missing, ask).outcome


def test_a_payout_stands_where_the_provider_says():
    """Under way, done or failed; about another number or amount it says nothing."""
    ask = PayoutAsk("P", Payee("alipay", "a", "b"), 500, "CNY", "t")
    yes = {"code": "0", "out_biz_no": "P", "biz_no": "B", "amount": "5.00"}
    states = {
        "0": PayoutOutcome.PENDING,
        "1": PayoutOutcome.SUCCEEDED,
        "2": PayoutOutcome.FAILED,
        "7": PayoutOutcome.UNKNOWN,
    }

    for status, outcome in states.items():
        assert outcome is read_transfer_query({**yes, "status": status}, ask).outcome
        assert outcome is read_transfer({**yes, "status": status}, ask).outcome
    for wrong in ({"out_biz_no": "Q"}, {"amount": "5.01"}):
        told = read_transfer_query({**yes, "status": "1", **wrong}, ask)
        assert PayoutOutcome.UNKNOWN is told.outcome
    refused = {"code": "-1", "msg": "商户余额不足"}
    assert PayoutOutcome.UNKNOWN is read_transfer(refused, ask).outcome
    assert is_refused(refused, ask)
    assert not is_refused(refused, replace(ask, tries=1))
    assert not is_refused({**yes, "status": "2"}, ask)
    for msg in ("转账失败：系统错误", "网络异常", "ACQ.SYSTEM_ERROR"):
        assert not is_refused({"code": "-1", "msg": msg}, ask)


async def test_a_refused_payout_fails_when_nobody_knows_of_it(platform, clock):
    """A refusal in words is none while the provider, asked, does not say that nothing moved."""
    bench = Epay2Bench(platform)
    ask = PayoutAsk("PX2", await bench.payee(), 99_999_999_900, "CNY", "t")
    switchboard = Switchboard(clock, PaymentsSettings(), lambda: None)
    settings = check_settings(CHANNEL, await bench.settings())
    id = new_id(NOW)
    account = Account(id, "epay2", settings, switchboard.line(id))
    await bench.trouble(Trouble.UNCLEAR, Operation.PAYOUT_QUERY)
    doubted = await CHANNEL.pay_out(ask, account, clock.now())
    await bench.calm()
    refused = await CHANNEL.pay_out(replace(ask, payout_number="PX3"), account, clock.now())
    await switchboard.close()

    assert PayoutOutcome.UNKNOWN is doubted.outcome
    assert PayoutOutcome.FAILED is refused.outcome
    assert doubted.problem == refused.problem != ""


async def test_a_payout_that_ends_badly_is_told(platform, clock):
    """What the provider could not pay in the end has failed, with its words."""
    bench = Epay2Bench(platform)

    ask = PayoutAsk("PX1", await bench.payee(), 500, "CNY", "t")
    switchboard = Switchboard(clock, PaymentsSettings(), lambda: None)
    settings = check_settings(CHANNEL, await bench.settings())
    id = new_id(NOW)
    account = Account(id, "epay2", settings, switchboard.line(id))
    made = await CHANNEL.pay_out(ask, account, clock.now())
    platform.post("transfers", {"pid": bench.pid, "out_biz_no": "PX1", "status": 2})
    ended = await CHANNEL.query_payout(ask, account, clock.now())
    await switchboard.close()

    assert PayoutOutcome.SUCCEEDED is made.outcome
    assert (PayoutOutcome.FAILED, "收款账号异常") == (ended.outcome, ended.problem)


@pytest.mark.parametrize(
    "fields,outcome",
    [
        ({"code": "0"}, CloseOutcome.CLOSED),
        ({"code": "-1", "msg": "订单号不存在"}, CloseOutcome.NOT_FOUND),
        ({"code": "-1", "msg": "当前支付通道不支持关闭订单"}, CloseOutcome.UNSUPPORTED),
        ({"code": "-1", "msg": "该订单已完成支付"}, CloseOutcome.REFUSED),
    ],
)
def test_closing_is_what_the_provider_says(fields, outcome):
    """Closed, unknown, refused, or nothing that its channel can do."""
    assert outcome is read_close(fields)


@pytest.mark.parametrize(
    "fields,kind",
    [
        ({"pay_type": "qrcode", "pay_info": "https://q.example/1"}, ActionKind.QR),
        ({"pay_type": "urlscheme", "pay_info": "weixin://x"}, ActionKind.QR),
        ({"pay_type": "jump", "pay_info": "https://p.example/1"}, ActionKind.REDIRECT),
        ({"pay_type": "jump", "pay_info": "javascript:alert(1)"}, ActionKind.NONE),
        ({"pay_type": "html", "pay_info": "<form>"}, ActionKind.NONE),
        ({}, ActionKind.NONE),
    ],
)
def test_a_way_to_pay_is_one_we_can_show(fields, kind):
    """A code, an app's address or a page; foreign HTML and scripts are shown to nobody."""
    assert kind is read_way({"code": "0", "trade_no": "T", **fields}).action.kind


@pytest.mark.parametrize(
    "changes,name",
    [
        ({"url": "http://pay.example.com/"}, "url"),
        ({"url": "https://pay.example.com/submit.php"}, "url"),
        ({"pid": "a b"}, "pid"),
        ({"private_key": THEIRS[1]}, "private_key"),
        ({"public_key": "x"}, "public_key"),
        ({"public_key": OURS[1]}, "public_key"),
        ({"methods": "alipay,paypal"}, "methods"),
        ({"shows": "nfc"}, "shows"),
        ({"sign_type": "MD5"}, "sign_type"),
        ({"refunds": "maybe"}, "refunds"),
        ({"key": "x"}, "key"),
    ],
)
def test_settings_are_checked_one_by_one(changes, name):
    """What is wrong with a setting is said by its name, before anything is written."""
    with pytest.raises(SettingProblem) as caught:
        check_settings(CHANNEL, {**GOOD, **changes})
    assert name == caught.value.name
