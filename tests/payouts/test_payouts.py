"""Payouts through the api: money leaves once, never more than there is; what bounces is back."""

import asyncio

import pytest

from vendrail.api.compliance import DossierDecision
from vendrail.api.ledger import Chart
from vendrail.api.payouts import (
    NewPayout,
    PayoutQuery,
    PayoutState,
    PayoutTerms,
    PayoutVerdict,
    ReserveSource,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.kernel.money import AMOUNT_MINOR_MAX

from tests.compliance.conftest import Office  # isort: skip
from tests.payouts.conftest import LEASE_S, World  # isort: skip


async def reserve(world: World) -> int:
    """Read what is in the reserve."""
    [found] = await world.payouts.list_reserves()
    return found.there_minor


async def test_a_payout_goes_out_and_the_books_follow(world: World) -> None:
    """Amount and fee leave the balance, the amount leaves the reserve, nothing stays in transit."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    await world.earn(10_000)
    there = await reserve(world)
    new = world.ask(4_000)

    assert "taken" == await world.request(new)
    assert (10_000, -4_030) == (await world.books())["available"]
    await world.run()

    assert PayoutState.SUCCEEDED == await world.state(new)
    assert 4_000 == world.paid(new.id)
    books = await world.books()
    assert (5_970, 0) == books["available"]
    assert (30, 0) == books["fee"]
    assert "transit" not in books
    assert there - 4_000 == await reserve(world)
    [view] = await world.payouts.read_payouts([new.id])
    assert view.provider_number
    assert view.ended_at == world.clock.now()


async def test_asking_twice_pays_once(world: World) -> None:
    """The same id is the same payout for ever; another amount under it is refused."""
    await world.earn(10_000)
    new = world.ask(4_000)

    assert ["taken", "exists"] == await world.payouts.request_payouts([new, new])
    await world.run()
    assert "exists" == await world.request(new)
    assert "exists_different" == await world.request(replace(new, amount_minor=5_000))
    await world.run()

    assert (6_000, 0) == (await world.books())["available"]


async def test_x19_fifty_withdrawals_take_exactly_what_is_there(world: World) -> None:
    """Of fifty that ask at once for ten parts of one balance, ten get one each."""
    await world.earn(10_000)
    asked = [world.ask(1_000) for _ in range(50)]

    statuses = await asyncio.gather(*(world.request(new) for new in asked))
    await world.run()

    assert 10 == statuses.count("taken")
    assert 40 == statuses.count("balance_too_low")
    assert 10_000 == sum(world.paid(new.id) for new in asked)
    books = await world.books()
    assert "available" not in books
    assert "transit" not in books


async def test_refused_stays_refused(world: World) -> None:
    """A payout that the balance did not have is refused for ever, even when money comes."""
    new = world.ask(1_000)

    assert "balance_too_low" == await world.request(new)
    await world.earn(10_000)
    assert "balance_too_low" == await world.request(new)
    await world.later(3_600)
    assert PayoutState.REFUSED == await world.state(new)


async def test_the_fee_must_be_there_too(world: World) -> None:
    """Amount and fee are held both or not at all."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    await world.earn(1_029)

    assert "balance_too_low" == await world.request(world.ask(1_000))
    assert (1_029, 0) == (await world.books())["available"]


async def test_payouts_never_exceed_the_reserve(world: World) -> None:
    """What the reserve does not have waits, and goes out by itself once it is topped up."""
    there = await reserve(world)
    await world.earn(there * 2)
    first = world.ask(there - 100)
    world.clock.advance(1)
    second = world.ask(5_000)
    await world.payouts.request_payouts([first, second])
    await world.run()

    assert PayoutState.SUCCEEDED == await world.state(first)
    assert PayoutState.READY == await world.state(second)
    [view] = await world.payouts.read_payouts([second.id])
    assert "reserve_too_low" == view.problem
    await world.later(700)
    assert 0 == world.paid(second.id)
    assert "done" == await world.top_up(10_000)
    await world.run()

    assert PayoutState.SUCCEEDED == await world.state(second)
    assert 5_000 == world.paid(second.id)
    assert 100 + 10_000 - 5_000 == await reserve(world)


async def test_a_lost_answer_is_asked_for_and_never_sent_anew(world: World) -> None:
    """The provider paid and its answer was lost: the payout is found, and nothing moves twice."""
    await world.earn(10_000)
    world.alipay.fault(
        "gateway_down",
        match={"method": "alipay.fund.trans.uni.transfer"},
        params={"is_after": True},
    )
    new = world.ask(4_000)
    await world.request(new)
    await world.run()

    [view] = await world.payouts.read_payouts([new.id])
    assert PayoutState.SENT is view.state
    assert view.problem
    assert (10_000, -4_000) == (await world.books())["available"]
    await world.later(10)

    assert PayoutState.SUCCEEDED == await world.state(new)
    assert 4_000 == world.paid(new.id)
    [view] = await world.payouts.read_payouts([new.id])
    assert 1 == view.tries


async def test_what_never_arrived_is_told_again_under_its_number(world: World) -> None:
    """The provider never heard of it: it is told once more, by the same number."""
    await world.earn(10_000)
    world.alipay.fault("gateway_down", match={"method": "alipay.fund.trans.uni.transfer"})
    new = world.ask(4_000)
    await world.request(new)
    await world.run()
    assert 0 == world.paid(new.id)
    await world.later(10)

    assert PayoutState.SUCCEEDED == await world.state(new)
    assert 4_000 == world.paid(new.id)
    [view] = await world.payouts.read_payouts([new.id])
    assert 2 == view.tries


async def test_a_refusal_gives_everything_back(world: World) -> None:
    """Refused by the provider: balance, fee and reserve are as before."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    await world.earn(10_000)
    world.alipay.fault(
        "business_error",
        match={"method": "alipay.fund.trans.uni.transfer"},
        params={"sub_code": "PAYER_BALANCE_NOT_ENOUGH"},
    )
    there, new = await reserve(world), world.ask(4_000)
    await world.request(new)
    await world.run()

    assert PayoutState.FAILED == await world.state(new)
    assert (10_000, 0) == (await world.books())["available"]
    assert "transit" not in await world.books()
    assert there == await reserve(world)


async def test_a_late_bounce_puts_the_money_back(world: World) -> None:
    """Days after it succeeded it comes back: balance, fee and reserve have it again, once."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    await world.earn(10_000)
    there, new = await reserve(world), world.ask(4_000)
    await world.request(new)
    await world.run()
    world.end(new.id, "REFUND", "PAYEE_ACCOUNT_CLOSED")
    for _ in range(10):
        await world.later(24 * 3_600)

    assert PayoutState.RETURNED == await world.state(new)
    books = await world.books()
    assert (10_000, 0) == books["available"]
    assert "fee" not in books
    assert "transit" not in books
    assert there == await reserve(world)
    [view] = await world.payouts.read_payouts([new.id])
    assert "PAYEE_ACCOUNT_CLOSED" in view.problem


async def test_a_payout_is_watched_for_days_and_no_longer(world: World) -> None:
    """The provider is asked for a week whether the money came back; then it is left in peace."""
    await world.earn(10_000)
    new = world.ask(4_000)
    await world.request(new)
    await world.run()
    for _ in range(12):
        await world.later(24 * 3_600)

    [view] = await world.payouts.read_payouts([new.id])
    assert PayoutState.SUCCEEDED is view.state
    assert view.due_at is None


async def test_under_way_is_asked_again(world: World) -> None:
    """A provider that is still at it is asked until it says how it ended."""
    await world.earn(10_000)
    world.alipay.fault(
        "gateway_down",
        match={"method": "alipay.fund.trans.uni.transfer"},
        params={"is_after": True},
    )
    new = world.ask(4_000)
    await world.request(new)
    await world.run()
    world.end(new.id, "DEALING")
    await world.later(10)
    assert PayoutState.SENT == await world.state(new)
    world.end(new.id, "FAIL", "PAYEE_NOT_EXIST")
    await world.later(3_600)

    assert PayoutState.FAILED == await world.state(new)
    assert (10_000, 0) == (await world.books())["available"]


async def test_large_ones_wait_for_a_person(world: World) -> None:
    """Above the limit a payout is held and not sent until somebody says yes."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 0, 3_000)])
    await world.earn(10_000)
    new = world.ask(4_000)
    await world.request(new)
    await world.later(3_600)
    assert PayoutState.REVIEW == await world.state(new)
    assert 0 == world.paid(new.id)

    verdict = PayoutVerdict(new.id, True, "ops@example.com", "known shop")
    assert ["done"] == await world.payouts.review_payouts([verdict])
    assert ["not_waiting"] == await world.payouts.review_payouts([verdict])
    await world.run()
    assert PayoutState.SUCCEEDED == await world.state(new)
    [steps] = await world.payouts.read_steps([new.id])
    assert ["requested", "review", "ready", "reserved", "sent", "succeeded"] == [
        step.state for step in steps
    ]
    assert "ops@example.com" in [step.by for step in steps]


async def test_a_no_gives_the_money_back(world: World) -> None:
    """Declined before it was sent, in review or while the reserve is short: all is as before."""
    there = await reserve(world)
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 0, there)])
    await world.earn(there * 3)
    looked_at, short = world.ask(there + 1), world.ask(there)
    await world.top_up(-100)
    await world.payouts.request_payouts([looked_at, short])
    await world.run()
    assert PayoutState.READY == await world.state(short)

    verdicts = [
        PayoutVerdict(each.id, False, "ops@example.com", "no") for each in (looked_at, short)
    ]
    assert ["done", "done"] == await world.payouts.review_payouts(verdicts)
    await world.later(LEASE_S)
    assert [PayoutState.DECLINED] * 2 == [await world.state(looked_at), await world.state(short)]
    assert (there * 3, 0) == (await world.books())["available"]
    [found] = await world.payouts.list_reserves()
    assert 0 == found.reserved_minor
    await world.top_up(there * 5)
    await world.later(3_600)
    assert 0 == world.paid(looked_at.id) + world.paid(short.id)


async def test_who_owes_is_not_paid(world: World) -> None:
    """A merchant with a debt gets nothing until it is recovered."""
    await world.earn(10_000)
    chart = Chart(world.currency)
    debt = chart.merchant(world.merchant, "debt")
    await world.move(debt, chart.provider("alipay"), 500)

    assert "in_debt" == await world.request(world.ask(1_000))
    await world.move(chart.provider("alipay"), debt, 500)
    assert "taken" == await world.request(world.ask(1_000))


async def test_who_is_suspended_is_not_paid(world: World) -> None:
    """An operator stops a merchant's payouts, and lets them go on."""
    await world.earn(10_000)

    assert [True] == await world.payouts.suspend_merchants([(world.merchant, "looked into")])
    assert ["looked into"] == await world.payouts.read_suspensions([world.merchant])
    assert "suspended" == await world.request(world.ask(1_000))
    assert [True] == await world.payouts.suspend_merchants([(world.merchant, "")])
    assert "taken" == await world.request(world.ask(1_000))


@pytest.mark.parametrize("steps", [0, 1])
async def test_what_was_asked_for_waits_while_its_merchant_is_not_known(
    world: World, steps: int
) -> None:
    """A tier that falls before money leaves holds it, reserved or not; known again, it goes out."""
    office = Office(world)
    await world.earn(10_000)
    new = world.ask(6_000)
    assert "taken" == await world.request(new)
    for _ in range(steps):
        await world.house.services["payouts"].advance_due()
    stood = await world.state(new)
    await office.ask()
    await world.run()
    await world.later(601)
    [view] = await world.payouts.read_payouts([new.id])
    before = world.paid(new.id)
    dossier = await office.accept()
    await world.later(601)

    assert (["ready", "reserved"][steps], 0) == (stood, before)
    assert (stood, "merchant_unverified") == (view.state, view.problem)
    assert ("succeeded", 6_000) == (await world.state(new), world.paid(new.id))
    await office.decide(dossier, DossierDecision.REVOKE)
    assert "merchant_unverified" == await world.request(world.ask(1_000))


@pytest.mark.parametrize("is_closed", [True, False])
async def test_what_waits_comes_back_when_its_payee_or_merchant_is_stopped(
    world: World, is_closed: bool
) -> None:
    """In review or short of a reserve, it is declined in the same breath, and never goes out."""
    there = await reserve(world)
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, there)])
    await world.earn(there * 3)
    looked_at, short = world.ask(there + 1), world.ask(there)
    await world.top_up(-100)
    await world.payouts.request_payouts([looked_at, short])
    await world.run()
    assert [PayoutState.REVIEW, PayoutState.READY] == [
        await world.state(each) for each in (looked_at, short)
    ]

    if is_closed:
        assert [True] == await world.payouts.close_payees([(world.payee, world.merchant)])
    else:
        assert [True] == await world.payouts.suspend_merchants([(world.merchant, "stolen")])
        await world.payouts.suspend_merchants([(world.merchant, "")])
    verdict = PayoutVerdict(looked_at.id, True, "ops@example.com", "known shop")
    assert ["not_waiting"] == await world.payouts.review_payouts([verdict])
    await world.top_up(there * 5)
    await world.later(3_600)

    for each in (looked_at, short):
        assert PayoutState.DECLINED == await world.state(each)
        assert 0 == world.paid(each.id)
        [view] = await world.payouts.read_payouts([each.id])
        assert ("payee_closed" if is_closed else "suspended") == view.problem
    assert (there * 3, 0) == (await world.books())["available"]
    assert "transit" not in await world.books()


