"""A provider that is away, slow or unclear: nothing is assumed, and nothing is lost by it."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendrail.api.payments import ActionKind
from vendrail.channelkit.bench import Message, Operation, Trouble
from vendrail.channelkit.rig import Rig, callback_of
from vendrail.payments.channels.base import (
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    Doubt,
)
from vendrail.payments.channels.keys import KeyedChannel

_QUICK = settings(max_examples=100, deadline=None)
_TEXTS = st.text(alphabet=string.printable + "月\x00", max_size=80)
_HEADERS = st.dictionaries(st.text(string.ascii_lowercase + "-", max_size=20), _TEXTS)
_MONEY = {CallbackKind.CAPTURED, CallbackKind.CLAIMED}


class Doubts:
    """What holds when nothing is certain."""

    @pytest.mark.parametrize("trouble", [Trouble.AWAY, Trouble.UNCLEAR])
    async def test_no_answer_is_no_answer(self, rig: Rig, trouble: Trouble) -> None:
        """A question that was not answered leaves an order as it is; the next one is believed."""
        attempt, sale = await rig.sale()
        await rig.bench.pay(sale)
        assert await rig.bench.trouble(trouble, Operation.QUERY)

        assert [None] == await rig.service.query_attempts([attempt.id])
        assert "open" == await rig.state(attempt)
        assert ["captured"] == await rig.service.query_attempts([attempt.id])

    async def test_a_slow_provider_is_not_waited_for_for_ever(self, rig: Rig) -> None:
        """An answer that takes longer than is allowed is none."""
        hasty = await rig.make_service(provider_timeout_s=0.3)
        attempt, sale = await rig.sale()
        await rig.bench.pay(sale)
        assert await rig.bench.trouble(Trouble.SLOW, Operation.QUERY)

        assert [None] == await hasty.query_attempts([attempt.id])
        assert "open" == await rig.state(attempt)
        assert ["captured"] == await rig.service.query_attempts([attempt.id])

    async def test_a_provider_that_is_away_is_said_to_be(self, rig: Rig) -> None:
        """What cannot be shown now says why, and is shown when the provider is back."""
        for method in await rig.methods():
            if not await rig.bench.trouble(Trouble.AWAY, Operation.PRESENT):
                continue
            attempt = await rig.attempt(method)
            action = await rig.present(attempt)

            if action.kind is ActionKind.NONE:
                assert "provider_away" == action.problem
            await rig.bench.calm()
            action = await rig.present(attempt)
            assert not action.problem
            assert await rig.bench.open(action)

    async def test_closing_finds_money_that_came(self, rig: Rig) -> None:
        """An order that was paid meanwhile is captured, not closed."""
        attempt, sale = await rig.sale()
        await rig.bench.pay(sale)

        assert ["captured"] == await rig.service.close_attempts([attempt.order])
        assert 1 == len(await rig.events())

    async def test_closing_while_the_provider_is_away_is_not_closing(self, rig: Rig) -> None:
        """Nobody knows whether money came: the order is not closed, and the money is found."""
        attempt, sale = await rig.sale()
        await rig.bench.pay(sale)
        await rig.bench.trouble(Trouble.AWAY, Operation.CLOSE)
        assert await rig.bench.trouble(Trouble.AWAY, Operation.QUERY, count=2)

        assert ["unknown"] == await rig.service.close_attempts([attempt.order])
        await rig.bench.calm()
        assert ["captured"] == await rig.service.query_attempts([attempt.id])

    async def test_an_unpaid_order_is_let_go(self, rig: Rig) -> None:
        """An order nobody paid is closed, shown or not, and captures nothing."""
        shown, sale = await rig.sale()
        assert await rig.bench.open(sale.action)
        unseen = await rig.attempt()

        assert ["closed"] * 2 == await rig.service.close_attempts([shown.order, unseen.order])
        assert [] == await rig.events()

    async def test_garbage_is_refused_and_never_crashes(self, rig: Rig) -> None:
        """Whatever is sent to the address of callbacks, nothing is raised and nothing believed."""
        read = await _reader(rig)

        @given(st.sampled_from(["GET", "POST", "PUT"]), _HEADERS, _TEXTS, st.binary(max_size=300))
        @_QUICK
        def look(method: str, headers: dict[str, str], query: str, body: bytes) -> None:
            told = read(Message(method, tuple(headers.items()), query, body))

            assert isinstance(told, CallbackRefusal) or told.kind not in _MONEY

        look()

    async def test_a_changed_callback_never_says_something_else(self, rig: Rig) -> None:
        """One byte changed anywhere: refused, or it says exactly what the provider signed."""
        read = await _reader(rig)
        _, sale = await rig.sale()
        good = await rig.message(sale)
        genuine = read(good)
        assert isinstance(genuine, CallbackFacts)

        @given(st.sampled_from(["body", "query"]), st.integers(0), st.binary(max_size=1))
        @_QUICK
        def look(part: str, place: int, letter: bytes) -> None:
            raw = good.body if part == "body" else good.query.encode()
            at = place % (len(raw) + 1)
            changed = raw[:at] + letter + raw[at + 1 :]
            body = changed if part == "body" else good.body
            query = changed.decode("utf-8", "replace") if part == "query" else good.query

            told = read(Message(good.method, good.headers, query, body))
            if isinstance(told, CallbackFacts) and told.kind in _MONEY and not told.mismatch:
                assert _said(genuine) == _said(told)

        look()

    async def test_a_doubt_is_one_of_the_words(self, rig: Rig) -> None:
        """Whatever a query's problem was, the channel says what is the matter."""
        for problem in ("", "500", "whatever", "签名错误", "x" * 10_000):
            assert rig.channel.doubt(problem) in set(Doubt)


Reader = Callable[[Message], CallbackFacts | CallbackRefusal]


async def _reader(rig: Rig) -> Reader:
    """Give what reads a callback of the bench's account, and nothing else."""
    account = await rig.opened_account()
    if isinstance(rig.channel, KeyedChannel):
        await rig.channel.fetch_keys(account, rig.clock.now())

    def read(message: Message) -> CallbackFacts | CallbackRefusal:
        raw = callback_of(message, rig.account.id)
        return rig.channel.read_callback(raw, account.settings, rig.clock.now())

    return read


def _said(facts: CallbackFacts) -> tuple[object, ...]:
    return (
        facts.kind,
        facts.out_trade_no,
        facts.provider_number,
        facts.amount_minor,
        facts.currency,
    )
