"""The pay door: where an attempt is signed by its provider's rules, at the moment it is opened."""

import re
from urllib.parse import urlsplit

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.api.orders import OrderId, OrderQuery
from vendrail.api.payments import ActionKind, Attempt, AttemptId, PaymentAction, PresentRequest
from vendrail.api.payments.deposits import DepositView
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import to_serial
from vendrail.web.languages import message
from vendrail.web.pages import Embedded, onward
from vendrail.web.storefront.front import Asked, Front, Page, device_kind
from vendrail.web.storefront.tracking import read_serial
from vendrail.web.visitor import Visitor

_ORIGIN = re.compile(r"https?://(\*\.)?[a-z0-9.-]+(:[0-9]{1,5})?")
_RETURNED_LENGTH_MAX = 1_024  # Of what a provider adds to the door's address.
_SAYS = {
    "captured": (
        message("This is paid already"),
        message("The payment has arrived. Nothing more is to pay here."),
    ),
    "closed": (
        message("This can no longer be paid"),
        message("The time to pay is over. Nothing was charged here."),
    ),
    "other_device": (
        message("This was opened on another device"),
        message("It goes on there alone. Nothing was charged here; choose another way to pay."),
    ),
    "provider_away": (
        message("The payment provider does not answer"),
        message("Nothing was charged. Try again in a moment, or choose another way to pay."),
    ),
}
# What is said of a card, by the provider's code for it; what is not known here reads as the first.
_CARD_SAYS = {
    "": message("The card was declined. Nothing was charged; try another card."),
    "insufficient_funds": message(
        "The card does not have enough money. Nothing was charged; try another card."
    ),
    "expired_card": message("The card has expired. Nothing was charged; try another card."),
    "incorrect_cvc": message("The security code is wrong. Nothing was charged; look at it again."),
    "incorrect_number": message("The card number is wrong. Nothing was charged; look at it again."),
    "invalid_expiry": message("The expiry date is wrong. Nothing was charged; look at it again."),
    "authentication": message(
        "Your bank did not confirm that it is you. Nothing was charged; try again, or another card."
    ),
    "processing_error": message(
        "The card could not be processed just now. Nothing was charged; try again in a moment."
    ),
    "incomplete": message("Something is missing. Look at the marked fields."),
    "away": message(
        "The payment provider does not answer. Wait a moment, then try again: you pay once at most."
    ),
}


class Door:
    """Opens attempts: for our own pages, and for whoever got the address from the API."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the route of the door."""
        return [get("/pay/{serial:str}/{attempt:str}", name="web.door")(self.open)]

    async def open(self, request: Asked, serial: FromPath[str], attempt: FromPath[str]) -> Page:
        """Sign the way to pay, and send the buyer on or show what to scan."""
        front = self._front
        order_id, attempt_id = read_serial(serial), read_serial(attempt)
        if order_id is None or attempt_id is None:
            return front.problem(request, 404)
        visitor, is_own = front.visitor(request), False
        deposit: DepositView | None = None
        try:
            if not await front.is_here(visitor, order_id):
                return front.problem(request, 404)
            known = await front.calls.attempts(order_id)
            found = next((each.attempt for each in known if each.attempt.id == attempt_id), None)
            if found is None:
                return front.problem(request, 404)
            origin = front.origin(visitor)
            order = f"{origin}/orders/{to_serial(order_id)}"
            session = await front.session(visitor)
            is_own = await self._is_own(visitor, order_id)
            asked = PresentRequest(
                found.id,
                device_kind(request),
                found.return_url or order,
                order,
                front.address_of(request.scope),
                f"{origin}/pay/{serial}/{attempt}",
                request.url.query[:_RETURNED_LENGTH_MAX],
                session.buyer.id if session is not None else None,
                is_own,
            )
            action = await front.calls.present(asked)
            if action.kind is ActionKind.ADDRESS:
                deposit = await front.calls.deposit(AttemptId(action.attempt or found.id))
        except Unavailable:
            action = PaymentAction(ActionKind.NONE, problem="provider_away")
            found = None
        if action.kind is ActionKind.REDIRECT and _is_web(action.url):
            return onward(action.url)
        return self._page(request, visitor, serial, found, action, deposit, is_own=is_own)

    async def _is_own(self, visitor: Visitor, order: OrderId) -> bool:
        """Tell whether a browser holds the order's secret: others look, and change nothing."""
        secret = visitor.order_secret
        return (
            bool(secret) and await self._front.read(visitor, OrderQuery(order, secret)) is not None
        )

    def _page(
        self,
        request: Asked,
        visitor: Visitor,
        serial: str,
        attempt: Attempt | None,
        action: PaymentAction,
        deposit: DepositView | None,
        *,
        is_own: bool,
    ) -> Page:
        front = self._front
        title, advice = _SAYS.get(action.problem, _SAYS["closed"])
        is_away = action.problem == "provider_away"
        headers = {"retry-after": "5"} if is_away else {}
        forms_to = ""
        if action.kind is ActionKind.FORM and _is_web(action.url):
            parts = urlsplit(action.url)
            forms_to = f"{parts.scheme}://{parts.netloc}"
        embedded = _embedded(action) if action.kind is ActionKind.EMBED else None
        if embedded is not None:
            # Wallets of the browser open from the provider's frames, and its bank in a window.
            sources = " ".join(f'"{each}"' for each in embedded.frames.split())
            headers["permissions-policy"] = (
                f"camera=(), microphone=(), geolocation=(), payment=(self {sources}), usb=()"
            )
            headers["cross-origin-opener-policy"] = "same-origin-allow-popups"
        return front.page(
            request,
            visitor,
            "door.html",
            status=503 if is_away else 200,
            headers=headers,
            is_private=True,
            forms_to=forms_to,
            embedded=embedded,
            said={code: front.pages.translate(visitor, words) for code, words in _CARD_SAYS.items()}
            if embedded
            else {},
            here=f"/orders/{serial}",
            attempt=attempt,
            action=action,
            deposit=deposit,
            title=front.pages.translate(visitor, title),
            advice=front.pages.translate(visitor, advice),
            is_away=is_away,
            is_own=is_own,
            back=f"/orders/{serial}",
            way_back=f"{front.origin(visitor)}/orders/{serial}",
        )


def _embedded(action: PaymentAction) -> Embedded | None:
    """Say what a page with a provider's own form lets in; None where that could end a header."""
    script = urlsplit(action.url)
    scripts = f"{script.scheme}://{script.netloc}"
    frames, calls = action.fields.get("frames", ""), action.fields.get("calls", "")
    origins = [scripts, *frames.split(), *calls.split()]
    is_good = _is_web(action.url) and all(_ORIGIN.fullmatch(each) for each in origins)
    return Embedded(scripts, frames or scripts, calls or scripts) if is_good else None


def _is_web(url: str) -> bool:
    """Whether an address is one of the web's, with nothing in it that could end a header."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_plain = url.isprintable() and not set(" \"'<>;,\\") & set(parts.netloc)
    return parts.scheme in ("https", "http") and bool(parts.netloc) and is_plain
