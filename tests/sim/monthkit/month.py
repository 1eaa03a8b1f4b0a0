"""A month: buyers, merchants, operators and banks live on; the platform dies now and then."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simkit.actors import Violation
from simkit.residence import OURS, Residence
from simkit.shift import Shift, StandingClock
from simkit.trouble import FaultPlan
from simkit.world import broken_promises
from structlog.testing import capture_logs

from monthkit.agents import Agents
from monthkit.asking import Asking
from monthkit.banks import Banks
from monthkit.buyers import Act, Agenda, Buyers
from monthkit.ends import count_events, examine, read_waits
from monthkit.hearers import Hearers
from monthkit.hosts import Hosts, Zone
from monthkit.market import listen, open_market, put_schedules
from monthkit.office import Office
from monthkit.plans import HOURS_PER_TICK, TICKS_PER_DAY, write
from monthkit.quarrels import Quarrels
from monthkit.readers import Readers
from monthkit.staff import Staff
from monthkit.treasury import Treasury

_REST_DAYS_MAX = 60
_SIDE_BY_SIDE = 6  # People who act at one moment.
_AUDITED = 4  # Of the days of rest, each so many.
_PAID_DAYS = 10  # Of them, on so many merchants still take what they have; the rest in the end.
_QUIET = {
    "VENDRAIL_LOG_LEVEL": "error",
    "VENDRAIL_PUBLIC_URL": "http://127.0.0.1:9",  # Callbacks are brought by the simulation.
    "VENDRAIL_CATALOG_HOLDS_PRESSING_MIN": "1000000",  # Buyers here carry no proofs of work.
    "VENDRAIL_ORDERS_SAGA_ATTEMPTS_MAX": "4",  # So that some become a person's case.
}
# What a bad hour breaks: sales that cannot be split, money that does not reach clearing.
_BROKEN = ("settlement.split_sales", "settlement.open_refunds", "catalog.allocate_keys")


@dataclass(frozen=True)
class Size:
    """How much happens."""

    days: int
    merchants: int
    orders_per_tick: int

    @property
    def orders(self) -> int:
        """How many orders that makes."""
        return self.days * TICKS_PER_DAY * self.orders_per_tick


WHOLE = Size(days=30, merchants=24, orders_per_tick=90)


class Month:
    """One simulation: who takes part, and the order in which they do."""

    def __init__(self, seed: int, size: Size, dsn: str, folder: Path) -> None:
        self.tally: Counter[str] = Counter()
        self.size = size
        self._seed = seed
        self._dsn = dsn
        shift = Shift(folder / "clock")
        shift.add_s(time.time())
        clock = StandingClock(shift)
        self.banks = Banks(folder / "banks", shift.file)
        self.hearers = Hearers(clock.now, self.tally, self.banks.provider)
        self.zone = Zone()
        (folder / "home").mkdir()
        self._faults = FaultPlan(seed, self.tally)
        self._faults.is_on = False
        self.residence = Residence(
            folder / "home", dsn, clock, self._faults, self.tally,
            {**_QUIET, **self.hearers.settings, **self.zone.settings}, is_driven=True,
        )  # fmt: skip
        self.asking = Asking(self.residence, clock, shift, self.tally)
        self.agenda = Agenda()

    async def open(self) -> None:
        """Open the market."""
        await self.residence.open()
        keys = self.size.orders * 3 // self.size.merchants + 500
        self.market = await open_market(self.asking, self.banks, self.size.merchants, keys)
        await listen(self.asking, self.market, self.hearers.programs.url)
        self.buyers = Buyers(self._seed, self.asking, self.banks, self.market, self.agenda)
        self.quarrels = Quarrels(self.asking, self.banks, self.buyers, self.agenda)
        self.staff = Staff(
            self._seed, self.asking, self.banks, self.buyers, self.market, self.agenda
        )
        self.office = Office(self.asking, self.market)
        self.treasury = Treasury(self._seed, self.asking, self.market, self.agenda)
        self.agents = Agents(self.asking, self.buyers, self.market)
        self.hosts = Hosts(self.asking, self.zone, self.market)
        self.readers = Readers(self._seed, self.asking, self.hearers.telegram, self.market)
        self.buyers.buy_on_host = self.hosts.buy
        await self.office.open()
        await self.treasury.open()
        await self.agents.open()
        await self.hosts.open()
        await self.readers.open()
        self._plans = write(self._seed, self.size.merchants, self.size.orders_per_tick)

    async def live(self, day: int) -> None:
        """Live through one day, and audit it."""
        self._faults.is_on = True
        await self.staff.change_terms(day)
        await self.office.look(day)
        for slot in range(TICKS_PER_DAY):
            self._plan_trouble(day, slot)
            self._plan_silence(day, slot)
            await self.staff.stop_sales(day, slot)
            await self.staff.take_reserve(day, slot)
            await self.agents.act(day, slot)
            await self.hosts.act(day, slot)
            await self.readers.act(day, slot)
            await self.buyers.come(next(self._plans))
            await self.treasury.work(slot, are_paid=True)
            await self.office.move_deposits(day)
            if slot == 6:
                await self.treasury.book(day)
                await self.office.correct(day)
            await self._turn_and_act(slot)
        self.residence.calm()
        await self.audit(f"day {day}")

    async def rest(self, day: int) -> bool:
        """Live through a day on which nobody buys; true when nothing is left to do."""
        if day == 0:
            self.hearers.programs.away.clear()
            self.hearers.post.is_away = False
            await self.hosts.rest()
            await self.readers.rest()
            await self.staff.let_all_go_on()
            await self.office.know_all()
        if day == _PAID_DAYS:
            await put_schedules(self.asking, self.market, are_over=True)
        for slot in range(TICKS_PER_DAY):
            if slot % 4 == 3 or self.agenda.is_due:
                await self.treasury.work(1, are_paid=False)
                await self.office.move_deposits(day, is_end=True)
                await self._turn_and_act(slot, are_paid=day < _PAID_DAYS)
            else:
                self._pass_tick()
        if day % _AUDITED == _AUDITED - 1:
            await self.audit(f"rest {day}")
        return self.agenda.is_empty and not await read_waits(self._dsn)

    def _plan_trouble(self, day: int, slot: int) -> None:
        """Let the house die soon, a provider be away, or an operation be broken for a while."""
        dice = random.Random(f"trouble {self._seed} {day} {slot}")
        if dice.random() < 0.3:
            self.residence.crash_after(dice.randint(1, 300))
        if dice.random() < 0.1:
            self.banks.fail_calls("gateway_down", dice.randint(2, 12))
            self.tally["act: provider away"] += 1
        if dice.random() < 0.1:
            self.banks.fail_calls("bad_reply_signature", 1)
            self.tally["act: provider's answer unproven"] += 1
        self._faults.broken = {dice.choice(_BROKEN)} if dice.random() < 0.06 else set()

    def _plan_silence(self, day: int, slot: int) -> None:
        """Let programs and the mail be away: for hours, for days, one until it is given up."""
        dice = random.Random(f"silence {self._seed} {day} {slot}")
        programs, post = self.hearers.programs, self.hearers.post
        post.is_away = (day % 3 == 1 and slot in (2, 3, 4)) or day % 15 in (9, 10, 11, 12)
        programs.away = {number for number in range(2) if dice.random() < 0.2}
        if day % 3 == 0 and slot >= 3:
            programs.away.add(2)
        if day % 12 in (2, 3, 4, 5):
            programs.away.add(3)  # Longer than anything is of use.
        if day % 20 >= 9:
            programs.away.add(4)  # Longer than it is waited for.

    async def _turn_and_act(self, slot: int, *, are_paid: bool = True) -> None:
        """Let what was begun go on, people do what they meant to do now, and hours pass."""
        await self.turn(3 if not self._faults.broken else 6)
        self._faults.broken = set()
        await self._act(self.agenda.take())
        if are_paid:
            await self.staff.pay_out()
        if slot % 2:
            await self.staff.work()
            await self.quarrels.rule()
        await self.turn(2)
        self.banks.forgive()
        self._pass_tick()

    async def _act(self, acts: Sequence[Act]) -> None:
        """Let people do what they meant to do now, several at a time."""
        places = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def do(act: Act) -> None:
            async with places:
                await act()

        doing = [asyncio.create_task(do(act), name=f"{OURS} act") for act in acts]
        await asyncio.gather(*doing)

    def _pass_tick(self) -> None:
        self.asking.pass_s(3_600 * HOURS_PER_TICK - 1_000)
        self.agenda.tick += 1

    async def turn(self, rounds: int) -> None:
        """Let the house work, and a little time pass, so many times."""
        for number in range(rounds):
            deaths = self.residence.deaths
            await self.asking.turn(is_whole=number == 0)
            if number == 0 and deaths == self.residence.deaths:
                self.hearers.programs.settle()
            self.hearers.check()
            await self.quarrels.bring_webhooks()
            self.asking.pass_s(75)  # Longer than a lease, shorter than an order waits.

    async def audit(self, when: str) -> None:
        """Hold every promise of the books."""
        await self.office.check_closes()
        if promises := await broken_promises(self._dsn):
            raise Violation(f"The audit of {when} is not clean: {promises}")
        self.tally["audits that were clean"] += 1

    async def close(self) -> None:
        """End everything."""
        self.residence.calm()
        await self.residence.close()
        await asyncio.to_thread(self.banks.close)
        await asyncio.to_thread(self.hearers.close)
        self.zone.close()


async def live_through(
    seed: int, size: Size, dsn: str, folder: Path, progress: Callable[[str], None]
) -> Counter[str]:
    """Live through a month; give how often each kind of event happened, all accounts explained."""
    with capture_logs():  # Each failure would be told with all that led to it.
        return await _live_through(seed, size, dsn, folder, progress)


async def _live_through(
    seed: int, size: Size, dsn: str, folder: Path, progress: Callable[[str], None]
) -> Counter[str]:
    asyncio.current_task().set_name(f"{OURS} main")
    month = Month(seed, size, dsn, folder)
    when = "before it began"
    began = time.monotonic()
    try:
        await month.open()
        for day in range(size.days):
            when = f"day {day}"
            await month.live(day)
            spent_s = time.monotonic() - began
            progress(f"  {when}: {len(month.buyers.lives)} orders, audit clean, {spent_s:.0f} s")
        for day in range(_REST_DAYS_MAX):
            when = f"rest {day}"
            if await month.rest(day):
                break
        else:
            raise Violation(f"No rest after {_REST_DAYS_MAX} days: {(await read_waits(dsn))[:8]}")
        when = "the end"
        await examine(month, dsn)
        return await count_events(dsn, month.tally)
    except BaseException as error:
        last = "\n  ".join(month.asking.told[-40:])
        told = f"{type(error).__name__}: {error}"
        raise Violation(f"seed {seed}, {when}: {told}\n  {last}") from error
    finally:
        await month.close()
