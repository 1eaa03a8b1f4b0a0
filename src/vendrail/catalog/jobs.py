"""Background: what expired holds keep goes back, new rules look at shelves, agents are told."""

import asyncio

from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.catalog.service import CatalogService
from vendrail.catalog.service.goods import RULED
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: CatalogService, identity: Identity, notify: Notify) -> list[Job]:
    """Name the catalog's loops; any number of processes may run them at once."""

    async def end_holds() -> bool:
        return await service.end_expired_holds() > 0

    async def run() -> None:
        wake = service.wakeups.subscribe("catalog.holds")
        await poll(end_holds, service.clock, wake, name="catalog.holds")

    async def sweep() -> None:
        wake = service.wakeups.subscribe(RULED)
        await poll(service.sweep_goods, service.clock, wake, name="catalog.goods", delay_s_max=30.0)

    telling = service.telling(identity, notify)

    async def tell() -> None:
        wake = asyncio.Event()
        await poll(telling.tell_due, service.clock, wake, name="catalog.agencies", delay_s_max=60.0)

    return [
        Job("catalog.holds", run),
        Job("catalog.goods", sweep),
        Job("catalog.agencies", tell),
    ]
