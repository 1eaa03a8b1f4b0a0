"""The number an attempt carries at its provider: its order's serial and its own number."""

from uuid import UUID

from vendrail.kernel.ids import to_serial

NUMBER_MAX = 9_999
_SERIAL_LENGTH = 26
_TO_INT = str.maketrans("0123456789ABCDEFGHJKMNPQRSTVWXYZ", "0123456789abcdefghijklmnopqrstuv")
_DIGITS = frozenset("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def out_trade_no(order: UUID, number: int) -> str:
    """Write the number under which the provider knows an attempt: 28 to 30 characters."""
    return f"{to_serial(order)}{number:02d}"


def read_out_trade_no(text: str) -> tuple[UUID, int] | None:
    """Read order and number back, exactly as written; None when it is none of ours."""
    serial, digits = text[:_SERIAL_LENGTH], text[_SERIAL_LENGTH:]
    if not 2 <= len(digits) <= 4 or not digits.isascii() or not digits.isdigit():
        return None
    if serial[0] > "7" or not _DIGITS.issuperset(serial):
        return None
    number = int(digits)
    if number == 0 or (len(digits) > 2 and digits[0] == "0"):
        return None
    return UUID(int=int(serial.translate(_TO_INT), 32)), number
