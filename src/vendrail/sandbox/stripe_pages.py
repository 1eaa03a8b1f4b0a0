"""Stripe's pages: Checkout, the bank's challenge, and what a scanned code opens."""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs

from litestar import Request, Response, get, post, route
from litestar.params import FromPath

from vendrail.sandbox import stripe, stripe_intents
from vendrail.sandbox.pages import redirect, render
from vendrail.sandbox.stripe_acts import Act, write_money
from vendrail.sandbox.stripe_api import Answer, Ask
from vendrail.sandbox.stripe_cards import Card, read_card
from vendrail.sandbox.stripe_forms import Refused
from vendrail.sandbox.stripe_records import StripeStore, Thing

_FORM_BYTES_MAX = 4_000
_ASKED = ("redirect_to_url", "use_stripe_sdk")  # How a bank's question is come by.

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "lang": "en", "pay": "Pay", "to": "Pay", "wait": "Waiting for payment", "paid": "Paid",
        "over": "This page has expired", "declined": "Not paid", "number": "Card number",
        "expiry": "Expiry (MM/YY)", "cvc": "Security code", "or": "or pay by card",
        "back": "Back to the shop", "cancel": "Cancel", "goods": "For", "order": "Order",
        "hint": "A test card: 4242 4242 4242 4242, any later month, any code.",
        "bank": "Your bank", "ask": "Your bank wants to know that it is you.",
        "yes": "Complete", "no": "Fail", "authorize": "Authorize test payment",
        "fail": "Fail test payment", "unknown": "There is no such page",
        "refunded": "Refunded",
    },
    "zh-Hans": {
        "lang": "zh-Hans", "pay": "支付", "to": "付款给", "wait": "等待付款", "paid": "付款成功",
        "over": "此页面已过期", "declined": "未付款", "number": "卡号",
        "expiry": "有效期（月/年）", "cvc": "安全码", "or": "或使用银行卡",
        "back": "返回商家", "cancel": "取消", "goods": "商品", "order": "商户订单号",
        "hint": "测试卡：4242 4242 4242 4242，任意未来月份，任意安全码。",
        "bank": "您的银行", "ask": "银行需要确认是您本人在付款。",
        "yes": "通过", "no": "失败", "authorize": "授权测试付款",
        "fail": "使测试付款失败", "unknown": "没有这个页面", "refunded": "已退款",
    },
}  # fmt: skip
NAMES = {
    "card": "Card", "alipay": "Alipay", "wechat_pay": "WeChat Pay", "paynow": "PayNow",
    "promptpay": "PromptPay",
}  # fmt: skip

AnyRequest = Request[Any, Any, Any]


class Emulator(Protocol):
    """What the pages need of the emulation."""

    store: StripeStore
    base_url: str

    def act(self, account: str) -> Act:
        """Begin an act of an account's."""
        ...

    def announce(self, act: Act) -> None:
        """Have what an act tells brought to who wants to hear it."""
        ...

    async def answer(self, ask: Ask, base_url: str) -> Answer:
        """Answer a request of the API's."""
        ...


def _of(request: AnyRequest) -> Emulator:
    emulation: Emulator = request.app.state.stripe
    return emulation


def _words(request: AnyRequest) -> Mapping[str, str]:
    wanted = request.headers.get("accept-language", "").lower()
    return WORDS["zh-Hans" if wanted.startswith("zh") else "en"]


@route("/stripe/v1/{path:path}", http_method=["GET", "POST", "DELETE"])
async def api(request: AnyRequest, path: FromPath[str]) -> Response[bytes]:
    """Answer as api.stripe.com would."""
    body = await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    query: bytes = request.scope["query_string"]
    ask = Ask(str(request.method), f"/v1{path}", headers, query, body)
    answer = await _of(request).answer(ask, str(request.base_url).rstrip("/"))
    return Response(
        answer.body,
        status_code=answer.status,
        media_type=answer.media_type,
        headers=answer.headers,
    )


def _find(request: AnyRequest, token: str, kind: str) -> Thing | None:
    thing = _of(request).store.by_token(token)
    return thing if thing is not None and thing.kind == kind else None


