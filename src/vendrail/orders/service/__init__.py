"""Orders: fulfils its api; placing, filling, refunding and tracking each have their own room."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from vendrail.api.catalog import Catalog
from vendrail.api.compliance import Compliance
from vendrail.api.fx import Fx
from vendrail.api.notify import Notify
from vendrail.api.orders import (
    Addressee,
    BoughtQuery,
    CancelStatus,
    ChargePlacement,
    ChargeStatus,
    DeliveredOrder,
    FoundOrder,
    FreeWalletPart,
    GiveUpStatus,
    LookupCode,
    LookupRequest,
    MerchantSales,
    MerchantSalesQuery,
    OrderId,
    OrderQuery,
    OrderSearch,
    OrderState,
    OrderView,
    PastSaleQuery,
    PayFromWallet,
    PayOrder,
    PayResult,
    PaySaved,
    PaySavedResult,
    PayStatus,
    PlaceCharge,
    Placement,
    PlaceOrder,
    PlaceTopUp,
    RefundOrder,
    RefundOrderStatus,
    RefundView,
    ReplaceItems,
    ReplacementView,
    ReplaceStatus,
    SagaQuery,
    SagaView,
    SaleParts,
    SalePartsQuery,
    SalesQuery,
    SalesSum,
    SoldOrder,
    SoldOrderQuery,
    SuppliedOrder,
    SuppliedQuery,
    SuppliedSum,
    TopUpPlacement,
    WalletPartView,
    WalletPayStatus,
)
from vendrail.api.payments import (
    Attempt,
    AttemptState,
    AttemptStatus,
    Payments,
)
from vendrail.api.promotions import Promotions
from vendrail.api.risk import Risk
from vendrail.api.settlement import Settlement
from vendrail.api.wallets import Wallets
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.numbers import Found
from vendrail.kernel.outbox import Cursor, EventPage, Wakeups, read_events, trim_events
from vendrail.kernel.saga import SagaLog, SagaState
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault, is_same
from vendrail.orders import store
from vendrail.orders.service.asking import Asking
from vendrail.orders.service.attempts import agreed_of, attempt_of
from vendrail.orders.service.charging import Charging
from vendrail.orders.service.expiring import Expiring
from vendrail.orders.service.filling import Filling
from vendrail.orders.service.funding import Funding
from vendrail.orders.service.limiting import Limiting
from vendrail.orders.service.listing import Listing
from vendrail.orders.service.placing import Placing
from vendrail.orders.service.refunding import Refunding
from vendrail.orders.service.replacing import Replacing
from vendrail.orders.service.returning import Returning
from vendrail.orders.service.runner import Runner
from vendrail.orders.service.saved import PayingSaved
from vendrail.orders.service.seals import Seals
from vendrail.orders.service.standing import Standing, cancelling, is_stopped
from vendrail.orders.service.supplying import Supplying
from vendrail.orders.service.tracking import Tracking
from vendrail.orders.service.undoing import Undoing
from vendrail.orders.service.unended import Unended
from vendrail.orders.settings import OrdersSettings
from vendrail.orders.store import SagaSum
from vendrail.orders.store import parts as part_rows

_OPENED = (AttemptStatus.OPENED, AttemptStatus.EXISTS)
_FREE_TO_PAY = (OrderState.PLACED, OrderState.EXPIRED)


class OrdersService:
    """Places, pays, delivers and refunds, in batches."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: OrdersSettings,
        catalog: Catalog,
        payments: Payments,
        risk: Risk,
        settlement: Settlement,
        notify: Notify,
        fx: Fx,
        wallets: Wallets,
        promotions: Promotions,
        compliance: Compliance,
    ) -> None:
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._payments = payments
        self._seals = seals = Seals(db, vault, clock)
        self._log = log = SagaLog("orders", new_id(clock.now()), settings.lease_s)
        self.standing = standing = Standing(db, log, clock, wakeups, settings, catalog)
        limiting = Limiting(db, clock, catalog, compliance)
        self._supplying = Supplying(db, clock, settlement)
        self._placing = Placing(
            db, seals, clock, settings, catalog, payments, risk, fx, promotions, limiting,
            self._supplying,
        )  # fmt: skip
        self._asking = Asking(db, log, clock, wakeups, payments, wallets, settlement)
        self._funding = Funding(db, seals, log, clock, wakeups, wallets, standing)
        self._charging = Charging(
            db, seals, clock, settings, payments, risk, wallets, standing, limiting
        )
        self._tracking = Tracking(db, seals, log, clock, settings, catalog, notify)
        self._saved = PayingSaved(db, seals, log, clock, settings, payments, risk, standing)
        self._listing = Listing(db, seals, log, clock, settings, payments)
        self._unended = Unended(db, log, clock, wakeups)
        returning = Returning(settings, payments, settlement)
        undoing = Undoing(db, log, clock, wakeups, metrics, catalog, settlement, returning)
        filling = Filling(
            db, log, clock, wakeups, metrics, settings, catalog, risk, settlement, undoing,
            wallets,
        )  # fmt: skip
        refunding = Refunding(
            db, log, clock, wakeups, metrics, catalog, settlement, returning, promotions
        )
        self._replacing = replacing = Replacing(db, log, clock, wakeups, metrics, catalog)
        expiring = Expiring(
            db, log, clock, wakeups, metrics, settings, catalog, payments, returning
        )
        self.runner = Runner(
            db,
            log,
            clock,
            wakeups,
            metrics,
            settings,
            catalog,
            payments,
            filling,
            refunding,
            expiring,
            replacing,
            self._funding,
        )
        self.wakeups = wakeups
        self.clock = clock
        # So that the first one is a change.
        metrics.count("vendrail_charges_total", ChargeStatus.PLACED.value, by=0)

    async def place_orders(self, orders: Sequence[PlaceOrder]) -> list[Placement]:
        """Screen, hold stock, write, and open the first attempt."""
        placements = await self._placing.place_orders(orders)
        outcomes = [(placement.status.value,) for placement in placements]
        self._metrics.count_each("vendrail_orders_total", outcomes)
        return placements

    async def place_charges(self, charges: Sequence[PlaceCharge]) -> list[ChargePlacement]:
        """Screen, write, and open the first attempt; once for each merchant's number."""
        placements = await self._charging.place_charges(charges)
        outcomes = [(placement.status.value,) for placement in placements]
        self._metrics.count_each("vendrail_charges_total", outcomes)
        return placements

    async def place_top_ups(self, top_ups: Sequence[PlaceTopUp]) -> list[TopUpPlacement]:
        """Judge by the wallets' terms, screen, write, and open the first attempt."""
        return await self._charging.place_top_ups(top_ups)

    async def pay_from_wallets(self, requests: Sequence[PayFromWallet]) -> list[WalletPayStatus]:
        """Pay orders out of wallets, or reserve parts; asking again gives the same."""
        return await self._funding.pay(requests, self.runner.launch)

    async def free_wallet_parts(self, requests: Sequence[FreeWalletPart]) -> list[bool]:
        """Give reserved parts of unpaid orders back; false: there is none, or it is spent."""
        return await self._funding.free(requests)

    async def read_wallet_parts(self, orders: Sequence[OrderId]) -> list[WalletPartView | None]:
        """Read what wallets pay of orders; None: nothing was ever asked of one."""
        return await self._funding.read(orders)

    async def read_orders(self, queries: Sequence[OrderQuery]) -> list[OrderView | None]:
        """Read orders; None where there is none or the secret is wrong."""
        return await self._tracking.read_orders(queries)

    async def list_orders(self, queries: Sequence[SoldOrderQuery]) -> list[list[SoldOrder]]:
        """List merchants' orders, newest first; a short page is the last."""
        return await self._listing.list_orders(queries)

    async def find_orders(self, searches: Sequence[OrderSearch]) -> list[list[SoldOrder]]:
        """Find merchants' orders by what a person may have at hand, newest first."""
        return await self._listing.find_orders(searches)

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find orders, refunds and replacements by their numbers."""
        return await self._listing.find_numbers(numbers)

    async def list_supplied(self, queries: Sequence[SuppliedQuery]) -> list[list[SuppliedOrder]]:
        """List what agents have sold of suppliers' keys, newest first; a short page is the last."""
        return await self._supplying.list_supplied(queries)

    async def sum_supplied(self, queries: Sequence[SuppliedQuery]) -> list[list[SuppliedSum]]:
        """Sum what agents have sold of suppliers' keys, by agent and currency, the most first."""
        return await self._supplying.sum_supplied(queries)

    async def sum_sales(self, queries: Sequence[SalesQuery]) -> list[list[SalesSum]]:
        """Sum merchants' orders by hours or days, oldest first; empty ones are left out."""
        return await self._listing.sum_sales(queries)

    async def sum_sale_parts(self, queries: Sequence[SalePartsQuery]) -> list[SaleParts]:
        """Sum merchants' delivered orders by variant, by method and by hour of the day."""
        return await self._listing.sum_sale_parts(queries)

    async def list_sales(self, queries: Sequence[PastSaleQuery]) -> list[list[DeliveredOrder]]:
        """List delivered orders of everybody in little, oldest first; a short page is the last."""
        return await self._listing.list_sales(queries)

    async def count_sales(self, queries: Sequence[MerchantSalesQuery]) -> list[list[MerchantSales]]:
        """Count delivered orders by merchant and currency: a walk over all of the stretch."""
        return await self._listing.count_sales(queries)

    async def request_lookup_codes(self, requests: Sequence[LookupRequest]) -> list[bool]:
        """Send one-time codes; true when the request was taken."""
        return await self._tracking.request_lookup_codes(requests)

    async def redeem_lookup_codes(
        self, codes: Sequence[LookupCode]
    ) -> list[list[FoundOrder] | None]:
        """Give the contact's recent orders for a right code; None for a wrong or used one."""
        return await self._tracking.redeem_lookup_codes(codes)

    async def pay_saved(self, requests: Sequence[PaySaved]) -> list[PaySavedResult]:
        """Pay with ways that providers remember for the buyers."""
        return await self._saved.pay(requests)

    async def list_bought(self, queries: Sequence[BoughtQuery]) -> list[list[FoundOrder]]:
        """List buyers' orders with the secrets that open them, newest first."""
        return await self._tracking.list_bought(queries)

    async def forget_buyers(self, buyers: Sequence[UUID]) -> list[bool]:
        """Cut orders loose from buyers whose accounts are deleted; cancel their unpaid top-ups."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            returning = await part_rows.find_returning(tx, buyers)
            leaving = [id for id in buyers if id not in returning]
            await part_rows.put_gone(tx, leaving, now)
            rows = await store.forget_buyers(tx, leaving)
            if rows:
                sagas = [cancelling(row["id"], row["trace_id"]) for row in rows]
                await self._log.start(tx, sagas, now)
        if rows:
            self.wakeups.wake("returns")
        return [id not in returning for id in buyers]

    async def pay_orders(self, requests: Sequence[PayOrder]) -> list[PayResult]:
        """Open further attempts; earlier ones stay payable and count if paid."""
        now = self._clock.now()
        suspended = await self.standing.suspended()
        ids = [request.order for request in requests]
        async with self._db.reading() as tx:
            rows = await store.load_orders(tx, ids)
            sagas = await self._log.find(tx, [derive(id, "purchase") for id in rows])
            parts = await part_rows.load_parts(tx, ids)
        paid = {saga.subject for saga in sagas.values()}
        attempts = dict(zip(ids, await self._payments.read_attempts(ids), strict=True))
        results: list[PayResult | None] = []
        wanted: list[Attempt] = []
        for request in requests:
            row = rows.get(request.order)
            is_right = is_same(request.secret, self._seals.order_secret(request.order))
            state = OrderState(row["state"]) if row else None
            if row is None or not is_right:
                results.append(PayResult(PayStatus.ORDER_NOT_FOUND))
            elif request.order in paid or state not in (*_FREE_TO_PAY, OrderState.CANCELLED):
                results.append(PayResult(PayStatus.PAID_ALREADY))
            elif (
                state is not OrderState.PLACED
                or row["expires_at"] <= now
                or is_stopped(row, suspended)
            ):
                results.append(PayResult(PayStatus.ORDER_ENDED))
            else:
                views = attempts[request.order]
                part = parts.get(request.order)
                less_minor = part.amount_minor if part and part.is_held else 0
                same = [
                    view.attempt.id
                    for view in views
                    if view.attempt.method == request.method
                    and view.state is AttemptState.OPEN
                    and view.attempt.buyer == agreed_of(row, request)
                    and (
                        view.attempt.currency != row["currency"]
                        or view.attempt.amount_minor == row["amount_minor"] - less_minor
                    )
                ]
                if same:
                    results.append(PayResult(PayStatus.OPENED, same[0]))
                elif len(views) >= self._settings.attempts_per_order_max:
                    results.append(PayResult(PayStatus.TOO_MANY_ATTEMPTS))
                else:
                    number = 1 + max((view.attempt.number for view in views), default=0)
                    results.append(None)
                    wanted.append(attempt_of(row, number, request, less_minor))
        opened = iter(await self._open(wanted))
        return [given or next(opened) for given in results]

    async def _open(self, attempts: list[Attempt]) -> list[PayResult]:
        if not attempts:
            return []
        statuses = await self._payments.open_attempts(attempts)
        return [
            PayResult(PayStatus.OPENED, attempt.id)
            if status in _OPENED
            else PayResult(PayStatus.METHOD_NOT_OFFERED)
            for attempt, status in zip(attempts, statuses, strict=True)
        ]

    async def cancel_orders(self, queries: Sequence[OrderQuery]) -> list[CancelStatus]:
        """Cancel unpaid orders by their secret: attempts are closed first."""
        now = self._clock.now()
        views = await self.read_orders(queries)
        statuses = []
        sagas = []
        for view in views:
            if view is None:
                statuses.append(CancelStatus.ORDER_NOT_FOUND)
            elif view.state is OrderState.CANCELLED:
                statuses.append(CancelStatus.EXISTS)
            elif view.state is not OrderState.PLACED:
                statuses.append(CancelStatus.PAID_ALREADY)
            else:
                statuses.append(CancelStatus.CANCELLED)
                sagas.append(cancelling(view.id, view.trace_id))
        if sagas:
            async with self._db.reading() as tx:
                await self._log.start(tx, sagas, now)
            self.wakeups.wake("returns")
        return statuses

    async def refund_orders(self, refunds: Sequence[RefundOrder]) -> list[RefundOrderStatus]:
        """Start refunds; they run as sagas. Several of one order see each other."""
        return await self._asking.refund_orders(refunds)

    async def read_refunds(self, orders: Sequence[OrderId]) -> list[list[RefundView]]:
        """Read orders' refunds, first to last."""
        return await self._asking.read_refunds(orders)

    async def replace_items(self, requests: Sequence[ReplaceItems]) -> list[ReplaceStatus]:
        """Replace keys of delivered orders by free ones; the buyers see them and are told."""
        return await self._replacing.replace_items(requests)

    async def read_replacements(self, orders: Sequence[OrderId]) -> list[list[ReplacementView]]:
        """Read what was replaced of orders, first to last."""
        return await self._replacing.read_replacements(orders)

    async def read_addressees(self, orders: Sequence[OrderId]) -> list[Addressee | None]:
        """Open orders' contacts, for letters."""
        return await self._tracking.read_addressees(orders)

    async def wake_orders(self, orders: Sequence[OrderId]) -> list[bool]:
        """Let waiting sagas look again now: those of purchase, refunds and expiry."""
        return await self._unended.wake_orders(orders)

    async def wake_sagas(self, sagas: Sequence[UUID]) -> list[bool]:
        """Let waiting and stuck sagas look again now, by their own ids."""
        return await self._unended.wake_sagas(sagas)

    async def give_up_orders(self, orders: Sequence[OrderId]) -> list[GiveUpStatus]:
        """Give up purchases that are stuck: they end without delivery, and the money goes back."""
        return await self._unended.give_up_orders(orders)

    async def read_sagas(self, sagas: Sequence[UUID]) -> list[SagaView | None]:
        """Read sagas by their own ids; None for one that has ended, or never was."""
        return await self._unended.read_sagas(sagas)

    async def list_sagas(self, queries: Sequence[SagaQuery]) -> list[list[SagaView]]:
        """List sagas that have not ended, the oldest first; a short page is the last."""
        return await self._unended.list_sagas(queries)

    async def count_sagas(self, states: Sequence[SagaState]) -> list[int]:
        """Count sagas that have not ended by state, up to a thousand of each."""
        return await self._unended.count_sagas(states)

    async def trim_events(self) -> bool:
        """Delete some events that are old and were read by all; true: there may be more."""
        return await trim_events(self._db, self._clock.now(), self._settings.events_keep_days)

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read `OrderEvent`s after a cursor."""
        async with self._db.reading() as tx:
            return [await read_events(tx, "orders", cursor) for cursor in cursors]

    async def sum_sagas(self) -> list[SagaSum]:
        """Count sagas that have not ended, by kind and state, for the metrics."""
        async with self._db.reading() as tx:
            return await store.sum_sagas(tx)

    def lags_s(self) -> dict[str, float]:
        """Say for each consumer of events how long ago it was known to have read all."""
        now = self._clock.now()
        return {name: (now - at).total_seconds() for name, at in self.runner.read_all_at.items()}

    async def drain(self) -> None:
        """Let what is in flight end: before a stop."""
        await asyncio.wait_for(self.runner.drain(), timeout=10.0)
