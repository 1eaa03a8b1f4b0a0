"""Wallets of buyers: what they may hold in each currency, and what is owed to buyers."""

from collections.abc import Mapping

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.wallets import WalletTerms, WalletTermsStatus
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.operator.deeds import TEXTS, Deeds, Said
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_PATH = "/operator/wallets"
_AMOUNTS = ("top_up_minor_min", "top_up_minor_max", "balance_minor_max", "step_up_minor")
_WRONG = message(
    "Write amounts in digits with one point, as 12.30: the least top-up above zero, the largest no"
    " less, and the balance no less than that."
)
_DONE = {
    WalletTermsStatus.WRITTEN.value: message("Saved. It counts from now on."),
    WalletTermsStatus.UNCHANGED.value: message("That was so before; nothing was changed."),
}


class WalletDesk:
    """The page of wallets."""

    entries = (Entry(_PATH, message("Wallets of buyers"), "coins", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk = desk
        self._deeds = deeds
        self._wallets = desk.apis.wallets

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of this page."""
        one = f"{_PATH}/{{currency:str}}"
        return [
            self._desk.get(_PATH, self.show, Permission.BALANCE_READ),
            self._desk.get(one, self.terms, Permission.BALANCE_READ),
            self._desk.post(one, self.change, Permission.CHANNELS_WRITE, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show what wallets hold, and what they may, by currency."""
        sums = {each.currency: each for each in await self._wallets.sum_wallets()}
        terms = {each.currency: each for each in await self._wallets.list_wallet_terms()}
        known = dict.fromkeys((*self._desk.front.purse.currencies, *terms, *sums))
        return self._desk.page(
            caller,
            "operator/wallets.html",
            lines=[(each, terms.get(each) or WalletTerms(each), sums.get(each)) for each in known],
        )

    async def terms(self, caller: Caller) -> Page:
        """Show the terms of one currency."""
        return await self._terms(caller)

    async def _find(self, currency: str) -> WalletTerms | None:
        terms = {each.currency: each for each in await self._wallets.list_wallet_terms()}
        if currency in terms:
            return terms[currency]
        is_known = currency in self._desk.front.purse.currencies
        return WalletTerms(currency) if is_known else None

    async def _terms(self, caller: Caller, problem: str = "") -> Page:
        terms = await self._find(caller.part("currency"))
        if terms is None:
            return self._desk.problem(caller.request, 404, caller)
        sums = [s for s in await self._wallets.sum_wallets() if s.currency == terms.currency]
        said = _DONE.get(caller.asked("said"), "")
        form = dict(caller.form)
        return self._desk.page(
            caller,
            "operator/wallet.html",
            status=422 if problem else 200,
            terms=terms,
            owed=sums[0] if sums else None,
            can_write=caller.may(Permission.CHANNELS_WRITE),
            written=form or _as_written(terms),
            is_on=bool(form.get("is_on")) if form else terms.is_on,
            problem=self._desk.say(caller, problem) if problem else "",
            done=self._desk.say(caller, said) if said else "",
        )

    async def change(self, caller: Caller) -> Page:
        """Switch wallets of a currency on or off, and set their bounds."""
        before = await self._find(caller.part("currency"))
        if before is None:
            return self._desk.problem(caller.request, 404, caller)
        try:
            after = _as_asked(caller.form, before.currency)
        except Malformed:
            return await self._terms(caller, _WRONG)
        path = f"{_PATH}/{before.currency}"
        if after == before:
            return onward(f"{path}?said={WalletTermsStatus.UNCHANGED}")
        reason = caller.written("reason")
        if not reason:
            return await self._terms(caller, TEXTS[Said.NO_REASON])
        subject = f"wallets:{before.currency}"
        was, now = _differing(before, after)
        act = "wallets.terms_changed"
        await self._deeds.log(caller, act, subject, before=was, after=now, reason=reason)
        [status] = await self._wallets.put_wallet_terms([after])
        if status.value not in _DONE:
            await self._deeds.log_undone(caller, act, subject, status)
            return await self._terms(caller, _WRONG)
        return onward(f"{path}?said={status}")


def _as_asked(form: Mapping[str, str], currency: str) -> WalletTerms:
    """Give the terms that a form asks for; what is empty is nothing."""
    written = {name: form.get(name, "").strip()[:20] for name in _AMOUNTS}
    amounts = {name: from_text(text, currency) if text else 0 for name, text in written.items()}
    return WalletTerms(currency, bool(form.get("is_on")), **amounts)


def _as_written(terms: WalletTerms) -> dict[str, str]:
    return {
        name: to_text(minor, terms.currency) if (minor := getattr(terms, name)) else ""
        for name in _AMOUNTS
    }


def _differing(before: WalletTerms, after: WalletTerms) -> tuple[dict[str, str], dict[str, str]]:
    names = [name for name in ("is_on", *_AMOUNTS) if getattr(before, name) != getattr(after, name)]
    was, now = ({name: str(getattr(each, name)) for name in names} for each in (before, after))
    return was, now
