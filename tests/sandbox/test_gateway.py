"""Each gateway method, asked and verified by an SDK that we did not write."""

import asyncio
import json

import pytest


@pytest.fixture(params=["key", "cert"])
async def app(request, door, keys):
    """A merchant, once in key mode and once in certificate mode."""
    return await door.register(keys[2], want=request.param, name="星河数码")


async def ask(peer, app, name, **arguments):
    """Call one of the SDK's functions; its reply must have been verified by the SDK."""
    answer = await peer.ask(app, call=f"api_alipay_{name}", arguments=arguments)
    assert "result" in answer, answer
    return answer["result"]


async def ask_api(peer, app, api, content):
    """Call a method the SDK has no function for."""
    arguments = {"biz_content": content}
    answer = await peer.ask(app, api=api, arguments=arguments)
    assert "result" in answer, answer
    return answer["result"]


async def test_precreated_trade_exists_once_it_is_scanned(app, peer, precreate, door):
    """A QR order is unknown to queries until a buyer opens it, then waits, then is paid."""
    url = await precreate(app, "Q1", opened=False)
    before = await ask(peer, app, "trade_query", out_trade_no="Q1")
    page = await door.client.get(url)
    opened = await ask(peer, app, "trade_query", out_trade_no="Q1")
    await door.pay(app, "Q1")
    paid = await ask(peer, app, "trade_query", out_trade_no="Q1")

    assert before["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert page.status_code == 200
    assert "trade_no" in opened
    assert (opened["trade_status"], opened["buyer_pay_amount"]) == ("WAIT_BUYER_PAY", "0.00")
    assert (paid["trade_status"], paid["total_amount"]) == ("TRADE_SUCCESS", "12.30")
    assert paid["fund_bill_list"] == [{"amount": "12.30", "fund_channel": "ALIPAYACCOUNT"}]
    assert paid["trade_no"] == opened["trade_no"]
    assert len(paid["trade_no"]) == 28


async def test_precreate_again_gives_the_same_order(app, peer, precreate, door):
    """The same order again is the same QR code; changed, paid or closed it is refused."""
    first = await precreate(app, "Q2")
    again = await precreate(app, "Q2")
    changed = {"subject": "月卡", "out_trade_no": "Q2", "total_amount": "12.31"}
    refused = await ask(peer, app, "trade_precreate", **changed)
    await door.pay(app, "Q2")
    after = await ask(peer, app, "trade_precreate", **{**changed, "total_amount": "12.30"})

    assert first == again
    assert refused["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    assert after["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"


async def test_trade_is_found_by_either_number(app, peer, precreate, door):
    """Query takes out_trade_no or trade_no; trade_no wins."""
    await precreate(app, "Q3")
    await precreate(app, "Q4")
    number = (await ask(peer, app, "trade_query", out_trade_no="Q3"))["trade_no"]

    found = await ask(peer, app, "trade_query", trade_no=number, out_trade_no="Q4")

    assert found["out_trade_no"] == "Q3"


async def test_close_ends_what_nobody_paid(app, peer, precreate, door):
    """Close works on an open unpaid trade only, and a closed one cannot be paid."""
    await precreate(app, "C0", opened=False)
    await precreate(app, "C1")
    await precreate(app, "C2")
    await door.pay(app, "C2")

    unseen = await ask(peer, app, "trade_close", out_trade_no="C0")
    closed = await ask(peer, app, "trade_close", out_trade_no="C1")
    twice = await ask(peer, app, "trade_close", out_trade_no="C1")
    paid = await ask(peer, app, "trade_close", out_trade_no="C2")
    state = await ask(peer, app, "trade_query", out_trade_no="C1")

    assert unseen["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert closed["code"] == "10000"
    assert twice["sub_code"] == "ACQ.TRADE_HAS_CLOSE"
    assert paid["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert state["trade_status"] == "TRADE_CLOSED"
    assert (await door.pay(app, "C1"))[0]["error"] == "ACQ.TRADE_HAS_CLOSE"


async def test_cancel_closes_or_gives_back(app, peer, precreate, door):
    """Cancel closes the unpaid, refunds the paid, and is no error for the unknown."""
    await precreate(app, "X0", opened=False)
    await precreate(app, "X1")
    await precreate(app, "X2")
    await door.pay(app, "X2")

    unknown = await ask(peer, app, "trade_cancel", out_trade_no="X9")
    unseen = await ask(peer, app, "trade_cancel", out_trade_no="X0")
    unpaid = await ask(peer, app, "trade_cancel", out_trade_no="X1")
    paid = await ask(peer, app, "trade_cancel", out_trade_no="X2")
    again = await ask(peer, app, "trade_cancel", out_trade_no="X2")

    assert (unknown["code"], "action" in unknown) == ("10000", False)
    assert "action" not in unseen
    assert (await door.pay(app, "X0"))[0]["error"] == "ACQ.TRADE_HAS_CLOSE"
    assert (unpaid["action"], paid["action"], again["action"]) == ("close", "refund", "refund")
    assert (await ask(peer, app, "trade_query", out_trade_no="X2"))[
        "trade_status"
    ] == "TRADE_CLOSED"


async def test_refund_moves_money_once_per_request_number(app, peer, precreate, door):
    """A repeated request number moves nothing and says N; the total runs up to the whole."""
    await precreate(app, "R1", "10.00")
    await door.pay(app, "R1")

    async def refund(number, amount):
        return await ask(
            peer,
            app,
            "trade_refund",
            out_trade_no="R1",
            refund_amount=amount,
            out_request_no=number,
        )

    first = await refund("A", "3.00")
    repeated = await refund("A", "3.00")
    discordant = await refund("A", "4.00")
    too_much = await refund("B", "7.01")
    rest = await refund("C", "7.00")
    late = await refund("D", "0.01")

    assert (first["fund_change"], first["refund_fee"]) == ("Y", "3.00")
    assert (repeated["fund_change"], repeated["refund_fee"]) == ("N", "3.00")
    assert discordant["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert too_much["sub_code"] == "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    assert (rest["fund_change"], rest["refund_fee"]) == ("Y", "10.00")
    assert late["sub_code"] == "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    assert (await ask(peer, app, "trade_query", out_trade_no="R1"))[
        "trade_status"
    ] == "TRADE_CLOSED"


async def test_part_of_a_refund_needs_a_request_number(app, peer, precreate, door):
    """Without out_request_no only the whole can be given back."""
    await precreate(app, "R2", "10.00")
    await door.pay(app, "R2")

    part = await ask(peer, app, "trade_refund", out_trade_no="R2", refund_amount="4.00")
    above = await ask(
        peer, app, "trade_refund", out_trade_no="R2", refund_amount="10.01", out_request_no="Z"
    )
    whole = await ask(peer, app, "trade_refund", out_trade_no="R2", refund_amount="10.00")

    assert part["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert above["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert (whole["code"], whole["fund_change"]) == ("10000", "Y")


async def test_refund_needs_a_paid_unfinished_trade_and_a_balance(door, keys, peer, precreate):
    """Unpaid, finished, unknown trades and an empty account each have their own code."""
    app = await door.register(keys[0], want="cert", name="空", opening_minor=0)
    for number in ("R3", "R4", "R5"):
        await precreate(app, number, "10.00")
    await door.pay(app, "R4", "R5")
    await door.post("/sandbox/alipay/finish", {"app_id": app["app_id"], "out_trade_no": "R4"})
    await ask(
        peer,
        app,
        "fund_trans_uni_transfer",
        out_biz_no="T1",
        identity_type="ALIPAY_USER_ID",
        identity="2088000000000001",
        trans_amount="15.00",
    )

    async def refund(number):
        return (await ask(peer, app, "trade_refund", out_trade_no=number, refund_amount="10.00"))[
            "sub_code"
        ]

    assert await refund("R9") == "ACQ.TRADE_NOT_EXIST"
    assert await refund("R3") == "ACQ.TRADE_STATUS_ERROR"
    assert await refund("R4") == "ACQ.TRADE_HAS_FINISHED"
    assert await refund("R5") == "ACQ.SELLER_BALANCE_NOT_ENOUGH"


async def test_refund_query_tells_done_from_unknown(app, peer, precreate, door):
    """A refund that was made has a status; one that was not is a success without one."""
    await precreate(app, "R6", "10.00")
    await door.pay(app, "R6")
    await ask(
        peer, app, "trade_refund", out_trade_no="R6", refund_amount="2.50", out_request_no="A"
    )

    done = await ask(peer, app, "trade_fastpay_refund_query", out_request_no="A", out_trade_no="R6")
    absent = await ask(
        peer, app, "trade_fastpay_refund_query", out_request_no="B", out_trade_no="R6"
    )

    assert (done["refund_status"], done["refund_amount"]) == ("REFUND_SUCCESS", "2.50")
    assert done["total_amount"] == "10.00"
    assert absent == {"code": "10000", "msg": "Success"}


async def test_page_pay_leads_to_the_cashier(app, peer, door):
    """page.pay and wap.pay answer a browser with the way to the wallet page."""
    page = {"out_trade_no": "P1", "total_amount": "9.90", "subject": "年卡"}
    wap = {**page, "out_trade_no": "P2", "product_code": "QUICK_WAP_WAY"}
    for name, content in (("page", page), ("wap", wap)):
        answer = await peer.ask(app, call=f"api_alipay_trade_{name}_pay", arguments=content)

        reply = await door.client.get(f"{app['gateway']}?{answer['result']}")
        before = await ask(peer, app, "trade_query", out_trade_no=content["out_trade_no"])
        shown = await door.client.get(reply.headers["location"])

        assert reply.status_code == 302
        assert before["sub_code"] == "ACQ.TRADE_NOT_EXIST"
        assert "9.90" in shown.text
        assert "确认付款" in shown.text


async def test_form_may_be_split_over_query_and_body(app, peer, door):
    """Common parameters in the query and biz_content in the body verify all the same."""
    signed = await peer.ask(
        app, build="alipay.trade.query", content={"out_trade_no": "Ü1"}, changes={}
    )
    parts = signed["query"].split("&")
    query = "&".join(part for part in parts if not part.startswith("biz_content="))
    body = next(part for part in parts if part.startswith("biz_content="))

    reply = await door.client.post(
        f"{app['gateway']}?{query}",
        content=body,
        headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
    )

    assert reply.json()["alipay_trade_query_response"]["sub_code"] == "ACQ.TRADE_NOT_EXIST"


async def test_time_is_the_providers(app, peer, precreate):
    """A trade may end at a wall-clock moment in China, or after minutes; the past is refused."""
    wrong = {"subject": "月卡", "out_trade_no": "E1", "total_amount": "1.00"}

    past = await ask(peer, app, "trade_precreate", **wrong, time_expire="2020-01-01 00:00:00")
    shapeless = await ask(peer, app, "trade_precreate", **wrong, time_expire="tomorrow")
    too_long = await ask(peer, app, "trade_precreate", **wrong, timeout_express="16d")
    fine = await ask(peer, app, "trade_precreate", **wrong, timeout_express="5m")

    assert past["sub_code"] == "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR"
    assert shapeless["sub_code"] == "ACQ.INVALID_PARAMETER"
    assert too_long["sub_code"] == "ACQ.INVALID_PARAMETER"
    assert fine["code"] == "10000"


async def test_transfers_are_made_once_in_certificate_mode(door, certified, shop, peer):
    """A transfer moves money once per out_biz_no; key mode is refused as the provider does."""
    order = {
        "out_biz_no": "T1",
        "identity_type": "ALIPAY_USER_ID",
        "identity": "2088000000000001",
        "trans_amount": "5.00",
        "order_title": "结算",
    }
    content = {
        "out_biz_no": "T1",
        "trans_amount": "5.00",
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
        "payee_info": {"identity": "2088000000000001", "identity_type": "ALIPAY_USER_ID"},
    }

    made = await ask(peer, certified, "fund_trans_uni_transfer", **order)
    again = await ask(peer, certified, "fund_trans_uni_transfer", **order)
    other = await ask(
        peer, certified, "fund_trans_uni_transfer", **{**order, "trans_amount": "6.00"}
    )
    stranger = await ask(
        peer, certified, "fund_trans_uni_transfer", **{**order, "out_biz_no": "T2", "identity": "1"}
    )
    rich = await ask(
        peer,
        certified,
        "fund_trans_uni_transfer",
        **{**order, "out_biz_no": "T3", "trans_amount": "99000000.00"},
    )
    key_mode = await ask_api(peer, shop, "alipay.fund.trans.uni.transfer", content)
    found = await ask_api(peer, certified, "alipay.fund.trans.common.query", {"out_biz_no": "T1"})
    absent = await ask_api(peer, certified, "alipay.fund.trans.common.query", {"out_biz_no": "T2"})

    assert made["status"] == "SUCCESS"
    assert again["order_id"] == made["order_id"]
    assert other["sub_code"] == "BIZ_UNIQUE_EXCEPTION"
    assert stranger["sub_code"] == "PAYEE_NOT_EXIST"
    assert rich["sub_code"] == "PAYER_BALANCE_NOT_ENOUGH"
    assert key_mode["sub_code"] == "isv.missing-app-cert-sn"
    assert (found["status"], found["trans_amount"]) == ("SUCCESS", "5.00")
    assert absent["sub_code"] == "ORDER_NOT_EXIST"


async def test_certificate_can_be_fetched_by_its_number(door, certified, peer):
    """A merchant that meets an unknown alipay_cert_sn can download the certificate."""
    raw = await door.send(
        (
            await peer.ask(
                certified, build="alipay.trade.query", content={"out_trade_no": "N"}, changes={}
            )
        )["query"]
    )
    api = "alipay.open.app.alipaycert.download"

    found = await ask_api(peer, certified, api, {"alipay_cert_sn": raw["alipay_cert_sn"]})
    absent = await ask_api(peer, certified, api, {"alipay_cert_sn": "0" * 32})

    assert found["alipay_cert_content"]
    assert absent["sub_code"] == "isv.alipay-cert-not-exist"


async def test_slashes_are_escaped_in_what_is_signed(app, peer, door):
    r"""A reply keeps the provider's `\/`, so that only the exact bytes verify."""
    content = {"out_trade_no": "S1", "total_amount": "1.00", "subject": "月卡"}
    signed = await peer.ask(app, build="alipay.trade.precreate", content=content, changes={})

    reply = await door.client.get(f"{app['gateway']}?{signed['query']}")

    assert r"http:\/\/127.0.0.1" in reply.text
    assert reply.headers["content-type"] == "text/html;charset=utf-8"
    assert json.loads(reply.text)["alipay_trade_precreate_response"]["qr_code"].startswith("http:/")


async def test_one_merchant_cannot_see_anothers_trades(shop, certified, peer, precreate, door):
    """A trade belongs to its application, by either number."""
    await precreate(shop, "M1")
    number = (await ask(peer, shop, "trade_query", out_trade_no="M1"))["trade_no"]

    by_number = await ask(peer, certified, "trade_query", trade_no=number)
    by_order = await ask(peer, certified, "trade_query", out_trade_no="M1")

    assert by_number["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert by_order["sub_code"] == "ACQ.TRADE_NOT_EXIST"


async def test_many_refunds_at_once_never_exceed_the_payment(shop, peer, precreate, door):
    """Twenty refunds of a tenth arrive together: ten are made, ten refused."""
    await precreate(shop, "R7", "10.00")
    await door.pay(shop, "R7")
    queries = [
        (
            await peer.ask(
                shop,
                build="alipay.trade.refund",
                content={"out_trade_no": "R7", "refund_amount": "1.00", "out_request_no": f"N{n}"},
                changes={},
            )
        )["query"]
        for n in range(20)
    ]

    replies = await asyncio.gather(*(door.send(query) for query in queries))

    codes = [reply["alipay_trade_refund_response"]["code"] for reply in replies]
    assert codes.count("10000") == 10
    trade = await door.get("/sandbox/alipay/trades/R7", app_id=shop["app_id"])
    assert sum(refund["amount_minor"] for refund in trade["refunds"]) == 1_000
