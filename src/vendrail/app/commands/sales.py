"""`vendrail sales`: merchants who may not sell, stopped and let go on at the command line."""

from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.catalog import Catalog, MerchantId, SalesStop, Suspension
from vendrail.api.identity import Act, Identity
from vendrail.app.commands.people import actor
from vendrail.app.opened import opened_house, run
from vendrail.app.serials import read_serial
from vendrail.app.terminal import Json, Reason, need_reason, out, show_table, write_json
from vendrail.app.wiring import House
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial

app = typer.Typer(add_completion=False, no_args_is_help=True)

Merchant = Annotated[str, typer.Option(help="Whose sales they are: the merchant's id.")]


@app.callback()
def sales() -> None:
    """Merchants who may not sell: nothing of theirs is found, ordered or paid.

    Example: [bold]vendrail sales list[/]
    """


async def _change(merchant: UUID, reason: str, *, is_stopped: bool) -> bool:
    async with opened_house() as house:
        catalog: Catalog = house.api(Catalog)
        await _need_merchant(house, catalog, merchant)
        [before] = await catalog.read_suspensions([MerchantId(merchant)])
        act = Act(
            new_id(house.clock.now()),
            actor(),
            "sales.stopped" if is_stopped else "sales.resumed",
            f"merchant:{to_serial(merchant)}",
            merchant,
            before={"state": "stopped" if before else "going"},
            after={"state": "stopped" if is_stopped else "going"},
            reason=reason,
        )
        identity: Identity = house.api(Identity)
        await identity.record_acts([act])
        stop = SalesStop(MerchantId(merchant), reason if is_stopped else "")
        [is_new] = await catalog.stop_sales([stop])
        return is_new


async def _need_merchant(house: House, catalog: Catalog, merchant: UUID) -> None:
    identity: Identity = house.api(Identity)
    (shops,) = await catalog.list_shops([MerchantId(merchant)])
    known = {each.id for each in await identity.list_merchants(10_000, None)}
    if not shops and merchant not in known:
        raise Malformed(f"There is no merchant {to_serial(merchant)}.")


def _tell(merchant: UUID, state: str, *, is_new: bool, is_json: bool) -> None:
    if is_json:
        write_json({"merchant": to_serial(merchant), "state": state, "is_new": is_new})
    elif is_new:
        out().print(f"Sales of {to_serial(merchant)}: {state}.")
    else:
        out().print(f"Sales of {to_serial(merchant)} were {state} before; nothing was changed.")


@app.command()
def stop(merchant: Merchant, reason: Reason, *, json: Json = False) -> None:
    """Stop a merchant's sales at once; unpaid orders are cancelled, paid ones are delivered.

    Example: [bold]vendrail sales stop --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR --reason "stolen"[/]
    """
    id = read_serial(merchant)
    is_new = run(_change(id, need_reason(reason), is_stopped=True))
    _tell(id, "stopped", is_new=is_new, is_json=json)


@app.command()
def resume(merchant: Merchant, reason: Reason, *, json: Json = False) -> None:
    """Let a merchant sell again; what was cancelled stays so.

    Example: [bold]vendrail sales resume --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR --reason "mistake"[/]
    """
    id = read_serial(merchant)
    is_new = run(_change(id, need_reason(reason), is_stopped=False))
    _tell(id, "going on", is_new=is_new, is_json=json)


async def _list() -> list[Suspension]:
    async with opened_house() as house:
        catalog: Catalog = house.api(Catalog)
        return await catalog.list_suspensions()


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List the merchants whose sales are stopped, the newest first.

    Example: [bold]vendrail sales list --json[/]
    """
    found = run(_list())
    if json:
        write_json(found)
        return
    rows = [(to_serial(each.merchant), each.reason, each.since) for each in found]
    show_table("", ("merchant", "reason", "since"), rows)
