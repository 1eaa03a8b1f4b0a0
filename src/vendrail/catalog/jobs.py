"""Background: what expired holds keep goes back; new rules look through the shelves."""

from vendrail.catalog.service import CatalogService
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: CatalogService) -> list[Job]:
    """Name the catalog's loops; any number of processes may run them at once."""

    async def end_holds() -> bool:
        return await service.end_expired_holds() > 0

    async def run() -> None:
        wake = service.wakeups.subscribe("catalog.holds")
        await poll(end_holds, service.clock, wake, name="catalog.holds")

    async def sweep() -> None:
        wake = service.wakeups.subscribe("catalog.goods")
        await poll(service.sweep_goods, service.clock, wake, name="catalog.goods", delay_s_max=30.0)

    return [Job("catalog.holds", run), Job("catalog.goods", sweep)]
