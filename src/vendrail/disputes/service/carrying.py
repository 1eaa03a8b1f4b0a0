"""Carrying: what is told of disputes is written, then its money is moved; harmless to repeat."""

from uuid import UUID

import structlog

from vendrail.api.disputes import DisputeMoved, DisputeState
from vendrail.api.orders import OrderId, OrderQuery, Orders, OrderView
from vendrail.api.payments import (
    DisputeTold,
    PaymentEvent,
    Payments,
)
from vendrail.api.payments.disputes import DisputeOutcome
from vendrail.api.settlement import (
    ChargebackPosting,
    ChargebackStep,
    RefundPosting,
    RefundPostingStatus,
    Settlement,
)
from vendrail.api.wallets import Wallets
from vendrail.disputes import decide, store
from vendrail.disputes.decide import Case, Left, Price, Told
from vendrail.disputes.service.topups import TopUps
from vendrail.disputes.settings import DisputesSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Row
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Wakeups, append_events, batches_with, move_cursor, read_cursor

_BATCH_MAX = 50
_POSTED = (RefundPostingStatus.POSTED, RefundPostingStatus.EXISTS)

_log = structlog.get_logger(__name__)


class Carrying:
    """Follows what payments tells, and moves the money of each dispute to where it belongs."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wakeups: Wakeups,
        settings: DisputesSettings,
        payments: Payments,
        orders: Orders,
        settlement: Settlement,
        wallets: Wallets,
    ) -> None:
        self._db = db
        self._clock = clock
        self._wakeups = wakeups
        self._settings = settings
        self._payments = payments
        self._orders = orders
        self._settlement = settlement
        self._top_ups = TopUps(db, wallets, settlement)

    async def consume(self) -> bool:
        """Write what payments tells, with the cursor in one commit; true: there is more."""
        async with self._db.reading() as tx:
            cursor = await read_cursor(tx, "disputes", "payments")
        page = (await self._payments.read_events([cursor]))[0]
        if not page.batches:
            return False
        told = [
            event
            for batch in batches_with(page.batches, DisputeTold)
            for event in decode(batch, list[PaymentEvent])
            if isinstance(event, DisputeTold)
        ]
        now = self._clock.now()
        async with self._db.transaction() as tx:
            if not await move_cursor(tx, "disputes", "payments", cursor, page.cursor):
                return True  # Another process has read this page.
            moved = []
            for each in told:
                id = derive(each.capture.id, f"dispute:{each.case_number}")
                write = store.write_told if each.has_taken else store.write_dropped
                if await write(tx, id, each, now) and each.capture.merchant is not None:
                    moved.append(_moved(id, each.capture.merchant, each))
            if moved:
                await append_events(tx, "disputes", now, encode(moved), len(moved))
        if told:
            self._wakeups.wake("disputes")
        return page.is_more

    async def advance(self) -> bool:
        """Move the money of disputes that are due; true when there may be more.

        Raises:
            Broken: One of them cannot go on; all others did, and it is tried again.
        """
        async with self._db.transaction() as tx:
            rows = await store.claim_due(tx, self._clock.now(), _BATCH_MAX)
        problem: Broken | None = None
        for row in rows:
            try:
                await self._advance(row)
            except Broken as error:
                _log.warning("dispute.broken", dispute=str(row["id"]), error=str(error))
                problem = problem or error
        if problem is not None:
            raise problem
        return len(rows) == _BATCH_MAX

    async def _advance(self, row: Row) -> None:
        order = await self._order(row)
        is_known = row["price_minor"] is not None or decide.is_settled(order)
        case = await self._case(row, order, is_known=is_known)
        if row["is_fee_due"]:
            await self._book_late_fee(case, is_ended=row["step"] == "ended")
        if row["step"] == "ended":
            return
        if row["step"] == "told":
            await self._post(decide.opening(case))
            if not is_known:
                return  # The sale is under way: where its money goes is looked at again soon.
            await self._freeze(case)
        if case.outcome is not DisputeOutcome.OPEN:
            await self._end(case)

    async def _case(self, row: Row, order: OrderView | None, *, is_known: bool) -> Case:
        """Gather what its money depends on; the price is written once it is known, and stays."""
        given = Told(row["capture"], row["amount_minor"], row["captured_minor"], row["currency"])
        price = decide.price_of(given, order)
        async with self._db.reading() as tx:
            if is_known:
                await store.set_price(
                    tx, row["id"], price.amount_minor, price.currency, is_split=price.is_split
                )
            kept = (await store.read_disputes(tx, [row["id"]]))[row["id"]]
        if is_known:
            amount_minor, currency = kept["price_minor"], kept["price_currency"]
            price = Price(amount_minor, currency, price.whole_minor, kept["is_split"])
        return Case(
            row["id"],
            row["capture"],
            row["order_id"],
            row["merchant"],
            row["channel_name"],
            kept["amount_minor"],
            kept["currency"],
            kept["fee_minor"],
            DisputeOutcome(kept["outcome"]),
            price,
            order.wallet if order is not None and price.is_split else None,
        )

    async def _order(self, row: Row) -> OrderView | None:
        if row["order_id"] is None:
            return None
        return (await self._orders.read_orders([OrderQuery(OrderId(row["order_id"]), None)]))[0]

    async def _book_late_fee(self, case: Case, *, is_ended: bool) -> None:
        """Book a fee that was told after the provider had taken the money."""
        await self._post([decide.posting(case, ChargebackStep.FEE, case.fee_minor)])
        if is_ended:
            await self._pass_fee_on(case)
        async with self._db.reading() as tx:
            await store.mark_fee_posted(tx, case.id)

    async def _freeze(self, case: Case) -> None:
        """Keep the merchant's part from leaving while the dispute is open."""
        freeze = decide.freeze_of(case)
        frozen_minor = 0
        if freeze is not None:
            frozen_minor = (await self._settlement.freeze_money([freeze]))[0].frozen_minor
        if case.wallet is not None:
            frozen_minor = await self._top_ups.hold(case)
        async with self._db.reading() as tx:
            await store.mark_frozen(tx, case.id, frozen_minor, self._clock.now())

    async def _end(self, case: Case) -> None:
        """Won: all comes back. Lost: it has left, out of what is frozen first."""
        problem = ""
        if case.outcome is DisputeOutcome.LOST:
            ended = await self._lose(case)
            if ended is None:
                return  # A refund that came first is under way: it is looked at again soon.
            problem = ended
        else:
            if case.wallet is not None:
                await self._top_ups.free(case)
            await self._post([decide.posting(case, ChargebackStep.RETURNED, case.amount_minor)])
        freeze = decide.freeze_of(case)
        if freeze is not None:
            await self._settlement.unfreeze_money([freeze])
        async with self._db.reading() as tx:
            await store.mark_ended(tx, case.id, problem)
        _log.info("dispute.ended", dispute=str(case.id), outcome=case.outcome, problem=problem)

    async def _lose(self, case: Case) -> str | None:
        """Take what refunds have left of the order; what is beyond that is the platform's loss.

        None: what refunds leave is not known yet, for the provider may still refuse one.
        """
        left = await self._left(case)
        refund = None
        if left.begun_minor != 0:
            if case.wallet is not None:
                # What is kept in the wallet stays kept while its refund is under way.
                if await self._is_under_way(left):
                    return None
                await self._top_ups.free(case)
                refund = await self._top_ups.take(case, left)
            else:
                refund = await self._take(case, left)
                if refund is None and await self._is_under_way(left):
                    return None
            if refund is None:
                await self._note(case.id, 0)  # From here on it stays so, whatever breaks off.
        covered_minor = 0
        if refund is not None:
            await self._settlement.pay_refunds([refund])
            covered_minor = refund.paid.amount_minor if refund.paid else refund.amount_minor
            await self._post([decide.posting(case, ChargebackStep.RETURNED, covered_minor)])
        rest_minor = case.amount_minor - covered_minor
        if rest_minor > 0:
            await self._post([decide.posting(case, ChargebackStep.LOST, rest_minor)])
        await self._pass_fee_on(case)
        if rest_minor <= 0:
            return ""
        return "refunded_before" if case.wallet is None else "wallet_spent"

    async def _pass_fee_on(self, case: Case) -> None:
        if decide.passes_fee_on(case, is_merchants=self._settings.is_fee_merchants):
            await self._post([decide.posting(case, ChargebackStep.FEE_PASSED_ON, case.fee_minor)])

    async def _take(self, case: Case, left: Left) -> RefundPosting | None:
        """Open the payer's refund in the books, as much of it as is left of the order.

        A refund that is asked for and not in the books waits for this dispute, and takes nothing
        of it; one that is in the books, and not paid yet, keeps its money from being taken here.
        """
        # Broken off: the same again, or its money would be taken twice; refused, it took nothing.
        first_minor = left.begun_minor or case.price.amount_minor
        for price_minor in dict.fromkeys((first_minor, left.of(case))):
            if price_minor <= 0:
                continue
            await self._note(case.id, price_minor)
            refund = decide.refund_of(case, price_minor)
            if (await self._settlement.open_refunds([refund]))[0] in _POSTED:
                return refund
        return None

    async def _note(self, id: UUID, price_minor: int) -> None:
        async with self._db.reading() as tx:
            await store.note_taken(tx, id, price_minor)

    async def _left(self, case: Case) -> Left:
        """Look once at what paid refunds and other disputes have left, and what is asked for."""
        refunds = []
        if case.order is not None:
            refunds = (await self._orders.read_refunds([OrderId(case.order)]))[0]
        async with self._db.reading() as tx:
            begun_minor = (await store.read_disputes(tx, [case.id]))[case.id]["taken_minor"]
            others_minor = await store.sum_taken_by_others(tx, case.id, case.order, case.capture)
        paid_minor = sum(each.amount_minor for each in refunds if each.state == "paid")
        asked = [each.id for each in refunds if each.state == "asked"]
        return Left(case.price.whole_minor - paid_minor - others_minor, begun_minor, asked)

    async def _is_under_way(self, left: Left) -> bool:
        """Whether a refund that had not ended is in the books; others may wait for this dispute."""
        return bool(left.asked) and any(await self._settlement.find_opened(left.asked))

    async def _post(self, postings: list[ChargebackPosting]) -> None:
        if not all(await self._settlement.post_chargebacks(postings)):
            raise Broken(f"The books refuse dispute {postings[0].dispute}; look at them.")


def _moved(id: UUID, merchant: UUID, told: DisputeTold) -> DisputeMoved:
    state = DisputeState(told.outcome.value)
    return DisputeMoved(id, told.capture.order, merchant, state, told.at)
