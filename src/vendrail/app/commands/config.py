"""`vendrail config`: every setting of every room."""

from typing import Annotated, Any

import typer

from vendrail.app.opened import environment, read_platform
from vendrail.app.services import SERVICES
from vendrail.app.terminal import Json, show_table, write_json
from vendrail.app.wiring import needs_of
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel import config
from vendrail.kernel.config import Field, PlatformSettings, read_file
from vendrail.web.settings import WebSettings

app = typer.Typer(add_completion=False)


def rooms() -> dict[str, Any]:
    """Give the settings record of each room that has one, by the room's name."""
    found: dict[str, Any] = {}
    for entry in SERVICES:
        for kind in needs_of(entry).values():
            if isinstance(kind, type) and kind.__name__.endswith("Settings"):
                found[entry.name] = kind
    return {**found, "gateway": GatewaySettings, "web": WebSettings}


def read_fields(platform: PlatformSettings) -> dict[str, list[Field]]:
    """Read every setting as it is here, the platform's first; secrets are masked."""
    given = environment()
    file = read_file(platform.home)
    own = {name: value for name, value in file.items() if not isinstance(value, dict)}
    fields = {"platform": config.describe(platform, "", given, own)}
    for name, kind in rooms().items():
        settings = config.load_room(kind, name, platform, given)
        fields[name] = config.describe(settings, name, given, file.get(name, {}))
    return fields


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
    fields = read_fields(read_platform())
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
