"""What a merchant may sell: so much an order, so much in thirty days, and no more."""

import asyncio
from uuid import UUID

import pytest
from tests.orders.conftest import PRICE_MINOR

from vendrail.api.catalog import EVERYBODY, HoldPolicy, SalesLimit
from vendrail.api.orders import OrderId, Orders, PlaceCharge
from vendrail.app.wiring import House
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import new_id
from vendrail.orders.service.limiting import Limiting, Wanted


async def _limit(market, merchant=None, **bounds):
    limit = SalesLimit(merchant or market.merchant, bounds.pop("currency", "CNY"), **bounds)
    [status] = await market.catalog.put_limits([limit])
    market.clock.advance(10)  # What was known is asked again.
    return status


def _charge(market, amount_minor, number="A1"):
    id = OrderId(new_id(market.clock.now()))
    return PlaceCharge(id, market.merchant, number, "A game", amount_minor, "CNY", "alipay")


async def test_an_order_above_the_limit_is_refused(market):
    """Neither a product nor a charge costs more than the merchant's orders may."""
    await market.offer("S1", keys=5)
    await _limit(market, order_minor_max=PRICE_MINOR)
    one, two = await market.place("S1"), await market.place("S1", quantity=2)
    charges = [_charge(market, PRICE_MINOR, "A1"), _charge(market, PRICE_MINOR + 1, "A2")]
    charged = await market.orders.place_charges(charges)

    assert ["placed", "limit_reached"] == [one.status, two.status]
    assert ["placed", "limit_reached"] == [each.status for each in charged]


async def test_a_month_brings_no_more_than_the_limit(market):
    """Unpaid orders count while they can be paid; a month later, or expired, they do not."""
    await market.offer("S1", keys=9)
    await _limit(market, month_minor_max=2 * PRICE_MINOR)
    first, second = await market.place("S1"), await market.place("S1")
    third = await market.place("S1")
    await market.pay(first.order)
    await market.run()
    market.clock.advance(2_000)  # The second expires.
    await market.run()
    fourth, fifth = await market.place("S1"), await market.place("S1")
    market.clock.advance(31 * 86_400)
    sixth = await market.place("S1")

    assert ["placed", "placed", "limit_reached"] == [first.status, second.status, third.status]
    assert ["placed", "limit_reached"] == [fourth.status, fifth.status]
    assert "placed" == sixth.status


async def test_what_was_paid_counts_while_it_waits_for_stock(market):
    """The money was taken: an order that waits for keys counts, after its time to pay too."""
    await market.offer("S1", keys=0, restock_wait_s=86_400, hold_policy=HoldPolicy.AT_PAYMENT)
    await _limit(market, month_minor_max=PRICE_MINOR)
    first = await market.place("S1")
    await market.pay(first.order)
    await market.run()
    market.clock.advance(7_200)
    await market.run()
    state = (await market.read(first)).state
    second = await market.place("S1")

    assert ("paid", "limit_reached") == (state, second.status)


async def test_one_batch_does_not_pass_the_limit(market):
    """Orders that are placed together see each other."""
    await market.offer("S1", keys=9)
    await _limit(market, month_minor_max=2 * PRICE_MINOR)
    placed = await market.orders.place_orders([market.choose("S1") for _ in range(4)])

    assert ["limit_reached"] * 2 + ["placed"] * 2 == sorted(each.status for each in placed)


async def test_batches_at_once_do_not_pass_the_limit(market):
    """Orders that are placed beside each other see each other, also before they are written."""
    await market.offer("S1", keys=40)
    await _limit(market, month_minor_max=3 * PRICE_MINOR)
    choices = [market.choose("S1") for _ in range(20)]
    batches = [market.orders.place_orders(choices[at : at + 2]) for at in range(0, 20, 2)]
    placed = [each for batch in await asyncio.gather(*batches) for each in batch]
    market.clock.advance(31)  # What is known is read anew.
    late = await market.place("S1")

    assert 3 == sum(each.status == "placed" for each in placed)
    assert "limit_reached" == late.status


async def test_an_order_that_is_sent_again_counts_once(market):
    """At the limit a repeat gets the order that stands, and leaves room for what is left."""
    await market.offer("S1", keys=9)
    await _limit(market, month_minor_max=2 * PRICE_MINOR)
    choice = market.choose("S1")
    statuses = [(await market.orders.place_orders([choice]))[0].status for _ in range(3)]
    second, third = await market.place("S1"), await market.place("S1")

    assert ["placed", "exists", "exists"] == statuses
    assert ["placed", "limit_reached"] == [second.status, third.status]


