"""The guard before every page of the consoles, and the layout around it.

A page is only ever registered through `Desk.get` and `Desk.post`, which name the permission that
it needs: no page can be reached past the guard, and no form be sent from elsewhere.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace as alike
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import structlog
from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    FilterQuery,
    Origin,
    Permission,
    PersonState,
    Session,
    SessionQuery,
    SessionStage,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http import key_domain
from vendrail.web.console import lists
from vendrail.web.console.apis import Apis
from vendrail.web.console.beside import FilesBeside
from vendrail.web.console.caller import CONSOLE, MERCHANT, OPERATOR, Caller, place_of
from vendrail.web.console.exports import watched
from vendrail.web.console.late import LateForms
from vendrail.web.console.lists import Chip, Fields, Listed
from vendrail.web.console.problems import words_of
from vendrail.web.console.sections import in_sections, shows
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Front, Page
from vendrail.web.visitor import Visitor, local_path, read_form

_log = structlog.get_logger(__name__)

SIGN_IN, CODE, FACTOR, CONFIRM = (
    "/console/sign-in",
    "/console/code",
    "/console/factor",
    "/console/confirm",
)
FRESH = timedelta(minutes=30)  # How long after a proof grave acts need no other.
_STAGES = {SessionStage.FACTOR: CODE, SessionStage.ENROLMENT: FACTOR}
Answer = Callable[[Caller], Awaitable[Page]]


class Entry(NamedTuple):
    """A page as the navigation shows it, to whoever holds the permission."""

    path: str
    title: str  # Marked by `message`.
    icon: str
    permission: Permission | None = None


class Room(Protocol):
    """Some pages that belong together, and their rows in the navigation."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Give the rows."""
        ...

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages, made by `Desk.get` and `Desk.post`."""
        ...


class Desk:
    """Guards the pages of both consoles and writes the layout around them."""

    def __init__(self, front: Front, apis: Apis) -> None:
        self.front = front
        self.apis = apis
        self.clock = front.clock
        self._entries: list[Entry] = []
        self._lists: list[Listed] = []
        self._late = LateForms(front, apis, SIGN_IN)
        self.files = FilesBeside()
        is_https = front.public_url.startswith("https://")
        self._is_secure = is_https
        self.has_passkeys = bool(key_domain(front.public_url))
        # A name with __Host- cannot be set by a neighbour domain or over plain HTTP.
        self.cookie_name = "__Host-vendrail-session" if is_https else "vendrail-session"

    def open(self, rooms: Sequence[Room]) -> list[HTTPRouteHandler]:
        """Put rooms into the navigation, in their order, and give their routes."""
        handlers: list[HTTPRouteHandler] = []
        for room in rooms:
            self._entries += room.entries
            handlers += room.handlers()
        return handlers

    def get(
        self,
        path: str,
        answer: Answer,
        permission: Permission | None,
        *,
        is_grave: bool = False,
        fields: Fields | None = None,
    ) -> HTTPRouteHandler:
        """Register a page; `permission` None: for whoever is signed in. Grave ones as in `post`.

        `fields`: it is a list, and these are what its form asks; people save filters for it.
        """
        self._late.add_page(path, lists.list_of(path, permission, {}).pattern)
        listed = lists.list_of(path, permission, fields) if fields is not None else None
        self._lists += [listed] if listed is not None else []

        async def handle(request: Asked) -> Page:
            gate = await self.who_may(request, permission)
            if isinstance(gate, Response):
                return gate
            if is_grave and self._is_stale(gate):
                return self._kept(gate, onward(f"{CONFIRM}?next={quote(_whole(request))}"))
            if listed is not None:
                gate = await self._with_filters(gate, listed)
                if not request.url.query and gate.filters and gate.filters.opens_by:
                    return self._kept(gate, onward(gate.filters.opens_by))
            kept = await self._late.find(request, gate.person.id)
            if kept is None:
                return self._kept(gate, self._watched(gate, await answer(gate), permission))
            page = await answer(alike(gate, kept=kept.fields))
            return self._kept(gate, self._late.fill(page, kept, partial(self.say, gate)))

        return get(path, name=f"console.get.{path}")(handle)

    async def _with_filters(self, caller: Caller, listed: Listed) -> Caller:
        """Give the caller with what they have saved for the list that they ask for."""
        page, query = caller.request.url.path, caller.request.url.query
        asked = FilterQuery(caller.person.id, caller.place, page)
        [saved] = await self.apis.identity.list_filters([asked])
        return alike(
            caller, filters=lists.list_filters(listed, page, lists.read_query(query), saved)
        )

    def list_at(self, caller: Caller, page: str) -> Listed | None:
        """Give the list at a path of the caller's console, if they may see it."""
        root = self.root_of(caller)
        if not page.startswith(f"{root}/"):
            return None
        found = next((each for each in self._lists if each.pattern.fullmatch(page)), None)
        if found is None or not (found.permission is None or caller.may(found.permission)):
            return None
        return found

    async def saved_filters(self, caller: Caller) -> list[Chip]:
        """Give all filters that the caller finds in this console, of lists that they may see."""
        asked = FilterQuery(caller.person.id, caller.place)
        [saved] = await self.apis.identity.list_filters([asked])
        known = {each.page: self.list_at(caller, each.page) for each in saved}
        chips = [lists.chip_of(at, each) for each in saved if (at := known[each.page]) is not None]
        return [each for each in chips if each is not None]

    def title_of(self, caller: Caller, page: str) -> str:
        """Name the row of the navigation that a page is below, in the language of who asks."""
        current = self._current(page)
        return next((self.say(caller, e.title) for e in self._entries if e.path == current), "")

    @staticmethod
    def root_of(caller: Caller) -> str:
        """Give where the console begins that a page belongs to."""
        return next(e for e in (OPERATOR, MERCHANT) if caller.request.url.path.startswith(e))

    def post(
        self,
        path: str,
        answer: Answer,
        permission: Permission | None,
        *,
        is_grave: bool = False,
        is_streamed: bool = False,
    ) -> HTTPRouteHandler:
        """Register a form's address; grave ones want a proof that is fresh.

        Of a streamed one the body is left to the page, its token comes in the query `form_token`.
        """
        self._late.add_form(path)

        async def handle(request: Asked) -> Page:
            gate = await self.who_may(request, permission)
            if isinstance(gate, Response):
                back = self.back(request)
                return await self._late.turn_back(request, gate, back, is_streamed=is_streamed)
            page = await self._take(gate, answer, is_grave, is_streamed)
            return self._kept(gate, self._watched(gate, page, permission))

        return post(path, name=f"console.post.{path}")(handle)

    async def _take(
        self,
        caller: Caller,
        answer: Answer,
        is_grave: bool,  # noqa: FBT001  # As the route says.
        is_streamed: bool,  # noqa: FBT001
    ) -> Page:
        request = caller.request
        query = {"form_token": request.query_params.get("form_token", "")}
        form = query if is_streamed else await read_form(request)
        token, back = form.get("form_token", ""), self.back(request)
        keep = partial(self._late.keep_of, caller, form, back, is_streamed=is_streamed)
        if not self.front.visitors.is_own_form(caller.visitor, request.headers, token):
            if not self._late.is_from_here(request, caller.visitor):
                return self.problem(request, 403, caller)
            return self._late.known_again(onward(await keep()), caller.visitor)
        if is_grave and self._is_stale(caller):
            return onward(f"{CONFIRM}?next={quote(await keep())}")
        return await answer(replace_form(caller, form))

    def _watched(self, caller: Caller, page: Page, permission: Permission | None) -> Page:
        if permission is None:
            return page
        return watched(page, self.clock.now, partial(self.still_may, caller, permission))

    def _is_stale(self, caller: Caller) -> bool:
        return self.clock.now() - caller.session.confirmed_at > FRESH

    async def who_may(self, request: Asked, permission: Permission | None) -> Caller | Page:
        """Give who asks, if they may; else the page that says no or leads to signing in.

        Whose place it is not, learns nothing: for them it is not there.
        """
        visitor = self.front.visitor(request)
        session, token = await self.session(request, visitor)
        path = request.url.path
        if session is None:
            if request.method != "GET":
                return onward(SIGN_IN)
            return onward(f"{SIGN_IN}?next={quote(_whole(request))}")
        caller = Caller(request, visitor, session, token, place_of(session, path))
        if session.stage in _STAGES:
            return self._kept(caller, onward(_STAGES[session.stage]))
        is_of_place = path.startswith((OPERATOR, MERCHANT))
        if is_of_place and caller.membership is None:
            return self._kept(caller, self.problem(request, 404, caller))
        if permission is not None and not caller.may(permission):
            return self._kept(caller, self.problem(request, 403, caller))
        return caller

    async def still_may(self, caller: Caller, permission: Permission) -> bool:
        """Whether whoever was let through may still go on: for what outlives its request.

        The session is only looked at: asking with its token would renew it, and keep it awake.
        """
        [sessions] = await self.apis.identity.list_sessions([caller.person.id])
        session = next((each for each in sessions if each.id == caller.session.id), None)
        place = caller.membership
        if session is None or place is None or session.stage in _STAGES:
            return False
        return session.person.state is PersonState.ACTIVE and any(
            each.merchant == place.merchant and permission in each.permissions
            for each in session.person.memberships
        )

    async def session(self, request: Asked, visitor: Visitor) -> tuple[Session | None, str]:
        """Give the session that the browser's cookie opens, and the token to go on with."""
        token = visitor.cookies.get(self.cookie_name, "")[:100]
        if not token:
            return None, ""
        query = SessionQuery(token, self.origin(request, visitor))
        [session] = await self.apis.identity.read_sessions([query])
        if session is None:
            return None, ""
        origin = replace(query.origin, device="")
        return replace(session, origin=origin), session.token or token

    async def own_form(self, request: Asked, visitor: Visitor) -> dict[str, str] | None:
        """Read a form that one of our pages sent, of somebody not signed in; None: it did not."""
        form = await read_form(request)
        token = form.get("form_token", "")
        is_ours = self.front.visitors.is_own_form(visitor, request.headers, token)
        return form if is_ours else None

    def origin(self, request: Asked, visitor: Visitor) -> Origin:
        """Give from where a request comes."""
        agent = request.headers.get("user-agent", "")[:300]
        return Origin(self.front.address_of(request.scope), agent, visitor.device)

    def cookie(self, token: str) -> Cookie:
        """Make the cookie that opens a session, until the browser is closed; empty: none."""
        return Cookie(
            key=self.cookie_name,
            value=token,
            path="/",
            max_age=None if token else 0,
            httponly=True,
            secure=self._is_secure,
            samesite="lax",
        )

    def _kept(self, caller: Caller, page: Page) -> Page:
        """Give the browser a token that took the place of the one it came with."""
        has_own = any(each.key == self.cookie_name for each in page.cookies)
        if caller.session.token and not has_own:
            page.set_cookie(self.cookie(caller.token))
        return page

    def page(
        self, caller: Caller, template: str, *, status: int = 200, path: str = "", **context: Any
    ) -> Page:
        """Answer with a page in the layout of its console; `path`: which row is current."""
        here = path or caller.request.url.path
        root = next((each for each in (OPERATOR, MERCHANT) if here.startswith(each)), "")
        membership = caller.membership
        if not root:
            is_operator = membership is not None and membership.merchant is None
            root = OPERATOR if is_operator else MERCHANT
        rows = [each for each in self._entries if shows(each, root, caller)]
        return self.front.page(
            caller.request,
            caller.visitor,
            template,
            status=status,
            is_private=True,
            me=caller,
            root=root,
            rows=rows,
            sections=in_sections(self._entries, rows),
            current=self._current(here),
            has_passkeys=self.has_passkeys,
            places=caller.person.memberships,
            filters=caller.filters,
            saved_files=self.files.of(caller),
            **context,
        )

    def find_pages(self, caller: Caller, words: str) -> list[Entry]:
        """Find pages of the navigation that the caller may see, by words of their names."""
        root, asked = self.root_of(caller), words.casefold().split()
        shown = [each for each in self._entries if shows(each, root, caller)]
        names = [self.say(caller, each.title).casefold() for each in shown]
        return [
            each
            for each, name in zip(shown, names, strict=True)
            if all(word in name for word in asked)
        ]

    def _current(self, here: str) -> str:
        """Give the row that a page is below: the longest that fits."""
        fitting = [e.path for e in self._entries if here == e.path or here.startswith(e.path + "/")]
        return max(fitting, key=len, default="")

    def plain(
        self,
        request: Asked,
        visitor: Visitor,
        template: str,
        *,
        status: int = 200,
        problem: str = "",
        **context: Any,
    ) -> Page:
        """Answer with a page outside of the consoles: signing in and its like."""
        return self.front.page(
            request,
            visitor,
            template,
            status=status,
            is_private=True,
            has_passkeys=self.has_passkeys,
            problem=self.front.pages.translate(visitor, problem) if problem else "",
            **context,
        )

    def kept(self, session: Session, token: str) -> list[Cookie]:
        """Give the cookie that a page sets where the session has just got another token."""
        return [self.cookie(token)] if session.token else []

    async def turn_away(self, caller: Caller) -> Page | None:
        """Turn a person away who has the log written again and again; None: they may go on.

        The log is chained and kept for good: nobody makes it grow without bound.
        """
        limit = self.apis.act_limit
        if limit is None or not await limit(str(caller.person.id)):
            return None
        return self.problem(caller.request, 429, caller)

    def problem(self, request: Asked, status: int, caller: Caller | None = None) -> Page:
        """Answer with the page for a status."""
        title, advice = words_of(status)
        visitor = caller.visitor if caller else self.front.visitor(request)
        said = self.front.pages.translate
        return self.plain(
            request,
            visitor,
            "console/problem.html",
            status=status,
            title=said(visitor, title),
            advice=said(visitor, advice),
        )

    def answer_error(self, request: Asked, error: Exception) -> Page:
        """Answer with a page that says what to do; what broke is logged, never shown."""
        if isinstance(error, HTTPException):
            return self.problem(request, error.status_code)
        if isinstance(error, Malformed):
            return self.problem(request, 400)
        if isinstance(error, Unavailable):
            return self.problem(request, 503)
        _log.error("console.broken", path=request.url.path, exc_info=error)
        return self.problem(request, 500)

    def say(self, caller: Caller, text: str) -> str:
        """Say a marked message in the language of who asks."""
        return self.front.pages.translate(caller.visitor, text)

    @staticmethod
    def back(request: Asked) -> str:
        """Give the page of ours that a form was sent from; else where its console begins."""
        sent_from = request.headers.get("referer", "")
        path = sent_from.partition("://")[2].partition("/")[2]
        return safe_next(f"/{path}") or "/console"


def _whole(request: Asked) -> str:
    """Give the address that was asked for, with its query."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def safe_next(path: str) -> str:
    """Give back a page of the consoles to go on to; empty for anything else."""
    cleaned = local_path(path[:500])
    roots = (OPERATOR, MERCHANT, CONSOLE)
    is_ours = any(cleaned == root or cleaned.startswith((f"{root}/", f"{root}?")) for root in roots)
    return cleaned if is_ours else ""


def replace_form(caller: Caller, form: dict[str, str]) -> Caller:
    """Give the caller with the form that they have sent."""
    return alike(caller, form=form)
