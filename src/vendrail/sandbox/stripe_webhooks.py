"""Stripe's webhooks: events written from acts, signed anew for each try, brought until heard."""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

import httpx
import msgspec

from vendrail.kernel.clock import Clock
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.records import Notice
from vendrail.sandbox.stripe_acts import Act, Form
from vendrail.sandbox.stripe_api import VERSION
from vendrail.sandbox.stripe_records import Endpoint, StripeStore, Thing

# Try again in five minutes, half an hour, two hours, … for three days.
LADDER_S = (300, 1_800, 7_200, 18_000, 36_000, 43_200, 43_200, 43_200)
CAPTURES = ("payment_intent.succeeded", "checkout.session.completed")


def sign(secret: str, moment: int, body: str) -> str:
    """Write the header that proves a webhook."""
    told = hmac.new(secret.encode(), f"{moment}.{body}".encode(), sha256).hexdigest()
    return f"t={moment},v1={told}"


def is_taken(status_code: int, _: bytes) -> bool:
    """Tell whether an answer ends it: any 2xx does, whatever is said."""
    return 200 <= status_code < 300


class Pen:
    """Writes webhooks as they go out."""

    def __init__(self, store: StripeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def write(self, client: httpx.AsyncClient, notice: Notice) -> httpx.Request:
        """Write one try: what it says stays, the moment and the signature are new."""
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Stripe/1.0"}
        if FaultKind.UNSIGNED_SUCCESS not in notice.faults:
            headers["Stripe-Signature"] = self.header(notice)
        return client.build_request("POST", notice.url, content=notice.form, headers=headers)

    def header(self, notice: Notice) -> str:
        """Sign a notice with its endpoint's secret; one that was tampered with no longer fits."""
        id = notice.notify_id.partition(":")[0]
        signed = notice.form + (" " if FaultKind.TAMPER in notice.faults else "")
        secret = self._store.endpoints[id].secret
        return sign(secret, int(self._clock.now().timestamp()), signed)


def number_of(store: StripeStore, shown: Form) -> str:
    """Give the merchant's number of an event's object, or of the payment it belongs to."""
    number = shown.get("metadata", {}).get("out_trade_no", "")
    if not number and isinstance(id := shown.get("payment_intent"), str):
        intent = store.any_thing(id)
        number = intent.shown["metadata"].get("out_trade_no", "") if intent is not None else ""
    return str(number)


def write_events(act: Act) -> list[Thing]:
    """Keep what an act told as events of the account's."""
    return [
        act.store.add(
            act.account,
            "evt",
            act.now,
            {
                "object": "event",
                "api_version": VERSION,
                "data": {"object": shown},
                "pending_webhooks": 1,
                "request": {"id": None, "idempotency_key": None},
                "type": name,
            },
        )
        for name, shown in act.events
    ]


def endpoints_of(store: StripeStore, account: str, name: str) -> list[Endpoint]:
    """List who wants to hear of an event; a platform hears of its connected accounts."""
    heard = {account, store.sellers[account].platform}
    return [
        each
        for each in store.endpoints.values()
        if each.account in heard and ("*" in each.events or name in each.events)
    ]


def falsify(event: Thing, endpoint: Endpoint, faults: Sequence[Fault]) -> Form:
    """Write what is told of an event, wrong where that was ordered."""
    told: Form = msgspec.json.decode(msgspec.json.encode(event.shown))
    if event.account != endpoint.account:
        told["account"] = event.account
    shown = told["data"]["object"]
    by_kind: Mapping[FaultKind, Fault] = {fault.kind: fault for fault in faults}
    amount = "amount_received" if "amount_received" in shown else "amount_total"
    for kind in (FaultKind.WRONG_AMOUNT, FaultKind.TAMPER):
        if (fault := by_kind.get(kind)) is not None:
            name = fault.params.field if fault.params.field in shown else amount
            value = fault.params.value or "1"
            shown[name] = int(value) if value.isdigit() else value
    if (fault := by_kind.get(FaultKind.WRONG_APP)) is not None:
        told["account"] = fault.params.value or "acct_ofsomebodyelse"
    if (fault := by_kind.get(FaultKind.WRONG_STATUS)) is not None:
        status = fault.params.trade_status or "requires_action"
        shown["status"] = status
        if "payment_status" in shown:
            shown["payment_status"] = "unpaid"
    return told
