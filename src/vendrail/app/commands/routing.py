"""`vendrail routing`: over which channels payments go, and what others would have brought."""

import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TextIO
from uuid import UUID, uuid4

import typer

from vendrail.api.payments import (
    ChannelStanding,
    ChannelTerms,
    DecisionOutcome,
    DecisionQuery,
    Payments,
    RoutingRule,
    RuleEffect,
    RuleId,
    RuleStatus,
    TermsStatus,
)
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.replaying import Line, Spread, lines_of, read_costs, row_of
from vendrail.app.serials import read_serial
from vendrail.app.terminal import Json, Reason, need_reason, out, show_table, write_json
from vendrail.kernel.codec import Record, encode, replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.payments.routing.replay import COLUMNS, PROPENSITY

app = typer.Typer(add_completion=False, no_args_is_help=True)

ChannelArgument = Annotated[str, typer.Argument(help="The channel's name, as it is listed.")]
MethodOption = Annotated[str, typer.Option("--method", help="Of this method alone.")]
CountryOption = Annotated[str, typer.Option("--country", help="For buyers there alone: CN.")]
MerchantOption = Annotated[str, typer.Option("--merchant", help="For this merchant alone.")]


@app.callback()
def routing() -> None:
    """Over which channels payments go, and what another choice would have brought.

    Example: [bold]vendrail routing show[/]
    """


class Shown(Record, frozen=True):
    """What is said of one channel."""

    name: str
    terms: ChannelTerms
    standing: ChannelStanding | None


class Said(Record, frozen=True):
    """All that `show` tells."""

    channels: list[Shown]
    rules: list[RoutingRule]


async def _show() -> Said:
    async with opened_house() as house:
        payments: Payments = house.api(Payments)
        accounts = {each.id: each.name for each in await payments.list_channels()}
        standings = await payments.read_standings(list(accounts))
        by_channel = {each.channel: each for each in standings if each is not None}
        shown = [
            Shown(accounts[each.channel], each, by_channel.get(each.channel))
            for each in await payments.list_terms()
            if each.channel in accounts
        ]
        return Said(shown, await payments.list_rules())


@app.command()
def show(*, json: Json = False) -> None:
    """Show each channel's terms and how it stands in the choice now, and the rules.

    Example: [bold]vendrail routing show --json[/]
    """
    said = run(_show())
    if json:
        write_json(said)
        return
    show_table(
        "",
        ("channel", "cost", "weight %", "cap %", "expected success", "state"),
        [
            (
                each.name,
                f"{each.terms.cost_permyriad / 100:.2f} % + {each.terms.cost_minor}",
                each.terms.weight_percent,
                each.terms.cap_percent,
                f"{each.standing.success_ppm / 10_000:.1f} %" if each.standing else "",
                (each.standing.fate.value if each.standing else "") or "in the running",
            )
            for each in said.channels
        ],
    )
    names = {each.terms.channel: each.name for each in said.channels}
    if said.rules:
        show_table(
            "",
            ("rule", "effect", "channel", "method", "country", "merchant"),
            [
                (
                    to_serial(each.id),
                    each.effect.value,
                    names.get(each.channel, "") if each.channel else "all",
                    each.method or "all",
                    each.country or "all",
                    to_serial(each.merchant) if each.merchant else "all",
                )
                for each in said.rules
            ],
        )


async def _channel(payments: Payments, name: str) -> ChannelTerms:
    accounts = {each.name: each.id for each in await payments.list_channels()}
    if name not in accounts:
        raise Malformed(f"There is no channel {name!r}: see `vendrail channels list`.")
    found = {each.channel: each for each in await payments.list_terms()}
    return found[accounts[name]]


async def _put_terms(name: str, changes: dict[str, object], reason: str) -> TermsStatus:
    async with opened_house() as house:
        payments: Payments = house.api(Payments)
        before = await _channel(payments, name)
        after = replace(before, **changes)
        told = f"{name}: {encode(before).decode()} -> {encode(after).decode()}"
        record_act(house.platform.home, "routing.terms", told, reason)
        [status] = await payments.put_terms([after])
        return status


