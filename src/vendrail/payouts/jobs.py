"""What payouts does by itself: carry on, ask where schedules want it, mark, tell of payees."""

import asyncio

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.payouts.service import TOPIC, PayoutsService


def jobs(service: PayoutsService) -> list[Job]:
    """List the loops; several processes may run them, each due row is taken by one."""

    async def advance() -> None:
        wake = service.wakeups.subscribe(TOPIC)
        await poll(
            service.advance_due, service.clock, wake, name="payouts.advance", delay_s_max=2.0
        )

    async def tell() -> None:
        await poll(
            service.tell_due, service.clock, asyncio.Event(), name="payouts.tell", delay_s_max=10.0
        )

    async def look() -> None:
        await poll(
            service.look_due,
            service.clock,
            asyncio.Event(),
            name="payouts.schedules",
            delay_s_max=5.0,
        )

    async def mark() -> None:
        await poll(
            service.mark_due, service.clock, asyncio.Event(), name="payouts.marks", delay_s_max=15.0
        )

    async def book() -> None:
        await poll(
            service.book_due,
            service.clock,
            asyncio.Event(),
            name="payouts.remittances",
            delay_s_max=60.0,
        )

    async def forecast() -> None:
        await poll(
            service.look_ahead,
            service.clock,
            asyncio.Event(),
            name="payouts.forecast",
            delay_s_max=60.0,
        )

    async def trim() -> None:
        await poll(
            service.trim_events,
            service.clock,
            asyncio.Event(),
            name="payouts.trim",
            delay_s_max=600.0,
        )

    return [
        Job("payouts.advance", advance),
        Job("payouts.trim", trim),
        Job("payouts.forecast", forecast),
        Job("payouts.remittances", book),
        Job("payouts.tell", tell),
        Job("payouts.schedules", look),
        Job("payouts.marks", mark),
    ]
