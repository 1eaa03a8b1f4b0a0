"""Background loops: letters are handed on, what is over ends, what was kept long enough goes."""

import asyncio

from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.compliance.service import ComplianceService
from vendrail.compliance.service.ground import TOPIC
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: ComplianceService, notify: Notify, identity: Identity) -> list[Job]:
    """Name the loops; any number of processes may run them: rows are claimed by one."""
    telling = service.telling(notify, identity)
    clock = service.clock

    async def tell() -> None:
        wake = service.wakeups.subscribe(TOPIC)
        await poll(telling.tell, clock, wake, name="compliance.tell", delay_s_max=30.0)

    async def look() -> None:
        # Days come and go slowly; what is over counts no more whether this has looked or not.
        wake = asyncio.Event()
        await poll(service.ending.look, clock, wake, name="compliance.look", delay_s_max=600.0)

    return [Job("compliance.tell", tell), Job("compliance.look", look)]
