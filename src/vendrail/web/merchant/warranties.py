"""Warranties as a product's form has them: so long, for so many keys, and what else is done."""

from collections.abc import Mapping
from dataclasses import dataclass

from vendrail.api.catalog import DeliveryKind, Product
from vendrail.api.catalog.warranties import (
    BUYER_KEYS_MAX,
    COVERS_MAX,
    HOURS_MAX,
    KEYS_MAX,
    ProductWarranty,
)
from vendrail.web.languages import message

TERM_WRONG = message("A warranty is of whole hours or days, of one hour to 366 days.")
COVERS_WRONG = message("Say in at most 500 letters what the warranty covers.")
KEYS_WRONG = message(
    "Of an order at most 100 keys are replaced at once, and of a buyer's at least as many."
)
_HOURS_OF = {"hours": 1, "days": 24}
KINDS = (DeliveryKind.UNIQUE_KEY, DeliveryKind.REUSABLE_KEY)


@dataclass(frozen=True)
class Wrong:
    """What does not fit, in words to be translated."""

    text: str


def read_count(text: str) -> int | None:
    """Read a whole number of at most five digits; None: it is none."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else None


def read_warranty(form: Mapping[str, str], product: Product) -> ProductWarranty | Wrong | None:
    """Read a warranty; without a term there is none, without its fields it stays as it is."""
    if "warranty_term" not in form or product.delivery not in KINDS:
        return product.warranty
    text = form["warranty_term"].strip()
    if not text:
        return None
    count, unit = read_count(text), _HOURS_OF.get(form.get("warranty_unit", ""), 0)
    if count is None or not 1 <= count * unit <= HOURS_MAX:
        return Wrong(TERM_WRONG)
    covers = form.get("warranty_covers", "").replace("\r\n", "\n").strip()
    if len(covers) > COVERS_MAX:
        return Wrong(COVERS_WRONG)
    keys, of_buyer = (
        read_count(form.get(name, "") or "0") for name in ("warranty_keys", "warranty_buyer_keys")
    )
    if product.delivery is not DeliveryKind.UNIQUE_KEY or keys == 0:
        return ProductWarranty(count * unit, covers)
    if keys is None or of_buyer is None or not keys <= of_buyer <= BUYER_KEYS_MAX:
        return Wrong(KEYS_WRONG)
    if keys > KEYS_MAX:
        return Wrong(KEYS_WRONG)
    is_refunded = form.get("warranty_out") == "refund"
    return ProductWarranty(count * unit, covers, keys, of_buyer, is_refunded)


def fields_of(warranty: ProductWarranty | None) -> dict[str, str]:
    """Give a warranty as its form has it."""
    if warranty is None:
        return {
            "term": "",
            "unit": "days",
            "covers": "",
            "at_once": "0",
            "buyer_keys": "3",
            "out": "",
        }
    is_days = warranty.hours % 24 == 0
    return {
        "term": str(warranty.hours // 24 if is_days else warranty.hours),
        "unit": "days" if is_days else "hours",
        "covers": warranty.covers,
        "at_once": str(warranty.keys_max),
        "buyer_keys": str(warranty.buyer_keys_max or 3),
        "out": "refund" if warranty.is_refunded_when_out else "merchant",
    }


def told_warranty(warranty: ProductWarranty | None) -> str:
    """Say a warranty in words, for the log."""
    if warranty is None:
        return ""
    out = "refund" if warranty.is_refunded_when_out else "merchant"
    at_once = f", {warranty.keys_max}/{warranty.buyer_keys_max} keys, out: {out}"
    return f"{warranty.hours} h{at_once if warranty.keys_max else ''}: {warranty.covers}"
