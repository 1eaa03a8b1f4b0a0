"""The benches of our own channels: how their emulated providers are ordered about."""

import asyncio
import json
from hashlib import md5
from urllib.parse import parse_qsl, urlencode

from tests.payments.conftest import Alipay, Epay, Wechat, altered, channel_of, epay_channel, yuan

from vendrail.api.payments import ActionKind
from vendrail.channelkit.bench import Bench, Message, Operation, Sale, Trouble, Twist
from vendrail.payments.channels.base import Payee


class AlipayBench(Bench):
    """Alipay in certificate mode, for only that can do everything."""

    kind = "alipay"

    def __init__(self, alipay: Alipay, app, other) -> None:
        self.alipay = alipay
        self._apps = (app, other)
        self.app_id = app[0]["app_id"]

    async def settings(self):
        """Give the settings of an application."""
        return channel_of(self._apps[0], self.alipay.url).settings

    async def other_settings(self):
        """Give the settings of another application."""
        return channel_of(self._apps[1], self.alipay.url).settings

    async def open(self, action):
        """Open the cashier, or what the code leads to."""
        address = action.text if action.kind is ActionKind.QR else action.url
        return 200 == await asyncio.to_thread(self.alipay.open, address)

    async def pay(self, sale: Sale) -> None:
        """Open it and pay."""
        assert await self.open(sale.action)
        await asyncio.to_thread(self.alipay.pay, self.app_id, sale.number)

    async def paid(self, sale: Sale, twist: Twist = Twist.NONE):
        """Pay, and sign the notification; another amount is what was really paid."""
        amount = {Twist.LESS: -1, Twist.MORE: 1}.get(twist, 0) + sale.amount_minor
        overrides = {
            Twist.CURRENCY: {"trans_currency": "JPY"},
            Twist.ACCOUNT: {"seller_id": "2088000000000001"},
            Twist.UNPAID: {"trade_status": "WAIT_BUYER_PAY"},
        }
        trade = {
            "out_trade_no": sale.number,
            "total_amount": yuan(amount),
            "overrides": overrides.get(twist, {}),
        }
        (body,) = await asyncio.to_thread(self.alipay.sign, self.app_id, trade)
        return Message(body=body)

    def forgeries(self, message):
        """Change what was signed, leave the signature out, use another kind of it."""
        body = message.body
        changed = [
            altered(body, total_amount="99.00"),
            altered(body, out_trade_no="0" * 27),
            altered(body, sign=""),
            altered(body, sign="AAAA"),
            altered(body, sign_type="RSA"),
            altered(body, alipay_cert_sn="0" * 32),
            altered(body, added="1"),
            body + b"&out_trade_no=1",
            b"",
        ]
        return [Message(body=each) for each in changed] + [Message("GET", query=body.decode())]

    async def known_minor(self, sale: Sale) -> int:
        """Give what the trade costs."""
        trade = await asyncio.to_thread(self.alipay.trade, self.app_id, sale.number)
        return trade["total_minor"]

    async def returned_minor(self, sale: Sale) -> int:
        """Add up the trade's refunds."""
        trade = await asyncio.to_thread(self.alipay.trade, self.app_id, sale.number)
        return sum(refund["amount_minor"] for refund in trade["refunds"])

    async def trouble(self, trouble: Trouble, operation: Operation, *, count: int = 1) -> bool:
        """Order a fault of the gateway's for one method."""
        method = {
            Operation.PRESENT: "alipay.trade.precreate",
            Operation.QUERY: "alipay.trade.query",
            Operation.CLOSE: "alipay.trade.close",
            Operation.REFUND: "alipay.trade.refund",
            Operation.REFUND_QUERY: "alipay.trade.fastpay.refund.query",
            Operation.PAYOUT: "alipay.fund.trans.uni.transfer",
            Operation.PAYOUT_QUERY: "alipay.fund.trans.common.query",
            Operation.STATEMENT: "alipay.data.dataservice.bill.downloadurl.query",
        }[operation]
        await asyncio.to_thread(order_trouble, self.alipay, trouble, method, count)
        return True

    async def calm(self) -> None:
        """Take faults back."""
        await asyncio.to_thread(self.alipay.clear)

    async def payee(self):
        """Give a user of Alipay's."""
        return Payee("user_id", "2088000000000001")

    async def paid_out_minor(self, payout_number: str) -> int:
        """Ask the sandbox for a transfer."""
        return await asyncio.to_thread(self.alipay.transferred, self.app_id, payout_number)


