"""What can be set for disputes."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class DisputesSettings(Record, frozen=True):
    """Who bears what."""

    is_fee_merchants: Annotated[
        bool, Help("Does the merchant bear the provider's fee of a lost dispute?")
    ] = True
    remind_hours: Annotated[
        int, Meta(ge=1), Help("How long before its limit an unanswered dispute is told of again.")
    ] = 72
    remind_last_hours: Annotated[
        int, Meta(ge=1), Help("How long before its limit it is told of for the last time.")
    ] = 24
    public_url: Annotated[str, Help("What links in letters begin with.")] = "http://127.0.0.1:8000"
    events_keep_days: Annotated[
        int,
        Meta(ge=1),
        Help("How many days events are kept that all their readers have read."),
    ] = 30
