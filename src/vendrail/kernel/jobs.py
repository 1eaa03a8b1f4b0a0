"""Background loops: a service names its jobs, the wiring starts and stops them."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One loop that runs until it is cancelled; cancelling it loses nothing."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
