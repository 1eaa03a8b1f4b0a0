"""Epay V2 in the sandbox: its doors and its wallet page."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from litestar import Request, Response, get, post, route
from litestar.params import FromPath

from vendrail.sandbox import epay2
from vendrail.sandbox import epay2_arrivals as arrivals
from vendrail.sandbox import epay2_outgoing as outgoing
from vendrail.sandbox import epay2_requests as requests
from vendrail.sandbox.emulations import Place, ReadyAccount, answer_json
from vendrail.sandbox.epay2_control import CONTROL_ROUTES
from vendrail.sandbox.epay2_records import Epay2Store, Merchant
from vendrail.sandbox.epay2_service import Epay2Service
from vendrail.sandbox.faults import FaultKind
from vendrail.sandbox.pages import redirect, render
from vendrail.sandbox.records import stamp, yuan
from vendrail.sandbox.troubles import Troubles

AnyRequest = Request[Any, Any, Any]
Door = Callable[[Epay2Store, Merchant, Mapping[str, str], datetime], requests.Reply]


class Epay2Emulation:
    """An Epay provider, V2."""

    name = "epay2"

    def __init__(self, place: Place) -> None:
        self._service = Epay2Service(place)

    @property
    def state(self) -> Mapping[str, object]:
        """Give what its routes find in the application's state."""
        return {self.name: self._service}

    @property
    def routes(self) -> Sequence[Any]:
        """Give its doors, its pages and its control routes."""
        return [*_ROUTES, *CONTROL_ROUTES]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell merchants while the body runs."""
        try:
            async with self._service.courier.running():
                yield
        finally:
            self._service.store.close()

    def open_account(self, base_url: str) -> ReadyAccount | None:
        """Open the one merchant that needs no registration; its key is made here, for once."""
        return self._service.open_account(base_url)


# The doors.


def _of(request: AnyRequest) -> Epay2Service:
    service: Epay2Service = request.app.state.epay2
    return service


async def _read(request: AnyRequest) -> dict[str, str]:
    query: bytes = request.scope["query_string"]
    body = await request.body() if request.method == "POST" else b""
    return requests.read_form(query, body)


@route("/epay2/api/pay/submit", http_method=["GET", "POST"])
async def submit(request: AnyRequest) -> Response[Any]:
    """Take an order by the buyer's browser, and lead on to the wallet page."""
    service = _of(request)
    try:
        fields = await _read(request)
        trouble = Troubles(
            service.faults,
            service.place.clock,
            fields.get("out_trade_no", ""),
            fields.get("pid", ""),
            "submit",
        )
        await trouble.begin()
        if failed := await trouble.end():
            return failed
        now = service.place.clock.now()
        merchant = requests.check_sender(service.store, fields, now, service.window_s)
        order = epay2.take_order(service.store, merchant, fields, now, is_api=False)
    except requests.Refused as refused:
        words = requests.REFUSALS[refused.name]
        return render("epay_problem.html", 200, words=words, code=refused.name)
    return redirect(f"/epay2/pay/{order.token}")


async def _answer(request: AnyRequest, name: str, door: Door) -> Response[Any]:
    """Check who asks, do the work, and sign the answer; trouble as it was ordered."""
    service = _of(request)
    now = service.place.clock.now()
    trouble: Troubles | None = None
    reply: requests.Reply = {"code": 0, "msg": "success"}
    sign_type = "RSA"
    try:
        fields = await _read(request)
        number = fields.get("out_trade_no", "")
        pid = fields.get("pid", "")
        trouble = Troubles(service.faults, service.place.clock, number, pid, name)
        await trouble.begin()
        merchant = requests.check_sender(service.store, fields, now, service.window_s)
        sign_type = merchant.sign_type
        if not trouble.is_lost_before:
            reply = door(service.store, merchant, fields, now)
    except requests.Refused as refused:
        reply = requests.refuse(refused.name)
    kinds = trouble.by_kind if trouble is not None else {}
    if trouble is not None and (failed := await trouble.end()):
        return failed
    reply = epay2.disturb(reply, kinds)
    if reply["code"] != 0:
        return answer_json(reply)
    sealed = requests.seal(reply, service.sign, sign_type, now)
    if FaultKind.BAD_REPLY_SIGNATURE in kinds:
        sealed["timestamp"] = "1"
    return answer_json(sealed)


