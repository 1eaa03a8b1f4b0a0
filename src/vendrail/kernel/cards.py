"""Payment cards in what is sent to us: they belong on a provider's page, never here.

By the ranges that card schemes issue from, their lengths and Luhn's check digit (ISO/IEC 7812):
other long numbers, of orders and trades, are hardly ever taken for one.
"""

import re
from urllib.parse import unquote_to_bytes

_GAP = rb"[ +.-]?"
_LONG_NUMBER = re.compile(  # What stands before is looked at after the first digit: that is fast.
    rb"[2-6](?<![\w.-][2-6])(?:" + _GAP + rb"[0-9]){12,18}(?![\w]|[.-][0-9])"
)
# What a number may be in what is not decoded yet: all digits are one, and whatever can be between
# them is left out, as are the letters of its escapes (%2B, %2D, %2E).
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_BETWEEN = b" +.-%bBdDeE"
_SHORTEST = b"0" * 13
_CODE_NAMES = (b"cvc", b"cvv", b"cvn", b"security_code")
_ESCAPED_LETTER = re.compile(rb"%(?:[46][1-9a-f]|[57][0-9a]|5[cf])")  # Or a backslash, or `_`.
_ISSUED = re.compile(
    r"4[0-9]{15}(?:[0-9]{3})?"  # Visa; its numbers of 13 digits are gone, and look like phones.
    r"|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11}"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}"  # Discover
    r"|62[0-9]{14,17}"  # UnionPay
)
_ESCAPED = re.compile(rb"\\u00([0-7][0-9a-fA-F])")
_CHECK_FIELD = re.compile(
    rb"(?:^|[&?{,\s])\"?(?:card[_.\[]?)?(?:cvc2?|cvv2?|cvn2?|security_code)\]?\"?\s*[=:]\s*\"?"
    rb"[0-9]{3,4}(?![0-9])",
    re.IGNORECASE,
)
LONGEST = 96  # No number is written wider than this: what a search in pieces must overlap by.


def is_luhn(digits: str) -> bool:
    """Tell whether a number's last digit is its check digit."""
    values = [int(digit) for digit in digits]
    doubled = [value * 2 - 9 if value > 4 else value * 2 for value in values[-2::-2]]
    return (sum(values[-1::-2]) + sum(doubled)) % 10 == 0


def holds_card(data: bytes) -> bool:
    """Tell whether a query or a body holds a card's number, or its check code under such a name.

    Every request is looked through: what cannot hold either, as most cannot, is not decoded.
    """
    lower = data.lower()
    is_hiding = b"\\u00" in data or _ESCAPED_LETTER.search(lower) is not None
    is_hiding |= b"\\u" in data and b"%" in data  # One inside the other, as `\\u%3034`.
    is_number_possible = is_hiding or _SHORTEST in data.translate(_DIGITS, _BETWEEN)
    is_code_possible = is_hiding or any(each in lower for each in _CODE_NAMES)
    if not is_number_possible and not is_code_possible:
        return False
    if b"%" in data:
        data = unquote_to_bytes(data)
    if b"\\u00" in data:  # As JSON may write any letter.
        data = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), data)
    if is_code_possible and _CHECK_FIELD.search(data):
        return True
    for match in _LONG_NUMBER.finditer(data):
        digits = re.sub(rb"[^0-9]", b"", match[0]).decode()
        if _ISSUED.fullmatch(digits) and is_luhn(digits):
            return True
    return False
