"""The wallet: the pages on which a person sees an order and taps "pay"."""

from functools import cache
from importlib import resources
from typing import Any

import jinja2
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath

from vendrail.sandbox.records import TradeStatus, stamp, yuan
from vendrail.sandbox.refusals import Node
from vendrail.sandbox.service import Sandbox

_HEADERS = {
    # No script runs here. A form may lead on to the merchant, wherever that is.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self';"
    " form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("vendrail.sandbox"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@cache
def _read_asset(name: str) -> bytes:
    return (resources.files("vendrail.sandbox") / "assets" / name).read_bytes()


def render_problem(node: Node, status: int = 200) -> Response[str]:
    """Show why the provider does not take an order."""
    return _render("problem.html", status, node=node)


def _render(template: str, status: int, **values: object) -> Response[str]:
    html = _templates.get_template(template).render(**values)
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=_HEADERS)


def _redirect(url: str) -> Response[str]:
    return Response("", status_code=303, headers={**_HEADERS, "Location": url})


def _sandbox(request: Request[Any, Any, Any]) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


def _show(sandbox: Sandbox, token: str, notice: str = "") -> Response[str]:
    trade = sandbox.open_trade(token)
    if trade is None:
        unknown: Node = {"sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "交易不存在"}
        return render_problem(unknown, 404)
    is_payable = trade.status is TradeStatus.WAIT_BUYER_PAY
    return _render(
        "cashier.html",
        200,
        trade=trade,
        merchant=sandbox.store.apps[trade.app_id].name,
        amount=yuan(trade.total_minor),
        refunded=yuan(trade.refunded_minor) if trade.refunds else "",
        expires=stamp(trade.expires_at),
        paid=stamp(trade.paid_at) if trade.paid_at else "",
        is_payable=is_payable,
        is_paid=trade.paid_at is not None,
        return_url=sandbox.return_url(trade) if trade.paid_at and trade.return_url else "",
        notice=notice,
    )


@get("/")
async def show_home() -> Response[str]:
    """Say what this is to whoever opens the sandbox's bare address."""
    return _render("home.html", 200)


@get(["/alipay/cashier/{token:str}", "/alipay/qr/{token:str}"])
async def show_cashier(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """Open an order: amount, merchant, state; from now on the trade exists."""
    return _show(_sandbox(request), token)


@post("/alipay/cashier/{token:str}/pay")
async def pay_cashier(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """Pay, and go back to the merchant."""
    sandbox = _sandbox(request)
    trade = sandbox.open_trade(token)
    if trade is not None and not sandbox.pay_trade(trade) and trade.return_url:
        return _redirect(sandbox.return_url(trade))
    return _redirect(f"/alipay/cashier/{token}")


@post("/alipay/cashier/{token:str}/cancel")
async def cancel_cashier(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """Leave without paying; the trade waits on until its time is over."""
    sandbox = _sandbox(request)
    trade = sandbox.open_trade(token)
    if trade is not None and trade.quit_url and trade.paid_at is None:
        return _redirect(trade.quit_url)
    return _show(sandbox, token, notice="您已取消付款，订单仍可在有效期内支付。")


@get("/alipay/assets/wallet.css", cache_control=CacheControlHeader(max_age=3_600))
async def show_style() -> Response[bytes]:
    """Give the style sheet of the wallet."""
    return Response(_read_asset("wallet.css"), media_type=MediaType.CSS)


@get("/alipay/assets/mark.svg", cache_control=CacheControlHeader(max_age=3_600))
async def show_mark() -> Response[bytes]:
    """Give the wallet's icon, so that no browser asks for one in vain."""
    return Response(_read_asset("mark.svg"), media_type="image/svg+xml")


WALLET_ROUTES = [show_home, show_cashier, pay_cashier, cancel_cashier, show_style, show_mark]
