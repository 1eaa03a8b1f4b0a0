"""Ledger posting alone: 100,000 accounts with limits, drawn by a Zipf law of exponent 1.0."""

import asyncio
import bisect
import itertools
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from vendrail.api.ledger import (
    Account,
    AccountId,
    AccountLimit,
    Ledger,
    Transfer,
    TransferCode,
    TransferId,
    TransferStatus,
)
from vendrail.app.bench.ground import (
    Ground,
    count,
    durability,
    open_ground,
    percentile,
    pgbench_tps,
)
from vendrail.app.bench.lanes import Progress
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id

_OPEN_BATCH = 5_000
_IDS_PER_MS = 64  # Ids move on with time, as those of orders that come at this pace do.
_SETTLE_S = 1.5
_FUND_MINOR = 10**9


class _Zipf:
    """Draws ranks 0 … n-1 with a chance of 1/(rank+1)."""

    def __init__(self, size: int, seed: int) -> None:
        self._sums = list(itertools.accumulate(1 / rank for rank in range(1, size + 1)))
        self._random = random.Random(seed)  # noqa: S311 - a workload, not a secret

    def draw(self) -> int:
        return bisect.bisect(self._sums, self._random.random() * self._sums[-1])


async def bench_ledger(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    orders: int = 600_000,
    batch: int = 4_096,
    lanes: int = 3,
    accounts: int = 100_000,
    with_reference: bool = True,
) -> dict[str, object]:
    """Run the ledger bench (`orders` = transfers); give its result as one object."""
    async with open_ground(platform, environment) as ground:
        ledger: Ledger = ground.house.api(Ledger)
        ids = await open_accounts(ledger, ground, accounts, progress)
        work = draw_transfers(ground, ids, orders)
        await asyncio.sleep(_SETTLE_S)
        before = await count(ground)
        posted = await post(ledger, work, batch, lanes, progress)
        cpu_s = (await count(ground)).cpu_s - before.cpu_s
        await asyncio.sleep(_SETTLE_S)
        after = await count(ground)
        await check_balances(ground)
        shown = await durability(ground)
        tps = await pgbench_tps(ground) if with_reference else 0.0
    rate = orders / posted.seconds
    return {
        "bench": "ledger",
        "transfers": orders,
        "batch": batch,
        "accounts": accounts,
        "transfers_per_s": round(rate, 1),
        "pgbench_tps": round(tps, 1),
        "ratio": round(rate / tps, 3) if tps else None,
        "p50_ms": round(percentile(posted.latencies_ms, 0.50), 1),
        "p95_ms": round(percentile(posted.latencies_ms, 0.95), 1),
        "p99_ms": round(percentile(posted.latencies_ms, 0.99), 1),
        "errors": posted.refused,
        "rows_per_order": round((after.rows - before.rows) / orders, 2),
        "commits_per_order": round((after.commits - before.commits) / orders, 5),
        "wal_bytes_per_order": round((after.wal_bytes - before.wal_bytes) / orders),
        "cpu_ms_per_order": round(cpu_s / orders * 1_000, 5),
        **shown,
    }


@dataclass
class Posted:
    """What became of transfers that were posted: how long it took, each batch, and refusals."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    refused: int = 0


async def post(
    ledger: Ledger, work: Sequence[Transfer], batch: int, lanes: int, progress: Progress
) -> Posted:
    """Post transfers in batches, some at a time."""
    posted = Posted()
    batches = iter([work[at : at + batch] for at in range(0, len(work), batch)])
    done = 0

    async def lane() -> None:
        nonlocal done
        for some in batches:
            began = time.perf_counter()
            results = await ledger.post_transfers(some)
            posted.latencies_ms.append((time.perf_counter() - began) * 1_000)
            posted.refused += sum(each.status is not TransferStatus.CREATED for each in results)
            done += len(some)
            progress("posted", done, len(work))

    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(lanes)))
    posted.seconds = time.perf_counter() - began
    return posted


async def open_accounts(
    ledger: Ledger, ground: Ground, accounts: int, progress: Progress
) -> list[AccountId]:
    """Open the accounts and give each enough for all that will be asked of it."""
    source = Account("bench:source", "CNY", AccountLimit.NONE)
    await ledger.open_accounts([source])
    ids: list[AccountId] = []
    now = ground.house.clock.now()
    for begin in range(0, accounts, _OPEN_BATCH):
        some = [
            Account(f"bench:{number}", "CNY", AccountLimit.DEBITS_WITHIN_CREDITS)
            for number in range(begin, min(begin + _OPEN_BATCH, accounts))
        ]
        await ledger.open_accounts(some)
        await ledger.post_transfers(
            [_transfer(new_id(now), source.id, each.id, _FUND_MINOR) for each in some]
        )
        ids += [each.id for each in some]
        progress("accounts", len(ids), accounts)
    owner = await connect_once(ground.dsn)
    await owner.execute("vacuum analyze")
    await owner.execute("checkpoint")
    await owner.close()
    return ids


def draw_transfers(ground: Ground, ids: list[AccountId], size: int) -> list[Transfer]:
    """Draw transfers of one minor unit between accounts, few of which are busy."""
    zipf = _Zipf(len(ids), seed=1)
    now = ground.house.clock.now()
    made: list[Transfer] = []
    while len(made) < size:
        source, target = zipf.draw(), zipf.draw()
        if source != target:
            at = now + timedelta(milliseconds=len(made) // _IDS_PER_MS)
            made.append(_transfer(new_id(at), ids[source], ids[target], 1))
    return made


def _transfer(id: UUID, debit: AccountId, credit: AccountId, amount_minor: int) -> Transfer:
    return Transfer(TransferId(id), debit, credit, amount_minor, TransferCode.ADJUSTMENT, id)


async def check_balances(ground: Ground) -> None:
    """After the clock: the balances of all accounts are the sums of their entries."""
    owner = await connect_once(ground.dsn)
    try:
        wrong = await owner.fetchval(
            "select count(*) from (select account, sum(debits_posted) as d,"
            "  sum(credits_posted) as c from ledger.entry group by account) e"
            " join (select account, sum(debits_posted) as d, sum(credits_posted) as c"
            "  from (select account, debits_posted, credits_posted from ledger.balance"
            "   union all select account, debits_posted, credits_posted from ledger.delta) s"
            "  group by account) b using (account)"
            " where (e.d, e.c) is distinct from (b.d, b.c)"
        )
    finally:
        await owner.close()
    if wrong:
        raise Broken(f"{wrong} balances are not the sums of their entries.")
