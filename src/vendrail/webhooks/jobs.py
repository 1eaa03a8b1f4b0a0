"""Background loops: events become deliveries, due ones are brought, old ones deleted."""

import asyncio

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.webhooks.service import WebhooksService


def jobs(service: WebhooksService) -> list[Job]:
    """Name the loops; several processes may run them: a delivery is claimed by one."""
    clock, wakeups = service.clock, service.wakeups

    async def read_orders() -> None:
        # No hint: many batches at once are cheaper, and a program may hear a second later.
        consume = service.reading.consume
        await poll(consume, clock, asyncio.Event(), name="webhooks.orders", delay_s_max=1.0)

    async def tell() -> None:
        wake = wakeups.subscribe("webhooks")
        await poll(service.telling.send_due, clock, wake, name="webhooks.tell", delay_s_max=2.0)

    async def write() -> None:
        letters, wake = service.telling.write_letters, wakeups.subscribe("webhooks")
        await poll(letters, clock, wake, name="webhooks.letters", delay_s_max=60.0)

    async def forget() -> None:
        wake = asyncio.Event()
        await poll(service.forget, clock, wake, name="webhooks.forget", delay_s_max=600.0)

    return [
        Job("webhooks.orders", read_orders),
        Job("webhooks.tell", tell),
        Job("webhooks.letters", write),
        Job("webhooks.forget", forget),
    ]