async def test_what_has_arrived_is_never_stopped(world: World) -> None:
    """The provider knows of it: it goes to its end, whatever becomes of payee and merchant."""
    await world.earn(10_000)
    new = await lose(world, is_after=True)

    await world.payouts.close_payees([(world.payee, world.merchant)])
    await world.payouts.suspend_merchants([(world.merchant, "stolen")])
    await world.later(10)

    assert PayoutState.SUCCEEDED == await world.state(new)
    assert 4_000 == world.paid(new.id)


async def lose(world: World, *, is_after: bool) -> NewPayout:
    """Ask for a payout whose telling, or the answer to it, is lost."""
    world.alipay.fault(
        "gateway_down",
        match={"method": "alipay.fund.trans.uni.transfer"},
        params={"is_after": is_after},
    )
    new = world.ask(4_000)
    await world.request(new)
    await world.run()
    assert PayoutState.SENT == await world.state(new)
    return new


async def test_what_never_arrived_waits_while_its_merchant_is_stopped(world: World) -> None:
    """It is not told again while it must not go out; let go on, it is, once."""
    await world.earn(10_000)
    new = await lose(world, is_after=False)
    office = Office(world)
    await office.ask()
    await world.later(10)
    [unknown] = await world.payouts.read_payouts([new.id])
    await office.accept()
    await world.payouts.suspend_merchants([(world.merchant, "stolen")])
    await world.later(601)
    [suspended] = await world.payouts.read_payouts([new.id])
    before = world.paid(new.id)
    await world.payouts.suspend_merchants([(world.merchant, "")])
    await world.later(601)

    assert ("sent", "merchant_unverified") == (unknown.state, unknown.problem)
    assert ("sent", "suspended", 1, 0) == (
        suspended.state,
        suspended.problem,
        suspended.tries,
        before,
    )
    assert ("succeeded", 4_000) == (await world.state(new), world.paid(new.id))


