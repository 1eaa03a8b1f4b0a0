"""Shares that are not due yet: kept by the terms, released when due, taken first by refunds."""

import asyncio
import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vendrail.api.settlement import (
    FeeTerms,
    Freeze,
    HoldTerms,
    HoldTermsStatus,
    RefundPostingStatus,
    RiskTier,
    SaleStatus,
    ShareQuery,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.kernel.ids import new_id
from vendrail.settlement.holding import Bucket, HoldVersion, divide, full_hour, hold
from vendrail.settlement.service import SettlementService
from vendrail.settlement.settings import SettlementSettings
from vendrail.settlement.store import holding

POSTED, EXISTS = RefundPostingStatus.POSTED, RefundPostingStatus.EXISTS
HOUR, DAY = 3_600, 86_400
OF_OPEN = {"bucket_due", "bucket_of_merchant"}  # Indexes without what is released.


async def hold_back(world, **terms):
    """Give the merchant terms of its own; they hold from the next moment on."""
    [status] = await world.settlement.put_hold_terms([HoldTerms(world.merchant, **terms)])
    assert status is HoldTermsStatus.CREATED
    world.clock.advance(11)


async def free_of_fees(world):
    """Let sums be read without fees."""
    await world.settlement.put_fee_terms([FeeTerms(world.merchant, world.currency, 0)])
    world.clock.advance(11)


async def sell(world, amount_minor):
    """A sale, split."""
    sale = world.sale(amount_minor)
    [result] = await world.settlement.split_sales([sale])
    assert result.status is SaleStatus.SPLIT
    return sale


async def refund(world, sale, amount_minor, name="refund", **more):
    """A refund whose money is in clearing."""
    posting = world.refund(sale, amount_minor, name, **more)
    assert [POSTED] == await world.settlement.open_refunds([posting])
    return posting


async def release(world):
    """Release what is due, and take what is owed from it, until nothing is left to do."""
    while await world.service.release_due():
        pass
    await world.service.recover_debts()


async def standing(world):
    """What is available, pending, in reserve and owed."""
    [found] = await world.settlement.read_merchant_balances([(world.merchant, world.currency)])
    return found.available_minor, found.pending_minor, found.reserve_minor, found.debt_minor


async def parts_of(world, sale):
    """Where the share of a sale is."""
    query = ShareQuery(sale.order, world.merchant, world.currency)
    [share] = await world.settlement.read_order_shares([query])
    return share


async def test_a_share_is_kept_and_released_to_the_second(world):
    """Pending for 24 hours and a tenth in reserve for 30 days: each is released at its moment."""
    await free_of_fees(world)
    await hold_back(world, pending_hours=24, reserve_basis_points=1_000, reserve_days=30)
    sale = await sell(world, 10_005)

    assert (0, 9_004, 1_001, 0) == await standing(world)
    [[first, second]] = await world.settlement.read_due_shares([(world.merchant, "CNY")])
    assert ("pending", 9_004) == (first.part, first.amount_minor)
    assert ("reserve", 1_001) == (second.part, second.amount_minor)
    assert timedelta(0) <= first.due_at - sale.placed_at - timedelta(hours=24) < timedelta(hours=1)
    assert timedelta(0) <= second.due_at - sale.placed_at - timedelta(days=30) < timedelta(days=1)
    for due, after in ((first, (9_004, 0, 1_001, 0)), (second, (10_005, 0, 0, 0))):
        before = await standing(world)
        world.clock.advance((due.due_at - world.clock.now()).total_seconds() - 1)
        await release(world)
        assert before == await standing(world)
        world.clock.advance(1)
        await release(world)
        assert after == await standing(world)
    share = await parts_of(world, sale)
    assert [first.due_at, second.due_at] == [part.released_at for part in share.parts]
    assert [[]] == await world.settlement.read_due_shares([(world.merchant, "CNY")])


async def test_what_is_available_at_once_costs_nothing_more(fragile_world):
    """Whoever has no hold terms gets no row and no call more than before there were any."""
    world = fragile_world
    await world.settlement.split_sales([world.sale(1_000)])
    await world.settlement.put_hold_terms([HoldTerms(new_id(world.clock.now()), pending_hours=5)])
    world.clock.advance(11)
    await world.settlement.split_sales([world.sale(1_000)])
    world.ledger.posted_counts.clear()
    opened = world.db.opened_count
    await world.settlement.split_sales([world.sale(1_000) for _ in range(10)])

    assert [30] == world.ledger.posted_counts  # Booking, share and fee of each.
    assert opened == world.db.opened_count
    async with world.db.reading() as tx:
        assert 0 == await tx.fetch_value("select count(*) from settlement.bucket")


async def test_a_batch_is_still_one_call_where_shares_are_kept(fragile_world):
    """Kept shares are legs of the same chain: at most one row more an order, and no call."""
    world = fragile_world
    await hold_back(world, pending_hours=5, reserve_basis_points=500, reserve_days=7)
    await world.settlement.split_sales([world.sale(1_000)])
    world.ledger.posted_counts.clear()
    opened = world.db.opened_count
    await world.settlement.split_sales([world.sale(1_000) for _ in range(10)])

    assert [40] == world.ledger.posted_counts
    assert opened == world.db.opened_count


async def test_new_terms_never_touch_what_was_sold(world):
    """A sale keeps the terms it was placed under, and a repeat of it changes nothing."""
    await free_of_fees(world)
    old = await sell(world, 100)
    await hold_back(world, pending_hours=2)
    kept = await sell(world, 200)
    await hold_back(world, reserve_basis_points=10_000, reserve_days=1)
    await sell(world, 400)

    assert [SaleStatus.SPLIT] * 2 == [
        each.status for each in await world.settlement.split_sales([old, kept])
    ]
    assert (100, 200, 400, 0) == await standing(world)


async def test_terms_come_from_the_merchant_or_its_tier(world):
    """A merchant's own terms come first, then those of the tier it was put in, then none."""
    await free_of_fees(world)
    watched = HoldTerms(None, RiskTier.WATCHED, pending_hours=72)
    standard = HoldTerms(None, RiskTier.STANDARD, pending_hours=1)
    await world.settlement.put_hold_terms([watched, standard])
    world.clock.advance(11)
    await sell(world, 1)
    await hold_back(world, tier=RiskTier.WATCHED)
    await sell(world, 10)
    await hold_back(world, pending_hours=0)
    await sell(world, 100)

    [due] = await world.settlement.read_due_shares([(world.merchant, "CNY")])
    assert [1, 10] == [each.amount_minor for each in due]
    assert (100, 11, 0, 0) == await standing(world)
    assert [2, 2] == [
        len(await world.settlement.read_tier_terms()),
        len((await world.settlement.read_hold_terms([world.merchant]))[0]),
    ]


async def test_terms_are_checked_one_by_one(world):
    """Backdated, malformed and unchanged hold terms are told apart; item k sees k−1."""
    good = HoldTerms(world.merchant, pending_hours=5)
    bad = [
        HoldTerms(None, pending_hours=5),
        HoldTerms(world.merchant, RiskTier.NEW, pending_hours=5),
        replace(good, pending_hours=-1),
        replace(good, pending_hours=2_161),
        replace(good, reserve_basis_points=10_001, reserve_days=1),
        replace(good, reserve_basis_points=100),
        replace(good, reserve_days=3),
        replace(good, reserve_basis_points=100, reserve_days=366),
    ]
    statuses = await world.settlement.put_hold_terms(
        [good, good, replace(good, pending_hours=6, valid_from=world.clock.now()), *bad]
    )

    assert [
        HoldTermsStatus.CREATED,
        HoldTermsStatus.UNCHANGED,
        HoldTermsStatus.BACKDATED,
        *[HoldTermsStatus.FIELD_MALFORMED] * len(bad),
    ] == statuses


async def test_another_process_is_never_behind_on_hold_terms(world, ledger):
    """A process that read the terms before they changed keeps shares as the one that wrote them."""
    await free_of_fees(world)
    other = SettlementService(world.db, world.clock, SettlementSettings(), ledger)
    await other.split_sales([world.sale(1)])
    for hours in range(1, 5):
        await world.settlement.put_hold_terms([HoldTerms(world.merchant, pending_hours=hours)])
        for _ in range(12):
            world.clock.advance(1)
            here, there = world.sale(1_000), world.sale(1_000)
            await world.settlement.split_sales([here])
            await other.split_sales([there])
            mine, theirs = await parts_of(world, here), await parts_of(world, there)
            assert [part.due_at for part in mine.parts] == [part.due_at for part in theirs.parts]


async def test_a_refund_takes_pending_then_reserve_then_available_then_debt(world):
    """The order's own money first, from where it is; what fails goes back to where it was."""
    await free_of_fees(world)
    sale = await sell(world, 50)  # Another order's, at once available.
    await hold_back(world, pending_hours=24, reserve_basis_points=2_000, reserve_days=30)
    other = await sell(world, 1_000)
    sale = await sell(world, 1_000)
    before = await standing(world)
    assert (50, 1_600, 400, 0) == before

    first = await refund(world, sale, 700, "first")
    assert (50, 900, 400, 0) == await standing(world)
    second = await refund(world, sale, 200, "second", refunded_minor=700)
    assert (50, 800, 300, 0) == await standing(world)
    third = await refund(world, sale, 100, "third", refunded_minor=900)
    assert (50, 800, 200, 0) == await standing(world)
    await world.settlement.return_refunds([first, second, third])
    assert before == await standing(world)
    world.clock.advance(26 * HOUR)
    await release(world)
    assert (1_650, 0, 400, 0) == await standing(world)
    await world.spend(1_500)
    await refund(world, other, 600, "late")
    assert (0, 0, 200, 250) == await standing(world)
    share = await parts_of(world, other)
    assert [(800, 0), (200, 200)] == [(p.amount_minor, p.taken_minor) for p in share.parts]


async def test_what_comes_back_after_its_moment_is_released_again(world):
    """A refund fails when its bucket was closed long ago: the money is free at once."""
    await free_of_fees(world)
    await hold_back(world, pending_hours=1)
    sale = await sell(world, 1_000)
    asked = await refund(world, sale, 400)
    world.clock.advance(3 * HOUR)
    await release(world)
    assert (600, 0, 0, 0) == await standing(world)
    await world.settlement.return_refunds([asked])
    assert (600, 400, 0, 0) == await standing(world)
    await release(world)

    assert (1_000, 0, 0, 0) == await standing(world)


async def test_a_share_that_comes_after_its_moment_is_released_at_once(world):
    """An order paid long ago, split after its bucket was closed, does not lie there for ever."""
    await free_of_fees(world)
    await hold_back(world, pending_hours=1)
    late = world.sale(700)
    await sell(world, 300)
    world.clock.advance(5 * HOUR)
    await release(world)
    await world.settlement.split_sales([late])
    await release(world)

    assert (1_000, 0, 0, 0) == await standing(world)


async def test_an_undone_sale_takes_its_kept_parts_back(world):
    """A split that is undone leaves pending and reserve, and what was not kept, as if never."""
    await hold_back(world, pending_hours=9, reserve_basis_points=3_333, reserve_days=9)
    other = await sell(world, 500)
    before = await standing(world)
    sale = await sell(world, 999)
    assert [True] == await world.settlement.reverse_sales([sale])

    assert before == await standing(world)
    assert 999 == (await world.balances())["held"]
    assert [SaleStatus.CANCELLED] == [
        each.status for each in await world.settlement.split_sales([sale])
    ]
    assert not (await parts_of(world, other)).is_reversed


async def test_an_undone_sale_whose_share_was_released_takes_what_is_available(world):
    """Undone after its release: available pays, and what is gone becomes debt."""
    await free_of_fees(world)
    await hold_back(world, pending_hours=1, reserve_basis_points=5_000, reserve_days=5)
    sale = await sell(world, 1_000)
    world.clock.advance(3 * HOUR)
    await release(world)
    await world.spend(300)
    assert [True] == await world.settlement.reverse_sales([sale])

    assert (0, 0, 0, 300) == await standing(world)


async def test_many_who_release_at_once_release_once(world, ledger):
    """Eight processes release 60 buckets at once, while refunds take from them: to the unit."""
    await free_of_fees(world)
    await hold_back(world, pending_hours=1)
    sales = []
    for _ in range(60):
        sales.append(await sell(world, 1_000))
        world.clock.advance(HOUR)
    world.clock.advance(2 * HOUR)
    others = [
        SettlementService(world.db, world.clock, SettlementSettings(), ledger) for _ in range(8)
    ]

    async def patiently(call):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0.01)

    await asyncio.gather(
        *(patiently(other.release_due) for other in others for _ in range(4)),
        *(
            patiently(lambda sale=sale: world.settlement.open_refunds([world.refund(sale, 300)]))
            for sale in sales[::3]
        ),
    )
    world.clock.advance(120)
    await release(world)

    assert (60_000 - 20 * 300, 0, 0, 0) == await standing(world)
    assert 6_000 == (await world.balances())["clearing"]


