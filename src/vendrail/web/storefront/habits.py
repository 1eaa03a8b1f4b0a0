"""Habits: the way to pay that last succeeded in this browser comes first the next time.

The browser alone keeps it: which order it last opened a way for, and what was paid with. Nobody is
asked while one way was opened and the order's page shows that it is paid; else the attempts say.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from litestar.datastructures import Cookie

from vendrail.api.orders import OrderView
from vendrail.api.payments import AttemptState, AttemptView
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.ids import from_serial
from vendrail.web.visitor import Visitor, Visitors

HABIT = "vr_habit"
TRIED = "vr_tried"

_METHOD = re.compile(r"[a-z0-9_]{1,64}")
_SEVERAL = "*"
_PATIENCE = timedelta(hours=1)  # So long after a way's end its money may still arrive.

ReadAttempts = Callable[[UUID], Awaitable[Sequence[AttemptView]]]


class _Tried(NamedTuple):
    """The order that a way was last opened for, and the way; `*`: there were several."""

    order: UUID
    serial: str
    method: str


class Habits:
    """Reads what a browser remembers, and gives what it is to remember."""

    def __init__(self, visitors: Visitors, clock: Clock, attempts: ReadAttempts) -> None:
        self._visitors = visitors
        self._clock = clock
        self._attempts = attempts

    @staticmethod
    def of(visitor: Visitor) -> str:
        """Name the method that last succeeded, or nothing."""
        method = visitor.cookies.get(HABIT, "")
        return method if _METHOD.fullmatch(method) else ""

    def opened(self, visitor: Visitor, serial: str, method: str) -> Cookie:
        """Remember that a way was opened for an order."""
        before = _tried(visitor)
        is_other = before is not None and before.serial == serial and before.method != method
        return self._visitors.cookie(TRIED, f"{serial}.{_SEVERAL if is_other else method}")

    async def paid(self, visitor: Visitor, view: OrderView) -> list[Cookie]:
        """Learn from an order's page, once it shows that it is paid."""
        tried = _tried(visitor)
        if tried is None or tried.order != view.id or view.paid_at is None:
            return []
        if tried.method != _SEVERAL:
            return self._learned(visitor, tried.method)
        return await self.learn(visitor)

    async def learn(self, visitor: Visitor) -> list[Cookie]:
        """Learn what became of the order that a way was last opened for."""
        tried = _tried(visitor)
        if tried is None:
            return []
        try:
            attempts = await self._attempts(tried.order)
        except Unavailable:  # No page waits for what only orders its choices.
            return []
        for each in attempts:
            if each.state is AttemptState.CAPTURED:
                return self._learned(visitor, each.attempt.method)
        latest = max((each.attempt.expires_at for each in attempts), default=None)
        is_over = latest is None or latest + _PATIENCE < self._clock.now()
        return [self._visitors.dropped(TRIED)] if is_over else []

    def _learned(self, visitor: Visitor, method: str) -> list[Cookie]:
        visitor.cookies[HABIT] = method
        return [self._visitors.cookie(HABIT, method), self._visitors.dropped(TRIED)]


def _tried(visitor: Visitor) -> _Tried | None:
    serial, _, method = visitor.cookies.get(TRIED, "").partition(".")
    if method != _SEVERAL and not _METHOD.fullmatch(method):
        return None
    try:
        return _Tried(from_serial(serial), serial, method)
    except Malformed:
        return None
