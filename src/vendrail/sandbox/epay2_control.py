"""Epay V2 in the sandbox: the control routes, for tests and demos."""

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery

from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Malformed
from vendrail.sandbox import epay2
from vendrail.sandbox.emulations import answer_json, require_token
from vendrail.sandbox.epay2_records import Merchant
from vendrail.sandbox.epay2_requests import Refused
from vendrail.sandbox.epay2_service import Epay2Service
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.provider import public_pem, read_public_key

_KINDS = frozenset(FaultKind) - {FaultKind.WRONG_SELLER}

AnyRequest = Request[Any, Any, Any]


def _of(request: AnyRequest) -> Epay2Service:
    service: Epay2Service = request.app.state.epay2
    return service


class NewMerchant(msgspec.Struct, forbid_unknown_fields=True):
    """A merchant to register, by its public key."""

    public_key_pem: str
    name: str = "Sandbox merchant"
    opening_minor: int = 100_000_000
    sign_type: str = "RSA"
    can_close: bool = True


class PayOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which order somebody pays."""

    pid: str
    out_trade_no: str
    is_forced: bool = False  # Pay even what is over: money that comes late.


class SignOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which callback to write and sign without sending; the order is made if it is unknown."""

    pid: str
    out_trade_no: str
    money: str = ""
    changes: dict[str, str] = {}  # Signed as they are.


class TransferEnd(msgspec.Struct, forbid_unknown_fields=True):
    """How a transfer stands: 0 under way, 1 done, 2 failed."""

    pid: str
    out_biz_no: str
    status: int


@post("/sandbox/epay2/merchants", guards=[require_token])
async def register(request: AnyRequest) -> Response[bytes]:
    """Register a merchant; the answer is its number, and the platform's key."""
    wanted = decode(await request.body(), NewMerchant)
    if wanted.sign_type not in {"RSA", "SHA256WithRSA"}:
        raise Malformed("sign_type is RSA or SHA256WithRSA.")
    service = _of(request)
    merchant = Merchant(
        service.store.make_pid(),
        wanted.name,
        public_pem(read_public_key(wanted.public_key_pem)),
        wanted.opening_minor,
        wanted.sign_type,
        wanted.can_close,
    )
    service.store.save(merchant)
    platform = public_pem(service.key.public_key())
    return answer_json({"pid": merchant.pid, "public_key": platform}, 201)


@post("/sandbox/epay2/pay", guards=[require_token], status_code=201)
async def pay_known(request: AnyRequest) -> Response[bytes]:
    """Pay an order without a person."""
    wanted = decode(await request.body(), PayOrder)
    service = _of(request)
    order = service.find(wanted.pid, wanted.out_trade_no)
    is_paid = service.pay(order, is_forced=wanted.is_forced)
    return answer_json({"trade_no": order.trade_no, "is_paid": is_paid}, 201)


@post("/sandbox/epay2/sign-notifications", guards=[require_token])
async def sign_notification(request: AnyRequest) -> Response[bytes]:
    """Pay an order and hand out its signed callback instead of sending it."""
    wanted = decode(await request.body(), SignOrder)
    service = _of(request)
    merchant = service.store.merchants.get(wanted.pid)
    if merchant is None:
        raise Malformed(f"pid {wanted.pid!r} is not registered here.")
    now = service.place.clock.now()
    order = service.store.order(merchant.pid, wanted.out_trade_no)
    if order is None:
        fields = {
            "out_trade_no": wanted.out_trade_no,
            "notify_url": "http://127.0.0.1/",
            "return_url": "http://127.0.0.1/",
            "name": "sandbox",
            "money": wanted.money,
        }
        try:
            order = epay2.take_order(service.store, merchant, fields, now, is_api=False)
        except Refused as refused:
            raise Malformed(f"{wanted.out_trade_no}: {refused.name}") from refused
    epay2.pay(service.store, order, now, is_forced=True)
    told = epay2.tell(order, merchant, service.sign, now, changes=wanted.changes)
    return answer_json({"trade_no": order.trade_no, "body": urlencode(told)})


@post("/sandbox/epay2/transfers", guards=[require_token], status_code=201)
async def end_transfer(request: AnyRequest) -> Response[bytes]:
    """Let a transfer be under way, done or failed."""
    wanted = decode(await request.body(), TransferEnd)
    service = _of(request)
    made = service.store.transfers.get((wanted.pid, wanted.out_biz_no))
    if made is None or wanted.status not in {0, 1, 2}:
        raise Malformed(f"There is no transfer {wanted.out_biz_no!r}, or no such state.")
    made.status = wanted.status
    service.store.save(made)
    return answer_json(made, 201)


@get("/sandbox/epay2/transfers", guards=[require_token])
async def list_transfers(
    request: AnyRequest, pid: FromQuery[str], out_biz_no: FromQuery[str]
) -> Response[bytes]:
    """List what a merchant paid out under a number: one transfer, or none."""
    made = _of(request).store.transfers.get((pid, out_biz_no))
    return answer_json({"transfers": [] if made is None else [made]})


@get("/sandbox/epay2/orders/{out_trade_no:str}", guards=[require_token])
async def show_known(
    request: AnyRequest, out_trade_no: FromPath[str], pid: FromQuery[str]
) -> Response[bytes]:
    """Show all that is known of an order."""
    return answer_json(_of(request).find(pid, out_trade_no))


@get("/sandbox/epay2/notifications", guards=[require_token])
async def list_notifications(request: AnyRequest) -> Response[bytes]:
    """List the newest deliveries and what was answered, oldest first."""
    service = _of(request)
    told = list(service.courier.log)[-100:]
    return answer_json({"notifications": told, "pending": len(service.store.notices)})


@post("/sandbox/epay2/faults", guards=[require_token])
async def order_fault(request: AnyRequest) -> Response[bytes]:
    """Order a fault."""
    fault = decode(await request.body(), Fault)
    if fault.kind not in _KINDS:
        raise Malformed(f"Epay has nothing that could be {fault.kind.value}.")
    _of(request).faults.add(fault)
    return answer_json(fault, 201)


@delete("/sandbox/epay2/faults", guards=[require_token], status_code=200)
async def clear_faults(request: AnyRequest) -> Response[bytes]:
    """Take all faults back."""
    _of(request).faults.clear()
    return answer_json({"faults": []})


CONTROL_ROUTES = [
    register,
    pay_known,
    sign_notification,
    end_transfer,
    list_transfers,
    show_known,
    list_notifications,
    order_fault,
    clear_faults,
]
