"""X22: proofs of work are enforced at both faces, over all processes of a real platform."""

import asyncio
import base64
import contextlib
import os
import re
import subprocess
import sys
from hashlib import sha256
from html import unescape

import httpx
import pytest

from vendrail.api.payments import Payments
from vendrail.app.bench.ground import Ground, free_port
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.wiring import build
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.config import PlatformSettings


@pytest.fixture
async def sku(platform_url, tmp_path):
    """A SKU in a market of its own."""
    house = await build(PlatformSettings(home=tmp_path, database_url=platform_url), {})
    await house.api(Payments).put_channels([bench_channel()])
    market = await Ground(platform_url, house, None).seed(variants=1, runs=[100], merchants=1)
    await house.stop()
    return market.skus[0]


@contextlib.asynccontextmanager
async def served(home, dsn):
    """Run a server of its own; gives a client of it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "VENDRAIL_HOME": str(home),
        "VENDRAIL_DATABASE_URL": dsn,
        "VENDRAIL_LOG_LEVEL": "warning",
        "VENDRAIL_PUBLIC_URL": address,
        "VENDRAIL_GATEWAY_UNPROVEN_PER_MINUTE": "2",
        "VENDRAIL_WEB_UNPROVEN_PER_MINUTE": "1",
        "VENDRAIL_GATEWAY_PROOF_NUMBERS_MAX": "2000",
        "VENDRAIL_WEB_PROOF_NUMBERS_MAX": "2000",
    }
    words = [sys.executable, "-m", "vendrail.app", "serve", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(words, env=environment)
    try:
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:
            for _ in range(300):
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/readyz")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
            yield client
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


def solve(challenge):
    """Do what a widget does."""
    number = next(
        n
        for n in range(challenge["maxnumber"] + 1)
        if sha256(f"{challenge['salt']}{n}".encode()).hexdigest() == challenge["challenge"]
    )
    told = {name: value for name, value in challenge.items() if name != "maxnumber"}
    return base64.b64encode(encode(told | {"number": number})).decode()


async def place(client, sku, name, solution=""):
    """Place an order by REST; a server that is cold may ask for another moment first."""
    body = {"sku": sku, "quantity": 1, "contact": f"{name}@example.com", "method": "alipay"}
    headers = {"idempotency-key": f"{name}-{'x' * 16}"}
    if solution:
        headers["altcha"] = solution
    for _ in range(50):
        answer = await client.post("/api/v1/orders", json=body, headers=headers)
        if answer.status_code != 503:
            break
        await asyncio.sleep(0.2)
    return answer


async def test_x22_rest_refuses_what_has_no_good_solution(sku, platform_url, tmp_path):
    """Beyond the free orders each costs a solution; one that any process has seen is worth nothing.

    The refusal is a problem that carries the challenge.
    """
    async with served(tmp_path, platform_url) as one, served(tmp_path, platform_url) as two:
        for server in (one, two):
            for number in range(2):
                assert (
                    201
                    == (await place(server, sku, f"free{server.base_url.port}{number}")).status_code
                )
        refused = await place(one, sku, "first")
        solution = solve(refused.json()["challenge"])
        elsewhere = await place(two, sku, "first", solution)
        spent_here = await place(two, sku, "second", solution)
        spent_there = await place(one, sku, "third", solution)
        repeated = await place(one, sku, "first", solution)
        nonsense = await place(one, sku, "fourth", "nonsense")

    assert (428, "proof_wanted") == (refused.status_code, refused.json()["code"])
    assert "application/problem+json" == refused.headers["content-type"]
    assert 201 == elsewhere.status_code
    assert [428] * 3 == [each.status_code for each in (spent_here, spent_there, nonsense)]
    assert 201 == repeated.status_code
    assert elsewhere.json()["id"] == repeated.json()["id"]
    assert nonsense.json()["challenge"] != refused.json()["challenge"]


async def test_x22_pages_refuse_what_has_no_good_solution(sku, platform_url, tmp_path):
    """A form without a good solution comes back, filled in and with advice; with one, it goes."""
    async with served(tmp_path, platform_url) as client:
        product = (await client.get("/api/v1/products")).json()["items"][0]["id"]
        page = (await client.get(f"/products/{product}", headers={"accept-language": "en"})).text
        forms = [_fill(page, sku, f"b{number}") for number in range(3)]
        first = await client.post("/orders", data=forms[0])
        asked = await client.post("/orders", data=forms[1], headers={"accept-language": "en"})
        solution = solve(_challenge(asked.text))
        proven = await client.post("/orders", data=forms[1] | {"altcha": solution})
        spent = await client.post("/orders", data=forms[2] | {"altcha": solution})

    assert (303, 428, 303, 428) == tuple(each.status_code for each in (first, asked, proven, spent))
    assert 'value="b1@example.com"' in asked.text
    assert "wait until fewer orders are unpaid" in asked.text  # For who has no JavaScript.
    assert 'data-proof="once"' in asked.text
    assert 'data-proof="again"' in spent.text


def _fill(page, sku, name):
    form = page.split('action="/orders"', 1)[1].split("</form>", 1)[0]
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    contact = f"{name}@example.com"
    return hidden | {"sku": sku, "quantity": "1", "contact": contact, "method": "alipay"}


def _challenge(page):
    [text] = re.findall(r'data-challenge="([^"]*)"', page)
    return decode(unescape(text), dict)
