"""Shops, products, search, and the offers that placing an order needs."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from vendrail.api.catalog import (
    DeliveryKind,
    GoodsRules,
    LowStock,
    LowStockQuery,
    MerchantId,
    Offer,
    Product,
    ProductId,
    ProductQuery,
    ProductState,
    ProductView,
    PutStatus,
    SalesLimit,
    SalesStop,
    Shop,
    ShopProductQuery,
    StockedProduct,
    Suspension,
)
from vendrail.catalog import shelves
from vendrail.catalog.markup import to_html
from vendrail.catalog.service.goods import GoodsService
from vendrail.catalog.service.telling import note_lost
from vendrail.catalog.settings import CatalogSettings
from vendrail.catalog.store import agencynews, goods, suspensions
from vendrail.catalog.store import limits as limit_store
from vendrail.catalog.store import shelves as store
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database

_OFFERS_MAX = 20_000  # Unknown SKUs are remembered too; nobody may fill the memory with them.
_PRODUCTS_MAX = 200
_REASON_LENGTH_MAX = 500


def _view(row: store.ViewRow) -> ProductView:
    product = row.product
    stock: dict[str, int | None] = {}
    for variant in product.variants:
        if product.delivery is DeliveryKind.UNIQUE_KEY:
            stock[variant.sku] = row.free.get(variant.sku, 0)
        else:
            stock[variant.sku] = None if variant.sku in row.contents else 0
    html = to_html(product.description)
    written = row.written_minor
    return ProductView(product, row.shop, html, stock, row.sold_count, row.is_on_sale, written)


class ShelfService(GoodsService):
    """What is for sale."""

    def __init__(self, db: Database, clock: Clock, settings: CatalogSettings) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._offers: dict[str, tuple[datetime, Offer | None]] = {}

    def forget_offers(self) -> None:
        """Have offers read anew: something is sold no more, or again."""
        self._offers.clear()

    async def put_shops(self, shops: Sequence[Shop]) -> list[PutStatus]:
        """Write shops whole, by id."""
        statuses = None
        while statuses is None:  # Again where the rules have changed meanwhile.
            statuses = await self._put_shops(shops, await self.newest_rules())
        self._offers.clear()
        return statuses

    async def _put_shops(self, shops: Sequence[Shop], rules: GoodsRules) -> list[PutStatus] | None:
        looked = await self.look_at_shops(shops, rules)
        async with self._db.transaction() as tx:
            await store.lock(tx)
            if await goods.newest_version(tx) != rules.version:
                return None
            book = await store.load(tx, [shop.id for shop in shops], [shop.slug for shop in shops])
            statuses = [
                shelves.put_shop(book, shop, is_forbidden=shop in looked.refused) for shop in shops
            ]
            if book.written_shops:
                await store.put_shops(tx, list(book.written_shops.values()))
                owners = {shop.id: shop.merchant for shop in book.written_shops.values()}
                await self.judge(tx, looked.cases, owners)
        return statuses

    async def put_products(self, products: Sequence[Product]) -> list[PutStatus]:
        """Write products whole, by id, with their variants (a variant left out is withdrawn)."""
        statuses = None
        while statuses is None:  # Again where the rules have changed meanwhile.
            statuses = await self._put_products(products, await self.newest_rules())
        self._offers.clear()
        return statuses

    async def _put_products(
        self, products: Sequence[Product], rules: GoodsRules
    ) -> list[PutStatus] | None:
        looked = await self.look_at(products, rules)
        async with self._db.transaction() as tx:
            await store.lock(tx)
            if await goods.newest_version(tx) != rules.version:
                return None
            book = await store.load_products(tx, products)
            statuses = [shelves.put_product(book, product) for product in products]
            written = list(book.written_products.values())
            if written:
                search = [shelves.search_text(product) for product in written]
                supplied = await agencynews.load_sold(tx, [], [each.id for each in written])
                await store.put_products(tx, written, search)
                await note_lost(tx, supplied, "not_supplied", self._clock.now())
                owners = {each.id: book.shops[each.shop].merchant for each in written}
                await self.judge(tx, looked, owners)
        return statuses

    async def read_shops(self, slugs: Sequence[str]) -> list[Shop | None]:
        """Read shops by slug; an empty list of slugs gives all open shops."""
        async with self._db.reading() as tx:
            shops = await store.read_shops(tx, slugs)
        if not slugs:
            return list(shops)
        by_slug = {shop.slug: shop for shop in shops}
        return [by_slug.get(slug) for slug in slugs]

    async def find_products(self, queries: Sequence[ProductQuery]) -> list[list[ProductView]]:
        """Find products on sale."""
        bounded = [
            replace(query, products_max=max(0, min(query.products_max, _PRODUCTS_MAX)))
            for query in queries
        ]
        async with self._db.reading() as tx:
            found = await store.find_products(tx, bounded)
            rows = await store.read_views(tx, list({id for ids in found for id in ids}))
        views = {id: _view(row) for id, row in rows.items()}
        return [[views[id] for id in ids if id in views] for ids in found]

    async def read_products(self, ids: Sequence[ProductId]) -> list[ProductView | None]:
        """Read products by id, whatever their state (removed: None)."""
        async with self._db.reading() as tx:
            rows = await store.read_views(tx, ids)
        return [
            _view(row) if row and row.product.state is not ProductState.REMOVED else None
            for row in map(rows.get, ids)
        ]

    async def list_shops(self, merchants: Sequence[MerchantId]) -> list[list[Shop]]:
        """List merchants' shops, closed ones too."""
        async with self._db.reading() as tx:
            shops = await store.list_shops(tx, merchants)
        return [[shop for shop in shops if shop.merchant == merchant] for merchant in merchants]

    async def list_products(
        self, queries: Sequence[ShopProductQuery]
    ) -> list[list[StockedProduct]]:
        """List merchants' products with their stock; a short page is the last."""
        bounded = [
            replace(query, products_max=max(0, min(query.products_max, _PRODUCTS_MAX)))
            for query in queries
        ]
        async with self._db.reading() as tx:
            return [await store.list_products(tx, query) for query in bounded]

    async def list_low_stock(self, queries: Sequence[LowStockQuery]) -> list[list[LowStock]]:
        """List what runs out, the fewest first."""
        async with self._db.reading() as tx:
            return [
                await store.list_low_stock(tx, query, max(0, min(query.variants_max, 200)))
                for query in queries
            ]

    async def stop_sales(self, stops: Sequence[SalesStop]) -> list[bool]:
        """Suspend merchants, or let them sell again."""
        now = self._clock.now()
        cleaned = [replace(each, reason=each.reason.strip()[:_REASON_LENGTH_MAX]) for each in stops]
        async with self._db.transaction() as tx:
            await store.lock(tx)
            changed = [await suspensions.put_suspension(tx, each, now) for each in cleaned]
        self._offers.clear()
        return changed

    async def read_suspensions(self, merchants: Sequence[MerchantId]) -> list[Suspension | None]:
        """Read merchants' suspensions."""
        async with self._db.reading() as tx:
            found = await suspensions.load_suspensions(tx, merchants)
        return [found.get(each) for each in merchants]

    async def list_suspensions(self) -> list[Suspension]:
        """List all suspensions, the newest first."""
        async with self._db.reading() as tx:
            return await suspensions.list_suspensions(tx)

    async def put_limits(self, limits: Sequence[SalesLimit]) -> list[PutStatus]:
        """Write how much merchants may sell; an empty currency takes a limit away."""
        statuses = []
        async with self._db.transaction() as tx:
            await store.lock(tx)
            known = {each.merchant: each for each in await limit_store.list_limits(tx)}
            for limit in limits:
                status = shelves.put_limit(known, limit)
                if status in (PutStatus.CREATED, PutStatus.CHANGED):
                    await limit_store.put_limit(tx, limit)
                statuses.append(status)
        return statuses

    async def list_limits(self) -> list[SalesLimit]:
        """List all limits, everybody's first."""
        async with self._db.reading() as tx:
            return await limit_store.list_limits(tx)

    async def read_offers(self, skus: Sequence[str]) -> list[Offer | None]:
        """Read what placing an order must know; cached for at most a second."""
        now = self._clock.now()
        cached = self._offers
        stale = {sku for sku in skus if sku not in cached or cached[sku][0] <= now}
        if not stale:
            return [cached[sku][1] for sku in skus]
        known = {sku: cached[sku][1] for sku in skus if sku not in stale}
        async with self._db.reading() as tx:
            settings = self._settings
            fresh = await store.read_offers(
                tx, list(stale), settings.holds_pressing_min, settings.holds_watched_percent
            )
        if len(cached) + len(stale) > _OFFERS_MAX:
            cached.clear()
        until = now + timedelta(seconds=self._settings.offer_cache_s)
        cached.update((sku, (until, fresh.get(sku))) for sku in stale)
        return [known[sku] if sku in known else fresh.get(sku) for sku in skus]
