"""The API keeps to its own description, whatever it is sent."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from litestar import Litestar
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from vendrail.gateway import http, problems
from vendrail.gateway.merchant import problems as merchant
from vendrail.gateway.openapi import describe
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.codec import decode

OPERATIONS = [
    ("POST", "/orders"),
    ("GET", "/orders/{id}"),
    ("POST", "/orders/{id}/payments"),
    ("GET", "/orders/{id}/files/{number}"),
    ("POST", "/quotes"),
    ("GET", "/products"),
    ("GET", "/products/{id}"),
    ("GET", "/methods"),
]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("method, path", OPERATIONS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_api_answers_as_described(standins, market, clock, vault, method, path):
    """Requests made up from the description get answers that the description allows."""
    document = decode(describe("http://localhost"), dict)
    operation = schemathesis.openapi.from_dict(document)[path][method]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case):
        gateway = http.build_gateway(
            standins.StandInCatalog(market),
            standins.StandInOrders(market),
            standins.StandInPayments(market),
            clock=clock,
            vault=vault,
            settings=GatewaySettings(public_url="http://localhost"),
        )
        app = http.Doors(gateway, Litestar(openapi_config=None, logging_config=None))
        asked = case.as_transport_kwargs(base_url="http://localhost/api/v1")
        asked["content"] = asked.pop("data", None)

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
                return await client.request(**asked)

        try:
            response = asyncio.run(send())
        except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError, ValueError):
            return  # What no client can send.
        case.validate_response(response, checks=CHECKS)

    ask()


def test_every_problem_is_documented():
    """The reference lists every code with its status, and no code that does not exist."""
    page = (Path(__file__).parents[2] / "docs/reference/rest.md").read_text("utf-8")
    listed = {
        (code, int(status))
        for code, status in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", page, re.MULTILINE)
    }
    single = [each for each in vars(problems).values() if isinstance(each, problems.Problem)]
    single += [each for each in vars(merchant).values() if isinstance(each, problems.Problem)]
    every = {*single, *problems.PLACE.values(), *problems.PAY.values(), *problems.QUOTE.values()}
    every |= {*merchant.PUT.values(), *merchant.REFUND.values()}
    every |= {*merchant.PAYOUT.values(), *merchant.SCHEDULE.values()}
    every |= {*merchant.ENDPOINT.values(), *merchant.AGAIN.values()}
    every |= {*merchant.FLOOR.values(), *merchant.LISTING.values()}

    assert listed == {(problem.code, problem.status) for problem in every}


async def test_the_api_can_be_read_offline(api):
    """The page tells of every address and every problem, and needs nothing from anywhere else."""
    page = await api.get("/api/docs")
    style = await api.get("/api/docs.css")
    document = (await api.get("/api/openapi.json")).json()
    policy = page.headers["content-security-policy"]

    assert (200, 200) == (page.status_code, style.status_code)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert f"<code>{path}</code>" in page.text
            assert f'id="{operation["operationId"]}"' in page.text
    assert ["/api/docs.css"] == re.findall(r'(?:src|rel="stylesheet" href)="([^"]+)"', page.text)
    assert not re.search(r"<script|<style| style=| on\w+=", page.text)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
