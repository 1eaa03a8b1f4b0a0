"""What payees and payouts are known by."""

from typing import NewType
from uuid import UUID

PayeeId = NewType("PayeeId", UUID)
PayoutId = NewType("PayoutId", UUID)
