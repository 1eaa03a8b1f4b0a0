"""Learning: how payments end over each channel, seen here at once and by all within seconds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from vendrail.api.payments import Capture, CaptureFit, ChannelId
from vendrail.kernel.clock import Clock
from vendrail.payments.routing.segments import Book, Segment, band_of
from vendrail.payments.store import routing as rows
from vendrail.payments.store.base import Row, Store

SLOW_S = 7 * 86_400.0  # The half-life of what is learned,
FAST_S = 60.0  # and of what says that a channel fails just now.
_FRESH = timedelta(seconds=10)
_KEPT = timedelta(days=90)
_FAILING_BELOW = 0.5  # Of what it does in the long run,
_FAILING_STRENGTH = 4.0  # where it has failed more than so often in a row.


class Learning:
    """Notes how payments end, writes it for the others, and reads what they have written."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.book = Book(SLOW_S)
        self._fast = Book(FAST_S)
        self._read_at: datetime | None = None
        self._noted: Counter[tuple[Segment, bool]] = Counter()
        self._writing: Counter[tuple[Segment, bool]] = Counter()
        self._volumes: Counter[tuple[UUID, str, date]] = Counter()
        self._volumes_leaving: Counter[tuple[UUID, str, date]] = Counter()
        self.failures_count = 0  # Plans made before the last one are out of date.

    # Noting.

    def note_failure(self, channel: UUID, method: str, country: str, amount_minor: int) -> None:
        """Note that a payment failed, by the channel's fault."""
        segment = Segment(str(channel), method, country, band_of(amount_minor))
        self._note(segment, 1, is_won=False)
        self.failures_count += 1

    def note_opening(self, channel: UUID) -> None:
        """Note that a payment could be opened: the channel does not fail just now."""
        self._fast.note(Segment(str(channel)), 1.0, 0.0, self._clock.now().timestamp())

    def note_captures(self, captures: Sequence[Capture], countries: Mapping[UUID, str]) -> None:
        """Note payments that have succeeded; countries by attempt, where they are known."""
        # Most of a batch are alike: what each is part of is found once for all that are.
        alike: dict[tuple[UUID, str, str, str, int, datetime], int] = {}
        for each in captures:
            if each.fit is CaptureFit.FITS and each.attempt is not None:
                country = countries.get(each.attempt, "") if countries else ""
                key = (
                    each.channel,
                    each.method,
                    country,
                    each.currency,
                    each.amount_minor,
                    each.at,
                )
                alike[key] = alike.get(key, 0) + 1
        won: Counter[Segment] = Counter()
        for (channel, method, country, currency, amount_minor, at), count in alike.items():
            won[Segment(str(channel), method, country, band_of(amount_minor))] += count
            self._volumes[channel, currency, at.date()] += count * amount_minor
        for segment, count in won.items():
            self._note(segment, count, is_won=True)

    def unwritten_minor(self, channel: UUID, currency: str) -> int:
        """Give what a channel took today that no other process can know of yet."""
        key = (channel, currency, self._clock.now().date())
        return self._volumes[key] + self._volumes_leaving[key]

    def _note(self, segment: Segment, count: int, *, is_won: bool) -> None:
        at_s = self._clock.now().timestamp()
        self._noted[segment, is_won] += count
        for book, of in ((self.book, segment), (self._fast, Segment(segment.channel))):
            book.note(of, count * is_won, count * (not is_won), at_s)

    def is_failing(self, channel: str, at_s: float) -> bool:
        """Tell whether most of a channel's last payments failed that usually succeed.

        Left alone, its failures fade within minutes, and it is tried again.
        """
        whole = Segment(channel)
        won, lost = self._fast.counts(whole, at_s)
        usual = self.book.estimate(whole, at_s).mean
        recent = (won + _FAILING_STRENGTH * usual) / (won + lost + _FAILING_STRENGTH)
        return recent < usual * _FAILING_BELOW

    # Sharing.

    async def refresh(self, *, is_forced: bool = False) -> None:
        """Read what all processes know, where that was some seconds ago, or at once."""
        now, read_at = self._clock.now(), self._read_at
        if not is_forced and read_at is not None and timedelta(0) <= now - read_at < _FRESH:
            return
        self._read_at = now
        async with self._store.reading() as tx:
            book = _book_of(await rows.read_tallies(tx))
        _add(book, self._writing, now)
        _add(book, self._noted, now)
        self.book = book

    async def write(self) -> bool:
        """Write what was noted here since; true is never said: there is no backlog."""
        if not self._noted and not self._volumes:
            return False
        now = self._clock.now()
        self._writing, self._noted = self._noted, Counter()
        volumes, self._volumes = self._volumes, Counter()
        self._volumes_leaving = volumes
        try:
            async with self._store.transaction() as tx:
                await rows.lock_tallies(tx)
                book = _book_of(await rows.read_tallies(tx))
                _add(book, self._writing, now)
                changed = sorted({segment for segment, _ in self._writing})
                await rows.write_tallies(tx, [_row(book, each, now) for each in changed], now)
                await rows.add_volumes(tx, [(*key, taken) for key, taken in volumes.items()])
                await rows.drop_tallies(tx, now - _KEPT)
        except BaseException:
            self._noted.update(self._writing)
            self._volumes.update(volumes)
            raise
        finally:
            self._writing = Counter()
            self._volumes_leaving = Counter()
        return False


def channel_of(segment: Segment) -> ChannelId:
    """Give the channel that a segment is of."""
    return ChannelId(UUID(segment.channel))


def _book_of(tallies: Sequence[Row]) -> Book:
    book = Book(SLOW_S)
    for row in tallies:
        won, lost = row["successes_milli"] / 1_000, row["failures_milli"] / 1_000
        segment = Segment(str(row["channel"]), row["method"], row["country"], row["band"])
        book.note(segment, won, lost, row["at"].timestamp())
    return book


def _add(book: Book, noted: Counter[tuple[Segment, bool]], now: datetime) -> None:
    for (segment, is_won), count in noted.items():
        book.note(segment, count * is_won, count * (not is_won), now.timestamp())


def _row(book: Book, segment: Segment, now: datetime) -> tuple[UUID, str, str, int, int, int]:
    won, lost = book.counts(segment, now.timestamp())
    return (
        channel_of(segment),
        segment.method,
        segment.country,
        segment.band,
        round(won * 1_000),
        round(lost * 1_000),
    )
