"""Keys that look like keys: each form as its kind of goods has it, each one different."""

import secrets
from collections.abc import Callable

_CLEAR = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # Nothing that is mistaken for something else.
_DIGITS = "0123456789"
_LOWER = "abcdefghjkmnpqrstuvwxyz23456789"
_MIXED = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def _some(letters: str, count: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(count))


def _game() -> str:
    return "-".join(_some(_CLEAR, 5) for _ in range(3))


def _card() -> str:
    return f"卡号 8807{_some(_DIGITS, 12)} 密码 {_some(_DIGITS, 10)}"


def _voucher() -> str:
    return "-".join(_some(_CLEAR, 4) for _ in range(4))


def _licence() -> str:
    return "-".join(_some(_CLEAR, 5) for _ in range(5))


def _account() -> str:
    return f"reader_{_some(_LOWER, 6)}@morning.example----{_some(_MIXED, 12)}"


FORMS: dict[str, Callable[[], str]] = {
    "game": _game,
    "card": _card,
    "voucher": _voucher,
    "licence": _licence,
    "account": _account,
}


def make(form: str, count: int) -> list[str]:
    """Make keys of one form, no two of them equal."""
    draw = FORMS[form]
    made: dict[str, None] = {}
    while len(made) < count:
        made[draw()] = None
    return list(made)
