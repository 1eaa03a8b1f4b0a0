"""The sandbox as a whole: its memory, its keys, its courier; every face of it speaks to this."""

import asyncio
import base64
import os
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Malformed
from vendrail.sandbox import agreements, alipay, bill, funds, transfers
from vendrail.sandbox.alipay import Event, Outcome
from vendrail.sandbox.calls import Call, Doorkeeper, Rejected, is_url
from vendrail.sandbox.faults import GATEWAY_KINDS, Fault, FaultKind, Faults, disturb
from vendrail.sandbox.fields import (
    AMOUNT_MINOR_MAX,
    OUT_TRADE_NO,
    check_fields,
    read_amount,
    text_of,
)
from vendrail.sandbox.notify import Herald, build_fields
from vendrail.sandbox.provider import Provider, public_pem, read_public_key
from vendrail.sandbox.records import Agreement, App, Trade, TradeStatus, stamp, yuan
from vendrail.sandbox.refusals import Node, is_success, refuse, succeed
from vendrail.sandbox.settings import Settings, journal_path
from vendrail.sandbox.signatures import notification_text
from vendrail.sandbox.store import Store

_SIGN_CHUNK = 256
_TRADE_TTL = timedelta(days=15)


class Answer(msgspec.Struct):
    """What the gateway sends back."""

    body: bytes
    status: int = 200
    location: str = ""  # A page method that went well: where the browser goes.
    problem: Node | None = None  # A page method that did not: what to tell the person.


class PaidTrade(msgspec.Struct, forbid_unknown_fields=True):
    """A trade to be paid and told of; without an amount it must be known already."""

    out_trade_no: str
    total_amount: str = ""
    subject: str = "sandbox"
    overrides: dict[str, str] = {}  # Signed as they are: for wrong amounts, sellers, states.


class SignedForm(msgspec.Struct, omit_defaults=True):
    """A notification ready to be sent by somebody else; or why there is none."""

    out_trade_no: str
    trade_no: str = ""
    notify_id: str = ""
    body: str = ""
    error: str = ""


