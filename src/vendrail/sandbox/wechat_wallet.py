"""The pages of the emulated WeChat Pay: its login, its bridge, and the wallet of its orders."""

import re
import secrets
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from vendrail.sandbox import wechat
from vendrail.sandbox.emulations import answer_json
from vendrail.sandbox.pages import redirect, render
from vendrail.sandbox.records import stamp, yuan
from vendrail.sandbox.wechat_keys import is_signed
from vendrail.sandbox.wechat_records import now_of
from vendrail.sandbox.wechat_service import WechatProvider

_CODE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)

AnyRequest = Request[Any, Any, Any]


def _of(request: AnyRequest) -> WechatProvider:
    provider: WechatProvider = request.app.state.wechat
    return provider


@get("/wechat/connect/oauth2/authorize")
async def log_in(request: AnyRequest) -> Response[str]:
    """Say who the buyer is, without asking: the browser goes back with a code, good once."""
    provider, told = _of(request), dict(request.query_params)
    merchants = [m for m in provider.store.merchants.values() if m.appid == told.get("appid")]
    back = told.get("redirect_uri", "")
    is_whole = told.get("response_type") == "code" and told.get("scope") == "snsapi_base"
    if not merchants or not is_whole or not back.startswith(("http://", "https://")):
        return _problem("PARAM_ERROR", "授权参数错误")
    code = secrets.token_urlsafe(24)
    provider.codes[code] = (merchants[0].appid, wechat.make_openid(merchants[0]))
    joint = "&" if "?" in back else "?"
    return redirect(f"{back}{joint}code={code}&state={told.get('state', '')}")


@get("/wechat/sns/oauth2/access_token")
async def redeem(request: AnyRequest) -> Response[bytes]:
    """Tell the merchant who came with a code: once, and only to who has the secret."""
    provider, told = _of(request), dict(request.query_params)
    merchants = [m for m in provider.store.merchants.values() if m.appid == told.get("appid")]
    if not merchants:
        return answer_json({"errcode": 40013, "errmsg": "invalid appid"})
    if not secrets.compare_digest(merchants[0].app_secret, told.get("secret", "")):
        return answer_json({"errcode": 40125, "errmsg": "invalid appsecret"})
    if told.get("grant_type") != "authorization_code":
        return answer_json({"errcode": 40002, "errmsg": "invalid grant_type"})
    code = told.get("code", "")
    if not _CODE.fullmatch(code) or code not in provider.codes:
        return answer_json({"errcode": 40029, "errmsg": "invalid code"})
    appid, openid = provider.codes.pop(code)
    if appid != merchants[0].appid:
        return answer_json({"errcode": 40029, "errmsg": "invalid code"})
    token = {"access_token": secrets.token_urlsafe(32), "expires_in": 7200}
    return answer_json({**token, "openid": openid, "scope": "snsapi_base"})


class Bridge(msgspec.Struct, forbid_unknown_fields=True):
    """What a page inside WeChat hands to its wallet."""

    appId: str  # noqa: N815 - The provider's name.
    timeStamp: str  # noqa: N815 - The same.
    nonceStr: str  # noqa: N815 - The same.
    package: str
    signType: str  # noqa: N815 - The same.
    paySign: str  # noqa: N815 - The same.


@post("/wechat/bridge", status_code=200)
async def invoke(request: AnyRequest) -> Response[bytes]:
    """Stand for the wallet inside WeChat: check what the page hands over, and lead to the order."""
    provider = _of(request)
    try:
        told = msgspec.json.decode(await request.body(), type=Bridge)
    except msgspec.DecodeError:
        return answer_json({"err_msg": "get_brand_wcpay_request:fail"})
    order = provider.store.order_by_prepay(told.package.removeprefix("prepay_id="))
    if order is None or order.product != "jsapi":
        return answer_json({"err_msg": "get_brand_wcpay_request:fail", "why": "prepay_id"})
    merchant = provider.store.merchants[order.mchid]
    text = f"{told.appId}\n{told.timeStamp}\n{told.nonceStr}\n{told.package}\n".encode()
    is_good = told.signType == "RSA" and told.appId == merchant.appid and told.timeStamp.isdigit()
    if not is_good or not is_signed(text, told.paySign, merchant.public_key_pem):
        return answer_json({"err_msg": "get_brand_wcpay_request:fail", "why": "paySign"})
    return answer_json({"pay_url": f"/wechat/pay/{order.token}"})


# The wallet.


def _problem(code: str, words: str, status: int = 200) -> Response[str]:
    return render("wechat_problem.html", status, words=words, code=code)


def _show(provider: WechatProvider, token: str, notice: str = "") -> Response[str]:
    order = provider.store.order_by_token(token)
    if order is None:
        return _problem("ORDER_NOT_EXIST", "订单不存在", 404)
    merchant = provider.store.merchants[order.mchid]
    now = now_of(merchant, provider.place.clock.now())
    is_paid = order.paid_at is not None
    return render(
        "wechat.html",
        200,
        order=order,
        subject=order.description,
        address=f"/wechat/pay/{order.token}",
        number_word="微信支付单号",
        over="订单已关闭",
        merchant=merchant.name,
        kind="零钱",
        amount=yuan(order.total_minor),
        refunded=yuan(order.refunded_minor) if order.refunded_minor else "",
        paid=stamp(order.paid_at) if order.paid_at else "",
        expires=stamp(order.expires_at),
        is_paid=is_paid,
        is_payable=order.state(now) == "NOTPAY",
        return_url=order.return_url if is_paid else "",
        notice=notice,
    )


@get("/wechat/checkmweb")
async def open_page(request: AnyRequest) -> Response[str]:
    """Open an order on a phone, outside of WeChat; the merchant may say where to go after."""
    provider, told = _of(request), dict(request.query_params)
    order = provider.store.order_by_prepay(told.get("prepay_id", ""))
    if order is None or order.product != "h5" or told.get("package") != order.token:
        return _problem("PARAM_ERROR", "商家参数格式有误，请联系商家解决")
    back = told.get("redirect_url", "")
    if back.startswith(("http://", "https://")) and back != order.return_url:
        order.return_url = back
        provider.store.save(order)
    return redirect(f"/wechat/pay/{order.token}")


@get("/wechat/pay/{token:str}")
async def show_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Show an order: amount, merchant, state."""
    return _show(_of(request), token)


@post("/wechat/pay/{token:str}/pay")
async def pay_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Pay, and go back to the shop where it said so."""
    provider = _of(request)
    order = provider.store.order_by_token(token)
    if order is not None and provider.pay(order) and order.return_url:
        return redirect(order.return_url)
    return redirect(f"/wechat/pay/{token}")


@post("/wechat/pay/{token:str}/cancel")
async def cancel_order(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Leave without paying; the order waits on until its time is over."""
    return _show(_of(request), token, notice="您已取消付款，订单仍可在有效期内支付。")


WALLET_ROUTES = [log_in, redeem, invoke, open_page, show_order, pay_order, cancel_order]
