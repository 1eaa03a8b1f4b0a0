"""Background loops: events become deliveries, due ones are brought, old ones deleted."""

import asyncio
from functools import partial

from vendrail.api.catalog import Catalog
from vendrail.api.disputes import Disputes
from vendrail.api.orders import Orders
from vendrail.api.payouts import Payouts
from vendrail.api.support import Support
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.webhooks.service import WebhooksService
from vendrail.webhooks.service.reading import Source
from vendrail.webhooks.service.sources import sources


def jobs(
    service: WebhooksService,
    orders: Orders,
    payouts: Payouts,
    disputes: Disputes,
    support: Support,
    catalog: Catalog,
) -> list[Job]:
    """Name the loops; several processes may run them: a delivery is claimed by one."""
    clock, wakeups = service.clock, service.wakeups
    watching = service.watching(catalog)

    def reading(source: Source, delay_s: float) -> Job:
        name = f"webhooks.{source.name}"

        async def read() -> None:
            # No hint: many batches at once are cheaper, and a program may hear a second later.
            consume = partial(service.reading.consume, source)
            await poll(consume, clock, asyncio.Event(), name=name, delay_s_max=delay_s)

        return Job(name, read)

    async def watch() -> None:
        wake = asyncio.Event()
        await poll(watching.look, clock, wake, name="webhooks.stock", delay_s_max=60.0)

    async def tell() -> None:
        wake = wakeups.subscribe("webhooks")
        await poll(service.telling.send_due, clock, wake, name="webhooks.tell", delay_s_max=2.0)

    async def write() -> None:
        letters, wake = service.telling.write_letters, wakeups.subscribe("webhooks")
        await poll(letters, clock, wake, name="webhooks.letters", delay_s_max=60.0)

    async def forget() -> None:
        wake = asyncio.Event()
        await poll(service.forget, clock, wake, name="webhooks.forget", delay_s_max=600.0)

    found = sources(orders, payouts, disputes, support)
    return [
        # Others move seldom: of them nobody hears a few seconds later at the cost of orders.
        *(reading(each, 1.0 if each.name == "orders" else 5.0) for each in found),
        Job("webhooks.stock", watch),
        Job("webhooks.tell", tell),
        Job("webhooks.letters", write),
        Job("webhooks.forget", forget),
    ]
