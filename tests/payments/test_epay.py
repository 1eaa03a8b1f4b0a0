"""Epay: a shared secret proves nothing, so every yuan is what the provider, asked, says."""

import asyncio
from datetime import UTC, datetime
from hashlib import md5
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.payments.conftest import (
    EpayShop,
    altered,
    epay_channel,
    number_of,
    open_epay_shop,
)

from vendrail.api.payments import Callback, PresentRequest, Refund, RefundSettled, UnmatchedQuery
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.epay import read_amount, signature
from vendrail.kernel.ids import new_id
from vendrail.payments import decide
from vendrail.payments.channels.base import (
    Ask,
    QueryAnswer,
    QueryOutcome,
    RefundAsk,
    RefundOutcome,
    SettingProblem,
    check_settings,
    registry,
)
from vendrail.payments.channels.epay_messages import read_query, read_refund

KEY = "89unJUB8HZ54Hj7x4nUj56HN4nUzUJ8i"
ASKED = {
    "money": "1.00",
    "name": "VIP会员",
    "notify_url": "http://www.pay.com/notify_url.php",
    "out_trade_no": "20160806151343349",
    "pid": "1001",
    "return_url": "http://www.pay.com/return_url.php",
    "type": "alipay",
}
TOLD = {
    "money": "1.00",
    "name": "VIP会员",
    "out_trade_no": "20160806151343349",
    "pid": "1001",
    "trade_no": "2016080622555342651",
    "trade_status": "TRADE_SUCCESS",
    "type": "alipay",
}


def forge(key: str, **fields: str) -> bytes:
    """Sign a callback as somebody would who knows the key; written apart from the product."""
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)) + key
    return urlencode({**fields, "sign": md5(text.encode()).hexdigest()}).encode()


def test_signatures_are_those_that_are_published():
    """Both published examples come out, whatever empty or signature fields stand beside."""
    beside = {"sign": "x", "sign_type": "MD5", "param": "", "clientip": ""}

    assert "427724b6656aa612cfdbe7a2262036a3" == signature({**beside, **ASKED}, KEY)
    assert "42729bbb004977e3ac0f0a2a639558a0" == signature({**TOLD, **beside}, KEY)


@pytest.mark.parametrize("text", ["12.3", "12.30", "12.3000", "012.30"])
def test_money_is_read_however_a_fork_writes_it(text):
    """Trailing zeros are no difference."""
    assert 1230 == read_amount(text)


@pytest.mark.parametrize("text", ["", "1.005", "-1", "+1", "1e3", "1,000", "１", " 1", "1.", "NaN"])
def test_what_is_no_money_is_not_read(text):
    """Anything but digits, or more than fen, is nothing."""
    assert read_amount(text) is None


@given(st.integers(min_value=0, max_value=10**12 - 1), st.integers(min_value=0, max_value=6))
def test_every_amount_comes_back(amount_minor, zeros):
    """What is written with two places or more is read exactly."""
    text = f"{amount_minor // 100}.{amount_minor % 100:02d}" + "0" * zeros

    assert amount_minor == read_amount(text)


@given(st.sampled_from(QueryOutcome), st.integers(min_value=1, max_value=9))
def test_a_claim_ends_only_by_the_providers_word(outcome, tries):
    """Paid is recorded, a clear no counts after three, and silence never ends anything."""
    state, _ = decide.claim(QueryAnswer(outcome), tries)

    if outcome is QueryOutcome.PAID:
        assert "recorded" == state
    elif outcome is QueryOutcome.UNKNOWN:
        assert "waiting" == state
    else:
        assert ("denied" if tries >= 3 else "waiting") == state


