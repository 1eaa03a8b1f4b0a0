"""Browsers by the names that people know."""

import pytest

from vendrail.web.agents import name_agent

_CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
_PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6"
_TABLET = "Mozilla/5.0 (Linux; Android 15; SM-X910) AppleWebKit/537.36 Chrome/142.0.0.0"
_DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"


@pytest.mark.parametrize(
    "agent, named",
    [
        (f"{_CHROME} Safari/537.36", ("Chrome", "Linux")),
        (f"{_CHROME} Safari/537.36 Edg/142.0.0.0", ("Edge", "Linux")),
        (f"{_PHONE} Mobile/15E148 Safari/604.1", ("Safari", "iPhone")),
        (f"{_PHONE} MicroMessenger/8.0.60", ("WeChat", "iPhone")),
        (f"{_TABLET} Safari/537.36", ("Chrome", "Android")),
        (f"{_DESK}; rv:145.0) Gecko/20100101 Firefox/145.0", ("Firefox", "Windows")),
        ("curl/8.5.0", ("curl/8.5.0", "")),
        ("x" * 300, ("x" * 60, "")),
        ("", ("", "")),
    ],
)
def test_a_browser_is_told_by_its_own_name(agent, named):
    """The browser itself, not those that it also claims to be; the unknown as it came."""
    assert named == name_agent(agent)
