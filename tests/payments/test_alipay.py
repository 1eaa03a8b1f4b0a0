"""Alipay's signatures and messages: pure, against adversaries and an independent SDK."""

import base64
import json
import string
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from tests.payments.certificates import Authority, self_signed
from tests.payments.conftest import make_key

from vendrail.api.payments import Callback
from vendrail.kernel.ids import from_serial, new_id, to_serial
from vendrail.payments.attempts import out_trade_no, read_out_trade_no
from vendrail.payments.channels import alipay_signatures as signatures
from vendrail.payments.channels.alipay import AlipayChannel
from vendrail.payments.channels.alipay_messages import (
    AlipaySettings,
    Unclear,
    build_request,
    read_amount,
    read_notification,
    read_reply,
    read_time,
)
from vendrail.payments.channels.base import (
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    SettingProblem,
    check_settings,
    registry,
)

OURS = make_key()
THEIRS = make_key()
SETTINGS = AlipaySettings(
    "https://gateway.example/gateway.do",
    "2021000000000001",
    "2088000000000001",
    signatures.load_private_key(OURS[0]),
    {"": signatures.load_public_key(THEIRS[1])},
    frozenset({"page", "wap", "qr"}),
)
NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)


def notification(**changes: str) -> bytes:
    """Make a signed notification of a paid trade, with changes made before it is signed."""
    fields = {
        "app_id": "2021000000000001",
        "seller_id": "2088000000000001",
        "notify_id": "n1",
        "notify_type": "trade_status_sync",
        "trade_status": "TRADE_SUCCESS",
        "out_trade_no": "0",
        "trade_no": "2026112322001",
        "total_amount": "12.30",
        "subject": "月卡 ＆ more=50%+",
        "passback_params": "",
        "charset": "utf-8",
        "sign_type": "RSA2",
        **changes,
    }
    raw = {name.encode(): value.encode() for name, value in fields.items()}
    key = signatures.load_private_key(THEIRS[0])
    fields["sign"] = signatures.sign(signatures.notification_text(raw), key)
    return urlencode(fields).encode()


def test_our_requests_are_signed_as_the_independent_sdk_signs_them():
    """For the same parameters, the SDK in its own venv gives the very same signature."""
    python = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
    if not python.exists():
        pytest.fail("The independent SDK is not installed; run `make test` once.")
    params = build_request(
        SETTINGS,
        "alipay.trade.page.pay",
        {"out_trade_no": "1", "subject": "月卡 100%", "total_amount": "0.01"},
        NOW,
        notify_url="https://shop.example/callbacks/1?x=1",
    )
    program = (
        "import json, sys; from alipay import AliPay; told = json.load(sys.stdin);"
        "sdk = AliPay(appid='1', app_private_key_string=told['ours'],"
        " alipay_public_key_string=told['theirs'], sign_type='RSA2');"
        "print(json.dumps({'query': sdk.sign_data(told['params']),"
        " 'verified': sdk.verify(told['fields'], told['sign'])}))"
    )
    fields = dict(parse_qsl(notification().decode(), keep_blank_values=True))
    told = {
        "ours": _pkcs1(OURS[0]),
        "theirs": THEIRS[1],
        "params": {name: value for name, value in params.items() if name != "sign"},
        "sign": fields.pop("sign"),
        "fields": {name: value for name, value in fields.items() if value},
    }
    done = subprocess.run(
        [python, "-c", program], input=json.dumps(told), capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)

    assert params["sign"] == dict(parse_qsl(answer["query"]))["sign"]
    assert "2026-11-24 00:30:00" == params["timestamp"]