async def test_a_crash_at_any_statement_of_holding_is_healed(fragile_world):
    """Broken off after any call, shares are released whole and refunds end right when repeated."""
    world = fragile_world
    await free_of_fees(world)
    await hold_back(world, pending_hours=1, reserve_basis_points=1_000, reserve_days=1)
    crashes, sold, given = 0, 0, 0
    for ending in ("pay_refunds", "return_refunds"):
        for point in range(34):
            sale = world.sale(1_000)
            asked = world.refund(sale, 950)
            early = point % 2  # Odd: released before the refund, even: after.
            with world.fuse.broken_after(point):
                try:
                    await world.settlement.split_sales([sale])
                    if early:
                        world.clock.advance(3 * HOUR)
                        await world.service.release_due()
                    await world.settlement.open_refunds([asked])
                    await getattr(world.settlement, ending)([asked])
                    await world.service.release_due()
                except Broken:
                    crashes += 1
            await world.settlement.split_sales([sale])
            assert {POSTED, EXISTS} >= set(await world.settlement.open_refunds([asked]))
            assert {POSTED, EXISTS} >= set(await getattr(world.settlement, ending)([asked]))
            sold += 1_000
            given += 950 if ending == "pay_refunds" else 0
            world.clock.advance(3 * DAY)
            await release(world)
            world.clock.advance(120)  # A broken claim is taken again.
            await release(world)
            available, pending, reserve, debt = await standing(world)
            assert (0, 0) == (pending, reserve)
            assert sold - given == available - debt
            assert 0 == (await world.balances()).get("clearing", 0)

    assert crashes > 20


