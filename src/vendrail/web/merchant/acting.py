"""What the merchant's pages share: acts for the log, ids and amounts as people write them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from uuid import UUID

from vendrail.api.identity import NOT_DONE, Act
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, new_id
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.storefront.front import Page


async def log(
    desk: Desk,
    caller: Caller,
    act: str,
    subject: str,
    *,
    before: Mapping[str, str] | None = None,
    after: Mapping[str, str] | None = None,
    reason: str = "",
) -> None:
    """Write an act of a merchant's person to the log, before it is done."""
    id = new_id(desk.clock.now())
    written = Act(
        id, caller.actor, act, subject, caller.merchant, dict(before or {}), dict(after or {}),
        reason,
    )  # fmt: skip
    await desk.apis.identity.record_acts([written])


async def log_export(
    desk: Desk, caller: Caller, act: str, subject: str, after: Mapping[str, str] | None = None
) -> Page | None:
    """Write to the log who takes a list; a page: they are turned away, and nothing is written."""
    if (turned := await desk.turn_away(caller)) is None:
        await log(desk, caller, act, subject, after=after)
    return turned


async def log_undone(desk: Desk, caller: Caller, act: str, subject: str, why: str) -> None:
    """Add to the log that an act written there was not done after all."""
    await log(desk, caller, act, subject, after={NOT_DONE: why})


def read_id(text: str) -> UUID | None:
    """Read a serial number out of an address or a form; None: it is none."""
    try:
        return from_serial(text)
    except Malformed:
        return None


def chosen_currency(caller: Caller, currencies: Sequence[str]) -> str:
    """Give the currency that an address or a form names, if it is of these; else the first."""
    asked = caller.asked("currency", 3) or caller.written("currency", 3)
    return asked if asked in currencies else currencies[0]


def midnight(at: datetime, zone: str, days: int = 0) -> datetime:
    """Give when the day of a moment began where the site is, or the day so many days away."""
    here = time_zone(zone)
    day = at.astimezone(here).date() + timedelta(days=days)
    return datetime.combine(day, time(), here)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[dict[str, str], ...]:
    """Give what differs, before and after."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return tuple({n: side[n] for n in names if n in side} for side in (before, after))
