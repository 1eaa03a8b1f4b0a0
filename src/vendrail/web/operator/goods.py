"""Forbidden goods: what rules have found waits here for a person; the rules are written here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import (
    GoodsCase,
    GoodsDecision,
    GoodsDecisionStatus,
    GoodsQuery,
    GoodsRule,
    GoodsRules,
    GoodsRulesStatus,
    GoodsState,
    GoodsVerdict,
)
from vendrail.api.identity import Permission
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import one_of
from vendrail.web.console.tables import GOODS_CASES
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_PATH = "/operator/goods"
_RULES = f"{_PATH}/rules"
_ALLOWED, _TAKEN_DOWN, _CHANGED = "goods.allowed", "goods.taken_down", "goods.rules_changed"
_PAGE = 50
_VERSIONS = 10
_LENGTH_MAX = 31_000
_TOLD_MAX = 2_000
_FIELDS = {
    "block": (GoodsVerdict.BLOCK, False),
    "review": (GoodsVerdict.REVIEW, False),
    "block_category": (GoodsVerdict.BLOCK, True),
    "review_category": (GoodsVerdict.REVIEW, True),
}
_SAID = {
    GoodsDecisionStatus.UNCHANGED: Said.EXISTS,
    GoodsDecisionStatus.NOT_FOUND: Said.NOT_FOUND,
    GoodsDecisionStatus.CHANGED_SINCE: Said.CHANGED_SINCE,
}


class GoodsDesk:
    """The desk of forbidden goods."""

    entries = (Entry(_PATH, message("Forbidden goods"), "flag", Permission.MERCHANTS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._catalog = desk.apis.catalog
        for act in (_ALLOWED, _TAKEN_DOWN):
            deeds.add(Deed(act, Permission.COMPLIANCE_WRITE, self._decide))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read, write = self._desk, Permission.MERCHANTS_READ, Permission.COMPLIANCE_WRITE
        return [
            desk.get(_PATH, self.table, read, fields={"state": one_of(GoodsState)}),
            desk.get(f"{_PATH}.csv", self.export, read),
            desk.post(_PATH, self.take_down, write, is_grave=True),
            desk.get(_RULES, self.rules, read),
            desk.post(_RULES, self.change_rules, write, is_grave=True),
            desk.post(f"{_PATH}/{{subject:str}}", self.decide, write, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List what was found, in one state."""
        return await self._table(caller)

    async def _table(self, caller: Caller, said: Said | None = None) -> Page:
        state, before = _state(caller), _moment(caller.asked("before", 40))
        query = GoodsQuery(state, _PAGE + 1, before, read_id(caller.asked("subject")))
        [cases] = await self._catalog.list_goods_cases([query])
        shown: list[GoodsCase] = cases[:_PAGE]
        older = ""
        if len(cases) > _PAGE and shown[-1].changed_at is not None:
            last = shown[-1].changed_at.isoformat(), to_serial(shown[-1].subject)
            older = f"{_PATH}?state={state}&before={quote(last[0])}&subject={last[1]}"
        return self._desk.page(
            caller,
            "operator/goods.html",
            path=_PATH,
            status=200 if said is None else 422,
            cases=shown,
            state=state.value,
            states=[each.value for each in GoodsState],
            exported=saved_at(caller, _PATH, ("state",)),
            older=older,
            names=await self._files.merchant_names(),
            can_change=caller.may(Permission.COMPLIANCE_WRITE),
            sku=caller.written("sku", 64) if said is not None else "",
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the cases that the page lists as CSV; who took them is kept."""
        told = filters_of(caller, ("state",))
        turned = await self._deeds.log_export(caller, LISTED, "list:goods", told)
        if turned is not None:
            return turned
        state = _state(caller)

        async def read(last: GoodsCase | None) -> Sequence[GoodsCase]:
            before, subject = (last.changed_at, last.subject) if last else (None, None)
            query = GoodsQuery(state, AT_ONCE, before, subject)
            [found] = await self._catalog.list_goods_cases([query])
            return found

        return save("goods", GOODS_CASES, read)

    async def take_down(self, caller: Caller) -> Page:
        """Take the product of a SKU down, found or not."""
        [offer] = await self._catalog.read_offers([caller.written("sku", 64)])
        if offer is None:
            return await self._table(caller, Said.NO_SKU)
        said = await self._do(caller, _TAKEN_DOWN, to_serial(offer.product))
        return back_to(_PATH, said) if said in GOOD else await self._table(caller, said)

    async def decide(self, caller: Caller) -> Page:
        """Allow what was found, or take it down."""
        subject = read_id(caller.part("subject"))
        acts = {"allow": _ALLOWED, "take_down": _TAKEN_DOWN}
        act = acts.get(caller.written("decision", 20))
        if subject is None or act is None:
            return self._desk.problem(caller.request, 404, caller)
        [case] = await self._catalog.read_goods_cases([subject])
        if case is None:
            return self._desk.problem(caller.request, 404, caller)
        said = await self._do(caller, act, to_serial(subject), case)
        return back_to(_PATH, said) if said in GOOD else await self._table(caller, said)

    async def _do(
        self, caller: Caller, act: str, serial: str, case: GoodsCase | None = None
    ) -> Said:
        told = {"subject": serial, "is_allowed": "yes" if act == _ALLOWED else "no"}
        if case is not None:  # What the person was shown, not what stands now.
            told["seen"] = caller.written("seen", 64)
            told["rules_version"] = caller.written("rules_version", 12)
        return await self._deeds.do(
            caller,
            act,
            f"{'shop' if case is not None and case.is_shop else 'product'}:{serial}",
            told,
            before={
                "state": case.state if case is not None else "",
                "found": ", ".join(rule.text for rule in case.found) if case is not None else "",
            },
            merchant=case.merchant if case is not None else None,
        )

    async def _decide(self, told: Mapping[str, str], person: str) -> Said:
        subject = read_id(told["subject"])
        if subject is None:
            return Said.NOT_FOUND
        version = told.get("rules_version")
        decision = GoodsDecision(
            subject,
            is_allowed=told["is_allowed"] == "yes",
            by=person,
            reason=told["reason"],
            seen=told.get("seen"),
            rules_version=version if version is None else _number(version),
        )
        [status] = await self._catalog.decide_goods([decision])
        if status is not GoodsDecisionStatus.DECIDED:
            return _SAID[status]
        return Said.GOODS_ALLOWED if decision.is_allowed else Said.TAKEN_DOWN

    async def rules(self, caller: Caller) -> Page:
        """Show the rules that count, and the versions before."""
        return await self._show_rules(caller)

    async def _show_rules(self, caller: Caller, said: Said | None = None) -> Page:
        versions = await self._catalog.list_goods_rules(_VERSIONS)
        rules = versions[0].rules if versions else []
        written = {
            name: "\n".join(
                rule.text
                for rule in rules
                if (rule.verdict, rule.is_category) == (verdict, is_category)
            )
            for name, (verdict, is_category) in _FIELDS.items()
        }
        if said is not None:
            written = {name: caller.written(name, _LENGTH_MAX) for name in _FIELDS}
        return self._desk.page(
            caller,
            "operator/goods_rules.html",
            path=_PATH,
            status=200 if said is None else 422,
            versions=versions,
            written=written,
            reason=caller.written("reason"),
            can_change=caller.may(Permission.COMPLIANCE_WRITE),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def change_rules(self, caller: Caller) -> Page:
        """Write the next version of the rules."""
        reason = caller.written("reason")
        if not reason:
            return await self._show_rules(caller, Said.NO_REASON)
        rules = [
            GoodsRule(line.strip(), verdict, is_category)
            for name, (verdict, is_category) in _FIELDS.items()
            for line in caller.written(name, _LENGTH_MAX).splitlines()
            if line.strip()
        ]
        [*newest] = await self._catalog.list_goods_rules(1)
        before = set(_told(newest[0].rules) if newest else [])
        after = set(_told(rules))
        await self._deeds.log(
            caller,
            _CHANGED,
            "goods_rules",
            before={"taken_out": ", ".join(sorted(before - after))[:_TOLD_MAX]},
            after={"added": ", ".join(sorted(after - before))[:_TOLD_MAX]},
            reason=reason,
        )
        version = GoodsRules(rules, written_by=caller.person.email)
        [status] = await self._catalog.put_goods_rules([version])
        if status is GoodsRulesStatus.MALFORMED:
            await self._deeds.log_undone(caller, _CHANGED, "goods_rules", status)
            return await self._show_rules(caller, Said.NO_GOODS_RULES)
        is_new = status is GoodsRulesStatus.CREATED
        return back_to(_RULES, Said.RULES_SAVED if is_new else Said.EXISTS)


def _told(rules: list[GoodsRule]) -> list[str]:
    return [
        f"{rule.verdict}{' category' if rule.is_category else ''}: {rule.text}" for rule in rules
    ]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1  # No version is that.


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _state(caller: Caller) -> GoodsState:
    """Read in which state cases are asked for: those that wait, where nothing else is said."""
    states = {each.value: each for each in GoodsState}
    return states.get(caller.asked("state"), GoodsState.OPEN)
