"""Telling: what happens is told once, signed, across outages, and nobody waits for another."""

import asyncio
import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from tests.orders.test_letters import give_back
from tests.webhooks.conftest import Town, name_of, open_house

from vendrail.api.catalog import HoldPolicy
from vendrail.api.orders import OrderQuery, OrderRefunded
from vendrail.api.support import ComplaintMoved, ComplaintState
from vendrail.api.webhooks import (
    DeliveryName,
    DeliveryState,
    EndpointChange,
    EndpointState,
    EventKind,
    EventQuery,
    NewSecret,
    Redelivery,
)
from vendrail.app.audit import audit
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id, to_serial
from vendrail.webhooks.decide import DISABLED, LADDER_S, TOO_OLD, of_complaint, of_order

PEER = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
MORE = 1.21  # What a delay is at most, for its jitter.


def verify(told, secret, *, now):
    """Ask the independent library of Standard Webhooks; give what it has read, or its refusal."""
    if not PEER.exists():
        pytest.fail("The independent library is not installed; run `make test` once.")
    headers, body = told
    program = (
        "import json, sys, datetime as d, standardwebhooks.webhooks as w;"
        "told = json.load(sys.stdin);"
        "now = d.datetime.fromtimestamp(told['now'], d.timezone.utc);"
        "w.datetime = type('T', (d.datetime,), {'now': classmethod(lambda c, tz=None: now)});\n"
        "try: print(json.dumps(w.Webhook(told['secret']).verify(told['body'], told['headers'])))\n"
        "except w.WebhookVerificationError as error: print(json.dumps(str(error)))"
    )
    question = {
        "headers": headers,
        "body": body.decode(),
        "secret": secret,
        "now": now.timestamp(),
    }
    answer = subprocess.run(
        [PEER, "-c", program],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


async def test_an_order_is_told_once_signed_and_without_its_key(town, program):
    """A sale is told as paid and delivered, once each, and the independent library believes it."""
    made = await town.listen(program, is_ordered=True)
    order = await town.sell()
    for _ in range(3):
        await town.tell()
        town.clock.advance(7_200)
    at = town.clock.now() - timedelta(seconds=3 * 7_200)
    told = [verify(each, made.secret, now=at) for each in program.heard]
    forged = (program.heard[0][0], program.heard[0][1].replace(b"paid", b"held"))
    late = verify(program.heard[0], made.secret, now=at + timedelta(hours=1))
    [read] = await town.orders.read_orders([OrderQuery(order, None, with_items=True)])

    assert ["order.paid", "order.delivered"] == [each["type"] for each in told]
    assert [{"order": to_serial(order)}] * 2 == [each["data"] for each in told]
    assert 2 == len(set(program.ids))
    assert isinstance(verify(forged, made.secret, now=at), str)
    assert isinstance(late, str)
    assert read.items
    assert all(item.encode() not in body for item in read.items for _, body in program.heard)
    assert [DeliveryState.HEARD] * 2 == [each.state for each in await town.deliveries(made)]


async def test_a_wait_and_a_refund_are_told(town, program):
    """An order that waits for stock is told as paid and held; what goes back, with its refund."""
    await town.offer("B", keys=0, restock_wait_s=3_600, hold_policy=HoldPolicy.AT_PAYMENT)
    await town.listen(program, is_ordered=True)
    placed = await town.place("B")
    await town.pay(placed.order)
    await town.run()
    await town.tell()
    await town.offer("C")
    bought = await town.place("C")
    await town.pay(bought.order)
    await town.run()
    await give_back(town, bought, 500)
    await town.tell()
    [[refund]] = await town.orders.read_refunds([bought.order])
    held, back = (json.loads(program.heard[n][1])["data"] for n in (1, 4))

    assert ["order.paid", "order.held", "order.paid", "order.delivered"] == program.kinds[:4]
    assert ["order.refunded"] == program.kinds[4:]
    assert {"order": to_serial(placed.order), "reason": "restock"} == held
    assert {"order": to_serial(bought.order), "refund": to_serial(refund.id)} == back


def test_a_refund_says_paid_only_where_nothing_before_it_did(clock):
    """Long after the sale a program is not told again, or first of all, that it was paid."""
    now = clock.now()
    back = OrderRefunded(new_id(now), new_id(now), new_id(now), 500, 3, now)

    assert ["order.refunded"] == [each.kind for each in of_order(back)]
    assert ["order.paid", "order.refunded"] == [
        each.kind for each in of_order(replace(back, is_unfilled=True))
    ]


def test_an_offer_after_an_offer_is_told_too(clock):
    """A complaint answered twice is two happenings; the same answer read again is one."""
    now, later = clock.now(), clock.now() + timedelta(seconds=1)
    said = ComplaintMoved(
        new_id(now), new_id(now), new_id(now), ComplaintState.ANSWERED, "", 0, now
    )
    ids = {of_complaint(each)[0].id for each in (said, said, replace(said, at=later))}

    assert 2 == len(ids)


async def test_a_changed_secret_signs_beside_the_new_one_for_a_day(town, program):
    """For a day both secrets verify, then only the new one; the endpoint is told all along."""
    made = await town.listen(program)
    [again] = await town.webhooks.rotate_secrets([NewSecret(made.endpoint.id, town.merchant)])
    await town.webhooks.test_endpoints([name_of(made)])
    await town.tell()
    both = [verify(program.heard[0], s, now=town.clock.now()) for s in (made.secret, again.secret)]
    town.clock.advance(86_401)
    await town.service.forget()
    await town.webhooks.test_endpoints([name_of(made)])
    await town.tell()
    after = [verify(program.heard[1], s, now=town.clock.now()) for s in (made.secret, again.secret)]

    assert made.secret != again.secret
    assert made.secret.startswith("whsec_")
    assert ["webhook.test"] * 2 == [each["type"] for each in both]
    assert isinstance(after[0], str)
    assert "webhook.test" == after[1]["type"]


async def test_merchants_without_endpoints_cost_no_row(town, program, platform_url):
    """Orders of a merchant who has no endpoint leave nothing here, whoever else has one."""
    await town.sell()
    await town.read()
    await town.listen(program, merchant=new_id(town.clock.now()))
    await town.sell()
    await town.tell()
    owner = await connect_once(platform_url)
    kept = await owner.fetchval("select count(*) from webhooks.event")
    xid = await owner.fetchval(
        "select xid::text::bigint from webhooks.cursor where source = 'orders'"
    )
    await owner.close()

    assert (0, []) == (kept, program.heard)
    assert xid > 0  # They were read, and passed over.


@pytest.mark.parametrize("status", [500, 302, 404, 429])
async def test_what_is_not_heard_comes_again_under_the_same_id(town, program, status):
    """Whatever is not 2xx is told again later, the same id and body, a new time and signature."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    program.answers = [status]
    await town.sell()
    await town.tell()
    [waiting] = await town.deliveries(made)
    await town.tell()
    early = len(program.heard)
    town.clock.advance(LADDER_S[0] * MORE)
    await town.tell()
    [heard] = await town.deliveries(made)
    endpoint = await town.endpoint(made)
    (first, body), (second, again) = program.heard

    assert (DeliveryState.WAITING, 1) == (waiting.state, early)
    assert str(status) in waiting.problem
    assert (DeliveryState.HEARD, 2) == (heard.state, heard.attempts)
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert verify(program.heard[1], made.secret, now=town.clock.now())["type"]
    assert endpoint.failing_since is None


async def test_an_endpoint_may_ask_to_be_left_alone(town, program):
    """A Retry-After in seconds is kept to, where it is longer than the ladder's step."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    program.answers, program.headers = [503], [(b"retry-after", b"900")]
    await town.sell()
    await town.tell()
    [waiting] = await town.deliveries(made)

    assert timedelta(seconds=900) == waiting.due_at - town.clock.now()


async def test_after_an_outage_nothing_comes_twice_and_stale_news_is_dropped(
    town, program, platform_url, vault, tmp_path
):
    """X25: the platform was away for days; what is still news comes once, the rest is dropped."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    old = await town.sell()
    town.clock.advance(2 * 86_400)
    fresh = [await town.sell() for _ in range(3)]
    town.clock.advance(86_400 + 60)
    await town.house.stop()
    house = open_house(platform_url, town.clock, vault, tmp_path)
    again = Town(house, town.merchant, town.shop, town.channel)
    town.house = house  # To be stopped at the end.
    await again.tell()
    await again.tell()
    deliveries = await again.deliveries(made)
    told = [json.loads(body)["data"]["order"] for _, body in program.heard]
    report = await audit(platform_url)

    assert sorted(told) == sorted(to_serial(order) for order in fresh)
    assert len(program.ids) == len(set(program.ids))
    assert to_serial(old) not in told
    assert (DeliveryState.DROPPED, TOO_OLD) == (deliveries[0].state, deliveries[0].problem)
    assert [] == [(each.name, each.findings) for each in report.outcomes if each.findings]


async def test_a_program_that_was_away_is_told_within_its_bound(town, program):
    """After its outage a program gets its backlog a few at a time, never all at once."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    program.answers = [503] * 12
    for _ in range(12):
        await town.sell()
    await town.tell()
    town.clock.advance(LADDER_S[0] * MORE)
    await town.tell()
    town.clock.advance(LADDER_S[1] * MORE)
    await town.tell()

    assert {DeliveryState.HEARD} == {each.state for each in await town.deliveries(made)}
    assert program.open_most <= 4
    assert len({*program.ids}) == 12


async def test_one_that_hangs_holds_up_nobody_else(town, program, other):
    """While one endpoint lets every call hang, another hears everything at once."""
    await town.listen(program)
    fine = await town.listen(other, kinds=[EventKind.ORDER_DELIVERED])
    program.gate = asyncio.Event()
    for _ in range(8):
        await town.sell()
    await town.read()
    for _ in range(40):
        await town.service.telling.send_due()
        waiting = await town.deliveries(fine, DeliveryState.WAITING)
        if not waiting:
            break
        done, _ = await asyncio.wait(
            set(town.service.telling._flights), timeout=5, return_when=asyncio.FIRST_COMPLETED
        )
        assert done
    hanging = program.open_count
    program.gate.set()
    await town.service.telling.drain()

    assert 8 == len(other.heard)
    assert 4 == hanging


async def test_an_ordered_endpoint_hears_one_at_a_time_in_order(town, program):
    """Where order is asked for, what is not heard holds up what comes after it, and only there."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED], is_ordered=True)
    orders = [await town.sell() for _ in range(4)]
    program.answers = [500]
    await town.tell()
    before = len(program.heard)
    town.clock.advance(LADDER_S[0] * MORE)
    await town.tell()
    told = [json.loads(body)["data"]["order"] for _, body in program.heard]

    assert 1 == before
    assert told == [to_serial(each) for each in (orders[0], *orders)]
    assert 1 == program.open_most
    assert {DeliveryState.HEARD} == {each.state for each in await town.deliveries(made)}


async def test_a_teller_that_dies_is_replaced(town, program):
    """What was being told when its process died is told again when its lease is over."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    await town.sell()
    await town.read()
    await town.service.telling.send_due()
    for flight in list(town.service.telling._flights):  # As when the process is killed.
        flight.cancel()
    await town.service.telling.drain()
    await town.tell()
    held = len(program.heard)
    town.clock.advance(60)
    await town.tell()

    assert (0, 1) == (held, len(program.heard))
    assert [DeliveryState.HEARD] == [each.state for each in await town.deliveries(made)]


async def test_one_that_hears_nothing_for_days_is_disabled_and_may_come_back(
    town, program, platform_url
):
    """It is disabled, what waits is dropped with the reason; enabled, it is told what it missed."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    program.answers = [500] * 50
    since = town.clock.now()
    for _ in range(6):
        await town.sell()
        await town.tell()
        town.clock.advance(86_400)
    disabled = await town.endpoint(made)
    tried = len(program.heard)
    await town.sell()
    await town.tell()
    town.clock.advance(1)
    silent = len(program.heard)
    states = {(each.state, each.problem) for each in await town.deliveries(made)}
    report = await audit(platform_url)
    program.answers = []
    change = EndpointChange(made.endpoint.id, town.merchant, is_enabled=True)
    await town.webhooks.change_endpoints([change])
    asked = Redelivery(made.endpoint.id, town.merchant, since, town.clock.now())
    [again] = await town.webhooks.redeliver_events([asked])
    await town.tell()
    back = await town.endpoint(made)

    assert (EndpointState.DISABLED, "not_heard") == (disabled.state, disabled.reason)
    assert silent == tried
    assert (DeliveryState.DROPPED, DISABLED) in states
    assert DeliveryState.WAITING not in {state for state, _ in states}
    assert 7 == again.count
    assert (EndpointState.ENABLED, "", None) == (back.state, back.reason, back.failing_since)
    assert 7 == len(set(program.ids[tried:]))
    assert {DeliveryState.HEARD} == {each.state for each in await town.deliveries(made)}
    assert [] == [(each.name, each.findings) for each in report.outcomes if each.findings]


async def test_gone_ends_an_endpoint_at_once(town, program):
    """410 says that nobody is there any more: it is not told again."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    program.answers = [410]
    await town.sell()
    await town.tell()
    endpoint = await town.endpoint(made)

    assert (EndpointState.DISABLED, "gone") == (endpoint.state, endpoint.reason)


async def test_the_ladder_ends_and_a_person_may_begin_it_anew(town, program):
    """Every step is tried, then no more; a press tells it again under the same id."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    program.answers = [500] * (len(LADDER_S) + 1)
    await town.sell()
    await town.tell()
    for delay_s in LADDER_S:
        town.clock.advance(delay_s * MORE)
        await town.tell()
    [given_up] = await town.deliveries(made)
    tried = len(program.heard)
    mine = DeliveryName(given_up.id, town.merchant)
    theirs = DeliveryName(given_up.id, new_id(town.clock.now()))
    begun = await town.webhooks.retry_deliveries([mine, theirs])
    await town.tell()
    [read, foreign] = await town.webhooks.read_deliveries([mine, theirs])

    assert DeliveryState.GIVEN_UP is given_up.state
    assert len(LADDER_S) + 1 == tried
    assert ["begun", "not_found"] == [each.status for each in begun]
    assert DeliveryState.HEARD is read.state
    assert foreign is None
    assert 1 == len(set(program.ids))
    assert tried + 1 == len(read.tries)


async def test_the_log_shows_heads_and_no_secret(town, program):
    """A try shows what was sent and answered; neither the signature nor a cookie is in it."""
    made = await town.listen(program, kinds=[EventKind.ORDER_DELIVERED])
    program.answers = [500]
    program.headers = [(b"set-cookie", b"session=verysecret"), (b"x-served-by", b"eleven")]
    await town.sell()
    await town.tell()
    [one] = await town.deliveries(made)
    [read] = await town.webhooks.read_deliveries([DeliveryName(one.id, town.merchant)])
    [attempt] = read.tries
    signature = program.heard[0][0]["webhook-signature"]

    assert 500 == attempt.status_code
    assert program.ids[0] in attempt.request
    assert signature not in attempt.request
    assert "x-served-by: eleven" in attempt.response
    assert "verysecret" not in attempt.response
    assert "heard it" in attempt.response
    assert json.loads(read.body)["type"] == "order.delivered"


async def test_what_happened_can_be_listed_page_by_page(town, program):
    """Events are listed newest first, of one merchant, of the kinds that are asked for."""
    await town.listen(program, kinds=[EventKind.ORDER_REFUNDED])
    for _ in range(3):
        await town.sell()
    await town.read()
    [first] = await town.webhooks.list_webhook_events([EventQuery(town.merchant, events_max=4)])
    rest = EventQuery(town.merchant, before=first[-1].id, events_max=4)
    paid = EventQuery(town.merchant, [EventKind.ORDER_PAID])
    strange = EventQuery(new_id(town.clock.now()))
    last, kinds, none = await town.webhooks.list_webhook_events([rest, paid, strange])

    assert ([4, 2], []) == ([len(first), len(last)], none)
    assert 6 == len({each.id for each in (*first, *last)})
    assert 3 == len(kinds)
    assert sorted((each.at for each in first), reverse=True) == [each.at for each in first]
