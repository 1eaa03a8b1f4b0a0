"""Routing: what channels cost and may take, what people decided, what was learned of each."""

from collections.abc import Mapping

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payments import (
    ChannelAccount,
    ChannelId,
    ChannelTerms,
    RoutingRule,
    RuleEffect,
    RuleId,
    RuleStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.operator.deeds import TEXTS, Deeds, Said
from vendrail.web.operator.files import Files, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_PATH = "/operator/routing"
_PERMISSION = Permission.CHANNELS_WRITE
_SHOWN_MAX = 200
_DONE = {
    "written": message("Changed. It counts everywhere from this moment on."),
    "unchanged": message("It was so already; nothing was changed."),
    "created": message("The rule holds from now on, everywhere."),
    "dropped": message("The rule holds no more."),
}
_TERMS_WRONG = message("That cannot be. Look at what stands below the fields.")
_RULE_WRONG = message("A rule names a channel, or a method that is not offered; a country is CN.")
_AMOUNTS = ("cost_minor", "cost_failed_minor", "volume_day_minor")
_NUMBERS = ("weight_percent", "cap_percent", "hour_from", "hour_to")


class RoutingDesk:
    """The pages of routing."""

    entries = (Entry(_PATH, message("Routing"), "split", _PERMISSION),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._payments = desk.apis.payments

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, one = self._desk, f"{_PATH}/{{channel:str}}"
        return [
            desk.get(_PATH, self.table, _PERMISSION),
            desk.post(f"{_PATH}/rules", self.make, _PERMISSION, is_grave=True),
            desk.post(f"{_PATH}/rules/{{rule:str}}", self.drop, _PERMISSION, is_grave=True),
            desk.get(one, self.show, _PERMISSION),
            desk.post(one, self.change, _PERMISSION, is_grave=True),
        ]

    # All channels, and the rules.

    async def table(self, caller: Caller) -> Page:
        """Show how channels stand in the choice, and the rules."""
        return await self._table(caller)

    async def _table(self, caller: Caller, problem: str = "") -> Page:
        accounts = await self._payments.list_channels()
        ids = [each.id for each in accounts]
        terms = {each.channel: each for each in await self._payments.list_terms()}
        standings = await self._payments.read_standings(ids)
        health = await self._payments.read_health(ids)
        said = _DONE.get(caller.asked("said"), "")
        return self._desk.page(
            caller,
            "operator/routing.html",
            status=422 if problem else 200,
            found=[
                (account, terms.get(account.id) or ChannelTerms(account.id), standing)
                for account, standing in zip(accounts, standings, strict=True)
            ],
            titles={each.id: each.title for each in accounts},
            rules=await self._payments.list_rules(),
            merchants=await self._files.merchant_names(),
            methods=sorted({method for each in health for method in each.methods}),
            written=dict(caller.form),
            problem=problem,
            done=self._desk.say(caller, said) if said else "",
        )

    async def make(self, caller: Caller) -> Page:
        """Make a rule."""
        reason, written = caller.written("reason"), caller.written
        if not reason:
            return await self._table(caller, self._desk.say(caller, TEXTS[Said.NO_REASON]))
        effects = {each.value: each for each in RuleEffect}
        channel, merchant = read_id(written("channel")), read_id(written("merchant"))
        rule = RoutingRule(
            RuleId(new_id(self._desk.clock.now())),
            effects.get(written("effect"), RuleEffect.NEVER),
            ChannelId(channel) if channel else None,
            merchant,
            written("method", 64),
            written("country", 2).upper(),
        )
        if not rule.is_meaningful:
            return await self._table(caller, self._desk.say(caller, _RULE_WRONG))
        after = await self._told(rule)
        await self._deeds.log(
            caller, "channel.rule_made", _subject(rule), after=after, reason=reason
        )
        [status] = await self._payments.put_rules([rule])
        if status is not RuleStatus.CREATED:
            return await self._table(caller, self._desk.say(caller, _RULE_WRONG))
        return onward(f"{_PATH}?said=created")

    async def _told(self, rule: RoutingRule) -> dict[str, str]:
        names = {each.id: each.name for each in await self._payments.list_channels()}
        told = {
            "effect": rule.effect.value,
            "channel": names.get(rule.channel, "") if rule.channel else "",
            "method": rule.method,
            "country": rule.country,
            "merchant": to_serial(rule.merchant) if rule.merchant else "",
        }
        return {name: value for name, value in told.items() if value}

    async def drop(self, caller: Caller) -> Page:
        """Take a rule back."""
        wanted, reason = read_id(caller.part("rule")), caller.written("reason")
        rules = await self._payments.list_rules()
        rule = next((each for each in rules if each.id == wanted), None)
        if rule is None:
            return self._desk.problem(caller.request, 404, caller)
        if not reason:
            return await self._table(caller, self._desk.say(caller, TEXTS[Said.NO_REASON]))
        before = await self._told(rule)
        await self._deeds.log(
            caller, "channel.rule_dropped", _subject(rule), before=before, reason=reason
        )
        await self._payments.drop_rules([rule.id])
        return onward(f"{_PATH}?said=dropped")

    # One channel.

    async def show(self, caller: Caller) -> Page:
        """Show a channel's terms, and what was learned of it."""
        return await self._show(caller)

    async def _show(self, caller: Caller, problem: str = "") -> Page:
        account = await self._find(caller)
        if account is None:
            return self._desk.problem(caller.request, 404, caller)
        terms = await self._terms(account)
        [standing] = await self._payments.read_standings([account.id])
        [segments] = await self._payments.list_segments([account.id])
        said = _DONE.get(caller.asked("said"), "")
        return self._desk.page(
            caller,
            "operator/routing_channel.html",
            status=422 if problem else 200,
            account=account,
            currency=account.currencies[0],
            standing=standing,
            segments=segments[:_SHOWN_MAX],
            written=_as_written(terms, account.currencies[0]) | dict(caller.form),
            problem=problem,
            done=self._desk.say(caller, said) if said else "",
        )

    async def _find(self, caller: Caller) -> ChannelAccount | None:
        wanted = read_id(caller.part("channel"))
        accounts = await self._payments.list_channels()
        return next((each for each in accounts if each.id == wanted), None)

    async def _terms(self, account: ChannelAccount) -> ChannelTerms:
        found = {each.channel: each for each in await self._payments.list_terms()}
        return found.get(account.id) or ChannelTerms(account.id)

    async def change(self, caller: Caller) -> Page:
        """Change a channel's terms."""
        account = await self._find(caller)
        if account is None:
            return self._desk.problem(caller.request, 404, caller)
        before, reason = await self._terms(account), caller.written("reason")
        try:
            after = _as_asked(caller.form, before, account.currencies[0])
        except (Malformed, ValueError):
            return await self._show(caller, self._desk.say(caller, _TERMS_WRONG))
        if after.problem:
            return await self._show(caller, self._desk.say(caller, _TERMS_WRONG))
        if after == before:
            return onward(f"{_PATH}/{to_serial(account.id)}?said=unchanged")
        if not reason:
            return await self._show(caller, self._desk.say(caller, TEXTS[Said.NO_REASON]))
        was, now = _differing(before, after)
        subject = f"channel:{account.name}"
        await self._deeds.log(
            caller, "channel.terms_changed", subject, before=was, after=now, reason=reason
        )
        [status] = await self._payments.put_terms([after])
        return onward(f"{_PATH}/{to_serial(account.id)}?said={status}")


def _subject(rule: RoutingRule) -> str:
    return f"rule:{to_serial(rule.id)}"


def _as_asked(form: Mapping[str, str], before: ChannelTerms, currency: str) -> ChannelTerms:
    """Give the terms that a form asks for; what is empty is as nobody had written it."""
    blank = ChannelTerms(before.channel)
    text = {name: value.strip() for name, value in form.items()}
    given: dict[str, object] = {
        name: from_text(text[name], currency) if text.get(name) else 0 for name in _AMOUNTS
    }
    given |= {name: int(text.get(name) or getattr(blank, name)) for name in _NUMBERS}
    # A percentage has two places here, as euros do.
    given["cost_permyriad"] = from_text(text["cost"], "EUR") if text.get("cost") else 0
    countries = text.get("countries", "").upper().replace(",", " ").split()
    return replace(before, countries=sorted(set(countries)), **given)


def _as_written(terms: ChannelTerms, currency: str) -> dict[str, str]:
    amounts = {name: getattr(terms, name) for name in _AMOUNTS}
    return {
        "cost": to_text(terms.cost_permyriad, "EUR") if terms.cost_permyriad else "",
        **{name: to_text(minor, currency) if minor else "" for name, minor in amounts.items()},
        **{name: str(getattr(terms, name)) for name in _NUMBERS},
        "countries": " ".join(terms.countries),
    }


def _differing(before: ChannelTerms, after: ChannelTerms) -> tuple[dict[str, str], dict[str, str]]:
    names = [
        name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)
    ]
    told = ({name: str(getattr(terms, name)) for name in names} for terms in (before, after))
    was, now = told
    return was, now
