"""`vendrail vault`: the keys that seal everything else."""

from typing import Annotated

import typer

from vendrail.app.acts import record_act
from vendrail.app.datakeys import check_keys, rewrap_keys
from vendrail.app.opened import environment, opened_platform, run
from vendrail.app.terminal import (
    Json,
    Reason,
    Told,
    need_reason,
    out,
    progress,
    show_table,
    write_json,
)
from vendrail.kernel.vault import Vault

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def vault() -> None:
    """The keys that seal everything else.

    Rows are sealed under data keys, data keys under a master key. Rotating adds a master key and
    seals every data key anew; no row is touched, and nothing has to stop.

    Example: [bold]vendrail vault rotate --reason "yearly"[/]
    """


async def _rotate(reason: str, told: Told, *, is_added: bool) -> tuple[str, dict[str, int]]:
    async with opened_platform() as platform:
        record_act(platform.home, "vault.rotate", str(platform.home), reason)
        opened = Vault.open(platform.home, environment())
        # A vault that does not open what is there must not become the one that seals it.
        await check_keys(platform.database_url, opened)
        name = opened.rotate_master() if is_added else ""
        return name, await rewrap_keys(platform.database_url, opened, told)


@app.command()
def rotate(
    reason: Reason,
    *,
    rewrap_only: Annotated[
        bool,
        typer.Option("--rewrap-only", help="Add no key: you put one into VENDRAIL_MASTER_KEY."),
    ] = False,
    json: Json = False,
) -> None:
    """Add a master key, and seal all data keys under it.

    Breaking it off does no harm: run it again with --rewrap-only. Older master keys stay, for older
    backups need them.

    Example: [bold]vendrail vault rotate --reason "an operator left"[/]
    """
    with progress(is_shown=not json) as told:
        name, done = run(_rotate(need_reason(reason), told, is_added=not rewrap_only))
    if json:
        write_json({"master_key": name, "rewrapped": done})
        return
    if name:
        out().print(f"The new master key is {name}; backups from now on need it.")
    show_table("Sealed anew", ("service", "data keys"), list(done.items()))
