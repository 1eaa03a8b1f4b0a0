"""`vendrail serve`: the platform, whole or in parts."""

from typing import Annotated

import typer

from vendrail.app import serving
from vendrail.app.opened import read_platform
from vendrail.kernel.codec import replace

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    only: Annotated[
        list[str] | None,
        typer.Option(help="Services and faces that run here, parted by commas; else all."),
    ] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help="Where another service runs: name=url; repeatable.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Server processes on this machine.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="The port.")] = None,
) -> None:
    """Serve the platform, or some of its services.

    What is not given here comes from VENDRAIL_ONLY, VENDRAIL_PEERS, VENDRAIL_WORKERS, VENDRAIL_HOST
    and VENDRAIL_PORT, or from vendrail.toml. Migrations are applied first.

    Example: [bold]vendrail serve --only payments --peer orders=http://10.0.0.7:8000[/]
    """
    platform = read_platform()
    names = tuple(name.strip() for text in only or () for name in text.split(",") if name.strip())
    serving.serve(
        replace(
            platform,
            only=names or platform.only,
            peers=tuple(peer) if peer else platform.peers,
            workers=workers or platform.workers,
            host=host or platform.host,
            port=platform.port if port is None else port,
        )
    )
