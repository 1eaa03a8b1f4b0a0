"""Until when keys last: what is free, against what the last weeks have sold."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.catalog import DeliveryKind, LowStock, ProductId, StockedProduct
from vendrail.api.orders import Orders, SaleParts, SalePartsQuery

WINDOWS = (timedelta(days=7), timedelta(days=28))
SOON_DAYS = 14  # What lasts longer is not told as running out.
_DAYS_MAX = 365
_ORDERS_MAX = 5_000
_DAY = timedelta(days=1)


class Running(NamedTuple):
    """A variant that runs out: how many keys are free, and for how many days they last."""

    sku: str
    title: str
    product: ProductId
    free: int
    days: int | None  # None: too little was sold to tell.


async def read_sold(orders: Orders, merchant: UUID, now: datetime) -> list[SaleParts]:
    """Read what each of the last weeks' windows has sold."""
    return await orders.sum_sale_parts(
        [SalePartsQuery(merchant, now - window, now, orders_max=_ORDERS_MAX) for window in WINDOWS]
    )


def daily(sold: Sequence[SaleParts], now: datetime) -> dict[UUID, float]:
    """Say how many of each variant go in a day: by the window in which they went fastest."""
    pace: dict[UUID, float] = {}
    for parts in sold:
        days = max(now - parts.begins_at, _DAY) / _DAY
        for each in parts.variants:
            if not each.key:  # Sold through a card site: its keys are not ours.
                continue
            id = UUID(each.key)
            pace[id] = max(pace.get(id, 0.0), each.quantity / days)
    return pace


def lasting(product: StockedProduct, pace: Mapping[UUID, float]) -> dict[str, int]:
    """Say for how many days the keys of a product last, by SKU; unsold ones are not told.

    What is not a key of its own for each buyer never runs out.
    """
    if product.product.delivery is not DeliveryKind.UNIQUE_KEY:
        return {}
    free = {each.sku: each.free for each in product.counts}
    days = {
        each.sku: int(free.get(each.sku, 0) / pace[each.id])
        for each in product.product.variants
        if pace.get(each.id)
    }
    return {sku: count for sku, count in days.items() if count <= _DAYS_MAX}


def running(
    products: Sequence[StockedProduct], low: Sequence[LowStock], pace: Mapping[UUID, float]
) -> list[Running]:
    """List what runs out first, with what is low whatever its pace."""
    found: dict[str, Running] = {
        each.sku: Running(each.sku, each.title, each.product, each.free, None) for each in low
    }
    for each in products:
        free = {count.sku: count.free for count in each.counts}
        titles = {variant.sku: variant.title for variant in each.product.variants}
        for sku, days in lasting(each, pace).items():
            if days > SOON_DAYS and sku not in found:
                continue
            title = found[sku].title if sku in found else f"{each.product.title} – {titles[sku]}"
            found[sku] = Running(sku, title, each.product.id, free.get(sku, 0), days)
    return sorted(found.values(), key=_first)


def _first(each: Running) -> tuple[int, int, str]:
    days = 0 if each.free == 0 else _DAYS_MAX + 1 if each.days is None else each.days
    return (days, each.free, each.sku)
