"""Letters about orders: once each, in order, only to e-mail addresses, and never what is past."""

import re

import pytest

from vendrail.api.catalog import DeliveryKind, HoldPolicy
from vendrail.api.notify import LetterQuery, LetterState, RetryStatus
from vendrail.api.orders import LookupCode, LookupRequest, OrderRefunded, RefundOrder
from vendrail.api.risk import ListEntry, ListKind, RiskDecision, Verdict
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.locales import TAGS
from vendrail.kernel.outbox import append_events
from vendrail.orders import store

DAY_S = 86_400


async def bought(market, sku="GAME", **more):
    """An order that is paid and delivered."""
    if sku not in market.skus:
        await market.offer(sku, keys=20)
    placed = await market.place(sku, **more)
    await market.pay(placed.order)
    await market.run()
    return placed


async def give_back(market, placed, amount_minor):
    """Let a refund end as paid, with its event, as its saga does."""
    now = market.clock.now()
    id = new_id(now)
    await market.orders.refund_orders(
        [RefundOrder(id, placed.order, amount_minor, "wish", "tester")]
    )
    async with market.house.databases["orders"].transaction() as tx:
        [row] = await store.settle_refunds(tx, [id], "paid", now)
        told = OrderRefunded(placed.order, market.merchant, id, row["amount_minor"], 9, now)
        await append_events(tx, "orders", now, encode([told]), 1)


async def test_a_delivered_order_is_told_once_in_its_buyers_language(market, post):
    """One mail with the link that opens the order, in Chinese or English; no key is in it."""
    english = await bought(market, contact="one@example.com", locale="en")
    chinese = await bought(market, contact="two@example.com", locale="zh-Hans")
    await post.letters()
    mails = await post.letters()

    by_buyer = {mail["To"]: mail for mail in mails}
    assert ["one@example.com", "two@example.com"] == sorted(mail["To"] for mail in mails)
    for placed, buyer, word in (
        (english, "one@example.com", "Your order is ready"),
        (chinese, "two@example.com", "您的订单已发货"),
    ):
        mail = by_buyer[buyer]
        text = mail.get_body(("plain",)).get_content()
        page = mail.get_body(("html",)).get_content()
        assert word in mail["Subject"]
        for said in (text, page):
            assert f"/orders/{to_serial(placed.order)}?key={placed.secret}" in said
            assert "19.90" in said
            assert not [key for key in (await market.read(placed)).items if key in said]
    assert 2 == post.count("order_delivered", "sent")


async def test_a_telephone_gets_no_letter_and_is_counted(market, post):
    """A contact that is no e-mail address leaves no row, and is counted."""
    await bought(market, contact="+86 138 0013 8000")

    assert [] == await post.letters()
    assert [] == await post.states()
    assert 1 == post.count("order_delivered", "no_address")


async def test_events_read_by_two_processes_are_told_once(market, post):
    """X25: two consumers read the same page, and one reads it again: one letter."""
    await bought(market)
    other = type(post)(market)
    await post.read()
    async with market.house.databases["notify"].transaction() as tx:
        await tx.execute("update notify.cursor set xid = '0', id = 0")
    await other.read()

    assert 1 == len(await post.letters())
    assert ["sent"] == await post.states()


async def test_many_orders_cost_few_commits(market, post):
    """Letters of many orders are kept in one commit and their orders read in one call."""
    await market.offer("GAME", keys=40)
    placed = [await market.place("GAME") for _ in range(30)]
    for each in placed:
        await market.pay(each.order)
    await market.run()
    notify = market.house.databases["notify"]
    async with notify.reading() as tx:
        before = await tx.fetch_value("select pg_current_xact_id_if_assigned()")
    await post.read()
    async with notify.reading() as tx:
        xids = await tx.fetch("select distinct xmin::text from notify.message")
        number = await tx.fetch_value("select count(*) from notify.message")

    assert before is None
    assert (1, 30) == (len(xids), number)


async def test_what_is_past_when_orders_are_read_is_never_sent(market, post):
    """X25: after an outage of days the old news is counted, not sent; the new is sent."""
    await bought(market)
    market.clock.advance(2 * DAY_S)
    await bought(market, contact="late@example.com")

    assert ["late@example.com"] == [mail["To"] for mail in await post.letters()]
    assert 1 == post.count("order_delivered", "stale")


