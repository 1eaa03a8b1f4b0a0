"""The pages over a small market in memory."""

import importlib.util
import sys
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from vendrail.web.app import build_routes
from vendrail.web.settings import WebSettings


def load_standins():
    """Give the market, which both faces share."""
    if "market_standins" not in sys.modules:
        path = Path(__file__).parent / "standins.py"
        spec = importlib.util.spec_from_file_location("market_standins", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["market_standins"] = module
        spec.loader.exec_module(module)
    return sys.modules["market_standins"]


@pytest.fixture
def standins():
    """The stand-ins' module."""
    return load_standins()


@pytest.fixture
def market(standins, clock):
    """Two shops and four products."""
    return standins.Market(clock)


class Limits:
    """A limit that lets everything pass until it is told to wait."""

    wait_s = 0.0

    async def __call__(self, key: str) -> float:
        return self.wait_s


@pytest.fixture
def limits():
    """The limit of placing and lookups."""
    return Limits()


@pytest.fixture
def web(standins, market, clock, vault, wakeups, limits, tmp_path):
    """The storefront over the market."""
    return build_routes(
        standins.StandInCatalog(market),
        standins.StandInOrders(market),
        standins.StandInPayments(market),
        vault=vault,
        clock=clock,
        wakeups=wakeups,
        settings=WebSettings(home=tmp_path, public_url="http://localhost", default_language="en"),
        place_limit=limits,
        lookup_limit=limits,
    )


@pytest.fixture
def app(web):
    """One application with the storefront's routes."""
    handlers = list(web.handlers)
    return Litestar(
        handlers,
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: web.answer_error},
    )


@pytest.fixture
async def browser(app):
    """A browser without JavaScript, in English."""
    transport = httpx.ASGITransport(app)
    headers = {"Accept-Language": "en", "Accept": "text/html"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers=headers
    ) as client:
        yield client
