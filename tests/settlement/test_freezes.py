"""Freezes: exactly a disputed order's money stays, whatever else moves meanwhile."""

import asyncio
import contextlib
import random
from uuid import UUID

import pytest

from vendrail.api.settlement import (
    Freeze,
    FreezeResult,
    FreezeStatus,
    HoldTerms,
    RefundPostingStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.kernel.ids import derive

FROZEN, ENDED, EXISTS = FreezeStatus.FROZEN, FreezeStatus.ENDED, FreezeStatus.EXISTS


async def split(world, amount_minor=1_000):
    """A sale that has been split: a hundredth of it is the fee."""
    sale = world.sale(amount_minor)
    [result] = await world.settlement.split_sales([sale])
    return sale, result.share_minor


def freeze(world, sale, amount_minor=None, name="complaint"):
    """A dispute about a sale."""
    amount_minor = sale.amount_minor if amount_minor is None else amount_minor
    id = derive(sale.order, name)
    return Freeze(id, sale.order, world.merchant, amount_minor, world.currency)


async def test_a_freeze_takes_the_share_and_gives_it_back(world):
    """The order's share is out of reach until the dispute ends; each step repeats harmlessly."""
    sale, share = await split(world)
    await split(world)
    asked = freeze(world, sale)

    assert [FreezeResult(FROZEN, share, share)] == await world.settlement.freeze_money([asked])
    assert [FreezeResult(EXISTS, share, share)] == await world.settlement.freeze_money([asked])
    found = await world.balances()
    assert (share, share) == (found["frozen"], found["available"])
    assert [FreezeResult(ENDED, share)] == await world.settlement.unfreeze_money([asked])
    assert [FreezeResult(EXISTS, share)] == await world.settlement.unfreeze_money([asked])
    found = await world.balances()
    assert (None, 2 * share) == (found.get("frozen"), found["available"])


async def test_a_freeze_takes_what_is_there_and_makes_no_debt(world):
    """Money that was paid out is not frozen, and nobody owes anything for it."""
    sale, share = await split(world)
    await world.spend(share - 100)
    [result] = await world.settlement.freeze_money([freeze(world, sale)])
    found = await world.balances()

    assert FreezeResult(FROZEN, 100, 100) == result
    assert 100 == found["frozen"]
    assert "debt" not in found


async def test_what_is_not_due_yet_is_frozen_first_and_not_released(world):
    """A share that is pending and in reserve is frozen out of just these; others' money stays."""
    _, other = await split(world)
    world.clock.advance(60)
    terms = HoldTerms(world.merchant, pending_hours=5, reserve_basis_points=1_000, reserve_days=2)
    await world.settlement.put_hold_terms([terms])
    world.clock.advance(60)
    sale, share = await split(world)
    await split(world)
    asked = freeze(world, sale)
    [frozen] = await world.settlement.freeze_money([asked])
    [again] = await world.settlement.freeze_money([asked])
    [before] = await world.settlement.read_merchant_balances([(world.merchant, world.currency)])
    refund = world.refund(sale, 400)
    await world.settlement.open_refunds([refund])
    [during] = await world.settlement.read_merchant_balances([(world.merchant, world.currency)])
    world.clock.advance(3 * 86_400)
    while await world.service.release_due():
        pass
    [released] = await world.settlement.read_merchant_balances([(world.merchant, world.currency)])
    await world.settlement.unfreeze_money([asked])
    while await world.service.release_due():
        pass
    [after] = await world.settlement.read_merchant_balances([(world.merchant, world.currency)])

    assert [share] * 2 == [frozen.frozen_minor, again.frozen_minor]
    assert (other, share) == (before.available_minor, before.frozen_minor)
    assert share == before.pending_minor + before.reserve_minor  # The neighbour's, whole.
    assert (other, share - 400) == (during.available_minor, during.frozen_minor)
    assert share == during.pending_minor + during.reserve_minor
    assert (other + share, share - 400) == (released.available_minor, released.frozen_minor)
    assert (other + 2 * share - 400, 0) == (after.available_minor, after.frozen_minor)


async def hold_back(world):
    """Hold terms: a tenth in reserve, the rest pending; and what a merchant has of each."""
    terms = HoldTerms(world.merchant, pending_hours=5, reserve_basis_points=1_000, reserve_days=2)
    await world.settlement.put_hold_terms([terms])
    world.clock.advance(60)


async def parts(world):
    """What is available, pending, in reserve and frozen."""
    [found] = await world.settlement.read_merchant_balances([(world.merchant, world.currency)])
    minor = (found.available_minor, found.pending_minor, found.reserve_minor, found.frozen_minor)
    assert 0 == found.debt_minor
    return minor


async def test_a_complaint_that_is_withdrawn_makes_nothing_due_before_its_time(world):
    """What was pending and in reserve is so again when the freeze ends, and is released in time."""
    await hold_back(world)
    sale, share = await split(world)
    before = await parts(world)
    asked = freeze(world, sale)
    await world.settlement.freeze_money([asked])
    during = await parts(world)
    await world.settlement.unfreeze_money([asked])
    after = await parts(world)
    refund = world.refund(sale, 950)  # It may take of them again.
    await world.settlement.open_refunds([refund])
    taken = await parts(world)
    await world.settlement.return_refunds([refund])
    returned = await parts(world)
    world.clock.advance(3 * 86_400)
    while await world.service.release_due():
        pass

    assert (0, 0, 0, share) == during
    assert (0, 0) == (before[0], before[3])
    assert [before, before] == [after, returned]
    assert (0, 0, share - 950, 0) == taken
    assert (share, 0, 0, 0) == await parts(world)


async def test_a_part_refund_takes_what_is_frozen_and_leaves_what_is_pending(world):
    """Of a part frozen the refund comes out of that; only the rest is taken of what is pending."""
    await hold_back(world)
    sale, share = await split(world)
    _, pending, reserve, _ = await parts(world)
    asked = freeze(world, sale, 500)
    await world.settlement.freeze_money([asked])
    await world.settlement.open_refunds([world.refund(sale, 300)])
    first = await parts(world)
    await world.settlement.open_refunds([world.refund(sale, 300, "second")])
    second = await parts(world)
    await world.settlement.unfreeze_money([asked])

    assert share == pending + reserve
    assert (0, pending - 500, reserve, 200) == first
    assert (0, pending - 600, reserve, 0) == second
    assert (0, pending - 600, reserve, 0) == await parts(world)


@pytest.mark.parametrize("is_ended", [True, False])
async def test_a_refused_refund_of_frozen_money_gives_each_part_back(world, is_ended):
    """Frozen again while the freeze stands; else pending and in reserve again, as it was."""
    await hold_back(world)
    sale, share = await split(world)
    before = await parts(world)
    asked = freeze(world, sale)
    await world.settlement.freeze_money([asked])
    refund = world.refund(sale, 950)
    await world.settlement.open_refunds([refund])
    if is_ended:
        await world.settlement.unfreeze_money([asked])
    await world.settlement.return_refunds([refund])
    returned = await parts(world)
    await world.settlement.unfreeze_money([asked])
    after = await parts(world)
    [again] = await world.settlement.open_refunds([world.refund(sale, 950, "again")])

    assert (before if is_ended else (0, 0, 0, share)) == returned
    assert before == after
    assert RefundPostingStatus.POSTED == again
    assert (0, 0, share - 950, 0) == await parts(world)


async def test_parts_that_go_over_to_another_dispute_go_back_from_it(world):
    """What had been pending stays so, though the freeze that took it has ended before another."""
    await hold_back(world)
    sale, share = await split(world)
    before = await parts(world)
    complaint, dispute = freeze(world, sale), freeze(world, sale, name="chargeback")
    await world.settlement.freeze_money([complaint])
    await world.settlement.freeze_money([dispute])
    await world.settlement.unfreeze_money([complaint])
    during = await parts(world)
    await world.settlement.unfreeze_money([dispute])

    assert (0, 0, 0, share) == during
    assert before == await parts(world)


async def test_two_disputes_of_an_order_freeze_it_once(world):
    """A complaint and a chargeback together never freeze more than the order's share."""
    sale, share = await split(world)
    await split(world)
    first, second = freeze(world, sale, 600), freeze(world, sale, name="chargeback")
    results = await world.settlement.freeze_money([first, second])

    assert [600, share - 600] == [each.frozen_minor for each in results]
    assert share == (await world.balances())["frozen"]


async def test_what_one_dispute_lets_go_stays_for_the_other(world):
    """A complaint that ends leaves its money to the chargeback, which asks for the same."""
    sale, share = await split(world)
    others, other_share = await split(world)
    complaint, dispute = freeze(world, sale), freeze(world, sale, 700, "chargeback")
    await world.settlement.freeze_money([complaint, freeze(world, others)])
    [second] = await world.settlement.freeze_money([dispute])
    ended = await world.settlement.unfreeze_money([complaint])
    again = await world.settlement.unfreeze_money([complaint])
    [third] = await world.settlement.freeze_money([dispute])
    during = await world.balances()
    lost = replace(world.refund(sale, 500), is_chargeback=True)
    statuses = await world.settlement.open_refunds([lost])
    lower = await world.balances()
    await world.settlement.unfreeze_money([dispute, freeze(world, others)])
    after = await world.balances()

    assert 0 == second.frozen_minor
    assert [FreezeResult(ENDED, share), FreezeResult(EXISTS, share)] == [*ended, *again]
    assert FreezeResult(EXISTS, 700, 700) == third
    assert (700 + other_share, share - 700) == (during["frozen"], during["available"])
    assert [RefundPostingStatus.POSTED] == statuses
    assert (200 + other_share, share - 700) == (lower["frozen"], lower["available"])
    assert share + other_share - 500 == after["available"]
    assert {"frozen", "debt"}.isdisjoint(after)


async def test_disputes_that_end_together_let_all_go(world):
    """Two freezes of one order, ended in one call, leave nothing to each other."""
    sale, share = await split(world)
    both = [freeze(world, sale, 600), freeze(world, sale, name="chargeback")]
    await world.settlement.freeze_money(both)
    ended = await world.settlement.unfreeze_money(both)
    found = await world.balances()

    assert [ENDED, ENDED] == [each.status for each in ended]
    assert share == found["available"]
    assert "frozen" not in found


async def test_a_refund_takes_what_is_frozen_first(world):
    """A ruling's refund comes out of the freeze, though the rest was paid out; no debt is made."""
    sale, share = await split(world)
    asked = freeze(world, sale)
    await world.settlement.freeze_money([asked])
    refund = world.refund(sale, 400)
    assert [RefundPostingStatus.POSTED] == await world.settlement.open_refunds([refund])
    found = await world.balances()

    assert (share - 400, 400) == (found["frozen"], found["clearing"])
    assert "debt" not in found
    assert [FreezeResult(ENDED, share)] == await world.settlement.unfreeze_money([asked])
    assert share - 400 == (await world.balances())["available"]


async def test_what_was_refunded_is_not_frozen(world):
    """Only what the order has left is disputed."""
    sale, share = await split(world)
    await world.settlement.open_refunds([world.refund(sale, 400)])
    [result] = await world.settlement.freeze_money([freeze(world, sale)])

    assert share - 400 == result.frozen_minor


async def test_a_refused_refund_is_the_merchants_again(world):
    """What a refused refund had taken of a freeze is frozen again, and then the merchant's."""
    sale, share = await split(world)
    asked = freeze(world, sale)
    await world.settlement.freeze_money([asked])
    refund = world.refund(sale, 400)
    await world.settlement.open_refunds([refund])
    await world.settlement.return_refunds([refund])
    again = await world.balances()
    await world.settlement.return_refunds([refund])
    await world.settlement.unfreeze_money([asked])
    found = await world.balances()

    assert share == again["frozen"]
    assert "available" not in again
    assert share == found["available"]
    assert {"frozen", "debt", "clearing"}.isdisjoint(found)


async def test_an_end_that_comes_first_leaves_a_tombstone(world):
    """A freeze that arrives after its end freezes nothing."""
    sale, share = await split(world)
    asked = freeze(world, sale)
    await world.settlement.unfreeze_money([asked])
    [result] = await world.settlement.freeze_money([asked])

    assert FreezeResult(FreezeStatus.CANCELLED) == result
    assert share == (await world.balances())["available"]


async def test_an_id_stands_for_one_freeze(world):
    """The same id for another order or amount is refused, and what cannot be moved too."""
    sale, _ = await split(world)
    asked = freeze(world, sale)
    await world.settlement.freeze_money([asked])
    other = replace(asked, amount_minor=5)
    strange = replace(asked, id=derive(sale.order, "other"), amount_minor=0)
    results = await world.settlement.freeze_money([other, strange])
    ended = await world.settlement.unfreeze_money([other, strange])
    different, malformed = FreezeStatus.EXISTS_DIFFERENT, FreezeStatus.AMOUNT_MALFORMED

    assert [different, malformed] == [each.status for each in results]
    assert [different, malformed] == [each.status for each in ended]


async def test_a_freeze_that_broke_off_is_finished(fragile_world):
    """Wherever a freeze or its end breaks off, doing it again ends where one that did not would."""
    world = fragile_world
    for calls in range(12):
        sale, share = await split(world)
        asked = freeze(world, sale)
        for act in (world.settlement.freeze_money, world.settlement.unfreeze_money):
            with world.fuse.broken_after(calls), contextlib.suppress(Broken, Unavailable):
                await act([asked])
            await act([asked])
        found = await world.balances()
        assert "frozen" not in found
        assert share * (calls + 1) == found["available"]


async def test_while_a_chargeback_stands_only_its_own_refund_is_opened(world):
    """Nothing of the order goes back by another way, also where nothing of it could be frozen."""
    sale, share = await split(world)
    await world.spend(share)
    asked = replace(freeze(world, sale, name="chargeback"), is_exclusive=True)
    [result] = await world.settlement.freeze_money([asked])
    refund = world.refund(sale, 400)
    into_wallet = replace(world.refund(sale, 400, "other"), to_wallet=UUID(int=9))
    others, _ = await split(world)
    taken = replace(world.refund(sale, 600, "taken"), is_chargeback=True)
    statuses = await world.settlement.open_refunds([refund, into_wallet, taken])
    marks = await world.settlement.find_disputed([sale.order, others.order])
    paid = await world.settlement.pay_refunds([refund])
    during = await world.balances()
    await world.settlement.unfreeze_money([asked])
    after = await world.settlement.open_refunds([refund])

    assert FreezeResult(FROZEN) == result
    assert ["disputed", "disputed", "posted"] == statuses
    assert [True, False] == marks
    assert ["not_open"] == paid
    assert 600 == during["clearing"]
    assert ["posted"] == after
    assert [False] == await world.settlement.find_disputed([sale.order])


@pytest.mark.parametrize("seed", range(3))
async def test_refund_payout_and_disputes_race_fifty_fold(world, seed):
    """Fifty orders, each refunded, disputed twice, ruled and paid out at once: the books are exact.

    What came in is with the buyers, with whoever was paid out, or the platform's fee, less what
    the merchant owes; nothing stays frozen, and a debt is only what was really paid out.
    """
    chance = random.Random(seed)
    sales = [world.sale(chance.randint(50, 5_000)) for _ in range(50)]
    splits = await world.settlement.split_sales(sales)
    shares = sum(each.share_minor for each in splits)
    refunds = [world.refund(each, chance.randint(1, each.amount_minor)) for each in sales[::2]]
    disputes = [
        [freeze(world, each), freeze(world, each, each.amount_minor // 2 + 1, "chargeback")]
        for each in sales
    ]
    paid_out = 0

    async def pay_out() -> None:
        nonlocal paid_out
        for _ in range(10):
            available = (await world.balances()).get("available", 0)
            if available:
                try:
                    await world.spend(available // 3 + 1)
                    paid_out += available // 3 + 1
                except AssertionError:
                    pass  # Somebody else was there first: nothing has moved.

    async def dispute(pair: list[Freeze]) -> None:
        await world.settlement.freeze_money(pair)
        await world.settlement.unfreeze_money([pair[0]])
        await world.settlement.freeze_money(pair)

    async def refund(posting) -> None:
        await world.settlement.open_refunds([posting])
        await world.settlement.pay_refunds([posting])

    acts = [pay_out(), *map(dispute, disputes), *map(refund, refunds)]
    chance.shuffle(acts)
    await asyncio.gather(*acts)
    rest = await world.settlement.unfreeze_money([pair[1] for pair in disputes])
    for _ in range(3):
        await world.service.recover_debts()
    found = await world.balances()
    back = sum(each.amount_minor for each in refunds)

    assert {ENDED} == {each.status for each in rest}
    assert {"frozen", "clearing", "held"}.isdisjoint(found)
    assert sum(each.amount_minor for each in sales) - back == -found["provider"]
    assert shares - back - paid_out == found.get("available", 0) + found.get("debt", 0)
    assert paid_out == found.get("sink", 0)
    assert min(found.get("available", 0), -found.get("debt", 0)) == 0