async def test_the_page_is_signed_as_the_provider_wants_it(epay_shop):
    """The buyer is led to submit.php with every field, the money with two places, type wxpay."""
    attempt = await epay_shop.opened(100, method="wechat", title="会" * 100)
    (action,) = await epay_shop.payments.present_attempts(
        [PresentRequest(attempt.id, return_url="https://shop.example/orders/1")]
    )
    fields = dict(parse_qsl(urlsplit(action.url).query))
    signed = {k: fields[k] for k in sorted(fields) if k not in {"sign", "sign_type"}}
    text = "&".join(f"{k}={v}" for k, v in signed.items()) + epay_shop.channel.settings["key"]

    assert urlsplit(action.url).path == "/epay/submit.php"
    assert ("1.00", "wxpay", "MD5") == (fields["money"], fields["type"], fields["sign_type"])
    assert md5(text.encode()).hexdigest() == fields["sign"]
    assert ("会" * 42, number_of(attempt)) == (fields["name"], fields["out_trade_no"])
    assert fields["notify_url"].endswith(f"/callbacks/{epay_shop.channel.id}")
    assert "https://shop.example/orders/1" == fields["return_url"]


async def test_the_code_tells_the_buyers_address(epay_shop):
    """A code is fetched once, with the buyer's address, which the provider insists on."""
    attempt = await epay_shop.opened(method="wechat_qr")
    request = PresentRequest(attempt.id, address="203.0.113.9")
    (action,) = await epay_shop.payments.present_attempts([request])

    assert "qr" == action.kind
    order = epay_shop.epay.order(epay_shop.pid, number_of(attempt))
    assert ("203.0.113.9", "wxpay") == (order["clientip"], order["kind"])


@pytest.mark.parametrize(
    "paid,told,credited,fit",
    [
        ("12.29", "12.29", 1229, "amount_differs"),
        ("12.29", "12.30", 1229, "amount_differs"),  # Who knows the key says it was enough.
        ("12.30", "0.01", 1230, "fits"),
        ("99.00", "12.30", 9900, "amount_differs"),
    ],
)
async def test_x11_money_is_what_the_provider_says(epay_shop, paid, told, credited, fit):
    """Whatever a callback claims, what is credited and compared is the answer to our question."""
    attempt = await epay_shop.opened()
    (body,) = await epay_shop.sign(attempt, amount=paid, money=told)

    assert [b"success"] == await epay_shop.tell(body)
    (event,) = await epay_shop.events()
    assert (credited, fit) == (event.capture.amount_minor, event.capture.fit)


async def test_x12_another_merchant_or_status_is_refused(epay_shop):
    """A well signed callback for another pid is refused, one of another status is no money."""
    attempt = await epay_shop.opened()
    (foreign,) = await epay_shop.sign(attempt, pid="9999")
    (unpaid,) = await epay_shop.sign(attempt, trade_status="WAIT_BUYER_PAY")

    assert [b"fail", b"success"] == await epay_shop.tell(foreign, unpaid)
    assert [] == await epay_shop.events()


async def test_x13_forged_callbacks_change_nothing(epay_shop, database_url):
    """A changed field, a missing or foreign signature, a doubled field: refused, nothing asked."""
    attempt = await epay_shop.opened()
    (body,) = await epay_shop.sign(attempt)
    fields = dict(parse_qsl(body.decode()))
    forged = [
        altered(body, money="0.01"),
        altered(body, out_trade_no=number_of(await epay_shop.opened())),
        altered(body, sign=""),
        altered(body, sign="0" * 32),
        altered(body, sign=fields["sign"].upper()),
        altered(body, sign_type="RSA"),
        altered(body, added="1"),
        forge("another key", **{k: v for k, v in fields.items() if "sign" not in k}),
        body + b"&money=12.30",
        b"",
        b"%ff=%zz",
    ]

    assert [b"fail"] * len(forged) == await epay_shop.tell(*forged)
    assert [] == await epay_shop.events()
    owner = await connect_once(database_url)
    assert 0 == await owner.fetchval("select count(*) from payments.claim")
    await owner.close()
    assert [b"success"] == await epay_shop.tell(body)
    assert 1 == len(await epay_shop.events())


