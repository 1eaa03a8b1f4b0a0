"""`vendrail sagas`: what has not ended, and what is stuck."""

from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.orders import GiveUpStatus, OrderId, Orders, SagaQuery, SagaView
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.paging import read_pages
from vendrail.app.serials import read_serial
from vendrail.app.terminal import (
    Json,
    Reason,
    Yes,
    confirm,
    need_reason,
    out,
    show_table,
    write_json,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.kernel.saga import SagaState

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def sagas() -> None:
    """What has not ended, and what is stuck.

    Example: [bold]vendrail sagas list[/]
    """


async def _list(sagas_max: int, *, only_stuck: bool) -> list[SagaView]:
    async with opened_house() as house:
        orders: Orders = house.api(Orders)
        state = SagaState.STUCK if only_stuck else None

        async def read(last: SagaView | None, size: int) -> list[SagaView]:
            [page] = await orders.list_sagas([SagaQuery(state, last.id if last else None, size)])
            return page

        return await read_pages(read, sagas_max)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    *,
    stuck: Annotated[bool, typer.Option("--stuck", help="Only what waits for a person.")] = False,
    json: Json = False,
) -> None:
    """List sagas that have not ended, oldest first, with their last problem.

    Example: [bold]vendrail sagas list --stuck[/]
    """
    found = run(_list(limit, only_stuck=stuck))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("saga\nand its order", "kind", "state", "waits for", "tries", "due", "problem"),
        [
            (
                f"{to_serial(saga.id)}\n{to_serial(saga.order)}",  # Whole: to be copied.
                saga.kind,
                saga.state,
                saga.reason,
                saga.attempts,
                saga.due_at,
                saga.problem,
            )
            for saga in found
        ],
    )


async def _retry(id: UUID, reason: str) -> bool:
    async with opened_house() as house:
        record_act(house.platform.home, "sagas.retry", to_serial(id), reason)
        orders: Orders = house.api(Orders)
        woken = [*await orders.wake_orders([OrderId(id)]), *await orders.wake_sagas([id])]
        return any(woken)


@app.command()
def retry(
    serial: Annotated[str, typer.Argument(help="An order, or a saga as `sagas list` names it.")],
    reason: Reason,
    *,
    json: Json = False,
) -> None:
    """Let a saga, or those of an order, look again now, whether they wait or are stuck.

    What an order bought, paid back by request or let expire is found by the order. What was paid
    twice, or fits no order (surplus, suspense, unmatched), is named by the saga's own number.

    The running platform does the work. What was done before is not done again.

    Example: [bold]vendrail sagas retry 01KB2M8Z7Q9V4T6W3X5Y1N0PQR --reason "provider is back"[/]
    """
    id = read_serial(serial)
    if not run(_retry(id, need_reason(reason))):
        raise Malformed(f"Nothing of {to_serial(id)} waits: see `vendrail sagas list`.")
    if json:
        write_json({"id": to_serial(id), "woken": True})
    else:
        out().print(f"{to_serial(id)} looks again now.")


_REFUSALS = {
    GiveUpStatus.EXISTS: "it goes back already; if it is stuck there, `vendrail sagas retry`.",
    GiveUpStatus.ORDER_NOT_FOUND: "there is no such order.",
    GiveUpStatus.NOT_STUCK: "its purchase is not stuck.",
    GiveUpStatus.REFUND_STUCK: "what is stuck is a refund, which goes on until the money is back.",
    GiveUpStatus.DELIVERED: "its keys were delivered; see `vendrail orders refund`.",
    GiveUpStatus.NOT_PAID: "nobody has paid it.",
    GiveUpStatus.ENDED: "all of its money has gone back.",
}


async def _give_up(id: UUID, reason: str, *, is_sure: bool) -> tuple[UUID, GiveUpStatus]:
    async with opened_house() as house:
        orders: Orders = house.api(Orders)
        [saga] = await orders.read_sagas([id])
        order = saga.order if saga is not None else id
        serial = to_serial(order)
        confirm(f"Give order {serial} up, and all of its money back?", is_sure=is_sure)
        record_act(house.platform.home, "sagas.give_up", serial, reason)
        [status] = await orders.give_up_orders([OrderId(order)])
        return order, status


@app.command("give-up")
def give_up(
    serial: Annotated[str, typer.Argument(help="An order, or its saga as `sagas list` names it.")],
    reason: Reason,
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Give up a purchase that is stuck: nothing is delivered, and all of its money goes back.

    Its keys are free to be sold again. The running platform does the work, as where risk refuses.
    A refund that is stuck is not given up: mend the cause, then `sagas retry`.

    Example: [bold]vendrail sagas give-up 01KB2M8Z7Q9V4T6W3X5Y1N0PQR --reason "cannot be filled"[/]
    """
    order, status = run(_give_up(read_serial(serial), need_reason(reason), is_sure=yes or json))
    shown = to_serial(order)
    if status is not GiveUpStatus.GIVEN_UP:
        raise Malformed(f"Order {shown} cannot be given up: {_REFUSALS[status]}")
    if json:
        write_json({"order": shown, "status": status})
    else:
        out().print(f"{shown} is given up; its money goes back.")
