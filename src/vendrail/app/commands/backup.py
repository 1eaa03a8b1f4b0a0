"""`vendrail backup`: the platform in one file."""

from pathlib import Path
from typing import Annotated

import typer

from vendrail.app import backup as backups
from vendrail.app.backup import Manifest, Told
from vendrail.app.checks import leave_report
from vendrail.app.opened import environment, opened_platform, run
from vendrail.app.terminal import Json, out, progress, write_json

app = typer.Typer(add_completion=False)


async def _backup(target: Path, told: Told) -> tuple[Path, Manifest]:
    async with opened_platform() as platform:
        made = await backups.backup(platform, environment(), target, told)
        await leave_report("backup", is_good=True)
    return made


@app.command()
def backup(
    target: Annotated[
        Path, typer.Argument(help="The file to write; in a folder, a new one named by the time.")
    ],
    *,
    json: Json = False,
) -> None:
    """Write the platform into one file, while it runs.

    One snapshot of the database, and from the home folder the secrets, media, files and
    vendrail.toml. The file is not encrypted and holds the master keys: whoever can read it can read
    every key that is for sale. It is made for its owner alone (0600); keep it so.

    Example: [bold]vendrail backup /srv/backups/[/]
    """
    with progress(is_shown=not json) as told:
        path, manifest = run(_backup(target.expanduser().absolute(), told))
    size = path.stat().st_size
    if json:
        write_json({"file": str(path), "bytes": size, "manifest": manifest})
        return
    out().print(f"[green]{path}[/]: {size:,} bytes, for its owner alone (0600).")
    if manifest.has_secrets:
        out().print(
            "It holds the master keys and is not encrypted: guard it as you guard the keys."
        )
    else:
        out().print(
            "The master keys came from the environment and are [bold]not[/] in it: without them"
            " nothing in it can be read. Keep them apart, and safe."
        )
