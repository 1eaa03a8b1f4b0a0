"""Staff: who works for a merchant, in which role, and who is invited to."""

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    ChangeStatus,
    Invitation,
    InviteResult,
    InviteStatus,
    MemberChange,
    PeopleQuery,
    Permission,
    Role,
)
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import LISTED, save_whole, saved_at
from vendrail.web.console.tables import PEOPLE, members
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log_export, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/staff"
_ROLES = (Role.OWNER, Role.SELLER, Role.FINANCE, Role.SUPPORT)
_INVITE_REFUSALS = {
    InviteStatus.EMAIL_MALFORMED: message("Enter a whole e-mail address."),
    InviteStatus.ROLE_MALFORMED: message("Choose a role."),
    InviteStatus.MERCHANT_NOT_FOUND: message("Your role does not include this."),
    InviteStatus.MEMBER_ALREADY: message("They work here already: change their role instead."),
    InviteStatus.NOT_ALLOWED: message("Your role does not include this."),
}
_CHANGE_REFUSALS = {
    ChangeStatus.ROLE_MALFORMED: message("Choose a role."),
    ChangeStatus.LAST_OF_ITS_KIND: message(
        "They are the only owner: make somebody else an owner first."
    ),
    ChangeStatus.NOT_ALLOWED: message("Your role does not include this."),
}


class Staff:
    """Who works here."""

    entries = (Entry(_ROOT, message("Staff"), "people", Permission.STAFF_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        desk, write = self._desk, Permission.STAFF_WRITE
        return [
            desk.get(_ROOT, self.staff, Permission.STAFF_READ),
            desk.get(f"{_ROOT}.csv", self.export, Permission.STAFF_READ),
            desk.post(f"{_ROOT}/invite", self.invite, write, is_grave=True),
            desk.post(f"{_ROOT}/members/{{serial:str}}", self.change, write, is_grave=True),
            desk.post(f"{_ROOT}/invitations/{{serial:str}}", self.withdraw, write),
        ]

    async def staff(self, caller: Caller) -> Page:
        """Show who works here, and who is invited to."""
        return await self._staff(caller)

    async def _staff(
        self, caller: Caller, *, problem: str = "", link: str = "", status: int = 200
    ) -> Page:
        query = PeopleQuery(caller.merchant)
        [people] = await self._identity.list_people([query])
        [invitations] = await self._identity.list_invitations([query])
        roles = {
            person.id: each.role
            for person in people
            for each in person.memberships
            if each.merchant == caller.merchant
        }
        return self._desk.page(
            caller,
            "merchant/staff.html",
            path=_ROOT,
            status=status,
            people=people,
            roles_of=roles,
            invitations=invitations,
            exported=saved_at(caller, _ROOT, ()),
            roles=[role.value for role in _ROLES],
            may_write=caller.may(Permission.STAFF_WRITE),
            nonce=to_serial(new_id(self._desk.clock.now())),
            email=caller.written("email", 254),
            chosen=caller.written("role"),
            link=link,
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def export(self, caller: Caller) -> Page:
        """Give who works here and who is invited as CSV; who took it is kept."""
        turned = await log_export(self._desk, caller, LISTED, "list:staff")
        if turned is not None:
            return turned
        query = PeopleQuery(caller.merchant)
        [people] = await self._identity.list_people([query])
        [links] = await self._identity.list_invitations([query])
        return save_whole("staff", PEOPLE, members(people, links, caller.merchant))

    async def invite(self, caller: Caller) -> Page:
        """Invite somebody; the link is shown once, and mailed where mail goes out."""
        nonce = read_id(caller.written("nonce"))
        role = _role(caller.written("role"))
        if nonce is None:
            return self._desk.problem(caller.request, 400, caller)
        result = InviteResult(InviteStatus.ROLE_MALFORMED)
        if role is not None:
            invitation = Invitation(
                derive(nonce, f"invitation:{caller.merchant}"),
                caller.written("email", 254),
                caller.merchant,
                role,
                caller.actor,
                caller.visitor.language.tag,
            )
            [result] = await self._identity.invite_people([invitation])
        if result.status in _INVITE_REFUSALS:
            problem = _INVITE_REFUSALS[result.status]
            return await self._staff(caller, problem=problem, status=422)
        if not result.token:  # The form was sent twice: the link was shown the first time.
            return onward(_ROOT)
        link = f"{self._desk.front.public_url}/join/{result.token}"
        return await self._staff(caller, link=link)

    async def change(self, caller: Caller) -> Page:
        """Give a member another role, or let them go: their sessions begin anew."""
        person = read_id(caller.part("serial"))
        wanted = caller.written("role")
        role = _role(wanted)
        if person is None:
            return self._desk.problem(caller.request, 404, caller)
        status = ChangeStatus.ROLE_MALFORMED
        if role is not None or wanted == "none":
            change = MemberChange(person, caller.merchant, role, caller.actor)
            [status] = await self._identity.change_members([change])
        if status is ChangeStatus.NOT_FOUND:
            return self._desk.problem(caller.request, 404, caller)
        if status in _CHANGE_REFUSALS:
            return await self._staff(caller, problem=_CHANGE_REFUSALS[status], status=422)
        return onward(_ROOT)

    async def withdraw(self, caller: Caller) -> Page:
        """Withdraw an invitation before it is followed."""
        link = read_id(caller.part("serial"))
        status = ChangeStatus.NOT_FOUND
        if link is not None:
            [status] = await self._identity.withdraw_links([(link, caller.merchant)], caller.actor)
        if status is ChangeStatus.NOT_FOUND:
            return self._desk.problem(caller.request, 404, caller)
        return onward(_ROOT)


def _role(text: str) -> Role | None:
    return next((role for role in _ROLES if role.value == text), None)
