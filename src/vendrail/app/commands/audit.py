"""`vendrail audit`: the books, proved."""

import typer

from vendrail.app.audit import CHECKS, Report
from vendrail.app.audit import audit as prove
from vendrail.app.checks import leave_report
from vendrail.app.opened import opened_platform, require_schemas, run
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


async def _prove(told: Told) -> Report:
    async with opened_platform() as platform:
        await require_schemas(platform.database_url)
        report = await prove(platform.database_url, told)
        found = {each.name: each.count for each in report.outcomes if each.count}
        await leave_report("audit", is_good=not found, findings=found)
    return report


@app.command()
def audit(*, json: Json = False) -> None:
    """Prove the books: every promise about money and keys.

    Reads one snapshot and writes nothing but its outcome, which the console shows, so it may run
    beside the platform. A check that examined no row proves nothing and is not ok. Exit code 1: the
    list says what is not as it should be, and operators get a letter of it, once.

    Example: [bold]vendrail audit --json | tail -1 | jq .findings[/]
    """
    with progress(is_shown=not json) as told:
        report = run(_prove(told))
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
        out().print(f"[green]All {len(CHECKS)} checks hold.[/]")
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
