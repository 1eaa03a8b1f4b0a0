"""Channels: our accounts with providers; made, changed, switched and asked by administrators."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payments import (
    ChannelAccount,
    ChannelCheck,
    ChannelId,
    ChannelKind,
    ChannelProbe,
    ChannelStatus,
    SettingView,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.operator.deeds import TEXTS, Deeds, Said
from vendrail.web.operator.files import read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_PATH = "/operator/channels"
_TEXT_MAX = 30_000
_AMOUNTS = ("amount_minor_min", "amount_minor_max", "confirm_above_minor")
_GOOD = (ChannelStatus.CREATED, ChannelStatus.CHANGED, ChannelStatus.UNCHANGED)
_DONE = {
    "created": message("The channel is made, and offered from now on. Try it with the button."),
    "changed": message("Changed. It counts everywhere from this moment on."),
    "unchanged": message("It was so already; nothing was changed."),
    "on": message("It is offered again."),
    "off": message("It is offered no more. What was paid through it before still counts."),
}
_LABELS = {
    "name": message("Name in the books"),
    "title": message("What buyers see"),
    "currencies": message("Currencies"),
    "amount_minor_min": message("Smallest payment"),
    "amount_minor_max": message("Largest payment"),
    "confirm_above_minor": message("Asked again above"),
    "kind": message("Provider"),
}
_PROBLEMS = {
    ChannelStatus.SETTING_MISSING: message("It is needed."),
    ChannelStatus.SETTING_MALFORMED: message("It is not right. Look at what stands below it."),
    ChannelStatus.NAME_TAKEN: message("Another channel has this name."),
    ChannelStatus.KIND_UNKNOWN: message("Its program is not installed."),
}
_TROUBLE = message("%(field)s: %(problem)s")


class Trouble(NamedTuple):
    """What is the matter with which field of the form."""

    field: str
    text: str


class Channels:
    """The pages of channels."""

    entries = (Entry(_PATH, message("Channels"), "plug", Permission.CHANNELS_WRITE),)

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._payments = desk.apis.payments

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, permission, one = self._desk, Permission.CHANNELS_WRITE, f"{_PATH}/{{channel:str}}"
        return [
            desk.get(_PATH, self.table, permission),
            desk.get(f"{_PATH}/new", self.blank, permission),
            desk.post(f"{_PATH}/new", self.make, permission, is_grave=True),
            desk.get(one, self.show, permission),
            desk.post(one, self.change, permission, is_grave=True),
            desk.post(f"{one}/switch", self.switch, permission, is_grave=True),
            desk.post(f"{one}/test", self.test, permission),
        ]

    async def table(self, caller: Caller) -> Page:
        """List channels with how they are."""
        accounts = await self._payments.list_channels()
        health = await self._payments.read_health([each.id for each in accounts])
        return self._desk.page(
            caller,
            "operator/channels.html",
            found=list(zip(accounts, health, strict=True)),
            kinds={each.kind: each.name for each in await self._payments.list_kinds()},
        )

    # Making one.

    async def blank(self, caller: Caller) -> Page:
        """Show the form for a new one, or what kinds there are to choose from."""
        return await self._blank(
            caller, await self._kind(caller.asked("kind") or caller.kept.get("kind", ""))
        )

    async def _kind(self, kind: str) -> ChannelKind | None:
        kinds = await self._payments.list_kinds()
        return next((each for each in kinds if each.kind == kind), None)

    async def _blank(
        self, caller: Caller, kind: ChannelKind | None, trouble: Trouble | None = None
    ) -> Page:
        if kind is None:
            kinds = await self._payments.list_kinds()
            return self._desk.page(caller, "operator/channel_kinds.html", path=_PATH, kinds=kinds)
        return self._form(caller, kind, None, trouble, template="operator/channel_new.html")

    async def make(self, caller: Caller) -> Page:
        """Make a channel."""
        kind = await self._kind(caller.written("kind"))
        if kind is None:
            return await self._blank(caller, None)
        blank = ChannelAccount(
            ChannelId(new_id(self._desk.clock.now())),
            caller.written("name", 40),
            kind.kind,
            "",
            kind.currencies,
            {},
        )
        trouble, status = await self._write(caller, kind, blank, None)
        if trouble is not None:
            return await self._blank(caller, kind, trouble)
        return onward(f"{_PATH}/{to_serial(blank.id)}?said={status}")

    # Changing one.

    async def _find(self, caller: Caller) -> ChannelAccount | None:
        wanted = read_id(caller.part("channel"))
        accounts = await self._payments.list_channels()
        return next((each for each in accounts if each.id == wanted), None)

    async def show(self, caller: Caller) -> Page:
        """Show one channel."""
        return await self._show(caller)

    async def _show(
        self, caller: Caller, trouble: Trouble | None = None, probe: ChannelProbe | None = None
    ) -> Page:
        account = await self._find(caller)
        kind = await self._kind(account.kind) if account is not None else None
        if account is None or kind is None:
            return self._desk.problem(caller.request, 404, caller)
        [health] = await self._payments.read_health([account.id])
        said = _DONE.get(caller.asked("said"), "")
        return self._form(
            caller,
            kind,
            account,
            trouble,
            template="operator/channel.html",
            health=health,
            probe=probe,
            callback=f"{self._desk.front.public_url}/callbacks/{account.id}",
            done=self._desk.say(caller, said) if said else "",
        )

    def _form(
        self,
        caller: Caller,
        kind: ChannelKind,
        account: ChannelAccount | None,
        trouble: Trouble | None,
        *,
        template: str,
        **more: object,
    ) -> Page:
        tag = caller.visitor.language.tag
        return self._desk.page(
            caller,
            template,
            path=_PATH,
            status=200 if trouble is None else 422,
            kind=kind,
            account=account,
            currency=(account.currencies if account else kind.currencies)[0],
            settings=[
                (each, *each.said.get(tag, [each.label, each.help])) for each in kind.settings
            ],
            written=_as_written(account, kind) | _without_secrets(caller.form, kind),
            trouble=trouble,
            **more,
        )

    async def change(self, caller: Caller) -> Page:
        """Change a channel; a secret that is left empty stays."""
        account = await self._find(caller)
        kind = await self._kind(account.kind) if account is not None else None
        if account is None or kind is None:
            return self._desk.problem(caller.request, 404, caller)
        trouble, status = await self._write(caller, kind, account, account)
        if trouble is not None:
            return await self._show(caller, trouble)
        return onward(f"{_PATH}/{to_serial(account.id)}?said={status}")

    async def _write(
        self,
        caller: Caller,
        kind: ChannelKind,
        account: ChannelAccount,
        before: ChannelAccount | None,
    ) -> tuple[Trouble | None, ChannelStatus]:
        """Write what the form says: checked first, then logged, then done."""
        refused = ChannelStatus.SETTING_MALFORMED
        reason = caller.written("reason")
        try:
            wanted = _as_asked(caller.form, kind, account)
        except Malformed as error:
            return self._trouble(caller, kind, ChannelCheck(refused, error.message)), refused
        [check] = await self._payments.check_channels([wanted])
        if check.status not in _GOOD:
            return self._trouble(caller, kind, check), check.status
        if check.status is ChannelStatus.UNCHANGED:
            return None, check.status
        if not reason:
            return Trouble("reason", self._desk.say(caller, TEXTS[Said.NO_REASON])), refused
        was, now = _for_log(before, wanted, kind)
        act = "channel.changed" if before else "channel.made"
        subject = f"channel:{account.name}"
        await self._deeds.log(caller, act, subject, before=was, after=now, reason=reason)
        [status] = await self._payments.put_channels([wanted])
        if status not in _GOOD:  # Another administrator was quicker.
            return self._trouble(caller, kind, ChannelCheck(status, "name")), status
        return None, status

    def _trouble(self, caller: Caller, kind: ChannelKind, check: ChannelCheck) -> Trouble:
        tag, say = caller.visitor.language.tag, self._desk.say
        setting = next((each for each in kind.settings if each.name == check.field), None)
        if setting is not None:
            label = setting.said.get(tag, [setting.label])[0]
        else:
            label = say(caller, _LABELS.get(check.field, _LABELS["name"]))
        field = f"s_{check.field}" if setting else check.field
        if check.problem and tag == "en":  # What the program says in detail is English.
            return Trouble(field, f"{label} {check.problem}")
        problem = say(caller, _PROBLEMS[check.status])
        return Trouble(field, say(caller, _TROUBLE) % {"field": label, "problem": problem})

    async def switch(self, caller: Caller) -> Page:
        """Offer it no more, or again: at once, in every process."""
        account, wanted = await self._find(caller), caller.written("active")
        if account is None or wanted not in ("on", "off"):
            return self._desk.problem(caller.request, 404, caller)
        reason = caller.written("reason")
        if not reason:
            return await self._show(
                caller, Trouble("switch_reason", self._desk.say(caller, TEXTS[Said.NO_REASON]))
            )
        if account.is_active != (wanted == "on"):
            act = "channel.switched_on" if wanted == "on" else "channel.switched_off"
            told = {"active": "off" if wanted == "on" else "on"}, {"active": wanted}
            subject = f"channel:{account.name}"
            await self._deeds.log(
                caller, act, subject, before=told[0], after=told[1], reason=reason
            )
            await self._payments.put_channels([replace(account, is_active=wanted == "on")])
        return onward(f"{_PATH}/{to_serial(account.id)}?said={wanted}")

    async def test(self, caller: Caller) -> Page:
        """Ask the provider about a payment that does not exist, and say what came of it."""
        account = await self._find(caller)
        if account is None:
            return self._desk.problem(caller.request, 404, caller)
        await self._deeds.log(caller, "channel.tested", f"channel:{account.name}")
        [probe] = await self._payments.probe_channels([account.id])
        return await self._show(caller, probe=probe)


def _as_asked(
    form: Mapping[str, str], kind: ChannelKind, account: ChannelAccount
) -> ChannelAccount:
    """Give the account that a form asks for; `Malformed` names the field that cannot be read."""
    currencies = [each for each in kind.currencies if form.get(f"currency_{each}")]
    if len(kind.currencies) == 1:
        currencies = list(kind.currencies)
    amounts = {}
    for name in _AMOUNTS:
        text = form.get(name, "").strip()
        try:
            amounts[name] = from_text(text, (currencies or kind.currencies)[0]) if text else 0
        except Malformed:
            raise Malformed(name) from None
    if not (title := form.get("title", "").strip()[:80]):
        raise Malformed("title")
    settings = {each.name: _setting(form, each) for each in kind.settings}
    return replace(
        account,
        title=title,
        currencies=currencies,
        settings={name: value for name, value in settings.items() if value},
        **amounts,
    )


def _setting(form: Mapping[str, str], setting: SettingView) -> str:
    text = form.get(f"s_{setting.name}", "").strip()[:_TEXT_MAX]
    return text.replace("\r\n", "\n")


def _as_written(account: ChannelAccount | None, kind: ChannelKind) -> dict[str, str]:
    """Give an account as the form's fields hold it; secrets stay where they are."""
    if account is None:
        defaults = {f"s_{each.name}": each.default for each in kind.settings}
        return defaults | {f"currency_{each}": "yes" for each in kind.currencies}
    fields = {
        f"s_{each.name}": account.settings.get(each.name, each.default)
        for each in kind.settings
        if not each.is_secret
    }
    for name in _AMOUNTS:
        amount_minor = getattr(account, name)
        fields[name] = to_text(amount_minor, account.currencies[0]) if amount_minor else ""
    fields |= {f"currency_{each}": "yes" for each in account.currencies}
    return fields | {"title": account.title, "name": account.name}


