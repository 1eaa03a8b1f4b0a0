"""Background loops: acts are chained, sessions, codes and forms that are over are deleted."""

import asyncio

from vendrail.identity.service import IdentityService
from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll


def jobs(service: IdentityService) -> list[Job]:
    """Name the loops; any number of processes may run them."""

    async def seal() -> None:
        wake = service.wakeups.subscribe("identity")
        await poll(service.seal_acts, service.clock, wake, name="identity.seal")

    async def forget() -> None:
        await poll(
            service.forget_sessions,
            service.clock,
            asyncio.Event(),
            name="identity.forget",
            delay_s_max=600.0,
        )

    async def forget_codes() -> None:
        await poll(
            service.forget_registrations,
            service.clock,
            asyncio.Event(),
            name="identity.forget_codes",
            delay_s_max=600.0,
        )

    async def forget_challenges() -> None:
        await poll(
            service.forget_challenges,
            service.clock,
            asyncio.Event(),
            name="identity.forget_challenges",
            delay_s_max=600.0,
        )

    async def forget_forms() -> None:
        await poll(
            service.forget_forms,
            service.clock,
            asyncio.Event(),
            name="identity.forget_forms",
            delay_s_max=600.0,
        )

    return [
        Job("identity.seal", seal),
        Job("identity.forget", forget),
        Job("identity.forget_codes", forget_codes),
        Job("identity.forget_challenges", forget_challenges),
        Job("identity.forget_forms", forget_forms),
    ]
