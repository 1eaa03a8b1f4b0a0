"""`vendrail restore`: a backup brought back."""

from pathlib import Path
from typing import Annotated

import typer

from vendrail.app import restore as restores
from vendrail.app.backup import Manifest, Told
from vendrail.app.opened import environment, opened_platform, run
from vendrail.app.terminal import Json, confirm, out, progress, write_json

app = typer.Typer(add_completion=False)


async def _restore(source: Path, told: Told, *, is_forced: bool) -> tuple[Path, Manifest]:
    async with opened_platform() as platform:
        manifest = await restores.restore(
            platform, environment(), source, told, is_forced=is_forced
        )
        return platform.home, manifest


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A file that `vendrail backup` wrote.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Over data that is there: it is lost.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --force: do not ask.")] = False,
    json: Json = False,
) -> None:
    """Bring a backup back, here or elsewhere.

    Into the database and home folder that are set (VENDRAIL_DATABASE_URL, --home before the
    command); both must be empty, unless --force is given.
    What an interrupted restore leaves is as before, or whole. Run `vendrail audit` after it.

    Example: [bold]vendrail restore vendrail-20261123-080000.backup[/]
    """
    if force:
        confirm("Everything that is there now will be lost. Go on?", is_sure=yes)
    with progress(is_shown=not json) as told:
        home, manifest = run(_restore(source.expanduser().absolute(), told, is_forced=force))
    if json:
        write_json({"home": str(home), "manifest": manifest})
        return
    out().print(f"[green]Restored[/] to {home}: as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC.")
    out().print(f"Prove it: [bold]vendrail --home {home} audit[/]")
