"""Fail-over: another channel opens the payment in the same click, and nobody pays twice."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.payments.conftest import Shop, channel_of

from vendrail.api.payments import (
    CaptureReport,
    CaptureSource,
    PresentRequest,
    RoutingRule,
    RuleEffect,
    RuleId,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.payments.channels.alipay import AlipayChannel
from vendrail.payments.channels.base import CloseOutcome, QueryAnswer, QueryOutcome, away, registry

AWAY = "http://127.0.0.1:1/"


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """A provider that takes a call and never answers."""
    lines = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(writer)
        await reader.read()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    for writer in lines:
        writer.close()
    server.close()
    await server.wait_closed()


async def two_accounts(service, app, alipay, clock, gateway: str | None = None) -> Shop:
    """A marketplace whose first account is pinned, at a gateway as told, and a second."""
    first = channel_of(app, alipay.url, "first")
    if gateway is not None:
        first = replace(first, settings=first.settings | {"gateway_url": gateway})
    second = channel_of(alipay.register(), alipay.url, "second")
    assert ["created"] * 2 == await service.put_channels([first, second])
    pin = RoutingRule(RuleId(new_id(clock.now())), RuleEffect.PIN, first.id)
    assert ["created"] == await service.put_rules([pin])
    shop = Shop(service, first, alipay, clock)
    shop.second = Shop(service, second, alipay, clock)
    return shop


async def click(shop: Shop, attempt):
    """Open the way to pay."""
    [action] = await shop.payments.present_attempts([PresentRequest(attempt.id)])
    return action


async def ways(shop: Shop, attempt) -> list:
    """List an order's attempts: channel and state."""
    [views] = await shop.payments.read_attempts([attempt.order])
    return [(each.attempt.channel, each.state.value) for each in views]


@pytest.mark.parametrize("is_slow", [False, True], ids=["away", "silent"])
async def test_a_click_goes_on_to_the_next_channel(
    is_slow, make_service, key_app, alipay, clock, silent
):
    """Away or silent, the first is passed by; the money over the second is the order's."""
    service = await make_service(provider_timeout_s=3_600, opening_budget_s=3.0)
    shop = await two_accounts(service, key_app, alipay, clock, silent if is_slow else AWAY)
    attempt = await shop.opened(method="alipay_qr")
    action = await click(shop, attempt)
    [views] = await service.read_attempts([attempt.order])
    other = views[-1].attempt
    [route] = await service.read_routes([other.id])
    await asyncio.to_thread(alipay.open, action.text)
    await shop.second.tell(*await shop.second.sign(other), channel=shop.second.channel.id)

    assert ("qr", other.id) == (action.kind, action.attempt)
    assert [(shop.channel.id, "open"), (shop.second.channel.id, "captured")] == (
        await ways(shop, attempt)
    )
    assert ("failed_over", "tried") == (
        route.reason,
        next(each.fate for each in route.options if each.channel == shop.channel.id),
    )


async def test_clicking_again_opens_no_third_way(make_service, key_app, alipay, clock):
    """Whoever clicks again gets the way that took over, not one more."""
    service = await make_service()
    shop = await two_accounts(service, key_app, alipay, clock, AWAY)
    attempt = await shop.opened(method="alipay_qr")
    first, again = await click(shop, attempt), await click(shop, attempt)

    assert (first.text, first.attempt) == (again.text, again.attempt)
    assert 2 == len(await ways(shop, attempt))


async def test_nobody_left_is_said(make_service, key_app, alipay, clock):
    """Where every channel fails the buyer is told so, and may try again later."""
    service = await make_service()
    shop = await two_accounts(service, key_app, alipay, clock, AWAY)
    dead = replace(
        shop.second.channel, settings=shop.second.channel.settings | {"gateway_url": AWAY}
    )
    assert ["changed"] == await service.put_channels([dead])
    attempt = await shop.opened(method="alipay_qr")
    action = await click(shop, attempt)
    assert ["changed"] == await service.put_channels([shop.second.channel])
    later = await click(shop, attempt)

    assert ("none", "provider_away") == (action.kind, action.problem)
    assert "qr" == later.kind


async def test_a_named_channel_is_never_left(make_service, key_app, alipay, clock):
    """Whoever named the channel gets it or nothing."""
    service = await make_service()
    shop = await two_accounts(service, key_app, alipay, clock, AWAY)
    attempt = await shop.opened(method="alipay_qr", channel=shop.channel.id)
    action = await click(shop, attempt)

    assert "provider_away" == action.problem
    assert [(shop.channel.id, "open")] == await ways(shop, attempt)


