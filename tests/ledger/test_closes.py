"""Closing days: the trial balance at the cut, what is open, and nothing is booked before it."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.test_sealing import seal_all

from vendrail.api.ledger import BlockCheck, Chart, Transfer, TransferCode, TransferId, TransferKind
from vendrail.api.ledger.closes import CloseDay, CloseItemQuery, CloseQuery
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive, new_id
from vendrail.ledger import closing
from vendrail.ledger.closing import ItemRow
from vendrail.ledger.service import LedgerService
from vendrail.ledger.settings import LedgerSettings
from vendrail.ledger.store import closes as store

CHART = Chart("CNY")
PROVIDER, HELD, CLEARING = (
    CHART.provider("alipay"),
    CHART.held(UUID(int=7)),
    CHART.refund_clearing(),
)
SUSPENSE = CHART.suspense_unmatched()
OWN = CHART.merchant(UUID(int=7), "available")
DAY_S = 86_400.0


@pytest.fixture
async def books(service, clock):
    """A ledger with a provider, a merchant and a clearing account; and a way to post."""
    await service.open_accounts([PROVIDER, HELD, CLEARING, OWN])

    async def post(debit, credit, amount_minor, subject=None) -> UUID:
        subject = subject or uuid4()
        new = Transfer(
            TransferId(new_id(clock.now())),
            debit.id,
            credit.id,
            amount_minor,
            TransferCode.ADJUSTMENT,
            subject,
        )
        [result] = await service.post_transfers([new])
        assert "created" == result.status
        return subject

    service.post = post
    return service


def today(clock) -> date:
    """Give the day it is where the operator is."""
    return closing.day_of(clock.now(), "Asia/Shanghai")


async def over(service, clock) -> date:
    """Let the day end and be sealed; give which it was."""
    day = today(clock)
    clock.advance((closing.cut_of(day, "Asia/Shanghai") - clock.now()).total_seconds() + 60)
    await seal_all(service, clock)
    return day


async def close(service, *days) -> list[str]:
    """Close days as a person."""
    return await service.close_days([CloseDay(day, "Mei") for day in days])


async def test_a_closed_day_says_what_accounts_held_at_the_cut(books, ledger, clock):
    """Sums are of all before the cut and nothing after it; debits are credits; days are chained."""
    await books.post(PROVIDER, HELD, 500)
    await books.post(HELD, OWN, 300)
    first = await over(books, clock)
    await books.post(PROVIDER, HELD, 7)
    assert ["closed"] == await close(ledger, first)
    second = await over(books, clock)
    assert ["closed"] == await close(ledger, second)
    one, two, none = await ledger.read_closes([first, second, second + timedelta(1)])

    held = {each.kind: each.credit_minor for each in one.sums}
    assert {"provider:alipay": -500, "held:*": 200, "merchant:*:available": 300} == held
    assert {"provider:alipay": -507, "held:*": 207, "merchant:*:available": 300} == {
        each.kind: each.credit_minor for each in two.sums
    }
    assert none is None
    assert (2, 1) == (one.close.count, two.close.count)
    assert (one.close.digest, one.close.until) == (two.close.previous, two.close.since)
    head = await ledger.read_head()
    assert head.block is not None
    assert (head.block.number, head.block.hash) == (two.close.block, two.close.head)
    assert [[second, first]] == [
        [each.day for each in page] for page in await ledger.list_closes([CloseQuery()])
    ]


async def test_days_are_closed_once_in_order_and_when_they_are_over(books, clock):
    """Not before its end, not before the one before, not while a part of it is unsealed."""
    await books.post(PROVIDER, HELD, 500)
    first = today(clock)

    assert ["not_over", "out_of_order", "nothing_booked"] == await close(
        books, first, first + timedelta(1), first - timedelta(1)
    )
    clock.advance((closing.cut_of(first, "Asia/Shanghai") - clock.now()).total_seconds() + 1)
    assert ["not_sealed"] == await close(books, first)
    await seal_all(books, clock)
    assert ["out_of_order"] == await close(books, first + timedelta(1))
    assert ["closed", "exists", "not_over"] == await close(
        books, first, first, first + timedelta(1)
    )


async def test_nothing_is_booked_in_a_closed_day(books, clock, books_database, vault):
    """A process whose clock is behind is refused, whichever accounts it would move; none moves."""
    await books.post(PROVIDER, OWN, 500)
    before = clock.now()
    assert ["closed"] == await close(books, await over(books, clock))
    behind = LedgerService(books_database, _Still(before), vault, LedgerSettings())
    balances = await books.read_balances([PROVIDER.id, HELD.id, OWN.id])
    pairs = [(PROVIDER, HELD), (OWN, HELD), (OWN, CLEARING)]
    for debit, credit in pairs:
        new = Transfer(
            TransferId(new_id(before)), debit.id, credit.id, 1, TransferCode.ADJUSTMENT, uuid4()
        )
        with pytest.raises(Broken, match="closed"):
            await behind.post_transfers([new])

    assert balances == await books.read_balances([PROVIDER.id, HELD.id, OWN.id])
    await books.post(PROVIDER, HELD, 1)


async def test_a_closed_day_gains_no_transfer_that_moves_nothing(
    books, clock, books_database, vault
):
    """A batch refused whole, or one that undoes itself, is not booked there: blocks stay whole."""
    await books.post(PROVIDER, OWN, 500)
    before = clock.now()
    assert ["closed"] == await close(books, await over(books, clock))
    behind = LedgerService(books_database, _Still(before), vault, LedgerSettings())
    short = Transfer(
        TransferId(new_id(before)), OWN.id, HELD.id, 10_000, TransferCode.ADJUSTMENT, uuid4()
    )
    unplain = replace(short, id=TransferId(new_id(before)), kind=TransferKind.PENDING)
    held = replace(unplain, id=TransferId(new_id(before)), amount_minor=5)
    let_go = replace(
        held, id=TransferId(new_id(before)), kind=TransferKind.VOID, pending=held.id, amount_minor=0
    )
    for batch in ([short], [unplain], [held, let_go]):
        with pytest.raises(Broken, match="closed"):
            await behind.post_transfers(batch)

    async with books_database.reading() as tx:
        count = await tx.fetch_value("select count(*) from ledger.transfer")
    assert 1 == count
    assert [BlockCheck.WHOLE] == await books.check_blocks([1])


class _Still:
    """A clock that stands."""

    def __init__(self, moment) -> None:
        self._moment = moment

    def now(self):
        return self._moment


async def test_what_did_not_leave_a_clearing_account_is_listed_with_its_age(books, ledger, clock):
    """An item stays on the list, from when it came, until it has left; then it is gone."""
    stuck = await books.post(HELD, CLEARING, 300)
    came = clock.now()
    clock.advance(1)
    quick = await books.post(HELD, CLEARING, 40)
    await books.post(CLEARING, PROVIDER, 40, quick)
    other = await books.post(HELD, CLEARING, 9)
    first = await over(books, clock)
    await books.post(CLEARING, PROVIDER, 9, other)
    second = await over(books, clock)
    await books.post(CLEARING, PROVIDER, 300, stuck)
    third = await over(books, clock)
    assert ["closed"] * 3 == await close(ledger, first, second, third)
    pages = await ledger.list_close_items([CloseItemQuery(each) for each in (first, second, third)])

    assert [[(stuck, 300), (other, 9)], [(stuck, 300)], []] == [
        [(each.subject, each.amount_minor) for each in page] for page in pages
    ]
    assert came == pages[1][0].since
    assert ("refund:clearing", "CNY") == (pages[1][0].account, pages[1][0].currency)
    [rest] = await ledger.list_close_items([CloseItemQuery(first, pages[0][0], 1)])
    assert pages[0][1:] == rest
    [closed] = await ledger.read_closes([first])
    assert (2, came) == (closed.close.items_count, closed.close.oldest_since)


async def test_unmatched_money_leaves_by_the_match_of_its_capture(books, ledger, clock):
    """Of two payments of one amount the one that an order got is gone; refunds hide no refund."""
    first, second, order = (new_id(clock.now()) for _ in range(3))
    await books.open_accounts([SUSPENSE])
    for capture in (first, second):
        await books.post(PROVIDER, SUSPENSE, 1_990, capture)
        clock.advance(1)
    asked, failed = await books.post(HELD, CLEARING, 40), await books.post(CLEARING, HELD, 40)
    one = await over(books, clock)
    match = Transfer(
        TransferId(derive(second, "match")),
        SUSPENSE.id,
        HELD.id,
        1_990,
        TransferCode.MATCHED,
        order,
    )
    [result] = await books.post_transfers([match])
    two = await over(books, clock)
    assert ["closed"] * 2 == await close(ledger, one, two)
    pages = await ledger.list_close_items([CloseItemQuery(each) for each in (one, two)])

    assert "created" == result.status
    assert [{first, second, asked, failed}, {first, asked, failed}] == [
        {each.subject for each in page} for page in pages
    ]


async def test_days_close_by_themselves_once_they_are_over(books, clock):
    """The loop closes each day that has been over for a while, also several, and then rests."""
    await books.post(PROVIDER, HELD, 500)
    first = today(clock)
    clock.advance(3 * DAY_S)
    await seal_all(books, clock)
    while await books.close_due():
        pass
    [closed] = await books.list_closes([CloseQuery()])

    assert [first + timedelta(each) for each in (2, 1, 0)] == [each.day for each in closed]
    assert first + timedelta(3) == (await books.read_closing()).day


async def test_uneven_books_are_not_closed(books, clock, books_database):
    """Where somebody wrote past the ledger so that sides differ, no day is closed over it."""
    await books.post(PROVIDER, HELD, 500)
    day = await over(books, clock)
    owner = await connect_once(books_database.dsn)
    try:
        await owner.execute("alter table ledger.transfer drop constraint transfer_has_two_sides")
        await owner.execute("update ledger.transfer set credit = null")
    finally:
        await owner.close()

    assert ["books_uneven"] == await close(books, day)


async def test_items_are_found_by_an_index(books, books_database):
    """What lies in clearing accounts is read by their entries, not by the whole journal."""
    async with books_database.transaction() as tx:
        await tx.execute("set local enable_seqscan = off")
        (row,) = await tx.fetch(
            f"explain (format json) {store.SUM_ITEMS}",
            datetime(2026, 11, 1, tzinfo=UTC),
            datetime(2026, 11, 2, tzinfo=UTC),
        )
    assert "Seq Scan" not in json.dumps(json.loads(row[0]))


amounts = st.integers(-3, 3).filter(bool)
rows = st.lists(st.tuples(st.integers(1, 2), st.integers(1, 5), amounts), max_size=12)


@given(rows, rows)
def test_what_is_open_adds_up_to_what_accounts_hold(before, moved):
    """Whatever came and left: each number's rest is listed once, and no other number hides it."""
    start = datetime(2026, 11, 1, tzinfo=UTC)
    first = closing.still_open(
        [], [ItemRow(a, UUID(int=s), m, start) for (a, s), m in _sum(before).items()]
    )
    items = closing.still_open(
        first,
        [ItemRow(a, UUID(int=s), m, start + timedelta(1)) for (a, s), m in _sum(moved).items()],
    )

    for account in (1, 2):
        held = sum(minor for each, _, minor in [*before, *moved] if each == account)
        assert held == sum(each.amount_minor for each in items if each.account == account)
    rest = {key: minor for key, minor in _sum([*before, *moved]).items() if minor}
    assert rest == {(each.account, each.subject.int): each.amount_minor for each in items}


