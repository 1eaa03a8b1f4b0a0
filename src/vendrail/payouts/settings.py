"""What can be set for payouts."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class PayoutsSettings(Record, frozen=True):
    """What payouts cost where nobody has written terms, and how careful the platform is."""

    public_url: Annotated[str, Help("Where the links in letters lead.")] = "http://127.0.0.1:8000"
    amount_minor_min: Annotated[
        int, Meta(ge=1), Help("The least payout, in minor units, where a currency has no terms.")
    ] = 100
    fee_minor: Annotated[
        int, Meta(ge=0), Help("What a payout costs the merchant, where a currency has no terms.")
    ] = 0
    review_above_minor: Annotated[
        int,
        Meta(ge=0),
        Help("Above it a person says yes first, where a currency has no terms; 0: never."),
    ] = 5_000_000
    cooling_hours: Annotated[
        int,
        Meta(ge=0),
        Help(
            "How long nothing goes to an account that is added beside or after another one, or "
            "when the merchant has money already."
        ),
    ] = 24
    watch_days: Annotated[
        int,
        Meta(ge=0, le=90),
        Help("How many days after a payout its provider is asked whether the money came back."),
    ] = 7
    payees_max: Annotated[int, Meta(ge=1), Help("How many open accounts a merchant may have.")] = 5
    reserve_warn_hours: Annotated[
        int,
        Meta(ge=1, le=168),
        Help("How many hours before a reserve may be used up its people are told."),
    ] = 24
    reserve_cover_days: Annotated[
        int, Meta(ge=1, le=7), Help("For how many days a suggested top-up is enough.")
    ] = 3
    events_keep_days: Annotated[
        int,
        Meta(ge=1),
        Help("How many days events are kept that all their readers have read."),
    ] = 30
