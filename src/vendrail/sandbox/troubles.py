"""How an emulated provider carries out the trouble that was ordered for a request."""

from collections.abc import Mapping

from litestar import Response

from vendrail.kernel.clock import Clock
from vendrail.sandbox.faults import GATEWAY_KINDS, Fault, FaultKind, Faults


class Troubles:
    """The trouble of one request: before its work, instead of it, and after it."""

    def __init__(self, faults: Faults, clock: Clock, number: str, account: str, door: str) -> None:
        taken = faults.take(GATEWAY_KINDS, number, account, door)
        self.by_kind: Mapping[FaultKind, Fault] = {fault.kind: fault for fault in taken}
        self._clock = clock

    @property
    def is_lost_before(self) -> bool:
        """Tell whether the request is to be lost before anything is done."""
        kinds = (FaultKind.GATEWAY_DOWN, FaultKind.QUERY_UNKNOWN, FaultKind.BUSINESS_ERROR)
        return any(
            kind in self.by_kind and not self.by_kind[kind].params.is_after for kind in kinds
        )

    async def begin(self) -> None:
        """Be slow before the work."""
        await self._be_slow(is_after=False)

    async def end(self) -> Response[bytes] | None:
        """Be slow after the work, or be away instead of answering."""
        await self._be_slow(is_after=True)
        if down := self.by_kind.get(FaultKind.GATEWAY_DOWN):
            await self._clock.sleep(down.params.timeout_s)
            return Response(b"Service Unavailable", status_code=down.params.status)
        return None

    async def _be_slow(self, *, is_after: bool) -> None:
        slow = self.by_kind.get(FaultKind.SLOW)
        if slow is not None and slow.params.is_after == is_after:
            delay_s = slow.params.delay_s
            await self._clock.sleep(1.0 if delay_s is None else delay_s)
