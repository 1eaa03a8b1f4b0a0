"""`vendrail payouts`: money that goes to merchants, and the reserves it comes from."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.payouts import (
    PayoutId,
    PayoutQuery,
    Payouts,
    PayoutState,
    PayoutVerdict,
    PayoutVerdictStatus,
    PayoutView,
    Remittance,
    RemittanceStatus,
    Reserve,
    ReserveChange,
    ReserveForecast,
    ReserveSource,
    ReserveStatus,
)
from vendrail.app.acts import record_act
from vendrail.app.commands import bankfiles
from vendrail.app.opened import opened_house, run
from vendrail.app.paging import read_pages
from vendrail.app.serials import read_serial
from vendrail.app.terminal import (
    Json,
    Reason,
    need_reason,
    out,
    person,
    show_table,
    write_json,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.remittances import read_bytes, write_line

app = typer.Typer(add_completion=False, no_args_is_help=True)
app.add_typer(bankfiles.app)

PayoutArgument = Annotated[
    str, typer.Argument(metavar="PAYOUT", help="The payout's number, as the list shows it.")
]


@app.callback()
def payouts() -> None:
    """Money that goes to merchants, and the reserves it comes from.

    Example: [bold]vendrail payouts list --state review[/]
    """


async def _list(states: list[PayoutState], payouts_max: int) -> list[PayoutView]:
    async with opened_house() as house:
        service: Payouts = house.api(Payouts)

        async def read(last: PayoutView | None, size: int) -> list[PayoutView]:
            query = PayoutQuery(None, states, last.id if last else None, size)
            [page] = await service.list_payouts([query])
            return page

        return await read_pages(read, payouts_max)


@app.command("list")
def list_(
    state: Annotated[
        list[PayoutState] | None, typer.Option(help="Only in this state; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    *,
    json: Json = False,
) -> None:
    """List payouts, newest first.

    Example: [bold]vendrail payouts list --state review --json[/]
    """
    found = run(_list(state or [], limit))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("payout", "merchant", "channel", "to", "amount", "state", "problem", "asked"),
        [
            (
                to_serial(each.id),
                to_serial(each.merchant),
                each.channel_name,
                each.shown,
                f"{to_text(each.amount_minor, each.currency)} {each.currency}",
                each.state,
                each.problem,
                each.asked_at,
            )
            for each in found
        ],
    )


_ADVICE = {
    PayoutVerdictStatus.PAYOUT_NOT_FOUND: "there is no such payout.",
    PayoutVerdictStatus.NOT_WAITING: "it was decided before, or is out already.",
    PayoutVerdictStatus.NOT_PAYABLE: "its account or its merchant is stopped.",
}


async def _review(payout: UUID, reason: str, *, is_approved: bool) -> PayoutVerdictStatus:
    async with opened_house() as house:
        act = "payout.approve" if is_approved else "payout.decline"
        record_act(house.platform.home, act, to_serial(payout), reason)
        service: Payouts = house.api(Payouts)
        verdict = PayoutVerdict(PayoutId(payout), is_approved, person(), reason)
        [status] = await service.review_payouts([verdict])
        return status


def _tell(payout: UUID, status: PayoutVerdictStatus, *, is_json: bool) -> None:
    if status is not PayoutVerdictStatus.DONE:
        raise Malformed(f"Payout {to_serial(payout)}: {_ADVICE[status]}")
    if is_json:
        write_json({"payout": to_serial(payout), "status": status})
    else:
        out().print(f"Payout {to_serial(payout)}: {status}. The running platform does the rest.")


@app.command()
def approve(payout: PayoutArgument, reason: Reason, *, json: Json = False) -> None:
    """Let a payout that waits for a person go out.

    Example: [bold]vendrail payouts approve 01KB2…PAY --reason "known shop"[/]
    """
    id = read_serial(payout)
    _tell(id, run(_review(id, need_reason(reason), is_approved=True)), is_json=json)


@app.command()
def decline(payout: PayoutArgument, reason: Reason, *, json: Json = False) -> None:
    """Stop a payout that is not sent yet: the merchant has the money again.

    Example: [bold]vendrail payouts decline 01KB2…PAY --reason "account stolen"[/]
    """
    id = read_serial(payout)
    _tell(id, run(_review(id, need_reason(reason), is_approved=False)), is_json=json)


async def _reserves() -> list[Reserve]:
    async with opened_house() as house:
        service: Payouts = house.api(Payouts)
        return await service.list_reserves()


@app.command()
def reserves(*, json: Json = False) -> None:
    """Show what each channel can still pay out.

    Example: [bold]vendrail payouts reserves[/]
    """
    found = run(_reserves())
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("channel", "currency", "there", "reserved", "free", "waited for"),
        [
            (
                each.channel_name,
                each.currency,
                *(
                    to_text(amount_minor, each.currency)
                    for amount_minor in (
                        each.there_minor,
                        each.reserved_minor,
                        each.free_minor,
                        each.waiting_minor,
                    )
                ),
            )
            for each in found
        ],
    )


async def _forecast() -> list[ReserveForecast]:
    async with opened_house() as house:
        service: Payouts = house.api(Payouts)
        return await service.forecast_reserves()


@app.command()
def forecast(*, json: Json = False) -> None:
    """Say how long each reserve may last, by the weeks before, and what to put in.

    Example: [bold]vendrail payouts forecast[/]
    """
    found = run(_forecast())
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("channel", "currency", "weeks", "free", "waited for", "in a day", "lasts until", "put in"),
        [
            (
                each.channel_name,
                each.currency,
                each.weeks_count,
                to_text(each.free_minor, each.currency),
                to_text(each.waiting_minor, each.currency),
                to_text(each.careful_minor[23], each.currency) if each.careful_minor else "?",
                each.dry_at or ("a week" if each.careful_minor else "?"),
                to_text(each.suggested_minor, each.currency),
            )
            for each in found
        ],
    )


_TOP_UP_ADVICE = {
    ReserveStatus.CHANNEL_UNKNOWN: "no active channel of that name pays out in that currency.",
    ReserveStatus.SOURCE_CLOSED: "a settlement has a number: book it by `vendrail payouts settle`.",
    ReserveStatus.AMOUNT_MALFORMED: "the amount must not be zero.",
    ReserveStatus.RESERVE_TOO_LOW: "the reserve does not have so much that is free.",
    ReserveStatus.BANK_TOO_LOW: "the bank account does not have so much.",
}


async def _top_up(
    channel: str, amount: str, currency: str, source: ReserveSource, reason: str
) -> ReserveStatus:
    async with opened_house() as house:
        subject = f"{channel}: {amount} {currency} from {source}"
        record_act(house.platform.home, "reserve.change", subject, reason)
        service: Payouts = house.api(Payouts)
        change = ReserveChange(
            new_id(house.clock.now()),
            channel,
            currency,
            from_text(amount, currency),
            source,
            reason,
            person(),
        )
        [status] = await service.change_reserves([change])
        return status


@app.command("top-up")
def top_up(
    channel: Annotated[str, typer.Argument(help="The channel account's name.")],
    amount: Annotated[str, typer.Argument(help="As 5000.00; below zero: taken out again.")],
    currency: Annotated[str, typer.Argument(help="As CNY.")],
    reason: Reason,
    source: Annotated[
        ReserveSource,
        typer.Option(help="Whose money it was: the owner's, or of the bank account."),
    ] = ReserveSource.OWNER,
    *,
    json: Json = False,
) -> None:
    """Write down that money was put into a channel's reserve.

    Example: [bold]vendrail payouts top-up alipay 5000.00 CNY --reason "transfer of Monday"[/]
    """
    status = run(_top_up(channel, amount, currency, source, need_reason(reason)))
    if status not in (ReserveStatus.DONE, ReserveStatus.EXISTS):
        raise Malformed(f"Reserve of {channel}: {_TOP_UP_ADVICE[status]}")
    if json:
        write_json({"channel": channel, "currency": currency, "status": status})
    else:
        out().print(f"Reserve of {channel}: {status}.")


async def _settle(
    content: bytes, reason: str, *, is_dry: bool
) -> list[tuple[Remittance, RemittanceStatus]]:
    lines = [replace(each, by=person(), reason=reason) for each in read_bytes(content)]
    async with opened_house() as house:
        service: Payouts = house.api(Payouts)
        statuses = await service.check_remittances(lines)
        if all(each in _BOOKABLE for each in statuses) and not is_dry:
            for each in lines:
                record_act(house.platform.home, "remittance.book", write_line(each), reason)
            statuses = await service.book_remittances(lines)
        return list(zip(lines, statuses, strict=True))


_BOOKABLE = (RemittanceStatus.BOOKED, RemittanceStatus.EXISTS)


@app.command()
def settle(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file.")],
    reason: Reason,
    *,
    dry: Annotated[bool, typer.Option("--dry", help="Only say how it would end.")] = False,
    json: Json = False,
) -> None:
    """Book what providers have settled, from a CSV file; all of it, or nothing.

    Its first line names the columns: channel, number, paid_on, currency, gross, fee, target.

    Example: [bold]vendrail payouts settle monday.csv --reason "statement of Monday"[/]
    """
    found = run(_settle(file.read_bytes(), need_reason(reason), is_dry=dry))
    if json:
        write_json([{"settlement": each, "status": status} for each, status in found])
    else:
        show_table(
            "",
            ("channel", "number", "settled", "fee", "status"),
            [
                (
                    each.channel_name,
                    each.number,
                    f"{to_text(each.gross_minor, each.currency)} {each.currency}",
                    to_text(each.fee_minor, each.currency),
                    status,
                )
                for each, status in found
            ],
        )
    if any(status not in _BOOKABLE for _, status in found):
        raise Malformed("Nothing was booked: look at the lines above.")
