"""Suspensions: merchants whose sales an operator has stopped."""

from datetime import datetime

from vendrail.api.catalog.names import MerchantId
from vendrail.kernel.codec import Record


class SalesStop(Record, frozen=True):
    """Stop a merchant's sales for a reason, or (an empty one) let them go on."""

    merchant: MerchantId
    reason: str


class Suspension(Record, frozen=True):
    """A merchant sells nothing: its goods are not found, and nobody can order or pay for them."""

    merchant: MerchantId
    reason: str
    since: datetime
