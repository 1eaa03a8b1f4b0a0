"""`vendrail webhooks`: merchants' programs that do not hear, and telling them again."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.webhooks import (
    Again,
    AgainStatus,
    EndpointId,
    EndpointView,
    Redelivery,
    Webhooks,
)
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.serials import read_serial
from vendrail.app.terminal import Json, Reason, need_reason, out, show_table, write_json
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial

app = typer.Typer(add_completion=False, no_args_is_help=True)

Merchant = Annotated[str, typer.Option(help="Whose endpoint it is: the merchant's id.")]

_REFUSALS = {
    AgainStatus.NOT_FOUND: "This merchant has no endpoint {}.",
    AgainStatus.DISABLED: "Endpoint {} is switched off: its merchant switches it on.",
    AgainStatus.TOO_OFTEN: "Endpoint {} is asked too often: ask again in {} s, nothing is lost.",
}


@app.callback()
def webhooks() -> None:
    """Merchants' programs that do not hear, and telling them again.

    Example: [bold]vendrail webhooks failing[/]
    """


async def _failing(limit: int) -> list[EndpointView]:
    async with opened_house() as house:
        service: Webhooks = house.api(Webhooks)
        return await service.list_failing(limit)


async def _of_merchant(merchant: UUID) -> list[EndpointView]:
    async with opened_house() as house:
        service: Webhooks = house.api(Webhooks)
        return (await service.list_endpoints([merchant]))[0]


def _show(found: list[EndpointView], *, is_json: bool) -> None:
    if is_json:
        write_json(found)
        return
    show_table(
        "",
        (
            "endpoint\nand its merchant",
            "address",
            "state",
            "failing since",
            "last heard",
            "waiting",
        ),
        [
            (
                f"{to_serial(each.id)}\n{to_serial(each.merchant)}",
                each.url,
                " ".join(filter(None, (each.state, each.reason))),
                f"{each.failing_since:%Y-%m-%d %H:%M}" if each.failing_since else "",
                f"{each.heard_at:%Y-%m-%d %H:%M}" if each.heard_at else "never",
                each.waiting,
            )
            for each in found
        ],
    )


@app.command()
def failing(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 100,
    *,
    json: Json = False,
) -> None:
    """List endpoints of all merchants that do not hear, the longest first.

    Example: [bold]vendrail webhooks failing[/]
    """
    _show(run(_failing(limit)), is_json=json)


@app.command("list")
def list_(merchant: Merchant, *, json: Json = False) -> None:
    """List a merchant's endpoints: never a secret.

    Example: [bold]vendrail webhooks list --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    _show(run(_of_merchant(read_serial(merchant))), is_json=json)


async def _redeliver(asked: Redelivery, reason: str) -> Again:
    async with opened_house() as house:
        subject = f"{to_serial(asked.endpoint)} {asked.since.isoformat()} {asked.until.isoformat()}"
        record_act(house.platform.home, "webhooks.redeliver", subject, reason)
        service: Webhooks = house.api(Webhooks)
        return (await service.redeliver_events([asked]))[0]


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


@app.command()
def redeliver(
    endpoint: Annotated[str, typer.Argument(help="An endpoint, as `webhooks failing` names it.")],
    merchant: Merchant,
    since: Annotated[datetime, typer.Option(help="What happened from then on, UTC.")],
    reason: Reason,
    until: Annotated[
        datetime | None, typer.Option(help="And before then, UTC; without it: until now.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what it has heard.")] = False,
    json: Json = False,
) -> None:
    """Tell an endpoint again of what happened within a time; the running platform does the rest.

    Each event comes under the id it had, so that the program sees what it knows already.

    Example: [bold]vendrail webhooks redeliver 01KB2… --merchant 01KB1… --since 2026-11-29 -r x[/]
    """
    end = _utc(until) if until else datetime.now(UTC) + timedelta(seconds=1)
    asked = Redelivery(
        EndpointId(read_serial(endpoint)),
        read_serial(merchant),
        _utc(since),
        end,
        is_unheard_only=not everything,
    )
    told = run(_redeliver(asked, need_reason(reason)))
    if told.status is not AgainStatus.BEGUN:
        raise Malformed(_REFUSALS[told.status].format(to_serial(asked.endpoint), told.wait_s))
    if json:
        write_json(told)
        return
    more = " There is more: ask again." if told.is_more else ""
    out().print(f"{told.count} are told again.{more}")
