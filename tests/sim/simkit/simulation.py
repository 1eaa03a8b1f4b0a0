"""One run: a market, a house, a script, and an auditor who looks after every step."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from uuid import UUID

from simkit import allowed
from simkit.actors import Actors, Violation
from simkit.invariants import Invariants
from simkit.model import Model, Stock, cheaper_by_two
from simkit.provider import Provider
from simkit.residence import OURS, Residence
from simkit.script import Product, Step, write
from simkit.shift import Shift, StandingClock
from simkit.trouble import FaultPlan
from simkit.world import broken_promises, read_unrest
from vendrail.api.catalog import (
    Catalog,
    HoldPolicy,
    MerchantId,
    ProductId,
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.api.catalog import Product as Goods
from vendrail.api.payments import Payments
from vendrail.api.risk import ListEntry, ListKind, Risk, RiskDecision, RiskLimits
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.waiting import end_tasks

_PRICE_MINOR = 1_990
_FIRST_KEYS = {Product.PLENTY: 3_000, Product.SCARCE: 6, Product.AWAITED: 3}
_REST_HOURS_MAX = 72
_QUIET = {
    "VENDRAIL_LOG_LEVEL": "error",
    "VENDRAIL_PUBLIC_URL": "http://127.0.0.1:9",  # Callbacks are brought by the simulation.
    "VENDRAIL_CATALOG_HOLDS_PRESSING_MIN": "1000000",  # Buyers here carry no proofs of work.
}


async def simulate(
    seed: int,
    steps: int,
    dsn: str,
    folder: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Counter[str]:
    """Live through so many steps; give how often each act, fault and answer came."""
    asyncio.current_task().set_name(f"{OURS} main")
    tally: Counter[str] = Counter()
    shift = Shift(folder / "clock")
    shift.add_s(time.time())
    clock = StandingClock(shift)
    provider = await asyncio.to_thread(Provider, folder / "provider", shift.file)
    (folder / "home").mkdir()
    plan = FaultPlan(seed, tally)
    plan.is_on = False
    residence = Residence(folder / "home", dsn, clock, plan, tally, _QUIET)
    model = Model()
    dice = random.Random(f"letters {seed}")
    actors = Actors(residence, provider, clock, model, {}, tally, dice)
    connection = await connect_once(dsn)
    invariants = Invariants(connection)
    try:
        await residence.open()
        await _furnish(actors)
        shift.add_s(30)  # Fee terms hold from a moment on.
        plan.is_on = True
        for step in islice(write(seed), steps):
            await _live(step, actors, shift)
            await invariants.check()
            if step.number % 50 == 49:
                progress(f"  step {step.number + 1} of {steps}, {len(model.orders)} orders")
        await _come_to_rest(actors, shift, dsn)
        await invariants.check()
        await _examine(actors, dsn)
    except BaseException as error:
        last = "\n  ".join(actors.told[-40:])
        told = f"{type(error).__name__}: {error}"
        raise Violation(f"seed {seed}, step {actors.step}: {told}\n  {last}") from error
    finally:
        residence.calm()
        await residence.close()
        await connection.close()
        await asyncio.to_thread(provider.close)
    return tally


async def _furnish(actors: Actors) -> None:
    """Open the shops: two merchants, three products, their first keys, the channel."""
    now = actors.clock.now()
    ask = actors.residence.ask
    shops = []
    for name in ("one", "two"):
        merchant = new_id(now)
        shops.append(Shop(ShopId(new_id(now)), MerchantId(merchant), name, name, name))
        await ask(
            Settlement, "put_fee_terms",
            [FeeTerms(merchant, "CNY", 150, 10, 20, is_fee_refunded=name == "two")],
        )  # fmt: skip
    await ask(Catalog, "put_shops", shops)
    await ask(Payments, "put_channels", [actors.provider.channel()])
    await ask(Risk, "put_list_entries",
              [ListEntry("contact:reviewed@example.com", ListKind.REVIEWED)])  # fmt: skip
    await ask(Risk, "put_limits", RiskLimits(
        review_orders_per_buyer=0, review_amount_per_buyer_minor=0,
        refuse_orders_per_buyer=0, refuse_amount_per_buyer_minor=0,
    ))  # fmt: skip
    for product in Product:
        id = ProductId(new_id(now))
        variant = Variant(
            VariantId(derive(id, "variant")), product, "One", {"CNY": _PRICE_MINOR},
            quantity_prices=[cheaper_by_two(_PRICE_MINOR)],
        )  # fmt: skip
        is_awaited = product is Product.AWAITED
        goods = Goods(
            id,
            shops[product is Product.SCARCE].id,
            product.lower(),
            product.title(),
            [variant],
            hold_policy=HoldPolicy.AT_PAYMENT if is_awaited else HoldPolicy.AT_ORDER,
            restock_wait_s=3_600 if is_awaited else 0,
        )
        await ask(Catalog, "put_products", [goods])
        actors.goods[product] = goods
        actors.model.stock[product] = Stock(prices_minor={_PRICE_MINOR})
        await actors.add_keys(product, _FIRST_KEYS[product])


async def _live(step: Step, actors: Actors, shift: Shift) -> None:
    """Let all acts of a step happen at once, and time pass after."""
    actors.step = step.number
    if step.crash_after:
        actors.residence.crash_after(step.crash_after)
    if step.provider_fault:
        kind, _, after = step.provider_fault.partition(" ")
        actors.tally[f"fault: provider {step.provider_fault}"] += 1
        await actors.provider.order_fault(kind, is_after=bool(after))
    short = actors.model.short()
    work = [actors.bring_letters(), *(actors.play(act) for act in step.acts)]
    tasks = [asyncio.create_task(each, name=f"{OURS} act") for each in work]
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)
    finally:
        await end_tasks(tasks)
    await asyncio.sleep(0.005)
    actors.model.note_short(short)
    shift.add_s(step.advance_s)
    actors.say(f"{step.advance_s} s pass")
    actors.residence.wake()


async def _come_to_rest(actors: Actors, shift: Shift, dsn: str) -> None:
    """No more trouble: letters are brought, people decide, time passes, until nothing moves."""
    actors.residence.calm()
    await actors.provider.forgive()
    for _ in range(_REST_HOURS_MAX):
        actors.step += 10
        short = actors.model.short()
        await actors.bring_letters()
        actors.model.note_short(short)
        shift.add_s(3_600)
        for _ in range(10):
            actors.residence.wake()
            await asyncio.sleep(0.02)
        for order in actors.model.orders.values():
            if order.is_reviewed and order.may_be_paid and not order.verdicts:
                await actors.decide(order, RiskDecision.ALLOW)
        unrest = await read_unrest(dsn)
        if not actors.letters and not unrest:
            await asyncio.sleep(0.1)
            if not await read_unrest(dsn):
                break
    else:
        raise Violation(f"No rest after {_REST_HOURS_MAX} hours: {unrest}")
    shift.add_s(90_000)  # The last time a provider is asked by itself.
    for _ in range(25):
        actors.residence.wake()
        await asyncio.sleep(0.02)


async def _examine(actors: Actors, dsn: str) -> None:
    """Hold every end against what is allowed, and the provider's books against ours."""
    model = actors.model
    for order in model.orders.values():
        if order.is_placed:
            await actors.read(order)
            ends = allowed.ends(model, order)
            if order.state not in ends:
                raise Violation(f"It ended {order.state}; allowed: {sorted(ends)}; {order}")
            actors.tally[f"end: {order.state}"] += 1
    trades = await actors.provider.read_trades(list(model.money))
    for order in model.orders.values():
        paid = [trades[money.number] for money in order.money]
        fitting = [trades[m.number] for m in order.money if m.fits or "match" in m.verdicts]
        kept = sum(paid_minor - back_minor for paid_minor, back_minor in fitting)
        least = order.amount_minor - order.possible_refund_minor(UUID(int=0))
        most = order.amount_minor - order.sure_refund_minor(UUID(int=0))
        if order.state == "delivered" and not least <= kept <= most:
            raise Violation(f"{kept} fen were kept, allowed {least} to {most}: {paid} {order}")
        if order.state == "refunded" and kept:
            raise Violation(f"{kept} fen were kept of a refunded order: {paid} {order}")
    promises = await broken_promises(dsn)
    if promises:
        raise Violation(f"The audit is not clean: {promises}")
