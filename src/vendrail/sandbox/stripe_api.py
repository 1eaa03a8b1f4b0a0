"""Stripe's API: who asks, once for each key, what is asked for, and the answer."""

import copy
import re
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

import msgspec

from vendrail.sandbox import stripe_files
from vendrail.sandbox.faults import Params
from vendrail.sandbox.stripe_acts import Act, Form
from vendrail.sandbox.stripe_forms import Refused, parse, read
from vendrail.sandbox.stripe_operations import OPERATIONS, Operation
from vendrail.sandbox.stripe_records import Replay, Seller, StripeStore

VERSION = "2026-10-28.endive"
_VERSION = re.compile(r"20[12][0-9]-[01][0-9]-[0-3][0-9](\.[a-z]+)?")
_KEY_LENGTH_MAX = 255
_PUBLIC = re.compile(r"/v1/payment_intents/[A-Za-z0-9_]{1,80}(/confirm)?")
_PRIVATE = ("customer", "latest_charge", "metadata", "transfer_group")  # Nothing for browsers.
_REPLAY_TTL = timedelta(hours=24)

# Refusals that can be ordered: status, type and words.
REFUSALS = {
    "account_invalid": (403, "invalid_request_error", "The provided key does not have access."),
    "api_error": (400, "api_error", "An unknown error occurred."),
    "api_key_expired": (401, "invalid_request_error", "Expired API Key provided."),
    "balance_insufficient": (400, "invalid_request_error", "You have insufficient funds."),
    "charge_disputed": (400, "invalid_request_error", "The charge has been charged back."),
    "lock_timeout": (429, "invalid_request_error", "This object cannot be accessed right now."),
    "rate_limit": (429, "invalid_request_error", "Too many requests hit the API too quickly."),
}