async def test_x14_a_leaked_key_is_no_money(epay_shop, service, clock):
    """Who knows the key can only make us ask: nothing is told, and the order is still payable."""
    attempt = await epay_shop.shown()
    key = epay_shop.channel.settings["key"]
    body = forge(key, **{**TOLD, "pid": epay_shop.pid, "out_trade_no": number_of(attempt)})
    stranger = forge(key, **{**TOLD, "pid": epay_shop.pid})

    assert [b"success"] * 2 == await epay_shop.tell(body, stranger)
    for _ in range(4):
        clock.advance(700)
        await service.confirm_captures()
    assert [] == await epay_shop.events()
    assert [[]] == await service.list_unmatched([UnmatchedQuery()])
    await epay_shop.pay(attempt)
    (genuine,) = await epay_shop.sign(attempt)
    assert [b"success"] == await epay_shop.tell(genuine)
    (event,) = await epay_shop.events()
    assert "fits" == event.capture.fit


async def test_x14_a_forged_number_cannot_spoil_a_payment(epay_shop):
    """A forger who knows key and trade number, and is first, does not keep the money from us."""
    attempt = await epay_shop.shown()
    number = await epay_shop.pay(attempt)
    told = {**TOLD, "pid": epay_shop.pid, "out_trade_no": number_of(attempt), "trade_no": number}
    body = forge(epay_shop.channel.settings["key"], **{**told, "money": "0.01"})

    assert [b"success"] == await epay_shop.tell(body)
    (event,) = await epay_shop.events()
    assert (1230, "fits", number) == (
        event.capture.amount_minor,
        event.capture.fit,
        event.capture.provider_number,
    )


@pytest.mark.parametrize(
    "kind,more",
    [
        ("query_unknown", {}),
        ("gateway_down", {}),
        ("query_disagrees", {}),
        ("query_disagrees", {"params": {"field": "out_trade_no", "value": "another"}}),
        ("query_disagrees", {"params": {"field": "pid", "value": "9999"}}),
        ("query_disagrees", {"params": {"field": "money", "value": "12.305"}}),
        ("query_disagrees", {"params": {"field": "status", "value": "7"}}),
        ("business_error", {"params": {"sub_code": "key_wrong"}}),
        ("business_error", {"params": {"sub_code": "pid_unknown"}}),
    ],
)
async def test_unclear_answers_are_asked_again(epay_shop, service, clock, kind, more):
    """Nothing is credited on an answer that is unclear or of another; it is asked again."""
    attempt = await epay_shop.opened()
    (body,) = await epay_shop.sign(attempt)
    epay_shop.epay.fault(kind, **more)

    assert [b"success"] == await epay_shop.tell(body)
    assert [] == await epay_shop.events()
    clock.advance(6)
    await service.confirm_captures()
    assert 1 == len(await epay_shop.events())


async def test_money_that_went_back_meanwhile_is_none(epay_shop, service, clock):
    """What the provider gave back before we asked pays nothing, though a callback came."""
    attempt = await epay_shop.opened()
    (body,) = await epay_shop.sign(attempt)
    epay_shop.epay.give_back(epay_shop.channel, number_of(attempt), "12.30")

    assert [b"success"] == await epay_shop.tell(body)
    for _ in range(4):
        clock.advance(700)
        await service.confirm_captures()
    assert [] == await epay_shop.events()


async def test_money_for_no_order_of_ours_goes_to_the_desk(epay_shop):
    """What was paid to us for an order we never had is kept, and a person decides."""
    stranger = epay_shop.attempt()

    assert [b"success"] == await epay_shop.tell(*await epay_shop.sign(stranger))
    ((capture,),) = await epay_shop.payments.list_unmatched([UnmatchedQuery()])
    assert ("order_unknown", 1230) == (capture.fit, capture.amount_minor)


@pytest.mark.parametrize(
    "fork,settings,method",
    [
        ({"places": 4}, {}, "GET"),
        ({"places": 0, "tells_sign_type": False}, {}, "GET"),
        ({"notifies_by": "POST"}, {}, "POST"),
        ({"asked_by": "POST"}, {"asks_by": "post"}, "GET"),
        ({"asked_by": "GET"}, {"asks_by": "get"}, "GET"),
    ],
)
async def test_forks_differ_and_are_understood(service, epay, clock, fork, settings, method):
    """Money with four places or the shortest, no sign_type, everything by POST."""
    channel = epay_channel(epay.register(**fork), epay.url, settings=settings)
    assert ["created"] == await service.put_channels([channel])
    shop = EpayShop(service, channel, epay, clock, service)
    attempt = await shop.opened()
    (body,) = await shop.sign(attempt)
    if method == "GET":
        raw = Callback(channel.id, "GET", {}, body.decode(), b"")
    else:
        raw = Callback(channel.id, "POST", {}, "", body)

    (answer,) = await service.take_callbacks([raw])
    await service.confirm_captures()
    assert b"success" == answer.body
    (event,) = await shop.events()
    assert (1230, "fits") == (event.capture.amount_minor, event.capture.fit)


