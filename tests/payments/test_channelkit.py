"""Our channels keep the contract of channels, each against its emulated provider."""

import pytest
from tests.chain.proxy import Proxy
from tests.payments.benches import AlipayBench, EpayBench, WechatBench
from tests.payments.evm_bench import EvmBench

from vendrail.channelkit.contract import ChannelContract


class TestAlipay(ChannelContract):
    """Alipay, in certificate mode."""

    @pytest.fixture
    def bench(self, alipay, cert_app, key_app):
        """Two applications, the second in key mode."""
        return AlipayBench(alipay, cert_app, key_app)


class TestEpay(ChannelContract):
    """Epay, V1."""

    @pytest.fixture
    def bench(self, epay):
        """Two merchants at the plain provider."""
        return EpayBench(epay)


class TestWechat(ChannelContract):
    """WeChat Pay, with a public key."""

    @pytest.fixture
    def bench(self, wechat):
        """Two merchants, the second with certificates."""
        return WechatBench(wechat)


class TestWechatByCertificate(ChannelContract):
    """WeChat Pay on the way from certificates to the public key: both sign."""

    @pytest.fixture
    def bench(self, wechat):
        """Two merchants, the first with both."""
        return WechatBench(wechat, "both")


class TestEvm(ChannelContract):
    """A real EVM chain; its node has bad days."""

    @pytest.fixture
    def bench(self, chain, usdt):
        """Two accounts at one node."""
        node = Proxy(chain.url)
        yield EvmBench(chain, usdt, node)
        node.close()