async def unseen(world):
    """What lies in buckets that no release will look into again."""
    async with world.db.reading() as tx:
        rows = await tx.fetch("select account from settlement.bucket where not is_open")
    found = await world.ledger.read_balances([row["account"] for row in rows])
    return [each.credit_minor for each in found if each is not None and each.credit_minor]


@pytest.mark.parametrize("way", ["late sale", "refused refund", "ended freeze"])
async def test_money_that_comes_too_late_is_never_out_of_sight(fragile_world, way):
    """Wherever its way breaks off, and whoever releases meanwhile, an open bucket shows it."""
    world = fragile_world
    await free_of_fees(world)
    await hold_back(world, pending_hours=1)
    crashes, sold = 0, 0
    for point in range(14):
        sale, late = world.sale(1_000), world.sale(700)
        await world.settlement.split_sales([sale])
        asked = world.refund(sale, 400)
        frozen = Freeze(new_id(world.clock.now()), sale.order, world.merchant, 400, world.currency)
        if way == "refused refund":
            await world.settlement.open_refunds([asked])
        if way == "ended freeze":
            await world.settlement.freeze_money([frozen])
        world.clock.advance(3 * HOUR)
        await release(world)

        async def come(asked=asked, frozen=frozen, late=late):
            if way == "late sale":
                await world.settlement.split_sales([late])
            elif way == "refused refund":
                await world.settlement.return_refunds([asked])
            else:
                await world.settlement.unfreeze_money([frozen])

        with world.fuse.broken_after(point):
            try:
                await come()
            except Broken:
                crashes += 1
        assert [] == await unseen(world)
        await release(world)
        assert [] == await unseen(world)
        await come()
        world.clock.advance(120)
        await release(world)
        sold += 1_700 if way == "late sale" else 1_000
        assert (sold, 0, 0, 0) == await standing(world)

    assert crashes > 5


