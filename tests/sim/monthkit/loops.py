"""The house's background loops, turned by hand until nothing is due."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from simkit.actors import Violation
from simkit.residence import OURS, Lost, Residence
from simkit.trouble import Sabotage

from vendrail.api.catalog import Catalog
from vendrail.api.disputes import Disputes
from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.payouts import Payouts
from vendrail.api.support import Support
from vendrail.app.wiring import House
from vendrail.kernel.errors import Broken, Error
from vendrail.webhooks.service.sources import sources

_TURNS_MAX = 400
_ROUNDS_MAX = 60
_TRIMMED = ("payments", "orders", "disputes", "payouts", "support")

Work = Callable[[House], Awaitable[object]]


def _running(name: str) -> Work:
    """Let the runner of sagas do a work of its own, and wait for what it has launched."""

    async def work(house: House) -> object:
        runner = house.services["orders"].runner
        more = await getattr(runner, name)()
        await runner.drain()
        return more

    return work


async def _count(house: House) -> object:
    settlement = house.services["settlement"]
    given = (house.api(Orders), house.api(Payments), house.api(Disputes))
    return await settlement.counting(*given).look()


def _hearing(number: int) -> Work:
    """Let webhooks read what one of its sources has told."""

    async def work(house: House) -> object:
        apis = (house.api(each) for each in (Orders, Payouts, Disputes, Support))
        return await house.services["webhooks"].reading.consume(sources(*apis)[number])

    return work


async def _bring(house: House) -> object:
    """Bring programs what is due, and wait for their answers."""
    telling = house.services["webhooks"].telling
    await telling.send_due()
    is_more = bool(telling._flights)
    await telling.drain()
    return is_more


def _writing(name: str) -> Work:
    """Let notify read what happened, look at what people are to be told, or send what is due."""

    async def work(house: House) -> object:
        notify = house.services["notify"]
        news = notify.news(house.api(Orders), house.api(Catalog))
        if name == "consume":
            return await news.consume()
        given = (house.api(each) for each in (Orders, Catalog, Identity, Payments))
        watching = notify.watching(*given)
        if name == "look":
            return await watching.look()
        return await notify.sending(news, watching).send_due()

    return work


def _telling(name: str) -> Work:
    """Let a service tell people by letter what concerns them."""

    async def work(house: House) -> object:
        return await house.services[name].telling(house.api(Notify), house.api(Identity)).tell()

    return work


async def _tell_agents(house: House) -> object:
    catalog = house.services["catalog"]
    return await catalog.telling(house.api(Identity), house.api(Notify)).tell_due()


def _trimming(name: str) -> Work:
    """Let a service delete old events that all who read them have read."""

    async def work(house: House) -> object:
        return await house.services[name].trim_events()

    return work


LOOPS: dict[str, Work] = {
    "payments.ask": lambda house: house.services["payments"].ask_presented(),
    "payments.confirm": lambda house: house.services["payments"].confirm_captures(),
    "orders.captures": _running("consume_captures"),
    "orders.due": _running("claim_quick"),
    "orders.returns": _running("claim_slow"),
    "orders.expiry": _running("walk_unpaid"),
    "orders.deliveries": lambda house: house.services["orders"].runner.settle_deliveries(),
    "orders.wallet_parts": lambda house: house.services["orders"].runner.free_wallet_parts(),
    "catalog.holds": lambda house: house.services["catalog"].end_expired_holds(),
    "catalog.agencies": _tell_agents,
    "catalog.goods": lambda house: house.services["catalog"].sweep_goods(),
    "payments.refund": lambda house: house.services["payments"].ask_refunds(),
    "disputes.told": lambda house: house.services["disputes"].carrying.consume(),
    "disputes.advance": lambda house: house.services["disputes"].carrying.advance(),
    "support.lapse": lambda house: house.services["support"].complaining.lapse(),
    "support.carry": lambda house: house.services["support"].carrying.work(),
    "settlement.release": lambda house: house.services["settlement"].release_due(),
    "settlement.debts": lambda house: house.services["settlement"].recover_debts(),
    "settlement.counting": _count,
    "settlement.deposits": lambda house: house.services["settlement"].move_due_deposits(),
    "orders.suspended": lambda house: house.services["orders"].standing.sweep(),
    "promotions.look": lambda house: house.services["promotions"].look_at_due(house.api(Orders)),
    "payouts.schedules": lambda house: house.services["payouts"].look_due(),
    "payouts.marks": lambda house: house.services["payouts"].mark_due(),
    "payouts.remittances": lambda house: house.services["payouts"].book_due(),
    "payouts.forecast": lambda house: house.services["payouts"].look_ahead(),
    "payouts.advance": lambda house: house.services["payouts"].advance_due(),
    "payouts.tell": lambda house: house.services["payouts"].tell_due(),
    "ledger.roll_up": lambda house: house.services["ledger"].roll_up(),
    "ledger.expire": lambda house: house.services["ledger"].expire_transfers(),
    "ledger.seal": lambda house: house.services["ledger"].seal(),
    "ledger.close": lambda house: house.services["ledger"].close_due(),
    "identity.seal": lambda house: house.services["identity"].seal_acts(),
    "compliance.look": lambda house: house.services["compliance"].ending.look(),
    "compliance.tell": _telling("compliance"),
    "domains.look": lambda house: house.services["domains"].check_due(),
    "domains.tell": _telling("domains"),
    "disputes.tell": _telling("disputes"),
    "support.tell": _telling("support"),
    "payments.health": lambda house: house.services["payments"].note_health(),
    "payments.forget": lambda house: house.services["payments"].forget_callbacks(),
    "risk.forget": lambda house: house.services["risk"].forget(),
    "webhooks.orders": _hearing(0),
    "webhooks.payouts": _hearing(1),
    "webhooks.disputes": _hearing(2),
    "webhooks.support": _hearing(3),
    "webhooks.tell": _bring,
    "webhooks.letters": lambda house: house.services["webhooks"].telling.write_letters(),
    "notify.orders": _writing("consume"),
    "notify.watch": _writing("look"),
    "notify.send": _writing("send"),
    "notify.acts": lambda house: house.services["notify"].acting(house.api(Identity)).hand_on(),
    **{f"{each}.trim": _trimming(each) for each in _TRIMMED},
    "notify.listen": lambda house: house.services["notify"].chats.listen(),
}
# Whose work may make work for the others: these are turned until none of them has any.
_CIRCLE = (
    "payments.confirm", "orders.captures", "orders.due", "orders.returns", "orders.wallet_parts",
    "payments.refund", "disputes.told", "disputes.advance", "support.carry", "payouts.advance",
    "settlement.release",
)  # fmt: skip


async def turn_all(residence: Residence, tally: dict[str, int]) -> None:
    """Turn every loop, side by side, then those that make work for one another until none has."""
    await _turn_each(residence, [name for name in LOOPS if name not in _CIRCLE], tally)
    await turn_circle(residence, tally)


async def turn_circle(residence: Residence, tally: dict[str, int]) -> None:
    """Turn the loops that make work for one another until there is none."""
    for _ in range(_ROUNDS_MAX):
        busy = await _turn_each(residence, _CIRCLE, tally)
        if not any(busy):
            return
    raise Violation(f"The loops do not come to rest: {dict(zip(_CIRCLE, busy, strict=True))}")


async def _turn_each(
    residence: Residence, names: Sequence[str], tally: dict[str, int]
) -> list[bool]:
    """Turn loops side by side, as the house's own are; true where there was something."""
    turns = [
        asyncio.create_task(_turn(residence, name, LOOPS[name], tally), name=f"{OURS} {name}")
        for name in names
    ]
    return await asyncio.gather(*turns)


async def _turn(residence: Residence, name: str, work: Work, tally: dict[str, int]) -> bool:
    """Turn one loop until it says that nothing is left; true where there was something."""
    for turns in range(_TURNS_MAX):
        try:
            more = await residence.turn(work)
        except Lost:
            return True  # The house died of it; the next one looks again.
        except Error as error:
            tally[f"loop failed: {name} {type(error).__name__}"] += 1
            if isinstance(error, Broken) and not isinstance(error, Sabotage):
                raise Violation(f"{name} says that something is broken: {error}") from error
            return False  # As the loop itself does: it waits, and looks again later.
        if not more:
            return turns > 0
    raise Violation(f"{name} does not come to an end.")
