"""What all of Stripe's rules share: an act and what it tells, currencies and their bounds."""

import copy
from datetime import datetime
from typing import Any

import msgspec

from vendrail.sandbox.stripe_forms import Refused
from vendrail.sandbox.stripe_records import StripeStore, Thing

Form = dict[str, Any]

# Currencies, how many places each has, and what some ways to pay will take.
PLACES = {
    **dict.fromkeys(("jpy", "krw", "vnd", "clp", "xof"), 0),
    **dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 3),
    **dict.fromkeys(
        [
            "aud",
            "brl",
            "cad",
            "chf",
            "cny",
            "czk",
            "dkk",
            "eur",
            "gbp",
            "hkd",
            "huf",
            "idr",
            "inr",
            "mop",
            "mxn",
            "myr",
            "nok",
            "nzd",
            "php",
            "pln",
            "sek",
            "sgd",
            "thb",
            "twd",
            "usd",
        ],
        2,
    ),
}
TYPES: dict[str, tuple[str, ...]] = {
    "card": (),
    "alipay": ("aud", "cad", "cny", "eur", "gbp", "hkd", "jpy", "myr", "nzd", "sgd", "usd"),
    "wechat_pay": (
        "aud",
        "cad",
        "chf",
        "cny",
        "dkk",
        "eur",
        "gbp",
        "hkd",
        "jpy",
        "nok",
        "sek",
        "sgd",
        "usd",
    ),
    "paynow": ("sgd",),
    "promptpay": ("thb",),
}  # fmt: skip
_LEAST = {"usd": 50, "sgd": 50, "eur": 50, "thb": 1_000, "hkd": 400, "jpy": 50, "cny": 400}


class Act(msgspec.Struct):
    """One request, or one tap of a buyer's: whose, when, and what is to be told of it."""

    store: StripeStore
    account: str
    now: datetime
    base_url: str
    has_report_today: bool = False  # The real report of a day exists only on the next one.
    events: list[tuple[str, Form]] = []

    def tell(self, name: str, thing: Thing) -> None:
        """Note an event: an object as it is now."""
        self.events.append((name, copy.deepcopy(thing.shown)))

    def find(self, id: str, kind: str, words: str, param: str = "id") -> Thing:
        """Find an object of the account, or refuse."""
        found = self.store.thing(self.account, id, kind)
        if found is None:
            message = f"No such {words}: '{id}'"
            raise Refused("resource_missing", message, status=404, param=param)
        return found


def check_money(amount: int, currency: str, param: str) -> str:
    """Check an amount and its currency; give the currency as it is written."""
    code = currency.lower()
    if code not in PLACES:
        words = f"Invalid currency: {currency}. Stripe currently supports these currencies: " + (
            ", ".join(sorted(PLACES))
        )
        raise Refused("", words, param="currency", is_early=True)
    if amount <= 0:
        words = "This value must be greater than or equal to 1."
        raise Refused("parameter_invalid_integer", words, param=param, is_early=True)
    if amount > 99_999_999:
        words = f"Amount must be no more than {write_money(99_999_999, code)}"
        raise Refused("amount_too_large", words, param=param, is_early=True)
    if PLACES[code] == 3 and amount % 10:
        words = f"Invalid amount: amounts in {code} must be divisible by 10."
        raise Refused("invalid_amount", words, param=param, is_early=True)
    least = _LEAST.get(code, 1)
    if amount < least:
        words = f"Amount must be at least {write_money(least, code)}"
        raise Refused("amount_too_small", words, param=param, is_early=True)
    return code


def write_money(amount: int, currency: str) -> str:
    """Write an amount for people."""
    places = PLACES[currency]
    whole, rest = divmod(amount, 10**places)
    digits = f"{whole:,}.{rest:0{places}d}" if places else f"{whole:,}"
    return f"{digits} {currency}"
