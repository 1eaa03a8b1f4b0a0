"""Background loops: events become letters, due ones are sent, old outcomes deleted."""

import asyncio
import contextlib

from vendrail.api.catalog import Catalog
from vendrail.api.identity import Identity
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.kernel.errors import Error
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.notify.service import NotifyService


def jobs(
    service: NotifyService,
    orders: Orders,
    catalog: Catalog,
    identity: Identity,
    payments: Payments,
) -> list[Job]:
    """Name the loops; several processes may run them: a message is claimed by one."""
    news = service.news(orders, catalog)
    watching = service.watching(orders, catalog, identity, payments)
    sending = service.sending(news, watching)
    acting = service.acting(identity)
    clock = service.clock

    async def send() -> None:
        wake = service.wakeups.subscribe("notify")
        await poll(sending.send_due, clock, wake, name="notify.send")

    async def read_orders() -> None:
        # No hint: many batches at once are cheaper, and a letter may come a second later.
        wake = asyncio.Event()
        await poll(news.consume, clock, wake, name="notify.orders", delay_s_max=1.0)

    async def watch() -> None:
        wake = asyncio.Event()
        await poll(watching.look, clock, wake, name="notify.watch", delay_s_max=60.0)

    async def forget() -> None:
        await poll(service.forget, clock, asyncio.Event(), name="notify.forget", delay_s_max=600.0)

    async def hand_on() -> None:
        wake = service.wakeups.subscribe("notify")
        await poll(acting.hand_on, clock, wake, name="notify.acts", delay_s_max=30.0)

    async def listen() -> None:
        try:
            wake = asyncio.Event()
            await poll(service.chats.listen, clock, wake, name="notify.listen", delay_s_max=1.0)
        finally:
            with contextlib.suppress(Error):  # Then its time runs out by itself.
                await service.chats.leave()

    loops = [Job("notify.send", send), Job("notify.forget", forget)]
    if service.settings.telegram_token:
        loops += [Job("notify.listen", listen), Job("notify.acts", hand_on)]
    if service.settings.is_telling:
        loops += [Job("notify.orders", read_orders), Job("notify.watch", watch)]
    return loops
