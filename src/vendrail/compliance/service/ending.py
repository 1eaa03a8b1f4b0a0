"""Ends: what is over counts no more, owners are warned before, and content is deleted after."""

from datetime import timedelta

from vendrail.api.compliance import DossierState
from vendrail.compliance import decide, store
from vendrail.compliance.service import ground as grounds
from vendrail.compliance.service.ground import Ground, LetterFacts

_AT_ONCE = 100


class Ending:
    """Looks at days that come and go."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def look(self) -> bool:
        """Warn, end and delete what is due; true: there may be more."""
        ground, settings = self._ground, self._ground.settings
        now, today = ground.clock.now(), ground.clock.now().date()
        soon = today + timedelta(days=settings.warned_days)
        async with ground.db.transaction() as tx:
            over = await store.claim_expired(tx, today, _AT_ONCE)
            for row in over:
                decide.DOSSIER.next(DossierState(row["state"]), decide.Event.RAN_OUT)
                await store.expire(tx, row["id"], now, ground.kept_until(settings.ended_kept_days))
                facts = LetterFacts(row["expires_on"].isoformat())
                await ground.tell(tx, row["id"], row["version"], row["merchant"], "expired", facts)
            warned = await store.take_expiring(tx, soon, _AT_ONCE)
            for row in warned:
                facts = LetterFacts(row["expires_on"].isoformat())
                await ground.tell(tx, row["id"], 0, row["merchant"], "expiring", facts)
            erased = await store.erase(tx, now, _AT_ONCE)
        for step, count in (("expired", len(over)), ("erased", erased)):
            ground.metrics.count("vendrail_dossiers_total", step, by=count)
        if over or warned:
            ground.wakeups.wake(grounds.TOPIC)
        return max(len(over), len(warned), erased) >= _AT_ONCE
