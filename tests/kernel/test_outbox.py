"""The outbox: events leave with their change, and none is skipped, whoever commits late."""

import asyncio
import random
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.db import Database, connect_once
from vendrail.kernel.outbox import (
    EVENT_TABLE,
    READER_TABLE,
    Cursor,
    Wakeups,
    append_events,
    batches_with,
    poll,
    read_events,
    rebase_events,
    trim_events,
)


@pytest.fixture
async def db(database_url):
    owner = await connect_once(database_url)
    await owner.execute("create schema shop;" + EVENT_TABLE.format(schema="shop"))
    await owner.close()
    database = Database(database_url, "shop", connections_max=8)
    yield database
    await database.close()


async def append(tx, clock, *events):
    await append_events(tx, "shop", clock.now(), encode(list(events)), len(events))


async def read(db, cursor, rows_max=64):
    async with db.reading() as tx:
        page = await read_events(tx, "shop", cursor, rows_max)
    return [event for batch in page.batches for event in decode(batch, list[int])], page


async def test_events_come_in_order_and_once(db, clock):
    """A consumer that keeps its cursor reads every event once, in order."""
    for number in range(10):
        async with db.transaction() as tx:
            await append(tx, clock, number, number + 100)
    first, page = await read(db, Cursor(), rows_max=6)
    second, rest = await read(db, page.cursor, rows_max=6)
    third, end = await read(db, rest.cursor)

    assert [n for number in range(10) for n in (number, number + 100)] == first + second
    assert (True, False) == (page.is_more, rest.is_more)
    assert ([], rest.cursor) == (third, end.cursor)


async def test_a_row_that_commits_late_is_never_skipped(db, clock):
    """What begins first and commits last hides the later rows until it is there: none is lost."""
    async with db.transaction() as late:
        await append(late, clock, 1)
        async with db.transaction() as early:
            await append(early, clock, 2)
        hidden, page = await read(db, Cursor())
    seen, _ = await read(db, page.cursor)

    assert [] == hidden
    assert [1, 2] == seen


async def test_a_row_of_an_earlier_transaction_and_later_id_is_not_skipped(db, clock):
    """A transaction that began long ago may write after others have committed: still read."""
    async with db.transaction() as old:
        await old.fetch_value("select pg_current_xact_id()")
        async with db.transaction() as young:
            await append(young, clock, 1)
        before, page = await read(db, Cursor())
        await append(old, clock, 2)
    after, _ = await read(db, page.cursor)

    assert [] == before
    assert sorted([1, 2]) == sorted(after)


async def test_the_order_is_of_numbers_not_of_texts(db, clock):
    """When transaction numbers grow by a digit, pages still follow each other and skip nothing."""
    async with db.transaction() as tx:
        for number in (9, 10, 99, 100, 101):
            await append(tx, clock, number)
        sql = "update shop.event set xid = (convert_from(events, 'utf8')::json->>0)::xid8"
        await tx.execute(sql)
    seen, cursor = [], Cursor()
    for _ in range(5):
        events, page = await read(db, cursor, rows_max=2)
        cursor = page.cursor
        seen += events

    assert [9, 10, 99, 100, 101] == seen


