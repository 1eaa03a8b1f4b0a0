"""`vendrail unmatched`: money that fits nothing, and what becomes of it."""

from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.payments import (
    Capture,
    CaptureId,
    Payments,
    UnmatchedQuery,
    UnmatchedStatus,
    UnmatchedVerdict,
)
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
    person,
    show_table,
    write_json,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import to_text

app = typer.Typer(add_completion=False, no_args_is_help=True)

CaptureArgument = Annotated[
    str, typer.Argument(metavar="CAPTURE", help="The capture's number, as the list shows it.")
]


@app.callback()
def unmatched() -> None:
    """Money that fits nothing, and what becomes of it.

    It was validly paid, with the wrong amount, currency or order: it lies in suspense until a
    person says what it is.

    Example: [bold]vendrail unmatched list[/]
    """


async def _list(captures_max: int) -> list[Capture]:
    async with opened_house() as house:
        payments: Payments = house.api(Payments)

        async def read(last: Capture | None, size: int) -> list[Capture]:
            query = UnmatchedQuery(None, last.id if last else None, size)
            [page] = await payments.list_unmatched([query])
            return page

        return await read_pages(read, captures_max)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    *,
    json: Json = False,
) -> None:
    """List money that waits for a person, oldest first.

    Example: [bold]vendrail unmatched list --json[/]
    """
    found = run(_list(limit))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("capture", "channel", "provider's number", "amount", "why", "asked for by", "paid"),
        [
            (
                to_serial(c.id),
                c.channel_name,
                c.provider_number,
                f"{to_text(c.amount_minor, c.currency)} {c.currency}",
                c.fit,
                to_serial(c.order) if c.order else "",
                c.paid_at,
            )
            for c in found
        ],
    )


_ADVICE = {
    UnmatchedStatus.CAPTURE_NOT_FOUND: "there is no such money on the desk.",
    UnmatchedStatus.ATTEMPT_NOT_FOUND: "that order never asked for a payment.",
    UnmatchedStatus.AMOUNT_DIFFERS: "that order asks for another amount; give the money back.",
    UnmatchedStatus.EXISTS_DIFFERENT: "it was settled otherwise before.",
    UnmatchedStatus.PROVIDER_DISAGREES: "its provider, asked again, does not know of it.",
}


async def _settle(capture: UUID, order: UUID | None, reason: str) -> UnmatchedStatus:
    async with opened_house() as house:
        act = "unmatched.match" if order else "unmatched.refund"
        subject = to_serial(capture) + (f" to {to_serial(order)}" if order else "")
        record_act(house.platform.home, act, subject, reason)
        payments: Payments = house.api(Payments)
        verdict = UnmatchedVerdict(CaptureId(capture), order, person(), reason)
        [status] = await payments.settle_unmatched([verdict])
        return status


def _tell(capture: UUID, status: UnmatchedStatus, *, is_json: bool) -> None:
    if status not in (UnmatchedStatus.SETTLED, UnmatchedStatus.EXISTS):
        raise Malformed(f"Capture {to_serial(capture)}: {_ADVICE[status]}")
    if is_json:
        write_json({"capture": to_serial(capture), "status": status})
    else:
        out().print(f"Capture {to_serial(capture)}: {status}. The running platform does the rest.")


@app.command()
def match(
    capture: CaptureArgument,
    order: Annotated[str, typer.Argument(help="The order it is for.")],
    reason: Reason,
    *,
    json: Json = False,
) -> None:
    """Say which order the money is for: the order is then filled with it.

    Example: [bold]vendrail unmatched match 01KB2…CAP 01KB2…ORD --reason "buyer sent proof"[/]
    """
    id, target = read_serial(capture), read_serial(order)
    _tell(id, run(_settle(id, target, need_reason(reason))), is_json=json)


@app.command()
def refund(
    capture: CaptureArgument, reason: Reason, *, yes: Yes = False, json: Json = False
) -> None:
    """Give the money back to where it came from.

    Example: [bold]vendrail unmatched refund 01KB2…CAP --reason "nobody claims it"[/]
    """
    id = read_serial(capture)
    why = need_reason(reason)
    confirm(f"Give capture {to_serial(id)} back to who paid it?", is_sure=yes or json)
    _tell(id, run(_settle(id, None, why)), is_json=json)
