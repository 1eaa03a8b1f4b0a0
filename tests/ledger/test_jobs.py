"""The ledger's loops, run as a process runs them."""

import asyncio
from uuid import uuid4

from vendrail.api.ledger import Account, Transfer, TransferCode, TransferId, TransferKind
from vendrail.kernel.ids import new_id
from vendrail.ledger.jobs import jobs

BANK, SINK = Account("bank", "CNY"), Account("sink", "CNY")


async def test_the_loops_add_up_and_expire(service, books_database, clock):
    """Left alone, the loops empty the deltas and end what is due; stopping them loses nothing."""
    await service.open_accounts([BANK, SINK])
    pending = Transfer(
        TransferId(new_id(clock.now())),
        BANK.id,
        SINK.id,
        5,
        TransferCode.PAYOUT,
        uuid4(),
        kind=TransferKind.PENDING,
        timeout_s=1,
    )
    await service.post_transfers([pending])
    clock.advance(1)
    loops = [asyncio.create_task(job.run()) for job in jobs(service)]

    async def left() -> int:
        async with books_database.reading() as tx:
            return await tx.fetch_value(
                "select (select count(*) from ledger.delta) + (select count(*) from ledger.due)"
            )

    async with asyncio.timeout(20):
        while await left():  # noqa: ASYNC110 - only the database can tell.
            await asyncio.sleep(0.05)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)

    (posted,) = await service.read_transfers([pending.subject])
    assert ["pending", "expire"] == [one.transfer.kind for one in posted]
    (balance,) = await service.read_balances([SINK.id])
    assert (0, 0) == (balance.credits_pending, balance.credits_posted)


async def test_one_process_at_a_time_adds_up(service, books_database):
    """While another holds the lock of the roll-up, this one leaves the deltas alone."""
    await service.open_accounts([BANK, SINK])
    id = TransferId(uuid4())
    await service.post_transfers([Transfer(id, BANK.id, SINK.id, 5, TransferCode.PAYOUT, id)])
    async with books_database.transaction() as other:
        await other.fetch_value("select pg_advisory_xact_lock(hashtext('ledger.roll_up'))::text")

        assert not await service.roll_up()
        assert 2 == await other.fetch_value("select count(*) from ledger.delta")
    await service.roll_up()
    async with books_database.reading() as tx:
        assert 0 == await tx.fetch_value("select count(*) from ledger.delta")
