"""The control routes of the emulated WeChat Pay: merchants, buyers without hands, faults, time."""

import secrets
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery

from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Malformed
from vendrail.sandbox import wechat, wechat_funds
from vendrail.sandbox.emulations import answer_json, require_token
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.fields import read_amount
from vendrail.sandbox.wechat_calls import NUMBER, Node, Refused
from vendrail.sandbox.wechat_records import Merchant, Mode, Order, make_number, now_of
from vendrail.sandbox.wechat_service import PREFIX, WechatProvider

AnyRequest = Request[Any, Any, Any]


def _of(request: AnyRequest) -> WechatProvider:
    provider: WechatProvider = request.app.state.wechat
    return provider


def _merchant(request: AnyRequest, mchid: str) -> Merchant:
    merchant = _of(request).store.merchants.get(mchid)
    if merchant is None:
        raise Malformed(f"mchid {mchid!r} is not registered here.")
    return merchant


def _order(request: AnyRequest, mchid: str, number: str) -> Order:
    order = _of(request).store.order(mchid, number)
    if order is None:
        raise Malformed(f"There is no order {number!r} of {mchid}.")
    return order


class NewMerchant(msgspec.Struct, forbid_unknown_fields=True):
    """A merchant to register."""

    public_key_pem: str
    name: str = "Sandbox merchant"
    mode: Mode = Mode.PUBLIC_KEY


class Skew(msgspec.Struct, forbid_unknown_fields=True):
    """How far a merchant's time is moved on."""

    mchid: str
    skew_s: float


class PayOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which orders somebody pays."""

    mchid: str
    out_trade_no: str | list[str]
    is_forced: bool = False  # Pay even what is over: money that comes late.


class PaidOrder(msgspec.Struct, forbid_unknown_fields=True):
    """An order to be paid and told of; without an amount it must be known already."""

    out_trade_no: str
    amount: str = ""
    description: str = "sandbox"
    overrides: Node = {}  # Of what is told, sealed and signed as they are.
    original_type: str = "transaction"


class SignOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which callbacks to write, seal and sign without sending."""

    mchid: str
    orders: list[PaidOrder]
    age_s: float = 0.0  # How long ago they were signed.
    is_probe: bool = False  # Sign as WeChat does to see it refused.


