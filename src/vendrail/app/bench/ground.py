"""The ground benches stand on: a database of their own, a seeded market, counters, a reference."""

import asyncio
import contextlib
import os
import re
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psutil

from vendrail.api.catalog import (
    Catalog,
    KeyIntake,
    KeyLine,
    MerchantId,
    Product,
    ProductId,
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.api.settlement import FeeTerms, HoldTerms, Settlement
from vendrail.app.audit import audit
from vendrail.app.process import tune_process
from vendrail.app.services import SCHEMAS
from vendrail.app.wiring import House, build
from vendrail.kernel.codec import Record, replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.embedded import EmbeddedServer, program, start
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive, new_id, shard_of
from vendrail.kernel.migrate import migrate
from vendrail.settlement.fees import LEAD

PRICE_MINOR = 1_990
_INTAKE = 5_000

# Every key of a bench is sold, to buyers who all pay: its last keys are no attack.
UNWATCHED = {
    "VENDRAIL_CATALOG_HOLDS_WATCHED_PERCENT": "100",
    "VENDRAIL_CATALOG_HOLDS_SHARE_PERCENT": "100",
}


@dataclass
class Market:
    """What is for sale on the ground: merchants' ids by SKU, and how many keys there are."""

    merchants: dict[str, UUID] = field(default_factory=dict)
    key_count: int = 0

    @property
    def skus(self) -> list[str]:
        """All SKUs, in order."""
        return list(self.merchants)


@dataclass
class Ground:
    """One bench's database and house."""

    dsn: str
    house: House
    server: EmbeddedServer | None
    server_pids: list[int] = field(default_factory=list)  # Of servers that run beside the bench.

    async def seed(
        self, *, variants: int, runs: Sequence[int], merchants: int = 20, prefix: str = "SKU"
    ) -> Market:
        """Make merchants, shops, products, and sealed keys for `runs` of so many orders each.

        Every run deals the variants out in turn from the first, so each takes its own share whole.
        """
        house = self.house
        catalog, settlement = house.api(Catalog), house.api(Settlement)
        now = house.clock.now()
        market = Market()
        owners = [new_id(now) for _ in range(merchants)]
        shops = [
            Shop(
                ShopId(derive(o, "shop")),
                MerchantId(o),
                f"Merchant {n}",
                f"{prefix.lower()}-{n}",
                f"Shop {n}",
            )
            for n, o in enumerate(owners)
        ]
        await catalog.put_shops(shops)
        await settlement.put_fee_terms([FeeTerms(owner, "CNY", 150, 10, 20) for owner in owners])
        now = house.clock.now()
        # A tenth of each share is kept for a month, the rest for a day.
        await settlement.put_hold_terms(
            [
                HoldTerms(o, None, pending_hours=24, reserve_basis_points=1_000, reserve_days=30)
                for o in owners
            ]
        )
        products = []
        for number in range(variants):
            shop = shops[number % merchants]
            sku = f"{prefix}-{number:05}"
            market.merchants[sku] = shop.merchant
            product = ProductId(new_id(now))
            variant = Variant(
                VariantId(derive(product, "variant")), sku, "One", {"CNY": PRICE_MINOR}
            )
            products.append(
                Product(product, shop.id, f"p-{number}", f"Product {number}", [variant])
            )
        await catalog.put_products(products)
        per_variant = sum(-(-orders // variants) for orders in runs) + 1
        for sku in market.skus:
            for begin in range(0, per_variant, _INTAKE):
                count = min(_INTAKE, per_variant - begin)
                lines = [
                    KeyLine(begin + n + 1, f"{sku}-{begin + n:07}-{secrets.token_hex(6)}")
                    for n in range(count)
                ]
                (result,) = await catalog.add_keys([KeyIntake(sku, new_id(now), lines)])
                market.key_count += result.added_count
        owner = await connect_once(self.dsn)
        await owner.execute("vacuum analyze")
        await owner.execute("checkpoint")
        await owner.close()
        # Terms begin a while after they are written, and sales must not be older than they are.
        begun_in_s = (now + LEAD - house.clock.now()).total_seconds()
        await asyncio.sleep(max(0.0, begun_in_s) + 1.0)
        return market


def shard(market: Market, sku: str) -> int:
    """Give the shard that an order of this SKU carries."""
    return shard_of(market.merchants[sku])


class Counters(Record, frozen=True):
    """What the database and the processors have done so far."""

    rows: int
    commits: int
    wal_bytes: int
    cpu_s: float
    database_cpu_s: float


async def count(ground: Ground) -> Counters:
    """Read the counters; statistics are flushed by each session within a second of its work."""
    connection = await connect_once(ground.dsn)
    try:
        row = await connection.fetchrow(
            "select (select sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint"
            "  from pg_stat_user_tables) as rows,"
            " pg_snapshot_xmax(pg_current_snapshot())::text::bigint as commits,"
            " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as wal"
        )
    finally:
        await connection.close()
    database_cpu_s = _cpu_s(_database_processes(ground))
    cpu_s = database_cpu_s + _cpu_s(_own_processes(ground))
    return Counters(row["rows"], row["commits"], row["wal"], cpu_s, database_cpu_s)


def _own_processes(ground: Ground) -> list[psutil.Process]:
    """This process and the servers that run beside it."""
    found = [psutil.Process()]
    for pid in ground.server_pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
    return found


def _database_processes(ground: Ground) -> list[psutil.Process]:
    """The database server's processes; none when it is not ours to see."""
    if ground.server is None:
        return []
    with contextlib.suppress(psutil.NoSuchProcess):
        postmaster = psutil.Process(ground.server.pid)
        return [postmaster, *postmaster.children()]
    return []


def _cpu_s(processes: list[psutil.Process]) -> float:
    """Add up processor time; a session that has ended is counted with its parent."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            if process.pid != os.getpid():
                total += times.children_user + times.children_system
    return total


@asynccontextmanager
async def open_ground(
    platform: PlatformSettings, environment: Mapping[str, str]
) -> AsyncIterator[Ground]:
    """Make a database for one bench, and drop it after."""
    tune_process()
    home = platform.home / "bench"
    home.mkdir(parents=True, exist_ok=True)
    server = None if platform.database_url else await start(home / "postgres")
    owner_dsn = platform.database_url or (server.dsn if server else "")
    name = f"vendrail_bench_{os.getpid()}"
    owner = await connect_once(owner_dsn)
    try:
        await owner.execute(f'drop database if exists "{name}" with (force)')
        await owner.execute(f'create database "{name}"')
        dsn = _with_database(owner_dsn, name)
        await migrate(dsn, SCHEMAS)
        house = await build(replace(platform, home=home, database_url=dsn), environment)
        try:
            yield Ground(dsn, house, server)
        finally:
            await house.stop()
            await owner.execute(f'drop database if exists "{name}" with (force)')
    finally:
        await owner.close()
        if server is not None:
            await server.stop()


def _with_database(dsn: str, name: str) -> str:
    head, mark, tail = dsn.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{tail}"


async def pgbench_tps(ground: Ground, seconds: int = 10) -> float:
    """Run the reference of DESIGN §6 on the same server: `pgbench -N -M prepared`."""
    owner = await connect_once(ground.dsn)
    name = f"vendrail_pgbench_{os.getpid()}"
    await owner.execute(f'drop database if exists "{name}" with (force)')
    await owner.execute(f'create database "{name}"')
    try:
        dsn = _with_database(ground.dsn, name)
        await _pgbench("-i", "-q", "-s", "10", dsn)
        await owner.execute("checkpoint")
        told = await _pgbench("-N", "-M", "prepared", "-c", "8", "-j", "2", "-T", str(seconds), dsn)
    finally:
        await owner.execute(f'drop database if exists "{name}" with (force)')
        await owner.close()
    found = re.search(r"tps = ([0-9.]+)", told)
    if found is None:
        raise Broken(f"pgbench told no rate: {told[-500:]}")
    return float(found[1])


async def _pgbench(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(program("pgbench")),
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise Broken(f"pgbench failed: {told.decode()[-500:]}")
    return told.decode()


async def prove(ground: Ground) -> None:
    """After the clock: the books must be clean."""
    report = await audit(ground.dsn)
    for outcome in report.outcomes:
        if not outcome.is_ok:
            raise Broken(
                f"audit: {outcome.name}: {outcome.examined} examined, {outcome.findings[:5]}"
            )


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def durability(ground: Ground) -> dict[str, str]:
    """Show that nothing was traded for speed."""
    names = ("fsync", "synchronous_commit", "full_page_writes")
    connection = await connect_once(ground.dsn)
    try:
        return {name: await connection.fetchval(f"show {name}") for name in names}
    finally:
        await connection.close()


def percentile(values: list[float], share: float) -> float:
    """Give the value below which a share of all values lies; 0 when there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
