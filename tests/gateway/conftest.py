"""The gateway over a small market in memory."""

import importlib.util
import sys
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from vendrail.gateway import http
from vendrail.gateway.settings import GatewaySettings


def load_standins():
    """Give the market of tests/web, which both faces share."""
    if "market_standins" not in sys.modules:
        path = Path(__file__).parent.parent / "web/standins.py"
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


@pytest.fixture
async def api(standins, market, clock, vault, tmp_path):
    """A client of the gateway."""
    gateway = http.build_gateway(
        standins.StandInCatalog(market),
        standins.StandInOrders(market),
        standins.StandInPayments(market),
        clock=clock,
        vault=vault,
        settings=GatewaySettings(home=tmp_path, public_url="https://pay.example.com"),
    )
    app = http.Doors(gateway, Litestar(openapi_config=None))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
