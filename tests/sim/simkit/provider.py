"""The provider: the sandbox's Alipay, in a process of its own."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import httpx

from vendrail.api.payments import ChannelAccount, ChannelId
from vendrail.app.keys import make_key_pair

_SCRIPT = Path(__file__).parents[2] / "payments" / "sandbox_server.py"
_TRIES = 3
_STANDING = Path(__file__).parent / "standing_provider.py"
CHANNEL = ChannelId(UUID("018f0000-0000-7000-8000-0000000a11ba"))


class Provider:
    """Pays, signs and tells what it knows; it keeps its word whatever our servers do."""

    def __init__(self, home: Path, clock_file: Path | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        words = [_SCRIPT, home] if clock_file is None else [_STANDING, home, clock_file]
        self._process = subprocess.Popen(
            [sys.executable, *words],
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

    def _send(self, method: str, path: str, **more) -> httpx.Response:
        """Ask; again where a line was lost: what is ordered twice happens once."""
        for _ in range(_TRIES - 1):
            with contextlib.suppress(httpx.TransportError):
                return self.client.request(method, path, **more)
        return self.client.request(method, path, **more)

    def _post(self, path: str, body: object) -> dict:
        reply = self._send("POST", path, json=body)
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
            assert self._send("GET", url, follow_redirects=True).status_code == 200
            body = {"app_id": self.application["app_id"], "out_trade_no": number}
            (result,) = self._post("/sandbox/alipay/pay", body)["results"]
            assert "error" not in result, result

        await asyncio.to_thread(pay)

    async def take_money(
        self, number: str, amount_minor: int, *, is_forced: bool, copies: int
    ) -> list[bytes]:
        """Let a trade be paid, known here or not; give its callbacks, or none: it is closed.

        Forced: even what was closed is paid, as money comes that was sent before.
        """

        def take() -> list[bytes]:
            if is_forced:
                body = {
                    "app_id": self.application["app_id"],
                    "out_trade_no": number,
                    "is_forced": True,
                }
                self._post("/sandbox/alipay/pay", body)
            trade = {
                "out_trade_no": number,
                "total_amount": f"{amount_minor // 100}.{amount_minor % 100:02}",
            }
            body = {"app_id": self.application["app_id"], "trades": [trade] * copies}
            signed = self._post("/sandbox/alipay/sign-notifications", body)
            forms = signed["notifications"]
            return [form["body"].encode() for form in forms if "error" not in form]

        return await asyncio.to_thread(take)

    async def open_page(self, url: str) -> bool:
        """Open the wallet page of a trade, as a buyer's telephone does."""

        def get() -> bool:
            return self._send("GET", url, follow_redirects=True).status_code == 200

        return await asyncio.to_thread(get)

    async def order_fault(self, kind: str, *, is_after: bool) -> None:
        """Let the next call to the gateway go wrong."""
        body = {"kind": kind, "count": 1, "params": {"is_after": is_after}}
        await asyncio.to_thread(self._post, "/sandbox/faults", body)

    async def forgive(self) -> None:
        """Take all ordered faults back."""
        await asyncio.to_thread(self.client.delete, "/sandbox/faults")

    async def read_trades(self, numbers: list[str]) -> dict[str, tuple[int, int]]:
        """Read what was paid for each trade, and what of it went back, in fen."""

        def read() -> dict[str, tuple[int, int]]:
            found = {}
            params = {"app_id": self.application["app_id"]}
            for number in numbers:
                reply = self._send("GET", f"/sandbox/alipay/trades/{number}", params=params)
                assert reply.is_success, reply.text
                trade = reply.json()
                paid_minor = trade["total_minor"] if trade["paid_at"] else 0
                back_minor = sum(refund["amount_minor"] for refund in trade["refunds"])
                found[number] = (paid_minor, back_minor)
            return found

        return await asyncio.to_thread(read)

    def close(self) -> None:
        """End it."""
        self.client.close()
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
