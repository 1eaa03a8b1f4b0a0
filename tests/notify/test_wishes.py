"""What readers want: kinds of letters they do without, quiet hours, and links in letters."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.notify import OPTIONAL_LETTERS, LetterPreferences, LetterQuery
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.notify import letters
from vendrail.notify.decide import FORMS
from vendrail.notify.settings import News
from vendrail.notify.wire import WIRE
from vendrail.notify.wishes import PATIENT, Wishes, find_zone, quiet_end

START = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
ANN, BEN = "ann@example.com", "ben@example.com"
UNREAD = {"link": "https://x/o", "title": "A game", "serial": "06A", "count": "1"}
NIGHT = {"quiet_from": 22 * 60, "quiet_until": 7 * 60, "zone": "Asia/Shanghai"}


@pytest.fixture
def told(world):
    """Notify that tells also what happened."""
    world.service.settings = replace(world.service.settings, news=News.ON)
    return world


def unread(world, recipient=ANN, **changes):
    """A letter that can wait, and can be done without."""
    changes = {"template": "message_unread", "values": UNREAD} | changes
    return world.message(recipient, **changes)


def link_of(mail) -> str:
    """Give the link that ends letters of a mail's kind."""
    return mail["List-Unsubscribe"].strip("<>").rpartition("/")[2]


def at(world, hour) -> None:
    """Let it be an hour of the next day, UTC."""
    now = world.clock.now()
    then = (now + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)
    world.clock.advance((then - now).total_seconds())


async def test_what_is_not_wanted_is_dropped_for_its_reader_alone(told):
    """A kind that is switched off does not come, also what waited; codes and others' still do."""
    statuses = await told.notify.send_messages(
        [unread(told), unread(told, BEN), told.message(ANN), unread(told, "Ann@Example.com")]
    )
    wishes = LetterPreferences(ANN, ["message_unread"])
    first, again = await told.notify.put_preferences([wishes, wishes])
    await told.send_all()
    kept, other = await told.notify.read_preferences([ANN, BEN])
    back = await told.notify.put_preferences([LetterPreferences(ANN)])
    await told.notify.send_messages([unread(told)])
    await told.send_all()

    assert ["taken"] * 4 == statuses
    assert ("changed", "unchanged", ["changed"]) == (first, again, back)
    assert (["message_unread"], []) == (kept.unwanted, other.unwanted)
    assert ["sent"] * 3 + ["unwanted"] * 2 == sorted(await told.states())
    assert 3 == len(told.mails())


async def test_quiet_hours_hold_back_what_can_wait_and_nothing_else(told):
    """At night a code comes at once; news waits until the morning; what is too old by then goes."""
    await told.notify.put_preferences([LetterPreferences(ANN, **NIGHT)])
    at(told, 15)  # 23:00 in Shanghai.
    await told.notify.send_messages([unread(told), told.message(ANN), unread(told, BEN)])
    await told.send_all()
    night = sorted(await told.states())
    told.clock.advance(8 * 3_600 - 61)
    await told.send_all()
    before = sorted(await told.states())
    told.clock.advance(62)
    await told.send_all()
    tried = (await told.notify.list_letters([LetterQuery()]))[0]

    assert ["sent", "sent", "waiting"] == night == before
    assert ["sent", "sent", "sent"] == await told.states()
    assert {1} == {each.attempts for each in tried}


async def test_what_is_stale_when_the_night_ends_is_dropped(told):
    """It is not kept for a morning at which it is of no use any more."""
    all_day = LetterPreferences(ANN, quiet_from=1, quiet_until=0, zone="UTC")
    await told.notify.put_preferences([all_day])
    at(told, 1)
    await told.notify.send_messages([unread(told)])
    await told.send_all()
    waiting = await told.states()
    told.clock.advance(24 * 3_600)
    await told.send_all()

    assert ["waiting"] == waiting
    assert ["stale"] == await told.states()
    assert [] == told.mails()


