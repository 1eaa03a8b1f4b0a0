"""`vendrail doctor`: this machine and this installation, checked."""

import typer
from rich.markup import escape

from vendrail.app.doctor import (
    Finding,
    Level,
    check_database,
    check_machine,
    check_peers,
    check_secrets,
    tell_unreachable,
)
from vendrail.app.opened import environment, opened_platform, read_platform, run
from vendrail.app.terminal import EXIT_FINDINGS, Json, out, write_json
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.errors import Error

app = typer.Typer(add_completion=False)

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


async def _ask_database(platform: PlatformSettings) -> list[Finding]:
    if not platform.database_url and not (platform.home / "postgres/cluster").exists():
        seen = "the embedded one; not made yet, that is done at first start"
        return [Finding("database", Level.OK, seen)]
    try:
        async with opened_platform() as opened:
            return await check_database(opened, environment())
    except Error as error:
        return [tell_unreachable(error)]


async def _examine() -> list[Finding]:
    platform = read_platform()
    return [
        *check_machine(platform),
        *check_secrets(platform, environment()),
        *await _ask_database(platform),
        *await check_peers(platform),
    ]


@app.command()
def doctor(*, json: Json = False) -> None:
    """Check this machine and this installation.

    Each line is ok, warn or fail, with advice. Nothing is changed; the embedded database is started
    for the check if it does not run. Exit code 1 when something fails.

    Example: [bold]vendrail doctor[/]
    """
    findings = run(_examine())
    is_well = all(finding.level is not Level.FAIL for finding in findings)
    if json:
        write_json({"ok": is_well, "findings": findings})
    else:
        for finding in findings:
            colour = _COLOURS[finding.level]
            seen = escape(f"{finding.what}: {finding.seen}")
            out().print(f"[{colour}]{finding.level:<4}[/]  {seen}", soft_wrap=True)
            if finding.advice:
                out().print(f"      {escape(finding.advice)}", soft_wrap=True)
    if not is_well:
        raise typer.Exit(EXIT_FINDINGS)
