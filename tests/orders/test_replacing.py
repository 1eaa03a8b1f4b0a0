"""Bad keys of delivered orders make room for others: once each, and the buyer sees and is told."""

import asyncio

import pytest

from vendrail.api.catalog import DeliveryKind, KeyReplacement
from vendrail.api.notify import LetterRepeat
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    RefundOrder,
    ReplaceItems,
    ReplacementView,
    SagaQuery,
)
from vendrail.app.audit import audit
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.ids import new_id
from vendrail.kernel.saga import Saga, SagaLog
from vendrail.notify.settings import News
from vendrail.orders import store


def ask(market, order, *positions, seen=0, id=None):
    """Ask for other keys, as a merchant's person."""
    id = id or new_id(market.clock.now())
    return ReplaceItems(id, order, list(positions or (1,)), "It is used up", "bo", seen)


async def bought(market, sku="GAME", quantity=1, **more):
    """An order that is paid and delivered."""
    placed = await market.place(sku, quantity, **more)
    await market.pay(placed.order, quantity=quantity)
    await market.run()
    return placed


async def allocations(market, order):
    """Give what an order was delivered with."""
    async with market.house.databases["orders"].reading() as tx:
        rows = await store.load_orders(tx, [order])
    return [row["allocation"] for row in rows.values()]


async def counted(market, sku="GAME"):
    """Give (free, sold, void)."""
    [stock] = await market.catalog.count_stock([sku])
    return stock.free, stock.sold, stock.void


async def test_a_buyer_sees_the_new_key_and_is_told_once(market, post):
    """The new key is in the old one's place, which is told as replaced; one letter tells of it."""
    await market.offer("GAME", keys=5)
    placed = await bought(market, quantity=2)
    before = await market.read(placed)
    await post.letters()
    asked, now = ask(market, placed.order, 2), market.clock.now()

    assert ["replaced"] == await market.orders.replace_items([asked])
    assert ["exists"] == await market.orders.replace_items([asked])
    after = await market.read(placed)
    mails = await post.letters()

    assert before.items[0] == after.items[0]
    assert before.items[1] not in after.items
    assert [(2, before.items[1])] == [(each.position, each.text) for each in after.replaced]
    assert "replaced" == after.timeline[-1].kind
    assert (2, 2, 1) == await counted(market)
    assert 1 == post.count("order_replaced", "sent")
    text = mails[-1].get_body(("plain",)).get_content()
    assert f"?key={placed.secret}" in text
    assert not [key for key in (*after.items, *before.items) if key in text]
    view = ReplacementView(asked.id, placed.order, [2], "It is used up", "bo", now)
    assert [[view]] == await market.orders.read_replacements([placed.order])
    assert [[]] == await market.orders.list_sagas([SagaQuery()])


async def test_an_empty_stock_changes_nothing(market, post):
    """Without a free key the order, its page and the stock stay as they are, and nobody is told."""
    await market.offer("GAME", keys=1)
    placed = await bought(market)
    before = await market.read(placed)
    asked = ask(market, placed.order)

    assert ["sold_out"] == await market.orders.replace_items([asked])
    assert before == await market.read(placed)
    assert [[]] == await market.orders.read_replacements([placed.order])
    assert [[]] == await market.orders.list_sagas([SagaQuery()])
    await market.stock("GAME", 1)
    assert ["replaced"] == await market.orders.replace_items([asked])
    assert (0, 1, 1) == await counted(market)


