"""Merchants at their balance, and operators at their desks, day by day."""

import random
from uuid import UUID

from monthkit.asking import Asking
from monthkit.banks import Banks
from monthkit.buyers import Agenda, Buyers
from monthkit.market import (
    PAYOUT_FEE,
    Merchant,
    change_reserve,
    hold_terms,
    write_schedule,
)
from vendrail.api.catalog import Catalog, MerchantId, SalesStop
from vendrail.api.orders import Orders, SagaQuery
from vendrail.api.payments import Payments, UnmatchedQuery, UnmatchedVerdict
from vendrail.api.payouts import (
    NewPayout,
    PayoutId,
    PayoutQuery,
    Payouts,
    PayoutState,
    PayoutVerdict,
    Remittance,
    RemittanceTarget,
    ReserveSource,
)
from vendrail.api.settlement import FeeTerms, MerchantBalance, Settlement
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.saga import SagaState

_PAYOUT_MIN = 100
_PAYOUT_WAITING = 5_000
_RESERVE_LOW = 60_000
_REFILL = 1_000_000
_PAGE = 200
_ASKED = {"taken", "exists", "balance_too_low", "in_debt", "suspended"}
# What becomes of the next payout at the provider, and how often.
_FATES = {"paid": 60, "lost answer": 10, "never arrived": 8, "refused": 8, "under way": 6,
          "bounces": 16}  # fmt: skip


