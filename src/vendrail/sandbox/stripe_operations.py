"""What can be asked of Stripe: each operation, its fields, and what it does."""

import copy
import re
from collections.abc import Callable, Mapping

import msgspec

from vendrail.sandbox import stripe, stripe_files, stripe_funds, stripe_intents, stripe_reports
from vendrail.sandbox.stripe_acts import Act, Form
from vendrail.sandbox.stripe_forms import Choice, Kind, Many, Metadata, Refused, Text, Url, Whole
from vendrail.sandbox.stripe_records import Endpoint, Thing, make_token

Run = Callable[[Act, Form], Form]  # The id in the path is a field like the others.


class Operation(msgspec.Struct, frozen=True):
    """One thing that can be asked."""

    name: str
    method: str
    pattern: re.Pattern[str]
    run: Run
    fields: Mapping[str, Kind]
    needed: tuple[str, ...] = ()


_ID = r"([A-Za-z0-9_]{1,80})"
_LIST: dict[str, Kind] = {
    "limit": Whole(1, 100),
    "starting_after": Text(),
    "ending_before": Text(),
    "expand": Many(Text()),
}
_EXPAND: dict[str, Kind] = {"expand": Many(Text())}


def _list_of(things: list[Thing], form: Form, path: str) -> Form:
    start = 0
    if after := form.get("starting_after"):
        ids = [each.id for each in things]
        if after not in ids:
            words = f"No such object: '{after}'"
            raise Refused("resource_missing", words, param="starting_after")
        start = ids.index(after) + 1
    limit = form.get("limit", 10)
    page = things[start : start + limit]
    return {
        "object": "list",
        "data": [copy.deepcopy(each.shown) for each in page],
        "has_more": len(things) > start + limit,
        "url": path,
    }


def _getter(kind: str, words: str) -> Run:
    return lambda act, form: act.find(form["id"], kind, words).shown


def _lister(kind: str, path: str, *filters: str) -> Run:
    def run(act: Act, form: Form) -> Form:
        found = act.store.all(act.account, kind)
        for name in filters:
            if name in form:
                found = [each for each in found if each.shown.get(name) == form[name]]
        return _list_of(found, form, path)

    return run


def _list_refunds(act: Act, form: Form) -> Form:
    if "payment_intent" in form:
        act.find(form["payment_intent"], "payment_intent", "payment_intent", "payment_intent")
        found = act.store.children(form["payment_intent"], "refund")
    else:
        found = act.store.all(act.account, "refund")
    return _list_of(found, form, "/v1/refunds")


def _list_transfers(act: Act, form: Form) -> Form:
    if "transfer_group" in form:
        group = f"group:{act.account}:{form['transfer_group']}"
        found = act.store.children(group, "transfer")
    else:
        found = act.store.all(act.account, "transfer")
    return _list_of(found, form, "/v1/transfers")


def _with_metadata(act: Act, name: str, value: str) -> list[Thing]:
    if name == "out_trade_no":
        return act.store.numbered(act.account, value, "payment_intent")
    found = act.store.all(act.account, "payment_intent")
    return [each for each in found if each.shown["metadata"].get(name) == value]


def _search(act: Act, form: Form) -> Form:
    match = re.fullmatch(r"metadata\[(['\"])(\w+)\1\]:(['\"])([^'\"]*)\3", form["query"])
    if match is None:
        words = "We were unable to parse your search query."
        raise Refused("", words, param="query", is_early=True)
    found = [copy.deepcopy(each.shown) for each in _with_metadata(act, match[2], match[4])]
    return {
        "object": "search_result",
        "data": found[: form.get("limit", 10)],
        "has_more": len(found) > form.get("limit", 10),
        "next_page": None,
        "url": "/v1/payment_intents/search",
    }


def _create_customer(act: Act, form: Form) -> Form:
    shown = {"object": "customer", "email": None, "name": None, "description": None,
             "metadata": {}, **{k: v for k, v in form.items() if k != "id"}}  # fmt: skip
    made = act.store.add(act.account, "cus", act.now, shown)
    act.tell("customer.created", made)
    return made.shown


