"""Forbidden goods: what is put on the shelves is looked at, and what stands there after new rules.

Texts are read outside of transactions, in a thread. Whoever writes a product or a new version of
the rules holds the lock of the shelves, so what was looked at by older rules is looked at again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from vendrail.api.catalog import (
    GoodsCase,
    GoodsDecision,
    GoodsDecisionStatus,
    GoodsQuery,
    GoodsRules,
    GoodsRulesStatus,
    GoodsState,
    GoodsVerdict,
    MerchantId,
    Product,
    ProductId,
    ProductState,
    Shop,
    ShopId,
)
from vendrail.catalog import screening
from vendrail.catalog.store import goods as store
from vendrail.catalog.store.shelves import lock
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.outbox import Wakeups

RULED = "catalog.goods"  # The wake-up topic of rules that were written.
_SWEPT_AT_ONCE = 100
_REASON_LENGTH_MAX = 500
_NO_RULES = GoodsRules([])
_NOBODY = MerchantId(UUID(int=0))
Owners = Mapping[ProductId, MerchantId] | Mapping[ShopId, MerchantId]
Looked = Mapping[UUID, GoodsCase]  # What was found now, by product or shop; nothing found too.


class LookedShops(NamedTuple):
    """What was found in shops' texts, and which shops are refused for it."""

    cases: Looked
    refused: list[Shop]


class GoodsService:
    """Fulfils `api.catalog.GoodsWatch`."""

    _db: Database
    _clock: Clock
    wakeups: Wakeups

    def forget_offers(self) -> None:
        """Have offers read anew: something is sold no more, or again."""
        raise NotImplementedError

    async def put_goods_rules(self, versions: Sequence[GoodsRules]) -> list[GoodsRulesStatus]:
        """Write the next versions; what is on the shelves is looked through by and by."""
        return [await self._put_rules(each) for each in versions]

    async def _put_rules(self, new: GoodsRules) -> GoodsRulesStatus:
        rules = screening.clean_rules(new.rules)
        if rules is None:
            return GoodsRulesStatus.MALFORMED
        async with self._db.transaction() as tx:
            await lock(tx)
            standing = await store.list_rules(tx, 1)
            if rules == (standing[0].rules if standing else []):
                return GoodsRulesStatus.UNCHANGED
            await store.add_rules(tx, replace(new, rules=rules), self._clock.now())
        self.wakeups.wake(RULED)
        return GoodsRulesStatus.CREATED

    async def list_goods_rules(self, versions_max: int) -> list[GoodsRules]:
        """List versions of the rules, the newest first."""
        async with self._db.reading() as tx:
            return await store.list_rules(tx, max(1, min(versions_max, 100)))

    async def list_goods_cases(self, queries: Sequence[GoodsQuery]) -> list[list[GoodsCase]]:
        """List what was found."""
        async with self._db.reading() as tx:
            return [await store.list_cases(tx, query) for query in queries]

    async def read_goods_cases(self, subjects: Sequence[UUID]) -> list[GoodsCase | None]:
        """Read what was found of products and shops."""
        async with self._db.reading() as tx:
            found = await store.load_cases(tx, subjects)
        return [found.get(each) for each in subjects]

    async def decide_goods(self, decisions: Sequence[GoodsDecision]) -> list[GoodsDecisionStatus]:
        """Allow what was found, or take products down: they are not sold from then on."""
        statuses = []
        for each in decisions:
            async with self._db.transaction() as tx:
                await lock(tx)
                statuses.append(await self._decide(tx, each))
        self.forget_offers()
        return statuses

    async def _decide(self, tx: Transaction, decision: GoodsDecision) -> GoodsDecisionStatus:
        now = self._clock.now()
        known = (await store.load_cases(tx, [decision.subject])).get(decision.subject)
        if known is None:
            sold = await store.load_sold(tx, [decision.subject])
            if not sold or decision.is_allowed:
                return GoodsDecisionStatus.NOT_FOUND
            product, shop = sold[0]
            known = replace(_case(product, _NO_RULES), merchant=MerchantId(shop.merchant))
        state = GoodsState.ALLOWED if decision.is_allowed else GoodsState.TAKEN_DOWN
        if known.state is state and not known.is_appealed:
            return GoodsDecisionStatus.UNCHANGED
        if not screening.is_judged(known, decision):
            return GoodsDecisionStatus.CHANGED_SINCE
        reason = decision.reason.strip()[:_REASON_LENGTH_MAX]
        decided = screening.decide(known, replace(decision, reason=reason))
        await store.put_cases(tx, [replace(decided, changed_at=now)])
        return GoodsDecisionStatus.DECIDED

    async def newest_rules(self) -> GoodsRules:
        """Read the rules that count."""
        async with self._db.reading() as tx:
            found = await store.list_rules(tx, 1)
        return found[0] if found else _NO_RULES

    async def look_at(self, products: Sequence[Product], rules: GoodsRules) -> Looked:
        """Look for what rules forbid, in a thread: texts are long and rules are many."""
        if not rules.version:
            return {}
        return await asyncio.to_thread(_look, list(products), rules)

    async def look_at_shops(self, shops: Sequence[Shop], rules: GoodsRules) -> LookedShops:
        """Look at shops' texts in the same way."""
        if not rules.version:
            return LookedShops({}, [])
        return await asyncio.to_thread(_look_at_shops, list(shops), rules)

    async def judge(
        self,
        tx: Transaction,
        looked: Looked,
        owners: Owners,
        former: Mapping[UUID, str] = MappingProxyType({}),
    ) -> None:
        """Write what follows from what was found; the lock of the shelves is held.

        `owners` are the merchants of what was written: the rest is left as it was. `former` are
        other names of the texts of what nobody has written, but was looked at in part alone.
        """
        merchants: dict[UUID, MerchantId] = dict(owners.items())
        ours = {id: case for id, case in looked.items() if id in merchants}
        known = await store.load_cases(tx, list(ours)) if ours else {}
        now = self._clock.now()
        changed = []
        for subject, case in ours.items():
            before = known.get(subject)
            owned = replace(case, merchant=merchants[subject])
            after = screening.judge(before, owned, former.get(subject, ""))
            if after is None or after == before:
                continue
            is_renamed = before is not None and after == replace(before, seen=after.seen)
            changed.append(after if is_renamed else replace(after, changed_at=now))
        if changed:
            await store.put_cases(tx, changed)

    async def sweep_goods(self) -> bool:
        """Look through the next products by the newest rules; false: all were looked at."""
        rules = await self.newest_rules()
        if not rules.version:
            return False
        async with self._db.reading() as tx:
            after, is_done = await store.read_sweep(tx, rules.version)
            ids = [] if is_done else await store.next_products(tx, after, _SWEPT_AT_ONCE)
            sold = await store.load_sold(tx, ids)
        if is_done:
            return False
        looked = await self.look_at([product for product, _ in sold], rules)
        async with self._db.transaction() as tx:
            await lock(tx)
            if await store.newest_version(tx) != rules.version:
                return True
            # What was written meanwhile was looked at by these rules, and is as it was judged.
            same = {
                product.id: (shop.merchant, screening.former_fingerprint(product))
                for product, shop in await store.load_sold(tx, ids)
                if product.id in looked and looked[product.id].seen == _seen(product)
            }
            owners = {id: merchant for id, (merchant, _) in same.items()}
            await self.judge(tx, looked, owners, {id: name for id, (_, name) in same.items()})
            last = len(ids) < _SWEPT_AT_ONCE
            await store.put_sweep(tx, rules.version, ids[-1] if ids else after, is_done=last)
        self.forget_offers()
        return not last


