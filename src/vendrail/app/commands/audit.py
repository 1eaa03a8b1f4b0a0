"""`vendrail audit`: the books, proved."""

from typing import Annotated

import typer

from vendrail.api.ledger import BlockCheck, CloseQuery, Ledger
from vendrail.api.ledger.closes import CloseCheck
from vendrail.app.audit import Outcome, Report
from vendrail.app.audit import audit as prove
from vendrail.app.checks import leave_report
from vendrail.app.opened import opened_house, opened_platform, require_schemas, run
from vendrail.app.terminal import (
    EXIT_FINDINGS,
    Json,
    Told,
    out,
    progress,
    say,
    show_table,
    write_json,
)
from vendrail.kernel.money import to_text

app = typer.Typer(add_completion=False)

_SHOWN_MAX = 20
_BLOCKS = 16  # Checked at once.
_CLOSES = 50  # Read, and checked, at once.
_FINDINGS_MAX = 1_000


async def _check_blocks(told: Told) -> Outcome:
    """Hash the sealed journal anew, block by block."""
    findings: list[str] = []
    async with opened_house() as house:
        ledger: Ledger = house.api(Ledger)
        head = (await ledger.read_head()).block
        count = head.number if head is not None else 0
        for first in range(1, count + 1, _BLOCKS):
            told("blocks", first - 1, count)
            numbers = range(first, min(first + _BLOCKS, count + 1))
            checks = await ledger.check_blocks(numbers)
            findings += [
                f"{number}: {check}"
                for number, check in zip(numbers, checks, strict=True)
                if check is not BlockCheck.WHOLE
            ]
        told("blocks", count, count)
    return Outcome(
        "blocks_are_whole",
        "The sealed journal says what it said when it was sealed, chained and signed.",
        count,
        findings[:_FINDINGS_MAX],
        len(findings),
    )


async def _check_closes(told: Told) -> Outcome:
    """Hash closed days anew, the newest first."""
    findings: list[str] = []
    count, before = 0, None
    async with opened_house() as house:
        ledger: Ledger = house.api(Ledger)
        while True:
            told("closed days", count, count + 1)
            [page] = await ledger.list_closes([CloseQuery(before, _CLOSES)])
            days = [close.day for close in page]
            checks = await ledger.check_closes(days) if days else []
            findings += [
                f"{day}: {check}"
                for day, check in zip(days, checks, strict=True)
                if check is not CloseCheck.WHOLE
            ]
            count += len(days)
            if len(days) < _CLOSES:
                break
            before = days[-1]
    return Outcome(
        "closes_are_whole",
        "Closed days say what they said when they were closed, chained and signed.",
        count,
        findings[:_FINDINGS_MAX],
        len(findings),
    )


async def _prove(told: Told, *, with_blocks: bool) -> Report:
    async with opened_platform() as platform:
        await require_schemas(platform.database_url)
        report = await prove(platform.database_url, told)
        if with_blocks:
            sealed = [await _check_blocks(told)]
            if (closes := await _check_closes(told)).examined:  # The first day may not be over.
                sealed.append(closes)
            is_ok = report.ok and all(each.is_ok for each in sealed)
            report = Report(is_ok, [*report.outcomes, *sealed], report.totals)
        found = {each.name: each.count for each in report.outcomes if each.count}
        await leave_report("audit", is_good=not found, findings=found)
    return report


@app.command()
def audit(
    *,
    proofs: Annotated[
        bool,
        typer.Option(
            "--proofs", help="Also hash the whole sealed journal and all closed days anew."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Prove the books: every promise about money and keys.

    Reads one snapshot and writes nothing but its outcome, which the console shows, so it may run
    beside the platform. A check that examined no row proves nothing and is not ok. Exit code 1: the
    list says what is not as it should be, and operators get a letter of it, once.

    Example: [bold]vendrail audit --json | tail -1 | jq .findings[/]
    """
    with progress(is_shown=not json) as told:
        report = run(_prove(told, with_blocks=proofs))
    if json:
        write_json(
            {
                "ok": report.ok,
                "counts": {each.name: each.examined for each in report.outcomes},
                "findings": {each.name: each.findings for each in report.outcomes if each.findings},
                "totals": report.totals,
            }
        )
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(EXIT_FINDINGS)


def _show(report: Report) -> None:
    show_table(
        "",
        ("check", "rows", "found", "promise"),
        [(each.name, each.examined, each.count, each.promise) for each in report.outcomes],
    )
    for currency, sums in report.totals.items():
        debits, credits = (to_text(sums[side], currency) for side in ("debits", "credits"))
        out().print(f"{currency}: debits {debits}, credits {credits}")
    if report.ok:
        out().print(f"[green]All {len(report.outcomes)} checks hold.[/]")
        return
    for outcome in report.outcomes:
        if not outcome.examined:
            out().print(f"[red]{outcome.name}[/]: nothing was there to examine, so nothing proved")
        if outcome.findings:
            out().print(f"[red]{outcome.name}[/]: {outcome.count:,} found")
            for id in outcome.findings[:_SHOWN_MAX]:
                out().print(f"  {id}")
    if any(each.count > _SHOWN_MAX for each in report.outcomes):
        say("More with --json.")
