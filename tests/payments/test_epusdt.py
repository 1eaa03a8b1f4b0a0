"""Epusdt: a shared token proves nothing, and a paid trade is only the one that was made for us."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from subprocess import run

import pytest
from tests.payments.conftest import Door

from vendrail.api.payments import ActionKind
from vendrail.channelkit.bench import Bench, Message, Operation, Sale, Trouble, Twist
from vendrail.channelkit.contract import ChannelContract
from vendrail.channelkit.rig import Rig
from vendrail.payments.channels.base import (
    Ask,
    QueryOutcome,
    SettingProblem,
    check_settings,
    registry,
)
from vendrail.payments.channels.epusdt_messages import (
    is_signed,
    read_amount,
    read_json,
    read_query,
    signature,
    write_number,
)

CHANNEL = registry()["epusdt"]
PEER = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"


class Server(Door):
    """The sandbox's epusdt as tests see it: a server, its orders, its faults."""

    def post(self, path: str, body: object) -> dict:
        """Post to a control route."""
        reply = self._client.post(f"/sandbox/epusdt/{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def set_up(self, **more: object) -> dict[str, str]:
        """Set a server up; give the settings of an account there."""
        told = self.post("accounts", more)
        return {
            "url": f"{self.url}/epusdt/{told['account']}",
            "token": told["token"],
            "variant": str(more.get("program", "epusdt")),
            "signs_by": str(more.get("signs_by", "md5")),
            "pid": told["account"],
            "allows_http": "yes",
        }

    def open(self, url: str) -> int:
        """Open a page as the buyer's browser would."""
        return self._client.get(url, follow_redirects=True).status_code

    def order(self, account: str, number: str) -> dict:
        """Give what the server knows of an order."""
        params = {"account": account}
        return self._client.get(f"/sandbox/epusdt/orders/{number}", params=params).json()

    def fault(self, kind: str, **more: object) -> None:
        """Order a fault."""
        self.post("faults", {"kind": kind, **more})

    def clear(self) -> None:
        """Take faults back."""
        self._client.delete("/sandbox/epusdt/faults")


class EpusdtBench(Bench):
    """A server that speaks epusdt, as one of its programs."""

    kind = "epusdt"
    can_refund = False
    is_chain = True

    def __init__(self, server: Server, **more: object) -> None:
        self.server = server
        self._settings = server.set_up(**more)
        self._others = server.set_up(**more)
        self.id = self._settings["pid"]

    async def settings(self):
        """Give the settings of a server."""
        return dict(self._settings)

    async def other_settings(self):
        """Give the settings of another server."""
        return dict(self._others)

    async def open(self, action):
        """Open the server's page."""
        assert ActionKind.REDIRECT is action.kind
        return 200 == await asyncio.to_thread(self.server.open, action.url)

    async def _move(self, sale: Sale, move: str) -> None:
        body = {"account": self.id, "order_id": sale.number, "move": move}
        await asyncio.to_thread(self.server.post, "moves", body)

    async def pay(self, sale: Sale) -> None:
        """Let the exact amount arrive."""
        await self._move(sale, "pay")

    async def paid(self, sale: Sale, twist: Twist = Twist.NONE):
        """Pay, and sign the callback; an amount that is not exact is never told of."""
        if twist in {Twist.LESS, Twist.MORE, Twist.CURRENCY}:
            return None
        if twist is Twist.ACCOUNT and self._settings["variant"] != "gmpay":
            return None  # Only GMPay's callbacks name an account.
        await self.pay(sale)
        wanted = {"account": self.id, "order_id": sale.number}
        if twist is Twist.ACCOUNT:
            wanted["changes"] = {"pid": "9999"}
        if twist is Twist.UNPAID:
            wanted["status"] = 1
        told = await asyncio.to_thread(self.server.post, "sign-notifications", wanted)
        return Message(body=told["body"].encode())

    def forgeries(self, message):
        """Change what was signed, sign with another token, double a field, say it by GET."""
        fields = json.loads(message.body)
        stranger = {k: str(v) for k, v in fields.items() if k != "signature" and v != ""}
        by = self._settings["signs_by"]
        changed = [
            {**fields, "amount": 0.01},
            {**fields, "order_id": "0" * 27},
            {**fields, "trade_id": "1"},
            {**fields, "signature": ""},
            {**fields, "signature": "0" * 32},
            {**fields, "signature": fields["signature"].upper()},
            {**fields, "added": "1"},
            {**fields, "status": [2]},
            {**stranger, "signature": signature(stranger, "another token", by)},
        ]
        bodies = [json.dumps(each).encode() for each in changed]
        bodies += [b"", b"null", b"{", message.body[:-1] + b',"status":2}']
        return [
            *(Message(body=body) for body in bodies),
            Message("GET", query=message.body.decode(), body=message.body),
        ]

    async def known_minor(self, sale: Sale) -> int:
        """Give what the order costs."""
        order = await asyncio.to_thread(self.server.order, self.id, sale.number)
        return read_amount(order["amount"])

    async def returned_minor(self, sale: Sale) -> int:
        """Nothing ever goes back."""
        return 0

    async def trouble(self, trouble: Trouble, operation: Operation, *, count: int = 1) -> bool:
        """Order a fault for one door."""
        doors = {
            Operation.PRESENT: "create",
            Operation.QUERY: "status",
            Operation.CLOSE: "cancel",
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
        match = {"app_id": self.id, "method": doors[operation]}
        fault = {"match": match, "params": params, "count": count}
        await asyncio.to_thread(lambda: self.server.fault(kind, **fault))
        return True

    async def calm(self) -> None:
        """Take faults back."""
        await asyncio.to_thread(self.server.clear)

    async def see(self, sale: Sale) -> None:
        """Let the money be seen on its chain."""
        await self._move(sale, "see")

    async def settle(self, sale: Sale) -> None:
        """Let it be final."""
        await self._move(sale, "pay")

    async def undo(self, sale: Sale) -> None:
        """Let its block be no block any more."""
        await self._move(sale, "undo")


@pytest.fixture
def server(alipay_server, alipay_home):
    """The sandbox's epusdt, without faults."""
    door = Server(alipay_server.url, alipay_home)
    door.clear()
    yield door
    door.clear()
    door.close()


class TestBepusdt(ChannelContract):
    """BEpusdt: it has a cancellation, and answers without an envelope."""

    @pytest.fixture
    def bench(self, server):
        """Two servers."""
        return EpusdtBench(server, program="bepusdt")


class TestGmpay(ChannelContract):
    """GMPay, signed by HMAC: its merchants have numbers."""

    @pytest.fixture
    def bench(self, server):
        """Two merchants."""
        return EpusdtBench(server, program="gmpay", signs_by="hmac")


# Signatures, against vectors and an independent SDK.


def test_signatures_are_those_that_are_published():
    """The published example comes out."""
    classic = {
        "order_id": "20220201030210321",
        "amount": "42",
        "notify_url": "http://example.com/notify",
        "redirect_url": "http://example.com/redirect",
    }

    assert "1cd4b52df5587cfb1968b0c0c6e156cd" == signature(
        classic, "epusdt_password_xasddawqe", "md5"
    )


def _peer(program: str, told: object) -> dict:
    """Run a program with the independent SDK; give what it says."""
    if not PEER.exists():
        pytest.fail("The independent SDK is not installed; run `make test` once.")
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


async def test_our_orders_are_signed_as_the_independent_sdk_signs_them(server):
    """For the same fields, whole, with a tenth or with a cent, the SDK gives our signature."""
    settings = check_settings(CHANNEL, server.set_up(program="bepusdt"))
    program = (
        "import json, sys; from bepusdt.signature import generate_signature;"
        "told = json.load(sys.stdin);"
        "print(json.dumps([generate_signature(each, told['token']) for each in told['orders']]))"
    )
    amounts = [10, 42.5, 0.11, 123456.78]
    orders = [
        {"order_id": "N1", "amount": amount, "notify_url": "https://s.example/n", "name": ""}
        for amount in amounts
    ]
    ours = [
        signature({**each, "amount": write_number(str(each["amount"]))}, settings.token, "md5")
        for each in orders
    ]

    assert ours == _peer(program, {"token": settings.token, "orders": orders})


async def test_callbacks_of_the_sandbox_and_of_the_sdk_are_the_same(server):
    """The SDK verifies what the sandbox signs, and we verify what the SDK signs."""
    bench = EpusdtBench(server, program="bepusdt")
    given = await bench.settings()
    settings = check_settings(CHANNEL, given)
    program = (
        "import json, sys; from bepusdt import BEpusdtClient;"
        "from bepusdt.signature import generate_signature; told = json.load(sys.stdin);"
        "sdk = BEpusdtClient('https://usdt.example', told['token']);"
        "made = {'trade_id': 'T1', 'order_id': 'N1', 'amount': 42.5, 'actual_amount': 5.99,"
        " 'token': 'TXYZ', 'status': 2};"
        "made['signature'] = generate_signature(made, told['token']);"
        "print(json.dumps({'verified': [sdk.verify_callback(each) for each in told['bodies']],"
        " 'made': made}))"
    )
    token = given["token"]
    fields = {"order_id": "N1", "amount": "42.5", "notify_url": "https://s.example/n"}
    signed = {**fields, "amount": 42.5, "signature": signature(fields, token, "md5")}
    created = server._client.post(f"{given['url']}/api/v1/order/create-transaction", json=signed)
    assert 200 == created.json()["status_code"]
    told = server.post("sign-notifications", {"account": bench.id, "order_id": "N1", "status": 2})
    good = json.loads(told["body"])
    answer = _peer(program, {"token": token, "bodies": [good, {**good, "amount": 1}]})

    assert [True, False] == answer["verified"]
    made = read_json(json.dumps(answer["made"]).encode())
    assert is_signed(made, settings)
    assert not is_signed({**made, "order_id": "N2"}, settings)


async def test_the_sandbox_serves_the_independent_sdk(server):
    """The SDK makes an order at the sandbox, asks about it, takes it back; twice is refused."""
    given = server.set_up(program="bepusdt")
    program = (
        "import json, sys; from bepusdt import BEpusdtClient; from bepusdt.exceptions import"
        " APIError; told = json.load(sys.stdin);"
        "sdk = BEpusdtClient('https://usdt.example', told['token'], max_retries=0);"
        "sdk.api_url = told['url'];"  # It wants HTTPS, which a loopback address has not.
        "order = sdk.create_order('S1', 42.5, 'https://s.example/n', 'https://s.example/r',"
        " trade_type='usdc.erc20', timeout=600, rate='~1.02', fiat='CNY', name='x');"
        "state = sdk.query_order(order.trade_id);"
        "cancelled = sdk.cancel_order(order.trade_id)\n"
        "try:\n sdk.create_order('S1', 42.5, 'https://s.example/n'); code = 0\n"
        "except APIError as error: code = error.status_code\n"
        "print(json.dumps([order.amount, order.order_id, int(state.status), code,"
        " cancelled['trade_id'] == order.trade_id]))"
    )

    assert [42.5, "S1", 1, 10002, True] == await asyncio.to_thread(_peer, program, given)


# What only this channel must hold.


async def test_x14_another_paid_trade_pays_nothing_of_ours(server, database_url, vault):
    """Who knows the token and pays a cent cannot have that trade taken for a dear order."""
    bench = EpusdtBench(server, program="epusdt")
    async with Rig.over(bench, database_url, vault) as rig:
        _, cheap_sale = await rig.sale(amount_minor=10)
        dear, dear_sale = await rig.sale(amount_minor=500_000)
        await bench.pay(cheap_sale)
        told = await asyncio.to_thread(
            server.post,
            "sign-notifications",
            {
                "account": bench.id,
                "order_id": cheap_sale.number,
                "changes": {"order_id": dear_sale.number},
            },
        )
        await rig.tell(Message(body=told["body"].encode()))
        for _ in range(4):
            rig.clock.advance(3_600)
            await rig.service.confirm_captures()

        assert [[]] == await rig.service.read_captures([dear.order])
        assert "captured" != await rig.state(dear)


@pytest.mark.parametrize("text", ["42.50", "42.5", "42.500"])
def test_numbers_are_written_shortest(text):
    """Zeros behind are no difference; what is no plain number stays as it is."""
    assert "42.5" == write_number(text)
    assert "10" == write_number("10.00")
    assert "1e999999999" == write_number("1e999999999")


@pytest.mark.parametrize(
    "reply,outcome",
    [
        ({}, QueryOutcome.UNKNOWN),
        ({"status_code": "400", "message": "系统错误"}, QueryOutcome.UNKNOWN),
        ({"status_code": "401", "message": "签名认证错误"}, QueryOutcome.UNKNOWN),
        ({"status_code": "10008", "message": ""}, QueryOutcome.NOT_FOUND),
        ({"status_code": "200", "data": {"trade_id": "U", "status": "2"}}, QueryOutcome.UNKNOWN),
        ({"status_code": "200", "data": {"trade_id": "T", "status": "2"}}, QueryOutcome.PAID),
        ({"status_code": "200", "data": {"trade_id": "T", "status": "3"}}, QueryOutcome.CLOSED),
        ({"trade_id": "T", "status": "5"}, QueryOutcome.UNPAID),
        ({"trade_id": "T", "status": "4"}, QueryOutcome.CLOSED),
        ({"trade_id": "T", "status": "9"}, QueryOutcome.UNKNOWN),
    ],
)
def test_a_state_is_what_the_server_says(reply, outcome, clock):
    """With an envelope or without: a trade of ours in a state we know, or nothing is known."""
    now = clock.now()
    ask = Ask("N", "usdt", 100, "CNY", "", now, now, reference="T")
    settings = check_settings(
        CHANNEL, {"url": "https://u.example", "token": "x" * 16, "variant": "bepusdt"}
    )

    assert outcome is read_query(reply, ask, settings).outcome
    gmpay = replace(settings, variant="gmpay", pid="1")
    choosing = {"trade_id": "T", "status": "4"}  # There it means that no chain is chosen yet.
    assert QueryOutcome.UNPAID is read_query(choosing, ask, gmpay).outcome


@pytest.mark.parametrize(
    "changes,name",
    [
        ({"url": "http://usdt.example.com/"}, "url"),
        ({"url": "https://u:p@usdt.example.com/"}, "url"),
        ({"token": "short"}, "token"),
        ({"variant": "other"}, "variant"),
        ({"variant": "gmpay"}, "pid"),
        ({"signs_by": "hmac"}, "signs_by"),
        ({"signs_by": "sha1"}, "signs_by"),
        ({"coin": "usdt"}, "coin"),
        ({"allows_http": "maybe"}, "allows_http"),
    ],
)
def test_settings_are_checked_one_by_one(changes, name):
    """What is wrong with a setting is said by its name, before anything is written."""
    good = {"url": "https://usdt.example.com/", "token": "x" * 16}
    assert check_settings(CHANNEL, good)

    with pytest.raises(SettingProblem) as caught:
        check_settings(CHANNEL, {**good, **changes})
    assert name == caught.value.name
