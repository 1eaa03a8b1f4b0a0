"""What suppliers have of orders that agents have sold: found in the books, under its own number."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import Ledger
from vendrail.api.settlement import KeptSupply
from vendrail.kernel.errors import Broken
from vendrail.settlement.accounts import accounts_of
from vendrail.settlement.buckets import find_held_back
from vendrail.settlement.refunds import HeldBack, Pool, RefundSource
from vendrail.settlement.split import find_split
from vendrail.settlement.store.holding import HoldingStore
from vendrail.settlement.store.supplies import SupplyStore


class Supplied(NamedTuple):
    """A supplier's part of one order: what was kept of it, its pool, what is not due yet."""

    supply: KeptSupply
    pool: Pool
    back: HeldBack
    share_minor: int  # What the supplier has of it in the books.


async def find_supplied(
    store: SupplyStore, ledger: Ledger, holding: HoldingStore, shared: Mapping[UUID, int]
) -> dict[UUID, Supplied]:
    """Find suppliers' parts by order; `shared` tells how much of each the books have split off."""
    if not shared:
        return {}
    supplies = await store.load_by_order(shared)
    for order, amount_minor in shared.items():
        if order not in supplies or supplies[order].amount_minor != amount_minor:
            raise Broken(f"What is the supplier's of order {order} is not kept; look at the books.")
    books = await ledger.read_transfers([each.id for each in supplies.values()])
    splits = {
        supply.order: find_split(supply.id, posted, accounts_of(supply.supplier, supply.currency))
        for supply, posted in zip(supplies.values(), books, strict=True)
    }
    backs = await find_held_back(holding, splits)
    return {
        order: Supplied(
            supply,
            Pool(supply.id, RefundSource.SPLIT, splits[order].split_minor),
            backs.get(order, HeldBack()),
            0 if splits[order].is_reversed else splits[order].share_minor,
        )
        for order, supply in supplies.items()
    }
