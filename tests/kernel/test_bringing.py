"""Calls to addresses of others: each stands alone, whoever shares an address."""

import asyncio

import pytest

from vendrail.kernel.http.bringing import Bringer, Unheard
from vendrail.kernel.http.targets import networks

_ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
    b"set-cookie: who=ann; path=/\r\nset-cookie: all=1; domain=127.0.0.1\r\n\r\nok"
)


class House:
    """An address that several sites share; it would keep connections open, and sets cookies."""

    def __init__(self) -> None:
        self.heads: list[list[bytes]] = []  # Of each connection, what was asked in it.

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer all that is asked in a connection."""
        asked: list[bytes] = []
        self.heads.append(asked)
        try:
            while True:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def house():
    """A house with its port."""
    made = House()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def test_a_name_that_is_not_known_is_said_in_words():
    """Merchants read why their endpoint was not heard: no error's class, no number of it."""
    bringer = Bringer(networks([], "allowed"), 10)
    with pytest.raises(Unheard, match=r"^its name is not known$"):
        await bringer.bring("https://nowhere.invalid/hook")
    await bringer.close()


async def test_calls_share_neither_connections_nor_cookies(house):
    """What one site's answer sets, and the connection it came by, meet no call to another."""
    bringer = Bringer(networks(["127.0.0.0/8"], "allowed"), 10)
    address = f"http://127.0.0.1:{house.port}/"
    try:
        answers = [await bringer.bring(address) for _ in range(3)]
    finally:
        await bringer.close()

    assert [200, 200, 200] == [each.status_code for each in answers]
    assert [1, 1, 1] == [len(asked) for asked in house.heads]
    assert not any(b"cookie" in head.lower() for asked in house.heads for head in asked)


async def test_nobody_is_called_while_our_own_addresses_are_looked_up():
    """Two calls at once that lead back to us are both refused: the second waits for the look-up."""
    loop, known = asyncio.get_running_loop(), asyncio.Event()

    async def look_up(host, port, **_):
        if host == "pay.example.com":
            await known.wait()
        return [(2, 1, 6, "", ("1.1.1.1", port))]

    loop.getaddrinfo = look_up  # This test's own loop.
    bringer = Bringer([], 10, ["pay.example.com"])
    calls = [asyncio.create_task(bringer.bring("https://other.example/")) for _ in range(2)]
    for _ in range(20):
        await asyncio.sleep(0)
    known.set()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    await bringer.close()

    assert ["its address is our own"] * 2 == [str(each) for each in ended]
    assert all(isinstance(each, Unheard) for each in ended)
