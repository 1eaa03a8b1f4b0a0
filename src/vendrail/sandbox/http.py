"""The gateway that merchants call, and the control routes for tests and benches."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post, route
from litestar.params import FromPath, FromQuery

from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Malformed
from vendrail.sandbox import alipay, transfers
from vendrail.sandbox.alipay import Event
from vendrail.sandbox.emulations import answer_json, require_token
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.records import Agreement, App, Trade
from vendrail.sandbox.service import PaidTrade, Sandbox, SignedForm
from vendrail.sandbox.wallet import render_problem

_OPENING_MINOR = 100_000_000  # A million yuan, so that refunds and transfers have a source.
_PAY_CHUNK = 32

AnyRequest = Request[Any, Any, Any]


class NewApp(msgspec.Struct, forbid_unknown_fields=True):
    """What a merchant brings to be registered."""

    public_key_pem: str
    want: str = "key"
    name: str = "Sandbox merchant"
    opening_minor: int = _OPENING_MINOR
    has_withholding: bool = False  # It has signed for agreements.


class PayOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which trades somebody pays."""

    app_id: str
    out_trade_no: str | list[str]
    is_forced: bool = False  # Pay even what is closed: money that comes late.


class FinishOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Whose time for refunds is over."""

    app_id: str
    out_trade_no: str


class SignOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which notifications to write and sign without sending."""

    app_id: str
    trades: list[PaidTrade]
    notify_url: str = ""


class AgreementAct(msgspec.Struct, forbid_unknown_fields=True):
    """What a buyer does with an agreement, and how the buyer stands; nothing: as it was."""

    app_id: str
    external_agreement_no: str
    status: str = ""  # NORMAL: sign it; STOP; UNSIGN: end it.
    single_minor_max: int | None = None
    day_minor_max: int | None = None
    funds_minor: int | None = None
    is_watched: bool | None = None
    is_slow: bool | None = None


class TransferEnd(msgspec.Struct, forbid_unknown_fields=True):
    """How a transfer stands: SUCCESS, DEALING, FAIL, or REFUND when it bounced."""

    app_id: str
    out_biz_no: str
    status: str
    problem: str = ""


def _sandbox(request: AnyRequest) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


@route("/alipay/gateway.do", http_method=["GET", "POST"])
async def gateway(request: AnyRequest) -> Response[Any]:
    """Answer as openapi.alipay.com/gateway.do would."""
    query: bytes = request.scope["query_string"]
    body = await request.body() if request.method == "POST" else b""
    base_url = str(request.base_url).rstrip("/")
    answer = await _sandbox(request).answer(query, body, base_url)
    if answer.problem is not None:
        return render_problem(answer.problem)
    if answer.location:
        return Response(b"", status_code=answer.status, headers={"Location": answer.location})
    return Response(
        answer.body, status_code=answer.status, headers={"Content-Type": "text/html;charset=utf-8"}
    )


@get("/alipay/bill/{app_id:str}/{period:str}")
async def download_bill(
    request: AnyRequest,
    app_id: FromPath[str],
    period: FromPath[str],
    kind: FromQuery[str],
    until: FromQuery[int],
    signature: FromQuery[str],
) -> Response[bytes]:
    """Hand out a bill while its address is good."""
    data = _sandbox(request).write_bill(app_id, kind, period, until, signature)
    if data is None:
        return Response(b"", status_code=403)
    name = f'attachment; filename="{period}.csv.zip"'
    return Response(data, media_type="application/zip", headers={"Content-Disposition": name})


def _describe_app(sandbox: Sandbox, app: App) -> dict[str, object]:
    told: dict[str, object] = {
        "app_id": app.app_id,
        "seller_id": app.seller_id,
        "name": app.name,
        "alipay_public_key": sandbox.provider.public_key_pem,
        "balance_minor": sandbox.store.balances[app.app_id],
    }
    if app.is_certified:
        told |= {
            "app_cert": app.certificate_pem,
            "alipay_cert": sandbox.provider.certificate_pem,
            "root_cert": sandbox.provider.roots_pem,
        }
    return told


@post("/sandbox/apps", guards=[require_token])
async def register_app(request: AnyRequest) -> Response[bytes]:
    """Register a merchant application by its public key."""
    wanted = decode(await request.body(), NewApp)
    if wanted.want not in ("key", "cert"):
        raise Malformed('want must be "key" or "cert".')
    sandbox = _sandbox(request)
    app = sandbox.register_app(
        wanted.public_key_pem,
        is_certified=wanted.want == "cert",
        name=wanted.name,
        opening_minor=wanted.opening_minor,
        has_withholding=wanted.has_withholding,
    )
    return answer_json(_describe_app(sandbox, app), 201)


