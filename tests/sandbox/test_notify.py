"""Notifications: true in every field, verified by an SDK that we did not write, and patient."""

import asyncio
import itertools
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

import httpx
import pytest

from vendrail.kernel.clock import SystemClock
from vendrail.sandbox.settings import LADDER_S, Settings


async def is_true(peer, app, told):
    """Ask the SDK whether a notification is the provider's."""
    return (await peer.ask(app, verify=told)).get("result", False)


@pytest.mark.parametrize("mode", ["key", "cert"])
async def test_payment_is_told_in_every_field(door, keys, peer, precreate, ear, mode):
    """A paid trade is told once, with all the provider's fields, and the SDK verifies it."""
    app = await door.register(keys[2], want=mode)
    await precreate(app, "N1", body="附加 & + %", passback_params="a%3D1")
    await door.pay(app, "N1", "N1")
    told = (await ear.wait(1))[0]
    await asyncio.sleep(0.05)

    assert len(ear.heard) == 1
    assert await is_true(peer, app, told)
    assert not await is_true(peer, app, {**told, "total_amount": "12.31"})
    assert ("alipay_cert_sn" in told) == (mode == "cert")
    assert told["notify_type"] == "trade_status_sync"
    assert told["trade_status"] == "TRADE_SUCCESS"
    assert (told["app_id"], told["auth_app_id"]) == (app["app_id"], app["app_id"])
    assert told["seller_id"] == app["seller_id"]
    assert told["total_amount"] == told["receipt_amount"] == told["buyer_pay_amount"] == "12.30"
    assert told["fund_bill_list"] == '[{"amount":"12.30","fund_channel":"ALIPAYACCOUNT"}]'
    assert (told["body"], told["passback_params"]) == ("附加 & + %", "a%3D1")
    assert {
        "notify_id", "notify_time", "buyer_id", "trade_no", "out_trade_no", "invoice_amount",
        "point_amount", "subject", "gmt_create", "gmt_payment", "charset", "version", "sign_type",
    } <= told.keys()  # fmt: skip
    assert "refund_fee" not in told


async def test_refunds_are_told_to_the_payments_address(door, shop, peer, precreate, ear):
    """A part given back is TRADE_SUCCESS with the running total; the whole is TRADE_CLOSED."""
    await precreate(shop, "N2", "10.00")
    await door.pay(shop, "N2")
    await ear.wait(1)
    for count, (number, amount) in enumerate((("A", "4.00"), ("B", "6.00")), 2):
        arguments = {"out_trade_no": "N2", "refund_amount": amount, "out_request_no": number}
        await peer.ask(shop, call="api_alipay_trade_refund", arguments=arguments)
        await ear.wait(count)
    part, whole = ear.heard[1:]

    assert await is_true(peer, shop, part)
    assert await is_true(peer, shop, whole)
    assert (part["trade_status"], part["refund_fee"], part["out_biz_no"]) == (
        "TRADE_SUCCESS", "4.00", "A",
    )  # fmt: skip
    assert (whole["trade_status"], whole["refund_fee"], whole["out_biz_no"]) == (
        "TRADE_CLOSED", "10.00", "B",
    )  # fmt: skip
    assert part["gmt_refund"]
    assert part["gmt_payment"] == whole["gmt_payment"]


async def test_anything_but_success_is_told_again(door, shop, precreate, ear):
    """An answer that is not the exact seven bytes, or a redirect, brings the same text again."""
    ear.answers = [b"fail", b"SUCCESS", b"success\n", b'"success"', b"", b"redirect", b"ok"]
    await precreate(shop, "N3")
    await door.pay(shop, "N3")
    heard = await ear.wait(8)
    await asyncio.sleep(0.05)
    log = await door.get("/sandbox/alipay/notifications", out_trade_no="N3")

    assert len(ear.heard) == 8
    assert all(told == heard[0] for told in heard)
    assert [each["outcome"] for each in log["notifications"]] == ["retrying"] * 7 + ["taken"]
    assert log["notifications"][1]["answer"] == "SUCCESS"
    assert log["pending"] == 0


