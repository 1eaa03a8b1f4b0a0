"""X25 over a mail server that refuses, hangs and breaks off, and processes that die: by seeds."""

import asyncio
import contextlib
import random
import re
from collections import Counter
from email import message_from_bytes

import pytest
from aiosmtpd import smtp

from vendrail.api.notify import LetterQuery, LetterState, Message
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.telemetry import Metrics
from vendrail.notify.service import NotifyService
from vendrail.notify.settings import NotifySettings

LETTERS = 36
MINUTE_S = 60.0
# What the server does to one try, and how often.
FAULTS = {
    "fine": 10,
    "later at the recipient": 3,
    "later at the end": 3,
    "hangs at the recipient": 1,
    "breaks off at the recipient": 3,
    "breaks off within the mail": 2,
    "never at the recipient": 1,
    "never at the end": 1,
    "keeps it and breaks off": 1,
    "loses it and breaks off": 1,
    "keeps it and hangs": 1,
}
FINAL = {"never at the recipient", "never at the end"}
UNTOLD = {"keeps it and breaks off", "loses it and breaks off", "keeps it and hangs"}


class Troubled:
    """A mail server of a library, with a plan of faults for each recipient."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.plans: dict[str, list[str]] = {}
        self.tries: Counter[str] = Counter()
        self.kept: list[bytes] = []
        self.lines: set[Line] = set()
        self.is_still = asyncio.Event()  # No line is open.
        self.is_still.set()

    def plan(self, recipient: str) -> None:
        """Draw what happens to this recipient's first tries; after them all is well."""
        faults, weights = list(FAULTS), list(FAULTS.values())
        drawn = self._rng.choices(faults, weights, k=self._rng.randrange(4))
        self.plans[recipient] = drawn

    def _fault(self, recipient: str) -> str:
        number, plan = self.tries[recipient] - 1, self.plans[recipient]
        return plan[number] if number < len(plan) else "fine"

    async def handle_RCPT(self, server, _session, envelope, address, _options):  # noqa: N802
        """Take a recipient, or not."""
        self.tries[address] += 1
        fault = self._fault(address)
        if fault == "later at the recipient":
            return "450 later"
        if fault == "never at the recipient":
            return "550 never"
        if fault == "hangs at the recipient":
            await asyncio.sleep(5)
        if fault == "breaks off at the recipient":
            server.transport.abort()
        if fault == "breaks off within the mail":
            asyncio.get_running_loop().call_later(0.002, server.transport.abort)
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, _session, envelope):  # noqa: N802
        """Take a mail, or not, or take it and never say so."""
        fault = self._fault(envelope.rcpt_tos[0])
        if fault == "later at the end":
            return "451 later"
        if fault == "never at the end":
            return "554 never"
        if fault != "loses it and breaks off":
            self.kept.append(envelope.content)
        if fault == "keeps it and hangs":
            await asyncio.sleep(5)
        if fault in UNTOLD:
            server.transport.abort()
        return "250 taken"


class Line(smtp.SMTP):
    """A line of that server, known for as long as it is open."""

    def connection_made(self, transport):
        """Know it."""
        self.event_handler.lines.add(self)
        self.event_handler.is_still.clear()
        super().connection_made(transport)

    def connection_lost(self, error):
        """Forget it."""
        super().connection_lost(error)
        self.event_handler.lines.discard(self)
        if not self.event_handler.lines:
            self.event_handler.is_still.set()


@contextlib.asynccontextmanager
async def served(troubled):
    """Let the server listen; give its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Line(troubled, hostname="mail.example", loop=loop), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def write_letters(service, clock, troubled, rng):
    """Take letters, some alone and some in streams of three; give them in their order."""
    messages = []
    for number in range(LETTERS):
        recipient = f"person{number}@example.com"
        troubled.plan(recipient)
        stream = derive(new_id(clock.now()), f"{number // 3}") if number % 2 else None
        if number % 3 and messages[-1].stream is not None:
            stream = messages[-1].stream
        values = {"link": f"https://keys.example/{number}", "minutes": str(60 * 24)}
        messages.append(
            Message(new_id(clock.now()), recipient, "reset", "en", values, stream=stream)
        )
        clock.advance(rng.random())
    await service.send_messages(messages)
    return messages


async def send_all(service, clock, troubled, rng):
    """Run two senders side by side; every now and then one dies in the middle of it."""
    for _ in range(400):
        senders = [asyncio.create_task(service.sending().send_due()) for _ in range(2)]
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() * 0.08)
            senders[0].cancel()
        done = await asyncio.gather(*senders, return_exceptions=True)
        assert not [each for each in done if isinstance(each, Exception)]
        # A process that dies has no thread that goes on, as a cancelled sender has.
        await troubled.is_still.wait()
        clock.advance(rng.random() * 10 * MINUTE_S)
        number, _ = await service.sum_waiting()
        if not number:
            return
    raise AssertionError("Letters are waiting for ever.")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_letter_arrives_once_and_in_order(
    make_database, clock, vault, wakeups, tmp_path, seed
):
    """Whatever the server does and whoever dies: never twice, in order, and nobody is held up."""
    rng = random.Random(seed)
    troubled = Troubled(rng)
    async with served(troubled) as port:
        settings = NotifySettings(
            home=tmp_path,
            smtp_host="127.0.0.1",
            smtp_port=port,
            smtp_security="none",
            smtp_timeout_s=0.4,
            messages_per_s_max=1_000.0,
        )
        db = await make_database("notify")
        metrics = Metrics()
        service = NotifyService(db, vault, clock, wakeups, metrics, settings)
        messages = await write_letters(service, clock, troubled, rng)
        await send_all(service, clock, troubled, rng)
    [views] = await service.list_letters([LetterQuery(letters_max=LETTERS)])
    states = {view.id: view.state for view in views}
    ids = [
        re.search(rb"Message-ID: <([0-9a-f-]{36})", mail, re.IGNORECASE)[1]
        for mail in troubled.kept
    ]
    arrived = [
        message.id for told in ids for message in messages if str(message.id).encode() == told
    ]

    assert len(arrived) == len(set(arrived)) == len(ids)
    for message in messages:
        state, plan = states[message.id], troubled.plans[message.recipient]
        met = set(plan[: troubled.tries[message.recipient]])
        if state is LetterState.SENT:
            assert message.id in arrived
        elif state is LetterState.FAILED:
            assert met & FINAL
            assert message.id not in arrived
        else:
            assert state is LetterState.UNKNOWN
    lost = [id for id, state in states.items() if state is LetterState.SENT and id not in arrived]
    assert [] == lost
    in_streams: dict = {}
    for message in messages:
        in_streams.setdefault(message.stream or message.id, []).append(message.id)
    for taken in in_streams.values():
        assert [id for id in taken if id in arrived] == [id for id in arrived if id in taken]
    subjects = {message_from_bytes(mail)["Subject"] for mail in troubled.kept}
    assert {"Set a new password for Vendrail"} == subjects
    for state in (LetterState.SENT, LetterState.FAILED, LetterState.UNKNOWN):
        counted = metrics.value("vendrail_letters_total", "reset", state.value)
        assert list(states.values()).count(state) == counted