class EndRefund(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of a refund that was under way."""

    mchid: str
    out_refund_no: str
    status: str


class ConfirmTransfer(msgspec.Struct, forbid_unknown_fields=True):
    """Which transfer its payee confirms, with the package that only they were given."""

    mchid: str
    out_bill_no: str
    package_info: str


@post("/sandbox/wechat/merchants", guards=[require_token])
async def register(request: AnyRequest) -> Response[bytes]:
    """Register a merchant; the answer is what its channel needs, but for its private key."""
    wanted = decode(await request.body(), NewMerchant)
    provider = _of(request)
    merchant = provider.register(wanted.name, wanted.public_key_pem, wanted.mode)
    base_url = provider.place.settings.base_url or str(request.base_url).rstrip("/")
    return answer_json(provider.settings_of(merchant, f"{base_url}{PREFIX}"), 201)


@post("/sandbox/wechat/time", guards=[require_token])
async def move_time(request: AnyRequest) -> Response[bytes]:
    """Move the time of one merchant on: everything signed for it is of then."""
    wanted = decode(await request.body(), Skew)
    merchant = _merchant(request, wanted.mchid)
    merchant.skew_s = wanted.skew_s
    _of(request).store.save(merchant)
    return answer_json({"skew_s": merchant.skew_s}, 201)


@post("/sandbox/wechat/certificate", guards=[require_token])
async def renew_certificate(request: AnyRequest) -> Response[bytes]:
    """Sign under a new certificate from now on."""
    _of(request).keys.renew_certificate()
    return answer_json({"serial_no": _of(request).keys.serial}, 201)


@post("/sandbox/wechat/pay", guards=[require_token], status_code=201)
async def pay_orders(request: AnyRequest) -> Response[bytes]:
    """Pay orders without a person; one result for each, in order."""
    wanted = decode(await request.body(), PayOrder)
    numbers = [wanted.out_trade_no] if isinstance(wanted.out_trade_no, str) else wanted.out_trade_no
    results = []
    for number in numbers:
        order = _order(request, wanted.mchid, number)
        is_paid = _of(request).pay(order, is_forced=wanted.is_forced)
        result = {"out_trade_no": number, "transaction_id": order.transaction_id}
        results.append(result if is_paid else {**result, "error": "ORDER_CLOSED"})
    return answer_json({"results": results}, 201)


@post("/sandbox/wechat/sign-notifications", guards=[require_token])
async def sign_notifications(request: AnyRequest) -> Response[bytes]:
    """Pay orders and hand out their signed callbacks instead of sending them."""
    wanted = decode(await request.body(), SignOrder)
    provider, merchant = _of(request), _merchant(request, wanted.mchid)
    now = now_of(merchant, provider.place.clock.now())
    signed = []
    for each in wanted.orders:
        order = provider.store.order(merchant.mchid, each.out_trade_no)
        if order is None:
            order = _make_order(request, merchant, each)
        wechat.pay(provider.store, order, now, is_forced=True)
        news = wechat.tell_paid(order, merchant, now)
        news = msgspec.structs.replace(
            news, resource={**news.resource, **each.overrides}, original_type=each.original_type
        )
        id = f"EV-{merchant.mchid}-{order.transaction_id}"
        body = provider.write_envelope(id, news, merchant)
        headers = provider.keys.sign(
            body,
            now - timedelta(seconds=wanted.age_s),
            is_certified=provider.is_certified(merchant),
        )
        if wanted.is_probe:
            headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + secrets.token_urlsafe(48)
        signed.append(
            {"out_trade_no": order.out_trade_no, "headers": headers, "body": body.decode()}
        )
    return answer_json({"notifications": signed})


def _make_order(request: AnyRequest, merchant: Merchant, wanted: PaidOrder) -> Order:
    total_minor = read_amount(wanted.amount)
    if total_minor is None or not NUMBER.fullmatch(wanted.out_trade_no):
        raise Malformed(f"{wanted.out_trade_no}: an amount, and a number of 6 to 32 letters.")
    now = now_of(merchant, _of(request).place.clock.now())
    order = Order(
        mchid=merchant.mchid,
        out_trade_no=wanted.out_trade_no,
        transaction_id=make_number("42000028", now),
        prepay_id="wx" + secrets.token_hex(17),
        token=secrets.token_urlsafe(18),
        product="native",
        description=wanted.description,
        total_minor=total_minor,
        notify_url="",
        created_at=now,
        expires_at=now + timedelta(days=7),
    )
    _of(request).store.save(order)
    return order


@post("/sandbox/wechat/end-refund", guards=[require_token])
async def end_refund(request: AnyRequest) -> Response[bytes]:
    """End a refund that was under way, or say that it cannot go on."""
    wanted = decode(await request.body(), EndRefund)
    provider, merchant = _of(request), _merchant(request, wanted.mchid)
    known = provider.store.refund(wanted.mchid, wanted.out_refund_no)
    if known is None or wanted.status not in {"SUCCESS", "ABNORMAL", "CLOSED"}:
        raise Malformed(f"There is no refund {wanted.out_refund_no!r} to end so.")
    now = now_of(merchant, provider.place.clock.now())
    provider.tell(wechat.end_refund(provider.store, *known, wanted.status, now), merchant)
    return answer_json(known[1], 201)


@post("/sandbox/wechat/confirm-transfer", guards=[require_token])
async def confirm_transfer(request: AnyRequest) -> Response[bytes]:
    """Let the payee of a transfer confirm it inside WeChat."""
    wanted = decode(await request.body(), ConfirmTransfer)
    provider, merchant = _of(request), _merchant(request, wanted.mchid)
    try:
        transfer = wechat_funds.find_transfer(provider.store, wanted.mchid, wanted.out_bill_no)
    except Refused as refused:
        raise Malformed(refused.message) from refused
    if not secrets.compare_digest(transfer.package_info, wanted.package_info):
        raise Malformed("This package is not the transfer's.")
    now = now_of(merchant, provider.place.clock.now())
    provider.tell(wechat_funds.confirm_transfer(provider.store, transfer, merchant, now), merchant)
    return answer_json({"state": transfer.state}, 201)


@get("/sandbox/wechat/orders/{out_trade_no:str}", guards=[require_token])
async def show_known(
    request: AnyRequest, out_trade_no: FromPath[str], mchid: FromQuery[str]
) -> Response[bytes]:
    """Show all that is known of an order."""
    return answer_json(_order(request, mchid, out_trade_no))


@get("/sandbox/wechat/transfers", guards=[require_token])
async def list_transfers(request: AnyRequest, mchid: FromQuery[str]) -> Response[bytes]:
    """List a merchant's transfers, oldest first."""
    return answer_json({"transfers": _of(request).store.transfers(_merchant(request, mchid))})


@get("/sandbox/wechat/notifications", guards=[require_token])
async def list_notifications(
    request: AnyRequest, out_trade_no: FromQuery[str] = ""
) -> Response[bytes]:
    """List the newest deliveries and what was answered, oldest first."""
    provider = _of(request)
    told = [each for each in provider.courier.log if out_trade_no in {"", each.out_trade_no}]
    return answer_json({"notifications": told[-100:], "pending": len(provider.store.notices)})


@post("/sandbox/wechat/faults", guards=[require_token])
async def order_fault(request: AnyRequest) -> Response[bytes]:
    """Order a fault; a forged success can also be sent at once, paid or not."""
    fault = decode(await request.body(), Fault)
    provider = _of(request)
    if fault.kind is FaultKind.UNSIGNED_SUCCESS and fault.params.is_now:
        merchant = _merchant(request, fault.match.app_id)
        order = _order(request, merchant.mchid, fault.match.out_trade_no)
        now = now_of(merchant, provider.place.clock.now())
        provider.tell(wechat.tell_paid(order, merchant, now), merchant, [fault])
    else:
        provider.faults.add(fault)
    return answer_json(fault, 201)


@get("/sandbox/wechat/faults", guards=[require_token])
async def list_faults(request: AnyRequest) -> Response[bytes]:
    """List the faults that are still to come."""
    return answer_json({"faults": _of(request).faults.open})


@delete("/sandbox/wechat/faults", guards=[require_token], status_code=200)
async def clear_faults(request: AnyRequest) -> Response[bytes]:
    """Take all faults back."""
    _of(request).faults.clear()
    return answer_json({"faults": []})


CONTROL_ROUTES = [
    register,
    move_time,
    renew_certificate,
    pay_orders,
    sign_notifications,
    end_refund,
    confirm_transfer,
    show_known,
    list_transfers,
    list_notifications,
    order_fault,
    list_faults,
    clear_faults,
]