async def test_what_never_arrived_comes_back_from_a_closed_account(world: World) -> None:
    """Its provider does not know of it a day after it was told: its money is the merchant's."""
    await world.earn(10_000)
    new = await lose(world, is_after=False)
    await world.payouts.close_payees([(world.payee, world.merchant)])
    await world.later(82_800)
    early = await world.state(new)
    await world.later(3_700)
    [view] = await world.payouts.read_payouts([new.id])

    assert "sent" == early
    assert ("failed", "payee_closed", 0) == (view.state, view.problem, world.paid(new.id))
    assert (10_000, 0) == (await world.books())["available"]
    assert "transit" not in await world.books()


async def test_a_stop_holds_at_every_step(make_world, fuse) -> None:
    """Stopped between any two statements or calls of a payout, it went out before, or never."""
    world = await make_world(fuse=fuse)
    await world.be_verified()
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    is_broken, points, declined, lost = True, 0, 0, 0

    while is_broken:
        await world.earn(1_030)
        new = world.ask(1_000)
        there, is_broken = await reserve(world), False
        with fuse.broken_after(points):
            try:
                await world.request(new)
                await world.run()
            except Broken:
                is_broken = True
        [view] = await world.payouts.read_payouts([new.id])
        was_told = view is not None and view.state is PayoutState.SENT
        was_out = bool(world.paid(new.id))
        await world.payouts.suspend_merchants([(world.merchant, "stolen")])
        for _ in range(6):
            world.clock.advance(LEASE_S)
            await world.run()
        if was_told and not was_out:
            await world.later(90_000)
            lost += 1

        [view] = await world.payouts.read_payouts([new.id])
        stopped = PayoutState.FAILED if was_told else PayoutState.DECLINED
        expected = PayoutState.SUCCEEDED if was_out else stopped
        assert view is None or expected is view.state, points
        assert (1_000 if was_out else 0) == world.paid(new.id), points
        books = await world.books()
        assert "transit" not in books, points
        assert there - world.paid(new.id) == await reserve(world), points
        await world.payouts.suspend_merchants([(world.merchant, "")])
        await world.spend(books.get("available", (0, 0))[0])
        declined += view is not None and view.state is PayoutState.DECLINED
        points += 1
    assert points > 20
    assert declined > 10
    assert lost


