"""Giving up what is stuck: no key leaves, all of the money goes back, whoever works meanwhile."""

import asyncio
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from tests.app.conftest import PRICE_MINOR, Market, MovableClock, provider

from vendrail.api.orders import GiveUpStatus, OrderId, OrderQuery, RefundOrder, SagaQuery
from vendrail.api.payments import AttemptId, CaptureReport, CaptureSource
from vendrail.api.settlement import Settlement
from vendrail.app.audit import audit
from vendrail.app.wiring import House
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import Transaction, connect_once
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.saga import SagaLog
from vendrail.orders import decide
from vendrail.payments.attempts import out_trade_no

__all__ = ["provider"]

EAGER = {"VENDRAIL_ORDERS_SAGA_ATTEMPTS_MAX": "1"}  # The first failure is a person's case.
KEYS = 12
NO_DELIVERY = ("order", "state <> 'delivered'")
NO_RETURN = ("order", "state <> 'refunded'")
NO_REFUND = ("refund", "state <> 'paid'")


class Rail(Market):
    """The small marketplace, whose database refuses what a test wants to go wrong."""

    async def owner(self, statement, *values):
        """Run a statement as the owner."""
        owner = await connect_once(self.house.platform.database_url)
        try:
            return await owner.fetch(statement, *values)
        finally:
            await owner.close()

    async def break_(self, fault):
        """Let the database refuse a state: whatever would write it fails, each time it tries."""
        table, promise = fault
        await self.owner(
            f'alter table orders."{table}" add constraint broken check ({promise}) not valid'
        )

    async def mend(self, fault):
        """Let it be written again."""
        await self.owner(f'alter table orders."{fault[0]}" drop constraint broken')

    async def stick(self, *orders):
        """Sell an order, or those given: it has keys, is split, and sticks before the pivot."""
        orders = orders or (await self.place(),)
        for order in orders:
            await self.pay(order)
        await self.break_(NO_DELIVERY)
        with capture_logs():  # Each failure is told with all that led to it.
            await self.run()
        assert {"stuck"} == {each.state for each in await self.sagas() if each.kind == "purchase"}
        return orders[0]

    async def pay_otherwise(self, order):
        """Let the buyer pay by another attempt of the same order."""
        [[first]] = await self.payments.read_attempts([order])
        other = AttemptId(derive(order, "attempt:2"))
        await self.payments.open_attempts([replace(first.attempt, id=other, number=2)])
        number = out_trade_no(order, 2)
        trade = await asyncio.to_thread(self.provider.pay, number, "19.90")
        now = self.clock.now()
        report = CaptureReport(
            self.channel, trade, number, PRICE_MINOR, "CNY", now, CaptureSource.QUERY
        )
        assert ["recorded"] == await self.payments.record_captures([report])

    async def sagas(self):
        """What has not ended."""
        return (await self.orders.list_sagas([SagaQuery()]))[0]

    async def settle(self):
        """Let all come to rest: a provider that is busy is asked again."""
        for _ in range(8):
            with capture_logs():
                await self.run()
                await self.house.services["payments"].ask_refunds()
            self.clock.advance(40)

    async def free_keys(self):
        """How many keys are free to be sold."""
        [count] = await self.catalog.count_stock(["S1"])
        return count.free

    async def given_back(self, order):
        """What the provider has confirmed as given back of an order, sum by sum."""
        rows = await self.owner(
            "select r.amount_minor from payments.refund r join payments.capture c"
            " on c.id = r.capture_id where c.order_id = $1 and r.state = 'succeeded'",
            order,
        )
        return [row["amount_minor"] for row in rows]

    async def available_minor(self):
        """What the merchant may have paid out."""
        [balance] = await self.house.api(Settlement).read_merchant_balances(
            [(self.merchant, "CNY")]
        )
        return balance.available_minor

    async def findings(self):
        """Which promises the books break."""
        report = await audit(self.house.platform.database_url)
        return [(each.name, each.findings) for each in report.outcomes if each.findings]


@asynccontextmanager
async def opened(url, home, vault, provider, clock=None):
    """Open the marketplace as one process does."""
    house = House(
        PlatformSettings(home=home, database_url=url), EAGER, clock or MovableClock(), vault
    )
    try:
        made = Rail(house, provider)
        if clock is not None:  # Another process, over what is there.
            [account] = await made.payments.list_channels()
            [offer] = await made.catalog.read_offers(["S2"])
            made.channel, made.merchant = account.id, offer.merchant
        yield made
    finally:
        await house.stop()


