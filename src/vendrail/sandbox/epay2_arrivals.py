"""What Epay V2 paid out, as the people saw it who were paid: how much arrived, and a way back."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.sandbox.epay2_service import Epay2Service
from vendrail.sandbox.pages import redirect, render
from vendrail.sandbox.records import stamp, yuan

AnyRequest = Request[Any, Any, Any]

_SHOWN_MAX = 50
_STATES = {0: "处理中 Under way", 1: "已到账 Arrived", 2: "已退回 Sent back"}
_DONE, _FAILED = 1, 2


def _of(request: AnyRequest) -> Epay2Service:
    service: Epay2Service = request.app.state.epay2
    return service


@get("/epay2/arrivals")
async def show_arrivals(request: AnyRequest) -> Response[str]:
    """Show the newest transfers, whole accounts and all: nothing here is real."""
    made = sorted(_of(request).store.transfers.values(), key=lambda each: each.at, reverse=True)
    rows = [
        {
            "account": each.account,
            "name": each.name,
            "amount": yuan(each.money_minor),
            "at": stamp(each.at),
            "state": _STATES[each.status],
            "back": f"/epay2/arrivals/{each.pid}/{each.out_biz_no}/back"
            if each.status == _DONE
            else "",
        }
        for each in made[:_SHOWN_MAX]
    ]
    return render("epay2_arrivals.html", 200, rows=rows)


@post("/epay2/arrivals/{pid:str}/{number:str}/back")
async def send_back(
    request: AnyRequest, pid: FromPath[str], number: FromPath[str]
) -> Response[str]:
    """Send what has arrived back, as a bank does whose account is closed: a bounce."""
    store = _of(request).store
    made = store.transfers.get((pid, number))
    if made is not None and made.status == _DONE:
        made.status = _FAILED
        store.save(made)
    return redirect("/epay2/arrivals")


ROUTES: list[HTTPRouteHandler] = [show_arrivals, send_back]
