"""Holds: stock that is set aside for orders nobody has paid yet."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.catalog.names import VariantId
from vendrail.kernel.codec import Record


class Hold(Record, frozen=True):
    """Stock set aside for one order; ends by itself."""

    order: UUID
    variant: VariantId
    quantity: int
    until: datetime
    buyer: str = ""  # Keyed hash of the contact, for the caps; empty: no cap.
    address: str = ""  # Keyed hash of the network address.
    device: str = ""  # Keyed hash of the device cookie.


class HoldStatus(StrEnum):
    """How one hold ended. Where several would fit, the first listed is given."""

    HELD = "held"
    EXISTS = "exists"
    NOT_NEEDED = "not_needed"  # Stock without end, or the product allocates at payment.
    VARIANT_NOT_FOUND = "variant_not_found"
    BUYER_CAP_REACHED = "buyer_cap_reached"
    ADDRESS_CAP_REACHED = "address_cap_reached"
    DEVICE_CAP_REACHED = "device_cap_reached"
    SOLD_OUT = "sold_out"
    SHARE_REACHED = "share_reached"  # Enough is set aside: this one is allocated when paid.
