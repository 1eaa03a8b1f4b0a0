"""Merchants: who sells here, who works for them, and what they pay on a sale."""

from collections.abc import Mapping
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import MerchantId
from vendrail.api.identity import Invitation, InviteStatus, PeopleQuery, Permission, Role
from vendrail.api.settlement import FeeTerms, FeeTermsStatus
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_decimal, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, export, filters_of, saved_at
from vendrail.web.console.lists import is_name
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, TEXTS, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.operator.saleslimits import SalesLimits, as_written
from vendrail.web.operator.salesstops import SalesStops
from vendrail.web.papers.sheets import Cell, Rows
from vendrail.web.storefront.front import Page

_PATH = "/operator/merchants"
_PLATFORM = UUID(int=0)  # Its terms are for merchants without their own.
_CHANGED = "fee_terms.changed"
_TIER_CHANGED = "fee_terms.tier_changed"
_SUSPENDED = "payouts.suspended"
_TIERS = range(10)
_WHOLE = 10_000  # Hundredths of a percent.
_COLUMNS = (
    "name", "fee_percent", "fee_fixed", "fee_min", "currency", "has_own_terms", "merchant",
)  # fmt: skip
_PERCENT = "CNY"  # Two places, as hundredths of a percent have.
_REFUSALS = {
    InviteStatus.EMAIL_MALFORMED: message("Enter a whole e-mail address."),
    InviteStatus.MERCHANT_NOT_FOUND: message("Give the merchant a name."),
    InviteStatus.MEMBER_ALREADY: message("That person works there already."),
    InviteStatus.NOT_ALLOWED: message("Your role does not let others in."),
}
_SAID = {
    FeeTermsStatus.CREATED: Said.SAVED,
    FeeTermsStatus.UNCHANGED: Said.EXISTS,
    FeeTermsStatus.BACKDATED: Said.OTHERWISE,
    FeeTermsStatus.FIELD_MALFORMED: Said.NO_FEE,
}


