"""Traces: one id from the request that places an order to its delivered key, and its refund."""

import asyncio
from collections import defaultdict


async def test_one_trace_runs_from_the_request_to_the_refund(open_market, keep_spans):
    """Every step of a sale and of its refund lies in the trace that its order names."""
    market = await open_market()
    spans = keep_spans()
    sale = await market.place()
    await market.pay(sale)
    await market.wait(sale, "delivered")
    await market.house.services["orders"].runner.settle_deliveries()
    await market.refund(sale)
    await asyncio.sleep(1.1)  # Keys are marked sold at leisure.
    view = await market.view(sale)
    told = {span.name for span in spans() if f"{span.context.trace_id:032x}" == view.trace_id}
    expected = {
        "POST",  # The request that placed the order: the root.
        "gateway.place_orders",
        "orders.place_orders",
        "catalog.hold_keys",
        "payments.open_attempts",
        "payments.callback",
        "orders.assess",
        "risk.assess_payments",
        "orders.allocate",
        "catalog.allocate_keys",
        "orders.split",
        "settlement.split_sales",
        "ledger.post_transfers",
        "orders.deliver",
        "orders.settle_deliveries",
        "orders.refund",
        "payments.refund",
        "provider.refund",
        "settlement.pay_refunds",
    }

    assert set() == expected - told


async def test_rows_of_a_sale_name_its_trace(open_market, keep_spans):
    """Order, attempt, capture and event carry the id that the request began."""
    market = await open_market()
    spans = keep_spans()
    sale = await market.place()
    await market.pay(sale)
    await market.wait(sale, "delivered")
    (root,) = [
        f"{span.context.trace_id:032x}"
        for span in spans()
        if span.name == "POST" and span.parent is None and is_parent_of_place(span, spans())
    ]
    named = await market.read_trace_ids(sale)

    assert {"order": {root}, "attempt": {root}, "capture": {root}, "event": {root}} == named


async def test_orders_that_share_a_batch_keep_their_own_traces(open_market, keep_spans):
    """Several orders that are paid and filled together each show every step in their own trace."""
    market = await open_market()
    spans = keep_spans()
    sales = await asyncio.gather(*(market.place(f"buyer{n}@example.com") for n in range(4)))
    bodies = [await market.signed(sale) for sale in sales]
    await asyncio.gather(*(market.call_back(body) for body in bodies))
    for sale in sales:
        await market.wait(sale, "delivered")
    steps = defaultdict(set)
    for span in spans():
        steps[f"{span.context.trace_id:032x}"].add(span.name)
    ids = {(await market.view(sale)).trace_id for sale in sales}

    assert 4 == len(ids)
    for id in ids:
        assert {"POST", "payments.callback", "orders.split", "orders.deliver"} <= steps[id]


async def test_nothing_is_kept_without_a_collector(open_market):
    """Where traces go nowhere, orders still name theirs: logs are found by it."""
    market = await open_market()
    view = await market.view(await market.place())

    assert 32 == len(view.trace_id)


def is_parent_of_place(root, spans):
    """Tell the request that placed an order from the callback's."""
    return any(
        span.name == "gateway.place_orders" and span.context.trace_id == root.context.trace_id
        for span in spans
    )
