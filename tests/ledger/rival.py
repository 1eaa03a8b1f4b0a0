"""A process of its own that posts what it is told, all at once; run by the tests.

    python rival.py <database url> <role>

It reads its batches from a line, says that it is ready, begins at the next line, and then writes
the results of each batch.
"""

import asyncio
import os
import sys

import msgspec

from vendrail.api.ledger import Transfer
from vendrail.kernel.clock import SystemClock
from vendrail.kernel.db import Database
from vendrail.kernel.vault import HeldMasterKeys, Vault
from vendrail.ledger.service import LedgerService
from vendrail.ledger.settings import LedgerSettings


async def main(url: str, role: str) -> None:
    """Post each of the given batches in a task of its own, all at once."""
    batches = msgspec.json.decode(sys.stdin.readline(), type=list[list[Transfer]])
    vault = Vault(HeldMasterKeys([os.urandom(32)]), os.urandom(32))
    database = Database(url, "ledger", role=role, connections_max=8)
    service = LedgerService(database, SystemClock(), vault, LedgerSettings())
    await service.read_balances([batches[0][0].debit])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    results = await asyncio.gather(*(service.post_transfers(batch) for batch in batches))
    sys.stdout.write(msgspec.json.encode(results).decode() + "\n")
    sys.stdout.flush()
    await database.close()


asyncio.run(main(*sys.argv[1:]))