async def test_what_cannot_be_is_said(world: World) -> None:
    """Too little, too much, elsewhere, in another currency, of another merchant."""
    await world.earn(10_000)
    stranger = new_id(world.clock.now())

    assert "amount_too_small" == await world.request(world.ask(99))
    assert "balance_too_low" == await world.request(world.ask(AMOUNT_MINOR_MAX + 1))
    assert "currency_not_offered" == await world.request(world.ask(1_000, currency="USD"))
    assert "payee_not_found" == await world.request(world.ask(1_000, merchant=stranger))
    assert "payee_not_found" == await world.request(world.ask(1_000, payee=stranger))


async def test_lists_are_pages(world: World) -> None:
    """The newest first, from an id on, by merchant and state."""
    await world.earn(10_000)
    asked: list[NewPayout] = []
    for _ in range(3):
        world.clock.advance(1)
        asked.append(world.ask(1_000))
        await world.request(asked[-1])
    query = PayoutQuery(world.merchant, [PayoutState.READY], None, 2)

    [page] = await world.payouts.list_payouts([query])
    assert [asked[2].id, asked[1].id] == [view.id for view in page]
    [page] = await world.payouts.list_payouts([replace(query, before=asked[1].id)])
    assert [asked[0].id] == [view.id for view in page]
    [page] = await world.payouts.list_payouts([PayoutQuery(new_id(world.clock.now()))])
    assert [] == page


