"""`vendrail orders`: an order as it stands, and money back."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    Orders,
    OrderView,
    RefundOrder,
    RefundOrderStatus,
    RefundView,
)
from vendrail.api.payments import AttemptView, Capture, Payments
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.serials import read_serial
from vendrail.app.terminal import (
    Json,
    Reason,
    Yes,
    confirm,
    need_reason,
    out,
    person,
    show_table,
    write_json,
)
from vendrail.app.wiring import House
from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_text

app = typer.Typer(add_completion=False, no_args_is_help=True)

_PATIENCE = timedelta(seconds=5)
_LOOK_AGAIN_S = 0.2

Serial = Annotated[str, typer.Argument(help="The order's serial number, or its id.")]


@app.callback()
def orders() -> None:
    """Show orders, and give money back.

    Example: [bold]vendrail orders show 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """


class OrderFile(Record, frozen=True):
    """All that is known of one order, without its keys."""

    order: OrderView
    attempts: list[AttemptView]
    captures: list[Capture]
    refunds: list[RefundView]


async def _read(house: House, id: UUID) -> OrderFile:
    orders: Orders = house.api(Orders)
    payments: Payments = house.api(Payments)
    [view] = await orders.read_orders([OrderQuery(OrderId(id), None)])
    if view is None:
        raise Malformed(f"There is no order {to_serial(id)}.")
    [attempts] = await payments.read_attempts([id])
    [captures] = await payments.read_captures([id])
    [refunds] = await orders.read_refunds([OrderId(id)])
    return OrderFile(view, attempts, captures, refunds)


async def _show(id: UUID) -> OrderFile:
    async with opened_house() as house:
        return await _read(house, id)


@app.command()
def show(serial: Serial, *, json: Json = False) -> None:
    """Show one order: its state, its payments, the way of its money. Never its keys.

    Example: [bold]vendrail orders show 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    found = run(_show(read_serial(serial)))
    if json:
        write_json(found)
        return
    view = found.order
    amount = f"{to_text(view.amount_minor, view.currency)} {view.currency}"
    state = f"{view.state} (waits: {view.waiting})" if view.waiting else str(view.state)
    out().print(f"[bold]{view.serial}[/]  {view.title} x {view.quantity}  {amount}  {state}")
    if view.trace_id:
        out().print(f"trace {view.trace_id}")  # In logs, and where traces are kept.
    show_table(
        "",
        ("when", "what", "detail"),
        [(step.at, step.kind, step.detail) for step in view.timeline],
    )
    if found.attempts:
        rows = [(a.out_trade_no, a.attempt.method, a.state, a.opened_at) for a in found.attempts]
        show_table("Attempts", ("out_trade_no", "method", "state", "opened"), rows)
    if found.captures:
        show_table(
            "Captures",
            ("capture", "channel", "provider's number", "amount", "fits"),
            [
                (c.id, c.channel_name, c.provider_number, _money(c.amount_minor, c.currency), c.fit)
                for c in found.captures
            ],
        )
    if found.refunds:
        show_table(
            "Refunds",
            ("refund", "amount", "state", "why", "when"),
            [
                (r.id, _money(r.amount_minor, r.currency), r.state, r.reason, r.at)
                for r in found.refunds
            ],
        )


def _money(amount_minor: int, currency: str) -> str:
    return f"{to_text(amount_minor, currency)} {currency}"


async def _refund(
    id: UUID, amount: str | None, reason: str, *, is_sure: bool
) -> tuple[RefundOrderStatus, OrderFile]:
    async with opened_house() as house:
        found = await _read(house, id)
        view = found.order
        wanted = from_text(amount, view.currency) if amount is not None else 0
        if amount is not None and wanted <= 0:
            raise Malformed(f"{amount} is no amount to give back.")
        left = view.amount_minor - sum(r.amount_minor for r in found.refunds if r.state != "failed")
        shown = _money(wanted or left, view.currency)
        confirm(f"Give {shown} of order {view.serial} back to its buyer?", is_sure=is_sure)
        record_act(house.platform.home, "orders.refund", f"{view.serial} {shown}", reason)
        refund = RefundOrder(new_id(house.clock.now()), OrderId(id), wanted, reason, person())
        orders: Orders = house.api(Orders)
        [status] = await orders.refund_orders([refund])
        if status is RefundOrderStatus.ACCEPTED:
            await _see_through(house, refund)
        return status, await _read(house, id)


async def _see_through(house: House, refund: RefundOrder) -> None:
    """Run the refund, unless the running platform was quicker; wait a little for its end."""
    service = house.services.get("orders")
    if service is not None:
        await service.runner.claim_slow()
        await service.drain()
    orders: Orders = house.api(Orders)
    due = house.clock.now() + _PATIENCE
    while house.clock.now() < due:
        [refunds] = await orders.read_refunds([refund.order])
        if any(each.id == refund.id and each.state != "asked" for each in refunds):
            return
        await house.clock.sleep(_LOOK_AGAIN_S)


_ADVICE = {
    RefundOrderStatus.NOT_PAID: "it was not delivered; an unpaid order expires by itself, and a"
    " paid one that waits is released or refused with `vendrail risk`.",
    RefundOrderStatus.DISPUTED: "the payer's bank is deciding on this payment; it can be refunded"
    " once that dispute has ended.",
    RefundOrderStatus.MORE_THAN_CAPTURED: "more than is left of its payment.",
}


@app.command()
def refund(
    serial: Serial,
    reason: Reason,
    amount: Annotated[
        str | None, typer.Option(help="How much, as 12.30; else all that is left.")
    ] = None,
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Give money of a delivered order back, whole or in part, to where it came from.

    What is given back whole makes its keys void: they are never sold again. A provider that does
    not answer at once is asked again by the running platform.

    Example: [bold]vendrail orders refund 01KB2M8Z7Q9V4T6W3X5Y1N0PQR --amount 5.00 --reason "…"[/]
    """
    why = need_reason(reason)
    status, found = run(_refund(read_serial(serial), amount, why, is_sure=yes or json))
    if status is not RefundOrderStatus.ACCEPTED:
        advice = _ADVICE.get(status, f"it is {status}.")
        raise Malformed(f"Order {found.order.serial} cannot be refunded so: {advice}")
    if not found.refunds:
        raise Unavailable("The refund was taken, and is not there yet: look with `orders show`.")
    last = found.refunds[-1]
    if json:
        write_json({"status": status, "refund": last})
        return
    out().print(f"Refund {last.id}: {_money(last.amount_minor, last.currency)}, {last.state}.")
    if last.state == "asked":
        out().print("The provider has not said yet; the running platform asks again by itself.")
