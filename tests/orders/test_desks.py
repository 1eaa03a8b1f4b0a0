"""The desks' lists: pages without gap or repeat, items by id, and no plan that reads a table."""

import json
from uuid import UUID

import pytest

from vendrail.api.orders import SagaQuery
from vendrail.api.payments import UnmatchedQuery
from vendrail.api.risk import ReviewQuery
from vendrail.kernel.ids import new_id
from vendrail.kernel.saga import SagaState
from vendrail.orders import store as orders
from vendrail.payments.store import desk as payments
from vendrail.risk import store as risk

MANY = 20_000
FEW = 130  # Of them wait for a person: every so many.
NUMBER = "(lpad(to_hex($1::bigint + n), 12, '0') || '7000800000000000' || lpad(to_hex(n), 4, '0'))"

SAGAS = (
    "insert into orders.saga (id, kind, subject, data, state, trace_id, started_at, due_at)"
    f" select {NUMBER}::uuid, 'purchase', gen_random_uuid(), '{{}}',"
    "  case when n % 150 = 0 then 'stuck' when n % 151 = 0 then 'waiting' else 'running' end,"
    "  '', now(), now() + interval '1 day' from generate_series(1, 20000) n"
)
REVIEWS = (
    "insert into risk.review (order_id, merchant, amount_minor, currency, reasons, at, verdict,"
    "  person)"
    f" select {NUMBER}::uuid, case when n % 4 = 0 then $2::uuid else gen_random_uuid() end, 1990,"
    "  'CNY', array['list:reviewed'], now(), case when n % 150 > 0 then 'allow' end,"
    "  case when n % 150 > 0 then 'ann' end from generate_series(1, 20000) n"
)
CAPTURES = (
    "insert into payments.capture (id, channel, provider_number, method, amount_minor, currency,"
    "  fit, source, out_trade_no, paid_at, at, trace_id)"
    f" select {NUMBER}::uuid, case when n % 300 = 0 then gen_random_uuid() else $2::uuid end,"
    "  n::text, 'alipay', 1990, 'CNY',"
    "  case when n % 150 = 0 then 'order_unknown' else 'fits' end, 'query', n::text, now(), now(),"
    "  '' from generate_series(1, 20000) n"
)


@pytest.fixture
async def crowded(market):
    """The market with 20 000 of each, of which few wait for a person."""
    began = int(market.clock.now().timestamp() * 1000)
    for schema, table, statement, more in (
        ("orders", "saga", SAGAS, ()),
        ("risk", "review", REVIEWS, (market.merchant,)),
        ("payments", "capture", CAPTURES, (market.channel,)),
    ):
        async with market.house.databases[schema].transaction() as tx:
            await tx.execute(statement, began, *more)
            await tx.execute(f"analyze {schema}.{table}")
    return market


async def all_pages(read, size):
    """Read page after page, each after the last one of the page before; give all ids."""
    found, after = [], None
    while True:
        page = await read(after, size)
        found += page
        if len(page) < size:
            return found
        after = page[-1]


async def test_pages_go_on_where_the_one_before_ended(crowded):
    """Of sagas, reviews and unmatched money, all of a kind, each once, the oldest first."""

    async def stuck(after, size):
        [page] = await crowded.orders.list_sagas([SagaQuery(SagaState.STUCK, after, size)])
        assert {"stuck"} >= {each.state for each in page}
        return [each.id for each in page]

    async def reviews(after, size):
        [page] = await crowded.risk.list_reviews([ReviewQuery(None, after, size)])
        return [each.order for each in page]

    async def mine(after, size):
        query = ReviewQuery(crowded.merchant, after, size)
        [page] = await crowded.risk.list_reviews([query])
        return [each.order for each in page]

    async def money(after, size):
        [page] = await crowded.payments.list_unmatched([UnmatchedQuery(None, after, size)])
        return [each.id for each in page]

    async def of_channel(after, size):
        query = UnmatchedQuery(crowded.channel, after, size)
        [page] = await crowded.payments.list_unmatched([query])
        return [each.id for each in page]

    for read, count in ((stuck, 133), (reviews, 133), (mine, 66), (money, 133), (of_channel, 67)):
        whole, parts = await all_pages(read, 1_000), await all_pages(read, 10)
        assert (count, sorted(set(whole))) == (len(whole), whole), read.__name__
        assert whole == parts, read.__name__
    counts = await crowded.orders.count_sagas(list(SagaState))
    assert {"running": 1_000, "undoing": 0, "waiting": 132, "stuck": 133} == dict(
        zip((each.value for each in SagaState), counts, strict=True)
    )


