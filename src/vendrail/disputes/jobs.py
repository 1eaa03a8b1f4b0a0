"""Background loops: what payments tells is written, money is moved, people are told."""

import asyncio

from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.disputes.service import DisputesService
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: DisputesService, notify: Notify, identity: Identity) -> list[Job]:
    """Name the loops; several processes may run them: a dispute is claimed by one."""
    carrying, clock, wakeups = service.carrying, service.clock, service.wakeups

    async def read_payments() -> None:
        # No hint from every payment: disputes are few, and many batches at once are cheaper.
        await poll(carrying.consume, clock, asyncio.Event(), name="disputes.told", delay_s_max=2.0)

    async def advance() -> None:
        wake = wakeups.subscribe("disputes")
        await poll(carrying.advance, clock, wake, name="disputes.advance", delay_s_max=5.0)

    telling = service.telling(notify, identity)

    async def tell() -> None:
        # What is due comes by the hour; that a dispute was opened may be told a little later.
        await poll(telling.tell, clock, asyncio.Event(), name="disputes.tell", delay_s_max=60.0)

    async def trim() -> None:
        wake = asyncio.Event()
        await poll(service.trim_events, clock, wake, name="disputes.trim", delay_s_max=600.0)

    return [
        Job("disputes.tell", tell),
        Job("disputes.told", read_payments),
        Job("disputes.advance", advance),
        Job("disputes.trim", trim),
    ]
