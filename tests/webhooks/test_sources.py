"""Sources: complaints, disputes, payouts and low stock are told too, each once, by their ids."""

import json

from tests.payouts.rows import write_rows

from vendrail.api.payments import DisputeTold, PaymentCaptured, PaymentEvent
from vendrail.api.payments.disputes import DisputedCapture, DisputeOutcome
from vendrail.api.payouts import PayoutState
from vendrail.api.support import (
    ComplaintKind,
    ComplaintStep,
    OpenComplaint,
    OpenStatus,
    Party,
    Side,
    StepKind,
    StepStatus,
    Support,
)
from vendrail.api.webhooks import EventKind
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.ids import new_id, shard_in, to_serial
from vendrail.kernel.outbox import Cursor, append_events
from vendrail.payouts.store.payouts import insert_steps


def told(program):
    """Give what a program has heard, as (kind, data)."""
    heard = [json.loads(body) for _, body in program.heard]
    return [(each["type"], each["data"]) for each in heard]


async def test_a_complaint_is_told_from_its_opening_to_its_end(town, program):
    """Opened and taken back, it is told as opened and closed, with the order and the outcome."""
    order = await town.sell()
    [addressee] = await town.orders.read_addressees([order])
    await town.listen(program, is_ordered=True)
    await town.tell()
    sold = len(program.heard)
    id, buyer = new_id(town.clock.now(), shard_in(order)), Party(Side.BUYER, addressee.secret)
    support = town.house.api(Support)
    asked = OpenComplaint(id, order, buyer.secret, ComplaintKind.OTHER, "It says: invalid.")
    opened = await support.open_complaints([asked])
    step = ComplaintStep(new_id(town.clock.now()), id, buyer, StepKind.WITHDRAW)
    taken = await support.take_steps([step])
    await town.tell()
    ids = {"complaint": to_serial(id), "order": to_serial(order)}

    assert ([OpenStatus.OPENED], [StepStatus.TAKEN]) == (opened, taken)
    assert [
        ("complaint.opened", ids),
        ("complaint.closed", {**ids, "outcome": "withdrawn"}),
    ] == told(program)[sold:]


async def test_a_dispute_is_told_once_however_often_its_provider_says_it(town, program):
    """Opened, opened again with a fee, and lost: told as opened and lost."""
    order = await town.sell()
    [page] = await town.payments.read_events([Cursor()])
    events = [each for batch in page.batches for each in decode(batch, list[PaymentEvent])]
    [capture] = [each.capture for each in events if isinstance(each, PaymentCaptured)]
    await town.listen(program, is_ordered=True)
    await town.tell()
    sold, now = len(program.heard), town.clock.now()
    outcomes = (DisputeOutcome.OPEN, DisputeOutcome.OPEN, DisputeOutcome.LOST)
    for outcome in outcomes:
        event = DisputeTold(
            capture=DisputedCapture(
                capture.id,
                capture.channel,
                capture.channel_name,
                capture.provider_number,
                capture.order,
                capture.merchant,
                capture.amount_minor,
                capture.currency,
            ),
            case_number="du_1",
            outcome=outcome,
            amount_minor=1_990,
            currency="CNY",
            reason="fraudulent",
            at=now,
        )
        async with town.house.databases["payments"].transaction() as tx:
            await append_events(tx, "payments", now, encode([event]), 1)
        await town.house.services["disputes"].carrying.consume()
    await town.tell()
    kinds = [kind for kind, _ in told(program)[sold:]]

    assert ["dispute.opened", "dispute.lost"] == kinds
    assert {to_serial(order)} == {data["order"] for _, data in told(program)[sold:]}


async def test_payouts_are_told_as_they_go_and_come_back(town, program):
    """What is sent, succeeded and returned is told; what is asked for or held, and tests, not."""
    await town.listen(program, is_ordered=True)
    payouts = await write_rows(town.house, town.merchant)
    moves = [PayoutState.RESERVED, PayoutState.SENT, PayoutState.SUCCEEDED, PayoutState.RETURNED]
    async with town.house.databases["payouts"].transaction() as tx:
        await tx.execute("update payouts.payout set origin = 'test' where id = $1", payouts[1])
        for state in moves:
            steps = [(payouts[0], state, "", ""), (payouts[1], state, "", "")]
            await insert_steps(tx, steps, town.clock.now())
    await town.tell()
    ids = {"payout": to_serial(payouts[0])}

    assert [
        ("payout.sent", ids),
        ("payout.succeeded", ids),
        ("payout.returned", ids),
    ] == told(program)


async def test_low_stock_is_told_once_until_there_is_enough_again(town, program):
    """Low is told once; filled above twice the bound and sold down, it is told again."""
    await town.offer("L", keys=6)
    made = await town.listen(program, kinds=[EventKind.STOCK_LOW])
    watching = town.service.watching(town.catalog)
    for _ in range(2):
        await watching.look()
    await town.tell()
    first = told(program)
    await town.stock("L", 30)
    await watching.look()
    for _ in range(3):
        placed = await town.place("L", 10)
        await town.pay(placed.order, quantity=10)
        await town.run()
    await watching.look()
    await town.tell()

    assert [("stock.low", {"sku": "L", "free": 6})] == first
    assert ["stock.low"] * 2 == program.kinds
    assert 2 == len(set(program.ids))
    assert 2 == len(await town.deliveries(made))