async def test_ladder_has_seven_steps_and_an_end(home, start_sandbox, keys, ear):
    """A deaf merchant is told eight times, each wait as long as its step, then no more."""
    settings = Settings(notify_ladder_scale=0.000_02)
    async with start_sandbox(home, settings=settings) as door:
        app = await door.register(keys[0])
        ear.answers = [b"no"] * 20
        await door.post(
            "/sandbox/alipay/sign-notifications",
            {
                "app_id": app["app_id"],
                "notify_url": ear.url,
                "trades": [{"out_trade_no": "N4", "total_amount": "1.00"}],
            },
        )
        await door.post("/sandbox/alipay/finish", {"app_id": app["app_id"], "out_trade_no": "N4"})
        await ear.wait(8)
        await asyncio.sleep(0.1)
        log = (await door.get("/sandbox/alipay/notifications"))["notifications"]

    moments = [seconds_of(each["at"]) for each in log]
    waits = [late - early for early, late in itertools.pairwise(moments)]
    assert LADDER_S == (240, 600, 600, 3_600, 7_200, 21_600, 54_000)
    assert len(ear.heard) == 8
    assert log[-1]["outcome"] == "given_up"
    for wait, step in zip(waits, LADDER_S, strict=True):
        assert wait >= step * 0.000_02
    assert waits[6] > waits[5] > waits[4] > waits[3]


def seconds_of(text):
    """Read a moment of the log as seconds."""
    return datetime.fromisoformat(text).timestamp()


async def test_unreachable_merchant_is_tried_again(door, shop, peer):
    """A refused connection is an attempt like any other, and is in the log."""
    arguments = {
        "subject": "x", "out_trade_no": "N5", "total_amount": "1.00",
        "notify_url": "http://127.0.0.1:1/callbacks",
    }  # fmt: skip
    await peer.ask(shop, call="api_alipay_trade_precreate", arguments=arguments)
    await door.pay(shop, "N5")
    await asyncio.sleep(0.3)
    log = (await door.get("/sandbox/alipay/notifications"))["notifications"]

    assert len(log) >= 2
    assert log[0]["status_code"] == 0
    assert "ConnectError" in log[0]["answer"]


async def test_restart_keeps_trades_and_goes_on_telling(home, start_sandbox, keys, peer, ear):
    """Trades, balances and notices on their way survive the end of the process."""
    slow = Settings(notify_ladder_scale=0.01)
    async with start_sandbox(home, settings=slow) as door:
        app = await door.register(keys[0])
        arguments = {
            "subject": "x", "out_trade_no": "N6", "total_amount": "5.00", "notify_url": ear.url,
        }  # fmt: skip
        await peer.ask(app, call="api_alipay_trade_precreate", arguments=arguments)
        ear.answers = [b"not now"]
        await door.pay(app, "N6")
        await ear.wait(1)
        first = await door.register(keys[0])
        token = (home / "control-token").read_text()

    with (home / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"type":"trade","app_')  # Killed while writing.

    async with start_sandbox(home, settings=slow) as door:
        again = await door.register(keys[0])
        trade = await door.get("/sandbox/alipay/trades/N6", app_id=app["app_id"])
        heard = await ear.wait(2)
        apps = (await door.get("/sandbox/apps"))["apps"]

    assert (home / "control-token").read_text() == token
    assert again["app_id"] == first["app_id"] == app["app_id"]
    assert trade["status"] == "TRADE_SUCCESS"
    assert heard[0] == heard[1]
    assert apps[0]["balance_minor"] == 100_000_000 + 500


async def test_time_out_closes_and_tells(home, start_sandbox, keys, peer, ear):
    """A trade that nobody paid in time is closed, told without refund_fee, and cannot be paid."""

    class Later(SystemClock):
        shift = timedelta()

        def now(self):
            return super().now() + self.shift

    clock = Later()
    async with start_sandbox(home, clock=clock) as door:
        app = await door.register(keys[0])
        arguments = {
            "subject": "x", "total_amount": "5.00", "notify_url": ear.url, "timeout_express": "5m",
        }  # fmt: skip
        for number in ("E1", "E2"):
            answer = await peer.ask(
                app,
                call="api_alipay_trade_precreate",
                arguments={**arguments, "out_trade_no": number},
            )
        await door.client.get(answer["result"]["qr_code"])
        clock.shift = timedelta(minutes=6)
        refused = await door.pay(app, "E1", "E2")
        told = (await ear.wait(1))[0]
        late = await door.pay(app, "E2", is_forced=True)
        paid = (await ear.wait(2))[1]

    assert [each["error"] for each in refused] == ["ACQ.TRADE_HAS_CLOSE"] * 2
    assert (told["out_trade_no"], told["trade_status"]) == ("E2", "TRADE_CLOSED")
    assert "refund_fee" not in told
    assert "gmt_payment" not in told
    assert late[0]["trade_status"] == paid["trade_status"] == "TRADE_SUCCESS"


async def test_callbacks_are_signed_off_the_clock(door, shop, peer, ear):
    """Forms are signed in bulk without being sent; a wrong item fails alone, in its place."""
    trades = [{"out_trade_no": f"B{n}", "total_amount": "1.23"} for n in range(600)]
    trades[7] = {"out_trade_no": "B 7", "total_amount": "1.23"}
    trades[8] = {"out_trade_no": "B8", "total_amount": "free"}
    trades[9] = {**trades[9], "overrides": {"seller_id": "2088000000000000"}}
    order = {"app_id": shop["app_id"], "trades": trades, "notify_url": ear.url}

    forms = (await door.post("/sandbox/alipay/sign-notifications", order))["notifications"]
    again = (await door.post("/sandbox/alipay/sign-notifications", order))["notifications"]
    told = [dict(parse_qsl(form.get("body", ""), keep_blank_values=True)) for form in forms]

    assert [form["out_trade_no"] for form in forms] == [each["out_trade_no"] for each in trades]
    assert forms[7]["error"] == forms[8]["error"] == "ACQ.INVALID_PARAMETER"
    assert told[9]["seller_id"] == "2088000000000000"
    for index in (0, 9, 255, 256, 599):
        assert await is_true(peer, shop, told[index])
        assert again[index]["trade_no"] == forms[index]["trade_no"]
    assert ear.heard == []
    state = await peer.ask(shop, call="api_alipay_trade_query", arguments={"out_trade_no": "B5"})
    assert state["result"]["trade_status"] == "TRADE_SUCCESS"


async def test_control_routes_need_the_token(door, shop):
    """Without the token of the folder every control route is shut."""
    routes = [
        ("POST", "/sandbox/apps"), ("GET", "/sandbox/apps"), ("POST", "/sandbox/faults"),
        ("GET", "/sandbox/faults"), ("DELETE", "/sandbox/faults"), ("POST", "/sandbox/alipay/pay"),
        ("POST", "/sandbox/alipay/finish"), ("POST", "/sandbox/alipay/sign-notifications"),
        ("GET", "/sandbox/alipay/trades/N1"), ("GET", "/sandbox/alipay/notifications"),
    ]  # fmt: skip
    async with httpx.AsyncClient(trust_env=False) as client:
        for method, path in routes:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}):
                reply = await client.request(method, door.url + path, headers=headers)

                assert reply.status_code == 401, path


