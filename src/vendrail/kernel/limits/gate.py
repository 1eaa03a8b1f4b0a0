"""Who must show a proof of work: nobody, until orders come too fast or answers too late."""

from collections.abc import Callable
from typing import NamedTuple

from vendrail.kernel.clock import Clock
from vendrail.kernel.limits import TokenBuckets
from vendrail.kernel.limits.proofs import Challenge, Proofs
from vendrail.kernel.telemetry.metrics import Metrics


class Judgement(NamedTuple):
    """Whether this face asks for a proof, and whether a good one was shown."""

    is_wanted: bool
    is_proven: bool


class Gate:
    """Stands before the orders of one face. A product's own pressure is the orders' to tell."""

    def __init__(
        self,
        proofs: Proofs,
        clock: Clock,
        *,
        free_per_minute: int,
        is_strained: Callable[[], bool] = lambda: False,
        metrics: Metrics | None = None,
    ) -> None:
        self._proofs = proofs
        self._clock = clock
        self._is_strained = is_strained
        self._metrics = metrics
        for outcome in ("wanted", "good", "refused"):
            self._count(outcome, by=0)
        self._free = (
            TokenBuckets(free_per_minute / 60, free_per_minute) if free_per_minute else None
        )

    async def judge(self, key: str, payload: str) -> Judgement:
        """Take what was sent as a proof, if anything; `key` names the network address."""
        if payload:
            is_good = await self._proofs.accept(payload)
            self._count("good" if is_good else "refused")
            return Judgement(is_wanted=True, is_proven=is_good)
        is_fast = self._free is not None and self._free.take(key, self._clock.now().timestamp()) > 0
        return Judgement(is_wanted=is_fast or self._is_strained(), is_proven=False)

    def challenge(self) -> Challenge:
        """Set a challenge for whoever was told that a proof is wanted."""
        self._count("wanted")
        return self._proofs.challenge()

    def _count(self, outcome: str, *, by: int = 1) -> None:
        if self._metrics is not None:
            self._metrics.count("vendrail_proofs_total", outcome, by=by)
