"""Payments over a real database, against the sandbox's providers over real HTTP."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.chain.node import Chain

from vendrail.api.payments import (
    Attempt,
    Callback,
    ChannelAccount,
    PaymentEvent,
    Payments,
    PresentRequest,
)
from vendrail.kernel import rpc
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.outbox import Cursor
from vendrail.kernel.telemetry import Metrics
from vendrail.payments.attempts import out_trade_no
from vendrail.payments.service import PaymentsService
from vendrail.payments.settings import PaymentsSettings

MERCHANT = UUID("018f0000-0000-7000-8000-00000000beef")


class MovableClock:
    """The machine's clock, moved on by tests; waiting is real."""

    def __init__(self) -> None:
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """Give the present moment and what was added to it."""
        return datetime.now(UTC) + self._offset

    def advance(self, delay_s: float) -> None:
        """Move time on."""
        self._offset += timedelta(seconds=delay_s)

    async def sleep(self, delay_s: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(delay_s)


def make_key() -> tuple[str, str]:
    """Make an RSA key pair: private PEM, public PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


class Door:
    """The sandbox's control routes, as tests reach them."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        token = (home / "control-token").read_text().strip()
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30,
        )

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


class Alipay(Door):
    """The sandbox as tests see it: an application, its trades, its faults."""

    def post(self, path: str, body: object) -> dict:
        """Post to a control route."""
        reply = self._client.post(path, json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def register(self, want: str = "key") -> tuple[dict, str]:
        """Register an application with a new key; give it, and the private key."""
        private, public = make_key()
        return self.post("/sandbox/apps", {"public_key_pem": public, "want": want}), private

    def open(self, url: str) -> int:
        """Open a page as the buyer's browser would."""
        return self._client.get(url, follow_redirects=True).status_code

    def pay(self, app_id: str, number: str, **more: object) -> dict:
        """Let the buyer pay; the trade must have been opened."""
        body = {"app_id": app_id, "out_trade_no": number, **more}
        (result,) = self.post("/sandbox/alipay/pay", body)["results"]
        assert "error" not in result, result
        return result

    def sign(self, app_id: str, *trades: dict) -> list[bytes]:
        """Make paid trades and their signed notifications, unsent."""
        body = {"app_id": app_id, "trades": list(trades)}
        signed = self.post("/sandbox/alipay/sign-notifications", body)["notifications"]
        assert not any("error" in form for form in signed), signed
        return [form["body"].encode() for form in signed]

    def fault(self, kind: str, **more: object) -> None:
        """Order a fault."""
        self.post("/sandbox/faults", {"kind": kind, **more})

    def clear(self) -> None:
        """Take faults back."""
        self._client.delete("/sandbox/faults")

    def trade(self, app_id: str, number: str) -> dict:
        """Give what the provider knows of a trade."""
        reply = self._client.get(f"/sandbox/alipay/trades/{number}", params={"app_id": app_id})
        return reply.json()

    def transferred(self, app_id: str, number: str) -> int:
        """Give what an application paid out under a number."""
        params = {"app_id": app_id, "out_biz_no": number}
        made = self._client.get("/sandbox/alipay/transfers", params=params).json()["transfers"]
        return sum(each["amount_minor"] for each in made)


class Epay(Door):
    """The sandbox's Epay as tests see it: a merchant, its orders, its faults."""

    def post(self, path: str, body: object) -> dict:
        """Post to a control route."""
        reply = self._client.post(f"/sandbox/epay/{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def register(self, **fork: object) -> dict:
        """Register a merchant, at a provider that differs as told."""
        return self.post("merchants", {"fork": fork})

    def open(self, url: str) -> int:
        """Open a page as the buyer's browser would."""
        return self._client.get(url, follow_redirects=True).status_code

    def pay(self, pid: str, number: str, **more: object) -> dict:
        """Let the buyer pay."""
        (result,) = self.post("pay", {"pid": pid, "out_trade_no": number, **more})["results"]
        assert "error" not in result, result
        return result

    def sign(self, pid: str, *orders: dict) -> list[bytes]:
        """Make paid orders and their signed callbacks, unsent."""
        signed = self.post("sign-notifications", {"pid": pid, "orders": list(orders)})
        return [each["body"].encode() for each in signed["notifications"]]

    def give_back(self, channel: ChannelAccount, number: str, money: str) -> None:
        """Give money back at the provider's own desk."""
        form = {name: channel.settings[name] for name in ("pid", "key")}
        form |= {"out_trade_no": number, "money": money}
        reply = self._client.post("/epay/api.php?act=refund", data=form)
        assert 1 == reply.json()["code"]

    def fault(self, kind: str, **more: object) -> None:
        """Order a fault."""
        self.post("faults", {"kind": kind, **more})

    def faults(self) -> list[dict]:
        """Give the faults that are still to come."""
        return self._client.get("/sandbox/epay/faults").json()["faults"]

    def clear(self) -> None:
        """Take faults back."""
        self._client.delete("/sandbox/epay/faults")

    def order(self, pid: str, number: str) -> dict:
        """Give what the provider knows of an order."""
        return self._client.get(f"/sandbox/epay/orders/{number}", params={"pid": pid}).json()


@pytest.fixture(scope="session")
def alipay_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sandbox of this run keeps its keys."""
    return tmp_path_factory.mktemp("alipay")


@pytest.fixture(scope="session")
def alipay_server(alipay_home: Path) -> Iterator[Alipay]:
    """The sandbox in a process of its own, for the whole run."""
    with _sandbox(alipay_home) as door:
        yield door


@pytest.fixture
def alipay_alone(tmp_path: Path) -> Iterator[Alipay]:
    """A sandbox for one test, which changes what all applications share."""
    with _sandbox(tmp_path) as door:
        yield door


@contextmanager
def _sandbox(home: Path) -> Iterator[Alipay]:
    script = Path(__file__).with_name("sandbox_server.py")
    process = subprocess.Popen(
        [sys.executable, script, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    door = Alipay(process.stdout.readline().strip(), home)
    yield door
    door.close()
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


@pytest.fixture
def epay(alipay_server: Alipay, alipay_home: Path) -> Iterator[Epay]:
    """The sandbox's Epay, without faults."""
    door = Epay(alipay_server.url, alipay_home)
    door.clear()
    yield door
    door.clear()
    door.close()


@pytest.fixture(scope="session")
def key_app(alipay_server: Alipay) -> tuple[dict, str]:
    """An application in key mode."""
    return alipay_server.register()


@pytest.fixture(scope="session")
def cert_app(alipay_server: Alipay) -> tuple[dict, str]:
    """An application in certificate mode."""
    return alipay_server.register("cert")


@pytest.fixture
def alipay(alipay_server: Alipay) -> Iterator[Alipay]:
    """The sandbox, without faults."""
    alipay_server.clear()
    yield alipay_server
    alipay_server.clear()


class Wechat(Door):
    """The sandbox's WeChat Pay as tests see it: a merchant, its orders, its faults."""

    def post(self, path: str, body: object) -> dict:
        """Post to a control route."""
        reply = self._client.post(f"/sandbox/wechat/{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def register(self, mode: str = "public_key") -> dict:
        """Register a merchant with a new key; give the settings of its channel."""
        private, public = make_key()
        told = self.post("merchants", {"public_key_pem": public, "mode": mode})
        return {**told, "private_key": private}

    def open(self, url: str) -> int:
        """Open a page as the buyer's browser would."""
        return self._client.get(url, follow_redirects=True).status_code

    def pay(self, mchid: str, number: str, **more: object) -> dict:
        """Let the buyer pay."""
        (result,) = self.post("pay", {"mchid": mchid, "out_trade_no": number, **more})["results"]
        assert "error" not in result, result
        return result

    def sign(self, mchid: str, *orders: dict, **more: object) -> list[dict]:
        """Make paid orders and their signed callbacks, unsent."""
        body = {"mchid": mchid, "orders": list(orders), **more}
        return self.post("sign-notifications", body)["notifications"]

    def fault(self, kind: str, **more: object) -> None:
        """Order a fault."""
        self.post("faults", {"kind": kind, **more})

    def clear(self) -> None:
        """Take faults back."""
        self._client.delete("/sandbox/wechat/faults")

    def transferred(self, mchid: str, number: str) -> int:
        """Give what a merchant pays out under a number."""
        reply = self._client.get("/sandbox/wechat/transfers", params={"mchid": mchid})
        made = [each for each in reply.json()["transfers"] if each["out_bill_no"] == number]
        return sum(each["amount_minor"] for each in made)

    def order(self, mchid: str, number: str) -> dict:
        """Give what the provider knows of an order."""
        reply = self._client.get(f"/sandbox/wechat/orders/{number}", params={"mchid": mchid})
        assert reply.is_success, reply.text
        return reply.json()


@pytest.fixture
def wechat(alipay_server: Alipay, alipay_home: Path) -> Iterator[Wechat]:
    """The sandbox's WeChat Pay, without faults."""
    door = Wechat(alipay_server.url, alipay_home)
    door.clear()
    yield door
    door.clear()
    door.close()


def channel_of(
    app: tuple[dict, str], url: str, name: str = "alipay", **changes: object
) -> ChannelAccount:
    """Make a channel account of a sandbox application."""
    told, private = app
    settings = {
        "app_id": told["app_id"],
        "seller_id": told["seller_id"],
        "app_private_key": private,
        "gateway_url": f"{url}/alipay/gateway.do",
    }
    if "app_cert" in told:
        settings |= {key: told[key] for key in ("app_cert", "alipay_cert", "root_cert")}
    else:
        settings["alipay_public_key"] = told["alipay_public_key"]
    given = {
        "id": new_id(datetime.now(UTC)),
        "name": name,
        "kind": "alipay",
        "title": "支付宝",
        "currencies": ["CNY"],
        "settings": settings,
        **changes,
    }
    return ChannelAccount(**given)


def epay_channel(
    merchant: dict, url: str, name: str = "epay", *, settings: dict | None = None, **changes: object
) -> ChannelAccount:
    """Make a channel account of a sandbox merchant."""
    given = {
        "id": new_id(datetime.now(UTC)),
        "name": name,
        "kind": "epay",
        "title": "易支付",
        "currencies": ["CNY"],
        "settings": {
            "url": f"{url}/epay",
            "pid": merchant["pid"],
            "key": merchant["key"],
            "shows": "page,qr",
            "refunds": "yes",
            "allows_http": "yes",
            **(settings or {}),
        },
        **changes,
    }
    return ChannelAccount(**given)


@pytest.fixture
def clock() -> MovableClock:
    """The machine's clock, with `.advance(seconds)`."""
    return MovableClock()


@pytest.fixture
def metrics() -> Metrics:
    """What the services of a test count, all in one place."""
    return Metrics()


@pytest.fixture
async def make_service(make_database, vault, clock, wakeups, metrics):
    """Make payments services over one database: several are several processes."""
    made: list[PaymentsService] = []

    async def make(**settings: object) -> PaymentsService:
        service = PaymentsService(
            db=await make_database("payments"),
            vault=vault,
            clock=clock,
            wakeups=wakeups,
            settings=PaymentsSettings(**settings),
            metrics=metrics,
        )
        made.append(service)
        return service

    yield make
    for service in made:
        await service.close()


class Shop:
    """A marketplace with one Alipay account: makes orders, attempts and callbacks."""

    def __init__(self, payments: Payments, channel: ChannelAccount, alipay: Alipay, clock) -> None:
        self.payments = payments
        self.channel = channel
        self.alipay = alipay
        self.clock = clock
        self.app_id = channel.settings.get("app_id", "")

    @property
    def door(self) -> Alipay | Epay:
        """The provider's other side."""
        return self.alipay

    def known_minor(self, attempt: Attempt) -> int:
        """Give what the provider was told an attempt costs."""
        return self.alipay.trade(self.app_id, number_of(attempt))["total_minor"]

    def returned(self, attempt: Attempt) -> list[int]:
        """Give what the provider gave back of an attempt, each by itself."""
        refunds = self.alipay.trade(self.app_id, number_of(attempt))["refunds"]
        return [refund["amount_minor"] for refund in refunds]

    def attempt(self, amount_minor: int = 1230, number: int = 1, **changes: object) -> Attempt:
        """Make an attempt of a new order, or as told."""
        order = changes.pop("order", None) or new_id(self.clock.now(), 7)
        given = {
            "id": derive(order, f"attempt:{number}"),
            "order": order,
            "number": number,
            "merchant": MERCHANT,
            "method": "alipay",
            "amount_minor": amount_minor,
            "currency": "CNY",
            "title": "月卡",
            "expires_at": self.clock.now() + timedelta(minutes=15),
            **changes,
        }
        return Attempt(**given)

    async def opened(self, amount_minor: int = 1230, **changes: object) -> Attempt:
        """Open an attempt."""
        attempt = self.attempt(amount_minor, **changes)
        assert ["opened"] == await self.payments.open_attempts([attempt])
        return attempt

    async def shown(self, amount_minor: int = 1230, **changes: object) -> Attempt:
        """Open an attempt, and its page at the provider."""
        attempt = await self.opened(amount_minor, **changes)
        (action,) = await self.payments.present_attempts([PresentRequest(attempt.id)])
        assert 200 == await asyncio.to_thread(self.door.open, action.url or action.text)
        return attempt

    async def pay(self, attempt: Attempt, **more: object) -> str:
        """Let the buyer pay a shown attempt; give the provider's number."""
        paid = await asyncio.to_thread(self.alipay.pay, self.app_id, number_of(attempt), **more)
        return paid["trade_no"]

    async def captured(self, amount_minor: int = 1230, **changes: object):
        """Open an attempt, let it be paid and told; give its capture."""
        attempt = await self.opened(amount_minor, **changes)
        assert [b"success"] == await self.tell(*await self.sign(attempt))
        ((capture,),) = await self.payments.read_captures([attempt.order])
        return capture

    async def sign(self, *attempts: Attempt, amount: str = "", **overrides: str) -> list[bytes]:
        """Have attempts paid; give the signed notifications, unsent."""
        trades = [
            {
                "out_trade_no": number_of(attempt),
                "total_amount": amount or yuan(attempt.amount_minor),
                "overrides": overrides,
            }
            for attempt in attempts
        ]
        return await asyncio.to_thread(self.alipay.sign, self.app_id, *trades)

    async def tell(self, *bodies: bytes, channel: UUID | None = None) -> list[bytes]:
        """Send notifications, in one batch; give the answers."""
        answers = await self.payments.take_callbacks(
            [self.callback(body, channel) for body in bodies]
        )
        return [answer.body for answer in answers]

    def callback(self, body: bytes, channel: UUID | None = None) -> Callback:
        """Make a callback as it comes in."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return Callback(channel or self.channel.id, "POST", headers, "", body)

    async def events(self) -> list[PaymentEvent]:
        """Read all events so far."""
        (page,) = await self.payments.read_events([Cursor()])
        assert not page.is_more
        return [
            event
            for batch in page.batches
            for event in msgspec.json.decode(batch, type=list[PaymentEvent])
        ]


class EpayShop(Shop):
    """A marketplace with one Epay account: a callback only makes it ask, so it asks at once."""

    def __init__(self, payments, channel, epay: Epay, clock, service: PaymentsService) -> None:
        self.payments = payments
        self.channel = channel
        self.epay = epay
        self.clock = clock
        self.service = service
        self.pid = channel.settings["pid"]

    @property
    def door(self) -> Epay:
        """The provider's other side."""
        return self.epay

    def known_minor(self, attempt: Attempt) -> int:
        """Give what the provider was told an attempt costs."""
        return self.epay.order(self.pid, number_of(attempt))["money_minor"]

    def returned(self, attempt: Attempt) -> list[int]:
        """Give what the provider gave back of an attempt, in one sum: it knows no more."""
        return [self.epay.order(self.pid, number_of(attempt))["refunded_minor"]]

    async def pay(self, attempt: Attempt, **more: object) -> str:
        """Let the buyer pay a shown attempt; give the provider's number."""
        paid = await asyncio.to_thread(self.epay.pay, self.pid, number_of(attempt), **more)
        return paid["trade_no"]

    async def sign(self, *attempts: Attempt, amount: str = "", **overrides: str) -> list[bytes]:
        """Have attempts paid; give the signed callbacks, unsent."""
        orders = [
            {
                "out_trade_no": number_of(attempt),
                "money": amount or yuan(attempt.amount_minor),
                "overrides": overrides,
            }
            for attempt in attempts
        ]
        return await asyncio.to_thread(self.epay.sign, self.pid, *orders)

    async def tell(self, *bodies: bytes, channel: UUID | None = None) -> list[bytes]:
        """Send callbacks, in one batch, and let what they claim be asked about."""
        answers = await self.hear(*bodies, channel=channel)
        await self.service.confirm_captures()
        return answers

    async def hear(self, *bodies: bytes, channel: UUID | None = None) -> list[bytes]:
        """Send callbacks and nothing more."""
        return await super().tell(*bodies, channel=channel)

    def callback(self, body: bytes, channel: UUID | None = None) -> Callback:
        """Make a callback as it comes in."""
        return Callback(channel or self.channel.id, "GET", {}, body.decode(), b"")


def number_of(attempt: Attempt) -> str:
    """Give the number an attempt carries at the provider."""
    return out_trade_no(attempt.order, attempt.number)


def yuan(amount_minor: int) -> str:
    """Write fen as yuan."""
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def altered(body: bytes, **changes: str) -> bytes:
    """Change fields of a notification after it was signed."""
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return urlencode(fields | changes).encode()


@pytest.fixture
async def service(make_service) -> PaymentsService:
    """The service itself."""
    return await make_service()


@pytest.fixture(params=["local", "remote"])
async def payments(request, service) -> Payments:
    """The service, and a remote client to it."""
    return service if request.param == "local" else rpc.loopback(Payments, service)


async def open_shop(payments: Payments, app: tuple[dict, str], alipay: Alipay, clock) -> Shop:
    """Give a marketplace its Alipay account."""
    channel = channel_of(app, alipay.url)
    assert ["created"] == await payments.put_channels([channel])
    return Shop(payments, channel, alipay, clock)


@pytest.fixture
async def shop(payments, key_app, alipay, clock) -> Shop:
    """A marketplace, over both ways to call it."""
    return await open_shop(payments, key_app, alipay, clock)


@pytest.fixture
async def local_shop(service, key_app, alipay, clock) -> Shop:
    """A marketplace in this process, where a test looks inside."""
    return await open_shop(service, key_app, alipay, clock)


async def open_epay_shop(
    payments: Payments, service: PaymentsService, epay: Epay, clock, **fork: object
) -> EpayShop:
    """Give a marketplace its Epay account."""
    channel = epay_channel(epay.register(**fork), epay.url)
    assert ["created"] == await payments.put_channels([channel])
    return EpayShop(payments, channel, epay, clock, service)


@pytest.fixture
async def epay_shop(service, epay, clock) -> EpayShop:
    """A marketplace with Epay, in this process."""
    return await open_epay_shop(service, service, epay, clock)


@pytest.fixture(params=["alipay", "epay"])
async def any_shop(request, payments, service, key_app, alipay, epay, clock) -> Shop:
    """A marketplace over every channel there is, and over both ways to call it."""
    if request.param == "epay":
        return await open_epay_shop(payments, service, epay, clock)
    return await open_shop(payments, key_app, alipay, clock)


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    """A real EVM chain that makes a block of every transaction, for the whole run."""
    chain = Chain()
    yield chain
    chain.close()


@pytest.fixture(scope="session")
def usdt(chain: Chain) -> str:
    """A token with six places, as USDT has on Ethereum."""
    return chain.deploy("USDT", 6)
