"""People of the platform: who works here, what they may do, who is invited, who is locked out."""

from collections.abc import Sequence
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    ChangeStatus,
    Invitation,
    InviteStatus,
    MemberChange,
    PeopleQuery,
    Permission,
    Person,
    PersonChange,
    Role,
)
from vendrail.kernel.ids import new_id
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import LISTED, save_whole, saved_at
from vendrail.web.console.tables import PEOPLE, members
from vendrail.web.languages import message
from vendrail.web.operator.deeds import Deeds
from vendrail.web.operator.files import read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_PATH = "/operator/people"
_ROLES = (
    Role.OPERATOR_ADMIN,
    Role.OPERATOR_FINANCE,
    Role.OPERATOR_RISK,
    Role.OPERATOR_SUPPORT,
)
_REFUSALS = {
    InviteStatus.EMAIL_MALFORMED: message("Enter a whole e-mail address."),
    InviteStatus.ROLE_MALFORMED: message("Choose a role."),
    InviteStatus.MEMBER_ALREADY: message("That person works here already."),
    InviteStatus.NOT_ALLOWED: message("Your role does not let others in."),
}
_STATUSES = {
    ChangeStatus.CHANGED: message("Changed. Their sessions have ended."),
    ChangeStatus.UNCHANGED: message("It was so already; nothing was changed."),
    ChangeStatus.NOT_FOUND: message("That person or invitation is not there any more."),
    ChangeStatus.ROLE_MALFORMED: message("Choose a role."),
    ChangeStatus.LAST_OF_ITS_KIND: message("One administrator must stay."),
    ChangeStatus.NOT_ALLOWED: message("Your role does not include it."),
}
_GOOD = (ChangeStatus.CHANGED, ChangeStatus.UNCHANGED)
_NO_REASON = message("Say why: whoever reads the log later has nothing else.")


class People:
    """The operator's staff."""

    entries = (Entry(_PATH, message("People"), "people", Permission.STAFF_READ),)

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, may = self._desk, Permission.STAFF_WRITE
        one = f"{_PATH}/{{person:str}}"
        return [
            desk.get(_PATH, self.table, Permission.STAFF_READ),
            desk.get(f"{_PATH}.csv", self.export, Permission.STAFF_READ),
            desk.post(f"{_PATH}/invite", self.invite, may, is_grave=True),
            desk.post(f"{_PATH}/withdraw", self.withdraw, may, is_grave=True),
            desk.get(one, self.show, Permission.STAFF_READ),
            desk.post(one, self.change, may, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List who works here and who is invited."""
        return await self._table(caller)

    async def _table(
        self, caller: Caller, *, status: int = 200, problem: str = "", link: str = ""
    ) -> Page:
        query = PeopleQuery(None)
        [people] = await self._identity.list_people([query])
        [invitations] = await self._identity.list_invitations([query])
        said = {each.value: text for each, text in _STATUSES.items() if each in _GOOD}
        done = said.get(caller.asked("said"), "")
        return self._desk.page(
            caller,
            "operator/people.html",
            path=_PATH,
            status=status,
            here=_PATH,
            people=people,
            invitations=invitations,
            exported=saved_at(caller, _PATH, ()),
            roles=_ROLES,
            can_change=caller.may(Permission.STAFF_WRITE),
            email=caller.written("email", 254) if problem else "",
            link=link,
            done=self._desk.say(caller, done) if done else "",
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def export(self, caller: Caller) -> Page:
        """Give who works here and who is invited as CSV; who took it is kept."""
        turned = await self._deeds.log_export(caller, LISTED, "list:people")
        if turned is not None:
            return turned
        query = PeopleQuery(None)
        [people] = await self._identity.list_people([query])
        [links] = await self._identity.list_invitations([query])
        return save_whole("people", PEOPLE, members(people, links, None))

    async def invite(self, caller: Caller) -> Page:
        """Invite somebody: the link is mailed, and shown once."""
        role = _role(caller.written("role"))
        if role is None:
            problem = _REFUSALS[InviteStatus.ROLE_MALFORMED]
            return await self._table(caller, status=422, problem=problem)
        id, email = new_id(self._desk.clock.now()), caller.written("email", 254)
        new = Invitation(id, email, None, role, caller.actor, caller.visitor.language.tag)
        [result] = await self._identity.invite_people([new])
        if result.status is not InviteStatus.INVITED:
            problem = _REFUSALS.get(result.status, _STATUSES[ChangeStatus.NOT_FOUND])
            return await self._table(caller, status=422, problem=problem)
        link = f"{self._desk.front.public_url}/join/{result.token}"
        return await self._table(caller, link=link)

    async def withdraw(self, caller: Caller) -> Page:
        """Withdraw an invitation to the operator."""
        id = read_id(caller.written("link"))
        statuses: Sequence[ChangeStatus] = [ChangeStatus.NOT_FOUND]
        if id is not None:
            statuses = await self._identity.withdraw_links([(id, None)], caller.actor)
        return await self._after(caller, statuses[0])

    async def _after(self, caller: Caller, status: ChangeStatus) -> Page:
        if status in _GOOD:
            return onward(f"{_PATH}?said={status}")
        return await self._table(caller, status=422, problem=_STATUSES[status])

    async def _find(self, id: UUID | None) -> Person | None:
        [people] = await self._identity.list_people([PeopleQuery(None)])
        return next((each for each in people if each.id == id), None)

    async def show(self, caller: Caller) -> Page:
        """Show one person."""
        return await self._show(caller)

    async def _show(self, caller: Caller, problem: str = "") -> Page:
        person = await self._find(read_id(caller.part("person")))
        if person is None:
            return self._desk.problem(caller.request, 404, caller)
        [sessions] = await self._identity.list_sessions([person.id])
        return self._desk.page(
            caller,
            "operator/person.html",
            status=422 if problem else 200,
            who=person,
            sessions=sessions,
            role=next(each.role for each in person.memberships if each.merchant is None),
            roles=_ROLES,
            can_change=caller.may(Permission.STAFF_WRITE),
            is_self=person.id == caller.person.id,
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def change(self, caller: Caller) -> Page:
        """Change a role, take somebody out, lock, unlock, or take a lost second factor off."""
        person = await self._find(read_id(caller.part("person")))
        if person is None:
            return self._desk.problem(caller.request, 404, caller)
        what, by = caller.written("what"), caller.actor
        if what in ("role", "remove"):
            role = _role(caller.written("role")) if what == "role" else None
            if what == "role" and role is None:
                return await self._show(caller, _STATUSES[ChangeStatus.ROLE_MALFORMED])
            change = MemberChange(person.id, None, role, by)
            [status] = await self._identity.change_members([change])
        elif what in ("lock", "unlock", "factor"):
            reason = caller.written("reason")
            if not reason:
                return await self._show(caller, _NO_REASON)
            is_locked = {"lock": True, "unlock": False}.get(what)
            done = PersonChange(person.id, reason, by, is_locked, what == "factor")
            [status] = await self._identity.change_people([done])
        else:
            return self._desk.problem(caller.request, 400, caller)
        if status not in _GOOD:
            return await self._show(caller, _STATUSES[status])
        return onward(f"{_PATH}?said={status}")


def _role(text: str) -> Role | None:
    return next((each for each in _ROLES if each.value == text), None)