def _without_secrets(form: Mapping[str, str], kind: ChannelKind) -> dict[str, str]:
    secret = {f"s_{each.name}" for each in kind.settings if each.is_secret}
    return {name: value for name, value in form.items() if name not in secret}


def _for_log(
    before: ChannelAccount | None, after: ChannelAccount, kind: ChannelKind
) -> tuple[dict[str, str], dict[str, str]]:
    """Give what differs, before and after; of a secret only that it was changed."""
    was = _facts(before, kind) if before is not None else {}
    now = _facts(after, kind)
    differing = [name for name in {**was, **now} if was.get(name, "") != now.get(name, "")]
    told_was = {name: was[name] for name in differing if name in was}
    told_now = {name: now.get(name, "") for name in differing}
    for each in kind.settings:
        if each.is_secret and after.settings.get(each.name):
            told_now[each.name] = "changed"
    return told_was, told_now


def _facts(account: ChannelAccount, kind: ChannelKind) -> dict[str, str]:
    facts = {
        "title": account.title,
        "kind": account.kind,
        "currencies": ", ".join(account.currencies),
        **{name: str(getattr(account, name)) for name in _AMOUNTS},
    }
    for each in kind.settings:
        value = account.settings.get(each.name, "").strip() or each.default
        if each.is_multiline and value:  # Too long for the log: which one it is, not what it says.
            value = f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:16]}"
        if not each.is_secret:
            facts[each.name] = value
    return facts
