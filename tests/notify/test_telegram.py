"""Letters by Telegram, over HTTP to the emulated Bot API: linked, once each, never with secrets."""

import asyncio
import contextlib
import logging
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html import escape, unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from tests.notify.phones import phone, sandbox

from vendrail.api.notify import (
    TELEGRAM_KINDS,
    ChatAsk,
    LetterPreferences,
    LetterQuery,
    LetterWay,
    Message,
    Notify,
)
from vendrail.kernel import rpc
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id
from vendrail.kernel.locales import TAGS
from vendrail.kernel.telemetry import Metrics
from vendrail.notify import chats
from vendrail.notify.bot import Bot
from vendrail.notify.decide import FORMS
from vendrail.notify.service import NotifyService
from vendrail.notify.settings import News, NotifySettings
from vendrail.sandbox.telegram import read_html

__all__ = ["phone", "sandbox"]  # Fixtures.

ANN, BEN, CAT = "ann@example.com", "ben@example.com", "cat@example.com"
DEBT = {"amount": "¥5.00", "since": "2026-01-01", "link": "https://keys.example/merchant?key=abc"}
FLOOD = {"code": 429, "description": "Too Many Requests"}
UNREAD = {"link": "https://keys.example/o", "title": "<A> & b", "serial": "06A", "count": "1"}


class World:
    """Notify with a bot at the emulated Telegram, its jobs run by hand."""

    def __init__(self, service, clock, db, folder, metrics, phone) -> None:
        self.service = service
        self.notify = rpc.loopback(Notify, service)  # As others see it: over the wire.
        self.clock = clock
        self.db = db
        self.folder = folder
        self.metrics = metrics
        self.phone = phone

    async def link(self, address: str = ANN, person: int = 1, locale: str = "en") -> str:
        """Link a person's chat; give the ticket."""
        await self.service.chats.listen()
        [ticket] = await self.notify.open_chats([ChatAsk(address, locale)])
        [text] = parse_qs(urlsplit(ticket.link).query)["start"]
        await self.phone.do(person, f"/start {text}")
        await self.service.chats.listen()
        return text

    async def want(self, address: str = ANN, way=LetterWay.TELEGRAM, **changes) -> None:
        """Let a reader want everything by one way, but security also by e-mail."""
        ways = {kind: way for kind in TELEGRAM_KINDS if kind != "security"}
        await self.notify.put_preferences([LetterPreferences(address, ways=ways, **changes)])

    def letter(self, address=ANN, template="debt_owed", values=DEBT, locale="en") -> Message:
        """Write a letter of money."""
        return Message(new_id(self.clock.now()), address, template, locale, values)

    async def tell(self, *letters: Message) -> None:
        """Take letters in and send all that is due."""
        await self.notify.send_messages(letters)
        await self.send_all()

    async def send_all(self) -> None:
        """Run the sender until nothing is due."""
        while await self.service.sending().send_due():
            pass

    def mails(self) -> int:
        """Count the mails, but those that tell of chats."""
        return len(self._mails(is_of_chats=False))

    def told(self) -> list[tuple[str, str]]:
        """Give to whom mails told of chats, and what; oldest first."""
        return [(mail["to"], mail["subject"]) for mail in self._mails(is_of_chats=True)]

    def _mails(self, *, is_of_chats: bool) -> list[EmailMessage]:
        paths = sorted(self.folder.glob("*.eml"), key=lambda each: each.stat().st_mtime_ns)
        mails = [message_from_bytes(each.read_bytes(), policy=default) for each in paths]
        return [each for each in mails if is_of_chats == ("Telegram" in each["subject"])]

    async def views(self):
        """Give the letters, oldest first, but those that tell of chats."""
        [views] = await self.notify.list_letters([LetterQuery()])
        return [view for view in reversed(views) if view.template != "chat"]

    async def states(self) -> list[tuple[str, str]]:
        """Give ways and states of the letters, oldest first."""
        return [(view.way.value, view.state.value) for view in await self.views()]


@pytest.fixture
async def make_world(make_database, clock, vault, wakeups, tmp_path, phone):
    """Make a notify; several share one database."""
    db = await make_database("notify")
    made = []

    def make(**changes) -> World:
        settings = NotifySettings(
            home=tmp_path,
            news=News.ON,
            site_name="Keys & Co",
            telegram_token=phone.token,
            telegram_url=f"{phone.url}/telegram",
            telegram_links=f"{phone.url}/telegram/t.me",
            telegram_timeout_s=2.0,
            telegram_poll_s=0,
        )
        metrics = Metrics()
        service = NotifyService(db, vault, clock, wakeups, metrics, replace(settings, **changes))
        made.append(service)
        return World(service, clock, db, tmp_path / "mailbox", metrics, phone)

    yield make
    for service in made:
        await service.close()


