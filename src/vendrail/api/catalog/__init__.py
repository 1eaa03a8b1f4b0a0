"""The catalog: what is for sale, how much of it is left, and the keys themselves."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.catalog.agencies import Agency as Agency
from vendrail.api.catalog.agencies import AgencyAct as AgencyAct
from vendrail.api.catalog.agencies import AgencyMove as AgencyMove
from vendrail.api.catalog.agencies import AgencyState as AgencyState
from vendrail.api.catalog.agencies import AgencyStatus as AgencyStatus
from vendrail.api.catalog.agencies import Floor as Floor
from vendrail.api.catalog.agencies import FlooredVariant as FlooredVariant
from vendrail.api.catalog.agencies import FloorQuery as FloorQuery
from vendrail.api.catalog.agencies import FloorStatus as FloorStatus
from vendrail.api.catalog.agencies import ListingStatus as ListingStatus
from vendrail.api.catalog.agencies import ListSupplied as ListSupplied
from vendrail.api.catalog.agencies import SuppliedVariant as SuppliedVariant
from vendrail.api.catalog.agencies import SuppliedVariantQuery as SuppliedVariantQuery
from vendrail.api.catalog.agencies import Supplying as Supplying
from vendrail.api.catalog.counts import LowStock as LowStock
from vendrail.api.catalog.counts import LowStockQuery as LowStockQuery
from vendrail.api.catalog.counts import StockCount as StockCount
from vendrail.api.catalog.goods import GoodsCase as GoodsCase
from vendrail.api.catalog.goods import GoodsDecision as GoodsDecision
from vendrail.api.catalog.goods import GoodsDecisionStatus as GoodsDecisionStatus
from vendrail.api.catalog.goods import GoodsQuery as GoodsQuery
from vendrail.api.catalog.goods import GoodsRule as GoodsRule
from vendrail.api.catalog.goods import GoodsRules as GoodsRules
from vendrail.api.catalog.goods import GoodsRulesStatus as GoodsRulesStatus
from vendrail.api.catalog.goods import GoodsState as GoodsState
from vendrail.api.catalog.goods import GoodsVerdict as GoodsVerdict
from vendrail.api.catalog.goods import GoodsWatch as GoodsWatch
from vendrail.api.catalog.holds import Hold as Hold
from vendrail.api.catalog.holds import HoldStatus as HoldStatus
from vendrail.api.catalog.keys import BatchQuery as BatchQuery
from vendrail.api.catalog.keys import KeyBatch as KeyBatch
from vendrail.api.catalog.keys import KeyIntake as KeyIntake
from vendrail.api.catalog.keys import KeyIntakeResult as KeyIntakeResult
from vendrail.api.catalog.keys import KeyLine as KeyLine
from vendrail.api.catalog.keys import KeyReject as KeyReject
from vendrail.api.catalog.keys import KeyReplacement as KeyReplacement
from vendrail.api.catalog.keys import KeyReplacementStatus as KeyReplacementStatus
from vendrail.api.catalog.keys import KeyState as KeyState
from vendrail.api.catalog.keys import KeyVoid as KeyVoid
from vendrail.api.catalog.keys import KeyVoidResult as KeyVoidResult
from vendrail.api.catalog.keys import ReplacedKey as ReplacedKey
from vendrail.api.catalog.limits import EVERYBODY as EVERYBODY
from vendrail.api.catalog.limits import SalesLimit as SalesLimit
from vendrail.api.catalog.names import AllocationId as AllocationId
from vendrail.api.catalog.names import KeyId as KeyId
from vendrail.api.catalog.names import MerchantId as MerchantId
from vendrail.api.catalog.names import ProductId as ProductId
from vendrail.api.catalog.names import ShopId as ShopId
from vendrail.api.catalog.names import VariantId as VariantId
from vendrail.api.catalog.prices import QuantityPrice as QuantityPrice
from vendrail.api.catalog.prices import are_sound, price_of_one, span_minor
from vendrail.api.catalog.suspensions import SalesStop as SalesStop
from vendrail.api.catalog.suspensions import Suspension as Suspension
from vendrail.api.catalog.warranties import ProductWarranty as ProductWarranty
from vendrail.kernel.codec import Record


class PutStatus(StrEnum):
    """How writing one shop or product ended."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    SHOP_NOT_FOUND = "shop_not_found"
    SLUG_TAKEN = "slug_taken"
    SKU_TAKEN = "sku_taken"
    FIELD_MALFORMED = "field_malformed"
    LISTING_FIXED = "listing_fixed"  # What a supplier delivers has one variant, and its keys.
    PRICE_BELOW_FLOOR = "price_below_floor"  # Less than what its supplier asks of agents.
    TEXT_FORBIDDEN = "text_forbidden"  # A shop's: rules of forbidden goods find something in it.


