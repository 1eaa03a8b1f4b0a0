"""Background loops: what has become of orders that have taken a coupon."""

import asyncio
from functools import partial

from vendrail.api.orders import Orders
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.promotions.service import PromotionsService


def jobs(service: PromotionsService, orders: Orders) -> list[Job]:
    """Name the loops; any number of processes may run them."""

    async def look() -> None:
        await poll(
            partial(service.look_at_due, orders),
            service.clock,
            asyncio.Event(),
            name="promotions.look",
            delay_s_max=10.0,
        )

    return [Job("promotions.look", look)]
