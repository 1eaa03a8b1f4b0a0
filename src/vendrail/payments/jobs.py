"""What payments does by itself: ask, confirm, watch, refund again, note, forget."""

from collections.abc import Awaitable, Callable

from vendrail.kernel.jobs import Job
from vendrail.kernel.outbox import poll
from vendrail.payments.capturing import CONFIRM_TOPIC
from vendrail.payments.channels.base import registry
from vendrail.payments.hearing import LOOK_TOPIC
from vendrail.payments.saving import FORGET_TOPIC
from vendrail.payments.service import PaymentsService


def jobs(service: PaymentsService) -> list[Job]:
    """List the loops; several processes may run them, each due row is taken by one."""

    def loop(name: str, work: Callable[[], Awaitable[bool]], delay_s_max: float) -> Job:
        topic = CONFIRM_TOPIC if work == service.confirm_captures else name

        async def run() -> None:
            wake = service.wakeups.subscribe(topic)
            await poll(work, service.clock, wake, name=name, delay_s_max=delay_s_max)

        return Job(name, run)

    registry()  # Here, before traffic: what channels import would hold it up for a moment.
    return [
        loop("payments.ask", service.ask_presented, 2.0),
        loop("payments.confirm", service.confirm_captures, 2.0),
        loop("payments.watch", service.watch_chains, 2.0),
        loop("payments.refund", service.ask_refunds, 2.0),
        loop(LOOK_TOPIC, service.look_saved, 2.0),
        loop(FORGET_TOPIC, service.forget_ways, 2.0),
        loop("payments.health", service.note_health, 5.0),
        loop("payments.forget", service.forget_callbacks, 600.0),
        loop("payments.trim", service.trim_events, 600.0),
    ]
