"""Providers' callbacks: handed over untouched, answered exactly as payments says."""

import pytest

from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import to_serial


async def test_callback_travels_untouched(api, market, standins):
    """Raw bytes, headers, query and method reach payments as they came; its answer goes back."""
    body = b"a=%E4%BD%A0&sign=good&empty=&a=2"
    address = f"/callbacks/{to_serial(standins.CHANNEL)}?x=1&y=%20"
    answer = await api.post(
        address, content=body, headers={"Content-Type": "text/odd; charset=GBK"}
    )
    taken = market.callbacks[0]

    assert (200, b"success") == (answer.status_code, answer.content)
    assert answer.headers["content-type"].startswith("text/plain")
    assert (standins.CHANNEL, "POST", "x=1&y=%20", body) == (
        taken.channel,
        taken.method,
        taken.query,
        taken.body,
    )
    assert "text/odd; charset=GBK" == taken.headers["content-type"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_any_method_and_both_forms_of_id_are_taken(api, market, standins, method):
    """Channels may call with any method, under the serial or the plain UUID of the channel."""
    await api.request(method, f"/callbacks/{standins.CHANNEL}?a=1")

    assert (standins.CHANNEL, method) == (market.callbacks[0].channel, market.callbacks[0].method)


async def test_refused_callback_is_answered_as_payments_says(api):
    """What payments refuses is answered with its own words and status."""
    answer = await api.post("/callbacks/00000000-0000-7000-8000-000000000001", content=b"sign=bad")

    assert (400, b"failure") == (answer.status_code, answer.content)


async def test_x4_no_success_without_commit(api, market, standins):
    """X4: while payments cannot store, the provider gets 503 and will come again."""
    market.problem = Unavailable("away")
    answer = await api.post(f"/callbacks/{standins.CHANNEL}", content=b"sign=good")

    assert 503 == answer.status_code
    assert b"success" not in answer.content


async def test_unknown_and_oversized_callbacks_are_refused(api, market):
    """An address that is no channel's, and a body beyond the bound, never reach payments."""
    lost = await api.post("/callbacks/../../etc", content=b"x")
    odd = await api.post("/callbacks/x'or'1'='1", content=b"x")
    big = await api.post("/callbacks/00000000-0000-7000-8000-000000000001", content=b"x" * 300_000)

    assert [404, 404, 413] == [lost.status_code, odd.status_code, big.status_code]
    assert [] == market.callbacks