class Merchants:
    """The desk of merchants."""

    entries = (Entry(_PATH, message("Merchants"), "shop", Permission.MERCHANTS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._identity, self._settlement = desk.apis.identity, desk.apis.settlement
        self._payouts, self._catalog = desk.apis.payouts, desk.apis.catalog
        self._stops = SalesStops(desk, deeds)
        self._limits = SalesLimits(desk, deeds)
        self._currency = desk.front.settings.default_currency
        deeds.add(Deed(_CHANGED, Permission.MERCHANTS_WRITE, self._put_terms))
        deeds.add(Deed(_TIER_CHANGED, Permission.MERCHANTS_WRITE, self._put_tier))
        deeds.add(Deed(_SUSPENDED, Permission.PAYOUTS_WRITE, self._suspend))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read, write = self._desk, Permission.MERCHANTS_READ, Permission.MERCHANTS_WRITE
        one = f"{_PATH}/{{merchant:str}}"
        return [
            desk.get(_PATH, self.table, read, fields={"q": is_name}),
            desk.get(f"{_PATH}.csv", self.export, read),
            desk.post(f"{_PATH}/invite", self.invite, write, is_grave=True),
            desk.get(one, self.show, read),
            desk.post(f"{one}/terms", self.change_terms, write, is_grave=True),
            desk.post(f"{one}/tier", self.change_tier, write, is_grave=True),
            desk.post(f"{one}/limit", self.limit, Permission.COMPLIANCE_WRITE, is_grave=True),
            desk.post(f"{one}/sales", self.stop_sales, Permission.COMPLIANCE_WRITE, is_grave=True),
            desk.post(f"{one}/payouts", self.suspend, Permission.PAYOUTS_WRITE, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List merchants by name, with what they pay."""
        return await self._table(caller)

    async def _table(
        self, caller: Caller, *, status: int = 200, problem: str = "", link: str = ""
    ) -> Page:
        names, words = await self._files.merchant_names(), caller.asked("q", 80)
        found = sorted(
            (name, id) for id, name in names.items() if words.casefold() in name.casefold()
        )
        versions = await self._settlement.read_fee_terms([_PLATFORM, *(id for _, id in found)])
        standard, *own = [self._newest(each) for each in versions]
        return self._desk.page(
            caller,
            "operator/merchants.html",
            path=_PATH,
            status=status,
            here=_PATH,
            merchants=[(id, name, terms) for (name, id), terms in zip(found, own, strict=True)],
            standard=standard,
            platform=_PLATFORM,
            words=words,
            exported=saved_at(caller, _PATH, ("q",)),
            can_change=caller.may(Permission.MERCHANTS_WRITE),
            name=caller.written("name", 80) if problem else "",
            email=caller.written("email", 254) if problem else "",
            link=link,
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def export(self, caller: Caller) -> Page:
        """Give the merchants that the page lists as CSV, with their fees; who took it is kept."""
        told, words = filters_of(caller, ("q",)), caller.asked("q", 80).casefold()
        turned = await self._deeds.log_export(caller, LISTED, "list:merchants", told)
        if turned is not None:
            return turned
        names = await self._files.merchant_names()
        found = sorted((name, id) for id, name in names.items() if words in name.casefold())

        async def read(done: int | None) -> tuple[Rows, int | None]:
            some = found[done or 0 : (done or 0) + AT_ONCE]
            versions = await self._settlement.read_fee_terms([_PLATFORM, *(id for _, id in some)])
            standard, *own = [self._newest(each) for each in versions]
            rows = [
                _row(name, id, terms or standard, is_own=terms is not None)
                for (name, id), terms in zip(some, own, strict=True)
            ]
            return rows, (done or 0) + len(some) if some else None

        return export("merchants", _COLUMNS, read)

    def _newest(self, versions: list[FeeTerms]) -> FeeTerms | None:
        return next((each for each in versions if each.currency == self._currency), None)

    async def invite(self, caller: Caller) -> Page:
        """Invite the first owner of a new merchant, or one more of a known one."""
        now, known = self._desk.clock.now(), read_id(caller.written("merchant"))
        names = await self._files.own_names() if known else {}
        new = Invitation(
            new_id(now),
            caller.written("email", 254),
            known or new_id(now),
            Role.OWNER,
            caller.actor,
            caller.visitor.language.tag,
            names.get(known, "") if known else caller.written("name", 80),
        )
        [result] = await self._identity.invite_people([new])
        if result.status is not InviteStatus.INVITED:
            problem = _REFUSALS.get(result.status, TEXTS[Said.OTHERWISE])
            return await self._table(caller, status=422, problem=problem)
        return await self._table(caller, link=f"{self._desk.front.public_url}/join/{result.token}")

    async def show(self, caller: Caller) -> Page:
        """Show who works at a merchant and what it pays."""
        return await self._show(caller)

    async def _show(self, caller: Caller, said: Said | None = None) -> Page:
        merchant = read_id(caller.part("merchant"))
        name = (await self._files.merchant_names()).get(merchant) if merchant is not None else None
        if merchant is None or (name is None and merchant != _PLATFORM):
            return self._desk.problem(caller.request, 404, caller)
        query = PeopleQuery(merchant)
        is_platform = merchant == _PLATFORM
        [people] = await self._identity.list_people([query]) if not is_platform else [[]]
        [invitations] = await self._identity.list_invitations([query]) if not is_platform else [[]]
        versions = await self._settlement.read_fee_terms([merchant, _PLATFORM])
        newest = self._newest(versions[0]) or self._newest(versions[1])
        return self._desk.page(
            caller,
            "operator/merchant.html",
            status=200 if said is None else 422,
            merchant=merchant,
            name=name or "",
            is_platform=is_platform,
            people=people,
            invitations=invitations,
            versions=versions[0],
            tier=(await self._settlement.read_merchant_tiers([merchant]))[0],
            tiers=_TIERS,
            has_rules=bool(is_platform and await self._settlement.list_fee_schedules()),
            currency=self._currency,
            written=_as_written(newest) | dict(caller.form),
            reason=caller.written("reason"),
            can_change=caller.may(Permission.MERCHANTS_WRITE),
            suspended=(await self._payouts.read_suspensions([merchant]))[0],
            can_suspend=not is_platform and caller.may(Permission.PAYOUTS_WRITE),
            sales_stop=(await self._catalog.read_suspensions([MerchantId(merchant)]))[0],
            limit=as_written(await self._limits.find(merchant)) | dict(caller.form),
            domains=(await self._desk.apis.domains.list_domains([merchant]))[0],
            can_limit=caller.may(Permission.COMPLIANCE_WRITE),
            can_stop_sales=not is_platform and caller.may(Permission.COMPLIANCE_WRITE),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def change_terms(self, caller: Caller) -> Page:
        """Put new terms up: approved, they begin in a moment, for orders placed from then on."""
        merchant = read_id(caller.part("merchant"))
        if merchant is None:
            return self._desk.problem(caller.request, 404, caller)
        try:
            told = {
                "merchant": to_serial(merchant),
                "currency": self._currency,
                "basis_points": str(from_text(caller.written("percent", 10) or "0", _PERCENT)),
                "fixed_minor": str(from_text(caller.written("fixed", 20) or "0", self._currency)),
                "fee_minor_min": str(from_text(caller.written("least", 20) or "0", self._currency)),
                "is_fee_refunded": "yes" if caller.form.get("refunded") else "no",
            }
        except Malformed:
            return await self._show(caller, Said.NO_FEE)
        amounts = (int(told["fixed_minor"]), int(told["fee_minor_min"]))
        if not 0 <= int(told["basis_points"]) <= _WHOLE or min(amounts) < 0:
            return await self._show(caller, Said.NO_FEE)
        [versions] = await self._settlement.read_fee_terms([merchant])
        before = self._newest(versions)
        said = await self._deeds.do(
            caller,
            _CHANGED,
            f"merchant:{to_serial(merchant)}",
            told,
            before=_as_told(before) if before else {},
            merchant=merchant if merchant != _PLATFORM else None,
            is_joint=True,
        )
        path = f"{_PATH}/{to_serial(merchant)}"
        return back_to(path, said) if said in GOOD else await self._show(caller, said)

    async def change_tier(self, caller: Caller) -> Page:
        """Put a merchant's tier up for a second person: rules of fees may ask for it."""
        merchant, tier = read_id(caller.part("merchant")), caller.written("tier", 2)
        if merchant is None or merchant == _PLATFORM or tier not in map(str, _TIERS):
            return self._desk.problem(caller.request, 404, caller)
        [before] = await self._settlement.read_merchant_tiers([merchant])
        said = await self._deeds.do(
            caller,
            _TIER_CHANGED,
            f"merchant:{to_serial(merchant)}",
            {"merchant": to_serial(merchant), "tier": tier},
            before={"tier": str(before)},
            merchant=merchant,
            is_joint=True,
        )
        path = f"{_PATH}/{to_serial(merchant)}"
        return back_to(path, said) if said in GOOD else await self._show(caller, said)

    async def limit(self, caller: Caller) -> Page:
        """Write how much a merchant may sell, or everybody without a limit of their own."""
        merchant = read_id(caller.part("merchant"))
        is_known = merchant == _PLATFORM or merchant in await self._files.merchant_names()
        if merchant is None or not is_known:
            return self._desk.problem(caller.request, 404, caller)
        said = await self._limits.change(caller, merchant)
        path = f"{_PATH}/{to_serial(merchant)}"
        return back_to(path, said) if said in GOOD else await self._show(caller, said)

    async def stop_sales(self, caller: Caller) -> Page:
        """Stop a merchant's sales, or let them go on, as the form says: twice is once."""
        merchant, wanted = read_id(caller.part("merchant")), caller.written("state", 10)
        names = await self._files.merchant_names()
        if merchant not in names or wanted not in ("stopped", "going"):
            return self._desk.problem(caller.request, 404, caller)
        said = await self._stops.change(caller, merchant, is_stopped=wanted == "stopped")
        path = f"{_PATH}/{to_serial(merchant)}"
        return back_to(path, said) if said in GOOD else await self._show(caller, said)

    async def suspend(self, caller: Caller) -> Page:
        """Stop a merchant's payouts, or let them go on, as the form says: twice is once."""
        merchant, wanted = read_id(caller.part("merchant")), caller.written("state", 10)
        if merchant is None or merchant == _PLATFORM or wanted not in ("stopped", "going"):
            return self._desk.problem(caller.request, 404, caller)
        [before] = await self._payouts.read_suspensions([merchant])
        said = await self._deeds.do(
            caller,
            _SUSPENDED,
            f"merchant:{to_serial(merchant)}",
            {"merchant": to_serial(merchant), "state": wanted},
            before={"state": "stopped" if before else "going", "reason": before},
            merchant=merchant,
        )
        path = f"{_PATH}/{to_serial(merchant)}"
        return back_to(path, said) if said in GOOD else await self._show(caller, said)

    async def _suspend(self, told: Mapping[str, str], _person: str) -> Said:
        merchant = read_id(told["merchant"])
        if merchant is None:
            return Said.NOT_FOUND
        reason = told["reason"] if told["state"] == "stopped" else ""
        [is_new] = await self._payouts.suspend_merchants([(merchant, reason)])
        if not is_new:
            return Said.EXISTS
        return Said.PAYOUTS_STOPPED if reason else Said.PAYOUTS_RESUMED

    async def _put_tier(self, told: Mapping[str, str], _person: str) -> Said:
        merchant = read_id(told["merchant"])
        if merchant is None:
            return Said.NOT_FOUND
        [is_new] = await self._settlement.put_merchant_tiers([(merchant, int(told["tier"]))])
        return Said.SAVED if is_new else Said.EXISTS

    async def _put_terms(self, told: Mapping[str, str], _person: str) -> Said:
        merchant = read_id(told["merchant"])
        if merchant is None:
            return Said.NOT_FOUND
        terms = FeeTerms(
            merchant,
            told["currency"],
            int(told["basis_points"]),
            int(told["fixed_minor"]),
            int(told["fee_minor_min"]),
            told["is_fee_refunded"] == "yes",
        )
        [status] = await self._settlement.put_fee_terms([terms])
        return _SAID[status]


def _as_told(terms: FeeTerms) -> dict[str, str]:
    return {
        "basis_points": str(terms.basis_points),
        "fixed_minor": str(terms.fixed_minor),
        "fee_minor_min": str(terms.fee_minor_min),
        "is_fee_refunded": "yes" if terms.is_fee_refunded else "no",
    }


def _as_written(terms: FeeTerms | None) -> dict[str, str]:
    """Give terms as the form's fields hold them."""
    if terms is None:
        return dict.fromkeys(("percent", "fixed", "least", "refunded"), "")
    return {
        "percent": to_text(terms.basis_points, _PERCENT),
        "fixed": to_text(terms.fixed_minor, terms.currency),
        "least": to_text(terms.fee_minor_min, terms.currency),
        "refunded": "yes" if terms.is_fee_refunded else "",
    }


def _row(name: str, merchant: UUID, terms: FeeTerms | None, *, is_own: bool) -> list[Cell]:
    """Write a merchant as a row, with what they pay on a sale."""
    if terms is None:
        return [name, None, None, None, None, "no", to_serial(merchant)]
    return [
        name,
        to_decimal(terms.basis_points, _PERCENT),
        to_decimal(terms.fixed_minor, terms.currency),
        to_decimal(terms.fee_minor_min, terms.currency),
        terms.currency,
        "yes" if is_own else "no",
        to_serial(merchant),
    ]