async def test_held_is_told_while_it_is_so(market, post):
    """An order under review is told of once, however often its saga looks; then its delivery."""
    entry = ListEntry("contact:held@example.com", ListKind.REVIEWED)
    await market.risk.put_list_entries([entry])
    market.clock.advance(5)
    await market.offer("GAME")
    placed = await market.place("GAME", contact="held@example.com", locale="en")
    await market.pay(placed.order)
    await market.run()
    for _ in range(3):
        market.clock.advance(600)
        await market.run()
    [held] = await post.letters()
    await market.risk.settle_reviews([Verdict(placed.order, RiskDecision.ALLOW, "tester", "known")])
    await market.orders.wake_orders([placed.order])
    await market.run()
    mails = await post.letters()

    assert "checked by a person" in held.get_body(("plain",)).get_content()
    assert ["We have your payment", "Your order is ready"] == [
        mail["Subject"].partition(":")[0] for mail in mails
    ]


async def test_overtaken_news_is_dropped(market, post):
    """X25: held, then delivered while the mail server was away: only the delivery is told."""
    await market.offer("SOON", keys=0, restock_wait_s=7_200, hold_policy=HoldPolicy.AT_PAYMENT)
    placed = await market.place("SOON", contact="held@example.com", locale="en")
    await market.pay(placed.order)
    await market.run()
    await post.read()
    await market.stock("SOON", 1)
    market.clock.advance(60)
    await market.run()
    mails = await post.letters()

    assert ["Your order is ready"] == [mail["Subject"].partition(":")[0] for mail in mails]
    assert ["overtaken", "sent"] == await post.states()
    assert 1 == post.count("order_held", "overtaken")


async def test_a_whole_refund_overtakes_the_delivery(market, post):
    """X25: what was given back whole is not announced as ready; the refund is told."""
    placed = await bought(market, contact="back@example.com", locale="en")
    await give_back(market, placed, 0)
    mails = await post.letters()

    assert ["CN¥19.90 refunded"] == [mail["Subject"].partition(":")[0] for mail in mails]
    assert "whole amount" in mails[0].get_body(("plain",)).get_content()
    assert ["overtaken", "sent"] == await post.states()


async def test_parts_of_a_refund_are_told_in_order(market, post):
    """Delivery, first part, second part: three letters, in the order in which it happened."""
    placed = await bought(market, contact="parts@example.com", locale="en")
    await give_back(market, placed, 500)
    await give_back(market, placed, 300)
    mails = await post.letters()

    assert ["Your order is ready", "CN¥5.00 refunded", "CN¥3.00 refunded"] == [
        mail["Subject"].partition(":")[0] for mail in mails
    ]
    assert "CN¥5.00 of CN¥19.90" in mails[1].get_body(("plain",)).get_content()


async def test_the_second_letter_waits_for_the_first_and_holds_up_nobody(market, post):
    """X25: while the first cannot leave, the second of that order waits, and others' leave."""
    slow = await bought(market, contact="slow@example.com")
    await give_back(market, slow, 500)
    await post.read()
    post.folder.write_text("not a folder")
    await post.send()
    post.folder.unlink()
    await bought(market, contact="quick@example.com")
    first = await post.letters()
    market.clock.advance(10)
    mails = await post.letters()

    assert ["quick@example.com"] == [mail["To"] for mail in first]
    assert ["quick@example.com", "slow@example.com", "slow@example.com"] == [
        mail["To"] for mail in mails
    ]
    assert "5.00" in mails[2]["Subject"]


async def test_orders_that_are_away_cost_no_try(market, post):
    """While orders cannot be read nothing is sent and no try is counted; then all leaves."""
    await bought(market)
    await post.read()

    class Away:
        """Orders of a peer that is away."""

        async def read_addressees(self, _orders):
            """Fail as a peer does."""
            raise Unavailable("orders is away")

    away = post.service.sending(post.service.news(Away(), market.catalog))
    for _ in range(40):
        await away.send_due()
        market.clock.advance(60)
    [[view]] = await post.notify.list_letters([LetterQuery()])
    mails = await post.letters()

    assert (LetterState.WAITING, 0) == (view.state, view.attempts)
    assert 1 == len(mails)


