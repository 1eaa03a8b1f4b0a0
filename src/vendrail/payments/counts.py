"""What is counted: callbacks by outcome, captures by fit, answers of providers."""

from functools import cache

from prometheus_client import Counter

from vendrail.api.payments import ChannelAccount

_CALLBACKS = Counter(
    "vendrail_payments_callbacks", "Callbacks by what became of them.", ("channel", "outcome")
)
_CAPTURES = Counter(
    "vendrail_payments_captures",
    "Captures by method and whether they fit what was asked for.",
    ("channel", "method", "fit"),
)
_ANSWERS = Counter(
    "vendrail_payments_provider_answers",
    "What providers answered to queries, closings and refunds.",
    ("channel", "operation", "outcome"),
)


@cache
def _callbacks(channel: str, outcome: str) -> Counter:
    return _CALLBACKS.labels(channel, outcome)


@cache
def _captures(channel: str, method: str, fit: str) -> Counter:
    return _CAPTURES.labels(channel, method, fit)


def callback(account: ChannelAccount | None, outcome: str) -> None:
    """Count one callback; those for no channel of ours go under one name, whatever they ask for."""
    _callbacks(account.name if account is not None else "none", outcome).inc()


def capture(channel_name: str, method: str, fit: str) -> None:
    """Count one new capture."""
    _captures(channel_name, method, fit).inc()


def answer(account: ChannelAccount, operation: str, outcome: str) -> None:
    """Count one answer of a provider."""
    _ANSWERS.labels(account.name, operation, outcome).inc()
