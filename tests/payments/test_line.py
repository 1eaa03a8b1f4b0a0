"""The line to a provider: what counts as an answer, and when a provider is left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from tests.payments.conftest import channel_of

from vendrail.api.payments import PresentRequest
from vendrail.kernel.codec import replace
from vendrail.payments.channels.line import Breaker, ProviderAway, Switchboard, TooLarge
from vendrail.payments.settings import PaymentsSettings

ACCOUNT = UUID(int=1)


@asynccontextmanager
async def provider(answer: bytes) -> AsyncIterator[str]:
    """A provider that answers every connection with these bytes, and closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


@pytest.fixture
async def lines(clock) -> AsyncIterator[Switchboard]:
    """Lines that give up after half a second."""
    made = Switchboard(clock, PaymentsSettings(provider_timeout_s=0.5), lambda: None)
    yield made
    await made.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_100_000,
        b"nonsense\r\n\r\n",
    ],
)
async def test_what_is_no_whole_answer_says_nothing(lines, answer):
    """Nothing, half an answer, too much of one and 5xx are all the same: the provider is away."""
    async with provider(answer) as url:
        with pytest.raises(ProviderAway):
            await lines.line(ACCOUNT).send("GET", url)


async def test_an_answer_comes_whole(lines):
    """A whole answer below 500 is given untouched, with its status."""
    async with provider(b"HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\n\xff\n") as url:
        reply = await lines.line(ACCOUNT).send("POST", url, content=b"x")

    assert (404, b"\xff\n") == (reply.status_code, reply.body)


async def test_a_dead_provider_is_left_alone_and_then_tried(lines, clock):
    """After five failures nothing goes out for a while; one answer opens the line again."""
    line = lines.line(ACCOUNT)
    for _ in range(5):
        with pytest.raises(ProviderAway):
            await line.send("GET", "http://127.0.0.1:1/")
    async with provider(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as url:
        with pytest.raises(ProviderAway, match="left alone"):
            await line.send("GET", url)
        clock.advance(6)
        reply = await line.send("GET", url)

    assert 200 == reply.status_code
    assert not line.breaker.is_open


def test_a_half_open_breaker_lets_one_try_through(clock):
    """One call tries; when it fails the pause doubles, when it is given up another may try."""
    breaker = Breaker(clock, failures_max=2, pause_s=5.0)
    breaker.fail()
    assert breaker.admit()
    breaker.fail()
    assert not breaker.admit()
    clock.advance(5.1)
    assert [True, False] == [breaker.admit(), breaker.admit()]
    breaker.abandon()
    assert breaker.admit()
    breaker.fail()
    clock.advance(5.1)
    assert not breaker.admit()
    clock.advance(5.1)
    assert breaker.admit()
    breaker.succeed()
    assert [True, True] == [breaker.admit(), breaker.admit()]


async def test_signing_leaves_the_loop_free(lines):
    """Work of the processor runs in threads: the loop turns meanwhile, results keep their order."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    turning = asyncio.create_task(turn())
    found = await lines.line(ACCOUNT).offload(lambda n: sum(range(n)) and n, range(3_000, 3_400))
    turning.cancel()

    assert list(range(3_000, 3_400)) == found
    assert turns > 1


async def test_a_disabled_channel_is_not_shown(local_shop, key_app, alipay):
    """Who turned a channel off is not sent there any more; another account still serves."""
    attempt = await local_shop.opened(channel=local_shop.channel.id)
    off = replace(local_shop.channel, is_active=False)
    second = channel_of(key_app, alipay.url, "second")
    assert ["changed", "created"] == await local_shop.payments.put_channels([off, second])
    other = await local_shop.opened(order=attempt.order, number=2)

    first, again = await local_shop.payments.present_attempts(
        [PresentRequest(attempt.id), PresentRequest(other.id)]
    )
    assert ("provider_away", "redirect") == (first.problem, again.kind)


async def test_too_much_of_an_answer_is_an_answer(lines):
    """A provider that says more than is read is well: it is not left alone for it."""
    line = lines.line(ACCOUNT)
    async with provider(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000) as url:
        for _ in range(12):
            with pytest.raises(TooLarge):
                await line.send("GET", url, bytes_max=1_000)

    assert not line.breaker.is_open
