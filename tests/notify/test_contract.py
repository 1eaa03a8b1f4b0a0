"""What notify promises: once each, never stale, nothing left lying about."""

import asyncio
import re
import stat
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP, default
from pathlib import Path
from uuid import UUID

import pytest

from vendrail.api.notify import MessageStatus
from vendrail.kernel.codec import replace
from vendrail.kernel.locales import TAGS
from vendrail.notify import letters
from vendrail.notify.concerns import TEMPLATES
from vendrail.notify.decide import FORMS
from vendrail.notify.jobs import jobs
from vendrail.notify.notices import LIVES_S

TAKEN, EXISTS = MessageStatus.TAKEN, MessageStatus.EXISTS

# A letter that each language has and its neighbours do not, or a word that every letter has.
SHOWN = {  # What a letter is for, where that is no link.
    "lookup_code": "code",
    "sign_in_code": "code",
    "registration_code": "code",
    "application_refused": "reason",
}
SCRIPTS = {
    "zh-Hans": re.compile("[单链请时]"),
    "zh-Hant": re.compile("[單連請時]"),
    "en": re.compile(r"\b(you|your|are)\b", re.IGNORECASE),
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7a3]"),
    "es": re.compile(r"\b(el|la|una|su|pedido)\b", re.IGNORECASE),
}


async def test_a_message_is_sent_once(world):
    """Taken twice in a batch and once more after: one mail."""
    message = world.message()

    assert [TAKEN, EXISTS] == await world.notify.send_messages([message, message])
    await world.send_all()
    assert [EXISTS] == await world.notify.send_messages([message])
    await world.send_all()
    [mail] = world.mails()
    assert "buyer@example.com" == mail["To"]
    assert ["sent"] == await world.states()


async def test_a_letter_is_text_and_html_in_the_buyers_language(world):
    """Both forms carry the code, in the nearest language there is, with a subject of one line."""
    chinese = world.message(code="111222", locale="zh-Hans")
    taiwan = world.message(code="333444", locale="zh-TW")
    french = world.message(code="555666", locale="fr")
    await world.notify.send_messages([chinese, taiwan, french])
    await world.send_all()

    by_code = {mail["Subject"][:20]: mail for mail in world.mails()}
    assert 3 == len(by_code)
    for mail in by_code.values():
        text = mail.get_body(("plain",)).get_content()
        page = mail.get_body(("html",)).get_content()
        [code] = [code for code in ("111222", "333444", "555666") if code in text]
        assert code in page
        assert code in mail["Subject"]
        said = {"111222": "验证码", "333444": "驗證碼", "555666": "one-time code"}
        assert [code] == [each for each, word in said.items() if word in text]
        assert "10" in text


async def test_values_never_become_markup_or_headers(world):
    """Markup in a value is escaped, and a line break in it starts no header."""
    message = world.message(code="<b>1</b>\r\nBcc: thief@example.com\r\n\r\nx")
    await world.notify.send_messages([message])
    await world.send_all()

    [mail] = world.mails()
    assert mail["Bcc"] is None
    page = mail.get_body(("html",)).get_content()
    assert "<b>1</b>" not in page
    assert "&lt;b&gt;1&lt;/b&gt;" in page


async def test_senseless_messages_are_refused_alone(world):
    """Unknown templates, missing values and malformed recipients are refused with a status."""
    unknown, malformed = MessageStatus.TEMPLATE_UNKNOWN, MessageStatus.RECIPIENT_MALFORMED
    cases = [
        (world.message(template="spam"), unknown),
        (world.message(values={"minutes": "10"}), unknown),
        (world.message("nobody"), malformed),
        (world.message("a@b"), malformed),
        (world.message("a@example.com\r\nBcc: b@example.com"), malformed),
        (world.message("a@example.com, b@example.com"), malformed),
        (world.message("a@example.com\n"), malformed),
        (world.message("x" * 250 + "@example.com"), malformed),
        (world.message("a.b+c@sub.example.com"), TAKEN),
    ]

    assert [status for _, status in cases] == await world.notify.send_messages(
        [message for message, _ in cases]
    )
    assert [] == await world.notify.send_messages([])


async def test_what_is_stale_is_dropped(world):
    """X25: after an outage, codes that are no longer good are not sent."""
    old = world.message(code="111111")
    brief = world.message(code="222222", values={"code": "222222", "minutes": "2"})
    await world.notify.send_messages([old, brief])
    world.clock.advance(300)
    fresh = world.message(code="333333")
    await world.notify.send_messages([fresh])
    world.clock.advance(301)
    await world.send_all()

    assert 1 == len(world.mails())
    assert "333333" in world.mails()[0]["Subject"]
    assert ["stale", "stale", "sent"] == sorted(await world.states(), reverse=True)


async def test_what_waited_leaves_at_a_measured_pace(world):
    """X25: after an outage, messages do not leave all at once."""
    await world.notify.send_messages([world.message() for _ in range(60)])
    began = world.clock.now()
    await world.send_all()

    assert 60 == len(world.mails())
    assert (world.clock.now() - began).total_seconds() >= 59 / 20


