"""Background loops: sources are read when they are due, old quotes are forgotten."""

import asyncio

from vendrail.fx.service import FxService
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: FxService) -> list[Job]:
    """Name the loops; any number of processes may run them: a source is claimed by one."""

    async def fetch() -> None:
        await poll(
            service.fetch_due, service.clock, asyncio.Event(), name="fx.fetch", delay_s_max=10.0
        )

    async def forget() -> None:
        await poll(
            service.forget, service.clock, asyncio.Event(), name="fx.forget", delay_s_max=600.0
        )

    return [Job("fx.fetch", fetch), Job("fx.forget", forget)]
