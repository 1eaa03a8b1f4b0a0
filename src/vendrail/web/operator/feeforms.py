"""Rules of fees as a form holds them, and the draft of a schedule as it goes from page to page."""

from collections.abc import Mapping, Sequence

from vendrail.api.settlement import FeeRule
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import from_text, to_text

_PERCENT = "CNY"  # Two places, as hundredths of a percent have.
_AMOUNTS = {
    "fixed": "fixed_minor",
    "least": "fee_minor_min",
    "most": "fee_minor_max",
    "amount_from": "amount_minor_min",
    "amount_below": "amount_minor_below",
    "volume_from": "volume_minor_min",
    "volume_below": "volume_minor_below",
}
_PERCENTS = {
    "percent": "basis_points",
    "refunds_from": "refund_permyriad_min",
    "refunds_below": "refund_permyriad_below",
    "disputes_from": "dispute_permyriad_min",
    "disputes_below": "dispute_permyriad_below",
}
RULES_MAX = 30  # So many fit into a form; a schedule of more is nobody's to read.


def read_draft(text: str) -> list[FeeRule]:
    """Read the draft that a form carries."""
    rules = decode(text, list[FeeRule])
    if len(rules) > RULES_MAX:
        raise Malformed("There are too many rules.")
    return rules


def write_draft(rules: Sequence[FeeRule]) -> str:
    """Write the draft for a form to carry."""
    return encode(list(rules)).decode()


def as_told(rules: Sequence[FeeRule]) -> dict[str, str]:
    """Say rules as proposals and the log keep them: one each, without what is left open."""
    return {f"rule {number}": encode(rule).decode() for number, rule in enumerate(rules, 1)}


def read_told(told: Mapping[str, str]) -> list[FeeRule]:
    """Read the rules of a proposal."""
    numbers = range(1, RULES_MAX + 1)
    texts = (told.get(f"rule {number}") for number in numbers)
    return [decode(text, FeeRule) for text in texts if text is not None]


def read_told_rule(name: str, value: str) -> FeeRule | None:
    """Read one field of a proposal, where it is a rule."""
    return decode(value, FeeRule) if name.startswith("rule ") else None


def read_told_terms(told: Mapping[str, str]) -> FeeRule | None:
    """Read the terms of one merchant out of a proposal, where it is about such."""
    try:
        return FeeRule(
            int(told["basis_points"]),
            int(told["fixed_minor"]),
            int(told["fee_minor_min"]),
            is_fee_refunded=told["is_fee_refunded"] == "yes",
            currency=told["currency"],
        )
    except (KeyError, ValueError):
        return None


def read_rule(form: Mapping[str, str], *, is_last: bool) -> FeeRule:
    """Read one rule; the last one has no condition, and so names no currency and no amount."""
    text = {name: value.strip() for name, value in form.items()}
    percent = from_text(text.get("percent") or "0", _PERCENT)
    flags = {
        "is_cost_borne": text.get("bearer") == "merchant",
        "is_fee_refunded": bool(text.get("refunded")),
        "title": text.get("title", "")[:100],
    }
    if is_last:
        return FeeRule(basis_points=percent, **flags)  # type: ignore[arg-type]
    currency = text.get("currency", "")
    amounts = {name: text.get(name, "") for name in _AMOUNTS}
    if any(amounts.values()) and not currency:
        raise Malformed("Amounts need a currency.")
    values: dict[str, object] = {
        field: from_text(amounts[name], currency) if amounts[name] else 0
        for name, field in _AMOUNTS.items()
    }
    values |= {
        field: from_text(text.get(name) or "0", _PERCENT) for name, field in _PERCENTS.items()
    }
    values |= {
        "currency": currency,
        "tiers": [int(each) for each in _words(text.get("tiers", ""))],
        "categories": _words(text.get("categories", "")),
        "methods": _words(text.get("methods", "")),
        **flags,
    }
    return FeeRule(**values)  # type: ignore[arg-type]


def _words(text: str) -> list[str]:
    parts = text.replace("，", ",").replace("、", ",").split(",")
    return list(dict.fromkeys(each.strip() for each in parts if each.strip()))


def written(rule: FeeRule) -> dict[str, str]:
    """Give a rule as the form's fields hold it."""
    amounts = {
        name: to_text(minor, rule.currency) if (minor := getattr(rule, field)) else ""
        for name, field in _AMOUNTS.items()
    }
    percents = {
        name: to_text(value, _PERCENT) if (value := getattr(rule, field)) else ""
        for name, field in _PERCENTS.items()
    }
    return {
        **amounts,
        **percents,
        "percent": to_text(rule.basis_points, _PERCENT),
        "title": rule.title,
        "currency": rule.currency,
        "tiers": ", ".join(map(str, rule.tiers)),
        "categories": ", ".join(rule.categories),
        "methods": ", ".join(rule.methods),
        "bearer": "merchant" if rule.is_cost_borne else "platform",
        "refunded": "yes" if rule.is_fee_refunded else "",
    }


def is_open(rule: FeeRule) -> bool:
    """Tell whether a rule that was written is on every sale, and so belongs at the end."""
    return rule == FeeRule(
        rule.basis_points,
        rule.fixed_minor,
        rule.fee_minor_min,
        rule.fee_minor_max,
        rule.is_cost_borne,
        rule.is_fee_refunded,
        rule.title,
    )


def change(rules: Sequence[FeeRule], act: str, at: int) -> list[FeeRule]:
    """Move a rule up or down, or take it out; the last one stays where it is."""
    changed = list(rules)
    last = len(changed) - 1
    if act == "drop" and 0 <= at < last:
        del changed[at]
    elif act == "up" and 0 < at < last:
        changed[at - 1], changed[at] = changed[at], changed[at - 1]
    elif act == "down" and 0 <= at < last - 1:
        changed[at + 1], changed[at] = changed[at], changed[at + 1]
    return changed


def put(rules: Sequence[FeeRule], at: int, rule: FeeRule) -> list[FeeRule]:
    """Put a rule in the place of another, or, at −1, before the last."""
    changed = list(rules)
    if 0 <= at < len(changed):
        changed[at] = rule
    else:
        changed.insert(max(0, len(changed) - 1), rule)
    return changed
