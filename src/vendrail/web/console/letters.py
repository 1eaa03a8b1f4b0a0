"""A person's letters: which kinds they do without, and the hours in which they are left alone."""

from litestar.handlers import HTTPRouteHandler

from vendrail.api.notify import LetterPreferences, PreferencesStatus
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.letters import KINDS, read_wishes, why_wrong, zones
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

PAGE = "/console/account/letters"
_MERCHANTS = ("stock_low", "complaint_staff", "message_unread")
_OPERATORS = ("complaint_staff",)


class Letters:
    """What people of the consoles want to be written."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._notify = desk.apis.notify

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        return [
            self._desk.get(PAGE, self.show, None),
            self._desk.post(PAGE, self.choose, None),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show what a person wants."""
        return await self._show(caller)

    async def _show(self, caller: Caller, problem: str = "") -> Page:
        [wishes] = await self._notify.read_preferences([caller.person.email])
        own = self._desk.front.settings.time_zone
        zone = wishes.zone if wishes.quiet_from is not None else own
        return self._desk.page(
            caller,
            "console/letters.html",
            status=422 if problem else 200,
            here=PAGE,
            wishes=wishes,
            kinds=[(each, *KINDS[each]) for each in _kinds(caller)],
            zones=zones(own, zone),
            zone=zone,
            written=dict(caller.form) if problem else {},
            problem=self._desk.say(caller, problem) if problem else "",
            is_done=caller.asked("done") == "yes",
        )

    async def choose(self, caller: Caller) -> Page:
        """Write what a person wants from now on."""
        [before] = await self._notify.read_preferences([caller.person.email])
        wished = read_wishes(caller.form, before, _kinds(caller))
        status = await self._put(wished) if wished is not None else None
        problem = why_wrong(status)
        return await self._show(caller, problem) if problem else onward(f"{PAGE}?done=yes")

    async def _put(self, wished: LetterPreferences) -> PreferencesStatus:
        [status] = await self._notify.put_preferences([wished])
        return status


def _kinds(caller: Caller) -> list[str]:
    """Name the kinds that reach this person, whoever they work for."""
    is_merchants = any(each.merchant is not None for each in caller.person.memberships)
    is_operators = any(each.merchant is None for each in caller.person.memberships)
    kinds = (*(_MERCHANTS if is_merchants else ()), *(_OPERATORS if is_operators else ()))
    return list(dict.fromkeys(kinds))
