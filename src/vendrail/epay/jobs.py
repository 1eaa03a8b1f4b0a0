"""Background loops: paid charges become notices, and due ones are brought."""

import asyncio

from vendrail.epay.service import EpayService
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: EpayService) -> list[Job]:
    """Name the loops; several processes may run them: a notice is claimed by one."""
    telling, clock, wakeups = service.telling, service.clock, service.wakeups

    async def read_orders() -> None:
        # No hint: many batches at once are cheaper, and a site may hear half a second later.
        await poll(telling.consume, clock, asyncio.Event(), name="epay.orders", delay_s_max=0.5)

    async def tell() -> None:
        wake = wakeups.subscribe("epay")
        await poll(telling.send_due, clock, wake, name="epay.tell", delay_s_max=2.0)

    return [Job("epay.orders", read_orders), Job("epay.tell", tell)]