class EpayBench(Bench):
    """Epay, V1: its callbacks claim, and its answers decide."""

    kind = "epay"

    def __init__(self, epay: Epay) -> None:
        self.epay = epay
        self._merchants = (epay.register(), epay.register())
        self.pid = self._merchants[0]["pid"]
        self.key = self._merchants[0]["key"]

    async def settings(self):
        """Give the settings of a merchant."""
        return epay_channel(self._merchants[0], self.epay.url).settings

    async def other_settings(self):
        """Give the settings of another merchant."""
        return epay_channel(self._merchants[1], self.epay.url).settings

    async def open(self, action):
        """Open the page, or what the code leads to."""
        address = action.text if action.kind is ActionKind.QR else action.url
        return 200 == await asyncio.to_thread(self.epay.open, address)

    async def pay(self, sale: Sale) -> None:
        """Open it and pay."""
        assert await self.open(sale.action)
        await asyncio.to_thread(self.epay.pay, self.pid, sale.number)

    async def paid(self, sale: Sale, twist: Twist = Twist.NONE):
        """Pay, and sign the callback; another amount is what was really paid."""
        if twist is Twist.CURRENCY:
            return None  # It knows of no currency but one.
        amount = {Twist.LESS: -1, Twist.MORE: 1}.get(twist, 0) + sale.amount_minor
        overrides = {
            Twist.ACCOUNT: {"pid": "9999"},
            Twist.UNPAID: {"trade_status": "WAIT_BUYER_PAY"},
        }
        order = {
            "out_trade_no": sale.number,
            "money": yuan(amount),
            "overrides": overrides.get(twist, {}),
        }
        (body,) = await asyncio.to_thread(self.epay.sign, self.pid, order)
        return Message("GET", query=body.decode())

    def forgeries(self, message):
        """Change what was signed, sign with another key, double a field."""
        body = message.query.encode()
        fields = dict(parse_qsl(message.query))
        plain = {name: value for name, value in fields.items() if "sign" not in name}
        text = "&".join(f"{name}={plain[name]}" for name in sorted(plain)) + "another key"
        changed = [
            altered(body, money="0.01"),
            altered(body, out_trade_no="0" * 27),
            altered(body, sign=""),
            altered(body, sign="0" * 32),
            altered(body, sign=fields["sign"].upper()),
            altered(body, sign_type="RSA"),
            altered(body, added="1"),
            urlencode({**plain, "sign": md5(text.encode()).hexdigest()}).encode(),
            body + b"&money=12.30",
            b"",
            b"%ff=%zz",
        ]
        return [Message("GET", query=each.decode()) for each in changed]

    async def known_minor(self, sale: Sale) -> int:
        """Give what the order costs."""
        order = await asyncio.to_thread(self.epay.order, self.pid, sale.number)
        return order["money_minor"]

    async def returned_minor(self, sale: Sale) -> int:
        """Give the sum that went back: the provider knows no more."""
        order = await asyncio.to_thread(self.epay.order, self.pid, sale.number)
        return order["refunded_minor"]

    async def trouble(self, trouble: Trouble, operation: Operation, *, count: int = 1) -> bool:
        """Order a fault for one act; nothing is closed, paid out or written up here."""
        acts = {
            Operation.PRESENT: "mapi",
            Operation.QUERY: "order",
            Operation.REFUND: "refund",
            Operation.REFUND_QUERY: "order",
        }
        if operation in acts:
            await asyncio.to_thread(order_trouble, self.epay, trouble, acts[operation], count)
        return operation in acts

    async def calm(self) -> None:
        """Take faults back."""
        await asyncio.to_thread(self.epay.clear)


