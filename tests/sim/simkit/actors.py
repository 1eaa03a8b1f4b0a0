"""The actors: they do what the script says, repeat what was not answered, and tell the auditor."""

import random
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from simkit import allowed
from simkit.model import Known, Model, Money, Stock, cheaper_by_two
from simkit.provider import CHANNEL, Provider
from simkit.residence import Lost, Residence
from simkit.script import Act, Kind, Product
from simkit.shift import StandingClock
from vendrail.api.catalog import Catalog, KeyIntake, KeyLine, PutStatus
from vendrail.api.catalog import Product as Goods
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    Orders,
    OrderState,
    PayOrder,
    PayStatus,
    PlaceOrder,
    PlaceStatus,
    RefundOrder,
    RefundOrderStatus,
)
from vendrail.api.payments import (
    AttemptId,
    Callback,
    Payments,
    PresentRequest,
    UnmatchedQuery,
    UnmatchedVerdict,
)
from vendrail.api.risk import Risk, RiskDecision, Verdict
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id
from vendrail.payments.attempts import out_trade_no

_TRIES_MAX = 12
_LETTER_AGAIN_STEPS = 2


class Violation(AssertionError):
    """An answer, or a state of the books, that is not allowed."""


@dataclass
class Letter:
    """A callback on its way."""

    due: int  # The step at which it comes.
    body: bytes
    money: Money | None  # None: forged.


