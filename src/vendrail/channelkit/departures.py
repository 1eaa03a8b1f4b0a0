"""Money that goes back: once for each refund, never more than came, and doubt stays doubt."""

from vendrail.api.payments import Refund, RefundId
from vendrail.channelkit.bench import Operation, Sale, Trouble
from vendrail.channelkit.rig import Rig
from vendrail.kernel.ids import new_id

_ROUNDS = 4  # Of asking again, each an hour after the last.


async def _ask_on(rig: Rig, refund: Refund) -> str:
    """Ask again until it is known how a refund ended, or for a good while."""
    for _ in range(_ROUNDS):
        await rig.bench.carry_out(rig.service, rig.account.id)
        rig.clock.advance(4_000)
        await rig.service.ask_refunds()
    (status,) = await rig.service.request_refunds([refund])
    return str(status)


class Departures:
    """What holds while money goes back."""

    async def _refund(self, rig: Rig, part_minor: int | None = None) -> tuple[Sale, Refund]:
        sale, capture = await rig.captured()
        amount_minor = part_minor or capture.amount_minor
        return sale, Refund(RefundId(new_id(rig.clock.now())), capture.id, amount_minor, "dead key")

    async def test_x26_refunds_are_idempotent_up_to_the_exact_remainder(self, rig: Rig) -> None:
        """A part, the same part again, and the rest go back once each; or it is said to be no."""
        sale, part = await self._refund(rig, 300)
        if not rig.bench.can_refund:
            assert ["failed"] == await rig.service.request_refunds([part])
            assert 0 == await rig.bench.returned_minor(sale)
            return
        rest = Refund(RefundId(new_id(rig.clock.now())), part.capture, sale.amount_minor - 300, "")
        one_more = Refund(RefundId(new_id(rig.clock.now())), part.capture, 1, "")

        for refund in (part, part, rest, rest):
            (status,) = await rig.service.request_refunds([refund])
            ended = await _ask_on(rig, refund) if status == "pending" else status
            assert "succeeded" == ended
        assert ["more_than_captured"] == await rig.service.request_refunds([one_more])
        assert sale.amount_minor == await rig.bench.returned_minor(sale)

    async def test_a_refund_whose_answer_was_lost_moves_money_once(self, rig: Rig) -> None:
        """The provider did it and could not say so: it is never done twice, and found by asking."""
        sale, refund = await self._refund(rig, 300)
        if not await rig.bench.trouble(Trouble.LOST, Operation.REFUND):
            return

        (status,) = await rig.service.request_refunds([refund])
        assert status in {"pending", "succeeded"}
        assert "succeeded" == await _ask_on(rig, refund)
        assert 300 == await rig.bench.returned_minor(sale)

    async def test_a_refund_that_never_arrived_is_not_taken_for_done(self, rig: Rig) -> None:
        """While the provider is away nothing is known; what it says afterwards is what happened."""
        sale, refund = await self._refund(rig, 300)
        if not await rig.bench.trouble(Trouble.AWAY, Operation.REFUND):
            return

        (status,) = await rig.service.request_refunds([refund])
        assert "pending" == status
        ended = await _ask_on(rig, refund)
        assert ended in {"succeeded", "failed"}
        assert (300 if ended == "succeeded" else 0) == await rig.bench.returned_minor(sale)

    async def test_an_unknown_refund_stays_unknown(self, rig: Rig) -> None:
        """As long as the provider says nothing clear a refund neither ends nor goes out twice."""
        sale, refund = await self._refund(rig, 300)
        if not await rig.bench.trouble(Trouble.LOST, Operation.REFUND, count=0):
            return
        assert await rig.bench.trouble(Trouble.UNCLEAR, Operation.REFUND_QUERY, count=0)

        assert ["pending"] == await rig.service.request_refunds([refund])
        assert "pending" == await _ask_on(rig, refund)
        assert 300 == await rig.bench.returned_minor(sale)
        await rig.bench.calm()
        assert "succeeded" == await _ask_on(rig, refund)
        assert 300 == await rig.bench.returned_minor(sale)
