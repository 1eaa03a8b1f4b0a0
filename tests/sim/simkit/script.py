"""The script of a simulation: who does what at which step. A matter of the seed alone."""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What somebody does."""

    PLACE = "buyer places"
    PLACE_AGAIN = "buyer places again"
    PLACE_OTHER = "buyer places another under the same id"
    OPEN = "buyer opens the payment"
    OTHERWISE = "buyer chooses another way to pay"
    PAY = "buyer pays"
    PAY_FORCED = "buyer's money comes late"
    PAY_WRONG = "buyer pays a wrong amount"
    PAY_UNHEARD = "buyer pays, no callback comes"
    PAY_STRAY = "buyer pays a number that is none"
    FORGE = "somebody tampers with a callback"
    CANCEL = "buyer cancels"
    READ = "buyer reads"
    READ_WRONG = "stranger reads"
    RELEASE = "operator releases"
    REFUSE = "operator refuses"
    REFUND_WHOLE = "operator refunds whole"
    REFUND_PART = "operator refunds a part"
    REFUND_AGAIN = "operator asks for a refund again"
    REFUND_TOO_MUCH = "operator refunds too much"
    MATCH = "operator matches money"
    GIVE_BACK = "operator gives unmatched money back"
    ADD_KEYS = "merchant adds keys"
    ADD_AGAIN = "merchant adds the same keys"
    PRICE = "merchant changes a price"
    COUNT = "merchant counts stock"


class Product(StrEnum):
    """What is for sale."""

    PLENTY = "PLENTY"  # More keys than buyers.
    SCARCE = "SCARCE"  # Held when ordered; few, and more come late.
    AWAITED = "AWAITED"  # Picked when paid; waits an hour for keys that come late.


@dataclass(frozen=True)
class Act:
    """One thing done: by or to a buyer, with a number that says how."""

    kind: Kind
    buyer: int = 0
    value: int = 0
    product: Product = Product.PLENTY
    delays: tuple[int, ...] = ()  # Steps after which each copy of a callback comes.


@dataclass(frozen=True)
class Step:
    """All that happens at once, how much time passes after, and what goes wrong."""

    number: int
    acts: tuple[Act, ...]
    advance_s: float
    crash_after: int  # Beats of the house until it dies; 0: it lives.
    provider_fault: str  # What the provider does wrong next; empty: nothing.


_PLANS = {
    "once": 24, "twice": 8, "abandoned": 8, "late": 8, "wrong": 6, "unheard": 8, "forged": 5,
    "never": 6, "cancels": 7, "races": 6, "reviewed": 9, "stray": 5, "again": 4, "refunded": 18,
}  # fmt: skip
_PRODUCTS = {Product.PLENTY: 5, Product.SCARCE: 3, Product.AWAITED: 3}
_ADVANCE_S = {0: 3, 1: 4, 5: 3, 31: 2, 130: 1.5, 1_000: 1.2, 3_700: 0.4}
_PROVIDER_FAULTS = ("gateway_down", "gateway_down after", "query_unknown", "bad_reply_signature")


def write(seed: int) -> Iterator[Step]:
    """Write the script, step by step, for ever: a longer run begins as a shorter one."""
    dice = random.Random(f"script {seed}")
    agenda: dict[int, list[Act]] = defaultdict(list)
    buyers = itertools.count()
    for number in itertools.count():
        for _ in range(dice.choice((0, 1, 1, 2, 3))):
            (plan,) = dice.choices(list(_PLANS), list(_PLANS.values()))
            for later, act in _plan(plan, next(buyers), dice):
                agenda[number + later].append(act)
        agenda[number] += _others(dice)
        acts = agenda.pop(number)
        dice.shuffle(acts)
        (advance_s,) = dice.choices(list(_ADVANCE_S), list(_ADVANCE_S.values()))
        crash_after = dice.randint(1, 60) if dice.random() < 0.15 else 0
        fault = dice.choice(_PROVIDER_FAULTS) if dice.random() < 0.12 else ""
        yield Step(number, tuple(acts), advance_s, crash_after, fault)


def _others(dice: random.Random) -> list[Act]:
    acts = []
    if dice.random() < 0.3:
        product = dice.choice((Product.SCARCE, Product.AWAITED))
        acts.append(Act(Kind.ADD_KEYS, value=dice.randint(1, 4), product=product))
    if dice.random() < 0.05:
        acts.append(Act(Kind.ADD_AGAIN, product=Product.SCARCE))
    if dice.random() < 0.08:
        product = dice.choice(list(Product))
        acts.append(Act(Kind.PRICE, value=dice.randint(500, 5_000), product=product))
    if dice.random() < 0.1:
        acts.append(Act(Kind.COUNT, product=dice.choice(list(Product))))
    return acts


def _plan(plan: str, buyer: int, dice: random.Random) -> list[tuple[int, Act]]:
    """Write what one buyer, and those who deal with them, will do, and how many steps later."""

    def act(kind: Kind, value: int = 0) -> Act:
        copies = dice.choice((1, 1, 2, 3))
        delays = tuple(dice.choice((0, 0, 1, 2, 5)) for _ in range(copies))
        return Act(kind, buyer, value, delays=delays)

    (product,) = dice.choices(list(_PRODUCTS), list(_PRODUCTS.values()))
    quantity = dice.choice((1, 1, 1, 2, 3))
    is_reviewed = plan == "reviewed"
    place = Act(Kind.PLACE, buyer, quantity + 100 * is_reviewed, product)
    soon, later = dice.randint(1, 3), dice.randint(6, 14)
    ways = {
        "once": [(soon, act(Kind.PAY, 1))],
        "twice": [
            (1, act(Kind.OTHERWISE)),
            (soon + 1, act(Kind.PAY, 1)),
            (dice.randint(2, 4), act(Kind.PAY, 2)),
        ],
        "abandoned": [(1, act(Kind.OTHERWISE)), (soon + 1, act(Kind.PAY, 1))],
        "late": [(later + 8, act(Kind.PAY_FORCED, 1))],
        "wrong": [
            (soon, act(Kind.PAY_WRONG, dice.choice((-1, 1, 250)))),
            (later, act(dice.choice((Kind.GIVE_BACK, Kind.READ)))),
        ],
        "unheard": [(1, act(Kind.OPEN)), (2, act(Kind.PAY_UNHEARD, 1))],
        "forged": [(soon, act(Kind.FORGE, 1)), (soon + 1, act(Kind.PAY, 1))],
        "never": [],
        "cancels": [(soon, act(Kind.CANCEL)), (later, act(Kind.READ))],
        "races": [(soon, act(Kind.CANCEL)), (soon, act(Kind.PAY_FORCED, 1))],
        "reviewed": [
            (soon, act(Kind.PAY, 1)),
            (later, act(dice.choice((Kind.RELEASE, Kind.REFUSE)))),
            (later + 1, act(dice.choice((Kind.RELEASE, Kind.REFUSE)))),
        ],
        "stray": [
            (soon, act(Kind.PAY_STRAY)),
            (later, act(dice.choice((Kind.MATCH, Kind.MATCH, Kind.GIVE_BACK)))),
        ],
        "again": [
            (0, act(Kind.PLACE_AGAIN)),
            (1, act(Kind.PLACE_OTHER)),
            (soon, act(Kind.PAY, 1)),
        ],
        "refunded": [(soon, act(Kind.PAY, 1)), *_refunds(dice, act, later)],
    }
    looks = [(soon + 1, act(Kind.READ)), (later + 2, act(Kind.READ))]
    if dice.random() < 0.2:
        looks.append((soon, act(Kind.READ_WRONG)))
    return [(0, place), *ways[plan], *looks]


def _refunds(dice: random.Random, act: Callable[..., Act], at: int) -> list[tuple[int, Act]]:
    way = dice.choice(("whole", "part", "several", "too much"))
    if way == "whole":
        return [(at, act(Kind.REFUND_WHOLE)), (at + 1, act(Kind.REFUND_AGAIN))]
    part = (at, act(Kind.REFUND_PART, dice.randint(1, 400)))
    if way == "part":
        return [part]
    if way == "several":
        more = (at, act(Kind.REFUND_PART, dice.randint(1, 400)))
        return [part, more, (at + 2, act(Kind.REFUND_WHOLE))]
    return [part, (at + 1, act(Kind.REFUND_TOO_MUCH))]
