"""Background loops: what is due is released, debts are recovered, what rules ask is counted."""

import asyncio

from vendrail.api.disputes import Disputes
from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.settlement.service import SettlementService


def jobs(
    service: SettlementService,
    orders: Orders,
    payments: Payments,
    disputes: Disputes,
    identity: Identity,
    notify: Notify,
) -> list[Job]:
    """Name the loops; any number of processes may run them."""
    counting = service.counting(orders, payments, disputes)
    fees, deposits = service.telling(identity, notify), service.deposit_telling(identity, notify)
    supplies = service.supply_telling(identity, notify)

    async def recover() -> None:
        await poll(
            service.recover_debts,
            service.clock,
            asyncio.Event(),
            name="settlement.debts",
            delay_s_max=30.0,
        )

    async def release() -> None:
        await poll(
            service.release_due,
            service.clock,
            asyncio.Event(),
            name="settlement.release",
            delay_s_max=1.0,
        )

    async def count() -> None:
        wake = asyncio.Event()
        await poll(counting.look, service.clock, wake, name="settlement.counting", delay_s_max=60.0)

    async def give_back() -> None:
        await poll(
            service.move_due_deposits,
            service.clock,
            asyncio.Event(),
            name="settlement.deposits",
            delay_s_max=60.0,
        )

    async def tell_due() -> bool:
        are_more = [await each.tell_due() for each in (fees, deposits, supplies)]
        return any(are_more)

    async def tell() -> None:
        wake = asyncio.Event()
        await poll(tell_due, service.clock, wake, name="settlement.tell", delay_s_max=60.0)

    return [
        Job("settlement.debts", recover),
        Job("settlement.release", release),
        Job("settlement.counting", count),
        Job("settlement.deposits", give_back),
        Job("settlement.tell", tell),
    ]
