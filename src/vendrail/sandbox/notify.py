"""Alipay's notifications: what is told of a trade, and the herald who writes and signs it.

What is not heard comes again, 4 m, 10 m, 10 m, 1 h, 2 h, 6 h and 15 h after the attempt before.
"""

import json
import secrets
from collections.abc import Sequence
from urllib.parse import urlencode

from vendrail.kernel.clock import Clock
from vendrail.sandbox.agreements import described
from vendrail.sandbox.alipay import BUYER_ID, BUYER_LOGON_ID, Event, fund_bills
from vendrail.sandbox.courier import Courier
from vendrail.sandbox.faults import NOTIFY_KINDS, Fault, Faults, falsify, tamper
from vendrail.sandbox.provider import Provider
from vendrail.sandbox.records import Agreement, App, Notice, stamp, yuan
from vendrail.sandbox.settings import Settings
from vendrail.sandbox.signatures import notification_text
from vendrail.sandbox.store import Store


def build_fields(app: App, event: Event, provider: Provider, clock: Clock) -> dict[str, str]:
    """Write all that is told of an event, unsigned."""
    trade, refund, now = event.trade, event.refund, clock.now()
    notify_id = f"{stamp(now)[:10].replace('-', '')}{secrets.token_hex(12)}"
    fields = {
        "app_id": app.app_id,
        "auth_app_id": app.app_id,
        "charset": "utf-8",
        "gmt_create": stamp(trade.opened_at or trade.created_at),
        "notify_id": notify_id,
        "notify_time": stamp(now),
        "notify_type": "trade_status_sync",
        "out_trade_no": trade.out_trade_no,
        "seller_id": app.seller_id,
        "subject": trade.subject,
        "total_amount": yuan(trade.total_minor),
        "trade_no": trade.trade_no,
        "trade_status": trade.status.value,
        "version": "1.0",
    }
    if trade.body:
        fields["body"] = trade.body
    if trade.passback_params:
        fields["passback_params"] = trade.passback_params
    if trade.paid_at is not None:
        total = yuan(trade.total_minor)
        fields |= {
            "buyer_id": BUYER_ID,
            "buyer_logon_id": BUYER_LOGON_ID,
            "buyer_pay_amount": total,
            "fund_bill_list": json.dumps(fund_bills(trade.total_minor), separators=(",", ":")),
            "gmt_payment": stamp(trade.paid_at),
            "invoice_amount": total,
            "point_amount": "0.00",
            "receipt_amount": total,
        }
    if refund is not None:
        fields |= {
            "gmt_refund": f"{stamp(refund.at)}.{refund.at.microsecond // 1000:03d}",
            "out_biz_no": refund.out_request_no,
            "refund_fee": yuan(trade.refunded_minor),
        }
    if trade.closed_at is not None:
        fields["gmt_close"] = stamp(trade.closed_at)
    if app.is_certified:
        fields["alipay_cert_sn"] = provider.certificate_number
    return fields


def agreement_fields(
    app: App, agreement: Agreement, provider: Provider, clock: Clock
) -> dict[str, str]:
    """Write all that is told of an agreement, unsigned: no seller and no money are in it."""
    now = clock.now()
    told = {name: str(value) for name, value in described(agreement).items()}
    fields = {
        **told,
        "alipay_user_id": BUYER_ID,
        "app_id": app.app_id,
        "auth_app_id": app.app_id,
        "charset": "utf-8",
        "notify_id": f"{stamp(now)[:10].replace('-', '')}{secrets.token_hex(12)}",
        "notify_time": stamp(now),
        "notify_type": "dut_user_sign" if agreement.status == "NORMAL" else "dut_user_unsign",
        "version": "1.0",
    }
    if agreement.ended_at is not None:
        fields["unsign_time"] = stamp(agreement.ended_at)
    if app.is_certified:
        fields["alipay_cert_sn"] = provider.certificate_number
    return fields


def sign_fields(fields: dict[str, str], provider: Provider) -> dict[str, str]:
    """Sign what is told; `sign_type` is added after, for it is not part of the text."""
    signature = provider.sign(notification_text(fields).encode())
    return {**fields, "sign": signature, "sign_type": "RSA2"}


class Herald(Courier):
    """Writes what Alipay tells of a trade, and has it brought."""

    def __init__(
        self, store: Store, provider: Provider, faults: Faults, settings: Settings, clock: Clock
    ) -> None:
        super().__init__(store, settings, clock, settings.notify_ladder_s)
        self._store = store
        self._provider = provider
        self._faults = faults

    def announce(self, events: Sequence[Event]) -> None:
        """Write, sign and send off what is due to be told."""
        for event in events:
            if self._is_told(event):
                self._announce(event)

    def _is_told(self, event: Event) -> bool:
        trade = event.trade
        if not trade.notify_url:
            return False
        if trade.paid_at is None:
            return self._settings.notifies_time_out
        is_whole = event.refund is not None and trade.refunded_minor == trade.total_minor
        return not is_whole or self._settings.notifies_full_refund

    def _announce(self, event: Event) -> None:
        trade = event.trade
        faults = self._faults.take(NOTIFY_KINDS, trade.out_trade_no, trade.app_id)
        self.send(self.write(event, faults), faults)

    def write(self, event: Event, faults: Sequence[Fault] = ()) -> Notice:
        """Write the form of a notification, with the faults that were ordered for it."""
        trade = event.trade
        fields = build_fields(self._store.apps[trade.app_id], event, self._provider, self._clock)
        falsify(fields, faults)
        signed = sign_fields(fields, self._provider)
        tamper(signed, faults)
        return Notice(
            notify_id=fields["notify_id"],
            out_trade_no=trade.out_trade_no,
            url=trade.notify_url,
            form=urlencode(signed),
            faults=[fault.kind.value for fault in faults],
        )

    def announce_agreement(self, agreement: Agreement) -> None:
        """Tell that an agreement was signed or ended, where the merchant said to tell it."""
        if not agreement.notify_url:
            return
        app = self._store.apps[agreement.app_id]
        faults = self._faults.take(NOTIFY_KINDS, agreement.number, agreement.app_id)
        fields = agreement_fields(app, agreement, self._provider, self._clock)
        falsify(fields, faults)
        signed = sign_fields(fields, self._provider)
        tamper(signed, faults)
        notice = Notice(
            notify_id=fields["notify_id"],
            out_trade_no=agreement.number,
            url=agreement.notify_url,
            form=urlencode(signed),
            faults=[fault.kind.value for fault in faults],
        )
        self.send(notice, faults)

    def forge(self, event: Event, fault: Fault) -> None:
        """Send a success that nobody signed, whatever the trade's state."""
        self.send(self.write(event, [fault]))
