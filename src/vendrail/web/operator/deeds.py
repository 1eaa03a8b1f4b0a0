"""Deeds: what operators do, each logged before it is done; large ones with a second person."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.fx import RatePair
from vendrail.api.identity import (
    NOT_DONE,
    Act,
    ChangeStatus,
    Permission,
    Proposal,
    ProposalState,
    ProposalVerdict,
    ProposalView,
)
from vendrail.kernel.ids import derive, new_id
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.languages import APPROVED_BY, message
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page


class Said(StrEnum):
    """How a deed ended, as a page says it."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    EXISTS = "exists"
    NO_REASON = "no_reason"
    NOT_FOUND = "not_found"
    OTHERWISE = "otherwise"
    NOT_ALLOWED = "not_allowed"
    ENDED = "ended"
    ORDER_UNKNOWN = "order_unknown"
    AMOUNT_DIFFERS = "amount_differs"
    NEVER_ASKED = "never_asked"
    PROVIDER_DISAGREES = "provider_disagrees"
    NOTHING_WAITS = "nothing_waits"
    NOT_PAID = "not_paid"
    PROVIDER_SILENT = "provider_silent"
    NOT_DELIVERED = "not_delivered"
    MORE_THAN_LEFT = "more_than_left"
    AMOUNT_TOO_SMALL = "amount_too_small"
    NO_WALLET = "no_wallet"
    DISPUTED = "disputed"
    NO_AMOUNT = "no_amount"
    NO_SUM = "no_sum"
    NO_GOOD_SUM = "no_good_sum"
    NO_ACCOUNT = "no_account"
    NO_REFERENCE = "no_reference"
    BALANCE_TOO_LOW = "balance_too_low"
    NO_FEE = "no_fee"
    NO_HOLD = "no_hold"
    NO_PAYOUT_TERMS = "no_payout_terms"
    NOT_STUCK = "not_stuck"
    TURNED = "turned"
    NO_PURCHASE = "no_purchase"
    DELIVERED = "delivered"
    RESERVE_TOO_LOW = "reserve_too_low"
    BANK_TOO_LOW = "bank_too_low"
    NO_REMITTANCE = "no_remittance"
    WRITTEN = "written"
    NO_BOUNDS = "no_bounds"
    NO_NOTICE = "no_notice"
    FEE_FOLLOWED = "fee_followed"
    NOT_SUGGESTED = "not_suggested"
    NOBODY = "nobody"
    MORE_THAN_OWED = "more_than_owed"
    REMITTED_OTHERWISE = "remitted_otherwise"
    NOT_PAYABLE = "not_payable"
    RATE_KNOWN = "rate_known"
    NOT_FINAL = "not_final"
    NO_WORTH = "no_worth"
    NO_ADDRESS = "no_address"
    NO_DEPOSIT_TERMS = "no_deposit_terms"
    NO_DEPOSIT = "no_deposit"
    NOTHING_OWED = "nothing_owed"
    NO_SKU = "no_sku"
    NO_GOODS_RULES = "no_goods_rules"
    NO_BANK = "no_bank"
    NAME_TAKEN = "name_taken"
    NOT_CHECKED = "not_checked"
    NO_DAY = "no_day"
    NO_BOUND = "no_bound"
    CHANGED_SINCE = "changed_since"
    TERMS_OTHERS = "terms_others"
    MOVED_ON = "moved_on"
    SAVED = "saved"
    RULES_SAVED = "rules_saved"
    TAKEN_BACK = "taken_back"
    DECIDED = "decided"
    RULED = "ruled"
    GOES_ON = "goes_on"
    WOKEN = "woken"
    GIVEN_BACK = "given_back"
    COUNTED = "counted"
    ASKED = "asked"
    PAYOUT_AGREED = "payout_agreed"
    PAYOUT_STOPPED = "payout_stopped"
    PAYOUTS_STOPPED = "payouts_stopped"
    PAYOUTS_RESUMED = "payouts_resumed"
    SALES_STOPPED = "sales_stopped"
    SALES_RESUMED = "sales_resumed"
    GOODS_ALLOWED = "goods_allowed"
    TAKEN_DOWN = "taken_down"
    BOOKED = "booked"
    CORRECTED = "corrected"
    DEPOSIT_TAKEN = "deposit_taken"
    FILE_MADE = "file_made"
    FILE_CARRIED = "file_carried"
    ANSWER_NOTED = "answer_noted"


