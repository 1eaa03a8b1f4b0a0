"""The buyers: they place, pay as they planned or not at all, complain, and are given back."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs
from uuid import UUID

from simkit.actors import Violation

from monthkit.asking import Asking
from monthkit.banks import Banks, Letter
from monthkit.market import REVIEWED, Merchant
from monthkit.plans import After, Plan, Way
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    Orders,
    OrderState,
    OrderView,
    PayFromWallet,
    PayOrder,
    Placement,
    PlaceOrder,
    PlaceTopUp,
    RefundOrder,
)
from vendrail.api.payments import AttemptId, Payments, PresentRequest
from vendrail.api.risk import Risk, RiskDecision, Verdict
from vendrail.api.wallets import WALLET_DESK
from vendrail.kernel.ids import derive, new_id, shard_of
from vendrail.payments.attempts import out_trade_no

_DELIVERY_TICKS_MAX = 40
_BRINGS_MAX = 12
_IN_WALLETS = (Way.WALLET, Way.PART)

Act = Callable[[], Awaitable[None]]


@dataclass
class Life:
    """One buyer, as far as they have come."""

    plan: Plan
    merchant: Merchant
    order: OrderId
    has_coupon: bool = False
    secret: str = ""
    amount_minor: int = 0
    numbers: list[tuple[str, int]] = field(default_factory=list)  # Paid at Alipay.
    cards: list[tuple[str, int]] = field(default_factory=list)  # Paid by card.
    stray: str = ""  # A number that is none, under which money came.
    lost_minor: int = 0  # What a bank took back for good.
    is_matched: bool = False  # A person has matched its stray money.
    case: str = ""
    complaint: UUID | None = None

    @property
    def coupon(self) -> str:
        """The code that they place with."""
        return self.merchant.word if self.has_coupon else ""

    @property
    def number(self) -> str:
        """Under which the provider knows its first attempt."""
        return out_trade_no(self.order, 1)

    @property
    def rest_minor(self) -> int:
        """What of a part stays to be paid over the channel."""
        return max(1, self.amount_minor - int(self.amount_minor * self.plan.share))


def _check_price(life: Life, placed: Placement) -> None:
    """Hold a price against quantity and coupon."""
    price_minor = life.merchant.price(life.plan.quantity)
    off_minor = price_minor - placed.amount_minor
    least, most = life.merchant.discount(price_minor) if life.coupon else (0, 0)
    if not least <= off_minor <= most:
        raise Violation(f"Placed for {placed.amount_minor}, {price_minor} without coupon: {life}")


def _why_shut(merchant: Merchant) -> str:
    if merchant.is_stopped or merchant.supplier is None or merchant.supplier.is_stopped:
        return "while stopped"
    return "below a floor" if merchant.has_agency else "without an agency"


class Agenda:
    """What is to be done at which tick."""

    def __init__(self) -> None:
        self.tick = 0
        self._acts: dict[int, list[Act]] = defaultdict(list)

    def later(self, ticks: int, act: Act) -> None:
        """Do something so many ticks from now; at the next at the earliest."""
        self._acts[self.tick + max(1, ticks)].append(act)

    def take(self) -> list[Act]:
        """Give what is to be done now."""
        return self._acts.pop(self.tick, [])

    @property
    def is_due(self) -> bool:
        """Whether anything is to be done now."""
        return self.tick in self._acts

    @property
    def is_empty(self) -> bool:
        """Whether nothing is planned any more."""
        return not self._acts


class Buyers:
    """Everybody who buys."""

    def __init__(
        self, seed: int, asking: Asking, banks: Banks, market: list[Merchant], agenda: Agenda
    ) -> None:
        self._seed = seed
        self._asking = asking
        self._banks = banks
        self._market = market
        self._agenda = agenda
        self.buy_on_host: Callable[[Life], Awaitable[None]]
        self.lives: dict[UUID, Life] = {}  # By order.
        self.numbers: dict[str, str] = {}  # Ours, by Alipay's own.
        self.after: dict[After, Callable[[Life], Awaitable[None]]] = {
            After.REFUND: self._refund_whole,
            After.REFUND_PART: self._refund_part,
            After.REFUND_TO_WALLET: self._refund_to_wallet,
        }

    # Placing.

    def _is_on_host(self, life: Life) -> bool:
        """Tell whether they come by the shop's domain: no account, hence no wallet, is there."""
        plan, is_open = life.plan, bool(life.merchant.host) and not life.merchant.is_shut
        is_guest = plan.way is Way.ONCE and plan.after is not After.REFUND_TO_WALLET
        return is_open and is_guest and plan.has_host

    async def come(self, plans: Sequence[Plan]) -> None:
        """Let a tick's buyers place, and do what they planned to do at once."""
        lives = [self._begin(plan) for plan in plans]
        top_ups = [life for life in lives if life.plan.way is Way.TOP_UP]
        there = [life for life in lives if self._is_on_host(life)]
        others = [life for life in lives if life not in there and life not in top_ups]
        lives = await self._place(others)
        for life in there:
            await self.buy_on_host(life)
        await self._place_top_ups(top_ups)
        lives += there + top_ups
        self.lives |= {life.order: life for life in lives}
        self._asking.pass_s(20)
        ways = {Way.CANCELS: self._cancel, Way.TWICE: self._otherwise, Way.UNHEARD: self._unheard,
                Way.WALLET: self._pay_from_wallet, Way.PART: self._pay_from_wallet}  # fmt: skip
        for life in lives:
            if life.plan.way in ways:
                await ways[life.plan.way](life)
        await self._pay(lives)
        for life in lives:
            if life.plan.way is Way.LATE:
                self._agenda.later(1, lambda life=life: self._pay_late(life))
            if life.plan.way is Way.REVIEWED:
                self._agenda.later(life.plan.after_in % 4, lambda life=life: self._review(life))
            if life.plan.after is not After.NOTHING:
                self._plan_after(life, life.plan.after_in, 0)

    def _begin(self, plan: Plan) -> Life:
        """Let a buyer find the shop: the merchant's, or the one of its agent."""
        merchant = self._market[plan.merchant]
        if plan.has_agent and merchant.agent is not None:
            merchant = merchant.agent
        return Life(plan, merchant, self._order_id(plan, merchant), plan.has_coupon)

    def _order_id(self, plan: Plan, merchant: Merchant) -> OrderId:
        is_top_up = plan.way is Way.TOP_UP
        owner = WALLET_DESK if is_top_up else merchant.id
        return OrderId(new_id(self._asking.now(), shard_of(owner)))

    async def _place(self, lives: Sequence[Life]) -> list[Life]:
        """Place; whose coupon is used up place without it. Give those who could."""
        again = []
        wanted = [self._order(life) for life in lives]
        placed = await self._asking.ask(Orders, "place_orders", wanted)
        for life, each, order in zip(lives, placed, wanted, strict=True):
            if life.merchant.is_shut:
                what = _why_shut(life.merchant)
                self._asking.check(f"place {what}", each.status, {"not_on_sale"}, life.plan)
            elif life.merchant.is_doubtful and each.status == "limit_reached":
                self._asking.check("place beyond a tier", each.status, {"limit_reached"}, life.plan)
            elif order.coupon and each.status == "coupon_refused":
                may = {"used_up"} if life.merchant.number == 1 else set()
                self._asking.check("coupon", each.coupon_problem, may, life.plan)
                life.order, life.has_coupon = self._order_id(life.plan, life.merchant), False
                again.append(life)
            else:
                self._asking.check("place", each.status, {"placed", "exists"}, life.plan)
                life.secret, life.amount_minor = each.secret, each.amount_minor
                _check_price(life, each)
        if again:
            await self._place(again)
        return [life for life in lives if life.secret]

    def _order(self, life: Life) -> PlaceOrder:
        plan = life.plan
        is_known = plan.way in _IN_WALLETS or plan.after is After.REFUND_TO_WALLET
        return PlaceOrder(
            life.order,
            life.merchant.sku,
            plan.quantity,
            "CNY",
            REVIEWED if plan.way is Way.REVIEWED else f"buyer{plan.number}@example.com",
            method="" if plan.way in _IN_WALLETS else "card" if plan.way is Way.CARD else "alipay",
            address=plan.address,
            idempotency_key=f"month-buyer-{plan.number:012}-{life.has_coupon}",
            buyer=life.merchant.wallets[plan.wallet] if is_known else None,
            coupon=life.coupon,
        )

    async def _place_top_ups(self, lives: Sequence[Life]) -> None:
        wanted = [
            PlaceTopUp(
                life.order, life.merchant.wallets[life.plan.wallet], "Top-up",
                5_000 + life.plan.number % 50_000, "CNY", "alipay",
            )
            for life in lives
        ]  # fmt: skip
        placed = await self._asking.ask(Orders, "place_top_ups", wanted) if wanted else []
        for life, each, top_up in zip(lives, placed, wanted, strict=True):
            self._asking.check("top up", each.status, {"placed", "exists"}, life.plan)
            life.secret, life.amount_minor = each.secret, top_up.amount_minor

    # Paying.

    async def _pay(self, lives: Sequence[Life]) -> None:
        """Let the providers take what is planned, and bring what they tell, in any order."""
        trades, cards = [], []
        for life in lives:
            for number, minor in self._payments(life):
                (cards if life.plan.way is Way.CARD else trades).append((number, minor))
        letters = self._banks.take_alipay(trades) if trades else []
        for letter in letters:
            form = parse_qs(letter.body.decode())
            self.numbers[form["trade_no"][0]] = form["out_trade_no"][0]
        letters += self._banks.take_cards(cards) if cards else []
        dice = random.Random(f"letters {self._seed} {self._agenda.tick}")
        again = [letter for letter in letters if dice.random() < 0.05]
        self._asking.tally["callback repeated"] += len(again)
        letters += again
        dice.shuffle(letters)
        await self.bring(letters)

    def _payments(self, life: Life) -> list[tuple[str, int]]:
        """Say under which numbers a buyer pays how much, now."""
        number, minor = life.number, life.amount_minor
        match life.plan.way:
            case Way.ONCE | Way.REVIEWED | Way.TOP_UP:
                life.numbers = [(number, minor)]
            case Way.CARD:
                life.cards = [(number, minor)]
                return life.cards
            case Way.TWICE:
                life.numbers = [(number, minor), (out_trade_no(life.order, 2), minor)]
            case Way.WRONG:
                life.numbers = [(number, minor + (250 if life.plan.is_good else -1))]
            case Way.STRAY:
                life.stray = out_trade_no(derive(life.order, "stray"), 1)
                life.numbers = [(life.stray, minor)]
            case Way.PART if life.numbers:
                pass  # As the attempt was opened.
            case _:
                return []
        return life.numbers

    async def bring(self, letters: Sequence[Letter]) -> None:
        """Bring callbacks until each has been taken."""
        left = list(letters)
        for _ in range(_BRINGS_MAX):
            if not left:
                return
            callbacks = [letter.callback for letter in left]
            answers = await self._asking.ask(Payments, "take_callbacks", callbacks)
            left = [
                letter
                for letter, answer in zip(left, answers, strict=True)
                if answer.status_code != 200 or answer.body == b"fail"
            ]
        raise Violation(f"Not taken in {_BRINGS_MAX} tries: {left[0].body!r}")

    async def _pay_late(self, life: Life) -> None:
        """The money comes when the order has expired."""
        life.numbers = [(life.number, life.amount_minor)]
        await self.bring(self._banks.take_alipay(life.numbers))
        self._asking.tally["act: paid late"] += 1

    async def _unheard(self, life: Life) -> None:
        request = PresentRequest(AttemptId(derive(life.order, "attempt:1")))
        [action] = await self._asking.ask(Payments, "present_attempts", [request])
        if action.problem:
            self._asking.tally[f"act: not presented: {action.problem}"] += 1
        elif await asyncio.to_thread(self._banks.pay_page, action.url or action.text, life.number):
            life.numbers = [(life.number, life.amount_minor)]
            self._asking.tally["act: paid unheard"] += 1

    async def _otherwise(self, life: Life) -> None:
        request = PayOrder(life.order, life.secret, "alipay_qr")
        [paid] = await self._asking.ask(Orders, "pay_orders", [request])
        self._asking.check("pay otherwise", paid.status, {"opened"}, life.plan)

    async def _cancel(self, life: Life) -> None:
        query = OrderQuery(life.order, life.secret)
        [status] = await self._asking.ask(Orders, "cancel_orders", [query])
        self._asking.check("cancel", status, {"cancelled", "exists"}, life.plan)

    async def _pay_from_wallet(self, life: Life) -> None:
        """Take all of it, or a part, out of the wallet; open the rest over the channel."""
        is_whole = life.plan.way is Way.WALLET
        buyer = life.merchant.wallets[life.plan.wallet]
        minor = life.amount_minor if is_whole else life.amount_minor - life.rest_minor
        request = PayFromWallet(life.order, life.secret, buyer, minor)
        [status] = await self._asking.ask(Orders, "pay_from_wallets", [request])
        good = "paid" if is_whole else "reserved"
        self._asking.check("wallet", status, {good, "paid_already", "balance_too_low"}, life.plan)
        if status == "reserved":
            other = PayOrder(life.order, life.secret, "alipay")
            [paid] = await self._asking.ask(Orders, "pay_orders", [other])
            self._asking.check("pay the rest", paid.status, {"opened"}, life.plan)
            life.numbers = [(life.number, life.rest_minor)]

    async def _review(self, life: Life) -> None:
        """A person lets it pass, or does not."""
        decision = RiskDecision.ALLOW if life.plan.is_good else RiskDecision.REFUSE
        verdict = Verdict(life.order, decision, "operator", "simulated")
        [status] = await self._asking.ask(Risk, "settle_reviews", [verdict])
        self._asking.check("review", status, {"settled", "exists"}, life.plan)
        await self._asking.ask(Orders, "wake_orders", [life.order])

    # Afterwards.

    def _plan_after(self, life: Life, ticks: int, tries: int) -> None:
        self._agenda.later(ticks, lambda: self._come_after(life, tries))

    async def _come_after(self, life: Life, tries: int) -> None:
        """Do what was planned once it is delivered."""
        view = await self.read(life)
        if view.state is OrderState.DELIVERED:
            await self.after[life.plan.after](life)
        elif tries < _DELIVERY_TICKS_MAX and view.state in (OrderState.PAID, OrderState.PLACED):
            self._plan_after(life, 1, tries + 1)
        else:
            self._asking.tally[f"after: not done, order {view.state}"] += 1

    async def read(self, life: Life, *, with_items: bool = False) -> OrderView:
        """Read an order as its buyer does."""
        query = OrderQuery(life.order, life.secret, with_items=with_items)
        [view] = await self._asking.ask(Orders, "read_orders", [query])
        if view is None:
            raise Violation(f"An order is gone: {life}")
        return view

    async def _refund_whole(self, life: Life) -> None:
        await self.refund(life, "whole", 0)

    async def _refund_part(self, life: Life) -> None:
        """Twice a part: together never more than there is."""
        part = max(1, int(life.amount_minor * life.plan.share / 2))
        await self.refund(life, "part", part)
        if life.plan.is_good:
            await self.refund(life, "another part", part)

    async def _refund_to_wallet(self, life: Life) -> None:
        await self.refund(life, "to wallet", 0, to_wallet=True)

    async def refund(
        self, life: Life, name: str, amount_minor: int, *, to_wallet: bool = False
    ) -> None:
        """Ask for money back, as the merchant's people do."""
        wanted = RefundOrder(
            derive(life.order, f"refund {name}"), life.order, amount_minor, "simulated",
            "shop@example.com", to_wallet,
        )  # fmt: skip
        [status] = await self._asking.ask(Orders, "refund_orders", [wanted])
        may = {"accepted", "exists"}
        if life.case:
            may |= {"disputed", "more_than_captured"}
        self._asking.check(f"refund {name}", status, may, life.plan)
