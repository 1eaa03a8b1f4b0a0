"""Letters' wishes, as forms of both consoles and of buyers' accounts write and read them."""

from collections.abc import Mapping, Sequence

from vendrail.api.notify import (
    ALWAYS_BY_MAIL,
    LetterPreferences,
    LetterWay,
    PreferencesStatus,
)
from vendrail.kernel.codec import replace
from vendrail.web.languages import message

# What each kind is called that can be done without, and when it comes.
KINDS: Mapping[str, tuple[str, str]] = {
    "stock_low": (message("Low stock"), message("Few free keys of a product are left.")),
    "complaint_staff": (
        message("Complaints"),
        message("A complaint was opened, escalated or decided. Answer it in time."),
    ),
    "complaint_buyer": (
        message("Complaints"),
        message("Your complaint was answered, decided or settled."),
    ),
    "message_unread": (
        message("Unread messages"),
        message("A message about an order was not read for a while."),
    ),
    "agency": (
        message("Agents and suppliers"),
        message("Invited, accepted, ended; goods that a supplier lets you sell no longer."),
    ),
    "supplied_refunded": (
        message("Refunds by agents"),
        message("An agent gave money back, and a part of it was yours."),
    ),
}
# What those kinds are called that may come by Telegram, and when they come.
CHAT_KINDS: Mapping[str, tuple[str, str]] = {
    **{each: KINDS[each] for each in ("stock_low", "complaint_staff", "message_unread")},
    "dispute_staff": (
        message("Disputes"),
        message("A bank disputes a payment, listens not much longer, or has decided."),
    ),
    "money": (message("Money"), message("Fees, deposits, debts and reserves.")),
    "shop": (
        message("Your shop"),
        message(
            "Sales stopped or resumed, your verification, agents and suppliers, webhooks that were"
            " switched off."
        ),
    ),
    "operator_alert": (
        message("Alerts"),
        message("Something stands that a person has to settle."),
    ),
    "security": (
        message("Security"),
        message("Passkeys and payout accounts. It always comes by e-mail too."),
    ),
}
WAYS: Mapping[LetterWay, str] = {
    LetterWay.BOTH: message("E-mail and Telegram"),
    LetterWay.MAIL: message("E-mail only"),
    LetterWay.TELEGRAM: message("Telegram only"),
}
_WRONG = {
    PreferencesStatus.HOURS_MALFORMED: message("Write both hours, as in 22:00 and 07:00."),
    PreferencesStatus.ZONE_UNKNOWN: message("Choose a time zone of the list."),
}
ZONES = (
    "Asia/Shanghai", "Asia/Hong_Kong", "Asia/Taipei", "Asia/Tokyo", "Asia/Seoul",
    "Asia/Singapore", "Asia/Bangkok", "Asia/Kolkata", "Asia/Dubai", "Europe/Berlin",
    "Europe/London", "Europe/Madrid", "Europe/Moscow", "America/New_York", "America/Chicago",
    "America/Los_Angeles", "America/Mexico_City", "America/Sao_Paulo", "Australia/Sydney", "UTC",
)  # fmt: skip


def read_wishes(
    form: Mapping[str, str], before: LetterPreferences, kinds: Sequence[str]
) -> LetterPreferences | None:
    """Read a form of these kinds; the others stay as they are. None: its hours are none."""
    off = [each for each in kinds if form.get(f"kind_{each}") != "yes"]
    kept = [each for each in before.unwanted if each not in kinds]
    zone = form.get("zone", "")[:60] or before.zone
    wished = replace(before, unwanted=[*kept, *off], zone=zone)
    if form.get("is_quiet") != "yes":
        return replace(wished, quiet_from=None, quiet_until=None)
    start, end = _minute(form.get("from", "")), _minute(form.get("until", ""))
    if start is None or end is None or start == end:
        return None
    return replace(wished, quiet_from=start, quiet_until=end)


def offered_ways(kind: str) -> list[tuple[str, str]]:
    """Give the ways that a kind may come by, each with its name."""
    return [
        (way.value, name)
        for way, name in WAYS.items()
        if not (way is LetterWay.TELEGRAM and kind in ALWAYS_BY_MAIL)
    ]


def read_ways(
    form: Mapping[str, str], before: LetterPreferences, kinds: Sequence[str]
) -> dict[str, LetterWay]:
    """Read by which ways these kinds are to come; what a form does not say stays as it is."""
    ways = dict(before.ways)
    for kind in kinds:
        written = form.get(f"way_{kind}", "")
        if written in {value for value, _ in offered_ways(kind)}:
            ways[kind] = LetterWay(written)
    return ways


def why_wrong(status: PreferencesStatus | None) -> str:
    """Say why wishes were not taken; empty: they were."""
    if status is None:
        return _WRONG[PreferencesStatus.HOURS_MALFORMED]
    return _WRONG.get(status, "")


def _minute(text: str) -> int | None:
    hour, _, minute = text[:5].partition(":")
    if not (hour.isascii() and hour.isdigit() and minute.isascii() and minute.isdigit()):
        return None
    is_time = int(hour) < 24 and int(minute) < 60
    return int(hour) * 60 + int(minute) if is_time else None


def zones(*own: str) -> list[str]:
    """List the zones to choose from, with those that are in use."""
    return sorted({*ZONES, *filter(None, own)})
