"""Background loops: a service names its jobs, the wiring starts and stops them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One loop that runs until it is cancelled; cancelling it loses nothing."""

    name: str
    run: Callable[[], Awaitable[None]]
