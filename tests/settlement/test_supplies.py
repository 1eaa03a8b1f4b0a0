"""Supplied sales: three parts that sum to the price, and each goes back to where it came from."""

import contextlib
import random

from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.settlement import (
    ChannelCost,
    FeeRule,
    FeeSchedule,
    FeeTerms,
    Freeze,
    FreezeStatus,
    HoldTerms,
    RefundPostingStatus,
    SaleResult,
    SaleStatus,
    ShareQuery,
    Supply,
    supply_of,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.kernel.ids import derive, new_id
from vendrail.settlement.sharing import share_out

POSTED = RefundPostingStatus.POSTED


async def set_fee(world, **terms):
    """Terms of the agent's own; they count from the next moment on."""
    await world.settlement.put_fee_terms([FeeTerms(world.merchant, world.currency, **terms)])
    world.clock.advance(11)


async def sell(world, supplier, amount_minor=1_000, supplied_minor=600):
    """A supplied sale, split."""
    sale = replace(world.sale(amount_minor), supply=Supply(supplier, supplied_minor))
    [result] = await world.settlement.split_sales([sale])
    return sale, result


async def standing(world, merchant):
    """What a merchant has available, pending, frozen and owes; and what is in held."""
    [found] = await world.settlement.read_merchant_balances([(merchant, world.currency)])
    return (
        found.available_minor,
        found.pending_minor + found.reserve_minor,
        found.frozen_minor,
        found.debt_minor,
        found.held_minor,
    )


async def test_a_supplied_sale_has_three_parts(world):
    """Platform, supplier and agent: the parts sum to the price; a replay gives the same."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=500)
    sale, result = await sell(world, supplier)

    assert (SaleStatus.SPLIT, 50, 350, 600) == (
        result.status,
        result.fee_minor,
        result.share_minor,
        result.supplied_minor,
    )
    assert [result] == await world.settlement.split_sales([sale])
    assert (350, 0, 0, 0, 0) == await standing(world, world.merchant)
    assert (600, 0, 0, 0, 0) == await standing(world, supplier)
    [kept] = await world.settlement.read_supplies([supply_of(sale.order)])
    assert (sale.order, world.merchant, supplier) == (kept.order, kept.agent, kept.supplier)


async def test_a_markup_that_fees_would_eat_is_told_beforehand(world):
    """Asked before, it is refused; where it was paid nevertheless, the platform takes less."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=500)
    sale = replace(world.sale(1_000), supply=Supply(supplier, 970))
    fair = replace(sale, supply=Supply(supplier, 950))
    [low, enough] = await world.settlement.price_sales([sale, fair])
    [split] = await world.settlement.split_sales([sale])

    assert (SaleStatus.MARKUP_TOO_LOW, SaleStatus.SPLIT) == (low.status, enough.status)
    assert (50, 0, 950) == (enough.fee_minor, enough.share_minor, enough.supplied_minor)
    assert (30, 0, 970) == (split.fee_minor, split.share_minor, split.supplied_minor)
    assert [split] == await world.settlement.split_sales([sale])


async def test_a_markup_bears_the_dearest_channel(world):
    """Where the agent bears channels' costs and none is named yet, the dearest is counted."""
    supplier, now = new_id(world.clock.now()), world.clock.now()
    rule = FeeRule(100, is_cost_borne=True)
    new = FeeSchedule(new_id(now), [rule], person="op@rail.example", reason="a test")
    await world.settlement.put_fee_schedules([new])
    costs = [ChannelCost("cheap", 10), ChannelCost("dear", 300)]
    await world.settlement.put_channel_costs(costs)
    world.clock.advance(60)
    sale = world.sale(1_000)
    asked = [replace(sale, booking=None, supply=Supply(supplier, each)) for each in (961, 960)]
    [low, enough] = await world.settlement.price_sales(asked)

    assert (SaleStatus.MARKUP_TOO_LOW, SaleStatus.SPLIT) == (low.status, enough.status)
    assert (10, 30, 0) == (enough.fee_minor, enough.cost_minor, enough.share_minor)


async def test_a_sale_that_is_all_the_suppliers_is_told(world):
    """Where the agent has neither share nor fee, its order still says when it was split."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=0)
    sale = replace(world.sale(1_000), supply=Supply(supplier, 1_000))
    await world.settlement.split_sales([sale])
    query = ShareQuery(sale.order, world.merchant, world.currency)
    [share] = await world.settlement.read_order_shares([query])

    assert share.split_at is not None
    assert ([], 0) == (share.parts, share.fee_minor)


async def test_a_supplier_cannot_ask_for_more_than_was_paid(world):
    """More than the price, nothing at all, or the agent as its own supplier: refused, unmoved."""
    supplier = new_id(world.clock.now())
    sale = world.sale(1_000)
    odd = [Supply(supplier, 1_001), Supply(supplier, 0), Supply(world.merchant, 500)]
    results = await world.settlement.split_sales([replace(sale, supply=each) for each in odd])

    assert [SaleResult(SaleStatus.AMOUNT_MALFORMED)] * 3 == results
    assert {} == await world.balances()


async def test_each_has_terms_of_its_own(world):
    """The supplier's part waits as the supplier's terms say, the agent's as its own do."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=0)
    await world.settlement.put_hold_terms(
        [HoldTerms(supplier, pending_hours=5, reserve_basis_points=1_000, reserve_days=3)]
    )
    world.clock.advance(11)
    sale, _ = await sell(world, supplier)
    query = ShareQuery(supply_of(sale.order), supplier, world.currency)
    [share] = await world.settlement.read_order_shares([query])

    assert (400, 0, 0, 0, 0) == await standing(world, world.merchant)
    assert (0, 600, 0, 0, 0) == await standing(world, supplier)
    assert [("pending", 540), ("reserve", 60)] == [(e.part, e.amount_minor) for e in share.parts]


async def test_refunds_take_from_each_its_part(world):
    """Partial refunds bear on both by their parts, and end at nothing; the fee goes back too."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=500, is_fee_refunded=True)
    sale, _ = await sell(world, supplier)
    [status] = await world.settlement.open_refunds([world.refund(sale, 333, "refund:1")])

    assert POSTED is status
    assert (401, 0, 0, 0, 0) == await standing(world, supplier)
    for number, amount_minor in enumerate((333, 334), start=2):
        refund = world.refund(sale, amount_minor, f"refund:{number}")
        assert [POSTED] == await world.settlement.open_refunds([refund])
    for number, amount_minor in enumerate((333, 333, 334), start=1):
        refund = world.refund(sale, amount_minor, f"refund:{number}")
        assert [POSTED] == await world.settlement.pay_refunds([refund])
    assert (0, 0, 0, 0, 0) == await standing(world, supplier)
    assert {} == await world.balances()


async def test_a_refused_refund_gives_each_its_part_back(world):
    """What a provider refuses is both merchants' again, and may be asked for anew, whole."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=500)
    sale, _ = await sell(world, supplier)
    before = (await standing(world, world.merchant), await standing(world, supplier))
    refund = world.refund(sale, 700)
    await world.settlement.open_refunds([refund])
    between = await standing(world, supplier)
    assert [POSTED] == await world.settlement.return_refunds([refund])
    again = world.refund(sale, 1_000, "again")

    assert (180, 0, 0, 0, 0) == between
    assert before == (await standing(world, world.merchant), await standing(world, supplier))
    assert [POSTED] == await world.settlement.open_refunds([again])
    assert (0, 0, 0, 0, 0) == await standing(world, supplier)
    assert (0, 0, 0, 50, 0) == await standing(world, world.merchant)  # The fee is kept.


async def test_who_has_nothing_left_owes_its_own_part(world):
    """A supplier that was paid out owes its part of a refund, the agent no more than its own."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=0)
    sale, _ = await sell(world, supplier)
    agent, world.merchant = world.merchant, supplier
    await world.spend(600)
    world.merchant = agent
    await world.settlement.open_refunds([world.refund(sale, 500)])

    assert (0, 0, 0, 300, 0) == await standing(world, supplier)
    assert (200, 0, 0, 0, 0) == await standing(world, agent)


async def test_a_dispute_freezes_exactly_each_part(world):
    """Frozen of both by their parts, told whole; a refund takes of it, the end lets the rest go."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=0)
    sale, _ = await sell(world, supplier)
    id = derive(sale.order, "complaint")
    freeze = Freeze(id, sale.order, world.merchant, 500, world.currency)
    [frozen] = await world.settlement.freeze_money([freeze])
    assert (FreezeStatus.FROZEN, 500) == (frozen.status, frozen.frozen_minor)
    assert (300, 0, 300, 0, 0) == await standing(world, supplier)
    assert (200, 0, 200, 0, 0) == await standing(world, world.merchant)
    assert [FreezeStatus.EXISTS] == [
        each.status for each in await world.settlement.freeze_money([freeze])
    ]
    await world.settlement.open_refunds([world.refund(sale, 250)])
    assert (300, 0, 150, 0, 0) == await standing(world, supplier)
    assert (200, 0, 100, 0, 0) == await standing(world, world.merchant)
    [ended] = await world.settlement.unfreeze_money([freeze])

    assert FreezeStatus.ENDED is ended.status
    assert (450, 0, 0, 0, 0) == await standing(world, supplier)
    assert (300, 0, 0, 0, 0) == await standing(world, world.merchant)


async def test_a_chargeback_takes_both_parts_and_bars_other_refunds(world):
    """While a bank may take the money no refund is opened; what it takes bears on both."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=0)
    sale, _ = await sell(world, supplier)
    freeze = Freeze(
        derive(sale.order, "dispute"), sale.order, world.merchant, 1_000, world.currency, True
    )
    await world.settlement.freeze_money([freeze])
    asked = world.refund(sale, 100)
    taken = world.refund(sale, 1_000, "chargeback", is_chargeback=True)

    assert [RefundPostingStatus.DISPUTED] == await world.settlement.open_refunds([asked])
    assert [POSTED] == await world.settlement.open_refunds([taken])
    assert (0, 0, 0, 0, 0) == await standing(world, supplier)
    assert (0, 0, 0, 0, 0) == await standing(world, world.merchant)


async def test_a_split_that_is_undone_is_undone_whole(world):
    """Both parts are held again for the buyer; a part that is gone is owed by whom it was."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=500)
    sale, _ = await sell(world, supplier)
    agent, world.merchant = world.merchant, supplier
    await world.spend(100)
    world.merchant = agent

    assert [True] == await world.settlement.reverse_sales([sale])
    assert [True] == await world.settlement.reverse_sales([sale])
    assert (0, 0, 0, 0, 1_000) == await standing(world, agent)
    assert (0, 0, 0, 100, 0) == await standing(world, supplier)
    refund = world.refund(sale, 1_000, is_split=False)
    assert [POSTED] == await world.settlement.open_refunds([refund])
    assert (0, 0, 0, 0, 0) == await standing(world, agent)


async def test_a_split_undone_before_it_came_never_comes(world):
    """A tombstone stands in the way of all three parts, where the agent's share is nothing too."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=0)
    sale = replace(world.sale(1_000), supply=Supply(supplier, 1_000))
    await world.settlement.reverse_sales([sale])
    [result] = await world.settlement.split_sales([sale])

    assert SaleStatus.CANCELLED is result.status
    assert (0, 0, 0, 0, 0) == await standing(world, supplier)
    assert (0, 0, 0, 0, 1_000) == await standing(world, world.merchant)


async def test_all_of_it_may_be_the_suppliers(world):
    """Without a fee an agent may sell at the floor: replayed, refunded and undone as others."""
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=0)
    sale, result = await sell(world, supplier, 1_000, 1_000)
    assert [result] == await world.settlement.split_sales([sale])
    assert (1_000, 0, 0, 0, 0) == await standing(world, supplier)

    assert [True] == await world.settlement.reverse_sales([sale])
    assert (0, 0, 0, 0, 0) == await standing(world, supplier)
    assert (0, 0, 0, 0, 1_000) == await standing(world, world.merchant)


@given(
    price=st.integers(1, 5_000),
    percent=st.integers(1, 100),
    parts=st.lists(st.tuples(st.integers(1, 2_000), st.booleans()), max_size=12),
)
def test_parts_of_refunds_are_exact(price, percent, parts):
    """Whatever is refunded, or fails, in whatever order: neither bears more than it has got."""
    size = max(1, price * percent // 100)
    refunded = before = 0
    for amount, is_kept in parts:
        if refunded + amount > price:
            continue
        part = share_out(amount, price, refunded, size, before).part_minor
        assert 0 <= part <= amount
        assert before + part <= size
        assert refunded + amount - before - part <= price - size
        if is_kept:
            refunded, before = refunded + amount, before + part
    left = price - refunded
    if left:
        assert size - before == share_out(left, price, refunded, size, before).part_minor


async def test_whatever_breaks_off_is_finished(fragile_world):
    """Broken off at any call and asked again, a refund and a freeze end as if nothing had been."""
    world = fragile_world
    supplier = new_id(world.clock.now())
    await set_fee(world, basis_points=500)
    rng = random.Random(7)
    for calls in range(14):
        sale, _ = await sell(world, supplier)
        before = (await standing(world, world.merchant), await standing(world, supplier))
        id = derive(sale.order, "complaint")
        freeze = Freeze(id, sale.order, world.merchant, 600, world.currency)
        refund = world.refund(sale, 300)
        ways = [
            (world.settlement.freeze_money, freeze),
            (world.settlement.open_refunds, refund),
            (world.settlement.return_refunds, refund),
            (world.settlement.unfreeze_money, freeze),
        ]
        for way, asked in ways:
            with (
                contextlib.suppress(Broken, Unavailable),
                world.fuse.broken_after(calls if rng.random() < 0.7 else 99),
            ):
                await way([asked])
            await way([asked])
        after = (await standing(world, world.merchant), await standing(world, supplier))
        assert before == after, calls
        with contextlib.suppress(Broken, Unavailable), world.fuse.broken_after(calls):
            await world.settlement.open_refunds([world.refund(sale, 1_000, "whole")])
        await world.settlement.open_refunds([world.refund(sale, 1_000, "whole")])
        await world.settlement.pay_refunds([world.refund(sale, 1_000, "whole")])
        assert (0, 0, 0, 0, 0) == await standing(world, supplier)
