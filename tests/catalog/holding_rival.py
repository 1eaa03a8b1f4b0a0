"""Another process that attacks: `python holding_rival.py DSN VARIANT FOLDER COUNT NAME`."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from vendrail.api.catalog import Hold, VariantId
from vendrail.catalog.service import CatalogService
from vendrail.catalog.settings import CatalogSettings
from vendrail.kernel.clock import SystemClock
from vendrail.kernel.codec import encode
from vendrail.kernel.db import Database
from vendrail.kernel.ids import new_id
from vendrail.kernel.migrate import role_name
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import Vault


async def main(dsn: str, variant: str, folder: str, count: str, name: str) -> None:
    """Hold one unit a time for ever new buyers of one address; print how each ended."""
    clock = SystemClock()
    db = Database(dsn, "catalog", role=role_name("catalog"))
    vault = Vault.open(Path(folder))
    catalog = CatalogService(
        db=db, vault=vault, clock=clock, wakeups=Wakeups(), settings=CatalogSettings()
    )
    numbers = iter(range(int(count)))
    statuses: list[str] = []

    async def worker(size: int) -> None:
        while taken := [number for _, number in zip(range(size), numbers, strict=False)]:
            now = clock.now()
            until = now + timedelta(minutes=15)
            holds = [
                Hold(
                    new_id(now),
                    VariantId(UUID(variant)),
                    1,
                    until,
                    buyer=f"{name}{number}",
                    address="one for all",
                )
                for number in taken
            ]
            statuses.extend(await catalog.hold_keys(holds))

    await catalog.count_stock([])
    sys.stdin.readline()  # The test says when.
    await asyncio.gather(*(worker(1 + number % 5) for number in range(10)))
    await db.close()
    sys.stdout.write(encode(statuses).decode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