async def test_an_order_cannot_be_closed_and_stays_watched(epay_shop, service):
    """V1 closes nothing: an unpaid order is let go here, and money that comes late is taken."""
    attempt = await epay_shop.shown()

    assert ["closed"] == await service.close_attempts([attempt.order])
    await epay_shop.pay(attempt)
    (body,) = await epay_shop.sign(attempt)
    assert [b"success"] == await epay_shop.tell(body)
    assert 1 == len(await epay_shop.events())


async def _refund(shop, service, amount_minor):
    capture = await shop.captured(1000)
    refund = Refund(new_id(shop.clock.now()), capture.id, amount_minor, "dead key")
    return refund, (await service.request_refunds([refund]))[0]


async def test_a_part_whose_answer_was_lost_is_not_sent_again(epay_shop, service, clock):
    """The provider knows no number of ours: the sum that went back tells, and nothing is resent."""
    attempt = await epay_shop.shown(1000)
    await epay_shop.pay(attempt)
    await epay_shop.payments.query_attempts([attempt.id])
    ((capture,),) = await service.read_captures([attempt.order])
    epay_shop.epay.fault("gateway_down", match={"method": "refund"}, params={"is_after": True})
    epay_shop.epay.fault("query_unknown", match={"method": "order"})
    refund = Refund(new_id(clock.now()), capture.id, 300, "dead key")

    assert ["pending"] == await service.request_refunds([refund])
    clock.advance(6)
    await service.ask_refunds()
    assert ["succeeded"] == await service.request_refunds([refund])
    assert [300] == epay_shop.returned(attempt)
    assert [RefundSettled(refund.id, True)] == [
        event for event in await epay_shop.events() if isinstance(event, RefundSettled)
    ]


async def test_a_part_that_never_arrived_fails_and_may_be_asked_anew(epay_shop, service, clock):
    """When nothing went back for minutes the refund fails, surely, and another one may be made."""
    attempt = await epay_shop.shown(1000)
    await epay_shop.pay(attempt)
    await service.query_attempts([attempt.id])
    ((capture,),) = await service.read_captures([attempt.order])
    epay_shop.epay.fault("gateway_down", match={"method": "refund"})
    refund = Refund(new_id(clock.now()), capture.id, 300, "")

    assert ["pending"] == await service.request_refunds([refund])
    for _ in range(2):
        clock.advance(700)
        await service.ask_refunds()
        assert ["pending"] == await service.request_refunds([refund])
    clock.advance(700)
    await service.ask_refunds()
    assert ["failed"] == await service.request_refunds([refund])
    assert [0] == epay_shop.returned(attempt)
    again = replace(refund, id=new_id(clock.now()))
    assert ["succeeded"] == await service.request_refunds([again])
    assert [300] == epay_shop.returned(attempt)


async def test_a_fork_that_tells_nothing_keeps_a_part_pending(service, epay, clock):
    """Where the sum is not told an unknown part stays unknown, and is never sent twice."""
    shop = await open_epay_shop(service, service, epay, clock, tells_refunds=False)
    attempt = await shop.shown(1000)
    await shop.pay(attempt)
    await service.query_attempts([attempt.id])
    ((capture,),) = await service.read_captures([attempt.order])
    epay.fault("gateway_down", match={"method": "refund"}, params={"is_after": True})
    refund = Refund(new_id(clock.now()), capture.id, 300, "")

    assert ["pending"] == await service.request_refunds([refund])
    for _ in range(5):
        clock.advance(4_000)
        await service.ask_refunds()
    assert ["pending"] == await service.request_refunds([refund])
    assert [300] == shop.returned(attempt)


