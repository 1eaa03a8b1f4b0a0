"""Many at once: one id from two processes, crossing accounts, one reservation ended twice."""

import asyncio
import itertools
import random
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from vendrail.api.ledger import (
    Account,
    AccountLimit,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
    TransferResult,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id
from vendrail.kernel.migrate import role_name

RIVAL = Path(__file__).with_name("rival.py")
BANK = Account("bank", "CNY")
SINK = Account("sink", "CNY")
SHOPS = [
    Account(f"shop:{number}", "CNY", AccountLimit.DEBITS_WITHIN_CREDITS) for number in range(12)
]


@pytest.fixture(autouse=True)
async def chart(service) -> None:
    """Two free accounts and a street of shops."""
    await service.open_accounts([BANK, SINK, *SHOPS])


@pytest.fixture
def pay(clock):
    """Write transfers with fresh ids."""

    def write(debit: Account, credit: Account, amount_minor: int, **fields) -> Transfer:
        id = fields.pop("id", None) or TransferId(new_id(clock.now()))
        code = TransferCode.ADJUSTMENT
        return Transfer(id, debit.id, credit.id, amount_minor, code, id, **fields)

    return write


async def race(url: str, *shares: list[list[Transfer]]) -> list[list[TransferResult]]:
    """Let one process for each share post its batches, all at the same moment."""
    rivals = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            RIVAL,
            url,
            role_name("ledger"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in shares
    ]
    for rival, share in zip(rivals, shares, strict=True):
        rival.stdin.write(msgspec.json.encode(share) + b"\n")
    for rival in rivals:
        assert b"ready\n" == await rival.stdout.readline()
    for rival in rivals:
        rival.stdin.write(b"go\n")
    answers = [await rival.communicate() for rival in rivals]
    assert [0] * len(rivals) == [rival.returncode for rival in rivals]
    return [
        batch
        for answer, _ in answers
        for batch in msgspec.json.decode(answer, type=list[list[TransferResult]])
    ]


async def deadlocks(url: str) -> int:
    """Ask the server how often batches waited for each other in a circle."""
    owner = await connect_once(url)
    await owner.execute("select pg_stat_force_next_flush()")
    count = await owner.fetchval(
        "select deadlocks from pg_stat_database where datname = current_database()"
    )
    await owner.close()
    return count


async def conserved(database) -> tuple[int, int]:
    """Give what debits exceed credits by (posted, pending), over rolled-up and other counters."""
    async with database.reading() as tx:
        return tuple(
            await tx.fetch_row(
                """
                select sum(debits_posted - credits_posted)::bigint,
                       sum(debits_pending - credits_pending)::bigint
                  from (select debits_posted, credits_posted, debits_pending, credits_pending
                          from ledger.balance
                        union all
                        select debits_posted, credits_posted, debits_pending, credits_pending
                          from ledger.delta) as counters
                """
            )
        )


async def test_one_id_from_two_processes_is_created_once(service, database_url, pay):
    """The same transfer fifty times at once between free accounts moves its money once."""
    one = pay(BANK, SINK, 5)
    results = await race(database_url, [[one]] * 25, [[one]] * 25)

    assert {"created": 1, "exists": 49} == Counter(result.status for (result,) in results)
    (balance,) = await service.read_balances([SINK.id])
    assert 5 == balance.credits_posted


async def test_differing_payloads_under_one_id_have_one_winner(service, database_url, pay):
    """Fifty different transfers under one id: one is created, all others learn that they differ."""
    id = TransferId(pay(BANK, SINK, 1).id)
    requests = [pay(BANK, SINK, amount, id=id) for amount in range(1, 51)]
    shares = [[one] for one in requests]
    results = await race(database_url, shares[:25], shares[25:])

    assert {"created": 1, "exists_different": 49} == Counter(one.status for (one,) in results)
    (won,) = [one.amount_minor for (one,) in results if one.status == "created"]
    (balance,) = await service.read_balances([SINK.id])
    assert won == balance.credits_posted
    (again,) = await service.post_transfers([requests[won - 1]])
    assert "exists" == again.status


async def test_success_and_refusal_under_one_id_exclude_each_other(service, database_url, pay):
    """Where one payload would succeed and another be refused, the first to come decides for all."""
    id = TransferId(pay(BANK, SINK, 1).id)
    good, bad = pay(BANK, SINK, 7, id=id), pay(BANK, SINK, -7, id=id)
    results = await race(database_url, [[good]] * 25, [[bad]] * 25)

    seen = {one.status for (one,) in results}
    assert seen in (
        {"created", "exists", "exists_different"},
        {"amount_not_positive", "exists_different"},
    )
    again = [one.status for one in await service.post_transfers([good, bad])]
    expected = ["exists", "exists_different"]
    assert again == (expected if "created" in seen else ["exists_different", "amount_not_positive"])


async def test_one_id_among_many_in_two_processes(database_url, pay, books_database):
    """Batches that share ids in any order: each is created once, nobody waits in a circle."""
    rng = random.Random(7)
    shared = [pay(BANK, rng.choice(SHOPS), 3) for _ in range(40)]

    def batch() -> list[Transfer]:
        own = [pay(BANK, rng.choice(SHOPS), 2) for _ in range(20)]
        return rng.sample(own + shared, k=60)

    results = await race(database_url, [batch() for _ in range(12)], [batch() for _ in range(12)])

    seen = Counter(one.status for many in results for one in many)
    assert {"created": 24 * 20 + 40, "exists": 23 * 40} == seen
    assert (0, 0) == await conserved(books_database)
    assert 0 == await deadlocks(database_url)


async def test_fifty_batches_over_the_same_accounts(service, pay, books_database, database_url):
    """Fifty tasks over crossing limited accounts: no deadlock, nothing below zero, nothing lost."""
    rng = random.Random(11)
    await service.post_transfers([pay(BANK, shop, 1_000) for shop in SHOPS])

    def batch() -> list[Transfer]:
        pairs = [rng.sample(SHOPS, k=2) for _ in range(30)]
        return [pay(*pair, rng.randint(1, 120), is_balancing=rng.random() < 0.2) for pair in pairs]

    batches = [batch() for _ in range(50)]
    results = await asyncio.gather(*(service.post_transfers(one) for one in batches))

    seen = Counter(one.status for many in results for one in many)
    assert {"created", "balance_too_low"} == seen.keys()
    balances = await service.read_balances([shop.id for shop in SHOPS])
    assert 12_000 == sum(balance.credit_minor for balance in balances)
    assert 0 <= min(balance.credit_minor for balance in balances)
    assert (0, 0) == await conserved(books_database)
    assert 0 == await deadlocks(database_url)


async def test_large_batches_wait_in_one_order(service, pay, books_database, database_url):
    """Whatever plans and places on disk, plain batches over crossing accounts make no circle."""
    rng = random.Random(13)
    street = [
        Account(f"street:{number}", "CNY", AccountLimit.DEBITS_WITHIN_CREDITS)
        for number in range(3_000)
    ]
    await service.open_accounts(street)
    await service.post_transfers([pay(BANK, shop, 10_000) for shop in street])
    async with books_database.transaction() as tx:
        await tx.execute(
            "with gone as (delete from ledger.balance returning *)"
            " insert into ledger.balance select * from gone order by account desc"
        )
    async with books_database.reading() as tx:
        await tx.execute("analyze ledger.balance")
    batches = [
        [pay(*rng.sample(street, k=2), rng.randint(1, 9)) for _ in range(count)]
        for count in [1_500, 20, 20, 20] * 6
    ]
    results = await asyncio.gather(*(service.post_transfers(one) for one in batches))

    assert {"created"} == {one.status for many in results for one in many}
    assert (0, 0) == await conserved(books_database)
    assert 0 == await deadlocks(database_url)


async def test_an_account_is_never_spent_twice(service, pay):
    """Fifty at once want the same hundred: exactly as many succeed as the money allows."""
    for shop in SHOPS:
        await service.post_transfers([pay(BANK, shop, 100)])
        results = await asyncio.gather(
            *(service.post_transfers([pay(shop, SINK, 30)]) for _ in range(50))
        )

        assert {"created": 3, "balance_too_low": 47} == Counter(one.status for (one,) in results)


async def test_a_reservation_is_resolved_once(service, pay, clock):
    """Posts, voids and the expiry job at the same moment: one of them ends the reservation."""
    for timeout_s, _ in itertools.product((0, 5), range(4)):
        pending = pay(BANK, SINK, 10, kind=TransferKind.PENDING, timeout_s=timeout_s)
        await service.post_transfers([pending])
        clock.advance(5)
        kinds = [TransferKind.POST, TransferKind.VOID] * 10
        ends = [pay(BANK, SINK, 0, kind=kind, pending=pending.id) for kind in kinds]
        results = await asyncio.gather(
            *(service.post_transfers([end]) for end in ends), service.expire_transfers()
        )
        statuses = Counter(one.status for (one,) in results[:-1])
        (found,) = await service.read_transfers([pending.subject])
        resolving = await service.read_transfers([end.subject for end in ends])
        count = len(found) - 1 + sum(map(len, resolving))

        assert 1 == count
        expected = {"pending_expired": 20} if timeout_s else {"created": 1, "pending_resolved": 19}
        assert expected == statuses
    (balance,) = await service.read_balances([SINK.id])
    assert 0 == balance.credits_pending


async def test_a_refused_batch_changes_nothing_but_its_outcomes(service, pay, books_database):
    """After refusals every counter, delta and due time is as before; only outcomes were added."""
    shop = SHOPS[0]
    await service.post_transfers([pay(BANK, shop, 100)])

    async def everything() -> list[list[tuple]]:
        async with books_database.reading() as tx:
            return [
                sorted(tuple(row) for row in await tx.fetch(statement))
                for statement in (
                    "select * from ledger.balance",
                    "select * from ledger.delta",
                    "select * from ledger.due",
                    "select * from ledger.entry",
                    "select id, number from ledger.account",
                )
            ]

    before = await everything()
    low = pay(shop, SINK, 101)
    chain = [pay(BANK, SINK, 1, is_linked=True), pay(shop, SINK, 101)]
    pending = pay(shop, SINK, 101, kind=TransferKind.PENDING, timeout_s=9)
    results = await service.post_transfers([low, *chain, pending])
    different = await service.post_transfers([replace(low, amount_minor=1)])

    assert ["balance_too_low", "linked_failed", "balance_too_low", "balance_too_low"] == [
        one.status for one in results
    ]
    assert ["exists_different"] == [one.status for one in different]
    assert before == await everything()


async def test_the_database_guards_the_limit_too(books_database, service, pay):
    """With the decisions out of the way, PostgreSQL itself refuses a balance beyond its limit."""
    await service.post_transfers([pay(BANK, SHOPS[0], 100)])
    with pytest.raises(Exception, match="balance_check"):
        async with books_database.transaction() as tx:
            await tx.execute("update ledger.balance set debits_posted = 101 where account > 0")


async def test_opening_at_once_opens_once(service, books_database):
    """Fifty openings of the same accounts at once open each of them once."""
    new = [Account(f"new:{number}", "CNY") for number in range(20)]
    results = await asyncio.gather(*(service.open_accounts(new) for _ in range(50)))

    assert {"created": 20, "exists": 49 * 20} == Counter(one for many in results for one in many)
    async with books_database.reading() as tx:
        assert 20 == await tx.fetch_value(
            "select count(*) from ledger.balance b join ledger.account a on a.number = b.account"
            " where a.name like 'new:%'"
        )
