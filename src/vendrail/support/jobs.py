"""Background loops: limits are kept, what was decided is carried out, people are told."""

import asyncio

from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.support.service import SupportService


def jobs(service: SupportService, notify: Notify, identity: Identity) -> list[Job]:
    """Name the loops; any number of processes may run them: work is claimed by one."""
    telling = service.telling(notify, identity)
    clock = service.clock

    async def lapse() -> None:
        wake = asyncio.Event()
        await poll(service.complaining.lapse, clock, wake, name="support.lapse", delay_s_max=30.0)

    async def carry() -> None:
        wake = service.wakeups.subscribe("support")
        await poll(service.carrying.work, clock, wake, name="support.carry", delay_s_max=5.0)

    async def tell() -> None:
        wake = service.wakeups.subscribe("support")
        await poll(telling.tell, clock, wake, name="support.tell", delay_s_max=10.0)

    async def trim() -> None:
        wake = asyncio.Event()
        await poll(service.trim_events, clock, wake, name="support.trim", delay_s_max=600.0)

    return [
        Job("support.lapse", lapse),
        Job("support.carry", carry),
        Job("support.tell", tell),
        Job("support.trim", trim),
    ]