async def test_the_whole_can_be_told_again(epay_shop, service, clock):
    """All of it cannot go back twice: a lost telling is repeated, a lost answer is found."""
    for is_after in (False, True):
        attempt = await epay_shop.shown(1000)
        await epay_shop.pay(attempt)
        await service.query_attempts([attempt.id])
        ((capture,),) = await service.read_captures([attempt.order])
        params = {"is_after": is_after}
        epay_shop.epay.fault("gateway_down", match={"method": "refund"}, params=params)
        epay_shop.epay.fault("query_unknown", match={"method": "order"})
        refund = Refund(new_id(clock.now()), capture.id, 1000, "")

        assert ["pending"] == await service.request_refunds([refund])
        clock.advance(6)
        await service.ask_refunds()
        assert ["succeeded"] == await service.request_refunds([refund])
        assert [1000] == epay_shop.returned(attempt)


async def test_two_parts_under_way_are_not_taken_for_each_other(epay_shop, service, clock):
    """While two parts are unknown the sum proves neither; nothing is sent again."""
    attempt = await epay_shop.shown(1000)
    await epay_shop.pay(attempt)
    await service.query_attempts([attempt.id])
    ((capture,),) = await service.read_captures([attempt.order])
    epay_shop.epay.fault("gateway_down", match={"method": "refund"}, params={"is_after": True})
    epay_shop.epay.fault("gateway_down", match={"method": "refund"})
    refunds = [Refund(new_id(clock.now()), capture.id, 300, "") for _ in range(2)]

    assert ["pending"] * 2 == await service.request_refunds(refunds)
    for _ in range(5):
        clock.advance(4_000)
        await service.ask_refunds()
    assert ["pending"] * 2 == await service.request_refunds(refunds)
    assert sum(epay_shop.returned(attempt)) <= 300


async def test_a_part_that_begins_meanwhile_is_not_taken_for_the_lost_one(
    epay_shop, service, clock
):
    """While we ask for the sum another part goes back: the sum does not prove the lost one."""
    attempt = await epay_shop.shown(1000)
    await epay_shop.pay(attempt)
    await service.query_attempts([attempt.id])
    ((capture,),) = await service.read_captures([attempt.order])
    epay_shop.epay.fault("gateway_down", match={"method": "refund"})
    lost = Refund(new_id(clock.now()), capture.id, 300, "")
    assert ["pending"] == await service.request_refunds([lost])
    epay_shop.epay.fault("slow", match={"method": "order"}, params={"delay_s": 1.5})
    clock.advance(6)
    asking = asyncio.create_task(service.ask_refunds())
    for _ in range(500):
        if not epay_shop.epay.faults():
            break  # Taken: the question has arrived, and waits.
        await asyncio.sleep(0.02)
    other = Refund(new_id(clock.now()), capture.id, 300, "")

    assert ["succeeded"] == await service.request_refunds([other])
    await asking
    assert ["pending"] == await service.request_refunds([lost])
    for _ in range(3):
        clock.advance(4_000)
        await service.ask_refunds()
    assert ["failed"] == await service.request_refunds([lost])
    assert [300] == epay_shop.returned(attempt)


async def test_a_clear_refusal_at_the_first_telling_is_final(epay_shop, service):
    """A merchant without money hears so at once; a busy provider has said nothing."""
    epay_shop.epay.fault(
        "business_error", match={"method": "refund"}, params={"sub_code": "balance_too_low"}
    )
    assert "failed" == (await _refund(epay_shop, service, 300))[1]
    epay_shop.epay.fault(
        "business_error", match={"method": "refund"}, params={"sub_code": "system_busy"}
    )
    assert "pending" == (await _refund(epay_shop, service, 300))[1]


def test_a_refusal_that_leaves_something_open_is_no_end():
    """Broken, busy, begun before or without a word: asked about, as the newer protocol does it."""
    ask = RefundAsk("R", "N", "T", 30, 100, "CNY", "")
    vague = (
        "系统繁忙",
        "退款单号已存在",
        "处理中",
        "退款失败：系统错误",
        "网络异常",
        "Unknown error",
        "",
    )
    told = [read_refund({"code": "-1", "msg": msg}, ask) for msg in vague]
    clear = read_refund({"code": "-1", "msg": "商户余额不足"}, ask)
    later = read_refund({"code": "-1", "msg": "商户余额不足"}, replace(ask, tries=1))

    assert {RefundOutcome.UNKNOWN} == {each.outcome for each in told}
    assert (RefundOutcome.FAILED, True) == (clear.outcome, clear.is_final)
    assert (RefundOutcome.FAILED, False) == (later.outcome, later.is_final)


