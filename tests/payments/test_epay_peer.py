"""Epay, V1, against an independent SDK: it believes what we sign, and we what it signs."""

import asyncio
import json
import os
from pathlib import Path
from subprocess import run
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from tests.payments.conftest import altered

from vendrail.api.payments import PresentRequest
from vendrail.kernel.epay import is_signed, signature

PEER = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
BEGIN = (
    "import json, sys; from epay_sdk import EPayClient, EPayConfig; told = json.load(sys.stdin);"
    "sdk = EPayClient(EPayConfig(pid=told['pid'], key=told['key'], base_url=told['url'],"
    " environment='sandbox'));"
)


async def ask_peer(program: str, **told: object) -> dict:
    """Run a program with the independent SDK; give what it says."""
    if not PEER.exists():
        pytest.fail("The independent SDK is not installed; run `make test` once.")
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = await asyncio.to_thread(
        run,
        [PEER, "-c", f"{BEGIN}{program}"],
        check=False,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        env=env,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def account(shop) -> dict[str, str]:
    """Give what the SDK is set up with."""
    settings = shop.channel.settings
    return {"pid": settings["pid"], "key": settings["key"], "url": f"{shop.epay.url}/epay"}


async def test_it_believes_the_page_we_sign(epay_shop):
    """Our way to the cashier is signed as the SDK signs, and no field of it can be changed."""
    attempt = await epay_shop.opened(1_990, method="wechat", title="雾港远航 · A+B")
    asked = PresentRequest(attempt.id, return_url="https://shop.example/orders/1")
    [action] = await epay_shop.payments.present_attempts([asked])
    fields = dict(parse_qsl(urlsplit(action.url).query))
    bent = [{**fields, name: f"{fields[name]}0"} for name in sorted(fields) if name != "sign_type"]
    program = "print(json.dumps([sdk.verify_sign(each) for each in told['pages']]))"
    told = await ask_peer(program, **account(epay_shop), pages=[fields, *bent])

    assert [True, *[False] * len(bent)] == told
    assert len(bent) >= 8


async def test_it_reads_the_callback_and_we_read_its_own(epay_shop):
    """The SDK takes what the provider tells us, refuses it changed; and we verify what it signs."""
    attempt = await epay_shop.opened(1_990)
    await epay_shop.payments.present_attempts([PresentRequest(attempt.id)])
    [body] = await epay_shop.sign(attempt)
    bodies = [dict(parse_qsl(each.decode())) for each in (body, altered(body, money="0.01"))]
    program = (
        "from epay_sdk.exceptions import EPaySignError\n"
        "def read(fields):\n"
        " try: result = sdk.verify_callback(fields)\n"
        " except EPaySignError: return None\n"
        " return [result.out_trade_no, result.money, sdk.is_trade_success(fields)]\n"
        "made = {**told['bodies'][0], 'name': '键 + &'}; made.pop('sign')\n"
        "made['sign'] = sdk.sign(made)\n"
        "print(json.dumps({'read': [read(each) for each in told['bodies']], 'made': made}))"
    )
    told = await ask_peer(program, **account(epay_shop), bodies=bodies)
    key, made = epay_shop.channel.settings["key"], told["made"]

    assert [[bodies[0]["out_trade_no"], "19.90", True], None] == told["read"]
    assert is_signed(made, key)
    assert not is_signed({**made, "money": "0.01"}, key)
    assert signature(made, key) == made["sign"]


async def test_our_provider_serves_it(epay_shop):
    """The emulated provider opens its cashier for the SDK's order, and for none that is bent."""
    program = (
        "from epay_sdk.models import CreateOrderRequest as Order;"
        "order = Order(out_trade_no='SDK1', name='Key', money='19.9', pay_type='alipay',"
        " notify_url='https://shop.example/n', return_url='https://shop.example/r');"
        "print(json.dumps({'url': sdk.create_order_url(order)}))"
    )
    told = await ask_peer(program, **account(epay_shop))
    fields = dict(parse_qsl(urlsplit(told["url"]).query))
    bent = f"{told['url'].partition('?')[0]}?{urlencode({**fields, 'money': '0.01'})}"
    async with httpx.AsyncClient(trust_env=False) as http:
        refused = await http.get(bent)
        unknown = epay_shop.epay.order(epay_shop.pid, "SDK1")
        opened = await http.get(told["url"], follow_redirects=True)
    order = epay_shop.epay.order(epay_shop.pid, "SDK1")

    assert "money_minor" not in unknown, refused.text
    assert 200 == opened.status_code
    assert 1_990 == order["money_minor"]