class Shop(Record, frozen=True):
    """A merchant's shop: where buyers find products."""

    id: ShopId
    merchant: MerchantId
    merchant_name: str
    slug: str  # [a-z0-9-], unique on the platform.
    name: str
    notice: str = ""  # Markdown, shown sanitised.
    contact: str = ""
    theme: str = "default"  # The accent of its pages.
    is_open: bool = True
    low_stock_max: int | None = None  # So few free keys are low; 0: never; None: the platform's.
    has_keys_in_letters: bool = False  # Whether a letter tells the keys themselves, or the link.
    scheme: str = "auto"  # `light` or `dark`, for whoever has not chosen; `auto`: as their system.
    logo: str = ""  # A path below the site's media folder; empty: a drawn one.


class ProductState(StrEnum):
    """Whether a product can be seen and bought."""

    DRAFT = "draft"
    ON_SALE = "on_sale"
    PAUSED = "paused"
    REMOVED = "removed"


class DeliveryKind(StrEnum):
    """What the buyer gets."""

    UNIQUE_KEY = "unique_key"  # Each key is sold once.
    REUSABLE_KEY = "reusable_key"  # One key, sold any number of times.
    TEXT = "text"
    FILE = "file"


class HoldPolicy(StrEnum):
    """When stock is set aside for an order."""

    AT_ORDER = "at_order"  # Held from placing until paid or expired.
    AT_PAYMENT = "at_payment"  # Not held; allocated when paid.


class Variant(Record, frozen=True):
    """One thing that can be put in an order (a SKU)."""

    id: VariantId
    sku: str  # Unique on the platform: [A-Za-z0-9._-], at most 64.
    title: str
    prices_minor: dict[str, int]  # Currency -> price of one, in minor units.
    quantity_min: int = 1
    quantity_max: int = 10
    position: int = 0
    low_stock_max: int | None = None  # So few free keys are low; 0: never; None: as the shop says.
    quantity_prices: list[QuantityPrice] = []  # Cheaper from so many on, fewest first.

    def total_minor(self, quantity: int, currency: str) -> int:
        """Give what so many cost; 0: they are not sold in that currency."""
        return quantity * price_of_one(self.prices_minor, self.quantity_prices, quantity, currency)

    @property
    def has_sound_steps(self) -> bool:
        """Whether its quantity prices fit each other, its price and its quantities."""
        quantities = (self.quantity_min, self.quantity_max)
        return are_sound(self.prices_minor, self.quantity_prices, quantities)

    def steps_in(self, currency: str) -> list[tuple[int, int]]:
        """Give from how many on each costs how much in a currency."""
        return [
            (step.quantity_min, step.prices_minor[currency])
            for step in self.quantity_prices
            if currency in step.prices_minor
        ]

    def span_minor(self, currency: str) -> tuple[int, int]:
        """Give the least and the most that an order can cost."""
        quantities = (self.quantity_min, self.quantity_max)
        return span_minor(self.prices_minor, self.quantity_prices, quantities, currency)


class Product(Record, frozen=True):
    """What is for sale, with its variants; descriptions are Markdown, shown sanitised."""

    id: ProductId
    shop: ShopId
    slug: str
    title: str
    variants: list[Variant]
    description: str = ""
    picture: str = ""  # A path below the site's media folder; empty: a drawn placeholder.
    category: str = ""
    state: ProductState = ProductState.ON_SALE
    delivery: DeliveryKind = DeliveryKind.UNIQUE_KEY
    hold_policy: HoldPolicy = HoldPolicy.AT_ORDER
    restock_wait_s: int = 0  # How long a paid order waits for stock before it is refunded.
    instructions: str = ""  # Markdown, shown with the key: how to redeem it.
    warranty: ProductWarranty | None = None  # None: what holds on the platform.


class ProductView(Record, frozen=True):
    """A product as buyers see it: with its shop, clean HTML and what is left of each variant."""

    product: Product
    shop: Shop
    description_html: str
    stock: dict[str, int | None]  # SKU -> how many can be ordered now; None: without end.
    sold_count: int = 0
    is_on_sale: bool = True  # The product is, its shop is open, and its merchant may sell.
    written_minor: dict[str, int] | None = None  # An agent's prices, also where it cannot sell.


