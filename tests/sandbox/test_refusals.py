"""Wrong requests, made by an SDK that we did not write, are refused in the provider's own words."""

import httpx
import pytest

GOOD = {"out_trade_no": "W1", "total_amount": "1.00", "subject": "月卡"}
PAGE = {**GOOD, "product_code": "FAST_INSTANT_TRADE_PAY"}
WAP = {**GOOD, "product_code": "QUICK_WAP_PAY"}
BILL = {"bill_type": "trade", "bill_date": "2026-01-01"}

# What is changed before signing (None takes it away), and the code it earns.
ENVELOPES = [
    ({"app_id": "2021000000000000"}, "40002", "isv.invalid-app-id"),
    ({"app_id": None}, "40001", "isv.missing-app-id"),
    ({"charset": "latin-1"}, "40002", "isv.invalid-charset"),
    ({"charset": None}, "40002", "isv.invalid-charset"),
    ({"sign_type": "RSA"}, "40002", "isv.invalid-signature-type"),
    ({"sign_type": "MD5"}, "40002", "isv.invalid-signature-type"),
    ({"sign_type": None}, "40001", "isv.missing-signature-type"),
    ({"timestamp": None}, "40001", "isv.missing-timestamp"),
    ({"timestamp": "2020-01-01 00:00:00"}, "40002", "isv.invalid-timestamp"),
    ({"timestamp": "2026/11/23 12:00:00"}, "40002", "isv.invalid-timestamp"),
    ({"timestamp": "2026-11-31 12:00:00"}, "40002", "isv.invalid-timestamp"),
    ({"version": None}, "40001", "isv.missing-version"),
    ({"version": "2.0"}, "40002", "isv.invalid-parameter"),
    ({"format": "XML"}, "40002", "isv.invalid-format"),
    ({"app_cert_sn": "0" * 32}, "40002", "isv.app-cert-not-exist"),
    ({"notify_url": "ftp://example.com/x"}, "40002", "isv.invalid-parameter"),
    ({"notify_url": "http://example.com/x?id=1"}, "40002", "isv.invalid-parameter"),
    ({"return_url": "javascript:alert(1)"}, "40002", "isv.invalid-parameter"),
    ({"biz_content": "not json"}, "40002", "isv.illegal-json"),
    ({"biz_content": "[]"}, "40002", "isv.illegal-json"),
    ({"biz_content": None}, "40002", "isv.illegal-json"),
]

CONTENTS = [
    ("trade.precreate", {"out_trade_no": None}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"out_trade_no": "a" * 65}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"out_trade_no": "with-hyphen"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"out_trade_no": "订单"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"total_amount": None}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"total_amount": "0.00"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"total_amount": "1.001"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"total_amount": "-1.00"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"total_amount": "1e3"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"total_amount": "１.00"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"total_amount": "100000000.01"}, "ACQ.TOTAL_FEE_EXCEED"),
    ("trade.precreate", {"subject": ""}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"subject": "月" * 257}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"subject": "a/b"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"product_code": "NO_SUCH"}, "ACQ.INVALID_PARAMETER"),
    ("trade.precreate", {"timeout_express": "1.5h"}, "ACQ.INVALID_PARAMETER"),
    ("trade.query", {"out_trade_no": None}, "ACQ.INVALID_PARAMETER"),
    ("trade.query", {}, "ACQ.TRADE_NOT_EXIST"),
    ("trade.close", {}, "ACQ.TRADE_NOT_EXIST"),
    ("trade.refund", {}, "ACQ.INVALID_PARAMETER"),
    ("trade.refund", {"refund_amount": "1.00"}, "ACQ.TRADE_NOT_EXIST"),
    ("trade.fastpay.refund.query", {}, "ACQ.INVALID_PARAMETER"),
    ("trade.fastpay.refund.query", {"out_request_no": "A"}, "ACQ.TRADE_NOT_EXIST"),
    ("data.dataservice.bill.downloadurl.query", {"bill_type": "x"}, "INVAILID_ARGUMENTS"),
    ("data.dataservice.bill.downloadurl.query", {"bill_date": "2026-02-30"}, "INVAILID_ARGUMENTS"),
    ("data.dataservice.bill.downloadurl.query", {"bill_date": "2999-01-01"}, "INVAILID_ARGUMENTS"),
    ("data.dataservice.bill.downloadurl.query", {}, "isp.bill_not_exist"),
]


@pytest.mark.parametrize("changes, code, sub_code", ENVELOPES)
async def test_wrong_envelope_is_refused(door, shop, peer, changes, code, sub_code):
    """A request that is wrong in its envelope is refused with the provider's code."""
    signed = await peer.ask(
        shop, build="alipay.trade.precreate", content=dict(GOOD), changes=changes
    )

    raw = await door.send(signed["query"])

    node = raw["alipay_trade_precreate_response"]
    assert (node["code"], node["sub_code"]) == (code, sub_code)
    assert ("sign" in raw) == ("app_id" not in changes)


