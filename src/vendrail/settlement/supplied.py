"""What suppliers have of orders that agents have sold: found in the books, under its own number."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import Ledger
from vendrail.api.settlement import KeptSupply
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.settlement.accounts import accounts_of
from vendrail.settlement.buckets import find_held_back
from vendrail.settlement.refunds import (
    HeldBack,
    KeptRefund,
    Pool,
    PoolKey,
    RefundSource,
    RefundState,
)
from vendrail.settlement.sharing import Shared, share_out
from vendrail.settlement.split import find_split
from vendrail.settlement.store.holding import HoldingStore
from vendrail.settlement.store.supplies import SupplyStore


class Supplied(NamedTuple):
    """A supplier's part of one order: what was kept of it, its pool, what is not due yet."""

    supply: KeptSupply
    pool: Pool
    back: HeldBack
    share_minor: int  # What the supplier has of it in the books.

    def share_out(self, amount_minor: int, whole: Pool, before_minor: int) -> Shared:
        """Say what the supplier bears of a refund, or of a freeze; `before` it has borne."""
        size_minor = self.supply.amount_minor
        return share_out(
            amount_minor, whole.size_minor, whole.refunded_minor, size_minor, before_minor
        )


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


def ask_part(
    kept: KeptRefund, part: KeptRefund, pool: Pool, back: HeldBack, frozen_minor: int
) -> tuple[KeptRefund, Pool]:
    """Let a supplier bear its part of a refund: of its own share, a row of its own."""
    rest = max(0, part.amount_minor - frozen_minor)
    pending = max(0, min(rest, back.pending_minor - pool.pending_minor))
    reserve = max(0, min(rest, back.reserve_minor - pool.reserve_minor))
    asked = part._replace(
        part_of=kept.id,
        pending_account=back.pending if pending else None,
        pending_minor=pending,
        reserve_account=back.reserve if reserve else None,
        reserve_minor=reserve,
    )
    changed = pool._replace(
        refunded_minor=pool.refunded_minor + part.amount_minor,
        pending_minor=pool.pending_minor + pending,
        reserve_minor=pool.reserve_minor + reserve,
    )
    return asked, changed


def part_of(kept: KeptRefund, supply: KeptSupply) -> KeptRefund:
    """Give the supplier's part of a refund, as it goes to clearing."""
    return KeptRefund(
        derive(kept.id, "supply"),
        supply.id,
        supply.supplier,
        kept.channel,
        kept.currency,
        kept.supplied_minor,
        RefundSource.SPLIT,
        0,
        0,
        RefundState.ASKED,
    )


def ask_theirs(
    kept: KeptRefund, theirs: Supplied, locked: dict[PoolKey, Pool], frozen: dict[UUID, int]
) -> KeptRefund:
    """Let the supplier bear its part of a refund, out of its pool and what is frozen of it."""
    part, frozen_minor = part_of(kept, theirs.supply), frozen.get(theirs.supply.id, 0)
    pool = locked[theirs.pool.key]._replace(size_minor=theirs.pool.size_minor)
    asked, locked[pool.key] = ask_part(kept, part, pool, theirs.back, frozen_minor)
    frozen[part.subject] = max(0, frozen_minor - part.amount_minor)
    return asked
