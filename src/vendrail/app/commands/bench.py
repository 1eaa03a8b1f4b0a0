"""`vendrail bench`: speed, on a database of its own."""

import inspect
from typing import Annotated, Any

import typer

from vendrail.app.bench.ground import UNWATCHED
from vendrail.app.bench.table import BENCHES, Bench
from vendrail.app.opened import environment, read_platform, run
from vendrail.app.terminal import Json, progress, show_table, write_json
from vendrail.kernel.errors import Malformed

app = typer.Typer(add_completion=False)

_LISTED = "; ".join(f"{name}: {bench.help}" for name, bench in BENCHES.items())


def _options(bench: Bench, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Give the options that were set; refuse one that this bench does not know."""
    known = inspect.signature(bench.run).parameters
    chosen = {key: value for key, value in given.items() if value is not None}
    for key in chosen:
        if key not in known:
            raise Malformed(f"The bench {name} takes no --{key.replace('_', '-')}.")
    return chosen


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help=_LISTED)],
    orders: Annotated[int | None, typer.Option(min=1, help="How many orders.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="How many in one batch.")] = None,
    lanes: Annotated[int | None, typer.Option(min=1, help="How many batches at a time.")] = None,
    grown: Annotated[
        int | None, typer.Option(min=1, help="Sell so many more of one variant, measure again.")
    ] = None,
    lines: Annotated[
        int | None, typer.Option(min=1, help="How many lines a statement has.")
    ] = None,
    buckets: Annotated[
        int | None, typer.Option(min=1, help="In how many buckets the shares lie.")
    ] = None,
    *,
    with_reference: Annotated[
        bool | None,
        typer.Option("--reference/--no-reference", help="Run pgbench on the same server too."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure speed on a database of its own.

    It is removed after; fsync stays on. When the clock has stopped, the result is checked: the
    audit is clean, and every order has a key of its own.

    Example: [bold]vendrail bench pipeline --orders 20000 --json | tail -1[/]
    """
    chosen = BENCHES.get(name)
    if chosen is None:
        raise Malformed(f"There is no bench {name!r}; there are {', '.join(BENCHES)}.")
    given = {
        "orders": orders,
        "batch": batch,
        "lanes": lanes,
        "grown": grown,
        "lines": lines,
        "buckets": buckets,
        "with_reference": with_reference,
    }
    options = _options(chosen, name, given)

    async def measure() -> dict[str, object]:
        with progress(is_shown=not json) as told:
            return await chosen.run(
                read_platform(), {**environment(), **UNWATCHED}, told, **options
            )

    result = run(measure())
    if json:
        write_json(result)
        return
    show_table("", ("figure", "value"), [(each, _shown(value)) for each, value in result.items()])


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)
