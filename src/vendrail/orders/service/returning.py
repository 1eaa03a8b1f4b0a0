"""Returning: money to where it came from: clearing when asked, provider when confirmed."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from vendrail.api.payments import Payments, Refund, RefundStatus
from vendrail.api.settlement import RefundPosting, RefundPostingStatus, Settlement
from vendrail.kernel.codec import Record
from vendrail.orders.settings import OrdersSettings

_LOOK_AGAIN_S = (5.0, 30.0, 120.0, 600.0, 3600.0)
_POSTED = (RefundPostingStatus.POSTED, RefundPostingStatus.EXISTS)


class GiveBack(Record, frozen=True):
    """One refund as the books see it and as the provider sees it."""

    posting: RefundPosting
    refund: Refund | None  # None: into a wallet, where no provider is asked.


class Outcome(StrEnum):
    """How giving back stands."""

    PAID = "paid"
    PENDING = "pending"  # The provider has not said, or a dispute is open: asked again.
    REFUSED = "refused"  # The provider refused for good.
    NOT_THERE = "not_there"  # The books do not hold the money, or the capture does not.


class Returning:
    """The three steps every refund takes, whatever asked for it."""

    def __init__(
        self, settings: OrdersSettings, payments: Payments, settlement: Settlement
    ) -> None:
        self._settings = settings
        self._payments = payments
        self._settlement = settlement

    def look_again(self, attempts: int) -> timedelta:
        """Say when a provider that did not answer is asked again."""
        delay_s = _LOOK_AGAIN_S[min(attempts, len(_LOOK_AGAIN_S) - 1)]
        return timedelta(seconds=min(delay_s, self._settings.provider_look_s_max))

    async def give_back(self, items: Sequence[GiveBack]) -> list[Outcome]:
        """Open, ask, pay: each step idempotent, so that the whole may be run again."""
        opened = await self._settlement.open_refunds([item.posting for item in items])
        asked = [item for item, status in zip(items, opened, strict=True) if status in _POSTED]
        told = [item.refund for item in asked if item.refund is not None]
        statuses = iter(await self._payments.request_refunds(told) if told else ())
        outcomes: list[Outcome] = []
        for item, status in zip(items, opened, strict=True):
            if status is RefundPostingStatus.DISPUTED:
                outcomes.append(Outcome.PENDING)
                continue
            if status not in _POSTED:
                outcomes.append(Outcome.NOT_THERE)
                continue
            answer = RefundStatus.SUCCEEDED if item.refund is None else next(statuses)
            if answer is RefundStatus.SUCCEEDED:
                outcomes.append(Outcome.PAID)
            elif answer is RefundStatus.PENDING:
                outcomes.append(Outcome.PENDING)
            else:
                outcomes.append(Outcome.REFUSED)
        paid = [
            item.posting
            for item, outcome in zip(items, outcomes, strict=True)
            if outcome is Outcome.PAID
        ]
        if paid:
            booked = iter(await self._settlement.pay_refunds(paid))
            outcomes = [
                Outcome.NOT_THERE
                if outcome is Outcome.PAID and next(booked) not in _POSTED
                else outcome
                for outcome in outcomes
            ]
        return outcomes

    async def take_back(self, items: Sequence[GiveBack]) -> None:
        """The provider refused for good: the money returns to where it was taken from."""
        await self._settlement.return_refunds([item.posting for item in items])


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Say how giving back stands where it has two parts: as the one that is behind."""
    for outcome in (Outcome.NOT_THERE, Outcome.REFUSED, Outcome.PENDING):
        if outcome in outcomes:
            return outcome
    return Outcome.PAID
