"""Any number finds what it names, on one page, by an index; who looked is in the log."""

import json

from tests.disputes.rows import add_dispute
from tests.payouts.rows import write_rows

from vendrail.api.identity import ActQuery, Role
from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode, TransferId
from vendrail.api.payouts import PayoutId, Payouts
from vendrail.disputes.store import FIND_DISPUTES
from vendrail.epay.store import FIND_NUMBERS as FIND_CHARGES
from vendrail.kernel.ids import new_id, to_serial
from vendrail.ledger.store.reading import FIND_TRANSFERS
from vendrail.orders.store import FIND_NUMBERS
from vendrail.payments.attempts import out_trade_no
from vendrail.payments.store import numbers as payments
from vendrail.payouts.store.payouts import FIND_PAYOUTS
from vendrail.web.console.finding import masked
from vendrail.webhooks.store.log import FIND_EVENTS

PATH = "/operator/search"


async def test_every_number_leads_to_the_order_on_one_page(world, place):
    """The order's, the attempt's, the provider's, a movement's, a dispute's: one page says all."""
    browser = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    order = world.orders["sold"]
    serial = to_serial(order)
    [[capture]] = await world.market.payments.read_captures([order])
    [posted] = await world.house.api(Ledger).read_transfers([order])
    dispute = await add_dispute(place.url, world.clock.now(), world.market.merchant, order)
    numbers = (
        serial,
        str(order),
        out_trade_no(order, 1),
        out_trade_no(order, 1).lower(),
        capture.provider_number,
        to_serial(capture.id),
        to_serial(posted[-1].transfer.id),
        to_serial(dispute),
        f"du_{dispute.hex[-12:]}",
    )

    for number in numbers:
        await browser.go(f"{PATH}?q={number}")
        assert 200 == browser.page.status_code, number
        assert f'href="/operator/orders/{serial}"' in browser.page.text, number
        for part in ("Money that arrived", "In the books", capture.provider_number):
            assert part in browser.page.text, (number, part)
    acts = await world.identity.list_acts([ActQuery(None, 20, act="number.")])
    assert {f"number:{each}" for each in numbers} == {each.subject for each in acts[0]}


async def test_a_refund_and_what_it_moved_lead_to_its_order(world):
    """A refund's number finds its order, and so does a movement that is booked under the refund."""
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    order = world.orders["part"]
    [[refund]] = await world.market.orders.read_refunds([order])
    ledger, now, chart = world.house.api(Ledger), world.clock.now(), Chart("CNY")
    moved = Transfer(
        TransferId(new_id(now)),
        chart.platform_fee().id,
        chart.held(world.market.merchant).id,
        1,
        TransferCode.ADJUSTMENT,
        refund.id,
    )
    assert ["created"] == [each.status for each in await ledger.post_transfers([moved])]

    for number in (refund.id, moved.id):
        await browser.go(f"{PATH}?q={to_serial(number)}")
        assert f'href="/operator/orders/{to_serial(order)}"' in browser.page.text
        assert to_serial(refund.id) in browser.page.text


async def test_a_payout_is_found_by_either_number(world):
    """By ours and by the provider's; only who may see payouts has a link to it."""
    [sent, *_] = [
        each
        for each in await write_rows(world.house, world.market.merchant)
        if (await world.house.api(Payouts).read_payouts([PayoutId(each)]))[0].provider_number
    ]
    finance = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    support = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    for number in (to_serial(sent), "20261129" * 4):
        await finance.go(f"{PATH}?q={number}")
        assert f'href="/operator/payouts/{to_serial(sent)}"' in finance.page.text
    await support.go(f"{PATH}?q={to_serial(sent)}")

    assert to_serial(sent) in support.page.text
    assert f'href="/operator/payouts/{to_serial(sent)}"' not in support.page.text


async def test_what_nobody_knows_is_said_to_be_nowhere(world):
    """An unknown number is 404 and says what was searched; an empty page says what can be found."""
    browser = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await browser.go(f"{PATH}?q=<b>nobody-knows-this</b>")

    assert 404 == browser.page.status_code
    assert "Searched for: &lt;b&gt;nobody-knows-this&lt;/b&gt;" in browser.page.text
    await browser.go(PATH)
    assert 200 == browser.page.status_code
    assert "What can be found" in browser.text


async def test_a_contact_finds_its_orders_and_is_masked_in_the_log(world):
    """Whoever reads the log later sees that a buyer was looked for, and not which."""
    browser = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await browser.go(f"{PATH}?q=watched@example.com")
    [acts] = await world.identity.list_acts([ActQuery(None, 5, act="number.")])

    assert f'href="/operator/orders/{to_serial(world.orders["watched"])}"' in browser.page.text
    assert ["number:w…@example.com"] == [each.subject for each in acts]
    assert "…34" == masked("+86 138 0013 1234")
    assert "20261129" * 3 == masked("20261129" * 3)


async def test_a_movement_has_its_proof_beside_it(world):
    """The place in the sealed journal is a link to the proof; what is not sealed has none."""
    browser = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    order, ledger = world.orders["sold"], world.house.services["ledger"]
    [[first, *_]] = await ledger.read_transfers([order])
    proof = f"{PATH}/{to_serial(first.transfer.id)}/proof"
    await browser.go(f"{PATH}?q={to_serial(order)}")
    is_linked_before = f'href="{proof}"' in browser.page.text
    await seal(world)
    await browser.go(f"{PATH}?q={to_serial(order)}")

    assert not is_linked_before
    assert f'href="{proof}"' in browser.page.text
    await browser.go(proof)
    assert str(first.transfer.id) == json.loads(browser.page.text)["transfer"]
    assert browser.page.headers["content-disposition"].startswith("attachment")


async def seal(world) -> None:
    """Let the journal be sealed as far as it goes."""
    ledger = world.house.services["ledger"]
    for _ in range(4):
        world.clock.advance(180)
        while await ledger.seal():
            pass


async def plan_of(tx, statement, arguments) -> set[tuple[str, str]]:
    """Give each table that a plan reads, and how."""
    (row,) = await tx.fetch(f"explain (format json) {statement}", *arguments)
    nodes, found = [json.loads(row[0])[0]["Plan"]], set()
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if "Relation Name" in node:
            found.add((node["Relation Name"], node["Node Type"]))
    return found


async def test_every_look_goes_by_an_index(world):
    """Where the planner shuns reading whole tables, none is read whole: each look has an index."""
    id, words = new_id(world.clock.now()), ["2026112922001"]
    asked = {
        "orders": [(FIND_NUMBERS, ([id],))],
        "epay": [(FIND_CHARGES, (words,))],
        "payments": [
            (payments.FIND_ATTEMPTS, ([id], [1], [id], words)),
            (payments.FIND_CAPTURES, ([id], words, [id])),
            (payments.FIND_REFUNDS, ([id],)),
            (payments.FIND_SIGHTINGS, ([id], words, 64)),
        ],
        "payouts": [(FIND_PAYOUTS, ([id], words))],
        "disputes": [(FIND_DISPUTES, ([id], words))],
        "webhooks": [(FIND_EVENTS, ([id],))],
        "ledger": [(FIND_TRANSFERS, ([id],))],
    }
    small = {"account"}  # Card sites, of which there is one a merchant.
    for service, statements in asked.items():
        async with world.house.databases[service].transaction() as tx:
            await tx.execute("set local enable_seqscan = off")
            for statement, arguments in statements:
                plan = await plan_of(tx, statement, arguments)
                whole = {table for table, node in plan if node == "Seq Scan"}
                assert plan, statement
                assert whole <= (small if service == "epay" else set()), (statement, plan)
