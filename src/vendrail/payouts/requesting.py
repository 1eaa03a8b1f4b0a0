"""Asking for payouts: what speaks against it is told at once; what is taken goes on by itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import Chart, Ledger
from vendrail.api.payouts import (
    NewPayout,
    PayeeState,
    PayeeTest,
    PayoutOrigin,
    PayoutState,
    PayoutStatus,
    PayoutTerms,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.payouts.advancing import LEASE, Advancing
from vendrail.payouts.knowing import Knowing
from vendrail.payouts.payees import TESTS_MAX, Payees
from vendrail.payouts.store import Database, Row, Transaction
from vendrail.payouts.store import payees as payees_store
from vendrail.payouts.store import payouts as payouts_store
from vendrail.payouts.store import terms as terms_store
from vendrail.payouts.terms import Terms

_DAY = timedelta(days=1)


class Known(NamedTuple):
    """What is known of a batch of requests before any of them is taken."""

    payees: Mapping[UUID, Row]
    terms: Mapping[str, PayoutTerms]
    suspended: Mapping[UUID, str]
    unknown: set[UUID]  # Merchants whose tier has no payouts.
    owing: set[tuple[UUID, str]]
    now: datetime

    def judge(self, new: NewPayout) -> PayoutStatus:
        """Say what speaks against a payout; the balance is asked by the ledger alone."""
        payee = self.payees.get(new.payee)
        is_test = new.origin is PayoutOrigin.TEST
        if payee is None or payee["merchant"] != new.merchant:
            return PayoutStatus.PAYEE_NOT_FOUND
        if payee["state"] == PayeeState.CLOSED:
            return PayoutStatus.PAYEE_NOT_FOUND
        if new.currency not in payee["currencies"]:
            return PayoutStatus.CURRENCY_NOT_OFFERED
        if new.merchant in self.suspended:
            return PayoutStatus.SUSPENDED
        if is_test:
            return PayoutStatus.TAKEN
        if new.merchant in self.unknown:
            return PayoutStatus.MERCHANT_UNVERIFIED
        if payee["state"] != PayeeState.VERIFIED:
            return PayoutStatus.PAYEE_UNVERIFIED
        if payee["usable_at"] > self.now:
            return PayoutStatus.PAYEE_COOLING
        if (new.merchant, new.currency) in self.owing:
            return PayoutStatus.IN_DEBT
        if new.amount_minor < self.terms[new.currency].amount_minor_min:
            return PayoutStatus.AMOUNT_TOO_SMALL
        if new.amount_minor > AMOUNT_MINOR_MAX:
            return PayoutStatus.BALANCE_TOO_LOW
        return PayoutStatus.TAKEN


class Requesting:
    """Takes payouts."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        ledger: Ledger,
        knowing: Knowing,
        payees: Payees,
        terms: Terms,
        advancing: Advancing,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._knowing = knowing
        self._payees = payees
        self._terms = terms
        self._advancing = advancing

    async def request(self, payouts: Sequence[NewPayout]) -> list[PayoutStatus]:
        """Write what is asked for, then hold the money; each id is one payout for ever."""
        known = await self._know(payouts)
        async with self._db.reading() as tx:
            standing = await payouts_store.load_payouts(tx, [each.id for each in payouts])
        statuses: list[PayoutStatus] = []
        wanted: dict[UUID, tuple[NewPayout, Row, int]] = {}
        for new in payouts:
            if new.id in standing:
                statuses.append(_compare(new, standing[new.id]))
            elif new.id in wanted:
                is_same = wanted[new.id][0] == new
                statuses.append(PayoutStatus.EXISTS if is_same else PayoutStatus.EXISTS_DIFFERENT)
            else:
                statuses.append(known.judge(new))
                if statuses[-1] is PayoutStatus.TAKEN:
                    is_free = new.origin is PayoutOrigin.TEST
                    fee_minor = 0 if is_free else known.terms[new.currency].fee_minor
                    wanted[new.id] = (new, known.payees[new.payee], fee_minor)
        if wanted:
            stand = await self._take(list(wanted.values()), known.now)
            for place, new in enumerate(payouts):
                if statuses[place] is PayoutStatus.TAKEN:
                    # A rival may have been first with this id.
                    statuses[place] = stand.get(new.id, PayoutStatus.EXISTS)
        return statuses

    async def _take(
        self, wanted: Sequence[tuple[NewPayout, Row, int]], now: datetime
    ) -> dict[UUID, PayoutStatus]:
        """Write what is wanted and hold its money; left out is what a rival wrote first."""
        often: set[UUID] = set()
        async with self._db.transaction() as tx:
            tested = {new.merchant for new, _, _ in wanted if new.origin is PayoutOrigin.TEST}
            if tested:
                await payees_store.lock_merchants(tx, tested)
                often = await self._too_often(tx, [new for new, _, _ in wanted], now)
            allowed = [each for each in wanted if each[0].id not in often]
            taken = await payouts_store.insert_payouts(tx, allowed, now, now + LEASE)
            written = {each.id for each in taken}
            for new, payee, _ in allowed:
                if new.origin is PayoutOrigin.TEST and new.id in written:
                    await payees_store.begin_test(tx, payee["id"], new.id)
        stand = await self._advancing.advance(taken)
        told = dict.fromkeys(often, PayoutStatus.TESTED_TOO_OFTEN)
        for id in written:
            is_refused = stand.get(id) == PayoutState.REFUSED
            told[id] = PayoutStatus.BALANCE_TOO_LOW if is_refused else PayoutStatus.TAKEN
        return told

    async def _too_often(
        self, tx: Transaction, wanted: Sequence[NewPayout], now: datetime
    ) -> set[UUID]:
        """Give the tests that are too many; counted where nobody else adds one meanwhile."""
        tests = [each for each in wanted if each.origin is PayoutOrigin.TEST]
        payees = await payees_store.load_payees(tx, {each.payee for each in tests})
        of_payee = {id: payee["tests"] for id, payee in payees.items()}
        of_merchant = {
            merchant: await payouts_store.count_tests(tx, merchant, now - _DAY)
            for merchant in {each.merchant for each in tests}
        }
        often: set[UUID] = set()
        for each in tests:
            if max(of_payee[each.payee], of_merchant[each.merchant]) >= TESTS_MAX:
                often.add(each.id)
            else:
                of_payee[each.payee] += 1
                of_merchant[each.merchant] += 1
        return often

    async def _know(self, payouts: Sequence[NewPayout]) -> Known:
        currencies = sorted({each.currency for each in payouts})
        merchants = {each.merchant for each in payouts}
        terms = await self._terms.read(currencies)
        async with self._db.reading() as tx:
            payees = await payees_store.load_payees(tx, {each.payee for each in payouts})
            suspended = await terms_store.load_suspensions(tx, merchants)
        unknown = await self._knowing.unknown(merchants)
        pairs = sorted({(each.merchant, each.currency) for each in payouts})
        debts = await self._ledger.read_balances(
            [Chart(currency).merchant(merchant, "debt").id for merchant, currency in pairs]
        )
        owing = {
            pair for pair, debt in zip(pairs, debts, strict=True) if debt and debt.credit_minor < 0
        }
        by_currency = {each.currency: each for each in terms}
        return Known(payees, by_currency, suspended, unknown, owing, self._clock.now())

    async def test(self, tests: Sequence[PayeeTest]) -> list[PayoutStatus]:
        """Send small secret amounts; so often, and no oftener."""
        return [await self._test(each) for each in tests]

    async def _test(self, test: PayeeTest) -> PayoutStatus:
        new = NewPayout(
            test.id,
            test.merchant,
            test.payee,
            self._payees.secret_minor(test.id),
            test.currency,
            PayoutOrigin.TEST,
            test.by,
        )
        [status] = await self.request([new])
        return status


def _compare(new: NewPayout, row: Row) -> PayoutStatus:
    """Say how a payout that is there stands to one that is asked for under its id."""
    told = (new.merchant, new.payee, new.amount_minor, new.currency)
    kept = (row["merchant"], row["payee"], row["amount_minor"], row["currency"])
    if told != kept:
        return PayoutStatus.EXISTS_DIFFERENT
    is_refused = row["state"] == PayoutState.REFUSED
    return PayoutStatus.BALANCE_TOO_LOW if is_refused else PayoutStatus.EXISTS
