"""Background loops: what is due is released; debts are recovered also where no sale comes."""

import asyncio

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.settlement.service import SettlementService


def jobs(service: SettlementService) -> list[Job]:
    """Name the loops; any number of processes may run them."""

    async def recover() -> None:
        await poll(
            service.recover_debts,
            service.clock,
            asyncio.Event(),
            name="settlement.debts",
            delay_s_max=30.0,
        )

    async def release() -> None:
        await poll(
            service.release_due,
            service.clock,
            asyncio.Event(),
            name="settlement.release",
            delay_s_max=1.0,
        )

    return [Job("settlement.debts", recover), Job("settlement.release", release)]
