"""Money that arrives: every way to pay leads to it, and whatever is told, it arrives once."""

import pytest

from vendrail.api.payments import Device, PaymentCaptured, UnmatchedQuery
from vendrail.channelkit.bench import Operation, Trouble, Twist
from vendrail.channelkit.rig import Rig
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id


class Arrivals:
    """What holds while buyers pay."""

    async def test_every_way_to_pay_opens_at_the_provider(self, rig: Rig) -> None:
        """Each offered way is one the provider takes, on every device, for the exact amount."""
        methods = await rig.methods()
        assert methods
        for method in methods:
            for device in (Device.DESKTOP, Device.MOBILE):
                attempt, sale = await rig.sale(method)
                action = await rig.present(attempt, device)

                assert not action.problem
                assert await rig.bench.open(action)
                assert sale.amount_minor == await rig.bench.known_minor(sale)

    async def test_a_callback_becomes_a_capture(self, rig: Rig) -> None:
        """What the buyer paid is captured with its number and amount, and told of once."""
        attempt, sale = await rig.sale()
        message = await rig.message(sale)

        assert [rig.channel.success_answer()] == await rig.tell(message)
        ((capture,),) = await rig.service.read_captures([attempt.order])
        assert (sale.amount_minor, sale.currency, "fits", attempt.id) == (
            capture.amount_minor,
            capture.currency,
            capture.fit,
            capture.attempt,
        )
        assert capture.provider_number
        assert [PaymentCaptured(capture)] == await rig.events()
        assert "captured" == await rig.state(attempt)

    async def test_asking_finds_what_was_paid(self, rig: Rig) -> None:
        """Before the buyer pays the provider says so, and afterwards it says how much."""
        attempt, sale = await rig.sale()
        assert await rig.bench.open(sale.action)

        assert ["open"] == await rig.service.query_attempts([attempt.id])
        await rig.bench.pay(sale)
        assert ["captured"] == await rig.service.query_attempts([attempt.id])
        ((capture,),) = await rig.service.read_captures([attempt.order])
        assert (sale.amount_minor, "fits", "query") == (
            capture.amount_minor,
            capture.fit,
            capture.source,
        )

    async def test_a_callback_and_a_query_are_one_capture(self, rig: Rig) -> None:
        """Found by asking and told afterwards, or the other way round: the same money."""
        attempt, sale = await rig.sale()
        message = await rig.message(sale)

        assert ["captured"] == await rig.service.query_attempts([attempt.id])
        assert [rig.channel.success_answer()] == await rig.tell(message)
        assert ["captured"] == await rig.service.query_attempts([attempt.id])
        assert 1 == len(await rig.events())

    async def test_x2_x3_replays_are_one_capture_and_are_answered_with_success(
        self, rig: Rig
    ) -> None:
        """Ten times in a batch, and again later, and told anew: success, and one event."""
        _, sale = await rig.sale()
        message = await rig.message(sale)
        success = rig.channel.success_answer()

        assert [success] * 10 == await rig.hear(*[message] * 10)
        await rig.service.confirm_captures()
        assert [success] == await rig.tell(message)
        assert [success] == await rig.tell(await rig.message(sale))
        assert 1 == len(await rig.events())

    async def test_x4_success_is_said_only_after_commit(self, rig: Rig) -> None:
        """When the commit fails nobody hears success, and the next try is taken as the first."""
        attempt, sale = await rig.sale()
        message = await rig.message(sale)
        await rig.owner.execute(
            "create function payments.fail() returns trigger language plpgsql as"
            " $$ begin raise exception 'the disk is gone' using errcode = '58030'; end $$"
        )
        for table in ("claim", "capture"):
            await rig.owner.execute(
                f"create constraint trigger fail after insert on payments.{table}"
                " deferrable initially deferred for each row execute function payments.fail()"
            )

        with pytest.raises(Exception, match="the disk is gone"):
            await rig.hear(message)
        assert [[]] == await rig.service.read_captures([attempt.order])
        assert [] == await rig.events()
        for table in ("claim", "capture"):
            await rig.owner.execute(f"drop trigger fail on payments.{table}")
        assert [rig.channel.success_answer()] == await rig.tell(message)
        assert 1 == len(await rig.events())

    async def test_x7_a_late_payment_is_taken(self, rig: Rig) -> None:
        """Money for an order whose time was over when it was told is still money, and fits."""
        attempt, sale = await rig.sale()
        message = await rig.message(sale)
        await rig.owner.execute("update payments.attempt set expires_at = opened_at")

        assert [rig.channel.success_answer()] == await rig.tell(message)
        assert ["fits"] == [event.capture.fit for event in await rig.captures()]
        assert "captured" == await rig.state(attempt)

    async def test_x8_x10_a_lost_callback_is_found_by_asking(self, rig: Rig) -> None:
        """What was shown is asked about by itself; nobody comes back, nobody calls."""
        attempt, sale = await rig.sale()
        await rig.service.ask_presented()  # Makes the marks.
        await rig.bench.pay(sale)
        rig.clock.advance(6)

        await rig.service.ask_presented()
        ((capture,),) = await rig.service.read_captures([attempt.order])
        assert ("fits", "query") == (capture.fit, capture.source)
        assert 1 == len(await rig.events())

    async def test_x9_another_try_does_not_strand_the_first(self, rig: Rig) -> None:
        """A buyer who pays an abandoned try, and then the newer one too, has paid twice."""
        first, abandoned = await rig.sale()
        second, newer = await rig.sale(order=first.order, number=2)
        await rig.bench.pay(abandoned)
        assert ["captured"] == await rig.service.query_attempts([first.id])
        await rig.bench.pay(newer)
        assert ["captured"] == await rig.service.query_attempts([second.id])

        (captures,) = await rig.service.read_captures([first.order])
        assert {first.id, second.id} == {capture.attempt for capture in captures}
        assert ["fits", "fits"] == [capture.fit for capture in captures]
        assert 2 == len({capture.provider_number for capture in captures})

    @pytest.mark.parametrize("twist", [Twist.LESS, Twist.MORE])
    async def test_x11_a_wrong_amount_does_not_pay(self, rig: Rig, twist: Twist) -> None:
        """One unit less, or more: the money is kept and waits for a person, the order is unpaid."""
        attempt, sale = await rig.sale()
        message = await rig.message(sale, twist)

        assert [rig.channel.success_answer()] == await rig.tell(message)
        (event,) = await rig.captures()
        more = 1 if twist is Twist.MORE else -1
        assert ("amount_differs", sale.amount_minor + more) == (
            event.capture.fit,
            event.capture.amount_minor,
        )
        assert "captured" != await rig.state(attempt)
        ((waiting,),) = await rig.service.list_unmatched([UnmatchedQuery()])
        assert event.capture.id == waiting.id

    async def test_x12_another_currency_does_not_pay(self, rig: Rig) -> None:
        """The same number in another currency goes to the desk, not to the order."""
        attempt, sale = await rig.sale()

        await rig.tell(await rig.message(sale, Twist.CURRENCY))
        assert {"currency_differs"} == {event.capture.fit for event in await rig.captures()}
        assert "captured" != await rig.state(attempt)

    async def test_x12_money_of_another_account_is_refused(self, rig: Rig) -> None:
        """Money of somebody else, though the provider signed it, is refused, and nowhere ours."""
        attempt, sale = await rig.sale()

        answers = await rig.tell(await rig.message(sale, Twist.ACCOUNT))
        assert [rig.channel.failure_answer()] == answers
        assert [] == await rig.events()
        assert [[]] == await rig.service.read_captures([attempt.order])
        assert [[]] == await rig.service.list_unmatched([UnmatchedQuery()])

    async def test_x12_another_status_is_no_money(self, rig: Rig) -> None:
        """An order that waits is not paid, told before the money or, out of order, after it."""
        attempt, sale = await rig.sale()
        waiting = await rig.message(sale, Twist.UNPAID)
        assert [rig.channel.success_answer()] == await rig.hear(waiting)
        assert [] == await rig.events()

        await rig.tell(await rig.message(sale))
        assert [rig.channel.success_answer()] == await rig.tell(waiting)
        assert 1 == len(await rig.events())
        assert "captured" == await rig.state(attempt)

    async def test_x13_forged_callbacks_change_nothing(self, rig: Rig) -> None:
        """Changed, unsigned or signed by another: refused without a trace; then the good one."""
        _, sale = await rig.sale()
        good = await rig.message(sale)
        forged = list(rig.bench.forgeries(good))
        assert len(forged) >= 5

        answers = await rig.hear(*forged)
        assert [rig.channel.failure_answer()] * len(forged) == answers
        await rig.service.confirm_captures()
        assert [] == await rig.events()
        assert 0 == await rig.owner.fetchval("select count(*) from payments.claim")
        assert [rig.channel.success_answer()] == await rig.tell(good)
        assert 1 == len(await rig.events())

    async def test_x13_an_inactive_or_unknown_account_takes_no_callback(self, rig: Rig) -> None:
        """An account that was turned off, or never was, proves nothing."""
        _, sale = await rig.sale()
        message = await rig.message(sale)
        off = replace(rig.account, is_active=False)
        assert ["changed"] == await rig.service.put_channels([off])

        answers = [
            *await rig.hear(message),
            *await rig.hear(message, at=new_id(rig.clock.now())),
        ]
        assert [404, 404] == [answer.status_code for answer in answers]
        assert rig.channel.success_answer().body not in {answer.body for answer in answers}
        assert [] == await rig.events()

    async def test_x13_a_callback_counts_only_at_its_own_account(self, rig: Rig) -> None:
        """Who holds the key of one account cannot pay what was asked through another."""
        second = await rig.add_account("zz-second", await rig.bench.other_settings())
        attempt, sale = await rig.sale()
        message = await rig.message(sale)

        await rig.tell(message, at=second.id)
        assert [] == await rig.events()
        assert [[]] == await rig.service.read_captures([attempt.order])
        assert [rig.channel.success_answer()] == await rig.tell(message)
        assert 1 == len(await rig.events())

    async def test_x14_what_the_provider_denies_is_no_money(self, rig: Rig) -> None:
        """Above the limit the provider is asked, and what it denies is never told as paid."""
        careful = await rig.make_service(confirm_above_minor=1)
        attempt, sale = await rig.sale()
        message = await rig.message(sale)
        assert await rig.bench.trouble(Trouble.DENIES, Operation.QUERY, count=0)

        rig.service = careful
        await rig.tell(message)
        for _ in range(4):
            rig.clock.advance(3_600)
            await careful.confirm_captures()
        assert [] == await rig.events()
        assert [[]] == await careful.read_captures([attempt.order])

        await rig.bench.calm()
        assert ["captured"] == await careful.query_attempts([attempt.id])
        assert [attempt.order] == [event.capture.order for event in await rig.captures()]
