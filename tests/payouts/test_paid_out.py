"""Where an order's share went: first in, first out, found when asked, also after a bounce."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vendrail.api.ledger import Chart, Transfer, TransferCode
from vendrail.api.payouts import PaidOutQuery, PayoutState, PayoutTerms
from vendrail.kernel.ids import new_id
from vendrail.payouts import queue
from vendrail.payouts.queue import Bounce, Earned, Mark

from tests.payouts.conftest import World  # isort: skip


async def sell(world: World, amount_minor: int, part: str = "", due_at=None) -> UUID:
    """Split one order's share as settlement does: to the balance, or into a bucket."""
    world.clock.advance(1)
    chart, order = Chart(world.currency), new_id(world.clock.now())
    held, target = chart.held(world.merchant), chart.merchant(world.merchant, "available")
    if part:
        target = chart.bucket(world.merchant, part, due_at)
        await world.ledger.open_accounts([target])
    await world.ledger.open_accounts([held])
    id = new_id(world.clock.now())
    sale = Transfer(id, held.id, target.id, amount_minor, TransferCode.SALE, order)
    [result] = await world.ledger.post_transfers([sale])
    assert result.is_done
    return order


async def release(world: World, part: str, due_at, amount_minor: int) -> None:
    """Release what is in a bucket, as settlement does."""
    world.clock.advance(1)
    chart, id = Chart(world.currency), new_id(world.clock.now())
    source = chart.bucket(world.merchant, part, due_at)
    target = chart.merchant(world.merchant, "available")
    moved = Transfer(id, source.id, target.id, amount_minor, TransferCode.RELEASE, source.id)
    [result] = await world.ledger.post_transfers([moved])
    assert result.is_done


async def pay(world: World, amount_minor: int) -> UUID:
    """Pay out so much, to its end."""
    world.clock.advance(1)
    new = world.ask(amount_minor)
    assert "taken" == await world.request(new)
    await world.run()
    assert PayoutState.SUCCEEDED == await world.state(new)
    return new.id


async def found(world: World, order: UUID) -> list[tuple[UUID, int]]:
    """Say which payouts took how much of an order, once they are marked."""
    while await world.house.services["payouts"].mark_due():
        pass
    query = PaidOutQuery(order, world.merchant, world.currency)
    [told] = await world.payouts.find_paid_out([query])
    return [(each.payout, each.amount_minor) for each in told]


async def test_what_was_earned_first_goes_out_first(world: World) -> None:
    """One payout takes whole orders, the next the rest of one; what is left is nobody's yet."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    first, second, third = [await sell(world, minor) for minor in (1_000, 2_000, 3_000)]
    one = await pay(world, 1_500)
    assert [] == await found(world, first)  # Not a minute old.
    world.clock.advance(61)
    assert [(one, 1_000)] == await found(world, first)
    two = await pay(world, 2_500)
    world.clock.advance(61)

    assert [(one, 1_000)] == await found(world, first)
    assert [(one, 530), (two, 1_470)] == await found(world, second)  # The fee is of it too.
    assert [(two, 1_060)] == await found(world, third)


async def test_refunds_take_the_oldest_too(world: World) -> None:
    """What left otherwise is out of the queue: a payout after it takes what came later."""
    first, second = await sell(world, 1_000), await sell(world, 1_000)
    await world.spend(1_000)
    one = await pay(world, 1_000)
    world.clock.advance(61)

    assert [] == await found(world, first)
    assert [(one, 1_000)] == await found(world, second)


async def test_what_came_back_goes_out_with_a_later_payout(world: World) -> None:
    """After a bounce it is as if that payout had never been: the next one took the share."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    first, second = await sell(world, 1_000), await sell(world, 1_000)
    one = await pay(world, 970)
    world.clock.advance(61)
    assert [(one, 1_000)] == await found(world, first)
    world.end(one, "REFUND", "PAYEE_ACCOUNT_CLOSED")
    for _ in range(3):
        await world.later(24 * 3_600)
    assert [] == await found(world, first)
    two = await pay(world, 1_900)
    world.clock.advance(61)

    assert [(two, 1_000)] == await found(world, first)
    assert [(two, 930)] == await found(world, second)


