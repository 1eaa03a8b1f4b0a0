"""Outcomes of audits and backups are left with notify: the console shows them, operators are told.

Where notify cannot be reached it is said and no more: what was asked for has been done.
"""

from datetime import UTC, datetime

from vendrail.api.notify import CheckReport, Notify
from vendrail.app.opened import opened_house
from vendrail.app.terminal import say
from vendrail.kernel.errors import Error


async def leave_report(name: str, *, is_good: bool, findings: dict[str, int] | None = None) -> None:
    """Leave the outcome of a check that has just ended."""
    report = CheckReport(name, datetime.now(UTC), is_good, findings or {})
    try:
        async with opened_house() as house:
            notify: Notify = house.api(Notify)
            await notify.report_checks([report])
    except Error as error:
        say(f"The outcome could not be kept for the console: {error}")