_DONE = {  # What was done, and what comes of it.
    Said.SAVED: message("Saved. It counts from now on."),
    Said.RULES_SAVED: message("Saved. What is on the shelves is looked through by and by."),
    Said.TAKEN_BACK: message("Taken back: what stood before counts again."),
    Said.DECIDED: message("Decided. A letter tells them."),
    Said.RULED: message("Decided. Both sides read it, and what follows from it is done by itself."),
    Said.GOES_ON: message("The order goes on by itself; its page shows how far it is."),
    Said.WOKEN: message("It looks again now, and goes on by itself if it can."),
    Said.GIVEN_BACK: message(
        "The money goes back to whoever paid: it is there as soon as the provider, or the buyer’s"
        " wallet, has taken it."
    ),
    Said.COUNTED: message(
        "Counted. It is among the unmatched money: fill an order with it, or give it back."
    ),
    Said.ASKED: message("The provider is asked now. Its answer stands here in a moment."),
    Said.PAYOUT_AGREED: message(
        "Agreed. It goes out by itself as soon as its reserve holds enough; to a bank that takes"
        " files, with the next file."
    ),
    Said.PAYOUT_STOPPED: message("Stopped. The money goes back into the merchant’s balance."),
    Said.PAYOUTS_STOPPED: message(
        "Payouts are stopped. What no provider has yet goes back into the merchant’s balance."
    ),
    Said.PAYOUTS_RESUMED: message("The merchant is paid out again."),
    Said.SALES_STOPPED: message(
        "Sales are stopped, and everybody who works there is told. What is paid is delivered."
    ),
    Said.SALES_RESUMED: message("The merchant sells again, and everybody who works there is told."),
    Said.GOODS_ALLOWED: message("Allowed, until something else is found in it."),
    Said.TAKEN_DOWN: message("Taken down: nobody can buy it any more. The merchant reads why."),
    Said.BOOKED: message("Booked. Payouts that waited for that money go on by themselves."),
    Said.CORRECTED: message("Booked as a movement of today. What was booked before stays."),
    Said.DEPOSIT_TAKEN: message("Taken for what is owed. A letter tells the merchant’s people."),
    Said.FILE_MADE: message(
        "The file is made. Download it, give it to the bank, and say here that the bank has it."
    ),
    Said.FILE_CARRIED: message("Noted. Bring the bank’s answer here as soon as you have it."),
    Said.ANSWER_NOTED: message(
        "Noted. What failed or was returned goes back into the merchants’ balances."
    ),
}
TEXTS = _DONE | {
    Said.PROPOSED: message("A second person must approve it, under “Approvals”."),
    Said.APPROVED: message("Approved, and done."),
    Said.REFUSED: message("Refused. Nothing was done."),
    Said.EXISTS: message("That was decided so before; nothing was changed."),
    Said.NO_REASON: message("Say why: whoever reads the log later has nothing else."),
    Said.NOT_FOUND: message("It does not wait here any more."),
    Said.OTHERWISE: message("It was decided otherwise before."),
    Said.NOT_ALLOWED: message("Another person must approve it, one who may do this."),
    Said.ENDED: message("It was decided already, or its time is over."),
    Said.ORDER_UNKNOWN: message("No order has that number."),
    Said.AMOUNT_DIFFERS: message(
        "That order is of another amount. Give the money back, or choose one that it pays whole."
    ),
    Said.NEVER_ASKED: message("That order never asked for a payment."),
    Said.PROVIDER_DISAGREES: message("The provider, asked again, does not know of this money."),
    Said.NOTHING_WAITS: message("Nothing of it waits any more."),
    Said.NOT_PAID: message("The provider was asked: nobody has paid this order."),
    Said.PROVIDER_SILENT: message("The provider did not answer. Nothing is assumed: ask again."),
    Said.NOT_DELIVERED: message(
        "It was not delivered. An unpaid order expires by itself; one that waits is reviewed."
    ),
    Said.MORE_THAN_LEFT: message("That is more than is left of its payment."),
    Said.NOT_STUCK: message("It is not stuck any more: it goes on by itself."),
    Said.TURNED: message("It goes back already. Mend the cause, then let it look again."),
    Said.NO_PURCHASE: message(
        "Only a purchase is given up. A refund goes on until the money is back."
    ),
    Said.DELIVERED: message(
        "Its keys were delivered, so there is nothing to give up. Refund the order instead."
    ),
    Said.NOT_PAYABLE: message(
        "Its account is closed or not proven, or the merchant's payouts are stopped. Decline it."
    ),
    Said.RESERVE_TOO_LOW: message("The reserve does not have so much that is free."),
    Said.BANK_TOO_LOW: message("So much has not been paid into the bank account."),
    Said.NO_BOUNDS: message(
        "Percentages are 0 to 100, written as 2.50, the lower bound not above the upper one."
    ),
    Said.NO_NOTICE: message("Days of notice are 1 to 90, and a tier is a number from 0 to 9."),
    Said.FEE_FOLLOWED: message(
        "Other terms were written since. Change those of the merchant instead."
    ),
    Said.NOT_SUGGESTED: message("That is not suggested any more: look at what is now."),
    Said.WRITTEN: message("The letter is on its way to everybody who works there."),
    Said.NOBODY: message("Nobody works there who could be written to."),
    Said.NO_REMITTANCE: message(
        "A settlement has a number, an amount above its fee, a day that has come, and a channel"
        " that takes that currency; into a reserve only where that channel pays out."
    ),
    Said.MORE_THAN_OWED: message(
        "The provider owes less than that. Look at the amount, or for payments that are not known"
        " here yet."
    ),
    Said.REMITTED_OTHERWISE: message("That number was booked before, with another amount."),
    Said.NO_FEE: message("The fee is written as 2.50 percent, amounts as 0.30; none below zero."),
    Said.NO_HOLD: message(
        "Hours are 0 to 2160, percent 0 to 100, days 1 to 365; a percentage and days go together."
    ),
    Said.NO_PAYOUT_TERMS: message(
        "Amounts are written as 0.30, none below zero and the least above it; minutes are 1 to"
        " 1440."
    ),
    Said.AMOUNT_TOO_SMALL: message(
        "That is less than the smallest coin of the currency that was paid. Give back more."
    ),
    Said.NO_WALLET: message(
        "Its buyer has no wallet that takes money in. Give it back in another way."
    ),
    Said.DISPUTED: message(
        "The payer’s bank is deciding on this payment. It can be refunded once that dispute has"
        " ended."
    ),
    Said.RATE_KNOWN: message("Its worth is known again: it counts by itself."),
    Said.NOT_FINAL: message("It is not final yet: wait until nothing can undo it."),
    Said.NO_WORTH: message(
        "Write what it is worth above zero, in digits with one point, as 12.30."
    ),
    Said.NO_ADDRESS: message(
        "That is no address that money can go back to. Look at every letter of it."
    ),
    Said.NO_DEPOSIT_TERMS: message(
        "An amount is written as 500.00, and not below zero; days are 0 to 365."
    ),
    Said.NO_DEPOSIT: message("There is no deposit to take from."),
    Said.NOTHING_OWED: message("The merchant owes nothing in this currency."),
    Said.NO_SKU: message("No product on the shelves has this SKU."),
    Said.NO_GOODS_RULES: message("A rule is one line of at most 60 letters; at most 500 of them."),
    Said.NO_BANK: message(
        "Look at every field: a short name in small letters, currencies such as EUR, an account"
        " whose check digits are right."
    ),
    Said.NAME_TAKEN: message("Another bank has that name."),
    Said.NOT_CHECKED: message("Look at everything on the list, and tick it, before you accept."),
    Said.NO_DAY: message("The day is to come, and within ten years."),
    Said.NO_BOUND: message("Amounts are written as 12.30 and above zero; an empty one is any."),
    Said.CHANGED_SINCE: message("The list has changed meanwhile. Look at it again."),
    Said.TERMS_OTHERS: message(
        "The terms have changed since it was put up. Look at them, then put it up again."
    ),
    Said.MOVED_ON: message("It has moved on meanwhile. See where it stands now."),
    Said.NO_ACCOUNT: message("Choose two different accounts, and whose they are."),
    Said.NO_REFERENCE: message("Say what it corrects: its number, or the day."),
    Said.BALANCE_TOO_LOW: message("There is not so much in that account."),
    Said.NO_AMOUNT: message("Enter an amount above zero, or leave it empty for all that is left."),
    Said.NO_SUM: message("Write the amount in digits with one point, as 12.30."),
    Said.NO_GOOD_SUM: message("Enter an amount above zero, in digits with one point, as 12.30."),
}
GOOD = frozenset({*_DONE, Said.PROPOSED, Said.APPROVED, Said.REFUSED, Said.EXISTS, Said.WRITTEN})

