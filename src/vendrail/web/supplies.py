"""Supplied sales: whose they are, and what their merchants are called."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.catalog import Catalog, MerchantId
from vendrail.api.settlement import KeptSupply, Settlement, supply_of
from vendrail.kernel.ids import to_serial


async def merchant_names(catalog: Catalog, merchants: Sequence[UUID]) -> dict[UUID, str]:
    """Name merchants as their shops do; whoever has none by the end of their number."""
    unique = sorted(set(merchants))
    found = await catalog.list_shops([MerchantId(each) for each in unique]) if unique else []
    return {
        merchant: shops[0].merchant_name if shops else f"…{to_serial(merchant)[-6:]}"
        for merchant, shops in zip(unique, found, strict=True)
    }


async def find_sold(
    settlement: Settlement, supplier: UUID, orders: Sequence[UUID]
) -> dict[UUID, UUID]:
    """Give for those of some orders that agents sold for a supplier what its part is booked as."""
    found = await settlement.read_supplies([supply_of(each) for each in orders]) if orders else []
    return {each.order: each.id for each in found if each is not None and each.supplier == supplier}


async def find_supplies(
    settlement: Settlement, merchant: UUID, subjects: Sequence[UUID]
) -> dict[UUID, KeptSupply]:
    """Find by what is booked: a supplier's part, or an agent's order, of this merchant's."""
    ids = {supply_of(each): each for each in subjects} | {each: each for each in subjects}
    asked = list(ids)
    found = await settlement.read_supplies(asked) if asked else []
    return {
        ids[id]: supply
        for id, supply in zip(asked, found, strict=True)
        if supply is not None and merchant == (supply.supplier if ids[id] == id else supply.agent)
    }
