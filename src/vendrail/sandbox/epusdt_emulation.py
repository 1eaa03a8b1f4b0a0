"""Epusdt in the sandbox: its doors, its page, its courier, its control routes."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import httpx
import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery

from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Malformed
from vendrail.sandbox import epusdt
from vendrail.sandbox.courier import Courier
from vendrail.sandbox.emulations import Place, ReadyAccount, answer_json, require_token
from vendrail.sandbox.epusdt import Account, EpusdtStore, Order
from vendrail.sandbox.faults import NOTIFY_KINDS, Fault, FaultKind, Faults
from vendrail.sandbox.pages import redirect, render
from vendrail.sandbox.records import Notice, stamp
from vendrail.sandbox.troubles import Troubles

_READY = "Vendrail demo"
_LADDER_S = (60, 120, 240, 480)
_KINDS = frozenset(
    {
        FaultKind.DELAY,
        FaultKind.DUPLICATE,
        FaultKind.DROP,
        FaultKind.GATEWAY_DOWN,
        FaultKind.SLOW,
        FaultKind.QUERY_UNKNOWN,
        FaultKind.QUERY_DISAGREES,
        FaultKind.BUSINESS_ERROR,
    }
)

AnyRequest = Request[Any, Any, Any]


def _post_json(client: httpx.AsyncClient, notice: Notice) -> httpx.Request:
    headers = {"Content-Type": "application/json"}
    return client.build_request("POST", notice.url, content=notice.form.encode(), headers=headers)


class EpusdtEmulation:
    """A server that speaks epusdt, as any of its three programs."""

    name = "epusdt"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.store = EpusdtStore(
            place.home / "epusdt-journal.jsonl", place.settings.journal_compact_bytes
        )
        self.faults = Faults(epusdt.REFUSALS, "status")
        self.courier = Courier(
            self.store,
            place.settings,
            place.clock,
            _LADDER_S,
            _post_json,
            lambda status_code, answer: status_code == 200 and answer == b"ok",
        )

    @property
    def state(self) -> Mapping[str, object]:
        """Give what its routes find in the application's state."""
        return {self.name: self}

    @property
    def routes(self) -> Sequence[Any]:
        """Give its doors, its page and its control routes."""
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
        """Set up the one server that is ready for use, a BEpusdt."""
        known = [each for each in self.store.accounts.values() if each.name == _READY]
        account = known[0] if known else self.set_up(_READY, "bepusdt", "md5", has_wallet=True)
        settings = {
            "url": f"{self.place.settings.base_url or base_url}/epusdt/{account.id}/",
            "token": account.token,
            "variant": account.program,
            "allows_http": "yes",
        }
        return ReadyAccount("epusdt", "USDT", settings)

    def set_up(self, name: str, program: str, signs_by: str, *, has_wallet: bool) -> Account:
        """Set a server up: a number and a token."""
        account = Account(
            str(1_001 + len(self.store.accounts)),
            secrets.token_hex(16),
            name,
            program,
            signs_by,
            has_wallet,
        )
        self.store.save(account)
        return account

    def trouble(self, number: str, account: str, door: str) -> Troubles:
        """Take the trouble that was ordered for a request."""
        return Troubles(self.faults, self.place.clock, number, account, door)

    def page_url(self, request: AnyRequest, order: Order) -> str:
        """Give where an order is paid."""
        base_url = self.place.settings.base_url or str(request.base_url).rstrip("/")
        return f"{base_url}/epusdt/pay/{order.trade_id}"

    def pay(self, order: Order) -> bool:
        """Let the money arrive, and the merchant be told."""
        now = self.place.clock.now()
        if not epusdt.pay(self.store, order, now):
            return order.status == epusdt.PAID
        faults = self.faults.take(NOTIFY_KINDS, order.order_id, order.account)
        account = self.store.accounts[order.account]
        notice = Notice(
            notify_id=secrets.token_hex(12),
            out_trade_no=order.order_id,
            url=order.notify_url,
            form=epusdt.tell(order, account, now, {}).decode(),
            faults=[fault.kind.value for fault in faults],
        )
        self.courier.send(notice, faults)
        return True

    def find(self, account: str, order_id: str) -> Order:
        """Find an order that must be there."""
        order = self.store.order(account, order_id)
        if order is None:
            raise Malformed(f"There is no order {order_id!r} of {account}.")
        return order


# The doors.


def _of(request: AnyRequest) -> EpusdtEmulation:
    emulation: EpusdtEmulation = request.app.state.epusdt
    return emulation


