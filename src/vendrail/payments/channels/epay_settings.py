"""What both versions of Epay have among their settings: the merchant's number, ways, what shows."""

import re
from collections.abc import Collection, Sequence

from vendrail.api.payments import Device
from vendrail.kernel.epay import TYPES
from vendrail.payments.channels.base import MethodOffer

# The ways whose pages also work in the browser of the wallet itself; of the other, never.
_INSIDE = {"alipay": Device.ALIPAY, "wechat": Device.WECHAT}
_OUTSIDE = (Device.DESKTOP, Device.MOBILE)
_VAGUE = (
    *("超时", "繁忙", "稍后", "处理中", "已存在", "重复", "系统", "网络", "未知"),
    *("timeout", "timed out", "busy", "system", "network", "unknown"),
)


def split(value: str) -> list[str]:
    """Read words that commas part."""
    return [part.strip() for part in value.split(",") if part.strip()]


def check_pid(value: str) -> str:
    """Say what is wrong with a merchant's number, or nothing."""
    return "" if re.fullmatch(r"[0-9A-Za-z_-]{1,32}", value) else "is the number of the merchant."


def check_types(value: str) -> str:
    """Say what is wrong with the ways to pay, or nothing."""
    unknown = set(split(value)) - TYPES.keys()
    known = ", ".join(TYPES)
    return f"knows {known}, not {', '.join(sorted(unknown))}." if unknown else ""


def check_shows(value: str) -> str:
    """Say what is wrong with what buyers see, or nothing."""
    unknown = set(split(value)) - {"page", "qr"}
    return f"knows page and qr, not {', '.join(sorted(unknown))}." if unknown else ""


def offers_of(names: Sequence[str], shows: Collection[str], scan: str) -> list[MethodOffer]:
    """List the ways of an account; `scan` ends the name of one that shows its code here."""
    offers = []
    for name in names:
        if "page" in shows:
            devices = (*_OUTSIDE, _INSIDE[name]) if name in _INSIDE else _OUTSIDE
            offers.append(MethodOffer(name, "redirect", devices=devices))
        if "qr" in shows:
            offers.append(MethodOffer(f"{name}{scan}", "qr", devices=_OUTSIDE))
    return offers


def is_clear(said: str) -> bool:
    """Tell whether a refusal leaves nothing open: not busy, not begun before, not without a word.

    A vague one may have moved the money: it is asked about, never believed.
    """
    words = said.strip().lower()
    return bool(words) and not any(each in words for each in _VAGUE)