async def test_why_items_are_not_replaced(market):
    """Unknown, unpaid, refunded or endless goods, wrong numbers and late comers are refused."""
    await market.offer("GAME", keys=9)
    await market.offer("TEXT", keys=0, delivery=DeliveryKind.TEXT)
    await market.catalog.put_contents([("TEXT", "the same for all")])
    placed = await bought(market)
    unpaid = await market.place("GAME")
    endless = await bought(market, "TEXT")
    refunded = await bought(market)
    refund = RefundOrder(new_id(market.clock.now()), refunded.order, 0, "wish", "lin")
    await market.orders.refund_orders([refund])
    done = ask(market, placed.order)
    await market.orders.replace_items([done])

    answers = await market.orders.replace_items(
        [
            ask(market, OrderId(new_id(market.clock.now()))),
            ask(market, unpaid.order),
            ask(market, endless.order),
            ask(market, refunded.order),
            ask(market, placed.order, 1, 1, seen=1),
            ask(market, placed.order, 2, seen=1),
            ask(market, placed.order, 0, seen=1),
            ask(market, placed.order),
            ask(market, refunded.order, id=done.id),
        ]
    )

    assert [
        "order_not_found",
        "not_delivered",
        "not_unique",
        "not_delivered",
        *["positions_malformed"] * 3,
        "changed_since",
        "exists_different",
    ] == answers


async def test_fifty_staff_replace_fifty_orders_at_once(market, platform_url):
    """Each key is somebody's once, whoever asks how often at once; the audit finds nothing."""
    await market.offer("GAME", keys=90)
    placed = [await market.place("GAME") for _ in range(50)]
    for each in placed:
        await market.pay(each.order)
    await market.run()
    asked = [ask(market, each.order) for each in placed]

    answers = await asyncio.gather(
        *(market.orders.replace_items([each]) for each in asked for _ in range(2)),
    )
    views = await market.orders.read_orders(
        [OrderQuery(each.order, each.secret, with_items=True) for each in placed]
    )
    keys = [view.items[0] for view in views]
    replaced = sum(bool(view.replaced) for view in views)
    report = await audit(platform_url)

    assert 50 == len(set(keys))
    assert 40 == replaced
    assert {("replaced",), ("exists",), ("sold_out",)} >= {tuple(each) for each in answers}
    assert (0, 50, 40) == await counted(market)
    assert [] == [each.findings for each in report.outcomes if each.findings]


@pytest.mark.parametrize("is_given", [False, True])
async def test_what_a_dying_process_began_is_finished(market, post, is_given):
    """Whether or not the catalog had given the key: another runner does the rest, and tells."""
    await market.offer("GAME", keys=3)
    placed = await bought(market)
    await post.letters()
    asked = ask(market, placed.order)
    now = market.clock.now()
    async with market.house.databases["orders"].transaction() as tx:
        await store.ask_replacement(tx, asked, now)
        saga = Saga(asked.id, "replacement", asked.order, encode(asked))
        await SagaLog("orders", new_id(now)).start(tx, [saga], now)
    if is_given:
        [allocation] = await allocations(market, placed.order)
        given = KeyReplacement(asked.id, allocation, asked.positions, asked.reason)
        await market.catalog.replace_keys([given])
    assert [[]] == await market.orders.read_replacements([placed.order])
    market.clock.advance(600)  # The lease of whoever began it is over.
    await market.run()
    await post.letters()

    assert 1 == len((await market.read(placed)).replaced)
    assert (1, 1, 1) == await counted(market)
    assert 1 == post.count("order_replaced", "sent")
    assert [[]] == await market.orders.list_sagas([SagaQuery()])


async def test_the_letter_of_a_delivery_can_be_asked_for_again(market, post):
    """It leaves once for each request, thrice a day at most; for what is not delivered, never."""
    post.service.settings = replace(post.service.settings, news=News.ON)
    await market.offer("GAME", keys=3)
    placed = await bought(market)
    unpaid = await market.place("GAME")
    await post.letters()
    asked = [LetterRepeat(new_id(market.clock.now()), placed.order) for _ in range(4)]
    late = LetterRepeat(new_id(market.clock.now()), unpaid.order)

    answers = await post.notify.repeat_letters([asked[0], asked[0], *asked[1:], late])
    mails = await post.letters()
    market.clock.advance(86_401)
    [again] = await post.notify.repeat_letters([asked[3]])

    assert ["taken", "exists", "taken", "taken", "too_many", "taken"] == answers
    assert 4 == len(
        [mail for mail in mails if "ready" in mail["Subject"] or "发货" in mail["Subject"]]
    )
    assert 1 == post.count("order_delivered", "overtaken")
    assert "taken" == again
