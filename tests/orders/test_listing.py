"""A merchant's orders: page by page, by any number, and summed, over a real database."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from vendrail.api.catalog import Catalog, MerchantId, Shop, ShopId
from vendrail.api.orders import (
    OrderSearch,
    OrderState,
    RefundOrder,
    SalesQuery,
    SalesSum,
    SoldOrderQuery,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import first_id_at, new_id, to_serial
from vendrail.orders import store
from vendrail.orders.store import sales
from vendrail.payments.attempts import out_trade_no

PRICE_MINOR = 1_990
OTHER = UUID(int=7)


async def listed(market, **wanted):
    """Read a page of the merchant's orders; give their ids."""
    (page,) = await market.orders.list_orders([SoldOrderQuery(market.merchant, **wanted)])
    return [each.view.id for each in page]


async def found(market, words, merchant=None):
    """Look for orders; give their ids."""
    search = OrderSearch(merchant or market.merchant, words)
    return [each.view.id for each in (await market.orders.find_orders([search]))[0]]


async def test_pages_follow_each_other_and_end(market):
    """Each order is on exactly one page, newest first, and the last page is short."""
    await market.offer("GAME", keys=5)
    placed = []
    for _ in range(5):
        placed.append((await market.place("GAME")).order)
        market.clock.advance(60)
    first = await listed(market, orders_max=2)
    second = await listed(market, orders_max=2, before=first[-1])
    third = await listed(market, orders_max=2, before=second[-1])

    assert placed[::-1] == first + second + third
    assert 1 == len(third)


async def test_a_merchant_sees_only_its_own_orders(market):
    """Another merchant's pages, searches and sums have nothing of this one's; None sees all."""
    await market.offer("GAME")
    order = (await market.place("GAME", contact="lin@example.com")).order
    now = market.clock.now()
    day = timedelta(days=1)
    (theirs, everybodys) = await market.orders.list_orders(
        [SoldOrderQuery(OTHER), SoldOrderQuery(None)]
    )
    (sums,) = await market.orders.sum_sales([SalesQuery(OTHER, now - day, now + day)])

    assert [[], [order], []] == [theirs, [each.view.id for each in everybodys], sums]
    assert ("lin@example.com", "alipay") == (everybodys[0].contact, everybodys[0].method)
    for words in ("lin@example.com", to_serial(order), str(order)):
        assert [order] == await found(market, words)
        assert [] == await found(market, words, OTHER)


async def test_filters_say_what_is_shown(market):
    """A page of a state has the orders that are shown in it, those on their way too."""
    await market.offer("GAME", keys=9)
    await market.offer("BOOK", keys=9)
    placed = (await market.place("BOOK")).order
    delivered, back = (await market.place("GAME")).order, (await market.place("GAME")).order
    for order in (delivered, back):
        await market.pay(order)
    await market.run()
    refund = RefundOrder(new_id(market.clock.now()), back, 500, "asked", "lin")
    await market.orders.refund_orders([refund])

    assert [placed] == await listed(market, state=OrderState.PLACED)
    assert [delivered] == await listed(market, state=OrderState.DELIVERED)
    assert [back] == await listed(market, state=OrderState.REFUNDING)
    for state in (OrderState.PAID, OrderState.EXPIRED, OrderState.CANCELLED, OrderState.REFUNDED):
        assert [] == await listed(market, state=state)
    assert [placed] == await listed(market, variants=[market.skus["BOOK"]])
    (page,) = await market.orders.list_orders([SoldOrderQuery(market.merchant)])
    for each in page:
        assert each.view.id in await listed(market, state=each.view.state)


async def test_a_paid_order_that_waits_is_among_the_paid(market):
    """Money has arrived and stock is awaited: the order is found under paid, not under placed."""
    await market.offer("GAME", keys=1, restock_wait_s=3_600, hold_policy="at_payment")
    first, second = (await market.place("GAME")).order, (await market.place("GAME")).order
    for order in (first, second):
        await market.pay(order)
    await market.run()
    paid = await listed(market, state=OrderState.PAID)
    (page,) = await market.orders.list_orders([SoldOrderQuery(market.merchant)])
    shown = {each.view.id: (each.view.state, each.view.waiting) for each in page}

    assert 1 == len(paid)
    assert (OrderState.PAID, "restock") == shown[paid[0]]
    assert [] == await listed(market, state=OrderState.PLACED)


async def test_time_bounds_are_exact(market):
    """`since` is taken in and `until` is not, to the moment of placing."""
    await market.offer("GAME")
    early = (await market.place("GAME")).order
    at = market.clock.now()
    market.clock.advance(1)
    late = (await market.place("GAME")).order

    assert [late, early] == await listed(market, since=at)
    assert [early] == await listed(market, since=at, until=at + timedelta(seconds=1))
    assert [late] == await listed(market, since=at + timedelta(seconds=1))


