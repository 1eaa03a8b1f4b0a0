"""Agreements at the emulated Alipay, spoken to and verified by an SDK that we did not write."""

import pytest

SCENE = "INDUSTRY|DIGITAL_MEDIA"
PRODUCT = {"personal_product_code": "GENERAL_WITHHOLDING_P", "sign_scene": SCENE}
SIGN = "alipay.user.agreement.page.sign"


async def open_page(door, peer, app, number="A1", **changes):
    """Open the page of an agreement as the buyer's browser would; give the whole reply."""
    content = {
        **PRODUCT,
        "product_code": "GENERAL_WITHHOLDING",
        "external_agreement_no": number,
        "access_params": {"channel": "QRCODE"},
        **changes.pop("content", {}),
    }
    content = {name: value for name, value in content.items() if value is not None}
    signed = await peer.ask(app, build=SIGN, content=content, changes=changes)
    url = f"{door.url}/alipay/gateway.do?{signed['query']}"
    return await door.client.get(url, follow_redirects=True)


async def act(door, app, number="A1", **how):
    """Let the buyer do something with an agreement."""
    body = {"app_id": app["app_id"], "external_agreement_no": number, **how}
    return await door.post("/sandbox/alipay/agreements", body)


async def api(peer, app, name, **content):
    """Ask the gateway by the SDK, which verifies the reply."""
    answer = await peer.ask(app, api=name, arguments={"biz_content": content})
    return answer["result"]


async def charge(peer, app, agreement, number="T1", amount="12.00", **changes):
    """Charge under an agreement."""
    content = {
        "out_trade_no": number,
        "total_amount": amount,
        "subject": "月卡",
        "product_code": "GENERAL_WITHHOLDING",
        "agreement_params": {"agreement_no": agreement},
        **changes,
    }
    return await api(peer, app, "alipay.trade.pay", **content)


@pytest.fixture
async def granted(door, keys):
    """A merchant with whom agreements were signed up for."""
    return await door.register(keys[1], name="星河数码", has_withholding=True)


async def test_an_agreement_is_signed_told_charged_and_ended(door, peer, granted, ear):
    """The whole life of one: each step is told or answered as the SDK expects, signed."""
    unknown = await api(
        peer, granted, "alipay.user.agreement.query", external_agreement_no="A1", **PRODUCT
    )
    page = await open_page(door, peer, granted, notify_url=ear.url, return_url="http://shop.test/")
    token = str(page.url).rpartition("/")[2]
    signed = await door.client.post(f"{door.url}/alipay/agreement/{token}/sign")
    [told] = await ear.wait(1)
    known = await api(
        peer, granted, "alipay.user.agreement.query", external_agreement_no="A1", **PRODUCT
    )
    paid = await charge(peer, granted, known["agreement_no"])
    again = await charge(peer, granted, known["agreement_no"])
    ended = await api(
        peer, granted, "alipay.user.agreement.unsign", agreement_no=known["agreement_no"]
    )
    gone = await api(
        peer, granted, "alipay.user.agreement.query", agreement_no=known["agreement_no"]
    )
    late = await charge(peer, granted, known["agreement_no"], "T2")
    verified = await peer.ask(granted, verify={k: v for k, v in told.items() if k != "sign_type"})

    assert "USER_AGREEMENT_NOT_EXIST" == unknown["sub_code"]
    assert "待签约" in page.text
    assert signed.headers["location"].startswith("http://shop.test/?app_id=")
    assert f"agreement_no={known['agreement_no']}" in signed.headers["location"]
    assert ("dut_user_sign", "NORMAL", "A1") == (
        told["notify_type"],
        told["status"],
        told["external_agreement_no"],
    )
    assert "seller_id" not in told
    assert {"result": True} == verified
    assert ("10000", "NORMAL") == (known["code"], known["status"])
    assert ("10000", "12.00") == (paid["code"], paid["total_amount"])
    assert "ACQ.TRADE_HAS_SUCCESS" == again["sub_code"]
    assert "10000" == ended["code"]
    assert "USER_AGREEMENT_NOT_EXIST" == gone["sub_code"]
    assert "ACQ.AGREEMENT_NOT_EXIST" == late["sub_code"]


