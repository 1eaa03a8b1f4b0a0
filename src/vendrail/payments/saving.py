"""Saving: what providers remember for buyers is listed, paid with, and forgotten until it is gone.

The provider is told only after what is about to happen was written: an attempt is paid with one
saved way, once, however often it is asked for; and a way that a buyer has dropped pays nothing from
then on, whether or not its provider has answered yet.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.payments import ActionKind, AttemptId, Method
from vendrail.api.payments.saved import (
    SavedDrop,
    SavedId,
    SavedPayment,
    SavedPayResult,
    SavedPayStatus,
    SavedQuery,
    SavedWay,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.ids import new_id
from vendrail.kernel.outbox import Wakeups
from vendrail.payments import decide
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.asking import Asking, ask_of
from vendrail.payments.channels.saving import (
    RememberingChannel,
    SavedAnswer,
    SavedOutcome,
    SavingChannel,
)
from vendrail.payments.counts import Counts
from vendrail.payments.decide import Standing
from vendrail.payments.settings import PaymentsSettings
from vendrail.payments.store import attempts as rows
from vendrail.payments.store import saved as ways
from vendrail.payments.store.base import Row, Store

FORGET_TOPIC = "payments.forget_saved"
# How long after a page was opened its provider is asked what it remembers, and again after that.
_LOOKS_S = (10, 20, 60, 300, 1_800, 3_600)
_FORGETS_S = (5, 30, 120, 600, 3_600)
_FIRST_LOOK = timedelta(seconds=5)
SIGNED_WITHIN = timedelta(minutes=15)  # What is signed longer after its page was opened is ended.
_LOOK_EVERY = timedelta(seconds=5)  # However often pages are loaded.
_LOOK_AFTER = timedelta(minutes=30)  # So long after an attempt has expired news may come.
_ROWS_MAX = 32

_log = structlog.get_logger(__name__)


class SavedWays:
    """Fulfils `api.payments.saved.Saving`."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        clock: Clock,
        wakeups: Wakeups,
        settings: PaymentsSettings,
        counts: Counts,
        asking: Asking,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._wakeups = wakeups
        self._settings = settings
        self._counts = counts
        self._asking = asking

    # Remembering.

    async def customers(
        self, account: OpenAccount, buyers: Mapping[UUID, datetime]
    ) -> dict[UUID, str]:
        """Give a provider's names for buyers who want a way remembered; none where it is away.

        Each is given with the time when what they are about to pay expires.
        """
        channel = account.channel
        if not buyers or not isinstance(channel, RememberingChannel):
            return {}
        now = self._clock.now()
        async with self._store.reading() as tx:
            known = await ways.read_customers(tx, account.row.id, list(buyers))
        for buyer in buyers:
            if buyer in known:
                continue
            name = await channel.open_customer(buyer.hex, account.account, now)
            if name:
                known[buyer] = name
        if known:
            until = max(buyers.values()) + _LOOK_AFTER
            async with self._store.transaction() as tx:
                await ways.expect_news(
                    tx, account.row.id, sorted(known.items()), now, now + _FIRST_LOOK, until
                )
        return known

    async def look_due(self) -> bool:
        """Ask providers what they remember for customers who are due."""
        async with self._store.transaction() as tx:
            due = await ways.claim_looks(tx, self._clock.now(), _LOOKS_S, _ROWS_MAX)
        await self._look(due)
        return len(due) == _ROWS_MAX

    async def _look(self, customers: Sequence[Row]) -> None:
        accounts = await self._accounts.all()
        await asyncio.gather(
            *(self._look_at(each, accounts.get(each["channel"])) for each in customers)
        )

    async def _look_at(self, customer: Row, account: OpenAccount | None) -> None:
        """Keep what a provider remembers for a customer; where it does not say, nothing changes."""
        if account is None or not isinstance(account.channel, SavingChannel):
            return
        now = self._clock.now()
        found = await account.channel.list_saved(customer["reference"], account.account, now)
        if found is None:
            return
        remembered = next((each.method for each in account.offers if each.is_saving), "")
        method = account.agreed_method or remembered
        rows_ = [(new_id(now), method, each.reference, each.label, each.expires) for each in found]
        until = customer["made_at"] + SIGNED_WITHIN
        late = [each.reference for each in found if (each.agreed_at or now) > until]
        is_ended = customer["ending_at"] is not None
        async with self._store.transaction() as tx:
            new = await ways.put_saved(tx, customer, rows_, now)
            if customer["is_agreement"] and new:
                unheard = [each for each in late if each in new]
                is_ended |= await ways.end_unexpected(tx, customer, unheard, now)
            if customer["ending_at"] is not None:
                await ways.end_customer(tx, customer, now)
        if is_ended:
            self._wakeups.wake(FORGET_TOPIC)

    async def list_ways(self, queries: Sequence[SavedQuery]) -> list[list[SavedWay]]:
        """List the ways that can be paid with now, the last used first."""
        buyers = [query.buyer for query in queries]
        fresh = [query.buyer for query in queries if query.is_fresh]
        if fresh:
            now = self._clock.now()
            async with self._store.transaction() as tx:
                customers = await ways.claim_expected(tx, fresh, now, now - _LOOK_EVERY)
            await self._look(customers)
        month = self._clock.now().strftime("%Y-%m")
        async with self._store.reading() as tx:
            found = await ways.list_saved(tx, buyers, month)
        accounts = await self._accounts.all()
        listed: dict[UUID, list[SavedWay]] = {}
        for row in found:
            account = accounts.get(row["channel"])
            if account is None:
                continue
            offered = self._offered(account, row)
            if offered is not None:
                way = SavedWay(
                    SavedId(row["id"]),
                    row["method"],
                    row["channel"],
                    row["label"],
                    row["expires"],
                    offered.currencies,
                )
                listed.setdefault(row["buyer"], []).append(way)
        return [listed.get(buyer, []) for buyer in buyers]

    def _offered(self, account: OpenAccount, row: Row) -> Method | None:
        """Give what an account offers now of a saved way; none where that is switched off."""
        return next(
            (
                each
                for each in self._accounts.methods_of(account)
                if each.method == row["method"]
                and (each.is_saving or each.method == account.agreed_method)
            ),
            None,
        )

    # Paying.

    async def pay(self, payments: Sequence[SavedPayment]) -> list[SavedPayResult]:
        """Pay with saved ways; few and each its own, so side by side."""
        return list(await asyncio.gather(*(self._pay(each) for each in payments)))

    async def _pay(self, payment: SavedPayment) -> SavedPayResult:
        now = self._clock.now()
        async with self._store.reading() as tx:
            row = (await ways.read_saved(tx, [payment.saved])).get(payment.saved)
            standings = await rows.read_states_by_id(tx, [payment.attempt])
        standing = next((s for s in standings if s.attempt.id == payment.attempt), None)
        account = (await self._accounts.all()).get(row["channel"]) if row is not None else None
        if row is None or row["buyer"] != payment.buyer or account is None:
            return SavedPayResult(SavedPayStatus.SAVED_NOT_FOUND)
        if not isinstance(account.channel, SavingChannel) or self._offered(account, row) is None:
            return SavedPayResult(SavedPayStatus.SAVED_NOT_FOUND)
        if standing is None:
            return SavedPayResult(SavedPayStatus.ATTEMPT_NOT_FOUND)
        if standing.channel != row["channel"]:
            return SavedPayResult(SavedPayStatus.CHANNEL_DIFFERS)
        if decide.problem(standing, standings, now):
            return SavedPayResult(SavedPayStatus.ATTEMPT_ENDED, problem=standing.failure)
        if account.account.line.breaker.is_open:
            return SavedPayResult(SavedPayStatus.PROVIDER_AWAY)
        # The intent first: from now on the janitor watches it, and it is not closed unasked.
        async with self._store.transaction() as tx:
            if not await ways.use_saved(tx, row["id"], now):
                return SavedPayResult(SavedPayStatus.SAVED_NOT_FOUND)
            await rows.lock_attempts(tx, [standing.attempt.id])
            shown = await rows.insert_presentations(tx, [standing.attempt.id], now)
            if not shown:
                return SavedPayResult(SavedPayStatus.ATTEMPT_ENDED)
            begun = await ways.begin_payment(
                tx, standing.attempt.id, row["id"], now, is_new=not standing.is_presented
            )
        if begun is None:
            return SavedPayResult(SavedPayStatus.SHOWN)
        if begun["saved"] != row["id"]:
            return SavedPayResult(SavedPayStatus.TAKEN)
        ask = replace(
            ask_of(account, standing),
            customer=row["customer"],
            notify_url=f"{self._settings.public_url.rstrip('/')}/callbacks/{account.row.id}",
            return_url=payment.return_url,
        )
        call = account.channel.pay_saved(ask, row["reference"], account.account, now)
        answer: SavedAnswer = await self._counts.timed(account.row, "pay_saved", call)
        if answer.is_gone:
            await self.forget([SavedDrop(payment.saved, payment.buyer)])
        return await self._settle(standing, answer, now)

    async def _settle(
        self, standing: Standing, answer: SavedAnswer, now: datetime
    ) -> SavedPayResult:
        """Write what came of it; what is paid is recorded by asking, as all money is."""
        id = standing.attempt.id
        is_page = answer.action.kind is not ActionKind.NONE
        if answer.reference:
            kept = encode(answer.action) if is_page else None
            async with self._store.transaction() as tx:
                await rows.keep_presentations(tx, [(id, kept, answer.reference)])
        if answer.outcome is SavedOutcome.PAID:
            await self._asking.query([AttemptId(id)])
            return SavedPayResult(SavedPayStatus.PAID)
        if answer.outcome is SavedOutcome.BUYER_NEEDED and is_page:
            return SavedPayResult(SavedPayStatus.BUYER_NEEDED, answer.action)
        if answer.outcome is SavedOutcome.DECLINED:
            problem = answer.problem or "declined"
            async with self._store.transaction() as tx:
                await ways.decline_payment(tx, id, problem)
                await rows.insert_failures(tx, [(id, problem)], now)
            return SavedPayResult(SavedPayStatus.DECLINED, problem=problem)
        return SavedPayResult(SavedPayStatus.PENDING)

    # Forgetting.

    async def forget(self, drops: Sequence[SavedDrop]) -> list[bool]:
        """Forget ways at once; their providers are told until they have forgotten them too."""
        now = self._clock.now()
        async with self._store.transaction() as tx:
            gone = [await ways.drop_saved(tx, each.saved, each.buyer, now) for each in drops]
        if any(gone):
            self._wakeups.wake(FORGET_TOPIC)
        return gone

    async def forget_customers(self, buyers: Sequence[UUID]) -> None:
        """Forget all ways of buyers."""
        async with self._store.transaction() as tx:
            await ways.end_buyers(tx, buyers, self._clock.now())
        self._wakeups.wake(FORGET_TOPIC)

    async def forget_due(self) -> bool:
        """Tell providers to forget; what they confirm is deleted, the rest is told again."""
        now = self._clock.now()
        async with self._store.transaction() as tx:
            due = await ways.claim_forgotten(tx, now, _FORGETS_S, _ROWS_MAX)
        accounts = await self._accounts.all()
        done = await asyncio.gather(
            *(self._forget_one(each, accounts.get(each["channel"]), now) for each in due)
        )
        gone = [row["id"] for row, is_gone in zip(due, done, strict=True) if is_gone]
        if gone:
            async with self._store.transaction() as tx:
                await ways.delete_saved(tx, gone)
        return len(due) == _ROWS_MAX

    async def _forget_one(self, row: Row, account: OpenAccount | None, now: datetime) -> bool:
        if account is None or not isinstance(account.channel, SavingChannel):
            return False
        call = account.channel.forget_saved(row["customer"], row["reference"], account.account, now)
        is_gone: bool = await call
        if not is_gone:
            _log.warning("payment.saved_way_not_forgotten", channel=account.row.name)
        return is_gone
