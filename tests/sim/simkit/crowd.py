"""A crowd of buyers, each with a script, who repeat what was not answered, as people do."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import msgspec

from simkit.provider import CHANNEL, Provider
from simkit.servers import Line, Server
from simkit.world import PRICE_MINOR, World
from vendrail.api.orders import OrderId, Orders, RefundOrder, RefundOrderStatus
from vendrail.app.bench.load import Reply, request
from vendrail.kernel import rpc
from vendrail.kernel.errors import Error
from vendrail.kernel.ids import derive, from_serial, to_serial
from vendrail.kernel.waiting import end_tasks
from vendrail.payments.attempts import out_trade_no

_REPLY_S = 15.0
_REQUESTS_MAX = 384
_SIGN_EVERY_S = 0.05
_LATER_S = 5.0  # Who is told "later" again and again comes this seldom at last.
_FORM = {"content-type": "application/x-www-form-urlencoded"}


class Script(StrEnum):
    """What a buyer, and the provider with them, does."""

    PROMPT = "prompt"  # Pays at once; one callback.
    REPEATED = "repeated"  # The callback comes several times, at once and later.
    DELAYED = "delayed"  # The callback comes seconds later.
    DROPPED = "dropped"  # No callback ever comes: the platform must ask.
    TWICE = "twice"  # Pays by two ways.
    LATE = "late"  # Pays when the order has expired.
    NEVER = "never"  # Does not pay.
    WRONG = "wrong"  # Well signed, one fen too much.
    REFUND = "refund"  # Pays, reads the key, and gets the money back.


WEIGHTS = {
    Script.PROMPT: 66, Script.REPEATED: 8, Script.DELAYED: 6, Script.DROPPED: 1, Script.TWICE: 2,
    Script.LATE: 2, Script.NEVER: 8, Script.WRONG: 4, Script.REFUND: 3,
}  # fmt: skip

# What the auditor allows at the end: state, captures that fit, of those given back, keys, void.
ALLOWED = {
    Script.PROMPT: ("delivered", 1, 0, 1, 0),
    Script.REPEATED: ("delivered", 1, 0, 1, 0),
    Script.DELAYED: ("delivered", 1, 0, 1, 0),
    Script.DROPPED: ("delivered", 1, 0, 1, 0),
    Script.TWICE: ("delivered", 2, 1, 1, 0),
    Script.LATE: ("delivered", 1, 0, 1, 0),
    Script.NEVER: ("expired", 0, 0, 0, 0),
    Script.WRONG: ("expired", 0, 0, 0, 0),
    Script.REFUND: ("refunded", 1, 1, 0, 1),
}


class Places:
    """So many at once. Of those who wait there may be more than asyncio's semaphore can bear."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Doors:
    """The doors of several servers, as a balancer before them: those that are up, so many at once.

    What one does not answer is asked at another.
    """

    def __init__(self, servers: Sequence[Server], dice: random.Random) -> None:
        self._servers = servers
        self._dice = dice
        self._idle: dict[int, deque[Line]] = {server.port: deque() for server in servers}
        self._places = Places(_REQUESTS_MAX)
        self.repeats = Counter()  # Why something was asked again.

    async def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> Reply:
        """Ask until there is an answer that is not "later"; come again no sooner than it says."""
        sent = request(method, path, headers, body)
        delay_s, later_s = 0.02, 0.0
        while True:
            up = [server for server in self._servers if server.is_up]
            if up:
                try:
                    async with self._places:
                        reply = await self._ask_once(self._dice.choice(up).port, sent)
                    if reply.status < 500:
                        return reply
                    self.repeats[str(reply.status)] += 1
                    later_s = min(max(reply.retry_after_s, 2 * later_s), _LATER_S)
                    await asyncio.sleep(later_s * (1 + self._dice.random()))
                    continue
                except (OSError, TimeoutError) as error:
                    self.repeats[type(error).__name__] += 1
            await asyncio.sleep(delay_s * (1 + self._dice.random()))
            delay_s = min(delay_s * 2, 1.0)

    async def _ask_once(self, port: int, sent: bytes) -> Reply:
        idle = self._idle[port]
        line = None
        while idle and (line is None or line.is_lost):
            line = idle.pop()
        if line is None or line.is_lost:
            loop = asyncio.get_running_loop()
            _, line = await loop.create_connection(Line, "127.0.0.1", port)
        try:
            async with asyncio.timeout(_REPLY_S):
                reply = await line.send(sent)
        except BaseException:
            line.close()
            raise
        idle.append(line)
        return reply

    def close(self) -> None:
        """Hang up."""
        for idle in self._idle.values():
            for line in idle:
                line.close()


