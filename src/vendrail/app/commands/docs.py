"""`vendrail docs`: the generated part of docs/reference."""

from pathlib import Path
from typing import Annotated

import typer

from vendrail.app.reference import stale_pages, write_pages
from vendrail.app.terminal import EXIT_FINDINGS, Json, out, write_json
from vendrail.kernel.errors import Malformed

app = typer.Typer(add_completion=False)

_FOLDER = Path("docs/reference")


@app.command()
def docs(
    folder: Annotated[Path, typer.Option(help="Where the pages lie.")] = _FOLDER,
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say what is stale.")] = (
        False
    ),
    json: Json = False,
) -> None:
    """Write the generated part of docs/reference.

    Made of what the program is now; a test fails while a page is stale.

    Example: [bold]vendrail docs --check[/]
    """
    if not folder.is_dir():
        raise Malformed(f"There is no folder {folder}: run this where the project is checked out.")
    names = stale_pages(folder) if check else write_pages(folder)
    if json:
        write_json({"stale" if check else "written": names})
    else:
        what = "stale" if check else "written"
        out().print(f"{what}: {', '.join(names)}" if names else "All pages are current.")
    if check and names:
        raise typer.Exit(EXIT_FINDINGS)