@pytest.fixture
def world(make_world):
    """One notify."""
    return make_world()


async def test_a_chat_is_linked_by_a_ticket_once(world):
    """The link opens the bot; whoever presses Start first is linked, in the reader's language."""
    [before] = await world.notify.read_chats([ANN])
    [early] = await world.notify.open_chats([ChatAsk(ANN, "es")])
    ticket = await world.link(locale="es")
    [linked, other] = await world.notify.read_chats([ANN, BEN])
    await world.phone.do(2, f"/start {ticket}", language="ja")
    await world.service.chats.listen()
    [still] = await world.notify.read_chats([ANN])
    async with world.db.reading() as tx:
        kept = await tx.fetch("select encode(sealed, 'escape') s, encode(hash, 'escape') h from"
                              " notify.chat")  # fmt: skip

    assert ("away", "away") == (before.state, early.status)
    assert ("linked", world.phone.bot, "Ann") == (linked.state, linked.bot, linked.name)
    assert "open" == other.state
    assert linked == still
    [hello] = await world.phone.texts(1)
    [refusal] = await world.phone.texts(2)
    assert "Keys & Co" in hello
    assert "/stop" in hello
    assert "avisos" in hello
    assert "リンク" in refusal
    assert 1 == len(kept)
    assert "Ann" not in kept[0]["s"]


async def test_news_are_heard_though_their_numbers_begin_anew(world):
    """After a week of silence Telegram numbers from wherever it likes; the bot hears on."""
    await world.link()
    async with world.db.reading() as tx:
        await tx.execute("update notify.bot set next_update = next_update + 1000000")
    await world.link(BEN, 2)
    [linked] = await world.notify.read_chats([BEN])

    assert "linked" == linked.state
    assert not await world.service.chats.listen()


async def test_an_address_that_is_none_breaks_no_letter(world):
    """What somebody named so that it looks like an address is told as it is."""
    await world.link()
    await world.want()
    await world.tell(world.letter(values=DEBT | {"amount": "http://[x?y"}))

    assert ["sent"] == [view.state for view in await world.views()]


async def test_of_addresses_the_host_alone_is_told(world):
    """A webhook's path may be its secret: chats and mails are told its host; our link keeps it."""
    await world.link()
    hook = {
        "url": "https://bot:pw@hooks.example:8443/T0P/s3cret?token=abc#x",
        "days": "3", "reason": "silent", "link": "https://keys.example/merchant/webhooks?at=1",
    }  # fmt: skip
    await world.tell(world.letter(template="webhook_disabled", values=hook))
    text = (await world.phone.texts(1))[-1]

    assert "hooks.example" in text
    assert not [each for each in ("s3cret", "T0P", "pw", "abc", "8443") if each in text]
    assert "https://keys.example/merchant/webhooks" in text
    assert "at=1" not in text


async def test_a_ticket_ends(world):
    """After ten minutes, after a newer one, or once the reader took it back, it links nothing."""
    await world.service.chats.listen()

    async def ticket() -> str:
        [made] = await world.notify.open_chats([ChatAsk(ANN, "en")])
        return parse_qs(urlsplit(made.link).query)["start"][0]

    first, second = await ticket(), await ticket()
    world.clock.advance(601)
    await world.phone.do(1, f"/start {first}")
    await world.phone.do(2, f"/start {second}")
    await world.service.chats.listen()
    third = await ticket()
    [ended] = await world.notify.end_chats([ANN])
    await world.phone.do(3, f"/start {third}")
    await world.service.chats.listen()
    [after] = await world.notify.read_chats([ANN])
    async with world.db.reading() as tx:
        hashes = [row["hash"] for row in await tx.fetch("select hash from notify.ticket")]

    assert "open" == after.state
    assert "not_linked" == ended
    assert not [each for each in hashes if third.encode() in each]
    for person in (1, 2, 3):
        assert "not valid any more" in (await world.phone.texts(person))[0]


