"""Payments that fail: told by the provider's signed callback, blamed on whom they belong to."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from tests.payments.conftest import Shop, open_shop

from vendrail.api.payments import PresentRequest
from vendrail.kernel.codec import replace
from vendrail.payments.channels.alipay import AlipayChannel
from vendrail.payments.channels.base import (
    Blame,
    CallbackFacts,
    CallbackKind,
    away,
    blame_of,
    registry,
)


class Declining(AlipayChannel):
    """A provider that speaks as Alipay does, and calls a closed trade a declined payment."""

    kind = "declining"
    blames: ClassVar = {"NO_MONEY": Blame.BUYER, "SYSTEM": Blame.CHANNEL}

    refused = ""  # With which code it refuses to make ways to pay.

    async def present(self, asks, account, now):
        """Make ways to pay, or refuse with a code."""
        if self.refused:
            return [away(said=self.refused) for _ in asks]
        return await super().present(asks, account, now)

    def read_callback(self, raw, settings, now):
        """Read as Alipay's."""
        facts = super().read_callback(raw, settings, now)
        if isinstance(facts, CallbackFacts) and facts.kind is CallbackKind.CLOSED:
            return replace(facts, kind=CallbackKind.FAILED, problem="NO_MONEY")
        return facts


@pytest.fixture
def declining() -> Iterator[Declining]:
    """The provider is installed."""
    registry()["declining"] = installed = Declining()
    yield installed
    del registry()["declining"]


@pytest.fixture
async def failing_shop(declining, payments, key_app, alipay, clock) -> Shop:
    """A marketplace with that provider."""
    shop = await open_shop(payments, key_app, alipay, clock)
    [account] = await payments.list_channels()
    other = replace(shop.channel, id=shop.attempt().id, name="declining", kind="declining")
    assert ["created"] == await payments.put_channels([other])
    assert ["changed"] == await payments.put_channels([replace(account, is_active=False)])
    return Shop(payments, other, alipay, clock)


async def fail(shop: Shop, attempt) -> None:
    """Have the provider tell that an attempt has failed."""
    failed = await shop.sign(attempt, trade_status="TRADE_CLOSED")
    assert [b"success"] == await shop.tell(*failed)


async def state(shop: Shop, attempt) -> str:
    """Give where an attempt stands."""
    ((view,),) = await shop.payments.read_attempts([attempt.order])
    return view.state.value


async def test_a_failure_is_told_once_and_closes_its_attempt(failing_shop):
    """An attempt that failed cannot be opened any more, and what failed is no money."""
    attempt = await failing_shop.opened()
    await fail(failing_shop, attempt)
    await fail(failing_shop, attempt)
    [action] = await failing_shop.payments.present_attempts([PresentRequest(attempt.id)])

    assert "failed" == await state(failing_shop, attempt)
    assert ("none", "closed") == (action.kind, action.problem)
    assert [[]] == await failing_shop.payments.read_captures([attempt.order])


async def test_money_after_a_failure_is_money(failing_shop):
    """A buyer who tries again on the provider's page and succeeds has paid."""
    attempt = await failing_shop.opened()
    paid = await failing_shop.sign(attempt)
    await fail(failing_shop, attempt)
    assert [b"success"] == await failing_shop.tell(*paid)

    assert "captured" == await state(failing_shop, attempt)


async def test_a_failure_after_the_money_changes_nothing(failing_shop):
    """Told out of order, a failure does not undo what was paid."""
    attempt = await failing_shop.opened()
    assert [b"success"] == await failing_shop.tell(*await failing_shop.sign(attempt))
    await fail(failing_shop, attempt)

    assert "captured" == await state(failing_shop, attempt)


@pytest.mark.parametrize("code, failures", [("NO_MONEY", 0), ("SYSTEM", 1), ("NEW_CODE", 1)])
async def test_a_refusal_counts_by_whose_fault_it_is(failing_shop, declining, code, failures):
    """The buyer is told the same; only the channel's own fault is learned."""
    attempt = await failing_shop.opened()
    declining.refused = code
    [action] = await failing_shop.payments.present_attempts([PresentRequest(attempt.id)])
    [segments] = await failing_shop.payments.list_segments([failing_shop.channel.id])
    told = sum(each.failures_milli for each in segments if each.band)

    assert ("none", "provider_away") == (action.kind, action.problem)
    assert failures == round(told / 1_000)


async def test_the_tables_of_guides_are_the_maps():
    """What a guide calls the buyer's fault is so in the channel's map, and nothing else is."""
    guides = Path(__file__).parents[2] / "docs/guides"
    for kind in ("alipay", "stripe", "wechat"):
        channel = registry()[kind]
        text = (guides / f"{kind}.md").read_text()
        table = text.split("## Whose fault a failure is", 1)[1].split("Everything else", 1)[0]
        told = set(re.findall(r"`([\w.]+)`", table))

        assert told == {code for code, blame in channel.blames.items() if blame is Blame.BUYER}


def test_only_what_a_channel_knows_is_blamed_on_the_buyer():
    """By the channel's own map; what is not in it, and channels without one, blame themselves."""
    blames = [blame_of(Declining(), code) for code in ("NO_MONEY", "SYSTEM", "NEVER_SEEN")]

    assert [Blame.BUYER, Blame.CHANNEL, Blame.CHANNEL] == blames
    assert Blame.CHANNEL is blame_of(AlipayChannel(), "ACQ.SYSTEM_ERROR")
