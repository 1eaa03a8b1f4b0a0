"""Releasing what falls due: shares of sales, kept in buckets, all of them due at one moment.

Every share is split as a sale is, before the clock; hours that have passed make many buckets of few
merchants, as after an outage. The clock runs from the first claim to the last bucket closed.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.settlement import (
    CaptureBooking,
    FeeTerms,
    HoldTerms,
    RiskTier,
    Sale,
    SaleStatus,
    Settlement,
)
from vendrail.app.bench.ground import PRICE_MINOR, Ground, count, durability, open_ground
from vendrail.app.bench.lanes import Progress
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive, new_id
from vendrail.settlement.service import SettlementService

_MERCHANTS = 1_000
_SETTLE_S = 1.5  # Sessions report their statistics within a second.
_TERMS_S = 11.0  # Terms hold from ten seconds on.
_PENDING_HOURS = 1


async def bench_release(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    orders: int = 1_000_000,
    batch: int = 1_024,
    lanes: int = 2,
    buckets: int = 100_000,
) -> dict[str, object]:
    """Run the release bench (`orders` = shares); give its result as one object."""
    async with open_ground(platform, environment) as ground:
        settlement: SettlementService = ground.house.services["settlement"]
        share_minor = await _sell(ground, orders, min(buckets, orders), batch, progress)
        before, due = await count(ground), await _open_buckets(ground)
        took_ms: list[float] = []
        done = 0

        async def lane() -> None:
            nonlocal done
            is_more = True
            while is_more:
                started = time.perf_counter()
                is_more = await settlement.release_due()
                took_ms.append((time.perf_counter() - started) * 1_000)
                done = min(due, done + 2_048)
                progress("released", done, due)

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(lanes)))
        seconds = time.perf_counter() - began
        ended = await count(ground)
        await asyncio.sleep(_SETTLE_S)
        after = await count(ground)
        await _check(ground, share_minor)
        shown = await durability(ground)
    return {
        "bench": "release",
        "shares": orders,
        "buckets": due,
        "lanes": lanes,
        "seconds": round(seconds, 2),
        "shares_per_s": round(orders / seconds, 1),
        "buckets_per_s": round(due / seconds, 1),
        "batch_ms_max": round(max(took_ms), 1),
        "rows_per_bucket": round((after.rows - before.rows) / due, 2),
        "commits_per_bucket": round((after.commits - before.commits) / due, 5),
        "cpu_ms_per_bucket": round((ended.cpu_s - before.cpu_s) / due * 1_000, 4),
        **shown,
    }


async def _sell(ground: Ground, orders: int, buckets: int, batch: int, progress: Progress) -> int:
    """Split so many sales into so many buckets that are due; give the sum of the shares."""
    settlement: Settlement = ground.house.api(Settlement)
    now = ground.house.clock.now()
    merchants = [new_id(now) for _ in range(min(_MERCHANTS, buckets))]
    await settlement.put_fee_terms([FeeTerms(merchant, "CNY", 150, 10) for merchant in merchants])
    await settlement.put_hold_terms([HoldTerms(None, RiskTier.STANDARD, _PENDING_HOURS)])
    await asyncio.sleep(_TERMS_S)
    placed_at = ground.house.clock.now()
    share_minor = 0
    for begin in range(0, orders, batch):
        numbers = range(begin, min(begin + batch, orders))
        sales = [_sale(number % buckets, merchants, placed_at) for number in numbers]
        for result in await settlement.split_sales(sales):
            if result.status is not SaleStatus.SPLIT:
                raise Broken(f"A sale of the bench is {result.status}.")
            share_minor += result.share_minor
        progress("sold", numbers.stop, orders)
    owner = await connect_once(ground.dsn)
    await owner.execute("vacuum analyze")
    await owner.execute("checkpoint")
    await owner.close()
    return share_minor


def _sale(bucket: int, merchants: Sequence[UUID], placed_at: datetime) -> Sale:
    """Sell something whose share lies in one of the buckets: a merchant's, of an hour gone by."""
    merchant = merchants[bucket % len(merchants)]
    hours = bucket // len(merchants) + _PENDING_HOURS + 1
    order = new_id(placed_at)
    booking = CaptureBooking(
        derive(order, "capture"), order, "alipay", merchant, PRICE_MINOR, "CNY"
    )
    paid_at = placed_at - timedelta(hours=hours)
    return Sale(order, merchant, PRICE_MINOR, "CNY", placed_at, booking, paid_at=paid_at)


async def _open_buckets(ground: Ground) -> int:
    owner = await connect_once(ground.dsn)
    try:
        found: int = await owner.fetchval("select count(*) from settlement.bucket where is_open")
    finally:
        await owner.close()
    return found


async def _check(ground: Ground, share_minor: int) -> None:
    """After the clock: no bucket is open or holds anything, and merchants have all of it."""
    owner = await connect_once(ground.dsn)
    try:
        available_minor, kept_minor = await owner.fetchrow(
            "select coalesce(sum(s.minor) filter (where a.name like 'merchant:%:available'), 0),"
            " coalesce(sum(s.minor) filter (where a.name like 'merchant:%:pending:%'), 0)"
            "  from (select account, sum(credits_posted - debits_posted) as minor"
            "   from (select account, credits_posted, debits_posted from ledger.balance"
            "    union all select account, credits_posted, debits_posted from ledger.delta) b"
            "   group by account) s join ledger.account a on a.number = s.account"
        )
    finally:
        await owner.close()
    if await _open_buckets(ground) or kept_minor or available_minor != share_minor:
        raise Broken(f"{available_minor} of {share_minor} were released, {kept_minor} were kept.")
