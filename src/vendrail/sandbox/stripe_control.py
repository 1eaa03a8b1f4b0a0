"""The control routes of the emulated Stripe, for tests and the demo."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery

from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Malformed
from vendrail.sandbox import stripe, stripe_funds, stripe_intents
from vendrail.sandbox.emulations import answer_json, require_token
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.stripe_acts import Act, Form
from vendrail.sandbox.stripe_cards import Card
from vendrail.sandbox.stripe_forms import Refused
from vendrail.sandbox.stripe_pages import pay
from vendrail.sandbox.stripe_records import Endpoint, Thing
from vendrail.sandbox.stripe_webhooks import CAPTURES, write_events

AnyRequest = Request[Any, Any, Any]
_KINDS = frozenset(FaultKind) - {FaultKind.WRONG_SELLER, FaultKind.BAD_REPLY_SIGNATURE}
_CARD = "4242424242424242"


class NewSeller(msgspec.Struct, forbid_unknown_fields=True):
    """An account to open."""

    name: str = "Sandbox merchant"
    opening_minor: int = 100_000_000
    platform: str = ""
    url: str = ""  # Where its webhooks go.


class PayOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which numbers somebody pays."""

    account: str
    out_trade_no: str | list[str]
    card: str = _CARD
    is_forced: bool = False  # Pay even what is over: money that comes late.


class PaidOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Money to be taken and told of; without an amount its number must be known already."""

    out_trade_no: str
    amount_minor: int = 0
    currency: str = "usd"
    overrides: Form = {}  # Of the event's object, signed as they are.


class SignOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which webhooks to write and sign without sending."""

    account: str
    payments: list[PaidOrder]


class DisputeOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which payment a bank takes back."""

    account: str
    out_trade_no: str
    reason: str = "fraudulent"


class Verdict(msgspec.Struct, forbid_unknown_fields=True):
    """How something ends."""

    is_good: bool


def _of(request: AnyRequest) -> Any:
    return request.app.state.stripe


def _act(request: AnyRequest, account: str) -> Act:
    emulation = _of(request)
    if account not in emulation.store.sellers:
        raise Malformed(f"{account!r} is not registered here.")
    act: Act = emulation.act(account)
    return act


def _thing(request: AnyRequest, id: str, kind: str) -> Thing:
    found: Thing | None = _of(request).store.any_thing(id)
    if found is None or found.kind != kind:
        raise Malformed(f"There is no {kind} {id!r}.")
    return found


@post("/sandbox/stripe/accounts", guards=[require_token])
async def register(request: AnyRequest) -> Response[bytes]:
    """Open an account; the answer is what it works with."""
    wanted = decode(await request.body(), NewSeller)
    emulation = _of(request)
    seller = emulation.register(wanted.name, wanted.opening_minor, wanted.platform)
    [endpoint] = [x for x in emulation.store.endpoints.values() if x.account == seller.id]
    endpoint.url = wanted.url
    emulation.store.save(endpoint)
    told = {
        "account": seller.id,
        "secret_key": seller.secret_key,
        "publishable_key": seller.publishable_key,
        "endpoint": endpoint.id,
        "webhook_secret": endpoint.secret,
    }
    return answer_json(told, 201)


@post("/sandbox/stripe/endpoints/{id:str}", guards=[require_token])
async def place_endpoint(request: AnyRequest, id: FromPath[str]) -> Response[bytes]:
    """Say where an endpoint's webhooks go."""
    url = decode(await request.body(), str)
    endpoint: Endpoint | None = _of(request).store.endpoints.get(id)
    if endpoint is None:
        raise Malformed(f"There is no endpoint {id!r}.")
    endpoint.url = url
    _of(request).store.save(endpoint)
    return answer_json({"id": id, "url": url}, 201)


# Buyers.


def _pay_number(act: Act, number: str, card: str, *, is_forced: bool) -> Thing:
    """Pay what carries a number: its page, or its code."""
    sessions = act.store.numbered(act.account, number, "checkout.session")
    for session in sessions:
        if is_forced and session.shown["status"] == "expired":
            session.shown |= {"status": "open", "payment_intent": None}
            session.shown["expires_at"] = int(act.now.timestamp()) + 60
        if session.shown["status"] == "open":
            return pay(
                act, session, {"number": card, "expiry": "12/30", "cvc": "123"} | _way(session)
            )
    for intent in act.store.numbered(act.account, number, "payment_intent"):
        is_waiting = intent.shown["status"] == "requires_action"
        if is_waiting or (is_forced and intent.shown["status"] == "canceled"):
            return stripe_intents.succeed(act, intent, Card())
    raise Refused("resource_missing", f"Nothing of {number!r} can be paid.")


