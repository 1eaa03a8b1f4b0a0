"""A person's letters: kinds they do without, quiet hours, and their chat with the bot."""

from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Act
from vendrail.api.notify import (
    ChatAsk,
    ChatState,
    ChatTicket,
    ChatTicketStatus,
    LetterPreferences,
    PreferencesStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.letters import (
    CHAT_KINDS,
    KINDS,
    offered_ways,
    read_ways,
    read_wishes,
    why_wrong,
    zones,
)
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

PAGE = "/console/account/letters"
_CHATTED = ("stock_low", "complaint_staff", "message_unread")
_MERCHANTS = (*_CHATTED, "agency", "supplied_refunded")
_OPERATORS = ("complaint_staff",)
_CHAT_MERCHANTS = (*_CHATTED, "dispute_staff", "money", "shop", "security")
_CHAT_OPERATORS = (*_OPERATORS, "dispute_staff", "money", "operator_alert", "security")
_AWAY = message("The bot does not answer at the moment. Try again later.")
_ENDED = message("Telegram is disconnected. Letters to you come by e-mail.")


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
            self._desk.post(f"{PAGE}/telegram", self.connect, None, is_grave=True),
            self._desk.post(f"{PAGE}/telegram/end", self.disconnect, None),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show what a person wants."""
        return await self._show(caller)

    async def _show(
        self, caller: Caller, problem: str = "", ticket: ChatTicket | None = None
    ) -> Page:
        [wishes] = await self._notify.read_preferences([caller.person.email])
        [chat] = await self._notify.read_chats([caller.person.email])
        is_linked = chat.state is ChatState.LINKED
        own = self._desk.front.settings.time_zone
        zone = wishes.zone if wishes.quiet_from is not None else own
        return self._desk.page(
            caller,
            "console/letters.html",
            status=422 if problem else 200,
            here=PAGE,
            wishes=wishes,
            kinds=[(each, *KINDS[each]) for each in _kinds(caller)],
            chat=chat,
            ticket=ticket,
            chat_kinds=[
                (each, *CHAT_KINDS[each], offered_ways(each))
                for each in (_chat_kinds(caller) if is_linked else ())
            ],
            zones=zones(own, zone),
            zone=zone,
            written=dict(caller.form) if problem else {},
            problem=self._desk.say(caller, problem) if problem else "",
            done=self._done(caller),
        )

    def _done(self, caller: Caller) -> str:
        said = {"yes": message("Saved."), "ended": _ENDED}.get(caller.asked("done"), "")
        return self._desk.say(caller, said) if said else ""

    async def choose(self, caller: Caller) -> Page:
        """Write what a person wants from now on."""
        [before] = await self._notify.read_preferences([caller.person.email])
        wished = read_wishes(caller.form, before, _kinds(caller))
        if wished is not None:
            wished = replace(wished, ways=read_ways(caller.form, before, _chat_kinds(caller)))
        status = await self._put(wished) if wished is not None else None
        problem = why_wrong(status)
        return await self._show(caller, problem) if problem else onward(f"{PAGE}?done=yes")

    async def connect(self, caller: Caller) -> Page:
        """Show the link that links a chat, this once."""
        if (limited := await self._desk.turn_away(caller)) is not None:
            return limited
        await self._log(caller, "chat.asked")
        [ticket] = await self._notify.open_chats(
            [ChatAsk(caller.person.email, caller.person.locale, _merchant(caller))]
        )
        if ticket.status is not ChatTicketStatus.OPENED:
            return await self._show(caller, _AWAY)
        return await self._show(caller, ticket=ticket)

    async def disconnect(self, caller: Caller) -> Page:
        """Send nothing by Telegram any more."""
        if (limited := await self._desk.turn_away(caller)) is not None:
            return limited
        await self._log(caller, "chat.ended")
        await self._notify.end_chats([caller.person.email])
        return onward(f"{PAGE}?done=ended")

    async def _log(self, caller: Caller, act: str) -> None:
        """Write to the log, before it is done."""
        merchant = _merchant(caller)
        id = new_id(self._desk.clock.now())
        subject = f"person:{caller.person.email}"
        await self._desk.apis.identity.record_acts([Act(id, caller.actor, act, subject, merchant)])

    async def _put(self, wished: LetterPreferences) -> PreferencesStatus:
        [status] = await self._notify.put_preferences([wished])
        return status


def _merchant(caller: Caller) -> UUID | None:
    """Give in whose log it is written what a person does here; None: in the platform's."""
    return caller.membership.merchant if caller.membership is not None else None


def _kinds(caller: Caller) -> list[str]:
    """Name the kinds that reach this person, whoever they work for."""
    return _reaching(caller, _MERCHANTS, _OPERATORS)


def _chat_kinds(caller: Caller) -> list[str]:
    """Name the kinds that may reach this person by Telegram."""
    return _reaching(caller, _CHAT_MERCHANTS, _CHAT_OPERATORS)


def _reaching(caller: Caller, merchants: tuple[str, ...], operators: tuple[str, ...]) -> list[str]:
    is_merchants = any(each.merchant is not None for each in caller.person.memberships)
    is_operators = any(each.merchant is None for each in caller.person.memberships)
    kinds = (*(merchants if is_merchants else ()), *(operators if is_operators else ()))
    return list(dict.fromkeys(kinds))