def _seen(product: Product) -> str:
    return screening.fingerprint(screening.texts_of_product(product))


def _case(product: Product, rules: GoodsRules) -> GoodsCase:
    """Look at a product; whose it is is added by who knows its shop."""
    texts = screening.texts_of_product(product)
    is_there = product.state is not ProductState.REMOVED  # Else nobody needs to look any more.
    return GoodsCase(
        product.id,
        _NOBODY,
        product.title,
        GoodsState.OPEN,
        screening.screen(texts, product.category, rules.rules) if is_there else [],
        rules_version=rules.version,
        seen=screening.fingerprint(texts),
    )


def _look(products: Sequence[Product], rules: GoodsRules) -> Looked:
    return {product.id: _case(product, rules) for product in products}


def _look_at_shop(shop: Shop, rules: GoodsRules) -> GoodsCase:
    texts = screening.texts_of_shop(shop)
    return GoodsCase(
        shop.id,
        shop.merchant,
        shop.name,
        GoodsState.OPEN,
        screening.screen(texts, "", rules.rules),
        is_shop=True,
        rules_version=rules.version,
        seen=screening.fingerprint(texts),
    )


def _look_at_shops(shops: Sequence[Shop], rules: GoodsRules) -> LookedShops:
    found = [(shop, _look_at_shop(shop, rules)) for shop in shops]
    refused = [
        shop
        for shop, case in found
        if any(rule.verdict is GoodsVerdict.BLOCK for rule in case.found)
    ]
    return LookedShops({shop.id: case for shop, case in found}, refused)