async def test_a_reader_ends_it_there_or_here(world):
    """/stop and blocking unlink; so does the page; what waited for Telegram leaves by e-mail."""
    await world.link()
    await world.want()
    waiting = world.letter()
    await world.notify.send_messages([waiting])
    await world.phone.do(1, "/stop")
    await world.service.chats.listen()
    await world.send_all()
    [stopped] = await world.notify.read_chats([ANN])
    await world.link()
    await world.phone.do(1, deed="block")
    await world.service.chats.listen()
    [blocked] = await world.notify.read_chats([ANN])
    await world.link()
    [ended, again] = await world.notify.end_chats([ANN, ANN])

    assert ["open", "open"] == [stopped.state, blocked.state]
    assert ("ended", "not_linked") == (ended, again)
    assert [("mail", "sent")] == await world.states()
    assert 1 == world.mails()
    assert 1.0 == world.metrics.value("vendrail_telegram_letters_total", "debt_owed", "diverted")


async def test_who_links_or_ends_a_chat_is_told_by_mail(world):
    """Linked, ended there, here, by blocking or found closed: each is written to the address."""
    await world.link(locale="es")
    await world.phone.do(1, "/stop")
    await world.service.chats.listen()
    await world.link()
    await world.notify.end_chats([ANN, ANN])
    await world.link()
    await world.phone.do(1, deed="block")
    await world.service.chats.listen()
    await world.link(BEN, 2)
    await world.want(BEN)
    await world.phone.fault(code=400, description="Bad Request: chat not found")
    await world.tell(world.letter(BEN))
    await world.send_all()
    linked, ended = "A chat at Telegram gets your letters now", "gets your letters no more"
    told = world.told()

    assert [ANN] * 6 + [BEN] * 2 == [to for to, _ in told]
    assert ["recibe ahora", "ya no recibe"] == [
        next(part for part in ("recibe ahora", "ya no recibe") if part in subject)
        for _, subject in told[:2]
    ]
    assert [True, False] * 3 == [subject == linked for _, subject in told[2:]]
    assert all(ended in subject for _, subject in told[3::2])
    assert not [each for each in await world.phone.texts(1) if "gets your letters" in each]


async def test_a_chat_of_the_release_before_ends_in_silence(world):
    """What was linked before addresses were kept is ended all the same; nobody is told."""
    await world.link()
    await world.send_all()
    row = new_id(world.clock.now())
    key = await world.service._data_keys.newest()
    old = b'{"chat_id":1,"name":"Ann","locale":"en"}'
    sealed = world.service._vault.seal(key, "notify.chat", row, old)
    async with world.db.reading() as tx:
        await tx.execute("update notify.chat set id = $1, data_key = $2, sealed = $3",
                         row, key.id, sealed)  # fmt: skip
    before = len(world.told())
    await world.phone.do(1, "/stop")
    await world.service.chats.listen()
    await world.send_all()
    [chat] = await world.notify.read_chats([ANN])

    assert "open" == chat.state
    assert before == len(world.told())


async def test_letters_go_by_the_ways_that_were_chosen(world):
    """Both at first; then one; security always by e-mail too; codes never by Telegram."""
    await world.link()
    await world.tell(world.letter(), world.letter(BEN))
    both = (len(await world.phone.texts(1)), world.mails())
    await world.want()
    payee = {"account": "…4242", "link": "https://x/p", "by": "Bo", "usable": "tomorrow"}
    code = {"code": "135790", "minutes": "10"}
    await world.tell(
        world.letter(),
        world.letter(template="payee_added", values=payee),
        world.letter(template="sign_in_code", values=code),
    )
    telegram = (len(await world.phone.texts(1)), world.mails())
    await world.want(way=LetterWay.MAIL)
    await world.tell(world.letter())
    mail = (len(await world.phone.texts(1)), world.mails())
    texts = await world.phone.texts(1)

    assert [(2, 2), (4, 4), (4, 5)] == [both, telegram, mail]
    assert not [text for text in texts if "135790" in text]
    assert texts[1].startswith("Your shop owes ¥5.00\n\n")
    assert "https://keys.example/merchant\n" in texts[1]
    assert "key=abc" not in "".join(texts)
    assert {"sent"} == {state for _, state in await world.states()}
    assert 2.0 == world.metrics.value("vendrail_telegram_letters_total", "debt_owed", "sent")


async def test_the_same_letter_is_told_once_however_often_it_is_asked_for(world):
    """A message that comes again adds nothing, also when a chat was linked in between."""
    letter = world.letter()
    await world.tell(letter)
    await world.link()
    await world.tell(letter)
    other = world.letter()
    await world.tell(other, other)
    await world.tell(other)

    assert 2 == len(await world.phone.texts(1))
    assert 2 == world.mails()
    assert [("mail", "sent"), ("mail", "sent"), ("telegram", "sent")] == await world.states()