@post("/epay2/api/pay/create", status_code=200)
async def create(request: AnyRequest) -> Response[Any]:
    """Take an order by a server, and give a code or an address."""
    base_url = _of(request).place.settings.base_url or str(request.base_url).rstrip("/")

    def door(
        store: Epay2Store, merchant: Merchant, fields: Mapping[str, str], now: datetime
    ) -> requests.Reply:
        order = epay2.take_order(store, merchant, fields, now, is_api=True)
        way = "qrcode" if fields.get("device", "pc") == "pc" else "jump"
        url = f"{base_url}/epay2/pay/{order.token}"
        told: requests.Reply = {"code": 0, "msg": "success", "trade_no": order.trade_no}
        return {**told, "pay_type": way, "pay_info": url}

    return await _answer(request, "create", door)


@post("/epay2/api/pay/query", status_code=200)
async def query(request: AnyRequest) -> Response[Any]:
    """Tell of an order."""
    return await _answer(
        request, "query", lambda store, who, fields, _: epay2.tell_order(store, who, fields)
    )


@post("/epay2/api/pay/close", status_code=200)
async def close(request: AnyRequest) -> Response[Any]:
    """Close an order."""
    return await _answer(
        request, "close", lambda store, who, fields, _: epay2.close(store, who, fields)
    )


@post("/epay2/api/pay/refund", status_code=200)
async def refund(request: AnyRequest) -> Response[Any]:
    """Give back."""
    return await _answer(request, "refund", outgoing.refund)


@post("/epay2/api/pay/refundquery", status_code=200)
async def refund_query(request: AnyRequest) -> Response[Any]:
    """Tell of a refund."""
    return await _answer(
        request,
        "refundquery",
        lambda store, who, fields, _: outgoing.tell_refund(store, who, fields),
    )


@post("/epay2/api/transfer/submit", status_code=200)
async def transfer(request: AnyRequest) -> Response[Any]:
    """Pay somebody."""
    return await _answer(request, "transfer", outgoing.transfer)


@post("/epay2/api/transfer/query", status_code=200)
async def transfer_query(request: AnyRequest) -> Response[Any]:
    """Tell of a transfer."""
    return await _answer(
        request,
        "transferquery",
        lambda store, who, fields, _: outgoing.tell_transfer(store, who, fields),
    )


@post("/epay2/api/transfer/balance", status_code=200)
async def balance(request: AnyRequest) -> Response[Any]:
    """Tell what can be paid out."""
    return await _answer(
        request, "balance", lambda store, who, *_: outgoing.tell_balance(store, who)
    )


@post("/epay2/api/merchant/info", status_code=200)
async def merchant_info(request: AnyRequest) -> Response[Any]:
    """Tell of a merchant."""
    return await _answer(
        request, "merchant", lambda store, who, *_: outgoing.tell_merchant(store, who)
    )


# The wallet.


def _show(service: Epay2Service, token: str, notice: str = "") -> Response[str]:
    order = service.store.order_by_token(token)
    if order is None:
        return render("epay_problem.html", 404, words="订单不存在", code="order_unknown")
    is_paid = order.paid_at is not None
    return render(
        "epay.html",
        200,
        order=order,
        subject=order.name,
        address=f"/epay2/pay/{order.token}",
        number_word="平台订单号",
        over="订单已关闭",
        merchant=service.store.merchants[order.pid].name,
        kind=requests.TYPES.get(order.kind, "未选择"),
        amount=yuan(order.money_minor),
        refunded=yuan(order.refunded_minor) if order.refunded_minor else "",
        paid=stamp(order.paid_at) if order.paid_at else "",
        expires=stamp(order.expires_at),
        is_paid=is_paid,
        is_payable=not is_paid and not epay2.is_over(order, service.place.clock.now()),
        return_url=service.back(order) if is_paid and order.return_url else "",
        notice=notice,
    )


@get("/epay2/pay/{token:str}")
async def show_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Show an order: amount, merchant, state."""
    return _show(_of(request), token)


@post("/epay2/pay/{token:str}/pay")
async def pay_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Pay, and go back to the shop."""
    service = _of(request)
    order = service.store.order_by_token(token)
    if order is not None and service.pay(order) and order.return_url:
        return redirect(service.back(order))
    return redirect(f"/epay2/pay/{token}")


@post("/epay2/pay/{token:str}/cancel")
async def cancel_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Leave without paying; the order waits on until its time is over."""
    return _show(_of(request), token, notice="您已取消付款，订单仍可在有效期内支付。")


_ROUTES = [
    submit,
    create,
    query,
    close,
    refund,
    refund_query,
    transfer,
    transfer_query,
    balance,
    merchant_info,
    show_order,
    pay_order,
    cancel_order,
    *arrivals.ROUTES,
]
