"""The log: who did what, to what, from where and why; and whether anybody has changed it since."""

from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import ActQuery, Permission, SealCheck
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import ACT_COLUMNS, ACTS_AT_ONCE, act_row, export
from vendrail.web.console.lists import is_day, is_id, is_name, one_of
from vendrail.web.languages import message
from vendrail.web.operator.deeds import Deeds
from vendrail.web.operator.files import Files, read_id
from vendrail.web.papers.sheets import Rows
from vendrail.web.storefront.front import Page

_PATH = "/operator/log"
_SHOWN_MAX = 50
_CHECKED_MAX = 2_000
_ROUNDS_MAX = 500  # A million acts; longer chains are checked from the command line.
_KINDS = (
    "session", "password", "factor", "passkey", "member", "person", "invitation", "api_key",
    "card_site", "review", "unmatched", "saga", "payment", "order", "product", "variant", "keys",
    "shop", "fee_terms", "fee_schedule", "hold_terms", "deposit", "goods", "channel", "wallets",
    "webhook", "number", "books", "correction", "list", "bank", "bank_file", "bank_answer",
    "payout", "payout_batch", "payout_terms", "payee", "reserve", "remittance", "debt", "sales",
    "dossier", "tiers", "registration", "complaint", "dispute", "coupon", "agency", "domain",
    "fee_adjustment",
)  # fmt: skip
_FIELDS = {
    "actor": is_name,
    "kind": one_of(_KINDS),
    "merchant": is_id,
    "from": is_day,
    "to": is_day,
}


class AuditLog:
    """The pages of the log."""

    entries = (Entry(_PATH, message("Log"), "book", Permission.AUDIT_READ),)

    def __init__(self, desk: Desk, files: Files, deeds: Deeds) -> None:
        self._desk, self._files, self._deeds = desk, files, deeds
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, permission = self._desk, Permission.AUDIT_READ
        return [
            desk.get(_PATH, self.table, permission, fields=_FIELDS),
            desk.get("/operator/log.csv", self.export, permission),
            desk.post(f"{_PATH}/check", self.check, permission),
        ]

    async def table(self, caller: Caller) -> Page:
        """List acts, newest first."""
        return await self._table(caller)

    async def _table(self, caller: Caller, check: SealCheck | None = None) -> Page:
        merchant, kind = read_id(caller.asked("merchant")), caller.asked("kind")
        day_from, day_to = _day(caller.asked("from")), _day(caller.asked("to"))
        query = self._query(caller, read_id(caller.asked("after")), _SHOWN_MAX + 1)
        [acts] = await self._identity.list_acts([query])
        older = ""
        if len(acts) > _SHOWN_MAX:
            acts = acts[:_SHOWN_MAX]
            older = f"{_PATH}?{urlencode(_asked(caller) | {'after': str(acts[-1].id)})}"
        return self._desk.page(
            caller,
            "operator/log.html",
            path=_PATH,
            here=_PATH,
            acts=acts,
            older=older,
            exported=f"/operator/log.csv?{urlencode(_asked(caller))}",
            kinds=_KINDS,
            kind=kind,
            merchant=merchant,
            actor=query.actor,
            day_from=day_from,
            day_to=day_to,
            is_filtered=bool(merchant or kind or day_from or day_to or query.actor),
            names=await self._files.merchant_names(),
            check=check,
        )

    def _query(self, caller: Caller, after: UUID | None, acts_max: int) -> ActQuery:
        """Ask for a page by the filters of the address."""
        kind = caller.asked("kind")
        return ActQuery(
            read_id(caller.asked("merchant")),
            acts_max,
            actor=caller.asked("actor", 254),
            act=f"{kind}." if kind in _KINDS else "",
            since=self._midnight(_day(caller.asked("from"))),
            until=self._midnight(_day(caller.asked("to")), 1),
            after=after,
        )

    async def export(self, caller: Caller) -> Page:
        """Give all acts that the filters let through as CSV; who took them is kept."""
        turned = await self._deeds.log_export(caller, "log.exported", "log", _asked(caller))
        if turned is not None:
            return turned

        async def read(after: UUID | None) -> tuple[Rows, UUID | None]:
            [acts] = await self._identity.list_acts([self._query(caller, after, ACTS_AT_ONCE)])
            return map(act_row, acts), acts[-1].id if acts else None

        return export("log", ACT_COLUMNS, read)

    def _midnight(self, day: date | None, days: int = 0) -> datetime | None:
        if day is None:
            return None
        zone = time_zone(self._desk.front.settings.time_zone)
        return datetime.combine(day + timedelta(days=days), time(), zone)

    async def check(self, caller: Caller) -> Page:
        """Follow the chain from its first seal: does each act still say what was sealed?"""
        whole = SealCheck(0, 0, is_whole=True)
        for _ in range(_ROUNDS_MAX):
            part = await self._identity.check_seals(whole.last_number, _CHECKED_MAX)
            is_end = part.last_number == whole.last_number or not part.is_whole
            whole = SealCheck(
                part.last_number,
                whole.checked_count + part.checked_count,
                is_whole=part.is_whole,
                broken_act=part.broken_act,
                waiting_count=part.waiting_count,
            )
            if is_end:
                break
        return await self._table(caller, whole)


def _asked(caller: Caller) -> dict[str, str]:
    names = ("merchant", "kind", "from", "to", "actor")
    return {name: value for name in names if (value := caller.asked(name, 254))}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
