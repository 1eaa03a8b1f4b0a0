"""Following a link that came by mail: joining by it, or setting the password anew."""

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Link, LinkKind, LinkUse, ProofResult, ProofStatus
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.signing import LIMITED
from vendrail.web.languages import message
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Page
from vendrail.web.visitor import Visitor

_UNLIKE = message("The two passwords are not the same.")
_WHY = {
    ProofStatus.TOO_SHORT: message("The password is too short: 12 characters at least."),
    ProofStatus.TOO_LONG: message("The password is too long: 256 characters at most."),
    ProofStatus.TOO_COMMON: message("That password is easily guessed. Take a few words of yours."),
}
_REFUSED = message("That is not the password of this address, or the link was used meanwhile.")


def why_refused(result: ProofResult, wrong: str) -> str:
    """Say why a new password was not taken."""
    if result.status is ProofStatus.LIMITED:
        return LIMITED
    return _WHY.get(result.status, wrong)


class Joining:
    """The page that a mailed link opens."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get("/join/{token:str}", name="console.join")(self.look),
            post("/join/{token:str}", name="console.join.post")(self.join),
        ]

    async def look(self, request: Asked) -> Page:
        """Show what the link is good for."""
        visitor = self._desk.front.visitor(request)
        link = await self._link(request)
        return self._page(request, visitor, link, status=200 if link else 404)

    async def _link(self, request: Asked) -> Link | None:
        token = str(request.path_params["token"])[:100]
        [link] = await self._identity.read_links([token])
        return link

    def _page(
        self,
        request: Asked,
        visitor: Visitor,
        link: Link | None,
        *,
        status: int = 200,
        problem: str = "",
        name: str = "",
    ) -> Page:
        return self._desk.plain(
            request,
            visitor,
            "console/join.html",
            status=status,
            headers={"referrer-policy": "no-referrer"},  # The address is the secret.
            link=link,
            is_reset=link is not None and link.kind is LinkKind.RESET,
            is_known=link is not None and link.kind is LinkKind.INVITATION and link.is_known,
            name=name,
            problem=problem,
        )

    async def join(self, request: Asked) -> Page:
        """Follow the link with a password; it opens a session."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        link = await self._link(request)
        if link is None:
            return self._page(request, visitor, None, status=404)
        password, name = form.get("password", "")[:1_000], form.get("name", "").strip()[:80]
        is_new = link.kind is LinkKind.RESET or not link.is_known
        if is_new and password != form.get("again", "")[:1_000]:
            return self._page(request, visitor, link, status=422, problem=_UNLIKE, name=name)
        use = LinkUse(
            str(request.path_params["token"])[:100],
            password,
            name,
            visitor.language.tag,
            desk.origin(request, visitor),
        )
        [result] = await self._identity.use_links([use])
        if result.status is not ProofStatus.ACCEPTED:
            status = 429 if result.status is ProofStatus.LIMITED else 422
            problem = why_refused(result, _REFUSED)
            return self._page(request, visitor, link, status=status, problem=problem, name=name)
        return onward("/console", [desk.cookie(result.token)])
