"""Trouble between services, by plan: the n-th call of an operation always meets the same."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

from vendrail.kernel import rpc
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.kernel.rpc.operations import Operation, bind

_DELAY_S_MAX = 0.01
_HOLD_S_MAX = 0.03


class Fault(StrEnum):
    """What happens to one call."""

    NONE = "none"
    DELAY = "delay"
    REORDER = "reorder"  # Held back until a later call has overtaken it.
    REPEAT = "repeat"  # Made twice: the second answer is heard.
    DROP = "drop"  # Lost on the way there.
    DROP_ANSWER = "drop answer"  # Done, and nobody hears of it.


_WEIGHTS = {
    Fault.NONE: 90, Fault.DELAY: 3, Fault.REORDER: 2, Fault.REPEAT: 2, Fault.DROP: 1.5,
    Fault.DROP_ANSWER: 1.5,
}  # fmt: skip


class Sabotage(Broken):
    """An operation is broken because the simulation wants it so."""


class FaultPlan:
    """What happens to which call: a matter of the seed, the operation and how many went before."""

    def __init__(self, seed: int, tally: Counter[str]) -> None:
        self._seed = seed
        self._tally = tally
        self._counts: Counter[str] = Counter()
        self._overtaking: dict[str, asyncio.Event] = {}
        self.is_on = True
        self.broken: set[str] = set()  # Lanes that answer nothing but that they are broken.

    def draw(self, lane: str) -> Fault:
        """Say what happens to the next call of a lane."""
        self._counts[lane] += 1
        if not self.is_on:
            return Fault.NONE
        fault = fault_of(self._seed, lane, self._counts[lane])
        if fault is not Fault.NONE:
            self._tally[f"fault: call {fault}"] += 1
        return fault

    async def carry(self, lane: str, call: Callable[[], Awaitable[Any]], fault: Fault) -> Any:
        """Make one call, with what happens to it on its way."""
        if lane in self.broken:
            self._tally["fault: call broken"] += 1
            raise Sabotage("The simulation has broken this operation.")
        if fault is Fault.DROP:
            raise Unavailable("The simulation lost this call.")
        if fault is Fault.DELAY:
            await asyncio.sleep(_DELAY_S_MAX)
        if fault is Fault.REORDER:
            await self._wait_for_another(lane)
        answer = await call()
        if overtaken := self._overtaking.pop(lane, None):
            overtaken.set()
        if fault is Fault.REPEAT:
            answer = await call()
        if fault is Fault.DROP_ANSWER:
            raise Unavailable("The simulation lost this answer.")
        return answer

    async def _wait_for_another(self, lane: str) -> None:
        event = self._overtaking.setdefault(lane, asyncio.Event())
        try:
            async with asyncio.timeout(_HOLD_S_MAX):
                await event.wait()
        except TimeoutError:
            pass


def fault_of(seed: int, lane: str, number: int) -> Fault:
    """Give the fault of the n-th call of a lane: the same for one seed, whatever else happens."""
    dice = random.Random(f"{seed} {lane} {number}")
    (fault,) = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    return fault


class Troubled:
    """A service as its neighbours meet it: calls travel as over a network, and meet trouble."""


def troubled_link(
    plan: FaultPlan, beat: Callable[[str], Awaitable[None]]
) -> Callable[[Any, Any], Any]:
    """Give what the wiring puts between services; `beat` is told of each call."""

    def link(api: Any, service: Any) -> Any:
        guarded = rpc.guard(api, service)
        troubled = Troubled()
        for operation in rpc.operations(api):
            lane = f"{rpc.service_name(api)}.{operation.name}"
            setattr(troubled, operation.name, _troubled(plan, beat, lane, operation, guarded))
        return troubled

    return link


def _troubled(
    plan: FaultPlan,
    beat: Callable[[str], Awaitable[None]],
    lane: str,
    operation: Operation,
    guarded: Any,
) -> Callable[..., Awaitable[Any]]:
    target = getattr(guarded, operation.name)

    async def call(*values: object, **named: object) -> Any:
        body = encode(bind(operation, values, named))

        async def travel() -> Any:
            await beat("call")
            reply = encode(await target(*decode(body, operation.request)))
            await beat("answer")
            return decode(reply, operation.result)

        return await plan.carry(lane, travel, plan.draw(lane))

    return call
