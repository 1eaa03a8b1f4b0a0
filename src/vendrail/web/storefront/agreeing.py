"""Agreeing: a buyer who is signed in lets a provider charge them, once for all, on its own page."""

from urllib.parse import quote, urlsplit

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.api.buyers import BuyerSession
from vendrail.api.payments import ActionKind, Device
from vendrail.api.payments.saved import AgreementOpening, AgreementStatus
from vendrail.kernel.errors import Unavailable
from vendrail.web.pages import onward
from vendrail.web.storefront.account import SIGN_IN, onto_page
from vendrail.web.storefront.front import Asked, Front, Page, device_kind
from vendrail.web.visitor import Visitor

_PLACE = "/account/agreements"
_APPS = frozenset({"alipays"})  # What hands an address to a wallet's own app.


class Agreeing:
    """The page from which a buyer goes to agree, and which notices that they have."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get(f"{_PLACE}/{{method:str}}", name="web.agree")(self.open),
            get(f"{_PLACE}/{{method:str}}/news", name="web.agree_news")(self.news),
        ]

    async def open(self, request: Asked, method: FromPath[str]) -> Page:
        """Show where to agree; whoever has agreed goes on."""
        front = self._front
        visitor, onto = front.visitor(request), _onto(request)
        session = await front.session(visitor)
        here = f"{_PLACE}/{quote(method[:64], safe='')}?next={quote(onto, safe='')}"
        if session is None:
            return onward(f"{SIGN_IN}?next={quote(here, safe='')}")
        device = device_kind(request)
        # Only inside the provider's app the browser that agrees is the one that is signed in.
        back = f"{front.public_url}{here}" if device is Device.ALIPAY else ""
        shown = _shown(session.buyer.email)
        asked = AgreementOpening(session.buyer.id, method[:64], device, back, shown)
        try:
            [opened] = await front.calls.payments.open_agreements([asked])
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if opened.status in (AgreementStatus.SAVED, AgreementStatus.NOT_OFFERED):
            return onward(onto)
        action = opened.action
        is_web = urlsplit(action.url).scheme in ("http", "https")
        if action.kind is ActionKind.REDIRECT and is_web and "asked" not in request.query_params:
            return onward(action.url)
        return self._page(request, visitor, session, method, onto, here, action.url, action.text)

    def _page(
        self,
        request: Asked,
        visitor: Visitor,
        session: BuyerSession,
        method: str,
        onto: str,
        here: str,
        url: str,
        code: str,
    ) -> Page:
        is_good = urlsplit(url).scheme in _APPS | {"http", "https"}
        return self._front.page(
            request,
            visitor,
            "agreement.html",
            is_private=True,
            here="/account",
            method=method,
            onto=onto,
            again=f"{here}&asked=1",
            news=f"{_PLACE}/{quote(method, safe='')}/news?next={quote(onto, safe='')}",
            was_asked="asked" in request.query_params,
            url=url if is_good else "",
            code=code,
            buyer=session.buyer,
        )

    async def news(self, request: Asked, method: FromPath[str]) -> Page:
        """Lead a page on that waits, as soon as its buyer has agreed; say nothing before."""
        front = self._front
        session = await front.session(front.visitor(request))
        if session is None:
            return Page(b"", status_code=204, media_type="text/plain")
        ways = await front.calls.saved_ways(session.buyer.id, is_fresh=True)
        if not any(each.method == method for each in ways):
            return Page(b"", status_code=204, media_type="text/plain")
        headers = {"hx-redirect": _onto(request), "cache-control": "no-store"}
        return Page(b"", status_code=200, media_type="text/plain", headers=headers)


def _shown(email: str) -> str:
    """Name an account so that its owner knows it, on a page that others may open."""
    local, _, domain = email.partition("@")
    return f"{local[:2]}***@{domain}"


def _onto(request: Asked) -> str:
    return onto_page(request.query_params.get("next", ""))
