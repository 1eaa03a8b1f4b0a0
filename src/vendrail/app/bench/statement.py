"""Statements: a merchant's month of many lines, written as CSV and as XLSX, and what it takes."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.ledger import Chart, Ledger, StatementQuery
from vendrail.api.settlement import FeeTerms, FeeTold, Settlement
from vendrail.app.bench.ground import Ground, open_ground
from vendrail.app.bench.lanes import Progress
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.web.statements import Teller, csv_of, xlsx_of

_MONTH = timedelta(days=30)


async def bench_statement(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    lines: int = 1_000_000,
) -> dict[str, object]:
    """Run the statement bench; give its result as one object."""
    async with open_ground(platform, environment) as ground:
        ledger, settlement = ground.house.api(Ledger), ground.house.api(Settlement)
        merchant = new_id(ground.house.clock.now())
        await settlement.put_fee_terms([FeeTerms(merchant, "CNY", 250, 10, 20)])
        await asyncio.sleep(0.1)
        now = ground.house.clock.now()
        await _fill(ground, ledger, merchant, lines)
        query = StatementQuery(merchant, "CNY", now - _MONTH, now)
        took: dict[str, object] = {}
        memory_before = _memory_mb()
        for kind in ("csv", "xlsx"):
            began, cpu_began_s = time.perf_counter(), time.process_time()
            [statement] = await ledger.read_statements([query])
            if statement.count != lines:
                raise Broken(f"The statement has {statement.count} lines, not {lines}.")
            teller = Teller(settlement, statement, "CNY", "UTC", str, _no_note, _fee, str, _own)
            if kind == "csv":
                told = csv_of(ledger, query, statement, teller)
            else:
                told = xlsx_of(ledger, query, statement, teller, "Statement")
            size = await _count(told, progress, kind)
            took[f"{kind}_s"] = round(time.perf_counter() - began, 1)
            took[f"{kind}_cpu_s"] = round(time.process_time() - cpu_began_s, 1)
            took[f"{kind}_bytes"] = size
    return {
        "bench": "statement",
        "lines": lines,
        **took,
        "memory_mb_before": memory_before,
        "memory_mb_max": _memory_mb(),
    }


async def _count(told: AsyncIterator[bytes], progress: Progress, kind: str) -> int:
    """Take a file as a browser does, and keep nothing of it."""
    size = 0
    async for part in told:
        size += len(part)
        progress(kind, size, size)
    return size


async def _fill(ground: Ground, ledger: Ledger, merchant: UUID, lines: int) -> None:
    """Write a month of sales with their fees, one refund in ten, past the service: it is quick."""
    chart = Chart("CNY")
    accounts = [
        chart.held(merchant),
        chart.merchant(merchant, "available"),
        chart.platform_fee(),
        chart.refund_clearing(),
    ]
    await ledger.open_accounts(accounts)
    owner = await connect_once(ground.dsn)
    try:
        rows = await owner.fetch(
            "select id, number from ledger.account where id = any($1::uuid[])",
            [each.id for each in accounts],
        )
        numbers = {row["id"]: row["number"] for row in rows}
        await owner.execute(
            """
            insert into ledger.transfer (id, subject, at, amount_minor, debit, credit, kind, code,
                                         memo)
            select gen_random_uuid(), o.id, o.at, leg.minor, leg.debit, leg.credit, 'single',
                   leg.code, 'fee:1'
              from (select n, gen_random_uuid() as id,
                           now() - interval '30 days' * ($1 - n + 1) / ($1 + 1) as at
                      from generate_series(1, $1::int) n) as o
             cross join lateral (values
                   (case when n % 10 = 0 then 500 else 1930 end,
                    case when n % 10 = 0 then $3::int else $2::int end,
                    case when n % 10 = 0 then $5::int else $3::int end,
                    case when n % 10 = 0 then 'refund' else 'sale' end),
                   (60, $2, $4::int, 'fee')) as leg (minor, debit, credit, code)
             where leg.code <> 'fee' or n % 10 <> 0
            """,
            lines,
            *(numbers[each.id] for each in accounts),
            timeout=3_600,
        )
        await owner.execute("vacuum analyze", timeout=3_600)
    finally:
        await owner.close()


def _memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024


async def _own(_: Sequence[UUID]) -> dict[UUID, str]:
    """No sale is an agent's."""
    return {}


def _no_note(_: str) -> str:
    return ""


def _fee(told: FeeTold) -> str:
    return f"{told.rule.basis_points} basis points, by the terms from {told.valid_from:%Y-%m-%d}"
