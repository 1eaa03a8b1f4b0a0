"""Freezing: the intent written, the money moved, the end written; each part harmless to repeat."""

from collections.abc import Callable, Sequence
from uuid import UUID

from vendrail.api.ledger import Chart, Ledger, Transfer
from vendrail.api.settlement import Freeze, FreezeResult, FreezeStatus
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.settlement import freezes
from vendrail.settlement.accounts import Accounts, accounts_of
from vendrail.settlement.buckets import Buckets, find_held_back
from vendrail.settlement.freezes import FreezeState, KeptFreeze
from vendrail.settlement.holding import Bucket
from vendrail.settlement.refunds import (
    HeldBack,
    Pool,
    PoolKey,
    RefundSource,
)
from vendrail.settlement.sharing import Shared
from vendrail.settlement.split import MerchantAccounts, SplitFound, find_split
from vendrail.settlement.store import Store
from vendrail.settlement.store.holding import HoldingStore
from vendrail.settlement.store.supplies import SupplyStore
from vendrail.settlement.supplied import find_supplied

_TURNS_MAX = 5  # Each turn finishes the freezes that the one before has found.


class Freezing:
    """The two movements of a freeze: out of the merchant's reach, and back."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        accounts: Accounts,
        holding: HoldingStore,
        buckets: Buckets,
        supplies: SupplyStore,
    ) -> None:
        self._supplies = supplies
        self._store = store
        self._buckets = buckets
        self._holding = holding
        self._ledger = ledger
        self._accounts = accounts

    async def freeze_money(self, asked: Sequence[Freeze]) -> list[FreezeResult]:
        """Keep orders' shares from leaving."""
        good = {each.id: each for each in asked if freezes.is_freezable(each)}
        known = await self._store.load_freezes(list(good))
        new = [each for id, each in good.items() if id not in known]
        kept = known | (await self._ask(new) if new else {})
        if any(each.state is FreezeState.ASKED for each in kept.values()):
            await self._finish(list(kept.values()))
            kept = await self._store.load_freezes(list(good))
        told = set(known)
        results = []
        for each in asked:
            if each.id not in good:
                results.append(FreezeResult(FreezeStatus.AMOUNT_MALFORMED))
                continue
            found = kept[each.id]
            status = freezes.freeze_status(found, each, is_new=each.id not in told)
            told.add(each.id)
            rows = [found, *(row for row in kept.values() if row.part_of == each.id)]
            frozen, left = (
                sum(getattr(row, of) for row in rows) for of in ("frozen_minor", "left_minor")
            )
            results.append(FreezeResult(status, frozen, left))
        return results

    async def unfreeze_money(self, asked: Sequence[Freeze]) -> list[FreezeResult]:
        """Give back what refunds have not taken; leave a tombstone where nothing was asked yet."""
        good = {each.id: each for each in asked if freezes.is_freezable(each)}
        known = await self._store.load_freezes(list(good))
        late = [freezes.tombstone(each) for id, each in good.items() if id not in known]
        if late:
            await self._store.add_freeze_tombstones(late)
        if any(each.state is FreezeState.ASKED for each in known.values()):
            await self._finish(list(known.values()))
        strangers = {id for id, each in good.items() if id in known and not known[id].fits(each)}
        fitting = [
            id
            for id, kept in known.items()
            if id not in strangers and kept.part_of not in strangers
        ]
        ending = await self._begin_ends(fitting)
        if ending:
            backs = await self._find_backs(ending)
            await self._buckets.expect(backs)
            moved = await self._post(ending, freezes.unfreeze_transfers)
            for kept in ending:
                if moved[kept.id] != kept.frozen_minor - kept.thawed_minor:
                    raise Broken(f"What freeze {kept.id} holds is not there; look at the books.")
            await self._buckets.reopen(backs)  # What is due meanwhile is released again.
            await self._store.end_freezes([kept.id for kept in ending])
        ended = {kept.id for kept in ending}
        return [
            FreezeResult(FreezeStatus.AMOUNT_MALFORMED)
            if each.id not in good
            else _ended(each, known.get(each.id), is_new=each.id in ended)
            for each in asked
        ]

    async def _find_backs(self, ended: Sequence[KeptFreeze]) -> list[Bucket]:
        """Find the buckets that ended freezes give money back to."""
        accounts = {
            account
            for kept in ended
            for account in (kept.pending_account, kept.reserve_account)
            if account is not None
        }
        found = await self._holding.load_buckets(accounts) if accounts else {}
        return [each.bucket for each in found.values()]

    async def _begin_ends(self, ids: Sequence[UUID]) -> list[KeptFreeze]:
        """Turn freezes to their end; what is left of them goes over to others of their orders."""
        for _ in range(_TURNS_MAX):
            ending, unfinished = await self._store.begin_freeze_ends(ids) if ids else ([], [])
            if not unfinished:
                return ending
            await self._finish(unfinished)
        raise Unavailable("Freezes of the same order are asked for all the while; try again.")

    async def _ask(self, asked: Sequence[Freeze]) -> dict[UUID, KeptFreeze]:
        """Write new freezes down as far as the orders have something left; give what is kept."""
        books = await self._ledger.read_transfers([each.order for each in asked])
        shares: dict[UUID, int] = {}
        splits: dict[UUID, SplitFound] = {}
        pools: dict[PoolKey, Pool] = {}
        for each, posted in zip(asked, books, strict=True):
            found = find_split(each.order, posted, accounts_of(each.merchant, each.currency))
            splits[each.id] = found
            shares[each.id] = 0 if found.is_reversed else found.share_minor
            pool = Pool(each.order, RefundSource.SPLIT, found.split_minor)
            pools[pool.key] = pool
        supplied = await find_supplied(
            self._supplies,
            self._ledger,
            self._holding,
            {
                each.order: splits[each.id].supplied_minor
                for each in asked
                if splits[each.id].supplied_minor and not splits[each.id].is_reversed
            },
        )
        pools |= {each.pool.key: each.pool for each in supplied.values()}
        backs = await find_held_back(self._holding, splits)
        kept: dict[UUID, KeptFreeze] = {}

        def decide(
            known: dict[UUID, KeptFreeze],
            locked: dict[PoolKey, Pool],
            standing: list[KeptFreeze],
        ) -> tuple[list[KeptFreeze], list[Pool]]:
            kept.clear()
            kept.update(known)
            for each in asked:
                if each.id in kept:
                    continue
                key = (each.order, RefundSource.SPLIT)
                others = [*standing, *(kept[id] for id in kept if id not in known)]
                back = backs.get(each.id, HeldBack())
                theirs, shared = supplied.get(each.order), Shared()
                if theirs is not None:
                    pool = locked[key]
                    before_minor = locked[theirs.pool.key].refunded_minor
                    shared = theirs.share_out(each.amount_minor, pool, before_minor)
                kept[each.id], locked[key] = freezes.ask_freeze(
                    each, shares[each.id], locked[key], others, back, shared
                )
                if theirs is not None and shared.part_minor:
                    part = freezes.part_of(each, theirs.supply, shared.part_minor)
                    key = theirs.pool.key
                    frozen, locked[key] = freezes.ask_freeze(
                        part, theirs.share_minor, locked[key], others, theirs.back
                    )
                    kept[part.id] = frozen._replace(part_of=each.id)
            return [kept[id] for id in kept if id not in known], list(locked.values())

        await self._store.add_freezes([each.id for each in asked], list(pools.values()), decide)
        return kept

    async def _finish(self, kept: Sequence[KeptFreeze]) -> None:
        """Move the money of freezes that are written down and not yet out of reach."""
        asked = [each for each in kept if each.state is FreezeState.ASKED]
        # What is not due yet first; a repeat finds what each has moved.
        pending = await self._post(asked, freezes.pending_transfers)
        asked = [each._replace(pending_minor=pending[each.id]) for each in asked]
        reserve = await self._post(asked, freezes.reserve_transfers)
        asked = [each._replace(reserve_minor=reserve[each.id]) for each in asked]
        rest = await self._post(asked, freezes.freeze_transfers)
        await self._store.settle_freezes(
            [
                each._replace(frozen_minor=rest[each.id] + each.pending_minor + each.reserve_minor)
                for each in asked
            ]
        )

    async def _post(
        self,
        kept: Sequence[KeptFreeze],
        legs: Callable[[KeptFreeze, MerchantAccounts], list[Transfer]],
    ) -> dict[UUID, int]:
        """Post freezes' transfers in one call; give how much of each has moved."""
        if not kept:
            return {}
        owners_of = {(each.merchant, each.currency) for each in kept}
        await self._accounts.open(owners_of)
        await self._ledger.open_accounts(
            [Chart(currency).merchant(merchant, "frozen") for merchant, currency in owners_of]
        )
        moved = dict.fromkeys((each.id for each in kept), 0)
        transfers: list[Transfer] = []
        owners: list[UUID] = []
        for each in kept:
            added = legs(each, self._accounts.merchants[each.merchant, each.currency])
            transfers += added
            owners += [each.id] * len(added)
        if transfers:
            results = await self._ledger.post_transfers(transfers)
            for id, result in zip(owners, results, strict=True):
                moved[id] += result.amount_minor if result.is_done else 0
        return moved


def _ended(asked: Freeze, kept: KeptFreeze | None, *, is_new: bool) -> FreezeResult:
    if kept is not None and not kept.fits(asked):
        return FreezeResult(FreezeStatus.EXISTS_DIFFERENT)
    frozen_minor = kept.frozen_minor if kept is not None else 0
    return FreezeResult(FreezeStatus.ENDED if is_new else FreezeStatus.EXISTS, frozen_minor)
