"""The server is killed before and after every commit of its releases; each share arrives once."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from simkit.proxy import CommitProxy
from simkit.servers import Server
from simkit.shift import Shift, ShiftedClock
from simkit.world import World, broken_promises, named, socket_of, through

from vendrail.api.settlement import (
    CaptureBooking,
    FeeTerms,
    HoldTerms,
    RiskTier,
    Sale,
    SaleStatus,
    Settlement,
)
from vendrail.app.wiring import build
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import derive, new_id

_PATIENCE_S = 60.0
_SIDE_BY_SIDE = 3
_LEASES_S = 100.0  # Longer than a release is claimed, and than what was left is left.
_LEASES_AFTER_S = 2.0  # It looks each second: by then it would have released all it may.
_LATE_MAX = timedelta(seconds=20 * _LEASES_S)
_SALES = 60
_CURRENCIES = ("CNY", "USD", "JPY")
# A commit of a release: buckets are claimed or closed, or their money moves.
_OF_RELEASES = ("update settlement.bucket", "insert into ledger.transfer")
# Until when it is looked, hours after the beginning; the longest reserve is not due by the last.
_LOOKS_H = (4, 30, 24 * 10)
# Hours pending, basis points and days of the reserve, of merchants with terms; and of a tier.
# Nothing is due when a server starts: no sale is older than two hours.
_TERMS = ((3, 0, 0), (24, 0, 0), (0, 1_000, 3), (4, 2_000, 7), (5, 500, 30))
_OF_TIER = (26, 3_000, 8)

Key = tuple[UUID, str, str, datetime]


@dataclass
class Shares:
    """What was sold before anything dies: what falls due when, and what is there at once."""

    began: datetime
    due: Counter[Key] = field(default_factory=Counter)
    now: Counter[tuple[UUID, str]] = field(default_factory=Counter)

    def available(self, moment: datetime) -> Counter[tuple[UUID, str]]:
        """Give what merchants must have at a moment."""
        there = Counter(self.now)
        for (merchant, currency, _, due_at), minor in self.due.items():
            if due_at <= moment:
                there[merchant, currency] += minor
        return there


async def sell(world: World, shift: Shift, dice: random.Random) -> Shares:
    """Sell for merchants of all terms, in three currencies, over some hours; no fee is taken."""
    clock = ShiftedClock(shift)
    house = await build(
        PlatformSettings(home=world.home, database_url=named(world.postgres_url, world.template)),
        {},
        clock=clock,
    )
    settlement: Settlement = house.api(Settlement)
    merchants = [new_id(clock.now()) for _ in range(len(_TERMS) + 2)]
    holds = dict(zip(merchants, [*_TERMS, _OF_TIER, (0, 0, 0)], strict=True))
    terms = [HoldTerms(each, None, *holds[each]) for each in merchants[: len(_TERMS)]]
    tier = [HoldTerms(None, RiskTier.WATCHED, *_OF_TIER)]
    follower = [HoldTerms(merchants[len(_TERMS)], RiskTier.WATCHED)]
    await settlement.put_fee_terms([FeeTerms(UUID(int=0), "*", 0)])
    await settlement.put_hold_terms([*terms, *tier, *follower])
    shift.add_s(60)  # Terms hold from a moment on.
    shares = Shares(clock.now())
    hour = shares.began.replace(minute=0, second=0, microsecond=0)
    sales = []
    for _ in range(_SALES):
        merchant, currency = dice.choice(merchants), dice.choice(_CURRENCIES)
        minor, paid_at = 10_000 * dice.randint(1, 90), hour - timedelta(hours=dice.randint(0, 2))
        order = new_id(shares.began)
        booking = CaptureBooking(
            derive(order, "capture"), order, "alipay", merchant, minor, currency
        )
        sales.append(Sale(order, merchant, minor, currency, shares.began, booking, paid_at=paid_at))
        note(shares, sales[-1], *holds[merchant])
    results = await settlement.split_sales(sales)
    await house.stop()

    assert {SaleStatus.SPLIT} == {result.status for result in results}
    return shares


def note(shares: Shares, sale: Sale, hours: int, points: int, days: int) -> None:
    """Write down when which part of a sale is to be the merchant's, as terms promise it."""
    who, paid_at = (sale.merchant, sale.currency), sale.paid_at
    reserve_minor = sale.amount_minor * points // 10_000
    if reserve_minor:
        midnight = paid_at.replace(hour=0)
        whole = days + (paid_at > midnight)  # A day that has begun is counted to its end.
        shares.due[(*who, "reserve", midnight + timedelta(days=whole))] += reserve_minor
    if hours:
        due_at = paid_at + timedelta(hours=hours)
        shares.due[(*who, "pending", due_at)] += sale.amount_minor - reserve_minor
    else:
        shares.now[who] += sale.amount_minor - reserve_minor


