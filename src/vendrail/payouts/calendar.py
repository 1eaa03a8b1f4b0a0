"""When a schedule falls due next, on the clock that it names; no I/O, no clock of its own."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vendrail.api.payouts import PayoutSchedule, ScheduleKind

CALENDAR = (ScheduleKind.DAILY, ScheduleKind.WEEKLY, ScheduleKind.MONTHLY)
_DAYS_AHEAD = 63  # The longest way from one period's day over the next period to the one after.


def find_zone(name: str) -> ZoneInfo | None:
    """Give a time zone by its name; None: there is no such."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def period_of(kind: ScheduleKind, day: date) -> tuple[int, ...]:
    """Name the day, week or month that a day lies in: each is paid out once at most."""
    if kind is ScheduleKind.WEEKLY:
        return day.isocalendar()[:2]
    if kind is ScheduleKind.MONTHLY:
        return (day.year, day.month)
    return (day.year, day.month, day.day)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """Give the day that a moment lies in, on a clock."""
    return moment.astimezone(zone).date()


def next_due(schedule: PayoutSchedule, now: datetime, last_on: date | None) -> datetime:
    """Give the next moment after now, in a period after the one that was looked at last."""
    zone = find_zone(schedule.zone)
    assert zone is not None  # Nothing else is written down.
    today = day_of(now, zone)
    days = (today + timedelta(days=number) for number in range(_DAYS_AHEAD))
    for day in days:
        if not _is_its_day(schedule, day):
            continue
        if last_on is not None and period_of(schedule.kind, day) <= period_of(
            schedule.kind, last_on
        ):
            continue
        moment = datetime.combine(day, time(schedule.hour), zone).astimezone(UTC)
        if moment > now:
            return moment
    # Only where `last_on` lies ahead: the clock was moved, or the zone changed.
    return now + timedelta(days=1)


def _is_its_day(schedule: PayoutSchedule, day: date) -> bool:
    if schedule.kind is ScheduleKind.WEEKLY:
        return day.isoweekday() == schedule.day
    if schedule.kind is ScheduleKind.MONTHLY:
        return day.day == min(schedule.day, monthrange(day.year, day.month)[1])
    return True