async def test_of_what_was_released_together_everyone_has_a_part(world: World) -> None:
    """A payout of half a release took half of each order's part in it."""
    due_at = world.clock.now() + timedelta(days=1)
    first = await sell(world, 1_000, "pending", due_at)
    second = await sell(world, 501, "pending", due_at)
    await release(world, "pending", due_at, 1_501)
    one, two = await pay(world, 750), await pay(world, 751)
    world.clock.advance(61)

    assert [(one, 499), (two, 501)] == await found(world, first)
    assert [(one, 250), (two, 251)] == await found(world, second)


async def made_of(world: World, payout: UUID) -> list[tuple[str, UUID, int]]:
    """Say what a payout was made of, newest first."""
    [told] = await world.payouts.find_taken([payout])
    return [(each.code, each.subject, each.amount_minor) for each in told]


async def test_a_payout_tells_what_it_was_made_of(world: World) -> None:
    """Its parts sum to its amount and fee; a bounce leaves its parts to the next one."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    first, second = await sell(world, 1_000), await sell(world, 1_000)
    one = await pay(world, 1_470)
    due_at = world.clock.now() + timedelta(days=1)
    await sell(world, 700, "pending", due_at)
    await release(world, "pending", due_at, 700)
    bucket = Chart(world.currency).bucket(world.merchant, "pending", due_at).id
    two = await pay(world, 970)
    world.clock.advance(61)
    assert [] == await found(world, new_id(world.clock.now()))
    assert [("sale", second, 500), ("sale", first, 1_000)] == await made_of(world, one)
    assert [("release", bucket, 500), ("sale", second, 500)] == await made_of(world, two)
    world.end(one, "REFUND", "PAYEE_ACCOUNT_CLOSED")
    for _ in range(3):
        await world.later(24 * 3_600)
    three = await pay(world, 1_470)
    world.clock.advance(61)
    assert [] == await found(world, new_id(world.clock.now()))

    assert [] == await made_of(world, one)
    assert [("sale", first, 1_000)] == await made_of(world, two)
    parts = [("release", bucket, 500), ("sale", second, 1_000)]
    assert parts == await made_of(world, three)


async def test_another_merchant_finds_nothing(world: World) -> None:
    """Who asks for an order that is not theirs learns nothing of where its money went."""
    order = await sell(world, 1_000)
    await pay(world, 1_000)
    world.clock.advance(61)
    assert await found(world, order)
    query = PaidOutQuery(order, new_id(world.clock.now()), world.currency)

    assert [[]] == await world.payouts.find_paid_out([query])


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("sale"), st.integers(1, 500)),
        st.tuples(st.just("payout"), st.integers(1, 700)),
        st.tuples(st.just("bounce"), st.integers(0, 9)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(EVENTS)
def test_the_queue_is_a_queue(events) -> None:
    """Whatever is sold, paid out and bounced, shares are those of units taken one by one."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    credits = debits = 0
    sales: list[Earned] = []
    begins: list[int] = []
    marks: list[Mark] = []
    bounces: dict[int, Bounce] = {}
    units: list[int] = []  # Of which sale each minor unit of the queue is, in its order.
    for at, (kind, value) in enumerate(events, 1):
        point = (start + timedelta(seconds=at), UUID(int=at))
        if kind == "sale":
            sales.append(Earned(point, value, 0, value))
            begins.append(credits)
            units += [len(sales) - 1] * value
            credits += value
        elif kind == "payout" and credits - debits:
            minor = min(value, credits - debits)
            marks.append(Mark(UUID(int=1_000 + at), point, minor, credits, debits))
            debits += minor
        elif kind == "bounce" and value < len(marks) and value not in bounces:
            mark = marks[value]
            bounces[value] = Bounce(
                ((mark.point, mark.amount_minor),), ((point, mark.amount_minor),)
            )
            credits += mark.amount_minor
    standing = [mark for place, mark in enumerate(marks) if place not in bounces]
    expected: dict[tuple[int, UUID], int] = {}
    rest = iter(units)
    for mark in standing:
        for _ in range(mark.amount_minor):
            key = (next(rest), mark.payout)
            expected[key] = expected.get(key, 0) + 1

    told = {}
    for number, (earned, raw) in enumerate(zip(sales, begins, strict=True)):
        begin = queue.credits_at(raw, earned.point, bounces.values())
        for mark in standing:
            taken = queue.stretch_of(mark, bounces.values())
            if minor := queue.share_of(earned, begin, taken):
                told[number, mark.payout] = minor
    assert expected == told