class Signer:
    """Gathers what is to be signed, so that the provider signs many at a time."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._wanted: list[tuple[tuple[str, int], asyncio.Future[bytes]]] = []

    async def sign(self, number: str, amount_minor: int) -> bytes:
        """Let a trade be paid; give its callback."""
        future = asyncio.get_running_loop().create_future()
        self._wanted.append(((number, amount_minor), future))
        return await future

    async def run(self) -> None:
        """Sign until cancelled."""
        while True:
            await asyncio.sleep(_SIGN_EVERY_S)
            wanted, self._wanted = self._wanted, []
            if wanted:
                bodies = await self._provider.sign([trade for trade, _ in wanted])
                for (_, future), body in zip(wanted, bodies, strict=True):
                    if not future.done():
                        future.set_result(body)


@dataclass
class Crowd:
    """All buyers of one run, and what they were told."""

    world: World
    servers: Sequence[Server]
    dice: random.Random
    scripts: dict[UUID, Script] = field(default_factory=dict)  # Of orders that were answered.
    keys: dict[UUID, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)  # Trades whose callback heard success.
    under_way: set[UUID] = field(default_factory=set)  # Placed, and their buyers not done.
    failures: list[BaseException] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self):
        self.doors = Doors(self.servers, self.dice)
        self.signer = Signer(self.world.provider)
        self.buyers: set[asyncio.Task[None]] = set()
        self._signing = asyncio.create_task(self.signer.run())
        self._clients = [
            rpc.connect(Orders, server.url, rpc.load_secret(self.world.home))
            for server in self.servers
        ]

    async def arrive(self, orders_per_s: float, is_over: asyncio.Event) -> None:
        """Send buyers at a rate, whatever becomes of them, until it is over."""
        loop = asyncio.get_running_loop()
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        began = loop.time()
        while not is_over.is_set():
            due = int((loop.time() - began) * orders_per_s)
            while self.asked < due:
                self.asked += 1
                (script,) = self.dice.choices(names, weights)
                sku = self.dice.choice(self.world.skus)
                task = asyncio.create_task(self._buy(self.asked, script, sku))
                self.buyers.add(task)
                task.add_done_callback(self._left)
            await asyncio.sleep(0.005)

    def _left(self, task: asyncio.Task[None]) -> None:
        self.buyers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)

    async def finish(self, patience_s: float) -> None:
        """Wait until every buyer is done; patience is over when so long nobody was.

        How long it takes in all is the machine's affair: what was offered while servers were dead
        is still to be done. That it goes on is theirs.
        """
        loop = asyncio.get_running_loop()
        left, deadline = len(self.buyers), loop.time() + patience_s
        while self.buyers:
            self.complain()
            if len(self.buyers) < left:
                left, deadline = len(self.buyers), loop.time() + patience_s
            if loop.time() > deadline:
                scripts = Counter(str(self.scripts[id]) for id in self.under_way)
                few = [(str(self.scripts[id]), str(id)) for id in list(self.under_way)[:5]]
                raise AssertionError(
                    f"{left} buyers still wait, for {patience_s} s without one done: "
                    f"{scripts}, as {few}"
                )
            await asyncio.sleep(0.1)
        self.complain()

    def complain(self) -> None:
        """Fail with the first thing that went wrong for a buyer, and how many more there are."""
        if self.failures:
            raise AssertionError(
                f"{len(self.failures)} buyers met what they must not: {self.failures[0]!r}"
            ) from self.failures[0]

    async def close(self) -> None:
        """Send everybody home."""
        await end_tasks([*self.buyers, self._signing])
        self.doors.close()
        for client in self._clients:
            await rpc.disconnect(client)

    async def _buy(self, number: int, script: Script, sku: str) -> None:
        method = "alipay_qr" if script is Script.DROPPED else "alipay"
        body = {"sku": sku, "contact": f"buyer{number}@example.com", "method": method}
        headers = {
            "content-type": "application/json",
            "idempotency-key": f"buyer-{number:012}",
            # Buyers come from everywhere; risk counts them by address.
            "x-forwarded-for": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        }
        reply = await self.doors.ask("POST", "/api/v1/orders", headers, msgspec.json.encode(body))
        assert 201 == reply.status, reply.body
        order = msgspec.json.decode(reply.body)
        id = OrderId(from_serial(order["id"]))
        self.scripts[id] = script
        if order["state"] != "placed":  # The first answer was lost, and its time is over.
            self.scripts[id] = Script.NEVER
            return
        self.under_way.add(id)
        await _PLAYS[script](self, id, order)
        self.under_way.discard(id)

    async def _tell(self, id: OrderId, amount_minor: int = PRICE_MINOR, attempt: int = 1) -> bytes:
        """Let the money arrive and its callback be heard."""
        number = out_trade_no(id, attempt)
        body = await self.signer.sign(number, amount_minor)
        await self._send(number, body)
        return body

    async def _send(self, number: str, body: bytes) -> None:
        reply = await self.doors.ask("POST", f"/callbacks/{CHANNEL}", _FORM, body)
        assert (200, b"success") == (reply.status, reply.body)
        self.acknowledged.add(number)

    async def _see(self, order: dict, state: str, delay_s: float = 0.1) -> dict:
        headers = {"authorization": f"Bearer {order['secret']}"}
        while True:
            reply = await self.doors.ask("GET", f"/api/v1/orders/{order['id']}", headers)
            assert 200 == reply.status, reply.body
            shown = msgspec.json.decode(reply.body)
            if shown["state"] == state:
                return shown
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 2.0)

    async def _read_key(self, id: OrderId, order: dict) -> None:
        shown = await self._see(order, "delivered")
        (self.keys[id],) = shown["keys"]

    async def _prompt(self, id: OrderId, order: dict) -> None:
        await self._tell(id)
        await self._read_key(id, order)

    async def _repeated(self, id: OrderId, order: dict) -> None:
        number = out_trade_no(id, 1)
        body = await self.signer.sign(number, PRICE_MINOR)
        await asyncio.gather(*(self._send(number, body) for _ in range(3)))
        await self._read_key(id, order)
        await self._send(number, body)

    async def _delayed(self, id: OrderId, order: dict) -> None:
        body = await self.signer.sign(out_trade_no(id, 1), PRICE_MINOR)
        await asyncio.sleep(self.dice.uniform(0.5, 5.0))
        await self._send(out_trade_no(id, 1), body)
        await self._read_key(id, order)

    async def _dropped(self, id: OrderId, order: dict) -> None:
        while order["payment"]["action"]["kind"] != "qr":  # The provider was away: look again.
            await asyncio.sleep(0.5)
            if (again := await self._reopen(order)) is None:
                self.scripts[id] = Script.NEVER
                return
            order = again
        await self.world.provider.pay(order["payment"]["action"]["text"], out_trade_no(id, 1))
        await self._read_key(id, order)

    async def _reopen(self, order: dict, method: str = "alipay_qr") -> dict | None:
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {order['secret']}",
        }
        path = f"/api/v1/orders/{order['id']}/payments"
        reply = await self.doors.ask("POST", path, headers, msgspec.json.encode({"method": method}))
        if reply.status == 409:
            return None  # Its time is over.
        assert 201 == reply.status, reply.body
        return order | {"payment": msgspec.json.decode(reply.body)["payment"]}

    async def _twice(self, id: OrderId, order: dict) -> None:
        again = await self._reopen(order)
        if again is None:
            self.scripts[id] = Script.LATE
            await self._prompt(id, order)
            return
        assert to_serial(derive(id, "attempt:2")) == again["payment"]["id"]
        await asyncio.gather(self._tell(id), self._tell(id, attempt=2))
        await self._read_key(id, order)

    async def _late(self, id: OrderId, order: dict) -> None:
        await self._see(order, "expired", 5.0)
        await self._tell(id)
        await self._read_key(id, order)

    async def _never(self, id: OrderId, order: dict) -> None:
        """Nothing."""

    async def _wrong(self, id: OrderId, order: dict) -> None:
        await self._tell(id, PRICE_MINOR + 1)

    async def _refund(self, id: OrderId, order: dict) -> None:
        await self._tell(id)
        await self._read_key(id, order)
        wanted = RefundOrder(derive(id, "a buyer's refund"), id, 0, "a test", "a test")
        while True:
            try:
                (status,) = await self.dice.choice(self._clients).refund_orders([wanted])
                assert status in (RefundOrderStatus.ACCEPTED, RefundOrderStatus.EXISTS), status
                break
            except (Error, OSError):
                await asyncio.sleep(0.2)
        await self._see(order, "refunded")


_PLAYS = {
    Script.PROMPT: Crowd._prompt,
    Script.REPEATED: Crowd._repeated,
    Script.DELAYED: Crowd._delayed,
    Script.DROPPED: Crowd._dropped,
    Script.TWICE: Crowd._twice,
    Script.LATE: Crowd._late,
    Script.NEVER: Crowd._never,
    Script.WRONG: Crowd._wrong,
    Script.REFUND: Crowd._refund,
}
