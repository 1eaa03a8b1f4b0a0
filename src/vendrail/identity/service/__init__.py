"""Identity's operations: load, decide, save."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.notify import Notify
from vendrail.identity.service.filtering import FiltersService
from vendrail.identity.service.ground import Ground
from vendrail.identity.service.keeping import KeptFormsService
from vendrail.identity.service.passkeys import PasskeysService
from vendrail.identity.service.programming import ProgramsService
from vendrail.identity.service.recording import LogService
from vendrail.identity.service.registering import RegisteringService
from vendrail.identity.service.signing import SigningService
from vendrail.identity.service.staffing import StaffingService
from vendrail.identity.settings import IdentitySettings
from vendrail.identity.store import people
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.limits import Limits
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import Vault


class IdentityService(
    SigningService,
    PasskeysService,
    RegisteringService,
    StaffingService,
    ProgramsService,
    FiltersService,
    KeptFormsService,
    LogService,
):
    """Fulfils `api.identity.Identity`: people and programs, and the log of what they did."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        limits: Limits,
        notify: Notify,
        settings: IdentitySettings,
    ) -> None:
        ground = Ground(db, vault, clock, wakeups, limits, settings)
        PasskeysService.__init__(self, ground, notify)
        RegisteringService.__init__(self, ground, notify)
        ProgramsService.__init__(self, ground)
        self.clock = clock
        self.wakeups = wakeups

    async def end_all_sessions(self, of: Sequence[UUID]) -> list[int]:
        """Sign people out everywhere, chats included; how many sessions that were."""
        ended = await super().end_all_sessions(of)
        async with self._ground.db.reading() as tx:
            known = await people.load_people(tx, list(of))
        await self._notify.end_chats([each.email for each in known.values()])
        return ended

    async def close(self) -> None:
        """End the threads that hash passwords."""
        self._ground.passwords.close()


__all__ = ["IdentityService"]
