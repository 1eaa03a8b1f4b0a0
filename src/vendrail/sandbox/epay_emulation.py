"""Epay in the sandbox: its three doors, its wallet page, its courier, its control routes."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, delete, get, post, route
from litestar.params import FromPath, FromQuery

from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Malformed
from vendrail.sandbox import epay
from vendrail.sandbox.courier import Courier
from vendrail.sandbox.emulations import Place, ReadyAccount, answer_json, require_token
from vendrail.sandbox.epay_records import EpayStore, Fork, Merchant, Order
from vendrail.sandbox.faults import GATEWAY_KINDS, NOTIFY_KINDS, Fault, FaultKind, Faults
from vendrail.sandbox.pages import redirect, render
from vendrail.sandbox.records import Notice, stamp, yuan

_LADDER_S = (60, 180, 1_200, 3_600, 7_200)
_KINDS = frozenset(FaultKind) - {FaultKind.WRONG_SELLER, FaultKind.BAD_REPLY_SIGNATURE}
_OPENING_MINOR = 100_000_000
_READY = "Vendrail demo"

AnyRequest = Request[Any, Any, Any]


class EpayEmulation:
    """An Epay provider, V1."""

    name = "epay"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.store = EpayStore(
            place.home / "epay-journal.jsonl", place.settings.journal_compact_bytes
        )
        self.faults = Faults(epay.REFUSALS, "order")
        self.courier = Courier(self.store, place.settings, place.clock, _LADDER_S)

    @property
    def state(self) -> Mapping[str, object]:
        """Give what its routes find in the application's state."""
        return {self.name: self}

    @property
    def routes(self) -> Sequence[Any]:
        """Give its doors, its pages and its control routes."""
        return _ROUTES

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell merchants while the body runs."""
        try:
            async with self.courier.running():
                yield
        finally:
            self.store.close()

    def open_account(self, base_url: str) -> ReadyAccount | None:
        """Open the one merchant that needs no registration."""
        known = [each for each in self.store.merchants.values() if each.name == _READY]
        merchant = known[0] if known else self.register(_READY, _OPENING_MINOR, Fork())
        settings = {
            "url": f"{self.place.settings.base_url or base_url}/epay/",
            "pid": merchant.pid,
            "key": merchant.key,
            "methods": "wechat",
            "refunds": "yes",
            "allows_http": "yes",
        }
        return ReadyAccount("epay", "微信支付", settings)

    def register(self, name: str, opening_minor: int, fork: Fork) -> Merchant:
        """Register a merchant: a number and a key."""
        merchant = Merchant(self.store.make_pid(), secrets.token_hex(16), name, opening_minor, fork)
        self.store.save(merchant)
        return merchant

    def take_faults(self, fields: Mapping[str, str], method: str) -> dict[FaultKind, Fault]:
        """Take the faults that were ordered for this request."""
        pid, number = fields.get("pid", ""), fields.get("out_trade_no", "")
        taken = self.faults.take(GATEWAY_KINDS, number, pid, method)
        return {fault.kind: fault for fault in taken}

    def pay(self, order: Order, *, is_forced: bool = False) -> bool:
        """The buyer pays, and the merchant is told."""
        is_moved = epay.pay(self.store, order, self.place.clock.now(), is_forced=is_forced)
        if is_moved:
            self.announce(order)
        return order.paid_at is not None

    def announce(self, order: Order, faults: Sequence[Fault] = ()) -> None:
        """Write a callback and have it brought, until it is heard."""
        faults = faults or self.faults.take(NOTIFY_KINDS, order.out_trade_no, order.pid)
        merchant = self.store.merchants[order.pid]
        notice = Notice(
            notify_id=secrets.token_hex(12),
            out_trade_no=order.out_trade_no,
            url=order.notify_url,
            form=epay.tell(order, merchant, faults),
            method=merchant.fork.notifies_by,
            faults=[fault.kind.value for fault in faults],
        )
        self.courier.send(notice, faults)

    def find(self, pid: str, out_trade_no: str) -> Order:
        """Find an order that must be there."""
        order = self.store.order(pid, out_trade_no)
        if order is None:
            raise Malformed(f"There is no order {out_trade_no!r} of {pid}.")
        return order


# The doors.


def _of(request: AnyRequest) -> EpayEmulation:
    emulation: EpayEmulation = request.app.state.epay
    return emulation


async def _read(request: AnyRequest) -> dict[str, str]:
    query: bytes = request.scope["query_string"]
    body = await request.body() if request.method == "POST" else b""
    return epay.read_form(query, body)


async def _wait(request: AnyRequest, faults: Mapping[FaultKind, Fault], *, is_after: bool) -> None:
    """Be slow, before the work or after it, as it was ordered."""
    slow = faults.get(FaultKind.SLOW)
    if slow is not None and slow.params.is_after == is_after:
        delay_s = slow.params.delay_s
        await _of(request).place.clock.sleep(1.0 if delay_s is None else delay_s)


async def _fail(request: AnyRequest, faults: Mapping[FaultKind, Fault]) -> Response[Any] | None:
    """Carry out what was ordered for the answer: be slow, be away."""
    await _wait(request, faults, is_after=True)
    if down := faults.get(FaultKind.GATEWAY_DOWN):
        await _of(request).place.clock.sleep(down.params.timeout_s)
        return Response(b"Service Unavailable", status_code=down.params.status)
    return None


def _is_lost_before(faults: Mapping[FaultKind, Fault]) -> bool:
    """Tell whether a request is to be lost before anything is done."""
    kinds = (FaultKind.GATEWAY_DOWN, FaultKind.QUERY_UNKNOWN, FaultKind.BUSINESS_ERROR)
    return any(kind in faults and not faults[kind].params.is_after for kind in kinds)


@route("/epay/submit.php", http_method=["GET", "POST"])
async def submit(request: AnyRequest) -> Response[Any]:
    """Take an order by the buyer's browser, and lead on to the wallet page."""
    emulation = _of(request)
    try:
        fields = await _read(request)
        faults = emulation.take_faults(fields, "submit")
        await _wait(request, faults, is_after=False)
        if failed := await _fail(request, faults):
            return failed
        order = epay.take_order(emulation.store, fields, emulation.place.clock.now(), is_api=False)
    except epay.Refused as refused:
        _, words = epay.REFUSALS[refused.name]
        return render("epay_problem.html", 200, words=words, code=refused.name)
    return redirect(f"/epay/pay/{order.token}")