@dataclass
class Run:
    """One server over one clone, killed at one commit of its releases, or never."""

    dsn: str
    server: Server
    proxy: CommitProxy
    shift: Shift
    death: tuple[int, bool] | None
    labels: list[str] = field(default_factory=list)
    is_dead: bool = False
    restarts: list[asyncio.Task[None]] = field(default_factory=list)

    def on_commit(self, number: int, is_before: bool) -> bool:
        """Count what releases write; at its point the server is killed, and started again."""
        label = self.proxy.labels[number - 1]
        if label not in _OF_RELEASES or self.is_dead:
            return False
        if is_before:
            self.labels.append(label)
        if (len(self.labels), is_before) != self.death:
            return False
        self.is_dead = True
        self.server.kill()
        self.restarts.append(asyncio.create_task(self.server.start()))
        return True

    @property
    def is_up_again(self) -> bool:
        """Whether it was killed, and has been started again."""
        return self.is_dead and all(task.done() for task in self.restarts)

    def now(self) -> datetime:
        """Give the moment of its clock."""
        return ShiftedClock(self.shift).now()

    async def look(self, until: datetime) -> None:
        """Let it be later; wait until all that is due by then is released."""
        self.shift.add_s((until - self.now()).total_seconds())
        loop = asyncio.get_running_loop()
        deadline, again = loop.time() + _PATIENCE_S, 0.0
        connection = await connect_once(self.dsn)
        try:
            while await connection.fetchval(
                "select count(*) from settlement.bucket where is_open and due_at <= $1", until
            ):
                if loop.time() > deadline:
                    raise TimeoutError(f"Not all that is due by {until} is released.")
                if self.is_up_again and loop.time() > again:
                    self.shift.add_s(_LEASES_S)  # What the dead one had claimed, others may claim.
                    again = loop.time() + _LEASES_AFTER_S
                await asyncio.sleep(0.02)
        finally:
            await connection.close()


async def live_through(
    world: World, folder: Path, shares: Shares, death: tuple[int, bool] | None
) -> Run:
    """Let all fall due under one server, perhaps killed once; hold the books to what is due."""
    shift = Shift(folder / (f"clock-{death[0]}-{death[1]}" if death else "clock-none"))
    shift.add_s((shares.began - datetime.now(UTC)).total_seconds())
    async with world.cloned() as dsn, CommitProxy(socket_of(dsn)) as proxy:
        server = world.server(through(dsn, proxy.port), SIM_CLOCK_FILE=str(shift.file))
        run = Run(dsn, server, proxy, shift, death)
        proxy.on_commit = run.on_commit
        await server.start()
        try:
            for hours in _LOOKS_H:
                until = shares.began + timedelta(hours=hours)
                await run.look(until)
                await check(dsn, shares, until)
            await asyncio.gather(*run.restarts)
        finally:
            server.kill()
        assert [] == await broken_promises(dsn)
    return run


async def check(dsn: str, shares: Shares, moment: datetime) -> None:
    """What was due by now has moved once, and not before it was due; the rest has not moved."""
    connection = await connect_once(dsn)
    try:
        moved = await connection.fetch(
            "select b.merchant, b.currency, b.part, b.due_at, t.at, t.amount_minor"
            " from settlement.bucket b join ledger.account a on a.id = b.account"
            " join ledger.transfer t on t.debit = a.number and t.refusal is null"
        )
        holds = await connection.fetch(
            "select a.name, a.currency, sum(s.credits_posted - s.debits_posted)::bigint"
            " from ledger.account a join (select account, credits_posted, debits_posted"
            "  from ledger.balance union all select account, credits_posted, debits_posted"
            "  from ledger.delta) s on s.account = a.number"
            " where a.name like 'merchant:%' group by a.name, a.currency"
        )
    finally:
        await connection.close()
    due = {key: minor for key, minor in shares.due.items() if key[3] <= moment}
    kept = {key: minor for key, minor in shares.due.items() if key[3] > moment}
    available, later = Counter(), Counter()
    for name, currency, minor in holds:
        _, merchant, part, *_ = name.split(":")
        (available if part == "available" else later)[UUID(merchant), currency] += minor

    assert sorted((*key, minor) for key, minor in due.items()) == sorted(
        (merchant, currency, part, due_at, minor)
        for merchant, currency, part, due_at, _, minor in moved
    )
    assert [] == [row for row in moved if not row["due_at"] <= row["at"] <= moment + _LATE_MAX]
    assert +shares.available(moment) == +available
    assert sum(kept.values()) == sum(later.values())


@pytest.mark.slow
@pytest.mark.timeout(0)
async def test_a_kill_at_any_commit_releases_every_share_once(world, tmp_path, seed, tell):
    """Killed before and after each commit of its releases, it releases all once, when due."""
    await world.seed(variants=1, keys=1)
    shift = Shift(tmp_path / "clock")
    now = datetime.now(UTC)
    shift.add_s(3_600 - now.timestamp() % 3_600 + 300)  # All falls due with the full hour.
    shares = await sell(world, shift, random.Random(f"releases {seed}"))
    labels = (await live_through(world, tmp_path, shares, None)).labels
    places = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def one(death: tuple[int, bool]) -> tuple[tuple[int, bool], str | bool]:
        async with places:
            try:
                return death, (await live_through(world, tmp_path, shares, death)).is_dead
            except (AssertionError, TimeoutError) as error:
                return death, f"{type(error).__name__}: {error}"

    deaths = [(n, is_before) for n in range(1, len(labels) + 1) for is_before in (True, False)]
    ends = await asyncio.gather(*(one(death) for death in deaths))
    killed = sum(end is True for _, end in ends)
    tell(
        f"seed {seed}: {len(shares.due)} shares of {_SALES} sales; {len(labels)} commits of"
        f" releases, killed at {killed} of {len(deaths)} points: {labels}"
    )

    assert set(_OF_RELEASES) == set(labels)
    assert 2 * len(_LOOKS_H) < len(labels)  # Claimed, moved, closed: at each look.
    assert [] == [(death, end) for death, end in ends if isinstance(end, str)]
    assert killed >= len(deaths) * 0.8  # Some looks take more commits than others.
