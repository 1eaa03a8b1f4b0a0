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
from vendrail.payouts.payees import TESTS_MAX, Payees
from vendrail.payouts.store import Database, Row
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
        payees: Payees,
        terms: Terms,
        advancing: Advancing,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
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
                if statuses[place] is PayoutStatus.TAKEN and stand.get(new.id) == "refused":
                    statuses[place] = PayoutStatus.BALANCE_TOO_LOW
                elif statuses[place] is PayoutStatus.TAKEN and new.id not in stand:
                    statuses[place] = PayoutStatus.EXISTS  # A rival was first with this id.
        return statuses

    async def _take(
        self, wanted: Sequence[tuple[NewPayout, Row, int]], now: datetime
    ) -> dict[UUID, PayoutState]:
        async with self._db.transaction() as tx:
            taken = await payouts_store.insert_payouts(tx, wanted, now, now + LEASE)
            for new, payee, _ in wanted:
                if new.origin is PayoutOrigin.TEST:
                    await payees_store.begin_test(tx, payee["id"], new.id)
        return await self._advancing.advance(taken)

    async def _know(self, payouts: Sequence[NewPayout]) -> Known:
        currencies = sorted({each.currency for each in payouts})
        merchants = {each.merchant for each in payouts}
        terms = await self._terms.read(currencies)
        async with self._db.reading() as tx:
            payees = await payees_store.load_payees(tx, {each.payee for each in payouts})
            suspended = await terms_store.load_suspensions(tx, merchants)
        pairs = sorted({(each.merchant, each.currency) for each in payouts})
        debts = await self._ledger.read_balances(
            [Chart(currency).merchant(merchant, "debt").id for merchant, currency in pairs]
        )
        owing = {
            pair for pair, debt in zip(pairs, debts, strict=True) if debt and debt.credit_minor < 0
        }
        by_currency = {each.currency: each for each in terms}
        return Known(payees, by_currency, suspended, owing, self._clock.now())

    async def test(self, tests: Sequence[PayeeTest]) -> list[PayoutStatus]:
        """Send small secret amounts; so often, and no oftener."""
        return [await self._test(each) for each in tests]

    async def _test(self, test: PayeeTest) -> PayoutStatus:
        async with self._db.reading() as tx:
            known = await payouts_store.load_payouts(tx, [test.id])
            payee = (await payees_store.load_payees(tx, [test.payee])).get(test.payee)
            count = await payouts_store.count_tests(tx, test.merchant, self._clock.now() - _DAY)
        is_often = count >= TESTS_MAX or (payee is not None and payee["tests"] >= TESTS_MAX)
        if not known and is_often:
            return PayoutStatus.TESTED_TOO_OFTEN
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
