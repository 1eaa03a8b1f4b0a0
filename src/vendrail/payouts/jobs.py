"""What payouts does by itself: carry each on when it is due, and tell of new payees."""

import asyncio

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.payouts.service import TOPIC, PayoutsService


def jobs(service: PayoutsService) -> list[Job]:
    """List the loops; several processes may run them, each due row is taken by one."""

    async def advance() -> None:
        wake = service.wakeups.subscribe(TOPIC)
        await poll(
            service.advance_due, service.clock, wake, name="payouts.advance", delay_s_max=2.0
        )

    async def tell() -> None:
        await poll(
            service.tell_due, service.clock, asyncio.Event(), name="payouts.tell", delay_s_max=10.0
        )

    return [Job("payouts.advance", advance), Job("payouts.tell", tell)]
