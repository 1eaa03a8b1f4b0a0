"""Payouts: the door to providers that pay out. Nothing is kept here: who asks keeps the intent."""

import asyncio
from collections.abc import Sequence
from typing import Any

from vendrail.api.payments import PayoutFate, PayoutOrder, PayoutReport, PayoutWay
from vendrail.kernel.clock import Clock
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.channels.base import Payee, PayoutAnswer, PayoutAsk, PayoutChannel
from vendrail.payments.counts import Counts
from vendrail.payments.store.base import assert_no_transaction

_UNKNOWN = PayoutReport(PayoutFate.UNKNOWN, problem="its channel cannot be used")


class Paying:
    """Tells providers of payouts, and asks what became of them."""

    def __init__(self, accounts: Accounts, clock: Clock, counts: Counts) -> None:
        self._accounts = accounts
        self._clock = clock
        self._counts = counts

    async def ways(self) -> list[PayoutWay]:
        """List the active accounts whose provider pays out, as they are set up."""
        return [
            PayoutWay(
                account.row.id,
                account.row.name,
                account.row.kind,
                account.row.title,
                list(account.channel.payee_kinds),
                list(account.row.currencies),
            )
            for account in (await self._accounts.all()).values()
            if account.row.is_active
            and isinstance(account.channel, PayoutChannel)
            and account.channel.can_pay_out(account.account.settings)
        ]

    async def send(self, orders: Sequence[PayoutOrder]) -> list[PayoutReport]:
        """Tell providers; the same number never moves money twice."""
        return await self._each(orders, is_question=False)

    async def ask(self, orders: Sequence[PayoutOrder]) -> list[PayoutReport]:
        """Ask providers what became of payouts."""
        return await self._each(orders, is_question=True)

    async def _each(
        self, orders: Sequence[PayoutOrder], *, is_question: bool
    ) -> list[PayoutReport]:
        assert_no_transaction()
        accounts = await self._accounts.all()

        async def one(order: PayoutOrder) -> PayoutReport:
            # One that takes no payments any more still has to answer for what it paid out.
            account = accounts.get(order.channel)
            if account is None or not isinstance(account.channel, PayoutChannel):
                return _UNKNOWN
            return await self._call(account, account.channel, order, is_question=is_question)

        return list(await asyncio.gather(*map(one, orders)))

    async def _call(
        self,
        account: OpenAccount,
        channel: PayoutChannel[Any],
        order: PayoutOrder,
        *,
        is_question: bool,
    ) -> PayoutReport:
        ask = PayoutAsk(
            order.number,
            Payee(order.payee_kind, order.payee_account, order.payee_name),
            order.amount_minor,
            order.currency,
            order.title,
            tries=order.tries,
        )
        now = self._clock.now()
        call = channel.query_payout if is_question else channel.pay_out
        name = "query_payout" if is_question else "payout"
        answer: PayoutAnswer = await self._counts.timed(
            account.row, name, call(ask, account.account, now)
        )
        return PayoutReport(
            PayoutFate(answer.outcome.value),
            answer.provider_number[:200],
            answer.problem[:300],
            # A page shows it as a link: nothing else may come of it.
            answer.confirm_url if answer.confirm_url.startswith("https://") else "",
            answer.confirm_package,
        )
