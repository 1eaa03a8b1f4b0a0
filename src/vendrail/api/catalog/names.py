"""What everything in the catalog is named by."""

from typing import NewType
from uuid import UUID

MerchantId = NewType("MerchantId", UUID)
ShopId = NewType("ShopId", UUID)
ProductId = NewType("ProductId", UUID)
VariantId = NewType("VariantId", UUID)
KeyId = NewType("KeyId", UUID)
AllocationId = NewType("AllocationId", UUID)
