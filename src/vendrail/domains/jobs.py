"""Background loops: proofs are looked for again, and letters about them are handed on."""

from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.domains.service import TOPIC, DomainsService
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: DomainsService, notify: Notify, identity: Identity) -> list[Job]:
    """Name the loops; any number of processes may run them: rows are claimed by one."""
    telling = service.telling(notify, identity)
    clock = service.clock

    async def look() -> None:
        wake = service.wakeups.subscribe(TOPIC)
        await poll(service.check_due, clock, wake, name="domains.look", delay_s_max=60.0)

    async def tell() -> None:
        wake = service.wakeups.subscribe(TOPIC)
        await poll(telling.tell, clock, wake, name="domains.tell", delay_s_max=30.0)

    return [Job("domains.look", look), Job("domains.tell", tell)]
