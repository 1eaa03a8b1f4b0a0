"""The doors of the emulated WeChat Pay's API: each request checked, answered, and signed."""

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import msgspec
from litestar import Request, Response, route

from vendrail.sandbox import wechat, wechat_bills, wechat_funds
from vendrail.sandbox.faults import GATEWAY_KINDS, Fault, FaultKind
from vendrail.sandbox.wechat import News
from vendrail.sandbox.wechat_calls import Call, Node, Refused, read_call
from vendrail.sandbox.wechat_keys import seal
from vendrail.sandbox.wechat_records import Merchant, Mode, now_of, stamp
from vendrail.sandbox.wechat_service import PREFIX, WechatProvider

_WINDOW_S = 300

AnyRequest = Request[Any, Any, Any]
Done = tuple[Node | None, News | None]
Act = Callable[..., Done]


def _of(request: AnyRequest) -> WechatProvider:
    provider: WechatProvider = request.app.state.wechat
    return provider


def _place(product: str) -> Act:
    return lambda provider, call: (wechat.place(provider.store, call, product), None)


def _refund(provider: WechatProvider, call: Call) -> Done:
    taken = provider.faults.take(frozenset({FaultKind.DELAY}), "", call.merchant.mchid, "refund")
    wished = taken[0].params.value or "PROCESSING" if taken else ""
    return wechat.refund(provider.store, call, wished)


def _certificates(provider: WechatProvider, call: Call) -> Done:
    if call.merchant.mode is Mode.PUBLIC_KEY:
        raise Refused("NO_AUTH", "商户未开通平台证书，请使用微信支付公钥")
    certificate = provider.keys.certificate
    entry = {
        "serial_no": provider.keys.serial,
        "effective_time": stamp(certificate.not_valid_before_utc),
        "expire_time": stamp(certificate.not_valid_after_utc),
        "encrypt_certificate": seal(
            provider.keys.certificate_pem.encode(), call.merchant.api_key, "certificate"
        ),
    }
    return {"data": [entry]}, None


def _bill(kind: str) -> Act:
    def act(provider: WechatProvider, call: Call) -> Done:
        place = provider.place
        return (
            wechat_bills.bill_link(provider.store, call, place.settings, place.control_token, kind),
            None,
        )

    return act


def _close(provider: WechatProvider, call: Call, number: str) -> Done:
    wechat.close(provider.store, call, number)
    return None, None


_TRANSFER = "/v3/fund-app/mch-transfer/transfer-bills"
_NUMBER = r"([^/?]{1,64})"

# Each door: its method, its path, its name among faults, and what is done behind it.
_DOORS: list[tuple[str, str, str, Act]] = [
    ("POST", "/v3/pay/transactions/native", "native", _place("native")),
    ("POST", "/v3/pay/transactions/h5", "h5", _place("h5")),
    ("POST", "/v3/pay/transactions/jsapi", "jsapi", _place("jsapi")),
    ("GET", f"/v3/pay/transactions/out-trade-no/{_NUMBER}", "query",
     lambda e, call, number: (wechat.query(e.store, call, number), None)),
    ("GET", f"/v3/pay/transactions/id/{_NUMBER}", "query",
     lambda e, call, number: (wechat.query(e.store, call, "", number), None)),
    ("POST", f"/v3/pay/transactions/out-trade-no/{_NUMBER}/close", "close", _close),
    ("POST", "/v3/refund/domestic/refunds", "refund", _refund),
    ("GET", f"/v3/refund/domestic/refunds/{_NUMBER}", "query_refund",
     lambda e, call, number: (wechat.query_refund(e.store, call, number), None)),
    ("POST", _TRANSFER, "transfer",
     lambda e, call: (wechat_funds.transfer(e.store, e.keys, call), None)),
    ("GET", f"{_TRANSFER}/out-bill-no/{_NUMBER}", "query_transfer",
     lambda e, call, number: (wechat_funds.query_transfer(e.store, call, number), None)),
    ("POST", f"{_TRANSFER}/out-bill-no/{_NUMBER}/cancel", "cancel_transfer",
     lambda e, call, number: (wechat_funds.cancel_transfer(e.store, call, number), None)),
    ("POST", "/v3/profitsharing/receivers/add", "add_receiver",
     lambda e, call: (wechat_funds.add_receiver(e.store, e.keys, call), None)),
    ("POST", "/v3/profitsharing/orders", "share",
     lambda e, call: (wechat_funds.share(e.store, e.keys, call), None)),
    ("POST", "/v3/profitsharing/orders/unfreeze", "unfreeze",
     lambda e, call: (wechat_funds.unfreeze(e.store, call), None)),
    ("GET", f"/v3/profitsharing/orders/{_NUMBER}", "query_sharing",
     lambda e, call, number: (wechat_funds.query_sharing(e.store, call, number), None)),
    ("POST", "/v3/profitsharing/return-orders", "take_back",
     lambda e, call: (wechat_funds.take_back(e.store, call), None)),
    ("GET", f"/v3/profitsharing/return-orders/{_NUMBER}", "query_back",
     lambda e, call, number: (wechat_funds.query_back(e.store, call, number), None)),
    ("GET", f"/v3/profitsharing/transactions/{_NUMBER}/amounts", "query_unsplit",
     lambda e, call, number: (wechat_funds.query_unsplit(e.store, call, number), None)),
    ("GET", "/v3/certificates", "certificates", _certificates),
    ("GET", "/v3/bill/tradebill", "bill", _bill("trade")),
    ("GET", "/v3/bill/fundflowbill", "bill", _bill("flow")),
]  # fmt: skip


