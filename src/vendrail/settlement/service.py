"""What sales, refunds and debts are, said to the ledger in one call a batch."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.disputes import Disputes
from vendrail.api.ledger import (
    Ledger,
    Transfer,
    TransferResult,
    TransferStatus,
)
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.settlement import (
    CaptureBooking,
    DueShare,
    FeeTerms,
    FeeTermsStatus,
    Freeze,
    FreezeResult,
    HeldSum,
    HoldTerms,
    HoldTermsStatus,
    MerchantBalance,
    MerchantDebt,
    OrderShare,
    RefundPosting,
    RefundPostingStatus,
    Sale,
    SaleResult,
    SaleStatus,
    SettlementHealth,
    ShareQuery,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.money import Money
from vendrail.settlement import sales as sales_of
from vendrail.settlement import split
from vendrail.settlement.accounts import (
    Accounts,
    ChannelKey,
    MerchantKey,
    WalletKey,
    of_wallet,
)
from vendrail.settlement.buckets import Buckets, decide_holds
from vendrail.settlement.chargebacks import Disputed
from vendrail.settlement.counting import Counting
from vendrail.settlement.debts import Debts
from vendrail.settlement.deposits import Deposited
from vendrail.settlement.exchange import PairKey, Sides
from vendrail.settlement.fees import PLATFORM, is_wellformed
from vendrail.settlement.freezing import Freezing
from vendrail.settlement.holding import Held, HoldVersion, divide
from vendrail.settlement.pricing import Priced, Pricing
from vendrail.settlement.refunding import Refunding
from vendrail.settlement.sales import Doubt, is_bookable, is_sound
from vendrail.settlement.settings import SettlementSettings
from vendrail.settlement.shares import Shares
from vendrail.settlement.store import Store
from vendrail.settlement.store.fees import FeeStore
from vendrail.settlement.store.holding import HoldingStore
from vendrail.settlement.store.supplies import SupplyStore
from vendrail.settlement.supplying import Supplying
from vendrail.settlement.terms import WRITE_S_MAX

_MALFORMED = SaleResult(SaleStatus.AMOUNT_MALFORMED)
_NOT_HELD = SaleResult(SaleStatus.NOT_HELD)
_CANCELLED = SaleResult(SaleStatus.CANCELLED)


class SettlementService(Priced, Disputed, Deposited, Supplying):
    """Fulfils `api.settlement.Settlement`."""

    def __init__(
        self, db: Database, clock: Clock, settings: SettlementSettings, ledger: Ledger
    ) -> None:
        self._ledger = ledger
        self.clock = clock
        self._store = Store(db, clock)
        self._fees = FeeStore(db, clock, settings)
        self._pricing = Pricing(self._fees, clock)
        self._accounts = Accounts(ledger)
        self._debts = Debts(self._store, clock, ledger, self._accounts)
        self._holding = HoldingStore(db, clock)
        self._supplies = SupplyStore(db)
        self._buckets = Buckets(self._holding, clock, ledger)
        self._freezing = Freezing(
            self._store, ledger, self._accounts, self._holding, self._buckets, self._supplies
        )
        self._shares = Shares(self._holding, ledger)
        self._refunding = Refunding(
            self._store, self._fees, ledger, self._accounts, self._debts, self._holding,
            self._buckets, self._supplies,
        )  # fmt: skip

    async def put_fee_terms(self, terms: Sequence[FeeTerms]) -> list[FeeTermsStatus]:
        """Write new versions of merchants' fee terms and open the merchants' accounts."""
        statuses = await self._pricing.put_terms(terms)
        await self._accounts.open(
            {
                (term.merchant, term.currency)
                for term in terms
                if term.merchant != PLATFORM and is_wellformed(term)
            }
        )
        return statuses

    async def read_fee_terms(self, merchants: Sequence[UUID]) -> list[list[FeeTerms]]:
        """Read all versions of merchants' fee terms, newest first."""
        return await self._pricing.read_terms(merchants)

    async def put_hold_terms(self, terms: Sequence[HoldTerms]) -> list[HoldTermsStatus]:
        """Write new versions of hold terms; what is sold already keeps the terms it has."""
        statuses: list[HoldTermsStatus] = []

        def decide(known: list[HoldVersion], now: datetime) -> list[HoldTerms]:
            decided, added = decide_holds(terms, known, now)
            statuses[:] = decided
            return added

        await self._holding.add_hold_terms(decide, WRITE_S_MAX)
        return statuses

    async def read_hold_terms(self, merchants: Sequence[UUID]) -> list[list[HoldTerms]]:
        """Read all versions of merchants' hold terms, newest first."""
        return await self._buckets.terms.read_terms(merchants)

    async def read_tier_terms(self) -> list[HoldTerms]:
        """Read all versions of the tiers' hold terms, newest first."""
        return await self._buckets.terms.read_tiers()

    async def book_captures(self, bookings: Sequence[CaptureBooking]) -> list[bool]:
        """Book money that arrived; true when it stands in the books, now or from before."""
        good = [booking for booking in bookings if is_bookable(booking)]
        await self._open_accounts((), good)
        booked = iter(await self._book_alone(good))
        return [is_bookable(booking) and next(booked) for booking in bookings]

    async def _book_alone(self, bookings: Sequence[CaptureBooking]) -> list[bool]:
        """Book captures outside any chain, under the second id where a chain spoiled the first."""
        legs = [
            (at, *both)
            for at, booking in enumerate(bookings)
            for both in zip(self._book(booking), self._book(booking, is_second=True), strict=True)
        ]
        first = await self._post([leg for _, leg, _ in legs])
        is_spoiled = [result.status is TransferStatus.LINKED_FAILED for result in first]
        again = [leg for (_, _, leg), is_so in zip(legs, is_spoiled, strict=True) if is_so]
        second = iter(await self._post(again))
        done = [True] * len(bookings)
        for (at, _, _), result, is_so in zip(legs, first, is_spoiled, strict=True):
            done[at] &= next(second).is_done if is_so else result.is_done
        return done

    async def price_sales(self, sales: Sequence[Sale]) -> list[SaleResult]:
        """Say what the parts of sales would be, by what counts now; nothing is written."""
        good = [sale for sale in sales if is_sound(sale)]
        fees = iter(await self._pricing.book.find_fees(good, is_dearest=True))
        return [
            sales_of.foresee(sale, *next(fees)) if is_sound(sale) else _MALFORMED for sale in sales
        ]

    async def split_sales(self, sales: Sequence[Sale]) -> list[SaleResult]:
        """Take the fee and give the merchant the rest; replay gives the same result.

        One ledger call for all; a second one only for what was there before or is refused.
        """
        good = [sale for sale in sales if is_sound(sale)]
        supplied = sales_of.supplied(good)
        everyones = [*good, *supplied.values()]
        await self._open_accounts(everyones, [sale.booking for sale in good if sale.booking])
        if supplied:
            await self._supplies.add_supplies(sales_of.kept_supplies(good, supplied))
        fees = await self._pricing.book.find_fees(good)
        plans = await self._buckets.plan(everyones)
        short = await self._find_short(good)
        transfers: list[Transfer] = []
        priced: list[tuple[Sale, SaleResult, int]] = []  # … and how many transfers.
        for sale, fee in zip(good, fees, strict=True):
            if short and sale.order in short:
                priced.append((sale, _NOT_HELD, 0))
                continue
            result = split.price(sale, fee.version, fee.cost)
            chain = self._chain(sale, result, plans.get(sale.order) if plans else None)
            theirs = supplied.get(sale.order) if supplied else None
            if theirs is not None:
                chain += self._supply(sale, theirs, result, plans.get(theirs.order))
            transfers += chain
            priced.append((sale, result, len(chain)))
        outcomes = await self._post(transfers)
        if plans:
            await self._buckets.fill(plans)
        results, doubtful = sales_of.read_outcomes(priced, outcomes)
        if doubtful:
            await self._examine(doubtful, results)
        await self._debts.recover_from(everyones)
        answers = iter(results)
        return [next(answers) if is_sound(sale) else _MALFORMED for sale in sales]

    def _chain(self, sale: Sale, result: SaleResult, held: Held | None) -> list[Transfer]:
        accounts = self._books(sale)
        parts = divide(result.share_minor, held, accounts.available) if held is not None else ()
        legs = split.sale_transfers(sale, result, accounts, parts)
        if sale.paid is not None:
            foreign, sides = self._foreign(sale, sale.paid)
            legs[:0] = split.change_transfers(sale, sale.paid, accounts, foreign, sides)
        if sale.booking is not None:
            legs[:0] = self._book(sale.booking, is_linked=True)
        return legs

    def _supply(
        self, sale: Sale, theirs: Sale, result: SaleResult, held: Held | None
    ) -> list[Transfer]:
        supplier = self._books(theirs)
        parts = divide(theirs.amount_minor, held, supplier.available) if held is not None else ()
        return sales_of.supply_transfers(sale, theirs, result, self._books(sale), supplier, parts)

    async def _examine(self, doubtful: Sequence[Doubt], results: list[SaleResult]) -> None:
        """Tell a repeat from a split that was undone, and both from books that disagree."""
        books = await self._ledger.read_transfers([doubt.sale.order for doubt in doubtful])
        unbooked: list[CaptureBooking] = []  # Their chains broke on a split that stands.
        for doubt, posted in zip(doubtful, books, strict=True):
            found = split.find_split(doubt.sale.order, posted, self._books(doubt.sale))
            if found.is_reversed or (not found.amount_minor and doubt.is_barred):
                results[doubt.position] = _CANCELLED
            elif found.amount_minor == doubt.sale.amount_minor:
                # Split once, whatever a rule would say of it now: as the books say.
                results[doubt.position] = found.result
                if doubt.is_barred and doubt.sale.booking is not None:
                    unbooked.append(doubt.sale.booking)
            else:
                results[doubt.position] = _NOT_HELD
        if unbooked:
            await self._book_alone(unbooked)

    async def _find_short(self, sales: Sequence[Sale]) -> set[UUID]:
        """Find sales whose money is not in held: their booking does not fit, or there is none."""
        short = {
            sale.order
            for sale in sales
            if sale.booking is not None and not split.covers(sale.booking, sale)
        }
        unbooked = [sale for sale in sales if sale.booking is None]
        if unbooked:
            books = await self._ledger.read_transfers([sale.order for sale in unbooked])
            for sale, posted in zip(unbooked, books, strict=True):
                wanted = split.due(sale)
                held = self._accounts.merchants[sale.merchant, wanted.currency]
                found = split.find_split(sale.order, posted, held)
                # What is split already has left held: what was refunded since does not count.
                gone_minor = 0 if found.amount_minor else found.refunded_minor
                if found.captured_minor - gone_minor < wanted.amount_minor:
                    short.add(sale.order)
        return short

    async def _mark(self, sales: Sequence[Sale]) -> list[bool]:
        """Take the ids of splits that are not there; true where the split is there."""
        marks = [split.marker_transfers(sale, self._books(sale)) for sale in sales]
        outcomes = iter(await self._post([each for few in marks for each in few]))
        return [split.stands([next(outcomes) for _ in few]) for few in marks]

    async def reverse_sales(self, sales: Sequence[Sale]) -> list[bool]:
        """Undo splits that came before the pivot; leaves a tombstone where there was none."""
        good = [sale for sale in sales if is_sound(sale)]
        supplied = sales_of.supplied(good)
        everyones = [*good, *supplied.values()]
        await self._open_accounts(everyones, [sale.booking for sale in good if sale.booking])
        # The money did arrive, whatever becomes of the sale.
        await self._book_alone([sale.booking for sale in good if sale.booking])
        marks = await self._mark(good)
        standing = [sale for sale, is_standing in zip(good, marks, strict=True) if is_standing]
        undone = dict.fromkeys((sale.order for sale in good), True)
        theirs = [supplied[sale.order] for sale in standing if sale.order in supplied]
        if theirs:  # Suppliers' parts first: what is the agent's is whole again after that.
            back = await self._reverse(theirs)
            standing = [
                sale
                for sale in standing
                if sale.order not in supplied or back.get(supplied[sale.order].order, True)
            ]
            undone |= dict.fromkeys(
                (order for order, part in supplied.items() if not back.get(part.order, True)), False
            )
        if standing:
            undone |= await self._reverse(standing)
        return [is_sound(sale) and undone[sale.order] for sale in sales]

    async def _reverse(self, sales: Sequence[Sale]) -> dict[UUID, bool]:
        """Take splits that stand back to held; what is no longer there becomes debt."""
        books = await self._ledger.read_transfers([sale.order for sale in sales])
        founds = {
            sale.order: split.find_split(sale.order, posted, self._books(sale))
            for sale, posted in zip(sales, books, strict=True)
        }
        taken = dict.fromkeys(founds, 0)
        # First what is not due yet, then what is available.
        for legs_of in (split.held_back_reversals, split.reversal_transfers):
            legs: list[Transfer] = []
            for sale in sales:
                found = founds[sale.order]
                left = found._replace(share_minor=found.share_minor - taken[sale.order])
                legs += legs_of(sale.order, left, self._books(sale))
            for leg, outcome in zip(legs, await self._post(legs), strict=True):
                taken[leg.subject] += outcome.amount_minor if outcome.is_done else 0
        short = [
            (sale, rest)
            for sale in sales
            if (rest := founds[sale.order].amount_minor - taken[sale.order]) > 0
        ]
        undone: dict[UUID, bool] = {}
        if short:
            await self._debts.mark({(sale.merchant, sale.currency) for sale, _ in short})
            outcomes = await self._post(
                [split.reversal_debt(sale.order, rest, self._books(sale)) for sale, rest in short]
            )
            undone = {
                sale.order: outcome.is_done
                for (sale, _), outcome in zip(short, outcomes, strict=True)
            }
        changed = [sale for sale in sales if sale.paid and undone.get(sale.order, True)]
        return undone | (await self._change_back(changed) if changed else {})

    async def _change_back(self, sales: Sequence[Sale]) -> dict[UUID, bool]:
        """Change undone sales' money back into the currency that was paid."""
        legs: list[Transfer] = []
        for sale in sales:
            assert sale.paid is not None
            foreign, sides = self._foreign(sale, sale.paid)
            books = self._books(sale)
            legs += split.change_back_transfers(sale, sale.paid, books, foreign, sides)
        done = {sale.order: True for sale in sales}
        for leg, outcome in zip(legs, await self._post(legs), strict=True):
            done[leg.subject] &= outcome.is_done
        return done

    async def open_refunds(self, refunds: Sequence[RefundPosting]) -> list[RefundPostingStatus]:
        """Move the money of refunds to refund:clearing, when a refund is asked of the provider."""
        return await self._refunding.open_refunds(refunds)

    async def pay_refunds(self, refunds: Sequence[RefundPosting]) -> list[RefundPostingStatus]:
        """Move it from clearing to the provider, when the provider has confirmed."""
        return await self._refunding.pay_refunds(refunds)

    async def return_refunds(self, refunds: Sequence[RefundPosting]) -> list[RefundPostingStatus]:
        """Move it back to where it was taken from, when the provider has refused for good."""
        return await self._refunding.return_refunds(refunds)

    async def freeze_money(self, freezes: Sequence[Freeze]) -> list[FreezeResult]:
        """Keep orders' shares from leaving while they are disputed; never makes a debt."""
        return await self._freezing.freeze_money(freezes)

    async def unfreeze_money(self, freezes: Sequence[Freeze]) -> list[FreezeResult]:
        """End freezes: what no refund has taken is the merchant's to use again."""
        return await self._freezing.unfreeze_money(freezes)

    async def read_merchant_balances(
        self, merchants: Sequence[tuple[UUID, str]]
    ) -> list[MerchantBalance]:
        """Read where merchants' money is, by (merchant, currency)."""
        return await self._shares.read_balances(merchants)

    async def read_due_shares(self, merchants: Sequence[tuple[UUID, str]]) -> list[list[DueShare]]:
        """Read by (merchant, currency) what becomes available when, the soonest first."""
        return await self._shares.read_due(merchants)

    async def read_order_shares(self, queries: Sequence[ShareQuery]) -> list[OrderShare]:
        """Read where orders' shares are: pending, in reserve or released, and from when."""
        return await self._shares.read_orders(queries)

    async def read_health(self) -> SettlementHealth:
        """Read whether releases keep up."""
        return await self._holding.read_health(self.clock.now())

    async def sum_held(self) -> list[HeldSum]:
        """Sum what is not due yet, of all merchants; reads every open bucket."""
        return await self._shares.sum_held()

    async def list_debts(self) -> list[MerchantDebt]:
        """List who owes, the oldest debt first."""
        return await self._debts.list_debts()

    async def release_due(self) -> bool:
        """Release what is due; true: there may be more. What is owed is taken from it at once."""
        count, freed = await self._buckets.release_due()
        if freed:
            await self._debts.recover_of(freed)
        return count > 0

    async def recover_debts(self) -> bool:
        """Take what merchants owe from what they have; false: nothing more can be done now."""
        return await self._debts.recover_all()

    def counting(self, orders: Orders, payments: Payments, disputes: Disputes) -> Counting:
        """Give what counts facts for rules; for a loop, which may read who calls us."""
        return Counting(self, self._fees, orders, payments, disputes)

    async def _open_accounts(
        self, sales: Iterable[Sale], bookings: Iterable[CaptureBooking]
    ) -> None:
        merchants: set[MerchantKey] = set()
        channels: set[ChannelKey] = set()
        pairs: set[PairKey] = set()
        wallets: set[WalletKey] = set()
        for sale in sales:
            merchants.add((sale.merchant, sale.currency))
            if sale.paid is not None:
                merchants.add((sale.merchant, sale.paid.currency))
                pairs.add((sale.currency, sale.paid.currency))
            if sale.wallet is not None:
                wallets.add((sale.wallet, sale.currency))
        for booking in bookings:
            merchants.add((booking.merchant, booking.currency))
            if booking.amount_minor:
                channels.add((booking.channel, booking.currency))
        await self._accounts.open(merchants, channels, pairs, wallets)

    def _books(self, sale: Sale) -> split.MerchantAccounts:
        books = self._accounts.merchants[sale.merchant, sale.currency]
        return books if sale.wallet is None else of_wallet(books, sale.wallet, sale.currency)

    def _foreign(self, sale: Sale, paid: Money) -> tuple[split.MerchantAccounts, Sides]:
        """Give the merchant's accounts in the currency that was paid, and our position in both."""
        accounts = self._accounts
        foreign = accounts.merchants[sale.merchant, paid.currency]
        return foreign, accounts.pairs[sale.currency, paid.currency]

    def _book(
        self, booking: CaptureBooking, *, is_linked: bool = False, is_second: bool = False
    ) -> list[Transfer]:
        return split.booking_transfers(
            booking,
            self._accounts.providers.get((booking.channel, booking.currency)),
            self._accounts.merchants[booking.merchant, booking.currency],
            is_linked=is_linked,
            is_second=is_second,
        )

    async def _post(self, transfers: Sequence[Transfer]) -> list[TransferResult]:
        return await self._ledger.post_transfers(transfers) if transfers else []