@given(
    st.integers(0, 10**12),
    st.integers(0, 10_000),
    st.integers(0, 2_160),
    st.integers(1, 365),
    st.datetimes(datetime(2021, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_parts_of_a_share_sum_to_it_and_are_due_in_time(share, points, hours, days, paid_at):
    """No part is zero or below, none is due before its time nor a whole step after."""
    merchant = new_id(paid_at)
    terms = HoldVersion(1, merchant, None, hours, points, days if points else 0, paid_at)
    held = hold(terms, merchant, "CNY", paid_at)
    parts = divide(share, held, merchant)

    assert share == sum(amount for _, amount in parts)
    assert all(amount > 0 for _, amount in parts)
    assert len({account for account, _ in parts}) == len(parts)
    if held.pending is not None:
        over = held.pending.due_at - paid_at - timedelta(hours=hours)
        assert timedelta(0) <= over < timedelta(hours=1)
    if held.reserve is not None:
        over = held.reserve.due_at - paid_at - timedelta(days=days)
        assert timedelta(0) <= over < timedelta(days=1)


@given(
    st.integers(0, 2_160),
    st.integers(1, 365),
    st.datetimes(datetime(2021, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(-3_600_000_000, 3_600_000_000),
)
def test_what_is_paid_until_one_full_hour_is_due_together(hours, days, paid_at, apart_us):
    """Sales of one number of hours have the same terms' same buckets: they may share them."""
    merchant = new_id(paid_at)
    terms = HoldVersion(1, merchant, None, hours, 1_000, days, paid_at)
    other = paid_at + timedelta(microseconds=apart_us)
    one, two = (hold(terms, merchant, "CNY", each) for each in (paid_at, other))

    if full_hour(paid_at) == full_hour(other):
        assert one == two
    else:
        assert not hours or one.pending != two.pending


@dataclass
class Sold:
    """An order as the model knows it: what of it is where."""

    sale: object
    pending: int
    reserve: int
    pending_due: datetime
    reserve_due: datetime
    refunded: int = 0
    is_reversed: bool = False


class Model:
    """What a merchant's accounts must hold, told without the ledger."""

    def __init__(self) -> None:
        self.net = 0  # Available less debt: debts are recovered as soon as there is something.
        self.held = 0
        self.clearing = 0
        self.orders: list[Sold] = []

    def standing(self):
        """As `standing` gives it."""
        return (
            max(0, self.net),
            sum(order.pending for order in self.orders),
            sum(order.reserve for order in self.orders),
            max(0, -self.net),
        )

    def release(self, now):
        """Free what is due."""
        for order in self.orders:
            if order.pending_due <= now:
                self.net, order.pending = self.net + order.pending, 0
            if order.reserve_due <= now:
                self.net, order.reserve = self.net + order.reserve, 0

    def take(self, order, amount):
        """Take from an order's parts, then from the rest; give what was taken where."""
        pending = min(order.pending, amount)
        order.pending -= pending
        reserve = min(order.reserve, amount - pending)
        order.reserve -= reserve
        self.net -= amount - pending - reserve
        return pending, reserve, amount - pending - reserve


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["sell", "refund", "refund", "return", "wait", "wait", "undo", "spend"]),
        st.integers(0, 10**4),
    ),
    min_size=4,
    max_size=24,
)


@settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
@given(STEPS, st.sampled_from([(3, 0, 0), (0, 1_000, 2), (5, 3_333, 1), (30, 10_000, 1)]))
async def test_every_account_ends_exact_whatever_happens(make_world, steps, figures):
    """Sales, refunds, returns, undos and releases in any order: each account as the model says."""
    world = await make_world()
    hours, points, days = figures
    await free_of_fees(world)
    await hold_back(world, pending_hours=hours, reserve_basis_points=points, reserve_days=days)
    model, names, asked = Model(), itertools.count(), []
    model.clearing = (await world.balances()).get("clearing", 0)  # Of examples before this one.
    for step, number in steps:
        order = model.orders[number % len(model.orders)] if model.orders else None
        if step == "sell":
            sale = await sell(world, number + 1)
            dues = {part.part: part for part in (await parts_of(world, sale)).parts}
            reserve = (2 * (number + 1) * points + 10_000) // 20_000
            rest = number + 1 - reserve
            pending = rest if hours else 0
            model.net += rest - pending
            far = datetime(2999, 1, 1, tzinfo=UTC)
            assert {"pending": pending, "reserve": reserve, "available": rest - pending} == {
                "pending": 0,
                "reserve": 0,
                "available": 0,
            } | {name: part.amount_minor for name, part in dues.items()}
            model.orders.append(
                Sold(
                    sale,
                    pending,
                    reserve,
                    dues["pending"].due_at if pending else far,
                    dues["reserve"].due_at if reserve else far,
                )
            )
        elif step == "refund" and order and not order.is_reversed:
            amount = number % (order.sale.amount_minor - order.refunded + 1)
            if amount:
                name = f"refund:{next(names)}"
                posting = await refund(
                    world, order.sale, amount, name, refunded_minor=order.refunded
                )
                order.refunded += amount
                asked.append((order, posting, model.take(order, amount)))
                model.clearing += amount
        elif step == "return" and asked:
            order, posting, (pending, reserve, rest) = asked.pop(number % len(asked))
            assert [POSTED] == await world.settlement.return_refunds([posting])
            order.refunded -= posting.amount_minor
            order.pending, order.reserve = order.pending + pending, order.reserve + reserve
            model.net += rest
            model.clearing -= posting.amount_minor
        elif step == "undo" and order and not order.is_reversed and not order.refunded:
            assert [True] == await world.settlement.reverse_sales([order.sale])
            model.take(order, order.sale.amount_minor)
            order.is_reversed = True
            model.held += order.sale.amount_minor
        elif step == "spend" and model.net > 0:
            await world.spend(1 + number % model.net)
            model.net -= 1 + number % model.net
        elif step == "wait":
            world.clock.advance(number * 12)
        world.clock.advance(61)
        await release(world)
        model.release(world.clock.now())
        assert model.standing() == await standing(world)
        balances = await world.balances()
        assert (model.held, model.clearing) == (
            balances.get("held", 0),
            balances.get("clearing", 0),
        )


async def test_currencies_that_fall_due_together_are_released_together(world):
    """What one merchant earned in two currencies in one hour is theirs at one moment."""
    await world.settlement.put_fee_terms(
        [FeeTerms(world.merchant, each, 0) for each in ("CNY", "USD")]
    )
    await hold_back(world, pending_hours=2, reserve_basis_points=1_000, reserve_days=1)
    for currency in ("CNY", "USD"):
        world.currency = currency
        await sell(world, 1_000)
    world.clock.advance(3 * HOUR)
    await world.service.release_due()
    stands = {}
    for currency in ("CNY", "USD"):
        world.currency = currency
        stands[currency] = await standing(world)
    world.clock.advance(2 * DAY)
    await world.service.release_due()

    assert {"CNY": (900, 0, 100, 0), "USD": (900, 0, 100, 0)} == stands
    for currency in ("CNY", "USD"):
        world.currency = currency
        assert (1_000, 0, 0, 0) == await standing(world)


async def plan_of(tx, statement, *arguments):
    """Give how a plan reads the buckets."""
    (row,) = await tx.fetch(f"explain (format json) {statement}", *arguments)
    nodes, found = [json.loads(row[0])[0]["Plan"]], []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name") == "bucket":
            found.append((node["Node Type"], node.get("Index Name", "")))
    return found


async def test_what_is_released_is_not_read_again(world):
    """With 60 000 released buckets and 300 others, each statement goes by what is open alone."""
    now = world.clock.now()
    none = UUID(int=0)
    async with world.db.transaction() as tx:
        await tx.execute(
            "insert into settlement.bucket (account, merchant, currency, part, due_at, is_open)"
            " select md5(n::text)::uuid, md5((n % 500)::text)::uuid, 'CNY', 'pending',"
            " $1::timestamptz + n * interval '1 minute', n % 200 = 0"
            " from generate_series(1, 60300) n",
            now - timedelta(days=40),
        )
        await tx.execute("analyze settlement.bucket")
        plans = [
            *await plan_of(tx, holding.LIST_OPEN, none, "", now, "pending", 4_096),
            *await plan_of(tx, holding.CLAIM_DUE, now, now, 2_048),
            *await plan_of(tx, holding.COUNT_OPEN, now),
        ]
    read = [index for node, index in plans if node != "ModifyTable"]

    assert 4 == len(read)
    assert ["bucket_pkey"] == [index for index in read if index not in OF_OPEN]


async def test_pages_of_open_buckets_lose_none(world):
    """Read a few at a time, of merchants and moments that tie, each open bucket comes once."""
    midnight = world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    buckets = [
        Bucket(UUID(int=merchant), currency, part, midnight + timedelta(days=day))
        for merchant in (1, 2)
        for currency in ("CNY", "USD")
        for part in ("pending", "reserve")
        for day in range(3)
    ]
    store = holding.HoldingStore(world.db, world.clock)
    await store.mark_buckets(buckets)
    found, last = [], None
    while page := await store.load_open_after(last, 5):
        found += page
        last = page[-1]

    assert sorted(buckets) == sorted(found)


@pytest.fixture
def make_world(make_database, clock, ledger, world):
    """A new merchant of the same settlement for each example."""

    async def make():
        world.merchant = new_id(clock.now())
        world.currency = next(currencies)
        return world

    currencies = itertools.cycle(["CNY", "USD", "EUR", "JPY"])
    return make
