"""`vendrail risk`: orders under review, and who is on a list."""

from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.orders import OrderId, Orders
from vendrail.api.risk import (
    ListEntry,
    ListKind,
    Review,
    ReviewQuery,
    Risk,
    RiskDecision,
    Verdict,
    VerdictStatus,
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

OrderArgument = Annotated[
    str, typer.Argument(metavar="ORDER", help="The order's serial number, or its id.")
]
Subject = Annotated[str, typer.Argument(help="contact:a@b.example, address:10.0.0.7 or device:….")]
_KINDS = ("contact", "address", "device")


@app.callback()
def risk() -> None:
    """Orders under review, and who is on a list.

    Example: [bold]vendrail risk reviews[/]
    """


async def _reviews(merchant: UUID | None, reviews_max: int) -> list[Review]:
    async with opened_house() as house:
        service: Risk = house.api(Risk)

        async def read(last: Review | None, size: int) -> list[Review]:
            query = ReviewQuery(merchant, last.order if last else None, size)
            [page] = await service.list_reviews([query])
            return page

        return await read_pages(read, reviews_max)


@app.command()
def reviews(
    merchant: Annotated[str | None, typer.Option(help="Only of this merchant's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    *,
    json: Json = False,
) -> None:
    """List paid orders that wait for a person, oldest first.

    Example: [bold]vendrail risk reviews --limit 20[/]
    """
    found = run(_reviews(read_serial(merchant) if merchant else None, limit))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("order", "amount", "why", "since"),
        [
            (
                to_serial(each.order),
                f"{to_text(each.amount_minor, each.currency)} {each.currency}",
                ", ".join(each.reasons),
                each.at,
            )
            for each in found
        ],
    )


async def _settle(order: UUID, decision: RiskDecision, reason: str) -> VerdictStatus:
    async with opened_house() as house:
        record_act(house.platform.home, f"risk.{decision}", to_serial(order), reason)
        service: Risk = house.api(Risk)
        [status] = await service.settle_reviews([Verdict(order, decision, person(), reason)])
        if status in (VerdictStatus.SETTLED, VerdictStatus.EXISTS):
            orders: Orders = house.api(Orders)
            await orders.wake_orders([OrderId(order)])
        return status


def _decide(serial: str, decision: RiskDecision, reason: str, *, is_json: bool) -> None:
    order = read_serial(serial)
    status = run(_settle(order, decision, need_reason(reason)))
    if status is VerdictStatus.REVIEW_NOT_FOUND:
        raise Malformed(
            f"Order {to_serial(order)} is not under review: see `vendrail risk reviews`."
        )
    if status is VerdictStatus.EXISTS_DIFFERENT:
        raise Malformed(f"Order {to_serial(order)} was decided otherwise before.")
    if is_json:
        write_json({"order": to_serial(order), "status": status, "decision": decision})
        return
    way = "is delivered" if decision is RiskDecision.ALLOW else "is refunded"
    out().print(f"Order {to_serial(order)} {way}: the running platform does it now.")


@app.command()
def release(order: OrderArgument, reason: Reason, *, json: Json = False) -> None:
    """Let an order under review be delivered.

    Example: [bold]vendrail risk release 01KB2M8Z7Q9V4T6W3X5Y1N0PQR --reason "known buyer"[/]
    """
    _decide(order, RiskDecision.ALLOW, reason, is_json=json)


@app.command()
def refuse(order: OrderArgument, reason: Reason, *, yes: Yes = False, json: Json = False) -> None:
    """Refuse an order under review: its money goes back.

    Example: [bold]vendrail risk refuse 01KB2M8Z7Q9V4T6W3X5Y1N0PQR --reason "stolen account"[/]
    """
    confirm(f"Refuse order {order}, and give its money back?", is_sure=yes or json)
    _decide(order, RiskDecision.REFUSE, reason, is_json=json)


def _read_subject(text: str) -> str:
    kind, sign, value = text.strip().partition(":")
    if kind not in _KINDS or not sign or not value.strip():
        raise Malformed(f"{text!r} is no subject: write contact:…, address:… or device:….")
    return f"{kind}:{value.strip()}"


async def _put(entry: ListEntry) -> bool:
    async with opened_house() as house:
        record_act(house.platform.home, f"risk.list.{entry.kind}", entry.subject, entry.reason)
        service: Risk = house.api(Risk)
        [is_new] = await service.put_list_entries([entry])
        return is_new


@app.command()
def block(
    subject: Subject,
    reason: Reason,
    kind: Annotated[ListKind, typer.Option("--as", help="What being listed means.")] = (
        ListKind.BLOCKED
    ),
    *,
    json: Json = False,
) -> None:
    """Put a contact, address or device on a list: blocked, unless said otherwise.

    Example: [bold]vendrail risk block contact:thief@example.com --reason "chargebacks"[/]
    """
    entry = ListEntry(_read_subject(subject), kind, need_reason(reason))
    is_new = run(_put(entry))
    if json:
        write_json({"subject": entry.subject, "kind": kind, "is_new": is_new})
    else:
        out().print(f"{entry.subject} is {kind}{'' if is_new else ' (it was listed before)'}.")


async def _remove(subject: str, reason: str) -> bool:
    async with opened_house() as house:
        record_act(house.platform.home, "risk.list.removed", subject, reason)
        service: Risk = house.api(Risk)
        [was_there] = await service.remove_list_entries([subject])
        return was_there


@app.command()
def unblock(subject: Subject, reason: Reason, *, json: Json = False) -> None:
    """Take a contact, address or device off all lists.

    Example: [bold]vendrail risk unblock contact:thief@example.com --reason "mistaken"[/]
    """
    cleaned = _read_subject(subject)
    if not run(_remove(cleaned, need_reason(reason))):
        raise Malformed(f"{cleaned} is on no list.")
    if json:
        write_json({"subject": cleaned, "removed": True})
    else:
        out().print(f"{cleaned} is on no list any more.")