async def test_wrong_orders_are_refused_with_advice(door, shop):
    """What a control route cannot do it says, with status 400."""
    wrong = [
        ("/sandbox/apps", {"public_key_pem": "nonsense"}),
        ("/sandbox/apps", {"public_key_pem": "", "want": "magic"}),
        ("/sandbox/apps", {}),
        ("/sandbox/faults", {"kind": "earthquake"}),
        ("/sandbox/faults", {"kind": "delay", "surprise": 1}),
        ("/sandbox/faults", {"kind": "gateway_down", "params": {"status": 200}}),
        ("/sandbox/faults", {"kind": "business_error", "params": {"sub_code": "NO.SUCH"}}),
        ("/sandbox/faults", {"kind": "unsigned_success", "params": {"is_now": True}}),
        ("/sandbox/alipay/pay", {"app_id": "1", "out_trade_no": "N"}),
        ("/sandbox/alipay/finish", {"app_id": shop["app_id"], "out_trade_no": "N"}),
    ]
    for path, body in wrong:
        reply = await door.client.post(f"{door.url}{path}", json=body, headers=door.headers)

        assert reply.status_code == 400, (path, body, reply.text)
        assert reply.json()["detail"]


async def test_same_key_is_the_same_application(door, keys):
    """Registering is idempotent by public key; certificate mode is an application of its own."""
    first = await door.register(keys[0])
    again = await door.register(keys[0], name="other")
    bare = "".join(keys[0][1].strip().splitlines()[1:-1])
    as_base64 = await door.register((keys[0][0], bare))
    certified = await door.register(keys[0], want="cert")

    assert first["app_id"] == again["app_id"] == as_base64["app_id"]
    assert certified["app_id"] != first["app_id"]
    assert {"app_cert", "alipay_cert", "root_cert"} <= certified.keys()
    assert first["seller_id"].startswith("2088")
    assert len(first["seller_id"]) == 16


async def test_secrets_are_for_the_owner_alone(door):
    """Every file of the folder is readable by its owner only."""
    for file in door.home.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