class ProductQuery(Record, frozen=True):
    """Products on sale, newest first: of one shop, category or words, or of all."""

    shop_slug: str | None = None
    category: str | None = None
    words: str | None = None
    after: ProductId | None = None
    products_max: int = 48


class OfferSupply(Record, frozen=True):
    """Of an agent's offer: whose keys are sold, and what the supplier gets of each."""

    merchant: MerchantId
    variant: VariantId  # The one whose keys are set aside and picked.
    floor_minor: dict[str, int]


class Offer(Record, frozen=True):
    """All that placing an order must know of one SKU."""

    variant: VariantId
    sku: str
    product: ProductId
    shop: ShopId
    shop_slug: str
    merchant: MerchantId
    title: str  # Product and variant, as the buyer and the provider see it.
    prices_minor: dict[str, int]
    quantity_min: int
    quantity_max: int
    delivery: DeliveryKind
    hold_policy: HoldPolicy
    restock_wait_s: int
    is_on_sale: bool
    picture: str = ""
    category: str = ""
    warranty: ProductWarranty | None = None
    is_pressed: bool = False  # So much is set aside for unpaid orders that they are watched.
    quantity_prices: list[QuantityPrice] = []
    supply: OfferSupply | None = None  # None: the merchant's own keys.

    @property
    def stock(self) -> VariantId:
        """The variant whose keys are set aside and picked."""
        return self.variant if self.supply is None else self.supply.variant

    def total_minor(self, quantity: int, currency: str) -> int:
        """Give what so many cost; 0: they are not sold in that currency."""
        return quantity * price_of_one(self.prices_minor, self.quantity_prices, quantity, currency)


class Allocation(Record, frozen=True):
    """Keys picked for a paid order, still unreadable. The id derives from the order's saga."""

    id: AllocationId
    order: UUID
    variant: VariantId
    quantity: int


class AllocationStatus(StrEnum):
    """How one allocation ended; the first outcome is kept.

    What was `sold_out` may be asked again under another id when stock returns.
    """

    ALLOCATED = "allocated"
    SOLD_OUT = "sold_out"
    CANCELLED = "cancelled"  # It was undone before it arrived (a tombstone stood on its id).
    VARIANT_NOT_FOUND = "variant_not_found"


class AllocationResult(Record, frozen=True):
    """The kept outcome of an allocation, with the keys in delivery order."""

    status: AllocationStatus
    keys: list[KeyId] = []


class UndoStatus(StrEnum):
    """How undoing one allocation ended."""

    FREED = "freed"
    TOMBSTONE_LEFT = "tombstone_left"  # Nothing was there; a late allocation will be `cancelled`.
    SOLD = "sold"  # Too late: the keys were readable; they can only be voided.


class Delivery(Record, frozen=True):
    """What the buyer gets: one text for each item, in order; read only after the order's pivot."""

    order: UUID
    items: list[str]
    replaced: list[ReplacedKey] = []  # What stood in place of some of them before, first to last.


class ShopProductQuery(Record, frozen=True):
    """A page of a merchant's products, in whatever state but removed, newest first."""

    merchant: MerchantId
    words: str = ""
    state: ProductState | None = None
    before: ProductId | None = None  # The last product of the page before.
    products_max: int = 50


class StockedProduct(Record, frozen=True):
    """A product as its merchant sees it: with the counters of each variant, in their order."""

    product: Product
    shop: Shop
    counts: list[StockCount]
    contents: list[str]  # SKUs whose content was given.
    variants_ever: list[VariantId]  # Those that were withdrawn too: orders name them.


