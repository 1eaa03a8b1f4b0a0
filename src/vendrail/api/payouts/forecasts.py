"""Forecasts: what a reserve will be asked for in the next week, by the weeks before."""

from datetime import datetime
from typing import Protocol

from vendrail.kernel.codec import Record


class ReserveForecast(Record, frozen=True):
    """What one reserve will be asked for, from the hour that has begun on.

    Sums by the end of each of the next 168 hours; empty where there is too little history.
    """

    channel_name: str
    currency: str
    begins_at: datetime
    weeks_count: int  # How many weeks it is read from; fewer than four are none.
    free_minor: int
    waiting_minor: int  # Asked of the reserve already: it comes first.
    receivable_minor: int  # What the provider owes beside it; not counted on.
    usual_minor: list[int]  # In half of the weeks it was no more,
    careful_minor: list[int]  # and in nine of ten.
    dry_at: datetime | None  # When it may not be enough any more; None: not within a week.
    is_warned: bool  # That is soon.
    suggested_minor: int  # What to put in, for some days; 0: nothing.


class Forecasts(Protocol):
    """What reserves will be asked for."""

    async def forecast_reserves(self) -> list[ReserveForecast]:
        """Forecast the reserves of all channels that pay out, by name and currency."""
        ...
