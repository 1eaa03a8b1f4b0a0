"""A catalog on a real database, itself and as a remote client sees it, with a shop to fill."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from vendrail.api.catalog import (
    Allocation,
    AllocationId,
    Catalog,
    Hold,
    KeyIntake,
    KeyLine,
    MerchantId,
    Product,
    ProductId,
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.catalog.service import CatalogService
from vendrail.catalog.settings import CatalogSettings
from vendrail.kernel import rpc
from vendrail.kernel.db import Database
from vendrail.kernel.ids import derive, named_id, new_id


@pytest.fixture
async def db(make_database) -> Database:
    """The catalog's own database."""
    return await make_database("catalog")


@pytest.fixture
def make_service(db, vault, clock, wakeups) -> Callable[..., CatalogService]:
    """Make a service with settings of the test's choice."""

    def make(**settings: object) -> CatalogService:
        return CatalogService(
            db=db, vault=vault, clock=clock, wakeups=wakeups, settings=CatalogSettings(**settings)
        )

    return make


@pytest.fixture
def service(make_service) -> CatalogService:
    """The service itself."""
    return make_service()


@pytest.fixture(params=["local", "remote"])
def catalog(request, service) -> Catalog:
    """The service itself, and a remote client to it."""
    return service if request.param == "local" else rpc.loopback(Catalog, service)


class Scene:
    """Short words for what the tests tell."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.shop = Shop(
            ShopId(named_id("shop")), MerchantId(named_id("merchant")), "Lin", "lin", "Lin's keys"
        )

    def order(self) -> UUID:
        """Make the id of a new order."""
        return new_id(self.clock.now())

    def product(self, sku: str = "game", **changes: object) -> Product:
        """Describe a product with one variant of that SKU."""
        variant = Variant(VariantId(named_id(sku)), sku, "Standard", {"CNY": 4_900})
        fields = {"variants": [variant], "slug": sku, "title": f"The {sku}"} | changes
        return Product(id=ProductId(named_id(f"product {sku}")), shop=self.shop.id, **fields)

    async def stock(
        self, catalog: Catalog, count: int, sku: str = "game", **changes: object
    ) -> UUID:
        """Put a product on sale with so many keys; give its variant."""
        await catalog.put_shops([self.shop])
        product = self.product(sku, **changes)
        await catalog.put_products([product])
        if count:
            await catalog.add_keys([self.intake(count, sku)])
        return product.variants[0].id

    def intake(self, count: int, sku: str = "game", batch: str = "first") -> KeyIntake:
        """Make a batch of keys, each told apart by SKU, batch and number."""
        lines = [KeyLine(n, f"{sku}-{batch}-{n:06}") for n in range(1, count + 1)]
        return KeyIntake(sku, named_id(f"{sku} {batch}"), lines)

    def hold(self, variant: UUID, quantity: int = 1, until_s: float = 900, **hashes: str) -> Hold:
        """Make a hold of a new order."""
        until = self.clock.now() + timedelta(seconds=until_s)
        return Hold(self.order(), VariantId(variant), quantity, until, **hashes)

    def allocation(
        self, variant: UUID, quantity: int = 1, order: UUID | None = None, step: str = "allocate"
    ) -> Allocation:
        """Make an allocation of an order (a new one, if none is given)."""
        order = order or self.order()
        return Allocation(AllocationId(derive(order, step)), order, VariantId(variant), quantity)


@pytest.fixture
def scene(clock) -> Scene:
    """Short words for what the tests tell."""
    return Scene(clock)
