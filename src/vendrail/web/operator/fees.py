"""Fees: the rules that merchants without own terms pay by; tried first, and changed by two."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.settlement import FeeRule, FeeSchedule, FeeScheduleStatus, FeeTerms, FeeTrial
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id
from vendrail.kernel.money import to_text
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.operator import feeforms
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files
from vendrail.web.storefront.front import Page
from vendrail.web.trials import FeeSum, Trial, try_rules

_PATH = "/operator/fees"
_EDIT = f"{_PATH}/edit"
_CHANGED = "fee_schedule.changed"
_PLATFORM = UUID(int=0)
_MERCHANTS_SHOWN = 50
_RULE_WRONG = message(
    "That cannot be a rule: percentages are written as 2.50, amounts as 0.30 and with a currency,"
    " and what a band reaches to lies above what it begins at."
)
_NEEDS_CONDITION = message("A rule before the last needs a condition, or those below never count.")
_SAID = {
    FeeScheduleStatus.CREATED: Said.SAVED,
    FeeScheduleStatus.EXISTS: Said.EXISTS,
    FeeScheduleStatus.UNCHANGED: Said.EXISTS,
}


class Fees:
    """The desk of the schedule."""

    entries = (Entry(_PATH, message("Fees"), "coins", Permission.MERCHANTS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._settlement = desk.apis.settlement
        self._zone = time_zone(desk.front.settings.time_zone)
        deeds.add(Deed(_CHANGED, Permission.MERCHANTS_WRITE, self._put))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read, write = self._desk, Permission.MERCHANTS_READ, Permission.MERCHANTS_WRITE
        return [
            desk.get(_PATH, self.show, read),
            desk.post(_PATH, self.propose, write, is_grave=True),
            desk.get(_EDIT, self.edit, write),
            desk.post(_EDIT, self.draft, write),
        ]

    # What counts.

    async def show(self, caller: Caller) -> Page:
        """Show the rules that count, those that will, and all that did."""
        schedules = await self._settlement.list_fee_schedules()
        now = self._desk.clock.now()
        current = next((each for each in schedules if _begins(each) <= now), None)
        [defaults] = await self._settlement.read_fee_terms([_PLATFORM])
        return self._desk.page(
            caller,
            "operator/fees.html",
            standing=current,
            coming=[each for each in schedules if _begins(each) > now],
            before=[each for each in schedules if _begins(each) <= now and each is not current],
            defaults=[] if current else _newest(defaults, now),
            can_change=caller.may(Permission.MERCHANTS_WRITE),
            done=self._deeds.said(caller),
        )

    # The draft.

    async def edit(self, caller: Caller) -> Page:
        """Begin a draft: with the rules that count, or with the default's percentage.

        A draft that could not be sent is gone on with.
        """
        if caller.kept.get("rules"):
            return await self._again(caller)
        return await self._edit(caller, await self._standing())

    async def _again(self, caller: Caller) -> Page:
        try:
            rules = feeforms.read_draft(caller.kept["rules"])
        except Malformed:
            return await self._edit(caller, await self._standing())
        act, _, number = caller.kept.get("do", "").partition(":")
        at = int(number) if number.isdecimal() and len(number) < 4 else -1
        return await self._edit(caller, rules, at=at, is_open=act == "put")

    async def _standing(self) -> list[FeeRule]:
        schedules = await self._settlement.list_fee_schedules()
        if schedules:
            return schedules[0].rules
        [defaults] = await self._settlement.read_fee_terms([_PLATFORM])
        for each in _newest(defaults, self._desk.clock.now()):
            if each.currency == "*":
                return [FeeRule(each.basis_points, is_fee_refunded=each.is_fee_refunded)]
        return [FeeRule()]

    async def draft(self, caller: Caller) -> Page:
        """Change the draft as its form says, and show it again."""
        try:
            rules = feeforms.read_draft(caller.form.get("rules", ""))
        except Malformed:
            return self._desk.problem(caller.request, 400, caller)
        act, _, number = caller.written("do", 20).partition(":")
        at = int(number) if number.isdecimal() and len(number) < 4 else -1
        if act == "preview":
            return await self._preview(caller, rules)
        if act == "put":
            return await self._put_rule(caller, rules, at)
        if act in ("open", "new"):
            return await self._edit(caller, rules, at=at if act == "open" else -1, is_open=True)
        return await self._edit(caller, feeforms.change(rules, act, at))

    async def _put_rule(self, caller: Caller, rules: Sequence[FeeRule], at: int) -> Page:
        is_last = at == len(rules) - 1
        try:
            rule = feeforms.read_rule(caller.form, is_last=is_last)
        except (Malformed, ValueError):
            return await self._edit(caller, rules, at=at, is_open=True, problem=_RULE_WRONG)
        if not is_last and feeforms.is_open(rule):
            return await self._edit(caller, rules, at=at, is_open=True, problem=_NEEDS_CONDITION)
        changed = feeforms.put(rules, at, rule)
        [tried] = await self._settlement.try_fees([FeeTrial(changed, [])])
        if tried.status is not FeeScheduleStatus.CREATED or len(changed) > feeforms.RULES_MAX:
            return await self._edit(caller, rules, at=at, is_open=True, problem=_RULE_WRONG)
        return await self._edit(caller, changed)

    async def _edit(
        self,
        caller: Caller,
        rules: Sequence[FeeRule],
        *,
        at: int = -1,
        is_open: bool = False,
        problem: str = "",
        trial: Trial | None = None,
        refusal: Said | None = None,
    ) -> Page:
        now = self._desk.clock.now()
        fields = dict(caller.form) if problem else {}
        if is_open and not problem:
            blank = FeeRule(currency=self._desk.front.settings.default_currency)
            fields = feeforms.written(rules[at] if 0 <= at < len(rules) else blank)
        channels = await self._desk.apis.payments.list_channels()
        health = await self._desk.apis.payments.read_health([each.id for each in channels])
        currencies = sorted(
            {self._desk.front.settings.default_currency}
            | {currency for each in channels for currency in each.currencies}
        )
        since, until = last_month(now, self._zone)
        return self._desk.page(
            caller,
            "operator/fees_edit.html",
            path=_PATH,
            status=422 if problem or refusal else 200,
            rules=rules,
            draft=feeforms.write_draft(rules),
            is_new=list(rules) != await self._standing(),
            is_open=is_open,
            at=at,
            is_last=at == len(rules) - 1,
            written=fields,
            methods=sorted({method for each in health for method in each.methods}),
            currencies=currencies,
            since=since,
            until=until - timedelta(days=1),
            trial=trial,
            names=await self._files.merchant_names() if trial else {},
            merchants=most(trial) if trial else [],
            chart=chart(trial, self._desk.front.settings.default_currency) if trial else "",
            reason=caller.written("reason"),
            problem=self._desk.say(caller, problem) if problem else "",
            refusal=self._deeds.problem(caller, refusal),
        )

    async def _preview(self, caller: Caller, rules: Sequence[FeeRule]) -> Page:
        """Try the draft on the sales of the last whole month."""
        apis = self._desk.apis
        since, until = last_month(self._desk.clock.now(), self._zone)
        trial = await try_rules(
            rules, since, until, self._zone, apis.orders, apis.payments, apis.settlement
        )
        return await self._edit(caller, rules, trial=trial)

    # The change.

    async def propose(self, caller: Caller) -> Page:
        """Put the draft up for a second person, or, where one is enough, let it begin."""
        try:
            rules = feeforms.read_draft(caller.form.get("rules", ""))
        except Malformed:
            return self._desk.problem(caller.request, 400, caller)
        [tried] = await self._settlement.try_fees([FeeTrial(rules, [])])
        if tried.status is not FeeScheduleStatus.CREATED:
            return await self._edit(caller, rules, problem=_RULE_WRONG)
        schedules = await self._settlement.list_fee_schedules()
        standing = schedules[0].rules if schedules else []
        said = await self._deeds.do(
            caller,
            _CHANGED,
            "fees",
            feeforms.as_told(rules),
            before=feeforms.as_told(standing),
            is_joint=True,
        )
        if said in GOOD:
            return back_to(_PATH, said)
        return await self._edit(caller, rules, refusal=said)

    async def _put(self, told: Mapping[str, str], person: str) -> Said:
        try:
            rules = feeforms.read_told(told)
        except Malformed:
            return Said.OTHERWISE
        id = new_id(self._desk.clock.now())
        new = FeeSchedule(id, rules, person=person, reason=told.get("reason", ""))
        [status] = await self._settlement.put_fee_schedules([new])
        return _SAID.get(status, Said.OTHERWISE)


def _begins(schedule: FeeSchedule) -> datetime:
    assert schedule.valid_from is not None  # Of what was read.
    return schedule.valid_from


def _newest(versions: Sequence[FeeTerms], now: datetime) -> list[FeeTerms]:
    """Give the default terms that count now, one for each currency."""
    found: dict[str, FeeTerms] = {}
    for each in versions:
        if each.valid_from is None or each.valid_from <= now:
            found.setdefault(each.currency, each)
    return list(found.values())


def last_month(now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Give the begin and the end of the last whole month."""
    this = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (this - timedelta(days=1)).replace(day=1)
    return before.astimezone(UTC), this.astimezone(UTC)


def most(trial: Trial) -> list[tuple[UUID, str, FeeSum]]:
    """Give the merchants whose fees would have changed most."""
    found = [(merchant, currency, each) for (merchant, currency), each in trial.merchants.items()]
    found.sort(key=lambda row: abs(row[2].would_minor - row[2].was_minor), reverse=True)
    return list(found[:_MERCHANTS_SHOWN])


def chart(trial: Trial, currency: str) -> str:
    """Give the days of a trial as the chart draws them, in the currency that most is sold in."""
    if not trial.currencies:
        return ""
    if currency not in trial.currencies:
        currency = max(trial.currencies, key=lambda each: trial.currencies[each].sales_count)
    days = sorted(day for day, of in trial.days if of == currency)
    sums = [trial.days[day, currency] for day in days]
    told = {
        "currency": currency,
        "labels": [day.isoformat() for day in days],
        "sales": [to_text(each.was_minor, currency) for each in sums],
        "refunds": [to_text(each.would_minor, currency) for each in sums],
    }
    return encode(told).decode()
