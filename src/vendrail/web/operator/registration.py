"""Registration: who may become a merchant, on which terms, and who has applied."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    Actor,
    ActorKind,
    Application,
    ApplicationQuery,
    ApplicationState,
    ApplicationVerdict,
    ChangeStatus,
    Permission,
    PolicyStatus,
    RegistrationChange,
    RegistrationMode,
)
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, save, saved_at
from vendrail.web.console.tables import APPLICATIONS
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, TEXTS, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import read_id
from vendrail.web.storefront.front import Page

_PATH = "/operator/registration"
_SHOWN_MAX = 50
_TERMS_LENGTH_MAX = 100_000
_OPENED = "registration.opened"
_WIDTH = {
    RegistrationMode.INVITATION: 0,
    RegistrationMode.APPROVAL: 1,
    RegistrationMode.OPEN: 2,
}
_RAN = {
    PolicyStatus.CHANGED: Said.SAVED,
    PolicyStatus.UNCHANGED: Said.EXISTS,
    PolicyStatus.MODE_OTHER: Said.MOVED_ON,
}
_MODES = {each.value: each for each in RegistrationMode}
_POLICY = {
    PolicyStatus.TERMS_MISSING: message("Write the terms first: who comes must accept them."),
    PolicyStatus.TERMS_TOO_LONG: message("The terms are too long."),
    PolicyStatus.MODE_OTHER: TEXTS[Said.MOVED_ON],
}
_CHANGED_SINCE = message("The page was too old. Look, then ask again.")
_NOT_INVITED = message("They could not be invited: perhaps they work here already.")


class RegistrationDesk:
    """The switch of the door, and the desk of those who knock."""

    entries = (Entry(_PATH, message("Registration"), "person", Permission.MERCHANTS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._identity = desk.apis.identity
        deeds.add(Deed(_OPENED, Permission.MERCHANTS_WRITE, self._run))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.MERCHANTS_WRITE
        return [
            desk.get(_PATH, self.table, Permission.MERCHANTS_READ),
            desk.get(f"{_PATH}.csv", self.export, Permission.MERCHANTS_READ),
            desk.post(_PATH, self.change, write, is_grave=True),
            desk.post(f"{_PATH}/{{application:str}}", self.decide, write, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """Show the switch, the terms, and who waits."""
        return await self._table(caller)

    async def _table(self, caller: Caller, problem: str = "") -> Page:
        policy = await self._identity.read_registration_policy()
        after = read_id(caller.asked("after"))
        query = ApplicationQuery(ApplicationState.WAITING, after, _SHOWN_MAX + 1)
        [found] = await self._identity.list_applications([query])
        return self._desk.page(
            caller,
            "operator/registration.html",
            path=_PATH,
            status=422 if problem else 200,
            policy=policy,
            mode=caller.form.get("mode", policy.mode.value),
            terms=caller.form.get("terms", policy.terms),
            reason=caller.written("reason"),
            applications=found[:_SHOWN_MAX],
            exported=saved_at(caller, _PATH, ()),
            after=found[_SHOWN_MAX - 1].id if len(found) > _SHOWN_MAX else None,
            can_change=caller.may(Permission.MERCHANTS_WRITE),
            done=self._deeds.said(caller),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def export(self, caller: Caller) -> Page:
        """Give who waits as CSV; who took it is kept."""
        turned = await self._deeds.log_export(caller, LISTED, "list:applications")
        if turned is not None:
            return turned

        async def read(last: Application | None) -> Sequence[Application]:
            after = last.id if last else None
            query = ApplicationQuery(ApplicationState.WAITING, after, AT_ONCE)
            [found] = await self._identity.list_applications([query])
            return found

        return save("applications", APPLICATIONS, read)

    async def change(self, caller: Caller) -> Page:
        """Write the mode and the terms; other terms are a new version."""
        mode, reason = _MODES.get(caller.written("mode", 20)), caller.written("reason")
        if mode is None:
            return self._desk.problem(caller.request, 404, caller)
        if not reason:
            return await self._table(caller, TEXTS[Said.NO_REASON])
        terms = caller.written("terms", _TERMS_LENGTH_MAX + 1).replace("\r\n", "\n")
        policy = await self._identity.read_registration_policy()
        is_wider = _WIDTH[mode] > _WIDTH[policy.mode]
        if is_wider and not terms.strip():
            return await self._table(caller, _POLICY[PolicyStatus.TERMS_MISSING])
        now = policy.mode if is_wider else mode
        change = RegistrationChange(now, terms, caller.actor, reason, policy.mode)
        [status] = await self._identity.change_registration([change])
        if status in _POLICY:
            return await self._table(caller, _POLICY[status])
        if is_wider:
            return await self._open(caller, mode)
        return back_to(_PATH, Said.SAVED)

    async def _open(self, caller: Caller, mode: RegistrationMode) -> Page:
        """Put a wider door up for a second person, on the terms that stand."""
        policy = await self._identity.read_registration_policy()
        before = {"mode": policy.mode.value}
        version = str(policy.terms_version)
        payload = {"mode": mode.value, "mode_before": policy.mode.value, "terms_version": version}
        said = await self._deeds.do(
            caller, _OPENED, "registration", payload, before=before, is_joint=True
        )
        return back_to(_PATH, said) if said in GOOD else await self._table(caller, TEXTS[said])

    async def _run(self, told: Mapping[str, str], person: str) -> Said:
        """Open the door, if it and what is accepted at it are still what was looked at."""
        policy = await self._identity.read_registration_policy()
        if told["terms_version"] != str(policy.terms_version):
            return Said.TERMS_OTHERS
        actor = Actor(ActorKind.PERSON, None, person)
        mode, before = _MODES[told["mode"]], _MODES.get(told.get("mode_before", ""))
        change = RegistrationChange(mode, policy.terms, actor, told["reason"], before)
        [status] = await self._identity.change_registration([change])
        return _RAN.get(status, Said.OTHERWISE)

    async def decide(self, caller: Caller) -> Page:
        """Invite whoever applied, or refuse them."""
        application: UUID | None = read_id(caller.part("application"))
        decision, reason = caller.written("decision", 10), caller.written("reason")
        if application is None or decision not in ("invite", "refuse"):
            return self._desk.problem(caller.request, 404, caller)
        if decision == "refuse" and not reason:
            return await self._table(caller, TEXTS[Said.NO_REASON])
        version = caller.written("terms_version", 10)
        verdict = ApplicationVerdict(
            application,
            decision == "invite",
            reason,
            caller.actor,
            caller.written("merchant_name"),
            int(version) if version.isascii() and version.isdigit() else 0,
        )
        [status] = await self._identity.decide_applications([verdict])
        if status is ChangeStatus.DIFFERENT:
            return await self._table(caller, _CHANGED_SINCE)
        if status is ChangeStatus.NOT_ALLOWED:
            return await self._table(caller, _NOT_INVITED)
        if status is not ChangeStatus.CHANGED:
            return await self._table(caller, TEXTS[Said.NOT_FOUND])
        return back_to(_PATH, Said.DECIDED)