async def _create(request: AnyRequest, account_id: str, programs: Sequence[str]) -> Response[Any]:
    emulation = _of(request)
    trouble = emulation.trouble("", account_id, "create")
    await trouble.begin()
    reply: epusdt.Reply = {"status_code": 200}
    try:
        account, fields = epusdt.read_body(emulation.store, account_id, await request.body())
        if account.program not in programs:
            raise epusdt.Refused("door_unknown")
        if not trouble.is_lost_before:
            now = emulation.place.clock.now()
            order = epusdt.create(emulation.store, account, fields, now)
            reply = epusdt.succeed(epusdt.describe(order, emulation.page_url(request, order)))
    except epusdt.Refused as refused:
        reply = epusdt.refuse(refused.name)
    if failed := await trouble.end():
        return failed
    return answer_json(epusdt.disturb(reply, trouble.by_kind))


@post("/epusdt/{account:str}/api/v1/order/create-transaction", status_code=200)
async def create(request: AnyRequest, account: FromPath[str]) -> Response[Any]:
    """Take an order, as epusdt and BEpusdt do."""
    return await _create(request, account, ("epusdt", "bepusdt"))


@post("/epusdt/{account:str}/payments/gmpay/v1/order/create-transaction", status_code=200)
async def create_at_gmpay(request: AnyRequest, account: FromPath[str]) -> Response[Any]:
    """Take an order, as GMPay does."""
    return await _create(request, account, ("gmpay",))


@post("/epusdt/{account:str}/api/v1/order/cancel-transaction", status_code=200)
async def cancel(request: AnyRequest, account: FromPath[str]) -> Response[Any]:
    """Take an order back."""
    emulation = _of(request)
    trouble = emulation.trouble("", account, "cancel")
    await trouble.begin()
    reply: epusdt.Reply = {"status_code": 200}
    try:
        known, fields = epusdt.read_body(emulation.store, account, await request.body())
        if not trouble.is_lost_before:
            now = emulation.place.clock.now()
            order = epusdt.cancel(emulation.store, known, fields, now)
            reply = epusdt.succeed({"trade_id": order.trade_id})
    except epusdt.Refused as refused:
        reply = epusdt.refuse(refused.name)
    if failed := await trouble.end():
        return failed
    return answer_json(epusdt.disturb(reply, trouble.by_kind))


@get("/epusdt/{account:str}/pay/check-status/{trade_id:str}")
async def tell_status(
    request: AnyRequest, account: FromPath[str], trade_id: FromPath[str]
) -> Response[Any]:
    """Tell where a trade stands; anybody may ask."""
    emulation = _of(request)
    order = emulation.store.orders.get(trade_id)
    number = order.order_id if order is not None else ""
    trouble = emulation.trouble(number, account, "status")
    await trouble.begin()
    if order is None or order.account != account:
        reply = epusdt.refuse("order_unknown")
    else:
        program = emulation.store.accounts[account].program
        reply = epusdt.tell_status(order, program, emulation.place.clock.now())
    if failed := await trouble.end():
        return failed
    return answer_json(epusdt.disturb(reply, trouble.by_kind))


# The page.


def _show(emulation: EpusdtEmulation, trade_id: str, notice: str = "") -> Response[str]:
    order = emulation.store.orders.get(trade_id)
    if order is None:
        return render("epusdt_problem.html", 404)
    now = emulation.place.clock.now()
    is_paid = order.status == epusdt.PAID
    coin, _, network = order.coin.upper().partition(".")
    return render(
        "epusdt.html",
        200,
        order={"out_trade_no": order.order_id, "trade_no": order.trade_id},
        subject="虚拟币付款",
        address=f"/epusdt/pay/{order.trade_id}",
        number_word="交易号",
        over="订单已失效",
        merchant=emulation.store.accounts[order.account].name,
        kind=f"{coin} · {network}",
        wallet=order.address,
        coins=f"{order.actual_amount} {coin}",
        amount=order.amount,
        refunded="",
        paid=stamp(order.paid_at) if order.paid_at else "",
        expires=stamp(order.expires_at),
        is_paid=is_paid,
        is_payable=epusdt.status_of(order, now) == epusdt.WAITING,
        return_url=order.redirect_url if is_paid else "",
        notice=notice,
    )


@get("/epusdt/pay/{trade_id:str}")
async def show_order(request: AnyRequest, trade_id: FromPath[str]) -> Response[str]:
    """Show an order: how much of which coin, and where to."""
    return _show(_of(request), trade_id)


@post("/epusdt/pay/{trade_id:str}/pay")
async def pay_order(request: AnyRequest, trade_id: FromPath[str]) -> Response[str]:
    """Send the coins, and go back to the shop."""
    emulation = _of(request)
    order = emulation.store.orders.get(trade_id)
    if order is not None and emulation.pay(order) and order.redirect_url:
        return redirect(order.redirect_url)
    return redirect(f"/epusdt/pay/{trade_id}")


