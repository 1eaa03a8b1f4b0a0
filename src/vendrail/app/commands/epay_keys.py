"""`vendrail epay-keys`: numbers and keys with which merchants' card sites charge by Epay."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.catalog import Catalog, MerchantId
from vendrail.api.epay import Epay, EpayAccount, EpayChange, EpayKey, EpayNotice, NoticeState
from vendrail.api.identity import Act, Identity
from vendrail.app.commands.people import actor
from vendrail.app.opened import opened_house, run
from vendrail.app.serials import read_serial
from vendrail.app.terminal import Json, out, say, show_table, write_json
from vendrail.app.wiring import House
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial

app = typer.Typer(add_completion=False, no_args_is_help=True)

Merchant = Annotated[str, typer.Option(help="Whose card site it is: the merchant's id.")]
_NO_ACCOUNT = "That merchant has no number yet: `vendrail epay-keys make` gives one."
_SHOWN_MAX = 50


@app.callback()
def epay_keys() -> None:
    """Numbers and keys for card sites that charge by Epay.

    A merchant's site that speaks Epay (易支付) pays through this platform with them.

    Example: [bold]vendrail epay-keys show --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """


async def _record(house: House, act: str, merchant: UUID, after: Mapping[str, str]) -> None:
    identity: Identity = house.api(Identity)
    written = Act(
        new_id(house.clock.now()), actor(), act, f"merchant:{to_serial(merchant)}", merchant,
        after=dict(after),
    )  # fmt: skip
    await identity.record_acts([written])


async def _make(merchant: UUID) -> EpayKey:
    async with opened_house() as house:
        catalog: Catalog = house.api(Catalog)
        identity: Identity = house.api(Identity)
        epay: Epay = house.api(Epay)
        (shops,) = await catalog.list_shops([MerchantId(merchant)])
        known = {each.id for each in await identity.list_merchants(10_000, None)}
        if not shops and merchant not in known:
            raise Malformed(f"There is no merchant {to_serial(merchant)}.")
        await _record(house, "card_site.keyed", merchant, {})
        (made,) = await epay.make_epay_keys([merchant])
        return made


@app.command()
def make(merchant: Merchant, *, json: Json = False) -> None:
    """Give a merchant a number and a key, or another key: the one before ends at once.

    The key is printed this once: it is kept sealed, and never shown again.

    Example: [bold]vendrail epay-keys make --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    made = run(_make(read_serial(merchant)))
    if json:
        write_json({"pid": made.account.pid, "key": made.key})
        return
    say("Keep this key: it is shown this once.")
    out().print(f"pid {made.account.pid}")
    out().print(f"key {made.key}", soft_wrap=True)


async def _show(merchant: UUID) -> EpayAccount:
    async with opened_house() as house:
        epay: Epay = house.api(Epay)
        (found,) = await epay.read_epay_accounts([merchant])
        if found is None:
            raise Malformed(_NO_ACCOUNT)
        return found


@app.command()
def show(merchant: Merchant, *, json: Json = False) -> None:
    """Show a merchant's number and switches: never the key.

    Example: [bold]vendrail epay-keys show --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    _tell(run(_show(read_serial(merchant))), json=json)


def _tell(found: EpayAccount, *, json: bool) -> None:
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("pid", "open", "suspended", "refunds", "key of"),
        [
            (
                str(found.pid),
                "yes" if found.is_open else "no",
                "yes" if found.is_suspended else "no",
                "yes" if found.can_refund else "no",
                found.keyed_at,
            )
        ],
    )


async def _change(change: EpayChange, after: Mapping[str, str]) -> EpayAccount:
    async with opened_house() as house:
        epay: Epay = house.api(Epay)
        await _record(house, "card_site.switched", change.merchant, after)
        (found,) = await epay.change_epay_accounts([change])
        if found is None:
            raise Malformed(_NO_ACCOUNT)
        return found


@app.command("set")
def set_(
    merchant: Merchant,
    is_open: Annotated[
        bool | None, typer.Option("--open/--closed", help="Whether it may charge at all.")
    ] = None,
    is_suspended: Annotated[
        bool | None, typer.Option("--suspended/--resumed", help="The operator's own bar.")
    ] = None,
    can_refund: Annotated[
        bool | None, typer.Option("--refunds/--no-refunds", help="Whether its key refunds.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Switch a merchant's number: open, suspended, allowed to give money back.

    Example: [bold]vendrail epay-keys set --suspended --merchant 01KB2M8Z7Q9V4T6W3X5Y1N0PQR[/]
    """
    wanted = {"open": is_open, "suspended": is_suspended, "refunds": can_refund}
    after = {name: "yes" if on else "no" for name, on in wanted.items() if on is not None}
    if not after:
        raise Malformed("Say what to switch: see `vendrail epay-keys set --help`.")
    change = EpayChange(read_serial(merchant), is_open, is_suspended, can_refund)
    _tell(run(_change(change, after)), json=json)


async def _notices(merchant: UUID, state: NoticeState | None) -> list[EpayNotice]:
    async with opened_house() as house:
        epay: Epay = house.api(Epay)
        return await epay.list_epay_notices(merchant, state, _SHOWN_MAX)


@app.command()
def notices(
    merchant: Merchant,
    state: Annotated[
        NoticeState | None, typer.Option(help="Only these: waiting, taken or given_up.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """List what a merchant's site was told of paid orders, newest first.

    Example: [bold]vendrail epay-keys notices --state given_up --merchant 01KB2M8Z…[/]
    """
    found = run(_notices(read_serial(merchant), state))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("order", "number", "state", "tries", "next", "problem"),
        [
            (
                to_serial(each.order),
                each.out_trade_no,
                each.state.value,
                each.attempts,
                each.due_at if each.state is NoticeState.WAITING else "",
                each.problem,
            )
            for each in found
        ],
    )


async def _retry(order: UUID) -> bool:
    async with opened_house() as house:
        epay: Epay = house.api(Epay)
        (begun,) = await epay.retry_epay_notices([order])
        return begun


@app.command()
def retry(
    order: Annotated[str, typer.Argument(help="The order, as `epay-keys notices` shows it.")],
    *,
    json: Json = False,
) -> None:
    """Tell a site of a paid order again, from the first step on.

    Example: [bold]vendrail epay-keys retry 01KB2M9A7Q9V4T6W3X5Y1N0PQR[/]
    """
    if not run(_retry(read_serial(order))):
        raise Malformed("There is nothing to tell: the site has heard, or is being told just now.")
    if json:
        write_json({"order": order, "state": "waiting"})
    else:
        out().print("The site is told again within seconds, while the platform runs.")
