"""What suppliers have of agents' sales, read and told."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.api.settlement import KeptSupply
from vendrail.kernel.clock import Clock
from vendrail.settlement.store.fees import FeeStore
from vendrail.settlement.store.supplies import SupplyStore
from vendrail.settlement.supply_telling import SupplyTelling


class Supplying:
    """The part of settlement that suppliers ask."""

    clock: Clock
    _fees: FeeStore
    _supplies: SupplyStore

    def supply_telling(self, identity: Identity, notify: Notify) -> SupplyTelling:
        """Give what tells suppliers of refunds."""
        url = self._fees.public_url
        return SupplyTelling(self._supplies, self.clock, identity, notify, url)

    async def read_supplies(self, ids: Sequence[UUID]) -> list[KeptSupply | None]:
        """Read whose orders suppliers' parts were split out of, by what they are booked under."""
        found = await self._supplies.load(ids)
        return [found.get(id) for id in ids]
