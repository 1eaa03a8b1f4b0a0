"""One merchant's one order, and fifty who want its money at the same moment."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from simkit.actors import Violation
from simkit.residence import OURS, Residence
from simkit.shift import Shift, StandingClock
from simkit.trouble import FaultPlan
from simkit.world import broken_promises

from monthkit.asking import Asking
from monthkit.banks import Banks, Letter
from monthkit.market import Merchant, open_house, open_merchant, prove_payee
from vendrail.api.disputes import Disputes
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    Orders,
    OrderState,
    PlaceOrder,
    RefundOrder,
)
from vendrail.api.payments import Payments
from vendrail.api.payouts import NewPayout, PayoutId, Payouts, PayoutState
from vendrail.api.settlement import FeeTerms, HoldTerms, MerchantBalance, Settlement
from vendrail.api.support import (
    ComplaintKind,
    ComplaintState,
    ComplaintStep,
    OpenComplaint,
    Party,
    Remedy,
    Side,
    StepKind,
    Support,
)
from vendrail.kernel.ids import new_id, shard_in, shard_of
from vendrail.payments.attempts import out_trade_no

PRICE = 10_000
_FEE = 250  # Of that price, by the merchants' terms.
_QUIET = {
    "VENDRAIL_LOG_LEVEL": "error",
    "VENDRAIL_PUBLIC_URL": "http://127.0.0.1:9",
    "VENDRAIL_CATALOG_HOLDS_PRESSING_MIN": "1000000",
}
_REST_DAYS_MAX = 40
_PATIENCE_S = 60.0
WAVES = 4
_DAY_S = 86_400


class Wish(StrEnum):
    """What one of the fifty wants."""

    REFUND = "refund"
    SAME_REFUND = "same refund"  # Everybody who wants it asks under one id.
    PAYOUT = "payout"
    COMPLAINT = "complaint"
    ANSWER = "answer"
    WITHDRAWAL = "withdrawal"
    CHARGEBACK = "chargeback"
    VERDICT = "verdict"
    TURN = "turn"  # Another process' loops.


@dataclass(frozen=True)
class Racer:
    """One who races: what they want, how much of it, and with which wave they start."""

    wish: Wish
    percent: int = 50
    wave: int = 0


@dataclass
class Stake:
    """The order that they race for."""

    merchant: Merchant
    order: OrderId
    secret: str
    number: str
    is_won: bool  # How the bank will decide.
    refund: UUID = field(default_factory=lambda: UUID(int=0))
    complaints: list[UUID] = field(default_factory=list)
    payouts: list[PayoutId] = field(default_factory=list)
    case: str = ""
    is_closed: bool = False
    letters: list[Letter] = field(default_factory=list)


class Race:
    """A house, its banks, and one order after another that is raced for."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.tally: Counter[str] = Counter()
        self._dsn = dsn
        shift = Shift(folder / "clock")
        shift.add_s(time.time())
        clock = StandingClock(shift)
        self._banks = Banks(folder / "banks", shift.file)
        (folder / "home").mkdir()
        plan = FaultPlan(0, self.tally)
        plan.is_on = False
        self._residence = Residence(
            folder / "home", dsn, clock, plan, self.tally, _QUIET, is_driven=True
        )
        self._asking = Asking(self._residence, clock, shift, self.tally)
        self._count = 0

    async def open(self) -> None:
        """Open the house."""
        asyncio.current_task().set_name(f"{OURS} main")
        await self._residence.open()
        await open_house(self._asking, self._banks)

    async def close(self) -> None:
        """Close it."""
        asyncio.current_task().set_name(f"{OURS} main")
        self._residence.calm()
        await self._residence.close()
        await asyncio.to_thread(self._banks.close)

    async def run(
        self, racers: Sequence[Racer], holds: tuple[int, int, int], crash_after: int, is_won: bool
    ) -> None:
        """Sell one key, let all race for its money, come to rest, and count."""
        asyncio.current_task().set_name(f"{OURS} main")
        self._asking.told.clear()
        stake = await self._sell(holds, is_won=is_won)
        if crash_after:
            self._residence.crash_after(crash_after)
        await self._start_all(racers, stake)
        self._residence.calm()
        try:
            await self._come_to_rest(stake)
            await self._examine(stake)
        except Violation as error:
            told = "\n  ".join(self._asking.told)
            raise Violation(f"{error}\n  {told}") from error

    async def _sell(self, holds: tuple[int, int, int], *, is_won: bool) -> Stake:
        asking = self._asking
        self._count += 1
        merchant = await open_merchant(asking, self._count, PRICE, 60)
        await asking.ask(Settlement, "put_fee_terms", [FeeTerms(merchant.id, "CNY", 200, 50)])
        if any(holds):
            terms = HoldTerms(merchant.id, None, *holds)
            await asking.ask(Settlement, "put_hold_terms", [terms])
        asking.pass_s(15)
        await prove_payee(asking, self._banks, merchant)
        # The other order is nobody's prize, but its money lies beside the first one's.
        ids = [OrderId(new_id(asking.now(), shard_of(merchant.id))) for _ in range(2)]
        wanted = [PlaceOrder(id, merchant.sku, 1, "CNY", f"{id}@example.com", "card") for id in ids]
        placed = await asking.ask(Orders, "place_orders", wanted)
        for each in placed:
            asking.check("place", each.status, {"placed"})
        await self._bring(self._banks.take_cards([(out_trade_no(id, 1), PRICE) for id in ids]))
        await self._deliver(ids)
        order, secret, refund = ids[0], placed[0].secret, new_id(asking.now())
        return Stake(merchant, order, secret, out_trade_no(order, 1), is_won, refund=refund)

    async def _deliver(self, ids: Sequence[OrderId]) -> None:
        """Turn until both are delivered: whoever else writes here may hide events for a while."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            await self._asking.turn(is_whole=True)
            queries = [OrderQuery(id, None) for id in ids]
            views = await self._asking.ask(Orders, "read_orders", queries)
            if all(view.state is OrderState.DELIVERED for view in views):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise Violation(f"Not delivered in {_PATIENCE_S} s: {views}")
            await asyncio.sleep(0.05)

    async def _bring(self, letters: Sequence[Letter]) -> None:
        callbacks = [letter.callback for letter in letters]
        answers = await self._asking.ask(Payments, "take_callbacks", callbacks) if letters else []
        for answer in answers:
            self._asking.check("letter", answer.status_code, {200})

    # The fifty.

    async def _start_all(self, racers: Sequence[Racer], stake: Stake) -> None:
        """Start wave after wave: each when half of those before have what they want.

        The last one comes when all have: a bank among them finds refunds and payouts done.
        """
        running: set[asyncio.Task[None]] = set()
        for wave in range(WAVES):
            running |= {
                asyncio.create_task(self._start(racer, stake), name=f"{OURS} racer")
                for racer in racers
                if racer.wave == wave
            }
            most = 0 if wave == WAVES - 2 else len(running) // 2
            while len(running) > most:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.gather(*done)
        await asyncio.gather(*running)

    async def _start(self, racer: Racer, stake: Stake) -> None:
        wishes = {
            Wish.REFUND: self._refund, Wish.SAME_REFUND: self._refund, Wish.PAYOUT: self._payout,
            Wish.COMPLAINT: self._complain, Wish.ANSWER: self._answer,
            Wish.WITHDRAWAL: self._withdraw, Wish.CHARGEBACK: self._take_back,
            Wish.VERDICT: self._close, Wish.TURN: self._turn,
        }  # fmt: skip
        await wishes[racer.wish](racer, stake)

    async def _refund(self, racer: Racer, stake: Stake) -> None:
        is_same = racer.wish is Wish.SAME_REFUND
        id = stake.refund if is_same else new_id(self._asking.now())
        percent = 30 if is_same else racer.percent
        amount_minor = 0 if percent == 100 else PRICE * percent // 100
        wanted = RefundOrder(id, stake.order, amount_minor, "raced", "shop@example.com")
        [status] = await self._asking.ask(Orders, "refund_orders", [wanted])
        may = {"accepted", "exists", "disputed", "more_than_captured"}
        self._asking.check(racer.wish, status, may)

    async def _payout(self, racer: Racer, stake: Stake) -> None:
        id = PayoutId(new_id(self._asking.now()))
        minor = (PRICE - _FEE) * racer.percent // 100
        new = NewPayout(id, stake.merchant.id, stake.merchant.payee, minor, "CNY")
        [status] = await self._asking.ask(Payouts, "request_payouts", [new])
        self._asking.check("payout", status, {"taken", "exists", "balance_too_low", "in_debt"})
        stake.payouts.append(id)

    async def _complain(self, _: Racer, stake: Stake) -> None:
        id = new_id(self._asking.now(), shard_in(stake.order))
        asked = OpenComplaint(id, stake.order, stake.secret, ComplaintKind.DEAD_KEY, "It is dead.")
        [status] = await self._asking.ask(Support, "open_complaints", [asked])
        may = {"opened", "exists", "nothing_left", "one_is_open", "decided", "too_many", "too_soon"}
        self._asking.check("complain", status, may)
        if status in ("opened", "exists"):
            stake.complaints.append(id)

    async def _answer(self, racer: Racer, stake: Stake) -> None:
        remedies = (Remedy.REFUND, Remedy.PART, Remedy.REPLACE, Remedy.REJECT)
        staff = Party(Side.MERCHANT, merchant=stake.merchant.id, person="shop@example.com")
        await self._step(stake, staff, StepKind.ANSWER, remedies[racer.percent % 4])

    async def _withdraw(self, _: Racer, stake: Stake) -> None:
        await self._step(stake, Party(Side.BUYER, stake.secret), StepKind.WITHDRAW, None)

    async def _step(self, stake: Stake, by: Party, kind: StepKind, remedy: Remedy | None) -> None:
        if not stake.complaints:
            return
        minor = 700 if remedy is Remedy.PART else 0
        id = new_id(self._asking.now())
        step = ComplaintStep(id, stake.complaints[-1], by, kind, remedy, minor, "So it is.")
        [status] = await self._asking.ask(Support, "take_steps", [step])
        may = {"taken", "exists", "not_their_turn", "amount_out_of_range"}
        self._asking.check(f"{by.side} {kind}", status, may)

    async def _take_back(self, _: Racer, stake: Stake) -> None:
        """The bank takes back what has not been refunded by then; it does so once."""
        if stake.case:
            return
        stake.case = "asked"
        case = await asyncio.to_thread(self._banks.try_dispute, stake.number)
        stake.case = case
        self._asking.say(f"bank: case {case}")
        await self._bring(await self._banks.quiet())

    async def _close(self, _: Racer, stake: Stake) -> None:
        if stake.is_closed or not stake.case.startswith("du_"):
            return
        stake.is_closed = True
        await asyncio.to_thread(self._banks.close_dispute, stake.case, is_won=stake.is_won)
        self._asking.say(f"bank: decided, won {stake.is_won}")
        await self._bring(await self._banks.quiet())

    async def _turn(self, _: Racer, __: Stake) -> None:
        await self._asking.turn()

    # Afterwards.

    async def _come_to_rest(self, stake: Stake) -> None:
        """Let days pass: limits, holds, releases, recovered debts; people and banks decide."""
        for day in range(_REST_DAYS_MAX):
            for _ in range(4):
                await self._asking.turn(is_whole=True)
                await self._bring(await self._banks.quiet())
                self._asking.pass_s(70)
            if day == 2:
                await self._close(Racer(Wish.VERDICT), stake)
            await self._rule(stake)
            if day > 9 and await self._is_over(stake):
                return
            self._asking.pass_s(_DAY_S)
        raise Violation("It does not come to rest.")

    async def _rule(self, stake: Stake) -> None:
        for id in stake.complaints:
            [view] = await self._asking.ask(Support, "read_complaints", [id])
            if view is None or view.state is not ComplaintState.ESCALATED:
                continue
            remedy = Remedy.REJECT if view.problem.startswith("refund") else Remedy.REFUND
            rule = ComplaintStep(
                new_id(self._asking.now()), id, Party(Side.OPERATOR, person="op"), StepKind.RULE,
                remedy, 0, "So it is.",
            )  # fmt: skip
            [status] = await self._asking.ask(Support, "take_steps", [rule])
            self._asking.check("rule", status, {"taken"})

    async def _is_over(self, stake: Stake) -> bool:
        views = await self._asking.ask(Support, "read_complaints", stake.complaints)
        balance = await self._balance(stake)
        waits = (balance.pending_minor, balance.reserve_minor, balance.frozen_minor)
        return not any(waits) and all(
            view is not None and view.state is ComplaintState.CLOSED for view in views
        )

    async def _balance(self, stake: Stake) -> MerchantBalance:
        [found] = await self._asking.ask(
            Settlement, "read_merchant_balances", [(stake.merchant.id, "CNY")]
        )
        return found

    async def _examine(self, stake: Stake) -> None:
        """The buyer has at most what was paid; what else went out, the merchant pays or owes."""
        balance = await self._balance(stake)
        kept = await asyncio.to_thread(self._banks.card_kept_minor, stake.number)
        lost = 0
        if stake.case.startswith("du_") and not stake.is_won:
            lost = await asyncio.to_thread(self._banks.disputed_minor, stake.case)
            self.tally["race: bank took back"] += 1
        [refunds] = await self._asking.ask(Orders, "read_refunds", [stake.order])
        back = sum(each.amount_minor for each in refunds if each.state == "paid")
        payouts = await self._asking.ask(Payouts, "read_payouts", stake.payouts)
        paid = sum(
            each.amount_minor + each.fee_minor
            for each in payouts
            if each is not None and each.state is PayoutState.SUCCEEDED
        )
        [disputes] = await self._asking.ask(Disputes, "read_order_disputes", [stake.order])
        fees = sum(each.fee_minor for each in disputes if each.state == "lost")
        there = balance.available_minor - balance.debt_minor
        due = 2 * (PRICE - _FEE) - back - lost - fees - paid
        facts = f"{balance} kept {kept} lost {lost} back {back} paid out {paid} fees {fees}"
        self.tally["race: refunded"] += back > 0
        self.tally["race: paid out"] += paid > 0
        self.tally["race: in debt"] += balance.debt_minor > 0
        self.tally["race: complained"] += bool(stake.complaints)
        if back + lost > PRICE or kept != PRICE - back:
            raise Violation(f"The buyer has more, or less, than was told: {facts} {refunds}")
        if there != due or balance.held_minor:
            raise Violation(f"The merchant has {there}, and was to have {due}: {facts} {disputes}")
        if balance.debt_minor and balance.available_minor:
            raise Violation(f"A debt is not recovered: {facts}")
        if promises := await broken_promises(self._dsn):
            raise Violation(f"The audit is not clean: {promises}")
