"""Stripe's form on a merchant's page: its script, and the frame where a card is typed.

The script runs in the merchant's page and knows names of things; the number is in the frame, whose
origin is ours, and goes from there to the API.
"""

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, get

from vendrail.sandbox.pages import read_asset, render

AnyRequest = Request[Any, Any, Any]
_SCRIPT = "text/javascript"

# By the locale that the merchant's page names.
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "ways": "How to pay", "card": "Card", "number": "Card number",
        "expiry": "Expiry (MM/YY)", "cvc": "Security code",
        "number_wrong": "Your card number is incomplete.",
        "expiry_wrong": "Your card's expiration date is incomplete.",
        "cvc_wrong": "Your card's security code is incomplete.",
        "hint": "A test card: 4242 4242 4242 4242, any later month, any code.",
    },
    "zh": {
        "ways": "付款方式", "card": "银行卡", "number": "卡号", "expiry": "有效期（月/年）",
        "cvc": "安全码", "number_wrong": "卡号不完整。", "expiry_wrong": "有效期不完整。",
        "cvc_wrong": "安全码不完整。",
        "hint": "测试卡：4242 4242 4242 4242，任意未来月份，任意安全码。",
    },
    "zh-TW": {
        "ways": "付款方式", "card": "信用卡", "number": "卡號", "expiry": "有效期限（月/年）",
        "cvc": "安全碼", "number_wrong": "卡號不完整。", "expiry_wrong": "有效期限不完整。",
        "cvc_wrong": "安全碼不完整。",
        "hint": "測試卡：4242 4242 4242 4242，任一未來月份，任一安全碼。",
    },
    "ja": {
        "ways": "支払い方法", "card": "カード", "number": "カード番号",
        "expiry": "有効期限（月/年）", "cvc": "セキュリティコード",
        "number_wrong": "カード番号に不備があります。",
        "expiry_wrong": "有効期限に不備があります。",
        "cvc_wrong": "セキュリティコードに不備があります。",
        "hint": "テストカード：4242 4242 4242 4242、将来の任意の月、任意のコード。",
    },
    "ko": {
        "ways": "결제 수단", "card": "카드", "number": "카드 번호", "expiry": "유효기간(월/년)",
        "cvc": "보안 코드", "number_wrong": "카드 번호가 완전하지 않습니다.",
        "expiry_wrong": "유효기간이 완전하지 않습니다.",
        "cvc_wrong": "보안 코드가 완전하지 않습니다.",
        "hint": "테스트 카드: 4242 4242 4242 4242, 이후의 아무 달, 아무 코드.",
    },
    "es": {
        "ways": "Forma de pago", "card": "Tarjeta", "number": "Número de tarjeta",
        "expiry": "Caducidad (MM/AA)", "cvc": "Código de seguridad",
        "number_wrong": "El número de tarjeta está incompleto.",
        "expiry_wrong": "La fecha de caducidad está incompleta.",
        "cvc_wrong": "El código de seguridad está incompleto.",
        "hint": "Una tarjeta de prueba: 4242 4242 4242 4242, cualquier mes futuro y código.",
    },
}  # fmt: skip


@get(["/stripe/js/v3", "/stripe/js/v3/"])
async def show_script() -> Response[bytes]:
    """Give what a merchant's page loads as js.stripe.com/v3 would give it."""
    return Response(read_asset("stripe.js"), media_type=_SCRIPT)


@get("/stripe/element")
async def show_element(request: AnyRequest) -> Response[str]:
    """Show the frame in which a card is typed."""
    locale = request.query_params.get("locale", "en")
    return render(
        "stripe_element.html",
        200,
        is_framed=True,
        locale=locale if locale in WORDS else "en",
        words=WORDS.get(locale, WORDS["en"]),
        is_dark=request.query_params.get("theme") == "night",
    )


@get("/stripe/element/element.js")
async def show_element_script() -> Response[bytes]:
    """Give the script of the frame."""
    return Response(read_asset("stripe_element.js"), media_type=_SCRIPT)


@get("/stripe/element/element.css")
async def show_element_style() -> Response[bytes]:
    """Give the style sheet of the frame."""
    return Response(read_asset("stripe_element.css"), media_type="text/css")


@get("/stripe/element/done")
async def show_done() -> Response[str]:
    """Tell the merchant's page that the bank has been answered."""
    return render("stripe_done.html", 200, is_framed=True)


ELEMENT = [show_script, show_element, show_element_script, show_element_style, show_done]
