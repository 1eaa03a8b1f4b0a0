"""Background loop: counts that are too old to matter are deleted, a few at a time."""

import asyncio

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.risk.service import RiskService


def jobs(service: RiskService) -> list[Job]:
    """Name the loops; any number of processes may run them."""

    async def forget() -> None:
        await poll(
            service.forget, service.clock, asyncio.Event(), name="risk.forget", delay_s_max=600.0
        )

    return [Job("risk.forget", forget)]
