"""`vendrail demo`: a whole marketplace on this machine, from one command."""

from pathlib import Path
from typing import Annotated

import typer

from vendrail.app import demo
from vendrail.app.opened import environment, read_platform
from vendrail.kernel.codec import replace

app = typer.Typer(add_completion=False)


@app.command()
def run(
    *,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin again: the demo's data is removed first.")
    ] = False,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port of the site.")] = None,
    home: Annotated[Path | None, typer.Option(help="The demo's folder.")] = None,
) -> None:
    """Start a whole marketplace to play with, on this machine.

    Shops, products and keys, a payment provider that is emulated, the site: all on 127.0.0.1, all
    made up. Ctrl-C stops everything; the data stays for the next time.

    Example: [bold]vendrail demo --port 8080[/]
    """
    platform = read_platform()
    platform = replace(
        platform,
        home=home.expanduser().absolute() if home else platform.home,
        host=host or platform.host,
        port=platform.port if port is None else port,
    )
    demo.run(platform, environment(), fresh=fresh)
