"""The emulated Bot API: it refuses what Telegram refuses, in Telegram's words."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from vendrail.sandbox.telegram import TOKEN, Refused, read_html

PERSON = 77


class Program:
    """A bot's program that speaks the Bot API by hand."""

    def __init__(self, door, told: dict) -> None:
        self.door = door
        self.name = told["username"]
        self.token = told["token"]

    async def call(self, method: str, token: str = "", **given: object) -> tuple[int, dict]:
        """Call a method; give the status and the answer."""
        url = f"{self.door.url}/telegram/bot{token or self.token}/{method}"
        reply = await self.door.client.post(url, json=given)
        return reply.status_code, reply.json()

    async def do(self, deed: str, text: str = "", person: int = PERSON) -> None:
        """Let a person do something."""
        body = {"bot": self.name, "person": person, "deed": deed, "text": text}
        await self.door.post("/sandbox/telegram/deeds", body)

    async def send(self, **given: object) -> tuple[int, str]:
        """Send a message to the person; give the status and what is wrong."""
        status, told = await self.call("sendMessage", **({"chat_id": PERSON, "text": "x"} | given))
        return status, told.get("description", "")


@pytest.fixture
async def program(door) -> Program:
    """A program with a bot of its own."""
    return Program(door, await door.post("/sandbox/telegram/bots", {"username": "a_test_bot"}))


async def test_who_has_no_token_is_turned_away(program):
    """A wrong token is 401, a method that is none 404, both in the one form of refusals."""
    status, wrong = await program.call("getMe", token="1:x")
    missing, unknown = await program.call("getMoney")
    good, me = await program.call("getMe")

    assert (401, {"ok": False, "error_code": 401, "description": "Unauthorized"}) == (status, wrong)
    assert (404, "Not Found") == (missing, unknown["description"])
    assert (200, True, "a_test_bot") == (good, me["ok"], me["result"]["username"])


async def test_messages_are_refused_as_there(program):
    """No chat, a strange chat, no text, too much text, wrong markup, a bot that is blocked."""
    stranger = await program.send()
    await program.do("write", "/start")
    refused = [
        await program.send(chat_id=""),
        await program.send(chat_id=1),
        await program.send(text="  "),
        await program.send(text="x" * 4_097),
        await program.send(text="<b>x", parse_mode="HTML"),
        await program.send(text="a < b", parse_mode="HTML"),
    ]
    fine = [
        await program.send(text="x" * 4_096),
        await program.send(text="<b>" + "&lt;" * 4_096 + "</b>", parse_mode="HTML"),
    ]
    await program.do("block")
    blocked = await program.send()

    assert (400, "Bad Request: chat not found") == stranger
    assert [
        "Bad Request: chat_id is empty",
        "Bad Request: chat not found",
        "Bad Request: message text is empty",
        "Bad Request: message is too long",
    ] == [words for _, words in refused[:4]]
    assert all(words.startswith("Bad Request: can't parse entities") for _, words in refused[4:])
    assert [(200, ""), (200, "")] == fine
    assert (403, "Forbidden: bot was blocked by the user") == blocked


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self):
        """Give the time."""
        return self.at

    async def sleep(self, delay_s: float) -> None:
        """Sleep, by the machine's clock."""
        await asyncio.sleep(delay_s)


async def test_a_flood_into_one_chat_is_stopped(home, start_sandbox):
    """After a short burst one message a second is taken; another chat is not held up by it."""
    clock = Clock()
    async with start_sandbox(home, clock=clock) as door:
        told = await door.post("/sandbox/telegram/bots", {"username": "a_test_bot"})
        program = Program(door, told)
        await program.do("write", "/start")
        await program.do("write", "/start", person=78)
        burst = [(await program.send())[0] for _ in range(10)]
        _, refusal = await program.call("sendMessage", chat_id=PERSON, text="x")
        other, _ = await program.send(chat_id=78)
        clock.at += timedelta(seconds=1)
        second = [(await program.send())[0] for _ in range(2)]
        clock.at += timedelta(seconds=60)
        later = [(await program.send())[0] for _ in range(11)]

    assert {200} == set(burst)
    assert (429, {"retry_after": 1}) == (refusal["error_code"], refusal["parameters"])
    assert 200 == other
    assert [200, 429] == second
    assert [200] * 10 + [429] == later


async def test_a_flood_over_all_chats_is_stopped(home, start_sandbox):
    """Thirty messages a second are taken over all chats, and the next second more."""
    clock = Clock()
    async with start_sandbox(home, clock=clock) as door:
        told = await door.post("/sandbox/telegram/bots", {"username": "a_test_bot"})
        program = Program(door, told)
        for person in range(1, 33):
            await program.do("write", "/start", person=person)
        statuses = [(await program.send(chat_id=person))[0] for person in range(1, 32)]
        clock.at += timedelta(seconds=1)
        after, _ = await program.send(chat_id=32)

    assert [200] * 30 + [429] == statuses
    assert 200 == after


async def test_news_is_told_until_it_is_confirmed(program):
    """What was not confirmed by a higher offset comes again; what was, never."""
    await program.do("write", "/start abc")
    await program.do("block")
    _, first = await program.call("getUpdates")
    _, again = await program.call("getUpdates")
    one, two = first["result"]
    _, rest = await program.call("getUpdates", offset=one["update_id"] + 1)
    _, none = await program.call("getUpdates", offset=two["update_id"] + 1)

    assert first == again
    assert "/start abc" == one["message"]["text"]
    assert "private" == one["message"]["chat"]["type"]
    assert "kicked" == two["my_chat_member"]["new_chat_member"]["status"]
    assert [two] == rest["result"]
    assert [] == none["result"]


async def test_one_program_asks_at_a_time(program):
    """A second question ends the first with a conflict; a webhook forbids asking at all."""
    first = asyncio.create_task(program.call("getUpdates", timeout=10))
    await asyncio.sleep(0.3)
    second = asyncio.create_task(program.call("getUpdates", timeout=10))
    status, refusal = await first
    await program.do("write", "hello")
    _, told = await second
    await program.call("setWebhook", url="https://bot.example/hook")
    hooked, _ = await program.call("getUpdates")

    assert (409, 409) == (status, refusal["error_code"])
    assert "terminated by other getUpdates request" in refusal["description"]
    assert "hello" == told["result"][0]["message"]["text"]
    assert 409 == hooked


async def test_a_tester_writes_on_a_page(door):
    """The page sends what is written, shows what came, and a bot's link offers Start."""
    phone = f"{door.url}/telegram/phone"
    await door.client.post(f"{phone}/write", data={"text": "hello <bot>"})
    page = (await door.client.get(phone)).text
    linked = (await door.client.get(f"{door.url}/telegram/t.me/vendrail_demo_bot?start=abc")).text
    news = await door.client.get(f"{door.url}/telegram/bot{TOKEN}/getUpdates")
    await door.client.post(f"{phone}/block", data={})
    blocked = (await door.client.get(phone)).text

    assert "hello &lt;bot&gt;" in page
    assert 'value="/start abc"' in linked
    assert ["hello <bot>"] == [each["message"]["text"] for each in news.json()["result"]]
    assert "Unblock" in blocked


def test_markup_is_read_as_there():
    """Tags vanish, entities become letters, what is unknown is refused."""
    assert "a <b> & c" == read_html("<i>a &lt;b&gt; &amp; <u>c</u></i>")
    for wrong in ("<br>", "</b>", "<b><i></b></i>", "1 < 2"):
        with pytest.raises(Refused):
            read_html(wrong)
