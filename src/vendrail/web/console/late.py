"""Forms that come too late: what was typed is kept, and its page is filled with it again."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote
from uuid import UUID

from vendrail.api.identity import KeptForm, KeptFormQuery
from vendrail.kernel.errors import Malformed
from vendrail.kernel.http import limit_key
from vendrail.kernel.ids import from_serial, new_id, to_serial
from vendrail.web.console import refill
from vendrail.web.console.apis import Apis
from vendrail.web.console.caller import Caller
from vendrail.web.languages import message
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Front, Page
from vendrail.web.uploads import read_typed
from vendrail.web.visitor import Visitor, read_form

_KEPT = "kept"  # Of an address: which kept form the page is to be filled with.
_UNSENT = message("Nothing was sent yet. Look it over, then press once more.")
_LOST = message("Nothing was sent, and the form is not here any more. This is what was typed:")
_FILE_AGAIN = message("Choose the file again.")
_SECRET_AGAIN = message("Type what is secret again.")


class LateForms:
    """Keeps forms that could not be taken, and fills their pages with them."""

    def __init__(self, front: Front, apis: Apis, sign_in: str) -> None:
        self._front, self._apis, self._sign_in = front, apis, sign_in
        self._pages: dict[str, re.Pattern[str]] = {}  # By their paths, as routes have them.
        self._forms: set[str] = set()

    def add_page(self, path: str, pattern: re.Pattern[str]) -> None:
        """Make a page known that may be come back to."""
        self._pages[path] = pattern

    def add_form(self, path: str) -> None:
        """Make an address known that forms are sent to."""
        self._forms.add(path)

    def is_from_here(self, request: Asked, visitor: Visitor) -> bool:
        """Whether a form without a good token is ours all the same, in a browser that is known."""
        return not visitor.is_new and self._front.visitors.is_from_here(request.headers)

    async def turn_back(self, request: Asked, page: Page, back: str, *, is_streamed: bool) -> Page:
        """Keep what comes after the session has ended, where a page leads to signing in."""
        visitor = self._front.visitor(request)
        if page.headers.get("location") != self._sign_in or visitor.is_new:
            return page
        if await self._is_too_often(limit_key(self._front.address_of(request.scope))):
            return page
        form = {} if is_streamed else await read_form(request)
        token = form.get("form_token", request.query_params.get("form_token", ""))
        is_ours = self._front.visitors.is_own_form(visitor, request.headers, token)
        if not is_ours and not self.is_from_here(request, visitor):
            return page
        filled = await self.keep(request, visitor, form, None, back, is_streamed=is_streamed)
        return self.known_again(onward(f"{self._sign_in}?next={quote(filled)}"), visitor)

    async def keep_of(
        self, caller: Caller, form: Mapping[str, str], back: str, *, is_streamed: bool
    ) -> str:
        """Keep what somebody who is signed in has typed, for them alone; not without bound."""
        request, person = caller.request, caller.person.id
        if await self._is_too_often(str(person)):
            return self._page_at(back)
        return await self.keep(request, caller.visitor, form, person, back, is_streamed=is_streamed)

    async def _is_too_often(self, who: str) -> bool:
        limit = self._apis.act_limit
        return limit is not None and bool(await limit(f"kept:{who}"))

    async def keep(
        self,
        request: Asked,
        visitor: Visitor,
        form: Mapping[str, str],
        person: UUID | None,
        back: str,
        *,
        is_streamed: bool,
    ) -> str:
        """Keep what was typed; give the page that it was typed on, to be filled with it again."""
        typed, has_file = dict(form), False
        if is_streamed and "urlencoded" in request.headers.get("content-type", ""):
            typed = await read_form(request)
        elif is_streamed:
            typed, has_file = await read_typed(request)
        fields, is_less = refill.without_secrets(typed)
        if is_less:
            fields[refill.TYPED_AGAIN] = "yes"
        id = new_id(self._front.clock.now())
        kept = KeptForm(id, _secret_of(visitor), request.url.path, fields, person, has_file)
        [is_kept] = await self._apis.identity.keep_forms([kept])
        path, _, asked = self._page_at(back).partition("?")
        query = [pair for pair in asked.split("&") if pair and not pair.startswith(f"{_KEPT}=")]
        if is_kept:
            query.append(f"{_KEPT}={to_serial(id)}")
        return f"{path}?{'&'.join(query)}" if query else path

    def _page_at(self, address: str) -> str:
        """Give the page of an address; where only a form is sent to it, the page above it."""
        path, _, _ = address.partition("?")
        if self._is_page(path):
            return address
        while path.count("/") > 1 and not self._is_page(path):
            path = path.rpartition("/")[0]
        return path

    def _is_page(self, path: str) -> bool:
        is_named = path in self._pages
        is_form = path in self._forms and not is_named
        return is_named or (not is_form and any(e.fullmatch(path) for e in self._pages.values()))

    @staticmethod
    def known_again(page: Page, visitor: Visitor) -> Page:
        """Give a browser that has none the mark by which what was kept is found again."""
        if visitor.mark_cookie is not None:
            page.set_cookie(visitor.mark_cookie)
        return page

    async def find(self, request: Asked, person: UUID) -> KeptForm | None:
        """Give the kept form that an address asks for: of this browser, and of no other person."""
        serial = request.query_params.get(_KEPT, "")[:40]
        try:
            id = from_serial(serial) if serial else None
        except Malformed:
            return None
        if id is None:
            return None
        query = KeptFormQuery(id, _secret_of(self._front.visitor(request)))
        [kept] = await self._apis.identity.read_kept_forms([query])
        return kept if kept is not None and kept.person in (None, person) else None

    @staticmethod
    def fill(page: Page, kept: KeptForm, say: Callable[[str], str]) -> Page:
        """Fill the form of a page with what was kept of it, and say what is still to be done."""
        if page.media_type != "text/html" or not isinstance(page.content, bytes):
            return page
        words = [_UNSENT]
        words += [_FILE_AGAIN] if kept.has_file else []
        words += [_SECRET_AGAIN] if refill.TYPED_AGAIN in kept.fields else []
        word, text = " ".join(map(say, words)), page.content.decode()
        page.content = refill.fill(text, kept.address, kept.fields, word, say(_LOST)).encode()
        return page


def _secret_of(visitor: Visitor) -> str:
    """Give what only this browser has: its device cookie alone a neighbour domain could choose."""
    return f"{visitor.device}.{visitor.mark}"