async def test_a_blocked_bot_is_unlinked_and_the_letter_goes_by_mail(world):
    """403 ends the chat; a letter for it alone leaves by e-mail, one that did leaves no second."""
    await world.link()
    await world.want()
    first, second = world.letter(), world.letter()
    await world.notify.send_messages([first, second])
    await world.phone.do(1, deed="block")
    await world.send_all()
    [after] = await world.notify.read_chats([ANN])
    alone = (world.mails(), await world.states())
    await world.phone.do(1, "/start")  # It is open again, but nobody's.
    await world.link(BEN, 2)
    await world.notify.send_messages([world.letter(BEN)])
    await world.phone.do(2, deed="block")
    await world.send_all()

    assert "open" == after.state
    assert (2, [("mail", "sent")] * 2) == alone
    assert 3 == world.mails()
    assert ("telegram", "unwanted") == (await world.states())[-1]


async def test_a_chat_that_is_not_there_is_unlinked(world):
    """400 "chat not found" ends the chat like 403."""
    await world.link()
    await world.want()
    await world.phone.fault(code=400, description="Bad Request: chat not found")
    await world.tell(world.letter())
    [after] = await world.notify.read_chats([ANN])

    assert "open" == after.state
    assert 1 == world.mails()


async def test_a_flood_in_one_chat_holds_up_no_other(world):
    """429: its chat waits as long as Telegram says, no try is counted; others and mails go on."""
    for address, person in ((ANN, 1), (BEN, 2)):
        await world.link(address, person)
        await world.want(address)
    await world.phone.fault(chat=1, **FLOOD, retry_after=300)
    first = world.letter()
    await world.tell(first, world.letter(BEN), world.letter(CAT))
    during = (len(await world.phone.texts(1)), len(await world.phone.texts(2)), world.mails())
    [held] = await world.notify.read_letters([first.id])
    await world.tell(world.letter(), world.letter(BEN))  # It is asked nothing meanwhile.
    later = (len(await world.phone.texts(1)), len(await world.phone.texts(2)))
    wait = held.due_at - world.clock.now()
    world.clock.advance(301)
    await world.send_all()
    views = await world.views()

    assert (1, 2, 1) == during
    assert (1, 3) == later
    assert ("waiting", "") == (held.state, held.problem)
    assert timedelta(seconds=290) < wait <= timedelta(seconds=300)
    assert (3, 3) == (len(await world.phone.texts(1)), len(await world.phone.texts(2)))
    assert {("sent", 1)} == {(view.state, view.attempts) for view in views}


async def test_two_chats_that_are_told_to_wait_mean_the_bot(world):
    """A second 429 within the minute pauses all chats, for as long as the shorter of both says."""
    for address, person in ((ANN, 1), (BEN, 2), (CAT, 3)):
        await world.link(address, person)
        await world.want(address)
    await world.phone.fault(chat=1, **FLOOD, retry_after=300)
    await world.phone.fault(chat=2, **FLOOD, retry_after=100)
    await world.tell(world.letter(), world.letter(BEN))
    await world.tell(world.letter(CAT))
    during = [len(await world.phone.texts(person)) for person in (1, 2, 3)]
    world.clock.advance(101)
    await world.send_all()
    shorter = [len(await world.phone.texts(person)) for person in (1, 2, 3)]
    world.clock.advance(200)
    await world.send_all()
    after = [len(await world.phone.texts(person)) for person in (1, 2, 3)]

    assert [1, 1, 1] == during
    assert [1, 2, 2] == shorter
    assert [2, 2, 2] == after


async def test_a_wait_of_long_ago_is_one_chats_alone(world):
    """Told minutes apart, two chats wait each for themselves."""
    for address, person in ((ANN, 1), (BEN, 2), (CAT, 3)):
        await world.link(address, person)
        await world.want(address)
    await world.phone.fault(chat=1, **FLOOD, retry_after=3_000)
    await world.tell(world.letter())
    world.clock.advance(61)
    await world.phone.fault(chat=2, **FLOOD, retry_after=3_000)
    await world.tell(world.letter(BEN), world.letter(CAT))

    assert [1, 1, 2] == [len(await world.phone.texts(person)) for person in (1, 2, 3)]