async def test_any_number_finds_the_order(market):
    """The order's number in any writing, the payment's, ours or the provider's, and the contact."""
    await market.offer("GAME")
    order = (await market.place("GAME", contact="+86 138 0013 8000")).order
    await market.pay(order)
    (captures,) = await market.payments.read_captures([order])
    serial = to_serial(order)

    for words in (
        serial,
        f" {serial[:10].lower()}-{serial[10:]} ",
        str(order),
        out_trade_no(order, 1),
        captures[0].provider_number,
        "+86 138 0013 8000",
        "+8613800138000",
    ):
        assert [order] == await found(market, words), words
    for words in ("", "   ", "x" * 26, "nobody@example.com", serial[:-1], "0" * 32, "𝟜" * 26):
        assert [] == await found(market, words), words


async def test_sums_tell_the_day(market):
    """Placed, sold and given back, by hour and by day of the merchant's own zone."""
    await market.offer("GAME", keys=9)  # It is 08:00:10 in UTC, 16:00:10 in Shanghai.
    for _ in range(2):
        await market.pay((await market.place("GAME")).order)
    market.clock.advance(3_600)
    await market.place("GAME")
    await market.run()
    now = market.clock.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    since = now - timedelta(days=2)
    hours, days = await market.orders.sum_sales(
        [
            SalesQuery(market.merchant, since, now + timedelta(1), "hour", "Asia/Shanghai"),
            SalesQuery(market.merchant, since, now + timedelta(1), "day", "Asia/Shanghai"),
        ]
    )
    midnight = hour - timedelta(hours=17)

    assert [
        SalesSum(hour - timedelta(hours=1), "CNY", 2, 2, 2 * PRICE_MINOR, 0),
        SalesSum(hour, "CNY", 1, 0, 0, 0),
    ] == hours
    assert [SalesSum(midnight, "CNY", 3, 2, 2 * PRICE_MINOR, 0)] == days


async def test_an_unknown_zone_is_refused(market):
    """A time zone that is none is the caller's mistake, and said so."""
    now = market.clock.now()

    with pytest.raises(Malformed):
        await market.orders.sum_sales([SalesQuery(market.merchant, now, now, "day", "Mars/Lin")])


async def plan_of(tx, statement, *arguments):
    """Give the nodes of a plan that read `order`."""
    (row,) = await tx.fetch(f"explain (format json) {statement}", *arguments)
    nodes, found = [json.loads(row[0])[0]["Plan"]], []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name") == "order":
            found.append(node["Node Type"])
    return found


async def test_no_page_reads_the_whole_table(market):
    """With 40 000 orders of four merchants, no page and no sum of one scans all of them."""
    now = market.clock.now()
    db = market.house.databases["orders"]
    async with db.transaction() as tx:
        await tx.execute(
            'insert into orders."order" (id, merchant, variant, quantity, amount_minor, currency,'
            " state, placed_at, expires_at, contact_day, contact_hash, contact_sealed, data_key,"
            " facts, request_hash, trace_id)"
            " select (lpad(to_hex($3::bigint + n * 1000), 12, '0') || '7000800000000000'"
            "   || lpad(to_hex(n), 4, '0'))::uuid, case when n % 4 = 0 then $1::uuid else"
            "   gen_random_uuid() end, $1, 1, 1990, 'CNY', 'delivered',"
            "  $2::timestamptz + n * interval '1 second', now(), current_date,"
            "  decode(md5(n::text), 'hex'), sha256('x'), $1, sha512(n::text::bytea), '\\x00', ''"
            " from generate_series(1, 40000) n",
            market.merchant,
            now,
            int(now.timestamp() * 1000),
        )
        await tx.execute('analyze orders."order"')
    wanted = [SoldOrderQuery(market.merchant, state=state) for state in (None, *OrderState)]
    wanted.append(SoldOrderQuery(market.merchant, variants=[OTHER]))
    wanted.append(SoldOrderQuery(None))
    far = now + timedelta(days=9)
    plans = []
    async with db.transaction() as tx:
        for query in wanted:
            bounds = (first_id_at(now), first_id_at(far), now, far, 50, query.variants)
            plans += await plan_of(tx, store.list_statement(query), query.merchant, *bounds)
        hours = (now + timedelta(hours=9), now + timedelta(hours=10))
        bounds = (*map(first_id_at, hours), *hours, "hour", "UTC")
        plans += await plan_of(tx, sales.SUM_SALES, market.merchant, *bounds)
        bounds = (first_id_at(now), first_id_at(far), now, far, 20_000, "UTC", "CNY")
        plans += await plan_of(tx, sales.SUM_PARTS, market.merchant, *bounds)

    assert len(wanted) < len(plans)
    assert not [name for name in plans if "Seq Scan" in name]


async def test_made_up_shops_share_nothing(market):
    """Two shops of different merchants: each merchant's page has its own orders alone."""
    await market.offer("GAME")
    mine = (await market.place("GAME")).order
    other_shop = ShopId(new_id(market.clock.now()))
    await market.house.api(Catalog).put_shops(
        [Shop(other_shop, MerchantId(OTHER), "Other", "other", "Other")]
    )
    market.shop = other_shop
    await market.offer("TOOL")
    theirs = (await market.place("TOOL")).order
    mine_page, theirs_page = await market.orders.list_orders(
        [SoldOrderQuery(market.merchant), SoldOrderQuery(OTHER)]
    )

    assert [[mine], [theirs]] == [[e.view.id for e in p] for p in (mine_page, theirs_page)]
