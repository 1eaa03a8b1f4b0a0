"""Hosts that nobody knows yet: while the list of domains cannot be read."""

import pytest

from vendrail.kernel.errors import Unavailable
from vendrail.web.hosts import ShopHosts


class Away:
    """Domains that do not answer."""

    async def list_hosts(self):
        """Fail as a service does that is away."""
        raise Unavailable("It is away.")


@pytest.mark.parametrize(
    "host, is_open",
    [
        ("shop.example", False),
        ("keys.example", True),
        ("localhost", True),
        ("127.0.0.1", True),
        ("[::1]", True),
        ("127.0.0.1.shop.example", False),
    ],
)
async def test_no_host_is_the_platforms_before_the_domains_were_read(host, is_open):
    """A merchant's domain never shows the platform's sign-in because a list was late."""
    hosts = ShopHosts(Away(), None, "https://keys.example:8443")
    found = await hosts.find(host)

    assert found is None
    assert is_open is hosts.is_open(host)