def _way(session: Thing) -> dict[str, str]:
    return {"way": session.shown["payment_method_types"][0]}


@post("/sandbox/stripe/pay", guards=[require_token], status_code=201)
async def pay_numbers(request: AnyRequest) -> Response[bytes]:
    """Pay without a person; one result for each, in order."""
    wanted = decode(await request.body(), PayOrder)
    numbers = [wanted.out_trade_no] if isinstance(wanted.out_trade_no, str) else wanted.out_trade_no
    results = []
    for number in numbers:
        act = _act(request, wanted.account)
        try:
            intent = _pay_number(act, number, wanted.card, is_forced=wanted.is_forced)
        except Refused as refused:
            results.append({"out_trade_no": number, "error": refused.code or str(refused)})
        else:
            told = {"payment_intent": intent.id, "status": intent.shown["status"]}
            results.append({"out_trade_no": number, **told})
        _of(request).announce(act)
    return answer_json({"results": results}, 201)


@post("/sandbox/stripe/sign-webhooks", guards=[require_token])
async def sign_webhooks(request: AnyRequest) -> Response[bytes]:
    """Take money and hand out the signed webhooks that tell of it instead of sending them."""
    wanted = decode(await request.body(), SignOrder)
    emulation = _of(request)
    signed = []
    for each in wanted.payments:
        act = _act(request, wanted.account)
        intent = _take(act, each)
        told = [event for event in act.events if event[0] == "payment_intent.succeeded"]
        act.events[:] = told or [("payment_intent.succeeded", intent.shown)]
        act.events[0][1].update(each.overrides)
        [event] = write_events(act)
        signed += [
            {
                "out_trade_no": each.out_trade_no,
                "payment_intent": intent.id,
                "body": notice.form,
                "signature": emulation.pen.header(notice),
            }
            for notice in emulation.notices(event)
        ]
    return answer_json({"webhooks": signed})


def _take(act: Act, wanted: PaidOrder) -> Thing:
    paid = [
        each
        for each in act.store.numbered(act.account, wanted.out_trade_no, "payment_intent")
        if each.shown["status"] == "succeeded"
    ]
    if paid:
        return paid[0]
    try:
        return _pay_number(act, wanted.out_trade_no, _CARD, is_forced=True)
    except Refused:
        if not wanted.amount_minor:
            raise Malformed(f"{wanted.out_trade_no!r} is not known here.") from None
    form = {
        "mode": "payment",
        "metadata": {"out_trade_no": wanted.out_trade_no},
        "payment_intent_data": {"metadata": {"out_trade_no": wanted.out_trade_no}},
        "line_items": [
            {
                "price_data": {
                    "currency": wanted.currency,
                    "unit_amount": wanted.amount_minor,
                    "product_data": {"name": "sandbox"},
                }
            }
        ],
        "success_url": "http://127.0.0.1/",
    }
    try:
        stripe.create_session(act, form)
    except Refused as refused:
        raise Malformed(f"{wanted.out_trade_no}: {refused}") from refused
    return _pay_number(act, wanted.out_trade_no, _CARD, is_forced=True)


# Banks.


@post("/sandbox/stripe/disputes", guards=[require_token])
async def open_dispute(request: AnyRequest) -> Response[bytes]:
    """Have a bank take money back."""
    wanted = decode(await request.body(), DisputeOrder)
    act = _act(request, wanted.account)
    for intent in act.store.numbered(act.account, wanted.out_trade_no, "payment_intent"):
        if intent.shown["latest_charge"]:
            charge = act.find(intent.shown["latest_charge"], "charge", "charge")
            made = stripe_funds.dispute(act, charge, wanted.reason)
            _of(request).announce(act)
            return answer_json(made.shown, 201)
    raise Malformed(f"Nobody has paid {wanted.out_trade_no!r}.")


