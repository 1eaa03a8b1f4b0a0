"""Go to: any page of a console by a word of its name, or whatever a number names."""

from litestar.handlers import HTTPRouteHandler

from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.finding import WORDS_MAX
from vendrail.web.console.lists import Chip
from vendrail.web.storefront.front import Page


class Palette:
    """The page of one console that leads to all others; with scripts it is a window over them."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, root: str) -> None:
        self._desk = desk
        self._path = f"{root}/go"

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        return [
            self._desk.get(self._path, self.show, None),
            self._desk.get(f"{self._path}/saved", self.saved, None),
        ]

    async def show(self, caller: Caller) -> Page:
        """List the pages that the caller may see and whose names have the words asked for."""
        words = caller.asked("q", WORDS_MAX)
        return self._desk.page(
            caller,
            "console/go.html",
            words=words,
            fitting=self._desk.find_pages(caller, words),
            saved=await self._saved(caller, words),
        )

    async def saved(self, caller: Caller) -> Page:
        """Give the saved filters as rows for the window, which asks for them once it is open."""
        return self._desk.page(caller, "console/go_saved.html", saved=await self._saved(caller, ""))

    async def _saved(self, caller: Caller, words: str) -> list[tuple[str, Chip]]:
        """Find saved filters by words of their names or of their lists'."""
        asked = words.casefold().split()
        chips = await self._desk.saved_filters(caller)
        found = [(self._desk.title_of(caller, each.saved.page), each) for each in chips]
        return [
            (title, each)
            for title, each in found
            if all(word in f"{each.saved.name} {title}".casefold() for word in asked)
        ]