class Catalog(GoodsWatch, Supplying, Protocol):
    """Shops, products, stock and keys, in batches."""

    async def put_shops(self, shops: Sequence[Shop]) -> list[PutStatus]:
        """Write shops whole, by id."""
        ...

    async def put_products(self, products: Sequence[Product]) -> list[PutStatus]:
        """Write products whole, by id, with their variants (a variant left out is withdrawn)."""
        ...

    async def read_shops(self, slugs: Sequence[str]) -> list[Shop | None]:
        """Read shops by slug; an empty list of slugs gives all open shops.

        A suspended merchant's are closed, whatever their own switch says.
        """
        ...

    async def find_products(self, queries: Sequence[ProductQuery]) -> list[list[ProductView]]:
        """Find products on sale."""
        ...

    async def read_products(self, ids: Sequence[ProductId]) -> list[ProductView | None]:
        """Read products by id, whatever their state (removed: None)."""
        ...

    async def read_offers(self, skus: Sequence[str]) -> list[Offer | None]:
        """Read what placing an order must know; cached for at most a second."""
        ...

    async def stop_sales(self, stops: Sequence[SalesStop]) -> list[bool]:
        """Suspend merchants, or let them sell again; true where it was not so before.

        What was ordered before is the orders' to end; what was paid is delivered as ever.
        """
        ...

    async def read_suspensions(self, merchants: Sequence[MerchantId]) -> list[Suspension | None]:
        """Read why and since when merchants sell nothing; None: they may."""
        ...

    async def list_suspensions(self) -> list[Suspension]:
        """List all that are in force, the newest first."""
        ...

    async def put_limits(self, limits: Sequence[SalesLimit]) -> list[PutStatus]:
        """Write how much merchants may sell; the orders refuse what is more."""
        ...

    async def list_limits(self) -> list[SalesLimit]:
        """List all limits, everybody's first."""
        ...

    async def put_contents(self, contents: Sequence[tuple[str, str]]) -> list[PutStatus]:
        """Set (sku, text) that REUSABLE_KEY, TEXT and FILE variants deliver; sealed at rest.

        A FILE's text is its path below the files folder, which is never public.
        """
        ...

    async def read_paths(self, skus: Sequence[str]) -> list[str]:
        """Read where the files of FILE variants are, for their merchants; empty: none is set."""
        ...

    async def hold_keys(self, holds: Sequence[Hold]) -> list[HoldStatus]:
        """Set stock aside; several holds of one variant in a batch see each other, in order.

        While little of a variant is set aside nobody is counted. Beyond a first share of its stock
        buyers, addresses and devices have their caps; beyond a second nothing more is set aside.
        """
        ...

    async def release_holds(self, orders: Sequence[UUID]) -> list[bool]:
        """End orders' holds; true where one was there."""
        ...

    async def allocate_keys(self, allocations: Sequence[Allocation]) -> list[AllocationResult]:
        """Pick keys for paid orders (ending their holds); all of the quantity, or none."""
        ...

    async def free_allocations(self, ids: Sequence[AllocationId]) -> list[UndoStatus]:
        """Undo allocations; leaves a tombstone on the id so that a late one is `cancelled`."""
        ...

    async def sell_allocations(self, ids: Sequence[AllocationId]) -> list[bool]:
        """Mark allocated keys sold: called after the order's pivot; idempotent."""
        ...

    async def void_allocations(self, ids: Sequence[AllocationId]) -> list[int]:
        """Void sold keys (a refund): they are never free again; gives how many were voided.

        With them goes whatever has taken the place of some of them.
        """
        ...

    async def replace_keys(
        self, replacements: Sequence[KeyReplacement]
    ) -> list[KeyReplacementStatus]:
        """Replace sold keys by free ones of their variant; the old ones are void for ever."""
        ...

    async def read_deliveries(self, ids: Sequence[AllocationId]) -> list[Delivery | None]:
        """Open the sealed keys of allocations. Only orders calls this, and only after its pivot."""
        ...

    async def add_keys(self, intakes: Sequence[KeyIntake]) -> list[KeyIntakeResult]:
        """Take in keys: cleaned, de-duplicated by keyed hash within the product, sealed."""
        ...

    async def list_batches(self, queries: Sequence[BatchQuery]) -> list[list[KeyBatch]]:
        """List variants' batches, newest first, with where their keys are now."""
        ...

    async def void_keys(self, requests: Sequence[KeyVoid]) -> list[KeyVoidResult | None]:
        """Void free keys for ever; None: no such variant, or no such batch of it."""
        ...

    async def list_shops(self, merchants: Sequence[MerchantId]) -> list[list[Shop]]:
        """List merchants' shops, closed ones too."""
        ...

    async def list_products(
        self, queries: Sequence[ShopProductQuery]
    ) -> list[list[StockedProduct]]:
        """List merchants' products with their stock; a short page is the last."""
        ...

    async def list_low_stock(self, queries: Sequence[LowStockQuery]) -> list[list[LowStock]]:
        """List what runs out, the fewest first."""
        ...

    async def count_stock(self, skus: Sequence[str]) -> list[StockCount | None]:
        """Count keys by state, exactly."""
        ...

    async def export_keys(
        self, sku: str, state: KeyState, after: KeyId | None, keys_max: int
    ) -> list[tuple[KeyId, str]]:
        """Read the plaintext of a variant's keys in one state, page by page."""
        ...
