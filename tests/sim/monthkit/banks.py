"""The outside world's money: Alipay and Stripe of the sandbox, and the webhooks they send."""

import asyncio
import queue
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from simkit.provider import Provider

from vendrail.api.payments import Callback, ChannelAccount, ChannelId
from vendrail.app.keys import make_key_pair
from vendrail.kernel.ids import named_id

ALIPAY = ChannelId(named_id("month alipay"))
STRIPE = ChannelId(named_id("month stripe"))
_TRANSFER = "alipay.fund.trans.uni.transfer"
_PATIENCE_S = 30.0


@dataclass
class Letter:
    """A callback on its way, and what it is of."""

    channel: ChannelId
    headers: dict[str, str]
    body: bytes

    @property
    def callback(self) -> Callback:
        """As the platform is told."""
        return Callback(self.channel, "POST", self.headers, "", self.body)


class Mailbox:
    """Where Stripe's webhooks arrive: kept, for the simulation to bring them when it will."""

    def __init__(self) -> None:
        self.letters: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        letters = self.letters

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                letters.put(Letter(STRIPE, headers, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self) -> list[Letter]:
        """Give what has come."""
        taken = []
        while not self.letters.empty():
            taken.append(self.letters.get())
        return taken

    def close(self) -> None:
        """Take in nothing more."""
        self._server.shutdown()
        self._server.server_close()


class Banks:
    """Both providers: they keep their word whatever the platform does."""

    def __init__(self, home: Path, clock_file: Path) -> None:
        self.provider = Provider(home, clock_file)
        self.mailbox = Mailbox()
        private, public = make_key_pair()
        wanted = {"public_key_pem": public, "want": "cert", "opening_minor": 10**11}
        self._alipay = self.provider._post("/sandbox/apps", wanted)
        self._private = private
        self.opening_minor = self._alipay["balance_minor"]
        account = {"url": self.mailbox.url, "opening_minor": 10**10}
        self._stripe = self.provider._post("/sandbox/stripe/accounts", account)

    @property
    def channels(self) -> list[ChannelAccount]:
        """The marketplace's accounts."""
        alipay, stripe, url = self._alipay, self._stripe, self.provider.url
        return [
            ChannelAccount(
                ALIPAY, "alipay", "alipay", "支付宝", ["CNY"],
                {
                    "app_id": alipay["app_id"],
                    "seller_id": alipay["seller_id"],
                    "app_private_key": self._private,
                    "gateway_url": f"{url}/alipay/gateway.do",
                    **{key: alipay[key] for key in ("app_cert", "alipay_cert", "root_cert")},
                },
            ),
            ChannelAccount(
                STRIPE, "stripe", "stripe", "Card", ["CNY"],
                {
                    "secret_key": stripe["secret_key"],
                    "webhook_secret": stripe["webhook_secret"],
                    "methods": "card",
                    "api_url": f"{url}/stripe",
                },
            ),
        ]  # fmt: skip

    # Money that comes.

    def take_alipay(self, trades: list[tuple[str, int]]) -> list[Letter]:
        """Let trades (number, amount) be paid; give their signed callbacks."""
        body = {
            "app_id": self._alipay["app_id"],
            "trades": [
                {"out_trade_no": number, "total_amount": yuan(minor)} for number, minor in trades
            ],
        }
        forms = self.provider._post("/sandbox/alipay/sign-notifications", body)["notifications"]
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return [Letter(ALIPAY, headers, f["body"].encode()) for f in forms if "error" not in f]

    def take_cards(self, payments: list[tuple[str, int]]) -> list[Letter]:
        """Let cards pay; give the signed webhooks."""
        body = {
            "account": self._stripe["account"],
            "payments": [
                {"out_trade_no": number, "amount_minor": minor, "currency": "cny"}
                for number, minor in payments
            ],
        }
        told = self.provider._post("/sandbox/stripe/sign-webhooks", body)["webhooks"]
        return [
            Letter(
                STRIPE,
                {
                    "content-type": "application/json; charset=utf-8",
                    "stripe-signature": each["signature"],
                },
                each["body"].encode(),
            )
            for each in told
        ]

    def pay_page(self, url: str, number: str) -> bool:
        """Open a page and pay there; its callback goes where nobody listens."""
        opened = self.provider._send("GET", url, follow_redirects=True)
        body = {"app_id": self._alipay["app_id"], "out_trade_no": number}
        [result] = self.provider._post("/sandbox/alipay/pay", body)["results"]
        return opened.status_code == 200 and "error" not in result

    # Money that is taken back, and money that goes out.

    def dispute(self, number: str) -> str:
        """Let a bank take a card's payment back; give the case."""
        body = {"account": self._stripe["account"], "out_trade_no": number}
        return self.provider._post("/sandbox/stripe/disputes", body)["id"]

    def try_dispute(self, number: str) -> str:
        """Let a bank take back what is left of a payment; where nothing is, it is no case."""
        if not self.card_kept_minor(number):
            return "none"
        return self.dispute(number)

    def close_dispute(self, case: str, *, is_won: bool) -> None:
        """Let the bank decide."""
        self.provider._post(f"/sandbox/stripe/disputes/{case}/close", {"is_good": is_won})

    def disputed_minor(self, case: str) -> int:
        """Give what a bank has taken back."""
        key = {"authorization": f"Bearer {self._stripe['secret_key']}"}
        reply = self.provider._send("GET", f"/stripe/v1/disputes/{case}", headers=key)
        return reply.json()["amount"]

    def end_transfer(self, number: str, status: str, problem: str = "") -> bool:
        """Let a payout stand so; false: it cannot."""
        body = {"app_id": self._alipay["app_id"], "out_biz_no": number, "status": status}
        reply = self.provider._send(
            "POST", "/sandbox/alipay/transfers", json={**body, "problem": problem}
        )
        return reply.is_success

    def transferred_minor(self, number: str) -> int:
        """Give what was paid out under a number, and has not come back."""
        params = {"app_id": self._alipay["app_id"], "out_biz_no": number}
        reply = self.provider._send("GET", "/sandbox/alipay/transfers", params=params)
        return sum(
            each["amount_minor"]
            for each in reply.json()["transfers"]
            if each.get("returned_at") is None
        )

    # Trouble.

    def fail_transfer(self, kind: str, **params: object) -> None:
        """Let the next payout that is told go wrong."""
        body = {"kind": kind, "match": {"method": _TRANSFER}, "params": params}
        self.provider._post("/sandbox/faults", body)

    def fail_calls(self, kind: str, count: int, **params: object) -> None:
        """Let the next calls to Alipay go wrong."""
        self.provider._post("/sandbox/faults", {"kind": kind, "count": count, "params": params})

    def forgive(self) -> None:
        """Take all trouble back."""
        self.provider.client.delete("/sandbox/faults")

    async def quiet(self) -> list[Letter]:
        """Wait until every webhook that is due has been sent; give them."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            reply = await asyncio.to_thread(
                self.provider._send, "GET", "/sandbox/stripe/webhooks", params={"out_trade_no": "-"}
            )
            if not reply.json()["pending"]:
                return self.mailbox.take()
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"Webhooks are still to come: {reply.text}")
            await asyncio.sleep(0.02)

    # What they know.

    def alipay_balance_minor(self) -> int:
        """Give what our account at Alipay has."""
        apps = self.provider._send("GET", "/sandbox/apps").json()["apps"]
        return next(
            each["balance_minor"] for each in apps if each["app_id"] == self._alipay["app_id"]
        )

    def alipay_kept_minor(self, number: str) -> int:
        """Give what was paid under a number and did not go back."""
        params = {"app_id": self._alipay["app_id"]}
        reply = self.provider._send("GET", f"/sandbox/alipay/trades/{number}", params=params)
        if not reply.is_success:
            return 0
        trade = reply.json()
        paid = trade["total_minor"] if trade["paid_at"] else 0
        return paid - sum(refund["amount_minor"] for refund in trade["refunds"])

    def card_kept_minor(self, number: str) -> int:
        """Give what a card paid under a number less what was refunded; disputes left aside."""
        params = {"account": self._stripe["account"]}
        reply = self.provider._send("GET", f"/sandbox/stripe/payments/{number}", params=params)
        told = reply.json()
        paid = sum(each["amount_received"] for each in told["payment_intents"])
        back = sum(each["amount"] for each in told["refunds"] if each["status"] == "succeeded")
        return paid - back

    def close(self) -> None:
        """End them."""
        self.mailbox.close()
        self.provider.close()


def yuan(amount_minor: int) -> str:
    """Write an amount as Alipay does."""
    return f"{amount_minor // 100}.{amount_minor % 100:02}"
