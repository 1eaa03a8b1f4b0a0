"""WeChat Pay: signatures against an independent SDK, windows, products, and what is told late."""

import asyncio
import gzip
import hashlib
import json
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.payments.benches import message_of
from tests.payments.conftest import make_key

from vendrail.api.payments import ActionKind, ChannelAccount, ChannelId, Device
from vendrail.channelkit.rig import callback_of
from vendrail.kernel.clock import SystemClock
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.payments.accounts import OpenAccount
from vendrail.payments.arriving import Letter, inbox_row
from vendrail.payments.channels import wechat_sharing as sharing
from vendrail.payments.channels import wechat_signatures as signatures
from vendrail.payments.channels.base import (
    Account,
    Ask,
    Blame,
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    CloseOutcome,
    Payee,
    PayoutAsk,
    PayoutOutcome,
    QueryOutcome,
    RefundAsk,
    RefundOutcome,
    SettingProblem,
    blame_of,
    check_settings,
    registry,
)
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.channels.statements import StatementKind, StatementOutcome
from vendrail.payments.channels.wechat_funds import read_bill
from vendrail.payments.channels.wechat_messages import Reply, build_headers, read_query
from vendrail.payments.settings import PaymentsSettings

CHANNEL = registry()["wechat"]
OURS = make_key()
THEIRS = make_key()
VALUES = {
    "appid": "wx0123456789abcdef",
    "mchid": "1900000001",
    "serial_no": "ABCDEF0123456789",
    "private_key": OURS[0],
    "api_key": "0123456789abcdef0123456789abcdef",
    "public_key_id": "PUB_KEY_ID_01",
    "public_key": THEIRS[1],
}


class Till:
    """A merchant's account as the channel sees it, and its provider's other side."""

    def __init__(self, wechat, mode: str = "public_key", **changes: str) -> None:
        self.wechat = wechat
        self.values = {**wechat.register(mode), **changes}
        self.mchid = self.values["mchid"]
        self.lines = Switchboard(SystemClock(), PaymentsSettings(), lambda: None)
        settings = check_settings(CHANNEL, self.values)
        id = new_id(datetime.now(UTC))
        self.account = Account(id, "wechat", settings, self.lines.line(id))

    @property
    def now(self) -> datetime:
        """Give the moment."""
        return datetime.now(UTC)

    def ask(self, number: str = "ORDER0001", method: str = "wechat", **changes) -> Ask:
        """Make an attempt as the channel is told of it."""
        now = self.now.replace(microsecond=0)
        given = {
            "out_trade_no": number,
            "method": method,
            "amount_minor": 1230,
            "currency": "CNY",
            "title": "月卡",
            "opened_at": now,
            "expires_at": now + timedelta(minutes=15),
            "notify_url": "http://127.0.0.1:9/callbacks/1",
            "return_url": "https://shop.example/orders/1?a=b",
            "door_url": "https://shop.example/pay/1/2",
            **changes,
        }
        return Ask(**given)

    async def present(self, ask: Ask):
        """Give the way to pay."""
        (given,) = await CHANNEL.present([ask], self.account, self.now)
        return given

    async def paid(self, **changes) -> tuple[Ask, str]:
        """Let an order be placed and paid; give it, and the provider's number."""
        ask = self.ask(method="wechat_qr", **changes)
        assert not (await self.present(ask)).action.problem
        paid = await asyncio.to_thread(self.wechat.pay, self.mchid, ask.out_trade_no)
        return ask, paid["transaction_id"]

    async def signed(self, number: str = "ORDER0001", **more):
        """Give a callback of a paid order, read by the channel."""
        order = {"out_trade_no": number, "amount": "12.30", **more.pop("order", {})}
        (signed,) = await asyncio.to_thread(self.wechat.sign, self.mchid, order, **more)
        raw = callback_of(message_of(signed), self.account.id)
        return CHANNEL.read_callback(raw, self.account.settings, self.now)


@pytest.fixture
async def till(wechat):
    """A merchant with a public key, signed up for everything."""
    made = Till(wechat)
    yield made
    await made.lines.close()


