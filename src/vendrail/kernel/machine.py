"""State tables: what may happen in each state, declared whole, checked whole, drawn for the docs.

A table answers every (state, event) pair: a move, or that nothing happens, or that it cannot be.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from vendrail.kernel.errors import Broken

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


class _Stays:
    def __repr__(self) -> str:
        return "STAYS"


class _Impossible:
    def __repr__(self) -> str:
        return "IMPOSSIBLE"


STAYS = _Stays()  # It may happen (a repeat, a late answer) and changes nothing.
IMPOSSIBLE = _Impossible()  # It can only come from a mistake of ours.


class Machine(Generic[State, Event]):
    """A complete table of state × event → next state."""

    def __init__(
        self,
        name: str,
        states: type[State],
        events: type[Event],
        first: State,
        moves: Mapping[State, Mapping[Event, "State | _Stays | _Impossible"]],
        *,
        otherwise: "_Stays | _Impossible | None" = None,
    ) -> None:
        """Declare the table; `otherwise` answers all pairs that `moves` leaves out."""
        self.name = name
        self.states = tuple(states)
        self.events = tuple(events)
        self.first = first
        self._table: dict[tuple[State, Event], State | _Stays | _Impossible] = {}
        missing = []
        for state in self.states:
            for event in self.events:
                answer = moves.get(state, {}).get(event, otherwise)
                if answer is None:
                    missing.append(f"{state} × {event}")
                else:
                    self._table[state, event] = answer
        if missing:
            raise Broken(f"The table of {name} does not answer {', '.join(missing)}.")
        unreachable = [state for state in self.states if state not in self._reachable()]
        if unreachable:
            raise Broken(f"In the table of {name} nothing leads to {', '.join(unreachable)}.")

    def next(self, state: State, event: Event) -> State:
        """Give the state after an event; what cannot be is `Broken`."""
        answer = self._table[state, event]
        if isinstance(answer, _Stays):
            return state
        if isinstance(answer, _Impossible):
            raise Broken(f"{self.name} cannot meet {event} when it is {state}.")
        return answer

    def is_possible(self, state: State, event: Event) -> bool:
        """Tell whether the table has an answer other than `IMPOSSIBLE`."""
        return not isinstance(self._table[state, event], _Impossible)

    def moves(self) -> Iterable[tuple[State, Event, State]]:
        """Give every (state, event, next state) that changes something."""
        for (state, event), answer in self._table.items():
            if not isinstance(answer, (_Stays, _Impossible)) and answer != state:
                yield state, event, answer

    def ends(self) -> list[State]:
        """Give the states that nothing leaves."""
        left = {source for source, _, _ in self.moves()}
        return [state for state in self.states if state not in left]

    def _reachable(self) -> set[State]:
        found = {self.first}
        moves = list(self.moves())
        while more := {to for source, _, to in moves if source in found} - found:
            found |= more
        return found

    def draw(self) -> str:
        """Draw the table as a Mermaid state diagram, events that share an arrow on one line."""
        arrows: dict[tuple[State, State], list[str]] = {}
        for source, event, target in self.moves():
            arrows.setdefault((source, target), []).append(event.value)
        lines = ["stateDiagram-v2", f"    [*] --> {self.first.value}"]
        for (source, target), events in arrows.items():
            lines.append(f"    {source.value} --> {target.value}: {', '.join(events)}")
        lines += [f"    {state.value} --> [*]" for state in self.ends()]
        return "\n".join(lines) + "\n"