async def test_one_click_ends_one_kind_for_one_reader(told):
    """The link of a letter ends its kind without signing in, once; who chose since is right."""
    await told.notify.send_messages([unread(told), unread(told, BEN), told.message(ANN)])
    await told.send_all()
    news = [mail for mail in told.mails() if mail["List-Unsubscribe"]]
    [mail] = [mail for mail in news if mail["To"] == ANN]
    link = link_of(mail)
    [before] = await told.notify.read_stops([link])
    stopped, again = await told.notify.stop_letters([link, link])
    ann, ben = await told.notify.read_preferences([ANN, BEN])
    told.clock.advance(60)
    await told.notify.put_preferences([LetterPreferences(ANN)])
    [late] = await told.notify.stop_letters([link])
    [after] = await told.notify.read_preferences([ANN])

    assert 2 == len(news)
    assert "List-Unsubscribe=One-Click" == mail["List-Unsubscribe-Post"]
    assert link in mail.get_body(("plain",)).get_content()
    assert link in mail.get_body(("html",)).get_content()
    assert ("open", "message_unread") == (before.status, before.template)
    assert ("stopped", "stopped") == (stopped.status, again.status)
    assert (["message_unread"], []) == (ann.unwanted, ben.unwanted)
    assert ("overtaken", []) == (late.status, after.unwanted)


async def test_no_link_can_be_made_up(told):
    """Whatever is changed of a link, it switches nothing off."""
    await told.notify.send_messages([unread(told)])
    await told.send_all()
    link = link_of(told.mails()[0])
    changed = [
        link[:place] + ("A" if link[place] != "A" else "B") + link[place + 1 :]
        for place in range(0, len(link) - 1, 5)
    ]
    strange = ["", "x", link[:-4], link + "AAAA", "ü" * 50, "=" * 3, "A" * 10_000]
    stops = await told.notify.stop_letters([*changed, *strange])
    [kept] = await told.notify.read_preferences([ANN])

    assert {"link_malformed"} == {each.status for each in stops}
    assert [] == kept.unwanted


async def test_a_link_travels_whole(told):
    """However long the site's address, the header holds the link in one piece, as programs read."""
    link = "https://a-rather-long-name-of-a-shop.example.com/letters/off/" + "x" * 90
    mail = letters.write(
        new_id(told.clock.now()), "message_unread", "es", UNREAD, recipient=ANN,
        sender="Keys <no-reply@keys.example>", site_name="Keys", at=told.clock.now(), off_link=link,
    )  # fmt: skip
    sent = mail.as_bytes(policy=WIRE)

    assert f"\r\nList-Unsubscribe: <{link}>\r\n".encode() in sent
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in sent
    assert sent.isascii()


async def test_senseless_wishes_are_refused(told):
    """Security and money cannot be switched off; hours and zones are those that there are."""
    statuses = await told.notify.put_preferences(
        [
            LetterPreferences("nobody"),
            LetterPreferences(ANN, ["sign_in_code"]),
            LetterPreferences(ANN, quiet_from=60),
            LetterPreferences(ANN, quiet_from=60, quiet_until=1_440),
            LetterPreferences(ANN, zone="Mars/Base"),
            LetterPreferences(ANN, zone="../../etc/passwd"),
        ]
    )

    assert [
        "address_malformed", "template_unknown", "hours_malformed", "hours_malformed",
        "zone_unknown", "zone_unknown",
    ] == statuses  # fmt: skip
    assert not {"dispute_staff", "payee_added", "lookup_code", "reset"} & PATIENT
    assert set(OPTIONAL_LETTERS) - {"stock_low"} <= set(FORMS)


@given(
    st.integers(0, 2 * 366 * 24 * 60).map(lambda m: START + timedelta(minutes=m)),
    st.integers(0, 1_439),
    st.integers(0, 1_439),
    st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"]),
)
def test_quiet_hours_end(now, start, end, zone):
    """They end after now, within a day and an hour, and then it is not quiet any more."""
    wishes = Wishes(frozenset(), start, end, zone)
    until = quiet_end(wishes, now)
    local = now.astimezone(find_zone(zone))
    minute = local.hour * 60 + local.minute
    length = (end - start) % 1_440

    assert ((minute - start) % 1_440 < length) == (until is not None)
    if until is not None:
        assert now < until <= now + timedelta(hours=25)
