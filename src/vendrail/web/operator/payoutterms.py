"""Terms of payouts: the least amount, the fee, who looks, and what merchants may choose from."""

from collections.abc import Mapping

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payouts import PayoutTerms, ScheduleKind, TermsPutStatus
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import EXPONENTS, from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.storefront.front import Page

_PATH = "/operator/payout-terms"
_CHANGED = "payout_terms.changed"
_SAID = {
    TermsPutStatus.CHANGED: Said.SAVED,
    TermsPutStatus.UNCHANGED: Said.EXISTS,
    TermsPutStatus.FIELD_MALFORMED: Said.NO_PAYOUT_TERMS,
}


class PayoutTermsDesk:
    """The operator's page of terms, by currency."""

    entries = (Entry(_PATH, message("Payout terms"), "clock", Permission.PAYOUTS_WRITE),)

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._payouts = desk.apis.payouts
        deeds.add(Deed(_CHANGED, Permission.PAYOUTS_WRITE, self._put))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        write = Permission.PAYOUTS_WRITE
        return [
            self._desk.get(_PATH, self.show, write),
            self._desk.post(_PATH, self.change, write, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show the terms of every currency that is paid out, and the form of one."""
        return await self._show(caller)

    async def _show(self, caller: Caller, said: Said | None = None) -> Page:
        ways = await self._payouts.list_ways()
        own = self._desk.front.settings.default_currency
        found = {currency for way in ways for currency in way.currencies}
        currencies = [own, *sorted(found - {own})]
        asked = caller.asked("currency", 3) or caller.written("currency", 3)
        currency = asked if asked in currencies else own
        every = await self._payouts.read_terms(currencies)
        standing = every[currencies.index(currency)]
        written = {
            "least": to_text(standing.amount_minor_min, currency),
            "fee": to_text(standing.fee_minor, currency),
            "review": to_text(standing.review_above_minor, currency),
            "minutes": str(standing.look_minutes),
        }
        kinds = [each.value for each in standing.kinds]
        return self._desk.page(
            caller,
            "operator/payout_terms.html",
            path=_PATH,
            status=200 if said is None else 422,
            every=every,
            currency=currency,
            kinds=[each for each in ScheduleKind if each is not ScheduleKind.MANUAL],
            chosen=_kinds(caller) if said is not None else kinds,
            written=written | (dict(caller.form) if said is not None else {}),
            reason=caller.written("reason"),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def change(self, caller: Caller) -> Page:
        """Write a currency's terms, with a second person; what was asked for keeps its own."""
        told = _read(caller)
        if told is None:
            return await self._show(caller, Said.NO_PAYOUT_TERMS)
        [before] = await self._payouts.read_terms([told["currency"]])
        said = await self._deeds.do(
            caller,
            _CHANGED,
            f"currency:{told['currency']}",
            told,
            before=_told(before),
            is_joint=True,
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, said)

    async def _put(self, told: Mapping[str, str], _person: str) -> Said:
        terms = PayoutTerms(
            told["currency"],
            int(told["amount_minor_min"]),
            int(told["fee_minor"]),
            int(told["review_above_minor"]),
            [ScheduleKind(each) for each in told["kinds"].split(" ")],
            int(told["look_minutes"]),
        )
        [status] = await self._payouts.put_terms([terms])
        return _SAID[status]


def _kinds(caller: Caller) -> list[str]:
    """Read which kinds are ticked; by hand is always one."""
    return [
        each.value
        for each in ScheduleKind
        if each is ScheduleKind.MANUAL or caller.written(f"kind_{each.value}", 3) == "yes"
    ]


def _read(caller: Caller) -> dict[str, str] | None:
    """Read the form as a deed has it; None: it makes no sense."""
    currency, minutes = caller.written("currency", 3), caller.written("minutes", 4)
    if currency not in EXPONENTS or not (minutes.isascii() and minutes.isdigit()):
        return None
    try:
        least, fee, review = (
            from_text(caller.written(name, 20) or "0", currency)
            for name in ("least", "fee", "review")
        )
    except Malformed:
        return None
    if least < 1 or fee < 0 or review < 0 or not 1 <= int(minutes) <= 24 * 60:
        return None
    kinds = [ScheduleKind(each) for each in _kinds(caller)]
    return _told(PayoutTerms(currency, least, fee, review, kinds, int(minutes)))


def _told(terms: PayoutTerms) -> dict[str, str]:
    return {
        "currency": terms.currency,
        "amount_minor_min": str(terms.amount_minor_min),
        "fee_minor": str(terms.fee_minor),
        "review_above_minor": str(terms.review_above_minor),
        "kinds": " ".join(each.value for each in terms.kinds),
        "look_minutes": str(terms.look_minutes),
    }
