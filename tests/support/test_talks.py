"""Conversations: read by those an order is of, sealed, bounded, and told of once when unread."""

import pytest
from tests.support.conftest import OPERATOR

from vendrail.api.support import (
    Attachment,
    AttachmentQuery,
    CannedAnswer,
    InboxQuery,
    Party,
    Side,
    StepKind,
    WriteMessage,
    WriteStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.support import decide

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


async def test_what_is_written_is_read_by_the_other_side(case):
    """Buyer, merchant and operator read the same; a stranger reads nothing; unread is counted."""
    order, buyer = await case.sell()
    await case.write(order, buyer, "Where is my <b>key</b>? https://evil.example")
    unread = (await case.talk(order, case.staff)).unread
    await case.talk(order, case.staff, is_seen=True)
    await case.write(order, case.staff, "On your page.")
    talks = [await case.talk(order, by) for by in (buyer, case.staff, OPERATOR)]
    stranger = replace(case.staff, merchant=new_id(case.clock.now()))

    assert 1 == unread
    assert [1, 0, 2] == [talk.unread for talk in talks]
    texts = ["Where is my <b>key</b>? https://evil.example", "On your page."]
    assert [texts] * 3 == [[each.text for each in talk.messages] for talk in talks]
    assert None is await case.talk(order, stranger)
    assert None is await case.talk(order, Party(Side.BUYER, "no"))


async def test_versions_change_with_whatever_is_shown(case):
    """What waiting pages ask for is what the whole conversation has, at every step."""
    order, buyer = await case.sell()
    other, _ = await case.sell()
    versions = []

    async def look():
        read = (await case.support.read_versions([other, order, order]))[1:]
        versions.append((*read, (await case.talk(order, buyer)).version))

    await look()
    await case.write(order, buyer)
    await look()
    complaint = await case.complain(order, buyer)
    await look()
    await case.step(complaint, buyer, StepKind.WITHDRAW)
    await look()

    assert all(1 == len(set(each)) for each in versions)
    assert 4 == len({each[0] for each in versions})
    assert ["0."] == await case.support.read_versions([other])


async def test_a_message_sent_again_is_there_once(case):
    """The same message twice, also in one batch, is written once."""
    order, buyer = await case.sell()
    message = WriteMessage(new_id(case.clock.now()), order, buyer, "Hello")
    statuses = await case.support.write_messages([message, message])

    assert ["written", "exists"] == statuses
    assert 1 == (await case.talk(order, buyer)).count


async def test_words_and_files_are_sealed_at_rest(case, platform_url):
    """Nobody who reads the tables reads what was written."""
    order, buyer = await case.sell()
    await case.write(order, buyer, "a secret word", [Attachment("a.txt", b"a secret file")])
    async with case.house.databases["support"].reading() as tx:
        rows = await tx.fetch(
            "select sealed from support.message union all select sealed from support.attachment"
        )

    assert 2 == len(rows)
    assert not any(b"secret" in row[0] for row in rows)


async def test_files_are_told_by_their_content(case):
    """A picture, a PDF or plain text is taken whatever it is called; all else is refused."""
    order, buyer = await case.sell()
    files = [
        Attachment("../a\\b?.exe", PNG),
        Attachment("x.html", b"%PDF-1.7"),
        Attachment("", b"hi"),
    ]
    good = await case.write(order, buyer, "", files)
    refused = [
        await case.write(order, buyer, "see", [Attachment("a.png", content)])
        for content in (b"GIF89a\x01\x00", b"\xff\xfe", b"", bytes(decide.ATTACHMENT_BYTES_MAX + 1))
    ]
    too_many = await case.write(order, buyer, "see", [files[0]] * (decide.ATTACHMENTS_MAX + 1))
    [message] = (await case.talk(order, case.staff)).messages
    queries = [AttachmentQuery(each.id, order, case.staff) for each in message.attachments]
    opened = await case.support.read_attachments(queries)
    stranger = Party(Side.BUYER, "no")
    closed = await case.support.read_attachments([replace(queries[0], by=stranger)])

    assert WriteStatus.WRITTEN is good
    assert {WriteStatus.ATTACHMENT_REFUSED} == {*refused, too_many}
    kinds = [("b.png", "image/png"), ("x.pdf", "application/pdf"), ("file.txt", "text/plain")]
    assert sorted(kinds) == sorted((each.name, each.media_type) for each in opened)
    assert [None] == closed


async def test_one_side_cannot_flood_the_other(case):
    """Beyond so many messages a minute the next must wait; the other side may still write."""
    order, buyer = await case.sell()
    statuses = [await case.write(order, buyer) for _ in range(decide.MESSAGES_PER_MINUTE_MAX + 1)]
    other = await case.write(order, case.staff)
    case.clock.advance(61)
    later = await case.write(order, buyer)

    assert ["written", "too_many"] == [statuses[-2], statuses[-1]]
    assert [WriteStatus.WRITTEN] * 2 == [other, later]


@pytest.mark.parametrize("text", ["", "   ", "a\x00b", "x" * (decide.TEXT_LENGTH_MAX + 1)])
async def test_what_cannot_be_shown_is_not_taken(case, text):
    """Nothing, control characters, and books are refused."""
    order, buyer = await case.sell()

    assert WriteStatus.TEXT_MALFORMED is await case.write(order, buyer, text)


async def test_unread_words_are_told_by_one_letter(case):
    """Five messages unread after a pause are one letter; none more until they were read."""
    order, buyer = await case.sell()
    told = []

    async def due():
        rows = await case.service.talking.take_unread(case.clock.now(), 50)
        return [(side, count) for _, side, count in rows]

    for _ in range(5):
        await case.write(order, case.staff)
    told.append(await due())
    case.clock.advance(301)
    told.append(await due())
    await case.write(order, case.staff)
    case.clock.advance(301)
    told.append(await due())
    await case.talk(order, buyer, is_seen=True)
    await case.write(order, case.staff)
    case.clock.advance(301)
    told.append(await due())

    assert [[], [(Side.BUYER, 5)], [], [(Side.BUYER, 1)]] == told


async def test_what_was_read_in_time_is_not_told(case):
    """Whoever reads before the pause is over gets no letter."""
    order, buyer = await case.sell()
    await case.write(order, buyer)
    await case.talk(order, case.staff, is_seen=True)
    case.clock.advance(301)

    assert not await case.telling.tell()


async def test_the_inbox_lists_the_last_written_first(case):
    """A merchant sees its conversations, page by page, with what is unread of each."""
    orders = [await case.sell() for _ in range(3)]
    for order, buyer in orders:
        await case.write(order, buyer)
        case.clock.advance(1)
    [first] = await case.support.list_talks([InboxQuery(case.merchant, talks_max=2)])
    [rest] = await case.support.list_talks([InboxQuery(case.merchant, first[-1].last_at)])

    assert [order for order, _ in orders[::-1]] == [each.order for each in (*first, *rest)]
    assert {1} == {each.unread for each in first}


async def test_no_page_of_the_inbox_loses_what_was_written_at_one_moment(case):
    """Conversations of the same moment follow each other over the pages, each once."""
    orders = [await case.sell() for _ in range(3)]
    for order, buyer in orders:
        await case.write(order, buyer)
    seen, before, last = [], None, None
    while True:
        [page] = await case.support.list_talks([InboxQuery(case.merchant, before, 1, last)])
        if not page:
            break
        seen += [each.order for each in page]
        before, last = page[-1].last_at, page[-1].order

    assert sorted((order for order, _ in orders), reverse=True) == seen


async def test_canned_answers_are_the_merchants_own(case):
    """Written, changed and taken away by their merchant; another's id changes nothing."""
    answer = CannedAnswer(
        new_id(case.clock.now()), case.merchant, "Redeem", "Enter it under “Keys”."
    )
    other = replace(answer, merchant=new_id(case.clock.now()), text="Mine")
    empty = replace(answer, id=new_id(case.clock.now()), title="")
    statuses = await case.support.put_canned([answer, other, empty])
    [before] = await case.support.list_canned([case.merchant])
    removed = await case.support.put_canned([replace(answer, text="")])

    assert ["written", "written", "text_malformed"] == statuses
    assert [answer] == before
    assert ["removed"] == removed
    assert [[]] == await case.support.list_canned([case.merchant])


async def test_who_has_not_paid_does_not_write(case):
    """An order costs nothing until it is paid: its buyer can fill no merchant's inbox with it."""
    order = await case.place()
    [addressee] = await case.orders.read_addressees([order])
    buyer = Party(Side.BUYER, addressee.secret)
    status = await case.write(order, buyer, "hi", [Attachment("a.png", PNG)])

    assert WriteStatus.NOT_PAID is status
    assert 0 == (await case.talk(order, case.staff)).count


async def test_files_about_an_order_are_bounded_for_each_side(case):
    """Beyond 20 MB no more is kept of that side; words still are, and the other side's files."""
    order, buyer = await case.sell()
    large = [Attachment("a.txt", b"x" * decide.ATTACHMENT_BYTES_MAX)]
    statuses = [await case.write(order, buyer, "see", large) for _ in range(11)]
    words = await case.write(order, buyer, "only words")
    other = await case.write(order, case.staff, "see", large)

    assert [WriteStatus.WRITTEN] * 10 == statuses[:10]
    assert WriteStatus.FULL is statuses[10]
    assert [WriteStatus.WRITTEN] * 2 == [words, other]
