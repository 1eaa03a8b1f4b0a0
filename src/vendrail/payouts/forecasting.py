"""Forecasting: reserves are looked ahead for, and who fills them is told before they are dry."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from vendrail.api.identity import Identity, PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, MessageStatus, Notify
from vendrail.api.payouts import Reserve, ReserveForecast
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import derive, named_id
from vendrail.kernel.locales import amount_text, nearest
from vendrail.kernel.telemetry import Metrics
from vendrail.payouts import forecast
from vendrail.payouts.reserves import Reserves
from vendrail.payouts.settings import PayoutsSettings
from vendrail.payouts.store import Database
from vendrail.payouts.store import payouts as payouts_store

Key = tuple[str, str]
_HOUR_S = 3_600


class Forecasting:
    """Looks ahead."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        metrics: Metrics,
        settings: PayoutsSettings,
        reserves: Reserves,
        identity: Identity,
        notify: Notify,
    ) -> None:
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._reserves = reserves
        self._identity = identity
        self._notify = notify
        self._asked: tuple[int, Mapping[Key, Mapping[int, int]]] = (0, {})

    async def list_all(self) -> list[ReserveForecast]:
        """Forecast all reserves."""
        hour = int(self._clock.now().timestamp()) // _HOUR_S
        asked = await self._history(hour)
        return [
            self._forecast(each, asked.get((each.channel_name, each.currency), {}), hour)
            for each in await self._reserves.list_all()
        ]

    async def _history(self, hour: int) -> Mapping[Key, Mapping[int, int]]:
        """Give what was asked for in each whole hour; read anew when another one is over."""
        if self._asked[0] != hour:
            async with self._db.reading() as tx:
                begin = _moment(hour - forecast.HOURS * (forecast.WEEKS_MAX + 1))
                found = await payouts_store.sum_hours(tx, begin, _moment(hour))
            self._asked = (hour, found)
        return self._asked[1]

    def _forecast(self, reserve: Reserve, asked: Mapping[int, int], hour: int) -> ReserveForecast:
        needs = forecast.foresee(asked, hour)
        there = reserve.free_minor - reserve.waiting_minor
        hours = forecast.dry_in(needs.careful_minor, there)
        now, begins_at = self._clock.now(), _moment(hour)
        dry_at = None if hours is None else max(now, begins_at + timedelta(hours=hours))
        warned_until = now + timedelta(hours=self._settings.reserve_warn_hours)
        return ReserveForecast(
            reserve.channel_name,
            reserve.currency,
            begins_at,
            needs.weeks_count,
            reserve.free_minor,
            reserve.waiting_minor,
            reserve.receivable_minor,
            needs.usual_minor,
            needs.careful_minor,
            dry_at,
            dry_at is not None and dry_at <= warned_until,
            forecast.suggest(needs.careful_minor, there, self._settings.reserve_cover_days * 24),
        )

    async def look(self) -> bool:
        """Count the reserves that run low, and write of each, once a day, to whoever fills it."""
        found = await self.list_all()
        warned = [each for each in found if each.is_warned]
        self._metrics.put("vendrail_reserves_low", len(warned))
        if warned:
            await self._warn(warned)
        return False

    async def _warn(self, warned: Sequence[ReserveForecast]) -> None:
        [people] = await self._identity.list_people([PeopleQuery(None)])
        letters = [
            self._letter(each, person)
            for each in warned
            for person in people
            if _fills_reserves(person)
        ]
        if letters:
            statuses = await self._notify.send_messages(letters)
            assert MessageStatus.TEMPLATE_UNKNOWN not in statuses

    def _letter(self, each: ReserveForecast, person: Person) -> Message:
        today, at = self._clock.now().date(), each.dry_at or each.begins_at
        subject = named_id(f"reserve_low/{each.channel_name}/{each.currency}/{today}")
        locale = (nearest(person.locale) or "en").replace("-", "_")
        return Message(
            derive(subject, f"{person.id}"),
            person.email,
            "reserve_low",
            person.locale,
            {
                "channel": each.channel_name,
                "free": amount_text(each.free_minor, each.currency, locale),
                "waiting": amount_text(each.waiting_minor, each.currency, locale),
                "suggested": amount_text(each.suggested_minor, each.currency, locale),
                "dry": f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
                "link": f"{self._settings.public_url.rstrip('/')}/operator/reserves",
            },
        )


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * _HOUR_S, UTC)


def _fills_reserves(person: Person) -> bool:
    return person.state is PersonState.ACTIVE and any(
        each.merchant is None and Permission.PAYOUTS_WRITE in each.permissions
        for each in person.memberships
    )