def _sum(moved) -> dict[tuple[int, int], int]:
    summed: dict[tuple[int, int], int] = {}
    for account, subject, minor in moved:
        summed[account, subject] = summed.get((account, subject), 0) + minor
    return {key: minor for key, minor in summed.items() if minor}


@pytest.mark.parametrize(
    "spoiled, found",
    [
        ("update ledger.close_sum set debits_posted = debits_posted + 1", "digest_differs"),
        ("update ledger.close_item set amount_minor = amount_minor + 1", "digest_differs"),
        ("update ledger.close set closed_by = closed_by, head = sha256('x')", "digest_differs"),
        ("update ledger.close set since = since - interval '1 day'", "link_broken"),
        ("update ledger.block set hash = sha256('x')", "link_broken"),
        ("update ledger.close set signature = sha512('x')", "signature_wrong"),
    ],
)
async def test_a_close_that_was_changed_is_found(
    books, ledger, clock, database_url, spoiled, found
):
    """Hashed anew, a close says what it said when it was signed; whatever was changed is told."""
    await books.post(PROVIDER, HELD, 500)
    await books.post(HELD, CLEARING, 300)
    first = await over(books, clock)
    await books.post(CLEARING, PROVIDER, 40)
    second = await over(books, clock)
    assert ["closed"] * 2 == await close(books, first, second)
    whole = await ledger.check_closes([first, second, second + timedelta(1)])
    owner = await connect_once(database_url)
    await owner.execute("set session_replication_role = replica")  # Past the locks of the tables.
    await owner.execute(spoiled)
    await owner.close()

    assert ["whole", "whole", "not_found"] == whole
    assert [found] == await ledger.check_closes([second])
