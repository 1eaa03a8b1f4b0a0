"""Each fault on demand: it happens as ordered, as often as ordered, to whom it was ordered."""

import asyncio
import time

import httpx
import pytest


async def is_true(peer, app, told):
    """Ask the SDK whether a notification is the provider's."""
    return (await peer.ask(app, verify=told)).get("result", False)


async def query(peer, app, number):
    """Ask for a trade by the SDK."""
    return await peer.ask(app, call="api_alipay_trade_query", arguments={"out_trade_no": number})


@pytest.mark.parametrize(
    "kind, params, field, value",
    [
        ("wrong_amount", {}, "total_amount", "0.01"),
        ("wrong_amount", {"value": "99.00"}, "total_amount", "99.00"),
        ("wrong_app", {}, "app_id", "9021999999999999"),
        ("wrong_seller", {}, "seller_id", "2088999999999999"),
        ("wrong_status", {}, "trade_status", "WAIT_BUYER_PAY"),
        ("wrong_status", {"trade_status": "TRADE_CLOSED"}, "trade_status", "TRADE_CLOSED"),
    ],
)
async def test_well_signed_lies_verify(
    door, shop, peer, precreate, ear, kind, params, field, value
):
    """A wrong amount, application, seller or state is well signed: only comparing finds it."""
    await door.fault(kind, params=params)
    await precreate(shop, "F1")
    await precreate(shop, "F2")
    await door.pay(shop, "F1")
    await ear.wait(1)
    await door.pay(shop, "F2")
    wrong, right = await ear.wait(2)

    assert wrong[field] == value
    assert right[field] != value
    assert await is_true(peer, shop, wrong)
    assert await is_true(peer, shop, right)


@pytest.mark.parametrize(
    "params, field", [({}, "total_amount"), ({"field": "subject", "value": "x"}, "subject")]
)
async def test_tampered_notice_does_not_verify(door, shop, peer, precreate, ear, params, field):
    """A field changed after signing breaks the signature."""
    await door.fault("tamper", params=params)
    await precreate(shop, "F3")
    await door.pay(shop, "F3")
    told = (await ear.wait(1))[0]

    assert not await is_true(peer, shop, told)
    assert told["sign"]
    assert told[field] != {"total_amount": "12.30", "subject": "月卡"}[field]


async def test_unsigned_success_has_no_signature(door, shop, peer, precreate, ear):
    """A success without a signature comes on payment, or at once for a trade nobody paid."""
    await precreate(shop, "F4")
    match = {"app_id": shop["app_id"], "out_trade_no": "F4"}
    await door.fault("unsigned_success", match=match, params={"is_now": True})
    told = (await ear.wait(1))[0]
    state = (await query(peer, shop, "F4"))["result"]

    assert told["trade_status"] == "TRADE_SUCCESS"
    assert "sign" not in told
    assert state["trade_status"] == "WAIT_BUYER_PAY"
    await door.fault("unsigned_success")
    await door.pay(shop, "F4")
    assert "sign" not in (await ear.wait(2))[1]


async def test_dropped_notice_never_comes(door, shop, precreate, ear):
    """A dropped notification is not sent, not even later; the log says so."""
    await door.fault("drop", match={"out_trade_no": "F5"})
    await precreate(shop, "F5")
    await precreate(shop, "F6")
    await door.pay(shop, "F6", "F5")
    await ear.wait(1)
    await asyncio.sleep(0.1)
    log = (await door.get("/sandbox/alipay/notifications", out_trade_no="F5"))["notifications"]

    assert [told["out_trade_no"] for told in ear.heard] == ["F6"]
    assert [each["outcome"] for each in log] == ["dropped"]


async def test_duplicate_notice_comes_several_times(door, shop, precreate, ear):
    """A duplicated notification is the same text, as many times as ordered."""
    await door.fault("duplicate", params={"times": 5})
    await precreate(shop, "F7")
    await door.pay(shop, "F7")
    heard = await ear.wait(5)
    await asyncio.sleep(0.05)

    assert len(ear.heard) == 5
    assert all(told == heard[0] for told in heard)


async def test_delayed_notice_comes_late(door, shop, precreate, ear):
    """A delayed notification waits as long as ordered."""
    await door.fault("delay", params={"delay_s": 0.4})
    await precreate(shop, "F8")
    began = time.monotonic()
    await door.pay(shop, "F8")
    await ear.wait(1)

    assert time.monotonic() - began >= 0.4


async def test_reordered_notice_comes_after_the_next(door, shop, peer, precreate, ear):
    """The refund is told before the payment when the payment's notice is held back."""
    await door.fault("reorder")
    await precreate(shop, "F9")
    await door.pay(shop, "F9")
    await peer.ask(
        shop,
        call="api_alipay_trade_refund",
        arguments={"out_trade_no": "F9", "refund_amount": "1.00", "out_request_no": "A"},
    )
    heard = await ear.wait(2)
    await asyncio.sleep(0.05)

    assert len(ear.heard) == 2
    assert ["refund_fee" in told for told in heard] == [True, False]


async def test_held_notice_does_not_wait_for_ever(door, shop, precreate, ear):
    """If no other notice follows, the one held back goes after its wait."""
    await door.fault("reorder", params={"delay_s": 0.2})
    await precreate(shop, "F10")
    await door.pay(shop, "F10")
    await ear.wait(1)

    assert ear.heard[0]["out_trade_no"] == "F10"


