"""`vendrail sandbox`: the emulated providers, alone."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

import typer

from vendrail.app.opened import read_platform, run
from vendrail.app.terminal import Json, out, write_json
from vendrail.sandbox.app import serve as serve_sandbox

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    home: Annotated[
        Path | None, typer.Option(help="Where its keys and trades lie; else sandbox in the home.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0: any.")] = 8100,
    *,
    json: Json = False,
) -> None:
    """Serve the emulated providers alone.

    It verifies every request, signs its replies, shows a wallet to tap on, and makes a provider's
    mistakes on demand: docs/guides/sandbox.md. Never for real money.

    Example: [bold]vendrail sandbox --home var/sandbox --port 8100[/]
    """
    folder = (home or read_platform().home / "sandbox").expanduser().absolute()

    def tell(address: str) -> None:
        if json:
            write_json({"address": address, "home": str(folder)})
            return
        out().print(f"The sandbox is at [bold]{address}[/]; Alipay's gateway at /alipay/gateway.do")
        out().print(f"Its control token: {folder / 'control-token'}. Ctrl-C stops it.")

    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        run(serve_sandbox(folder, host, port, on_ready=tell))
