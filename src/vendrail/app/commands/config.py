"""`vendrail config`: every setting of every room."""

from typing import Annotated

import typer

from vendrail.app.opened import environment, read_platform
from vendrail.app.rooms import read_fields
from vendrail.app.terminal import Json, show_table, write_json

app = typer.Typer(add_completion=False)


@app.command()
def show(
    room: Annotated[str | None, typer.Argument(help="One room only, as orders.")] = None,
    *,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what is not at its default.")
    ] = False,
    json: Json = False,
) -> None:
    """Every setting: value, where it came from, what it does.

    A value comes from the environment, else from vendrail.toml in the home folder, else it is the
    default. Secrets are masked, for machines too.

    Example: [bold]vendrail config orders --changed[/]
    """
    fields = read_fields(read_platform(), environment())
    if room is not None and room not in fields:
        raise typer.BadParameter(f"There are: {', '.join(fields)}.", param_hint="ROOM")
    chosen = {
        name: [field for field in found if not changed or field.source != "default"]
        for name, found in fields.items()
        if room in (None, name)
    }
    if json:
        write_json(chosen)
        return
    for name, found in chosen.items():
        if found:
            rows = [(each.variable, each.value, each.source, each.help) for each in found]
            show_table(name, ("variable", "value", "from", "what it does"), rows)
