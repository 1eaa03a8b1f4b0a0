"""How everybody asks the house: again until there is an answer, which must be an allowed one."""

from collections import Counter
from datetime import datetime
from typing import Any

from simkit.actors import Violation
from simkit.residence import Lost, Residence
from simkit.shift import Shift, StandingClock

from monthkit.loops import turn_all, turn_circle

_TRIES_MAX = 12


class Asking:
    """The one door to the house, the clock, and what is remembered of both."""

    def __init__(
        self, residence: Residence, clock: StandingClock, shift: Shift, tally: Counter[str]
    ) -> None:
        self.residence = residence
        self.tally = tally
        self.told: list[str] = []
        self._clock = clock
        self._shift = shift

    def now(self) -> datetime:
        """Give the moment that the month has come to."""
        return self._clock.now()

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self._shift.add_s(seconds)

    async def turn(self, *, is_whole: bool = False) -> None:
        """Let the house do what is due; whole: also what nobody waits for."""
        await (turn_all if is_whole else turn_circle)(self.residence, self.tally)

    async def ask(self, api: type, operation: str, *values: object) -> Any:
        """Ask until there is an answer."""
        for _ in range(_TRIES_MAX):
            try:
                answer, _ = await self.residence.ask(api, operation, *values)
            except Lost:
                self.tally["answer: none"] += 1
            else:
                return answer
        raise Violation(f"{operation} was not answered in {_TRIES_MAX} tries.")

    def check(self, what: str, answer: object, may: set, of: object = "") -> None:
        """Hold an answer against the set of allowed ones."""
        self.tally[f"answer: {what} {answer}"] += 1
        self.say(f"{what}: {answer} {of}")
        if answer not in may:
            names = sorted(str(each) for each in may)
            raise Violation(f"{what} answered {answer}; allowed: {names}; {of}")

    def say(self, line: str) -> None:
        """Note what happened, for whoever reads a failure."""
        self.told.append(f"{self._clock.now():%d %H:%M:%S}  {line}")
        del self.told[:-80]
