"""Who wants what in a month: every buyer's life, written before it begins, by the seed alone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from vendrail.api.support import ComplaintKind, Remedy, StepKind

TICKS_PER_DAY = 8
HOURS_PER_TICK = 24 // TICKS_PER_DAY


class Way(StrEnum):
    """How a buyer pays."""

    ONCE = "once"
    CARD = "card"
    TWICE = "twice"  # By two ways: one of them goes back.
    LATE = "late"  # When the order has expired.
    WRONG = "wrong"  # Another amount: it lands on the desk, and goes back.
    STRAY = "stray"  # Under a number that is none: a person matches it, or gives it back.
    UNHEARD = "unheard"  # No callback comes: the provider must be asked.
    NEVER = "never"
    CANCELS = "cancels"
    REVIEWED = "reviewed"  # A person looks at it first.
    WALLET = "wallet"  # Out of the wallet, whole.
    PART = "part"  # A part out of the wallet, the rest over the channel.
    TOP_UP = "top_up"  # Into the wallet.


class After(StrEnum):
    """What becomes of what was delivered."""

    NOTHING = "nothing"
    REFUND = "refund"
    REFUND_PART = "refund_part"
    REFUND_TO_WALLET = "refund_to_wallet"
    REPLACE = "replace"
    COMPLAIN = "complain"
    CHARGEBACK = "chargeback"
    CHARGEBACK_AND_REFUND = "chargeback_and_refund"
    CHARGEBACK_AND_COMPLAINT = "chargeback_and_complaint"


_WAYS = {
    Way.ONCE: 620, Way.CARD: 120, Way.TWICE: 12, Way.LATE: 12, Way.WRONG: 8, Way.STRAY: 8,
    Way.UNHEARD: 8, Way.NEVER: 60, Way.CANCELS: 16, Way.REVIEWED: 12, Way.WALLET: 30,
    Way.PART: 20, Way.TOP_UP: 40,
}  # fmt: skip
_AFTERS = {
    After.NOTHING: 900, After.REFUND: 20, After.REFUND_PART: 14, After.REFUND_TO_WALLET: 6,
    After.REPLACE: 12, After.COMPLAIN: 48,
}  # fmt: skip
_AFTERS_OF_CARDS = {
    **_AFTERS, After.CHARGEBACK: 70, After.CHARGEBACK_AND_REFUND: 15,
    After.CHARGEBACK_AND_COMPLAINT: 15,
}  # fmt: skip
_AFTERS_OF_WALLETS = {After.NOTHING: 60, After.REFUND: 12, After.REFUND_PART: 6}
# Ways whose orders end delivered whatever happens, so that something may become of them.
_SURE = {Way.ONCE, Way.CARD, Way.TWICE, Way.UNHEARD, Way.WALLET, Way.PART}


@dataclass(frozen=True)
class Complaint:
    """What is said about an order, by whom and when (in ticks after the complaint)."""

    kind: ComplaintKind
    answer: Remedy | None  # None: the merchant says nothing.
    answer_in: int
    reply: StepKind | None  # The buyer's, to what was answered; None: nothing.
    reply_in: int
    ruling: Remedy
    ruling_in: int


@dataclass(frozen=True)
class Chargeback:
    """What a payer's bank does, and what the merchant says against it."""

    is_answered: bool
    is_won: bool
    closes_in: int  # Ticks.


@dataclass(frozen=True, repr=False)
class Plan:
    """One buyer's life."""

    number: int
    merchant: int
    way: Way
    after: After
    quantity: int
    after_in: int  # Ticks from the order.
    share: float  # Of the price: what a part is.
    complaint: Complaint
    chargeback: Chargeback
    is_good: bool  # A toss of a coin, for whatever wants one.
    has_coupon: bool  # They know their merchant's word, if it has one.
    has_agent: bool  # They buy of an agent of the merchant's, if it has one.
    has_host: bool  # They buy on a domain of the shop's own, if it has one.

    def __repr__(self) -> str:
        """Say who it is, and what they want."""
        return f"buyer {self.number} of {self.merchant}: {self.way}, {self.after}"

    @property
    def address(self) -> str:
        """From where they ask."""
        return f"10.{self.number >> 16 & 255}.{self.number >> 8 & 255}.{self.number & 255}"

    @property
    def wallet(self) -> int:
        """Which of its merchant's buyers with an account this one is."""
        return self.number % 3


def write(seed: int, merchants: int, orders_per_tick: int) -> Iterator[list[Plan]]:
    """Write the plans of each tick's buyers, for ever: a longer month begins as a shorter one."""
    number = 0
    while True:
        plans = []
        for _ in range(orders_per_tick):
            plans.append(_plan(seed, number, merchants))
            number += 1
        yield plans


def _plan(seed: int, number: int, merchants: int) -> Plan:
    dice = random.Random(f"plan {seed} {number}")

    def draw(weights: dict) -> object:
        (drawn,) = dice.choices(list(weights), list(weights.values()))
        return drawn

    way = draw(_WAYS)
    after = After.NOTHING
    if way is Way.CARD:
        after = draw(_AFTERS_OF_CARDS)
    elif way in (Way.WALLET, Way.PART):
        after = draw(_AFTERS_OF_WALLETS)
    elif way in _SURE:
        after = draw(_AFTERS)
    kind = dice.choice(list(ComplaintKind))
    answers = [Remedy.REFUND, Remedy.PART, Remedy.PART, Remedy.REJECT, Remedy.REJECT, None]
    if kind is ComplaintKind.DEAD_KEY:
        answers += [Remedy.REPLACE, Remedy.REPLACE]
    complaint = Complaint(
        kind,
        dice.choice(answers),
        dice.randint(1, 16),
        dice.choice([StepKind.ACCEPT, StepKind.ESCALATE, StepKind.WITHDRAW, None]),
        dice.randint(1, 16),
        dice.choice([Remedy.REFUND, Remedy.PART, Remedy.REJECT]),
        dice.randint(1, 16),
    )
    chargeback = Chargeback(dice.random() < 0.6, dice.random() < 0.4, dice.randint(8, 64))
    return Plan(
        number,
        dice.randrange(merchants),
        way,
        after,
        dice.choice((1, 1, 1, 1, 2, 3)),
        dice.randint(1, 48),
        dice.uniform(0.1, 0.9),
        complaint,
        chargeback,
        dice.random() < 0.5,
        dice.random() < 0.2,
        dice.random() < 0.4,
        dice.random() < 0.05,  # Few: each house makes its pages anew.
    )