class Sandbox:
    """Everything the emulated provider knows and can do."""

    def __init__(self, home: Path, clock: Clock, settings: Settings) -> None:
        self.provider = Provider(home)
        self.store = Store(journal_path(home), settings.journal_compact_bytes)
        self.faults = Faults()
        self.settings = settings
        self.clock = clock
        self._doorkeeper = Doorkeeper(self.store, self.provider, settings)
        self.courier = Herald(self.store, self.provider, self.faults, settings, clock)

    # Applications.

    def register_app(
        self,
        public_key: str,
        *,
        is_certified: bool,
        name: str,
        opening_minor: int,
        has_withholding: bool = False,
    ) -> App:
        """Register a merchant's application; the same key again is the same application."""
        key = read_public_key(public_key)
        pem = public_pem(key)
        known = self.store.app_by_key(pem, is_certified=is_certified)
        if known is not None:
            if has_withholding and not known.has_withholding:
                known.has_withholding = True
                self.store.save(known)
            return known
        app_id = self.store.make_app_id()
        app = App(
            app_id=app_id,
            seller_id=f"2088{secrets.randbelow(10**12):012d}",
            name=name,
            public_key_pem=pem,
            is_certified=is_certified,
            opening_minor=opening_minor,
            has_withholding=has_withholding,
        )
        if is_certified:
            app.certificate_pem, app.certificate_number = self.provider.issue_certificate(
                key, app_id
            )
        self.store.save(app)
        return app

    def app(self, app_id: str) -> App:
        """Give an application that must be known."""
        try:
            return self.store.apps[app_id]
        except KeyError:
            raise Malformed(f"app_id {app_id!r} is not registered here.") from None

    # The gateway.

    async def answer(self, query: bytes, body: bytes, base_url: str) -> Answer:
        """Answer one gateway request, with the faults that were ordered for it."""
        self.sweep()
        call = self._doorkeeper.read(
            query, body, self.clock.now(), self.settings.base_url or base_url
        )
        faults = self._take_faults(call)
        down = faults.get(FaultKind.GATEWAY_DOWN)
        if down is not None and not down.params.is_after:
            return await self._fail(down)
        outcome = self._operate(call, faults)
        self.courier.announce(outcome.events)
        outcome.node = disturb(outcome.node, faults)
        if slow := faults.get(FaultKind.SLOW):
            delay_s = slow.params.delay_s
            await self.clock.sleep(1.0 if delay_s is None else delay_s)
        if down is not None:
            return await self._fail(down)
        if call.method in alipay.PAGE_METHODS | agreements.PAGE_METHODS:
            if is_success(outcome.node):
                return Answer(b"", 302, location=outcome.page_url)
            return Answer(b"", problem=outcome.node)
        is_spoiled = FaultKind.BAD_REPLY_SIGNATURE in faults
        return Answer(self._write_reply(call, outcome.node, is_spoiled=is_spoiled))

    def _take_faults(self, call: Call | Rejected) -> dict[FaultKind, Fault]:
        if not self.faults.open:
            return {}
        out_trade_no = ""
        if isinstance(call, Call):
            out_trade_no = text_of(call.content, "out_trade_no")
            if trade_no := text_of(call.content, "trade_no"):
                trade = self.store.trade(call.app, "", trade_no)
                out_trade_no = trade.out_trade_no if trade else out_trade_no
        app_id = call.app.app_id if call.app else ""
        taken = self.faults.take(GATEWAY_KINDS, out_trade_no, app_id, call.method)
        return {fault.kind: fault for fault in taken}

    async def _fail(self, fault: Fault) -> Answer:
        if fault.params.timeout_s:
            await self.clock.sleep(fault.params.timeout_s)
        return Answer(b"Service Unavailable", fault.params.status)

    def _operate(self, call: Call | Rejected, faults: dict[FaultKind, Fault]) -> Outcome:
        if isinstance(call, Rejected):
            return Outcome(call.node)
        for kind in (FaultKind.QUERY_UNKNOWN, FaultKind.BUSINESS_ERROR):
            if kind in faults and not faults[kind].params.is_after:
                return Outcome(succeed())  # Nothing is done; what is answered comes after.
        strict = self.settings.is_subject_strict
        problem = check_fields(call.method, call.content, is_subject_strict=strict)
        if problem is not None:
            return Outcome(problem)
        if operation := alipay.TRADE_METHODS.get(call.method):
            return operation(self.store, call)
        if operation := agreements.AGREEMENT_METHODS.get(call.method):
            return operation(self.store, call)
        if call.method == "alipay.fund.trans.uni.transfer":
            return transfers.transfer(self.store, call)
        if call.method == "alipay.fund.trans.common.query":
            return transfers.transfer_query(self.store, call)
        if call.method == "alipay.open.app.alipaycert.download":
            return self._certificate(call)
        return funds.bill_url(self.store, call, self.settings, self.provider.control_token)

    def _certificate(self, call: Call) -> Outcome:
        if text_of(call.content, "alipay_cert_sn") != self.provider.certificate_number:
            return Outcome(refuse("isv.alipay-cert-not-exist"))
        content = base64.b64encode(self.provider.certificate_pem.encode()).decode()
        return Outcome(succeed(alipay_cert_content=content))

    def _write_reply(self, call: Call | Rejected, node: Node, *, is_spoiled: bool) -> bytes:
        """Write and sign the reply; what is signed is the very text that is sent."""
        name = f"{call.method.replace('.', '_')}_response" if call.method else "error_response"
        # A slash stands only inside strings; escaped, as the provider's serialiser does it.
        text = msgspec.json.encode(node).decode().replace("/", "\\/").encode(call.charset)
        if call.app is None:
            return b'{"%s":%s}' % (name.encode(), text)
        signature = self.provider.sign(text + b" " if is_spoiled else text)
        number = ""
        if call.app.is_certified:
            number = f'"alipay_cert_sn":"{self.provider.certificate_number}",'
        tail = f'{number}"sign":"{signature}"'
        return b'{"%s":%s,%s}' % (name.encode(), text, tail.encode())

    def write_bill(
        self, app_id: str, kind: str, period: str, until: int, signature: str
    ) -> bytes | None:
        """Give a bill to whoever holds its address, as long as that is good."""
        wanted = bill.link_signature(self.provider.control_token, app_id, kind, period, until)
        is_good = secrets.compare_digest(wanted.encode(), signature.encode())
        if not is_good or until < self.clock.now().timestamp() or app_id not in self.store.apps:
            return None
        app = self.store.apps[app_id]
        return funds.write(self.store, app, kind, period, self.settings, self.clock.now())

    # The buyer's side.

    def sweep(self) -> None:
        """Close the trades whose time is over, and tell the merchants."""
        self.courier.announce(alipay.expire_trades(self.store, self.clock.now()))

    def open_trade(self, token: str) -> Trade | None:
        """The buyer opens the wallet page of a trade."""
        self.sweep()
        trade = self.store.trade_by_token(token)
        if trade is not None:
            alipay.open_trade(self.store, trade, self.clock.now())
        return trade

    def pay_trade(self, trade: Trade, *, is_forced: bool = False) -> str:
        """The buyer pays; gives why not, or nothing. Forced: even when it is closed, unpaid."""
        if trade.status is TradeStatus.TRADE_CLOSED and trade.paid_at is None and is_forced:
            trade.status, trade.closed_at = TradeStatus.PREPARED, None
        self.courier.announce(alipay.pay(self.store, trade, self.clock.now()))
        return "" if trade.paid_at is not None else "ACQ.TRADE_HAS_CLOSE"

    def sign_agreement(self, agreement: Agreement) -> bool:
        """The buyer signs; told once."""
        is_new = agreements.sign(self.store, agreement, self.clock.now())
        if is_new:
            self.courier.announce_agreement(agreement)
        return is_new

    def end_agreement(self, agreement: Agreement) -> bool:
        """The buyer ends it in the wallet."""
        is_new = agreements.end(self.store, agreement, self.clock.now())
        if is_new:
            self.courier.announce_agreement(agreement)
        return is_new

    def agreement_return_url(self, agreement: Agreement) -> str:
        """Give the address that brings a buyer back who has signed, with its signed query."""
        fields = {
            **{name: str(value) for name, value in agreements.described(agreement).items()},
            "method": "alipay.user.agreement.page.sign.return",
        }
        return self._signed_return(self.store.apps[agreement.app_id], agreement.return_url, fields)

    def return_url(self, trade: Trade) -> str:
        """Give the address that brings the buyer back, with its signed query."""
        app = self.store.apps[trade.app_id]
        fields = {
            "method": f"alipay.trade.{trade.product}.return",
            "out_trade_no": trade.out_trade_no,
            "seller_id": app.seller_id,
            "total_amount": yuan(trade.total_minor),
            "trade_no": trade.trade_no,
        }
        return self._signed_return(app, trade.return_url, fields)

    def _signed_return(self, app: App, address: str, told: dict[str, str]) -> str:
        fields = {
            "app_id": app.app_id,
            "auth_app_id": app.app_id,
            "charset": "utf-8",
            "timestamp": stamp(self.clock.now()),
            "version": "1.0",
            **told,
        }
        if app.is_certified:
            fields["alipay_cert_sn"] = self.provider.certificate_number
        # The merchant's own parameters stay in front; only the provider's are signed.
        signature = self.provider.sign(notification_text(fields).encode())
        parts = urlsplit(address)
        own = parse_qsl(parts.query, keep_blank_values=True)
        query = urlencode([*own, *fields.items(), ("sign", signature), ("sign_type", "RSA2")])
        return urlunsplit(parts._replace(query=query))

    # Off the clock: doors for tests and benches.

    async def sign_notifications(
        self, app: App, notify_url: str, trades: Sequence[PaidTrade]
    ) -> list[SignedForm]:
        """Pay the trades and give their notifications, signed and unsent, in the same order."""
        if notify_url and not is_url(notify_url):
            raise Malformed("notify_url must be an http or https address.")
        forms: list[SignedForm] = []
        fields: list[dict[str, str]] = []
        for wanted in trades:
            form, told = self._pay_quietly(app, notify_url, wanted)
            forms.append(form)
            fields.append(told)
        chunks = range(0, len(forms), _SIGN_CHUNK)
        threads = asyncio.Semaphore(os.cpu_count() or 1)

        async def sign(start: int) -> None:
            async with threads:
                end = start + _SIGN_CHUNK
                await asyncio.to_thread(self._sign_forms, forms[start:end], fields[start:end])

        await asyncio.gather(*(sign(start) for start in chunks))
        return forms

    def _pay_quietly(
        self, app: App, notify_url: str, wanted: PaidTrade
    ) -> tuple[SignedForm, dict[str, str]]:
        now = self.clock.now()
        trade = self.store.trade(app, wanted.out_trade_no)
        if trade is None:
            made = self._make_trade(app, notify_url, wanted, now)
            if made is None:
                return SignedForm(wanted.out_trade_no, error="ACQ.INVALID_PARAMETER"), {}
            trade = made
        alipay.pay(self.store, trade, now)
        if trade.paid_at is None:
            return SignedForm(wanted.out_trade_no, error="ACQ.TRADE_HAS_CLOSE"), {}
        fields = build_fields(app, Event(trade), self.provider, self.clock) | wanted.overrides
        form = SignedForm(
            wanted.out_trade_no, trade_no=trade.trade_no, notify_id=fields["notify_id"]
        )
        return form, fields

    def _make_trade(
        self, app: App, notify_url: str, wanted: PaidTrade, now: datetime
    ) -> Trade | None:
        total_minor = read_amount(wanted.total_amount)
        pattern = OUT_TRADE_NO.pattern
        is_number = pattern is not None and pattern.fullmatch(wanted.out_trade_no)
        if total_minor is None or total_minor > AMOUNT_MINOR_MAX or not is_number:
            return None
        trade = Trade(
            app_id=app.app_id,
            out_trade_no=wanted.out_trade_no,
            trade_no=self.store.make_number(now),
            token=secrets.token_urlsafe(18),
            product="precreate",
            total_minor=total_minor,
            subject=wanted.subject[:256],
            created_at=now,
            expires_at=now + _TRADE_TTL,
            notify_url=notify_url,
        )
        self.store.save(trade)
        return trade

    def _sign_forms(self, forms: list[SignedForm], fields: list[dict[str, str]]) -> None:
        for form, told in zip(forms, fields, strict=True):
            if told:
                signature = self.provider.sign(notification_text(told).encode())
                form.body = urlencode({**told, "sign": signature, "sign_type": "RSA2"})
