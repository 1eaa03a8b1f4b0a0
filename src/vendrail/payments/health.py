"""How providers are: what each process sees of them, put together in the database."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.payments import ChannelHealth, ChannelId
from vendrail.kernel.clock import Clock
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.channels.line import LATENCIES_MS, Switchboard
from vendrail.payments.store import health as rows
from vendrail.payments.store.base import Row, Store

WINDOW = timedelta(minutes=15)
_KEPT = timedelta(hours=24)


class Health:
    """Writes what the lines of this process have noted, and reads what all of them have."""

    def __init__(self, store: Store, accounts: Accounts, lines: Switchboard, clock: Clock) -> None:
        self._store = store
        self._accounts = accounts
        self._lines = lines
        self._clock = clock
        self._away: set[UUID] = set()  # The lines left alone, as they were last written.

    async def note(self) -> bool:
        """Write what lines noted since the last time; true is never said: there is no backlog."""
        away = {id for id, line in self._lines.all().items() if line.breaker.is_open}
        taken = {
            id: line.pulse.take() for id, line in self._lines.all().items() if line.pulse.is_beating
        }
        gone = sorted(away - self._away)
        if not taken and not gone:
            return False
        now = self._clock.now()
        pulses = [(id, *pulse) for id, pulse in taken.items()]
        back = [id for id, calls, failed, _ in pulses if calls > failed and id not in away]
        async with self._store.transaction() as tx:
            if pulses:
                await rows.add_pulses(tx, pulses, now.replace(second=0, microsecond=0))
                await rows.drop_old(tx, now - _KEPT)
            if gone:
                await rows.begin_outages(tx, gone, now)
            if back:
                await rows.end_outages(tx, sorted(back), now)
        self._away = away
        return False

    async def read(self, ids: Sequence[ChannelId]) -> list[ChannelHealth]:
        """Say how providers answered in the last minutes, and which are left alone."""
        await self.note()
        usable = await self._accounts.all()
        async with self._store.reading() as tx:
            found = await rows.read_health(tx, ids, self._clock.now() - WINDOW)
        by_id: dict[UUID, list[Row]] = {}
        for row in found:
            by_id.setdefault(row["id"], []).append(row)
        return [_health(id, usable.get(id), by_id[id]) for id in ids]


def _health(id: ChannelId, account: OpenAccount | None, found: Sequence[Row]) -> ChannelHealth:
    counts = [0] * (len(LATENCIES_MS) + 1)
    for row in found:
        for place, count in enumerate(row["latencies"] or ()):
            counts[place] += count
    began_at, ended_at = found[0]["began_at"], found[0]["ended_at"]
    return ChannelHealth(
        id,
        [offer.method for offer in account.offers] if account else [],
        sum(row["calls"] or 0 for row in found),
        sum(row["failures"] or 0 for row in found),
        quantile_ms(counts, 0.50),
        quantile_ms(counts, 0.99),
        began_at,
        ended_at,
    )


def quantile_ms(counts: Sequence[int], share: float) -> int:
    """Give the bound below which such a share of the answers came; 0: there were none."""
    total = sum(counts)
    if not total:
        return 0
    reached = [sum(counts[: place + 1]) for place in range(len(counts))]
    place = bisect_left(reached, share * total)
    return LATENCIES_MS[min(place, len(LATENCIES_MS) - 1)]
