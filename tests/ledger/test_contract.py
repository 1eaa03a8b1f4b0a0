"""What every ledger promises to its callers, here and far away."""

from uuid import UUID, uuid4

import pytest

from vendrail.api.ledger import (
    Account,
    AccountId,
    AccountLimit,
    Chart,
    EntryQuery,
    Ledger,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
    TransferResult,
    account_id,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id
from vendrail.kernel.money import AMOUNT_MINOR_MAX

MERCHANT = UUID(int=7)
CHART = Chart("CNY")
PROVIDER = CHART.provider("alipay")
HELD = CHART.held(MERCHANT)
AVAILABLE = CHART.merchant(MERCHANT, "available")
FROZEN = CHART.merchant(MERCHANT, "frozen")
FEE = CHART.platform_fee()
CARD = Account("prepaid:card", "CNY", AccountLimit.CREDITS_WITHIN_DEBITS)
DOLLARS = Chart("USD").platform_fee()


@pytest.fixture(autouse=True)
async def chart(service) -> None:
    """A small chart, opened."""
    accounts = [PROVIDER, HELD, AVAILABLE, FROZEN, FEE, CARD, DOLLARS]

    assert ["created"] * 7 == await service.open_accounts(accounts)


@pytest.fixture
def pay(clock):
    """Write transfers with fresh ids."""

    def write(debit: Account, credit: Account, amount_minor: int, **fields) -> Transfer:
        fields.setdefault("id", TransferId(new_id(clock.now())))
        fields.setdefault("subject", uuid4())
        return Transfer(
            debit=debit.id,
            credit=credit.id,
            amount_minor=amount_minor,
            code=TransferCode.ADJUSTMENT,
            **fields,
        )

    return write


async def statuses(ledger: Ledger, *transfers: Transfer) -> list[str]:
    return [str(result.status) for result in await ledger.post_transfers(transfers)]


async def counters(ledger: Ledger, account: Account) -> tuple[int, int, int, int]:
    (balance,) = await ledger.read_balances([account.id])
    return (
        balance.debits_pending,
        balance.debits_posted,
        balance.credits_pending,
        balance.credits_posted,
    )


async def test_opening_again_changes_nothing(ledger):
    """Opening an account again is `exists`, with other terms `exists_different`."""
    new = Account("promotion", "CNY")
    batch = [new, new, replace(AVAILABLE, limit=AccountLimit.NONE), AVAILABLE]

    assert ["created", "exists", "exists_different", "exists"] == await ledger.open_accounts(batch)
    assert ["exists"] == await ledger.open_accounts([new])


async def test_accounts_need_a_name_and_a_currency(ledger):
    """A name out of the chart's form and a currency nobody knows are refused."""
    batch = [Account("", "CNY"), Account("Fee 1", "CNY"), Account("fee", "XXX")]

    assert [
        "name_malformed",
        "name_malformed",
        "currency_unknown",
    ] == await ledger.open_accounts(batch)


async def test_the_chart_derives_ids_from_names():
    """The chart's records and the bare names give the same ids."""
    assert account_id(f"merchant:{MERCHANT}:available", "CNY") == AVAILABLE.id
    assert AccountLimit.DEBITS_WITHIN_CREDITS == AVAILABLE.limit
    assert AccountLimit.NONE == CHART.merchant(MERCHANT, "debt").limit
    assert Chart("CNY").held(MERCHANT) == HELD != Chart("USD").held(MERCHANT)


async def test_replay_moves_money_once(ledger, pay):
    """Sending a batch twice moves the money once, and says so."""
    batch = [pay(PROVIDER, HELD, 500), pay(AVAILABLE, HELD, 900)]

    assert ["created", "balance_too_low"] == await statuses(ledger, *batch)
    assert ["exists", "balance_too_low"] == await statuses(ledger, *batch)
    assert (0, 0, 0, 500) == await counters(ledger, HELD)


async def test_a_plain_batch_is_replayed_as_exists(ledger, pay):
    """A batch without any difficulty is `created` once and `exists` for ever after."""
    batch = [pay(PROVIDER, HELD, 500), pay(HELD, AVAILABLE, 450), pay(HELD, FEE, 50)]

    assert ["created"] * 3 == await statuses(ledger, *batch)
    assert ["exists"] * 3 == await statuses(ledger, *batch)
    assert [TransferResult("exists", 450)] == await ledger.post_transfers(batch[1:2])
    assert (0, 500, 0, 500) == await counters(ledger, HELD)
    assert (0, 0, 0, 450) == await counters(ledger, AVAILABLE)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": 501},
        {"debit": FEE.id},
        {"credit": FEE.id},
        {"code": TransferCode.PAYOUT},
        {"subject": UUID(int=1)},
        {"kind": TransferKind.PENDING},
        {"is_balancing": True},
        {"memo": "another"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_every_field_tells_repeats_apart(service, pay, changes):
    """The same id with any other field is `exists_different`, after success and after refusal."""
    done, refused = pay(PROVIDER, HELD, 500), pay(AVAILABLE, HELD, 500)

    assert ["created", "balance_too_low"] == await statuses(service, done, refused)
    assert ["exists_different"] * 2 == await statuses(
        service, replace(done, **changes), replace(refused, **changes)
    )
    assert ["exists", "balance_too_low"] == await statuses(service, done, refused)


async def test_a_refusal_is_given_for_ever(ledger, pay):
    """What was refused once stays refused under its id, also when it could be done now."""
    early = pay(AVAILABLE, FEE, 500)

    assert ["balance_too_low"] == await statuses(ledger, early)
    assert ["created"] == await statuses(ledger, pay(PROVIDER, AVAILABLE, 500))
    assert ["balance_too_low"] == await statuses(ledger, early)
    assert ["created"] == await statuses(ledger, pay(AVAILABLE, FEE, 500))


async def test_the_last_cent_may_be_spent_and_no_more(ledger, pay):
    """An account may give all it has, in one batch or the next, and then not one cent more."""
    await statuses(ledger, pay(PROVIDER, AVAILABLE, 100), pay(CARD, HELD, 100))

    assert ["created", "created"] == await statuses(
        ledger, pay(AVAILABLE, FEE, 99), pay(PROVIDER, CARD, 99)
    )
    assert ["balance_too_low", "balance_too_low"] == await statuses(
        ledger, pay(AVAILABLE, FEE, 2), pay(PROVIDER, CARD, 2)
    )
    assert ["created", "balance_too_low"] == await statuses(
        ledger, pay(AVAILABLE, FEE, 1), pay(AVAILABLE, FEE, 1)
    )
    assert (0, 100, 0, 100) == await counters(ledger, AVAILABLE)


async def test_items_see_the_items_before(ledger, pay):
    """Within one batch money that came in may go out again, but not the other way round."""
    batch = [pay(AVAILABLE, FEE, 5), pay(PROVIDER, AVAILABLE, 5), pay(AVAILABLE, FEE, 5)]

    assert ["balance_too_low", "created", "created"] == await statuses(ledger, *batch)
    assert (0, 5, 0, 5) == await counters(ledger, AVAILABLE)


async def test_the_ladder_of_refusals(ledger, pay):
    """Each ordinary mistake has its own status, and the first in the list is given."""
    nowhere = Account("nowhere", "CNY")
    batch = {
        "amount_not_positive": pay(HELD, HELD, 0),
        "amount_too_large": pay(HELD, HELD, AMOUNT_MINOR_MAX + 1),
        "accounts_equal": pay(nowhere, nowhere, 1),
        "account_not_found": pay(nowhere, DOLLARS, 1),
        "currencies_differ": pay(AVAILABLE, DOLLARS, 1),
        "pending_not_found": pay(HELD, FEE, 1, kind=TransferKind.POST, pending=uuid4()),
        "balance_too_low": pay(PROVIDER, CARD, 1),
    }

    assert list(batch) == await statuses(ledger, *batch.values())
    assert list(batch) == await statuses(ledger, *batch.values())


async def test_one_id_twice_in_a_batch(ledger, pay):
    """The second of two equal items of a batch is `exists`, another under its id is not."""
    one = pay(PROVIDER, HELD, 5)
    low = pay(AVAILABLE, HELD, 5)
    batch = [one, one, replace(one, amount_minor=6), low, low, replace(low, amount_minor=6)]

    assert [
        "created",
        "exists",
        "exists_different",
        "balance_too_low",
        "balance_too_low",
        "exists_different",
    ] == await statuses(ledger, *batch)
    assert (0, 0, 0, 5) == await counters(ledger, HELD)


async def test_a_chain_goes_whole_or_not_at_all(ledger, pay):
    """One refused member takes its whole chain with it, and nothing else."""
    chain = [
        pay(PROVIDER, AVAILABLE, 10, is_linked=True),
        pay(AVAILABLE, FEE, 11, is_linked=True),
        pay(PROVIDER, FEE, 1),
    ]
    after = pay(AVAILABLE, FEE, 1)

    assert ["linked_failed", "balance_too_low", "linked_failed", "balance_too_low"] == (
        await statuses(ledger, *chain, after)
    )
    assert ["linked_failed", "balance_too_low", "linked_failed"] == await statuses(ledger, *chain)
    assert (0, 0, 0, 0) == await counters(ledger, AVAILABLE)
    assert (0, 0, 0, 0) == await counters(ledger, FEE)


async def test_a_chain_may_hold_what_exists(ledger, pay):
    """A member that stands in the books already does not break its chain."""
    booked = pay(PROVIDER, HELD, 10)
    sale = pay(HELD, AVAILABLE, 10)

    assert ["created"] == await statuses(ledger, booked)
    assert ["exists", "created"] == await statuses(ledger, replace(booked, is_linked=True), sale)


async def test_a_chain_must_end(ledger, pay):
    """A batch that ends within a chain has that chain refused."""
    batch = [pay(PROVIDER, HELD, 1), *(pay(PROVIDER, HELD, 1, is_linked=True) for _ in range(2))]

    assert ["created", "linked_failed", "chain_open"] == await statuses(ledger, *batch)


async def test_pending_amounts_count_against_the_limit(ledger, pay):
    """What is reserved cannot be spent twice."""
    pending = pay(AVAILABLE, FEE, 70, kind=TransferKind.PENDING)

    assert ["created"] == await statuses(ledger, pay(PROVIDER, AVAILABLE, 100))
    assert ["created", "balance_too_low", "created"] == await statuses(
        ledger, pending, pay(AVAILABLE, FEE, 31), pay(AVAILABLE, FEE, 30)
    )
    assert (70, 30, 0, 100) == await counters(ledger, AVAILABLE)
    assert (0, 0, 70, 30) == await counters(ledger, FEE)


@pytest.mark.parametrize(
    "amount_minor, moved_minor", [(0, 70), (70, 70), (50, 50)], ids=["whole", "named", "part"]
)
async def test_posting_moves_a_pending_amount(ledger, pay, amount_minor, moved_minor):
    """A post moves the pending amount, whole or in part, and gives the rest back."""
    pending = pay(AVAILABLE, FEE, 70, kind=TransferKind.PENDING)
    ends = pay(AVAILABLE, FEE, amount_minor, kind=TransferKind.POST, pending=pending.id)
    await statuses(ledger, pay(PROVIDER, AVAILABLE, 100), pending)

    assert [TransferResult("created", moved_minor)] == await ledger.post_transfers([ends])
    assert [TransferResult("exists", moved_minor)] == await ledger.post_transfers([ends])
    assert (0, moved_minor, 0, 100) == await counters(ledger, AVAILABLE)
    assert (0, 0, 0, moved_minor) == await counters(ledger, FEE)


async def test_a_pending_transfer_ends_once(ledger, pay):
    """After a void nothing else resolves a pending transfer, in one batch or in two."""
    pending = pay(PROVIDER, HELD, 70, kind=TransferKind.PENDING)
    void, post, again = (
        pay(PROVIDER, HELD, 0, kind=kind, pending=pending.id)
        for kind in (TransferKind.VOID, TransferKind.POST, TransferKind.VOID)
    )

    assert ["created", "created", "pending_resolved"] == await statuses(ledger, pending, void, post)
    assert ["pending_resolved"] == await statuses(ledger, again)
    assert (0, 0, 0, 0) == await counters(ledger, HELD)


async def test_the_ladder_of_resolving(ledger, pay):
    """A post must name a pending transfer, its accounts, and no more than it holds."""
    pending = pay(PROVIDER, HELD, 70, kind=TransferKind.PENDING)
    single = pay(PROVIDER, HELD, 70)
    post = TransferKind.POST
    batch = {
        "created": pending,
        "amount_not_positive": pay(PROVIDER, HELD, -1, kind=post, pending=pending.id),
        "pending_not_found": pay(PROVIDER, HELD, 1, kind=post, pending=single.id),
        "pending_different": pay(PROVIDER, FEE, 1, kind=post, pending=pending.id),
        "pending_too_small": pay(PROVIDER, HELD, 71, kind=post, pending=pending.id),
    }

    assert ["created"] == await statuses(ledger, single)
    assert list(batch) == await statuses(ledger, *batch.values())


async def test_a_pending_transfer_expires(ledger, service, pay, clock):
    """After its time a pending transfer cannot be posted, and the job gives the amount back."""
    pending = pay(PROVIDER, HELD, 70, kind=TransferKind.PENDING, timeout_s=60)
    early, late = (
        pay(PROVIDER, HELD, 0, kind=TransferKind.POST, pending=pending.id) for _ in range(2)
    )
    await statuses(ledger, pending)
    clock.advance(60)

    assert ["pending_expired"] == await statuses(ledger, early)
    assert (0, 0, 70, 0) == await counters(ledger, HELD)
    assert not await service.expire_transfers()
    assert (0, 0, 0, 0) == await counters(ledger, HELD)
    assert ["pending_expired"] == await statuses(ledger, late)
    (posted,) = await ledger.read_transfers([pending.subject])
    assert ["pending", "expire"] == [one.transfer.kind for one in posted]


async def test_expiry_leaves_the_others(ledger, service, pay, clock):
    """Neither what is not due nor what was posted in time is ended by the job."""
    posted, waiting = (
        pay(PROVIDER, HELD, 10, kind=TransferKind.PENDING, timeout_s=timeout_s)
        for timeout_s in (60, 61)
    )
    post = pay(PROVIDER, HELD, 0, kind=TransferKind.POST, pending=posted.id)
    await statuses(ledger, posted, waiting, post)
    clock.advance(60)
    await service.expire_transfers()

    assert (0, 0, 10, 10) == await counters(ledger, HELD)


async def test_balancing_moves_at_most_what_is_there(ledger, pay):
    """A balancing transfer takes what is there up to its amount; of nothing it takes nothing."""
    takes, nothing = (pay(AVAILABLE, HELD, 90, is_balancing=True) for _ in range(2))
    await statuses(ledger, pay(PROVIDER, AVAILABLE, 40))

    assert [
        TransferResult("created", 40),
        TransferResult("balance_too_low", 0),
    ] == await ledger.post_transfers([takes, nothing])
    assert [TransferResult("exists", 40)] == await ledger.post_transfers([takes])
    assert ["exists_different"] == await statuses(ledger, replace(takes, amount_minor=40))


async def test_balancing_heeds_the_credited_side(ledger, pay):
    """Where the credited account has the limit, balancing stops at it."""
    await statuses(ledger, pay(CARD, HELD, 30))

    assert [TransferResult("created", 30)] == await ledger.post_transfers(
        [pay(PROVIDER, CARD, 50, is_balancing=True)]
    )
    assert ["balance_too_low"] == await statuses(ledger, pay(PROVIDER, CARD, 1))


async def test_rolling_up_changes_no_balance(ledger, service, pay):
    """Busy accounts read the same before and after their deltas are added up."""
    for _ in range(3):
        await statuses(ledger, *(pay(PROVIDER, HELD, 5) for _ in range(4)))
    before = await ledger.read_balances([HELD.id, PROVIDER.id])
    await service.roll_up()

    assert before == await ledger.read_balances([HELD.id, PROVIDER.id])
    assert (0, 0, 0, 60) == await counters(ledger, HELD)


async def test_balances_of_unknown_accounts_are_none(ledger):
    """There is no balance where there is no account."""
    assert [None] == await ledger.read_balances([AccountId(uuid4())])
    assert [] == await ledger.read_balances([])


async def test_transfers_are_read_by_serial_number(ledger, pay):
    """All that stands in the books under a serial number is read, as it was sent, and no more."""
    subject = uuid4()
    chain = [
        pay(PROVIDER, HELD, 10, subject=subject, is_linked=True),
        pay(HELD, FEE, 10, subject=subject, memo="fee 3"),
        pay(PROVIDER, AVAILABLE, 7, subject=subject, is_balancing=True),
    ]
    await statuses(ledger, *chain, pay(AVAILABLE, FEE, 99, subject=subject), pay(PROVIDER, FEE, 1))

    found, none = await ledger.read_transfers([subject, uuid4()])
    assert sorted(chain, key=lambda one: one.id) == [posted.transfer for posted in found]
    assert [] == none


@pytest.mark.parametrize("account", [AVAILABLE, HELD], ids=["listed", "busy"])
async def test_entries_are_read_newest_first_by_pages(ledger, pay, clock, account):
    """Paging through an account's entries gives each once, the newest first, both sides."""
    sent = []
    for number in range(1, 8):
        sent.append(pay(PROVIDER, account, number * 10))
        sent.append(pay(account, FEE, number, memo=f"fee {number}"))
        await statuses(ledger, *sent[-2:], pay(PROVIDER, FEE, 1), pay(FROZEN, account, 1))
        clock.advance(3_600)
    pages, before = [], None
    while True:
        (page,) = await ledger.read_entries([EntryQuery(account.id, before, 4)])
        if not page:
            break
        pages.append(page)
        before = page[-1].transfer

    entries = [entry for page in pages for entry in page]
    assert [4, 4, 4, 2] == [len(page) for page in pages]
    assert {one.id for one in sent} == {entry.transfer for entry in entries}
    assert entries == sorted(entries, key=lambda one: (one.at, one.transfer), reverse=True)
    assert sum(range(1, 8)) * 9 == sum(entry.amount_minor for entry in entries)
    assert {PROVIDER.id, FEE.id} == {entry.counterpart for entry in entries}


@pytest.mark.parametrize("account", [AVAILABLE, HELD], ids=["listed", "busy"])
async def test_entries_of_what_moved_sum_to_the_balance(ledger, pay, clock, account):
    """Without reservations each payout is there once, and pages of them add up to the balance."""
    taken, given_back = (
        pay(account, FEE, amount, kind=TransferKind.PENDING) for amount in (30, 20)
    )
    ends = [
        pay(account, FEE, 0, kind=TransferKind.POST, pending=taken.id),
        pay(account, FEE, 0, kind=TransferKind.VOID, pending=given_back.id),
    ]
    for each in (pay(PROVIDER, account, 100), taken, given_back, *ends):
        assert ["created"] == await statuses(ledger, each)
        clock.advance(1)
    [last] = await ledger.read_entries([EntryQuery(account.id, None, 1, is_moved=True)])
    query = EntryQuery(account.id, last[0].transfer, 9, is_moved=True)
    [rest] = await ledger.read_entries([query])

    assert [-30, 100] == [each.amount_minor for each in (*last, *rest)]


async def test_entries_of_nothing_are_nothing(ledger, pay):
    """Unknown accounts and unknown places to go on from give no entries; others are not held up."""
    await statuses(ledger, pay(PROVIDER, HELD, 1))

    found = await ledger.read_entries(
        [
            EntryQuery(AccountId(uuid4())),
            EntryQuery(AVAILABLE.id, TransferId(uuid4())),
            EntryQuery(HELD.id, TransferId(uuid4())),
            EntryQuery(HELD.id),
        ]
    )
    assert [0, 0, 0, 1] == [len(entries) for entries in found]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": TransferKind.EXPIRE, "pending": UUID(int=1)},
        {"pending": UUID(int=1)},
        {"timeout_s": 1},
        {"kind": TransferKind.PENDING, "timeout_s": -1},
        {"kind": TransferKind.PENDING, "timeout_s": 10**10},
        {"kind": TransferKind.VOID, "pending": UUID(int=1), "is_balancing": True},
        {"memo": "x" * 201},
        {"memo": "\x00"},
    ],
    ids=str,
)
async def test_nonsense_is_malformed(ledger, pay, fields):
    """What no state of the books could make sense of is an error, and nothing is kept of it."""
    fine = pay(PROVIDER, HELD, 1)
    with pytest.raises(Malformed):
        await ledger.post_transfers([fine, pay(PROVIDER, HELD, 1, **fields)])

    assert ["created"] == await statuses(ledger, fine)


async def test_batches_and_pages_have_a_limit(service, pay):
    """A batch or a page beyond the limit is malformed; nothing in it is done."""
    one = pay(PROVIDER, HELD, 1)
    with pytest.raises(Malformed):
        await service.post_transfers([one] * 8_193)
    with pytest.raises(Malformed):
        await service.read_entries([EntryQuery(HELD.id, None, 1_001)])

    assert [] == await service.post_transfers([])
