"""Where sites may be told, and how far an amount is an amount."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.epay import EpayStatus
from vendrail.api.payments import ChannelId, Method
from vendrail.epay import decide
from vendrail.kernel.errors import Malformed
from vendrail.kernel.http.targets import networks
from vendrail.kernel.ids import named_id


@pytest.mark.parametrize(
    "url",
    [
        "https://cards.example/notify.php",
        "http://cards.example:8080/a?b=c",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
        "https://xn--fiq228c.example/",
    ],
)
def test_public_addresses_may_be_told(url):
    """Names and addresses that everybody reaches are taken."""
    assert decide.url(url, []) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://192.168.1.1:8000/",
        "http://172.16.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[fec0::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://db/",
        "http://db.internal/",
        "http://printer.local/",
        "http://a.localhost/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://0177.0.0.1/",
    ],
)
def test_private_addresses_are_refused(url):
    """However it is written, what lies inside is not called for a stranger."""
    assert EpayStatus.URL_PRIVATE is decide.url(url, [])


@pytest.mark.parametrize(
    "url",
    [
        "ftp://cards.example/",
        "javascript:alert(1)",
        "//cards.example/",
        "https://",
        "https:///path",
        "https://user:word@cards.example/",
        "https://cards.example@10.0.0.1/",
        "https://cards.example/#part",
        "https://cards.example\\@10.0.0.1/",
        "https://cards.example:99999/",
        "https://cards.example:0/",
        "https://car ds.example/",
        "https://-cards.example/",
        "https://会.example/",
        "https://cards.example/\r\nX: y",
        "https://cards.example/" + "x" * 1_000,
    ],
)
def test_what_is_no_address_is_refused(url):
    """Only http and https, a plain name, and nothing that two readers could read differently."""
    assert EpayStatus.URL_MALFORMED is decide.url(url, [])


def test_networks_that_are_allowed_may_be_told():
    """Whoever runs the platform may allow networks of their own, and only those."""
    allowed = [ip_network("10.1.0.0/16")]

    assert decide.url("http://10.1.2.3/", allowed) is None
    assert EpayStatus.URL_PRIVATE is decide.url("http://10.2.0.1/", allowed)


def test_what_is_no_network_is_said_by_its_settings_name():
    """A setting that names no network stops the start with its own name, not with a traceback."""
    with pytest.raises(Malformed, match="VENDRAIL_EPAY_NETWORKS_ALLOWED"):
        networks(["10.0.0.0/8", "home"], "VENDRAIL_EPAY_NETWORKS_ALLOWED")


@given(st.integers(min_value=1, max_value=10**9))
def test_every_amount_is_read_back(amount_minor):
    """What is written with two places is read exactly."""
    text = f"{amount_minor // 100}.{amount_minor % 100:02d}"

    assert amount_minor == decide.read_money(text, 1, 10**9)


@given(st.text(max_size=12))
def test_only_amounts_are_read_as_amounts(text):
    """Whatever comes is an amount within the limits, or is refused by name."""
    read = decide.read_money(text, 1, 1_000)

    assert isinstance(read, EpayStatus) or 1 <= read <= 1_000


def test_a_type_is_paid_by_the_way_it_means():
    """Epay's types lead to our ways; the provider's page is chosen before a code."""
    names = ["alipay_qr", "alipay", "wechat_qr"]
    channel = ChannelId(named_id("channel:a"))
    offered = [Method(name, channel, "a", name, ["CNY"], "qr") for name in names]

    assert ["alipay", "wechat_qr", None, ""] == [
        decide.method(kind, offered) for kind in ("alipay", "wxpay", "qqpay", "")
    ]
    assert ["alipay", "wxpay", "bank"] == [
        decide.type_of(name) for name in ("alipay_qr", "wechat", "unionpay_qr")
    ]
