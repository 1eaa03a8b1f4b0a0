"""What all sides of Epay (易支付) agree on: how fields are signed, and what is called what."""

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import parse_qsl

from vendrail.kernel.vault import is_same

# Our names for ways to pay, and what Epay calls them.
TYPES = {"alipay": "alipay", "wechat": "wxpay", "qqpay": "qqpay", "unionpay": "bank"}
CURRENCY = "CNY"
NAME_BYTES_MAX = 127

_PLAIN = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_NUMBERS = re.compile(r"&out_trade_no=([^&]*)")
# What joins the text that is signed: a title that held them could be read as other fields.
_JOINTS = str.maketrans("&=", "\uff06\uff1d")
_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,8})?", re.ASCII)


def signing_text(fields: Mapping[str, str]) -> str:
    """Give what is signed of fields: sorted, non-empty, raw, `sign` and `sign_type` left out."""
    return "&".join(
        f"{name}={fields[name]}"
        for name in sorted(fields)
        if name not in {"sign", "sign_type"} and fields[name]
    )


def is_cut_one_way(fields: Mapping[str, str]) -> bool:
    """Tell whether what is signed of fields can be read as these fields only.

    The text is raw: `name=x&pid=1` may be a name and a pid, or a name that holds `&`.
    """
    return all(_PLAIN.fullmatch(name) and "&" not in value for name, value in fields.items())


def holds_other_order(fields: Mapping[str, str]) -> bool:
    """Tell whether a value holds the number of another order: cut otherwise, it would be signed.

    A site's addresses may well hold `&`, and its own number too.
    """
    own = fields.get("out_trade_no", "")
    told = (number for value in fields.values() for number in _NUMBERS.findall(value))
    return any(number != own for number in told)


def signature(fields: Mapping[str, str], key: str) -> str:
    """Sign fields as V1 does: their text, the key put behind."""
    text = f"{signing_text(fields)}{key}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def signed(fields: Mapping[str, str], key: str) -> dict[str, str]:
    """Give the fields that are not empty, with their signature."""
    kept = {name: value for name, value in fields.items() if value}
    return {**kept, "sign": signature(kept, key), "sign_type": "MD5"}


def is_signed(fields: Mapping[str, str], key: str) -> bool:
    """Tell whether the signature that came with fields is theirs, in the same time either way."""
    return is_same(signature(fields, key).encode(), fields.get("sign", "").encode())


def read_form(form: bytes) -> dict[str, str] | None:
    """Read a form; None where it is none, or names a field twice: which of them was signed?"""
    try:
        pairs = parse_qsl(
            form.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def read_amount(text: str) -> int | None:
    """Read yuan into fen, exactly: forks write 1, 1.5, 1.50 and 1.5000; None for all else."""
    if not _AMOUNT.fullmatch(text):
        return None
    fen = Decimal(text) * 100
    return int(fen) if fen == fen.to_integral_value() else None


def write_amount(amount_minor: int) -> str:
    """Write fen as yuan with two places."""
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def cut_name(title: str) -> str:
    """Give a title as Epay's `name` holds it: one line of at most 127 bytes, without & and =."""
    line = " ".join(title.translate(_JOINTS).split())
    return line.encode()[:NAME_BYTES_MAX].decode("utf-8", "ignore").strip()