def _pkcs1(pem: str) -> str:
    key = serialization.load_pem_private_key(pem.encode(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def test_a_notification_is_verified_with_empty_and_unknown_fields():
    """Empty fields and ones we never heard of are signed too, as they came."""
    facts = read_notification(notification(new_field='{"a":1}'), SETTINGS)

    assert isinstance(facts, CallbackFacts)
    assert (CallbackKind.CAPTURED, "", 1230, "CNY") == (
        facts.kind,
        facts.mismatch,
        facts.amount_minor,
        facts.currency,
    )


@pytest.mark.parametrize("changes", [{"subject": "月卡&out_trade_no=B&z="}, {"a&b": "1"}])
def test_x7_what_may_have_been_signed_of_other_fields_is_a_claim(changes):
    """Where a value holds `&`, the same text is that of other fields: the provider is asked."""
    facts = read_notification(notification(**changes), SETTINGS)
    lost = read_notification(notification(**changes, out_trade_no=""), SETTINGS)

    assert isinstance(facts, CallbackFacts)
    assert (CallbackKind.CLAIMED, "0", "") == (facts.kind, facts.out_trade_no, facts.mismatch)
    assert isinstance(lost, CallbackFacts)
    assert "order_missing" == lost.mismatch


@pytest.mark.parametrize(
    "changes,kind",
    [
        ({"refund_fee": "1.00"}, CallbackKind.REFUNDED),
        ({"refund_fee": "0.00"}, CallbackKind.CAPTURED),
        ({"gmt_refund": "2026-11-23 12:00:00.320"}, CallbackKind.REFUNDED),
        ({"trade_status": "TRADE_CLOSED"}, CallbackKind.CLOSED),
        ({"trade_status": "TRADE_CLOSED", "refund_fee": "12.30"}, CallbackKind.REFUNDED),
        ({"trade_status": "TRADE_FINISHED"}, CallbackKind.CAPTURED),
        ({"trade_status": "trade_success"}, CallbackKind.OTHER),
    ],
)
def test_what_a_notification_tells_is_told_by_all_its_fields(changes, kind):
    """Status, refund and type together say whether it is money."""
    facts = read_notification(notification(**changes), SETTINGS)

    assert isinstance(facts, CallbackFacts)
    assert kind == facts.kind


def test_a_get_or_another_key_proves_nothing():
    """Only a posted form, signed by Alipay's key, is a notification."""
    own = AlipaySettings(
        "u", SETTINGS.app_id, SETTINGS.seller_id, SETTINGS.private_key,
        {"": signatures.load_public_key(OURS[1])}, frozenset(),
    )  # fmt: skip
    raw = Callback(new_id(NOW), "GET", {}, notification().decode(), b"")

    assert CallbackRefusal("method_not_post") == AlipayChannel().read_callback(raw, SETTINGS, NOW)
    assert CallbackRefusal("signature_wrong") == read_notification(notification(), own)


@pytest.mark.parametrize(
    "first, last",
    [
        (b"total_amount=99999.00&", b""),  # Who reads the last would find a good signature.
        (b"", b"&total_amount=99999.00"),  # … and who reads the first, here.
        (b"total_amount=12.30&", b""),
        (b"total%5Famount=99999.00&", b""),
        (b"", b"&sign=again"),
        (b"", b"&never_heard_of=1&never_heard_of=1"),
    ],
)
def test_a_form_that_names_a_field_twice_is_refused(first, last):
    """Two readers could see two amounts: such a form proves nothing, whatever is signed."""
    good = notification()

    assert isinstance(read_notification(good, SETTINGS), CallbackFacts)
    assert CallbackRefusal("malformed") == read_notification(first + good + last, SETTINGS)


@given(st.binary(max_size=400))
def test_garbage_is_refused_and_never_crashes(body):
    """Whatever is posted, nothing is raised and nothing is believed."""
    assert isinstance(read_notification(body, SETTINGS), CallbackRefusal)


@given(
    st.dictionaries(
        st.sampled_from(["sign", "sign_type", "charset", "alipay_cert_sn", "total_amount", "a b"]),
        st.text(max_size=20),
    )
)
def test_garbage_in_the_right_fields_is_refused_too(fields):
    """Known names with any values are refused, never a crash."""
    body = urlencode({"sign_type": "RSA2", **fields}).encode()

    assert isinstance(read_notification(body, SETTINGS), CallbackRefusal)


nasty = st.text(alphabet=string.printable + '{}[]",:\\月', max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | nasty,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(nasty, inner, max_size=4),
    max_leaves=12,
)


@given(values, values, st.sampled_from([None, 2]), st.booleans())
def test_the_scanner_cuts_the_exact_bytes(node, other, indent, is_ascii):
    """Quotes, braces and escapes inside strings never move the cut."""
    text = json.dumps(node, indent=indent, ensure_ascii=is_ascii).replace("/", "\\/")
    rest = json.dumps(other, ensure_ascii=is_ascii)
    body = f' {{ "x_response" :{text} , "o":{rest},"sign":"a\\/b"}} \n'.encode()
    parts = signatures.members(body)

    assert {"x_response": text.encode(), "o": rest.encode(), "sign": b'"a\\/b"'} == parts


@given(st.text(alphabet='{}[]",:\\ a1', max_size=60))
def test_the_scanner_agrees_with_a_parser_or_refuses(text):
    """On any text it never crashes, and cuts only what a real parser reads the same."""
    parts = signatures.members(text.encode())
    try:
        expected = json.loads(text)
    except ValueError:
        return
    if parts is not None:
        assert expected == {name: json.loads(value) for name, value in parts.items()}
    elif isinstance(expected, dict) and expected:
        is_odd = "\\" in text or text.count('":') + text.count('" :') > len(expected)
        assert is_odd or any(not name for name in expected) or " " in text


def reply(node: str, name: str = "alipay_trade_query_response", signed: str = "") -> bytes:
    """Make a reply whose signature is of `signed`, or of the node itself."""
    key = signatures.load_private_key(THEIRS[0])
    signature = signatures.sign((signed or node).encode(), key).replace("/", "\\/")
    return f'{{"{name}":{node},"sign":"{signature}"}}'.encode()


def test_a_reply_counts_only_when_its_exact_bytes_are_signed():
    """Escapes kept, braces in strings passed over; a changed, unsigned or foreign reply is none."""
    node = '{"code":"10000","msg":"a}b\\"{","url":"http:\\/\\/x"}'
    method = "alipay.trade.query"

    assert "http://x" == read_reply(reply(node), method, SETTINGS).text("url")
    wrong = [
        reply(node, signed=node.replace("\\/", "/")),
        reply(node, name="alipay_trade_close_response"),
        reply(node, name="error_response"),
        reply('{"code":"40004"}').replace(b"40004", b"10000"),
        f'{{"alipay_trade_query_response":{node}}}'.encode(),
        reply(node)[:-1] + b',"alipay_trade_query_response":{"code":"40004"}}',
        b"<html>",
        b"",
    ]
    for body in wrong:
        with pytest.raises(Unclear):
            read_reply(body, method, SETTINGS)
    refused = read_reply(reply('{"code":"40002"}', name="error_response"), method, SETTINGS)
    assert "40002" == refused.code


@given(st.binary(max_size=200))
def test_a_garbage_reply_is_unclear(body):
    """Whatever a gateway answers, it is either verified or `Unclear`."""
    with pytest.raises(Unclear):
        read_reply(body, "alipay.trade.query", SETTINGS)


@given(st.integers(min_value=1, max_value=10**11), st.booleans())
def test_amounts_are_read_exactly(fen, is_short):
    """Fen come out as they went in; anything but digits and two places is no amount."""
    text = f"{fen // 100}.{fen % 100:02d}"
    if is_short and fen % 100 == 0:
        text = str(fen // 100)

    assert fen == read_amount(text)
    for wrong in (f"{text}0", f"-{text}", f"{text} ", f"+{text}", "1e2", "NaN", "", "٣.00"):
        assert read_amount(wrong) is None or wrong == f"{fen // 100}0"


def test_times_are_of_shanghai():
    """Alipay's clock is eight hours ahead of UTC, whatever this machine's zone."""
    assert datetime(2026, 11, 23, 4, 0, tzinfo=UTC) == read_time("2026-11-23 12:00:00.320")
    for wrong in ("", "2026-13-01 00:00:00", "20261123", "2026-11-23T12:00:00"):
        assert read_time(wrong) is None


def test_the_published_root_rule_is_reproduced():
    """The SN of a certificate is MD5 of its issuer, last part first, and its serial number."""
    pem, expected = self_signed()
    sm2 = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

    assert expected == signatures.certificate_sn(signatures.load_certificates(pem)[0])
    assert f"{expected}_{expected}" == signatures.root_sn(sm2 + pem + pem)


def test_only_a_chain_to_a_pinned_root_is_trusted():
    """A fetched certificate counts by an unbroken, valid chain of authorities to a known root."""
    now = datetime.now(UTC)
    root, other = Authority("Root"), Authority("Other root")
    middle, person = Authority("Middle", root), Authority("Shop", root, may_issue=False)
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Alipay")])
    good = middle.issue(name, key)
    expired = middle.issue(name, key, until=now - timedelta(hours=1))
    by_a_person = person.issue(name, key)

    def trust(leaf, *chain, roots=(other.certificate, root.certificate), sn=""):
        wanted = sn or signatures.certificate_sn(leaf)
        return signatures.trusted_key([*chain, leaf], wanted, roots, now)

    assert key.public_key() == trust(good, middle.certificate)
    for refused, wrong in [
        (lambda: trust(good), "leads to no root"),
        (lambda: trust(good, middle.certificate, roots=[other.certificate]), "leads to no root"),
        (lambda: trust(good, middle.certificate, roots=[]), "leads to no root"),
        (lambda: trust(expired, middle.certificate), "not valid now"),
        (lambda: trust(by_a_person, person.certificate), "leads to no root"),
        (lambda: trust(good, middle.certificate, sn="0" * 32), "no certificate has the SN"),
    ]:
        with pytest.raises(ValueError, match=wrong):
            refused()


@given(st.uuids(), st.integers(min_value=1, max_value=9999))
def test_numbers_at_the_provider_are_read_back(order, number):
    """Order and number come back from what the provider says, and nothing else is taken."""
    text = out_trade_no(order, number)

    assert (order, number) == read_out_trade_no(text)
    assert 28 <= len(text) <= 30
    assert to_serial(order) == text[:26]
    assert read_out_trade_no(text.lower()) is None or text == text.lower()
    assert read_out_trade_no(text + "0000") is None
    assert read_out_trade_no(text[:26]) is None


@given(st.text(max_size=32))
def test_a_foreign_number_is_none_of_ours(text):
    """Other shops' numbers never crash, and are only ours when they are written as ours."""
    read = read_out_trade_no(text)
    if read is not None:
        assert text == out_trade_no(*read)
        assert from_serial(text[:26]) == read[0]


CERTAIN = {
    "app_id": SETTINGS.app_id,
    "seller_id": SETTINGS.seller_id,
    "app_private_key": OURS[0],
    "alipay_public_key": THEIRS[1],
}


@pytest.mark.parametrize(
    "changes,name",
    [
        ({"app_id": ""}, "app_id"),
        ({"app_id": "abc"}, "app_id"),
        ({"seller_id": "1088000000000001"}, "seller_id"),
        ({"app_private_key": THEIRS[1]}, "app_private_key"),
        ({"alipay_public_key": OURS[1]}, "alipay_public_key"),
        ({"alipay_public_key": ""}, "alipay_public_key"),
        ({"root_cert": "x"}, "app_cert"),
        ({"gateway_url": "ftp://x"}, "gateway_url"),
        ({"products": "page,app"}, "products"),
        ({"prodcts": "page"}, "prodcts"),
    ],
)
def test_wrong_settings_are_named(changes, name):
    """Each wrong setting is refused by its name, with what to do."""
    with pytest.raises(SettingProblem, match=f"^{name}: ") as caught:
        check_settings(AlipayChannel(), CERTAIN | changes)
    assert name == caught.value.name
    assert OURS[0][60:100] not in str(caught.value)


def test_keys_are_read_in_every_form_alipay_gives():
    """PEM of both kinds and bare base 64 are one and the same key."""
    bare = "".join(OURS[0].split("\n")[1:-2])
    der = "".join(OURS[1].split("\n")[1:-2])

    for text in (OURS[0], bare, _pkcs1(OURS[0])):
        key = signatures.load_private_key(text)
        assert SETTINGS.private_key.private_numbers() == key.private_numbers()
    public = signatures.load_public_key(der)
    signature = base64.b64decode(signatures.sign(b"x", SETTINGS.private_key))
    public.verify(signature, b"x", padding.PKCS1v15(), hashes.SHA256())


def test_the_channel_is_found_by_its_entry_point():
    """Channels are found as others would ship theirs."""
    assert isinstance(registry()["alipay"], AlipayChannel)
