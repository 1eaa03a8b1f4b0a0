"""Stripe on the bench: the emulated one as tests see it, and how it is ordered about."""

import asyncio
import hashlib
import hmac
import json
from urllib.parse import urlsplit

from tests.payments.benches import order_trouble
from tests.payments.conftest import Door

from vendrail.api.payments import ActionKind
from vendrail.channelkit.bench import Bench, Message, Operation, Sale, Trouble, Twist
from vendrail.payments.channels.base import Payee

METHODS = "card,alipay,wechat,wechat_qr,paynow,paynow_qr"


class Stripe(Door):
    """The sandbox's Stripe as tests see it."""

    def post(self, path: str, body: object) -> dict:
        """Post to a control route."""
        reply = self._client.post(f"/sandbox/stripe/{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def register(self, **more: object) -> dict:
        """Open an account."""
        return self.post("accounts", more)

    def open(self, url: str) -> int:
        """Open a page as the buyer's browser would."""
        return self._client.get(url, follow_redirects=True).status_code

    def tap(self, url: str, **fields: str):
        """Send a page's form as the buyer's browser would; give where it leads, or its text."""
        reply = self._client.post(url, data=fields)
        return reply.headers.get("location") or reply.text

    def pay(self, account: str, number: str, **more: object) -> dict:
        """Let the buyer pay."""
        body = {"account": account, "out_trade_no": number, **more}
        (result,) = self.post("pay", body)["results"]
        assert "error" not in result, result
        return result

    def sign(self, account: str, *payments: dict) -> list[dict]:
        """Take money, and give the signed webhooks that tell of it, unsent."""
        return self.post("sign-webhooks", {"account": account, "payments": payments})["webhooks"]

    def known(self, account: str, number: str) -> dict:
        """Give all that carries a number."""
        return self._client.get(
            f"/sandbox/stripe/payments/{number}", params={"account": account}
        ).json()

    def webhooks(self, number: str = "") -> list[dict]:
        """Give what was delivered."""
        found = self._client.get("/sandbox/stripe/webhooks", params={"out_trade_no": number})
        return found.json()["webhooks"]

    def fault(self, kind: str, **more: object) -> None:
        """Order a fault."""
        self.post("faults", {"kind": kind, **more})

    def clear(self) -> None:
        """Take faults back."""
        self._client.delete("/sandbox/stripe/faults")


def settings_of(account: dict, url: str, **changes: str) -> dict[str, str]:
    """Give the settings of an account at the sandbox."""
    return {
        "secret_key": account["secret_key"],
        "webhook_secret": account["webhook_secret"],
        "methods": METHODS,
        "api_url": f"{url}/stripe",
        **changes,
    }


def signed(secret: str, moment: int, body: bytes) -> str:
    """Sign a webhook as the public description says; written apart from the product."""
    text = f"{moment}.".encode() + body
    return f"t={moment},v1={hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}"


def message_of(webhook: dict) -> Message:
    """Write a webhook as it comes in."""
    headers = (
        ("content-type", "application/json; charset=utf-8"),
        ("stripe-signature", webhook["signature"]),
    )
    return Message("POST", headers, "", webhook["body"].encode())


class StripeBench(Bench):
    """Stripe, in Singapore dollars: by page and by code."""

    kind = "stripe"
    currency = "SGD"

    def __init__(self, stripe: Stripe) -> None:
        self.stripe = stripe
        self._accounts = (stripe.register(), stripe.register())
        self.account = self._accounts[0]["account"]
        self._connected = stripe.register(platform=self.account)["account"]

    async def settings(self):
        """Give the settings of an account."""
        return settings_of(self._accounts[0], self.stripe.url)

    async def other_settings(self):
        """Give the settings of another account."""
        return settings_of(self._accounts[1], self.stripe.url)

    async def open(self, action):
        """Open the page, or what the code leads to."""
        address = action.text if action.kind is ActionKind.QR else action.url
        return 200 == await asyncio.to_thread(self.stripe.open, address)

    async def pay(self, sale: Sale) -> None:
        """Open it and pay."""
        assert await self.open(sale.action)
        await asyncio.to_thread(self.stripe.pay, self.account, sale.number)

    async def paid(self, sale: Sale, twist: Twist = Twist.NONE):
        """Pay, and sign the webhook; another amount is what it says was received."""
        amount = {Twist.LESS: -1, Twist.MORE: 1}.get(twist, 0) + sale.amount_minor
        overrides = {
            Twist.NONE: {},
            Twist.CURRENCY: {"currency": "usd"},
            Twist.UNPAID: {"status": "requires_action"},
        }.get(twist, {"amount_received": amount})
        payment = {
            "out_trade_no": sale.number,
            "amount_minor": sale.amount_minor,
            "currency": sale.currency.lower(),
            "overrides": overrides if twist is not Twist.ACCOUNT else {},
        }
        (webhook,) = await asyncio.to_thread(self.stripe.sign, self.account, payment)
        if twist is Twist.ACCOUNT:
            webhook = self._of_another(webhook)
        return message_of(webhook)

    def _of_another(self, webhook: dict) -> dict:
        """Tell of a connected account's money, well signed."""
        event = {**json.loads(webhook["body"]), "account": self._connected}
        body = json.dumps(event)
        moment = int(webhook["signature"].split(",")[0].removeprefix("t="))
        secret = self._accounts[0]["webhook_secret"]
        return {"body": body, "signature": signed(secret, moment, body.encode())}

    def forgeries(self, message):
        """Change what was signed, sign with another secret, or at another time."""
        body = message.body
        header = dict(message.headers)["stripe-signature"]
        moment = int(header.split(",")[0].removeprefix("t="))
        secret = self._accounts[0]["webhook_secret"]
        good = header.partition("v1=")[2]
        headers = [
            "",
            "t=1",
            f"t={moment}",
            f"v1={good}",
            f"t={moment + 1},v1={good}",
            f"t={moment},v0={good}",
            f"t={moment},v1={good[:-1]}",
            f"t={moment},v1=",
            f"t={moment},t={moment},v1={good}",
            f"t=+{moment},v1={good}",
            signed("whsec_ofsomebodyelse", moment, body),
            signed(secret.removeprefix("whsec_"), moment, body),
            signed(secret, moment - 301, body),  # Held back too long.
            signed(secret, moment + 400, body),  # Made for later: Stripe's own library lets it in.
        ]
        made = [Message("POST", (("stripe-signature", each),), "", body) for each in headers]
        changed = [body.replace(b'"livemode":false', b'"livemode":true'), body + b" ", b"", b"{}"]
        made += [Message("POST", message.headers, "", each) for each in changed]
        made += [
            Message("POST", (("stripe-signature", signed(secret, moment, each)),), "", each)
            for each in (b"", b"{}", b"[]", b'{"object":"event","data":{"object":{}}}')
        ]
        return [*made, Message("GET", message.headers, body.decode(), b"")]

    async def known_minor(self, sale: Sale) -> int:
        """Give what the page or the code costs."""
        known = await asyncio.to_thread(self.stripe.known, self.account, sale.number)
        if known["sessions"]:
            return known["sessions"][0]["amount_total"]
        return known["payment_intents"][0]["amount"]

    async def returned_minor(self, sale: Sale) -> int:
        """Add up the refunds."""
        known = await asyncio.to_thread(self.stripe.known, self.account, sale.number)
        return sum(refund["amount"] for refund in known["refunds"])

    async def trouble(self, trouble: Trouble, operation: Operation, *, count: int = 1) -> bool:
        """Order a fault of the API's for one operation."""
        names = {
            Operation.PRESENT: ("sessions.create", "intents.create"),
            Operation.QUERY: ("query",),
            Operation.CLOSE: ("sessions.expire", "intents.cancel"),
            Operation.REFUND: ("refunds.create",),
            Operation.REFUND_QUERY: ("refunds.list",),
            Operation.PAYOUT: ("transfers.create",),
            Operation.PAYOUT_QUERY: ("transfers.list",),
            Operation.STATEMENT: ("reports.list", "reports.create"),
        }[operation]
        for name in names:
            await asyncio.to_thread(order_trouble, self.stripe, trouble, name, count)
        return True

    async def calm(self) -> None:
        """Take faults back."""
        await asyncio.to_thread(self.stripe.clear)

    async def payee(self):
        """Give an account that is connected to ours."""
        return Payee("connected_account", self._connected)

    async def paid_out_minor(self, payout_number: str) -> int:
        """Add up what was transferred under a number."""
        client = self.stripe._client
        reply = await asyncio.to_thread(
            client.get,
            "/stripe/v1/transfers",
            params={"transfer_group": payout_number},
            headers={"authorization": f"Bearer {self._accounts[0]['secret_key']}"},
        )
        return sum(each["amount"] for each in reply.json()["data"])


def path_of(url: str) -> str:
    """Give an address without its host."""
    return urlsplit(url).path