def _find_door(method: str, path: str) -> tuple[str, Act, tuple[str, ...]]:
    for wanted, pattern, name, act in _DOORS:
        if wanted == method and (match := re.fullmatch(pattern, path)):
            return name, act, match.groups()
    raise Refused("NOT_FOUND", "请求的资源不存在")


@route("/wechat/v3/{rest:path}", http_method=["GET", "POST"])
async def answer(request: AnyRequest) -> Response[Any]:
    """Answer one request of the API, signed."""
    provider = _of(request)
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    path = raw.decode().partition("?")[0].removeprefix(PREFIX)
    target = f"{path}?{query.decode()}" if query else path
    body = await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    faults: Mapping[FaultKind, Fault] = {}
    merchant: Merchant | None = None
    status, node, file = 200, None, None
    try:
        base_url = provider.place.settings.base_url or str(request.base_url).rstrip("/")
        window_s = max(_WINDOW_S, provider.place.settings.timestamp_window_s // 3)
        call = read_call(
            provider.store,
            headers,
            str(request.method),
            target,
            body,
            provider.place.clock.now(),
            base_url,
            window_s,
        )
        merchant = call.merchant
        if path.startswith("/v3/billdownload/file/"):
            file = _read_bill(provider, call)
            return Response(file, status_code=200, media_type="application/octet-stream")
        name, act, groups = _find_door(call.method, path)
        number = next(iter(groups), "") or str(call.body.get("out_trade_no") or "")
        taken = provider.faults.take(GATEWAY_KINDS, number, merchant.mchid, name)
        faults = {fault.kind: fault for fault in taken}
        down = faults.get(FaultKind.GATEWAY_DOWN)
        if down is not None and not down.params.is_after:
            return await _fail(provider, down)
        for kind in (FaultKind.QUERY_UNKNOWN, FaultKind.BUSINESS_ERROR):
            if kind in faults and not faults[kind].params.is_after:
                wechat.disturb({}, [faults[kind]])
        node, news = act(provider, call, *groups)
        provider.tell(news, merchant)
        if node is not None:
            node = wechat.disturb(node, taken)
        if slow := faults.get(FaultKind.SLOW):
            delay_s = slow.params.delay_s
            await provider.place.clock.sleep(1.0 if delay_s is None else delay_s)
        if down is not None:
            return await _fail(provider, down)
        status = 204 if node is None else 200
    except Refused as refused:
        status, node = refused.status, {"code": refused.code, "message": refused.message}
    content = msgspec.json.encode(node) if node is not None else b""
    signed: dict[str, str] = {"Request-ID": secrets.token_hex(16)}
    if merchant is not None:
        now = now_of(merchant, provider.place.clock.now())
        is_certified = provider.is_certified(merchant, headers.get("wechatpay-serial", ""))
        spoiled = content + b" " if FaultKind.BAD_REPLY_SIGNATURE in faults else content
        signed |= provider.keys.sign(spoiled, now, is_certified=is_certified)
    return Response(content, status_code=status, headers=signed, media_type="application/json")


async def _fail(provider: WechatProvider, fault: Fault) -> Response[Any]:
    await provider.place.clock.sleep(fault.params.timeout_s)
    return Response(b"Service Unavailable", status_code=fault.params.status)


def _read_bill(provider: WechatProvider, call: Call) -> bytes:
    """Give a bill to the merchant whose it is, as long as its address is good."""
    parts = call.path.removeprefix("/v3/billdownload/file/").split("/")
    if len(parts) != 3 or parts[0] != call.merchant.mchid:
        raise Refused("NO_AUTH")
    try:
        kind, day, until = parts[1], date.fromisoformat(parts[2]), int(call.query["until"])
    except (KeyError, ValueError):
        raise Refused("PARAM_ERROR") from None
    packing, given = call.query.get("tar_type", ""), call.query.get("token", "")
    place = provider.place
    wanted = wechat_bills.link_token(
        place.control_token, call.merchant.mchid, kind, day, until, packing
    )
    if not secrets.compare_digest(wanted, given) or until < call.now.timestamp():
        raise Refused("NO_AUTH", "账单下载地址已失效")
    bill = wechat_bills.write_bill(provider.store, call.merchant, kind, day, place.settings)
    if bill is None:
        raise Refused("NO_STATEMENT_EXIST")
    return wechat_bills.pack(bill) if packing else bill


API_ROUTES = [answer]