def _customer_methods(act: Act, form: Form) -> Form:
    id = form["id"]
    act.find(id, "customer", "customer")
    found = [
        each
        for each in act.store.all(act.account, "payment_method")
        if each.shown["customer"] == id
        and form.get("type", each.shown["type"]) == each.shown["type"]
    ]
    return _list_of(found, form, f"/v1/customers/{id}/payment_methods")


def _detach(act: Act, form: Form) -> Form:
    method = act.find(form["id"], "payment_method", "PaymentMethod")
    if method.shown["customer"] is None:
        words = "The payment method you provided is not attached to a customer so detachment is"
        raise Refused("payment_method_unexpected_state", f"{words} impossible.")
    method.shown["customer"] = None
    act.store.save(method)
    act.tell("payment_method.detached", method)
    return method.shown


def _create_endpoint(act: Act, form: Form) -> Form:
    endpoint = Endpoint(
        f"we_{make_token(24)}",
        act.account,
        form["url"],
        f"whsec_{make_token(32)}",
        form["enabled_events"],
    )
    act.store.save(endpoint)
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "created": int(act.now.timestamp()),
        "enabled_events": endpoint.events,
        "livemode": False,
        "secret": endpoint.secret,
        "status": "enabled",
        "url": endpoint.url,
    }


def _show_balance(act: Act, form: Form) -> Form:
    moved = act.store.all(act.account, "balance_transaction")
    currencies = sorted({each.shown["currency"] for each in moved})
    held = [{"amount": stripe_funds.balance_of(act, each), "currency": each} for each in currencies]
    return {"object": "balance", "available": held, "livemode": False, "pending": []}


def _intent(act: Act, id: str) -> Thing:
    return act.find(id, "payment_intent", "payment_intent", "intent")


def _session(act: Act, id: str) -> Thing:
    session = act.find(id, "checkout.session", "checkout.session", "session")
    stripe.expire_due(act, session)
    return session


def _operation(
    name: str,
    method: str,
    path: str,
    run: Run,
    fields: Mapping[str, Kind],
    *needed: str,
) -> Operation:
    pattern = re.compile("/v1/" + path.replace("{id}", _ID))
    return Operation(name, method, pattern, run, fields, needed)