@pytest.mark.parametrize("api, changes, sub_code", CONTENTS)
async def test_wrong_content_is_refused(door, shop, peer, api, changes, sub_code):
    """A request that is wrong in its content is refused with the provider's code."""
    content = dict(BILL) if api.startswith("data.") else dict(GOOD)
    for name, value in changes.items():
        if value is None:
            del content[name]
        else:
            content[name] = value
    arguments = {"biz_content": content}

    answer = await peer.ask(shop, api=f"alipay.{api}", arguments=arguments)

    assert (answer["result"]["code"], answer["result"]["sub_code"]) == ("40004", sub_code)


@pytest.mark.parametrize(
    "changes, code, sub_code",
    [
        ({"app_cert_sn": None}, "40002", "isv.missing-app-cert-sn"),
        ({"app_cert_sn": "0" * 32}, "40002", "isv.app-cert-not-exist"),
        ({"alipay_root_cert_sn": None}, "40002", "isv.missing-alipay-root-cert-sn"),
        ({"alipay_root_cert_sn": "0" * 32}, "40002", "isv.invalid-alipay-root-cert-sn"),
    ],
)
async def test_wrong_certificates_are_refused(door, certified, peer, changes, code, sub_code):
    """In certificate mode a request must name both certificates, and the right ones."""
    signed = await peer.ask(
        certified, build="alipay.trade.query", content={"out_trade_no": "W"}, changes=changes
    )

    raw = await door.send(signed["query"])

    node = raw["alipay_trade_query_response"]
    assert (node["code"], node["sub_code"]) == (code, sub_code)
    assert raw["alipay_cert_sn"]


@pytest.mark.parametrize(
    "changes, code, sub_code",
    [
        ({"method": None}, "40001", "isv.missing-method"),
        ({"method": "alipay.trade.nonsense"}, "40002", "isv.invalid-method"),
    ],
)
async def test_unknown_method_is_an_error_response(door, shop, peer, changes, code, sub_code):
    """Where no method is known there is no method node: the reply is `error_response`."""
    signed = await peer.ask(shop, build="alipay.trade.query", content=dict(GOOD), changes=changes)

    raw = await door.send(signed["query"])

    assert list(raw) == ["error_response"]
    assert (raw["error_response"]["code"], raw["error_response"]["sub_code"]) == (code, sub_code)


async def test_signature_is_checked_over_everything(door, shop, peer, keys):
    """Anything changed after signing, a foreign key, SHA-1 or no signature at all is refused."""
    signed = await peer.ask(shop, build="alipay.trade.precreate", content=dict(GOOD), changes={})
    foreign = await peer.ask(
        {**shop, "private_key": keys[2][0]},
        build="alipay.trade.precreate",
        content=dict(GOOD),
        changes={},
    )
    weak = await peer.ask(
        {**shop, "sign_type": "RSA"},
        build="alipay.trade.precreate",
        content=dict(GOOD),
        changes={"sign_type": "RSA2"},
    )
    params = httpx.QueryParams(signed["query"])

    async def refusal(query):
        return (await door.send(str(query)))["alipay_trade_precreate_response"]["sub_code"]

    assert await refusal(params.set("notify_url", "http://evil.test/x")) == "isv.invalid-signature"
    assert await refusal(params.set("sign", "!!!")) == "isv.invalid-signature"
    assert await refusal(params.set("sign", "QUJD")) == "isv.invalid-signature"
    assert await refusal(params.remove("sign")) == "isv.missing-signature"
    assert await refusal(foreign["query"]) == "isv.invalid-signature"
    assert await refusal(weak["query"]) == "isv.invalid-signature"
    twice = await door.send(f"{signed['query']}&app_id=9021999999999999")
    assert twice["error_response"]["sub_code"] == "isv.invalid-parameter"


@pytest.mark.parametrize(
    "api, content",
    [
        ("alipay.trade.page.pay", GOOD),
        ("alipay.trade.page.pay", {**PAGE, "total_amount": "free"}),
        ("alipay.trade.wap.pay", WAP),
        ("alipay.trade.wap.pay", {**WAP, "product_code": "QUICK_WAP_WAY", "quit_url": "x:y"}),
    ],
)
async def test_wrong_page_request_shows_a_person_why(door, shop, peer, api, content):
    """A page method answers a browser: its refusal is a page that names the code."""
    signed = await peer.ask(shop, build=api, content=content, changes={})

    reply = await door.client.get(f"{door.url}/alipay/gateway.do?{signed['query']}")

    assert reply.status_code == 200
    assert "ACQ.INVALID_PARAMETER" in reply.text
    assert "script" not in reply.text


@pytest.mark.parametrize(
    "body", [b"", b"=", b"\xff\xfe", b"method=%FF", b"biz_content=" + b"[" * 100_000]
)
async def test_garbage_is_refused_not_stumbled_over(door, body):
    """Whatever bytes arrive, the answer is a refusal of the provider's, never a failure."""
    reply = await door.client.post(f"{door.url}/alipay/gateway.do", content=body)

    assert reply.status_code == 200
    assert reply.json()["error_response"]["code"] in ("40001", "40002")