@pytest.fixture
async def rail(platform_url, vault, tmp_path, provider):
    """A marketplace of its own, whose provider really gives money back."""
    async with opened(platform_url, tmp_path, vault, provider) as made:
        await made.open()
        yield made


async def test_what_is_given_up_frees_its_keys_and_gives_all_of_its_money_back(rail):
    """After split and allocation: keys free, fee and share taken back, each capture returned."""
    order = await rail.place()
    await rail.pay_otherwise(order)  # Paid twice: the second payment is never kept either.
    await rail.stick(order)
    stuck = (await rail.state(order), await rail.available_minor() > 0, await rail.free_keys())
    statuses = await rail.orders.give_up_orders([order])
    turned = await rail.state(order)
    await rail.settle()
    [view] = await rail.orders.read_orders([OrderQuery(order, None, with_items=True)])

    assert ("paid", True, KEYS - 1) == stuck
    assert [GiveUpStatus.GIVEN_UP] == statuses
    assert "refunding" == turned
    assert ("refunded", [], PRICE_MINOR) == (view.state, view.items, view.refunded_minor)
    assert ["placed", "paid", "held", "refunded"] == [step.kind for step in view.timeline]
    assert [PRICE_MINOR] * 2 == await rail.given_back(order)
    assert (0, KEYS, []) == (
        await rail.available_minor(),
        await rail.free_keys(),
        await rail.sagas(),
    )
    assert [] == await rail.findings()


async def test_giving_up_again_changes_nothing(rail):
    """Twice in a batch, after it, and after its end: said so each time, and the money goes once."""
    order = await rail.stick()
    first = await rail.orders.give_up_orders([order, order])
    again = await rail.orders.give_up_orders([order])
    await rail.settle()
    ended = await rail.orders.give_up_orders([order])
    await rail.settle()

    assert ([GiveUpStatus.GIVEN_UP] * 2, [GiveUpStatus.EXISTS]) == (first, again)
    assert [GiveUpStatus.ENDED] == ended
    assert [PRICE_MINOR] == await rail.given_back(order)
    assert [] == await rail.orders.give_up_orders([])


async def test_only_a_stuck_purchase_is_given_up(rail):
    """Of no order, unpaid, waiting, delivered, with a stuck refund, given back: all stay so."""
    unpaid, watched = await rail.place(), await rail.place(contact="watched@example.com")
    delivered, refunded, returning = [await rail.place() for _ in range(3)]
    for order in (watched, delivered, refunded, returning):
        await rail.pay(order)
    await rail.run()
    await rail.refund(refunded)
    await rail.settle()
    await rail.break_(NO_REFUND)
    refund = RefundOrder(new_id(rail.clock.now()), returning, 0, "a test", "a person")
    await rail.orders.refund_orders([refund])
    await rail.run()
    orders = [OrderId(UUID(int=7)), unpaid, watched, delivered, refunded, returning]
    before = await rail.sagas()
    statuses = await rail.orders.give_up_orders(orders)

    assert [
        GiveUpStatus.ORDER_NOT_FOUND,
        GiveUpStatus.NOT_PAID,
        GiveUpStatus.NOT_STUCK,
        GiveUpStatus.DELIVERED,
        GiveUpStatus.ENDED,
        GiveUpStatus.REFUND_STUCK,
    ] == statuses
    assert {("purchase", "waiting"), ("refund", "stuck")} == {(s.kind, s.state) for s in before}
    assert before == await rail.sagas()
    [mine, none] = await rail.orders.read_sagas([refund.id, new_id(rail.clock.now())])
    assert ("stuck", returning, None) == (mine.state, mine.order, none)


async def test_what_was_given_up_only_goes_back(rail, platform_url, vault, tmp_path, provider):
    """It breaks again on its way back, the process dies, all is mended: woken, it still goes back.

    The money had left by then. It leaves no second time, and no key is delivered for it.
    """
    order = await rail.stick()
    await rail.mend(NO_DELIVERY)
    await rail.break_(NO_RETURN)
    await rail.orders.give_up_orders([order])
    await rail.settle()
    [saga] = await rail.sagas()
    state, again = await rail.state(order), await rail.orders.give_up_orders([order])
    await rail.mend(NO_RETURN)
    async with opened(platform_url, tmp_path, vault, provider, rail.clock) as other:
        await other.orders.wake_orders([order])
        [woken] = await other.sagas()
        await other.settle()

        assert ("stuck", True, "refunding", [GiveUpStatus.EXISTS]) == (
            saga.state,
            saga.is_turned,
            state.split()[0],
            again,
        )
        assert "undoing" == woken.state
        assert ("refunded", [PRICE_MINOR]) == (
            await other.state(order),
            await other.given_back(order),
        )
        assert KEYS == await other.free_keys()
        assert [] == await other.findings()