@app.command()
def terms(
    channel: ChannelArgument,
    reason: Reason,
    *,
    cost: Annotated[
        int | None, typer.Option(help="Of the amount, in hundredths of a percent: 60 = 0.60 %.")
    ] = None,
    cost_minor: Annotated[
        int | None, typer.Option(help="Of each payment beside it, in minor units.")
    ] = None,
    cost_failed: Annotated[
        int | None, typer.Option(help="Of each payment that fails, in minor units.")
    ] = None,
    weight: Annotated[
        int | None, typer.Option(help="In percent; 0: only where no other can.")
    ] = None,
    cap: Annotated[
        int | None, typer.Option(help="The largest share of what others could take, in percent.")
    ] = None,
    volume: Annotated[
        int | None,
        typer.Option(help="The most it takes in a day, in minor units; 0: no bound."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what a channel costs and may take; what is not named stays as it is.

    Example: [bold]vendrail routing terms alipay --cost 60 --cap 20 --reason "new contract"[/]
    """
    given = {
        "cost_permyriad": cost,
        "cost_minor": cost_minor,
        "cost_failed_minor": cost_failed,
        "weight_percent": weight,
        "cap_percent": cap,
        "volume_day_minor": volume,
    }
    changes: dict[str, object] = {k: v for k, v in given.items() if v is not None}
    if not changes:
        raise Malformed("Name at least one of the terms; see --help.")
    status = run(_put_terms(channel, changes, need_reason(reason)))
    if status is TermsStatus.MALFORMED:
        raise Malformed("A cap is 1 to 100, a weight 0 to 1000, and nothing is below zero.")
    if json:
        write_json({"channel": channel, "status": status})
    else:
        out().print(f"{channel}: {status}.")


async def _put_rule(
    effect: RuleEffect, name: str, method: str, country: str, merchant: str, reason: str
) -> tuple[RuleStatus, RuleId]:
    async with opened_house() as house:
        payments: Payments = house.api(Payments)
        channel = (await _channel(payments, name)).channel if name else None
        of: UUID | None = read_serial(merchant) if merchant else None
        rule = RoutingRule(RuleId(uuid4()), effect, channel, of, method, country.upper())
        record_act(house.platform.home, f"routing.{effect}", encode(rule).decode(), reason)
        [status] = await payments.put_rules([rule])
        return status, rule.id


def _tell_rule(status: RuleStatus, id: RuleId, *, json: bool) -> None:
    if status is not RuleStatus.CREATED:
        raise Malformed("A country has two letters; a ban names a channel or a method.")
    if json:
        write_json({"rule": to_serial(id), "status": status})
    else:
        out().print(f"It holds from now on. Take it back by: vendrail routing drop {to_serial(id)}")


@app.command()
def pin(
    channel: ChannelArgument,
    reason: Reason,
    *,
    method: MethodOption = "",
    country: CountryOption = "",
    merchant: MerchantOption = "",
    json: Json = False,
) -> None:
    """Send payments to one channel first, wherever it can take them.

    Example: [bold]vendrail routing pin alipay --method alipay_qr --reason "campaign"[/]
    """
    status, id = run(
        _put_rule(RuleEffect.PIN, channel, method, country, merchant, need_reason(reason))
    )
    _tell_rule(status, id, json=json)


@app.command()
def never(
    reason: Reason,
    *,
    channel: Annotated[str, typer.Option("--channel", help="Not over this channel.")] = "",
    method: MethodOption = "",
    country: CountryOption = "",
    merchant: MerchantOption = "",
    json: Json = False,
) -> None:
    """Send no payments to a channel, or offer a method to nobody.

    Example: [bold]vendrail routing never --channel alipay --country DE --reason "contract"[/]
    """
    status, id = run(
        _put_rule(RuleEffect.NEVER, channel, method, country, merchant, need_reason(reason))
    )
    _tell_rule(status, id, json=json)


async def _drop(rule: UUID, reason: str) -> bool:
    async with opened_house() as house:
        record_act(house.platform.home, "routing.drop", to_serial(rule), reason)
        payments: Payments = house.api(Payments)
        [is_dropped] = await payments.drop_rules([RuleId(rule)])
        return is_dropped


@app.command()
def drop(
    rule: Annotated[str, typer.Argument(help="The rule's number, as `show` lists it.")],
    reason: Reason,
    *,
    json: Json = False,
) -> None:
    """Take a rule back.

    Example: [bold]vendrail routing drop 01K… --reason "campaign is over"[/]
    """
    if not run(_drop(read_serial(rule), need_reason(reason))):
        raise Malformed(f"There is no rule {rule}: see `vendrail routing show`.")
    if json:
        write_json({"rule": rule, "status": "dropped"})
    else:
        out().print("It holds no more.")


async def _export(file: TextIO, query: DecisionQuery, *, is_whole: bool) -> int:
    """Write page by page: a log may be larger than memory."""
    wanted = {DecisionOutcome.SUCCEEDED, DecisionOutcome.FAILED}
    if is_whole:
        wanted.add(DecisionOutcome.GIVEN_UP)
    count = 0
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*COLUMNS, PROPENSITY))
    async with opened_house() as house:
        payments: Payments = house.api(Payments)
        while page := (await payments.list_decisions([query]))[0]:
            query = replace(query, after=page[-1].attempt)
            told = [row_of(each) for each in page if each.outcome in wanted]
            writer.writerows(told)
            count += len(told)
    return count


@app.command()
def export(
    file: Annotated[
        Path | None, typer.Argument(help="Where to write; without it, to the screen.")
    ] = None,
    *,
    days: Annotated[int, typer.Option(min=1, help="Of so many days up to now.")] = 30,
    currency: Annotated[str, typer.Option(help="Of payments in this currency alone.")] = "CNY",
    whole: Annotated[
        bool, typer.Option("--whole", help="What buyers gave up too, as failed.")
    ] = False,
) -> None:
    """Write the log of decisions, in the form that `replay` reads: CSV, with propensities.

    What was sent to a channel by name, or was opened by nobody, was no decision. What is still
    open is left out; so is what buyers gave up, for routing does not count it against a channel.

    Example: [bold]vendrail routing export log.csv --days 90[/]
    """
    now = datetime.now(UTC)
    until = now + timedelta(days=1)  # Clocks of other machines may be ahead.
    query = DecisionQuery(now - timedelta(days=days), until, currency.upper())
    if file is None:
        run(_export(sys.stdout, query, is_whole=whole))
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            count = run(_export(opened, query, is_whole=whole))
    except OSError as error:
        raise Malformed(f"{file} cannot be written: {error}.") from error
    out().print(f"{count:,} decisions. Replay them: vendrail routing replay {file}")


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A log: CSV, its columns as the guide says.")],
    *,
    cost: Annotated[
        list[str] | None,
        typer.Option(help="NAME=SUCCESS[,FAILURE] in minor units; once for each channel."),
    ] = None,
    cap: Annotated[
        list[str] | None, typer.Option(help="NAME=PERCENT: the largest share of a channel.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what other choices would have brought on a log: uniform, one channel for all, ours.

    Off-policy: each logged payment is weighed by how often another choice would have sent it
    there (SNIPS); intervals of 95 % by a bootstrap over purchases. No database is needed.

    Example: [bold]vendrail routing replay log.csv --cost dear=1000,500 --cap dear=20[/]
    """
    found = lines_of(file, read_costs(cost or [], cap or []))
    if json:
        write_json(found)
        return
    show_table(
        f"{found[0].payments_count:,} payments",
        ("choice", "success %", "failures", "fee", "fee of a success", "shares"),
        [_cells(each) for each in found],
    )


def _cells(line: Line) -> tuple[object, ...]:
    def spread(figure: Spread, factor: float, digits: int) -> str:
        low, middle, high = (f"{factor * each:.{digits}f}" for each in figure)
        return f"{middle}  ({low} to {high})"

    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in line.shares.items())
    return (
        line.choice,
        spread(line.success, 100, 2),
        f"{100 * line.failures_change:+.1f} %",
        spread(line.fee, 1, 0),
        spread(line.fee_of_success, 1, 0),
        shares,
    )
