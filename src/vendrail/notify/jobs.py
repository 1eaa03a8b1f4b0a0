"""Background loops: due messages are sent, old outcomes deleted."""

import asyncio

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.notify.service import NotifyService


def jobs(service: NotifyService) -> list[Job]:
    """Name the loops; several processes may run them: a message is claimed by one."""

    async def send() -> None:
        wake = service.wakeups.subscribe("notify")
        await poll(service.send_due, service.clock, wake, name="notify.send")

    async def forget() -> None:
        await poll(
            service.forget, service.clock, asyncio.Event(), name="notify.forget", delay_s_max=600.0
        )

    return [Job("notify.send", send), Job("notify.forget", forget)]
