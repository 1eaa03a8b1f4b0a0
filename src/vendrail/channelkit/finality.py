"""Beside the sale: statements, payouts, and money that is seen before it is final."""

from datetime import timedelta

from vendrail.channelkit.bench import Operation, Trouble
from vendrail.channelkit.rig import Rig
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.payments.channels.base import PayoutAsk, PayoutChannel, PayoutOutcome
from vendrail.payments.channels.statements import StatementChannel, StatementKind, StatementOutcome

_WRITING_TRIES, _WRITING_S = 40, 0.25


class Finality:
    """What holds for what only some channels do; for the others there is nothing to hold."""

    async def test_x24_money_counts_when_it_is_final(self, rig: Rig) -> None:
        """What is only seen is no money, what vanished never was, what is final is captured."""
        if not rig.bench.is_chain:
            return
        (kept, sale), (lost, vanishing) = await rig.sale(), await rig.sale()
        await rig.bench.see(sale)
        await rig.bench.see(vanishing)

        assert ["open", "open"] == await rig.service.query_attempts([kept.id, lost.id])
        await rig.bench.settle(sale)
        await rig.bench.undo(vanishing)
        assert ["captured", "open"] == await rig.service.query_attempts([kept.id, lost.id])
        assert [kept.order] == [event.capture.order for event in await rig.captures()]

    async def test_a_statement_is_a_file_or_a_reason(self, rig: Rig) -> None:
        """Old days are told, the future is not ready, and a provider that is away is no answer."""
        channel = rig.channel
        if not isinstance(channel, StatementChannel):
            return
        account, now = await rig.opened_account(), rig.clock.now()
        for kind in StatementKind:
            long_ago = (now - timedelta(days=400)).date()
            old = await channel.download_statement(kind, long_ago, account, now)
            for _ in range(_WRITING_TRIES):  # Some providers begin to write when they are asked.
                if old.outcome is StatementOutcome.NOT_READY:
                    await rig.clock.sleep(_WRITING_S)
                    old = await channel.download_statement(kind, long_ago, account, now)
            coming = await channel.download_statement(
                kind, (now + timedelta(days=2)).date(), account, now
            )
            assert await rig.bench.trouble(Trouble.AWAY, Operation.STATEMENT)
            away = await channel.download_statement(
                kind, (now - timedelta(days=2)).date(), account, now
            )
            await rig.bench.calm()

            ends = {StatementOutcome.READY, StatementOutcome.NONE, StatementOutcome.UNSUPPORTED}
            assert old.outcome in ends
            assert coming.outcome in {StatementOutcome.NOT_READY, StatementOutcome.UNSUPPORTED}
            assert away.outcome in {StatementOutcome.UNKNOWN, StatementOutcome.UNSUPPORTED}
            for answer in (old, coming, away):
                is_ready = answer.outcome is StatementOutcome.READY
                assert is_ready == bool(answer.file and answer.name and answer.media_type)

    async def test_a_payout_moves_money_once(self, rig: Rig) -> None:
        """Told twice, or told again after its answer was lost, a payout goes out once."""
        channel, payee = rig.channel, await rig.bench.payee()
        if not isinstance(channel, PayoutChannel):
            return
        assert payee is not None
        assert payee.kind in channel.payee_kinds
        account = await rig.opened_account()
        number = f"P{new_id(rig.clock.now()).hex[:27]}"
        ask = PayoutAsk(number, payee, 500, rig.bench.currency, "settlement")

        before = await channel.query_payout(ask, account, rig.clock.now())
        assert PayoutOutcome.NOT_FOUND is before.outcome
        assert await rig.bench.trouble(Trouble.LOST, Operation.PAYOUT)
        lost = await channel.pay_out(ask, account, rig.clock.now())
        assert PayoutOutcome.UNKNOWN is lost.outcome
        again = await channel.pay_out(replace(ask, tries=1), account, rig.clock.now())
        found = await channel.query_payout(ask, account, rig.clock.now())
        ends = {PayoutOutcome.SUCCEEDED, PayoutOutcome.PENDING}
        assert again.outcome in ends | {PayoutOutcome.UNKNOWN}
        assert found.outcome in ends
        assert found.provider_number
        assert 500 == await rig.bench.paid_out_minor(number)

    async def test_a_payout_without_an_answer_is_unknown(self, rig: Rig) -> None:
        """While the provider is away or unclear a payout has neither happened nor failed."""
        channel, payee = rig.channel, await rig.bench.payee()
        if not isinstance(channel, PayoutChannel) or payee is None:
            return
        account = await rig.opened_account()
        number = f"P{new_id(rig.clock.now()).hex[:27]}"
        ask = PayoutAsk(number, payee, 500, rig.bench.currency, "settlement")
        for trouble in (Trouble.AWAY, Trouble.UNCLEAR):
            for operation in (Operation.PAYOUT, Operation.PAYOUT_QUERY):
                assert await rig.bench.trouble(trouble, operation)
            told = await channel.pay_out(ask, account, rig.clock.now())
            asked = await channel.query_payout(ask, account, rig.clock.now())
            await rig.bench.calm()

            assert PayoutOutcome.UNKNOWN is told.outcome
            assert PayoutOutcome.UNKNOWN is asked.outcome
        assert 0 == await rig.bench.paid_out_minor(number)
