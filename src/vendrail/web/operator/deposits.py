"""Deposits: asked of a merchant by one person, taken for what it owes by two."""

from collections.abc import Mapping, Sequence

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.settlement import (
    DepositKind,
    DepositMove,
    DepositQuery,
    DepositStatus,
    DepositTerms,
    DepositTermsStatus,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.console.exports import AT_ONCE, LISTED, save
from vendrail.web.console.tables import DEPOSIT_MOVES
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_PAGE = 50
_ASKED, _TAKEN = "deposit_terms.changed", "deposit.taken"
_ASKED_FIELDS = {"amount": "amount", "days": "days", "reason": "reason"}
_TAKEN_FIELDS = {"take": "amount", "take_reason": "reason"}
_TERMS_SAID = {
    DepositTermsStatus.CREATED: Said.SAVED,
    DepositTermsStatus.UNCHANGED: Said.EXISTS,
    DepositTermsStatus.FIELD_MALFORMED: Said.NO_DEPOSIT_TERMS,
}
_SAID = {
    DepositStatus.DONE: Said.DEPOSIT_TAKEN,
    DepositStatus.AMOUNT_MALFORMED: Said.NO_DEPOSIT_TERMS,
    DepositStatus.NOTHING_OWED: Said.NOTHING_OWED,
    DepositStatus.BALANCE_TOO_LOW: Said.NO_DEPOSIT,
    DepositStatus.REFUSED: Said.NO_DEPOSIT,
}


class DepositsDesk:
    """The desk of one merchant's deposit."""

    entries = ()

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._settlement = desk.apis.settlement
        deeds.add(Deed(_ASKED, Permission.MERCHANTS_WRITE, self._put_terms))
        deeds.add(Deed(_TAKEN, Permission.PAYOUTS_WRITE, self._take))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, path = self._desk, "/operator/merchants/{merchant:str}/deposit"
        return [
            desk.get(path, self.show, Permission.BALANCE_READ),
            desk.get(f"{path}.csv", self.export, Permission.BALANCE_READ),
            desk.post(path, self.ask, Permission.MERCHANTS_WRITE, is_grave=True),
            desk.post(f"{path}/take", self.take, Permission.PAYOUTS_WRITE, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show how a merchant's deposit stands, and its movements."""
        return await self._show(caller)

    async def _show(
        self, caller: Caller, said: Said | None = None, fields: Mapping[str, str] | None = None
    ) -> Page:
        """Show it; fields of a form that was refused stand as they were written."""
        merchant = read_id(caller.part("merchant"))
        name = (await self._files.merchant_names()).get(merchant) if merchant is not None else None
        if merchant is None or name is None:
            return self._desk.problem(caller.request, 404, caller)
        currency = self._currency(caller)
        [deposit] = await self._settlement.read_deposits([(merchant, currency)])
        [balance] = await self._settlement.read_merchant_balances([(merchant, currency)])
        query = DepositQuery(merchant, currency, _PAGE + 1, read_id(caller.asked("before")))
        [moves] = await self._settlement.list_deposit_moves([query])
        shown = moves[:_PAGE]
        here = f"/operator/merchants/{to_serial(merchant)}/deposit?currency={currency}"
        older = f"{here}&before={to_serial(shown[-1].id)}" if len(moves) > _PAGE else ""
        terms = deposit.terms
        return self._desk.page(
            caller,
            "operator/deposit.html",
            status=200 if said is None else 422,
            merchant=merchant,
            name=name,
            currency=currency,
            currencies=sorted(self._desk.front.purse.currencies),
            deposit=deposit,
            debt_minor=balance.debt_minor,
            moves=shown,
            exported=here.replace("?", ".csv?"),
            older=older,
            written={
                "amount": to_text(terms.amount_minor, currency) if terms else "",
                "days": str(terms.return_days if terms else 30),
                "take": to_text(min(balance.debt_minor, deposit.held_minor), currency),
                **{name: caller.written(field, 500) for name, field in (fields or {}).items()},
            },
            nonce=to_serial(new_id(self._desk.clock.now())),
            can_ask=caller.may(Permission.MERCHANTS_WRITE),
            can_take=caller.may(Permission.PAYOUTS_WRITE),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def export(self, caller: Caller) -> Page:
        """Give all movements of a merchant's deposit as CSV; who took them is kept."""
        merchant, currency = read_id(caller.part("merchant")), self._currency(caller)
        if merchant is None or merchant not in await self._files.merchant_names():
            return self._desk.problem(caller.request, 404, caller)
        told = {"merchant": to_serial(merchant), "currency": currency}
        turned = await self._deeds.log_export(caller, LISTED, "list:deposit", told)
        if turned is not None:
            return turned

        async def read(last: DepositMove | None) -> Sequence[DepositMove]:
            query = DepositQuery(merchant, currency, AT_ONCE, last.id if last else None)
            [found] = await self._settlement.list_deposit_moves([query])
            return found

        return save("deposit", DEPOSIT_MOVES, read)

    def _currency(self, caller: Caller) -> str:
        asked = caller.asked("currency", 3) or caller.written("currency", 3)
        own = self._desk.front.settings.default_currency
        return asked if asked in self._desk.front.purse.currencies else own

    async def ask(self, caller: Caller) -> Page:
        """Ask for a deposit, for another, or for none any more."""
        merchant, currency = read_id(caller.part("merchant")), self._currency(caller)
        if merchant is None or merchant not in await self._files.merchant_names():
            return self._desk.problem(caller.request, 404, caller)
        days = caller.written("days", 3)
        try:
            amount_minor = from_text(caller.written("amount", 20) or "0", currency)
        except Malformed:
            amount_minor = -1
        if amount_minor < 0 or not (days.isascii() and days.isdigit() and int(days) <= 365):
            return await self._show(caller, Said.NO_DEPOSIT_TERMS, _ASKED_FIELDS)
        [deposit] = await self._settlement.read_deposits([(merchant, currency)])
        before = deposit.terms
        said = await self._deeds.do(
            caller,
            _ASKED,
            f"merchant:{to_serial(merchant)}",
            {
                "merchant": to_serial(merchant),
                "amount_minor": str(amount_minor),
                "currency": currency,
                "return_days": days,
            },
            before={
                "amount_minor": str(before.amount_minor) if before else "0",
                "return_days": str(before.return_days) if before else "",
            },
            merchant=merchant,
        )
        path = f"/operator/merchants/{to_serial(merchant)}/deposit?currency={currency}"
        return (
            back_to(path, said) if said in GOOD else await self._show(caller, said, _ASKED_FIELDS)
        )

    async def take(self, caller: Caller) -> Page:
        """Take of a deposit what is owed: a second person decides."""
        merchant, currency = read_id(caller.part("merchant")), self._currency(caller)
        move = read_id(caller.written("nonce"))
        names = await self._files.merchant_names()
        if merchant is None or merchant not in names or move is None:
            return self._desk.problem(caller.request, 404, caller)
        try:
            amount_minor = from_text(caller.written("amount", 20), currency)
        except Malformed:
            amount_minor = 0
        if amount_minor <= 0:
            return await self._show(caller, Said.NO_DEPOSIT_TERMS, _TAKEN_FIELDS)
        [deposit] = await self._settlement.read_deposits([(merchant, currency)])
        [balance] = await self._settlement.read_merchant_balances([(merchant, currency)])
        if balance.debt_minor <= 0:
            return await self._show(caller, Said.NOTHING_OWED, _TAKEN_FIELDS)
        if not deposit.held_minor:
            return await self._show(caller, Said.NO_DEPOSIT, _TAKEN_FIELDS)
        said = await self._deeds.do(
            caller,
            _TAKEN,
            f"merchant:{to_serial(merchant)}",
            {
                "merchant": to_serial(merchant),
                "move": to_serial(move),
                "amount_minor": str(amount_minor),
                "currency": currency,
            },
            before={"held_minor": str(deposit.held_minor), "owed_minor": str(balance.debt_minor)},
            merchant=merchant,
            is_joint=True,
        )
        path = f"/operator/merchants/{to_serial(merchant)}/deposit?currency={currency}"
        return (
            back_to(path, said) if said in GOOD else await self._show(caller, said, _TAKEN_FIELDS)
        )

    async def _put_terms(self, told: Mapping[str, str], _person: str) -> Said:
        merchant = read_id(told["merchant"])
        if merchant is None:
            return Said.NOT_FOUND
        terms = DepositTerms(
            merchant, told["currency"], int(told["amount_minor"]), int(told["return_days"])
        )
        [status] = await self._settlement.put_deposit_terms([terms])
        return _TERMS_SAID[status]

    async def _take(self, told: Mapping[str, str], _person: str) -> Said:
        merchant, id = read_id(told["merchant"]), read_id(told["move"])
        if merchant is None or id is None:
            return Said.NOT_FOUND
        move = DepositMove(
            id,
            merchant,
            told["currency"],
            DepositKind.TAKEN,
            int(told["amount_minor"]),
            told["reason"],
        )
        [status] = await self._settlement.move_deposits([move])
        return _SAID.get(status, Said.OTHERWISE)
