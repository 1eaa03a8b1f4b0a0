"""The orders' background loops."""

import asyncio

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.orders.service import OrdersService


def jobs(service: OrdersService) -> list[Job]:
    """Name the loops: captures, due sagas of both lanes, what ends unpaid, marking keys sold."""
    clock, wakeups, runner = service.clock, service.wakeups, service.runner

    async def captures() -> None:
        wake = wakeups.subscribe("payments")
        await poll(runner.consume_captures, clock, wake, name="orders.captures", delay_s_max=1.0)

    async def due() -> None:
        wake = wakeups.subscribe("sagas")
        await poll(runner.claim_quick, clock, wake, name="orders.due", delay_s_max=1.0)

    async def returns() -> None:
        wake = wakeups.subscribe("returns")
        await poll(runner.claim_slow, clock, wake, name="orders.returns", delay_s_max=1.0)

    async def expiry() -> None:
        wake = wakeups.subscribe("expiry")
        await poll(runner.walk_unpaid, clock, wake, name="orders.expiry", delay_s_max=2.0)

    async def deliveries() -> None:
        # No hint: many batches at once are cheaper, and nobody waits for this mark.
        wake = wakeups.subscribe("deliveries")
        await poll(runner.settle_deliveries, clock, wake, name="orders.deliveries", delay_s_max=1.0)

    async def suspended() -> None:
        wake = wakeups.subscribe("suspended")
        await poll(service.standing.sweep, clock, wake, name="orders.suspended", delay_s_max=2.0)

    async def wallet_parts() -> None:
        wake = wakeups.subscribe("wallet_parts")
        await poll(
            runner.free_wallet_parts, clock, wake, name="orders.wallet_parts", delay_s_max=5.0
        )

    async def trim() -> None:
        wake = asyncio.Event()
        await poll(service.trim_events, clock, wake, name="orders.trim", delay_s_max=600.0)

    return [
        Job("orders.captures", captures),
        Job("orders.due", due),
        Job("orders.returns", returns),
        Job("orders.expiry", expiry),
        Job("orders.deliveries", deliveries),
        Job("orders.suspended", suspended),
        Job("orders.wallet_parts", wallet_parts),
        Job("orders.trim", trim),
    ]
