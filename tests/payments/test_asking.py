"""Asking, closing and refunding at a provider that does not always answer."""

import asyncio

import pytest
from tests.payments.conftest import number_of, open_shop

from vendrail.api.payments import PaymentCaptured, PresentRequest, Refund, RefundSettled
from vendrail.kernel.ids import new_id
from vendrail.payments.jobs import jobs


async def test_closing_stops_payment_at_the_provider(shop):
    """After closing, the provider takes no money, and nobody is shown how to pay."""
    attempt = await shop.shown()

    assert ["closed"] == await shop.payments.close_attempts([attempt.order])
    assert "TRADE_CLOSED" == shop.alipay.trade(shop.app_id, number_of(attempt))["status"]
    assert ["closed"] == await shop.payments.close_attempts([attempt.order])
    ((view,),) = await shop.payments.read_attempts([attempt.order])
    assert "closed" == view.state


async def test_closing_finds_the_money_that_came(shop):
    """An order whose callback was lost is found paid when it is closed, not closed."""
    attempt = await shop.shown()
    second = await shop.shown(order=attempt.order, number=2)
    await shop.pay(attempt)

    assert ["captured"] == await shop.payments.close_attempts([attempt.order])
    assert [attempt.id] == [event.capture.attempt for event in await shop.events()]
    views = (await shop.payments.read_attempts([attempt.order]))[0]
    assert [("captured", attempt.id), ("closed", second.id)] == [
        (view.state, view.attempt.id) for view in views
    ]


async def test_closing_assumes_nothing_of_a_silent_provider(shop):
    """No answer is unknown, never closed; asked again, it ends."""
    attempt = await shop.shown()
    shop.alipay.fault("gateway_down", count=2)

    assert ["unknown"] == await shop.payments.close_attempts([attempt.order])
    assert ["closed"] == await shop.payments.close_attempts([attempt.order])


async def test_closing_what_was_never_opened_keeps_watching(local_shop, service, clock):
    """A page that the buyer never opened is closed; should it be paid yet, asking finds it."""
    attempt = await local_shop.opened()
    await service.present_attempts([PresentRequest(attempt.id)])
    unseen = await local_shop.opened()

    assert ["closed", "closed", "closed"] == await service.close_attempts(
        [attempt.order, unseen.order, new_id(clock.now())]
    )
    await local_shop.sign(attempt)  # Paid after all; the callback is lost.
    clock.advance(6)
    await service.ask_presented()
    await service.ask_presented()
    assert [attempt.order] == [event.capture.order for event in await local_shop.events()]


async def test_showing_and_closing_exclude_each_other(local_shop, service, alipay, clock):
    """Fifty races between showing and closing: what is shown was never closed unasked."""
    attempts = [await local_shop.opened(method="alipay_qr") for _ in range(50)]

    async def race(attempt) -> tuple[str, str]:
        (action,), (status,) = await asyncio.gather(
            service.present_attempts([PresentRequest(attempt.id)]),
            service.close_attempts([attempt.order]),
        )
        return action.problem, status

    ended = await asyncio.gather(*(race(attempt) for attempt in attempts))
    assert {"closed"} == {status for _, status in ended}
    owner = await service._store._db._open_pool()
    finals = await owner.fetchval(
        "select count(*) from payments.closure x join payments.presentation p using (attempt_id)"
        " where x.is_final"
    )
    assert 0 == finals


async def test_a_refund_whose_answer_was_lost_is_not_repeated(shop):
    """The provider did it and its answer was lost: asking what became of it finds out."""
    attempt = await shop.shown()
    await shop.pay(attempt)
    await shop.payments.query_attempts([attempt.id])
    ((capture,),) = await shop.payments.read_captures([attempt.order])
    match = {"method": "alipay.trade.refund"}
    shop.alipay.fault("gateway_down", match=match, params={"is_after": True})
    refund = Refund(new_id(shop.clock.now()), capture.id, 1230)

    assert ["succeeded"] == await shop.payments.request_refunds([refund])
    assert 1 == len(shop.alipay.trade(shop.app_id, number_of(attempt))["refunds"])


async def _paid(shop):
    attempt = await shop.shown()
    await shop.pay(attempt)
    await shop.payments.query_attempts([attempt.id])
    ((capture,),) = await shop.payments.read_captures([attempt.order])
    return capture


