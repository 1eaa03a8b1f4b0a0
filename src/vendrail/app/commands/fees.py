"""`vendrail fees`: the rules that count, and what others would have brought."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.settlement import FeeRule, FeeSchedule, FeeScheduleStatus, FeeTrial, Settlement
from vendrail.app.opened import opened_house, run
from vendrail.app.terminal import Json, out, show_table, write_json
from vendrail.kernel.codec import Record, decode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import to_text
from vendrail.web.trials import FeeSum, Trial, try_rules

app = typer.Typer(add_completion=False, no_args_is_help=True)

SinceOption = Annotated[
    datetime, typer.Option(formats=["%Y-%m-%d"], help="Orders placed from this day of UTC on …")
]
UntilOption = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="… and before this one.")]


@app.callback()
def fees() -> None:
    """What merchants pay on a sale: the rules, and what others would have brought.

    Example: [bold]vendrail fees show[/]
    """


async def _list() -> list[FeeSchedule]:
    async with opened_house() as house:
        settlement: Settlement = house.api(Settlement)
        return await settlement.list_fee_schedules()


def _conditions(rule: FeeRule) -> str:
    """Name what a rule asks for, as its file does."""
    costs = {
        "basis_points",
        "fixed_minor",
        "fee_minor_min",
        "fee_minor_max",
        "is_cost_borne",
        "is_fee_refunded",
        "title",
    }
    asked = {name: getattr(rule, name) for name in rule.__struct_fields__ if name not in costs}
    return ", ".join(f"{name} {value}" for name, value in asked.items() if value) or "every sale"


@app.command()
def show(*, json: Json = False) -> None:
    """Show every version of the rules, newest first.

    Example: [bold]vendrail fees show --json[/]
    """
    schedules = run(_list())
    if json:
        write_json(schedules)
        return
    if not schedules:
        out().print("No rules yet: merchants without terms of their own pay the default.")
    for each in schedules:
        begins = f"{each.valid_from:%Y-%m-%d %H:%M} UTC"
        show_table(
            f"version {each.version} from {begins}, {each.person}: {each.reason}",
            ("rule", "title", "percent", "fixed", "at least", "at most", "on"),
            [
                (
                    number,
                    rule.title,
                    f"{rule.basis_points / 100:.2f}",
                    *(
                        to_text(minor, rule.currency) if minor else ""
                        for minor in (rule.fixed_minor, rule.fee_minor_min, rule.fee_minor_max)
                    ),
                    _conditions(rule),
                )
                for number, rule in enumerate(each.rules, 1)
            ],
        )


class Tried(Record, frozen=True):
    """What some sales cost, and what they would have."""

    of: str
    currency: str
    sales_count: int
    sold_minor: int
    was_minor: int
    would_minor: int


async def _try(rules: list[FeeRule], since: datetime, until: datetime) -> Trial:
    async with opened_house() as house:
        settlement: Settlement = house.api(Settlement)
        [result] = await settlement.try_fees([FeeTrial(rules, [])])
        if result.status is not FeeScheduleStatus.CREATED:
            raise Malformed(f"These rules cannot be a schedule: {result.status}.")
        orders: Orders = house.api(Orders)
        payments: Payments = house.api(Payments)
        begin, end = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
        return await try_rules(
            rules, begin, end, UTC, orders, payments, settlement, sales_max=10**12
        )


def _line(of: str, currency: str, each: FeeSum) -> Tried:
    return Tried(of, currency, *each)


@app.command()
def preview(
    file: Annotated[Path, typer.Argument(help="Rules as JSON, as `show --json` tells them.")],
    since: SinceOption,
    until: UntilOption,
    *,
    json: Json = False,
) -> None:
    """Say what rules would have brought on the orders delivered in a time: in all, by merchant.

    Example: [bold]vendrail fees preview rules.json --since 2026-10-01 --until 2026-11-01[/]
    """
    trial = run(_try(decode(file.read_bytes(), list[FeeRule]), since, until))
    lines = [_line("all", currency, each) for currency, each in trial.currencies.items()]
    for (merchant, currency), each in trial.merchants.items():
        lines.append(_line(to_serial(merchant), currency, each))
    if json:
        write_json(lines)
        return
    show_table(
        "",
        ("of", "sales", "sold", "was", "would be"),
        [
            (
                each.of,
                each.sales_count,
                f"{to_text(each.sold_minor, each.currency)} {each.currency}",
                to_text(each.was_minor, each.currency),
                to_text(each.would_minor, each.currency),
            )
            for each in lines
        ],
    )