async def test_a_process_that_dies_after_giving_up_leaves_it_to_the_next(
    rail, platform_url, vault, tmp_path, provider
):
    """The word alone is enough: whoever comes next undoes, though nobody here began to."""
    order = await rail.stick()
    await rail.orders.give_up_orders([order])
    await rail.house.stop()
    async with opened(platform_url, tmp_path, vault, provider, rail.clock) as other:
        await other.settle()

        assert ("refunded", KEYS) == (await other.state(order), await other.free_keys())
        assert [] == await other.findings()


async def test_the_pivot_that_is_being_written_is_not_given_up(rail):
    """A runner writes the delivery at this moment: it stands, and giving up says that it runs."""
    order = await rail.stick()
    await rail.mend(NO_DELIVERY)
    await rail.orders.wake_orders([order])
    owner = await connect_once(rail.house.platform.database_url)
    async with owner.transaction():
        await owner.execute("lock table orders.event in share mode")  # The pivot's last statement.
        running = asyncio.create_task(rail.run())
        async with asyncio.timeout(20):
            while not await owner.fetchval("select count(*) from pg_locks where not granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        meanwhile = await rail.orders.give_up_orders([order])
    await running
    await owner.close()
    after = await rail.orders.give_up_orders([order])

    assert ([GiveUpStatus.NOT_STUCK], [GiveUpStatus.DELIVERED]) == (meanwhile, after)
    assert ("delivered", []) == (await rail.state(order), await rail.given_back(order))
    assert [] == await rail.findings()


async def test_who_wakes_it_while_it_is_given_up_wakes_it_to_go_back(rail):
    """The retry waits for the word that is being written, and then nothing is delivered."""
    order = await rail.stick()
    await rail.mend(NO_DELIVERY)
    log = SagaLog("orders", new_id(rail.clock.now()))
    owner = await connect_once(rail.house.platform.database_url)
    async with owner.transaction():
        await log.turn_stuck(
            Transaction(owner), [derive(order, "purchase")], decide.GIVEN_UP, rail.clock.now()
        )
        waking = asyncio.create_task(rail.orders.wake_orders([order]))
        running = asyncio.create_task(rail.run())
        await asyncio.sleep(0.2)
        is_waiting = not waking.done()
    await asyncio.gather(waking, running)
    await owner.close()
    await rail.settle()

    assert is_waiting
    assert ("refunded", KEYS) == (await rail.state(order), await rail.free_keys())
    assert [] == await rail.findings()


async def test_giving_up_races_two_runners_and_each_order_ends_one_way(
    rail, platform_url, vault, tmp_path, provider
):
    """Woken, run by two processes and given up at once: given back or delivered, as was said."""
    orders = [await rail.place() for _ in range(8)]
    await rail.stick(*orders)
    await rail.mend(NO_DELIVERY)
    said: dict[OrderId, GiveUpStatus] = {}

    async def give_up(order, turns):
        for _ in range(turns):  # Each a little later than the one before.
            await rail.orders.read_sagas([derive(order, "purchase")])
        [said[order]] = await rail.orders.give_up_orders([order])

    async with opened(platform_url, tmp_path, vault, provider, rail.clock) as other:
        await asyncio.gather(
            *(give_up(order, turns * 4) for turns, order in enumerate(orders)),
            *(rail.orders.wake_orders([order]) for order in orders),
            rail.run(),
            other.run(),
        )
        await rail.settle()
    ended = {order: (await rail.state(order), await rail.given_back(order)) for order in orders}

    gone_back, delivered = ("refunded", [PRICE_MINOR]), ("delivered", [])
    assert {
        order: gone_back if status is GiveUpStatus.GIVEN_UP else delivered
        for order, status in said.items()
    } == ended
    assert set(said.values()) <= {
        GiveUpStatus.GIVEN_UP,
        GiveUpStatus.NOT_STUCK,
        GiveUpStatus.DELIVERED,
    }
    assert [] == await rail.findings()
