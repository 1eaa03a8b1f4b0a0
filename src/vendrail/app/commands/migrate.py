"""`vendrail migrate`: the schemas of all services, brought to the newest form."""

import typer

from vendrail.app.opened import opened_platform, read_pending, run
from vendrail.app.services import SCHEMAS
from vendrail.app.terminal import Json, progress, say, show_table, write_json
from vendrail.kernel.migrate import Migration, has_roles
from vendrail.kernel.migrate import migrate as apply

app = typer.Typer(add_completion=False)


async def _migrate(*, is_told: bool) -> tuple[list[Migration], bool]:
    async with opened_platform() as platform:
        dsn = platform.database_url
        pending = len(await read_pending(dsn))
        applied: list[Migration] = []
        with progress(is_shown=is_told and pending > 0) as told:
            for service in SCHEMAS:
                applied += await apply(dsn, [service])
                told("migrations", len(applied), pending)
        return applied, await has_roles(dsn, SCHEMAS)


@app.command()
def migrate(*, json: Json = False) -> None:
    """Bring the database to the newest form.

    Forward only, each migration in one transaction, one migrator at a time; running it again does
    nothing. `serve` and `demo` do it by themselves.

    Example: [bold]vendrail migrate[/]
    """
    applied, with_roles = run(_migrate(is_told=not json))
    if json:
        names = [f"{each.service}/{each.number:04}_{each.name}" for each in applied]
        write_json({"applied": names, "has_roles": with_roles})
        return
    if applied:
        rows = [(each.service, f"{each.number:04}", each.name) for each in applied]
        show_table("Applied", ("service", "number", "migration"), rows)
    else:
        say("Nothing to do: every schema is up to date.")
    if not with_roles:
        say("One-role mode: this user may not make roles, so services are not kept apart.")