@get("/sandbox/apps", guards=[require_token])
async def list_apps(request: AnyRequest) -> Response[bytes]:
    """List the registered applications."""
    sandbox = _sandbox(request)
    return answer_json(
        {"apps": [_describe_app(sandbox, app) for app in sandbox.store.apps.values()]}
    )


@post("/sandbox/faults", guards=[require_token])
async def order_fault(request: AnyRequest) -> Response[bytes]:
    """Order a fault."""
    fault = decode(await request.body(), Fault)
    sandbox = _sandbox(request)
    if fault.kind is FaultKind.UNSIGNED_SUCCESS and fault.params.is_now:
        trade = sandbox.store.trade(sandbox.app(fault.match.app_id), fault.match.out_trade_no)
        if trade is None or not trade.notify_url:
            raise Malformed("is_now needs match.app_id and match.out_trade_no of a known trade.")
        sandbox.courier.forge(Event(trade), fault)
    else:
        sandbox.faults.add(fault)
    return answer_json({"faults": sandbox.faults.open}, 201)


@get("/sandbox/faults", guards=[require_token])
async def list_faults(request: AnyRequest) -> Response[bytes]:
    """List the faults still to come."""
    return answer_json({"faults": _sandbox(request).faults.open})


@delete("/sandbox/faults", guards=[require_token], status_code=200)
async def clear_faults(request: AnyRequest) -> Response[bytes]:
    """Take all faults back."""
    _sandbox(request).faults.clear()
    return answer_json({"faults": []})


@post("/sandbox/alipay/pay", guards=[require_token])
async def pay_trades(request: AnyRequest) -> Response[bytes]:
    """Pay trades without a person; one result for each, in order."""
    wanted = decode(await request.body(), PayOrder)
    sandbox = _sandbox(request)
    app = sandbox.app(wanted.app_id)
    numbers = [wanted.out_trade_no] if isinstance(wanted.out_trade_no, str) else wanted.out_trade_no
    sandbox.sweep()
    results: list[dict[str, str]] = []
    for index, number in enumerate(numbers):
        if index % _PAY_CHUNK == _PAY_CHUNK - 1:
            await asyncio.sleep(0)  # Signing is work; others are served in between.
        trade = sandbox.store.trade(app, number)
        if trade is None:
            results.append({"out_trade_no": number, "error": "ACQ.TRADE_NOT_EXIST"})
            continue
        problem = sandbox.pay_trade(trade, is_forced=wanted.is_forced)
        result = {
            "out_trade_no": number,
            "trade_no": trade.trade_no,
            "trade_status": trade.status.value,
        }
        results.append({**result, "error": problem} if problem else result)
    return answer_json({"results": results})


@post("/sandbox/alipay/finish", guards=[require_token])
async def finish_trade(request: AnyRequest) -> Response[bytes]:
    """End the time for refunds of a trade."""
    wanted = decode(await request.body(), FinishOrder)
    sandbox = _sandbox(request)
    trade = _find_trade(sandbox, wanted.app_id, wanted.out_trade_no)
    sandbox.courier.announce(alipay.finish(sandbox.store, trade))
    return answer_json(trade)


@post("/sandbox/alipay/sign-notifications", guards=[require_token])
async def sign_notifications(request: AnyRequest) -> Response[bytes]:
    """Pay trades and hand out their signed notifications instead of sending them."""
    wanted = decode(await request.body(), SignOrder)
    sandbox = _sandbox(request)
    app = sandbox.app(wanted.app_id)
    forms: list[SignedForm] = await sandbox.sign_notifications(
        app, wanted.notify_url, wanted.trades
    )
    return answer_json({"notifications": forms})


@post("/sandbox/alipay/renew-certificate", guards=[require_token])
async def renew_certificate(request: AnyRequest) -> Response[bytes]:
    """Sign under a new certificate from now on, as Alipay does from time to time."""
    provider = _sandbox(request).provider
    provider.renew_certificate()
    return answer_json({"alipay_cert_sn": provider.certificate_number})