@post("/epusdt/pay/{trade_id:str}/cancel")
async def leave_order(request: AnyRequest, trade_id: FromPath[str]) -> Response[str]:
    """Leave without paying; the order waits on until its time is over."""
    return _show(_of(request), trade_id, notice="您已取消付款，订单仍可在有效期内支付。")


# Control routes.


class NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    """A server to set up."""

    name: str = "Sandbox merchant"
    program: str = "epusdt"
    signs_by: str = "md5"
    has_wallet: bool = True


class Move(msgspec.Struct, forbid_unknown_fields=True):
    """What happens on the chain to an order: `pay`, `see`, `undo`."""

    account: str
    order_id: str
    move: str = "pay"


class Telling(msgspec.Struct, forbid_unknown_fields=True):
    """Which callback to write and sign without sending."""

    account: str
    order_id: str
    changes: dict[str, str] = {}  # Signed as they are.
    status: int = 0


@post("/sandbox/epusdt/accounts", guards=[require_token])
async def set_up(request: AnyRequest) -> Response[bytes]:
    """Set a server up; the answer is what it signs with."""
    wanted = decode(await request.body(), NewAccount)
    if wanted.program not in epusdt.PROGRAMS or wanted.signs_by not in {"md5", "hmac"}:
        raise Malformed("program is epusdt, bepusdt or gmpay; signs_by is md5 or hmac.")
    account = _of(request).set_up(
        wanted.name, wanted.program, wanted.signs_by, has_wallet=wanted.has_wallet
    )
    return answer_json({"account": account.id, "token": account.token}, 201)


@post("/sandbox/epusdt/moves", guards=[require_token], status_code=201)
async def move(request: AnyRequest) -> Response[bytes]:
    """Let money arrive, be seen, or vanish before it is final."""
    wanted = decode(await request.body(), Move)
    emulation = _of(request)
    order = emulation.find(wanted.account, wanted.order_id)
    if wanted.move == "pay":
        is_paid = emulation.pay(order)
        return answer_json({"trade_id": order.trade_id, "is_paid": is_paid}, 201)
    before, after = {
        "see": (epusdt.WAITING, epusdt.CONFIRMING),
        "undo": (epusdt.CONFIRMING, epusdt.WAITING),
    }.get(wanted.move, (0, 0))
    if order.status != before:
        raise Malformed(f"{wanted.move} does not go with an order in state {order.status}.")
    order.status = after
    emulation.store.save(order)
    return answer_json({"trade_id": order.trade_id, "is_paid": False}, 201)


@post("/sandbox/epusdt/sign-notifications", guards=[require_token])
async def sign_notification(request: AnyRequest) -> Response[bytes]:
    """Hand out the signed callback of an order instead of sending it."""
    wanted = decode(await request.body(), Telling)
    emulation = _of(request)
    order = emulation.find(wanted.account, wanted.order_id)
    changes: dict[str, Any] = dict(wanted.changes)
    if wanted.status:
        changes["status"] = Decimal(wanted.status)
    account = emulation.store.accounts[order.account]
    body = epusdt.tell(order, account, emulation.place.clock.now(), changes)
    return answer_json({"body": body.decode()})


@get("/sandbox/epusdt/orders/{order_id:str}", guards=[require_token])
async def show_known(
    request: AnyRequest, order_id: FromPath[str], account: FromQuery[str]
) -> Response[bytes]:
    """Show all that is known of an order."""
    return answer_json(_of(request).find(account, order_id))


@get("/sandbox/epusdt/notifications", guards=[require_token])
async def list_notifications(request: AnyRequest) -> Response[bytes]:
    """List the newest deliveries and what was answered, oldest first."""
    emulation = _of(request)
    told = list(emulation.courier.log)[-100:]
    return answer_json({"notifications": told, "pending": len(emulation.store.notices)})


@post("/sandbox/epusdt/faults", guards=[require_token])
async def order_fault(request: AnyRequest) -> Response[bytes]:
    """Order a fault."""
    fault = decode(await request.body(), Fault)
    if fault.kind not in _KINDS:
        raise Malformed(f"Epusdt has nothing that could be {fault.kind.value}.")
    _of(request).faults.add(fault)
    return answer_json(fault, 201)


@delete("/sandbox/epusdt/faults", guards=[require_token], status_code=200)
async def clear_faults(request: AnyRequest) -> Response[bytes]:
    """Take all faults back."""
    _of(request).faults.clear()
    return answer_json({"faults": []})


_ROUTES = [
    create,
    create_at_gmpay,
    cancel,
    tell_status,
    show_order,
    pay_order,
    leave_order,
    set_up,
    move,
    sign_notification,
    show_known,
    list_notifications,
    order_fault,
    clear_faults,
]