Run = Callable[[Mapping[str, str], str], Awaitable[Said]]  # Given what to do, and who does it.


class Deed(NamedTuple):
    """One kind of deed; `act` is its name in the log."""

    act: str
    permission: Permission
    run: Run


class Deeds:
    """Does deeds for callers: reason, second person, log, then the deed itself."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._identity = desk.apis.identity
        self._above_minor = desk.front.settings.second_person_above_minor
        self._currency = desk.front.settings.default_currency
        self._known: dict[str, Deed] = {}

    def add(self, deed: Deed) -> None:
        """Make a kind of deed known, also to whoever approves it later."""
        self._known[deed.act] = deed

    async def do(
        self,
        caller: Caller,
        act: str,
        subject: str,
        payload: Mapping[str, str],
        *,
        amount: tuple[int, str] | None = None,
        is_joint: bool = False,
        merchant: UUID | None = None,
        before: Mapping[str, str] | None = None,
        after: Mapping[str, str] | None = None,
    ) -> Said:
        """Do it now, or put it up for a second person: by its minor units and their currency.

        A joint deed wants one whatever its amount, unless the platform works without.

        The log tells the payload, and how what it changes stands before and after.
        """
        deed, reason = self._known[act], caller.written("reason")
        if not reason:
            return Said.NO_REASON
        told = {**payload, "reason": reason}
        now = self._desk.clock.now()
        is_shared = is_joint and bool(self._above_minor)
        if is_shared or (amount is not None and await self._is_much(*amount)):
            # The same deed on the same day is one proposal, however often it is sent.
            id = derive(UUID(int=0), f"{now.date()}|{act}|{subject}|{sorted(payload.items())}")
            proposal = Proposal(
                id,
                act,
                subject,
                told,
                deed.permission,
                reason,
                caller.actor,
                before=dict(before or {}),
            )
            [view] = await self._identity.propose_acts([proposal])
            return Said.PROPOSED if view.state is ProposalState.OPEN else Said.ENDED
        await self.log(
            caller,
            act,
            subject,
            merchant=merchant,
            before=before,
            after={**payload, **(after or {})},
            reason=reason,
        )
        said = await deed.run(told, caller.person.email)
        if said not in GOOD:
            await self.log_undone(caller, act, subject, said, merchant=merchant)
        return said

    async def _is_much(self, amount_minor: int, currency: str) -> bool:
        """Tell whether a second person is asked: for money whose worth nobody knows, always."""
        if not self._above_minor or currency == self._currency:
            return bool(self._above_minor) and amount_minor > self._above_minor
        result = await self._desk.front.purse.rate(RatePair(currency, self._currency))
        if result.rate is None:
            return True
        return result.rate.price(amount_minor).fair_minor > self._above_minor

    async def log_undone(
        self, caller: Caller, act: str, subject: str, why: str, *, merchant: UUID | None = None
    ) -> None:
        """Add to the log that an act written there was not done after all."""
        await self.log(caller, act, subject, merchant=merchant, after={NOT_DONE: why})

    async def log(
        self,
        caller: Caller,
        act: str,
        subject: str,
        *,
        merchant: UUID | None = None,
        before: Mapping[str, str] | None = None,
        after: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        """Write an act of an operator to the log, before it is done."""
        id = new_id(self._desk.clock.now())
        told = Act(
            id, caller.actor, act, subject, merchant, dict(before or {}), dict(after or {}), reason
        )
        await self._identity.record_acts([told])

    async def log_export(
        self, caller: Caller, act: str, subject: str, after: Mapping[str, str] | None = None
    ) -> Page | None:
        """Write to the log who takes a list; a page: they are turned away, nothing is written."""
        if (turned := await self._desk.turn_away(caller)) is None:
            await self.log(caller, act, subject, after=after)
        return turned

    async def decide(self, caller: Caller, view: ProposalView, *, is_approved: bool) -> Said:
        """Say yes or no to what somebody has put up; a yes is carried out at once, once."""
        verdict = ProposalVerdict(view.proposal.id, is_approved, caller.actor)
        [status] = await self._identity.decide_proposals([verdict])
        if status is ChangeStatus.NOT_ALLOWED:
            return Said.NOT_ALLOWED
        is_open_still = is_approved and view.state is ProposalState.APPROVED  # It broke off.
        if status is not ChangeStatus.CHANGED and not is_open_still:
            return Said.ENDED
        return await self.finish(caller, view) if is_approved else Said.REFUSED

    async def finish(self, caller: Caller, view: ProposalView) -> Said:
        """Carry out what was approved, and then mark it done: what broke off is done again here.

        A deed is known by what it is told, so one that had come to its end changes nothing twice.
        """
        put = view.proposal
        if not caller.may(put.permission):
            return Said.NOT_ALLOWED
        deed = self._known.get(put.act)
        if deed is None:
            return Said.ENDED
        approver = view.decided_by or caller.person.email
        try:
            said = await deed.run(put.payload, f"{put.by.name}{APPROVED_BY}{approver}")
        except Exception:
            await self.log_undone(caller, put.act, put.subject, "broke_off")
            raise
        [status] = await self._identity.finish_proposals([put.id])
        if status is not ChangeStatus.CHANGED:  # Somebody else carried it out at the same time.
            return Said.ENDED
        if said in GOOD:
            return Said.APPROVED
        await self.log_undone(caller, put.act, put.subject, said)
        return said

    def said(self, caller: Caller) -> str:
        """Give what the page that sent us here wants to be said, in the caller's language."""
        code = caller.asked("said")
        known = {each.value: text for each, text in TEXTS.items() if each in GOOD}
        return self._desk.say(caller, known[code]) if code in known else ""

    def problem(self, caller: Caller, said: Said | None) -> str:
        """Say why a deed was not done."""
        return self._desk.say(caller, TEXTS[said]) if said is not None else ""


def back_to(path: str, said: Said) -> Page:
    """Lead to a page that says how it ended."""
    return onward(f"{path}{'&' if '?' in path else '?'}said={said}#top")
