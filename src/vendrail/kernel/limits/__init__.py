"""Rate limits: local ones in memory, shared ones that hold over all processes together.

A shared limit counts in fixed windows. Each process borrows a block of its allowance and spends it
from memory, so that a request costs no write; what a process borrowed and did not spend is lost to
the others until the window ends, so a limit is never exceeded and may be reached a little early.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime

from vendrail.kernel.batcher import Batcher
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Malformed
from vendrail.kernel.limits import store
from vendrail.kernel.vault import Vault

_BLOCKS_PER_WINDOW = 8
_KEYS_MAX = 50_000
_FORGET_EVERY_S = 60.0


class TokenBuckets:
    """A token bucket for each key, in this process alone: for what needs no exact limit."""

    def __init__(self, rate_per_s: float, burst: int, *, keys_max: int = _KEYS_MAX) -> None:
        if rate_per_s <= 0 or burst < 1:
            raise Malformed("A bucket needs a rate above zero and room for one token.")
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._keys_max = keys_max
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now_s: float) -> float:
        """Take a token: 0 when there was one, else the seconds until there is."""
        tokens, since_s = self._buckets.pop(key, (self._burst, now_s))
        tokens = min(self._burst, tokens + max(0.0, now_s - since_s) * self._rate_per_s)
        wait_s = 0.0
        if tokens >= 1.0:
            tokens -= 1.0
        else:
            wait_s = (1.0 - tokens) / self._rate_per_s
        self._buckets[key] = (tokens, now_s)
        if len(self._buckets) > self._keys_max:
            self._buckets.popitem(last=False)
        return wait_s


class _Slot:
    """What this process holds of one key's window."""

    __slots__ = ("borrowing", "ends_s", "is_spent", "left", "unborrowed")

    def __init__(self, ends_s: float) -> None:
        self.ends_s = ends_s
        self.left = 0
        self.unborrowed = 0  # What no process had borrowed when this one last did.
        self.is_spent = False
        self.borrowing: asyncio.Task[None] | None = None


class SharedLimit:
    """At most so many of one thing for each key in each window, over all processes together."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        *,
        name: str,
        capacity: int,
        window_s: int,
        keys_max: int = _KEYS_MAX,
    ) -> None:
        if capacity < 1 or window_s < 1:
            raise Malformed("A limit lets at least one through, in a window of a second or more.")
        self.name = name
        self._db = db
        self._vault = vault
        self._clock = clock
        self._capacity = capacity
        self._window_s = window_s
        self._block = max(1, capacity // _BLOCKS_PER_WINDOW)
        self._blocks_max = -(-capacity // self._block)
        self._keys_max = keys_max
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._forget_at_s = 0.0
        self._borrows: Batcher[tuple[datetime, bytes], int] = Batcher(
            self._borrow, name=f"limits.{name}", key=_key_of
        )

    async def take(self, key: str) -> float:
        """Take one of the key's allowance: 0 when it may go on, else the seconds to wait."""
        now_s = self._clock.now().timestamp()
        slot = self._slots.get(key)
        if slot is None or slot.ends_s <= now_s:
            slot = self._open(key, now_s)
        else:
            self._slots.move_to_end(key)
        while not slot.left:
            if slot.is_spent:
                return max(0.001, slot.ends_s - now_s)
            if slot.borrowing is None:
                slot.borrowing = asyncio.create_task(self._fill(key, slot))
            await asyncio.shield(slot.borrowing)
        slot.left -= 1
        return 0.0

    def standing(self, key: str) -> tuple[int, float]:
        """Tell how much of a key's allowance is left at most, and in how many seconds it is new."""
        now_s = self._clock.now().timestamp()
        slot = self._slots.get(key)
        if slot is None or slot.ends_s <= now_s:
            return self._capacity, float(self._window_s)
        left = 0 if slot.is_spent else slot.left + slot.unborrowed
        return left, slot.ends_s - now_s

    def _open(self, key: str, now_s: float) -> _Slot:
        window = int(now_s // self._window_s)
        slot = _Slot(float((window + 1) * self._window_s))
        self._slots[key] = slot
        self._slots.move_to_end(key)
        if len(self._slots) > self._keys_max:
            self._slots.popitem(last=False)
        return slot

    async def _fill(self, key: str, slot: _Slot) -> None:
        """Borrow one more block for a key; whoever waits for the key waits for this."""
        try:
            hashed = self._vault.keyed_hash(f"limit:{self.name}", key.encode())[:16]
            ends_at = datetime.fromtimestamp(slot.ends_s, UTC)
            number = await self._borrows.submit((ends_at, hashed))
            if number:
                taken = (number - 1) * self._block
                slot.left += min(self._block, self._capacity - taken)
                slot.unborrowed = max(0, self._capacity - taken - self._block)
            else:
                slot.is_spent = True
        finally:
            slot.borrowing = None

    async def _borrow(self, asked: Sequence[tuple[datetime, bytes]]) -> list[int]:
        """Borrow a block for each (window, key): its number, or 0 where none is left."""
        # Pushed out of memory while it was borrowed for, a key may be asked twice: one gets it.
        wanted = list(dict.fromkeys(asked))
        now = self._clock.now()
        async with self._db.transaction() as tx:
            ends, hashes = [end for end, _ in wanted], [hashed for _, hashed in wanted]
            found = await store.borrow(tx, ends, hashes, self._blocks_max)
            if now.timestamp() >= self._forget_at_s:
                self._forget_at_s = now.timestamp() + _FORGET_EVERY_S
                await store.forget(tx, now)
        return [found.pop(pair, 0) for pair in asked]


class Limits:
    """Makes shared limits over the one database of limits, for whoever names it as a need."""

    def __init__(self, db: Database, vault: Vault, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock

    def shared(self, name: str, capacity: int, window_s: int) -> SharedLimit:
        """Make a limit: so many for each key in each window, over all processes together."""
        return SharedLimit(
            self._db, self._vault, self._clock, name=name, capacity=capacity, window_s=window_s
        )


def _key_of(asked: tuple[datetime, bytes]) -> bytes:
    return asked[1]
