"""The cards of Stripe's test mode: each number behaves in its own way, and none is ever kept."""

from datetime import datetime

import msgspec


class Card(msgspec.Struct, frozen=True):
    """How a card behaves."""

    brand: str = "visa"
    code: str = ""  # Why it is declined.
    decline_code: str = ""
    asks: str = ""  # When its bank wants to see its holder: `always`, `unless_saved`.
    is_declined_after: bool = False  # Its bank asks, and then declines.
    is_declined_later: bool = False  # It can be saved, and is declined when it is used.
    is_disputed: bool = False


CARDS = {
    "4242424242424242": Card(),
    "5555555555554444": Card("mastercard"),
    "378282246310005": Card("amex"),
    "6200000000000005": Card("unionpay"),
    "4000000000000002": Card(code="card_declined", decline_code="generic_decline"),
    "4000000000009995": Card(code="card_declined", decline_code="insufficient_funds"),
    "4000000000009987": Card(code="card_declined", decline_code="lost_card"),
    "4000000000009979": Card(code="card_declined", decline_code="stolen_card"),
    "4100000000000019": Card(code="card_declined", decline_code="fraudulent"),
    "4000000000000069": Card(code="expired_card", decline_code="expired_card"),
    "4000000000000127": Card(code="incorrect_cvc", decline_code="incorrect_cvc"),
    "4000000000000119": Card(code="processing_error", decline_code="processing_error"),
    "4000002500003155": Card(asks="unless_saved"),
    "4000002760003184": Card(asks="always"),
    "4000000000003220": Card(asks="always"),
    "4000008400001629": Card(asks="always", is_declined_after=True),
    "4000000000000341": Card(is_declined_later=True),
    "4000000000000259": Card(is_disputed=True),
}

WORDS = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "incorrect_number": "Your card number is incorrect.",
    "invalid_number": "Your card number is not a valid card number.",
    "invalid_expiry_month": "Your card's expiration month is invalid.",
    "invalid_expiry_year": "Your card's expiration year is invalid.",
    "invalid_cvc": "Your card's security code is invalid.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
    "payment_intent_authentication_failure": "The provided PaymentMethod has failed authentication."
    " You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this"
    " PaymentIntent again.",
    "test_mode_live_card": "Your card was declined. Your request was in test mode, but used a non"
    " test card.",
}


def words_of(code: str, decline_code: str = "") -> str:
    """Say why a card was declined, as Stripe says it."""
    return WORDS.get(decline_code) or WORDS.get(code, WORDS["card_declined"])


def is_luhn(number: str) -> bool:
    """Tell whether a card number's last digit fits the others."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def read_card(number: str, expiry: str, cvc: str, now: datetime) -> Card:
    """Judge what was typed; a card that is refused here never reached a bank."""
    digits = "".join(number.split())
    if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 19):
        return Card(code="invalid_number", decline_code="invalid_number")
    if not is_luhn(digits):
        return Card(code="incorrect_number", decline_code="incorrect_number")
    month, _, year = expiry.replace(" ", "").partition("/")
    if not (month.isascii() and month.isdigit() and 1 <= int(month) <= 12):
        return Card(code="invalid_expiry_month", decline_code="invalid_expiry_month")
    if not (year.isascii() and year.isdigit() and len(year) in {2, 4}):
        return Card(code="invalid_expiry_year", decline_code="invalid_expiry_year")
    if (2_000 + int(year) % 100, int(month)) < (now.year, now.month):
        return Card(code="invalid_expiry_year", decline_code="invalid_expiry_year")
    if not (cvc.isascii() and cvc.isdigit() and len(cvc) in {3, 4}):
        return Card(code="invalid_cvc", decline_code="invalid_cvc")
    refused = Card(code="card_declined", decline_code="test_mode_live_card")
    return CARDS.get(digits, refused)