@post("/epay/mapi.php", status_code=200)
async def make_order(request: AnyRequest) -> Response[Any]:
    """Take an order by a server, and give a code or an address."""
    emulation = _of(request)
    try:
        fields = await _read(request)
        faults = emulation.take_faults(fields, "mapi")
        await _wait(request, faults, is_after=False)
        if _is_lost_before(faults):
            return await _fail(request, faults) or answer_json(epay.disturb({"code": 1}, faults))
        order = epay.take_order(emulation.store, fields, emulation.place.clock.now(), is_api=True)
    except epay.Refused as refused:
        return answer_json(epay.refuse(refused.name))
    if failed := await _fail(request, faults):
        return failed
    base_url = emulation.place.settings.base_url or str(request.base_url).rstrip("/")
    way = "qrcode" if fields.get("device", "pc") == "pc" else "payurl"
    return answer_json(
        {"code": 1, "trade_no": order.trade_no, way: f"{base_url}/epay/pay/{order.token}"}
    )


@route("/epay/api.php", http_method=["GET", "POST"])
async def ask(request: AnyRequest) -> Response[Any]:
    """Tell of orders and merchants, and give back."""
    emulation, method = _of(request), str(request.method)
    faults: dict[FaultKind, Fault] = {}
    try:
        fields = await _read(request)
        act = fields.get("act", "")
        faults = emulation.take_faults(fields, act)
        await _wait(request, faults, is_after=False)
        reply: epay.Reply = {"code": 1}
        if not _is_lost_before(faults):
            if act == "order":
                reply = epay.tell_order(emulation.store, fields, method)
            elif act == "refund":
                reply = epay.refund(emulation.store, fields, method)
            elif act == "query":
                reply = epay.tell_merchant(emulation.store, fields)
            else:
                reply = epay.refuse("act_unknown")
    except epay.Refused as refused:
        reply = epay.refuse(refused.name)
    if failed := await _fail(request, faults):
        return failed
    return answer_json(epay.disturb(reply, faults))


