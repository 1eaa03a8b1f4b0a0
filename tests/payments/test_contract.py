"""What payments promises through its api, in this process and as another would call it."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from tests.payments.conftest import (
    MERCHANT,
    altered,
    channel_of,
    epay_channel,
    number_of,
    open_shop,
)

from vendrail.api.payments import (
    CaptureReport,
    ChannelAccount,
    ChannelId,
    Device,
    PaymentCaptured,
    PresentRequest,
    Refund,
    RefundSettled,
    UnmatchedQuery,
    UnmatchedRefunded,
    UnmatchedVerdict,
    fitting,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id

# What is believed: a callback signed by a key of the provider's own, or only what it answers.
_SOURCES = {"alipay": "callback", "epay": "query"}


async def test_opening_again_changes_nothing(any_shop):
    """The same attempt exists, another under its id or number is refused, nothing is called."""
    attempt = any_shop.attempt()
    other = replace(attempt, amount_minor=1)
    rival = replace(attempt, id=derive(attempt.order, "other"))

    assert ["opened", "exists"] == await any_shop.payments.open_attempts([attempt, attempt])
    assert ["exists", "exists_different", "exists_different"] == (
        await any_shop.payments.open_attempts([attempt, other, rival])
    )
    ((view,),) = await any_shop.payments.read_attempts([attempt.order])
    assert replace(attempt, channel=any_shop.channel.id) == view.attempt
    assert ("open", number_of(attempt)) == (view.state, view.out_trade_no)


async def test_opening_is_refused_with_the_first_reason(any_shop):
    """Method, currency and amount are checked, in this order."""
    batch = [
        any_shop.attempt(0, method="dogecoin", currency="USD"),
        any_shop.attempt(0, currency="USD"),
        any_shop.attempt(0),
        any_shop.attempt(channel=new_id(any_shop.clock.now())),
        any_shop.attempt(channel=any_shop.channel.id),
    ]

    assert [
        "method_not_offered",
        "currency_not_offered",
        "amount_not_positive",
        "method_not_offered",
        "opened",
    ] == await any_shop.payments.open_attempts(batch)


async def test_page_pay_leads_to_a_paid_order(any_shop):
    """The signed address opens at the provider, the buyer pays, the callback becomes a capture."""
    attempt = await any_shop.shown()
    number = await any_shop.pay(attempt)
    (body,) = await any_shop.sign(attempt)

    assert [b"success"] == await any_shop.tell(body)
    ((capture,),) = await any_shop.payments.read_captures([attempt.order])
    assert (number, 1230, "CNY", "fits") == (
        capture.provider_number,
        capture.amount_minor,
        capture.currency,
        capture.fit,
    )
    assert _SOURCES[any_shop.channel.kind] == capture.source
    assert (attempt.id, attempt.order, MERCHANT, any_shop.channel.name) == (
        capture.attempt,
        capture.order,
        capture.merchant,
        capture.channel_name,
    )
    assert [PaymentCaptured(capture)] == await any_shop.events()
    ((view,),) = await any_shop.payments.read_attempts([attempt.order])
    assert "captured" == view.state


@pytest.mark.parametrize(
    "method,device,kind", [("alipay", "mobile", "redirect"), ("alipay_qr", "desktop", "qr")]
)
async def test_wap_and_qr_open_at_the_provider(any_shop, method, device, kind):
    """Every way to pay is one the provider takes, and a QR code is asked for once."""
    attempt = await any_shop.opened(method=method)
    request = PresentRequest(attempt.id, device, "https://shop.example/back")

    (action,) = await any_shop.payments.present_attempts([request])
    assert kind == action.kind
    assert 200 == await asyncio.to_thread(any_shop.door.open, action.url or action.text)
    assert 1230 == any_shop.known_minor(attempt)
    if kind == "qr":
        assert [action] == await any_shop.payments.present_attempts([request])


async def test_certificate_mode_goes_the_whole_way(payments, cert_app, alipay, clock):
    """With certificates the provider takes our requests, and we its replies and notifications."""
    shop = await open_shop(payments, cert_app, alipay, clock)
    attempt = await shop.shown(method="alipay_qr")
    await shop.pay(attempt)
    ours = await payments.query_attempts([attempt.id])
    (body,) = await shop.sign(attempt)

    assert ["captured"] == ours
    assert [b"success"] == await shop.tell(body)
    assert [b"failure"] == await shop.tell(altered(body, alipay_cert_sn="0" * 32))
    assert 1 == len(await shop.events())


async def test_presenting_what_cannot_be_paid_says_why(any_shop):
    """Unknown, captured, closed and expired attempts give a code and nothing to pay."""
    captured = await any_shop.captured()
    closed = await any_shop.opened()
    expired = await any_shop.opened(expires_at=any_shop.clock.now() - timedelta(seconds=1))
    await any_shop.payments.close_attempts([closed.order])
    second = await any_shop.opened(order=captured.order, number=2)
    ids = [new_id(any_shop.clock.now()), captured.attempt, closed.id, expired.id, second.id]

    actions = await any_shop.payments.present_attempts([PresentRequest(id) for id in ids])
    assert ["attempt_not_found", "captured", "closed", "closed", "captured"] == [
        action.problem for action in actions
    ]
    assert {"none"} == {action.kind for action in actions}


async def test_a_provider_that_is_away_is_said_to_be(any_shop):
    """When no QR code can be had the buyer is told so, and can try again."""
    attempt = await any_shop.opened(method="alipay_qr")
    any_shop.door.fault("gateway_down")

    (away,) = await any_shop.payments.present_attempts([PresentRequest(attempt.id)])
    (back,) = await any_shop.payments.present_attempts([PresentRequest(attempt.id)])
    assert ("none", "provider_away", "qr") == (away.kind, away.problem, back.kind)


async def test_money_that_differs_is_still_money(shop):
    """A wrong amount, currency or order is captured, answered with success, and on the desk."""
    short = await shop.opened()
    foreign = await shop.opened()
    stranger = shop.attempt()
    bodies = [
        *await shop.sign(short, amount="12.29"),
        *await shop.sign(foreign, trans_currency="USD"),
        *await shop.sign(stranger),
    ]

    assert [b"success"] * 3 == await shop.tell(*bodies)
    [unmatched] = await shop.payments.list_unmatched([UnmatchedQuery()])
    assert {"amount_differs", "currency_differs", "order_unknown"} == {
        capture.fit for capture in unmatched
    }
    assert sorted(unmatched, key=lambda capture: capture.id) == unmatched
    events = await shop.events()
    assert {capture.id for capture in unmatched} == {event.capture.id for event in events}
    assert {None} == {c.order for c in unmatched if c.fit == "order_unknown"}


async def test_another_amount_is_matched_to_nothing(any_shop):
    """A person cannot match money to an order that asks for more, or for less."""
    order = (await any_shop.opened(1_230)).order
    strangers = [any_shop.attempt(amount) for amount in (1_229, 1_231)]
    await any_shop.tell(*await any_shop.sign(*strangers))
    [waiting] = await any_shop.payments.list_unmatched([UnmatchedQuery()])

    assert ["amount_differs", "amount_differs"] == await any_shop.payments.settle_unmatched(
        [UnmatchedVerdict(capture.id, order, "mei", "paid") for capture in waiting]
    )
    assert 2 == len(waiting)
    assert waiting == (await any_shop.payments.list_unmatched([UnmatchedQuery()]))[0]


async def test_a_person_matches_or_gives_back(any_shop):
    """A verdict is kept once: matched money goes to its order, the rest is told to go back."""
    order = (await any_shop.opened()).order
    strangers = [any_shop.attempt(), any_shop.attempt()]
    await any_shop.tell(*await any_shop.sign(*strangers))
    [[first, second]] = await any_shop.payments.list_unmatched([UnmatchedQuery()])
    verdicts = [
        UnmatchedVerdict(first.id, order, "mei", "paid with an old code"),
        UnmatchedVerdict(second.id, None, "mei", "unknown payer"),
        UnmatchedVerdict(new_id(any_shop.clock.now()), None, "mei", ""),
        UnmatchedVerdict(first.id, new_id(any_shop.clock.now()), "mei", ""),
    ]
    unknown_order = UnmatchedVerdict(first.id, new_id(any_shop.clock.now()), "mei", "")

    assert ["attempt_not_found"] == await any_shop.payments.settle_unmatched([unknown_order])
    assert ["settled", "settled", "capture_not_found", "attempt_not_found"] == (
        await any_shop.payments.settle_unmatched(verdicts)
    )
    assert ["exists", "exists"] == await any_shop.payments.settle_unmatched(verdicts[:2])
    assert ["exists_different"] == await any_shop.payments.settle_unmatched(
        [UnmatchedVerdict(first.id, None, "mei", "")]
    )
    assert [[]] == await any_shop.payments.list_unmatched([UnmatchedQuery()])
    matched, refused = (await any_shop.events())[-2:]
    assert isinstance(matched, PaymentCaptured)
    assert ("matched", order, MERCHANT) == (
        matched.capture.fit,
        matched.capture.order,
        matched.capture.merchant,
    )
    assert isinstance(refused, UnmatchedRefunded)
    assert (second.id, "mei", "unknown payer") == (
        refused.capture.id,
        refused.person,
        refused.reason,
    )
    assert [[matched.capture]] == await any_shop.payments.read_captures([order])


async def test_reports_go_the_same_one_way(any_shop):
    """Money found by query, hand or bill is one capture, whoever finds it, and told once."""
    attempt = await any_shop.opened()
    report = CaptureReport(
        any_shop.channel.id,
        "2026112322001",
        number_of(attempt),
        1230,
        "CNY",
        any_shop.clock.now(),
        "bill",
    )
    batch = [
        report,
        report,
        replace(report, amount_minor=1),
        replace(report, amount_minor=0),
        replace(report, channel=new_id(any_shop.clock.now())),
    ]

    assert [
        "recorded",
        "exists",
        "exists_different",
        "amount_not_positive",
        "channel_not_found",
    ] == await any_shop.payments.record_captures(batch)
    assert ["exists"] == await any_shop.payments.record_captures([report])
    assert 1 == len(await any_shop.events())


async def test_refunds_are_idempotent_and_never_more_than_captured(any_shop):
    """Parts may go back until the exact remainder; the same id moves nothing twice (X26)."""
    attempt = await any_shop.shown(1000)
    await any_shop.pay(attempt)
    await any_shop.payments.query_attempts([attempt.id])
    ((capture,),) = await any_shop.payments.read_captures([attempt.order])
    ids = [new_id(any_shop.clock.now()) for _ in range(4)]
    first = Refund(ids[0], capture.id, 300, "dead key")

    assert ["succeeded"] == await any_shop.payments.request_refunds([first])
    assert ["succeeded"] == await any_shop.payments.request_refunds([first])
    assert [
        "exists_different",
        "more_than_captured",
        "amount_not_positive",
        "capture_not_found",
        "succeeded",
    ] == await any_shop.payments.request_refunds(
        [
            replace(first, amount_minor=200),
            Refund(ids[1], capture.id, 701),
            Refund(ids[1], capture.id, 0),
            Refund(ids[1], new_id(any_shop.clock.now()), 1),
            Refund(ids[2], capture.id, 700),
        ]
    )
    assert ["more_than_captured"] == await any_shop.payments.request_refunds(
        [Refund(ids[3], capture.id, 1)]
    )
    assert 1000 == sum(any_shop.returned(attempt))
    assert [] == [event for event in await any_shop.events() if isinstance(event, RefundSettled)]


async def test_a_refused_refund_moves_money_only_when_asked_anew(shop):
    """What the provider refused stays refused, until the cause is mended and it is asked anew."""
    attempt = await shop.shown(1000)
    await shop.pay(attempt)
    await shop.payments.query_attempts([attempt.id])
    ((capture,),) = await shop.payments.read_captures([attempt.order])
    refund = Refund(new_id(shop.clock.now()), capture.id, 1000, "paid twice")
    shop.alipay.fault(
        "business_error",
        match={"method": "alipay.trade.refund"},
        params={"sub_code": "ACQ.TRADE_NOT_ALLOW_REFUND"},
    )
    anew = replace(refund, is_asked_anew=True)

    assert ["failed"] == await shop.payments.request_refunds([refund])
    assert ["failed"] == await shop.payments.request_refunds([refund])
    assert 0 == sum(shop.returned(attempt))
    less = replace(anew, amount_minor=900)
    assert ["exists_different"] == await shop.payments.request_refunds([less])
    assert ["succeeded"] == await shop.payments.request_refunds([anew])
    assert ["succeeded"] == await shop.payments.request_refunds([anew])
    assert ["succeeded"] == await shop.payments.request_refunds([refund])
    assert 1000 == sum(shop.returned(attempt))


async def test_channels_keep_secrets_and_refuse_what_is_wrong(payments, key_app, alipay):
    """Secrets are write-only, an empty one keeps what is there, and each fault has its status."""
    channel = channel_of(key_app, alipay.url)
    other = channel_of(key_app, alipay.url)

    def changed(**settings: str):
        return replace(other, name="second", settings={**other.settings, **settings})

    assert ["created", "unchanged"] == await payments.put_channels([channel, channel])
    (listed,) = await payments.list_channels()
    assert set("*") == set(listed.settings["app_private_key"])
    assert ["unchanged"] == await payments.put_channels([listed])
    empty = {**listed.settings, "app_private_key": ""}
    assert ["changed"] == await payments.put_channels([replace(listed, settings=empty, title="A")])
    assert [
        "kind_unknown",
        "name_taken",
        "setting_missing",
        "setting_malformed",
        "setting_malformed",
        "setting_malformed",
    ] == await payments.put_channels(
        [
            replace(other, kind="dogecoin"),
            other,
            changed(app_private_key=""),
            changed(seller_id="123"),
            changed(app_private_key="no key"),
            changed(unknown="1"),
        ]
    )
    assert ["alipay"] == [channel.name for channel in await payments.list_channels()]


async def test_methods_are_those_of_active_accounts(payments, key_app, alipay):
    """Only active accounts offer their ways to pay, only in their currencies."""
    channel = channel_of(key_app, alipay.url)
    await payments.put_channels([channel])

    methods = await payments.list_methods("CNY")
    assert [("alipay", "redirect"), ("alipay_qr", "qr")] == [
        (method.method, method.shows) for method in methods
    ]
    assert [] == await payments.list_methods("USD")
    await payments.put_channels([replace(channel, is_active=False)])
    assert [] == await payments.list_methods("CNY")


async def test_inside_a_wallet_its_own_ways_are_offered(shop, epay):
    """WeChat opens its own pages, Alipay its own; where none of the ways fits, all are offered."""
    await shop.payments.put_channels([epay_channel(epay.register(), epay.url)])
    methods = await shop.payments.list_methods("CNY")
    offered = {
        device: [each.method for each in fitting(methods, 100, 100, device)] for device in Device
    }
    alone = [each for each in methods if each.method.startswith("alipay")]

    assert ["alipay", "alipay_qr", "wechat", "wechat_qr"] == offered[Device.DESKTOP]
    assert offered[Device.DESKTOP] == offered[Device.MOBILE]
    assert (["wechat"], ["alipay"]) == (offered[Device.WECHAT], offered[Device.ALIPAY])
    assert alone == fitting(alone, 100, 100, Device.WECHAT), "Its buyer can go elsewhere."


async def test_a_way_that_two_accounts_offer_is_shown_once(shop, epay):
    """Buyers choose a way to pay, not an account; it goes over one that offers it."""
    second = epay_channel(epay.register(), epay.url)
    assert ["created"] == await shop.payments.put_channels([second])
    attempt = shop.attempt()

    methods = await shop.payments.list_methods("CNY")
    assert ["alipay", "alipay_qr", "wechat", "wechat_qr"] == [each.method for each in methods]
    assert ["opened"] == await shop.payments.open_attempts([attempt])
    ((view,),) = await shop.payments.read_attempts([attempt.order])
    assert methods[0].channel == shop.channel.id
    assert view.attempt.channel in {shop.channel.id, second.id}


async def test_a_way_goes_where_every_browser_can_open_it(shop, epay, wechat):
    """WeChat's page opens on phones alone: while another account has the way, it is never sent."""
    values = {**wechat.register("public_key"), "products": "h5"}
    phones = ChannelAccount(
        ChannelId(new_id(shop.clock.now())), "wechat", "wechat", "WeChat Pay", ["CNY"], values
    )
    other = epay_channel(epay.register(), epay.url)
    assert ["created"] * 2 == await shop.payments.put_channels([phones, other])
    attempts = [shop.attempt(method="wechat") for _ in range(40)]
    assert ["opened"] * 40 == await shop.payments.open_attempts(attempts)
    views = await shop.payments.read_attempts([each.order for each in attempts])

    assert {other.id} == {view.attempt.channel for (view,) in views}


async def test_reading_gives_one_list_for_each_order(any_shop):
    """Orders without attempts or captures have empty lists, in the order asked."""
    capture = await any_shop.captured()
    nobody = UUID(int=7)

    assert [[], [capture]] == await any_shop.payments.read_captures([nobody, capture.order])
    views = await any_shop.payments.read_attempts([nobody, capture.order])
    assert [0, 1] == [len(found) for found in views]