class Ask(msgspec.Struct, frozen=True):
    """One request, as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: bytes
    body: bytes


class Answer(msgspec.Struct):
    """What is answered."""

    status: int
    body: bytes
    headers: dict[str, str] = {}
    media_type: str = "application/json"


def refuse(name: str) -> Refused:
    """Give a refusal that was ordered."""
    status, kind, words = REFUSALS[name]
    return Refused(name, words, status=status, kind=kind)


def encode_error(refused: Refused) -> Answer:
    """Write a refusal down."""
    return Answer(refused.status, msgspec.json.encode({"error": refused.error}))


# Who asks.


def identify(store: StripeStore, ask: Ask) -> Seller:
    """Find whose key it is, and for whom it speaks."""
    given = ask.headers.get("authorization", "")
    key = given.removeprefix("Bearer ").strip() if given.startswith("Bearer ") else ""
    if not key:
        words = (
            "You did not provide an API key. You need to provide your API key in the Authorization"
            " header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
        raise Refused("", words, status=401, is_early=True)
    seller = store.seller_by_key(key)
    if seller is None:
        masked = f"{key[:8]}{'*' * max(len(key) - 12, 4)}{key[-4:]}"
        raise Refused("", f"Invalid API Key provided: {masked}", status=401, is_early=True)
    if key == seller.publishable_key and not _PUBLIC.fullmatch(ask.path):
        words = (
            "This API call cannot be made with a publishable API key. Please use a secret API key."
        )
        raise Refused("secret_key_required", words, status=401, is_early=True)
    version = ask.headers.get("stripe-version", VERSION)
    if not _VERSION.fullmatch(version):
        raise Refused("", f"Invalid Stripe API version: {version[:40]}", is_early=True)
    wanted = ask.headers.get("stripe-account", "")
    if wanted and wanted != seller.id:
        connected = store.sellers.get(wanted)
        if connected is None or connected.platform != seller.id:
            words = (
                f"The provided key does not have access to account '{wanted}' (or that account does"
                " not exist). Application access may have been revoked."
            )
            raise Refused("account_invalid", words, status=403, is_early=True)
        return connected
    return seller


def is_public(store: StripeStore, ask: Ask) -> bool:
    """Tell whether a browser asks, by the key that anybody may know."""
    key = ask.headers.get("authorization", "").removeprefix("Bearer ").strip()
    seller = store.seller_by_key(key)
    return seller is not None and key == seller.publishable_key


def check_secret(act: Act, form: Form) -> None:
    """Let a browser at the one payment whose secret it was given."""
    intent = act.find(form["id"], "payment_intent", "payment_intent", "intent")
    if form.get("client_secret") != intent.shown["client_secret"]:
        words = (
            "The client_secret provided does not match the client_secret associated with the"
            " PaymentIntent."
        )
        code = "payment_intent_invalid_parameter"
        raise Refused(code, words, param="client_secret", is_early=True)


def for_browsers(shown: Form) -> Form:
    """Leave out what is nobody's business but the merchant's."""
    return {name: value for name, value in shown.items() if name not in _PRIVATE}


# Once for each key.


def find_replay(store: StripeStore, ask: Ask, seller: Seller, act: Act) -> Replay | None:
    """Find what was answered under this key; another question under it is refused."""
    key = ask.headers.get("idempotency-key", "")
    if len(key) > _KEY_LENGTH_MAX:
        words = f"Idempotency keys can be at most {_KEY_LENGTH_MAX} characters long."
        raise Refused("", words, kind="idempotency_error", is_early=True)
    known = store.replays.get((seller.id, key)) if key else None
    if known is None or act.now - known.at > _REPLAY_TTL:
        return None
    if known.digest != digest_of(ask):
        words = (
            "Keys for idempotent requests can only be used with the same parameters they were first"
            f" used with. Try using a key other than '{key}' if you meant to execute a different"
            " request."
        )
        raise Refused("", words, kind="idempotency_error", is_early=True)
    return known


def digest_of(ask: Ask) -> str:
    """Sum up what is asked."""
    kind = ask.headers.get("content-type", "")
    is_parts = kind.startswith(stripe_files.MULTIPART)
    body = stripe_files.digest(kind, ask.body) if is_parts else ask.body
    text = f"{ask.method} {ask.path}\n".encode() + body
    return sha256(text).hexdigest()


def find_operation(ask: Ask) -> tuple[Operation, str]:
    """Find what is asked for, and of which object."""
    for operation in OPERATIONS:
        match = operation.pattern.fullmatch(ask.path)
        if match is not None and operation.method == ask.method:
            return operation, match[1] if match.groups() else ""
    words = (
        f"Unrecognized request URL ({ask.method}: {ask.path}). Please see"
        " https://stripe.com/docs or we can help at https://support.stripe.com/."
    )
    raise Refused("", words, status=404, is_early=True)


def read_fields(operation: Operation, id: str, ask: Ask) -> Form:
    """Read what is asked, by a form or by the query."""
    if operation.name == "files.create":
        kind = ask.headers.get("content-type", "")
        if not kind.startswith(stripe_files.MULTIPART):
            words = "Invalid request: files are uploaded as multipart/form-data."
            raise Refused("", words, is_early=True)
        return {**stripe_files.read_upload(kind, ask.body), "id": id}
    if ask.method == "POST" and ask.body:
        kind = ask.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/x-www-form-urlencoded":
            words = "Invalid request: the body must be application/x-www-form-urlencoded."
            raise Refused("", words, is_early=True)
    form = parse(ask.body if ask.method == "POST" else ask.query)
    return {**read(form, operation.fields, operation.needed), "id": id}


def expand(act: Act, shown: Form, form: Form) -> Form:
    """Put objects in the place of their ids, where that is asked."""
    made = copy.deepcopy(shown)
    for path in form.get("expand", ()):
        _expand(act, made, path.split("."))
    return made


def _expand(act: Act, value: Any, steps: list[str]) -> None:
    name, rest = steps[0], steps[1:]
    if name not in value:
        words = f"This property cannot be expanded ({name})."
        raise Refused("", words, param="expand", is_early=True)
    held = value[name]
    if isinstance(held, list):
        for each in held:
            _expand(act, each, rest)
        return
    if isinstance(held, str):
        found = act.store.any_thing(held)
        if found is None:
            words = f"This property cannot be expanded ({name})."
            raise Refused("", words, param="expand", is_early=True)
        held = value[name] = copy.deepcopy(found.shown)
    if rest and held is not None:
        _expand(act, held, rest)


def disagree(answer: Answer, params: Params) -> Answer:
    """Answer a query at odds with what happened: another amount, or paid for unpaid."""
    shown = msgspec.json.decode(answer.body)
    if answer.status != 200 or shown.get("object") not in {"checkout.session", "payment_intent"}:
        return answer
    is_session = shown["object"] == "checkout.session"
    payment = shown["payment_intent"] if is_session else shown
    if payment is None:
        payment = {
            "id": "pi_thatneverwas",
            "object": "payment_intent",
            "amount_received": shown["amount_total"],
            "created": shown["created"],
            "currency": shown["currency"],
            "latest_charge": None,
            "metadata": shown["metadata"],
            "status": "requires_action",
        }
    if params.value:
        payment["amount_received"] = int(params.value)
    else:
        is_paid = payment["status"] == "succeeded"
        payment["status"] = "requires_action" if is_paid else "succeeded"
        payment["amount_received"] = payment.get("amount_received") or payment.get("amount", 0)
    if is_session:
        shown["payment_intent"] = payment
        shown["payment_status"] = "paid" if payment["status"] == "succeeded" else "unpaid"
    return Answer(200, msgspec.json.encode(shown), answer.headers)
