"""What payments counts: callbacks, captures, refunds, and how providers answer."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from vendrail.api.payments import Capture, CaptureFit, ChannelAccount
from vendrail.kernel.telemetry import Metrics, span
from vendrail.payments.channels.base import (
    CloseOutcome,
    PayoutAnswer,
    Presentation,
    QueryAnswer,
    RefundAnswer,
)
from vendrail.payments.channels.saving import SavedAnswer

Answer = TypeVar(
    "Answer", QueryAnswer, RefundAnswer, PayoutAnswer, CloseOutcome, SavedAnswer, list[Presentation]
)


class Counts:
    """Puts what happened into the metrics, a batch at a time, after its commit."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def callback(self, account: ChannelAccount | None, outcome: str) -> None:
        """Count a callback; those for no channel of ours share a name, whatever they ask for."""
        name = account.name if account is not None else "none"
        self._metrics.count("vendrail_callbacks_total", name, outcome)

    def callbacks(self, outcomes: Iterable[tuple[str, str]]) -> None:
        """Count a batch of callbacks, each by (channel, outcome)."""
        self._metrics.count_each("vendrail_callbacks_total", outcomes)

    def captures(self, captures: Sequence[Capture]) -> None:
        """Count money that is told of: captured for an order, or unmatched."""
        self._metrics.count_each(
            "vendrail_payments_total",
            [
                (
                    capture.method,
                    capture.channel_name,
                    "captured" if capture.fit is CaptureFit.FITS else "unmatched",
                )
                for capture in captures
            ],
        )
        sums: Counter[tuple[str, str]] = Counter()
        for capture in captures:
            sums[capture.channel_name, capture.currency] += capture.amount_minor
        for (name, currency), sum_minor in sums.items():
            self._metrics.count("vendrail_payments_minor_total", name, currency, by=sum_minor)

    def payment(self, method: str, channel: str, outcome: str) -> None:
        """Count a payment that ended otherwise: disputed, refunded, refund_failed."""
        self._metrics.count("vendrail_payments_total", method, channel, outcome)

    async def timed(
        self, account: ChannelAccount, operation: str, call: Awaitable[Answer]
    ) -> Answer:
        """Await a provider's answer, and note how long it took and what it was."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with span(f"provider.{operation}", channel=account.name):
            answer = await call
        self._metrics.observe(
            "vendrail_provider_call_seconds",
            loop.time() - begun,
            account.name,
            operation,
            _outcome(answer),
        )
        return answer


def _outcome(
    answer: QueryAnswer
    | RefundAnswer
    | PayoutAnswer
    | CloseOutcome
    | SavedAnswer
    | list[Presentation],
) -> str:
    if isinstance(answer, CloseOutcome):
        return answer.value
    if isinstance(answer, list):  # Ways to pay: of what went wrong, one thing.
        return max((shown.action.problem for shown in answer), default="") or "shown"
    return answer.outcome.value