def _find_trade(sandbox: Sandbox, app_id: str, out_trade_no: str) -> Trade:
    sandbox.sweep()
    trade = sandbox.store.trade(sandbox.app(app_id), out_trade_no)
    if trade is None:
        raise Malformed(f"There is no trade {out_trade_no!r} of {app_id}.")
    return trade


@get("/sandbox/alipay/trades/{out_trade_no:str}", guards=[require_token])
async def show_trade(
    request: AnyRequest, out_trade_no: FromPath[str], app_id: FromQuery[str]
) -> Response[bytes]:
    """Show all that is known of a trade, prepared ones too."""
    return answer_json(_find_trade(_sandbox(request), app_id, out_trade_no))


@get("/sandbox/alipay/transfers", guards=[require_token])
async def list_transfers(
    request: AnyRequest, app_id: FromQuery[str], out_biz_no: FromQuery[str]
) -> Response[bytes]:
    """List what an application paid out under a number: one transfer, or none."""
    store = _sandbox(request).store
    app = store.apps.get(app_id)
    made = None if app is None else store.transfer(app, out_biz_no)
    return answer_json({"transfers": [] if made is None else [made]})


@post("/sandbox/alipay/transfers", guards=[require_token], status_code=200)
async def end_transfer(request: AnyRequest) -> Response[bytes]:
    """Let a transfer be under way, done, failed or bounced: what did not arrive comes back."""
    wanted = decode(await request.body(), TransferEnd)
    sandbox = _sandbox(request)
    made = sandbox.store.transfer(sandbox.app(wanted.app_id), wanted.out_biz_no)
    now = sandbox.clock.now()
    if made is None or not transfers.end_transfer(
        sandbox.store, made, wanted.status, wanted.problem, now
    ):
        raise Malformed(f"There is no transfer {wanted.out_biz_no!r}, or it cannot end so.")
    return answer_json(made)


def _find_agreement(sandbox: Sandbox, app_id: str, number: str) -> Agreement:
    found = sandbox.store.agreement(sandbox.app(app_id), number)
    if found is None:
        raise Malformed(f"Nobody has opened the page of the agreement {number!r} of {app_id}.")
    return found


@get("/sandbox/alipay/agreements/{number:str}", guards=[require_token])
async def show_agreement(
    request: AnyRequest, number: FromPath[str], app_id: FromQuery[str]
) -> Response[bytes]:
    """Show all that is known of an agreement whose page was opened."""
    return answer_json(_find_agreement(_sandbox(request), app_id, number))


@post("/sandbox/alipay/agreements", guards=[require_token], status_code=200)
async def act_on_agreement(request: AnyRequest) -> Response[bytes]:
    """Let the buyer sign, pause or end an agreement, or be short of money, watched or slow."""
    wanted = decode(await request.body(), AgreementAct)
    sandbox = _sandbox(request)
    found = _find_agreement(sandbox, wanted.app_id, wanted.external_agreement_no)
    for name in AgreementAct.__struct_fields__[3:]:
        value = getattr(wanted, name)
        if value is not None:
            setattr(found, name, value)
    if wanted.status == "STOP" and found.status == "NORMAL":
        found.status = "STOP"
    sandbox.store.save(found)
    if wanted.status == "NORMAL":
        sandbox.sign_agreement(found)
    elif wanted.status == "UNSIGN":
        sandbox.end_agreement(found)
    if wanted.status and found.status != wanted.status:
        raise Malformed(f"An agreement that is {found.status} cannot become {wanted.status}.")
    return answer_json(found)


@get("/sandbox/alipay/notifications", guards=[require_token])
async def list_notifications(
    request: AnyRequest, out_trade_no: FromQuery[str] = "", limit: FromQuery[int] = 100
) -> Response[bytes]:
    """List the newest deliveries and what was answered, oldest first."""
    sandbox = _sandbox(request)
    found = [
        delivery
        for delivery in sandbox.courier.log
        if not out_trade_no or delivery.out_trade_no == out_trade_no
    ]
    told = found[-limit:] if limit > 0 else []
    return answer_json({"notifications": told, "pending": len(sandbox.store.notices)})


ROUTES = [
    gateway,
    download_bill,
    register_app,
    list_apps,
    order_fault,
    list_faults,
    clear_faults,
    pay_trades,
    finish_trade,
    sign_notifications,
    renew_certificate,
    show_trade,
    list_transfers,
    end_transfer,
    show_agreement,
    act_on_agreement,
    list_notifications,
]