@dataclass
class Actors:
    """Everybody outside the house, and what they were told."""

    residence: Residence
    provider: Provider
    clock: StandingClock
    model: Model
    goods: dict[str, Goods]
    tally: Counter[str]
    dice: random.Random
    step: int = 0
    letters: list[Letter] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __post_init__(self):
        self._plays = {
            Kind.PLACE: self._place, Kind.PLACE_AGAIN: self._place_again,
            Kind.PLACE_OTHER: self._place_other, Kind.OPEN: self._open,
            Kind.OTHERWISE: self._otherwise, Kind.PAY: self._pay,
            Kind.PAY_FORCED: self._pay, Kind.PAY_WRONG: self._pay_wrong,
            Kind.PAY_UNHEARD: self._pay, Kind.PAY_STRAY: self._pay_stray,
            Kind.FORGE: self._forge, Kind.CANCEL: self._cancel, Kind.READ: self._read,
            Kind.READ_WRONG: self._read_wrong, Kind.RELEASE: self._review,
            Kind.REFUSE: self._review, Kind.REFUND_WHOLE: self._refund,
            Kind.REFUND_PART: self._refund, Kind.REFUND_AGAIN: self._refund,
            Kind.REFUND_TOO_MUCH: self._refund, Kind.MATCH: self._settle,
            Kind.GIVE_BACK: self._settle, Kind.ADD_KEYS: self._add_keys,
            Kind.ADD_AGAIN: self._add_again, Kind.PRICE: self._price, Kind.COUNT: self._count,
        }  # fmt: skip

    async def play(self, act: Act) -> None:
        """Do one act, if its buyer has come so far."""
        order = self.model.orders.get(act.buyer)
        if act.kind in _OF_BUYERS and (order is None or not order.is_placed):
            return
        self.tally[f"act: {act.kind}"] += 1
        await self._plays[act.kind](act)

    def check(self, what: str, answer: object, may: set, order: Known | None = None) -> None:
        """Hold an answer against the set of allowed ones."""
        self.tally[f"answer: {what} {answer}"] += 1
        self.say(f"{what}: {answer}" + (f" (buyer {order.buyer}, {order.id})" if order else ""))
        if answer not in may:
            names = sorted(str(each) for each in may)
            raise Violation(f"{what} answered {answer}; allowed: {names}; known: {order}")

    def say(self, line: str) -> None:
        """Note what happened, for whoever reads a failure."""
        self.told.append(f"step {self.step:4}  {line}")
        del self.told[:-60]

    async def _ask(self, api: type, operation: str, *values: object) -> tuple[object, bool]:
        """Ask until there is an answer; give it, and whether it was asked more than once."""
        for tries in range(_TRIES_MAX):
            try:
                answer, is_twice = await self.residence.ask(api, operation, *values)
            except Lost:
                self.tally["answer: none"] += 1
                continue
            return answer, is_twice or tries > 0
        raise Violation(f"{operation} was not answered in {_TRIES_MAX} tries.")

    # Buyers.

    async def _place(self, act: Act) -> None:
        order = Known(
            act.buyer,
            new_id(self.clock.now()),
            act.product,
            act.value % 100,
            is_reviewed=act.value >= 100,
        )
        self.model.orders[act.buyer] = order
        await self._send_order(order, order.quantity)

    async def _place_again(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        await self._send_order(order, order.quantity)

    async def _place_other(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        await self._send_order(order, order.quantity + 1)

    async def _send_order(self, order: Known, quantity: int) -> None:
        before = order.copy()
        kind = "reviewed" if order.is_reviewed else "buyer"
        wanted = PlaceOrder(
            OrderId(order.id),
            order.product,
            quantity,
            "CNY",
            "reviewed@example.com" if order.is_reviewed else f"{kind}{order.buyer}@example.com",
            method="alipay_qr" if order.buyer % 2 else "alipay",
            address=f"10.0.{order.buyer // 250}.{order.buyer % 250}",
            idempotency_key=f"sim-buyer-{order.buyer:012}",
        )
        (placed,), is_repeat = await self._ask(Orders, "place_orders", [wanted])
        is_held = order.product != Product.AWAITED
        may = allowed.placements(self.model, before, quantity, is_repeat=is_repeat, is_held=is_held)
        self.check("place", placed.status, may, order)
        if placed.status in (PlaceStatus.PLACED, PlaceStatus.EXISTS):
            unit = self.model.stock[order.product].prices_minor
            if order.quantity > 1:
                unit = {cheaper_by_two(price).prices_minor["CNY"] for price in unit}
            prices = {price * order.quantity for price in unit}
            if not before.is_placed and placed.amount_minor not in prices:
                raise Violation(f"Placed for {placed.amount_minor}; allowed: {prices}")
            if before.is_placed and placed.amount_minor != before.amount_minor:
                raise Violation(f"A repeat changed the amount of {before}")
            order.is_placed = True
            order.secret, order.amount_minor = placed.secret, placed.amount_minor
            order.expires_at = placed.expires_at

    async def _open(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        request = PresentRequest(AttemptId(derive(order.id, "attempt:1")))
        (action,), _ = await self._ask(Payments, "present_attempts", [request])
        may = {"", "provider_away", "captured", "closed"}
        self.check("present", action.problem, may, order)
        url = action.url or action.text
        if not action.problem and url:
            order.is_presented = await self.provider.open_page(url)

    async def _otherwise(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        before = order.copy()
        method = "alipay" if order.buyer % 2 else "alipay_qr"
        (paid,), _ = await self._ask(
            Orders, "pay_orders", [PayOrder(OrderId(order.id), order.secret, method)]
        )
        may = allowed.payments(before, order, self.clock.now())
        self.check("pay otherwise", paid.status, may, order)
        if paid.status is PayStatus.OPENED:
            order.attempts = 2

    async def _pay(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        number = out_trade_no(order.id, min(act.value, order.attempts))
        delays = act.delays
        if act.kind is Kind.PAY_UNHEARD and order.is_presented:
            delays = ()
        is_forced = act.kind is Kind.PAY_FORCED
        await self._give(order, number, order.amount_minor, delays, is_forced=is_forced)

    async def _pay_wrong(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        number = out_trade_no(order.id, 1)
        amount = max(1, order.amount_minor + act.value)
        await self._give(order, number, amount, act.delays)

    async def _pay_stray(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        number = out_trade_no(derive(order.id, "stray"), 1)
        await self._give(order, number, order.amount_minor, act.delays)

    async def _give(
        self,
        order: Known,
        number: str,
        amount_minor: int,
        delays: tuple[int, ...],
        *,
        is_forced: bool = False,
    ) -> None:
        if number in self.model.money:
            return
        is_ours = number.startswith(out_trade_no(order.id, 1)[:26])
        fits = is_ours and amount_minor == order.amount_minor
        money = Money(number, amount_minor, order.buyer, fits)
        self.model.money[number] = money
        order.money.append(money)
        bodies = await self.provider.take_money(
            number, amount_minor, is_forced=is_forced, copies=max(1, len(delays))
        )
        if not bodies:  # Closed there: nobody has paid.
            self.tally["answer: provider closed"] += 1
            order.money.remove(money)
            del self.model.money[number]
            return
        [money.trade] = parse_qs(bodies[0].decode())["trade_no"]
        if not delays:
            self.tally["fault: callback dropped"] += 1
        for body, delay in zip(bodies, delays, strict=False):
            if delay:
                self.tally["fault: callback delayed"] += 1
            self.letters.append(Letter(self.step + delay, body, money))
            if self.dice.random() < 0.2:
                self.tally["fault: callback repeated"] += 1
                self.letters.append(Letter(self.step + delay, body, money))

    async def _forge(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        number = out_trade_no(derive(order.id, "forged"), 1)
        (body,) = await self.provider.take_money(
            number, order.amount_minor, is_forced=False, copies=1
        )
        forged = body.replace(number.encode(), out_trade_no(order.id, 1).encode())
        self.tally["fault: callback tampered"] += 1
        self.letters.append(Letter(self.step, forged, None))

    async def bring_letters(self) -> None:
        """Bring what is due, in any order, several at a time; what is not taken comes again."""
        due = [letter for letter in self.letters if letter.due <= self.step]
        if len(due) > 1:
            self.tally["fault: callbacks reordered"] += 1
        self.dice.shuffle(due)
        callbacks = [Callback(CHANNEL, "POST", {}, "", letter.body) for letter in due]
        self.letters = [letter for letter in self.letters if letter.due > self.step]
        if not due:
            return
        before = {letter.money.buyer: letter for letter in due if letter.money}
        states = {buyer: self.model.orders[buyer].copy() for buyer in before}
        try:
            answers, _ = await self.residence.ask(Payments, "take_callbacks", callbacks)
        except Lost:
            self.tally["answer: none"] += 1
            for letter in due:
                letter.due = self.step + _LETTER_AGAIN_STEPS
            self.letters += due
            return
        for letter, answer in zip(due, answers, strict=True):
            word = "success" if letter.money else "fail"
            self.check("callback", answer.body.decode(), {word, *(["failure"] * (word == "fail"))})
            if letter.money:
                self._hear(letter.money, states[letter.money.buyer])

    def _hear(self, money: Money, before: Known) -> None:
        order = self.model.orders[money.buyer]
        money.is_told = True
        is_in_time = order.expires_at is not None and self.clock.now() < order.expires_at
        if money.fits and is_in_time and not order.may_be_cancelled and not before.may_be_cancelled:
            order.is_told_in_time = True

    async def _cancel(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        before = order.copy()
        order.may_be_cancelled = True
        query = OrderQuery(OrderId(order.id), order.secret)
        (status,), _ = await self._ask(Orders, "cancel_orders", [query])
        self.check("cancel", status, allowed.cancellations(before, order, self.clock.now()), order)

    async def _read(self, act: Act) -> None:
        await self.read(self.model.orders[act.buyer])

    async def read(self, order: Known) -> None:
        """Read an order as its buyer does: its state, its keys."""
        before = order.copy()
        query = OrderQuery(OrderId(order.id), order.secret, with_items=True)
        (view,), _ = await self._ask(Orders, "read_orders", [query])
        if view is None:
            raise Violation(f"An order is gone: {order}")
        may = allowed.states(self.model, before, order, self.clock.now())
        self.check("read", view.state, may, order)
        order.state = view.state
        if view.amount_minor != order.amount_minor:
            raise Violation(f"The amount has changed to {view.amount_minor}: {order}")
        if view.state is OrderState.DELIVERED and len(view.items) != order.quantity:
            raise Violation(f"{len(view.items)} keys of {order.quantity}: {order}")
        if view.items and view.state not in (OrderState.DELIVERED, OrderState.REFUNDING):
            raise Violation(f"Keys are readable in state {view.state}: {order}")
        self._own(order, tuple(view.items))

    def _own(self, order: Known, keys: tuple[str, ...]) -> None:
        if not keys:
            return
        if order.keys and order.keys != keys:
            raise Violation(f"Other keys than before: {keys}: {order}")
        order.keys, order.was_delivered = keys, True
        for key in keys:
            if key not in self.model.stock[order.product].keys:
                raise Violation(f"A key that nobody added: {key}")
            owner = self.model.owners.setdefault(key, order.id)
            if owner != order.id:
                raise Violation(f"Key {key} was readable by {owner} and {order.id}")

    async def _read_wrong(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        query = OrderQuery(OrderId(order.id), order.secret[::-1], with_items=True)
        (view,), _ = await self._ask(Orders, "read_orders", [query])
        self.check("stranger's read", view, {None}, order)

    # Operators.

    async def _review(self, act: Act) -> None:
        decision = RiskDecision.ALLOW if act.kind is Kind.RELEASE else RiskDecision.REFUSE
        await self.decide(self.model.orders[act.buyer], decision)

    async def decide(self, order: Known, decision: RiskDecision) -> None:
        """Release or refuse an order under review, and let its saga look."""
        before = order.copy()
        order.verdicts.append(decision)
        verdict = Verdict(order.id, decision, "operator", "simulated")
        (status,), is_repeat = await self._ask(Risk, "settle_reviews", [verdict])
        may = allowed.verdicts(before, order, decision, is_repeat=is_repeat)
        self.check("review", status, may, order)
        if status not in ("settled", "exists"):
            order.verdicts.remove(decision)
        await self._ask(Orders, "wake_orders", [OrderId(order.id)])

    async def _refund(self, act: Act) -> None:
        order = self.model.orders[act.buyer]
        part = max(1, act.value)
        id, amount_minor = {
            Kind.REFUND_WHOLE: (derive(order.id, "whole"), 0),
            Kind.REFUND_AGAIN: (derive(order.id, "whole"), 0),
            Kind.REFUND_PART: (derive(order.id, f"part:{part}"), part),
            Kind.REFUND_TOO_MUCH: (derive(order.id, "more"), order.amount_minor + 1),
        }[act.kind]
        before = order.copy()
        is_known = id in order.refunds
        order.refunds.setdefault(id, amount_minor)
        wanted = RefundOrder(id, OrderId(order.id), amount_minor, "simulated", "operator")
        (status,), is_repeat = await self._ask(Orders, "refund_orders", [wanted])
        may = allowed.refunds(before, order, id, amount_minor, is_repeat=is_repeat or is_known)
        self.check("refund", status, may, order)
        if status in (RefundOrderStatus.ACCEPTED, RefundOrderStatus.EXISTS):
            order.sure_refunds.add(id)
            order.was_delivered = True
        elif not is_known:
            del order.refunds[id]

    async def _settle(self, act: Act) -> None:
        """Look at the desk; match this buyer's odd money to the order, or give it back."""
        order = self.model.orders[act.buyer]
        query = UnmatchedQuery(captures_max=500)
        (listed,), _ = await self._ask(Payments, "list_unmatched", [query])
        odd = {(money.number, money.amount_minor) for money in self.model.money.values()
               if not money.fits}  # fmt: skip
        amounts = {amount for _, amount in odd}
        for capture in listed:
            if capture.amount_minor not in amounts:
                raise Violation(f"Money on the desk that nobody sent: {capture}")
        mine = [money for money in order.money if not money.fits]
        trades = {money.trade for money in mine}
        found = next((each for each in listed if each.provider_number in trades), None)
        if found is None:
            return
        (money,) = mine
        said = "match" if act.kind is Kind.MATCH else "back"
        before = set(money.verdicts)
        money.verdicts.add(said)
        target = order.id if said == "match" else None
        verdict = UnmatchedVerdict(found.id, target, "operator", "simulated")
        (status,), is_repeat = await self._ask(Payments, "settle_unmatched", [verdict])
        self.check("desk", status, allowed.unmatched(before, said, is_repeat=is_repeat), order)

    # Merchants.

    async def add_keys(self, product: str, count: int) -> None:
        """Add new keys to a product."""
        stock = self.model.stock.setdefault(product, Stock())
        first = len(stock.keys)
        texts = [f"{product}-{first + n:06}" for n in range(count)]
        stock.keys.update(texts)
        lines = [KeyLine(n + 1, text) for n, text in enumerate(texts)]
        intake = KeyIntake(product, new_id(self.clock.now()), lines)
        (result,), is_repeat = await self._ask(Catalog, "add_keys", [intake])
        self.check("keys added", result.added_count, {count, *([0] * is_repeat)})
        stock.sure += count

    async def _add_keys(self, act: Act) -> None:
        await self.add_keys(act.product, act.value)

    async def _add_again(self, act: Act) -> None:
        texts = sorted(self.model.stock[act.product].keys)[:2]
        lines = [KeyLine(n + 1, text) for n, text in enumerate(texts)]
        intake = KeyIntake(act.product, new_id(self.clock.now()), lines)
        (result,), _ = await self._ask(Catalog, "add_keys", [intake])
        self.check("same keys added", result.added_count, {0})

    async def _price(self, act: Act) -> None:
        goods = self.goods[act.product]
        self.model.stock[act.product].prices_minor.add(act.value)
        steps = [cheaper_by_two(act.value)]
        variant = replace(goods.variants[0], prices_minor={"CNY": act.value}, quantity_prices=steps)
        self.goods[act.product] = goods = replace(goods, variants=[variant])
        (status,), _ = await self._ask(Catalog, "put_products", [goods])
        self.check("price", status, {PutStatus.CHANGED, PutStatus.UNCHANGED})

    async def _count(self, act: Act) -> None:
        stock = self.model.stock[act.product]
        least = stock.sure
        (count,), _ = await self._ask(Catalog, "count_stock", [act.product])
        total = count.free + count.allocated + count.sold + count.void
        totals = {total, total + count.held}  # Held units are counted apart from free ones.
        if not any(least <= each <= len(stock.keys) for each in totals):
            raise Violation(f"{count} of {least} to {len(stock.keys)} keys")
        self.tally["answer: stock counted"] += 1


_OF_BUYERS = frozenset(Kind) - {
    Kind.PLACE, Kind.ADD_KEYS, Kind.ADD_AGAIN, Kind.PRICE, Kind.COUNT,
}  # fmt: skip
