"""Payouts: what can go out, to which accounts, what is on its way, and how each came to its end."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.ledger import Chart
from vendrail.api.payouts import (
    NewPayee,
    NewPayout,
    Payee,
    PayeeId,
    PayeeProof,
    PayeeState,
    PayeeStatus,
    PayeeTest,
    PayoutId,
    PayoutQuery,
    PayoutStatus,
    VerifyStatus,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.money import from_text
from vendrail.web.amounts import amount
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, PAYOUT_COLUMNS, export, payout_row
from vendrail.web.languages import message
from vendrail.web.merchant.acting import chosen_currency, log, log_export, log_undone, read_id
from vendrail.web.merchant.schedules import currencies_of
from vendrail.web.pages import onward
from vendrail.web.papers.sheets import Rows
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/payouts"
_PAGE = 30
_BANK_KINDS = frozenset(["bank", "iban", "cn_bank"])  # Accounts whose numbers are taken for cards'.
_DONE = {
    "asked": message("The payout is on its way. The money is set aside for it."),
    "added": message("The account is added. Send a test payout to it next."),
    "tested": message(
        "A small amount goes there as soon as it can. "
        "Once it has arrived, say here how much it was."
    ),
    "proven": message("The account is proven."),
    "scheduled": message("So it is from now on."),
    "closed": message("The account is closed. Nothing goes there any more."),
}
_REFUSED = {
    PayoutStatus.EXISTS: message("That was asked for before; nothing was done again."),
    PayoutStatus.EXISTS_DIFFERENT: message("The page was too old. Look, then ask again."),
    PayoutStatus.PAYEE_NOT_FOUND: message("Choose an account of yours."),
    PayoutStatus.CURRENCY_NOT_OFFERED: message("That account does not take this currency."),
    PayoutStatus.PAYEE_UNVERIFIED: message("Prove the account first: send a test payout to it."),
    PayoutStatus.PAYEE_COOLING: message("The account was added a short while ago. Wait a little."),
    PayoutStatus.TESTED_TOO_OFTEN: message("No more tests for now. Try again tomorrow."),
    PayoutStatus.SUSPENDED: message("The platform has stopped your payouts. Ask its support."),
    PayoutStatus.MERCHANT_UNVERIFIED: message("Payouts begin when the platform knows who you are."),
    PayoutStatus.IN_DEBT: message("You owe the platform. Payouts go on when that is settled."),
    PayoutStatus.AMOUNT_TOO_SMALL: message("That is less than the least payout."),
    PayoutStatus.BALANCE_TOO_LOW: message("The balance does not have that much, with the fee."),
}
_NOT_ADDED = {
    PayeeStatus.EXISTS: message("You have that account already."),
    PayeeStatus.EXISTS_DIFFERENT: message("The page was too old. Look, then ask again."),
    PayeeStatus.WAY_UNKNOWN: message("Nothing pays out that way just now."),
    PayeeStatus.ACCOUNT_MALFORMED: message("That does not look like such an account."),
    PayeeStatus.NAME_MISSING: message("Enter the name that the account is held by."),
    PayeeStatus.TOO_MANY: message("You have as many accounts as one may. Close one first."),
}
_NOT_PROVEN = {
    VerifyStatus.PAYEE_NOT_FOUND: message("Choose an account of yours."),
    VerifyStatus.NOT_TESTED: message("The test payout has not arrived there yet."),
    VerifyStatus.TOO_MANY: message("Too many wrong answers. Send another test payout."),
    VerifyStatus.AMOUNT_WRONG: message("That is not what was sent."),
}
_AT_MOST = message("At most %(amount)s can go out now.")
_NO_AMOUNT = message("Enter an amount above zero.")


class MerchantPayouts:
    """The merchant's room of payouts."""

    entries = (Entry(_ROOT, message("Payouts"), "arrow", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._payouts = desk.apis.payouts

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.PAYOUTS_WRITE
        return [
            desk.get(_ROOT, self.table, Permission.BALANCE_READ),
            desk.post(_ROOT, self.ask, write, is_grave=True),
            desk.post(f"{_ROOT}/accounts", self.add, write, is_grave=True),
            desk.post(f"{_ROOT}/tests", self.test, write, is_grave=True),
            desk.post(f"{_ROOT}/proofs", self.prove, write),
            desk.post(f"{_ROOT}/closed-accounts", self.close, write, is_grave=True),
            desk.get("/merchant/payouts.csv", self.export, Permission.BALANCE_READ),
            desk.get(f"{_ROOT}/{{serial:str}}", self.show, Permission.BALANCE_READ),
        ]

    async def table(self, caller: Caller) -> Page:
        """Show what can go out, the accounts, and a page of payouts."""
        return await self._table(caller)

    async def _table(self, caller: Caller, problem: str = "") -> Page:
        merchant = caller.merchant
        [payees] = await self._payouts.list_payees([merchant])
        currencies = currencies_of(payees, self._desk.front.settings.default_currency)
        currency = chosen_currency(caller, currencies)
        before = read_id(caller.asked("before"))
        query = PayoutQuery(merchant, [], PayoutId(before) if before else None, _PAGE + 1)
        [found] = await self._payouts.list_payouts([query])
        [terms] = await self._payouts.read_terms([currency])
        [stopped] = await self._payouts.read_suspensions([merchant])
        available = Chart(currency).merchant(merchant, "available").id
        [balance] = await self._desk.apis.ledger.read_balances([available])
        there = balance.credit_minor if balance is not None else 0
        waiting = balance.debits_pending if balance is not None else 0
        done = caller.asked("done")
        is_more = len(found) > _PAGE
        ways = await self._payouts.list_ways()
        return self._desk.page(
            caller,
            "merchant/payouts.html",
            path=_ROOT,
            status=422 if problem else 200,
            payouts=found[:_PAGE],
            payees=payees,
            usable=[each for each in payees if self._is_usable(each, currency)],
            ways=ways,
            to_banks=any(_BANK_KINDS.intersection(way.payee_kinds) for way in ways),
            has_banks=any(way.channel_name.startswith("bank.") for way in ways),
            currencies=currencies,
            currency=currency,
            free_minor=there - waiting,
            waiting_minor=waiting,
            terms=terms,
            schedule=(await self._payouts.read_schedules([(merchant, currency)]))[0],
            stopped=stopped,
            standing=(await self._desk.apis.compliance.read_standings([merchant]))[0],
            may_write=caller.may(Permission.PAYOUTS_WRITE),
            nonce=to_serial(new_id(self._desk.clock.now())),
            now=self._desk.clock.now(),
            most_minor=max(0, there - waiting - terms.fee_minor),
            amount=caller.written("amount", 30),
            titles={way.channel: way.title or way.channel_name for way in ways},
            doubled=_doubled([kind for way in ways for kind in way.payee_kinds]),
            is_adding="way" in caller.form,
            written=defaultdict(str, caller.form),
            done=self._desk.say(caller, _DONE[done]) if done in _DONE else "",
            problem=self._desk.say(caller, problem) if problem else "",
            older=f"{_ROOT}?before={to_serial(found[_PAGE - 1].id)}" if is_more else "",
        )

    async def export(self, caller: Caller) -> Page:
        """Give all payouts as CSV; who took them is kept."""
        turned = await log_export(self._desk, caller, "payout.exported", "payouts")
        if turned is not None:
            return turned

        async def read(before: PayoutId | None) -> tuple[Rows, PayoutId | None]:
            query = PayoutQuery(caller.merchant, [], before, AT_ONCE)
            [found] = await self._payouts.list_payouts([query])
            return map(payout_row, found), found[-1].id if found else None

        return export("payouts", PAYOUT_COLUMNS, read)

    def _is_usable(self, payee: Payee, currency: str) -> bool:
        is_ready = payee.usable_at <= self._desk.clock.now() and currency in payee.currencies
        return is_ready and payee.state is PayeeState.VERIFIED

    async def show(self, caller: Caller) -> Page:
        """Show one payout of this merchant's."""
        id = read_id(caller.part("serial"))
        [view] = await self._payouts.read_payouts([PayoutId(id)]) if id else [None]
        if view is None or view.merchant != caller.merchant:
            return self._desk.problem(caller.request, 404, caller)
        [steps] = await self._payouts.read_steps([view.id])
        [taken] = await self._payouts.find_taken([view.id])
        return self._desk.page(
            caller,
            "merchant/payout.html",
            path=_ROOT,
            payout=view,
            steps=steps,
            taken=taken,
            rest_minor=view.amount_minor + view.fee_minor - sum(e.amount_minor for e in taken),
        )

    def _id(self, caller: Caller, step: str) -> UUID | None:
        """Give the one id of a form as it was shown: sent twice, it is the same act."""
        nonce = read_id(caller.written("nonce", 40))
        return derive(nonce, f"{step}:{caller.merchant}") if nonce else None

    async def ask(self, caller: Caller) -> Page:
        """Ask for a payout."""
        id, payee = self._id(caller, "payout"), read_id(caller.written("payee", 40))
        currency = caller.written("currency", 3)
        try:
            amount_minor = from_text(caller.written("amount", 30), currency)
        except Malformed:
            amount_minor = 0
        if id is None or payee is None:
            return await self._table(caller, _REFUSED[PayoutStatus.PAYEE_NOT_FOUND])
        if amount_minor <= 0:
            return await self._table(caller, _NO_AMOUNT)
        [known] = await self._payouts.read_payouts([PayoutId(id)])
        if known is None and (problem := await self._too_much(caller, amount_minor, currency)):
            return await self._table(caller, problem)
        subject = f"payout:{to_serial(id)}"
        told = {"amount": caller.written("amount", 30), "currency": currency}
        await log(self._desk, caller, "payout.requested", subject, after=told)
        asked = NewPayout(
            PayoutId(id),
            caller.merchant,
            PayeeId(payee),
            amount_minor,
            currency,
            by=caller.person.email,
        )
        [status] = await self._payouts.request_payouts([asked])
        if status not in (PayoutStatus.TAKEN, PayoutStatus.EXISTS):
            await log_undone(self._desk, caller, "payout.requested", subject, status)
            return await self._table(caller, _REFUSED[status])
        return onward(f"{_ROOT}?done=asked&currency={currency}")

    async def _too_much(self, caller: Caller, amount_minor: int, currency: str) -> str | None:
        """Say how much can go out, where more is asked for: a payout that cannot be is none."""
        available = Chart(currency).merchant(caller.merchant, "available").id
        [balance] = await self._desk.apis.ledger.read_balances([available])
        [terms] = await self._payouts.read_terms([currency])
        free_minor = balance.credit_minor - balance.debits_pending if balance is not None else 0
        most_minor = max(0, free_minor - terms.fee_minor)
        if amount_minor <= most_minor:
            return None
        too_low = self._desk.say(caller, _REFUSED[PayoutStatus.BALANCE_TOO_LOW])
        most = amount(most_minor, currency, caller.visitor.language.locale)
        return f"{too_low} {self._desk.say(caller, _AT_MOST) % {'amount': most}}"

    async def add(self, caller: Caller) -> Page:
        """Add an account; its people are told by letter."""
        id = self._id(caller, "payee")
        channel, _, kind = caller.written("way", 100).partition("|")
        way = read_id(channel)
        if id is None or way is None:
            return await self._table(caller, _NOT_ADDED[PayeeStatus.WAY_UNKNOWN])
        subject = f"payee:{to_serial(id)}"
        await log(self._desk, caller, "payee.added", subject, after={"kind": kind})
        new = NewPayee(
            PayeeId(id),
            caller.merchant,
            way,
            kind,
            caller.written("account", 100),
            caller.written("name", 100),
            caller.person.email,
        )
        [status] = await self._payouts.add_payees([new])
        if status is not PayeeStatus.CREATED:
            await log_undone(self._desk, caller, "payee.added", subject, status)
            return await self._table(caller, _NOT_ADDED[status])
        return onward(f"{_ROOT}?done=added#accounts")

    async def _own(self, caller: Caller) -> Payee | None:
        wanted = read_id(caller.written("payee", 40))
        [payees] = await self._payouts.list_payees([caller.merchant])
        return next((each for each in payees if each.id == wanted), None)

    async def test(self, caller: Caller) -> Page:
        """Send a test payout to an account."""
        payee, id = await self._own(caller), self._id(caller, "test")
        if payee is None or id is None:
            return await self._table(caller, _REFUSED[PayoutStatus.PAYEE_NOT_FOUND])
        subject = f"payee:{to_serial(payee.id)}"
        await log(self._desk, caller, "payee.tested", subject)
        test = PayeeTest(
            PayoutId(id), payee.id, caller.merchant, payee.currencies[0], caller.person.email
        )
        [status] = await self._payouts.test_payees([test])
        if status not in (PayoutStatus.TAKEN, PayoutStatus.EXISTS):
            await log_undone(self._desk, caller, "payee.tested", subject, status)
            return await self._table(caller, _REFUSED[status])
        return onward(f"{_ROOT}?done=tested#accounts")

    async def prove(self, caller: Caller) -> Page:
        """Compare what arrived with what was sent."""
        payee = await self._own(caller)
        if payee is None:
            return await self._table(caller, _NOT_PROVEN[VerifyStatus.PAYEE_NOT_FOUND])
        try:
            amount_minor = from_text(caller.written("arrived", 30), payee.currencies[0])
        except Malformed:
            return await self._table(caller, _NO_AMOUNT)
        subject = f"payee:{to_serial(payee.id)}"
        await log(self._desk, caller, "payee.proven", subject)
        proof = PayeeProof(payee.id, caller.merchant, amount_minor)
        [status] = await self._payouts.verify_payees([proof])
        if status is not VerifyStatus.VERIFIED:
            await log_undone(self._desk, caller, "payee.proven", subject, status)
            return await self._table(caller, _NOT_PROVEN[status])
        return onward(f"{_ROOT}?done=proven#accounts")

    async def close(self, caller: Caller) -> Page:
        """Close an account."""
        payee = await self._own(caller)
        if payee is None:
            return await self._table(caller, _REFUSED[PayoutStatus.PAYEE_NOT_FOUND])
        await log(self._desk, caller, "payee.closed", f"payee:{to_serial(payee.id)}")
        await self._payouts.close_payees([(payee.id, caller.merchant)])
        return onward(f"{_ROOT}?done=closed#accounts")


def _doubled(kinds: Sequence[str]) -> set[str]:
    """Name the kinds of accounts that several channels pay out to: these need the name of one."""
    return {kind for kind, count in Counter(kinds).items() if count > 1}
