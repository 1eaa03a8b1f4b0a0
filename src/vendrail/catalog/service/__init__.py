"""The catalog's operations: load, decide, save; a batch at a time."""

from vendrail.catalog.service.agencies import AgencyService
from vendrail.catalog.service.replacements import ReplacementService
from vendrail.catalog.service.shelves import ShelfService
from vendrail.catalog.settings import CatalogSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import Vault


class CatalogService(ShelfService, AgencyService, ReplacementService):
    """Fulfils `api.catalog.Catalog`: what is for sale, how much is left, and the keys."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        settings: CatalogSettings,
    ) -> None:
        ShelfService.__init__(self, db, clock, settings)
        ReplacementService.__init__(self, db, vault, clock, wakeups, settings)
        self.clock = clock
        self.wakeups = wakeups


__all__ = ["CatalogService"]