class Staff:
    """Whoever works there."""

    def __init__(
        self, seed: int, asking: Asking, banks: Banks, buyers: Buyers, market: list[Merchant],
        agenda: Agenda,
    ) -> None:  # fmt: skip
        self._seed = seed
        self._asking = asking
        self._banks = banks
        self._buyers = buyers
        self._market = market
        self._agenda = agenda
        self._schedules = 0
        self._settlements = 0

    # Merchants.

    async def balance(self, merchant: Merchant) -> MerchantBalance:
        """Read where a merchant's money is."""
        [found] = await self._asking.ask(
            Settlement, "read_merchant_balances", [(merchant.id, "CNY")]
        )
        return found

    async def pay_out(self) -> None:
        """Let some merchants ask for money: mostly what is there, at times more."""
        for merchant in self._market:
            dice = random.Random(f"payout {self._seed} {self._agenda.tick} {merchant.number}")
            if dice.random() > 0.12:
                continue
            there = (await self.balance(merchant)).available_minor
            minor = int(there * dice.choice((0.3, 0.6, 1.0, 1.0, 1.5)))
            if dice.random() < 0.5:
                minor = min(minor, there - PAYOUT_FEE)
            if minor >= _PAYOUT_MIN:
                (fate,) = dice.choices(list(_FATES), list(_FATES.values()))
                await self.ask_payout(merchant, minor, fate, dice.randint(1, 40))

    async def ask_payout(self, merchant: Merchant, minor: int, fate: str, back_in: int = 1) -> str:
        """Ask for one payout, which meets its fate at the provider."""
        match fate:
            case "lost answer" | "under way":
                self._banks.fail_transfer("gateway_down", is_after=True)
            case "never arrived":
                self._banks.fail_transfer("gateway_down")
            case "refused":
                self._banks.fail_transfer("business_error", sub_code="PAYER_BALANCE_NOT_ENOUGH")
        id = PayoutId(new_id(self._asking.now()))
        new = NewPayout(id, merchant.id, merchant.payee, minor, "CNY", by="owner@example.com")
        [status] = await self._asking.ask(Payouts, "request_payouts", [new])
        may = _ASKED | ({"merchant_unverified"} if merchant.is_doubtful else set())
        self._asking.check("payout", status, may, (merchant.number, minor, fate))
        if status in ("taken", "exists"):
            merchant.payouts.append(id)
        await self._asking.turn()
        self._banks.forgive()
        if fate == "under way" and self._banks.end_transfer(to_serial(id), "DEALING"):
            self._agenda.later(back_in % 6, lambda: self._arrive(id, is_paid=back_in % 2 == 0))
        elif fate == "bounces":
            self._agenda.later(back_in, lambda: self._bounce(id))
        return status

    async def _arrive(self, id: PayoutId, *, is_paid: bool) -> None:
        """What was under way ends."""
        self._banks.end_transfer(to_serial(id), "SUCCESS" if is_paid else "FAIL", "")

    async def _bounce(self, id: PayoutId) -> None:
        """It came back, hours or days later."""
        if self._banks.end_transfer(to_serial(id), "REFUND", "PAYEE_ACCOUNT_CLOSED"):
            self._asking.tally["act: payout bounced"] += 1

    # Operators.

    async def work(self, *, is_last: bool = False) -> None:
        """Do what lies on the desks; in the end nothing is declined."""
        await self._look_at_payouts(is_last=is_last)
        await self._fill_reserve()
        await self._look_at_money()
        await self.look_at_sagas()

    async def _look_at_payouts(self, *, is_last: bool) -> None:
        query = PayoutQuery(states=[PayoutState.REVIEW], payouts_max=_PAGE)
        [waiting] = await self._asking.ask(Payouts, "list_payouts", [query])
        for view in waiting:
            dice = random.Random(f"review {self._seed} {view.amount_minor}")
            is_good = is_last or dice.random() < 0.75
            verdict = PayoutVerdict(view.id, is_good, "op@example.com", "simulated")
            [status] = await self._asking.ask(Payouts, "review_payouts", [verdict])
            may = {"done", "not_waiting", "not_payable"}
            self._asking.check(f"payout review {is_good}", status, may)

    async def _fill_reserve(self) -> None:
        reserves = await self._asking.ask(Payouts, "list_reserves")
        query = PayoutQuery(states=[PayoutState.READY], payouts_max=1)
        [waiting] = await self._asking.ask(Payouts, "list_payouts", [query])
        for reserve in reserves:
            is_enough = reserve.free_minor > _RESERVE_LOW and not waiting
            if reserve.channel_name != "alipay" or is_enough:
                continue
            if reserve.receivable_minor > _REFILL:
                await self._settle()
            else:
                await change_reserve(self._asking, _REFILL, ReserveSource.OWNER)

    async def _settle(self) -> None:
        """Book what the provider has paid into the reserve of what it owed."""
        self._settlements += 1
        settled = Remittance(
            "alipay", f"refill-{self._settlements}", "CNY", _REFILL, 0, RemittanceTarget.RESERVE,
            self._asking.now().date(), "op@example.com", "simulated",
        )  # fmt: skip
        [status] = await self._asking.ask(Payouts, "book_remittances", [settled])
        self._asking.check("refill", status, {"booked", "exists"}, settled)

    async def _look_at_money(self) -> None:
        """Match money that fits nothing, or give it back: as its buyer's life says."""
        by_number = {life.stray: life for life in self._buyers.lives.values() if life.stray}
        query = UnmatchedQuery(captures_max=_PAGE)
        [listed] = await self._asking.ask(Payments, "list_unmatched", [query])
        for capture in listed:
            life = by_number.get(self._buyers.numbers.get(capture.provider_number, ""))
            is_match = life is not None and life.plan.is_good
            target = life.order if life is not None and is_match else None
            verdict = UnmatchedVerdict(capture.id, target, "operator", "simulated")
            [status] = await self._asking.ask(Payments, "settle_unmatched", [verdict])
            what = "match" if is_match else "give back"
            self._asking.check(what, status, {"settled", "exists"}, capture)
            if life is not None and is_match:
                life.is_matched = True

    async def look_at_sagas(self) -> None:
        """Give up purchases that are stuck, or let them try again; what goes back goes on."""
        query = SagaQuery(SagaState.STUCK, sagas_max=_PAGE)
        [stuck] = await self._asking.ask(Orders, "list_sagas", [query])
        for at, saga in enumerate(stuck):
            if saga.kind == "purchase" and at % 2 == 0 and not saga.is_turned:
                [status] = await self._asking.ask(Orders, "give_up_orders", [saga.order])
                self._asking.check("give up", status, {"given_up", "exists", "not_stuck"}, saga)
                continue
            [is_woken] = await self._asking.ask(Orders, "wake_sagas", [saga.id])
            self._asking.tally[f"answer: saga woken {is_woken}"] += 1

    async def change_terms(self, day: int) -> None:
        """Change, some days, what merchants pay and how long their money is kept."""
        if day % 10 == 5:
            self._schedules += 1
            await write_schedule(self._asking, self._schedules)
        if day % 10 == 7:
            for merchant in self._market[::4]:
                await self._change_own(merchant, day)
        if day % 6 == 1:
            await self._suspend(self._market[1].id, "simulated")
        if day % 6 == 2:
            await self._suspend(self._market[1].id, "")

    async def _change_own(self, merchant: Merchant, day: int) -> None:
        terms = FeeTerms(merchant.id, "CNY", 90 + day + merchant.number, 5, 10)
        [status] = await self._asking.ask(Settlement, "put_fee_terms", [terms])
        self._asking.check("own fees", status, {"created", "unchanged"})
        holds = hold_terms(merchant.number + day, merchant.id)
        for status in await self._asking.ask(Settlement, "put_hold_terms", holds):
            self._asking.check("own holds", status, {"created", "unchanged"})

    async def take_reserve(self, day: int, slot: int) -> None:
        """Take out, at times, all that is free of the reserve: payouts wait until it is filled."""
        if day % 4 != 1 or slot not in (0, 4):
            return
        for reserve in await self._asking.ask(Payouts, "list_reserves"):
            if reserve.channel_name == "alipay" and reserve.free_minor > 0:
                await change_reserve(self._asking, -reserve.free_minor, ReserveSource.OWNER)
                self._asking.tally["act: reserve taken out"] += 1
        for merchant in self._market:
            there = (await self.balance(merchant)).available_minor
            minor = min(there - PAYOUT_FEE, _PAYOUT_WAITING)
            if minor >= _PAYOUT_MIN and await self.ask_payout(merchant, minor, "paid") == "taken":
                return

    async def stop_sales(self, day: int, slot: int) -> None:
        """Stop some merchants' sales for a part of a day, and let them go on."""
        merchant = self._market[(2 + day) % len(self._market)]
        if day % 4 != 1 or slot not in (2, 5):
            return
        is_stop = slot == 2
        stop = SalesStop(MerchantId(merchant.id), "simulated" if is_stop else "")
        [is_new] = await self._asking.ask(Catalog, "stop_sales", [stop])
        merchant.is_stopped, merchant.was_stopped = is_stop, True
        self._asking.tally[f"act: sales {'stopped' if is_stop else 'let go on'}"] += 1
        self._asking.say(f"sales of {merchant.number} stopped {is_stop}: {is_new}")
        self._asking.pass_s(15)  # Offers are remembered for a moment.

    async def let_all_go_on(self) -> None:
        """Stop nobody's payouts any more."""
        await self._suspend(self._market[1].id, "")

    async def _suspend(self, merchant: UUID, reason: str) -> None:
        await self._asking.ask(Payouts, "suspend_merchants", [(merchant, reason)])
        self._asking.tally[f"act: payouts {'stopped' if reason else 'let go on'}"] += 1

    async def take_everything(self) -> None:
        """In the end let every merchant take what is there."""
        for merchant in self._market:
            there = (await self.balance(merchant)).available_minor
            if there >= _PAYOUT_MIN + PAYOUT_FEE:
                await self.ask_payout(merchant, there - PAYOUT_FEE, "paid")
