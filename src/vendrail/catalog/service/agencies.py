"""What suppliers and agents agree on: agencies, floors, and what is listed in agents' shops."""

from collections.abc import Sequence

from vendrail.api.catalog import (
    DeliveryKind,
    MerchantId,
    Product,
    PutStatus,
)
from vendrail.api.catalog.agencies import (
    Agency,
    AgencyAct,
    AgencyMove,
    AgencyStatus,
    Floor,
    FlooredVariant,
    FloorQuery,
    FloorStatus,
    ListingStatus,
    ListSupplied,
    SuppliedVariant,
    SuppliedVariantQuery,
)
from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.catalog import agencies
from vendrail.catalog.service.telling import AgencyTelling, note_lost
from vendrail.catalog.settings import CatalogSettings
from vendrail.catalog.store import agencies as store
from vendrail.catalog.store import agencynews
from vendrail.catalog.store import shelves as shelf_store
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, replace
from vendrail.kernel.db import Database, Transaction

_ROWS_MAX = 200
_PUT = {
    PutStatus.CREATED: ListingStatus.LISTED,
    PutStatus.CHANGED: ListingStatus.CHANGED,
    PutStatus.UNCHANGED: ListingStatus.UNCHANGED,
    PutStatus.SHOP_NOT_FOUND: ListingStatus.SHOP_NOT_FOUND,
    PutStatus.SLUG_TAKEN: ListingStatus.NAME_TAKEN,
    PutStatus.SKU_TAKEN: ListingStatus.NAME_TAKEN,
    PutStatus.PRICE_BELOW_FLOOR: ListingStatus.PRICE_BELOW_FLOOR,
    PutStatus.LISTING_FIXED: ListingStatus.LISTING_FIXED,
    PutStatus.TEXT_FORBIDDEN: ListingStatus.TEXT_FORBIDDEN,
}