async def test_a_buyer_ends_it_in_the_wallet_and_the_merchant_is_told(door, peer, granted, ear):
    """Ended by its buyer, it is told with its status, and is never signed again."""
    await open_page(door, peer, granted, notify_url=ear.url)
    await act(door, granted, status="NORMAL")
    await act(door, granted, status="UNSIGN")
    told = await ear.wait(2)
    page = await open_page(door, peer, granted)

    assert {("dut_user_sign", "NORMAL"), ("dut_user_unsign", "UNSIGN")} == {
        (each["notify_type"], each["status"]) for each in told
    }
    assert "已解约" in page.text


@pytest.mark.parametrize(
    "state,changes,code",
    [
        ({"status": "STOP"}, {}, "ACQ.AGREEMENT_STATUS_NOT_NORMAL"),
        ({"single_minor_max": 1_199}, {}, "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR"),
        ({"day_minor_max": 1_199}, {}, "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR"),
        ({"funds_minor": 1_199}, {}, "ACQ.BUYER_BALANCE_NOT_ENOUGH"),
        ({"is_watched": True}, {}, "ACQ.PAYMENT_REQUEST_HAS_RISK"),
        ({}, {"product_code": "FACE_TO_FACE_PAYMENT"}, "ACQ.ACCESS_FORBIDDEN"),
        ({}, {"agreement_params": {}}, "ACQ.AUTH_TOKEN_IS_NOT_EXIST"),
        ({}, {"agreement_params": {"agreement_no": "1"}}, "ACQ.AGREEMENT_NOT_EXIST"),
        ({}, {"total_amount": "0"}, "ACQ.INVALID_PARAMETER"),
    ],
)
async def test_a_charge_is_refused_in_the_providers_words(
    door, peer, granted, state, changes, code
):
    """What stands against a charge has its own code, and nothing is taken."""
    await open_page(door, peer, granted)
    agreement = await act(door, granted, status="NORMAL")
    await act(door, granted, **state)
    refused = await charge(peer, granted, agreement["agreement_no"], **changes)
    app = next(
        each
        for each in (await door.get("/sandbox/apps"))["apps"]
        if each["app_id"] == granted["app_id"]
    )

    assert ("40004", code) == (refused["code"], refused["sub_code"])
    assert 100_000_000 == app["balance_minor"]


async def test_a_slow_charge_is_under_way_until_it_is_paid(door, peer, granted):
    """Code 10003 is neither yes nor no: the query tells."""
    await open_page(door, peer, granted)
    agreement = await act(door, granted, status="NORMAL")
    await act(door, granted, is_slow=True)
    begun = await charge(peer, granted, agreement["agreement_no"])
    waiting = await api(peer, granted, "alipay.trade.query", out_trade_no="T1")
    await door.pay(granted, "T1")
    done = await api(peer, granted, "alipay.trade.query", out_trade_no="T1")

    assert "10003" == begun["code"]
    assert ("WAIT_BUYER_PAY", "TRADE_SUCCESS") == (waiting["trade_status"], done["trade_status"])


@pytest.mark.parametrize(
    "content",
    [
        {"access_params": None},
        {"access_params": {"channel": "WEB"}},
        {"sign_scene": "DEFAULT|DEFAULT"},
        {"sign_scene": None},
        {"external_agreement_no": "with-hyphen"},
        {"external_agreement_no": "a" * 33},
        {"personal_product_code": "CYCLE_PAY_AUTH_P"},
    ],
)
async def test_a_wrong_signing_is_refused(door, peer, granted, content):
    """A page that lacks its scene, its number or its channel is not shown."""
    page = await open_page(door, peer, granted, content=content)

    assert "INVALID_PARAMETER" in page.text
    assert "/alipay/gateway.do" in str(page.url)


async def test_who_has_no_contract_for_it_signs_and_charges_nothing(door, peer, shop, granted):
    """Agreements are for merchants they were granted to; another's number is not there."""
    page = await open_page(door, peer, shop)
    await open_page(door, peer, granted)
    theirs = await act(door, granted, status="NORMAL")
    forbidden = await charge(peer, shop, theirs["agreement_no"])
    unknown = await api(
        peer, shop, "alipay.user.agreement.unsign", agreement_no=theirs["agreement_no"]
    )

    assert "isv.insufficient-isv-permissions" in page.text
    assert "ACQ.ACCESS_FORBIDDEN" == forbidden["sub_code"]
    assert "USER_AGREEMENT_NOT_EXIST" == unknown["sub_code"]
