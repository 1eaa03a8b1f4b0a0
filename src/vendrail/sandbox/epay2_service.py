"""Epay V2 in the sandbox: its merchants, its key, and what happens to an order."""

import secrets
from collections.abc import Sequence
from functools import cached_property
from urllib.parse import urlencode, urlsplit, urlunsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from vendrail.kernel.errors import Broken, Malformed
from vendrail.sandbox import epay2, signatures
from vendrail.sandbox.courier import Courier
from vendrail.sandbox.emulations import Place, ReadyAccount
from vendrail.sandbox.epay2_records import Epay2Store, Merchant, Order
from vendrail.sandbox.epay2_requests import REFUSALS
from vendrail.sandbox.faults import NOTIFY_KINDS, Fault, Faults
from vendrail.sandbox.provider import public_pem, write_secret
from vendrail.sandbox.records import Notice

_LADDER_S = (60, 180, 1_200, 3_600, 7_200)
_OPENING_MINOR = 100_000_000
_READY = "Vendrail demo"
_WINDOW_S = 300  # Unless the sandbox's own window is wider than the real one.
_WINDOW_REAL_S = 900


def make_key() -> tuple[str, str]:
    """Make a key pair: private PEM, public PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private.decode(), public_pem(key.public_key())


class Epay2Service:
    """An Epay provider, V2: its merchants, its key, its courier."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.store = Epay2Store(
            place.home / "epay2-journal.jsonl", place.settings.journal_compact_bytes
        )
        self.faults = Faults(REFUSALS, "query")
        self.courier = Courier(self.store, place.settings, place.clock, _LADDER_S)

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        """The platform's own key, made when it is needed first."""
        file = self.place.home / "epay2.key"
        if not file.exists():
            write_secret(file, make_key()[0].encode())
        key = serialization.load_pem_private_key(file.read_bytes(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise Broken(f"{file} holds no RSA key; remove it to begin again.")
        return key

    def sign(self, text: bytes) -> str:
        """Sign with the platform's key."""
        return signatures.sign(self.key, text)

    @property
    def window_s(self) -> int:
        """Give how far a time stamp may be off."""
        wanted = self.place.settings.timestamp_window_s
        return _WINDOW_S if wanted == _WINDOW_REAL_S else wanted

    def open_account(self, base_url: str) -> ReadyAccount | None:
        """Open the one merchant that needs no registration; its key is made here, for once."""
        known = [each for each in self.store.merchants.values() if each.name == _READY]
        if known:
            merchant = known[0]
        else:
            private_key, public_key = make_key()
            merchant = Merchant(
                self.store.make_pid(),
                _READY,
                public_key,
                _OPENING_MINOR,
                private_key_pem=private_key,
            )
            self.store.save(merchant)
        settings = {
            "url": f"{self.place.settings.base_url or base_url}/epay2/",
            "pid": merchant.pid,
            "private_key": merchant.private_key_pem,
            "public_key": public_pem(self.key.public_key()),
            "methods": "qqpay",
            "refunds": "yes",
            "allows_http": "yes",
        }
        return ReadyAccount("epay2", "QQ钱包", settings)

    def pay(self, order: Order, *, is_forced: bool = False) -> bool:
        """The buyer pays, and the merchant is told."""
        if epay2.pay(self.store, order, self.place.clock.now(), is_forced=is_forced):
            self.announce(order)
        return order.paid_at is not None

    def announce(self, order: Order, faults: Sequence[Fault] = ()) -> None:
        """Write a callback and have it brought, until it is heard."""
        faults = faults or self.faults.take(NOTIFY_KINDS, order.out_trade_no, order.pid)
        merchant = self.store.merchants[order.pid]
        told = epay2.tell(order, merchant, self.sign, self.place.clock.now(), faults)
        notice = Notice(
            notify_id=secrets.token_hex(12),
            out_trade_no=order.out_trade_no,
            url=order.notify_url,
            form=urlencode(told),
            method="GET",
            faults=[fault.kind.value for fault in faults],
        )
        self.courier.send(notice, faults)

    def find(self, pid: str, out_trade_no: str) -> Order:
        """Find an order that must be there."""
        order = self.store.order(pid, out_trade_no)
        if order is None:
            raise Malformed(f"There is no order {out_trade_no!r} of {pid}.")
        return order

    def back(self, order: Order) -> str:
        """Give the address that brings the buyer back; the shop's own query stays in front."""
        merchant = self.store.merchants[order.pid]
        told = urlencode(epay2.tell(order, merchant, self.sign, self.place.clock.now()))
        parts = urlsplit(order.return_url)
        query = "&".join(each for each in (parts.query, told) if each)
        return urlunsplit(parts._replace(query=query))