async def test_an_item_is_read_by_its_id(crowded):
    """What waits is read by its id alone; what does not wait, or never was, is not there."""
    nobody = new_id(crowded.clock.now())
    [[saga]] = await crowded.orders.list_sagas([SagaQuery(SagaState.WAITING, sagas_max=1)])
    [[review]] = await crowded.risk.list_reviews([ReviewQuery(reviews_max=1)])
    [[money]] = await crowded.payments.list_unmatched([UnmatchedQuery(captures_max=1)])
    settled = UUID(int=review.order.int - (1 << 80) - 1)  # The one before it, long decided.
    fitting = UUID(int=money.id.int - (1 << 80) - 1)

    assert [saga, None, saga] == await crowded.orders.read_sagas([saga.id, nobody, saga.id])
    assert [None, review, None] == await crowded.risk.read_reviews([settled, review.order, nobody])
    assert [money, None, None] == await crowded.payments.read_unmatched([money.id, fitting, nobody])


async def plan_of(tx, statement, *arguments):
    """Give each table that a plan reads, and how."""
    (row,) = await tx.fetch(f"explain (format json) {statement}", *arguments)
    nodes, found = [json.loads(row[0])[0]["Plan"]], []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if "Relation Name" in node:
            found.append((node["Relation Name"], node["Node Type"], node.get("Index Name", "")))
    return found


async def test_no_page_reads_a_whole_table(crowded):
    """With 20 000 rows each page and each count goes by an index, even where the planner is free.

    What waits has an index of its own: a page of it is not looked for among what does not.
    """
    none, size = UUID(int=0), 50
    asked = {
        "orders": [
            (orders.saga_statement(statement, state), (none, size))
            for statement in (orders.LIST_SAGAS, orders.COUNT_SAGAS)
            for state in (None, *SagaState)
        ],
        "risk": [
            (risk.LIST_REVIEWS[False], (None, none, size)),
            (risk.LIST_REVIEWS[True], (crowded.merchant, none, size)),
        ],
        "payments": [
            (payments.LIST_UNMATCHED, (none, channel, size)) for channel in (None, crowded.channel)
        ],
    }
    crowds = {"saga", "review", "capture"}
    plans = {}
    for schema, statements in asked.items():
        async with crowded.house.databases[schema].transaction() as tx:
            await tx.execute("set local enable_seqscan = on")
            for statement, arguments in statements:
                plans[statement] = [
                    each for each in await plan_of(tx, statement, *arguments) if each[0] in crowds
                ]

    for statement, nodes in plans.items():
        assert nodes, statement
        assert not [node for node in nodes if node[1] == "Seq Scan"], statement
    used = {statement: {node[2] for node in nodes} for statement, nodes in plans.items()}
    for state in (SagaState.STUCK, SagaState.WAITING, SagaState.UNDOING):
        for statement in (orders.LIST_SAGAS, orders.COUNT_SAGAS):
            assert {"saga_of_state"} == used[orders.saga_statement(statement, state)]
    of_waiting = {"review_waiting_by_order", "review_waiting_of_merchant"}
    assert all(used[statement] <= of_waiting for statement in risk.LIST_REVIEWS.values())
    assert "capture_unmatched" in used[payments.LIST_UNMATCHED]
