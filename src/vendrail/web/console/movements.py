"""What serial numbers have moved in the books, and where in the sealed journal it stands."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from litestar import Response

from vendrail.api.ledger import Ledger, TransferCode, TransferId, TransferProof
from vendrail.kernel.codec import encode
from vendrail.kernel.ids import to_serial
from vendrail.web.pages import guards
from vendrail.web.storefront.front import Page

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Movement(NamedTuple):
    """One transfer in the books, and the block that it is sealed in: 0, not yet."""

    id: TransferId
    code: TransferCode
    debit: str
    credit: str
    amount_minor: int
    currency: str
    at: datetime
    block: int
    leaf: int  # Which of the block's transfers it is, from 0.

    @property
    def serial(self) -> str:
        """Give its number as people write it."""
        return to_serial(self.id)


async def read_movements(ledger: Ledger, subjects: Sequence[UUID]) -> list[Movement]:
    """Read what subjects have moved, oldest first."""
    posted = [each for found in await ledger.read_transfers(subjects) for each in found]
    # What happened in one moment is told in the order of the money's way.
    way = list(TransferCode)
    posted.sort(key=lambda each: (each.at, way.index(each.transfer.code)))
    transfers = [each.transfer for each in posted]
    accounts = list({id for each in transfers for id in (each.debit, each.credit)})
    balances, proofs = await asyncio.gather(
        ledger.read_balances(accounts), ledger.prove_transfers([each.id for each in transfers])
    )
    known = {each.account: each for each in balances if each is not None}
    return [
        Movement(
            each.transfer.id,
            each.transfer.code,
            known[each.transfer.debit].name,
            known[each.transfer.credit].name,
            each.transfer.amount_minor,
            known[each.transfer.debit].currency,
            each.at,
            proof.block.number if proof is not None else 0,
            proof.index if proof is not None else 0,
        )
        for each, proof in zip(posted, proofs, strict=True)
    ]


def named(movement: Movement, names: Mapping[UUID, str]) -> Movement:
    """Give a movement whose accounts say their merchants' names instead of their ids."""

    def name(match: re.Match[str]) -> str:
        return names.get(UUID(match[0])) or f"…{to_serial(UUID(match[0]))[-6:]}"

    debit, credit = (_ID.sub(name, each) for each in (movement.debit, movement.credit))
    return movement._replace(debit=debit, credit=credit)


def proof_file(proof: TransferProof) -> Page:
    """Give the proof of a transfer as a file."""
    name = f"proof-{to_serial(proof.transfer)}.json"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
        **guards(),
    }
    return Response(encode(proof), media_type="application/json", headers=headers)