async def test_a_pending_refund_is_asked_again_under_the_same_id(local_shop, service, clock):
    """A silent provider leaves it pending and counted; the job ends it, and tells."""
    capture = await _paid(local_shop)
    local_shop.alipay.fault("gateway_down", count=4)
    refund = Refund(new_id(clock.now()), capture.id, 1000)
    more = Refund(new_id(clock.now()), capture.id, 300)

    assert ["pending"] == await service.request_refunds([refund])
    assert ["pending", "more_than_captured"] == await service.request_refunds([refund, more])
    await service.ask_refunds()
    clock.advance(6)
    await service.ask_refunds()
    assert ["pending"] == await service.request_refunds([refund])
    clock.advance(31)
    await service.ask_refunds()
    assert ["succeeded"] == await service.request_refunds([refund])
    assert RefundSettled(refund.id, is_paid=True) == (await local_shop.events())[-1]
    clock.advance(90_000)
    await service.ask_refunds()
    assert 2 == len(await local_shop.events())


@pytest.mark.parametrize(
    "sub_code,status",
    [
        ("ACQ.TRADE_HAS_FINISHED", "failed"),
        ("ACQ.SELLER_BALANCE_NOT_ENOUGH", "pending"),
        ("ACQ.SYSTEM_ERROR", "pending"),
    ],
)
async def test_only_a_refusal_for_good_fails_a_refund(local_shop, sub_code, status):
    """What could succeed later stays pending; what failed frees the amount."""
    capture = await _paid(local_shop)
    match = {"method": "alipay.trade.refund"}
    local_shop.alipay.fault("business_error", match=match, params={"sub_code": sub_code})
    refund = Refund(new_id(local_shop.clock.now()), capture.id, 1230)
    again = Refund(new_id(local_shop.clock.now()), capture.id, 1230)

    assert [status] == await local_shop.payments.request_refunds([refund])
    expected = "succeeded" if status == "failed" else "more_than_captured"
    assert [expected] == await local_shop.payments.request_refunds([again])


async def test_rivals_never_refund_more_than_was_captured(local_shop, make_service):
    """Fifty tasks of two processes ask for parts of one capture: no more goes back than came."""
    capture = await _paid(local_shop)
    second = await make_service()
    refunds = [Refund(new_id(local_shop.clock.now()), capture.id, 100) for _ in range(50)]

    statuses = await asyncio.gather(
        *(
            (local_shop.payments if index % 2 else second).request_refunds([refund])
            for index, refund in enumerate(refunds)
        )
    )
    assert 12 == sum(status == ["succeeded"] for status in statuses)
    assert 38 == sum(status == ["more_than_captured"] for status in statuses)


async def test_jobs_ask_confirm_and_refund_by_themselves(make_service, key_app, alipay, clock):
    """With the loops running, a lost callback, a large capture and a refund end by themselves."""
    service = await make_service(confirm_above_minor=2000)
    shop = await open_shop(service, key_app, alipay, clock)
    running = [asyncio.create_task(job.run()) for job in jobs(service)]
    try:
        large = await shop.opened(2001)
        await shop.tell(*await shop.sign(large))
        lost = await shop.shown()
        await shop.pay(lost)
        clock.advance(6)
        told: list[PaymentCaptured] = []
        for _ in range(200):
            told = await shop.events()
            if len(told) == 2:
                break
            await asyncio.sleep(0.1)
        assert {large.order, lost.order} == {event.capture.order for event in told}
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_old_evidence_is_forgotten(local_shop, service, clock, database_url):
    """Raw callbacks are kept for so many days and then dropped; captures stay."""
    capture = await local_shop.captured()
    pool = await service._store._db._open_pool()
    count = "select count(*) from payments.inbox"

    assert not await service.forget_callbacks()
    assert 1 == await pool.fetchval(count)
    clock.advance(181 * 86_400)
    assert not await service.forget_callbacks()
    assert 0 == await pool.fetchval(count)
    assert [[capture]] == await local_shop.payments.read_captures([capture.order])


async def test_a_renewed_certificate_is_fetched(make_service, alipay_alone, clock):
    """After Alipay renewed its certificate queries still answer, and its callbacks are taken."""
    service = await make_service()
    shop = await open_shop(service, alipay_alone.register("cert"), alipay_alone, clock)
    first, second = await shop.shown(), await shop.opened()
    await shop.pay(first)
    alipay_alone.post("/sandbox/alipay/renew-certificate", {})
    told = await shop.sign(second)

    before = await shop.tell(*told)
    await service.query_attempts([first.id])
    after = await shop.tell(*told)

    assert ([b"failure"], [b"success"]) == (before, after)
    assert [first.order, second.order] == [event.capture.order for event in await shop.events()]
