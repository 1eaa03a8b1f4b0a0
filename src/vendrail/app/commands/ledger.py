"""`vendrail ledger`: the sealed journal, and what it proves."""

from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.ledger import ChainHead, Ledger, TransferId, TransferProof
from vendrail.app.opened import opened_house, run
from vendrail.app.serials import read_serial
from vendrail.app.terminal import Json, show_table, write_json
from vendrail.kernel.errors import Malformed

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """The sealed journal, and what it proves.

    Example: [bold]vendrail ledger head --json[/]
    """


async def _head() -> ChainHead:
    async with opened_house() as house:
        books: Ledger = house.api(Ledger)
        return await books.read_head()


@app.command()
def head(*, json: Json = False) -> None:
    """Show the newest block of the sealed journal, and the key that all are signed with.

    Keep both where nobody who can write the database can change them: they speak for all before.

    Example: [bold]vendrail ledger head --json >> heads.jsonl[/]
    """
    found = run(_head())
    if json:
        write_json(found)
        return
    rows: list[tuple[str, object]] = [("public key", found.public_key)]
    if found.block is None:
        rows.append(("newest block", "none: nothing has been sealed yet"))
    else:
        rows += [
            ("newest block", found.block.number),
            ("transfers in it", found.block.count),
            ("hash", found.block.hash),
            ("signature", found.block.signature),
            ("sealed", f"{found.block.sealed_at:%Y-%m-%d %H:%M:%S}"),
        ]
    show_table("", ("of the chain", "is"), rows)


async def _prove(id: UUID) -> list[TransferProof]:
    async with opened_house() as house:
        books: Ledger = house.api(Ledger)
        [posted] = await books.read_transfers([id])
        asked = [each.transfer.id for each in posted] or [TransferId(id)]
        return [proof for proof in await books.prove_transfers(asked) if proof is not None]


@app.command()
def prove(
    number: Annotated[
        str, typer.Argument(help="A transfer, or the serial number of an order or a refund.")
    ],
) -> None:
    """Write the proof of a transfer, or of all that carry a serial number, one JSON line each.

    A proof holds without the books: `docs/guides/proofs.md` has the script that checks it.

    Example: [bold]vendrail ledger prove 01KB2M8Z7Q9V4T6W3X5Y1N0PQR | head -1 > proof.json[/]
    """
    proofs = run(_prove(read_serial(number)))
    if not proofs:
        raise Malformed(
            f"No sealed transfer belongs to {number}: it is unknown, or younger than two minutes."
        )
    for proof in proofs:
        write_json(proof)