async def test_a_question_for_news_that_is_too_much_pauses_the_bot(world):
    """What Telegram answers to a question that is of no chat, it says to the whole bot."""
    await world.link()
    await world.want()
    await world.phone.fault(method="getUpdates", **FLOOD, retry_after=30)
    await world.service.chats.listen()
    await world.phone.do(1, "/stop")
    await world.service.chats.listen()  # It asks nothing meanwhile.
    await world.tell(world.letter())
    during = len(await world.phone.texts(1))
    world.clock.advance(31)
    await world.send_all()
    after = len(await world.phone.texts(1))
    await world.service.chats.listen()
    [ended] = await world.notify.read_chats([ANN])

    assert (1, 2) == (during, after)
    assert "open" == ended.state


async def test_after_an_outage_each_arrives_once_and_in_time(world):
    """Telegram away for a day: what ends before leaves by mail, the rest comes once, in order."""
    await world.link()
    await world.want()
    await world.phone.fault(code=502, description="Bad Gateway", times=1_000)
    old = world.letter(template="message_unread", values=UNREAD)  # Of use for a day.
    kept = [world.letter(values=DEBT | {"amount": f"¥{number}.00"}) for number in range(1, 6)]
    await world.notify.send_messages([old, *kept])
    for _ in range(26):
        await world.send_all()
        world.clock.advance(3_600)
    await world.phone.forgive()
    for _ in range(10):
        await world.send_all()
        world.clock.advance(3_600)
    texts = (await world.phone.texts(1))[1:]

    assert [f"Your shop owes ¥{number}.00" for number in range(1, 6)] == [
        text.split("\n")[0] for text in texts
    ]
    assert ["sent"] * 6 == [view.state for view in await world.views()]
    assert 1 == world.mails()


async def test_what_may_have_arrived_is_not_sent_again(world):
    """An answer that is lost, or is none of Telegram's, leaves a letter unknown: for a person."""
    await world.link()
    await world.want()
    await world.phone.fault(kind="lose_after")
    await world.tell(world.letter())
    world.clock.advance(3_600)
    await world.send_all()
    arrived = len(await world.phone.texts(1)) - 1
    await world.phone.fault(kind="page")
    await world.tell(world.letter())

    assert 1 == arrived
    assert [("telegram", "unknown")] * 2 == await world.states()
    assert 0 == world.mails()


async def test_a_process_that_dies_sends_nothing_twice(world):
    """Senders are cancelled at any moment: each letter arrives once, or is unknown."""
    await world.link()
    await world.want()
    letters = [world.letter(values=DEBT | {"amount": f"¥{n}.00"}) for n in range(1, 9)]
    await world.notify.send_messages(letters)
    for number in range(40):
        sending = asyncio.create_task(world.service.sending().send_due())
        await asyncio.sleep(0.004 * number)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        world.clock.advance(900)
    for _ in range(20):
        await world.send_all()
        world.clock.advance(900)
    heads = [text.split("\n")[0] for text in (await world.phone.texts(1))[1:]]
    views = await world.views()

    assert len(heads) == len(set(heads))
    assert {"sent", "unknown"} >= {view.state for view in views}
    for view, letter in zip(views, letters, strict=True):
        is_there = f"Your shop owes {letter.values['amount']}" in heads
        assert is_there or view.state == "unknown"


async def test_quiet_hours_hold_back_what_can_wait_in_a_chat_too(world):
    """At night money comes at once, and what can wait comes in the morning, behind nothing."""
    await world.link()
    now = world.clock.now()
    minute = now.hour * 60 + now.minute
    await world.want(quiet_from=minute, quiet_until=(minute + 60) % 1_440)
    unread = world.letter(template="message_unread", values=UNREAD)
    await world.tell(unread, world.letter())
    night = (await world.phone.texts(1))[1:]
    world.clock.advance(3_660)
    await world.send_all()
    morning = (await world.phone.texts(1))[1:]

    assert ["Your shop owes ¥5.00"] == [text.split("\n")[0] for text in night]
    assert 2 == len(morning)
    assert "<A> & b" in morning[1]


async def test_an_unwanted_kind_comes_by_no_way(world):
    """A kind that is switched off comes neither by e-mail nor by Telegram."""
    await world.link()
    await world.notify.put_preferences([LetterPreferences(ANN, ["message_unread"])])
    await world.tell(world.letter(template="message_unread", values=UNREAD))

    assert 1 == len(await world.phone.texts(1))
    assert 0 == world.mails()
    assert [("mail", "unwanted"), ("telegram", "unwanted")] == await world.states()


