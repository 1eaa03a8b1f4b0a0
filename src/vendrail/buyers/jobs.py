"""Background loops: codes and sessions that are over are forgotten."""

import asyncio

from vendrail.buyers.service import BuyersService
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: BuyersService) -> list[Job]:
    """Name the loops; any number of processes may run them."""

    async def forget() -> None:
        await poll(
            service.forget, service.clock, asyncio.Event(), name="buyers.forget", delay_s_max=600.0
        )

    return [Job("buyers.forget", forget)]
