"""How late the event loop is: what holds it up holds up everybody."""

import asyncio
from collections import deque
from time import perf_counter

from vendrail.kernel.telemetry.metrics import Metrics

_TICK_S = 0.5
_TICKS_KEPT = 20


async def watch_loop(metrics: Metrics) -> None:
    """Wake up twice a second and tell how late that was, at worst of the last ten seconds."""
    late_s: deque[float] = deque(maxlen=_TICKS_KEPT)
    while True:
        due = perf_counter() + _TICK_S
        await asyncio.sleep(_TICK_S)
        late_s.append(max(0.0, perf_counter() - due))
        metrics.put("vendrail_loop_lag_seconds", max(late_s))
