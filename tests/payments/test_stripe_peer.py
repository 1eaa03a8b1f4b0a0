"""An independent Stripe at the other end: it takes what we ask, and we believe what it signs."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from vendrail.api.payments import Callback, ChannelId
from vendrail.payments.channels.base import (
    Account,
    Ask,
    CallbackKind,
    CloseOutcome,
    QueryOutcome,
    RefundAsk,
    RefundOutcome,
    check_settings,
)
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.channels.stripe import StripeChannel
from vendrail.payments.channels.stripe_events import check_signature, read_event
from vendrail.payments.settings import PaymentsSettings

ROOT = Path(__file__).parents[2]
KEY = "sk_test_0123456789"
SECRET = "whsec_independent0"
NUMBER = "01ARZ3NDEKTSV4RRFFQ69G5FAV01"


@pytest.fixture(scope="module")
def peer(tmp_path_factory) -> Iterator[str]:
    """The independent server, in a process of its own."""
    program = ROOT / ".venv-peers" / "bin" / "localstripe"
    if not program.exists():
        pytest.fail("The independent server is not installed; run `make test` once.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", str(port), "--from-scratch"],
        cwd=tmp_path_factory.mktemp("peer"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
    )
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(trust_env=False) as client:
        for _ in range(200):
            try:
                client.get(url)
                break
            except httpx.HTTPError:
                assert process.poll() is None
                asyncio.run(asyncio.sleep(0.05))
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture
async def account(peer, clock):
    """An account there, opened for use."""
    lines = Switchboard(clock, PaymentsSettings(), lambda: None)
    settings = check_settings(
        StripeChannel(), {"secret_key": KEY, "webhook_secret": SECRET, "api_url": peer}
    )
    yield Account(ChannelId(UUID(int=1)), "stripe", settings, lines.line(UUID(int=1)))
    await lines.close()


async def post(peer: str, path: str, **fields: str) -> dict:
    """Ask the server for something, by its own form."""
    async with httpx.AsyncClient(trust_env=False, auth=(KEY, "")) as client:
        reply = await client.post(f"{peer}/v1/{path}", data=fields)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def payment(peer: str, *, is_paid: bool = True) -> str:
    """Make a payment, paid by card or not yet; give its number."""
    fields = {
        "amount": "1230",
        "currency": "sgd",
        "payment_method_types[0]": "card",
        "metadata[out_trade_no]": NUMBER,
    }
    if is_paid:
        card = {"card[number]": "4242424242424242", "card[exp_month]": "12",
                "card[exp_year]": "2030", "card[cvc]": "123"}  # fmt: skip
        method = await post(peer, "payment_methods", type="card", **card)
        fields |= {"payment_method": method["id"]}
    made = await post(peer, "payment_intents", **fields)
    if is_paid:
        await post(peer, f"payment_intents/{made['id']}/confirm")
    return made["id"]


def ask_of(reference: str) -> Ask:
    """Make an ask of a payment."""
    now = datetime.now(UTC)
    return Ask(
        out_trade_no=NUMBER,
        method="card",
        amount_minor=1_230,
        currency="SGD",
        title="月卡",
        opened_at=now,
        expires_at=now + timedelta(minutes=15),
        reference=reference,
    )


async def test_it_takes_what_we_ask_and_we_read_what_it_says(peer, account, clock):
    """Query, close, refund and the question after it work against a server that is not ours."""
    channel, now = StripeChannel(), clock.now()
    paid, waiting = await payment(peer), await payment(peer, is_paid=False)
    answer = await channel.query(ask_of(paid), account, now)
    refund = RefundAsk("R1", NUMBER, paid, 230, 1_230, "SGD", "dead key")
    told = await channel.refund(refund, account, now)
    asked = await channel.query_refund(refund, account, now)
    closed = await channel.close(ask_of(waiting), account, now)
    after = await channel.query(ask_of(waiting), account, now)

    # It has no `amount_received`, which Stripe has and we insist on.
    assert (QueryOutcome.PAID, paid, 0, "SGD") == (
        answer.outcome,
        answer.provider_number,
        answer.amount_minor,
        answer.currency,
    )
    assert RefundOutcome.SUCCEEDED is told.outcome
    assert RefundOutcome.SUCCEEDED is asked.outcome
    assert CloseOutcome.CLOSED is closed
    assert QueryOutcome.CLOSED is after.outcome


async def test_we_believe_what_it_signs(peer, account, clock):
    """Its webhooks hold by our check, tell of the same money, and do not hold when changed."""
    heard: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
        headers = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in lines)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        await heard.put((headers, body))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callbacks/1"
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.post(f"{peer}/_config/webhooks/ours", data={"url": url, "secret": SECRET})
    facts = []
    async with server, asyncio.timeout(20):
        number = await payment(peer)
        while not any(each.provider_number == number for each in facts):
            headers, body = await heard.get()
            raw = Callback(account.id, "POST", headers, "", body)
            facts.append(read_event(raw, account.settings, datetime.now(UTC)))
            header = headers["stripe-signature"]
            changed = check_signature(header, body + b" ", [SECRET], datetime.now(UTC))
            assert "signature_wrong" == changed
            assert json.loads(body)["object"] == "event"

    (captured,) = [each for each in facts if each.provider_number == number]
    assert (CallbackKind.CAPTURED, NUMBER, "SGD", "") == (
        captured.kind,
        captured.out_trade_no,
        captured.currency,
        captured.mismatch,
    )
