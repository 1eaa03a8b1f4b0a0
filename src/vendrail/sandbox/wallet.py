"""The wallet: the pages on which a person sees an order and taps "pay"."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from vendrail.sandbox.pages import redirect, render
from vendrail.sandbox.records import TradeStatus, stamp, yuan
from vendrail.sandbox.refusals import Node
from vendrail.sandbox.service import Sandbox


def render_problem(node: Node, status: int = 200) -> Response[str]:
    """Show why the provider does not take an order."""
    return render("problem.html", status, node=node)


def _sandbox(request: Request[Any, Any, Any]) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


def _show(sandbox: Sandbox, token: str, notice: str = "") -> Response[str]:
    trade = sandbox.open_trade(token)
    if trade is None:
        unknown: Node = {"sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "交易不存在"}
        return render_problem(unknown, 404)
    is_payable = trade.status is TradeStatus.WAIT_BUYER_PAY
    return render(
        "alipay.html",
        200,
        order=trade,
        subject=trade.subject,
        address=f"/alipay/cashier/{trade.token}",
        number_word="支付宝交易号",
        kind="账户余额",
        over="交易已关闭",
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
        return redirect(sandbox.return_url(trade))
    return redirect(f"/alipay/cashier/{token}")


@post("/alipay/cashier/{token:str}/cancel")
async def cancel_cashier(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """Leave without paying; the trade waits on until its time is over."""
    sandbox = _sandbox(request)
    trade = sandbox.open_trade(token)
    if trade is not None and trade.quit_url and trade.paid_at is None:
        return redirect(trade.quit_url)
    return _show(sandbox, token, notice="您已取消付款，订单仍可在有效期内支付。")


@get("/alipay/agreement/{token:str}")
async def show_agreement(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """Show what a buyer is asked to agree to, and how that stands."""
    sandbox = _sandbox(request)
    agreement = sandbox.store.agreement_by_token(token)
    if agreement is None:
        unknown: Node = {"sub_code": "USER_AGREEMENT_NOT_EXIST", "sub_msg": "用户协议不存在"}
        return render_problem(unknown, 404)
    return render(
        "alipay_agreement.html",
        200,
        agreement=agreement,
        merchant=sandbox.store.apps[agreement.app_id].name,
        single=yuan(agreement.single_minor_max),
        day=yuan(agreement.day_minor_max),
        address=f"/alipay/agreement/{token}",
    )


@post("/alipay/agreement/{token:str}/{act:str}")
async def answer_agreement(
    request: Request[Any, Any, Any], token: FromPath[str], act: FromPath[str]
) -> Response[str]:
    """Sign it, or end it; whoever has signed goes back to the merchant."""
    sandbox = _sandbox(request)
    agreement = sandbox.store.agreement_by_token(token)
    if agreement is not None and act == "end":
        sandbox.end_agreement(agreement)
    elif agreement is not None and act == "sign":
        sandbox.sign_agreement(agreement)
        if agreement.status == "NORMAL" and agreement.return_url:
            return redirect(sandbox.agreement_return_url(agreement))
    return redirect(f"/alipay/agreement/{token}")


WALLET_ROUTES = [show_cashier, pay_cashier, cancel_cashier, show_agreement, answer_agreement]
