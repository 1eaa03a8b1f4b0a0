"""Where people begin: which place this is, what they are there, and what they may do."""

from litestar.handlers import HTTPRouteHandler

from vendrail.web.console.caller import OPERATOR, Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.storefront.front import Page


class Home:
    """The first page of a console."""

    def __init__(self, desk: Desk, root: str) -> None:
        self._desk = desk
        self._root = root
        self.entries = (Entry(root, message("Home"), "home"),)

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the route of the page."""
        return [self._desk.get(self._root, self.home, None)]

    async def home(self, caller: Caller) -> Page:
        """Say where the person is."""
        return self._desk.page(caller, "console/home.html")


def operator_home(desk: Desk) -> Home:
    """Make the first page of the operator's console."""
    return Home(desk, OPERATOR)
