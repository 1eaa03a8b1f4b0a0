"""Another process of payments: takes the callbacks it is told, many tasks at once.

Arguments: database, vault folder. On stdin, one JSON line: channel, number of tasks, bodies.
"""

import asyncio
import json
import sys
from pathlib import Path
from uuid import UUID

from vendrail.api.payments import Callback
from vendrail.kernel.clock import SystemClock
from vendrail.kernel.db import Database, Retry
from vendrail.kernel.migrate import role_name
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.payments.service import PaymentsService
from vendrail.payments.settings import PaymentsSettings


def tell(line: str) -> None:
    """Say one line to the tests."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    """Send every body from every task, in turned order; print the answers."""
    dsn, folder = sys.argv[1], Path(sys.argv[2])
    db = Database(dsn, "payments", role=role_name("payments"))
    service = PaymentsService(
        db, Vault.open(folder), SystemClock(), Wakeups(), PaymentsSettings(), Metrics()
    )
    await service.list_methods("CNY")
    tell("ready")
    told = json.loads(await asyncio.to_thread(sys.stdin.readline))
    callbacks = [
        Callback(UUID(told["channel"]), "POST", {}, "", body.encode()) for body in told["bodies"]
    ]

    async def send(turn: int) -> list[str]:
        batch = callbacks[turn:] + callbacks[:turn]
        while True:
            try:
                return [answer.body.decode() for answer in await service.take_callbacks(batch)]
            except Retry:
                await asyncio.sleep(0.01)

    answers = await asyncio.gather(*(send(turn % len(callbacks)) for turn in range(told["tasks"])))
    tell(json.dumps(answers))
    await service.close()
    await db.close()


asyncio.run(main())
