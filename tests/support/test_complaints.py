"""Complaints: by rule or by ruling they end, and the money is where it should be all the while."""

import asyncio
from datetime import timedelta

import pytest
from tests.support.conftest import OPERATOR, PRICE_MINOR

from vendrail.api.orders import OrderQuery, RefundOrder
from vendrail.api.settlement import Freeze
from vendrail.api.support import (
    ComplaintKind,
    ComplaintQuery,
    ComplaintState,
    OpenStatus,
    Outcome,
    Party,
    Remedy,
    Side,
    StepKind,
    StepStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id, shard_in

SHARE_MINOR = 1_930  # 19.90 less 2.5 % and 0.10.
TAKEN, NOT_FOUND = StepStatus.TAKEN, StepStatus.COMPLAINT_NOT_FOUND
ANSWER, ACCEPT, ESCALATE = StepKind.ANSWER, StepKind.ACCEPT, StepKind.ESCALATE
WITHDRAW, RULE = StepKind.WITHDRAW, StepKind.RULE


async def stands(case, complaint):
    """How a complaint stands: its state and its end."""
    view = await case.view(complaint)
    return view.state, view.outcome


async def test_a_complaint_freezes_its_order_and_a_withdrawn_one_lets_go(case):
    """Exactly the order's share is frozen while a complaint stands, and no longer."""
    order, buyer = await case.sell()
    await case.sell()
    before = await case.balance()
    complaint = await case.complain(order, buyer)
    during, view = await case.balance(), await case.view(complaint)
    taken = await case.step(complaint, buyer, WITHDRAW)

    assert (2 * SHARE_MINOR, 0) == before
    assert (SHARE_MINOR, SHARE_MINOR) == during
    assert (PRICE_MINOR, SHARE_MINOR) == (view.amount_minor, view.frozen_minor)
    assert TAKEN is taken
    assert before == await case.balance()
    assert (ComplaintState.CLOSED, Outcome.WITHDRAWN) == await stands(case, complaint)
    assert [] == await case.findings()


async def test_opening_again_opens_nothing(case):
    """The same complaint again is there; another one of the order must wait, or differs."""
    order, buyer = await case.sell()
    asked = case.complaint(order, buyer)
    other = replace(asked, kind=ComplaintKind.OTHER)
    second = case.complaint(order, buyer)
    statuses = await case.support.open_complaints([asked, asked, other, second])

    assert ["opened", "exists", "exists_different", "one_is_open"] == statuses
    assert (0, SHARE_MINOR) == await case.balance()


async def test_what_cannot_be_complained_of(case):
    """Only buyers, only of what was delivered, in time, of keys they have, and with words."""
    order, buyer = await case.sell()
    unpaid = await case.place()
    [addressee] = await case.orders.read_addressees([unpaid])
    at_once = [
        case.complaint(order, replace(buyer, secret="x" * 43)),
        case.complaint(unpaid, Party(Side.BUYER, addressee.secret)),
        case.complaint(order, buyer, text=" n "),
        case.complaint(order, buyer, positions=[2]),
    ]
    early = await case.support.open_complaints(at_once)
    case.clock.advance(8 * 86_400)
    late = await case.support.open_complaints([case.complaint(order, buyer)])
    case.clock.advance(23 * 86_400)
    later = await case.support.open_complaints([case.complaint(order, buyer, ComplaintKind.OTHER)])

    assert ["order_not_found", "not_delivered", "text_malformed", "positions_malformed"] == early
    assert [OpenStatus.TOO_LATE] == late == later


async def test_two_characters_say_what_is_wrong_where_they_are_a_word(case):
    """A complaint in Chinese is as long as its words are there."""
    order, buyer = await case.sell()
    [status] = await case.support.open_complaints([case.complaint(order, buyer, text="失效")])

    assert OpenStatus.OPENED is status


async def test_a_dead_key_is_replaced_and_the_old_one_void(case):
    """A merchant grants new keys: the buyer has them at once, one more key is counted."""
    order, buyer = await case.sell()
    [old] = (await case.orders.read_orders([OrderQuery(order, None, with_items=True)]))[0].items
    complaint = await case.complain(order, buyer, ComplaintKind.DEAD_KEY)
    taken = await case.step(complaint, case.staff, ANSWER, Remedy.REPLACE)
    [view] = await case.orders.read_orders([OrderQuery(order, None, with_items=True)])
    [count] = await case.catalog.count_stock(["S1"])

    assert TAKEN is taken
    assert (ComplaintState.CLOSED, Outcome.REPLACED) == await stands(case, complaint)
    assert old not in view.items
    assert [old] == [each.text for each in view.replaced]
    assert (10, 1, 1) == (count.free, count.sold, count.void)
    assert (SHARE_MINOR, 0) == await case.balance()
    assert [] == await case.findings()


async def test_what_cannot_be_replaced_is_the_operators_case(case):
    """Where no key is free the complaint goes to the operator, who gives the money back."""
    order, buyer = await case.sell()
    for _ in range(11):
        await case.sell()
    complaint = await case.complain(order, buyer, ComplaintKind.DEAD_KEY)
    await case.step(complaint, case.staff, ANSWER, Remedy.REPLACE)
    stuck = await case.view(complaint)
    ruled = await case.step(complaint, OPERATOR, RULE, Remedy.REFUND)
    await case.settle()

    assert (ComplaintState.ESCALATED, "replace_sold_out") == (stuck.state, stuck.problem)
    assert TAKEN is ruled
    assert (ComplaintState.CLOSED, Outcome.REFUNDED) == await stands(case, complaint)
    assert "refunded" == await case.state(order)


async def test_a_part_is_offered_accepted_and_paid(case):
    """The buyer takes a part: it goes back out of what was frozen, the rest is the merchant's."""
    order, buyer = await case.sell()
    complaint = await case.complain(order, buyer)
    offered = await case.step(complaint, case.staff, ANSWER, Remedy.PART, 500)
    answered = await stands(case, complaint)
    accepted = await case.step(complaint, buyer, ACCEPT)
    await case.settle()

    assert [TAKEN, TAKEN] == [offered, accepted]
    assert (ComplaintState.ANSWERED, None) == answered
    assert (ComplaintState.CLOSED, Outcome.PART_REFUNDED) == await stands(case, complaint)
    assert (SHARE_MINOR - 500, 0) == await case.balance()
    assert [] == await case.findings()


async def test_a_rejection_is_escalated_and_ruled(case):
    """The platform decides what the two could not: the buyer gets all back, the merchant pays."""
    order, buyer = await case.sell()
    complaint = await case.complain(order, buyer)
    silent = await case.step(complaint, case.staff, ANSWER, Remedy.REJECT)
    rejected = await case.step(complaint, case.staff, ANSWER, Remedy.REJECT, text="It works here.")
    escalated = await case.step(complaint, buyer, ESCALATE, text="It does not.")
    ruled = await case.step(complaint, OPERATOR, RULE, Remedy.REFUND, text="It was never valid.")
    await case.settle()

    assert StepStatus.TEXT_MALFORMED is silent
    assert [TAKEN] * 3 == [rejected, escalated, ruled]
    assert (ComplaintState.CLOSED, Outcome.REFUNDED) == await stands(case, complaint)
    assert "refunded" == await case.state(order)
    talk = await case.talk(order, buyer)
    assert ["opened", "offered", "escalated", "ruled", "done"] == [m.step for m in talk.messages]
    assert "It was never valid." == talk.messages[3].text
    assert [] == await case.findings()


async def test_silence_of_the_merchant_gives_all_back(case):
    """A merchant who does not answer in time has granted the refund, to the second."""
    order, buyer = await case.sell()
    complaint = await case.complain(order, buyer)
    await case.wait(hours=71.9)
    before = await stands(case, complaint)
    await case.wait(hours=0.2)
    await case.settle()
    view = await case.view(complaint)

    assert (ComplaintState.OPEN, None) == before
    assert (Outcome.REFUNDED, Side.LIMIT) == (view.outcome, view.decided_by)
    assert "refunded" == await case.state(order)


@pytest.mark.parametrize(
    "remedy, amount_minor, outcome",
    [(Remedy.REJECT, 0, Outcome.REJECTED), (Remedy.PART, 300, Outcome.PART_REFUNDED)],
)
async def test_silence_of_the_buyer_takes_what_was_answered(case, remedy, amount_minor, outcome):
    """A buyer who says nothing more has taken what was answered: nothing, or the part offered."""
    order, buyer = await case.sell()
    complaint = await case.complain(order, buyer)
    await case.step(complaint, case.staff, ANSWER, remedy, amount_minor, "We have looked at it.")
    await case.wait(hours=168.1)
    await case.settle()

    assert (ComplaintState.CLOSED, outcome) == await stands(case, complaint)
    assert (SHARE_MINOR - amount_minor, 0) == await case.balance()
    assert [] == await case.findings()


async def test_steps_are_taken_by_whose_turn_it_is(case):
    """Nobody acts for another, out of turn, after the end, or with what makes no sense."""
    order, buyer = await case.sell()
    complaint = await case.complain(order, buyer)
    stranger = replace(case.staff, merchant=new_id(case.clock.now()))
    statuses = [
        await case.step(complaint, stranger, ANSWER, Remedy.REFUND),
        await case.step(complaint, buyer, ANSWER, Remedy.REFUND),
        await case.step(complaint, case.staff, RULE, Remedy.REFUND),
        await case.step(complaint, replace(buyer, secret="no"), WITHDRAW),
        await case.step(new_id(case.clock.now()), buyer, WITHDRAW),
        await case.step(complaint, buyer, ACCEPT),
        await case.step(complaint, case.staff, ANSWER),
        await case.step(complaint, case.staff, ANSWER, Remedy.PART, PRICE_MINOR),
    ]
    await case.step(complaint, buyer, WITHDRAW)
    ended = await case.step(complaint, OPERATOR, RULE, Remedy.REFUND)

    assert [NOT_FOUND] * 5 == statuses[:5]
    not_theirs = StepStatus.NOT_THEIR_TURN
    assert [not_theirs, StepStatus.REMEDY_MALFORMED, StepStatus.AMOUNT_OUT_OF_RANGE] == statuses[5:]
    assert not_theirs is ended


async def test_a_lapse_waits_until_the_bank_has_decided(case):
    """What silence has granted is given once the chargeback has ended; it does not fail."""
    order, buyer = await case.sell()
    complaint = await case.complain(order, buyer)
    [view] = await case.orders.read_orders([OrderQuery(order, None)])
    id = new_id(case.clock.now())
    dispute = Freeze(id, order, case.merchant, PRICE_MINOR, "CNY", is_exclusive=True)
    await case.settlement.freeze_money([dispute])
    await case.wait(hours=73)
    await case.settle()
    during = await case.view(complaint)
    asked = RefundOrder(new_id(case.clock.now()), order, 0, "sorry", "shop@north.example")
    statuses = await case.orders.refund_orders([asked])
    [refunds] = await case.orders.read_refunds([order])
    await case.settlement.unfreeze_money([dispute])
    case.clock.advance(600)
    await case.settle()
    after = await case.view(complaint)

    assert "delivered" == view.state
    assert (ComplaintState.CARRYING, "") == (during.state, during.problem)
    assert ["disputed"] == statuses
    assert [] == refunds
    assert (ComplaintState.CLOSED, Outcome.REFUNDED) == (after.state, after.outcome)
    assert "refunded" == await case.state(order)
    assert [] == await case.findings()


async def test_refund_and_complaint_meet_and_the_money_goes_back_once(case):
    """The merchant refunds by hand while the platform rules: the buyer gets it once."""
    order, buyer = await case.sell()
    complaint = await case.complain(order, buyer)
    refund = RefundOrder(new_id(case.clock.now()), order, 0, "sorry", "shop@north.example")
    await asyncio.gather(
        case.orders.refund_orders([refund]),
        case.step(complaint, OPERATOR, RULE, Remedy.REFUND),
    )
    await case.settle()
    [view] = await case.orders.read_orders([OrderQuery(order, None)])

    assert (ComplaintState.CLOSED, Outcome.REFUNDED) == await stands(case, complaint)
    assert PRICE_MINOR == view.refunded_minor
    assert 0 == (await case.balance())[1]
    assert [] == await case.findings()


async def test_lists_and_figures_tell_each_merchant_its_own(case):
    """Complaints are listed newest first, by state, page by page; figures count their ends."""
    ids = [await case.complain(*await case.sell()) for _ in range(3)]
    await case.step(ids[0], case.staff, ANSWER, Remedy.REJECT, text="No.")
    standing = [ComplaintState.OPEN, ComplaintState.ANSWERED]
    queries = [
        ComplaintQuery(case.merchant, standing, complaints_max=2),
        ComplaintQuery(case.merchant, standing, before=ids[1]),
        ComplaintQuery(None, [ComplaintState.ANSWERED]),
        ComplaintQuery(new_id(case.clock.now())),
    ]
    pages = await case.support.list_complaints(queries)
    [figures] = await case.support.sum_complaints([case.merchant])
    counts = {each.state: each.count for each in await case.support.count_complaints()}

    assert [ids[:0:-1], ids[:1], ids[:1], []] == [[each.id for each in page] for page in pages]
    assert 3 == figures.opened
    assert {"open": 2, "answered": 1, "escalated": 0, "carrying": 0} == counts


async def test_what_was_decided_is_not_complained_of_again(case):
    """A ruling stands, and a rejection that was let stand: no later silence pays the buyer."""
    ruled, let_stand = await case.sell(), await case.sell()
    first = await case.complain(*ruled)
    await case.step(first, case.staff, ANSWER, Remedy.REJECT, text="It works here.")
    await case.step(first, ruled[1], ESCALATE)
    await case.step(first, OPERATOR, RULE, Remedy.REJECT, text="It works.")
    second = await case.complain(*let_stand)
    await case.step(second, case.staff, ANSWER, Remedy.REJECT, text="It works here.")
    await case.step(second, let_stand[1], ACCEPT)
    case.clock.advance(2 * 86_400)
    before = await case.balance()
    again = [case.complaint(*each, ComplaintKind.OTHER) for each in (ruled, let_stand)]
    statuses = await case.support.open_complaints(again)

    assert [OpenStatus.DECIDED] * 2 == statuses
    assert (2 * SHARE_MINOR, 0) == before == await case.balance()


async def test_complaints_cannot_be_repeated_without_end(case):
    """One that was withdrawn leaves a day of rest, and three of an order are the most."""
    order, buyer = await case.sell()
    statuses = []
    for wait_s in (0, 86_399, 2, 86_401, 86_401):
        case.clock.advance(wait_s)
        asked = case.complaint(order, buyer, ComplaintKind.OTHER)
        statuses += await case.support.open_complaints([asked])
        await case.step(asked.id, buyer, WITHDRAW)

    assert ["opened", "too_soon", "opened", "opened", "too_many"] == statuses


async def test_a_complaints_id_is_of_now_and_of_its_order(case):
    """Lists and figures go by ids: one of another day, or of another shard, is refused."""
    order, buyer = await case.sell()
    asked = case.complaint(order, buyer)
    now, shard = case.clock.now(), shard_in(order)
    ids = [
        new_id(now - timedelta(days=2), shard),
        new_id(now + timedelta(days=2), shard),
        new_id(now, shard ^ 1),
    ]
    refused = await case.support.open_complaints([replace(asked, id=id) for id in ids])

    assert [OpenStatus.ID_MALFORMED] * 3 == refused
    assert [OpenStatus.OPENED] == await case.support.open_complaints([asked])