@pytest.fixture
async def make_till(wechat):
    """Make merchants."""
    made = []

    def make(mode: str = "public_key", **changes: str) -> Till:
        made.append(Till(wechat, mode, **changes))
        return made[-1]

    yield make
    for each in made:
        await each.lines.close()


@pytest.mark.parametrize(
    "state,outcome", [("SUCCESS", QueryOutcome.PAID), ("REFUND", QueryOutcome.UNKNOWN)]
)
def test_money_that_was_given_back_elsewhere_is_not_paid(state, outcome):
    """REFUND does not say how much is left, so it says nothing, with words for the desk."""
    fields = {
        "out_trade_no": "N1",
        "mchid": VALUES["mchid"],
        "appid": VALUES["appid"],
        "trade_state": state,
        "transaction_id": "4200000001",
        "amount": {"total": 100, "currency": "CNY"},
    }
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    ask = Ask("N1", "wechat", 100, "CNY", "t", now, now)
    answer = read_query(Reply(200, "", "", fields), ask, check_settings(CHANNEL, VALUES))

    assert (outcome, state == "REFUND") == (answer.outcome, bool(answer.problem))


# Signatures.


def ask_peer(*questions: dict) -> list[dict]:
    """Ask the independent SDK, in its own venv."""
    root = Path(__file__).parents[2]
    python = root / ".venv-peers" / "bin" / "python"
    if not python.exists():
        pytest.fail("The independent SDK is not installed; run `make test` once.")
    app = {**VALUES, "api_url": "http://127.0.0.1:9"}
    lines = "\n".join(json.dumps({"app": app, **each}) for each in questions) + "\n"
    program = root / "tests" / "sandbox" / "wechat_peer.py"
    told = subprocess.run(
        [python, program], input=lines, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_our_requests_are_signed_as_the_independent_sdk_signs_them():
    """For the same moment, nonce and body the SDK writes the very same header."""
    settings = check_settings(CHANNEL, VALUES)
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    questions, ours = [], []
    for method, path, body in (
        ("POST", "/v3/pay/transactions/native", '{"description":"月卡 100%"}'),
        ("GET", "/v3/pay/transactions/out-trade-no/1?mchid=1900000001", ""),
        ("POST", "/v3/fund-app/mch-transfer/transfer-bills/out-bill-no/1/cancel", ""),
    ):
        header = build_headers(settings, method, path, body.encode(), now)["Authorization"]
        nonce = header.partition('nonce_str="')[2].partition('"')[0]
        told = {"method": method, "path": path, "body": body, "nonce": nonce}
        questions.append({"authorize": {**told, "moment": int(now.timestamp())}})
        ours.append(header)

    assert ours == [each["result"] for each in ask_peer(*questions)]


def test_what_a_page_hands_to_wechat_is_signed_as_the_independent_sdk_signs_it():
    """The fields of the bridge carry the SDK's own signature."""
    settings = check_settings(CHANNEL, VALUES)
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    fields = signatures.bridge_fields(settings.appid, "wx1", now, settings.private_key)
    told = [fields[name] for name in ("appId", "timeStamp", "nonceStr", "package")]

    assert "prepay_id=wx1" == fields["package"]
    assert fields["paySign"] == ask_peer({"sign": told})[0]["result"]


@pytest.mark.parametrize(
    "changes,name,is_missing",
    [
        ({"appid": "1234"}, "appid", False),
        ({"mchid": "12"}, "mchid", False),
        ({"private_key": "no key"}, "private_key", False),
        ({"api_key": "short"}, "api_key", False),
        ({"public_key": ""}, "public_key", True),
        ({"public_key_id": ""}, "public_key_id", True),
        ({"public_key": OURS[1]}, "public_key", False),
        ({"products": "magic"}, "products", False),
        ({"products": "jsapi"}, "app_secret", True),
        ({"api_url": "ftp://x"}, "api_url", False),
        ({"transfer_report": "说明"}, "transfer_report", False),
    ],
)
def test_a_wrong_setting_is_named(changes, name, is_missing):
    """What does not belong together, or cannot be read, is said of the setting it is in."""
    with pytest.raises(SettingProblem) as caught:
        check_settings(CHANNEL, {**VALUES, **changes})

    assert (name, is_missing) == (caught.value.name, caught.value.is_missing)


@pytest.mark.parametrize(
    "products,offered",
    [
        ("native", {"wechat_qr": ["desktop", "mobile"]}),
        ("h5", {"wechat": ["mobile"]}),
        ("native,h5,jsapi", {"wechat": ["mobile", "wechat"], "wechat_qr": ["desktop", "mobile"]}),
    ],
)
def test_ways_are_offered_where_they_work(products, offered):
    """A page opens on a phone and inside WeChat; a code is scanned by a phone from a screen."""
    settings = check_settings(CHANNEL, {**VALUES, "products": products, "app_secret": "a" * 32})

    assert offered == {each.method: list(each.devices) for each in CHANNEL.offers(settings)}


# Callbacks.


@pytest.mark.parametrize(
    "age_s,reason", [(0, ""), (290, ""), (310, "moment_too_far"), (-310, "moment_too_far")]
)
async def test_x13_a_callback_counts_five_minutes(till, age_s, reason):
    """What was signed more than 300 seconds ago, or is of a time to come, proves nothing."""
    facts = await till.signed(age_s=age_s)

    assert reason == (facts.reason if isinstance(facts, CallbackRefusal) else "")


async def test_what_is_kept_of_a_callback_proves_it(till):
    """The body and the headers of its signature are kept, and are believed when read again."""
    order = {"out_trade_no": "ORDER0001", "amount": "12.30"}
    (signed,) = await asyncio.to_thread(till.wechat.sign, till.mchid, order)
    raw = callback_of(message_of(signed), till.account.id)
    raw = replace(raw, headers={**raw.headers, "Cookie": "a=b"})
    facts = CHANNEL.read_callback(raw, till.account.settings, till.now)
    assert isinstance(facts, CallbackFacts)
    id = ChannelId(till.account.id)
    row = ChannelAccount(id, "wechat", "wechat", "WeChat Pay", ["CNY"], till.values)
    account = OpenAccount(row, "wechat", 1, CHANNEL, till.account, [])
    *_, request, kept = inbox_row(Letter(0, account, raw, facts, None), "", till.now)

    assert kept is not None
    headers = dict(line.split(": ", 1) for line in kept.decode().split("\n"))
    again = replace(raw, headers=headers, body=request)
    assert facts == CHANNEL.read_callback(again, till.account.settings, till.now)
    assert "cookie" not in headers


async def test_x13_a_probe_is_refused(till):
    """WeChat Pay sends signatures that are none, to see that they are refused."""
    assert CallbackRefusal("signature_probe") == await till.signed(is_probe=True)


async def test_x13_what_another_key_sealed_is_refused(make_till):
    """Well signed, but not sealed for us: it proves nothing."""
    till = make_till()
    other = replace_key(till)
    order = {"out_trade_no": "ORDER0001", "amount": "12.30"}
    (signed,) = await asyncio.to_thread(till.wechat.sign, till.mchid, order)
    raw = callback_of(message_of(signed), till.account.id)

    assert CallbackRefusal("sealed_with_another_key") == CHANNEL.read_callback(raw, other, till.now)


def replace_key(till: Till):
    """Give the settings of the same merchant with another API v3 key."""
    return check_settings(CHANNEL, {**till.values, "api_key": "f" * 32})


@pytest.mark.parametrize(
    "original_type,overrides,kind",
    [
        ("transaction", {}, CallbackKind.CAPTURED),
        ("transaction", {"trade_state": "NOTPAY"}, CallbackKind.OTHER),
        ("transaction", {"trade_state": "CLOSED"}, CallbackKind.CLOSED),
        ("profitsharing", {}, CallbackKind.OTHER),
        ("mch_payment", {"out_bill_no": "P1", "state": "SUCCESS"}, CallbackKind.OTHER),
        ("refund", {"refund_status": "SUCCESS"}, CallbackKind.REFUNDED),
        ("refund", {"refund_status": "ABNORMAL"}, CallbackKind.REFUND_FAILED),
        ("refund", {"refund_status": "CLOSED"}, CallbackKind.REFUND_FAILED),
    ],
)
async def test_x3_what_a_callback_tells_of_is_said_by_its_type(
    till, original_type, overrides, kind
):
    """A profit sharing comes as TRANSACTION.SUCCESS too: no money is made of it."""
    order = {"original_type": original_type, "overrides": overrides}
    facts = await till.signed(order=order)

    assert isinstance(facts, CallbackFacts)
    assert (kind, "") == (facts.kind, facts.mismatch)


@pytest.mark.parametrize(
    "overrides,mismatch",
    [
        ({"mchid": "1999999999"}, "account_differs"),
        ({"appid": "wx9999999999999999"}, "application_differs"),
        ({"amount": {"total": "12.30"}}, "amount_or_number_malformed"),
        ({"amount": {"total": True}}, "amount_or_number_malformed"),
        ({"transaction_id": ""}, "amount_or_number_malformed"),
    ],
)
async def test_x12_a_callback_for_somebody_else_is_named(till, overrides, mismatch):
    """Another merchant's money, another application's, or an amount that is none, is no capture."""
    facts = await till.signed(order={"overrides": overrides})

    assert mismatch == facts.mismatch


async def test_a_renewed_certificate_is_fetched(make_till, wechat):
    """Under a certificate that nobody knows, a reply or a callback makes the channel fetch it."""
    till = make_till("certificate")
    ask, _ = await till.paid()
    before = set(till.account.settings.certificates)
    await asyncio.to_thread(wechat.post, "certificate", {})
    unknown = await till.signed(ask.out_trade_no)
    assert await CHANNEL.fetch_keys(till.account, till.now)
    known = await till.signed(ask.out_trade_no)
    await asyncio.to_thread(wechat.post, "certificate", {})
    answer = await CHANNEL.query(ask, till.account, till.now)

    assert CallbackRefusal("certificate_unknown", lacks_key=True) == unknown
    assert CallbackKind.CAPTURED == known.kind
    assert QueryOutcome.PAID == answer.outcome
    assert not before & set(till.account.settings.certificates)


async def test_a_merchant_of_the_public_key_has_no_certificates(till):
    """Who has no certificates is told so, and nothing is fetched."""
    assert not await CHANNEL.fetch_keys(till.account, till.now)


async def test_x24_a_reply_of_another_time_is_not_believed(till, wechat):
    """A reply that was signed long ago says nothing, though its signature holds."""
    ask, _ = await till.paid()
    later = till.now + timedelta(seconds=301)
    wechat.post("time", {"mchid": till.mchid, "skew_s": 301})
    fresh = await CHANNEL.query(ask, till.account, later)
    wechat.post("time", {"mchid": till.mchid, "skew_s": 0})
    stale = await CHANNEL.query(ask, till.account, later)

    assert QueryOutcome.PAID == fresh.outcome
    assert (QueryOutcome.UNKNOWN, True) == (stale.outcome, "moment_too_far" in stale.problem)


# Ways to pay.


@pytest.mark.parametrize("device", [Device.DESKTOP, Device.MOBILE, Device.ALIPAY])
async def test_one_order_is_placed_with_one_product(till, device):
    """A code on a desk, a page on a phone; on another kind of device it says where it goes on."""
    ask = till.ask(device=device)
    given = await till.present(ask)
    again = await till.present(replace(ask, reference=given.reference))
    elsewhere = Device.MOBILE if device is Device.DESKTOP else Device.DESKTOP
    other = await till.present(replace(ask, reference=given.reference, device=elsewhere))
    forgotten = await till.present(replace(ask, device=elsewhere))

    if device is Device.DESKTOP:
        assert (ActionKind.QR, True) == (given.action.kind, given.is_kept)
        assert given == again
    else:
        assert ActionKind.REDIRECT == given.action.kind
        back = parse_qs(urlsplit(given.action.url).query)["redirect_url"]
        assert [ask.return_url] == back
        assert given.action == again.action
    assert "other_device" == other.action.problem == forgotten.action.problem


async def test_what_was_refused_is_blamed_on_whose_fault_it_is(till):
    """A login without proof is its bringer's; a request that WeChat Pay does not take is ours."""
    inside = till.ask(device=Device.WECHAT)
    forged = await till.present(replace(inside, returned="code=made-up&state=another"))
    unknown = await till.present(replace(inside, returned="code=up&state=ORDER0001"))
    ours = await till.present(till.ask(method="wechat_qr", amount_minor=0))

    assert ["provider_away"] * 3 == [x.action.problem for x in (forged, unknown, ours)]
    assert ["LOGIN_REFUSED", "LOGIN_REFUSED", "PARAM_ERROR"] == [
        x.said for x in (forged, unknown, ours)
    ]
    assert [Blame.BUYER, Blame.CHANNEL] == [blame_of(CHANNEL, x.said) for x in (forged, ours)]


async def test_inside_wechat_the_buyer_is_known_first(till):
    """The browser goes to WeChat's login and comes back; what it hands over pays the order."""
    ask = till.ask(device=Device.WECHAT)
    login = (await till.present(ask)).action
    async with httpx.AsyncClient(trust_env=False) as browser:
        sent = await browser.get(login.url.partition("#")[0])
        back = urlsplit(sent.headers["location"])
        came = replace(ask, returned=back.query)
        given = await till.present(came)
        again = await till.present(replace(came, reference=given.reference))
        url = f"{till.values['api_url']}/bridge"
        good = (await browser.post(url, json=given.action.fields)).json()
        forged = (await browser.post(url, json={**given.action.fields, "paySign": "AAAA"})).json()

    assert (ActionKind.REDIRECT, "/pay/1/2") == (login.kind, back.path)
    assert (ActionKind.INVOKE, "wechat") == (given.action.kind, given.action.text)
    assert given.reference == again.reference, "The code is good once; the openid is kept."
    assert "pay_url" in good
    assert "get_brand_wcpay_request:fail" == forged["err_msg"]


@pytest.mark.parametrize(
    "returned", ["code=guessed0123456789&state=ORDER0001", "code=x&state=y", "a=b"]
)
async def test_who_comes_back_without_proof_is_not_sent_round(till, returned):
    """A code that is not good leads to no order, and to no second login either."""
    given = await till.present(till.ask(device=Device.WECHAT, returned=returned))

    assert (ActionKind.NONE, "provider_away") == (given.action.kind, given.action.problem)


async def test_an_order_that_is_paid_or_over_is_not_shown_again(till):
    """The page is told what has become of it, in the words of the pages."""
    ask, _ = await till.paid()
    other = till.ask("ORDER0002", "wechat_qr")
    await till.present(other)
    closed = await CHANNEL.close(other, till.account, till.now)

    assert CloseOutcome.CLOSED == closed
    assert CloseOutcome.REFUSED == await CHANNEL.close(ask, till.account, till.now)
    assert "captured" == (await till.present(ask)).action.problem
    assert "closed" == (await till.present(other)).action.problem
    missing = till.ask("ORDER0003")
    assert CloseOutcome.NOT_FOUND == await CHANNEL.close(missing, till.account, till.now)


# Money that goes back.


@pytest.mark.parametrize(
    "status,outcome",
    [
        ("SUCCESS", RefundOutcome.SUCCEEDED),
        ("ABNORMAL", RefundOutcome.PENDING),
        ("CLOSED", RefundOutcome.FAILED),
    ],
)
async def test_a_refund_that_takes_its_time_is_followed(till, wechat, status, outcome):
    """PROCESSING waits; ABNORMAL waits for a person at WeChat Pay's desk; CLOSED is over."""
    ask, number = await till.paid()
    refund = RefundAsk("R1", ask.out_trade_no, number, 230, 1230, "CNY", "月" * 60)
    match = {"app_id": till.mchid, "method": "refund"}
    await asyncio.to_thread(wechat.fault, "delay", match=match, params={"value": "PROCESSING"})
    first = await CHANNEL.refund(refund, till.account, till.now)
    waiting = await CHANNEL.query_refund(refund, till.account, till.now)
    ended = {"mchid": till.mchid, "out_refund_no": "R1", "status": status}
    await asyncio.to_thread(wechat.post, "end-refund", ended)
    last = await CHANNEL.query_refund(refund, till.account, till.now)

    assert RefundOutcome.PENDING == first.outcome == waiting.outcome
    assert outcome == last.outcome
    assert ("" if status == "SUCCESS" else status) == last.problem


async def test_a_refund_that_is_refused_for_good_is_final(till):
    """More than was paid is refused at the first telling; too little money is not for good."""
    ask, number = await till.paid()
    refund = RefundAsk("R1", ask.out_trade_no, number, 1231, 1230, "CNY", "x")
    first = await CHANNEL.refund(refund, till.account, till.now)
    second = await CHANNEL.refund(replace(refund, tries=1), till.account, till.now)

    assert (RefundOutcome.FAILED, True) == (first.outcome, first.is_final)
    assert (RefundOutcome.FAILED, False) == (second.outcome, second.is_final)
    assert "INVALID_REQUEST" in first.problem


# Bills, payouts, profit sharing.


@pytest.mark.parametrize("kind", list(StatementKind))
async def test_a_bill_is_fetched_whole(till, kind):
    """The day's bill is the provider's own file, packed, and holds the day's money."""
    await till.paid()
    today = (till.now + timedelta(hours=8)).date()
    answer = await CHANNEL.download_statement(kind, today, till.account, till.now)
    empty = await CHANNEL.download_statement(kind, date(2020, 1, 1), till.account, till.now)
    coming = await CHANNEL.download_statement(
        kind, today + timedelta(days=1), till.account, till.now
    )

    assert StatementOutcome.READY == answer.outcome
    assert "`12.30" in gzip.decompress(answer.file).decode("utf-8-sig")
    assert f"wechat-{kind}-{today}.csv.gz" == answer.name
    assert StatementOutcome.NONE == empty.outcome
    assert StatementOutcome.NOT_READY == coming.outcome


def test_a_bills_hash_may_be_of_either():
    """The hash is over the packed file or over what is in it; over anything else it is refused."""
    plain = "交易时间\r\n".encode()
    packed = gzip.compress(plain)
    day = date(2026, 11, 28)

    for data, basis in ((packed, "packed"), (plain, "plain"), (b"other", "")):
        wanted = hashlib.sha1(data).hexdigest()
        answer, found = read_bill(packed, 200, wanted, StatementKind.TRADE, day)
        assert basis == found
        assert bool(basis) == (answer.outcome is StatementOutcome.READY)
    wanted = hashlib.sha1(packed[:-4]).hexdigest()
    cut, _ = read_bill(packed[:-4], 200, wanted, StatementKind.TRADE, day)
    assert StatementOutcome.UNKNOWN == cut.outcome


@pytest.mark.parametrize(
    "name,end", [("王小明", "succeeded"), ("别人", "failed"), ("", "succeeded")]
)
@pytest.mark.parametrize("mode", ["public_key", "certificate"])
async def test_a_payout_is_confirmed_by_its_payee(make_till, wechat, mode, name, end):
    """The payee gets a package to confirm with; until then it is pending, and then it has ended."""
    till = make_till(mode)
    payee = Payee("openid", f"o{till.values['appid'][2:8]}-payee", name)
    ask = PayoutAsk("P1", payee, 500, "CNY", "货款")
    made = await CHANNEL.pay_out(ask, till.account, till.now)
    told = {"mchid": till.mchid, "out_bill_no": "P1", "package_info": made.confirm_package}
    await asyncio.to_thread(wechat.post, "confirm-transfer", told)
    found = await CHANNEL.query_payout(ask, till.account, till.now)

    assert (PayoutOutcome.PENDING, True) == (made.outcome, bool(made.confirm_package))
    assert (PayoutOutcome(end), made.provider_number) == (found.outcome, found.provider_number)
    assert ("REAL_NAME_CHECK_FAIL" if end == "failed" else "") == found.problem


async def test_a_payout_is_refused_for_good_at_the_first_telling_alone(till):
    """A wrong payee is a no; told again, it leaves open what the first telling did."""
    payee = Payee("openid", "oSomebodyElse")
    ask = PayoutAsk("with-hyphen", payee, 500, "CNY", "货款")
    first = await CHANNEL.pay_out(ask, till.account, till.now)
    again = await CHANNEL.pay_out(replace(ask, tries=1), till.account, till.now)

    assert (PayoutOutcome.FAILED, PayoutOutcome.UNKNOWN) == (first.outcome, again.outcome)
    assert "PARAM_ERROR" in first.problem


async def test_a_waiting_payout_is_answered_about_by_its_query(till, wechat):
    """Told again it gives its package alone: another amount stays unknown, as the query says."""
    payee = Payee("openid", f"o{till.values['appid'][2:8]}-payee")
    ask = PayoutAsk("P1", payee, 500, "CNY", "货款")
    made = await CHANNEL.pay_out(ask, till.account, till.now)
    found = await CHANNEL.query_payout(ask, till.account, till.now)
    match, params = {"method": "query_transfer"}, {"value": "5.01"}
    await asyncio.to_thread(wechat.fault, "query_disagrees", match=match, params=params)
    other = await CHANNEL.query_payout(ask, till.account, till.now)

    assert (PayoutOutcome.PENDING, made.confirm_package) == (found.outcome, found.confirm_package)
    assert (PayoutOutcome.UNKNOWN, "") == (other.outcome, other.confirm_package)
    assert "amount" in other.problem


async def test_a_payout_is_cancelled_until_it_is_confirmed(till):
    """Cancelling is under way, at most; the query says that it is over, and nothing moved."""
    payee = Payee("openid", f"o{till.values['appid'][2:8]}-payee")
    ask = PayoutAsk("P1", payee, 500, "CNY", "货款")
    await CHANNEL.pay_out(ask, till.account, till.now)
    cancelled = await CHANNEL.cancel_payout(ask, till.account, till.now)
    found = await CHANNEL.query_payout(ask, till.account, till.now)
    other = replace(ask, amount_minor=501)

    assert PayoutOutcome.PENDING == cancelled.outcome
    assert (PayoutOutcome.FAILED, "CANCELLED") == (found.outcome, found.problem)
    assert (
        PayoutOutcome.UNKNOWN == (await CHANNEL.query_payout(other, till.account, till.now)).outcome
    )
    missing = replace(ask, payout_number="P2")
    gone = await CHANNEL.query_payout(missing, till.account, till.now)
    assert PayoutOutcome.NOT_FOUND == gone.outcome


async def test_parts_of_a_frozen_payment_go_out_and_come_back(make_till):
    """A receiver is made known, parts go out once per number, one comes back, the rest is free."""
    till = make_till(profit_sharing="yes")
    _, number = await till.paid()
    account = till.account
    receiver = sharing.Receiver("MERCHANT_ID", "1900000099", "某某有限公司")
    parts = [sharing.Share(receiver, 300, "代理")]
    early = await sharing.share(number, "S1", parts, account, till.now)
    added = await sharing.add_receiver(receiver, account, till.now)
    frozen = await sharing.read_unsplit(number, account, till.now)
    shared = [await sharing.share(number, "S1", parts, account, till.now) for _ in range(2)]
    read = await sharing.read_sharing(number, "S1", account, till.now)
    too_much = await sharing.share(number, "S2", parts, account, till.now)
    back = await sharing.take_back("S1", "B1", "1900000099", 100, "退款", account, till.now)
    read_back = await sharing.read_taken_back("S1", "B1", account, till.now)
    freed = await sharing.unfreeze(number, "S3", "完结", account, till.now)
    left = await sharing.read_unsplit(number, account, till.now)
    late = await sharing.share(number, "S4", parts, account, till.now)

    assert "INVALID_REQUEST" == early.code == too_much.code == late.code
    assert added.is_good
    assert (1230, 0) == (frozen.fields["unsplit_amount"], left.fields["unsplit_amount"])
    assert shared[0].fields == shared[1].fields == read.fields
    assert [300] == [each["amount"] for each in read.fields["receivers"]]
    assert ("SUCCESS", 100) == (back.fields["result"], read_back.fields["amount"])
    assert freed.is_good
