"""The provider: the sandbox's Alipay, in a process of its own."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import httpx

from vendrail.api.payments import ChannelAccount, ChannelId
from vendrail.app.keys import make_key_pair

_SCRIPT = Path(__file__).parents[2] / "payments" / "sandbox_server.py"
CHANNEL = ChannelId(UUID("018f0000-0000-7000-8000-0000000a11ba"))


class Provider:
    """Pays, signs and tells what it knows; it keeps its word whatever our servers do."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, _SCRIPT, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
        )
        self.url = self._process.stdout.readline().strip()
        token = (home / "control-token").read_text().strip()
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=60,
        )
        private, public = make_key_pair()
        self.application = self._post("/sandbox/apps", {"public_key_pem": public})
        self._private = private

    def channel(self) -> ChannelAccount:
        """The marketplace's account with it."""
        told = self.application
        return ChannelAccount(
            CHANNEL,
            "alipay",
            "alipay",
            "支付宝",
            ["CNY"],
            {
                "app_id": told["app_id"],
                "seller_id": told["seller_id"],
                "app_private_key": self._private,
                "alipay_public_key": told["alipay_public_key"],
                "gateway_url": f"{self.url}/alipay/gateway.do",
            },
        )

    def _post(self, path: str, body: object) -> dict:
        reply = self.client.post(path, json=body)
        assert reply.is_success, reply.text
        return reply.json()

    async def sign(self, trades: list[tuple[str, int]]) -> list[bytes]:
        """Let trades (number, amount in fen) be paid; give their signed callbacks, unsent."""
        body = {
            "app_id": self.application["app_id"],
            "trades": [
                {"out_trade_no": number, "total_amount": f"{minor // 100}.{minor % 100:02}"}
                for number, minor in trades
            ],
        }
        signed = await asyncio.to_thread(self._post, "/sandbox/alipay/sign-notifications", body)
        forms = signed["notifications"]
        assert not any("error" in form for form in forms), forms
        return [form["body"].encode() for form in forms]

    async def pay(self, url: str, number: str) -> None:
        """Open the page or scan the code, and pay; its own callback goes where nobody listens."""

        def pay() -> None:
            assert self.client.get(url, follow_redirects=True).status_code == 200
            body = {"app_id": self.application["app_id"], "out_trade_no": number}
            (result,) = self._post("/sandbox/alipay/pay", body)["results"]
            assert "error" not in result, result

        await asyncio.to_thread(pay)

    def close(self) -> None:
        """End it."""
        self.client.close()
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
