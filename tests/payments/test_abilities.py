"""What a channel can do beyond what every one does, looked up once for each class."""

import pytest

from vendrail.payments.channels.abilities import is_able
from vendrail.payments.channels.base import PayoutChannel, registry
from vendrail.payments.channels.keys import HeaderSigningChannel, signed_headers
from vendrail.payments.channels.watching import WatchingChannel, watching


@pytest.mark.parametrize("protocol", [HeaderSigningChannel, PayoutChannel, WatchingChannel])
def test_a_class_is_able_as_its_objects_are(protocol: type) -> None:
    """For every channel there is, asked twice, the class answers as the object would."""
    found = {kind: isinstance(channel, protocol) for kind, channel in registry().items()}

    for _ in range(2):
        assert found == {kind: is_able(channel, protocol) for kind, channel in registry().items()}
    assert {True, False} == set(found.values())


def test_who_signs_in_headers_says_in_which() -> None:
    """WeChat signs in headers, Alipay in the body; a chain is watched, and Alipay is not."""
    channels = registry()

    assert signed_headers(channels["wechat"])
    assert signed_headers(channels["alipay"]) is None
    assert watching(channels["evm"]) is channels["evm"]
    assert watching(channels["alipay"]) is None