async def test_one_process_asks_for_news_at_a_time(make_world):
    """The turn is held while it is renewed; when its holder is gone, another has it."""
    first, second = make_world(), make_world()
    await first.service.chats.listen()
    await first.phone.do(1, "/start")
    await second.service.chats.listen()
    silent = await first.phone.texts(1)
    first.clock.advance(60)
    await second.service.chats.listen()
    answered = await first.phone.texts(1)
    await first.service.chats.listen()
    await second.service.chats.leave()
    await first.phone.do(1, "/start")
    await first.service.chats.listen()

    assert [] == silent
    assert 1 == len(answered)
    assert 2 == len(await first.phone.texts(1))


@pytest.mark.parametrize("trouble", ["away", "wrong token", "lost", "page"])
async def test_the_token_is_in_no_log_and_no_error(make_world, caplog, capsys, trouble, phone):
    """Whatever goes wrong, at the finest level of logs: neither the token nor a part of it."""
    for name in (None, "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    told = []
    structlog.configure(processors=[lambda _l, _m, event: told.append(dict(event)) or repr(event)])
    try:
        world = make_world()
        await world.link()
        await world.want()
        secret = phone.token
        if trouble == "away":
            world = make_world(telegram_url="http://127.0.0.1:9")
        elif trouble == "wrong token":
            secret = f"{phone.token[:-10]}0123456789"
            world = make_world(telegram_token=secret)
        elif trouble == "lost":
            await phone.fault(kind="lose_before")
        else:
            await phone.fault(kind="page")
            await phone.fault(kind="page", method="getUpdates")
        await world.tell(world.letter())
        world.clock.advance(200)
        await world.service.chats.listen()
        views = await world.views()
    finally:
        structlog.reset_defaults()
    captured = capsys.readouterr()
    logged = caplog.text + captured.out + captured.err + repr(told) + repr(views)

    assert views[0].problem
    assert "sendMessage" in caplog.text  # So that the logs would have shown it.
    for part in (secret, secret.partition(":")[2], secret.partition(":")[2][:12]):
        assert part not in logged


def test_a_token_that_is_none_is_refused_without_being_shown():
    """Who pastes half of it is told what it looks like, and it is not repeated."""
    with pytest.raises(Malformed) as refused:
        Bot(NotifySettings(telegram_token="AAEhalf-of-a-token"))

    assert "@BotFather" in str(refused.value)
    assert "AAE" not in str(refused.value)


def test_no_letter_with_a_code_or_a_key_goes_by_telegram():
    """Codes, invitations, new passwords and letters about orders have no kind there."""
    secret = {name for name, form in FORMS.items() if {"code", "minutes", "hours"} & form.values}
    asked = secret - {"complaint_staff", "dispute_staff", "complaint_buyer"}

    assert not (asked | {"order_delivered", "order_replaced", "passkey_added"}) & set(chats.KINDS)
    assert set(TELEGRAM_KINDS) == set(chats.KINDS.values())


def test_the_bot_speaks_every_language():
    """Each answer is written in each language, names the site, and fits a message."""
    for tag in TAGS:
        for what in (chats.LINKED, chats.OLD, chats.STRANGER):
            assert "Keys" in chats.say(what, tag, "Keys")
        assert chats.say(chats.ENDED, tag, "Keys")
    assert len({chats.say(chats.ENDED, tag, "Keys") for tag in TAGS}) == len(TAGS)


@given(st.text(max_size=400), st.text(max_size=9_000), st.sampled_from(["", "https://x.example/p"]))
def test_any_text_is_taken_whole_or_cut(subject, body, link):
    """Whatever a letter says: no markup of its own, never too long, its link at the end."""
    subject, body = (
        "".join(each for each in text if not 0xD800 <= ord(each) <= 0xDFFF)
        for text in (subject, body)
    )
    source = chats.compose(subject, body, link)
    text = read_html(source)

    assert chats.units(text) <= chats.TEXT_UNITS_MAX
    assert source.startswith("<b>")
    assert text == unescape(source.replace("<b>", "", 1).replace("</b>", "", 1)) or "&" in body
    if chats.units(body.strip()) > 6_000 and link:
        assert escape(link) in source


_NAMES = st.sampled_from(["message", "my_chat_member", "chat", "from", "text", "id", "type"])
_ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("private")
_INNER = st.dictionaries(_NAMES, _ANY | st.dictionaries(_NAMES, _ANY))


@given(st.dictionaries(_NAMES, _ANY | _INNER))
def test_news_of_any_form_breaks_nothing(told):
    """What is not understood is passed over."""
    heard = chats.hear(told)

    assert heard is None or isinstance(heard.chat_id, int)