async def test_a_repeat_at_another_process_gets_the_order_that_stands(market, vault):
    """At the limit, who sends an order again to another process is told of it, not of the limit."""
    await market.offer("S1", keys=9)
    await _limit(market, month_minor_max=PRICE_MINOR)
    choice = market.choose("S1")
    [first] = await market.orders.place_orders([choice])
    other = House(market.house.platform, {}, market.clock, vault)
    [second] = await other.api(Orders).place_orders([choice])
    await other.stop()

    assert ["placed", "exists"] == [first.status, second.status]
    assert (first.order, first.secret) == (second.order, second.secret)


async def test_what_was_not_placed_after_all_leaves_room(market):
    """Orders for which no key or no way to pay is left take nothing of the month."""
    await market.offer("S1", keys=1)
    await market.offer("S2", keys=0)
    await _limit(market, month_minor_max=PRICE_MINOR)
    sold_out = await market.place("S2")
    unpayable = await market.place("S1", method="paypal")
    third = await market.place("S1")

    assert ["sold_out", "method_not_offered"] == [sold_out.status, unpayable.status]
    assert "placed" == third.status


async def test_a_repeat_that_is_refused_takes_no_count_away(market):
    """What stands counts on, also where the same order is sent again and is refused then."""
    await market.offer("S1", keys=2)
    await market.offer("S2", keys=0)
    await _limit(market, month_minor_max=PRICE_MINOR)
    choice = market.choose("S1")
    [first] = await market.orders.place_orders([choice])
    [again] = await market.orders.place_orders([replace(choice, sku="S2")])

    assert ["placed", "exists_different"] == [first.status, again.status]
    assert "limit_reached" == (await market.place("S1")).status


async def test_a_charge_that_is_not_placed_leaves_room(market):
    """A charge without a way to pay takes nothing of the month."""
    await _limit(market, month_minor_max=PRICE_MINOR)
    unpayable = replace(_charge(market, PRICE_MINOR), method="paypal")
    [first] = await market.orders.place_charges([unpayable])
    [second] = await market.orders.place_charges([_charge(market, PRICE_MINOR, "A2")])

    assert ["method_not_offered", "placed"] == [first.status, second.status]


async def test_a_limit_is_of_one_currency(market):
    """Nobody evades a limit in CNY by a price in another currency."""
    await market.offer("S1", keys=5)
    await _limit(market, currency="USD", order_minor_max=10**9)

    assert "limit_reached" == (await market.place("S1")).status


async def test_everybodys_limit_counts_for_whoever_has_none(market):
    """A merchant's own goes before it, one without bounds too; taken away, it counts again."""
    await market.offer("S1", keys=5)
    statuses = [await _limit(market, EVERYBODY, order_minor_max=1)]
    before = await market.place("S1")
    statuses.append(await _limit(market))
    own = await market.place("S1")
    statuses += [await _limit(market, currency=""), await _limit(market, currency="")]
    after = await market.place("S1")
    statuses += [await _limit(market, currency="XXX"), await _limit(market, order_minor_max=0)]

    assert ["limit_reached", "placed", "limit_reached"] == [
        each.status for each in (before, own, after)
    ]
    assert [
        "created",
        "created",
        "changed",
        "unchanged",
        "field_malformed",
        "field_malformed",
    ] == statuses
    assert [EVERYBODY] == [each.merchant for each in await market.catalog.list_limits()]


class _Rooms:
    """Where limits are written, which may be away."""

    def __init__(self) -> None:
        self.is_away = True
        self.limits = [SalesLimit(EVERYBODY, "CNY", 1_000)]

    async def list_limits(self):
        """Give what operators have written."""
        return self.limits

    async def list_bounds(self):
        """Give what tiers may sell: nobody has one."""
        if self.is_away:
            raise Unavailable("It is away.")
        return []


async def test_nothing_is_sold_until_limits_are_known(clock):
    """Who began while limits could not be read sells nothing; once read, they outlast an outage."""
    rooms = _Rooms()
    limiting = Limiting(None, clock, rooms, rooms)
    wanted = [Wanted(UUID(int=n), UUID(int=1), n, "CNY") for n in (1_001, 1_000)]
    for _ in range(2):
        with pytest.raises(Unavailable):
            await limiting.judge(wanted)
        with pytest.raises(Unavailable):
            await limiting.has_limits()
    rooms.is_away = False
    known = await limiting.judge(wanted)
    rooms.is_away, rooms.limits = True, []
    clock.advance(60)

    assert [False, True] == known == await limiting.judge(wanted)
