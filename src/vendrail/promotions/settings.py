"""What can be set for promotions."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class PromotionsSettings(Record, frozen=True):
    """How codes are guarded, and how often held coupons are looked at."""

    guesses_max: Annotated[
        int, Meta(ge=1), Help("How many wrong codes one network may try in a while.")
    ] = 10
    guesses_s: Annotated[int, Meta(ge=1), Help("How long that while is.")] = 600
    look_s: Annotated[
        int,
        Meta(ge=1),
        Help("How often an unpaid order's coupon is looked at; ended, it comes back after two."),
    ] = 30