def _missing(request: AnyRequest) -> Response[str]:
    return render("stripe_problem.html", 404, words=_words(request))


def _refunded(emulator: Emulator, intent_id: str | None) -> int:
    refunds = emulator.store.children(intent_id, "refund") if intent_id else []
    return sum(int(each.shown["amount"]) for each in refunds if each.shown["status"] != "failed")


def _show(request: AnyRequest, session: Thing, problem: str = "") -> Response[str]:
    emulator, words = _of(request), _words(request)
    act = emulator.act(session.account)
    stripe.expire_due(act, session)
    emulator.announce(act)
    shown = session.shown
    types = shown["payment_method_types"]
    refunded = _refunded(emulator, shown["payment_intent"])
    return render(
        "stripe.html",
        200 if not problem else 402,
        words=words,
        address=f"/stripe/c/pay/{session.hidden['token']}",
        merchant=emulator.store.sellers[session.account].name,
        title=session.hidden["title"],
        number=shown["client_reference_id"] or "",
        amount=write_money(shown["amount_total"], shown["currency"]).upper(),
        refunded=write_money(refunded, shown["currency"]).upper() if refunded else "",
        is_paid=shown["payment_status"] == "paid",
        is_open=shown["status"] == "open",
        has_card="card" in types,
        ways=[(each, NAMES[each]) for each in types if each != "card"],
        back=_back(session) if shown["status"] == "complete" else shown["cancel_url"] or "",
        problem=problem,
    )