@post("/sandbox/stripe/disputes/{id:str}/close", guards=[require_token])
async def close_dispute(request: AnyRequest, id: FromPath[str]) -> Response[bytes]:
    """Decide a dispute."""
    verdict = decode(await request.body(), Verdict)
    found = _thing(request, id, "dispute")
    act = _act(request, found.account)
    stripe_funds.close_dispute(act, found, is_won=verdict.is_good)
    _of(request).announce(act)
    return answer_json(found.shown, 201)


@post("/sandbox/stripe/refunds/{id:str}/settle", guards=[require_token])
async def settle_refund(request: AnyRequest, id: FromPath[str]) -> Response[bytes]:
    """Let a refund arrive, or come back."""
    verdict = decode(await request.body(), Verdict)
    found = _thing(request, id, "refund")
    act = _act(request, found.account)
    stripe_funds.settle_refund(act, found, is_paid=verdict.is_good)
    _of(request).announce(act)
    return answer_json(found.shown, 201)


@post("/sandbox/stripe/transfers/{id:str}/reverse", guards=[require_token])
async def reverse_transfer(request: AnyRequest, id: FromPath[str]) -> Response[bytes]:
    """Take a transfer back."""
    found = _thing(request, id, "transfer")
    act = _act(request, found.account)
    stripe_funds.reverse_transfer(act, found)
    _of(request).announce(act)
    return answer_json(found.shown, 201)


# What is known.


@get("/sandbox/stripe/payments/{out_trade_no:str}", guards=[require_token])
async def show_payment(
    request: AnyRequest, out_trade_no: FromPath[str], account: FromQuery[str]
) -> Response[bytes]:
    """Show all that carries a number."""
    act = _act(request, account)
    intents = act.store.numbered(account, out_trade_no, "payment_intent")
    sessions = act.store.numbered(account, out_trade_no, "checkout.session")
    refunds = [refund for each in intents for refund in act.store.children(each.id, "refund")]
    return answer_json(
        {
            "sessions": [each.shown for each in sessions],
            "payment_intents": [each.shown for each in intents],
            "refunds": [each.shown for each in refunds],
        }
    )


@get("/sandbox/stripe/webhooks", guards=[require_token])
async def list_webhooks(request: AnyRequest, out_trade_no: FromQuery[str] = "") -> Response[bytes]:
    """List the newest deliveries and what was answered, oldest first."""
    emulation = _of(request)
    told = [each for each in emulation.courier.log if out_trade_no in {"", each.out_trade_no}]
    return answer_json({"webhooks": told[-100:], "pending": len(emulation.store.notices)})


# Faults.


@post("/sandbox/stripe/faults", guards=[require_token])
async def order_fault(request: AnyRequest) -> Response[bytes]:
    """Order a fault; a forged success can also be sent at once, paid or not."""
    fault = decode(await request.body(), Fault)
    if fault.kind not in _KINDS:
        raise Malformed(f"Stripe has nothing that could be {fault.kind.value}.")
    emulation = _of(request)
    if fault.kind is FaultKind.UNSIGNED_SUCCESS and fault.params.is_now:
        act = _act(request, fault.match.app_id)
        sessions = act.store.numbered(act.account, fault.match.out_trade_no, "checkout.session")
        if not sessions:
            raise Malformed("is_now needs match.app_id and match.out_trade_no of a known page.")
        forged = sessions[0].shown | {"payment_status": "paid", "payment_intent": "pi_forged"}
        act.events.append((CAPTURES[1], forged))
        emulation.announce(act, [fault])
    else:
        emulation.faults.add(fault)
    return answer_json(fault, 201)


@get("/sandbox/stripe/faults", guards=[require_token])
async def list_faults(request: AnyRequest) -> Response[bytes]:
    """List the faults that are still to come."""
    return answer_json({"faults": _of(request).faults.open})


@delete("/sandbox/stripe/faults", guards=[require_token], status_code=200)
async def clear_faults(request: AnyRequest) -> Response[bytes]:
    """Take all faults back."""
    _of(request).faults.clear()
    return answer_json({"faults": []})


CONTROL = [
    register,
    place_endpoint,
    pay_numbers,
    sign_webhooks,
    open_dispute,
    close_dispute,
    settle_refund,
    reverse_transfer,
    show_payment,
    list_webhooks,
    order_fault,
    list_faults,
    clear_faults,
]