async def test_what_is_asked_for_leaves_before_news(market, post):
    """A code that somebody waits for leaves before the letters about orders that wait."""
    for _ in range(3):
        await bought(market)
    await post.read()
    await market.orders.request_lookup_codes([LookupRequest("asks@example.com")])
    await post.send()

    assert "asks@example.com" == (await post.letters())[0]["To"]


async def test_a_newer_code_takes_the_place_of_an_older_one(market, post):
    """X25: of two codes for one contact that wait, only the one that is good is sent."""
    await market.orders.request_lookup_codes([LookupRequest("asks@example.com")])
    await market.orders.request_lookup_codes([LookupRequest("asks@example.com")])
    await market.orders.request_lookup_codes([LookupRequest("other@example.com")])
    mails = await post.letters()

    assert ["asks@example.com", "other@example.com"] == sorted(mail["To"] for mail in mails)
    assert ["overtaken", "sent", "sent"] == await post.states()
    [mail] = [mail for mail in mails if mail["To"] == "asks@example.com"]
    code = re.search(r"[0-9]{8}", mail["Subject"])[0]
    assert [None] != await market.orders.redeem_lookup_codes([LookupCode("asks@example.com", code)])


async def test_a_person_may_send_again_what_failed(market, post):
    """What failed or may have left is sent again by a person's word, with the same Message-ID."""
    await bought(market)
    await post.read()
    async with market.house.databases["notify"].transaction() as tx:
        await tx.execute("update notify.message set state = 'unknown'")
    [[view]] = await post.notify.list_letters([LetterQuery([LetterState.UNKNOWN])])
    unknown = new_id(market.clock.now())

    assert [RetryStatus.WAITING, RetryStatus.LETTER_NOT_FOUND] == await post.notify.retry_letters(
        [view.id, unknown]
    )
    assert [RetryStatus.NOT_ENDED] == await post.notify.retry_letters([view.id])
    [mail] = await post.letters()
    assert str(view.id) in mail["Message-ID"]
    assert [RetryStatus.SENT_ALREADY] == await post.notify.retry_letters([view.id])


async def test_without_a_mail_server_nothing_is_read(market):
    """Where news goes nowhere, no loop reads the events of orders."""
    names = [job.name for job in market.house.jobs()]

    assert "notify.send" in names
    assert "notify.orders" not in names


@pytest.mark.parametrize("locale", TAGS)
async def test_keys_are_in_the_letter_only_where_the_shop_says_so(market, post, locale):
    """Off by default; turned on, the letter tells each key, in plain text and HTML."""
    await market.offer("GAME", keys=9)
    without = await bought(market, locale=locale)
    await post.letters()
    [[shop]] = await market.catalog.list_shops([market.merchant])
    await market.catalog.put_shops([replace(shop, has_keys_in_letters=True)])
    placed = await market.place("GAME", 2, locale=locale)
    await market.pay(placed.order, quantity=2)
    await market.run()
    first, second = await post.letters()
    keys = (await market.read(placed)).items

    for kind in ("plain", "html"):
        said = [each.get_body((kind,)).get_content() for each in (first, second)]
        assert (await market.read(without)).items[0] not in said[0]
        assert [2, 0] == [sum(key in text for key in keys) for text in reversed(said)]
        assert f"?key={placed.secret}" in said[1]


async def test_a_file_is_never_named_in_a_letter(market, post):
    """Of goods that are files the letter has the link alone, whatever the shop says."""
    [[shop]] = await market.catalog.list_shops([market.merchant])
    await market.catalog.put_shops([replace(shop, has_keys_in_letters=True)])
    await market.offer("BOOK", keys=0, delivery=DeliveryKind.FILE)
    await market.catalog.put_contents([("BOOK", "books/one.epub")])
    await bought(market, "BOOK")
    [mail] = await post.letters()

    assert "one.epub" not in mail.as_string()