class Moody(AlipayChannel):
    """A provider that speaks as Alipay does, and fails when told to."""

    kind = "moody"

    def __init__(self) -> None:
        self.is_away = False
        self.said: QueryAnswer | None = None
        self.closed: list[str] = []

    async def present(self, asks, account, now):
        """Fail, or not."""
        if self.is_away:
            return [away() for _ in asks]
        return await super().present(asks, account, now)

    async def query(self, ask, account, now):
        """Say what was told to be said."""
        return self.said or await super().query(ask, account, now)

    async def close(self, ask, account, now):
        """Close nothing."""
        self.closed.append(ask.out_trade_no)
        return CloseOutcome.UNKNOWN


@pytest.fixture
def moody() -> Iterator[Moody]:
    """The provider is installed."""
    channel = registry()["moody"] = Moody()
    yield channel
    del registry()["moody"]


@pytest.fixture
async def seen(moody, make_service, key_app, alipay, clock):
    """An attempt that its buyer has seen, whose provider is away when it is clicked again."""
    service = await make_service()
    shop = await two_accounts(service, key_app, alipay, clock)
    account = replace(shop.channel, id=new_id(clock.now()), name="moody", kind="moody")
    assert ["created"] == await service.put_channels([account])
    [pin] = await service.list_rules()
    await service.drop_rules([pin.id])
    pin = replace(pin, id=RuleId(new_id(clock.now())), channel=account.id)
    assert ["created"] == await service.put_rules([pin])
    off = replace(shop.channel, is_active=False)
    assert ["changed"] == await service.put_channels([off])
    moody_shop = Shop(service, account, alipay, clock)
    attempt = await moody_shop.opened()
    assert "redirect" == (await click(moody_shop, attempt)).kind
    moody.is_away = True
    return moody_shop, attempt


async def test_an_unknown_is_not_retried_elsewhere(seen, moody):
    """The buyer may have paid what was seen: while the provider says nothing, nothing moves."""
    shop, attempt = seen
    moody.said = QueryAnswer(QueryOutcome.UNKNOWN)
    action = await click(shop, attempt)

    assert ("none", "provider_away") == (action.kind, action.problem)
    assert [(shop.channel.id, "open")] == await ways(shop, attempt)


async def test_what_is_not_paid_moves_on(seen, moody):
    """Asked, the provider knows of no payment: another channel takes over."""
    shop, attempt = seen
    moody.said = QueryAnswer(QueryOutcome.NOT_FOUND)
    action = await click(shop, attempt)

    assert "redirect" == action.kind
    assert None is not action.attempt
    assert 2 == len(await ways(shop, attempt))


async def test_what_is_paid_stays(seen, moody, clock):
    """Asked, the provider says that it is paid: nothing is opened, and the money is recorded."""
    shop, attempt = seen
    moody.said = QueryAnswer(
        QueryOutcome.PAID, "2026", attempt.amount_minor, "CNY", clock.now(), ""
    )
    action = await click(shop, attempt)

    assert ("none", "captured") == (action.kind, action.problem)
    assert [(shop.channel.id, "captured")] == await ways(shop, attempt)


# The breaker, in simulated time.


async def test_traffic_leaves_a_dead_provider_and_comes_back(make_service, key_app, alipay, clock):
    """Ten seconds after a provider died none is sent there, every click being served meanwhile.

    A minute after it is back it is in the running again, by itself. There are two clicks a second,
    and time is simulated: between clicks the clock moves, and the jobs run as they would.
    """
    service = await make_service(breaker_failures=3)
    shop = await two_accounts(service, key_app, alipay, clock)
    dead = replace(shop.channel, settings=shop.channel.settings | {"gateway_url": AWAY})

    async def pay(attempt) -> None:
        """Let the bill say that an order's last attempt was paid."""
        [views] = await service.read_attempts([attempt.order])
        last = views[-1]
        report = CaptureReport(
            last.attempt.channel,
            last.out_trade_no,
            last.out_trade_no,
            attempt.amount_minor,
            "CNY",
            clock.now(),
            CaptureSource.BILL,
        )
        assert ["recorded"] == await service.record_captures([report])

    async def run(seconds: int) -> list:
        """Let time pass with traffic; say how the first account came off, click by click."""
        seen = []
        for place in range(seconds * 2):
            attempt = await shop.opened(method="alipay_qr")
            assert "qr" == (await click(shop, attempt)).kind
            await pay(attempt)
            [route] = await service.read_routes([attempt.id])
            seen += [each for each in route.options if each.channel == shop.channel.id]
            clock.advance(0.5)
            if place % 10 == 9:
                await service.note_health()
        return seen

    before = await run(10)
    await service.put_channels([dead])
    await run(10)
    gone = await run(10)
    await service.put_channels([shop.channel])
    for _ in range(12):
        clock.advance(5)
        await service.note_health()
    back = await run(5)

    assert {""} == {each.fate for each in before}
    assert all(each.share_ppm > 0 for each in before)
    assert {""}.isdisjoint(each.fate for each in gone)
    assert {0} == {each.share_ppm for each in gone}
    assert {""} == {each.fate for each in back}
    assert all(each.share_ppm > 0 for each in back)