async def test_nothing_readable_is_stored_and_nothing_stays(world, database_url):
    """Recipient and code are sealed while they wait, and erased when the message has left."""
    await world.notify.send_messages([world.message("secret.person@example.com", "987654")])
    async with world.db.reading() as tx:
        before = (await tx.fetch_row("select m.*, m::text as whole from notify.message m"))["whole"]
        await world.send_all()
        row = await tx.fetch_row("select * from notify.message")

    hidden = ("secret.person", "987654")
    assert not any(text in before or text.encode().hex() in before for text in hidden)
    assert row["sealed"] is None
    assert row["data_key"] is None


async def test_files_are_for_their_owner_alone(world):
    """The mailbox folder and its files can be read by nobody else."""
    await world.notify.send_messages([world.message()])
    await world.send_all()

    [path] = world.folder.glob("*.eml")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(world.folder.stat().st_mode)
    assert [path] == list(world.folder.iterdir())


async def test_a_full_mailbox_is_tried_again_and_given_up(world):
    """A sender that fails is asked again ever more slowly, and no more often than is set."""
    world.folder.write_text("not a folder")
    message = world.message()
    await world.notify.send_messages([message])
    for _ in range(650):
        await world.send_all()
        world.clock.advance(1)
    async with world.db.reading() as tx:
        row = await tx.fetch_row("select state, attempts, problem from notify.message")

    assert 5 == row["attempts"]
    assert "stale" == row["state"]
    assert "buyer" not in row["problem"]


async def test_two_senders_at_once_send_each_message_once(world):
    """40 messages, eight senders at once: 40 mails."""
    await world.notify.send_messages([world.message() for _ in range(40)])
    await asyncio.gather(*(world.send_all() for _ in range(8)))

    assert 40 == len(world.mails())
    assert ["sent"] * 40 == await world.states()


async def test_the_job_sends_at_once_when_woken(world):
    """A message that is taken wakes the loop: it has left a moment later."""
    running = [asyncio.create_task(job.run()) for job in jobs(world.service, *[None] * 4)]
    await asyncio.sleep(0.3)
    await world.notify.send_messages([world.message()])
    for _ in range(100):
        if world.folder.exists() and world.mails():
            break
        await asyncio.sleep(0.02)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)

    assert 1 == len(world.mails())


async def test_old_outcomes_and_their_keys_are_forgotten(world):
    """After the days that are set, outcomes and data keys are gone; what waits stays."""
    await world.notify.send_messages([world.message()])
    await world.send_all()
    world.clock.advance(31 * 86_400)
    await world.notify.send_messages([replace(world.message(), locale="zh-Hans")])
    assert not await world.service.forget()

    assert ["waiting"] == await world.states()
    async with world.db.reading() as tx:
        assert 1 == await tx.fetch_value("select count(*) from notify.data_key")


@pytest.mark.parametrize(
    "title", ["雾港远航 Fogharbour – 标准版 Standard", "A game " * 20, "游戏" * 60]
)
def test_a_subject_arrives_as_it_was_written(title):
    """Long subjects in two scripts are folded for the way, and lose nothing on it."""
    names = ("link", "receipt", "quantity", "serial", "amount", "keys")
    values = dict.fromkeys(names, "1") | {"title": title.strip()}
    mail = letters.write(
        UUID(int=1),
        "order_delivered",
        "zh-Hans",
        values,
        recipient="a@example.com",
        sender="Keys <no-reply@keys.example>",
        site_name="Keys",
        at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    sent = mail.as_bytes(policy=SMTP)

    assert f"您的订单已发货：{title.strip()}" == message_from_bytes(sent, policy=default)["Subject"]
    assert sent.isascii()
    assert max(map(len, sent.split(b"\r\n"))) <= 78


@pytest.mark.parametrize("locale", TAGS)
def test_every_letter_can_be_written_in_every_language(locale):
    """Each template has both forms in each language; all say the link or code; none is empty."""
    values = {
        name: f"<{name}>"
        for name in (
            "code", "minutes", "link", "place", "by", "hours", "title", "quantity", "serial",
            "amount", "refund", "is_whole", "reason", "count", "low", "stuck", "unmatched",
            "late", "away", "back", "found", "keys", "account", "usable", "step", "passkey",
            "receipt", "url", "days", "name", "channel", "free", "waiting", "suggested", "dry",
            "since", "day", "note", "address", "before", "after", "currency", "host", "chat",
            "titles", "more",
        )
    }  # fmt: skip
    written = {}
    for template in (*FORMS, *LIVES_S, *sorted(set(TEMPLATES.values()))):
        mail = letters.write(
            UUID(int=1),
            template,
            locale,
            values,
            recipient="a@example.com",
            sender="Keys <no-reply@keys.example>",
            site_name="Keys",
            at=datetime(2026, 11, 23, tzinfo=UTC),
        )
        text, page = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
        shown = SHOWN.get(template, "link")
        assert f"<{shown}>" in text
        assert f"&lt;{shown}&gt;" in page
        assert mail["Subject"].strip()
        assert f'lang="{locale}"' in page
        assert SCRIPTS[locale].search(text), template
        written[template] = text
    files = {path.name for path in Path(letters.__file__).with_name("templates").iterdir()}
    wanted = {f"{template}.{locale}.{form}" for template in written for form in ("txt", "html")}
    assert wanted == {name for name in files if f".{locale}." in name}
