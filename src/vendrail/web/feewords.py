"""What a suggested fee is made of, in words: all of it for operators, without costs for others."""

from collections.abc import Mapping, Sequence

from vendrail.api.settlement import FeeCause, FeePart
from vendrail.kernel.money import to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.languages import COMMA, message

_PERCENT = "CNY"  # Two places, as hundredths of a percent have.
CAUSES: Mapping[FeeCause, str] = {
    FeeCause.COST: message("channels' cost"),
    FeeCause.MARGIN: message("margin"),
    FeeCause.VOLUME: message("for the volume"),
    FeeCause.REFUNDS: message("for refunds"),
    FeeCause.DISPUTES: message("for disputes"),
    FeeCause.FIXED: message("taken of each sale already"),
    FeeCause.LEAST: message("held at the lower bound"),
    FeeCause.MOST: message("held at the upper bound"),
}
_BASE = message("base fee")
_OWN = (FeeCause.COST, FeeCause.MARGIN)  # What the platform pays and wants is its own affair.


def say_parts(desk: Desk, caller: Caller, parts: Sequence[FeePart]) -> str:
    """Say in words what a suggestion is made of."""
    told = [(each.basis_points, desk.say(caller, CAUSES[each.cause])) for each in parts]
    return _join(told, desk.say(caller, COMMA))


def say_parts_openly(desk: Desk, caller: Caller, parts: Sequence[FeePart]) -> str:
    """Say it to its merchant: cost and margin are one."""
    base = sum(each.basis_points for each in parts if each.cause in _OWN)
    own = [(base, desk.say(caller, _BASE))] if base else []
    rest = [each for each in parts if each.cause not in _OWN]
    told = own + [(each.basis_points, desk.say(caller, CAUSES[each.cause])) for each in rest]
    return _join(told, desk.say(caller, COMMA))


def _join(parts: Sequence[tuple[int, str]], comma: str) -> str:
    return comma.join(
        f"{'−' if points < 0 else '+' if place else ''}{to_text(abs(points), _PERCENT)} % {words}"
        for place, (points, words) in enumerate(parts)
    )
