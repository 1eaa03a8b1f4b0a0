"""The ledger's loops: adding up busy accounts, ending what is due, sealing and closing."""

import asyncio

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.ledger.service import LedgerService


def jobs(service: LedgerService) -> list[Job]:
    """Name the loops; any number of processes may run them."""

    async def roll_up() -> None:
        await poll(service.roll_up, service.clock, asyncio.Event(), name="ledger.roll_up")

    async def expire() -> None:
        await poll(service.expire_transfers, service.clock, asyncio.Event(), name="ledger.expire")

    async def seal() -> None:
        await poll(service.seal, service.clock, asyncio.Event(), name="ledger.seal")

    async def close() -> None:
        await poll(service.close_due, service.clock, asyncio.Event(), name="ledger.close")

    return [
        Job("ledger.roll_up", roll_up),
        Job("ledger.expire", expire),
        Job("ledger.seal", seal),
        Job("ledger.close", close),
    ]