class AgencyService:
    """The part of the catalog that two merchants share."""

    _db: Database
    _clock: Clock
    _settings: CatalogSettings

    def forget_offers(self) -> None:
        """Have offers read anew: something is sold no more, or again."""
        raise NotImplementedError

    async def put_products(self, products: Sequence[Product]) -> list[PutStatus]:
        """Write products whole."""
        raise NotImplementedError

    def telling(self, identity: Identity, notify: Notify) -> AgencyTelling:
        """Tell suppliers and agents of each other."""
        return AgencyTelling(self._db, identity, notify, self._settings.public_url)

    async def move_agencies(self, moves: Sequence[AgencyMove]) -> list[AgencyStatus]:
        """Invite, accept, decline, end; few and each its own, so one by one."""
        statuses = []
        for each in moves:
            async with self._db.transaction() as tx:
                await shelf_store.lock(tx)
                statuses.append(await self._move(tx, each))
        self.forget_offers()
        return statuses

    async def _move(self, tx: Transaction, asked: AgencyMove) -> AgencyStatus:
        supplier, agent = asked.supplier, asked.agent
        if asked.slug:
            found = (await store.find_merchants(tx, [asked.slug])).get(asked.slug)
            if found is None:
                return AgencyStatus.MERCHANT_NOT_FOUND
            if asked.act is AgencyAct.INVITE:
                supplier, agent = supplier or asked.by, MerchantId(found)
            else:
                supplier, agent = MerchantId(found), agent or asked.by
        supplier, agent = supplier or asked.by, agent or asked.by
        state = await store.load_state(tx, supplier, agent)
        status, after = agencies.move(state, asked.act, asked.by, supplier, agent)
        if status is AgencyStatus.DONE and after is not None:
            now = self._clock.now()
            await store.put_state(tx, supplier, agent, after, now)
            other = agent if asked.by == supplier else supplier
            news = agencynews.News(other, supplier, agent, after.value, supplier)
            await agencynews.put_news(tx, [news], now)
        return status

    async def list_agencies(self, merchants: Sequence[MerchantId]) -> list[list[Agency]]:
        """List merchants' agencies, on either side, the last changed first."""
        async with self._db.reading() as tx:
            found = await store.list_agencies(tx, merchants)
        return [
            [each for each in found if merchant in (each.supplier, each.agent)]
            for merchant in merchants
        ]

    async def put_floors(self, floors: Sequence[Floor]) -> list[FloorStatus]:
        """Write what suppliers get of each unit; one by one, for each is looked at."""
        statuses = []
        for each in floors:
            async with self._db.transaction() as tx:
                await shelf_store.lock(tx)
                statuses.append(await self._put_floor(tx, each))
        self.forget_offers()
        return statuses

    async def _put_floor(self, tx: Transaction, asked: Floor) -> FloorStatus:
        known = await store.load_floored(tx, asked.variant)
        if known is None or known[0] != asked.supplier:
            return FloorStatus.VARIANT_NOT_FOUND
        _, delivery, is_listed, floor = known
        if delivery != DeliveryKind.UNIQUE_KEY:
            return FloorStatus.NOT_UNIQUE
        if is_listed:
            return FloorStatus.SUPPLIED
        if not agencies.are_prices(asked.prices_minor):
            return FloorStatus.FIELD_MALFORMED
        if decode(floor, dict[str, int]) == asked.prices_minor:
            return FloorStatus.UNCHANGED
        before = await agencynews.load_sold(tx, [asked.variant], [])
        await store.put_floor(tx, asked.variant, asked.prices_minor)
        step = "floor_raised" if asked.prices_minor else "not_supplied"
        await note_lost(tx, before, step, self._clock.now())
        return FloorStatus.CHANGED

    async def list_floors(self, queries: Sequence[FloorQuery]) -> list[list[FlooredVariant]]:
        """List pages of suppliers' variants with their floors; a short page is the last."""
        bounded = [
            replace(each, floors_max=max(0, min(each.floors_max, _ROWS_MAX))) for each in queries
        ]
        async with self._db.reading() as tx:
            return [await store.list_floors(tx, each) for each in bounded]

    async def list_supplied(
        self, queries: Sequence[SuppliedVariantQuery]
    ) -> list[list[SuppliedVariant]]:
        """List pages of what agents may list and have listed; a short page is the last."""
        bounded = [
            replace(each, variants_max=max(0, min(each.variants_max, _ROWS_MAX)))
            for each in queries
        ]
        async with self._db.reading() as tx:
            return [await store.list_supplied(tx, each) for each in bounded]

    async def put_listings(self, listings: Sequence[ListSupplied]) -> list[ListingStatus]:
        """List what is supplied; one by one, for each is a product of its own."""
        return [await self._put_listing(each) for each in listings]

    async def _put_listing(self, asked: ListSupplied) -> ListingStatus:
        product, variant = agencies.listing_ids(asked.shop, asked.source)
        async with self._db.transaction() as tx:
            await shelf_store.lock(tx)
            source = await store.load_source(tx, asked.agent, asked.source)
            if source is None:
                return ListingStatus.NOT_SUPPLIED
            shops = await shelf_store.list_shops(tx, [asked.agent])
            if asked.shop not in [shop.id for shop in shops]:
                return ListingStatus.SHOP_NOT_FOUND
            if not asked.prices_minor or not agencies.are_prices(asked.prices_minor):
                return ListingStatus.FIELD_MALFORMED
            new = agencies.listing_product(
                asked.shop, source.product, source.variant, asked.prices_minor
            )
            if not agencies.are_above(new.variants[0], source.floor_minor):
                return ListingStatus.PRICE_BELOW_FLOOR
            # Before the product is there: at no moment has it a stock of its own.
            await store.put_listing(tx, variant, asked.source, source.supplier, asked.agent)
            known = (await shelf_store.load_products(tx, [new])).products.get(product)
        if known is not None:
            new = agencies.repriced(known, asked.prices_minor)
            if not new.variants[0].has_sound_steps:
                return ListingStatus.STEPS_UNFIT
        [status] = await self.put_products([new])
        return _PUT.get(status, ListingStatus.FIELD_MALFORMED)
