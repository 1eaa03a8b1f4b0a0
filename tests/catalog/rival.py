"""Another process that wants the same keys: `python rival.py DSN VARIANT FOLDER COUNT`."""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from vendrail.api.catalog import Allocation, AllocationId, VariantId
from vendrail.catalog.service import CatalogService
from vendrail.catalog.settings import CatalogSettings
from vendrail.kernel.clock import SystemClock
from vendrail.kernel.codec import encode
from vendrail.kernel.db import Database
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.migrate import role_name
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import Vault


async def main(dsn: str, variant: str, folder: str, count: str) -> None:
    """Allocate one key at a time and in small batches, as fast as can be; print the outcome."""
    clock = SystemClock()
    db = Database(dsn, "catalog", role=role_name("catalog"))
    vault = Vault.open(Path(folder))
    catalog = CatalogService(
        db=db, vault=vault, clock=clock, wakeups=Wakeups(), settings=CatalogSettings()
    )
    waiting = [new_id(clock.now()) for _ in range(int(count))]
    keys: list[UUID] = []
    refused = 0

    async def worker(size: int) -> None:
        nonlocal refused
        while waiting:
            orders = [waiting.pop() for _ in range(min(size, len(waiting)))]
            news = [
                Allocation(
                    AllocationId(derive(order, "allocate")), order, VariantId(UUID(variant)), 1
                )
                for order in orders
            ]
            for result in await catalog.allocate_keys(news):
                keys.extend(result.keys)
                refused += not result.keys

    await catalog.count_stock([])
    sys.stdin.readline()  # The test says when.
    await asyncio.gather(*(worker(1 + number % 5) for number in range(25)))
    await db.close()
    sys.stdout.write(encode([[str(key) for key in keys], refused]).decode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
