"""How an order's money was split, with the fee's origin: what pages of orders say of it."""

from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import Chart, Ledger, TransferCode
from vendrail.api.settlement import FeeTold, Settlement

_PARTS = (
    TransferCode.SALE, TransferCode.FEE, TransferCode.CHANNEL_COST, TransferCode.SUPPLY,
)  # fmt: skip


class OrderSplit(NamedTuple):
    """What of an order's price went to whom, and by what."""

    share_minor: int
    fee_minor: int
    cost_minor: int
    currency: str
    told: FeeTold | None
    supplied_minor: int = 0  # Of an agent's order: its supplier's part.


async def read_split(
    ledger: Ledger, settlement: Settlement, order: UUID, merchant: UUID, currency: str
) -> OrderSplit | None:
    """Read the split of an order from the books; None: there is none yet."""
    [posted] = await ledger.read_transfers([order])
    held = Chart(currency).held(merchant).id
    parts = [
        each.transfer
        for each in posted
        if each.transfer.code in _PARTS and each.transfer.debit == held
    ]
    if not parts:
        return None
    sums = dict.fromkeys(_PARTS, 0)
    for part in parts:
        sums[part.code] += part.amount_minor
    [told] = await settlement.tell_fees([parts[0].memo])
    share, fee, cost, supplied = sums.values()
    return OrderSplit(share, fee, cost, currency, told, supplied)