async def test_gateway_goes_down_before_or_after_the_work(door, shop, peer, precreate):
    """A 5xx may mean that nothing happened, or that only the answer was lost."""
    await precreate(shop, "F11", "10.00")
    await door.pay(shop, "F11")
    arguments = {"out_trade_no": "F11", "refund_amount": "1.00", "out_request_no": "A"}
    for is_after, refunded in ((False, 0), (True, 1)):
        await door.fault("gateway_down", params={"is_after": is_after, "status": 502})
        signed = await peer.ask(shop, build="alipay.trade.refund", content=arguments, changes={})
        reply = await door.client.get(f"{door.url}/alipay/gateway.do?{signed['query']}")
        trade = await door.get("/sandbox/alipay/trades/F11", app_id=shop["app_id"])

        assert reply.status_code == 502
        assert len(trade["refunds"]) == refunded


async def test_gateway_hangs_and_is_slow(door, shop, peer, precreate):
    """A hanging gateway keeps silent as long as ordered; a slow one answers, late."""
    await precreate(shop, "F12")
    content = {"out_trade_no": "F12"}
    signed = await peer.ask(shop, build="alipay.trade.query", content=content, changes={})
    url = f"{door.url}/alipay/gateway.do?{signed['query']}"

    await door.fault("gateway_down", params={"timeout_s": 5})
    with pytest.raises(httpx.ReadTimeout):
        await door.client.get(url, timeout=0.3)
    await door.fault("slow", params={"delay_s": 0.4})
    began = time.monotonic()
    reply = await door.client.get(url)

    assert time.monotonic() - began >= 0.4
    assert reply.json()["alipay_trade_query_response"]["trade_status"] == "WAIT_BUYER_PAY"


async def test_bad_reply_signature_is_found_by_the_sdk(door, shop, peer, precreate):
    """A reply signed over something else is refused by whoever verifies."""
    await precreate(shop, "F13")
    await door.fault("bad_reply_signature", match={"out_trade_no": "F13"})

    bad = await query(peer, shop, "F13")
    good = await query(peer, shop, "F13")

    assert bad == {"error": "reply signature does not hold"}
    assert good["result"]["trade_status"] == "WAIT_BUYER_PAY"


async def test_query_is_unknown_disagrees_or_errs(door, shop, peer, precreate):
    """A query answers 20000, the contrary, a chosen state or a chosen error, then the truth."""
    await precreate(shop, "F14")
    number = (await query(peer, shop, "F14"))["result"]["trade_no"]
    await door.fault("query_unknown", match={"out_trade_no": "F14"})
    by_number = await peer.ask(shop, call="api_alipay_trade_query", arguments={"trade_no": number})
    await door.fault("query_disagrees")
    contrary = await query(peer, shop, "F14")
    await door.fault("query_disagrees", params={"trade_status": "TRADE_CLOSED"})
    chosen = await query(peer, shop, "F14")
    await door.fault("query_disagrees", params={"field": "total_amount", "value": "1.00"})
    amount = await query(peer, shop, "F14")
    await door.fault("business_error", params={"sub_code": "ACQ.SYSTEM_ERROR"})
    error = await query(peer, shop, "F14")
    truth = await query(peer, shop, "F14")

    assert by_number["result"]["code"] == "20000"
    assert by_number["result"]["sub_code"] == "isp.unknow-error"
    assert contrary["result"]["trade_status"] == "TRADE_SUCCESS"
    assert chosen["result"]["trade_status"] == "TRADE_CLOSED"
    assert amount["result"]["total_amount"] == "1.00"
    assert error["result"]["sub_code"] == "ACQ.SYSTEM_ERROR"
    assert truth["result"]["trade_status"] == "WAIT_BUYER_PAY"


async def test_unknown_may_hide_work_that_was_done(door, shop, peer, precreate):
    """A refund that answers 20000 may have been made: asking again tells."""
    await precreate(shop, "F15", "10.00")
    await door.pay(shop, "F15")
    await door.fault(
        "query_unknown", match={"method": "alipay.trade.refund"}, params={"is_after": True}
    )
    arguments = {"out_trade_no": "F15", "refund_amount": "10.00", "out_request_no": "A"}

    first = await peer.ask(shop, call="api_alipay_trade_refund", arguments=arguments)
    second = await peer.ask(shop, call="api_alipay_trade_refund", arguments=arguments)

    assert first["result"]["code"] == "20000"
    assert (second["result"]["fund_change"], second["result"]["refund_fee"]) == ("N", "10.00")


async def test_faults_are_counted_matched_and_taken_back(door, shop, peer, precreate):
    """A fault fits only its trade and method, happens `count` times, and can be taken back."""
    await precreate(shop, "F16")
    await precreate(shop, "F17")
    await door.fault("query_unknown", count=2, match={"out_trade_no": "F16"})
    codes = [
        (await query(peer, shop, number))["result"]["code"]
        for number in ("F17", "F16", "F16", "F16")
    ]
    await door.fault("query_unknown", count=0)
    forever = [(await query(peer, shop, "F17"))["result"]["code"] for _ in range(3)]
    listed = (await door.get("/sandbox/faults"))["faults"]
    await door.client.delete(f"{door.url}/sandbox/faults", headers=door.headers)
    after = (await query(peer, shop, "F17"))["result"]["code"]

    assert codes == ["10000", "20000", "20000", "10000"]
    assert forever == ["20000"] * 3
    assert [fault["kind"] for fault in listed] == ["query_unknown"]
    assert after == "10000"