async def test_what_was_rolled_back_was_never_there(db, clock):
    """An event of a change that failed is not read, and holds up nobody."""

    async def fail():
        async with db.transaction() as tx:
            await append(tx, clock, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with db.transaction() as tx:
        await append(tx, clock, 2)

    assert [2] == (await read(db, Cursor()))[0]


async def test_no_event_is_lost_or_doubled_under_concurrency(db, clock):
    """Writers that commit in any order and a reader beside them: each event is read once."""
    chance = random.Random(3)
    written, seen = 0, []

    async def write(numbers):
        async with db.transaction() as tx:
            await append(tx, clock, *numbers)
            await asyncio.sleep(chance.random() * 0.02)

    async def follow():
        cursor = Cursor()
        while len(seen) < 300:
            events, page = await read(db, cursor, rows_max=5)
            cursor = page.cursor
            seen.extend(events)
            await asyncio.sleep(0.001)

    reader = asyncio.create_task(follow())
    writers = []
    while written < 300:
        size = min(chance.randrange(1, 7), 300 - written)
        writers.append(asyncio.create_task(write(range(written, written + size))))
        written += size
        await asyncio.sleep(chance.random() * 0.003)
    await asyncio.gather(*writers)
    await asyncio.wait_for(reader, timeout=20)

    assert list(range(300)) == sorted(seen)


async def test_a_restored_copy_reads_on_where_it_was(db, clock):
    """On a server with smaller transaction numbers nothing is skipped or doubled, once rebased."""
    for number in range(6):
        async with db.transaction() as tx:
            await append(tx, clock, number)
    _, half = await read(db, Cursor(), rows_max=3)
    ahead = 10**12
    async with db.transaction() as tx:  # What a dump from a busy server looks like here.
        await tx.execute("update shop.event set xid = (xid::text::int8 + $1)::text::xid8", ahead)
    old = [Cursor(half.cursor.xid + ahead, half.cursor.id), Cursor(), Cursor(2 * ahead, 99)]
    hidden, _ = await read(db, old[0])
    async with db.transaction() as tx:
        new = await rebase_events(tx, "shop", old)
    async with db.transaction() as tx:
        await append(tx, clock, 6)
        await append(tx, clock, 7)
    rests = [(await read(db, cursor))[0] for cursor in new]

    assert [] == hidden
    assert [[3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7], [6, 7]] == rests


async def test_an_empty_outbox_is_rebased_too(db, clock):
    """With no events there is nothing to number, and what comes is read."""
    async with db.transaction() as tx:
        (cursor,) = await rebase_events(tx, "shop", [Cursor(10**12, 7)])
    async with db.transaction() as tx:
        await append(tx, clock, 1)

    assert Cursor() == cursor
    assert [1] == (await read(db, cursor))[0]


class Rare(Record, frozen=True, tag="rare"):
    """An event that one reader waits for."""


class Usual(Record, frozen=True, tag="usual"):
    """One that it does not."""

    text: str = ""


def test_who_waits_for_a_rare_event_reads_only_what_may_hold_it():
    """A batch that names the kind is read, for whatever reason it does; no other is."""
    batches = [encode(each) for each in ([Usual()], [Usual(), Rare()], [Usual('"rare"')], [Rare()])]

    assert batches[1::2] == batches_with(batches, Rare)


async def test_a_wakeup_reaches_all_who_wait_for_the_topic():
    """Waking a topic sets every event subscribed to it, and no other."""
    wakeups = Wakeups()
    first, second = wakeups.subscribe("orders"), wakeups.subscribe("orders")
    other = wakeups.subscribe("payments")
    wakeups.wake("orders")
    wakeups.wake("nobody")

    assert (True, True, False) == (first.is_set(), second.is_set(), other.is_set())


async def test_poll_works_until_nothing_is_left_and_wakes_at_a_hint(clock):
    """The loop runs while there is work, sleeps when there is none, and a hint wakes it at once."""
    left, runs, wake = 3, 0, asyncio.Event()

    async def work():
        nonlocal left, runs
        runs += 1
        left -= 1
        return left > 0

    loop = asyncio.create_task(poll(work, clock, wake, name="test", delay_s_max=60.0))
    await asyncio.sleep(0.02)
    before, left = runs, 1
    wake.set()
    await asyncio.sleep(0.02)
    loop.cancel()

    assert before >= 3
    assert runs > before


async def test_poll_survives_failures(clock):
    """A failing run is tried again; the loop never ends by itself."""
    runs, done = 0, asyncio.Event()

    async def work():
        nonlocal runs
        runs += 1
        if runs < 3:
            raise ZeroDivisionError
        done.set()
        return False

    loop = asyncio.create_task(poll(work, clock, asyncio.Event(), name="test"))
    await asyncio.wait_for(done.wait(), timeout=5)

    assert not loop.done()
    loop.cancel()


async def test_a_hint_during_work_is_not_lost(clock):
    """A hint that comes while work runs makes the loop look again without waiting."""
    runs, wake, second = 0, asyncio.Event(), asyncio.Event()

    async def work():
        nonlocal runs
        runs += 1
        if runs == 1:
            await asyncio.sleep(0.01)
            wake.set()
        else:
            second.set()
        return False

    loop = asyncio.create_task(poll(work, clock, wake, name="test", delay_s_max=600.0))
    await asyncio.wait_for(second.wait(), timeout=0.5)
    loop.cancel()

    assert runs >= 2


KEEP_DAYS = 30


@pytest.fixture
async def kept(db, database_url, clock):
    """A service whose readers are known for so long that old events may go."""
    owner = await connect_once(database_url)
    await owner.execute(READER_TABLE.format(schema="shop"))
    await owner.execute("update shop.reader set at = $1", clock.now())
    await owner.close()
    clock.advance((KEEP_DAYS + 1) * 86_400)
    return db


async def note(db, reader, page):
    """Let a reader ask for what follows a page, a minute after it last did."""
    async with db.reading() as tx:
        await tx.execute("update shop.reader set at = at - interval '1 hour' where name <> ''")
        await read_events(tx, "shop", Cursor(page.cursor.xid, page.cursor.id, reader))


async def write(db, clock, *numbers):
    """Write events of this moment, a transaction each."""
    for number in numbers:
        async with db.transaction() as tx:
            await append(tx, clock, number)


async def trim(db, clock, rows_max=500):
    """Trim until nothing is left to do; say how often that was, and what is left."""
    rounds = 1
    while await trim_events(db, clock.now(), KEEP_DAYS, rows_max):
        rounds += 1
    return rounds, (await read(db, Cursor()))[0]


async def test_what_is_old_and_was_read_by_all_is_deleted_in_batches(kept, clock):
    """Old events go, a bounded number at a time; young ones stay, read or not."""
    await write(kept, clock, *range(7))
    clock.advance(20 * 86_400)
    await write(kept, clock, 7, 8)
    _, page = await read(kept, Cursor())
    await note(kept, "letters", page)
    early = await trim(kept, clock)
    clock.advance(11 * 86_400)
    late = await trim(kept, clock, rows_max=3)

    assert (1, list(range(9))) == early
    assert (3, [7, 8]) == late


async def test_a_reader_that_lags_keeps_its_rows(kept, clock):
    """However old: what one reader has not read stays, until it has."""
    await write(kept, clock, *range(6))
    _, some = await read(kept, Cursor(), rows_max=2)
    _, all_ = await read(kept, Cursor())
    await note(kept, "letters", all_)
    await note(kept, "webhooks", some)
    clock.advance(365 * 86_400)
    await write(kept, clock, 6)
    _, lagging = await trim(kept, clock)
    async with kept.reading() as tx:
        rest = await read_events(tx, "shop", Cursor(some.cursor.xid, some.cursor.id, "webhooks"))
    await note(kept, "webhooks", rest)
    await note(kept, "letters", all_)
    _, caught_up = await trim(kept, clock)

    assert [2, 3, 4, 5, 6] == lagging
    assert [2, 3, 4, 5, 6] == [n for each in rest.batches for n in decode(each, list[int])]
    assert [6] == caught_up


async def test_what_a_reader_has_not_asked_beyond_is_not_deleted(kept, clock):
    """A page that was handed over may have been lost: only asking for more says it was not."""
    await write(kept, clock, *range(4))
    async with kept.reading() as tx:
        await read_events(tx, "shop", Cursor(reader="letters"))
    clock.advance(365 * 86_400)
    await write(kept, clock, 4)

    assert [0, 1, 2, 3, 4] == (await trim(kept, clock))[1]


async def test_the_newest_event_stays(kept, clock):
    """No cursor ever lies beyond what was written, however long nothing happens."""
    await write(kept, clock, *range(4))
    _, page = await read(kept, Cursor())
    await note(kept, "letters", page)
    clock.advance(365 * 86_400)

    assert [3] == (await trim(kept, clock))[1]


async def test_nothing_is_deleted_before_readers_were_known_for_as_long(db, database_url, clock):
    """After an upgrade or a restore, who was away has the whole period to come back."""
    await write(db, clock, *range(4))
    clock.advance(365 * 86_400)
    owner = await connect_once(database_url)
    await owner.execute(READER_TABLE.format(schema="shop"))
    await owner.execute("update shop.reader set at = $1", clock.now())
    await owner.close()
    clock.advance(29 * 86_400)
    early = await trim(db, clock)
    async with db.transaction() as tx:
        await rebase_events(tx, "shop", [])
        await tx.execute("update shop.reader set at = $1 where name = ''", clock.now())
    clock.advance(29 * 86_400)
    restored = await trim(db, clock)
    clock.advance(2 * 86_400)
    late = await trim(db, clock)

    assert (1, [0, 1, 2, 3]) == early == restored
    assert [3] == late[1]


async def test_a_readers_place_is_not_written_at_every_look(kept, clock):
    """Looking again within a minute writes nothing: a loop that polls costs no writes."""
    await write(kept, clock, 1)
    places = []
    async with kept.reading() as tx:
        for _ in range(3):
            await read_events(tx, "shop", Cursor(reader="letters"))
            row = await tx.fetch_row("select xmin::text from shop.reader where name = 'letters'")
            places.append(row["xmin"])

    assert 1 == len(set(places))


async def test_nothing_is_deleted_unread_while_all_write_read_and_trim_at_once(kept, clock):
    """Commits in any order, readers of several processes, two who trim: each reads each once."""
    chance, count = random.Random(7), 240
    seen = {"letters": [], "hooks": []}
    places = dict.fromkeys(seen, (Cursor(), 0))

    async def write(number):
        async with kept.transaction() as tx:
            await append(tx, clock, number)
            await asyncio.sleep(chance.random() * 0.02)

    async def follow(reader):
        while len(seen[reader]) < count:
            (cursor, _), before = places[reader], places[reader]
            async with kept.reading() as tx:  # As a minute later: each look is noted.
                await tx.execute("update shop.reader set at = at - interval '1 hour'")
            asked = Cursor(cursor.xid, cursor.id, reader)
            events, page = await read(kept, asked, rows_max=3)
            await asyncio.sleep(chance.random() * 0.01)
            if events and places[reader] == before:  # Else another process was first.
                places[reader] = (page.cursor, before[1] + 1)
                seen[reader].extend(events)

    async def tidy():
        while min(map(len, seen.values())) < count:
            await trim_events(kept, clock.now() + timedelta(days=90), KEEP_DAYS, 5)
            await asyncio.sleep(0.002)

    for reader in seen:  # Known before anything is deleted.
        await read(kept, Cursor(reader=reader))
    followers = [asyncio.create_task(follow(reader)) for reader in (*seen, *seen)]
    trimmers = [asyncio.create_task(tidy()) for _ in range(2)]
    writers = []
    for number in range(count):
        writers.append(asyncio.create_task(write(number)))
        await asyncio.sleep(chance.random() * 0.003)
    await asyncio.wait_for(asyncio.gather(*writers, *followers, *trimmers), timeout=60)
    async with kept.reading() as tx:
        left = await tx.fetch_value("select count(*) from shop.event")

    assert {"letters": list(range(count)), "hooks": list(range(count))} == {
        reader: sorted(events) for reader, events in seen.items()
    }
    assert left < count / 2


async def test_a_reader_that_is_away_is_told_of_once_a_run(kept, clock):
    """However much there is to delete, the log names who keeps events once, at the end."""
    await write(kept, clock, *range(9))
    _, page = await read(kept, Cursor())
    async with kept.reading() as tx:
        await read_events(tx, "shop", Cursor(page.cursor.xid, page.cursor.id, "letters"))
    clock.advance(500 * 86_400)
    with capture_logs() as told:
        rounds, _ = await trim(kept, clock, rows_max=3)

    assert (3, ["letters"]) == (rounds, [each["reader"] for each in told])
