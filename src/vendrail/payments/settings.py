"""What can be set for payments."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class PaymentsSettings(Record, frozen=True):
    """Addresses, limits and patience of payments; each channel account has settings of its own."""

    public_url: Annotated[
        str, Help("Where providers and buyers reach this platform; callbacks go below it.")
    ] = "http://127.0.0.1:8000"
    confirm_above_minor: Annotated[
        int, Help("Captures above are confirmed by asking the provider, on every channel; 0: none.")
    ] = 0
    confirm_currency: Annotated[
        str,
        Help("The currency of that limit; captures in another are all confirmed, if it is set."),
    ] = "CNY"
    provider_timeout_s: Annotated[float, Help("How long a provider may take to answer.")] = 10.0
    provider_calls_max: Annotated[int, Help("Calls to one provider account at a time.")] = 32
    breaker_failures: Annotated[
        int, Help("Failures in a row after which a provider account is left alone for a while.")
    ] = 5
    breaker_pause_s: Annotated[
        float, Help("The first such pause; it doubles up to a minute while failures go on.")
    ] = 5.0
    opening_budget_s: Annotated[
        float,
        Help("How long a buyer's click may take to open a payment where several channels can."),
    ] = 3.0
    signing_threads: Annotated[int, Help("Threads that sign and verify beside the event loop.")] = 2
    callback_bytes_max: Annotated[int, Help("The largest callback that is read.")] = 65_536
    inbox_days: Annotated[int, Help("How many days raw callbacks are kept as evidence.")] = 180
    events_keep_days: Annotated[
        int,
        Meta(ge=1),
        Help("How many days events are kept that all their readers have read."),
    ] = 30
