"""What can be set for disputes."""

from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class DisputesSettings(Record, frozen=True):
    """Who bears what."""

    is_fee_merchants: Annotated[
        bool, Help("Does the merchant bear the provider's fee of a lost dispute?")
    ] = True