# The wallet.


def _show(emulation: EpayEmulation, token: str, notice: str = "") -> Response[str]:
    order = emulation.store.order_by_token(token)
    if order is None:
        return render("epay_problem.html", 404, words="订单不存在", code="order_unknown")
    merchant = emulation.store.merchants[order.pid]
    is_paid = order.paid_at is not None
    has_way_back = is_paid and bool(order.return_url)
    return render(
        "epay.html",
        200,
        order=order,
        subject=order.name,
        address=f"/epay/pay/{order.token}",
        number_word="平台订单号",
        over="订单已超时",
        merchant=merchant.name,
        kind=epay.TYPES.get(order.kind, "未选择"),
        amount=yuan(order.money_minor),
        refunded=yuan(order.refunded_minor) if order.refunded_minor else "",
        paid=stamp(order.paid_at) if order.paid_at else "",
        expires=stamp(order.expires_at),
        is_paid=is_paid,
        is_payable=not is_paid and emulation.place.clock.now() < order.expires_at,
        return_url=epay.return_url(order, merchant) if has_way_back else "",
        notice=notice,
    )


@get("/epay/pay/{token:str}")
async def show_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Show an order: amount, merchant, state."""
    return _show(_of(request), token)


@post("/epay/pay/{token:str}/pay")
async def pay_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Pay, and go back to the shop."""
    emulation = _of(request)
    order = emulation.store.order_by_token(token)
    if order is not None and emulation.pay(order) and order.return_url:
        return redirect(epay.return_url(order, emulation.store.merchants[order.pid]))
    return redirect(f"/epay/pay/{token}")


@post("/epay/pay/{token:str}/cancel")
async def cancel_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Leave without paying; the order waits on until its time is over."""
    return _show(_of(request), token, notice="您已取消付款，订单仍可在有效期内支付。")


# Control routes.


class NewMerchant(msgspec.Struct, forbid_unknown_fields=True):
    """A merchant to register."""

    name: str = "Sandbox merchant"
    opening_minor: int = _OPENING_MINOR
    fork: Fork = Fork()


class PayOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which orders somebody pays."""

    pid: str
    out_trade_no: str | list[str]
    is_forced: bool = False  # Pay even what is over: money that comes late.


class PaidOrder(msgspec.Struct, forbid_unknown_fields=True):
    """An order to be paid and told of; without money it must be known already."""

    out_trade_no: str
    money: str = ""
    name: str = "sandbox"
    overrides: dict[str, str] = {}  # Signed as they are.


class SignOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which callbacks to write and sign without sending."""

    pid: str
    orders: list[PaidOrder]


@post("/sandbox/epay/merchants", guards=[require_token])
async def register(request: AnyRequest) -> Response[bytes]:
    """Register a merchant; the answer is what it signs with."""
    wanted = decode(await request.body(), NewMerchant)
    if wanted.fork.places not in {0, 2, 4} or wanted.fork.notifies_by not in {"GET", "POST"}:
        raise Malformed("fork.places is 0, 2 or 4, fork.notifies_by GET or POST.")
    emulation = _of(request)
    merchant = emulation.register(wanted.name, wanted.opening_minor, wanted.fork)
    return answer_json({"pid": merchant.pid, "key": merchant.key, "name": merchant.name}, 201)


@post("/sandbox/epay/pay", guards=[require_token], status_code=201)
async def pay_orders(request: AnyRequest) -> Response[bytes]:
    """Pay orders without a person; one result for each, in order."""
    wanted = decode(await request.body(), PayOrder)
    emulation = _of(request)
    numbers = [wanted.out_trade_no] if isinstance(wanted.out_trade_no, str) else wanted.out_trade_no
    results = []
    for number in numbers:
        order = emulation.find(wanted.pid, number)
        is_paid = emulation.pay(order, is_forced=wanted.is_forced)
        result = {"out_trade_no": number, "trade_no": order.trade_no}
        results.append(result if is_paid else {**result, "error": "order_over"})
    return answer_json({"results": results}, 201)


@post("/sandbox/epay/sign-notifications", guards=[require_token])
async def sign_notifications(request: AnyRequest) -> Response[bytes]:
    """Pay orders and hand out their signed callbacks instead of sending them."""
    wanted = decode(await request.body(), SignOrder)
    emulation = _of(request)
    merchant = emulation.store.merchants.get(wanted.pid)
    if merchant is None:
        raise Malformed(f"pid {wanted.pid!r} is not registered here.")
    now = emulation.place.clock.now()
    signed = []
    for each in wanted.orders:
        order = emulation.store.order(merchant.pid, each.out_trade_no)
        if order is None:
            order = _make_order(emulation, merchant, each)
        epay.pay(emulation.store, order, now, is_forced=True)
        told = epay.read_form(epay.tell(order, merchant).encode())
        fields = {name: told[name] for name in told if name not in {"sign", "sign_type"}}
        body = urlencode(epay.sign_told(fields | each.overrides, merchant))
        signed.append({"out_trade_no": order.out_trade_no, "body": body})
    return answer_json({"notifications": signed})


def _make_order(emulation: EpayEmulation, merchant: Merchant, wanted: PaidOrder) -> Order:
    fields = {
        "pid": merchant.pid,
        "type": "alipay",
        "out_trade_no": wanted.out_trade_no,
        "notify_url": "http://127.0.0.1/",
        "return_url": "http://127.0.0.1/",
        "name": wanted.name,
        "money": wanted.money,
    }
    fields["sign"] = epay.sign_fields(fields, merchant.key)
    try:
        return epay.take_order(emulation.store, fields, emulation.place.clock.now(), is_api=False)
    except epay.Refused as refused:
        raise Malformed(f"{wanted.out_trade_no}: {refused.name}") from refused


@get("/sandbox/epay/orders/{out_trade_no:str}", guards=[require_token])
async def show_known(
    request: AnyRequest, out_trade_no: FromPath[str], pid: FromQuery[str]
) -> Response[bytes]:
    """Show all that is known of an order."""
    return answer_json(_of(request).find(pid, out_trade_no))


@get("/sandbox/epay/notifications", guards=[require_token])
async def list_notifications(
    request: AnyRequest, out_trade_no: FromQuery[str] = ""
) -> Response[bytes]:
    """List the newest deliveries and what was answered, oldest first."""
    emulation = _of(request)
    told = [each for each in emulation.courier.log if out_trade_no in {"", each.out_trade_no}]
    return answer_json({"notifications": told[-100:], "pending": len(emulation.store.notices)})


@post("/sandbox/epay/faults", guards=[require_token])
async def order_fault(request: AnyRequest) -> Response[bytes]:
    """Order a fault; a forged success can also be sent at once, paid or not."""
    fault = decode(await request.body(), Fault)
    if fault.kind not in _KINDS:
        raise Malformed(f"Epay has nothing that could be {fault.kind.value}.")
    emulation = _of(request)
    if fault.kind is FaultKind.UNSIGNED_SUCCESS and fault.params.is_now:
        emulation.announce(emulation.find(fault.match.app_id, fault.match.out_trade_no), [fault])
    else:
        emulation.faults.add(fault)
    return answer_json(fault, 201)


@get("/sandbox/epay/faults", guards=[require_token])
async def list_faults(request: AnyRequest) -> Response[bytes]:
    """List the faults that are still to come."""
    return answer_json({"faults": _of(request).faults.open})


@delete("/sandbox/epay/faults", guards=[require_token], status_code=200)
async def clear_faults(request: AnyRequest) -> Response[bytes]:
    """Take all faults back."""
    _of(request).faults.clear()
    return answer_json({"faults": []})


_ROUTES = [
    submit,
    make_order,
    ask,
    show_order,
    pay_order,
    cancel_order,
    register,
    pay_orders,
    sign_notifications,
    show_known,
    list_notifications,
    order_fault,
    list_faults,
    clear_faults,
]
