"""A marketplace on a template database, cloned for each run, with servers, provider and auditor."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from simkit.provider import Provider
from simkit.servers import Forge, Server
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
from vendrail.api.payments import Payments
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.app.audit import audit
from vendrail.app.services import SCHEMAS
from vendrail.app.wiring import build
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.migrate import migrate

PRICE_MINOR = 1_990

_numbers = itertools.count()

# Short times, so that what a kill leaves behind is taken up soon.
QUICK = {
    "VENDRAIL_ORDERS_LEASE_S": "1.0",
    "VENDRAIL_ORDERS_PROVIDER_LOOK_S_MAX": "1.0",
    "VENDRAIL_LOG_LEVEL": "error",
    "VENDRAIL_TRUSTED_PROXIES": "127.0.0.0/8",
    "VENDRAIL_GATEWAY_PLACES_PER_MINUTE_MAX": "0",
    "VENDRAIL_GATEWAY_PROOF_NUMBERS_MAX": "0",  # One address is the whole load here.
    # The provider's own callbacks go where nobody listens: tests send theirs, or none.
    "VENDRAIL_PUBLIC_URL": "http://127.0.0.1:9",
}


def named(url: str, name: str) -> str:
    """Give the address of another database on the same server."""
    head, mark, tail = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{tail}"


def socket_of(url: str) -> Path:
    """Give the socket of a server that is named by its folder."""
    query = parse_qs(urlsplit(url).query)
    return Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"


def through(url: str, port: int) -> str:
    """Give the address of the same database through a port of this machine."""
    parts = urlsplit(url)
    return f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}?sslmode=disable"


@dataclass
class World:
    """What every run shares: a seeded template, the folder of secrets, forge and provider."""

    postgres_url: str
    home: Path
    forge: Forge
    provider: Provider
    template: str = ""
    skus: list[str] = field(default_factory=list)
    shard: int = 0

    async def seed(self, *, variants: int, keys: int) -> None:
        """Make the template: migrated, with a shop, its products, their keys and the channel."""
        self.template = f"sim_{os.getpid()}_{next(_numbers)}"
        owner = await connect_once(self.postgres_url)
        await owner.execute(f'create database "{self.template}" template template0')
        dsn = named(self.postgres_url, self.template)
        await migrate(dsn, SCHEMAS)
        house = await build(PlatformSettings(home=self.home, database_url=dsn), {})
        now = house.clock.now()
        merchant, shop = new_id(now), ShopId(new_id(now))
        await house.api(Catalog).put_shops(
            [Shop(shop, MerchantId(merchant), "Merchant", "shop", "Shop")]
        )
        await house.api(Settlement).put_fee_terms([FeeTerms(merchant, "CNY", 150, 10, 20)])
        await house.api(Payments).put_channels([self.provider.channel()])
        catalog = house.api(Catalog)
        for number in range(variants):
            sku = f"SIM-{number:03}"
            self.skus.append(sku)
            product = ProductId(new_id(now))
            variant = Variant(
                VariantId(derive(product, "variant")), sku, "One", {"CNY": PRICE_MINOR}
            )
            await catalog.put_products([Product(product, shop, sku.lower(), sku, [variant])])
            for begin in range(0, keys, 5_000):
                count = min(5_000, keys - begin)
                lines = [KeyLine(n + 1, f"{sku}-{begin + n:07}") for n in range(count)]
                await catalog.add_keys([KeyIntake(sku, new_id(now), lines)])
        await house.stop()
        await owner.execute("vacuum analyze")
        await owner.close()
        await asyncio.sleep(0.1)  # Fee terms hold from a moment on.

    @asynccontextmanager
    async def cloned(self) -> AsyncIterator[str]:
        """Give the address of a clone of the template, dropped after."""
        name = f"{self.template}_{next(_numbers)}"
        owner = await connect_once(self.postgres_url)
        try:
            await owner.execute(f'create database "{name}" template "{self.template}"')
            yield named(self.postgres_url, name)
        finally:
            await owner.execute(f'drop database if exists "{name}" with (force)')
            await owner.close()

    def server(self, dsn: str, **more: str) -> Server:
        """Give a server over a database, not yet started."""
        environment = {
            "PATH": os.environ["PATH"],
            "VENDRAIL_HOME": str(self.home),
            "VENDRAIL_DATABASE_URL": dsn,
            **QUICK,
            **more,
        }
        return Server(self.forge, environment)

    async def close(self) -> None:
        """Drop the template."""
        owner = await connect_once(self.postgres_url)
        await owner.execute(f'drop database if exists "{self.template}" with (force)')
        await owner.close()


async def broken_promises(dsn: str, *, may_be_empty: bool = True) -> list[str]:
    """Audit the books; say which promise is broken, and by what."""
    report = await audit(dsn)
    return [
        f"{outcome.name}: {outcome.findings[:5]} of {outcome.examined}"
        for outcome in report.outcomes
        if outcome.findings or (not may_be_empty and outcome.examined == 0)
    ]


@dataclass(frozen=True)
class Standing:
    """One order as the database holds it, read by the auditor of a test."""

    state: str
    captures: int  # That fit it.
    given_back: int  # Of those, given back whole.
    keys: tuple[UUID, ...]  # Readable ones.
    void: int


async def read_standings(dsn: str) -> dict[UUID, Standing]:
    """Read every order: its state, its captures, what went back, and its keys."""
    connection = await connect_once(dsn)
    try:
        rows = await connection.fetch(
            """
            with back as (
                select capture_id, sum(amount_minor) as minor from payments.refund
                 where state = 'succeeded' group by capture_id),
            money as (
                select c.order_id, count(*) as captures,
                       count(*) filter (where b.minor >= c.amount_minor) as given_back
                  from payments.capture c left join back b on b.capture_id = c.id
                 where c.fit = 'fits' group by c.order_id),
            goods as (
                select id, array_agg(key) filter (where state <> 'void') as keys,
                       count(*) filter (where state = 'void') as void
                  from catalog.allocation where key is not null group by id)
            select o.id, o.state, coalesce(m.captures, 0) as captures,
                   coalesce(m.given_back, 0) as given_back,
                   coalesce(g.keys, '{}') as keys, coalesce(g.void, 0) as void
              from orders."order" o
              left join money m on m.order_id = o.id left join goods g on g.id = o.allocation
            """
        )
    finally:
        await connection.close()
    return {
        row["id"]: Standing(
            row["state"], row["captures"], row["given_back"], tuple(row["keys"]), row["void"]
        )
        for row in rows
    }


async def read_unrest(dsn: str) -> str:
    """Say what is still under way: sagas, unread events, unmarked deliveries; empty: nothing."""
    connection = await connect_once(dsn)
    try:
        sagas = await connection.fetch("select kind, state, reason, problem from orders.saga")
        unread = await connection.fetchval(
            "select count(*) from payments.event e, orders.cursor c"
            " where c.source = 'payments' and (e.xid, e.id) > (c.xid, c.id)"
        )
        unmarked = await connection.fetchval(
            "select count(*) from catalog.allocation where state = 'allocated'"
        )
    finally:
        await connection.close()
    if not sagas and not unread and not unmarked:
        return ""
    few = [dict(row) for row in sagas[:3]]
    return f"{len(sagas)} sagas ({few}), {unread} unread events, {unmarked} unmarked deliveries"


async def wait_for_rest(dsn: str, patience_s: float) -> None:
    """Wait until nothing is under way."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while unrest := await read_unrest(dsn):
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"Still under way after {patience_s} s: {unrest}")
        await asyncio.sleep(0.1)
