"""A buyer's letters: kinds they do without, quiet hours, and the link that ends one kind."""

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.api.notify import LetterPreferences, LetterStop, Notify, StopStatus
from vendrail.web.letters import KINDS, read_wishes, why_wrong, zones
from vendrail.web.pages import onward
from vendrail.web.signedin import SignedIn
from vendrail.web.storefront.account import HOME, SIGN_IN
from vendrail.web.storefront.front import Asked, Front, Page
from vendrail.web.visitor import Visitor, read_form

PAGE = f"{HOME}/letters"
_KINDS = ("message_unread", "complaint_buyer")
_ENDED = (StopStatus.STOPPED, StopStatus.OPEN)


class Letters:
    """What buyers want to be written; a letter's own link needs no account."""

    def __init__(self, front: Front, notify: Notify, signed_in: SignedIn | None) -> None:
        self._front = front
        self._notify = notify
        self._signed_in = signed_in

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        stop = "/letters/off/{link:str}"
        own = [get(PAGE, name="web.letters")(self.show), post(PAGE)(self.choose)]
        return [
            *(own if self._signed_in is not None else ()),
            get(stop, name="web.letters.off")(self.look),
            post(stop, status_code=200)(self.stop),
        ]

    async def _address(self, visitor: Visitor) -> str:
        session = await self._front.session(visitor)
        return session.buyer.email if session is not None else ""

    async def show(self, request: Asked) -> Page:
        """Show what the buyer wants."""
        visitor = self._front.visitor(request)
        address = await self._address(visitor)
        if not address:
            return onward(f"{SIGN_IN}?next={PAGE}")
        [wishes] = await self._notify.read_preferences([address])
        return self._page(request, visitor, wishes)

    def _page(
        self,
        request: Asked,
        visitor: Visitor,
        wishes: LetterPreferences,
        problem: str = "",
        written: dict[str, str] | None = None,
    ) -> Page:
        front, own = self._front, self._front.settings.time_zone
        zone = wishes.zone if wishes.quiet_from is not None else own
        return front.page(
            request,
            visitor,
            "letters.html",
            status=422 if problem else 200,
            is_private=True,
            here=PAGE,
            email=wishes.address,
            wishes=wishes,
            kinds=[(each, *KINDS[each]) for each in _KINDS],
            zones=zones(own, zone),
            zone=zone,
            written=written or {},
            problem=front.pages.translate(visitor, problem) if problem else "",
            is_done=request.query_params.get("done") == "yes",
        )

    async def choose(self, request: Asked) -> Page:
        """Write what the buyer wants from now on."""
        visitor = self._front.visitor(request)
        form = await read_form(request)
        refusal = await self._front.refuse_form(request, visitor, form)
        if refusal is not None:
            return refusal
        address = await self._address(visitor)
        if not address:
            return onward(f"{SIGN_IN}?next={PAGE}")
        [before] = await self._notify.read_preferences([address])
        wished = read_wishes(form, before, _KINDS)
        status = None
        if wished is not None:
            [status] = await self._notify.put_preferences([wished])
        problem = why_wrong(status)
        if problem:
            return self._page(request, visitor, before, problem, form)
        return onward(f"{PAGE}?done=yes")

    async def look(self, request: Asked, link: FromPath[str]) -> Page:
        """Ask whether letters of this kind are to end; looking changes nothing."""
        [found] = await self._notify.read_stops([link])
        return self._stopping(request, found)

    async def stop(self, request: Asked, link: FromPath[str]) -> Page:
        """End letters of one kind: whoever holds the letter may, and mail programs do (RFC 8058).

        No token of ours is asked for: the link itself is the proof, and opens nothing else.
        """
        await read_form(request)  # Its one field says nothing; it is bounded all the same.
        [found] = await self._notify.stop_letters([link])
        return self._stopping(request, found)

    def _stopping(self, request: Asked, found: LetterStop) -> Page:
        if found.status is StopStatus.LINK_MALFORMED:
            return self._front.problem(request, 404)
        return self._front.page(
            request,
            self._front.visitor(request),
            "letters_off.html",
            is_private=True,
            here="/",
            status=200 if found.status in _ENDED else 410,
            found=found,
            kind=KINDS[found.template],
        )
