"""The data keys of one service: a new one for each slice of time, stored before it seals anything.

Each service that seals rows has a table `data_key (id uuid, sealed bytea, made_at timestamptz)` in
its own schema; a backup therefore holds what its rows need.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.vault import DataKey, Vault


class DataKeys:
    """Gives the data key that seals now, and those that sealed what is read."""

    def __init__(self, db: Database, vault: Vault, clock: Clock, *, life: timedelta) -> None:
        self._db = db
        self._table = f'"{db.service}".data_key'
        self._vault = vault
        self._clock = clock
        self._life = life
        self._newest: DataKey | None = None
        self._ends_at: datetime | None = None
        self._making = asyncio.Lock()

    async def newest(self) -> DataKey:
        """Give the data key of this slice of time."""
        async with self._making:
            now = self._clock.now()
            if self._newest is None or self._ends_at is None or self._ends_at <= now:
                made = self._vault.new_data_key()
                async with self._db.reading() as tx:
                    await tx.execute(
                        f"insert into {self._table} (id, sealed, made_at) values ($1, $2, $3)",  # noqa: S608 - a constant
                        made.id,
                        made.sealed,
                        now,
                    )
                self._newest, self._ends_at = made, now + self._life
            return self._newest

    async def load(
        self, ids: Iterable[UUID | None], tx: Transaction | None = None
    ) -> dict[UUID, DataKey]:
        """Give stored data keys; one that is not there is left out.

        Opened ones stay in memory: only the first reading of each asks the database, in `tx` where
        it is given.
        """
        found: dict[UUID, DataKey] = {}
        missing = []
        for id in {id for id in ids if id is not None}:
            known = self._vault.known_data_key(id)
            if known is None:
                missing.append(id)
            else:
                found[id] = known
        if missing and tx is not None:
            found |= await self._read(tx, missing)
        elif missing:
            async with self._db.reading() as reading:
                found |= await self._read(reading, missing)
        return found

    async def _read(self, tx: Transaction, ids: list[UUID]) -> dict[UUID, DataKey]:
        rows = await tx.fetch(
            f"select id, sealed from {self._table} where id = any($1::uuid[])",  # noqa: S608 - a constant
            ids,
        )
        return {row[0]: self._vault.load_data_key(row[0], row[1]) for row in rows}