def _back(session: Thing) -> str:
    url: str = session.shown["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session.id)


@get("/stripe/c/pay/{token:str}")
async def show_checkout(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Show a page on which a buyer pays."""
    session = _find(request, token, "checkout.session")
    return _missing(request) if session is None else _show(request, session)


@post("/stripe/c/pay/{token:str}", status_code=200)
async def pay_checkout(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Pay by what was typed or tapped; what was typed of a card is forgotten at once."""
    session = _find(request, token, "checkout.session")
    if session is None:
        return _missing(request)
    emulator = _of(request)
    act = emulator.act(session.account)
    stripe.expire_due(act, session)
    if session.shown["status"] != "open":
        emulator.announce(act)
        return _show(request, session)
    data = (await request.body())[:_FORM_BYTES_MAX]
    typed = {name: values[0] for name, values in parse_qs(data.decode("utf-8", "replace")).items()}
    try:
        intent = pay(act, session, typed)
    except Refused as refused:
        emulator.announce(act)
        return _show(request, session, str(refused.error["message"]))
    emulator.announce(act)
    if intent.shown["status"] == "requires_action":
        return redirect(f"/stripe/3ds/{intent.hidden['token']}")
    return redirect(_back(session))


def pay(act: Act, session: Thing, typed: Mapping[str, str]) -> Thing:
    """Pay a page: by a card, a wallet that holds one, or another way."""
    intent = stripe.begin(act, session)
    intent.hidden["back"] = _back(session)
    way = typed.get("way", "card")
    if way in {"card", *stripe_intents.WALLETS} and "card" in session.shown["payment_method_types"]:
        number = "".join(typed.get("number", "").split())
        expiry = typed.get("expiry", "")
        card = Card()
        if way == "card":
            card = read_card(number, expiry, typed.get("cvc", ""), act.now)
        is_read = way == "card" and card.code not in stripe_intents.UNREAD
        method = stripe_intents.add_method(
            act,
            "card",
            card,
            {},
            last4=number[-4:] if is_read else "4242",
            expiry=expiry if is_read else "12/30",
            wallet="" if way == "card" else way,
        )
        return stripe_intents.charge(act, intent, method, card)
    if way not in session.shown["payment_method_types"]:
        raise Refused("payment_method_unexpected_state", "This way to pay is not offered here.")
    method = stripe_intents.add_method(act, way, Card(), {})
    if typed.get("verdict") == "fail":
        code = "payment_method_provider_decline"
        raise stripe_intents.decline(act, intent, method, code, "generic_decline")
    return stripe_intents.charge(act, intent, method, Card())


@get("/stripe/3ds/{token:str}")
async def show_challenge(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Show what the card's bank asks."""
    intent = _find(request, token, "payment_intent")
    if intent is None:
        return _missing(request)
    action = intent.shown["next_action"] or {}
    if action.get("type") not in _ASKED:
        return redirect(_way_back(_of(request), intent))
    shown = intent.shown
    return render(
        "stripe_challenge.html",
        200,
        is_framed=bool(intent.hidden.get("frames")),
        words=_words(request),
        address=f"/stripe/3ds/{token}",
        amount=write_money(shown["amount"], shown["currency"]).upper(),
        merchant=_of(request).store.sellers[intent.account].name,
    )


@post("/stripe/3ds/{token:str}", status_code=200)
async def answer_challenge(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """The holder says yes, or the bank does not believe it."""
    intent = _find(request, token, "payment_intent")
    if intent is None:
        return _missing(request)
    emulator = _of(request)
    action = intent.shown["next_action"] or {}
    if action.get("type") not in _ASKED:
        return redirect(_way_back(emulator, intent))
    typed = parse_qs((await request.body())[:_FORM_BYTES_MAX].decode("utf-8", "replace"))
    act = emulator.act(intent.account)
    try:
        is_passed = typed.get("verdict") == ["yes"]
        stripe_intents.answer_challenge(act, intent, is_passed=is_passed)
    except Refused as refused:
        emulator.announce(act)
        session = emulator.store.any_thing(intent.parent)
        if session is not None:
            return _show(request, session, str(refused.error["message"]))
        return redirect(_way_back(emulator, intent))
    emulator.announce(act)
    return redirect(_way_back(emulator, intent))


def _way_back(emulator: Emulator, intent: Thing) -> str:
    if intent.hidden.get("frames"):
        return "/stripe/element/done"
    session = emulator.store.any_thing(intent.parent)
    if session is not None and session.shown["status"] == "open":
        return f"/stripe/c/pay/{session.hidden['token']}"
    return intent.hidden["back"] or "/"


@get("/stripe/qr/{token:str}")
async def show_code(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Show what a phone sees that has scanned a code."""
    intent = _find(request, token, "payment_intent")
    return _missing(request) if intent is None else _show_code(request, intent, token)


def _show_code(request: AnyRequest, intent: Thing, token: str) -> Response[str]:
    shown, emulator = intent.shown, _of(request)
    refunded = _refunded(emulator, intent.id)
    return render(
        "stripe_code.html",
        200,
        words=_words(request),
        address=f"/stripe/qr/{token}",
        merchant=emulator.store.sellers[intent.account].name,
        title=shown["description"] or "",
        number=shown["metadata"].get("out_trade_no", ""),
        amount=write_money(shown["amount"], shown["currency"]).upper(),
        refunded=write_money(refunded, shown["currency"]).upper() if refunded else "",
        way=NAMES[shown["payment_method_types"][0]],
        is_paid=shown["status"] == "succeeded",
        is_open=shown["status"] == "requires_action",
    )


@post("/stripe/qr/{token:str}", status_code=200)
async def pay_code(request: AnyRequest, token: FromPath[str]) -> Response[str]:
    """Pay a code, or let it fail."""
    intent = _find(request, token, "payment_intent")
    if intent is None:
        return _missing(request)
    emulator = _of(request)
    typed = parse_qs((await request.body())[:_FORM_BYTES_MAX].decode("utf-8", "replace"))
    if intent.shown["status"] == "requires_action":
        act = emulator.act(intent.account)
        if typed.get("verdict") == ["fail"]:
            fail_code(act, intent)
        else:
            stripe_intents.succeed(act, intent, Card())
        emulator.announce(act)
    return redirect(f"/stripe/qr/{token}")


def fail_code(act: Act, intent: Thing) -> None:
    """Let a scanned payment fail: another method would be needed."""
    method = act.find(intent.shown["payment_method"], "payment_method", "PaymentMethod")
    code = "payment_intent_payment_attempt_failed"
    stripe_intents.decline(act, intent, method, code, "generic_decline")


PAGES = [
    api,
    show_checkout,
    pay_checkout,
    show_challenge,
    answer_challenge,
    show_code,
    pay_code,
]
