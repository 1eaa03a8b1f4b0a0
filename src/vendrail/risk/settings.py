"""What can be set for risk; the limits themselves are set with `put_limits`."""

from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class RiskSettings(Record, frozen=True):
    """Times of risk."""

    look_again_s: Annotated[
        float, Help("How old lists and limits in memory may be; they are read anew after it.")
    ] = 1.0
    velocity_days: Annotated[
        int, Help("How many days counts of buyers, addresses and devices are kept.")
    ] = 3
