"""The deposit: what the platform asks a merchant to leave with it, paid in and asked back."""

from collections.abc import Sequence

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.settlement import DepositKind, DepositMove, DepositQuery, DepositStatus
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save
from vendrail.web.console.tables import DEPOSIT_MOVES
from vendrail.web.languages import message
from vendrail.web.merchant.acting import chosen_currency, log, log_export, log_undone, read_id
from vendrail.web.merchant.balance import currencies_of
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/deposit"
_PAGE = 50
_ACTS = {DepositKind.PAID: "deposit.paid", DepositKind.RETURNED: "deposit.asked_back"}
_GOOD = (DepositStatus.DONE, DepositStatus.ASKED)
_WRONG = message("Enter an amount above zero, in digits with one point, as 12.30.")
_REFUSED = {
    DepositStatus.AMOUNT_MALFORMED: _WRONG,
    DepositStatus.NO_TERMS: message("No deposit is asked of you in this currency."),
    DepositStatus.BALANCE_TOO_LOW: message("Your balance does not have that much."),
    DepositStatus.REFUSED: message("Your balance does not have that much."),
    DepositStatus.MORE_THAN_FREE: message("That is more than the terms leave free."),
    DepositStatus.ASKED_BEFORE: message("A return waits already: one at a time."),
    DepositStatus.EXISTS_DIFFERENT: message("This form was sent before, with other figures."),
}


class DepositPage:
    """The merchant's page of its deposit."""

    entries = (Entry(_ROOT, message("Deposit"), "lock", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._settlement = desk.apis.settlement

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        desk, write = self._desk, Permission.PAYOUTS_WRITE
        return [
            desk.get(_ROOT, self.show, Permission.BALANCE_READ),
            desk.get(f"{_ROOT}.csv", self.export, Permission.BALANCE_READ),
            desk.post(f"{_ROOT}/pay", self.pay, write, is_grave=True),
            desk.post(f"{_ROOT}/return", self.ask_back, write, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show how the deposit stands, and a page of its movements."""
        return await self._show(caller)

    async def _show(
        self, caller: Caller, problem: str = "", refused: DepositKind | None = None
    ) -> Page:
        currencies = await self._currencies(caller)
        currency = chosen_currency(caller, currencies)
        key = (caller.merchant, currency)
        [deposit] = await self._settlement.read_deposits([key])
        [balance] = await self._settlement.read_merchant_balances([key])
        query = DepositQuery(*key, _PAGE + 1, read_id(caller.asked("before")))
        [moves] = await self._settlement.list_deposit_moves([query])
        shown = moves[:_PAGE]
        older = f"{_ROOT}?currency={currency}&before={to_serial(shown[-1].id)}" if shown else ""
        return self._desk.page(
            caller,
            "merchant/deposit.html",
            path=_ROOT,
            status=422 if problem else 200,
            currencies=currencies,
            currency=currency,
            deposit=deposit,
            balance=balance,
            moves=shown,
            exported=f"{_ROOT}.csv?currency={currency}",
            older=older if len(moves) > _PAGE else "",
            written={
                DepositKind.PAID.value: _text(deposit.missing_minor, currency),
                DepositKind.RETURNED.value: _text(deposit.free_minor, currency),
                **({refused.value: caller.written("amount", 20)} if refused else {}),
            },
            nonce=to_serial(new_id(self._desk.clock.now())),
            can_move=caller.may(Permission.PAYOUTS_WRITE),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def export(self, caller: Caller) -> Page:
        """Give all movements in one currency as CSV; who took them is kept."""
        currencies, told = await self._currencies(caller), filters_of(caller, ("currency",))
        turned = await log_export(self._desk, caller, LISTED, "list:deposit", told)
        if turned is not None:
            return turned
        currency = chosen_currency(caller, currencies)

        async def read(last: DepositMove | None) -> Sequence[DepositMove]:
            query = DepositQuery(caller.merchant, currency, AT_ONCE, last.id if last else None)
            [found] = await self._settlement.list_deposit_moves([query])
            return found

        return save("deposit", DEPOSIT_MOVES, read)

    async def _currencies(self, caller: Caller) -> list[str]:
        """Name the currencies with money or a deposit in them; those with a deposit first."""
        every = self._desk.front.purse.currencies
        found = await self._settlement.read_deposits([(caller.merchant, each) for each in every])
        kept = [each.currency for each in found if each.terms is not None or each.held_minor]
        return list(dict.fromkeys([*kept, *await currencies_of(self._desk, caller)]))

    async def pay(self, caller: Caller) -> Page:
        """Pay in from what is available."""
        return await self._move(caller, DepositKind.PAID)

    async def ask_back(self, caller: Caller) -> Page:
        """Ask back what the terms leave free: it comes after their days."""
        return await self._move(caller, DepositKind.RETURNED)

    async def _move(self, caller: Caller, kind: DepositKind) -> Page:
        nonce, currency = read_id(caller.written("nonce")), caller.written("currency", 3)
        if nonce is None or currency not in await self._currencies(caller):
            return self._desk.problem(caller.request, 400, caller)
        try:
            amount_minor = from_text(caller.written("amount", 20), currency)
        except Malformed:
            return await self._show(caller, _WRONG, kind)
        id = derive(nonce, f"deposit:{caller.merchant}")
        move = DepositMove(id, caller.merchant, currency, kind, amount_minor)
        act, subject = _ACTS[kind], f"merchant:{to_serial(caller.merchant)}"
        after = {"amount_minor": str(amount_minor), "currency": currency}
        await log(self._desk, caller, act, subject, after=after)
        [status] = await self._settlement.move_deposits([move])
        if status not in _GOOD:
            await log_undone(self._desk, caller, act, subject, status)
            return await self._show(caller, _REFUSED[status], kind)
        return onward(f"{_ROOT}?currency={currency}")


def _text(amount_minor: int, currency: str) -> str:
    return to_text(amount_minor, currency) if amount_minor else ""