async def test_a_reserve_is_filled_and_emptied_by_hand(world: World) -> None:
    """Own money, each change once, and never below nothing; a settlement comes by its number."""
    there = await reserve(world)
    id = new_id(world.clock.now())
    await world.earn(2_000)

    assert "done" == await world.top_up(1_000, id=id)
    assert "exists" == await world.top_up(1_000, id=id)
    assert "exists_different" == await world.top_up(2_000, id=id)
    assert "source_closed" == await world.top_up(2_000, ReserveSource.SETTLEMENT)
    assert "source_closed" == await world.top_up(-1, ReserveSource.SETTLEMENT)
    [found] = await world.payouts.list_reserves()
    assert there + 1_000 == found.there_minor
    assert 2_000 == found.receivable_minor
    assert "reserve_too_low" == await world.top_up(-found.there_minor - 1)
    assert "done" == await world.top_up(-found.there_minor)
    assert 0 == await reserve(world)
    assert "amount_malformed" == await world.top_up(0)


async def test_crash_points(make_world, fuse) -> None:
    """Broken off at any statement or call, a payout still goes out once and the books close."""
    world = await make_world(fuse=fuse)
    await world.be_verified()
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    there = await reserve(world)
    is_broken, points = True, 0

    while is_broken:
        await world.earn(1_030)
        await world.top_up(1_000)
        new = world.ask(1_000)
        point, is_broken = points, False
        with fuse.broken_after(point):
            try:
                await world.request(new)
                await world.run()
            except Broken:
                is_broken = True
        for _ in range(4):
            world.clock.advance(LEASE_S)
            await world.run()
        assert await world.request(new) in ("exists", "taken"), point
        for _ in range(3):
            world.clock.advance(LEASE_S)
            await world.run()

        assert PayoutState.SUCCEEDED == await world.state(new), point
        assert 1_000 == world.paid(new.id), point
        books = await world.books()
        assert "available" not in books, point
        assert "transit" not in books, point
        assert there == await reserve(world), point
        points += 1
    assert points > 20


async def test_two_processes_share_the_work(make_world) -> None:
    """Two that carry on at once send each payout once."""
    one, two = await make_world(), await make_world()
    await one.be_verified()
    await one.earn(20_000)
    asked = [one.ask(1_000) for _ in range(20)]
    await one.payouts.request_payouts(asked)
    await asyncio.gather(one.run(), two.run())
    await one.later(LEASE_S)

    assert [1_000] * 20 == [one.paid(each.id) for each in asked]
    assert "available" not in await one.books()
