"""Saved filters: what people of a console look for again and again, saved, named and shared."""

from urllib.parse import urlencode

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    FILTER_NAME_LENGTH_MAX,
    FilterChange,
    FilterStatus,
    Permission,
    SavedFilter,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, new_id
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.lists import Chip, read_query
from vendrail.web.languages import message
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_NOTHING = message("There is nothing to save: choose a filter of the list first.")
_PROBLEMS = {
    FilterStatus.NAME_MALFORMED: message("Give it a name of at most 60 characters."),
    FilterStatus.QUERY_MALFORMED: _NOTHING,
    FilterStatus.NOT_ALLOWED: message("Only who works here saves filters here."),
    FilterStatus.NOT_FOUND: message("That filter is gone, or not yours to change."),
    FilterStatus.NAME_TAKEN: message("You have a filter of that name for this list already."),
    FilterStatus.FULL: message("There are as many filters as there may be. Remove one first."),
}


class SavedFilters:
    """The page of one console's saved filters, and the forms that save them."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, root: str) -> None:
        self._desk, self._path = desk, f"{root}/filters"
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        desk = self._desk
        return [
            desk.get(self._path, self.show, None),
            desk.post(self._path, self.save, None),
            desk.post(f"{self._path}/{{filter:str}}", self.change, None),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show what is saved in this console, by its lists."""
        return await self._show(caller)

    async def _show(
        self, caller: Caller, status: FilterStatus = FilterStatus.DONE, new: str = ""
    ) -> Page:
        problem = _PROBLEMS.get(status)
        lists: dict[str, list[Chip]] = {}
        for chip in await self._desk.saved_filters(caller):
            lists.setdefault(chip.saved.page, []).append(chip)
        return self._desk.page(
            caller,
            "console/filters.html",
            status=404 if status is FilterStatus.NOT_FOUND else 422 if problem else 200,
            lists=[(self._desk.title_of(caller, page), page, lists[page]) for page in lists],
            # What could not be saved, to be saved under another name.
            new_page=caller.written("page") if new else "",
            new_title=self._desk.title_of(caller, caller.written("page")) if new else "",
            new_query=new,
            name=caller.written("name"),
            is_shared=bool(caller.written("shared")),
            is_default=bool(caller.written("default")),
            name_max=FILTER_NAME_LENGTH_MAX,
            may_staff=caller.may(Permission.STAFF_WRITE),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def save(self, caller: Caller) -> Page:
        """Save what a list is asked for, as far as the list takes it."""
        page = caller.written("page")
        listed = self._desk.list_at(caller, page)
        if listed is None:
            return self._desk.problem(caller.request, 404, caller)
        query = listed.clean(read_query(caller.written("query", 4_000)))
        new = SavedFilter(
            new_id(self._desk.clock.now()),
            caller.person.id,
            caller.place,
            page,
            caller.written("name"),
            query,
            is_shared=bool(caller.written("shared")),
            is_default=bool(caller.written("default")),
        )
        [status] = await self._identity.save_filters([new])
        if status is not FilterStatus.DONE:
            return await self._show(caller, status, urlencode(query))
        return onward(f"{page}?{urlencode(query)}")

    async def change(self, caller: Caller) -> Page:
        """Name a filter anew, share it, let its list open by it, or delete it."""
        try:
            id = from_serial(caller.part("filter"))
        except Malformed:
            return self._desk.problem(caller.request, 404, caller)
        person, act = caller.person.id, caller.written("act")
        if act == "drop":
            [status] = await self._identity.drop_filters([(person, id)])
        elif act in {"open", "plain"}:
            choice = (person, id, act == "open")
            [status] = await self._identity.choose_default_filters([choice])
        elif act == "change":
            is_shared = bool(caller.written("shared"))
            change = FilterChange(person, id, caller.written("name"), is_shared)
            [status] = await self._identity.change_filters([change])
        else:
            return self._desk.problem(caller.request, 400, caller)
        if status is not FilterStatus.DONE:
            return await self._show(caller, status)
        return onward(self._path)