class WechatBench(Bench):
    """WeChat Pay, API v3, by a public key or by certificates."""

    kind = "wechat"

    def __init__(self, wechat: Wechat, mode: str = "public_key") -> None:
        self.wechat = wechat
        self._merchants = (wechat.register(mode), wechat.register("certificate"))
        self.mchid = self._merchants[0]["mchid"]

    async def settings(self):
        """Give the settings of a merchant."""
        return self._merchants[0]

    async def other_settings(self):
        """Give the settings of another merchant."""
        return self._merchants[1]

    def move_time(self, offset_s: float) -> None:
        """Sign what the merchants get at the test's own time."""
        for each in self._merchants:
            self.wechat.post("time", {"mchid": each["mchid"], "skew_s": offset_s})

    async def open(self, action):
        """Open the page, or what the code leads to."""
        address = action.text if action.kind is ActionKind.QR else action.url
        return 200 == await asyncio.to_thread(self.wechat.open, address)

    async def pay(self, sale: Sale) -> None:
        """Open it and pay."""
        assert await self.open(sale.action)
        await asyncio.to_thread(self.wechat.pay, self.mchid, sale.number)

    async def paid(self, sale: Sale, twist: Twist = Twist.NONE):
        """Pay, and sign the callback, with what it shall say wrongly sealed within."""
        total = {Twist.LESS: -1, Twist.MORE: 1}.get(twist, 0) + sale.amount_minor
        currency = "JPY" if twist is Twist.CURRENCY else "CNY"
        overrides = {
            Twist.ACCOUNT: {"mchid": "1999999999"},
            Twist.UNPAID: {"trade_state": "NOTPAY"},
        }
        told = {"amount": {"total": total, "payer_total": total, "currency": currency}}
        order = {
            "out_trade_no": sale.number,
            "amount": yuan(sale.amount_minor),
            "overrides": {**told, **overrides.get(twist, {})},
        }
        (signed,) = await asyncio.to_thread(self.wechat.sign, self.mchid, order)
        return message_of(signed)

    def forgeries(self, message):
        """Change what was signed, take parts of the signature away, be another moment's."""
        body, headers = message.body, dict(message.headers)
        late = str(int(headers["Wechatpay-Timestamp"]) + 1)
        sealed = json.loads(body)
        sealed["resource"]["ciphertext"] = sealed["resource"]["ciphertext"][:-8] + "AAAAAAA="
        changed = [{**headers, "Wechatpay-Signature": each} for each in ("", "AAAA", "?")]
        changed += [
            {**headers, "Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + "A" * 64},
            {**headers, "Wechatpay-Timestamp": late},
            {**headers, "Wechatpay-Nonce": "another"},
            {**headers, "Wechatpay-Serial": "PUB_KEY_ID_1"},
            {**headers, "Wechatpay-Serial": ""},
            {},
        ]
        return [
            *(Message(body=body, headers=tuple(each.items())) for each in changed),
            Message(body=body + b" ", headers=message.headers),
            Message(body=json.dumps(sealed).encode(), headers=message.headers),
            Message(body=b"", headers=message.headers),
            Message("GET", headers=message.headers, body=body),
        ]

    async def known_minor(self, sale: Sale) -> int:
        """Give what the order costs."""
        order = await asyncio.to_thread(self.wechat.order, self.mchid, sale.number)
        return order["total_minor"]

    async def returned_minor(self, sale: Sale) -> int:
        """Add up the order's refunds."""
        order = await asyncio.to_thread(self.wechat.order, self.mchid, sale.number)
        return sum(refund["amount_minor"] for refund in order["refunds"])

    async def trouble(self, trouble: Trouble, operation: Operation, *, count: int = 1) -> bool:
        """Order a fault of one door."""
        door = {
            Operation.PRESENT: "native",
            Operation.REFUND_QUERY: "query_refund",
            Operation.PAYOUT: "transfer",
            Operation.PAYOUT_QUERY: "query_transfer",
            Operation.STATEMENT: "bill",
        }.get(operation, operation.value)
        await asyncio.to_thread(order_trouble, self.wechat, trouble, door, count)
        return True

    async def calm(self) -> None:
        """Take faults back."""
        await asyncio.to_thread(self.wechat.clear)

    async def payee(self):
        """Give a person known by the application."""
        return Payee("openid", f"o{self._merchants[0]['appid'][2:8]}-payee", "王小明")

    async def paid_out_minor(self, payout_number: str) -> int:
        """Ask the sandbox for a transfer."""
        return await asyncio.to_thread(self.wechat.transferred, self.mchid, payout_number)


def message_of(signed: dict) -> Message:
    """Make what a provider sends of what it has signed."""
    return Message(body=signed["body"].encode(), headers=tuple(signed["headers"].items()))


def order_trouble(door: Alipay | Epay | Wechat, trouble: Trouble, method: str, count: int) -> None:
    """Order a fault of the sandbox's."""
    kind, params = {
        Trouble.AWAY: ("gateway_down", {}),
        Trouble.LOST: ("gateway_down", {"is_after": True}),
        Trouble.UNCLEAR: ("query_unknown", {}),
        Trouble.SLOW: ("slow", {"delay_s": 1.5}),
        Trouble.DENIES: ("query_disagrees", {}),
    }[trouble]
    door.fault(kind, match={"method": method}, params=params, count=count)
