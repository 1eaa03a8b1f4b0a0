"""Refunding: the intent written, the money moved, the end written; each part harmless to repeat."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from vendrail.api.ledger import AccountId, Chart, Ledger, Transfer
from vendrail.api.settlement import RefundPosting, RefundPostingStatus
from vendrail.kernel.errors import Broken
from vendrail.settlement import refunds
from vendrail.settlement.accounts import Accounts, accounts_of, of_wallet
from vendrail.settlement.buckets import Buckets, find_held_back
from vendrail.settlement.debts import Debts
from vendrail.settlement.endings import assert_moved, end_statuses, fitting, owner
from vendrail.settlement.exchange import Sides
from vendrail.settlement.freezes import (
    KeptFreeze,
    Thaw,
    bars,
    frozen_by_order,
    returned_parts,
    thaw_transfers,
)
from vendrail.settlement.holding import Bucket
from vendrail.settlement.refunds import (
    HeldBack,
    KeptRefund,
    Pool,
    PoolKey,
    RefundSource,
    RefundState,
)
from vendrail.settlement.sharing import Shared
from vendrail.settlement.split import MerchantAccounts, SplitFound, find_split
from vendrail.settlement.store import Store
from vendrail.settlement.store.fees import FeeStore
from vendrail.settlement.store.holding import HoldingStore
from vendrail.settlement.store.supplies import SupplyStore
from vendrail.settlement.supplied import Supplied, ask_theirs, find_supplied

Status = RefundPostingStatus
Change = Callable[[KeptRefund, MerchantAccounts, MerchantAccounts, Sides], list[Transfer]]


class Refunding:
    """The three movements of a refund: to clearing, then to the provider or back."""

    def __init__(
        self,
        store: Store,
        fees: FeeStore,
        ledger: Ledger,
        accounts: Accounts,
        debts: Debts,
        holding: HoldingStore,
        buckets: Buckets,
        supplies: SupplyStore,
    ) -> None:
        self._supplies = supplies
        self._holding = holding
        self._buckets = buckets
        self._store = store
        self._fees = fees
        self._ledger = ledger
        self._accounts = accounts
        self._debts = debts

    async def open_refunds(self, postings: Sequence[RefundPosting]) -> list[Status]:
        """Take the money of refunds to clearing."""
        kept = await self._store.load_refunds([posting.refund for posting in postings])
        refused: dict[UUID, Status] = {}
        new: list[RefundPosting] = []
        for posting in postings:
            if posting.refund in kept:
                continue
            if not refunds.is_refund_wellformed(posting):
                refused[posting.refund] = Status.AMOUNT_MALFORMED
            elif refunds.asks_too_much(posting):
                refused[posting.refund] = Status.MORE_THAN_CAPTURED
            else:
                new.append(posting)
        asked, disputed = await self._ask(new) if new else ({}, set())
        refused |= dict.fromkeys(disputed, Status.DISPUTED)
        kept |= asked
        for id in await self._finish_opening(list(kept.values())):
            kept[id] = kept[id]._replace(state=RefundState.CANCELLED)
        statuses = []
        told: set[UUID] = set()
        for posting in postings:
            id = posting.refund
            if id in kept:
                is_new = id in asked and id not in told
                statuses.append(refunds.open_status(kept[id], posting, is_new=is_new))
                told.add(id)
            else:
                statuses.append(refused.get(id, Status.MORE_THAN_CAPTURED))
        return statuses

    async def _ask(
        self, postings: Sequence[RefundPosting]
    ) -> tuple[dict[UUID, KeptRefund], set[UUID]]:
        """Write new refunds down as far as the books hold their money.

        Give what is kept now, and which may not be opened while a chargeback stands.
        """
        books = await self._ledger.read_transfers([posting.order for posting in postings])
        found = {
            posting.refund: find_split(
                posting.order, posted, accounts_of(posting.merchant, posting.currency)
            )
            for posting, posted in zip(postings, books, strict=True)
        }
        policies = await self._fees.load_fees_named({split.fee for split in found.values()})
        pools = {
            posting.refund: refunds.choose_pool(posting, found[posting.refund])
            for posting in postings
        }
        supplied = await self._find_supplied(postings, found, pools)
        backs = await find_held_back(self._holding, found)
        kept: dict[UUID, KeptRefund] = {}
        disputed: set[UUID] = set()

        def decide(
            known: dict[UUID, KeptRefund],
            locked: dict[PoolKey, Pool],
            standing: list[KeptFreeze],
        ) -> tuple[list[KeptRefund], list[Pool]]:
            kept.clear()
            kept.update(known)
            disputed.clear()
            frozen = frozen_by_order(standing)
            for posting in postings:
                if posting.refund in kept:
                    continue
                if bars(posting, standing):
                    disputed.add(posting.refund)
                    continue
                mine = pools[posting.refund]
                key = mine.key
                pool = locked[key]._replace(size_minor=mine.size_minor)
                split: SplitFound = found[posting.refund]
                policy = policies.get(split.fee)
                is_fee_refunded = policy is not None and policy[1].is_fee_refunded
                theirs = supplied.get(posting.order) if mine.is_shared else None
                shared = Shared()
                if theirs is not None:
                    before_minor = locked[theirs.pool.key].refunded_minor
                    shared = theirs.share_out(posting.amount_minor, pool, before_minor)
                taken = refunds.ask_refund(
                    posting,
                    pool,
                    split,
                    backs.get(posting.refund, HeldBack()),
                    is_fee_refunded=is_fee_refunded,
                    frozen_minor=frozen.get(posting.order, 0),
                    shared=shared,
                )
                if taken is not None:
                    kept[posting.refund], locked[key] = taken
                    if theirs is not None and shared.part_minor:
                        part = ask_theirs(taken[0], theirs, locked, frozen)
                        kept[part.id] = part
                    if mine.source is RefundSource.SPLIT and posting.order in frozen:
                        left = frozen[posting.order] - taken[0].share_minor
                        frozen[posting.order] = max(0, left)
            return [kept[id] for id in kept if id not in known], list(locked.values())

        # Where refunds of one order disagree on whose money it is, the row bears the larger size.
        theirs = [each.pool for each in supplied.values()]
        by_size = sorted([*pools.values(), *theirs], key=lambda pool: pool.size_minor)
        unique = {pool.key: pool for pool in by_size}
        await self._store.add_refunds(list(pools), list(unique.values()), decide)
        return kept, disputed

    async def _find_supplied(
        self,
        postings: Sequence[RefundPosting],
        found: Mapping[UUID, SplitFound],
        pools: Mapping[UUID, Pool],
    ) -> dict[UUID, Supplied]:
        """Find by order what suppliers have of it; most batches have none."""
        shared = {
            posting.order: found[posting.refund].supplied_minor
            for posting in postings
            if pools[posting.refund].is_shared and found[posting.refund].supplied_minor
        }
        return await find_supplied(self._supplies, self._ledger, self._holding, shared)

    async def _take_held_back(
        self, asked: Sequence[KeptRefund], thaws: Sequence[Thaw]
    ) -> list[KeptRefund]:
        """Take first what is not due yet; give refunds with what was really there.

        A repeat finds the same, for the ledger keeps what each transfer has moved.
        """
        back = [refund for refund in asked if refund.is_held_back]
        if not back:
            return list(asked)
        taken = await self._post(
            back, lambda refund: refunds.pending_transfers(refund, self._books(refund))
        )
        back = [refund._replace(pending_minor=taken[refund.id]) for refund in back]
        thawed = dict.fromkeys((refund.id for refund in back), 0)
        for each in thaws:
            if each.refund in thawed:
                thawed[each.refund] += each.amount_minor
        taken = await self._post(
            back,
            lambda refund: refunds.reserve_transfers(
                refund, self._books(refund), thawed[refund.id]
            ),
        )
        known = {refund.id: refund._replace(reserve_minor=taken[refund.id]) for refund in back}
        return [known.get(refund.id, refund) for refund in asked]

    async def _finish_opening(self, kept: Sequence[KeptRefund]) -> set[UUID]:
        """Move the money of refunds that are written down and not yet in clearing.

        Give those that come out of wallets which do not hold as much: they are cancelled.
        """
        asked = [refund for refund in kept if refund.state is RefundState.ASKED]
        if not asked:
            return set()
        await self._open_accounts(asked)
        thaws = await self._store.load_thaws([refund.id for refund in asked])
        asked = await self._take_held_back(asked, thaws)
        taken = await self._post(
            asked, lambda refund: refunds.opening_transfers(refund, self._books(refund)), thaws
        )
        poor = {refund.id for refund in asked if refund.is_out_of_wallet and not taken[refund.id]}
        if poor:
            await self._store.cancel_refunds(sorted(poor))
            asked = [refund for refund in asked if refund.id not in poor]
        for refund in asked:
            taken[refund.id] += refund.pending_minor + refund.reserve_minor
        debts = {refund.id: refund.own_minor - taken[refund.id] for refund in asked}
        owing = [refund for refund in asked if debts[refund.id] > 0]
        if owing:
            await self._debts.mark({(owner(refund), refund.currency) for refund in owing})
            added = await self._post(
                owing,
                lambda refund: refunds.debt_transfers(
                    refund, debts[refund.id], self._books(refund)
                ),
            )
            for id, amount_minor in added.items():
                taken[id] += amount_minor
        for refund in asked:
            assert_moved(refund, taken[refund.id], refund.own_minor)
        await self._change(asked, refunds.change_transfers)
        await self._store.open_refunds(
            [refund._replace(debt_minor=debts[refund.id]) for refund in asked]
        )
        return poor

    async def pay_refunds(self, postings: Sequence[RefundPosting]) -> list[Status]:
        """Take the money of refunds from clearing to the provider."""
        kept = await self._load_open(postings)
        able = fitting(postings, kept)
        going = await self._turn(able, (RefundState.OPEN, RefundState.PAYING), RefundState.PAYING)
        if going:
            await self._open_accounts(going)
            moved = await self._post(
                going,
                lambda refund: refunds.paying_transfers(
                    refund,
                    self._accounts.merchants[refund.merchant, refund.back.currency],
                    self._target(refund),
                ),
            )
            for refund in going:
                due_minor = 0 if refund.part_of is not None else refund.back.amount_minor
                assert_moved(refund, moved[refund.id], due_minor)
            await self._store.move_refunds(
                [refund.id for refund in going], (RefundState.PAYING,), RefundState.PAID
            )
        return end_statuses(postings, kept, going, RefundState.PAID)

    async def return_refunds(self, postings: Sequence[RefundPosting]) -> list[Status]:
        """Take the money of refunds back; leave a tombstone where there is none yet."""
        kept = await self._load_open(postings)
        late = {posting.refund: posting for posting in postings if posting.refund not in kept}
        wellformed = [each for each in late.values() if refunds.is_refund_wellformed(each)]
        if wellformed:
            await self._store.add_tombstones([refunds.tombstone(each) for each in wellformed])
        able = fitting(postings, kept)
        going, thaws = await self._turn_back(able)
        if going:
            await self._open_accounts(going)
            owing = {(owner(refund), refund.currency) for refund in going if refund.debt_minor}
            backs = await self._find_backs(going, thaws)
            await self._buckets.expect(backs)
            await self._change(going, refunds.change_back_transfers)
            moved = await self._post(
                going,
                lambda refund: refunds.returning_transfers(
                    refund, self._books(refund), returned_parts(refund, thaws)
                ),
            )
            for refund in going:
                assert_moved(refund, moved[refund.id], refund.own_minor)
            if owing:
                # The debt may have been recovered meanwhile: then it is given back.
                await self._debts.mark(owing)
            await self._buckets.reopen(backs)  # What is due meanwhile is released again.
            await self._store.end_returns([refund.id for refund in going])
        return end_statuses(postings, kept, going, RefundState.RETURNED)

    async def _find_backs(self, going: Sequence[KeptRefund], thaws: Sequence[Thaw]) -> list[Bucket]:
        """Find the buckets that returned refunds give money back to."""
        accounts = {
            account
            for refund in going
            for account in (refund.pending_account, refund.reserve_account)
            if account is not None
        }
        accounts |= {account for each in thaws for account in each.buckets}
        found = await self._holding.load_buckets(accounts) if accounts else {}
        return [each.bucket for each in found.values()]

    async def _load_open(self, postings: Sequence[RefundPosting]) -> dict[UUID, KeptRefund]:
        """Load refunds; those whose opening was broken off are opened first."""
        ids = [posting.refund for posting in postings]
        kept = await self._store.load_refunds(ids)
        if any(refund.state is RefundState.ASKED for refund in kept.values()):
            await self._finish_opening(list(kept.values()))
            kept = await self._store.load_refunds(ids)
        return kept

    async def _turn(
        self,
        kept: dict[UUID, KeptRefund],
        states: tuple[RefundState, ...],
        target: RefundState,
    ) -> list[KeptRefund]:
        """Commit to the one end or the other before any money moves: they can never both happen."""
        able = [id for id, refund in kept.items() if refund.state in states]
        if not able:
            return []
        moved = await self._store.move_refunds(able, states, target)
        return [kept[id] for id in able if id in moved]

    async def _turn_back(self, kept: dict[UUID, KeptRefund]) -> tuple[list[KeptRefund], list[Thaw]]:
        """Commit to the return; give also what of it had been frozen, and whether it is again."""
        states = (RefundState.OPEN, RefundState.RETURNING)
        able = [id for id, refund in kept.items() if refund.state in states]
        if not able:
            return [], []
        moved, thaws = await self._store.turn_back(able, states)
        return [kept[id] for id in able if id in moved], thaws

    async def _post(
        self,
        kept: Sequence[KeptRefund],
        legs: Callable[[KeptRefund], list[Transfer]],
        thaws: Sequence[Thaw] = (),
    ) -> dict[UUID, int]:
        """Post refunds' transfers in one call; give how much of each refund has moved.

        What was frozen for them comes free in the same call, just before they take it.
        """
        transfers: list[Transfer] = []
        owners: list[UUID | None] = []
        for refund in kept:
            thawed = thaw_transfers(refund, thaws, self._books(refund)) if thaws else []
            added = legs(refund)
            transfers += [*thawed, *added]
            owners += [*([None] * len(thawed)), *([refund.id] * len(added))]
        moved = dict.fromkeys((refund.id for refund in kept), 0)
        if transfers:
            results = await self._ledger.post_transfers(transfers)
            for id, transfer, result in zip(owners, transfers, results, strict=True):
                if id is not None:
                    moved[id] += result.amount_minor if result.is_done else 0
                elif not result.is_done:
                    raise Broken(f"What is frozen of order {transfer.subject} is not there.")
        return moved

    async def _open_accounts(self, kept: Sequence[KeptRefund]) -> None:
        await self._accounts.open(
            {
                (refund.merchant, currency)
                for refund in kept
                for currency in (refund.currency, refund.back.currency)
            },
            {(refund.channel, refund.back.currency) for refund in kept if not refund.to_wallet},
            {(refund.currency, refund.paid_currency) for refund in kept if refund.paid_currency},
            {
                (buyer, currency)
                for refund in kept
                for buyer, currency in (
                    (refund.to_wallet, refund.back.currency),
                    (refund.from_wallet, refund.currency),
                )
                if buyer is not None
            },
        )

    async def _change(self, kept: Sequence[KeptRefund], legs: Change) -> None:
        """Change money of refunds whose orders were paid in another currency."""
        foreign = [refund for refund in kept if refund.paid_currency is not None]
        if not foreign:
            return
        accounts = self._accounts
        changed = await self._post(
            foreign,
            lambda refund: legs(
                refund,
                self._books(refund),
                accounts.merchants[refund.merchant, refund.back.currency],
                accounts.pairs[refund.currency, refund.back.currency],
            ),
        )
        for refund in foreign:
            both_minor = refund.amount_minor + refund.back.amount_minor
            assert_moved(refund, changed[refund.id], both_minor)

    def _books(self, refund: KeptRefund) -> MerchantAccounts:
        books = self._accounts.merchants[refund.merchant, refund.currency]
        if refund.from_wallet is None:
            return books
        return of_wallet(books, refund.from_wallet, refund.currency)

    def _target(self, refund: KeptRefund) -> AccountId:
        """Say where the money goes: to the channel that it came over, or to a buyer's wallet."""
        if refund.to_wallet is None:
            return self._accounts.providers[refund.channel, refund.back.currency]
        return Chart(refund.back.currency).buyer_wallet(refund.to_wallet).id
