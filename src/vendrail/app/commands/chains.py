"""`vendrail chains`: money on chains, what is held, and what is signed offline."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from vendrail.api.payments import ChannelAccount, Payments
from vendrail.api.payments.deposits import (
    Holding,
    HoldingsQuery,
    PlanKind,
    PlanRequest,
    PlanStatus,
    Published,
    PublishStatus,
    SignedTransaction,
    TransactionPlan,
)
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.terminal import (
    EXIT_FINDINGS,
    Json,
    Reason,
    need_reason,
    out,
    show_table,
    write_json,
)
from vendrail.app.wiring import House
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed, Unavailable

app = typer.Typer(add_completion=False, no_args_is_help=True)

_RAW = re.compile(r"0x(?:[0-9a-fA-F]{2})+")

NameArgument = Annotated[str, typer.Argument(metavar="CHANNEL", help="The account's name.")]


@app.callback()
def chains() -> None:
    """Money on chains: what is held, and what is signed offline.

    The server can take money and never move it. It writes a plan; who has the keys signs it on
    another machine, and what comes back is handed to the chain.

    Example: [bold]vendrail chains holdings usdt[/]
    """


async def _find(house: House, name: str) -> ChannelAccount:
    payments: Payments = house.api(Payments)
    for account in await payments.list_channels():
        if account.name == name:
            return account
    raise Malformed(f"There is no channel {name!r}: see `vendrail channels list`.")


async def _holdings(name: str) -> list[Holding]:
    async with opened_house() as house:
        account = await _find(house, name)
        payments: Payments = house.api(Payments)
        found: list[Holding] = []
        after = -1
        while True:
            [page] = await payments.read_holdings([HoldingsQuery(account.id, after)])
            if page.problem:
                raise Unavailable(f"{name}: {_WORDS.get(page.problem, page.problem)}")
            found += page.holdings
            if not page.holdings or page.holdings[-1].place < 0:
                return found
            after = page.holdings[-1].place


_WORDS = {
    "not_watched": "its money is with a provider, not on a chain.",
    "channel_not_found": "it cannot be used now; see the log.",
}


@app.command()
def holdings(name: NameArgument, *, json: Json = False) -> None:
    """Show what the treasury holds, and every address that something came to.

    Example: [bold]vendrail chains holdings usdt[/]
    """
    found = run(_holdings(name))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("address", "of", "holds"),
        [
            (
                each.address,
                "treasury" if each.place < 0 else f"place {each.place}",
                ", ".join(f"{amount} {asset}" for asset, amount in each.amounts.items()),
            )
            for each in found
        ],
    )


async def _plan(name: str, kind: PlanKind, reason: str) -> TransactionPlan:
    async with opened_house() as house:
        account = await _find(house, name)
        record_act(house.platform.home, f"chains.plan.{kind}", name, reason)
        payments: Payments = house.api(Payments)
        [made] = await payments.plan_transactions([PlanRequest(account.id, kind)])
        return made


_ADVICE = {
    PlanStatus.CHANNEL_NOT_FOUND: "it cannot be used now; see the log.",
    PlanStatus.NOT_WATCHED: "its money is with a provider, not on a chain.",
    PlanStatus.BEHIND: "the chain is not read to its end; try again in a moment.",
    PlanStatus.AWAY: "its node does not answer.",
}


@app.command()
def plan(
    name: NameArgument,
    kind: Annotated[PlanKind, typer.Argument(help="Money that goes back, or to the treasury.")],
    file: Annotated[Path, typer.Argument(help="Where to write it; it must not be there yet.")],
    reason: Reason,
    *,
    json: Json = False,
) -> None:
    """Write the transactions that are to be signed offline.

    Made again before it was carried out, a plan has the same refunds under the same nonces: signed
    twice, each moves money once.

    Example: [bold]vendrail chains plan usdt refunds refunds.json --reason "of today"[/]
    """
    made = run(_plan(name, kind, need_reason(reason)))
    if made.status is not PlanStatus.PLANNED:
        raise Unavailable(f"{name}: {_ADVICE[made.status]} {made.problem}".strip())
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Malformed(f"{file} cannot be written: {error.strerror}.") from error
    with os.fdopen(handle, "wb") as written:
        written.write(msgspec.json.format(encode(made.transactions), indent=2) + b"\n")
    if json:
        write_json({"file": str(file), "transactions": len(made.transactions)})
    else:
        out().print(f"{file}: {len(made.transactions)} transactions to sign.")


def read_signed(path: Path) -> list[str]:
    """Read signed transactions: a JSON list of them, each 0x and its bytes."""
    try:
        found: Any = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise Malformed(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, list) or not all(
        isinstance(each, str) and _RAW.fullmatch(each) for each in found
    ):
        raise Malformed(f'{path} is a JSON list of signed transactions: ["0x02f8…", …].')
    return found


async def _publish(name: str, signed: list[str], reason: str) -> list[Published]:
    async with opened_house() as house:
        account = await _find(house, name)
        record_act(house.platform.home, "chains.publish", name, reason)
        payments: Payments = house.api(Payments)
        return await payments.publish_transactions(
            [SignedTransaction(account.id, raw) for raw in signed]
        )


@app.command()
def publish(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help='What was signed: a JSON list of "0x…".')],
    reason: Reason,
    *,
    json: Json = False,
) -> None:
    """Hand signed transactions to the chain. Whether money moved is seen by watching it.

    Example: [bold]vendrail chains publish usdt signed.json --reason "refunds of today"[/]
    """
    said = run(_publish(name, read_signed(file), need_reason(reason)))
    if json:
        write_json(said)
    else:
        show_table(
            "", ("status", "what the node said"), [(each.status, each.said) for each in said]
        )
    if any(each.status is not PublishStatus.TAKEN for each in said):
        raise typer.Exit(EXIT_FINDINGS)