async def test_refunds_that_are_off_move_nothing(service, epay, clock):
    """Without a signed-up refund interface the provider is not even asked."""
    channel = epay_channel(epay.register(), epay.url, settings={"refunds": "no"})
    await service.put_channels([channel])
    shop = EpayShop(service, channel, epay, clock, service)

    assert "failed" == (await _refund(shop, service, 300))[1]


@pytest.mark.parametrize(
    "changes,name",
    [
        ({"url": "http://pay.example.com/"}, "url"),
        ({"url": "https://pay.example.com/submit.php"}, "url"),
        ({"url": "pay.example.com"}, "url"),
        ({"url": "https://u:p@pay.example.com/"}, "url"),
        ({"url": ""}, "url"),
        ({"pid": "a b"}, "pid"),
        ({"key": ""}, "key"),
        ({"key": "short"}, "key"),
        ({"methods": "alipay,paypal"}, "methods"),
        ({"shows": "page,nfc"}, "shows"),
        ({"asks_by": "put"}, "asks_by"),
        ({"refunds": "maybe"}, "refunds"),
        ({"private_key": "x"}, "private_key"),
    ],
)
def test_settings_are_checked_one_by_one(changes, name):
    """What is wrong with a setting is said by its name, before anything is written."""
    good = {"url": "https://pay.example.com/", "pid": "1001", "key": KEY}
    assert check_settings(registry()["epay"], good)

    with pytest.raises(SettingProblem) as caught:
        check_settings(registry()["epay"], {**good, **changes})
    assert name == caught.value.name


async def test_the_key_is_sealed_and_shown_to_nobody(epay_shop, service, database_url, clock):
    """The key lies sealed, is masked in lists, and no problem that is kept holds it."""
    key = epay_shop.channel.settings["key"]
    attempt = await epay_shop.opened()
    (body,) = await epay_shop.sign(attempt)
    epay_shop.epay.fault("query_disagrees", params={"field": "status", "value": key})
    await epay_shop.tell(body)
    owner = await connect_once(database_url)
    kept = await owner.fetch("select settings::text from payments.channel")
    problems = await owner.fetch("select problem from payments.claim")
    await owner.close()

    assert key not in str(kept)
    assert "status" in str(problems)
    assert key[:20] not in str(problems)
    (listed,) = await service.list_channels()
    assert set("*") == set(listed.settings["key"])


async def test_a_provider_that_is_away_costs_one_question_at_a_time(epay_shop, service, clock):
    """While nothing is answered claims wait, and are recorded once the provider is back."""
    attempts = [await epay_shop.opened() for _ in range(8)]
    bodies = await epay_shop.sign(*attempts)
    epay_shop.epay.fault("gateway_down", count=0)
    await epay_shop.tell(*bodies)
    assert [] == await epay_shop.events()
    epay_shop.epay.clear()
    for _ in range(6):  # The breaker lets one try through, then all.
        clock.advance(700)
        await service.confirm_captures()

    assert 8 == len(await epay_shop.events())


def test_a_reply_about_nothing_is_unknown():
    """A reply that lacks what it must have proves neither payment nor its absence."""
    channel = registry()["epay"]
    settings = check_settings(channel, {"url": "https://p.example/", "pid": "1", "key": KEY})
    now = datetime.now(UTC)
    ask = Ask("N", "alipay", 100, "CNY", "", now, now)

    for fields in ({}, {"code": "1"}, {"code": "1", "out_trade_no": "N", "status": "1"}):
        assert QueryOutcome.UNKNOWN is read_query(fields, ask, settings).outcome
    missing = {"code": "-1", "msg": "订单号不存在"}
    assert QueryOutcome.NOT_FOUND is read_query(missing, ask, settings).outcome
