"""What sealing the journal costs those who post: the same posting, sealer off and on by turns."""

import asyncio
import statistics
from collections.abc import Mapping

from vendrail.api.ledger import Ledger
from vendrail.app.bench.ground import Ground, durability, open_ground
from vendrail.app.bench.lanes import Progress
from vendrail.app.bench.ledger import check_balances, draw_transfers, open_accounts, post
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken

_PAIRS = 5
_OLD_S = 30.0  # The least age at which transfers are sealed.
_SETTLE_S = 1.5


async def bench_sealing(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    orders: int = 2_400_000,
    batch: int = 4_096,
    lanes: int = 3,
    accounts: int = 100_000,
) -> dict[str, object]:
    """Run the bench: `orders` transfers in ten turns, after half as many to be sealed meanwhile."""
    aged = {**environment, "VENDRAIL_LEDGER_SEAL_AFTER_S": str(_OLD_S)}
    rates: dict[bool, list[float]] = {False: [], True: []}
    refused = 0
    async with open_ground(platform, aged) as ground:
        ledger: Ledger = ground.house.api(Ledger)
        [seal] = [job for job in ground.house.jobs() if job.name == "ledger.seal"]
        ids = await open_accounts(ledger, ground, accounts, progress)
        refused += (
            await post(ledger, draw_transfers(ground, ids, orders // 2), batch, lanes, progress)
        ).refused
        await asyncio.sleep(_OLD_S)
        size = orders // (2 * _PAIRS)
        for _ in range(_PAIRS):
            for is_sealing in (False, True):
                work = draw_transfers(ground, ids, size)
                before = await _sealed(ground)
                sealer = asyncio.create_task(seal.run()) if is_sealing else None
                await asyncio.sleep(_SETTLE_S)
                posted = await post(ledger, work, batch, lanes, progress)
                if sealer is not None:
                    sealer.cancel()
                    await asyncio.gather(sealer, return_exceptions=True)
                if is_sealing is (await _sealed(ground) == before):
                    raise Broken("The sealer was still while it should work, or the reverse.")
                rates[is_sealing].append(size / posted.seconds)
                refused += posted.refused
        sealed = await _sealed(ground)
        await check_balances(ground)
        shown = await durability(ground)
    ratios = [on / off for off, on in zip(rates[False], rates[True], strict=True)]
    return {
        "bench": "sealing",
        "transfers": orders,
        "batch": batch,
        "accounts": accounts,
        "unsealed_per_s": [round(rate, 1) for rate in rates[False]],
        "sealing_per_s": [round(rate, 1) for rate in rates[True]],
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 3),
        "transfers_sealed": sealed,
        "errors": refused,
        **shown,
    }


async def _sealed(ground: Ground) -> int:
    owner = await connect_once(ground.dsn)
    try:
        sealed: int = await owner.fetchval("select coalesce(sum(count), 0) from ledger.block")
    finally:
        await owner.close()
    return sealed
