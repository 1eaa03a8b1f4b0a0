"""Stock in numbers: how many keys stand where, and what runs out."""

from vendrail.api.catalog.names import MerchantId, ProductId
from vendrail.kernel.codec import Record


class StockCount(Record, frozen=True):
    """How many keys of a variant stand where; `held` counts units set aside for unpaid orders."""

    sku: str
    free: int
    held: int
    allocated: int
    sold: int
    void: int


class LowStockQuery(Record, frozen=True):
    """Which variants of a merchant run out: on sale, each key sold once, so few free or fewer."""

    merchant: MerchantId
    free_max: int = 10  # Where neither the variant nor its shop says otherwise; 0: never.
    variants_max: int = 20
    factor: int = 1  # Give also those that have so many times their bound.


class LowStock(Record, frozen=True):
    """A variant that runs out."""

    sku: str
    title: str
    product: ProductId
    free: int
    held: int
    bound: int = 0  # With so few free it is low.