_CANCEL: dict[str, Kind] = {
    "cancellation_reason": Choice(
        ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
    ),
    **_EXPAND,
}
_SESSION_NEEDS = ("mode", "success_url")
_CUSTOMER: dict[str, Kind] = {
    "email": Text(512), "name": Text(256), "description": Text(), "metadata": Metadata(), **_EXPAND,
}  # fmt: skip
_ENDPOINT: dict[str, Kind] = {
    "url": Url(), "enabled_events": Many(Text()), "description": Text(), "api_version": Text(20),
    "metadata": Metadata(), **_EXPAND,
}  # fmt: skip
OPERATIONS = (
    _operation("sessions.create", "POST", "checkout/sessions",
               lambda act, form: stripe.create_session(act, form).shown,
               stripe.SESSION, *_SESSION_NEEDS),
    _operation("query", "GET", "checkout/sessions/{id}",
               lambda act, form: _session(act, form["id"]).shown, _EXPAND),
    _operation("sessions.expire", "POST", "checkout/sessions/{id}/expire",
               lambda act, form: stripe.expire_session(
                   act, _session(act, form["id"])).shown, _EXPAND),
    _operation("intents.create", "POST", "payment_intents",
               lambda act, form: stripe_intents.create_intent(act, form).shown,
               stripe_intents.INTENT, "amount", "currency"),
    _operation("query", "GET", "payment_intents/search", _search,
               {"query": Text(), "limit": Whole(1, 100), "page": Text(), **_EXPAND}, "query"),
    _operation("intents.list", "GET", "payment_intents",
               _lister("payment_intent", "/v1/payment_intents", "customer"),
               {"customer": Text(), **_LIST}),
    _operation("query", "GET", "payment_intents/{id}",
               lambda act, form: _intent(act, form["id"]).shown,
               {"client_secret": Text(), **_EXPAND}),
    _operation("intents.update", "POST", "payment_intents/{id}",
               lambda act, form: stripe_intents.update_intent(
                   act, _intent(act, form["id"]), form).shown,
               stripe_intents.UPDATE),
    _operation("intents.confirm", "POST", "payment_intents/{id}/confirm",
               lambda act, form: stripe_intents.confirm_intent(
                   act, _intent(act, form["id"]), form).shown,
               stripe_intents.CONFIRM),
    _operation("intents.cancel", "POST", "payment_intents/{id}/cancel",
               lambda act, form: stripe_intents.cancel_intent(
                   act, _intent(act, form["id"]), form.get("cancellation_reason", "")).shown,
               _CANCEL),
    _operation("charges.get", "GET", "charges/{id}", _getter("charge", "charge"), _EXPAND),
    _operation("refunds.create", "POST", "refunds",
               lambda act, form: stripe_funds.create_refund(act, form).shown,
               stripe_funds.REFUND),
    _operation("refunds.list", "GET", "refunds", _list_refunds,
               {"payment_intent": Text(), "charge": Text(), **_LIST}),
    _operation("refunds.get", "GET", "refunds/{id}", _getter("refund", "refund"), _EXPAND),
    _operation("disputes.get", "GET", "disputes/{id}", _getter("dispute", "dispute"), _EXPAND),
    _operation("disputes.update", "POST", "disputes/{id}",
               lambda act, form: stripe_funds.answer_dispute(
                   act, act.find(form["id"], "dispute", "dispute"), form).shown,
               stripe_funds.EVIDENCE),
    _operation("files.create", "POST", "files",
               lambda act, form: stripe_files.create_file(act, form).shown, {}),
    _operation("files.get", "GET", "files/{id}", _getter("file", "file upload"), _EXPAND),
    _operation("disputes.list", "GET", "disputes",
               _lister("dispute", "/v1/disputes", "payment_intent", "charge"),
               {"payment_intent": Text(), "charge": Text(), **_LIST}),
    _operation("transfers.create", "POST", "transfers",
               lambda act, form: stripe_funds.create_transfer(act, form).shown,
               stripe_funds.TRANSFER, "amount", "currency", "destination"),
    _operation("transfers.list", "GET", "transfers", _list_transfers,
               {"transfer_group": Text(), "destination": Text(), **_LIST}),
    _operation("transfers.get", "GET", "transfers/{id}",
               _getter("transfer", "transfer"), _EXPAND),
    _operation("customers.create", "POST", "customers", _create_customer, _CUSTOMER),
    _operation("customers.get", "GET", "customers/{id}",
               _getter("customer", "customer"), _EXPAND),
    _operation("customers.methods", "GET", "customers/{id}/payment_methods", _customer_methods,
               {"type": Text(), **_LIST}),
    _operation("methods.get", "GET", "payment_methods/{id}",
               _getter("payment_method", "PaymentMethod"), _EXPAND),
    _operation("methods.detach", "POST", "payment_methods/{id}/detach", _detach, _EXPAND),
    _operation("reports.create", "POST", "reporting/report_runs",
               lambda act, form: stripe_reports.create_report(act, form).shown,
               stripe_reports.REPORT, "report_type"),
    _operation("reports.list", "GET", "reporting/report_runs",
               _lister("reporting.report_run", "/v1/reporting/report_runs"), _LIST),
    _operation("reports.get", "GET", "reporting/report_runs/{id}",
               _getter("reporting.report_run", "report run"), _EXPAND),
    _operation("balance.get", "GET", "balance", _show_balance, _EXPAND),
    _operation("transactions.list", "GET", "balance_transactions",
               _lister("balance_transaction", "/v1/balance_transactions", "source", "currency"),
               {"source": Text(), "currency": Text(3), "payout": Text(), **_LIST}),
    _operation("events.list", "GET", "events", _lister("event", "/v1/events", "type"),
               {"type": Text(), **_LIST}),
    _operation("events.get", "GET", "events/{id}", _getter("event", "event"), _EXPAND),
    _operation("endpoints.create", "POST", "webhook_endpoints", _create_endpoint, _ENDPOINT,
               "url", "enabled_events"),
)  # fmt: skip
